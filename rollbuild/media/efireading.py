"""The EFI image of an ISO that is there."""

import os
import re
from dataclasses import dataclass

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files import explained
from rollbuild.images import IsoImage
from rollbuild.location import Location
from rollbuild.process import run_program

_READ_SECONDS = 60.0
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
    try:
        completed = run_program(
            [*argv, "-report_el_torito", "plain"], env=program_environment(epoch), timeout=_READ_SECONDS
        )
    except RollbuildError as problem:
        if problem.exit_code != REFUSED:
            raise
        # Before anything is written with it: that has no limit of time.
        raise RollbuildError(
            f"xorriso cannot read this image: {problem.message}",
            location=Location(os.fspath(image.path)),
            hint="fetch or copy it again: it is damaged",
        ) from None
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


def program_environment(epoch: int) -> dict[str, str]:
    """What xorriso and mtools are given, so that they do the same everywhere."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch),
        "MTOOLSRC": os.devnull,
    }
