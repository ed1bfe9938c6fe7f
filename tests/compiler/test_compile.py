from pathlib import Path

import pytest

from rollbuild.compiler import Compiler, Profile, Target, check_references
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.findings import Severity
from rollbuild.language import Eval
from rollbuild.location import Location
from tests.compiler.cases import compile_files, compile_node, compile_root, compiler_of, graph


class Programs:
    """Stands for programs that run at compile time: gives what it was told to, and notes what was asked."""

    def __init__(self, **outputs: str) -> None:
        self.outputs = outputs
        self.asked: list[tuple[str, str]] = []

    def __call__(self, program: Eval, text: str) -> str:
        self.asked.append((program.shell, text))
        if text not in self.outputs:
            raise RollbuildError(f"cannot run {text}", location=program.location)
        return self.outputs[text]


def evaluated(folder: Path, body: str, programs: Programs, **attributes: str) -> Profile:
    files = {"base/nodes/r.xml": f"<kickstart>\n{body}\n</kickstart>"}
    return compile_files(folder, files, attributes, evaluate=programs)


def body_of(profile: Profile) -> list[str]:
    (script,) = profile.scripts
    return [line.text for line in script.body if not line.text.startswith("keep_original")]


def test_an_eval_that_does_not_hold_is_not_run(tmp_path: Path) -> None:
    """E3: neither by its own condition nor by those around it."""
    programs = Programs(run="out")
    body = (
        "<post cond='no'><eval>1</eval></post><post>x<eval cond='no'>2</eval>"
        "<file name='/a' cond='no'><eval>3</eval></file><eval shell='python'>run</eval></post>"
    )
    profile = evaluated(tmp_path, body, programs)
    assert programs.asked == [("python", "run")]
    assert body_of(profile) == ["xout"]


def test_text_that_an_eval_gives_is_text(tmp_path: Path) -> None:
    profile = evaluated(tmp_path, "<post>\n<eval>&v;</eval>\necho\n</post>", Programs(a="<b> &amp; $x\ntwo\n"), v="a")
    assert body_of(profile) == ["<b> &amp; $x", "two", "echo"]
    assert profile.findings == ()


def test_files_that_an_eval_gives_are_written(tmp_path: Path) -> None:
    xml = "echo &hostname;\n<file name='/etc/x'>\n1\n</file>"
    profile = evaluated(tmp_path, "<post><eval mode='xml'>a</eval></post>", Programs(a=xml))
    assert body_of(profile) == ["echo compute-0-0", "cat > /etc/x <<'RB_EOF'", "1", "RB_EOF"]
    assert [file.path for file in profile.files] == ["/etc/x"]


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("a < b", "EVAL-FAILED"),
        ("<package>x</package>", "UNEXPECTED-CHILD"),
        ("<file>x</file>", "FILE-NAME"),
        ("<file", "EVAL-FAILED"),
    ],
)
def test_xml_of_an_eval_that_cannot_be_used(tmp_path: Path, output: str, code: str) -> None:
    try:
        profile = evaluated(tmp_path, "<post>\n<eval mode='xml'>a</eval></post>", Programs(a=output))
    except RollbuildError as problem:
        assert problem.location is not None
        assert problem.location.line == 3
        assert code == "EVAL-FAILED"
        return
    assert [(item.code, item.location and item.location.line) for item in profile.findings] == [(code, 3)]


def test_an_eval_that_fails_is_an_error_at_its_place(tmp_path: Path) -> None:
    profile = evaluated(tmp_path, "<post>\n<eval>no</eval></post>", Programs())
    assert [(item.code, item.severity, item.location and item.location.line) for item in profile.findings] == [
        ("EVAL-FAILED", "error", 3)
    ]


def test_every_missing_and_unreadable_node_is_named(tmp_path: Path) -> None:
    files = {
        "base/graphs/default/g.xml": graph("gone", "cut", "fine", "lost"),
        "base/nodes/r.xml": "<kickstart/>",
        "base/nodes/fine.xml": "<kickstart/>",
        "base/nodes/cut.xml": "<kickstart>\n<post>",
    }
    with pytest.raises(FindingsError) as caught:
        compile_files(tmp_path, files)
    found = {(item.message, item.location and Path(item.location.file).name) for item in caught.value.findings}
    assert {place for _, place in found} == {"g.xml", "cut.xml"}
    messages = " ".join(message for message, _ in found)
    assert "gone" in messages
    assert "lost" in messages
    assert len(found) == 3


def test_an_unknown_root_is_refused_with_a_near_name(tmp_path: Path) -> None:
    compiler = compiler_of(tmp_path, {"base/nodes/compute.xml": "<kickstart/>"})
    with pytest.raises(RollbuildError) as caught:
        compiler.compile(Target("x", "x", "compte", {}))
    assert "compute" in caught.value.hint


def test_a_node_without_a_file_that_is_not_reached_is_no_matter(tmp_path: Path) -> None:
    """G7, and an order's ghost."""
    more = '<edge from="elsewhere" to="gone"/><order head="ghost" tail="a"/>'
    files = {
        "base/graphs/default/g.xml": graph("a", more=more),
        "base/nodes/r.xml": "<kickstart/>",
        "base/nodes/a.xml": "<kickstart/>",
    }
    compiler = compiler_of(tmp_path, files)
    assert compile_root(compiler, {}).nodes == ("a", "r")
    assert [(item.code, item.severity) for item in check_references(compiler.description)] == [("ORDER-GHOST", "note")]


@pytest.mark.parametrize(
    "body", ["<post cond='x &lt; 3'>y</post>", "<post><file name='/x' cond='x &lt; 3'>y</file></post>"]
)
def test_a_comparison_of_different_kinds_is_refused_at_its_place(tmp_path: Path, body: str) -> None:
    with pytest.raises(RollbuildError) as caught:
        compile_node(tmp_path, f"\n{body}", {"x": "6.1.1"})
    assert caught.value.location is not None
    assert caught.value.location.line == 3


def test_several_lines_where_one_must_be(tmp_path: Path) -> None:
    body = "<main><lang>&v;</lang></main>\n<package>&v;</package>\n<post><file name='&v;'>&v;</file></post>"
    profile = compile_node(tmp_path, body, {"v": "a\nrootpw --plaintext x"})
    lines = {item.location and item.location.line for item in profile.findings if item.code == "ATTR-LINES"}
    assert lines == {2, 3, 4}
    assert all(item.severity is Severity.ERROR for item in profile.findings)


def test_one_compile_does_not_change_the_next(tmp_path: Path) -> None:
    body = "<post cond='x'>&hostname; &x;<file name='/etc/a' cond='x == 2'>1</file></post>"
    compiler = compiler_of(tmp_path, {"base/nodes/r.xml": f"<kickstart>{body}</kickstart>"})
    wanted = {}
    for x in ("", "0", "1", "2", "3"):
        fresh = Compiler(compiler.description, compiler.release)
        wanted[x] = compile_root(fresh, {"x": x}).text
    assert len(set(wanted.values())) == 5 - 1
    for x in ("3", "2", "1", "0", "", "2", "3"):
        assert compile_root(compiler, {"x": x}).text == wanted[x]


def test_written_files_are_told(tmp_path: Path) -> None:
    body = (
        "<post>\n<file name='/etc/&v;' mode='append' owner='a.b' perms='0600' vars='expanded'>\nx\n</file>"
        "<file name='/e' expr='date'>y</file></post>"
    )
    first, second = compile_node(tmp_path, body, {"v": "f"}).files
    assert (first.path, first.mode, first.owner, first.perms) == ("/etc/f", "append", "a.b", "0600")
    assert (first.content, first.expands, first.node) == ("x\n", True, "r")
    assert first.location == Location(str(tmp_path / "base/nodes/r.xml"), 3, 1)
    assert (second.path, second.content) == ("/e", None)
