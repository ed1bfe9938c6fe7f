"""The records of an image's folders, and the Rock Ridge fields in them.

Written for images that other programs made, whole, cut short or hostile: every number is checked before it is used.
Source of the format: ECMA-119, the System Use Sharing Protocol (IEEE P1281) and Rock Ridge (IEEE P1282).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from rollbuild.errors import RollbuildError
from rollbuild.location import Location

BLOCK = 2048

_LARGEST_FOLDER = 64 * 1024 * 1024
_MOST_CONTINUATIONS = 64
_MOST_RECORDS = 256 * 1024 * 1024
"""Bytes of folders, names and links that are read of one image. Hostile ones have few that stand for many: folders in
several folders at once, areas that many records go on in."""


@dataclass(slots=True)
class Record:
    """A directory record, and what its Rock Ridge fields add."""

    name: bytes
    start: int
    size: int
    flags: int
    extents: list[tuple[int, int]] = field(default_factory=list)
    mode: int = 0
    long_name: bytes = b""
    link: list[bytes] = field(default_factory=list)
    link_goes_on: bool = False
    is_moved: bool = False
    child: int | None = None
    compressed: bool = False


class Image:
    """Checked reads from an open image file; `name` is what messages call it."""

    def __init__(self, file: int, size: int, name: str) -> None:
        self.file, self.size, self.name = file, size, name
        self.spent = 0

    def spend(self, size: int) -> None:
        """Take note of bytes of records that are read. Raises RollbuildError when they are more than can be."""
        self.spent += size
        if self.spent > _MOST_RECORDS:
            raise self.damaged(f"its folders have more than {_MOST_RECORDS:,} bytes together")

    def damaged(self, what: str) -> RollbuildError:
        return RollbuildError(
            f"this ISO image is damaged: {what}",
            location=Location(self.name),
            hint="fetch or copy it again, and compare its checksum with the publisher's",
        )

    def read(self, start: int, size: int) -> bytes:
        if start < 0 or start + size > self.size:
            raise self.damaged(f"it refers to byte {start + size:,}, and ends at byte {self.size:,}")
        data = os.pread(self.file, size, start)
        if len(data) != size:
            raise self.damaged(f"it ends at byte {start + len(data):,}")
        return data


def read_folder(image: Image, start: int, size: int, skip: int | None) -> Iterator[Record]:
    """The records of a folder but the first two, itself and the one above it, and those that were moved elsewhere."""
    if size > _LARGEST_FOLDER:
        raise image.damaged(f"one of its folders has {size:,} bytes")
    image.spend(size)
    data = image.read(start, size)
    position = index = 0
    while position < size:
        length = data[position]
        if length == 0:  # records do not cross blocks
            position = (position // BLOCK + 1) * BLOCK
            continue
        raw = data[position : position + length]
        if length < 34 or len(raw) != length or 33 + raw[32] > length:
            raise image.damaged("a record of one of its folders is cut off")
        position += length
        index += 1
        if index <= 2 and raw[33 : 33 + raw[32]] in (b"\0", b"\1"):
            continue
        record = Record(
            name=raw[33 : 33 + raw[32]],
            start=(number(raw[2:6]) + raw[1]) * BLOCK,
            size=number(raw[10:14]),
            flags=raw[25],
        )
        if skip is not None:
            _add_rock_ridge(image, record, raw[33 + raw[32] + (1 - raw[32] % 2) + skip :])
        if not record.is_moved:
            yield record


def rock_ridge_skip(image: Image, root: int, size: int) -> int | None:
    """How many bytes stand before the fields of each record, or None where there is no Rock Ridge."""
    data = image.read(root, min(size, BLOCK))
    if len(data) < 34 or data[0] < 34:
        raise image.damaged("its top folder is empty")
    fields = data[34 : data[0]]
    # The first record of an XA disc has 14 bytes before them.
    for skip in (0, 14):
        if fields[skip : skip + 2] == b"SP" and fields[skip + 4 : skip + 6] == b"\xbe\xef":
            return fields[skip + 6]
    return None


def _add_rock_ridge(image: Image, record: Record, fields: bytes) -> None:
    for kind, data in _fields(image, fields):
        if kind == b"NM" and data and not data[0] & 0x06:
            record.long_name += data[1:]
        elif kind == b"PX" and len(data) >= 4:
            record.mode = number(data[:4])
        elif kind == b"SL" and data:
            _add_link(record, data[1:])
        elif kind == b"CL" and len(data) >= 4:
            record.child = number(data[:4]) * BLOCK
        elif kind == b"RE":
            record.is_moved = True
        elif kind == b"ZF":
            record.compressed = True


def _fields(image: Image, fields: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(signature, data) of each system use field, those of continuation areas too."""
    for _ in range(_MOST_CONTINUATIONS):
        place = None
        while len(fields) >= 4:
            kind, length = fields[:2], fields[2]
            if length < 4 or length > len(fields) or kind == b"ST":
                break
            data, fields = fields[4:length], fields[length:]
            if kind == b"CE" and len(data) >= 24:
                place = number(data[:4]) * BLOCK + number(data[8:12]), number(data[16:20])
            else:
                yield kind, data
        if place is None:
            return
        if place[1] > 16 * BLOCK:
            raise image.damaged("a record's continuation is too long")
        image.spend(4 * place[1])  # fields are small, and there may be many
        fields = image.read(*place)
    raise image.damaged("a record's continuations do not end")


def _add_link(record: Record, data: bytes) -> None:
    """Add the components of one SL field to the link's text."""
    while len(data) >= 2:
        flags, length = data[0], data[1]
        if record.link and not record.link_goes_on:
            record.link.append(b"/")
        record.link.append({2: b".", 4: b"..", 8: b"/"}.get(flags & 0x0E, data[2 : 2 + length]))
        record.link_goes_on = bool(flags & (1 | 8))
        data = data[2 + length :]


def number(data: bytes) -> int:
    """A little-endian number; each is followed by the same in the other order."""
    return int.from_bytes(data, "little")


def text_of(data: bytes) -> str:
    return os.fsdecode(data)
