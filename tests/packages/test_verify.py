"""Whether a repository is whole."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.errors import RollbuildError
from rollbuild.packages import check_repository, make_repository
from tests.rpms import make_rpm

COUNT = 7


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "BaseOS"
    names = [f"Packages/{make_rpm(folder / 'Packages', f'p{i}', size=100).name}" for i in range(COUNT)]
    make_repository(folder, names, epoch=1)
    return folder


@pytest.mark.parametrize("digests", [True, False])
def test_a_whole_repository(repository: Path, digests: bool) -> None:
    told: list[int] = []
    found = check_repository(repository, digests=digests, advance=told.append)
    assert found == {
        path.relative_to(repository).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in repository.rglob("*.rpm")
    }
    assert list(found) == sorted(found) and len(found) == COUNT
    assert sum(told) == sum(size for _, size in found.values())


def package(folder: Path, number: int) -> Path:
    return folder / "Packages" / f"p{number}-1.0-1.noarch.rpm"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def rewrite_primary(folder: Path, old: bytes, new: bytes) -> None:
    """Change the list of packages, and what repomd.xml says of it."""
    import zlib

    make_repository(
        folder, sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.rpm")), epoch=1, release="el8"
    )
    (path,) = (folder / "repodata").glob("*primary*")
    text = zlib.decompress(path.read_bytes(), wbits=31)
    assert old in text
    content = text.replace(old, new)
    path.write_bytes(content)
    index = folder / "repodata" / "repomd.xml"
    before, start, rest = index.read_text().partition('<data type="primary">')
    rest = re.sub(r'(<checksum type="sha256">)\w+', rf"\g<1>{hashlib.sha256(content).hexdigest()}", rest, count=1)
    rest = re.sub(r"<size>\d+", f"<size>{len(content)}", rest, count=1)
    index.write_text(before + start + rest)


def empty_packages(folder: Path) -> None:
    for path in folder.rglob("*.rpm"):
        path.unlink()


def put_folder(folder: Path) -> None:
    package(folder, 1).unlink()
    package(folder, 1).mkdir()


def flip_six(folder: Path) -> None:
    for number in range(6):
        flip(package(folder, number))


def link_outside(folder: Path) -> None:
    outside = folder.parent / "outside"
    package(folder, 1).rename(outside)
    package(folder, 1).symlink_to(outside)


def link_folder_outside(folder: Path) -> None:
    (folder / "Packages").rename(folder.parent / "outside")
    (folder / "Packages").symlink_to("../outside")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one missing": (lambda f: package(f, 3).unlink(), f"of {COUNT} packages .* lists 1 is missing: Pack.*p3-"),
    "all missing": (empty_packages, rf"lists {COUNT} are missing: (Packages/p\d-\S+, ){{5}}\.\.\.$"),
    "a folder": (put_folder, "1 is missing"),
    "cut short": (lambda f: os.truncate(package(f, 2), 50), r"1 package is cut short .*p2-.*\(50 bytes, not"),
    "flipped": (flip_six, "6 packages are not what .* checksums differ"),
    "linked out": (link_outside, "1 package is reached by links that lead out"),
    "folder linked out": (link_folder_outside, f"{COUNT} packages are reached by links that lead out"),
    "climbs": (lambda f: rewrite_primary(f, b'href="Packages/p1-', b'href="../Packages/p1-'), "outside of"),
    "absolute": (lambda f: rewrite_primary(f, b'href="Packages/p1-', b'href="/etc/p1-'), "outside of the repository"),
    "other host": (lambda f: rewrite_primary(f, b'href="Pack', b'xml:base="http://a/" href="Pack'), "outside of"),
    "listed twice": (lambda f: rewrite_primary(f, b'"Packages/p1-', b'"Packages/p2-'), "two different packages"),
    "metadata missing": (lambda f: next((f / "repodata").glob("*other*")).unlink(), "repomd.xml lists it .other"),
    "metadata cut": (lambda f: os.truncate(next((f / "repodata").glob("*filelists*")), 30), "cut short"),
    "no metadata": (lambda f: (f / "repodata" / "repomd.xml").unlink(), "."),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), FAULTS.values(), ids=FAULTS)
def test_what_is_not_whole(
    repository: Path, capfd: pytest.CaptureFixture[str], change: Callable[[Path], object], said: str
) -> None:
    change(repository)
    with pytest.raises(RollbuildError) as refused:
        check_repository(repository, digests=True)
    assert re.search(said, refused.value.message), refused.value.message
    assert capfd.readouterr() == ("", "")


def test_a_boot_iso_is_known_by_its_missing_packages(repository: Path) -> None:
    empty_packages(repository)
    with pytest.raises(RollbuildError) as refused:
        check_repository(repository, digests=False)
    assert "boot.iso" in refused.value.hint and str(refused.value.location) == str(repository)


def test_a_flipped_byte_is_not_looked_for_without_digests(repository: Path) -> None:
    flip(package(repository, 0))
    assert len(check_repository(repository, digests=False)) == COUNT


def test_links_that_stay_inside_are_followed(repository: Path) -> None:
    package(repository, 1).rename(repository / "kept.rpm")
    package(repository, 1).symlink_to("../kept.rpm")
    assert len(check_repository(repository, digests=True)) == COUNT


def test_another_kind_of_checksum_is_verified_and_sha256_found_out(tmp_path: Path) -> None:
    path = make_rpm(tmp_path, "a")
    sha1 = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest().encode()
    rewrite_primary(
        tmp_path,
        b'type="sha256" pkgid="YES">' + hashlib.sha256(path.read_bytes()).hexdigest().encode(),
        b'type="sha" pkgid="YES">' + sha1,
    )
    expected = {path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)}
    assert check_repository(tmp_path, digests=False) == expected
    flip(path)
    with pytest.raises(RollbuildError, match="checksums differ"):
        check_repository(tmp_path, digests=False)


def test_a_repository_without_packages(tmp_path: Path) -> None:
    make_repository(tmp_path, [], epoch=0)
    assert check_repository(tmp_path, digests=True) == {}
