"""RPM files: what their headers say, and whether they are whole. Reads them itself; no rpm is needed."""

import hashlib
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import explained
from rollbuild.location import Location
from rollbuild.packages.openpgp import read_issuers, unarmoured_text
from rollbuild.packages.rpmheader import CutShort, Header, HeaderProblem, read_header

_LEAD = struct.Struct(">4sBBHH66sHH16s")
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_CHUNK = 1024 * 1024

# Tags of the signature header.
_DSA, _RSA, _SHA1_HEADER, _LONG_SIZE, _SHA256_HEADER, _OPENPGP = 267, 268, 269, 270, 273, 278
_SIZE, _PGP, _MD5, _GPG = 1000, 1002, 1004, 1005
# Tags of the main header.
_NAME, _VERSION, _RELEASE, _EPOCH, _SUMMARY, _BUILD_TIME, _ARCH = 1000, 1001, 1002, 1003, 1004, 1006, 1022
_SOURCE_RPM, _SOURCE_PACKAGE, _PAYLOAD_FORMAT = 1044, 1106, 1124
_PAYLOAD_DIGEST, _PAYLOAD_DIGEST_ALGORITHM, _RPM_FORMAT = 5092, 5093, 5114
_ALGORITHMS = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}  # RFC 4880, section 9.4

# What names of packages, versions and architectures are made of; none may lead out of a folder.
_PLAIN = re.compile(r"(?![.-])[^\s/\x00-\x1f\x7f\ufffd]{1,255}")
_PLAIN_VERSION = re.compile(r"[^\s/\x00-\x1f\x7f\ufffd-]{1,255}")
_AGAIN = "fetch or build it again"

_LOOKS = (
    (b"drpm", "a delta RPM", "rollbuild takes whole packages: fetch the whole one"),
    (b"version https://git-lfs", "the pointer of a file in Git LFS", "fetch the file itself: git lfs pull"),
    (b"!<arch>\n", "a Debian package", "rollbuild takes RPM packages only"),
    (b"\x1f\x8b", "a gzip file", ""),
    (b"\xfd7zXZ", "an xz file", ""),
    (b"PK\x03\x04", "a zip file", ""),
    (b"\x7fELF", "a program", ""),
    (b"\x8e\xad\xe8", "the header of a package without its lead", _AGAIN),
)


@dataclass(frozen=True, slots=True)
class RpmFile:
    """One package file.

    `epoch` is "0" where the package has none; `arch` is "src" for source packages; `size` is the file's, in bytes;
    `build_time` is in seconds since 1970; `header_sha256` is of the main header alone, which signing does not change;
    `signed_by` holds key ids (16 lower-case hexadecimal digits, zeros where a signature names no key), none when the
    package is not signed; `source_rpm` is "" for source packages.
    """

    path: Path
    name: str
    epoch: str
    version: str
    release: str
    arch: str
    size: int
    build_time: int
    header_sha256: str
    signed_by: tuple[str, ...]
    summary: str
    source_rpm: str

    @property
    def evr(self) -> tuple[str, str, str]:
        return self.epoch, self.version, self.release

    @property
    def nevra(self) -> str:
        return f"{self.name}-{self.epoch}:{self.version}-{self.release}.{self.arch}"

    @property
    def label(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.{self.arch}"

    @property
    def file_name(self) -> str:
        return f"{self.label}.rpm"


@dataclass(frozen=True, slots=True)
class OpenRpm:
    """A package whose headers were read; `file` stands at its payload, which has `payload_size` bytes."""

    rpm: RpmFile
    file: BinaryIO
    signature: Header
    header: Header
    payload_size: int


def read_rpm(path: Path) -> RpmFile:
    """What the headers of a package say. The payload is not read, but its length is checked.

    Raises RollbuildError: DISK when it cannot be read, REFUSED when it is no whole RPM package of format 3 or 4.
    """
    with open_rpm(path) as opened:
        return opened.rpm


def verify_rpm(path: Path) -> RpmFile:
    """The same, with every digest that the package has compared. Signatures are `Keyring`'s. Raises RollbuildError."""
    with open_rpm(path) as opened:
        verify_payload(opened)
        return opened.rpm


@contextmanager
def open_rpm(path: Path) -> Iterator[OpenRpm]:
    """A package whose headers are read and checked, for as long as the block lasts. Raises RollbuildError."""
    with explained("cannot read", path), open_regular(path) as file:
        yield _read_headers(path, file, os.fstat(file.fileno()).st_size)


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read; never wait for a pipe. Raises OSError and RollbuildError, exit code DISK."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise RollbuildError(f"this is {kind} where a file is needed", location=_location(path), exit_code=DISK)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def verify_payload(opened: OpenRpm) -> None:
    """Compare the digests of the payload; `opened.file` stands at the payload before and after.

    Raises RollbuildError.
    """
    path, header, signature = opened.rpm.path, opened.header, opened.signature
    wanted: list[tuple[str, str]] = []  # (algorithm, digest in hexadecimal)
    try:
        if _PAYLOAD_DIGEST in header:
            algorithm = header.number(_PAYLOAD_DIGEST_ALGORITHM)
            name = _ALGORITHMS.get(8 if algorithm is None else algorithm)
            if name is None:
                raise HeaderProblem(f"the digest of the payload is of an unknown kind, {algorithm}")
            wanted.append((name, header.text(_PAYLOAD_DIGEST).lower()))
        md5 = signature.binary(_MD5).hex()
    except HeaderProblem as problem:
        raise _damaged(path, problem) from None
    if not wanted and not md5:
        raise RollbuildError(
            "this package has no digest of its content, so nothing can tell whether it is whole",
            location=_location(path),
            hint="build it again with a current rpm",
        )
    digests = [hashlib.new(name, usedforsecurity=False) for name, _ in wanted]
    if md5:  # of the header and the payload together
        wanted.append(("md5", md5))
        digests.append(hashlib.md5(header.blob, usedforsecurity=False))
    start, left = opened.file.tell(), opened.payload_size
    while left and (piece := opened.file.read(min(_CHUNK, left))):
        left -= len(piece)
        for digest in digests:
            digest.update(piece)
    opened.file.seek(start)
    if any(digest.hexdigest() != value for digest, (_, value) in zip(digests, wanted, strict=True)):
        raise RollbuildError(
            "the content of this package is damaged: its digest is another than its header says",
            location=_location(path),
            hint=_AGAIN,
            code="DAMAGED_PACKAGE",
        )


def _read_headers(path: Path, file: BinaryIO, size: int) -> OpenRpm:
    _check_lead(path, file.read(_LEAD.size), size)
    signature = None
    try:
        signature = read_header(file, size - file.tell())
        file.read(-len(signature.blob) % 8)
        header_at = file.tell()
        _check_length(path, signature, size - header_at)
        header = read_header(file, max(size - header_at, 0))
        header_sha256 = _check_header(signature, header)
        rpm = _describe(path, size, header_sha256, signature, header)
    except CutShort as problem:
        raise _truncated(path, problem.missing, least=True) from None
    except HeaderProblem as problem:
        raise _damaged(path, problem, of="signature header" if signature is None else "header") from None
    return OpenRpm(rpm, file, signature, header, size - file.tell())


def _check_lead(path: Path, lead: bytes, size: int) -> None:
    if not lead.startswith(_LEAD_MAGIC) and not (lead and _LEAD_MAGIC.startswith(lead)):
        looks, hint = _guess_kind(lead)
        raise RollbuildError(f"this is no RPM package but {looks}", location=_location(path), hint=hint)
    if size < _LEAD.size:
        raise _truncated(path, _LEAD.size - size, least=True)
    _, major, _, _, _, _, _, signature_type, _ = _LEAD.unpack(lead)
    if major not in (3, 4):
        raise _unknown_format(path, str(major))
    if signature_type != 5:
        raise _damaged(path, HeaderProblem(f"its signature header is of the unknown kind {signature_type}"), of="lead")


def _guess_kind(start: bytes) -> tuple[str, str]:
    """(what a file that is no RPM looks like, what to do)."""
    if not start:
        return "an empty file", f"the download or the disk failed: {_AGAIN}"
    for magic, looks, hint in _LOOKS:
        if start.startswith(magic):
            return looks, hint
    if not start.strip(b"\0"):
        return "a file that begins with zeros, as an interrupted download leaves", _AGAIN
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<")):
        return "a web page, as a failed download leaves", "open it to see what the server said, and check the address"
    if all(32 <= byte < 127 or byte in b"\t\n\r" for byte in start):
        return f"a text that begins {start[:40].decode('utf-8', 'replace')!r}", ""
    return "something else", _AGAIN


def _check_length(path: Path, signature: Header, rest: int) -> None:
    """Compare the bytes after the signature header, `rest`, with what the signature header says."""
    said = signature.number(_LONG_SIZE)
    if said is None:
        said = signature.number(_SIZE)
    if said is None or said == rest:
        return
    if said > rest:
        raise _truncated(path, said - rest)
    raise RollbuildError(
        f"{rest - said:,} bytes too many follow the end of this package", location=_location(path), hint=_AGAIN
    )


def _check_header(signature: Header, header: Header) -> str:
    """The SHA-256 of the main header, after it was compared with the digests there are. Raises HeaderProblem."""
    sha256 = hashlib.sha256(header.blob).hexdigest()
    if _SHA256_HEADER in signature and signature.text(_SHA256_HEADER).lower() != sha256:
        raise HeaderProblem("its SHA-256 is another than the package says")
    if _SHA1_HEADER in signature:
        sha1 = hashlib.sha1(header.blob, usedforsecurity=False).hexdigest()
        if signature.text(_SHA1_HEADER).lower() != sha1:
            raise HeaderProblem("its SHA-1 is another than the package says")
    return sha256


def _describe(path: Path, size: int, header_sha256: str, signature: Header, header: Header) -> RpmFile:
    rpm_format = header.number(_RPM_FORMAT)
    if rpm_format is not None and rpm_format not in (3, 4):
        raise _unknown_format(path, str(rpm_format))
    if header.text(_PAYLOAD_FORMAT) == "drpm":
        raise RollbuildError(
            "this is a delta RPM", location=_location(path), hint="rollbuild takes whole packages: fetch the whole one"
        )
    is_source = _SOURCE_PACKAGE in header or _SOURCE_RPM not in header
    epoch = header.number(_EPOCH)
    return RpmFile(
        path=path,
        name=_plain(header, _NAME, "name", _PLAIN),
        epoch=str(epoch or 0),
        version=_plain(header, _VERSION, "version", _PLAIN_VERSION),
        release=_plain(header, _RELEASE, "release", _PLAIN_VERSION),
        arch="src" if is_source else _plain(header, _ARCH, "architecture", _PLAIN_VERSION),
        size=size,
        build_time=header.number(_BUILD_TIME) or 0,
        header_sha256=header_sha256,
        signed_by=_read_signers(signature),
        summary=" ".join(header.text(_SUMMARY).split()),
        source_rpm="" if is_source else header.text(_SOURCE_RPM),
    )


def _plain(header: Header, tag: int, what: str, pattern: re.Pattern[str]) -> str:
    text = header.text(tag)
    if not pattern.fullmatch(text):
        raise HeaderProblem(f"{text[:60]!r} is no {what} of a package" if text else f"the package has no {what}")
    return text


def _read_signers(signature: Header) -> tuple[str, ...]:
    packets = [signature.binary(tag) for tag in (_RSA, _DSA, _PGP, _GPG) if tag in signature]
    packets += [unarmoured_text(text) for text in signature.texts(_OPENPGP)]
    return tuple(dict.fromkeys(key for packet in packets for key in read_issuers(packet)))


def _location(path: Path) -> Location:
    return Location(os.fspath(path))


def _truncated(path: Path, missing: int, *, least: bool = False) -> RollbuildError:
    return RollbuildError(
        f"this package is cut short: {'at least ' if least else ''}{missing:,} bytes are missing at its end",
        location=_location(path),
        hint=_AGAIN,
        code="DAMAGED_PACKAGE",
    )


def _damaged(path: Path, problem: HeaderProblem, *, of: str = "header") -> RollbuildError:
    return RollbuildError(
        f"the {of} of this package is damaged: {problem}", location=_location(path), hint=_AGAIN, code="DAMAGED_PACKAGE"
    )


def _unknown_format(path: Path, version: str) -> RollbuildError:
    return RollbuildError(
        f"this package has the RPM format {version}; Enterprise Linux 7 to 10 takes the formats 3 and 4",
        location=_location(path),
        hint="build it in format 4, which rpm 4 always writes",
    )
