"""The EFI image of an ISO that is there, and the files in it."""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import explained, read_limited, walk_tree
from rollbuild.images import IsoImage
from rollbuild.location import Location
from rollbuild.process import run_program

_EFI_LIMIT = 256 * 1024 * 1024
_IMAGE = re.compile(r"^El Torito boot img :\s+(\d+)\s+(\S+)\s+\S+\s+\S+\s+\S+\s+\S+\s+(\d+)\s+(\d+)", re.MULTILINE)
_IMAGE_PATH = re.compile(r"^El Torito img path :\s+(\d+)\s+(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EfiImage:
    """The EFI image of an ISO: its content, and its path there, empty where it is a partition of its own."""

    content: bytes
    path: str


def find_efi_image(image: IsoImage, epoch: int) -> EfiImage | None:
    """The image that UEFI starts, as the boot catalog names it. Raises RollbuildError."""
    argv = ["xorriso", "-no_rc", "-return_with", "FAILURE", "32", "-indev", f"stdio:{image.path}"]
    completed = run_program([*argv, "-report_el_torito", "plain"], env=program_environment(epoch), timeout=120)
    text = completed.stdout.decode("utf-8", "replace")
    paths = dict(_IMAGE_PATH.findall(text))
    for number, platform, size, place in _IMAGE.findall(text):
        if platform != "UEFI":
            continue
        path = paths.get(number, "").strip("/")
        entry = image.find(path) if path else None
        if entry is not None:
            return EfiImage(image.read(path, _EFI_LIMIT), path)
        with explained("cannot read", image.path), open(image.path, "rb") as file:
            file.seek(int(place) * 2048)
            return EfiImage(file.read(min(int(size) * 512, _EFI_LIMIT)), "")
    return None


def read_efi_image(content: bytes, shown: str) -> dict[str, bytes]:
    """The files of a FAT image, by path. Raises RollbuildError when it is none, MISSING_PROGRAM without mtools."""
    with (
        explained("cannot write into", tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="rollbuild-") as name,
    ):
        folder = Path(name)
        (folder / "efi.img").write_bytes(content)
        (folder / "files").mkdir()
        argv = ["mcopy", "-s", "-n", "-i", "efi.img", "::/", "files/"]
        completed = run_program(argv, cwd=folder, env={**program_environment(0), "MTOOLS_SKIP_CHECK": "1"}, timeout=120)
        if completed.returncode:
            said = completed.stderr.decode("utf-8", "replace").strip().splitlines()
            raise RollbuildError(
                f"the EFI image of this ISO cannot be read: {said[-1] if said else 'mcopy failed'}",
                location=Location(shown),
            )
        top = folder / "files"
        return {path: read_limited(top / path, _EFI_LIMIT) for path, _ in walk_tree(top) if (top / path).is_file()}


def program_environment(epoch: int) -> dict[str, str]:
    """What xorriso and mtools are given, so that they do the same everywhere."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch),
        "MTOOLSRC": os.devnull,
    }
