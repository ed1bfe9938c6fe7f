"""Images of built rolls: of one, or of several side by side."""

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import digest_file, explained, link_tree, read_limited, staged_folder, write_atomically
from rollbuild.images import write_iso
from rollbuild.rolls.built import BuiltRoll, roll_folder
from rollbuild.rolls.finish import write_disc_info

Advance = Callable[[int], object]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*\Z")
_LONGEST = 32


class _Written(Exception):
    """The image is written."""


def write_roll_image(path: Path, roll: BuiltRoll, folder: Path, advance: Advance | None = None) -> None:
    """Write the ISO image of a built roll's folder (the one that holds `.discinfo`), and its digest beside it.

    Raises what images.write_iso does.
    """
    _write(folder, path, volume_id(f"{roll.id.name}-{roll.id.version}"), roll.epoch, advance)


def write_jumbo(
    output: Path, name: str, rolls: Sequence[tuple[BuiltRoll, Path]], advance: Advance | None = None
) -> Path:
    """Write `OUTPUT/NAME.ARCH.iso`, which holds several built rolls, each given with its folder; its path.

    Raises RollbuildError: USAGE for a name that cannot be a file's, and what images.write_iso raises.
    """
    if not _NAME.match(name):
        raise RollbuildError(
            f"{name!r} is no name of an image", hint="letters, digits and . _ + - are allowed", exit_code=USAGE
        )
    arches = {roll.id.arch for roll, _ in rolls if roll.id.arch != "noarch"} or {"noarch"}
    arch = arches.pop() if len(arches) == 1 else "any"
    path = output / f"{name}.{arch}.iso"
    epoch = max(roll.epoch for roll, _ in rolls)
    with suppress(_Written), staged_folder(output / f".{name}") as stage:
        for roll, folder in rolls:
            target = roll_folder(stage, roll.id)
            with explained("cannot write", target):
                target.parent.mkdir(parents=True, exist_ok=True)
            link_tree(roll_folder(folder, roll.id), target)
        write_disc_info(stage, name, arch, epoch)
        _write(stage, path, volume_id(name), epoch, advance)
        raise _Written  # the stage has done its service
    return path


def has_image(path: Path) -> bool:
    """Whether the image is there, and is what the digest beside it says. Raises RollbuildError, exit code DISK."""
    sums = _sums(path)
    if not path.is_file() or not sums.is_file():
        return False
    return read_limited(sums, 4096) == _line(path)


def volume_id(text: str) -> str:
    """A text as an ISO's volume id: at most 32 of A-Z, 0-9, `_` and `-`."""
    return re.sub(r"[^A-Z0-9_-]", "_", text.upper())[:_LONGEST]


def _write(folder: Path, path: Path, volume: str, epoch: int, advance: Advance | None) -> None:
    # An image and a digest that are not of each other must not be there, whatever stops the work in between.
    with explained("cannot remove", _sums(path)):
        _sums(path).unlink(missing_ok=True)
    write_iso(folder, path, volume_id=volume, epoch=epoch, advance=advance)
    write_atomically(_sums(path), _line(path))


def _sums(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _line(path: Path) -> bytes:
    return f"{digest_file(path)[0]}  {os.path.basename(path)}\n".encode()
