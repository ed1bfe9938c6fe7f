"""The checksum that an image carries itself, which the installer's media check and checkisomd5 verify.

Layout, in the part of the primary volume descriptor that is free for programs: the MD5 of the image but its last
sectors, taken with blanks in that part, and the beginnings of the sums up to each twenty-first of it.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import explained
from rollbuild.location import Location

PLACE = 16 * 2048 + 883
LENGTH = 512
"""Where the text stands in an image, in bytes."""

_SIZE_PLACE = 16 * 2048 + 80
_SKIPPED = 15  # sectors at the end: drives and copies lose or add some
_SECTOR = 2048
_FRAGMENTS = 20
_DIGITS = 3  # of each fragment's sum: the first of each of as many bytes, written without leading zeros
_CHUNK = 32768  # the steps in which a fragment's end is looked for
_PIECE = 8 * _CHUNK
_PAUSE = 0.01  # seconds


@contextmanager
def implanting_md5(path: Path, advance: Callable[[int], object] | None = None) -> Iterator[Callable[[], None]]:
    """Sum the image `path` while the block writes it, from its beginning to its end, and then put the checksum into it.

    Equal images stay equal. `advance` is told the bytes summed, by this thread alone: after the block, and within it
    when the block calls what it is given. Raises RollbuildError, exit code DISK.
    """
    image_sum, ended, told = _ImageSum(), threading.Event(), 0

    def tell() -> None:
        nonlocal told
        done = image_sum.place
        if advance is not None and done > told:
            advance(done - told)
            told = done

    # Half of the time that it takes to make an image is spent on the sum: it is taken from what the kernel still has
    # in memory, on another processor.
    thread = threading.Thread(target=image_sum.follow, args=(path, ended), daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        ended.set()
        thread.join()
    with explained("cannot write", path), open(path, "r+b", buffering=0) as file:
        if not image_sum.is_of(file.fileno()):
            image_sum = _ImageSum()
        for _ in image_sum.read(file.fileno(), os.fstat(file.fileno()).st_size):
            tell()
        if not image_sum.is_complete:
            raise RollbuildError(
                "the image was cut short while it was written", location=Location(os.fspath(path)), exit_code=DISK
            )
        os.pwrite(file.fileno(), image_sum.text(), PLACE)


class _ImageSum:
    """A sum that grows with its image: `place` is how many bytes are in it."""

    def __init__(self) -> None:
        self.place, self._start, self._end = 0, b"", 0
        self._fragment_size, self._fragments, self._previous = 0, "", 0
        self._digest = hashlib.md5(usedforsecurity=False)
        self._buffer = bytearray(_PIECE)

    @property
    def is_complete(self) -> bool:
        return self._end > 0 and self.place == self._end

    def follow(self, path: Path, ended: threading.Event) -> None:
        """Take in what there is of an image that grows, until it has `ended`."""
        with suppress(OSError):  # whoever completes the sum meets it too
            while not path.exists():
                if ended.wait(_PAUSE):
                    return
            with open(path, "rb", buffering=0) as file:
                while not ended.wait(_PAUSE):
                    size = os.fstat(file.fileno()).st_size
                    for _ in self.read(file.fileno(), size) if size >= _PIECE else ():
                        if ended.is_set():
                            return

    def is_of(self, file: int) -> bool:
        """Whether the start of the image, which tells its size too, is still what was read."""
        return not self.place or self._start == _read_start(file)

    def read(self, file: int, size: int) -> Iterator[int]:
        """Take in the image up to about `size`, and give the bytes of each step."""
        if not self.place:
            self._start = _read_start(file)
            self._end = (int.from_bytes(self._start[_SIZE_PLACE : _SIZE_PLACE + 4], "little") - _SKIPPED) * _SECTOR
            self._fragment_size = self._end // (_FRAGMENTS + 1)
        limit = self._end if size >= self._end else size // _CHUNK * _CHUNK
        view = memoryview(self._buffer)
        while self.place < limit:
            wanted = min(_PIECE, limit - self.place)
            if os.preadv(file, [view[:wanted]], self.place) < wanted:
                return
            if not self.place:
                view[:wanted] = self._start[:wanted]
            for first in range(0, wanted, _CHUNK):
                self._add(view[first : min(first + _CHUNK, wanted)], self.place + first)
            self.place += wanted
            yield wanted

    def _add(self, chunk: memoryview, place: int) -> None:
        self._digest.update(chunk)
        if place // self._fragment_size != self._previous:
            self._previous = place // self._fragment_size
            self._fragments += "".join(f"{byte:x}"[0] for byte in self._digest.digest()[:_DIGITS])

    def text(self) -> bytes:
        """What an image of this sum carries."""
        text = (
            f"ISO MD5SUM = {self._digest.hexdigest()};SKIPSECTORS = {_SKIPPED};RHLISOSTATUS=0;"
            f"FRAGMENT SUMS = {self._fragments};FRAGMENT COUNT = {_FRAGMENTS};"
            "THIS IS NOT THE SAME AS RUNNING MD5SUM ON THIS ISO!!"
        )
        return text.encode("ascii").ljust(LENGTH)[:LENGTH]


def _read_start(file: int) -> bytes:
    """The start of an image, with its volume descriptor, and with blanks where the checksum goes."""
    start = bytearray(os.pread(file, _PIECE, 0))
    start[PLACE : PLACE + LENGTH] = b" " * LENGTH
    return bytes(start)
