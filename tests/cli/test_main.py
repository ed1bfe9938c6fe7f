import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest

from rollbuild import __version__
from rollbuild.commands import main as main_module
from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.findings import error, warning
from rollbuild.location import Location
from tests.conftest import Outcome

ROOT = Path(__file__).parents[2]
Run = Callable[..., Outcome]

FAILURES: dict[str, tuple[BaseException, int, str]] = {
    "refusal": (
        RollbuildError("no", location=Location("a.xml", 2, 1), hint="do", exit_code=75),
        75,
        "error: a.xml:2:1: no\nhint: do\n",
    ),
    "findings": (
        FindingsError([warning("W", "odd"), error("E", "bad", Location("a.xml", 1))]),
        1,
        "error: a.xml:1: bad [E]\nwarning: odd [W]\n",
    ),
    "interrupt": (KeyboardInterrupt(), 130, "\ninterrupted\n"),
    "disk": (
        OSError(errno.ENOSPC, "No space left on device", "out/a.ks"),
        4,
        "error: cannot use out/a.ks: no space left on device\nhint: the disk is full",
    ),
    "memory": (MemoryError(), 1, "error: there is not enough memory\n"),
    "depth": (RecursionError(), 1, "error: the input is nested too deeply\n"),
    "fault": (KeyError("x"), 1, "error: rollbuild itself failed: KeyError: 'x'\n"),
    "usage": (click.UsageError("which?"), 2, "error: which?\n"),
    "click": (click.ClickException("hm"), 1, "error: hm\n"),
}


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb `try` whose module comes from nowhere."""
    module = ModuleType("rollbuild_verb_for_tests")

    @click.command()
    @click.argument("what", default="")
    @click.option("--exit", "code", type=int)
    @common_options
    @pass_session
    def command(session: Session, what: str, code: int | None) -> int | None:
        """The long help of try."""
        if what in FAILURES:
            raise FAILURES[what][0]
        console = session.console
        console.data(f"{console.color} {console.verbosity} {session.debug}\n")
        return code

    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(main_module.VERBS, "try", (module.__name__, "Try something."))


@pytest.mark.usefixtures("verb")
@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_a_line_and_an_exit_code(rollbuild: Run, name: str) -> None:
    _, code, text = FAILURES[name]
    outcome = rollbuild("try", name)
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith(text)
    assert "Traceback" not in outcome.err


@pytest.mark.usefixtures("verb")
@pytest.mark.parametrize("argv", [["--debug", "try", "fault"], ["try", "fault", "--debug"]])
def test_debug_shows_the_traceback_and_the_line(rollbuild: Run, argv: list[str]) -> None:
    outcome = rollbuild(*argv)
    assert outcome.code == 1
    assert outcome.err.startswith("Traceback (most recent call last)")
    assert "\nerror: rollbuild itself failed: KeyError: 'x'\n" in outcome.err


@pytest.mark.usefixtures("verb")
@pytest.mark.parametrize(
    ("argv", "out"),
    [
        (["try"], "auto 0 False\n"),
        (["-q", "try"], "auto -1 False\n"),
        (["try", "-q"], "auto -1 False\n"),
        (["-v", "try", "-vv"], "auto 3 False\n"),
        (["--color", "always", "try"], "always 0 False\n"),
        (["--color=always", "try", "--color=never"], "never 0 False\n"),
        (["try", "--debug"], "auto 0 True\n"),
    ],
)
def test_options_before_and_after_the_verb(rollbuild: Run, argv: list[str], out: str) -> None:
    outcome = rollbuild(*argv)
    assert (outcome.code, outcome.out, outcome.err) == (0, out, "")


@pytest.mark.usefixtures("verb")
def test_a_verb_may_return_its_exit_code(rollbuild: Run) -> None:
    assert rollbuild("try", "--exit", "1").code == 1


@pytest.mark.usefixtures("verb")
@pytest.mark.parametrize(
    ("argv", "said", "hint"),
    [
        (["chekc"], "error: there is no command `chekc`; did you mean `check`?", "rollbuild --help"),
        (["zzz"], "error: there is no command `zzz`\n", "rollbuild --help"),
        (["--no-such"], "error: No such option", "rollbuild --help"),
        (["try", "--no-such"], "error: No such option", "rollbuild try --help"),
        (["try", "--color", "pink"], "error: Invalid value for '--color'", "rollbuild try --help"),
        (["try", "a", "b"], "error: Got unexpected extra argument", "rollbuild try --help"),
    ],
)
def test_usage_errors(rollbuild: Run, argv: list[str], said: str, hint: str) -> None:
    outcome = rollbuild(*argv)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(said)
    assert outcome.err.endswith(f"hint: see `{hint}`\n")


def test_no_arguments_show_the_help_as_an_error(rollbuild: Run) -> None:
    outcome = rollbuild()
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: rollbuild ")


@pytest.mark.usefixtures("verb")
def test_help_of_a_verb(rollbuild: Run) -> None:
    outcome = rollbuild("try", "-h")
    assert outcome.code == 0
    assert "The long help of try." in outcome.out
    assert "--color [auto|always|never]" in outcome.out


def test_version(rollbuild: Run) -> None:
    assert rollbuild("--version").out == f"rollbuild {__version__}\n"


def test_help_lists_every_verb_and_imports_none() -> None:
    script = (
        "import sys; from rollbuild.commands.main import main; code = main(['--help'])\n"
        "heavy = {'lxml', 'rich', 'jinja2', 'yaml', 'pykickstart', 'createrepo_c'} & set(sys.modules)\n"
        "verbs = {m for m in sys.modules if m.startswith('rollbuild.commands.')}\n"
        "verbs -= {f'rollbuild.commands.{m}' for m in ('main', '_program', '_errors', '_options', '_lazy')}\n"
        "sys.exit(code or (f'{heavy} {verbs}' if heavy or verbs else 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for verb, (_, short_help) in main_module.VERBS.items():
        assert f"{verb} " in done.stdout and short_help in " ".join(done.stdout.split())


@pytest.mark.parametrize("verb", main_module.VERBS)
def test_every_verb_has_a_command(rollbuild: Run, verb: str) -> None:
    outcome = rollbuild(verb, "--help")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"Usage: rollbuild {verb} ")
    for option in ("--color", "--quiet", "--verbose", "--debug"):
        assert option in outcome.out


def test_completion_offers_the_verbs() -> None:
    environment = {"_ROLLBUILD_COMPLETE": "bash_complete", "COMP_WORDS": "rollbuild c", "COMP_CWORD": "1"}
    script = "from rollbuild.commands.main import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout.split() == ["plain,compile", "plain,check"]
