"""Rolls on their way into the store: copied into its work folder, and verified there."""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollbuild.files import explained, walk_tree
from rollbuild.findings import Finding, warning
from rollbuild.location import Location
from rollbuild.packages import check_space
from rollbuild.rolls.built import BuiltRoll, parse_built_roll
from rollbuild.rolls.identity import RollId
from rollbuild.rolls.media import FoundRoll
from rollbuild.rolls.verifying import IGNORED, verify_roll

_RESERVE = 1024 * 1024
"""Bytes beside the files themselves, and a fiftieth of them: metadata made for old rolls, folders, the index."""


@dataclass(slots=True)
class IncomingRoll:
    """A roll that is named for adding: the media that have it (several for an old roll), and what the user called the
    first of them. `built` is not known of an old roll, and `folder` of none, before it is staged.
    """

    id: RollId
    parts: list[FoundRoll]
    source: str
    built: BuiltRoll | None = None
    folder: Path | None = None


def identify_roll(part: FoundRoll, source: str) -> IncomingRoll:
    """Which roll was found. Raises RollbuildError for a damaged roll.json or roll-NAME.xml."""
    if part.is_old:
        from rollbuild.rolls.old import identify_old_roll

        return IncomingRoll(identify_old_roll(part), [part], source)
    data, shown = part.read_description()
    built = parse_built_roll(data, shown)
    return IncomingRoll(built.id, [part], source, built)


def expect_space(rolls: Sequence[IncomingRoll], work: Path) -> int:
    """The bytes that staging these rolls reads: each file is copied, then verified.

    Raises RollbuildError: DISK when the file system of the store has not the space for them.
    """
    total = sum(size for roll in rolls for part in roll.parts for _, size in part.medium.files_below(part.path))
    check_space(work, total + total // 50 + _RESERVE, "the set of rolls" if len(rolls) > 1 else f"roll {rolls[0].id}")
    return 2 * total


def stage_roll(
    roll: IncomingRoll,
    folder: Path,
    *,
    keys: Sequence[Path] = (),
    require_signed: bool = False,
    advance: Callable[[int], object] | None = None,
) -> list[Finding]:
    """Make `folder` (which is not there) the roll's, and set its `folder` and `built`; what is wrong with it.

    Raises RollbuildError where it cannot go on, DISK, MISSING_PROGRAM.
    """
    findings = []
    if roll.built is None:
        from rollbuild.rolls.old import adopt_old_roll

        roll.built = adopt_old_roll(roll.parts, roll.id, folder, advance=advance)
        if not any((folder / "profile" / part).is_dir() for part in ("nodes", "graphs", "site-nodes")):
            message = f"roll {roll.id} has packages only: no nodes and no graph"
            hint = (
                "a roll of updates has none; of others, was the first medium left out? Name all of them in one command"
            )
            findings.append(warning("ROLL-EMPTY", message, Location(roll.parts[0].shown), hint))
    else:
        part = roll.parts[0]
        part.medium.copy_tree(part.path, folder, advance)
    shown = roll.parts[0].shown
    findings += verify_roll(folder, roll.built, shown=shown, keys=keys, require_signed=require_signed, advance=advance)
    _seal(folder)
    roll.folder = folder
    return findings


def _seal(folder: Path) -> None:
    """Make the files read-only, as generations share them, and see that all of it is on the disk."""
    for name, status in [*walk_tree(folder), ("", folder.stat())]:
        path = folder / name
        with explained("cannot write", path):
            if path.name == IGNORED:
                path.unlink()
            else:
                path.chmod(0o755 if stat.S_ISDIR(status.st_mode) else 0o444)
    _sync_file_system(folder)


def _sync_file_system(folder: Path) -> None:
    """Wait until what was written is on the disk, at once: file by file takes many times as long."""
    import ctypes  # only needed where something is added

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    with explained("cannot write", folder):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if syncfs(file) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(file)
