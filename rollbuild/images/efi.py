"""The EFI image: a small FAT file system of loaders and their menus, made without root and without a mount."""

import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.files import explained
from rollbuild.process import Completed, find_program, run_program

_UNIT = 1024 * 1024
_SMALLEST = 4 * _UNIT
_CLUSTER = 4096  # at least as large as those that mkfs.vfat chooses for such sizes
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,64}")
_LABEL = re.compile(r"[A-Z0-9_-]{1,11}")
_FIRST_DATE, _LAST_DATE = 315_532_800, 4_354_819_199  # FAT counts years from 1980, to 2107


def make_efi_image(files: Mapping[str, bytes], *, epoch: int, label: str = "ANACONDA") -> bytes:
    """A FAT image that holds these files (path -> content, as "EFI/BOOT/BOOTX64.EFI"); equal files, equal bytes.

    All dates are `epoch`, in seconds since 1970. Raises RollbuildError: REFUSED for paths that FAT does not tell apart
    or does not hold, MISSING_PROGRAM without mkfs.vfat and mtools, DISK when the temporary folder's disk refuses.
    """
    folders = _check_paths(files)
    if not _LABEL.fullmatch(label):
        raise RollbuildError(f"{label!r} cannot be the label of an EFI image", hint="it has 1 to 11 of A-Z 0-9 _ -")
    date = min(max(epoch, _FIRST_DATE), _LAST_DATE)
    with (
        explained("cannot write into", tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="rollbuild-") as name,
    ):
        return _make_image(Path(name), files, folders, date, label)


def efi_image_size(sizes: Mapping[str, int]) -> int:
    """Bytes of the image that `make_efi_image` makes of files of these sizes (path -> bytes)."""
    folders = {name.rpartition("/")[0] for name in sizes}
    folders |= {"/".join(name.split("/")[:depth]) for name in sizes for depth in range(1, name.count("/"))}
    clusters = sum(-(-size // _CLUSTER) for size in sizes.values()) + 2 * len(folders - {""}) + len(sizes) // 16
    needed = clusters * (_CLUSTER + 8) + 256 * 1024  # each cluster has its number in both tables
    return max(_SMALLEST, -(-needed // _UNIT) * _UNIT)


def _make_image(folder: Path, files: Mapping[str, bytes], folders: list[str], date: int, label: str) -> bytes:
    source, image = folder / "files", folder / "efi.img"
    source.mkdir()
    for name in folders:
        (source / name).mkdir()
    for name, content in files.items():
        (source / name).write_bytes(content)
        os.utime(source / name, (date, date))
    with open(image, "wb") as file:
        file.truncate(efi_image_size({name: len(content) for name, content in files.items()}))
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(date),  # for the dates of folders
        "MTOOLSRC": os.devnull,
        "MTOOLS_SKIP_CHECK": "1",
    }
    # A serial number of the content; the default is made of the clock.
    serial = zlib.crc32(b"".join(name.encode() + b"\0" + files[name] for name in sorted(files)))
    _run([_find_mkfs(), "--invariant", "-n", label, "-i", f"{serial:08x}", image.name], folder, environment)
    if folders:
        _run(["mmd", "-i", image.name, *(f"::/{name}" for name in folders)], folder, environment)
    for parent in ["", *folders]:
        here = [f"files/{name}" for name in sorted(files) if name.rpartition("/")[0] == parent]
        if here:
            _run(["mcopy", "-m", "-i", image.name, *here, f"::/{parent}"], folder, environment)
    return image.read_bytes()


def _find_mkfs() -> str:
    """Debian has it where only root's PATH leads."""
    return find_program("mkfs.vfat") or shutil.which("mkfs.vfat", path="/usr/sbin:/sbin") or "mkfs.vfat"


def _check_paths(files: Mapping[str, bytes]) -> list[str]:
    """The folders that the files need, those above before those below."""
    folders: set[str] = set()
    for name in sorted(files):
        *above, _ = parts = name.split("/")
        if not all(_NAME.fullmatch(part) and not part.endswith(".") for part in parts):
            raise RollbuildError(
                f"{name!r} cannot be a file of an EFI image",
                hint="names there are letters, digits and . _ + - with slashes between folders",
            )
        folders |= {"/".join(above[:depth]) for depth in range(1, len(above) + 1)}
    seen: dict[str, str] = {}
    for path in (*sorted(files), *sorted(folders)):
        if (other := seen.setdefault(path.lower(), path)) != path or (path in files and path in folders):
            raise RollbuildError(
                f"an EFI image cannot hold both {other} and {path}"
                if other != path
                else f"{path} is a file and a folder",
                hint="EFI firmware does not tell upper from lower case",
            )
    return sorted(folders)


def _run(argv: list[str], folder: Path, environment: Mapping[str, str]) -> Completed:
    completed = run_program(argv, cwd=folder, env=environment, timeout=300)
    if completed.returncode:
        said = completed.stderr.decode("utf-8", "replace").strip().splitlines()
        last = said[-1] if said else f"it ended with status {completed.returncode}"
        space = os.statvfs(folder)
        is_full = space.f_bavail * space.f_frsize < _UNIT
        raise RollbuildError(
            f"{os.path.basename(argv[0])} made no EFI image: {last}",
            hint=f"the disk of {folder.parent} is full: free some space, or name another in TMPDIR" if is_full else "",
            exit_code=DISK if is_full else REFUSED,
        )
    return completed
