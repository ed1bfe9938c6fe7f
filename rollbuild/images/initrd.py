"""Adding files to an initrd: the kernel unpacks archive after archive, and the last one's files win."""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.location import Location

_LARGEST = 1024 * 1024 * 1024
_LARGEST_FILE = 2**32 - 1
_ALIGNMENT = 4  # the kernel looks for an archive that is not compressed only where this divides the position
_MAGICS = (
    b"\x1f\x8b",  # gzip
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",  # zstd
    b"\x04\x22\x4d\x18",  # lz4
    b"\x02\x21\x4c\x18",  # lz4, the older form
    b"BZh",
    b"\x5d\0\0",  # lzma
    b"\x89LZO",
    b"070701",
    b"070702",
)
_FOLDER, _FILE = 0o040755, 0o100644


def append_to_initrd(initrd: Path, files: Mapping[str, bytes]) -> bytes:
    """The initrd with these files (path -> content) added after what it has; the folders above them too.

    They belong to root and have mode 644 and the date 1970; equal input gives equal bytes. Raises RollbuildError:
    REFUSED for a path that leads out of the initrd, or a file that is no initrd; DISK when it cannot be read.
    """
    content = read_limited(initrd, _LARGEST)
    if not content.startswith(_MAGICS):
        raise RollbuildError(
            "this is no initrd: it is neither a cpio archive nor a compressed one",
            location=Location(str(initrd)),
            hint="an OS tree has it as images/pxeboot/initrd.img",
        )
    padding = bytes(-len(content) % _ALIGNMENT)
    return b"".join((content, padding, *_archive(files)))


def make_initrd(files: Mapping[str, bytes]) -> bytes:
    """An initrd of these files alone (path -> content), for boot loaders to load after another one.

    It is compressed with gzip: the kernel then takes it at any position, while a loader may put it right behind the
    one before. Owner, modes, dates and errors are those of `append_to_initrd`.
    """
    return gzip.compress(b"".join(_archive(files)), mtime=0)


def _archive(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """A cpio archive in the format "newc" (070701): headers of 8-digit hexadecimal numbers, parts aligned to 4."""
    entries: dict[str, bytes | None] = {}
    for name in sorted(files):
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\0" in name:
            raise RollbuildError(f"{name!r} cannot be a file of an initrd", hint="name it from the top: etc/file")
        if len(files[name]) > _LARGEST_FILE:
            raise RollbuildError(f"the file {name} is too large for an initrd")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if above in files:
                raise RollbuildError(f"an initrd cannot hold {above} as a file and as the folder of {name}")
            entries[above] = None
        entries[name] = files[name]
    for number, (name, content) in enumerate(sorted(entries.items()), start=1):
        yield _entry(number, name, _FOLDER if content is None else _FILE, content or b"")
    yield _entry(0, "TRAILER!!!", 0, b"")


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    encoded = name.encode("utf-8", "surrogateescape") + b"\0"
    links = 2 if mode == _FOLDER else 1
    # inode, mode, uid, gid, links, date, size, device (two numbers), of a device file (two), name's length, checksum
    numbers = (number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + "".join(f"{value:08X}" for value in numbers).encode("ascii")
    start = header + encoded
    return start + bytes(-len(start) % 4) + content + bytes(-len(content) % 4)
