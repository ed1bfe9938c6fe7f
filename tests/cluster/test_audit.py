import shlex

import pytest

from rollbuild.cluster import Database, describe_command, list_audit, prune_audit, set_attribute


def test_changes_are_listed_with_the_newest_first(database: Database) -> None:
    for number in range(5):
        with database.writing(f"command {number}", "root" if number % 2 else "ann") as c:
            set_attribute(c, "global", "", "x", str(number))
    with database.writing("nothing", "root") as c:
        set_attribute(c, "global", "", "x", "4")
    with database.recording() as c:
        rows = list_audit(c)
        assert [row.command for row in rows] == [f"command {number}" for number in (4, 3, 2, 1, 0)]
        assert [row.generation for row in rows] == sorted((row.generation for row in rows), reverse=True)
        assert [row.command for row in list_audit(c, limit=1, user="root")] == ["command 3"]
        assert list_audit(c, since=rows[0].time + 1) == ()
        assert prune_audit(c, 10) == 0
        assert prune_audit(c, 2) == 3
        assert [row.command for row in list_audit(c)] == ["command 4", "command 3"]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("rocks set attr motd 'a b'", "rocks set attr motd 'a b'"),
        ("rocks set attr rootpw abc", "rocks set attr rootpw (hidden)"),
        ("rocks set attr rootpw=abc", "rocks set attr rootpw=(hidden)"),
        ("rocks SET host ATTR compute-0-0 munge_token abc", "rocks SET host ATTR compute-0-0 munge_token (hidden)"),
        ("rocks set attr attr=db_pw value=abc", "rocks set attr attr=db_pw value=(hidden)"),
        ("rocks set attr value=abc attr=db_pw", "rocks set attr value=(hidden) attr=db_pw"),
        ("rocks 'set attr' rootpw abc", "rocks 'set attr' rootpw (hidden)"),
        ("rocks set attr db_pw value=abc", "rocks set attr db_pw value=(hidden)"),
        ("rocks run host compute 'cat secret'", "rocks run host compute 'cat secret'"),
        ("rocks list host secret x", "rocks list host secret x"),
        ("rocks set attr motd 'a\nb\x1b'", "rocks set attr motd 'a\\nb\\x1b'"),
    ],
)
def test_a_command_is_kept_without_its_secrets(typed: str, kept: str) -> None:
    assert describe_command(shlex.split(typed)) == kept
