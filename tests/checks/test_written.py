import pytest

from tests.checks.conftest import Check

FILES = {
    "name='/a' perms='0644' owner='root:root'": [],
    "name='/a' perms='755'": [],
    "name='/a' perms='u=rwx,go=rx'": [],
    "name='/a' perms='a+x'": [],
    "name='/a' perms='+x'": [],
    "name='/a' perms='0999'": ["FILE-PERMS error"],
    "name='/a' perms='rw-r--r--'": ["FILE-PERMS error"],
    "name='/a' perms='64'": ["FILE-PERMS error"],
    "name='/a' perms='0666'": ["FILE-PERMS warning"],
    "name='/a' perms='1777'": [],
    "name='a'": ["FILE-PATH error"],
    "name='~/a'": ["FILE-PATH error"],
    "name='$HOME/a'": [],
    "name='/a' owner='nobody'": [],
    "name='/a' owner='root.wheel'": [],
    "name='/a' owner='two words'": ["FILE-OWNER error"],
    "name='/a' owner='root:root:x'": ["FILE-OWNER error"],
}


@pytest.mark.parametrize(("attributes", "expected"), FILES.items())
def test_single_files(check: Check, attributes: str, expected: list[str]) -> None:
    found = check(f"<post><file {attributes}>x</file></post>")
    assert [f"{finding.code} {finding.severity}" for finding in found] == expected


def test_relative_names_of_the_installer_are_warned_of(check: Check) -> None:
    assert [finding.severity for finding in check("<pre><file name='a'>x</file></pre>")] == ["warning"]


# The text of the first and of the second node -> codes.
PAIRS = {
    "create after create": ("<file name='/a'>1</file>", "<file name='/a'>2</file>", ["FILE-CLOBBER"]),
    "create after append": ("<file name='/a' mode='append'>1</file>", "<file name='/a'>2</file>", ["FILE-CLOBBER"]),
    "create from a program": ("<file name='/a'>1</file>", "<file name='/a' expr='date'/>", ["FILE-CLOBBER"]),
    "the same text": ("<file name='/a'>1</file>", "<file name='/a'>1</file>", []),
    "append after create": ("<file name='/a'>1</file>", "<file name='/a' mode='append'>2</file>", []),
    "only touched": ("<file name='/a'>1</file>", "<file name='/a'/>", []),
    "touched before": ("<file name='/a'/>", "<file name='/a'>1</file>", []),
    "another file": ("<file name='/a'>1</file>", "<file name='/b'>2</file>", []),
    "owners": (
        "<file name='/a' owner='root:root'>1</file>",
        "<file name='/a' owner='root:wheel' mode='append'>2</file>",
        ["FILE-RIGHTS"],
    ),
    "owners spelled otherwise": (
        "<file name='/a' owner='root.root' perms='644'>1</file>",
        "<file name='/a' owner='root:root' perms='0644' mode='append'>2</file>",
        [],
    ),
}


@pytest.mark.parametrize(("first", "second", "codes"), PAIRS.values(), ids=PAIRS)
def test_two_nodes(check: Check, first: str, second: str, codes: list[str]) -> None:
    found = check(one=f"<post>{first}</post>", two=f"<post>{second}</post>")
    assert [finding.code for finding in found] == codes
    for finding in found:
        assert finding.location and finding.location.file.endswith("two.xml")
        assert "one.xml:1" in finding.message


def test_a_node_may_write_its_own_file_anew(check: Check) -> None:
    assert check("<post><file name='/a'>1</file><file name='/a'>2</file></post>") == []


def test_the_installer_has_files_of_its_own(check: Check) -> None:
    assert check(one="<pre><file name='/a'>1</file></pre>", two="<post><file name='/a'>2</file></post>") == []


def test_files_of_the_host_seen_from_the_installer_are_the_same(check: Check) -> None:
    outside = "<post arg='--nochroot'><file name='/mnt/sysroot/a'>2</file></post>"
    found = check(one="<post><file name='/a'>1</file></post>", two=outside)
    assert [finding.code for finding in found] == ["FILE-CLOBBER"]
