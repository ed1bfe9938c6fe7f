"""Emitted scripts, run by bash below a temporary folder: what they write is what the node file says."""

import os
import subprocess
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollbuild.compiler import Profile
from tests.compiler.cases import compile_node
from tests.compiler.test_golden import parse

ORIGINALS = "/var/lib/rollbuild/orig"


def run_script(body: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script's body as the installer does; the originals go below the folder."""
    script = folder / "ks-script"
    script.write_bytes(body.replace(ORIGINALS, f"{folder}/orig").encode())
    return subprocess.run(
        ["/bin/bash", str(script)], cwd=folder, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )


def body_of(profile: Profile) -> str:
    (script,) = profile.scripts
    return "".join(line.text + "\n" for line in script.body)


def run_node(folder: Path, body: str, **attributes: str) -> subprocess.CompletedProcess[str]:
    (folder / "source").mkdir(exist_ok=True)
    profile = compile_node(folder / "source", body, attributes)
    assert profile.findings == ()
    return run_script(body_of(profile), folder)


payload_lines = st.one_of(
    st.sampled_from(
        ["%end", "  %packages", "%include /x", "RB_EOF", "RB_EOF_2", "'RB_EOF'", "|x", "RB_|", "$HOME", "`date`", "\\"]
    ),
    st.sampled_from(["", " ", "\t", "a\\", 'it\'s "q"', "$(x", "x \t ", "\ttab", "é\u2028%end", "<a>&b;</a>", "x\r"]),
    st.text(alphabet="a '\"$`\\\t%|&<>é!#\U000f0000", max_size=8),
)


@pytest.mark.long
@given(st.lists(st.tuples(st.lists(payload_lines, max_size=4), st.booleans(), st.booleans()), min_size=1, max_size=5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_hold_the_payload_byte_for_byte(tmp_path: Path, files: list[tuple[list[str], bool, bool]]) -> None:
    """Each file as (lines, by attribute, appended to as well)."""
    elements = []
    values = {}
    expected = {}
    for number, (lines, by_attribute, appended) in enumerate(files):
        name = f"{tmp_path}/out {number}/f'{number}"
        # Framed, as the first and last blank lines belong to the tags.
        text = "\n".join(["[", *lines, "]"])
        expected[name] = text + "\n"
        written = escape(text).replace("\r", "&#13;")
        if by_attribute:
            values[f"v{number}"] = text
            written = f"&v{number};"
        elements.append(f"<file name={quoteattr(name)}>\n{written}\n\t</file>")
        if appended:
            expected[name] *= 2
            elements.append(f"<file name={quoteattr(name)} mode='append'>{written}</file>echo done")
    done = run_node(tmp_path, "<post>" + "\n".join(elements) + "</post>", **values)
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: Path(name).read_bytes() for name in expected} == {
        name: text.encode() for name, text in expected.items()
    }


def unreserved(text: str) -> bool:
    return not text.lstrip().startswith("%")


@pytest.mark.long
@given(st.lists(st.text(alphabet="ab '\"$`\\\t%|é<&", max_size=10).filter(unreserved), max_size=5))
def test_script_text_reaches_pykickstart_as_it_stands(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    text = "\n".join(["#[", *lines, "#]"])
    folder = tmp_path_factory.mktemp("text")
    profile = compile_node(folder, f"<post>\n{escape(text)}\n</post>")
    assert body_of(profile) == text + "\n"
    (script,) = parse(profile, "el9").handler.scripts
    assert script.script == text + "\n"


@pytest.mark.parametrize(
    ("body", "files", "output"),
    [
        ("<file name='a' mode='append'>1</file><file name='a' mode='append'>\n2\n</file>", {"a": "1\n2\n"}, ""),
        ("<file name='a'>1</file><file name='a'>2</file>", {"a": "2\n"}, ""),
        ("<file name='d/e/f'/>", {"d/e/f": ""}, ""),
        ("<file name='a'>\n\n</file>", {"a": "\n"}, ""),
        ("<file name='a'>\n\n\nx\n\n</file>", {"a": "\n\nx\n\n"[:-1] + "\n"}, ""),
        # Q20: the text follows the program's output.
        ("<file name='a' expr='echo one'>two</file>", {"a": "one\ntwo\n"}, ""),
        ("<file name='a' expr='echo one; echo two | cat'/>", {"a": "two\n"}, "one\n"),
        ("<file name='a' expr='echo &#39;a  b&#39; | cat'/>", {"a": "a  b\n"}, ""),
        ("echo abc > a\n<file name='a' mode='pipe'>tr a-z A-Z</file>", {"a": "ABC\n"}, ""),
        ("echo abc > a\n<file name='a' mode='pipe'>cat - - &lt;&lt;X\n\nhere\n\nX</file>", {"a": "\nhere\n\n"}, ""),
        ("echo abc > a\n<file name='b' mode='pipe' src='a'># comment\nrev</file>", {"a": "abc\n", "b": "cba\n"}, ""),
        ("echo abc > a\n<file name='a' mode='pipe'/>", {"a": "abc\n"}, ""),
        ("x=5\n<file name='a' vars='expanded'>\n$x $(echo 6) \\$x `echo 7`\n</file>", {"a": "5 6 $x 7\n"}, ""),
        (
            "<file name='a' vars='expanded'>\n$(\n  echo 1\n)\n%end\nx\\\ny\n</file>",
            {"a": "1\n%end\nxy\n"},
            "",
        ),
        ("<file name='a' vars='expanded'>\n%end\nRB_|x\n|y\n</file>", {"a": "%end\nRB_|x\n|y\n"}, ""),
        ("d=some\n<file name='$d/f g'>1</file>cat \"$d/f g\"", {"some/f g": "1\n"}, "1\n"),
        ("if true; then <file name='a'>1</file> echo yes; fi", {"a": "1\n"}, "yes\n"),
        ("for i in 1 2; do\n<file name='a$i' vars='expanded'>n$i</file>\ndone", {"a1": "n1\n", "a2": "n2\n"}, ""),
        ("<file name='a' cond='no'>1</file><file name='b' cond='not no'>1</file>", {"b": "1\n"}, ""),
    ],
)
def test_what_a_script_does(body: str, files: dict[str, str], output: str, tmp_path: Path) -> None:
    done = run_node(tmp_path, f"<post>{body}</post>")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", output)
    for name, content in files.items():
        assert (tmp_path / name).read_text() == content


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("true", 0),
        ("exit 7", 7),
        ("<file name='a'>1</file>false", 1),
        ("false\n", 1),
        ("set -e\nfalse\ntrue", 1),
        ("set -e\n<file name='a'>1</file><file name='a' mode='append'>2</file>exit 3", 3),
        ("set -eu\n<file name='a/b/c' perms='0600'>1</file>", 0),
        ("set -e\n<file name='/proc/nowhere/x'>1</file>exit 0", 1),
        ("<!-- exit 1 -->exit 4<!-- -->", 4),
    ],
)
def test_the_exit_status_is_the_script_s_own(body: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    profile = compile_node(tmp_path / "source", f"<post>{body}</post>")
    assert run_script(body_of(profile), tmp_path).returncode == code


def test_permissions_and_owner(tmp_path: Path) -> None:
    done = run_node(
        tmp_path, f"<post><file name='a b' perms='&p;' owner='{os.getuid()}.{os.getgid()}'>1</file></post>", p="0640"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a b").stat().st_mode & 0o7777 == 0o640


def test_the_original_is_kept_once(tmp_path: Path) -> None:
    name = f"{tmp_path}/etc/x y"
    Path(name).parent.mkdir()
    Path(name).write_text("of the package\n")
    body = f"<post><file name='{name}'>1</file><file name='{name}' mode='append'>2</file></post>"
    for _ in range(2):
        done = run_node(tmp_path, body)
        assert (done.returncode, done.stderr) == (0, "")
    assert Path(name).read_text() == "1\n2\n"
    assert (tmp_path / f"orig{name}").read_text() == "of the package\n"


def test_what_rollbuild_wrote_itself_is_no_original(tmp_path: Path) -> None:
    name = f"{tmp_path}/new"
    done = run_node(tmp_path, f"<post><file name='{name}'>1</file><file name='{name}' mode='append'>2</file></post>")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / f"orig{name}").exists()


def test_boot_scripts_are_put_in_place_whole(tmp_path: Path) -> None:
    body = """<boot>
echo &v; > out
<file name="out" mode="append">
RB_BOOT
RB_EOF
  %end
</file>
</boot>"""
    profile = compile_node(tmp_path / "source", body, {"v": "'a  b'"})
    text = body_of(profile).replace("/etc/", f"{tmp_path}/etc/").replace("systemctl", "echo")
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    done = run_script(text, tmp_path)
    assert (done.stdout, done.stderr) == ("enable rollbuild-boot-pre.service\n", "")
    done = run_script((tmp_path / "etc/rollbuild/boot-pre.d/00-r.sh").read_text(), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out").read_text() == "a  b\nRB_BOOT\nRB_EOF\n  %end\n"


def test_copied_bytes_arrive(tmp_path: Path) -> None:
    from tests.compiler.cases import compile_files

    data = bytes(range(256)) * 9 + b"\n%end\nRB_EOF\n"
    node = "<kickstart><post><copy src='files/x.bin' dst='new/x.bin'/></post></kickstart>"
    profile = compile_files(tmp_path / "source", {"base/nodes/r.xml": node, "base/files/x.bin": data})
    done = run_script(body_of(profile), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "new/x.bin").read_bytes() == data
    assert parse(profile, "el9").handler.scripts[0].script == body_of(profile)


def test_a_python_script_is_python_alone(tmp_path: Path) -> None:
    body = "<post interpreter='/usr/bin/python3'>\nprint(1 &lt; 2, '&v;')\n  </post>"
    profile = compile_node(tmp_path / "source", body, {"v": "x"})
    assert body_of(profile) == "print(1 < 2, 'x')\n"
