"""Small real RPM packages (format 4), written byte for byte without rpmbuild."""

import bz2
import gzip
import hashlib
import lzma
import random
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

CHAR, INT16, INT32, STRING, BIN, STRINGS, I18N = 1, 3, 4, 6, 7, 8, 9
Entry = tuple[int, int, object]  # tag, type, value

_MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"
_COMPARISONS = {"<": 2, ">": 4, "=": 8, "<=": 10, ">=": 12}
_RPMLIB = 1 << 24 | 10
_POST = 1 << 10


def make_rpm(
    folder: Path,
    name: str,
    *,
    version: str = "1.0",
    release: str = "1",
    epoch: str = "",
    arch: str = "noarch",
    requires: Sequence[str] = (),
    provides: Sequence[str] = (),
    conflicts: Sequence[str] = (),
    obsoletes: Sequence[str] = (),
    files: Mapping[str, str | bytes] | None = None,
    build_time: int = 1700000000,
    summary: str = "",
    payload: str = "gzip",
    size: int = 0,
    post: str = "",
    old: bool = False,
) -> Path:
    """Write `NAME-VERSION-RELEASE.ARCH.rpm` into a folder (made if missing); its path. Equal arguments, equal bytes.

    arch "src" makes a source package. A name in `files` that ends in a slash is a folder. `payload` is gzip, xz, zstd,
    bzip2, lzma or none. `size` adds a file of about so many bytes that do not compress. `post` is a %post for /bin/sh.
    `old` leaves out the digests that rpm 4.11 (Enterprise Linux 7) did not write: only MD5 and SHA-1 are left.
    """
    contents = {path: _bytes(content) for path, content in (files or {}).items()}
    if size:
        contents["padding" if arch == "src" else f"/usr/share/{name}/padding"] = _noise(name, size)
    contents = dict(sorted(contents.items()))
    cpio = make_cpio([(_inside(path, arch), _mode(path, data), data) for path, data in contents.items()])
    packed = compress(cpio, payload)
    evr = f"{epoch}:{version}-{release}" if epoch else f"{version}-{release}"
    rpmlib = ["CompressedFileNames) 3.0.4-1", "FileDigests) 4.6.0-1"]
    rpmlib += [] if arch == "src" else ["PayloadFilesHavePrefix) 4.0-1"]
    rpmlib += {
        "xz": ["PayloadIsXz) 5.2-1"],
        "lzma": ["PayloadIsLzma) 4.4.6-1"],
        "zstd": ["PayloadIsZstd) 5.4.18-1"],
        "bzip2": ["PayloadIsBzip2) 3.0.5-1"],
    }.get(payload, [])
    needs = [parse_dependency(text) for text in requires]
    needs += [(f"rpmlib({mark.split()[0]}", _RPMLIB, mark.split()[1]) for mark in rpmlib]
    if any(text.startswith("(") for text in (*requires, *conflicts)):
        needs.append(("rpmlib(RichDependencies)", _RPMLIB, "4.12.0-1"))
    if post:
        needs.append(("/bin/sh", _POST, ""))
    gives = [parse_dependency(text) for text in provides]
    if arch != "src":
        gives.append((name, 8, evr))

    entries: list[Entry] = [
        (100, STRINGS, ["C"]),
        (1000, STRING, name),
        (1001, STRING, version),
        (1002, STRING, release),
        (1004, I18N, [summary or f"the package {name}"]),
        (1005, I18N, [f"The package {name}."]),
        (1006, INT32, [build_time]),
        (1007, STRING, "reproducible"),
        (1009, INT32, [sum(map(len, contents.values()))]),
        (1014, STRING, "MIT"),
        (1016, I18N, ["Unspecified"]),
        (1021, STRING, "linux"),
        (1022, STRING, "noarch" if arch == "src" else arch),
        (1064, STRING, "4.18.0"),
        (1124, STRING, "cpio"),
        (5062, STRING, "utf-8"),
    ]
    entries.append((1106, INT32, [1]) if arch == "src" else (1044, STRING, f"{name}-{version}-{release}.src.rpm"))
    if epoch:
        entries.append((1003, INT32, [int(epoch)]))
    if payload != "none":
        entries += [(1125, STRING, payload), (1126, STRING, "9")]
    if post:
        entries += [(1024, STRING, post), (1086, STRING, "/bin/sh")]
    if not old:
        digests = [hashlib.sha256(data).hexdigest() for data in (packed, cpio)]
        entries += [(5092, STRINGS, digests[:1]), (5093, INT32, [8]), (5097, STRINGS, digests[1:])]
    entries += _dependencies(needs, (1049, 1048, 1050)) + _dependencies(gives, (1047, 1112, 1113))
    entries += _dependencies([parse_dependency(text) for text in conflicts], (1054, 1053, 1055))
    entries += _dependencies([parse_dependency(text) for text in obsoletes], (1090, 1114, 1115))
    entries += _file_entries(contents, arch, build_time)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{version}-{release}.{arch}.rpm"
    target.write_bytes(join_rpm(entries, packed, cpio_size=len(cpio), source=arch == "src", old=old, lead=name))
    return target


def join_rpm(
    entries: Sequence[Entry],
    packed: bytes,
    *,
    signatures: Sequence[Entry] = (),
    cpio_size: int = 0,
    source: bool = False,
    old: bool = False,
    lead: str = "lead",
) -> bytes:
    """The bytes of a package with these entries in its main header, and more in its signature header."""
    header = make_header(63, entries)
    digests: list[Entry] = [
        (269, STRING, hashlib.sha1(header).hexdigest()),
        (1000, INT32, [len(header) + len(packed)]),
        (1004, BIN, hashlib.md5(header + packed).digest()),
        (1007, INT32, [cpio_size]),
        *signatures,
    ]
    if not old:
        digests.append((273, STRING, hashlib.sha256(header).hexdigest()))
    signature = make_header(62, digests)
    return make_lead(lead, source=source) + signature + b"\0" * (-len(signature) % 8) + header + packed


def make_lead(name: str, *, source: bool = False) -> bytes:
    return struct.pack(">4sBBHH66sHH16s", b"\xed\xab\xee\xdb", 3, 0, int(source), 1, name.encode()[:65], 1, 5, b"")


def make_header(region: int, entries: Sequence[Entry]) -> bytes:
    """A header whose entries all lie in its immutable region (62: signatures, 63: the package)."""
    store, index = bytearray(), bytearray()
    for tag, kind, value in sorted(entries, key=lambda entry: entry[0]):
        data, count = _encode(kind, value)
        store += b"\0" * (-len(store) % {INT16: 2, INT32: 4}.get(kind, 1))
        index += struct.pack(">IIII", tag, kind, len(store), count)
        store += data
    number = len(entries) + 1
    index[:0] = struct.pack(">IIII", region, BIN, len(store), 16)
    store += struct.pack(">IIiI", region, BIN, -16 * number, 16)
    return _MAGIC + struct.pack(">II", number, len(store)) + bytes(index) + bytes(store)


def make_cpio(entries: Sequence[tuple[str, int, bytes]]) -> bytes:
    """A cpio archive ("newc") of (name, mode with its type, content)."""
    archive = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        raw = name.encode("utf-8", "surrogateescape") + b"\0"
        links = 1 if mode else 0
        fields = (number if mode else 0, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + raw
        archive += b"\0" * (-len(archive) % 4) + data
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)


def compress(data: bytes, how: str) -> bytes:
    return _COMPRESSORS[how](data)


def parse_dependency(text: str) -> tuple[str, int, str]:
    """(name, flags, version) of `name`, `name >= 1.0` or `(a if b)`."""
    match = re.fullmatch(r"([^(]\S*)\s*(<=|>=|[<>=])\s*(\S+)", text)
    return (match[1], _COMPARISONS[match[2]], match[3]) if match else (text, 0, "")


def _dependencies(items: Sequence[tuple[str, int, str]], tags: tuple[int, int, int]) -> list[Entry]:
    if not items:
        return []
    names, flags, versions = zip(*sorted(items), strict=True)
    return [(tags[0], STRINGS, names), (tags[1], INT32, flags), (tags[2], STRINGS, versions)]


def _file_entries(contents: Mapping[str, bytes], arch: str, build_time: int) -> list[Entry]:
    if not contents:
        return []
    paths = [path.rstrip("/") for path in contents]
    folders = sorted({path[: path.rfind("/") + 1] for path in paths})
    modes = [_mode(path, data) for path, data in contents.items()]
    count, regular = len(paths), [mode & 0o100000 for mode in modes]
    return [
        (1028, INT32, [len(data) for data in contents.values()]),
        (1030, INT16, modes),
        (1033, INT16, [0] * count),
        (1034, INT32, [build_time] * count),
        (
            1035,
            STRINGS,
            [
                hashlib.sha256(data).hexdigest() if kind else ""
                for data, kind in zip(contents.values(), regular, strict=True)
            ],
        ),
        (1036, STRINGS, [""] * count),
        (1037, INT32, [0] * count),
        (1039, STRINGS, ["root"] * count),
        (1040, STRINGS, ["root"] * count),
        (1045, INT32, [0xFFFFFFFF] * count),
        (1095, INT32, [1] * count),
        (1096, INT32, list(range(1, count + 1))),
        (1097, STRINGS, [""] * count),
        (1116, INT32, [folders.index(path[: path.rfind("/") + 1]) for path in paths]),
        (1117, STRINGS, [path[path.rfind("/") + 1 :] for path in paths]),
        (1118, STRINGS, folders),
        (5011, INT32, [8]),
    ]


def _encode(kind: int, value: object) -> tuple[bytes, int]:
    if isinstance(value, bytes):
        return value, len(value)
    if isinstance(value, str):
        return value.encode() + b"\0", 1
    assert isinstance(value, list | tuple)
    if kind in (STRINGS, I18N):
        return b"".join(text.encode() + b"\0" for text in value), len(value)
    return struct.pack(f">{len(value)}{'H' if kind == INT16 else 'I'}", *value), len(value)


def _inside(path: str, arch: str) -> str:
    return path.rstrip("/") if arch == "src" else f".{path.rstrip('/')}"


def _mode(path: str, data: bytes) -> int:
    if path.endswith("/"):
        return 0o040755
    return 0o100755 if data.startswith((b"#!", b"\x7fELF")) else 0o100644


def _noise(seed: str, size: int) -> bytes:
    source, step = random.Random(seed), 1 << 20
    return b"".join(source.randbytes(min(step, size - start)) for start in range(0, size, step))


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _zstd(data: bytes) -> bytes:
    import tempfile

    import createrepo_c

    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, "plain"), Path(folder, "packed")
        plain.write_bytes(data)
        createrepo_c.compress_file(str(plain), str(packed), createrepo_c.ZSTD)
        return packed.read_bytes()


_COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=1),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=1),
    "zstd": _zstd,
    "none": lambda data: data,
}
