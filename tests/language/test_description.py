import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.findings import Severity
from rollbuild.language import Description, Script, find_rolls, read_description

Tree = Callable[[Mapping[str, str]], Path]


def node(text: str) -> str:
    return f"<kickstart><description>{text}</description></kickstart>"


def describe(folder: Path, **options: str) -> Description:
    return read_description(find_rolls([str(folder)]), **options)  # type: ignore[arg-type]


def told(description: Description) -> list[tuple[str, str]]:
    return [(finding.code, str(finding.severity)) for finding in description.findings]


# --- rolls ----------------------------------------------------------------------------------------------------------


def test_rolls_are_found_in_folders_of_folders(tree: Tree) -> None:
    folder = tree(
        {
            "b/nodes/x.xml": node(""),
            "a/src/deep/roll/graphs/default/g.xml": "<graph/>",
            "shared/graphs/default/g.xml": "<graph/>",
            ".git/nodes/x.xml": "",
            "site/site-nodes/x.xml": node(""),
            "empty/readme": "",
        }
    )
    (folder / "link").symlink_to(folder / "b")
    rolls = find_rolls([str(folder)])
    assert [(roll.name, roll.only_graphs) for roll in rolls] == [
        *(("roll", False), ("b", False)),
        *(("shared", False), ("site", False)),
    ]
    (graphs,) = find_rolls([str(folder / "shared/graphs")])
    assert graphs.only_graphs
    assert len(find_rolls([str(folder / "b"), str(folder / "link"), str(folder / "b")])) == 1


def test_a_checkout_is_its_rolls_and_graphs(tree: Tree) -> None:
    folder = tree({"rolls/a/nodes/x.xml": "<kickstart/>", "graphs/default/a.xml": "<graph/>", "docs/d.md": ""})
    assert [os.path.relpath(roll.folder, folder) for roll in find_rolls([str(folder)])] == ["rolls/a", "graphs"]


def test_rolls_named_one_by_one_keep_their_order(tree: Tree) -> None:
    folder = tree({"b/nodes/x.xml": node(""), "a/nodes/x.xml": node("")})
    assert [roll.name for roll in find_rolls([str(folder / "b"), str(folder / "a")])] == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "words"), [("none", "does not exist"), ("file", "not a folder"), ("empty", "no roll")]
)
def test_what_is_no_roll_is_refused(name: str, words: str, tree: Tree) -> None:
    folder = tree({"file": "", "empty/x": ""})
    with pytest.raises(RollbuildError, match=words) as caught:
        find_rolls([str(folder / name)])
    assert caught.value.exit_code == (1 if name == "empty" else USAGE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "not valid YAML"),
        ("- a\n- b", "KEY: VALUE"),
        ("priority: high", "priority is a number"),
        ("priority: true", "priority is a number"),
        ("!!python/object/apply:os.system [true]", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
    ],
)
def test_a_bad_roll_yaml_is_refused(text: str, words: str, tree: Tree) -> None:
    folder = tree({"a/nodes/x.xml": node(""), "a/roll.yaml": text})
    with pytest.raises(RollbuildError, match=words) as caught:
        find_rolls([str(folder)])
    assert caught.value.location is not None
    assert caught.value.location.file == str(folder / "a/roll.yaml")


# --- which file counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "descriptions", "findings"),
    [
        ({"a/nodes/x.xml": "1"}, ["1"], []),
        ({"a/nodes/x.xml": "1", "s/site-nodes/extend-x.xml": "2"}, ["1", "2"], []),
        ({"a/nodes/x.xml": "1", "s/site-nodes/replace-x.xml": "2"}, ["2"], []),
        ({"s/site-nodes/replace-x.xml": "2"}, ["2"], [("SITE-NODE", "warning")]),
        (
            {"a/nodes/x.xml": "1", "s/site-nodes/replace-x.xml": "2", "s/site-nodes/extend-x.xml": "3"},
            ["2"],
            [("SITE-NODE", "warning")],
        ),
        (
            {"a/nodes/x.xml": "1", "s/site-nodes/extend-xx.xml": "2", "s/site-nodes/replace-y.xml": "3"},
            ["1"],
            [("SITE-NODE", "warning")] * 2,
        ),
        # N1: a site's file of the plain name does not replace a roll's.
        ({"a/nodes/x.xml": "1", "s/site-nodes/x.xml": "2"}, ["1"], [("SITE-NODE", "warning")]),
        ({"s/site-nodes/x.xml": "2"}, ["2"], []),
        # F2: the same bytes are fine, others are not.
        ({"a/nodes/x.xml": "1", "b/nodes/x.xml": "1"}, ["1"], []),
        ({"a/nodes/x.xml": "1", "b/nodes/x.xml": "2"}, ["1"], [("DUP-NODE", "error")]),
        ({"a/nodes/extend-x.xml": "2", "b/nodes/extend-x.xml": "3", "b/nodes/x.xml": "1"}, ["1", "2", "3"], []),
        ({"a/nodes/extend-x.xml": "2", "b/nodes/extend-x.xml": "2", "b/nodes/x.xml": "1"}, ["1", "2"], []),
        # A template counts only where there is no other.
        ({"a/nodes/x.xml.in": "1"}, ["1"], [("NODE-UNFILLED", "warning")]),
        ({"a/nodes/x.xml.in": "1", "b/nodes/x.xml": "2"}, ["2"], []),
        ({"a/nodes/x.xml": "1", "a/nodes/-y.xml": "2", "a/nodes/a b.xml": "3"}, ["1"], [("NODE-NAME", "warning")] * 2),
        ({"a/nodes/x.xml": "1", "a/nodes/.hidden.xml": "2", "a/nodes/x.xml~": "3"}, ["1"], []),
    ],
)
def test_which_files_make_a_node(
    files: dict[str, str], descriptions: list[str], findings: list[tuple[str, str]], tree: Tree
) -> None:
    description = describe(tree({name: node(text) for name, text in files.items()}))
    assert [file.description for file in description.node("x").files] == descriptions
    assert sorted(told(description)) == sorted(findings)
    assert "x" in description
    assert "x" in description.node_names


def marked(roll: str, text: str) -> str:
    """A node as Rocks packed it: its own comment above, then its root with the name of the roll."""
    return (
        f'<?xml version="1.0"?>\n<!-- {text} -->\n<kickstart roll="{roll}" interface="4.0"><post>x</post></kickstart>'
    )


def test_the_name_of_a_roll_that_rocks_wrote_into_a_node_makes_no_other_text(tree: Tree) -> None:
    files = {"a/nodes/x.xml": marked("a", "1"), "b/nodes/x.xml": marked("b", "1")}
    files |= {f"{roll}/nodes/extend-x.xml": marked(roll, "2") for roll in "ab"}
    description = describe(tree(files))
    assert len(description.node("x").files) == 2
    assert told(description) == []
    files["b/nodes/x.xml"] = marked("b", "3")
    description = describe(tree(files))
    description.node("x")
    assert told(description) == [("DUP-NODE", "error")]


@pytest.mark.parametrize(("a", "b", "chosen"), [(60, 50, "1"), (50, 60, "2")])
def test_priority_decides_between_rolls(a: int, b: int, chosen: str, tree: Tree) -> None:
    description = describe(
        tree(
            {
                "a/nodes/x.xml": node("1"),
                "b/nodes/x.xml": node("2"),
                "a/roll.yaml": f"priority: {a}",
                "b/roll.yaml": f"priority: {b}",
            }
        )
    )
    assert description.node("x").description == chosen
    assert told(description) == [("DUP-NODE", "note")]


def test_only_an_extension_is_refused(tree: Tree) -> None:
    description = describe(tree({"s/site-nodes/extend-comute.xml": node(""), "a/nodes/compute.xml": node("")}))
    with pytest.raises(RollbuildError, match="no node comute to extend") as caught:
        description.node("comute")
    assert "compute" in caught.value.hint
    assert caught.value.location is not None
    with pytest.raises(RollbuildError, match="no node compte") as caught:
        description.node("compte")
    assert "compute" in caught.value.hint


def test_node_files_are_read_when_asked_for_and_once(tree: Tree) -> None:
    folder = tree({"a/nodes/bad.xml": "<kickstart>", "a/nodes/x.xml": node("1")})
    description = describe(folder)
    assert description.node("x") is description.node("x")
    with pytest.raises(RollbuildError) as caught:
        description.node("bad")
    assert caught.value.location is not None
    assert (caught.value.location.file, caught.value.location.line) == (str(folder / "a/nodes/bad.xml"), 1)


# --- graphs and overlays --------------------------------------------------------------------------------------------

GRAPHS = {
    "a/graphs/default/1.xml": '<graph><edge from="r" to="one"/></graph>',
    "a/graphs/default/sub/2.xml": "<graph",
    "a/graphs/other/3.xml": '<graph><edge from="r" to="three"/></graph>',
    "a/include-version/7/graphs/default/4.xml": '<graph><edge from="r" to="seven"/></graph>',
    "a/include-version/7/graphs/default/1.xml": '<graph><edge from="r" to="uno"/></graph>',
    "z/graphs/default/5.xml": '<graph><edge from="r" to="five"/></graph>',
}


@pytest.mark.parametrize(
    ("options", "children"),
    [
        ({}, ["one", "five"]),
        ({"graph": "other"}, ["three"]),
        ({"overlay": "7"}, ["uno", "seven", "five"]),
        ({"overlay": "6"}, ["one", "five"]),
        ({"overlay": "../include-version/7"}, ["one", "five"]),
    ],
)
def test_graph_sets_and_overlays(options: dict[str, str], children: list[str], tree: Tree) -> None:
    description = describe(tree({**GRAPHS, "a/nodes/r.xml": node("")}), **options)
    assert [edge.child for edge in description.graph.edges] == children


def test_a_graph_that_no_roll_has(tree: Tree) -> None:
    folder = tree({"graphs/default/g.xml": "<graph/>", "graphs/rocks7/g.xml": "<graph/>"})
    with pytest.raises(RollbuildError, match="no roll has a graph rocks8") as caught:
        describe(folder, graph="rocks8")
    assert "rocks7" in caught.value.hint


def test_no_graph_at_all_is_no_crash(tree: Tree) -> None:
    description = describe(tree({"a/nodes/r.xml": node("")}))
    assert description.graph.edges == ()


# --- includes -------------------------------------------------------------------------------------------------------


def included(description: Description) -> str:
    (script,) = description.node("x").files[0].items
    assert isinstance(script, Script)
    return "".join(getattr(part, "literal", None) or "" for part in script.body)


def including(name: str, element: str = "include") -> str:
    key = "src" if element == "copy" else "file"
    return f"<kickstart><post><{element} {key}='{name}'/></post></kickstart>"


def test_includes_are_found_in_every_roll_and_overlay(tree: Tree) -> None:
    folder = tree(
        {
            "a/nodes/x.xml": including("d/t"),
            "b/include/d/t": "of b",
            "b/nodes/y.xml": node(""),
            "b/include-version/7/include/d/t": "of seven",
        }
    )
    assert included(describe(folder)) == "of b"


@pytest.mark.parametrize("element", ["include", "copy"])
@pytest.mark.parametrize("way", ["../../secret", "/etc/hostname", "link", "folder/secret"])
def test_nothing_outside_of_the_roll_is_read(element: str, way: str, tree: Tree) -> None:
    name = way.replace("/etc/hostname", os.path.abspath("/etc/hostname"))
    folder = tree({"a/nodes/x.xml": including(name, element), "a/include/t": "", "secret": "SECRET"})
    for place in ("a/include", "a"):
        (folder / place / "link").symlink_to(folder / "secret")
        (folder / place / "folder").symlink_to(folder)
    description = describe(folder)
    assert [code for code, _ in told_after(description)] == ["INCLUDE-OUTSIDE"]
    assert "SECRET" not in repr(description.node("x"))


def told_after(description: Description) -> list[tuple[str, str]]:
    description.node("x")
    return told(description)


def test_a_link_within_the_roll_is_followed(tree: Tree) -> None:
    folder = tree({"a/nodes/x.xml": including("link"), "a/files/t": "linked"})
    (folder / "a/include").mkdir()
    (folder / "a/include/link").symlink_to("../files/t")
    assert included(describe(folder)) == "linked"


def test_severity_of_two_different_nodes_is_an_error(tree: Tree) -> None:
    description = describe(tree({"a/nodes/x.xml": node("1"), "b/nodes/x.xml": node("2")}))
    description.node("x")
    (finding,) = description.findings
    assert finding.severity is Severity.ERROR
    assert finding.location is not None
    assert "b/nodes/x.xml" in finding.location.file
