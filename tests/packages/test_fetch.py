"""Packages of repositories, fetched and verified; many files at a time."""

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import createrepo_c
import pytest

from rollbuild.errors import DISK, REFUSED, UNREACHABLE, RollbuildError
from rollbuild.packages import (
    Chosen,
    Offer,
    RemoteFile,
    Repository,
    download_files,
    fetch_packages,
    open_repositories,
    parse_repository_name,
    run_parallel,
)
from rollbuild.packages import transfer as transfer_module
from rollbuild.packages.fetch import offer_of
from tests.rpms import make_rpm
from tests.servers import Server, serve

NAMES = ("bash", "libstdc++", "munge", "zsh", "tool^git1")


def make_repository(folder: Path, checksum: str = "sha256") -> Path:
    for name in NAMES:
        make_rpm(folder / "Packages", name, epoch="1" if name == "munge" else "", size=40_000)
    files = sorted(folder.rglob("*.rpm"))
    with createrepo_c.RepositoryWriter(str(folder), num_packages=len(files)) as writer:
        for file in files:
            record = createrepo_c.package_from_rpm(str(file), location_href=f"Packages/{file.name}")
            # It makes no weak checksums of its own.
            record.checksum_type, record.pkgId = checksum, hashlib.new(checksum, file.read_bytes()).hexdigest()
            writer.add_pkg(record)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(transfer_module, "PAUSES", (0.0, 0.0))
    with serve(folder) as made:
        yield made


def read(place: str) -> Repository:
    with open_repositories([parse_repository_name(f"test={place}")]) as (repository,):
        return repository


def all_of(place: str | Path) -> list[Chosen]:
    repository = read(str(place))
    return [Chosen(package, repository) for some in repository.packages.values() for package in some]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def packages_of(folder: Path) -> dict[str, bytes]:
    return files_of(folder / "Packages")


@pytest.mark.parametrize("kept", [True, False])
def test_from_a_server(server: Server, folder: Path, tmp_path: Path, kept: bool) -> None:
    cache = tmp_path / "cache" if kept else None
    server.cuts = [20_000, None, 10_000]
    packages = all_of(server.url)
    steps: list[int] = []
    found = fetch_packages(packages, tmp_path / "here", cache=cache, advance=steps.append)
    assert files_of(tmp_path / "here") == packages_of(folder)
    assert [rpm.name for rpm in found] == sorted(NAMES)
    assert sum(steps) == sum(choice.package.size for choice in packages)
    asked = len(server.requests)
    steps.clear()
    fetch_packages(packages, tmp_path / "here", cache=cache, advance=steps.append)
    assert sum(steps) == sum(choice.package.size for choice in packages)
    if kept:
        fetch_packages(packages, tmp_path / "there", cache=cache)
    assert len(server.requests) == asked
    if cache:
        assert {choice.package.sha256 for choice in packages} == {
            path.name.removeprefix("sha256-").removesuffix(".rpm") for path in cache.iterdir()
        }


def test_from_a_folder_they_are_linked(folder: Path, tmp_path: Path) -> None:
    fetch_packages(all_of(folder), tmp_path / "here")
    assert files_of(tmp_path / "here") == packages_of(folder)
    for name in packages_of(folder):
        assert os.path.samefile(tmp_path / "here" / name, folder / "Packages" / name)


def test_what_was_there_and_is_another_is_replaced(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "zsh-1.0-1.noarch.rpm").write_bytes(b"another")
    fetch_packages(all_of(folder), tmp_path / "here")
    assert files_of(tmp_path / "here") == packages_of(folder)


@pytest.mark.parametrize("is_url", [True, False])
def test_another_file_than_listed(server: Server, folder: Path, tmp_path: Path, is_url: bool) -> None:
    packages = all_of(server.url if is_url else folder)
    path = folder / "Packages" / "zsh-1.0-1.noarch.rpm"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(RollbuildError) as refused:
        fetch_packages(packages, tmp_path / "here")
    assert refused.value.exit_code == REFUSED
    assert "zsh-1.0-1.noarch.rpm" in refused.value.message + str(refused.value.location)
    assert refused.value.hint
    assert "zsh-1.0-1.noarch.rpm" not in files_of(tmp_path / "here")


@pytest.mark.parametrize("is_url", [True, False])
def test_a_package_that_is_gone(server: Server, folder: Path, tmp_path: Path, is_url: bool) -> None:
    packages = all_of(server.url if is_url else folder)
    (folder / "Packages" / "zsh-1.0-1.noarch.rpm").unlink()
    with pytest.raises(RollbuildError) as refused:
        fetch_packages(packages, tmp_path / "here")
    assert (refused.value.exit_code, "zsh" in refused.value.message) == (REFUSED, True)
    assert "is not there" in refused.value.message


def test_listed_as_another_package(folder: Path, tmp_path: Path) -> None:
    """Metadata that calls a file something else than it is."""
    (choice,) = [choice for choice in all_of(folder) if choice.package.name == "zsh"]
    offer = offer_of(choice)
    wrong = Offer("zsh-0:2.0-1.noarch", offer.place, offer.href, offer.size, offer.checksum)
    with pytest.raises(RollbuildError) as refused:
        fetch_packages([wrong], tmp_path / "here")
    assert "is zsh-0:1.0-1.noarch, and its repository says zsh-0:2.0-1.noarch" in refused.value.message


@pytest.mark.parametrize(
    ("checksum", "release", "said"),
    [
        ("sha256", "el9", ""),
        ("sha512", "el9", ""),
        ("sha1", "el9", "can be forged: sha1"),
        ("md5", "el8", "can be forged: md5"),
        ("sha1", "el7", ""),
        ("md5", "el7", ""),
    ],
)
def test_checksums(tmp_path: Path, checksum: str, release: str, said: str) -> None:
    packages = all_of(make_repository(tmp_path / "repository", checksum))
    if said:
        with pytest.raises(RollbuildError) as refused:
            fetch_packages(packages, tmp_path / "here", release=release)
        assert said in refused.value.message
    else:
        assert len(fetch_packages(packages, tmp_path / "here", release=release)) == len(NAMES)


BAD = {
    "climbs out": {"href": "../../secret.rpm"},
    "absolute": {"href": "/etc/passwd"},
    "a URL": {"href": "http://other/a.rpm"},
    "no place": {"href": ""},
    "no checksum": {"checksum": ("", "")},
    "unknown checksum": {"checksum": ("crc32", "00")},
    "short checksum": {"checksum": ("sha256", "00")},
    "a name with a folder": {"nevra": "../a-0:1-1.noarch"},
    "an option": {"nevra": "-a-0:1-1.noarch"},
    "no NEVRA": {"nevra": "a"},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_metadata_that_is_not_to_be_trusted(tmp_path: Path, change: dict[str, object]) -> None:
    good = {"nevra": "a-0:1-1.noarch", "place": str(tmp_path / "x"), "href": "a.rpm", "size": 1}
    offer = Offer(**{**good, "checksum": ("sha256", "0" * 64), **change})  # type: ignore[arg-type]
    with pytest.raises(RollbuildError) as refused:
        fetch_packages([offer], tmp_path / "here")
    assert refused.value.exit_code == REFUSED
    assert list(tmp_path.iterdir()) == []


def test_one_package_with_two_contents(tmp_path: Path) -> None:
    offers = [
        Offer("a-0:1-1.noarch", place, "a.rpm", 1, ("sha256", digit * 64)) for place, digit in (("x", "0"), ("y", "1"))
    ]
    with pytest.raises(RollbuildError) as refused:
        fetch_packages(offers, tmp_path / "here")
    assert "different contents in x and y" in refused.value.message


def test_a_full_disk_is_told_before(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = all_of(server.url)
    asked = len(server.requests)
    free = os.statvfs_result((512, 512, 1, 1, 1, 1, 1, 1, 0, 255))
    monkeypatch.setattr("os.statvfs", lambda _: free)
    with pytest.raises(RollbuildError) as refused:
        fetch_packages(packages, tmp_path / "here")
    assert refused.value.exit_code == DISK
    assert len(server.requests) == asked


def test_files_without_checksums(tmp_path: Path, server: Server) -> None:
    def check(path: Path) -> None:
        if path.read_bytes() == b"wrong":
            raise RollbuildError("wrong")

    names = sorted(packages_of(server.folder))
    files = [RemoteFile(f"{server.url}/Packages/{name}", tmp_path / "a" / "b" / name) for name in names]
    download_files(files, check=check)
    assert files_of(tmp_path / "a") == packages_of(server.folder)
    files[0].target.write_bytes(b"wrong")
    asked = len(server.requests)
    download_files(files, check=check)
    assert server.paths[asked:] == [f"/Packages/{names[0]}"]
    assert files_of(tmp_path / "a") == packages_of(server.folder)


def test_a_server_that_dies_half_way(server: Server, tmp_path: Path) -> None:
    packages = all_of(server.url)
    server.cuts = [10_000] * 100
    with pytest.raises(RollbuildError) as refused:
        fetch_packages(packages, tmp_path / "here")
    assert refused.value.exit_code == UNREACHABLE
    server.cuts = []
    fetch_packages(packages, tmp_path / "here")
    assert files_of(tmp_path / "here") == packages_of(server.folder)


def test_jobs_run_four_at_a_time() -> None:
    together = threading.Barrier(4, timeout=10)
    assert run_parallel([lambda tell: together.wait() >= 0] * 8) == [True] * 8
    assert run_parallel([]) == []


def test_the_first_failure_stops_the_rest() -> None:
    started: list[int] = []
    ready = threading.Event()

    def job(number: int) -> int:
        started.append(number)
        if number == 0:
            ready.wait(10)
            raise RollbuildError("the first")
        if number == 3:
            ready.set()
        return number

    def endless(tell: object) -> int:
        assert callable(tell)
        while True:  # until another's failure stops it
            tell(1)

    jobs = [lambda tell, number=number: job(number) for number in range(4)]
    with pytest.raises(RollbuildError) as refused:
        run_parallel([*jobs, *[endless] * 50])
    assert refused.value.message == "the first"


def test_progress_that_is_interrupted() -> None:
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    def job(tell: object) -> str:
        assert callable(tell)
        tell(1)
        return "never"

    with pytest.raises(KeyboardInterrupt):
        run_parallel([job] * 3, interrupt)


def test_names_in_metadata_are_quoted(tmp_path: Path, server: Server) -> None:
    (choice,) = [choice for choice in all_of(server.url) if choice.package.name == "tool^git1"]
    fetch_packages([choice], tmp_path / "here")
    path = tmp_path / "here" / "tool^git1-1.0-1.noarch.rpm"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == choice.package.sha256
