import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollbuild import console as console_module
from rollbuild.console import Console
from rollbuild.errors import DISK, FindingsError, RollbuildError
from rollbuild.findings import Severity, error, note, warning
from rollbuild.location import Location

PLACE = Location("nodes/a.xml", 3, 7)


class Terminal:
    """A standard error that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (RollbuildError("it is wrong"), "error: it is wrong\n"),
        (
            RollbuildError("it is wrong", location=PLACE, hint="make it right"),
            "error: nodes/a.xml:3:7: it is wrong\nhint: make it right\n",
        ),
        (RollbuildError("one\ntwo\n", hint="a\nb"), "error: one\n  two\nhint: a\n  b\n"),
        (RollbuildError("\x1b[2Jgone\r\x9b"), "error: \\x1b[2Jgone\\x0d\\x9b\n"),
        (RollbuildError("it", location=Location("a\nerror: \x1b.xml")), "error: a\\nerror: \\x1b.xml: it\n"),
        (
            FindingsError([warning("W1", "odd", PLACE), error("E1", "bad", hint="mend it")]),
            "error: bad [E1]\nhint: mend it\nwarning: nodes/a.xml:3:7: odd [W1]\n",
        ),
    ],
)
def test_errors(refusal: RollbuildError, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    Console().print_error(refusal)
    assert capsys.readouterr() == ("", expected)


@pytest.mark.parametrize(
    ("verbosity", "severity", "expected"),
    [
        (0, Severity.NOTE, "note: nodes/a.xml:3:7: so [C1]\n"),
        (-1, Severity.NOTE, ""),
        (-1, Severity.WARNING, "warning: nodes/a.xml:3:7: so [C1]\n"),
        (1, Severity.ERROR, "error: nodes/a.xml:3:7: so [C1]\n"),
    ],
)
def test_findings(verbosity: int, severity: Severity, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    make = {Severity.NOTE: note, Severity.WARNING: warning, Severity.ERROR: error}[severity]
    Console(verbosity=verbosity).print_finding(make("C1", "so", PLACE))
    assert capsys.readouterr().err == expected


def test_quiet_and_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    for verbosity in (-1, 0, 1):
        Console(verbosity=verbosity).say(f"said at {verbosity}")
        Console(verbosity=verbosity).detail(f"detail at {verbosity}")
    assert capsys.readouterr() == ("", "said at 0\nsaid at 1\ndetail at 1\n")


@pytest.mark.parametrize(
    ("color", "terminal", "environment", "expected"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {}, False),
    ],
)
def test_when_to_colour(
    color: str,
    terminal: bool,
    environment: dict[str, str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    Console(color=color).print_error(RollbuildError("bad"))
    assert stream.text == ("\x1b[1;31merror\x1b[0m: bad\n" if expected else "error: bad\n")


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(["name", "count"], [["compute", 7], ["a\nb", ""], ["x\x1b", None]])
    assert capsys.readouterr().out == "NAME     COUNT\ncompute  7\na b\nx\\x1b    None\n"


def test_an_empty_table_is_its_headers(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(["name", "count"], [])
    assert capsys.readouterr().out == "NAME  COUNT\n"


def test_json_is_the_same_for_equal_values(capsys: pytest.CaptureFixture[str]) -> None:
    Console().json({"b": [1, "é"], "a": None})
    assert capsys.readouterr().out == '{\n  "a": null,\n  "b": [\n    1,\n    "é"\n  ]\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        Console().json(float("nan"))


def test_data_is_exact(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Console(verbosity=-1).data("text")
    Console().data(b"\xff\x00\n")
    Console().data("")
    assert capfdbinary.readouterr().out == b"text\xff\x00\n"


def run_python(script: str, **options: object) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, "-c", script],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
        **options,  # type: ignore[call-overload]
    )
    return done


def test_a_reader_that_left_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    script = "from rollbuild.console import Console; c = Console(); [c.data('x' * 9999) for _ in range(99)]"
    done = run_python(script, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_standard_output_is_an_error() -> None:
    script = (
        "from rollbuild.console import Console; from rollbuild.errors import RollbuildError\n"
        "try: Console().data('x')\n"
        "except RollbuildError as e: raise SystemExit(e.exit_code) from None\n"
    )
    with open("/dev/full", "w") as full:
        done = run_python(script, stdout=full)
    assert (done.returncode, done.stderr) == (DISK, "")


def test_closed_streams_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    Console().data("x")
    Console().say("x")
    with Console().progress(3, "work") as advance:
        advance()


def test_rich_is_not_imported_until_a_bar_shows() -> None:
    done = run_python("import sys, rollbuild.console; sys.exit('rich' in sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("after", "verbosity", "shows"), [(0.0, 0, True), (3600.0, 0, False), (0.0, -1, False)])
def test_progress_shows_when_the_work_lasts(
    after: float, verbosity: int, shows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(console_module, "_PROGRESS_AFTER", after)
    with Console(verbosity=verbosity).progress(10, "hosts [x]") as advance:
        for _ in range(10):
            advance()
    assert ("hosts [x]" in terminal.text) == shows
    assert ("10/10" in terminal.text) == shows


def test_no_progress_off_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "_PROGRESS_AFTER", 0.0)
    with Console().progress(2, "hosts") as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")
