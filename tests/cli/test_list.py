import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Outcome

Run = Callable[..., Outcome]
Write = Callable[[Mapping[str, str]], Path]

ROLL = {
    "rolls/one/graphs/default/one.xml": """<graph>
<appliance name="compute" root="compute" membership="Compute node"/>
<appliance name="login" root="login"/>
<edge from="compute"><to>base</to><to cond="with_tools">tools</to></edge>
<edge from="login" to="base"/>
<order head="tools" tail="base"/>
</graph>""",
    "rolls/one/nodes/base.xml": """<kickstart>
<description>
What all have.
And more.
</description>
<main><rootpw cond="site_password">--iscrypted &site_password;</rootpw><lang>&lang;</lang></main>
<package>zsh</package><package>bash</package><package type="meta">core</package>
<package disable="1">telnet</package><package disable="1">bash</package>
<package cond="os_release == 'el8'">python36</package>
<post><file name="/etc/issue">&motto;
<template>{{ greeting|default('') }}{% for h in hosts|default([]) %}{{ h }}{% endfor %}</template></file></post>
</kickstart>""",
    "rolls/one/nodes/compute.xml": "<kickstart><package>bash</package><package>slurmd</package></kickstart>",
    "rolls/one/nodes/login.xml": "<kickstart/>",
    "rolls/one/nodes/tools.xml": "<kickstart><package>gcc</package></kickstart>",
    "rolls/one/attributes.yaml": (
        "lang: {default: en_US, description: The language.}\n"
        "motto: {description: A line to live by.}\n"
        "site_password: {default: hunter22}\n"
    ),
    "site.yaml": "lang: de_DE\nappliance:\n  compute:\n    motto: compute!\n",
}


@pytest.fixture
def rolls(tree: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree(ROLL))


pytestmark = pytest.mark.usefixtures("rolls")

TEXTS = {
    "appliances": (
        ["appliances"],
        "APPLIANCE  ROOT     MEMBERSHIP    NODES\n"
        "compute    compute  Compute node  2\n"
        "login      login    Login         2\n",
    ),
    "one appliance": (
        ["appliances", "compute", "-A", "with_tools=yes"],
        "APPLIANCE  ROOT     MEMBERSHIP    NODES\ncompute    compute  Compute node  3\n",
    ),
    "nodes": (
        ["nodes"],
        "NODE     ROLL  DESCRIPTION\nbase     one   What all have.\ncompute  one\nlogin    one\ntools    one\n",
    ),
    "nodes in order": (
        ["nodes", "compute", "-A", "with_tools=yes"],
        "NODE     ROLL  DESCRIPTION\ntools    one\nbase     one   What all have.\ncompute  one\n",
    ),
    "packages": (
        ["packages"],
        "PACKAGE  APPLIANCES\n"
        "@core    compute, login\n"
        "bash     compute, login\n"
        "slurmd   compute\n"
        "zsh      compute, login\n",
    ),
    "packages of one": (
        ["packages", "compute"],
        "PACKAGE  NODES\n@core    base\nbash     base, compute\nslurmd   compute\nzsh      base\n",
    ),
    "attributes": (
        ["attributes", "--attrs", "site.yaml"],
        "ATTRIBUTE      VALUE     SCOPE              WHERE                        DESCRIPTION\n"
        "lang           en_US     default            rolls/one/attributes.yaml:1  The language.\n"
        "lang           de_DE     global             site.yaml:1                  The language.\n"
        "motto          compute!  appliance compute  site.yaml:4                  A line to live by.\n"
        "site_password  (hidden)  default            rolls/one/attributes.yaml:3\n",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_people_read(rollbuild: Run, name: str) -> None:
    argv, expected = TEXTS[name]
    outcome = rollbuild("list", *argv)
    assert (outcome.code, outcome.out, outcome.err) == (0, expected, "")


JSON: dict[str, tuple[list[str], object]] = {
    "packages of one": (["packages", "compute"], ["@core", "bash", "slurmd", "zsh"]),
    "packages of another release": (
        ["packages", "login", "--os-release", "el8"],
        ["@core", "bash", "python36", "zsh"],
    ),
    "packages of any node": (["packages", "tools"], ["gcc"]),
    "packages of a root": (["packages", "--root", "tools"], ["gcc"]),
    "nodes of one": (["nodes", "compute", "-A", "with_tools=1"], ["tools", "base", "compute"]),
    "nodes of a root": (["nodes", "--root", "login"], ["base", "login"]),
    "appliances": (
        ["appliances"],
        [
            {
                "name": "compute",
                "root": "compute",
                "membership": "Compute node",
                "nodes": 2,
                "file": "rolls/one/graphs/default/one.xml",
                "line": 2,
            },
            {
                "name": "login",
                "root": "login",
                "membership": "Login",
                "nodes": 2,
                "file": "rolls/one/graphs/default/one.xml",
                "line": 3,
            },
        ],
    ),
}


@pytest.mark.parametrize("name", JSON)
def test_what_programs_read(rollbuild: Run, name: str) -> None:
    argv, expected = JSON[name]
    outcome = rollbuild("list", *argv, "--json")
    assert (outcome.code, json.loads(outcome.out)) == (0, expected)


def test_all_nodes_and_packages_are_objects(rollbuild: Run) -> None:
    nodes = json.loads(rollbuild("list", "nodes", "--json").out)
    assert nodes[0] == {
        "name": "base",
        "roll": "one",
        "files": ["rolls/one/nodes/base.xml"],
        "description": "What all have.",
    }
    packages = json.loads(rollbuild("list", "packages", "--json").out)
    assert {"name": "slurmd", "appliances": ["compute"]} in packages


def test_attributes_of_an_appliance_say_who_uses_them(rollbuild: Run) -> None:
    outcome = rollbuild("list", "attributes", "compute", "--json", "--attrs", "site.yaml", "-A", "unused=x")
    found = {item["name"]: item for item in json.loads(outcome.out)}
    assert found["lang"] == {
        "name": "lang",
        "value": "de_DE",
        "scope": "global",
        "file": "site.yaml",
        "line": 1,
        "used_by": ["base"],
    }
    assert (found["motto"]["scope"], found["motto"]["used_by"]) == ("appliance", ["base"])
    assert (found["unused"]["scope"], found["unused"]["used_by"]) == ("command line", [])
    assert found["os_release"]["scope"] == "built in"
    # Looked at by an edge, and named by a template, but defined nowhere.
    assert (found["with_tools"]["value"], found["with_tools"]["used_by"]) == (None, ["(graph)"])
    assert (found["greeting"]["value"], found["greeting"]["used_by"]) == (None, ["base"])
    assert "h" not in found


def test_what_a_false_condition_leaves_out_is_not_used(rollbuild: Run) -> None:
    argv = ("list", "attributes", "compute", "--json", "-A", "site_password=no")
    found = {item["name"]: item for item in json.loads(rollbuild(*argv).out)}
    assert found["site_password"]["used_by"] == ["base"]  # the condition itself
    text = rollbuild("list", "attributes", "login").out
    assert "with_tools" not in text


@pytest.mark.parametrize("appliance", [[], ["compute"]])
def test_secrets_are_shown_on_request_only(rollbuild: Run, appliance: list[str]) -> None:
    for form in ([], ["--json"]):
        assert "hunter22" not in rollbuild("list", "attributes", *appliance, *form).out
        assert "hunter22" in rollbuild("list", "attributes", *appliance, *form, "--show-secrets").out


def test_a_declared_name_without_a_value_is_listed(rollbuild: Run) -> None:
    found = {item["name"]: item for item in json.loads(rollbuild("list", "attributes", "--json").out)}
    assert (found["motto"]["value"], found["motto"]["line"]) == (None, 2)


def test_a_node_that_cannot_be_read_does_not_hide_the_others(rollbuild: Run, tree: Write) -> None:
    tree({"rolls/one/nodes/broken.xml": "<kickstart>"})
    outcome = rollbuild("list", "nodes")
    assert outcome.code == 0
    assert "broken" in outcome.out and "tools" in outcome.out
    assert "rolls/one/nodes/broken.xml" in outcome.err


def test_errors_of_the_compile_are_told(rollbuild: Run, tree: Write) -> None:
    tree({"rolls/one/nodes/tools.xml": "<kickstart><package>&nothing;x</package></kickstart>"})
    outcome = rollbuild("list", "packages", "tools")
    assert (outcome.code, outcome.err) == (0, "compiling tools finds 1 error; `rollbuild check` shows them\n")


ERRORS = {
    "unknown appliance": (
        ["nodes", "computer"],
        2,
        "there is no appliance or node computer\nhint: did you mean compute?",
    ),
    "unknown list": (["things"], 2, "'things' is not one of"),
    "no rolls": (["nodes", "--rolls", "nowhere"], 2, "nowhere does not exist"),
    "no attributes": (["nodes", "--attrs", "nowhere.yaml"], 4, "nowhere.yaml"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(rollbuild: Run, name: str) -> None:
    argv, code, message = ERRORS[name]
    outcome = rollbuild("list", *argv)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


def test_what_a_roll_declares_as_secret_is_not_shown(tree, monkeypatch, rollbuild) -> None:
    folder = tree(
        {
            "rolls/a/nodes/compute.xml": "<kickstart><post>echo &wifi;</post></kickstart>",
            "rolls/a/graphs/default/a.xml": '<graph><appliance name="compute"/></graph>',
            "rolls/a/attributes.yaml": "wifi: {type: secret, description: how to get in}\n",
        }
    )
    monkeypatch.chdir(folder)
    for argv in (["list", "attributes"], ["list", "attributes", "compute"], ["explain", "compute", "attribute:wifi"]):
        done = rollbuild(*argv, "-A", "wifi=hunter2")
        assert done.code == 0, done.err
        assert "hunter2" not in done.out
        assert "(hidden)" in done.out
        assert "hunter2" in rollbuild(*argv, "-A", "wifi=hunter2", "--show-secrets").out
