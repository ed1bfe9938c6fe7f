"""An install DVD of 512 MiB, against `cat` of the same files into one, and `sync`.

`ROLLBUILD_BENCH_ISO_MIB=2048` measures a larger one. The floor has no checksums. The image carries an MD5, which one
processor sums, and the SHA-256 beside it can only begin when that is known, as it stands at the image's start: no
image is made sooner than both take, which is measured too.
"""

import hashlib
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from rollbuild.commands.main import main
from rollbuild.distribution import find_generation, import_os
from rollbuild.media import WantedDvd, create_dvd
from rollbuild.rolls import Store
from tests.bench.test_bench import ROUNDS, tell
from tests.ostrees import default_packages, make_os_tree
from tests.stores import HELLO, add_roll

MIB = 1024**2
SIZE = int(os.environ.get("ROLLBUILD_BENCH_ISO_MIB", "512")) * MIB
STAGE2 = SIZE // 4
PACKAGES = 200


@contextmanager
def no_progress(total: int, label: str) -> Iterator[Callable[..., None]]:
    yield lambda steps=1: None


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    packages = default_packages("el9", "9.4")
    size = (SIZE - STAGE2) // PACKAGES
    for number in range(PACKAGES):
        item = {"name": f"bulk{number}", "arch": "x86_64", "size": size + number, "payload": "none"}
        packages[("BaseOS", "AppStream")[number % 2]].append(item)
    folder = tmp_path_factory.mktemp("iso")
    make_os_tree(folder / "dvd", packages=packages, boot={"images/install.img": os.urandom(STAGE2)})
    store = Store(folder / "store")
    store.folder.mkdir()
    name = import_os(store, str(folder / "dvd"), verify=False).tree.name
    add_roll(store, "base", packages=[HELLO])
    assert main(["distro", "create", "cluster", "--os", name, "--store", str(store.folder), "-q"]) == 0
    yield find_generation(store, "cluster")
    shutil.rmtree(folder)


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def test_an_iso_against_cat(large, capsys):
    folder = large.folder.parents[3]
    files = [str(path) for path in sorted(large.folder.rglob("*")) if path.is_file() and "kickstarts" not in path.parts]
    size = sum(os.path.getsize(path) for path in files)
    assert size > 0.99 * SIZE

    def writes() -> None:
        create_dvd(large, WantedDvd(), folder / "dvd.iso", progress=no_progress)
        os.sync()

    def cats() -> None:
        with open(folder / "cat", "wb") as file:
            subprocess.run(["cat", *files], check=True, stdout=file)
        os.sync()

    def sums() -> float:
        start = time.perf_counter()
        for name in ("md5", "sha256"):
            digest = hashlib.new(name, usedforsecurity=False)
            with open(folder / "dvd.iso", "rb", buffering=0) as file:
                while piece := file.read(MIB // 4):
                    digest.update(piece)
        return time.perf_counter() - start

    pairs = [(timed(writes), timed(cats)) for _ in range(ROUNDS + 1)][1:]
    ratios = [one / other for one, other in pairs]
    seconds, floor = (statistics.median(one) for one in zip(*pairs, strict=True))
    times, least = statistics.median(ratios), min(ratios)
    tell(capsys, f"install DVD of {size / MIB:.0f} MiB", seconds, floor, times, "1.3")
    with capsys.disabled():
        print(f"  smallest ratio {least:.2f}; MD5 and then SHA-256 of it alone: {min(sums() for _ in range(3)):.3f} s")
