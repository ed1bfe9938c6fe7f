"""The checksum in an image, summed while the image is written."""

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.errors import DISK, RollbuildError
from rollbuild.images import implanting_md5

SECTORS = 1500
FIELD = slice(16 * 2048 + 883, 16 * 2048 + 883 + 512)
SIZE_FIELD = slice(16 * 2048 + 80, 16 * 2048 + 84)


@pytest.fixture
def plain() -> bytes:
    """What looks like an image to who sums it."""
    image = bytearray(hashlib.shake_128(b"image").digest(SECTORS * 2048))
    image[SIZE_FIELD] = SECTORS.to_bytes(4, "little")
    return bytes(image)


@pytest.fixture
def whole(plain: bytes) -> bytes:
    """That image with its checksum, taken by the rule that isomd5sum has."""
    image = bytearray(plain)
    image[FIELD] = b" " * 512
    end = (SECTORS - 15) * 2048
    sums, digest, last = "", hashlib.md5(usedforsecurity=False), 0
    for place in range(0, end, 32768):
        digest.update(image[place : min(place + 32768, end)])
        if place // (end // 21) != last:
            last = place // (end // 21)
            sums += "".join(f"{byte:x}"[0] for byte in digest.digest()[:3])
    text = f"ISO MD5SUM = {digest.hexdigest()};SKIPSECTORS = 15;RHLISOSTATUS=0;FRAGMENT SUMS = {sums};"
    text += "FRAGMENT COUNT = 20;THIS IS NOT THE SAME AS RUNNING MD5SUM ON THIS ISO!!"
    image[FIELD] = text.encode().ljust(512)
    return bytes(image)


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.parametrize("step", [1000, 700_001, SECTORS * 2048])
def test_however_it_is_written(tmp_path: Path, plain: bytes, whole: bytes, step: int) -> None:
    path = tmp_path / "a.iso"
    with implanting_md5(path), open(path, "wb", buffering=0) as file:
        for place in range(0, len(plain), step):
            file.write(plain[place : place + step])
    assert path.read_bytes() == whole


def test_it_follows_the_writer_and_tells_of_every_byte_once(tmp_path: Path, plain: bytes, whole: bytes) -> None:
    path, steps = tmp_path / "a.iso", list[int]()

    def advance(size: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        steps.append(size)

    with implanting_md5(path, advance) as tell, open(path, "wb", buffering=0) as file:
        file.write(plain[:2_000_000])

        def has_followed() -> bool:
            tell()
            return sum(steps) == 2_000_000 // 32768 * 32768

        until(has_followed)
        file.write(plain[2_000_000:])
    assert path.read_bytes() == whole
    assert sum(steps) == (SECTORS - 15) * 2048


@pytest.mark.parametrize("place", [0, SIZE_FIELD.start, 200_000])
def test_a_start_that_is_written_again(tmp_path: Path, plain: bytes, whole: bytes, place: int) -> None:
    path, steps = tmp_path / "a.iso", list[int]()
    before = plain[:place] + bytes(byte ^ 1 for byte in plain[place : place + 100]) + plain[place + 100 :]
    with implanting_md5(path, steps.append) as tell, open(path, "wb", buffering=0) as file:
        file.write(before)

        def has_begun() -> bool:
            tell()
            return bool(steps)

        until(has_begun)
        file.seek(place)
        file.write(plain[place : place + 100])
    assert path.read_bytes() == whole


def test_an_image_that_is_cut_short(tmp_path: Path, plain: bytes) -> None:
    path = tmp_path / "a.iso"
    for size in (0, 33_000, 2_000_000):
        with pytest.raises(RollbuildError, match="cut short") as caught, implanting_md5(path):
            path.write_bytes(plain[:size])
        assert caught.value.exit_code == DISK
        assert path.read_bytes() == plain[:size]


def test_a_writer_that_fails(tmp_path: Path, plain: bytes) -> None:
    path = tmp_path / "a.iso"
    before = threading.active_count()
    with pytest.raises(ValueError, match="the writer"), implanting_md5(path):
        path.write_bytes(plain)
        raise ValueError("the writer")
    assert path.read_bytes() == plain
    assert threading.active_count() == before


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RollbuildError, match="no such file") as caught, implanting_md5(tmp_path / "a.iso"):
        pass
    assert caught.value.exit_code == DISK
