"""What a user sees: data on standard output; findings, news and progress on standard error."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from rollbuild.errors import DISK, FindingsError, RollbuildError
from rollbuild.findings import Finding, Severity
from rollbuild.location import Location

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_COLOURS = {"error": "1;31", "warning": "1;33", "note": "1;36", "hint": "1"}
_PROGRESS_AFTER = 1.0

# Text out of a description must not steer the terminal.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (9, 10)}


def escape_unknown_characters() -> None:
    """Have standard output and error show what is outside the locale's characters as escapes, instead of failing.

    Names of files, summaries of packages, and what machines say of themselves may hold such characters.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Console:
    """How to talk: `color` auto, always or never; `verbosity` below 0 when quiet, above 0 when verbose."""

    color: str = "auto"
    verbosity: int = 0

    @property
    def quiet(self) -> bool:
        return self.verbosity < 0

    def data(self, content: str | bytes) -> None:
        """Write to standard output exactly `content`.

        When its reader has gone, as `head` does, the rest is dropped without a word. Raises RollbuildError,
        exit code DISK, when it cannot be written for another reason.
        """
        if sys.stdout is None or not content:
            return
        try:
            if isinstance(content, bytes):
                sys.stdout.flush()
                sys.stdout.buffer.write(content)
                sys.stdout.buffer.flush()
            else:
                sys.stdout.write(content)
                sys.stdout.flush()
        except OSError as error:
            _drop_output(sys.stdout)
            if not isinstance(error, BrokenPipeError):
                reason = (error.strerror or str(error)).lower()
                raise RollbuildError(f"cannot write to standard output: {reason}", exit_code=DISK) from error

    def json(self, value: object) -> None:
        """Write a value as JSON: keys sorted, two spaces of indent, equal bytes for equal values."""
        import json as json_format

        self.data(json_format.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write aligned columns, two spaces apart, below a line of upper-case headers."""
        cells = [[header.upper() for header in headers]]
        cells += [[" ".join(str(cell).split()).translate(_CONTROLS) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
        self.data("".join(f"{line}\n" for line in lines))

    def say(self, text: str) -> None:
        """News for a person, on standard error unless quiet."""
        if not self.quiet:
            _write_error(f"{text}\n")

    def detail(self, text: str) -> None:
        """News that only `-v` shows."""
        if self.verbosity > 0:
            _write_error(f"{text}\n")

    def print_finding(self, finding: Finding) -> None:
        """`SEVERITY: FILE:LINE:COL: MESSAGE [CODE]` and `hint: ...` on standard error."""
        if finding.severity is Severity.NOTE and self.quiet:
            return
        message = f"{finding.message} [{finding.code}]"
        self._print(str(finding.severity), finding.location, message, finding.hint)

    def print_error(self, error: RollbuildError) -> None:
        """What was refused, in the form of a finding; for a FindingsError, every one of its findings."""
        if isinstance(error, FindingsError):
            for finding in error.findings:
                self.print_finding(finding)
        else:
            self._print("error", error.location, error.message, error.hint)

    def _print(self, word: str, location: Location | None, message: str, hint: str) -> None:
        place = f"{location}: ".replace("\n", "\\n").translate(_CONTROLS) if location else ""
        lines = [f"{self._coloured(word)}: {place}{_continued(message)}\n"]
        if hint:
            lines.append(f"{self._coloured('hint')}: {_continued(hint)}\n")
        _write_error("".join(lines))

    def _coloured(self, word: str) -> str:
        return f"\x1b[{_COLOURS[word]}m{word}\x1b[0m" if self.uses_color(sys.stderr) else word

    def uses_color(self, stream: TextIO | None) -> bool:
        """Whether to colour what goes to `stream`: `--color` decides, else NO_COLOR, else a terminal."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return stream is not None and stream.isatty()

    @contextmanager
    def progress(self, total: int | None, label: str) -> Iterator[Callable[..., None]]:
        """Yield `advance(steps=1)`; a bar shows on a terminal once the work has lasted over a second."""
        if self.quiet or sys.stderr is None or not sys.stderr.isatty():
            yield _ignore
            return
        bar = _Bar(total, label, self.uses_color(sys.stderr))
        try:
            yield bar.advance
        finally:
            bar.close()


class _Bar:
    def __init__(self, total: int | None, label: str, color: bool) -> None:
        self._total, self._label, self._color = total, label, color
        self._show_at = time.monotonic() + _PROGRESS_AFTER
        self._done = 0
        self._shown: tuple[Progress, TaskID] | None = None

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        if self._shown is not None:
            self._shown[0].advance(self._shown[1], steps)
        elif time.monotonic() >= self._show_at:
            self._show()

    def _show(self) -> None:
        # rich takes longer to import than most commands take to run.
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Terminal(stderr=True, no_color=not self._color),
            transient=True,
        )
        task = progress.add_task(self._label, total=self._total, completed=self._done)
        progress.start()
        self._shown = progress, task

    def close(self) -> None:
        if self._shown is not None:
            self._shown[0].stop()


def _ignore(steps: int = 1) -> None:
    pass


def _continued(text: str) -> str:
    """Further lines of a text are indented, so that each message starts a line of its own."""
    return text.rstrip().translate(_CONTROLS).replace("\n", "\n  ")


def _write_error(text: str) -> None:
    # Nobody is left to tell when standard error is closed, full or gone.
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _drop_output(stream: TextIO) -> None:
    """Point a stream that cannot be written to nowhere, so that closing it at the end cannot fail again."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
