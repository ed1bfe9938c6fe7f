"""The option --store, where the store is without it, and how what happens in it is shown."""

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from rollbuild.commands._shown import counted
from rollbuild.console import Console
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.findings import Finding, Severity
from rollbuild.rolls import Store

if TYPE_CHECKING:
    from rollbuild.rolls import Change

_Function = TypeVar("_Function", bound=Callable[..., Any])
_CHECKOUT = Path("build/store")
_FRONT_END = "export/rollbuild"
_SHOWN_ALIKE = 3


def store_option(function: _Function) -> _Function:
    """Give a command --store; its parameter `store` is a Store."""
    option = click.option(
        "--store",
        metavar="DIR",
        envvar="ROLLBUILD_STORE",
        callback=lambda _context, _parameter, value: find_store(value),
        help="The folder of rolls, OS trees and distributions.  [ROLLBUILD_STORE, else ./build/store in a "
        "checkout, else /export/rollbuild]",
    )
    return option(function)


def refuse_place(output: Path, store: Store, what: str) -> None:
    """Refuse an output in what never changes of a store, and one that would hold the store. Raises RollbuildError."""
    place = output.resolve()
    for folder in (store.distributions_folder, store.os_folder, store.rolls_folder):
        if place.is_relative_to(folder.resolve()):
            hint = "what is there never changes; name a place outside of it"
            raise RollbuildError(f"{what} cannot lie in {folder}", hint=hint, exit_code=USAGE)
    if store.folder.resolve().is_relative_to(place):
        raise RollbuildError(f"{what} cannot take the place of the store {store.folder}", exit_code=USAGE)


def find_store(named: str | None) -> Store:
    """The store that was named, else ./build/store where it or a folder of rolls is, else that of the front end."""
    if named:
        return Store(Path(named))
    front_end = Path(os.environ.get("ROLLBUILD_ROOT", "/"), _FRONT_END)
    if _CHECKOUT.is_dir() or Path("rolls").is_dir() or not front_end.is_dir():
        return Store(_CHECKOUT)
    return Store(front_end)


def store_words(store: Store) -> str:
    """` --store DIR` where the command line says it: commands that are shown, to be typed next, need it too."""
    source = click.get_current_context().get_parameter_source("store")
    return f" --store {shlex.quote(str(store.folder))}" if source is click.core.ParameterSource.COMMANDLINE else ""


def show_size(size: int) -> str:
    """Bytes for people: `812 KiB`, `1.4 MiB`."""
    if size < 1024:
        return f"{size} bytes"
    amount, unit = size / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "KiB" else f"{amount:.1f} {unit}"


def print_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Findings about rolls for a person. Only with -v: notes, and more than a few that one remedy is for."""
    shown: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        if console.verbosity > 0 or finding.severity is Severity.ERROR:
            console.print_finding(finding)
        elif finding.severity is Severity.WARNING:
            same = (finding.code, finding.hint)
            shown[same] += 1
            if shown[same] <= _SHOWN_ALIKE:
                console.print_finding(finding)
    for (code, _), count in shown.items():
        if count > _SHOWN_ALIKE:
            console.say(f"... {counted(count - _SHOWN_ALIKE, 'more place')} with {code}; -v shows all")


def show_change(console: Console, change: "Change", nothing: str) -> None:
    """Tell which rolls are enabled and disabled now; `nothing` is what to say when none changed."""
    print_findings(console, change.findings)
    for roll in change.enabled:
        console.say(f"enabled {roll}")
    for roll in change.disabled:
        console.say(f"disabled {roll}")
    if not change.enabled and not change.disabled:
        console.say(nothing)
    elif any(finding.severity is Severity.ERROR for finding in change.findings):
        raise RollbuildError("this is done, but a distribution of the enabled rolls cannot be made")


class MebibyteProgress:
    """A progress bar in MiB, whose total may be told after the work began."""

    def __init__(self, console: Console, label: str) -> None:
        self._console, self._label = console, label
        self._stack = ExitStack()
        self._advance: Callable[..., None] | None = None
        self._rest = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def expect(self, total: int) -> None:
        """Start (anew) for so many bytes."""
        self._stack.close()
        self._rest = 0
        self._advance = self._stack.enter_context(self._console.progress((total >> 20) + 1, f"{self._label} (MiB)"))

    def advance(self, size: int) -> None:
        """Take note of bytes."""
        if self._advance is None:
            self._advance = self._stack.enter_context(self._console.progress(None, f"{self._label} (MiB)"))
        steps, self._rest = divmod(self._rest + size, 1 << 20)
        if steps:
            self._advance(steps)
