import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Outcome

Run = Callable[..., Outcome]
Write = Callable[[Mapping[str, str]], Path]

ROLL = {
    "rolls/one/graphs/default/one.xml": """<graph>
<appliance name="compute" root="compute"/>
<edge from="compute">
  <to cond="size &gt; 1 or xen">big</to>
  <to>base</to>
</edge>
<edge from="big" to="base"/>
<edge from="big" to="deep" cond="deep and arch == 'riscv'"/>
<edge from="island" to="lonely"/>
<order head="base" tail="compute"/>
<order head="ghost" tail="base"/>
</graph>""",
    "rolls/one/nodes/base.xml": """<kickstart>
<main>
  <rootpw cond="site_password">--iscrypted &site_password;</rootpw>
  <timezone>UTC</timezone>
</main>
<package>zsh</package>
<package cond="size">emacs</package>
<package>base</package>
<package disable="1">telnet</package>
<package type="meta">core</package>
<post>
<file name="/etc/issue" perms="0644" owner="root.bin">Welcome.
<template>{{ 1 + 1 }} of us</template>
</file>
chmod 600 /etc/issue
touch /etc/issue.d /etc/other
echo &site_password; | tee /etc/secret
</post>
</kickstart>""",
    "rolls/one/nodes/compute.xml": """<kickstart><package>zsh</package>
<post cond="size"><file name="/etc/issue" mode="append" perms="0600">&motto;</file></post>
<post><file name="/etc/later" cond="later">x</file></post></kickstart>""",
    "rolls/one/nodes/big.xml": "<kickstart><package>huge</package></kickstart>",
    "rolls/one/nodes/deep.xml": "<kickstart><package>deeper</package></kickstart>",
    "rolls/one/nodes/lonely.xml": "<kickstart><package>alone</package></kickstart>",
    "rolls/one/attributes.yaml": ("motto: {default: Low., description: A line.}\nsite_password: hunter22\nsize: '1'\n"),
    "site.yaml": "motto: Middle.\nappliance:\n  compute:\n    motto: High.\n",
}
GRAPH = "rolls/one/graphs/default/one.xml"
BASE = "rolls/one/nodes/base.xml"
COMPUTE = "rolls/one/nodes/compute.xml"


@pytest.fixture
def rolls(tree: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree(ROLL))


pytestmark = pytest.mark.usefixtures("rolls")

ANSWERS = {
    "a node": (
        ["node:base"],
        f"""\
node base is part of compute
  compute -> base  {GRAPH}:5
order: 1 of 2
  before compute  {GRAPH}:10
  after ghost  {GRAPH}:11  (not part of this appliance; the order passes through it)
files:
  {BASE}  (roll one)
""",
    ),
    "the root": (
        ["node:compute"],
        f"""\
node compute is part of compute
  it is the root
order: 2 of 2
  after base  {GRAPH}:10
files:
  {COMPUTE}  (roll one)
""",
    ),
    "a node by a true condition": (
        ["big", "-A", "size=3"],
        f"""\
node big is part of compute
  compute -> big  {GRAPH}:4 if size > 1 or xen (size is 3, xen is not defined)
order: 3 of 3
  no order names it: such nodes come alphabetically at TAIL
files:
  rolls/one/nodes/big.xml  (roll one)
""",
    ),
    "a node included twice": (
        ["node:base", "-A", "size=3"],
        f"""\
node base is part of compute
  compute -> base  {GRAPH}:5
also included by:
  big  {GRAPH}:7
order: 1 of 3
  before compute  {GRAPH}:10
  after ghost  {GRAPH}:11  (not part of this appliance; the order passes through it)
files:
  {BASE}  (roll one)
""",
    ),
    "a node behind false conditions": (
        ["node:deep"],
        f"""\
node deep is not part of compute
  compute -> big  {GRAPH}:4
    size > 1 or xen is false: size is 1, xen is not defined; -A size=2 would make it true
  big -> deep  {GRAPH}:8
    deep and arch == 'riscv' is false: arch is x86_64, deep is not defined; \
-A arch=riscv -A deep=true would make it true
""",
    ),
    "a node that nothing leads to": (
        ["lonely"],
        "node lonely is not part of compute\n  no edges lead from compute to it\n  included by: island\n",
    ),
    "a package": (
        ["package:zsh"],
        f"""\
package zsh is installed on compute
  asked for by node base  {BASE}:6
    compute -> base
  asked for by node compute  {COMPUTE}:1
    compute
""",
    ),
    "a package by its bare name": (
        ["emacs"],
        f"""\
package emacs is installed on compute
  asked for by node base  {BASE}:7 if size (size is 1)
    compute -> base
""",
    ),
    "a group without its sign": (
        ["package:core"],
        f"package @core is installed on compute\n  asked for by node base  {BASE}:10\n    compute -> base\n",
    ),
    "a disabled package": (
        ["telnet"],
        f"""\
package telnet is disabled on compute: %packages has -telnet
  disabled by node base  {BASE}:9
    compute -> base
""",
    ),
    "a package under a false condition": (
        ["emacs", "-A", "size=0"],
        f"""\
package emacs is not installed on compute; it would be by:
  node base  {BASE}:7
    size is false: size is 0; -A size=true would make it true
""",
    ),
    "a package of a node that is not there": (
        ["huge"],
        f"""\
package huge is not installed on compute; it would be by:
  node big  rolls/one/nodes/big.xml:1
    node big is not part of compute
      compute -> big  {GRAPH}:4
        size > 1 or xen is false: size is 1, xen is not defined; -A size=2 would make it true
""",
    ),
    "a file that nobody writes yet": (
        ["/etc/later"],
        f"""\
file /etc/later is not written on compute; it would be by:
  node compute  {COMPUTE}:3
    later is false: later is not defined; -A later=true would make it true
""",
    ),
    "a file that only a command names": (
        ["/etc/other"],
        f"""\
no <file> writes /etc/other on compute
named in lines of scripts, which may change it:
  {BASE}:16  touch /etc/issue.d /etc/other
""",
    ),
    "a secret in a line": (
        ["/etc/secret"],
        f"""\
no <file> writes /etc/secret on compute
named in lines of scripts, which may change it:
  {BASE}:17  echo (hidden) | tee /etc/secret
""",
    ),
    "an attribute": (
        ["attribute:motto", "--attrs", "site.yaml", "-A", "motto=Top."],
        f"""\
attribute motto is Top.  (command line)
  hides High.  appliance compute  site.yaml:4
  hides Middle.  global  site.yaml:1
  hides Low.  default  rolls/one/attributes.yaml:1
  declared at rolls/one/attributes.yaml:1: A line.
used in 1 place:
  node compute  {COMPUTE}:2  (text)
""",
    ),
    "an attribute in conditions": (
        ["attribute:size", "-A", "size=no"],
        f"""\
attribute size is no  (command line)
  hides 1  default  rolls/one/attributes.yaml:3
  declared at rolls/one/attributes.yaml:3: no description
used in 3 places:
  graph  {GRAPH}:4  (condition of an edge)
  node base  {BASE}:7  (condition)
  node compute  {COMPUTE}:2  (condition)
""",
    ),
    "an attribute in a place that is left out": (
        ["attribute:motto", "-A", "size=no"],
        f"""\
attribute motto is Low.  (default)  rolls/one/attributes.yaml:1
  declared at rolls/one/attributes.yaml:1: A line.
used in 1 place:
  node compute  {COMPUTE}:2  (text, which is left out here: its condition is false)
""",
    ),
    "an undefined attribute": (
        ["attribute:xen"],
        f"""\
attribute xen is not defined for compute
  -A xen=VALUE would set it
used in 1 place:
  graph  {GRAPH}:4  (condition of an edge)
""",
    ),
    "a secret": (
        ["attribute:site_password"],
        f"""\
attribute site_password is (hidden)  (default)  rolls/one/attributes.yaml:2
  declared at rolls/one/attributes.yaml:2: no description
used in 3 places:
  node base  {BASE}:3  (condition)
  node base  {BASE}:3  (text)
  node base  {BASE}:17  (text)
""",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(rollbuild: Run, name: str) -> None:
    (subject, *options), expected = ANSWERS[name]
    outcome = rollbuild("explain", "compute", subject, *options)
    assert (outcome.code, outcome.out, outcome.err) == (0, expected, "")


def test_a_file_is_explained_write_by_write(rollbuild: Run) -> None:
    outcome = rollbuild("explain", "compute", "file:/etc/issue")
    lines = outcome.out.splitlines()
    assert lines[0] == "file /etc/issue is written on compute:"
    assert lines[1].startswith(f"  created by node base in %post  {BASE}:12  (line ")
    assert lines[2:4] == ["    owner root.bin, perms 0644, 2 lines", "    compute -> base"]
    assert lines[4].startswith(f"  appended to by node compute in %post  {COMPUTE}:2  (line ")
    assert lines[5] == "    perms 0600, 1 line if size (size is 1)"
    assert lines[7:] == [
        "in the end: owner root.bin, perms 0600",
        "named in lines of scripts, which may change it:",
        f"  {BASE}:15  chmod 600 /etc/issue",
    ]


@pytest.fixture
def line_of(rollbuild: Run) -> Callable[[str], int]:
    """The number of the line of the Kickstart that starts with a text, found by asking for each."""

    def find(text: str) -> int:
        for number in range(1, 200):
            outcome = rollbuild("explain", "compute", str(number), "--json", "--show-secrets")
            if json.loads(outcome.out)["text"].startswith(text):
                return number
        raise AssertionError(text)

    return find


LINES = {
    "a command": (
        "timezone",
        f"  in the commands\n  from node base  {BASE}:4\n    <timezone>UTC</timezone>\n    compute -> base\n",
    ),
    "a command with a condition and a secret": (
        "rootpw",
        f"""\
  in the commands
  from node base  {BASE}:3
    <rootpw cond="site_password">--iscrypted &site_password;</rootpw>
    if site_password (site_password is (hidden))
    compute -> base
""",
    ),
    "a package of two nodes": (
        "zsh",
        f"""\
  in %packages
  from node base  {BASE}:6
    <package>zsh</package>
    compute -> base
  also asked for by node compute  {COMPUTE}:1
""",
    ),
    "a line of a script": (
        "chmod 600",
        f"  in %post of node base\n  from node base  {BASE}:15\n    chmod 600 /etc/issue\n    compute -> base\n",
    ),
    "a line of a template": (
        "2 of us",
        f"""\
  in %post of node base
  put there by the <template> at {BASE}:13 (node base)
    <template>{{{{ 1 + 1 }}}} of us</template>
    compute -> base
""",
    ),
    "a line of rollbuild": ("# Kickstart of", "  in the comments on top\n  rollbuild itself writes this line\n"),
}


@pytest.mark.parametrize("name", LINES)
def test_lines(rollbuild: Run, line_of: Callable[[str], int], name: str) -> None:
    text, expected = LINES[name]
    number = line_of(text)
    outcome = rollbuild("explain", "compute", f"line:{number}")
    head, rest = outcome.out.split("\n", 1)
    assert head.startswith(f"line {number} of compute: {text}")
    assert (outcome.code, rest) == (0, expected)
    assert "hunter22" not in outcome.out


def test_an_eval_is_named(rollbuild: Run, tree: Write, line_of: Callable[[str], int]) -> None:
    tree({COMPUTE: "<kickstart><post>echo\n<eval>echo from a program</eval>\n</post></kickstart>"})
    for number in range(1, 100):
        outcome = rollbuild("explain", "compute", str(number), "--eval", "run", "--json")
        data = json.loads(outcome.out)
        if data["text"] == "from a program":
            break
    assert (data["from"], data["file"], data["line"], data["node"]) == ("eval", COMPUTE, 2, "compute")


JSON: dict[str, tuple[list[str], dict[str, object]]] = {
    "node": (["node:base"], {"subject": "node", "selected": True, "position": 1, "of": 2}),
    "absent node": (["node:deep"], {"selected": False}),
    "package": (["telnet"], {"subject": "package", "installed": False, "enabled_by": []}),
    "file": (["/etc/issue"], {"subject": "file", "owner": "root.bin", "perms": "0600"}),
    "line": (["line:1"], {"subject": "line", "file": None, "source": None, "section": "the comments on top"}),
    "attribute": (
        ["attribute:site_password"],
        {"value": "(hidden)", "scope": "default", "file": "rolls/one/attributes.yaml", "line": 2},
    ),
    "attribute shown": (["attribute:site_password", "--show-secrets"], {"value": "hunter22"}),
}


@pytest.mark.parametrize("name", JSON)
def test_json(rollbuild: Run, name: str) -> None:
    argv, expected = JSON[name]
    outcome = rollbuild("explain", "compute", *argv, "--json")
    data = json.loads(outcome.out)
    assert outcome.code == 0
    assert {key: data[key] for key in expected} == expected
    assert data["appliance"] == "compute"


def test_json_of_an_absent_node_names_the_remedy_of_each_edge(rollbuild: Run) -> None:
    data = json.loads(rollbuild("explain", "compute", "node:deep", "--json").out)
    assert [(edge["to"], edge["holds"], edge["remedy"]) for edge in data["path"]] == [
        ("big", False, "-A size=2"),
        ("deep", False, "-A arch=riscv -A deep=true"),
    ]
    assert data["path"][0]["values"] == {"size": "1", "xen": None}


REMEDIES = {
    "xen": "-A xen=true",
    "not size": "-A size=false",
    "size == 7": "-A size=7",
    "size &lt; 1": "-A size=0",
    "motto == 'two words'": "-A 'motto=two words'",
    "os_release == 'el8'": "--os-release el8",
    "os_version_major &gt;= 10": "--os-release el10",
}


@pytest.mark.parametrize("condition", REMEDIES)
def test_remedies_make_the_condition_true(rollbuild: Run, tree: Write, condition: str) -> None:
    graph = f"""<graph><edge from="compute"><to cond="{condition}">big</to></edge></graph>"""
    tree({GRAPH: graph})
    outcome = rollbuild("explain", "compute", "node:big")
    assert f"; {REMEDIES[condition]} would make it true\n" in outcome.out
    import shlex

    remedied = rollbuild("explain", "compute", "node:big", *shlex.split(REMEDIES[condition]))
    assert "node big is part of compute" in remedied.out


def test_what_nothing_can_make_true_has_no_remedy(rollbuild: Run, tree: Write) -> None:
    tree({GRAPH: """<graph><edge from="compute"><to cond="xen and not xen">big</to></edge></graph>"""})
    outcome = rollbuild("explain", "compute", "node:big")
    assert "xen and not xen is false: xen is not defined\n" in outcome.out


ERRORS = {
    "unknown appliance": (["computer", "node:base"], 2, "no appliance or node computer\nhint: did you mean compute?"),
    "unknown node": (["compute", "node:bsae"], 2, "there is no node bsae\nhint: did you mean base?"),
    "unknown package": (["compute", "package:zhs"], 1, "no node asks for package zhs\nhint: did you mean zsh?"),
    "unknown bare name": (["compute", "nothing-like-it"], 1, "no node asks for package nothing-like-it"),
    "unknown file": (["compute", "/etc/isue"], 1, "no node writes /etc/isue\nhint: did you mean /etc/issue?"),
    "unknown attribute": (["compute", "attribute:moto"], 1, "attribute moto\nhint: did you mean motto?"),
    "unknown kind": (["compute", "pakage:zsh"], 2, "`pakage` is no kind of subject\nhint: did you mean package:zsh?"),
    "a name of two kinds": (
        ["compute", "base"],
        2,
        "base is both a node and a package\nhint: write node:base or package:base",
    ),
    "line 0": (["compute", "line:0"], 2, "there is no line 0: the Kickstart of compute has "),
    "a line too far": (["compute", "5000"], 2, "hint: lines count from 1 to "),
    "a line that is no number": (["compute", "line:two"], 2, "`two` is no line number\nhint: write line:12"),
    "nothing named": (["compute", "node:"], 2, "`node:` names no node\nhint: write node:NAME"),
    "an empty subject": (["compute", ""], 2, "the subject is empty"),
    "no subject": (["compute"], 2, "Missing argument 'SUBJECT'"),
    "missing attribute file": (["compute", "1", "--attrs", "none.yaml"], 4, "none.yaml"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(rollbuild: Run, name: str) -> None:
    argv, code, message = ERRORS[name]
    outcome = rollbuild("explain", *argv)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


def test_a_node_is_explained_where_another_is_missing(rollbuild: Run, tree: Write) -> None:
    tree({GRAPH: """<graph><edge from="compute" to="base"/><edge from="base" to="gone"/></graph>"""})
    outcome = rollbuild("explain", "compute", "node:base")
    assert (outcome.code, outcome.out.splitlines()[1]) == (0, f"  compute -> base  {GRAPH}:1")
    gone = rollbuild("explain", "compute", "node:gone")
    assert gone.code == 0
    assert gone.out.endswith("no file that can be read: there is no node gone\n")


def test_text_of_a_description_does_not_steer_the_terminal(rollbuild: Run) -> None:
    outcome = rollbuild("explain", "compute", "attribute:motto", "-A", "motto=a\x1b[31mb")
    assert "a\\x1b[31mb" in outcome.out
