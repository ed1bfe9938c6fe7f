"""Metadata files in blocks that are compressed one by one, so that those without a change need not be made again."""

import hashlib
import os
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import explained
from rollbuild.packages.metadata_cache import MetadataCache
from rollbuild.packages.metadata_segments import KINDS, Segment
from rollbuild.packages.metadata_workers import shared_work
from rollbuild.packages.native import load_createrepo

Packing = Literal["gz", "zst"]

_LEAST_BYTES = 128 * 1024
_WORTH_A_PROCESS = 64
_GZIP_LEVEL = 6
_GZIP = 31  # zlib's word for a window of 32 KiB in a gzip file; such a file says neither name nor time

_OPENING = {
    "primary": b'<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm"',
    "filelists": b'<filelists xmlns="http://linux.duke.edu/metadata/filelists"',
    "other": b'<otherdata xmlns="http://linux.duke.edu/metadata/other"',
}
_CLOSING = {"primary": b"</metadata>", "filelists": b"</filelists>", "other": b"</otherdata>"}


@dataclass(frozen=True, slots=True)
class Plain:
    """A file that is to be compressed: its name, and the blocks that it is cut into."""

    name: str
    blocks: "Sequence[Block]"


@dataclass(frozen=True, slots=True)
class Block:
    """A text in pieces, and a key that says all that the text depends on."""

    key: str
    pieces: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Packed:
    """A compressed file, and what it unpacks to: SHA-256 and size of both."""

    data: bytes
    sha256: str
    open_sha256: str
    open_size: int


def list_packages(kind: str, segments: Sequence[Segment], count: int) -> Plain:
    """The file of a `kind` (one of KINDS), of `count` packages.

    Blocks are separate members of a gzip file, or frames of a zstd file; where they end depends on the packages
    alone: added ones change few blocks. Every reader takes the members or frames as one text.
    """
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n' + _OPENING[kind] + b' packages="%d">\n' % count
    blocks = _cut(kind, segments)
    if len(blocks) < 2:
        return Plain(
            f"{kind}.xml", [_keyed(head, *(piece for block in blocks for piece in block.pieces), _CLOSING[kind])]
        )
    return Plain(f"{kind}.xml", [_keyed(head), *blocks, _keyed(_CLOSING[kind])])


def in_one_block(name: str, text: bytes) -> Plain:
    """A file of any content."""
    return Plain(name, [_keyed(text)])


def _keyed(*pieces: bytes) -> Block:
    return Block(hashlib.sha256(b"".join(pieces)).hexdigest(), pieces)


def _cut(kind: str, segments: Sequence[Segment]) -> list[Block]:
    """Join segments to blocks that are large enough to be worth it."""
    index = KINDS.index(kind)
    blocks: list[Block] = []
    some: list[Segment] = []
    size = 0
    for segment in segments:
        some.append(segment)
        size += len(segment.texts[index])
        if size >= _LEAST_BYTES:
            blocks.append(_join(kind, some))
            some, size = [], 0
    return [*blocks, _join(kind, some)] if some else blocks


def _join(kind: str, segments: Sequence[Segment]) -> Block:
    index = KINDS.index(kind)
    key = hashlib.sha256(" ".join((kind, *(segment.key for segment in segments))).encode()).hexdigest()
    return Block(key, [segment.texts[index] for segment in segments])


def pack_files(files: Sequence[Plain], packing: Packing, cache: MetadataCache) -> tuple[list[Packed], dict[str, bytes]]:
    """Compress files. Returns them, and the blocks that the cache does not have yet, for it to keep.

    Raises RollbuildError, exit code DISK, where what was compressed does not unpack to the same.
    """
    how = f"{packing} {_GZIP_LEVEL} {zlib.ZLIB_RUNTIME_VERSION} "
    found = cache.find(how + block.key for plain in files for block in plain.blocks)
    missing = {how + block.key: block for plain in files for block in plain.blocks if how + block.key not in found}
    work = _compress_zstd if packing == "zst" else _compress_gzip
    with shared_work(work, list(missing.values()), worth=len(missing) // _WORTH_A_PROCESS + 1) as results:
        digests = [_digest(plain) for plain in files]  # meanwhile
        made = dict(zip(missing, results, strict=True))
    found.update(made)
    packed = []
    for plain, (digest, size) in zip(files, digests, strict=True):
        data = b"".join([found[how + block.key] for block in plain.blocks])
        packed.append(Packed(data, hashlib.sha256(data).hexdigest(), digest, size))
    return packed, made


def _digest(plain: Plain) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for block in plain.blocks:
        for piece in block.pieces:
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


def _compress_gzip(blocks: Sequence[Block]) -> list[bytes]:
    made = []
    for block in blocks:
        text = b"".join(block.pieces)
        made.append(zlib.compress(text, _GZIP_LEVEL, wbits=_GZIP))
        if zlib.decompress(made[-1], wbits=_GZIP) != text:
            raise _spoilt()
    return made


def _compress_zstd(blocks: Sequence[Block]) -> list[bytes]:
    """By way of files, which is all that createrepo_c offers; each is unpacked again and compared."""
    made = []
    library = load_createrepo()
    with explained("cannot write into", tempfile.gettempdir()):
        scratch = tempfile.TemporaryDirectory(prefix="rollbuild-")
    with scratch as folder, explained("cannot write into", folder):
        plain, packed, again = (os.path.join(folder, name) for name in ("plain", "packed", "again"))
        for block in blocks:
            text = b"".join(block.pieces)
            with open(plain, "wb") as file:
                file.write(text)
            try:
                library.compress_file(plain, packed, library.ZSTD_COMPRESSION)
                library.decompress_file(packed, again, library.ZSTD_COMPRESSION)
            except library.CreaterepoCError as problem:
                raise _spoilt(f": {' '.join(str(problem).split())}") from None
            with open(packed, "rb") as one, open(again, "rb") as other:
                made.append(one.read())
                if other.read() != text:
                    raise _spoilt()
            os.unlink(packed)
            os.unlink(again)
    return made


def _spoilt(more: str = "") -> RollbuildError:
    return RollbuildError(
        f"metadata does not unpack to what was compressed{more}",
        hint=f"is the disk of {tempfile.gettempdir()} full?",
        exit_code=DISK,
    )
