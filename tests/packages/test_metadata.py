"""Metadata that is written: by the same bytes for the same packages, read by what will read it, whole or not at all."""

import dataclasses
import errno
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.files import write_many
from rollbuild.packages import (
    Extras,
    Resolver,
    Wanted,
    check_repository,
    has_solver,
    make_repository,
    merge_extras,
    metadata,
    metadata_blocks,
    metadata_cache,
    metadata_chunks,
    metadata_segments,
    open_repositories,
    parse_repository_name,
)
from rollbuild.packages.native import load_createrepo
from tests.packages.repositories import COMPS, MODULES
from tests.programs import need_program
from tests.rpms import make_rpm

EPOCH = 1_700_000_123
UPDATES = b"""<?xml version="1.0" encoding="UTF-8"?>
<updates><update from="me" status="final" type="security" version="1"><id>ROLL-1</id><title>Mend gamma</title>
<issued date="2024-01-01 00:00:00"/><severity>Important</severity><description>Mended.</description><references/>
<pkglist><collection short="r"><name>roll</name>
<package name="gamma" version="1.0" release="1" epoch="0" arch="noarch"><filename>gamma-1.0-1.noarch.rpm</filename>
</package></collection></pkglist></update></updates>
"""
EXTRAS = Extras(COMPS.replace("bash", "alpha").encode(), MODULES.encode(), UPDATES)
STREAM = """---
document: modulemd
version: 2
data:
  name: web
  stream: "%s"
  version: 820240101000000
  context: abcdef01
  arch: x86_64
  summary: A server
  description: >-
    Serves: pages.
  license: {module: [MIT]}
  profiles: {common: {rpms: [alpha]}}
...
"""
ODD = "Tab\there, <tag> & \"quote\" 'so' \u20ac \U0001f600"


def write_packages(folder: Path) -> list[str]:
    make_rpm(
        folder / "RPMS",
        "alpha",
        requires=["beta >= 1.0", "/bin/sh"],
        files={"/usr/bin/alpha": "x", "/etc/a & <b>": "y"},
    )
    make_rpm(folder / "RPMS", "beta", version="2.0", epoch="3", arch="x86_64", provides=["virtual = 4"], summary=ODD)
    make_rpm(folder / "RPMS", "libstdc++", conflicts=["old < 2"], obsoletes=["older"], files={"/usr/share/x/y": "z"})
    make_rpm(folder / "RPMS" / "sub & more", "gamma", payload="xz", size=5000)
    make_rpm(folder / "SRPMS", "alpha", arch="src", files={"alpha.spec": "Name: alpha"})
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.rpm"))


@pytest.fixture
def roll(tmp_path: Path) -> tuple[Path, list[str]]:
    folder = tmp_path / "roll"
    return folder, write_packages(folder)


def snapshot(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "repodata").iterdir()}


@pytest.fixture(autouse=True)
def _old_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # A cache does not trust what it saw of files that have just changed; tests have no time to wait.
    monkeypatch.setattr(metadata_cache, "_YOUNG_NS", -1_000_000_000)


@pytest.mark.parametrize(("release", "packing"), [("el7", "gz"), ("el8", "gz"), ("el9", "zst"), ("el10", "zst")])
def test_what_is_written_is_what_is_told(roll: tuple[Path, list[str]], release: str, packing: str) -> None:
    folder, names = roll
    told: list[int] = []
    made = make_repository(folder, names, epoch=EPOCH, release=release, extras=EXTRAS, advance=told.append)
    assert sum(told) == sum((folder / name).stat().st_size for name in names)
    assert check_repository(folder, digests=True) == made.packages
    assert made.metadata == {
        f"repodata/{name}": (hashlib.sha256(data).hexdigest(), len(data)) for name, data in snapshot(folder).items()
    }
    kinds = sorted(name.partition("-")[2] for name in made.metadata if "-" in name)
    plain = ["comps.xml"] if packing == "gz" else []
    expected = ["primary.xml", "filelists.xml", "other.xml", "comps.xml", "modules.yaml", "updateinfo.xml"]
    assert kinds == sorted([*plain, *(f"{name}.{packing}" for name in expected)])
    index = (folder / "repodata" / "repomd.xml").read_text()
    assert index.count(f"<timestamp>{EPOCH}</timestamp>") == len(kinds)
    assert f"<revision>{EPOCH}</revision>" in index


def test_the_bytes_depend_on_the_content_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    before = os.umask(0o022)
    try:
        for number, mask in enumerate((0o022, 0o077, 0o002)):
            os.umask(mask)
            folder = tmp_path / f"place{number}" / "r"
            names = write_packages(folder)
            for path in folder.rglob("*.rpm"):
                os.utime(path, (number * 1000, number * 1000))
            random.Random(number).shuffle(names)
            monkeypatch.setenv("TZ", ("UTC", "Asia/Tokyo", "America/Lima")[number])
            monkeypatch.chdir(folder)
            place = (folder, Path("."), folder / ".." / "r")[number]
            make_repository(place, names, epoch=EPOCH, extras=EXTRAS)
            found.append(snapshot(folder))
    finally:
        os.umask(before)
    assert found[0] == found[1] == found[2]


def packages_of(folder: Path) -> dict[str, dict[str, Any]]:
    library = load_createrepo()
    found, warnings = library.RepositoryReader.from_path(str(folder)).parse_packages()
    assert warnings == []
    names = [
        name for name in dir(library.Package) if not name.startswith("_") and name not in ("copy", "nevra", "nvra")
    ]
    return {
        package.location_href: {name: getattr(package, name) for name in names if name != "time_file"}
        for package in found.values()
    }


@pytest.mark.parametrize("release", ["el8", "el9"])
def test_it_says_what_createrepo_c_says(roll: tuple[Path, list[str]], tmp_path: Path, release: str) -> None:
    program = need_program("createrepo_c")
    folder, names = roll
    make_repository(folder, names, epoch=EPOCH, release=release)
    ours = packages_of(folder)
    assert list(ours) == names
    shutil.copytree(folder, tmp_path / "theirs", ignore=shutil.ignore_patterns("repodata"))
    subprocess.run([program, "-q", str(tmp_path / "theirs")], check=True, capture_output=True)
    assert ours == packages_of(tmp_path / "theirs")


def dnf(tmp_path: Path, folder: Path, *argv: str) -> list[str]:
    program = need_program("dnf")
    (tmp_path / "root").mkdir(exist_ok=True)
    config = tmp_path / "dnf.conf"
    config.write_text(
        f"[main]\nreposdir=/nonexistent\nplugins=0\ncachedir={tmp_path}/dnf\nlogdir={tmp_path}\npersistdir={tmp_path}/p\n"
        f"[r]\nname=r\nbaseurl=file://{folder}\ngpgcheck=0\n"
    )
    base = [program, "-q", "-c", str(config), f"--installroot={tmp_path}/root", "--releasever=9", "--forcearch=x86_64"]
    done = subprocess.run([*base, *argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.long
@pytest.mark.parametrize("release", ["el7", "el9"])
def test_dnf_reads_it(roll: tuple[Path, list[str]], tmp_path: Path, release: str) -> None:
    folder, names = roll
    extras = merge_extras([EXTRAS, *(Extras(modules=(STREAM % stream).encode()) for stream in ("2.20", "1"))])
    make_repository(folder, names, epoch=EPOCH, release=release, extras=extras)
    found = dnf(tmp_path, folder, "repoquery", "--qf", "%{location}|%{evr}", "--disable-modular-filtering")
    assert {"RPMS/alpha-1.0-1.noarch.rpm|1.0-1", "RPMS/beta-2.0-1.x86_64.rpm|3:2.0-1"} <= set(found)
    assert dnf(tmp_path, folder, "repoquery", "--file", "/usr/share/x/y") == ["libstdc++-0:1.0-1.noarch"]
    assert {"Core", "alpha", "curl", "zsh", "not-there"} <= set(dnf(tmp_path, folder, "group", "info", "core"))
    assert {"web", "2.20", "1", "common"} <= set(dnf(tmp_path, folder, "module", "list"))
    if os.geteuid() == 0:  # dnf tells of advisories for what is installed, and installs for root only
        dnf(tmp_path, folder, "-y", "install", "gamma")
        assert {"ROLL-1", "Important/Sec."} <= set(dnf(tmp_path, folder, "updateinfo", "list", "--installed"))


def test_dnf_reads_it_without_extras(roll: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, names = roll
    make_repository(folder, names, epoch=EPOCH)
    assert len(dnf(tmp_path, folder, "repoquery", "--qf", "%{name}")) >= 4


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """As many packages as several processes and several blocks need."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(900):
        make_rpm(folder, f"p{number:04}", requires=[f"need-{number}-{i}" for i in range(4)])
    return folder, sorted(os.listdir(folder))


def use(folder: Path, source: Path, names: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        os.link(source / name, folder / name)


@pytest.mark.long
@pytest.mark.parametrize("release", ["el8", "el9"])
def test_many_packages_in_blocks_are_read(
    many: tuple[Path, list[str]], tmp_path: Path, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, names = many
    monkeypatch.setattr(metadata_blocks, "_LEAST_BYTES", 20_000)
    folder = tmp_path / "r"
    use(folder, source, names)
    made = make_repository(folder, names, epoch=EPOCH, release=release)
    library = load_createrepo()
    assert library.RepositoryReader.from_path(str(folder)).package_count() == len(names)
    assert sorted(packages_of(folder)) == names
    assert check_repository(folder, digests=True) == made.packages
    with open_repositories([parse_repository_name(str(folder))]) as repositories:
        assert len(repositories[0]) == len(names)
        if has_solver():
            (problem,) = Resolver(repositories, "x86_64").find_problems([Wanted("p0007")])
            assert "need-7-" in problem.message
    assert len(dnf(tmp_path, folder, "repoquery", "--qf", "%{name}")) == len(names)
    (primary,) = (folder / "repodata").glob("*primary*")
    start = b"\x1f\x8b\x08" if release == "el8" else b"\x28\xb5\x2f\xfd"
    assert primary.read_bytes().count(start) > 5


def test_a_cache_never_changes_the_bytes(
    many: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, names = many
    monkeypatch.setattr(metadata_blocks, "_LEAST_BYTES", 20_000)
    folder, cache = tmp_path / "r", tmp_path / "cache"
    use(folder, source, names)
    some = [name for number, name in enumerate(names) if number % 90]
    expected = make_repository(folder, names, epoch=EPOCH)
    without = snapshot(folder)
    make_repository(folder, some, epoch=1, cache=cache)
    read: list[int] = []
    monkeypatch.setattr(metadata_segments, "scan_files", counting(read))
    packed: list[int] = []
    compress_all = metadata_blocks._compress_zstd

    def compress(blocks: Any) -> Any:
        packed.append(len(blocks))
        return compress_all(blocks)

    monkeypatch.setattr(metadata_blocks, "_compress_zstd", compress)
    monkeypatch.setattr(metadata_blocks, "_WORTH_A_PROCESS", 1000)  # others would not tell
    assert make_repository(folder, names, epoch=EPOCH, cache=cache) == expected
    assert snapshot(folder) == without
    assert read == [10] and 0 < sum(packed) < 40
    before = len(packed)
    assert make_repository(folder, names, epoch=EPOCH, cache=cache) == expected
    assert snapshot(folder) == without
    assert read == [10, 0] and len(packed) == before


def counting(read: list[int]) -> Callable[..., list[metadata_chunks.Scan]]:
    def scan(tasks: Any, advance: Any = None) -> list[metadata_chunks.Scan]:
        read.append(len(tasks))
        return metadata_chunks.scan_files(tasks, advance)

    return scan


def test_another_place_of_the_same_file_is_written(roll: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, names = roll
    make_repository(folder, names, epoch=EPOCH, cache=tmp_path / "cache")
    moved = tmp_path / "moved"
    (moved / "new").mkdir(parents=True)
    for name in names:
        os.link(folder / name, moved / "new" / os.path.basename(name).replace(".src.", "-src."))
    places = sorted(f"new/{path.name}" for path in (moved / "new").iterdir())
    with_cache = make_repository(moved, places, epoch=EPOCH, cache=tmp_path / "cache")
    bytes_with = snapshot(moved)
    assert make_repository(moved, places, epoch=EPOCH) == with_cache
    assert snapshot(moved) == bytes_with
    assert list(check_repository(moved, digests=True)) == places


def test_a_new_link_needs_no_new_header(
    roll: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = roll
    expected = make_repository(folder, names, epoch=EPOCH, cache=tmp_path / "cache")
    for number, name in enumerate(names):
        os.link(folder / name, tmp_path / f"link{number}")

    def refuse(*_: object) -> metadata_chunks.Chunks:
        raise AssertionError("the header was read again")

    monkeypatch.setattr(metadata_chunks, "_parse", refuse)
    assert make_repository(folder, names, epoch=EPOCH, cache=tmp_path / "cache") == expected


def test_a_file_changed_in_place_is_noticed(tmp_path: Path) -> None:
    path = make_rpm(tmp_path / "r", "alpha", summary="one")
    other = make_rpm(tmp_path / "other", "alpha", summary="two").read_bytes()
    status = path.stat()
    assert len(other) == status.st_size
    first = make_repository(path.parent, [path.name], epoch=EPOCH, cache=tmp_path / "cache")
    with open(path, "r+b") as file:
        file.write(other)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = make_repository(path.parent, [path.name], epoch=EPOCH, cache=tmp_path / "cache")
    assert second.packages[path.name][0] == hashlib.sha256(other).hexdigest() != first.packages[path.name][0]


def test_what_has_just_changed_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_cache, "_YOUNG_NS", 3_600_000_000_000)
    path = make_rpm(tmp_path / "r", "alpha")
    read: list[int] = []
    monkeypatch.setattr(metadata_segments, "scan_files", counting(read))
    for _ in range(2):
        make_repository(path.parent, [path.name], epoch=EPOCH, cache=tmp_path / "cache")
    assert read == [1, 1]


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_link(path: Path) -> None:
    path.rename(path.with_suffix(".x"))
    path.symlink_to(path.with_suffix(".x"))


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def garble(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(40):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def swap_data(path: Path, _: random.Random) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE item SET data = CAST(replace(data, 'alpha', 'omega') AS BLOB)")
    database.close()


def mix_up(path: Path, _: random.Random) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE item SET data = (SELECT max(data) FROM item)")
    database.close()


def lose(what: str) -> Callable[[Path, random.Random], None]:
    def lose_items(path: Path, _: random.Random) -> None:
        with sqlite3.connect(path) as database:
            assert database.execute(f"DELETE FROM item WHERE {what}").rowcount
        database.close()

    return lose_items


def drop_tables(path: Path, _: random.Random) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE item (a)")
    database.close()


DAMAGE: dict[str, Callable[[Path, random.Random], object]] = {
    "bits": garble,
    "middle": lambda p, c: p.write_bytes(p.read_bytes()[:5000] + c.randbytes(20_000)),
    "cut": lambda p, c: os.truncate(p, c.randrange(1, p.stat().st_size)),
    "empty": lambda p, c: os.truncate(p, 0),
    "text": lambda p, c: p.write_text("no database at all, but a text\n" * 100),
    "other content": swap_data,
    "content of another": mix_up,
    "files lost": lose("key LIKE 'files %'"),
    "segments lost": lose("length(key) = 64"),
    "blocks lost": lose("key LIKE 'zst %'"),
    "other tables": drop_tables,
    "folder": lambda p, c: put_folder(p),
    "gone": lambda p, c: p.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_made_anew_without_a_word(
    roll: tuple[Path, list[str]], tmp_path: Path, damage: Callable[..., object], capfd: pytest.CaptureFixture[str]
) -> None:
    folder, names = roll
    expected = make_repository(folder, names, epoch=EPOCH, extras=EXTRAS)
    without = snapshot(folder)
    for seed in range(8 if damage is garble else 1):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        make_repository(folder, names, epoch=EPOCH, extras=EXTRAS, cache=tmp_path / "cache")
        (path,) = (tmp_path / "cache").iterdir()
        damage(path, random.Random(seed))
        for _ in range(2):
            assert make_repository(folder, names, epoch=EPOCH, extras=EXTRAS, cache=tmp_path / "cache") == expected
            assert snapshot(folder) == without
    assert capfd.readouterr() == ("", "")


def test_a_cache_that_cannot_be_written_is_done_without(roll: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, names = roll
    expected = make_repository(folder, names, epoch=EPOCH)
    (tmp_path / "file").write_text("")
    assert make_repository(folder, names, epoch=EPOCH, cache=tmp_path / "file" / "cache") == expected


def test_lost_segments_are_read_again_and_kept(
    many: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, names = many
    folder, cache = tmp_path / "r", tmp_path / "cache"
    use(folder, source, names)
    expected = make_repository(folder, names, epoch=EPOCH, cache=cache)
    without = snapshot(folder)
    (path,) = cache.iterdir()
    with sqlite3.connect(path) as database:
        keys = [key for (key,) in database.execute("SELECT key FROM item WHERE length(key) = 64 ORDER BY key LIMIT 5")]
        database.executemany("DELETE FROM item WHERE key = ?", [(key,) for key in keys])
    database.close()
    read: list[int] = []
    monkeypatch.setattr(metadata_segments, "scan_files", counting(read))
    told: list[int] = []
    for _ in range(2):
        assert make_repository(folder, names, epoch=EPOCH, cache=cache, advance=told.append) == expected
        assert snapshot(folder) == without
    assert len(read) == 3 and read[0] == read[2] == 0 < read[1] < 300
    assert sum(told) == 2 * sum(size for _, size in expected.packages.values())


def truncate_header(path: Path) -> None:
    os.truncate(path, 600)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "header cut": (truncate_header, "ends within its header"),
    "lead cut": (lambda p: os.truncate(p, 50), "ends within its header"),
    "empty": (lambda p: os.truncate(p, 0), "it is empty"),
    "text": (lambda p: p.write_text("<html>Not found</html>" * 50), "does not start as an RPM does"),
    "magic": (lambda p: p.write_bytes(p.read_bytes()[:96] + bytes(200)), "not where it should be"),
    "too large": (lambda p: p.write_bytes(p.read_bytes()[:104] + b"\xff" * 200), "too large"),
    "main header": (lambda p: p.write_bytes(spoil(p.read_bytes())), "cannot be read"),
    "folder": (put_folder, "this is no file"),
    "link": (put_link, "this is no file"),
    "pipe": (put_pipe, "this is no file"),
}


def test_control_characters_which_no_reader_takes_are_refused(tmp_path: Path) -> None:
    path = make_rpm(tmp_path, "alpha", summary="bell\x07")
    with pytest.raises(RollbuildError, match="control char") as refused:
        make_repository(tmp_path, [path.name], epoch=EPOCH)
    assert str(refused.value.location) == str(path)


def test_metadata_that_no_reader_would_take_is_refused(
    roll: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = roll
    parse = metadata_chunks._parse

    def parse_wrongly(path: str, *arguments: Any) -> metadata_chunks.Chunks:
        chunks = parse(path, *arguments)
        return dataclasses.replace(chunks, other=b"<package>") if path.endswith(names[1]) else chunks

    monkeypatch.setattr(metadata_chunks, "_parse", parse_wrongly)
    with pytest.raises(RollbuildError, match="its metadata is no XML") as refused:
        make_repository(folder, names, epoch=EPOCH)
    assert str(refused.value.location) == f"{folder}/{names[1]}"


@pytest.mark.parametrize(
    ("texts", "taken"),
    [
        ([b"<package a='1'><b/></package>\n", b"<package/>"], True),
        ([], True),
        ([b"<package>", b"</package>"], False),
        ([b"<package>\x07</package>"], False),
        ([b"<package>\xff</package>"], False),
        ([b"<package/></all><all>"], False),
        ([b"<package/>", b"<!DOCTYPE a><package/>"], False),
        ([b"<package/>", b"words"], False),
    ],
)
def test_what_readers_take(texts: list[bytes], taken: bool) -> None:
    assert metadata_chunks._is_xml(texts) is taken


def spoil(data: bytes) -> bytes:
    start = data.rindex(b"\x8e\xad\xe8")
    return data[: start + 16] + bytes(400) + data[start + 416 :]


@pytest.mark.parametrize(("change", "said"), FAULTS.values(), ids=FAULTS)
def test_a_damaged_package_is_named_and_the_old_metadata_stays(
    roll: tuple[Path, list[str]], capfd: pytest.CaptureFixture[str], change: Callable[[Path], object], said: str
) -> None:
    folder, names = roll
    make_repository(folder, names, epoch=EPOCH)
    before = snapshot(folder)
    change(folder / names[1])
    with pytest.raises(RollbuildError) as refused:
        make_repository(folder, names, epoch=EPOCH)
    assert said in refused.value.message and refused.value.exit_code == REFUSED
    assert refused.value.location is not None and refused.value.location.file == f"{folder}/{names[1]}"
    assert snapshot(folder) == before
    assert sorted(os.listdir(folder)) == ["RPMS", "SRPMS", "repodata"]
    assert capfd.readouterr() == ("", "")


def test_any_damage_of_a_header_is_refused_or_borne(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chance = random.Random("headers")
    path = make_rpm(tmp_path, "alpha", requires=["a", "b > 1"], files={"/usr/bin/x": "y"}, summary=ODD)
    whole = path.read_bytes()
    outcomes = set()
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 3, 10))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.randrange(len(data))] if chance.random() < 0.2 else data)
        try:
            made = make_repository(tmp_path, [path.name], epoch=EPOCH)
        except RollbuildError as problem:
            assert problem.exit_code == REFUSED
            outcomes.add("refused")
        else:
            assert check_repository(tmp_path, digests=True) == made.packages
            outcomes.add("borne")
    assert outcomes == {"refused", "borne"}
    assert capfd.readouterr() == ("", "")


def test_the_damage_is_named_when_several_processes_read(many: tuple[Path, list[str]], tmp_path: Path) -> None:
    source, names = many
    use(tmp_path / "r", source, names)
    (tmp_path / "r" / names[700]).unlink()
    (tmp_path / "r" / names[700]).write_bytes(b"no RPM")
    with pytest.raises(RollbuildError) as refused:
        make_repository(tmp_path / "r", names, epoch=EPOCH)
    assert str(refused.value.location) == f"{tmp_path}/r/{names[700]}" and refused.value.hint


@pytest.mark.parametrize(
    "name", ["../a.rpm", "/etc/passwd", "", "a//b.rpm", "./a.rpm", "a\nb.rpm", "a\udcff.rpm", "a/"]
)
def test_places_outside_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RollbuildError, match="cannot be the place of a package"):
        make_repository(tmp_path, [name], epoch=EPOCH)


def test_few_large_packages_are_shared_by_processes(
    roll: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = roll
    expected = make_repository(folder, names, epoch=EPOCH)
    monkeypatch.setattr(metadata_chunks, "_WORTH_A_PROCESS_BYTES", 1)
    told: list[int] = []
    assert make_repository(folder, names, epoch=EPOCH, advance=told.append) == expected
    assert told == [size for _, size in expected.packages.values()]


def test_without_proc_a_file_does_as_well(roll: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, names = roll
    expected = make_repository(folder, names, epoch=EPOCH)
    monkeypatch.setattr("rollbuild.packages.metadata_chunks.tempfile.gettempdir", lambda: str(folder))
    is_folder = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: path != "/proc/self/fd" and is_folder(path))
    assert make_repository(folder, names, epoch=EPOCH) == expected


def test_the_same_package_twice_is_refused(tmp_path: Path) -> None:
    make_rpm(tmp_path / "a", "alpha")
    make_rpm(tmp_path / "b", "alpha")
    names = ["a/alpha-1.0-1.noarch.rpm", "b/alpha-1.0-1.noarch.rpm"]
    with pytest.raises(RollbuildError, match=r"alpha-0:1.0-1.noarch, and so is a/alpha\S+, with the same content"):
        make_repository(tmp_path, names, epoch=EPOCH)
    make_rpm(tmp_path / "b", "alpha", summary="other")
    with pytest.raises(RollbuildError, match="but with another content"):
        make_repository(tmp_path, names, epoch=EPOCH)
    with pytest.raises(RollbuildError, match="named twice"):
        make_repository(tmp_path, [names[0], names[0]], epoch=EPOCH)
    with pytest.raises(RollbuildError) as refused:
        make_repository(tmp_path, ["c/alpha.rpm"], epoch=EPOCH)
    assert refused.value.exit_code == DISK
    with pytest.raises(RollbuildError, match="before 1970"):
        make_repository(tmp_path, [], epoch=-1)


def test_what_others_left_behind_does_not_matter(roll: tuple[Path, list[str]]) -> None:
    folder, names = roll
    make_repository(folder, names, epoch=EPOCH)
    expected = snapshot(folder)
    (folder / ".repodata").mkdir()  # of a createrepo_c that was killed
    (folder / "repodata" / "stale-primary.sqlite.bz2").write_text("old")
    make_repository(folder, names, epoch=EPOCH)
    assert snapshot(folder) == expected


def test_repodata_that_is_a_link_is_refused(roll: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, names = roll
    (tmp_path / "victim").mkdir()
    (folder / "repodata").symlink_to(tmp_path / "victim")
    with pytest.raises(RollbuildError, match="symbolic link"):
        make_repository(folder, names, epoch=EPOCH)
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_package_that_changes_meanwhile_is_refused(
    roll: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = roll

    def write_and_change(*arguments: Any) -> int:
        (folder / names[0]).chmod(0o600)
        return write_many(*arguments)

    monkeypatch.setattr(metadata, "write_many", write_and_change)
    with pytest.raises(RollbuildError, match="changed while"):
        make_repository(folder, names, epoch=EPOCH)
    assert not (folder / "repodata").exists()


def full(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def silently_empty(stage: Path, items: Any) -> int:
    for name, _ in items:
        (stage / name).touch()
    return 0


@pytest.mark.parametrize("kind", ["full", "silent", "scratch"])
def test_a_full_disk_leaves_the_old_metadata(
    roll: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder, names = roll
    make_repository(folder, names, epoch=EPOCH)
    before = snapshot(folder)
    with monkeypatch.context() as patch:
        if kind == "full":
            patch.setattr("rollbuild.files.writing.os.write", full)
        elif kind == "silent":
            patch.setattr(metadata, "write_many", silently_empty)
        else:
            patch.setattr("rollbuild.packages.metadata_blocks.tempfile.TemporaryDirectory", full)
        with pytest.raises(RollbuildError) as refused:
            make_repository(folder, names[:2], epoch=EPOCH)
    assert refused.value.exit_code == DISK and "full" in refused.value.hint
    assert snapshot(folder) == before
    assert sorted(os.listdir(folder)) == ["RPMS", "SRPMS", "repodata"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid():
        pytest.skip("mount needs root")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "none", str(place)], capture_output=True).returncode:
        pytest.skip("mount: no tmpfs can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(many: tuple[Path, list[str]], small_disk: Path, tmp_path: Path) -> None:
    source, names = many
    (name,) = [make_rpm(small_disk, "first").name]
    make_repository(small_disk, [name], epoch=EPOCH, cache=small_disk / "cache")
    before = snapshot(small_disk)
    for other in names[:12]:
        shutil.copy(source / other, small_disk)
    (small_disk / "ballast").write_bytes(bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize))
    with pytest.raises(RollbuildError) as refused:
        make_repository(small_disk, [name, *names[:12]], epoch=EPOCH, cache=small_disk / "cache")
    assert refused.value.exit_code == DISK and "the disk is full" in refused.value.hint
    assert snapshot(small_disk) == before
    (small_disk / "ballast").unlink()
    made = make_repository(small_disk, [name, *names[:12]], epoch=EPOCH, cache=small_disk / "cache")
    assert check_repository(small_disk, digests=True) == made.packages


def test_a_read_only_folder(small_disk: Path) -> None:
    name = make_rpm(small_disk, "first").name
    make_repository(small_disk, [name], epoch=EPOCH)
    before = snapshot(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RollbuildError) as refused:
        make_repository(small_disk, [name], epoch=EPOCH + 1, cache=small_disk / "cache")
    assert refused.value.exit_code == DISK and "read-only" in refused.value.hint
    assert snapshot(small_disk) == before


RUN = """
import os, sys
from rollbuild.packages import make_repository
folder, cache = sys.argv[1:3]
names = sorted(name for name in os.listdir(folder) if name.endswith(".rpm"))
print("go", flush=True)
make_repository(folder, names, epoch=int(sys.argv[3]), cache=cache)
"""


def start(folder: Path, cache: Path, epoch: int) -> "subprocess.Popen[str]":
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(cache), str(epoch)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.long
def test_killed_at_any_moment(many: tuple[Path, list[str]], tmp_path: Path) -> None:
    source, names = many
    folder, cache = tmp_path / "r", tmp_path / "cache"
    use(folder, source, names)
    make_repository(folder, names, epoch=1)
    old = snapshot(folder)
    make_repository(folder, names, epoch=2)
    new = snapshot(folder)
    make_repository(folder, names, epoch=1)
    chance = random.Random("kill")
    for _ in range(4):
        with start(folder, cache, 2) as process:
            assert process.stdout is not None and process.stdout.readline() == "go\n"
            time.sleep(chance.random() * 0.4)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        assert snapshot(folder) in (old, new)
    make_repository(folder, names, epoch=2, cache=cache)
    assert snapshot(folder) == new
    assert [name for name in os.listdir(folder) if name.startswith(".rollbuild")] == []


def test_two_at_once(many: tuple[Path, list[str]], tmp_path: Path) -> None:
    source, names = many
    folder, cache = tmp_path / "r", tmp_path / "cache"
    use(folder, source, names[:300])
    processes = [start(folder, cache, 7) for _ in range(3)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    found = snapshot(folder)
    made = make_repository(folder, names[:300], epoch=7)
    assert snapshot(folder) == found
    assert check_repository(folder, digests=True) == made.packages
