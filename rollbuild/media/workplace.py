"""Where an image is made: folders that pass, and files that take their places when all of them are whole."""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rollbuild.files import explained, staged_folder


class _Done(Exception):
    """No error: it takes the stage away."""


@contextmanager
def passing_folder(parent: Path) -> Iterator[Path]:
    """A folder that goes when the block ends; that of a process that was killed goes with the next."""
    with suppress(_Done), staged_folder(parent / ".rollbuild-disc") as stage:
        yield stage
        raise _Done


@contextmanager
def workplace(output: Path) -> Iterator[Path]:
    """A folder beside an output that goes when the block ends."""
    with explained("cannot write", output):
        output.parent.mkdir(parents=True, exist_ok=True)
    with passing_folder(output.parent) as folder:
        yield folder


def place_files(work: Path, outputs: Sequence[Path], *, are_private: bool = False) -> None:
    """Let files and their .sha256 take their places from the folder `work`, when all of them are whole.

    `are_private`: only their owner may read them.
    """
    if are_private:
        for output in outputs:
            with explained("cannot write", output):
                os.chmod(work / output.name, 0o600)
    for output in outputs:
        place = Path(os.path.realpath(output))
        sums = place.with_name(f"{place.name}.sha256")
        with explained("cannot write", output), _alone(place.parent):
            # An image and a digest that are not of each other are never there, whatever stops the work in between.
            sums.unlink(missing_ok=True)
            os.replace(work / output.name, place)
            os.replace(work / f"{output.name}.sha256", sums)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other run places files in this folder: the image of one would get the digest of the other."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def in_mebibytes(step: Callable[..., None]) -> Callable[[int], None]:
    """Tell a bar of MiB about bytes."""
    rest = 0

    def advance(size: int) -> None:
        nonlocal rest
        steps, rest = divmod(rest + size, 1 << 20)
        if steps:
            step(steps)

    return advance
