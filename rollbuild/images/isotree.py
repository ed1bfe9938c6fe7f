"""The tree of an ISO 9660 image as its records have it: Rock Ridge names, else Joliet's, else the plain ones.

Every number is checked before it is used, see `rollbuild.images.isorecords`.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rollbuild.errors import RollbuildError
from rollbuild.images.isorecords import BLOCK, Image, Record, number, read_folder, rock_ridge_skip, text_of
from rollbuild.location import Location

FIRST_DESCRIPTOR = 16  # the block of the first volume descriptor; what stands before it is for boot loaders

_MOST_DESCRIPTORS = 64
_MOST_ENTRIES = 1_000_000
_DEEPEST = 128
_LONGEST_PATH = 4096
_JOLIET = (b"%/@", b"%/C", b"%/E")

_FOLDER_FLAG, _ASSOCIATED_FLAG, _MORE_EXTENTS_FLAG = 0x02, 0x04, 0x80


@dataclass(frozen=True, slots=True)
class IsoEntry:
    """A file, folder or link of an image: its path from the top without a slash before it, bytes that are no UTF-8
    as surrogate escapes; its size in bytes; its mode with the kind, as lstat has it; where a link points; and where
    its content lies, as (first byte, bytes) in the image.
    """

    path: str
    size: int
    mode: int
    target: str = ""
    extents: tuple[tuple[int, int], ...] = ()

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True)
class Volume:
    """What a volume descriptor says: the volume id, the whole image's size in bytes, the top folder's place, and
    whether names are Joliet's.
    """

    volume_id: str
    size: int
    root: int
    root_size: int
    joliet: bool = False


def read_volumes(image: Image) -> tuple[Volume, Volume | None]:
    """The primary volume, and Joliet's where there is one. Raises RollbuildError when this is no ISO image."""
    primary: Volume | None = None
    joliet: Volume | None = None
    for block in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + _MOST_DESCRIPTORS):
        start = block * BLOCK
        if start + BLOCK > image.size:
            break
        data = image.read(start, BLOCK)
        if data[1:6] != b"CD001" or data[0] == 255:
            break
        if data[0] == 1 and primary is None:
            primary = _read_descriptor(image, data, joliet=False)
        elif data[0] == 2 and data[88:91] in _JOLIET and joliet is None:
            joliet = _read_descriptor(image, data, joliet=True)
    if primary is None:
        raise _no_image(image)
    return primary, joliet


def _no_image(image: Image) -> RollbuildError:
    start = os.pread(image.file, 16, 0)
    if image.size == 0:
        what = "it is empty"
    elif start.startswith(b"\x00" + b"\xff" * 10 + b"\x00"):
        what = "it is a raw copy of a CD's sectors (.bin): convert it, with bchunk for instance"
    elif start.lstrip().startswith((b"<", b"{")):
        what = "it is a web page or a text: was the download refused?"
    else:
        what = "it has no ISO 9660 volume descriptor"
    return RollbuildError(
        f"this is no ISO image: {what}",
        location=Location(image.name),
        hint="name the .iso file as its publisher has it, and compare its checksum",
    )


def _read_descriptor(image: Image, data: bytes, *, joliet: bool) -> Volume:
    if number(data[128:130]) != BLOCK:
        raise image.damaged(f"its blocks have {number(data[128:130])} bytes instead of {BLOCK}")
    root = data[156:190]
    text = data[40:72]
    return Volume(
        volume_id=(text.decode("utf-16-be", "replace") if joliet else text.decode("utf-8", "replace")).rstrip(" \0"),
        size=number(data[80:84]) * BLOCK,
        root=(number(root[2:6]) + root[1]) * BLOCK,
        root_size=number(root[10:14]),
        joliet=joliet,
    )


def list_entries(image: Image, primary: Volume, joliet: Volume | None) -> Iterator[IsoEntry]:
    """Every entry, folders before their content, in the image's order.

    Raises RollbuildError for what no honest image holds: names with a slash, folders that hold themselves, content
    outside the image.
    """
    skip = rock_ridge_skip(image, primary.root, primary.root_size)
    volume = primary if skip is not None or joliet is None else joliet
    # mkisofs -f stores a folder once that has several names; one that holds itself would never end.
    pending: list[tuple[str, int, tuple[int, ...]]] = [("", volume.root_size, (volume.root,))]
    count = 0
    while pending:
        prefix, size, above = pending.pop()
        if len(above) > _DEEPEST:
            raise image.damaged(f"its folders are deeper than {_DEEPEST}")
        below: list[tuple[str, int, tuple[int, ...]]] = []
        seen = set()
        for record in _joined(image, read_folder(image, above[-1], size, None if volume.joliet else skip)):
            entry, place = _make_entry(image, prefix, record, volume.joliet)
            count += 1
            if count > _MOST_ENTRIES:
                raise image.damaged(f"it has more than {_MOST_ENTRIES:,} entries")
            image.spend(len(entry.path))
            if entry.path in seen:
                raise image.damaged(f"two of its files have the name {entry.path!r}")
            seen.add(entry.path)
            if place is not None:
                if place in above:
                    raise image.damaged(f"its folder {entry.path!r} holds itself")
                below.append((f"{entry.path}/", _folder_size(image, place, entry.size), (*above, place)))
                entry = replace(entry, size=0)
            yield entry
        pending.extend(reversed(below))


def _make_entry(image: Image, prefix: str, record: Record, joliet: bool) -> tuple[IsoEntry, int | None]:
    """The entry, and the first byte of its folder when it is one."""
    path = prefix + _name_of(image, record, joliet)
    if len(path) > _LONGEST_PATH:
        raise image.damaged(f"one of its paths is longer than {_LONGEST_PATH} characters")
    is_folder = bool(record.flags & _FOLDER_FLAG) or record.child is not None
    kind = stat.S_IFDIR if is_folder else stat.S_IFREG
    mode = record.mode or kind | (0o755 if is_folder else 0o644)
    if record.compressed:
        raise RollbuildError(
            f"the file {path} is compressed with zisofs, which rollbuild does not read", location=Location(image.name)
        )
    if is_folder != stat.S_ISDIR(mode):
        mode = kind | stat.S_IMODE(mode)
    if is_folder:
        return IsoEntry(path, record.size, mode), record.child if record.child is not None else record.start
    if not stat.S_ISREG(mode):
        return IsoEntry(path, 0, mode, text_of(b"".join(record.link))), None
    size = sum(length for _, length in record.extents)
    return IsoEntry(path, size, mode, extents=tuple(record.extents)), None


def _name_of(image: Image, record: Record, joliet: bool) -> str:
    if record.long_name:
        name = text_of(record.long_name)
    elif joliet:
        name = record.name.decode("utf-16-be", "replace").removesuffix(";1")
    else:
        name = text_of(record.name).partition(";")[0].removesuffix(".")
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise image.damaged(f"one of its files has a name that is none: {name!r}")
    return name


def _joined(image: Image, records: Iterator[Record]) -> Iterator[Record]:
    """Records as files: the parts of a file of 4 GiB or more, one record each, follow each other."""
    first: Record | None = None
    for record in records:
        if record.flags & _ASSOCIATED_FLAG:
            continue
        if record.size and record.start + record.size > image.size:
            raise image.damaged(f"the content of {text_of(record.long_name or record.name)} lies beyond its end")
        if first is None:
            first = record
        elif record.name != first.name:
            break
        if record.size:
            first.extents.append((record.start, record.size))
        if not record.flags & _MORE_EXTENTS_FLAG:
            yield first
            first = None
    if first is not None:
        raise image.damaged(f"a part of {text_of(first.long_name or first.name)} is missing")


def _folder_size(image: Image, place: int, size: int) -> int:
    """A folder's size from its own first record: what leads to a moved folder does not have it."""
    own = image.read(place, 34)
    return number(own[10:14]) if own[32] == 1 and own[33] == 0 else size
