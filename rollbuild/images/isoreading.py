"""Reading ISO images, without a program, a mount or root: what they hold, single files, whole folders."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import explained
from rollbuild.images import implanting
from rollbuild.images.isorecords import BLOCK, Image
from rollbuild.images.isotree import IsoEntry, list_entries, read_volumes
from rollbuild.location import Location

Advance = Callable[[int], object]

_CHUNK = 1024 * 1024
_CHECKSUM = (implanting.PLACE, implanting.LENGTH)


@dataclass(frozen=True, slots=True)
class IsoImage:
    """An ISO image: its file, its volume id, its size in bytes. Use `open_iso` to get one.

    The file is opened anew for each use, so there is nothing to close.
    """

    path: Path
    volume_id: str
    size: int
    _entries: dict[str, IsoEntry] = field(repr=False)

    def entries(self) -> tuple[IsoEntry, ...]:
        """Every file, folder and link in it, sorted by path."""
        return tuple(self._entries.values())

    def find(self, inside: str) -> IsoEntry | None:
        """The entry at a path from the image's top, if there is one; links are not followed."""
        return self._entries.get(_plain(inside))

    def read(self, inside: str, limit: int) -> bytes:
        """The content of a file of at most `limit` bytes. Raises RollbuildError when it is longer or not there."""
        entry = self._entries.get(_plain(inside))
        if entry is None or not entry.is_file:
            what = "no such file" if entry is None else "no file of that name, but a folder, link or device"
            raise RollbuildError(f"this ISO image has {what}: {inside}", location=self._location())
        if entry.size > limit:
            raise RollbuildError(
                f"the file {inside} in this image is larger than {limit:,} bytes",
                location=self._location(),
                hint="is it the right file? Nothing of this kind is that large",
            )
        with _opened(self.path) as image:
            return b"".join(image.read(start, size) for start, size in entry.extents)

    def extract(self, inside: str, destination: Path, advance: Advance | None = None) -> tuple[str, ...]:
        """Copy a file, or all that a folder holds ("" is the whole image), to `destination`; what was left out.

        For a folder, `destination` is made unless it is there; a file that is there already is never written to.
        Files get mode 644 or 755, folders 755. Links stay links while they point into what is copied; other links,
        and devices, are left out, and their paths (in the image) are the result. `advance` is told the bytes of each
        step; their sum is `content_size(inside)`.

        Raises RollbuildError: REFUSED when there is nothing of that name, DISK when the disk refuses.
        """
        top, chosen = self._choose(inside)
        _check_space(destination if destination.is_dir() else destination.parent, chosen)
        left_out = []
        links = []
        if not top or chosen[0].is_folder:
            with explained("cannot write", destination):
                destination.mkdir(exist_ok=True)
        with _opened(self.path) as image:
            for entry in chosen:
                below = _below(entry, top)
                target = destination / below if below else destination
                if entry.is_file:
                    _copy_file(image, entry, target, advance)
                elif entry.is_folder:
                    with explained("cannot write", target):
                        if below:
                            target.mkdir()
                        target.chmod(0o755)
                elif entry.is_link and _stays_inside(below, entry.target):
                    links.append((target, entry.target))
                else:
                    left_out.append(entry.path)
        # Made last, so that nothing is ever written through one.
        for target, text in links:
            with explained("cannot write", target):
                os.symlink(text, target)
        return tuple(left_out)

    def content_size(self, inside: str = "") -> int:
        """How many bytes `extract` of the same path copies."""
        return sum(entry.size for entry in self._choose(inside)[1])

    def _choose(self, inside: str) -> tuple[str, list[IsoEntry]]:
        """The path as the image has it, and the entries at and below it."""
        top = _plain(inside)
        if not top:
            return "", list(self._entries.values())
        entry = self._entries.get(top)
        if entry is None or not (entry.is_file or entry.is_folder):
            raise RollbuildError(f"this ISO image has no file or folder {inside}", location=self._location())
        return top, [one for path, one in self._entries.items() if path == top or path.startswith(f"{top}/")]

    def _location(self) -> Location:
        return Location(os.fspath(self.path))


def open_iso(path: Path) -> IsoImage:
    """Read what an ISO image holds: a file, or a drive with a disc in it.

    Raises RollbuildError: REFUSED when it is no ISO image, is cut short or damaged; DISK when it cannot be read.
    """
    with _opened(path) as image:
        primary, joliet = read_volumes(image)
        _check_size(image, primary.size)
        entries = sorted(list_entries(image, primary, joliet), key=lambda entry: entry.path.split("/"))
    return IsoImage(Path(path), primary.volume_id, image.size, {entry.path: entry for entry in entries})


def check_iso(path: Path, *, md5: bool = True, advance: Advance | None = None) -> bool:
    """Whether an image carries a checksum, which is right; False when it has none, or `md5` is False.

    The whole image is read for it, and `advance` told the bytes of each step.
    Raises RollbuildError, REFUSED, when the image is cut short ("download incomplete") or its checksum is wrong.
    """
    with _opened(path) as image:
        primary, _ = read_volumes(image)
        _check_size(image, primary.size)
        wanted = re.search(rb"ISO MD5SUM = ([0-9a-f]{32});SKIPSECTORS = (\d{1,9});", image.read(*_CHECKSUM))
        if not md5 or wanted is None:
            return False
        found = _digest(image, primary.size - int(wanted[2]) * BLOCK, advance)
        if found != wanted[1].decode():
            raise RollbuildError(
                f"the image's content does not have the checksum that it carries: {found} is not {wanted[1].decode()}",
                location=Location(image.name),
                hint="fetch or copy it again: it is damaged",
            )
    return True


def _digest(image: Image, end: int, advance: Advance | None) -> str:
    """The MD5 up to `end`, with blanks where it is implanted itself."""
    digest = hashlib.md5(usedforsecurity=False)
    first, length = _CHECKSUM
    for position in range(0, end, _CHUNK):
        data = image.read(position, min(_CHUNK, end - position))
        if position == 0:
            data = data[:first] + b" " * length + data[first + length :]
        digest.update(data)
        if advance is not None:
            advance(len(data))
    return digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    with explained("cannot read", path):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(file).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise RollbuildError(
                f"this is {kind} where an ISO image is needed", location=Location(os.fspath(path)), exit_code=DISK
            )
        with explained("cannot read", path):
            yield Image(file, os.lseek(file, 0, os.SEEK_END), os.fspath(path))
    finally:
        os.close(file)


def _check_size(image: Image, wanted: int) -> None:
    if image.size < wanted:
        raise RollbuildError(
            f"this ISO image is incomplete: {image.size:,} of {wanted:,} bytes are there",
            location=Location(image.name),
            hint="its download or copy was cut short: fetch the rest, or all of it again",
        )


def _plain(inside: str) -> str:
    """A path as the entries have it: "/a//b/" is "a/b"."""
    return "/".join(part for part in inside.split("/") if part not in ("", "."))


def _below(entry: IsoEntry, top: str) -> str:
    return entry.path[len(top) + 1 :] if top else entry.path


def _stays_inside(path: str, target: str) -> bool:
    """Whether a link at `path` leads no higher than the top, whatever links its target goes through.

    Only leading ".." can be counted: what follows a name may be a link, and ".." then leads elsewhere.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    if target.startswith("/") or not target or "\0" in target:
        return False
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    return ".." not in parts[up:] and up <= path.count("/")


def _check_space(folder: Path, entries: list[IsoEntry]) -> None:
    needed = sum(entry.size + BLOCK for entry in entries)
    with explained("cannot write into", folder):
        space = os.statvfs(folder)
    if space.f_bavail * space.f_frsize < needed:
        raise RollbuildError(
            f"cannot copy the image's content into {folder}: it needs {needed:,} bytes, and the disk has "
            f"{space.f_bavail * space.f_frsize:,} left",
            hint="free some space or use another disk",
            exit_code=DISK,
        )


def _copy_file(image: Image, entry: IsoEntry, target: Path, advance: Advance | None) -> None:
    mode = 0o755 if entry.mode & 0o111 else 0o644
    with explained("cannot write", target):
        file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            for start, size in entry.extents:
                for position in range(start, start + size, _CHUNK):
                    data = memoryview(image.read(position, min(_CHUNK, start + size - position)))
                    while data:
                        written = os.write(file, data)
                        data = data[written:]
                        if advance is not None:
                            advance(written)
            os.fchmod(file, mode)
        except BaseException:
            os.unlink(target)
            raise
        finally:
            os.close(file)
