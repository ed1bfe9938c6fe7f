"""What is asked for when a generation is made, what its Kickstarts are compiled from, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.distribution.generation import Generation
from rollbuild.distribution.provenance import Provenance
from rollbuild.distribution.shadows import Shadow
from rollbuild.findings import Finding


@dataclass(frozen=True, slots=True)
class Wanted:
    """A distribution that is wanted.

    `rolls` as `NAME[-VERSION[-RELEASE]]`, or those of `lock`, a file of `pin_enabled`; else the enabled ones.
    `url`: where hosts find the generation, empty for the store's own folder. `keys`: files of public keys besides
    those of the rolls and of the OS. `attributes` and `data` are what the Kickstarts are compiled with: only names
    and digests are kept. `verify`: hash every input.
    """

    name: str
    os_name: str
    rolls: tuple[str, ...] = ()
    lock: Path | None = None
    url: str = ""
    keys: tuple[Path, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    data: bytes = b""
    require_signed: bool = False
    verify: bool = False
    keep: int = 0
    is_dry_run: bool = False
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DescriptionToCompile:
    """What the Kickstarts of a distribution are compiled from.

    `folder` holds a folder per roll; `origins` says by its name where it came from, for messages. `rolls` is the
    data of that name for templates.
    """

    folder: Path
    release: str
    rolls: Sequence[Mapping[str, object]]
    origins: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The Kickstarts of all appliances by file name (`compute.ks`); `secrets` are values not to be shown in them."""

    kickstarts: Mapping[str, bytes] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


Compile = Callable[[DescriptionToCompile], Compiled]
"""Compiles every appliance. Raises RollbuildError."""

Judge = Callable[[Sequence[Finding]], object]
"""Is told everything that was found, once, before anything takes its place; raises RollbuildError to refuse."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: `status` is made, unchanged, reused (the newest generation, in use again) or dry-run.

    `linked` and `copied` count files; `pruned` are the generations that were removed.
    """

    status: str
    generation: Generation
    provenance: Provenance
    shadows: tuple[Shadow, ...] = field(repr=False)
    linked: int = 0
    copied: int = 0
    pruned: tuple[Generation, ...] = ()
