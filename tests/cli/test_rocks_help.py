"""Help, completion, commands that rolls add, and the reference: all from the definitions of the commands."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rollbuild import __version__
from rollbuild.commands.rocks._command import Argument, Parameter
from rollbuild.commands.rocks._completion import BASH, offer
from rollbuild.commands.rocks._grammar import fill, find_command, split_line, synopsis
from rollbuild.commands.rocks._registry import load_command
from rollbuild.commands.rocks._table_of_commands import TABLE
from tests.clusters import make_cluster
from tests.conftest import Run

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "rocks-commands.md"


@pytest.fixture
def rocks(rocks: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    return rocks


@pytest.mark.parametrize("words", TABLE)
def test_every_command_is_defined_and_explained(words: str) -> None:
    command = load_command(words, TABLE)
    assert command.words == words == words.lower()
    summary = TABLE[words][1]
    assert summary.endswith(".") and summary[0].isupper() and len(summary) < 100
    items: list[Argument | Parameter] = [*command.arguments, *command.parameters]
    names = [item.name for item in items]
    assert len(names) == len(set(names))
    # Named arguments are the last ones, or nothing could be filled from the right.
    flags = [argument.is_named for argument in command.arguments]
    assert flags == sorted(flags)
    assert all(item.summary for item in items), synopsis(command)
    assert sum(argument.is_repeated for argument in command.arguments) <= 1


@pytest.mark.parametrize("words", TABLE)
def test_examples_are_commands(words: str) -> None:
    """Each example spells the command that it explains, or another one, with words and parameters that fit."""
    command = load_command(words, TABLE)
    for text, _ in command.examples:
        name, *argv = shlex.split(text.partition(" | ")[0].partition(" >")[0])
        line = split_line(argv)
        found = find_command(line.words, TABLE)
        assert (name, found.is_command) == ("rocks", True), text
        fill(load_command(found.words, TABLE), found.rest, line.parameters)


def test_the_reference_is_that_of_the_definitions(rocks: Run) -> None:
    outcome = rocks("help", "format=markdown")
    assert outcome.code == 0
    assert REFERENCE.read_text(encoding="utf-8") == outcome.out, (
        "write it anew: rocks help format=markdown >docs/reference/rocks-commands.md"
    )


@pytest.mark.parametrize("argv", [["list", "host", "interface", "help"], ["help", "list", "host", "interface"]])
def test_help_of_a_command(rocks: Run, argv: list[str]) -> None:
    outcome = rocks(*argv)
    assert outcome.code == 0
    assert outcome == rocks("list", "host", "interface", "--help") == rocks("LIST", "HOST", "-h", "INTERFACE")
    assert outcome.out.startswith(
        "rocks list host interface [host]... [json=boolean] [output-col=string] [output-header=boolean]\n\n"
    )
    for title in ("Arguments:", "Parameters:", "Examples:", "Related Commands:"):
        assert f"\n{title}\n" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_help_of_everything(rocks: Run) -> None:
    outcome = rocks("help")
    assert (outcome.code, outcome.err) == (0, "")
    shown = [" ".join(line.split("  ")[2].split()) for line in outcome.out.splitlines() if line.startswith("    ")]
    assert [name for name in shown if name in TABLE] == sorted(TABLE)
    bare = rocks()
    assert (bare.code, bare.out) == (2, outcome.out)
    assert rocks("--help") == outcome


def test_a_bare_group_shows_what_is_below_it(rocks: Run) -> None:
    outcome = rocks("report", "vm")
    assert outcome.code == 2
    assert [line.split("  ")[2].strip() for line in outcome.out.splitlines()] == ["report vm nextmac"]
    assert outcome.err == "see `rocks report vm NOUN help`\n"
    asked = rocks("report", "vm", "help")
    assert (asked.code, asked.out, asked.err) == (0, outcome.out, "")
    listed = rocks("list", "help").out.splitlines()
    assert sum(line.startswith("    list ") for line in listed) == sum(words.startswith("list ") for words in TABLE)


def test_version(rocks: Run) -> None:
    assert rocks("--version").out == f"rocks (rollbuild) {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rollbuild.commands.rocks import main; code = main(['help']); "
        "print([name for name in ('sqlalchemy', 'alembic', 'lxml', 'click', 'rich', 'starlette', 'ClusterShell', "
        "'rollbuild.cluster', 'rollbuild.frontend') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


OFFERED = {
    "rocks rep": ["report"],
    "rocks report vm ": ["nextmac"],
    "rocks list host in": ["install", "interface"],
    "rocks LIST HOST in": ["install", "interface"],
    "rocks list host interface vm-": ["vm-container", "vm-container-0-0", "vm-container-0-1"],
    "rocks list host interface granite comp": ["compute", "compute-0-0", "compute-0-0-0", "compute-0-0-1"],
    "rocks list network output-": ["output-col=", "output-header="],
    "rocks list network output-header=": ["no", "yes"],
    "rocks list network output-header=y": ["yes"],
    "rocks report nextip p": ["private", "public"],
    "rocks report nextip subnet=p": ["private", "public"],
    "rocks report nextip private i": ["increment="],
    "rocks --da": ["--database"],
    "rocks help list host in": ["install", "interface"],
    "rocks frobnicate ": [],
    "rocks list host 'compute-0-0-": ["compute-0-0-0", "compute-0-0-1"],
}


def test_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    make_cluster(tmp_path).close()
    assert {line: offer(line, TABLE) for line in OFFERED} == OFFERED


def test_bash_asks_for_words(tmp_path: Path) -> None:
    make_cluster(tmp_path).close()
    program = tmp_path / "rocks"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom rollbuild.commands.rocks import main\nsys.exit(main())\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    script = (
        f'source /dev/stdin <<"END"\n{BASH}END\n'
        'COMP_LINE="rocks list host boot gr"; COMP_POINT=${#COMP_LINE}\n'
        "COMP_WORDS=(rocks list host boot gr); COMP_CWORD=4\n"
        f'_rocks_completion {program} gr boot; printf "%s\\n" "${{COMPREPLY[@]}}"; complete -p rocks\n'
    )
    environment = {**os.environ, "ROLLBUILD_ROOT": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["granite", "complete -o default -F _rocks_completion rocks"]
    source = {**environment, "_ROCKS_COMPLETE": "bash_source"}
    assert subprocess.run([program], env=source, capture_output=True, text=True, check=True).stdout == BASH


def test_rolls_add_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rocks: Run) -> None:
    package = tmp_path / "site"
    (package / "siteroll-1.dist-info").mkdir(parents=True)
    (package / "siteroll-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: siteroll\nVersion: 1\n")
    (package / "siteroll-1.dist-info" / "entry_points.txt").write_text(
        "[rollbuild.rocks]\nsiteroll = siteroll:TABLE\nbroken = siteroll:MISSING\n"
    )
    (package / "siteroll.py").write_text(
        "from rollbuild.commands.rocks._command import RocksCommand\n"
        "TABLE = {'report site': ('siteroll:SITE', 'Where this is.'), 'list host': ('siteroll:SITE', 'Not this.')}\n"
        "SITE = RocksCommand('report site', lambda call: call.write('here\\n'))\n"
    )
    monkeypatch.syspath_prepend(package)
    outcome = rocks("report", "site")
    assert (outcome.code, outcome.out) == (0, "here\n")
    assert "may not take the place of `rocks list host`" in outcome.err
    assert "the commands of siteroll:MISSING are left out" in outcome.err
    assert "report site" in rocks("report", "help").out
    # The reference is that of rollbuild's own.
    assert "report site" not in rocks("help", "format=markdown").out


def test_a_fault_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch, rocks: Run) -> None:
    def fail() -> str:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("rollbuild.commands.rocks.read_table", lambda console: fail())
    outcome = rocks("help")
    assert outcome.code == 1
    assert "rollbuild itself failed: ZeroDivisionError: a fault" in outcome.err
    assert "Traceback" not in outcome.err
    assert "Traceback" in rocks("help", "--debug").err
