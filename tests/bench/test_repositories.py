"""Benchmarks of repositories: ratios of two things measured in one run."""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.packages import make_repository
from tests.programs import need_program
from tests.rpms import make_rpm

PACKAGES = 10_000
ADDED = 10
ROUNDS = 2


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """10,000 packages of some 20 kB. Only ten distinct payloads: writing more takes longer than all measurements."""
    folder = tmp_path_factory.mktemp("repository")
    for number in range(PACKAGES):
        name = f"package-{number * 7919 % PACKAGES:05}"
        requires = [f"package-{number * 31 % PACKAGES:05}", "/bin/sh", "libc.so.6()(64bit)"]
        files = {f"/usr/share/doc/{name}/part-{part}": b"" for part in range(12)}
        payload = PAYLOADS[number % len(PAYLOADS)]
        make_rpm(folder, name, requires=requires, files={**files, f"/usr/bin/{name}": payload}, payload="none")
    return folder, sorted(os.listdir(folder))


PAYLOADS = [os.urandom(16_000) for _ in range(10)]


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def test_metadata_of_ten_thousand_packages(repository, capsys, tmp_path):
    program = need_program("createrepo_c")
    folder, names = repository
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    # gzip, which every version of the program writes; without the databases, which it makes besides
    argv = [program, "-q", "--no-database", "--general-compress-type=gz", "-o", str(theirs), str(folder)]
    chosen = set(names[5 :: PACKAGES // ADDED][:ADDED])
    before = [name for name in names if name not in chosen]
    times: dict[str, list[float]] = {"program": [], "el8": [], "cold": [], "added": [], "same": []}
    cache = tmp_path / "cache"
    for _ in range(ROUNDS):
        shutil.rmtree(cache, ignore_errors=True)
        times["program"].append(seconds(lambda: subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)))
        times["el8"].append(seconds(lambda: make_repository(folder, names, epoch=1, release="el8")))
        times["cold"].append(seconds(lambda: make_repository(folder, before, epoch=1, cache=cache)))
        times["added"].append(seconds(lambda: make_repository(folder, names, epoch=1, cache=cache)))
        times["same"].append(seconds(lambda: make_repository(folder, names, epoch=1, cache=cache)))
    for what, one, other, aim in (
        ("metadata of 10,000 packages against createrepo_c", "el8", "program", "1.5"),
        ("the same after adding ten, against the first time", "added", "cold", "0.1"),
        ("the same again without a change, against the first time", "same", "cold", "0.1"),
    ):
        ratio = statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))
        ours, floor = statistics.median(times[one]), statistics.median(times[other])
        with capsys.disabled():
            print(f"\n{what}: {ours:.3f} s, floor {floor:.3f} s, ratio {ratio:.2f} (aim: {aim})")
