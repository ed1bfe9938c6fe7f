import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Outcome

Run = Callable[..., Outcome]
Write = Callable[[Mapping[str, str]], Path]

GRAPH = """<graph>
<appliance name="compute" root="compute"/><appliance name="login" root="login"/>
<edge from="compute" to="base"/><edge from="login" to="base"/>
<edge from="compute" to="tools" cond="with_tools"/>
<order head="base" tail="compute"/>
</graph>"""
BASE = """<kickstart>
<main><lang>en_US</lang><part>/ --size=1000</part><part>/scratch --size=1 --grow</part></main>
<package>zsh</package><package disable="1">telnet</package>
<post>
<file name="/etc/motd" perms="0644">Welcome
to all.</file>
echo &site_password; > /etc/secret
</post>
</kickstart>"""
ROLL = {
    "graphs/default/one.xml": GRAPH,
    "nodes/base.xml": BASE,
    "nodes/compute.xml": "<kickstart><package>slurmd</package><post>echo compute</post></kickstart>",
    "nodes/login.xml": "<kickstart/>",
    "nodes/tools.xml": "<kickstart><package>gcc</package></kickstart>",
    "attributes.yaml": "site_password: hunter22\n",
}


def roll(folder: str, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The roll below a folder with some of its files replaced."""
    return {f"{folder}/{name}": text for name, text in {**ROLL, **(changes or {})}.items()}


@pytest.fixture
def both(tree: Write, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write rolls/ and new/, which differs in the files named; the working folder holds both."""

    def write(changes: Mapping[str, str]) -> Path:
        folder = tree({**roll("rolls/one"), **roll("new/one", changes)})
        monkeypatch.chdir(folder)
        return folder

    return write


def base(old: str, new: str) -> dict[str, str]:
    assert old in BASE
    return {"nodes/base.xml": BASE.replace(old, new)}


# What changes in the roll -> what `diff rolls new compute` says.
CHANGES: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({}, ""),
    "comments and places": (base("<main>", "<!-- one -->\n\n<main>"), ""),
    "a package added": (
        base("<package>zsh</package>", "<package>zsh</package><package>bash</package>"),
        "compute: 1 package added\n  packages\n    + bash  (node base)\n",
    ),
    "a package enabled": (
        base(' disable="1"', ""),
        """\
compute: 1 package added, 1 package removed
  packages
    + telnet  (node base)
    - -telnet  (node base)
""",
    ),
    "a package disabled elsewhere, still wanted": (
        base("</post>", '</post><package disable="1">slurmd</package>'),
        "",
    ),
    "commands changed, added and removed": (
        base(
            "<lang>en_US</lang><part>/ --size=1000</part>",
            "<lang>de_DE</lang><timezone>UTC</timezone><part>/ --size=2000</part>",
        ),
        """\
compute: 2 commands changed, 1 command added
  commands
    ~ part
        -part / --size=1000
        +part / --size=2000
    ~ lang
        -lang en_US
        +lang de_DE
    + timezone UTC
""",
    ),
    "a command removed": (
        base("<part>/scratch --size=1 --grow</part>", ""),
        "compute: 1 command removed\n  commands\n    - part /scratch --size=1 --grow\n",
    ),
    "commands in another order": (
        base("<lang>en_US</lang><part>/ --size=1000</part>", "<part>/ --size=1000</part><lang>en_US</lang>"),
        """\
compute: other differences
  other
    ~ the order of the commands
        @@ -1,3 +1,3 @@
        +part / --size=1000
         lang en_US
        -part / --size=1000
         part /scratch --size=1 --grow
""",
    ),
    "the content of a file": (
        base("to all.", "to some."),
        """\
compute: 1 file changed
  files
    ~ /etc/motd  (node base)
        @@ -1,2 +1,2 @@
         Welcome
        -to all.
        +to some.
""",
    ),
    "the permissions of a file": (
        base('perms="0644"', 'perms="0600" owner="root:wheel"'),
        """\
compute: 1 file changed
  files
    ~ /etc/motd  (node base; owner none -> root:wheel; perms 0644 -> 0600)
""",
    ),
    "a file more": (
        base("echo &site", '<file name="/etc/issue">Hello</file>\necho &site'),
        "compute: 1 file added\n  files\n    + /etc/issue  (node base)\n        +Hello\n",
    ),
    "a file renamed": (
        base("/etc/motd", "/etc/motd2"),
        """\
compute: 1 file added, 1 file removed
  files
    + /etc/motd2  (node base)
        +Welcome
        +to all.
    - /etc/motd  (node base)
        -Welcome
        -to all.
""",
    ),
    "a file that another node appends to": (
        {
            "nodes/compute.xml": "<kickstart><package>slurmd</package><post>echo compute\n"
            '<file name="/etc/motd" mode="append">More</file></post></kickstart>'
        },
        """\
compute: 1 file changed
  files
    ~ /etc/motd  (nodes base, compute; now also by node compute)
        @@ -1,2 +1,3 @@
         Welcome
         to all.
        +More
""",
    ),
    "a script changed": (
        {"nodes/compute.xml": "<kickstart><package>slurmd</package><post>echo more</post></kickstart>"},
        """\
compute: 1 script changed
  scripts
    ~ %post  (node compute)
        @@ -1,2 +1,2 @@
         %post --interpreter=/bin/bash --log=/var/log/rollbuild/post-compute.log
        -echo compute
        +echo more
""",
    ),
    "a script removed, another added": (
        {"nodes/compute.xml": "<kickstart><package>slurmd</package><pre>echo early</pre></kickstart>"},
        """\
compute: 1 script added, 1 script removed
  scripts
    + %pre  (node compute)
        +%pre --interpreter=/bin/bash --log=/tmp/pre-anaconda-logs/rollbuild/pre-compute.log
        +echo early
    - %post  (node compute)
        -%post --interpreter=/bin/bash --log=/var/log/rollbuild/post-compute.log
        -echo compute
""",
    ),
    "a node more": (
        {"graphs/default/one.xml": GRAPH.replace(' cond="with_tools"', "")},
        "compute: 1 node added, 1 package added\n  nodes\n    + tools\n  packages\n    + gcc  (node tools)\n",
    ),
    "a node moved": (
        {"graphs/default/one.xml": GRAPH.replace('head="base" tail="compute"', 'head="compute" tail="base"')},
        "compute: 1 node moved\n  nodes\n    > compute  (was after base, is first)\n",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_people_read(rollbuild: Run, both: Callable[..., Path], name: str) -> None:
    changes, expected = CHANGES[name]
    both(changes)
    outcome = rollbuild("diff", "rolls", "new", "compute")
    assert (outcome.code, outcome.out) == (0, expected)
    assert outcome.err == ("" if expected else "no differences\n")


def test_each_appliance_is_compared_and_new_ones_are_told(rollbuild: Run, both: Callable[..., Path]) -> None:
    graph = GRAPH.replace('<appliance name="login" root="login"/>', '<appliance name="nas" root="tools"/>')
    both({"graphs/default/one.xml": graph, **base("zsh", "fish")})
    outcome = rollbuild("diff", "rolls", "new")
    assert outcome.out == (
        "compute: 1 package added, 1 package removed\n"
        "  packages\n    + fish  (node base)\n    - zsh  (node base)\n"
        "login: removed, 2 nodes, 2 packages, 1 script\n"
        "nas: added, 1 node, 1 package\n"
    )
    stat = rollbuild("diff", "rolls", "new", "--stat")
    assert stat.out == "".join(f"{line}\n" for line in outcome.out.splitlines() if not line.startswith(" "))
    data = json.loads(rollbuild("diff", "rolls", "new", "--json").out)
    assert data["compared"] == ["compute", "login", "nas"]
    assert [(item["name"], item["status"]) for item in data["different"]] == [
        ("compute", "changed"),
        ("login", "removed"),
        ("nas", "added"),
    ]
    assert data["different"][0]["changes"][0] == {
        "kind": "packages",
        "action": "added",
        "name": "fish",
        "detail": "node base",
        "diff": [],
    }
    assert "changes" not in json.loads(rollbuild("diff", "rolls", "new", "--json", "--stat").out)["different"][0]


def test_options_hold_for_both_sides(rollbuild: Run, both: Callable[..., Path]) -> None:
    both({"nodes/tools.xml": "<kickstart><package>clang</package></kickstart>"})
    assert rollbuild("diff", "rolls", "new").out == ""
    outcome = rollbuild("diff", "rolls", "new", "-A", "with_tools=yes")
    assert outcome.out.startswith("compute: 1 package added, 1 package removed\n")


@pytest.mark.parametrize(("changes", "code"), [({}, 0), (base("zsh", "fish"), 1)])
def test_exit_code(rollbuild: Run, both: Callable[..., Path], changes: dict[str, str], code: int) -> None:
    both(changes)
    assert rollbuild("diff", "rolls", "new").code == 0
    assert rollbuild("diff", "rolls", "new", "--exit-code").code == code
    assert rollbuild("diff", "rolls", "new", "--exit-code", "--json").code == code


def test_two_attribute_files(rollbuild: Run, both: Callable[..., Path], tree: Write) -> None:
    both({})
    tree({"a.yaml": "with_tools: no\n", "b.yaml": "with_tools: yes\nsite_password: other-one\n"})
    outcome = rollbuild("diff", "a.yaml", "b.yaml", "compute")
    assert (
        outcome.out
        == """\
compute: 1 node added, 1 package added, 1 script changed
  nodes
    + tools
  packages
    + gcc  (node tools)
  scripts
    ~ %post  (node base)
        @@ -1,2 +1,2 @@
         %post --interpreter=/bin/bash --log=/var/log/rollbuild/post-base.log
        -echo (hidden, before) > /etc/secret
        +echo (hidden, after) > /etc/secret
"""
    )


def test_secrets_that_did_not_change_are_no_difference(rollbuild: Run, both: Callable[..., Path]) -> None:
    both(base("echo &site_password;", "printf &site_password;"))
    outcome = rollbuild("diff", "rolls", "new", "compute")
    assert "+printf (hidden) > /etc/secret" in outcome.out
    assert "hunter22" not in outcome.out


KICKSTART = """\
# a comment
lang en_US
part / --size=1000
%packages --ignoremissing
bash  # the shell
-telnet
%end
%post
echo one
%end
%post --log=/tmp/two.log
echo two
%end
"""
KICKSTARTS = {
    "equal but for comments": (KICKSTART.replace("# a comment", "# another"), ""),
    "packages": (
        KICKSTART.replace("bash ", "zsh "),
        "one: 1 package added, 1 package removed\n  packages\n    + zsh\n    - bash\n",
    ),
    "options of the packages": (
        KICKSTART.replace("%packages --ignoremissing", "%packages --nocore"),
        """\
one: 1 command changed
  commands
    ~ %packages
        -%packages --ignoremissing
        +%packages --nocore
""",
    ),
    "a script": (
        KICKSTART.replace("echo two", "echo 2"),
        """\
one: 1 script changed
  scripts
    ~ %post
        @@ -1,2 +1,2 @@
         %post --log=/tmp/two.log
        -echo two
        +echo 2
""",
    ),
    "without %end": (
        KICKSTART.replace("%end\n%post\n", "%post\n"),
        """\
one: other differences
  other
    ~ the text  (in its order, its blank lines or the ends of sections only)
        @@ -4,5 +4,4 @@
         bash  # the shell
         -telnet
        -%end
         %post
         echo one
""",
    ),
    "a script before the others": (
        KICKSTART.replace("%post\n", "%pre\necho zero\n%end\n%post\n", 1),
        "one: 1 script added\n  scripts\n    + %pre\n        +%pre\n        +echo zero\n",
    ),
}


@pytest.mark.parametrize("name", KICKSTARTS)
def test_two_kickstarts(rollbuild: Run, tree: Write, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, expected = KICKSTARTS[name]
    monkeypatch.chdir(tree({"old/one.ks": KICKSTART, "new/one.ks": text}))
    files = rollbuild("diff", "old/one.ks", "new/one.ks")
    folders = rollbuild("diff", "old", "new")
    assert (files.code, files.out) == (0, expected)
    assert folders.out == expected


def test_a_folder_of_kickstarts_may_hold_other_things(rollbuild: Run, tree: Write) -> None:
    folder = tree({"old/a.ks": KICKSTART, "old/.git/config": "", "new/a.ks": KICKSTART, "new/notes/one.txt": ""})
    outcome = rollbuild("diff", folder / "old", folder / "new")
    assert (outcome.code, outcome.err) == (0, "no differences\n")


def test_folders_of_kickstarts(rollbuild: Run, tree: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree({"old/a.ks": KICKSTART, "old/b.ks": KICKSTART, "new/b.ks": KICKSTART, "new/c.ks": "text\n"}))
    outcome = rollbuild("diff", "old", "new", "--stat")
    assert outcome.out == "a: removed, 2 packages, 2 scripts\nc: added, empty\n"
    assert rollbuild("diff", "old", "new", "b").out == ""
    unknown = rollbuild("diff", "old", "new", "d")
    assert (unknown.code, unknown.err) == (2, "error: neither side has d\nhint: there is: a, b, c\n")


def test_a_kickstart_that_rollbuild_wrote(rollbuild: Run, both: Callable[..., Path]) -> None:
    both({"nodes/compute.xml": "<kickstart><post>echo more</post></kickstart>"})
    for rolls, folder in (("rolls", "old-ks"), ("new", "new-ks")):
        assert rollbuild("compile", "--rolls", rolls, "-o", folder, "--no-validate").code == 0
    outcome = rollbuild("diff", "old-ks", "new-ks")
    assert outcome.out.startswith("compute: 1 package removed, 1 script changed\n")
    assert "~ %post  (node compute)" in outcome.out


def git(folder: Path, *argv: str) -> None:
    names = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *argv], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def checkout(tree: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose last commit has zsh where its working tree has fish; the tag `old` had no tools."""
    folder = tree({**roll("rolls/one", {"nodes/tools.xml": "<kickstart/>"}), "README": ""})
    monkeypatch.chdir(folder)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "old")
    git(folder, "tag", "old")
    tree(roll("rolls/one"))
    git(folder, "commit", "-q", "-a", "-m", "new")
    tree(roll("rolls/one", base("zsh", "fish")))
    return folder


GIT = {
    "revision and folder": (
        ["git:HEAD", "rolls", "compute"],
        "compute: 1 package added, 1 package removed\n  packages\n    + fish  (node base)\n    - zsh  (node base)\n",
    ),
    "two revisions": (
        ["git:old", "git:HEAD", "compute", "-A", "with_tools=1"],
        "compute: 1 package added\n  packages\n    + gcc  (node tools)\n",
    ),
    "the same revision": (["git:HEAD", "git:HEAD"], ""),
    "one roll": (["git:old", "git:HEAD~1", "--rolls", "rolls/one"], ""),
}


@pytest.mark.parametrize("name", GIT)
def test_revisions(rollbuild: Run, checkout: Path, name: str) -> None:
    argv, expected = GIT[name]
    outcome = rollbuild("diff", *argv)
    assert (outcome.code, outcome.out) == (0, expected)


def test_revisions_from_within_the_checkout(rollbuild: Run, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout / "rolls")
    outcome = rollbuild("diff", "git:HEAD", "one", "compute", "--rolls", "one", "--stat")
    assert (outcome.code, outcome.out) == (0, "compute: 1 package added, 1 package removed\n")


def test_rolls_outside_the_checkout_are_the_same_on_both_sides(
    rollbuild: Run, checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "two"
    (outside / "nodes").mkdir(parents=True)
    (outside / "nodes" / "extra.xml").write_text("<kickstart><package>extra</package></kickstart>")
    outcome = rollbuild("diff", "git:old", "git:HEAD", "extra", "tools", "--rolls", "rolls", "--rolls", outside)
    assert outcome.out == "tools: 1 package added\n  packages\n    + gcc  (node tools)\n"


def test_errors_name_the_revision_and_leave_nothing_behind(
    rollbuild: Run, checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "rolls/one/nodes/base.xml").write_text("<kickstart><package>a</package>\n<odd></kickstart>")
    git(checkout, "commit", "-q", "-a", "-m", "broken")
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    outcome = rollbuild("diff", "git:old", "git:HEAD", "compute")
    assert outcome.code == 1
    assert outcome.err.startswith("error: git:HEAD:rolls/one/nodes/base.xml:2:")
    assert str(temporary) not in outcome.err
    assert list(temporary.iterdir()) == []


def test_a_link_out_of_the_checkout_is_refused(rollbuild: Run, checkout: Path) -> None:
    (checkout / "rolls/one/nodes/leak.xml").symlink_to("/etc/passwd")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "leak")
    outcome = rollbuild("diff", "git:old", "git:HEAD")
    assert outcome.code == 1
    assert "cannot unpack revision HEAD" in outcome.err


GIT_ERRORS = {
    "unknown revision": ("git:nowhere", "git knows no revision nowhere"),
    "an option instead of a revision": ("git:--output=x", "git knows no revision --output=x"),
    "no revision": ("git:", "git: needs a revision"),
}


@pytest.mark.parametrize("name", GIT_ERRORS)
def test_revisions_that_are_none(rollbuild: Run, checkout: Path, name: str) -> None:
    side, message = GIT_ERRORS[name]
    outcome = rollbuild("diff", side, "rolls")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {message}\n")


def test_a_revision_without_rolls(rollbuild: Run, checkout: Path) -> None:
    git(checkout, "rm", "-q", "-r", "-f", "rolls")
    git(checkout, "commit", "-q", "-m", "none")
    outcome = rollbuild("diff", "git:HEAD", "git:old")
    assert (outcome.code, outcome.err.splitlines()[0]) == (1, "error: revision HEAD has no rolls/ or graphs/ here")


def test_no_checkout_and_no_git(rollbuild: Run, both: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = both({})
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    outcome = rollbuild("diff", "git:HEAD", "new")
    assert (outcome.code, outcome.err.splitlines()[0]) == (2, "error: this folder is not part of a git checkout")
    monkeypatch.setenv("PATH", str(folder))
    outcome = rollbuild("diff", "git:HEAD", "new")
    assert (outcome.code, outcome.err) == (3, "error: the program git is missing\nhint: install the package git\n")


ERRORS = {
    "a side that does not exist": (["rolls", "nowhere"], 2, "nowhere does not exist"),
    "sides of two kinds": (["rolls", "a.yaml"], 2, "cannot compare rolls with an attribute file"),
    "a revision and a Kickstart": (["git:HEAD", "a.ks"], 2, "cannot compare rolls with a Kickstart"),
    "an unknown appliance": (["rolls", "new", "computer"], 2, "there is no appliance or node computer"),
    "a folder without rolls": (["rolls", "empty"], 1, "there is no roll in empty"),
    "one side only": (["rolls"], 2, "Missing argument 'B'"),
    "a bad attribute file": (["a.yaml", "bad.yaml"], 1, "bad.yaml"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(rollbuild: Run, both: Callable[..., Path], tree: Write, name: str) -> None:
    both({})
    tree({"a.yaml": "x: 1\n", "bad.yaml": "x: [1\n", "a.ks": KICKSTART, "empty/file": ""})
    argv, code, message = ERRORS[name]
    outcome = rollbuild("diff", *argv)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


def test_colour_and_control_characters(rollbuild: Run, both: Callable[..., Path]) -> None:
    both(base("to all.", "to \u009bsome."))
    outcome = rollbuild("diff", "rolls", "new", "compute", "--color", "always")
    assert "\x1b[32m        +to \\x9bsome.\x1b[0m\n" in outcome.out


def test_copied_files_are_compared_by_their_bytes(rollbuild: Run, both: Callable[..., Path]) -> None:
    script = '<post>echo compute\n<copy src="data" dst="/opt/x/data"/></post>'
    node = f"<kickstart><package>slurmd</package>{script}</kickstart>"
    folder = both({"nodes/compute.xml": node})
    (folder / "rolls/one/nodes/compute.xml").write_text(node)
    (folder / "rolls/one/data").write_bytes(b"\0\1")
    (folder / "new/one/data").write_bytes(b"\0\1\2")
    outcome = rollbuild("diff", "rolls", "new", "compute")
    lines = outcome.out.splitlines()
    assert lines[0] == "compute: 1 file changed"
    assert lines[4].startswith("        -(2 bytes, SHA-256 ")
    assert lines[5].startswith("        +(3 bytes, SHA-256 ")
