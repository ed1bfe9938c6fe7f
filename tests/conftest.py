"""What every test may use: a folder tree from a table of texts, and a whole command in one line."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from rollbuild.commands.main import main

# Shared machines stall; a deadline would fail tests that are right.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


def run_captured(main: Callable[[list[str]], int], capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a program's main function with words for arguments, in this process."""

    def run(*argv: str | Path) -> Outcome:
        capfd.readouterr()
        code = main([str(argument) for argument in argv])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ROLLBUILD_") or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Write a table of relative path -> text below a temporary folder; return the folder."""

    def write(texts: Mapping[str, str]) -> Path:
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def rollbuild(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `rollbuild ARGV...` in this process."""
    return run_captured(main, capfd)


@pytest.fixture
def rocks(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `rocks ARGV...` in this process; ROLLBUILD_ROOT says where the front end is."""
    from rollbuild.commands.rocks import main as run_rocks

    def run(argv: list[str]) -> int:
        assert os.environ.get("ROLLBUILD_ROOT"), "a test must not use this machine's own front end"
        return run_rocks(argv)

    return run_captured(run, capfd)
