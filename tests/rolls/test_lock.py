"""roll.lock: what is chosen, written, read again, and fetched exactly."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import createrepo_c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.location import Location
from rollbuild.packages import Resolver, Wanted, open_repositories, parse_repository_name
from rollbuild.rolls.lock import LockedPackage, LockEntry, RollLock, check_lock, fetch_locked, read_lock, write_lock
from tests.rpms import make_rpm
from tests.servers import Server, serve


def index(folder: Path) -> None:
    """Metadata for the packages of a folder."""
    shutil.rmtree(folder / "repodata", ignore_errors=True)
    files = sorted(folder.rglob("*.rpm"))
    with createrepo_c.RepositoryWriter(str(folder), num_packages=len(files)) as writer:
        for file in files:
            writer.add_pkg_from_file(str(file))


@pytest.fixture
def epel(tmp_path: Path) -> Path:
    folder = tmp_path / "epel"
    make_rpm(folder / "Packages/m", "munge", version="0.5", requires=["munge-libs", "bash"], arch="x86_64")
    make_rpm(folder / "Packages/m", "munge-libs", version="0.5", epoch="1", arch="x86_64")
    make_rpm(folder / "Packages/o", "other")
    index(folder)
    return folder


@pytest.fixture
def os_tree(tmp_path: Path) -> Path:
    for name in ("BaseOS", "AppStream"):
        make_rpm(tmp_path / "os" / name, {"BaseOS": "bash", "AppStream": "gcc"}[name], arch="x86_64")
        index(tmp_path / "os" / name)
    return tmp_path / "os"


@pytest.fixture
def server(epel: Path) -> Iterator[Server]:
    with serve(epel) as made:
        yield made


def choose(place: Path | str, os_tree: Path, *names: str) -> LockEntry:
    """What is pinned for these names [munge]: all that they require and the OS has not."""
    pytest.importorskip("solv")
    wanted = names or ("munge",)
    with open_repositories([parse_repository_name(f"epel={place}"), parse_repository_name(str(os_tree))]) as found:
        closure = Resolver(found, "x86_64").find_closure(list(map(Wanted, wanted)), base=["BaseOS", "AppStream"])
        packages = tuple(
            LockedPackage(one.package.full_label, "epel", one.package.href, one.package.size, one.package.checksum)
            for one in closure.packages
        )
        return LockEntry("el9", "x86_64", {"epel": str(place)}, wanted, packages)


def test_chosen_written_read_and_fetched(server: Server, os_tree: Path, tmp_path: Path) -> None:
    entry = choose(server.url, os_tree)
    assert [package.nevra for package in entry.packages] == ["munge-0:0.5-1.x86_64", "munge-libs-1:0.5-1.x86_64"]
    write_lock(tmp_path / "roll.lock", RollLock((entry,)))
    text = (tmp_path / "roll.lock").read_text()
    assert sum("nevra:" in line and "sha256:" in line and "size:" in line for line in text.splitlines()) == 2
    found = read_lock(tmp_path / "roll.lock")
    assert found == RollLock((entry,))
    again = found.entry_for("el9", "x86_64")
    assert again is not None
    steps: list[int] = []
    server.cuts = [500]
    rpms = fetch_locked(again, {}, tmp_path / "here", cache=tmp_path / "cache", advance=steps.append)
    names = ["munge-0.5-1.x86_64.rpm", "munge-libs-0.5-1.x86_64.rpm"]
    assert [rpm.path.name for rpm in rpms] == names == sorted(path.name for path in (tmp_path / "here").iterdir())
    assert sum(steps) == sum(package.size for package in entry.packages)
    asked = len(server.requests)
    fetch_locked(again, {}, tmp_path / "there", cache=tmp_path / "cache")
    assert len(server.requests) == asked  # all from the cache


def test_the_pinned_are_fetched_though_there_are_newer(epel: Path, os_tree: Path, tmp_path: Path) -> None:
    entry = choose(epel, os_tree)
    make_rpm(epel / "Packages/m", "munge", version="0.6", arch="x86_64")
    index(epel)
    rpms = fetch_locked(entry, {}, tmp_path / "here")
    assert [rpm.version for rpm in rpms] == ["0.5", "0.5"]
    assert [package.nevra for package in choose(epel, os_tree).packages] == ["munge-0:0.6-1.x86_64"]


@pytest.mark.parametrize("is_url", [True, False])
@pytest.mark.parametrize("gone", [True, False])
def test_a_pinned_package_is_gone_or_another(
    server: Server, epel: Path, os_tree: Path, tmp_path: Path, is_url: bool, gone: bool
) -> None:
    entry = choose(epel, os_tree)
    write_lock(tmp_path / "roll.lock", RollLock((entry,)))
    file = epel / "Packages/m/munge-0.5-1.x86_64.rpm"
    if gone:
        file.unlink()
    else:
        make_rpm(epel / "Packages/m", "munge", version="0.5", arch="x86_64", summary="Other contents")
    (again,) = read_lock(tmp_path / "roll.lock").entries
    with pytest.raises(RollbuildError) as refused:
        fetch_locked(again, {"epel": server.url if is_url else epel.as_uri()}, tmp_path / "here")
    assert refused.value.exit_code == REFUSED
    assert "munge-0.5-1.x86_64.rpm" in refused.value.message + str(refused.value.location)
    assert "--update-lock" in refused.value.hint
    if gone or is_url:
        lines = (tmp_path / "roll.lock").read_text().splitlines()
        assert refused.value.location is not None
        assert "munge-0:0.5" in lines[refused.value.location.line - 1]


@pytest.mark.parametrize(
    ("wanted", "repositories", "said"),
    [
        (("munge",), {"epel": "a"}, ""),
        (("munge", "slurm"), {"epel": "a"}, "new packages slurm"),
        ((), {"epel": "a"}, "packages no longer wanted: munge"),
        (("munge",), {"epel": "b"}, "epel is b and was a"),
        (("munge",), {"epel": "a", "crb": "c"}, "new repositories crb"),
    ],
)
def test_a_lock_that_does_not_fit(wanted: tuple[str, ...], repositories: dict[str, str], said: str) -> None:
    entry = LockEntry("el9", "x86_64", {"epel": "a"}, ("munge",), (), Location("roll.lock", 3))
    if not said:
        assert check_lock(entry, wanted, repositories, location=Location("roll.yaml")) is entry
        return
    with pytest.raises(RollbuildError) as refused:
        check_lock(entry, wanted, repositories, location=Location("roll.yaml"))
    assert said in refused.value.message
    assert refused.value.location == Location("roll.lock", 3)
    assert "--update-lock" in refused.value.hint


def test_no_entry_for_the_release() -> None:
    with pytest.raises(RollbuildError) as refused:
        check_lock(RollLock().entry_for("el8", "x86_64"), [], {}, location=Location("roll.yaml"))
    assert "--update-lock" in refused.value.hint


PACKAGE = '{nevra: "a-0:1-1.noarch", sha256: "00", size: 5, repository: "r", href: "a.rpm"}'
LOCK = f'format: 1\nel9.x86_64:\n  repositories: {{r: "x"}}\n  wanted: []\n  packages:\n  - {PACKAGE}\n'
DAMAGE = {
    "not YAML": (lambda text: text + "\t- [", 0),
    "a list": (lambda text: "- a\n", 1),
    "format": (lambda text: text.replace("format: 1", "format: 2"), 1),
    "no format": (lambda text: text.replace("format: 1\n", ""), 0),
    "release": (lambda text: text.replace("el9.", "el99."), 0),
    "no wanted": (lambda text: text.replace("  wanted: []\n", ""), 0),
    "no sha256": (lambda text: text.replace('sha256: "00", ', ""), 6),
    "size": (lambda text: text.replace("size: 5", "size: -5"), 6),
    "climbs out": (lambda text: text.replace("a.rpm", "../a.rpm"), 6),
    "absolute": (lambda text: text.replace("a.rpm", "/etc/passwd"), 6),
    "unknown repository": (lambda text: text.replace('repository: "r"', 'repository: "s"'), 6),
    "packages": (lambda text: text.replace(f"\n  - {PACKAGE}", " none"), 5),
}


@pytest.mark.parametrize(("damage", "line"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_locks(tmp_path: Path, damage: "object", line: int) -> None:
    assert callable(damage)
    path = tmp_path / "roll.lock"
    path.write_text(LOCK)
    assert len(read_lock(path).entries) == 1
    path.write_text(damage(LOCK))
    with pytest.raises(RollbuildError) as refused:
        read_lock(path)
    place = refused.value.location
    assert place is not None and place.file == str(path)
    assert line in (0, place.line)


def test_no_lock_is_an_empty_one(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "roll.lock") == RollLock()


def test_an_entry_takes_the_place_of_its_like() -> None:
    one = LockEntry("el9", "x86_64", {}, (), ())
    lock = RollLock().with_entry(one).with_entry(replace(one, release="el8")).with_entry(replace(one, wanted=("a",)))
    assert [(entry.release, entry.wanted) for entry in lock.entries] == [("el8", ()), ("el9", ("a",))]


def test_a_name_that_climbs_out(tmp_path: Path) -> None:
    for nevra in ("../x-0:1-1.noarch", "x", "-0:1-1.noarch", "x-0:../1-1.noarch"):
        package = LockedPackage(nevra, "r", "a.rpm", 1, ("sha256", "0" * 64))
        entry = LockEntry("el9", "x86_64", {"r": "x"}, (), (package,))
        with pytest.raises(RollbuildError):
            fetch_locked(entry, {"r": str(tmp_path)}, tmp_path / "here")
    assert list(tmp_path.iterdir()) == []


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)


@given(texts, texts, texts.filter(lambda text: "/" not in text and text not in (".", "..")))
def test_any_texts_survive(tmp_path_factory: pytest.TempPathFactory, name: str, place: str, href: str) -> None:
    package = LockedPackage("a-0:1-1.noarch", name, href, 7, ("sha512", "ab"))
    lock = RollLock((LockEntry("el9", "x86_64", {name: place}, (name,), (package,)),))
    path = tmp_path_factory.getbasetemp() / "any.lock"
    write_lock(path, lock)
    assert read_lock(path) == lock
