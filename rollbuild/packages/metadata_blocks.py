"""Metadata files in blocks that are compressed one by one, so that those without a change need not be made again."""

import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.parsers import expat

from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import explained
from rollbuild.location import Location
from rollbuild.packages.metadata_cache import MetadataCache
from rollbuild.packages.native import load_createrepo, silent_library

Packing = Literal["gz", "zst"]

_LEAST_BYTES = 128 * 1024
_MOST_BYTES = 2 * 1024 * 1024
_ONE_IN = 16
_GZIP_LEVEL = 6
_GZIP = 31  # zlib's word for a window of 32 KiB in a gzip file; such a file says neither name nor time

_OPENING = {
    "primary": b'<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm"',
    "filelists": b'<filelists xmlns="http://linux.duke.edu/metadata/filelists"',
    "other": b'<otherdata xmlns="http://linux.duke.edu/metadata/other"',
}
_CLOSING = {"primary": b"</metadata>", "filelists": b"</filelists>", "other": b"</otherdata>"}


@dataclass(frozen=True, slots=True)
class Packed:
    """A compressed file, and what it unpacks to: SHA-256 and size of both."""

    data: bytes
    sha256: str
    open_sha256: str
    open_size: int


class Packer:
    """Compresses, with the blocks of a cache. `new` are the blocks that the cache did not have."""

    def __init__(self, packing: Packing, cache: MetadataCache) -> None:
        self.packing = packing
        self.cache = cache
        self.new: dict[bytes, bytes] = {}

    def pack_list(self, kind: str, chunks: Sequence[bytes], digests: Sequence[str]) -> Packed:
        """The file of a `kind` (primary, filelists, other), of the packages' chunks.

        Blocks are separate members of a gzip file, or frames of a zstd file; where they end depends on the packages
        alone: added ones change few blocks. Every reader takes the members or frames as one text.
        """
        count = b' packages="%d">\n' % len(chunks)
        opening, closing = b'<?xml version="1.0" encoding="UTF-8"?>\n' + _OPENING[kind] + count, _CLOSING[kind]
        texts = _cut(chunks, digests)
        if len(texts) < 2:
            texts = [opening + b"".join(texts) + closing]
            return self._pack(texts, f"{kind}.xml", _check_xml)
        return self._pack([opening, *texts, closing], f"{kind}.xml", _check_block)

    def pack(self, text: bytes, name: str) -> Packed:
        """A file of any content in one block. `name` is for messages."""
        return self._pack([text], name)

    def _pack(self, texts: Sequence[bytes], name: str, check: Callable[[bytes, str], object] | None = None) -> Packed:
        keys = [self._key(text) for text in texts]
        found = dict(self.cache.find_blocks(keys))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if check is not None:
            for text in missing.values():
                check(text, name)
        made = _compress_zstd(missing, name) if self.packing == "zst" else _compress_gzip(missing, name)
        found.update(made)
        self.new.update(made)
        plain = hashlib.sha256()
        for text in texts:
            plain.update(text)
        data = b"".join(found[key] for key in keys)
        return Packed(data, hashlib.sha256(data).hexdigest(), plain.hexdigest(), sum(map(len, texts)))

    def _key(self, text: bytes) -> bytes:
        how = f"{self.packing} {_GZIP_LEVEL} {zlib.ZLIB_RUNTIME_VERSION} ".encode()
        return hashlib.sha256(how + hashlib.sha256(text).digest()).digest()


def _cut(chunks: Sequence[bytes], digests: Sequence[str]) -> list[bytes]:
    """Join chunks to blocks; a block ends after a package whose digest says so, or when it is large."""
    blocks: list[bytes] = []
    some: list[bytes] = []
    size = 0
    for chunk, digest in zip(chunks, digests, strict=True):
        some.append(chunk)
        size += len(chunk)
        if size >= _MOST_BYTES or (size >= _LEAST_BYTES and int(digest[:4], 16) % _ONE_IN == 0):
            blocks.append(b"".join(some))
            some, size = [], 0
    return [*blocks, b"".join(some)] if some else blocks


def _check_block(text: bytes, name: str) -> None:
    if text.startswith(b"<package"):  # neither the opening nor the closing tag of the file
        _check_xml(b"<all>" + text + b"</all>", name)


def _check_xml(text: bytes, name: str) -> None:
    """Whether a text is well-formed: a header may hold anything, and readers would refuse the whole file."""
    parser = expat.ParserCreate()
    try:
        parser.Parse(text, True)
    except expat.ExpatError as problem:
        end = parser.ErrorByteIndex
        start = text.rfind(b"<package", 0, end)
        about = text[start : start + 300].decode(errors="replace")
        raise RollbuildError(
            f"the metadata of a package is no XML: {expat.errors.messages[problem.code]}, in {' '.join(about.split())}",
            location=Location(name),
            hint="a header holds what it must not; build that package again",
        ) from None


def _compress_gzip(texts: Mapping[bytes, bytes], name: str) -> Mapping[bytes, bytes]:
    made = {}
    for key, text in texts.items():
        made[key] = zlib.compress(text, _GZIP_LEVEL, wbits=_GZIP)
        if zlib.decompress(made[key], wbits=_GZIP) != text:
            raise _spoilt(name)
    return made


def _compress_zstd(texts: Mapping[bytes, bytes], name: str) -> Mapping[bytes, bytes]:
    """By way of files, which is all that createrepo_c offers; each is unpacked again and compared."""
    made: dict[bytes, bytes] = {}
    if not texts:
        return made
    library = load_createrepo()
    with explained("cannot write into", tempfile.gettempdir()):
        scratch = tempfile.TemporaryDirectory(prefix="rollbuild-")
    with scratch as folder, explained("cannot write into", folder):
        for number, (key, text) in enumerate(texts.items()):
            plain, packed, again = (os.path.join(folder, f"{number}.{end}") for end in ("xml", "zst", "out"))
            with open(plain, "wb") as file:
                file.write(text)
            try:
                with silent_library():
                    library.compress_file(plain, packed, library.ZSTD_COMPRESSION)
                    library.decompress_file(packed, again, library.ZSTD_COMPRESSION)
            except library.CreaterepoCError as problem:
                raise _spoilt(name, f": {' '.join(str(problem).split())}") from None
            with open(packed, "rb") as one, open(again, "rb") as other:
                made[key] = one.read()
                if other.read() != text:
                    raise _spoilt(name)
            for path in (plain, packed, again):
                os.unlink(path)
    return made


def _spoilt(name: str, more: str = "") -> RollbuildError:
    return RollbuildError(
        f"{name} does not unpack to what was compressed{more}",
        hint=f"is the disk of {tempfile.gettempdir()} full?",
        exit_code=DISK,
    )
