"""The header structure of RPM files: an index of tags over a store of values.

Source: the format description of rpm (docs/manual/format_header.md), numbers of tags from rpmtag.h.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"\x8e\xad\xe8\x01"
INTRO_BYTES = 16
_MAX_ENTRIES = 65_535
_MAX_STORE_BYTES = 256 * 1024 * 1024  # both limits are rpm's own
_ENTRY = struct.Struct(">IIII")
_INT16, _INT32, _INT64, _STRING, _BINARY, _STRINGS, _I18N = 3, 4, 5, 6, 7, 8, 9
_WIDTHS = {1: 1, 2: 1, _INT16: 2, _INT32: 4, _INT64: 8, _BINARY: 1}
_FORMATS = {_INT16: "H", _INT32: "I", _INT64: "Q"}
_TYPES = range(10)


class HeaderProblem(Exception):
    """What is wrong with a header, in words that follow `the header of the package is damaged: `."""


class CutShort(HeaderProblem):
    """The file ends before the header does; `missing` counts the bytes that are known to be missing."""

    def __init__(self, missing: int) -> None:
        super().__init__(f"the file ends {missing:,} bytes too early")
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Header:
    """One header: its bytes as they are in the file, and where each tag's value lies in its store."""

    blob: bytes
    store_at: int
    entries: Mapping[int, tuple[int, int, int]]  # tag -> type, offset in the store, count

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def texts(self, tag: int) -> tuple[str, ...]:
        """The strings of a tag; () when there is none. Raises HeaderProblem."""
        if tag not in self.entries:
            return ()
        kind, offset, count = self.entries[tag]
        if kind not in (_STRING, _STRINGS, _I18N):
            raise HeaderProblem(f"the tag {tag} is no text")
        texts, at = [], self.store_at + offset
        for _ in range(count):
            end = self.blob.find(b"\0", at)
            if end < 0:
                raise HeaderProblem(f"the text of the tag {tag} has no end")
            texts.append(self.blob[at:end].decode("utf-8", "replace"))
            at = end + 1
        return tuple(texts)

    def text(self, tag: int) -> str:
        """The first string of a tag; "" when there is none. Raises HeaderProblem."""
        return next(iter(self.texts(tag)), "")

    def number(self, tag: int) -> int | None:
        """The first number of a tag. Raises HeaderProblem."""
        if tag not in self.entries:
            return None
        kind, offset, count = self.entries[tag]
        if kind not in _FORMATS or not count:
            raise HeaderProblem(f"the tag {tag} is no number")
        number: int = struct.unpack_from(f">{_FORMATS[kind]}", self.blob, self.store_at + offset)[0]
        return number

    def binary(self, tag: int) -> bytes:
        """The bytes of a tag; b"" when there is none. Raises HeaderProblem."""
        if tag not in self.entries:
            return b""
        kind, offset, count = self.entries[tag]
        if kind != _BINARY:
            raise HeaderProblem(f"the tag {tag} does not hold bytes")
        return self.blob[self.store_at + offset : self.store_at + offset + count]


def read_header(file: BinaryIO, left: int) -> Header:
    """Read the header at the place of `file`, which has `left` more bytes; never past them. Raises HeaderProblem."""
    intro = file.read(min(INTRO_BYTES, left))
    if not MAGIC.startswith(intro[:4]) and not intro.startswith(MAGIC):
        raise HeaderProblem("its first bytes are not those of a header")
    if len(intro) < INTRO_BYTES:
        raise CutShort(INTRO_BYTES - len(intro))
    number, size = struct.unpack_from(">II", intro, 8)
    if not 0 < number <= _MAX_ENTRIES:
        raise HeaderProblem(f"it says that it has {number:,} entries; the limit is {_MAX_ENTRIES:,}")
    if size > _MAX_STORE_BYTES:
        raise HeaderProblem(f"it says that it has {size:,} bytes; the limit is {_MAX_STORE_BYTES:,}")
    length = number * _ENTRY.size + size
    if length > left - INTRO_BYTES:
        raise CutShort(length - (left - INTRO_BYTES))
    body = file.read(length)
    if len(body) < length:  # it shrank meanwhile
        raise CutShort(length - len(body))
    entries: dict[int, tuple[int, int, int]] = {}
    for tag, kind, offset, count in _ENTRY.iter_unpack(body[: number * _ENTRY.size]):
        # A text has at least its closing zero, so no type has more values than bytes.
        if kind not in _TYPES or offset > size or count * _WIDTHS.get(kind, 1) > size - offset:
            raise HeaderProblem(f"the tag {tag} lies outside of it")
        entries.setdefault(tag, (kind, offset, count))
    return Header(intro + body, INTRO_BYTES + number * _ENTRY.size, entries)
