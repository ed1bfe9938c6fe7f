"""The checksum that an image carries itself, which the installer's media check and checkisomd5 verify.

Layout, in the part of the primary volume descriptor that is free for programs: the MD5 of the image but its last
sectors, taken with blanks in that part, and the beginnings of the sums up to each twenty-first of it.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from rollbuild.files import explained

PLACE = 16 * 2048 + 883
LENGTH = 512
"""Where the text stands in an image, in bytes."""

_SIZE_PLACE = 16 * 2048 + 80
_SKIPPED = 15  # sectors at the end: drives and copies lose or add some
_SECTOR = 2048
_FRAGMENTS = 20
_DIGITS = 3  # of each fragment's sum: the first of each of as many bytes, written without leading zeros
_CHUNK = 32768  # the steps in which a fragment's end is looked for


def implant_md5(path: Path, advance: Callable[[int], object] | None = None) -> None:
    """Write the checksum into an image; equal images stay equal. `advance` is told the bytes of each step.

    Raises RollbuildError, exit code DISK.
    """
    with explained("cannot write", path), open(path, "r+b", buffering=0) as file:
        file.seek(PLACE)
        file.write(b" " * LENGTH)
        blocks = int.from_bytes(os.pread(file.fileno(), 4, _SIZE_PLACE), "little")
        end = (blocks - _SKIPPED) * _SECTOR
        fragment_size = end // (_FRAGMENTS + 1)
        digest = hashlib.md5(usedforsecurity=False)
        fragments, previous = [], 0
        file.seek(0)
        for place in range(0, end, _CHUNK):
            digest.update(file.read(min(_CHUNK, end - place)))
            if advance is not None:
                advance(min(_CHUNK, end - place))
            if place // fragment_size != previous:
                previous = place // fragment_size
                fragments += [f"{byte:x}"[0] for byte in digest.digest()[:_DIGITS]]
        text = (
            f"ISO MD5SUM = {digest.hexdigest()};SKIPSECTORS = {_SKIPPED};RHLISOSTATUS=0;"
            f"FRAGMENT SUMS = {''.join(fragments)};FRAGMENT COUNT = {_FRAGMENTS};"
            "THIS IS NOT THE SAME AS RUNNING MD5SUM ON THIS ISO!!"
        )
        file.seek(PLACE)
        file.write(text.encode("ascii").ljust(LENGTH)[:LENGTH])
