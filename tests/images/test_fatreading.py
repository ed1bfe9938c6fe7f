"""FAT images as mtools makes them, and such as nobody should."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import RollbuildError
from rollbuild.images import make_efi_image, read_fat
from tests.programs import need_programs

FILES = {"EFI/BOOT/BOOTX64.EFI": bytes(range(256)) * 400, "EFI/BOOT/grub.cfg": b"linux /k\n", "a_long.name.TXT": b""}
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


@pytest.fixture(scope="module")
def image() -> bytes:
    need_programs("mcopy", "mkfs.vfat")
    return make_efi_image(FILES, epoch=1_700_000_000)


def entry(image: bytes, name: bytes) -> int:
    """Where the folder's entry of a short name is."""
    return image.index(name.ljust(11))


def test_what_was_put_into_it(image: bytes) -> None:
    assert read_fat(image, "x") == dict(sorted(FILES.items()))


@pytest.mark.parametrize(
    ("bits", "size", "more"), [(12, 1, []), (16, 16, []), (32, 40, ["-s", "1"]), (12, 4, ["-S", "2048"])]
)
def test_every_kind(tmp_path: Path, image: bytes, bits: int, size: int, more: list[str]) -> None:
    path, names = tmp_path / "fat.img", [*(f"A File Number {number}" for number in range(70)), "lower.txt", "UPPER.TXT"]
    path.write_bytes(bytes(size << 20))
    mkfs = shutil.which("mkfs.vfat", path=_PATH)
    subprocess.run([str(mkfs), "-F", str(bits), *more, path], check=True, capture_output=True)
    (tmp_path / "dir").mkdir()
    for number, name in enumerate(names):
        (tmp_path / "dir" / name).write_bytes(name.encode() * number * 20)
    subprocess.run(["mcopy", "-s", "-i", path, tmp_path / "dir", "::/"], check=True)
    found = read_fat(path.read_bytes(), "x")
    assert found == {f"dir/{name}": (tmp_path / "dir" / name).read_bytes() for name in sorted(names)}


def changed(image: bytes, place: int, content: bytes) -> bytes:
    return image[:place] + content + image[place + len(content) :]


BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no file system": (lambda image: bytes(len(image)), "no FAT file system"),
    "nothing": (lambda image: b"", "no FAT file system"),
    "loop": (
        lambda image: changed(image, entry(image, b"BOOT") + 26, image[entry(image, b"EFI") + 26 :][:2]),
        "'EFI/BOOT' holds itself",
    ),
    "folder without end": (
        lambda image: changed(image, struct.unpack_from("<H", image, 14)[0] * 512 + 3, b"\x02\x20\x00"),
        "'EFI' has no end",
    ),
    "folder beyond": (lambda image: changed(image, entry(image, b"BOOT") + 26, b"\xf0\xff"), "is nowhere"),
    "file beyond": (lambda image: changed(image, entry(image, b"BOOTX64 EFI") + 26, b"\xf0\xff"), "is cut short"),
    "file of 4 GiB": (
        lambda image: changed(image, entry(image, b"BOOTX64 EFI") + 28, b"\xff\xff\xff\xff"),
        "longer than the image itself",
    ),
    "climbing name": (
        lambda image: changed(image, entry(image, b"BOOTX64 EFI"), b"../../X    "),
        "a name that is none",
    ),
    "line in a name": (
        lambda image: changed(image, entry(image, b"BOOTX64 EFI"), b"A\nB        "),
        "a name that is none",
    ),
    "two of a name": (
        lambda image: changed(image, entry(image, b"BOOTX64 EFI"), b"GRUB    CFG"),
        "two of its files have the name",
    ),
}


@pytest.mark.parametrize(("change", "said"), BAD.values(), ids=BAD)
def test_what_is_damaged(image: bytes, change: Callable[[bytes], bytes], said: str) -> None:
    with pytest.raises(RollbuildError, match=said) as caught:
        read_fat(change(image), "a.iso")
    assert str(caught.value.location) == "a.iso" and len(caught.value.message) < 400


@given(st.data())
def test_cut_anywhere_or_changed_at_random(image: bytes, data: st.DataObject) -> None:
    used = 64 * 1024  # tables and folders lie there
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, used) | st.integers(0, 64))
        image = changed(image, place, data.draw(st.binary(min_size=1, max_size=4)))
    image = image[: data.draw(st.integers(0, used) | st.just(len(image)))]
    try:
        found = read_fat(image, "x")
    except RollbuildError:
        return
    assert sum(map(len, found.values())) <= len(image)
    assert not any(part in ("", ".", "..") for path in found for part in path.split("/"))
