"""An install DVD of 512 MiB, against `cat` of the same files into one, and `sync`.

`ROLLBUILD_BENCH_ISO_MIB=2048` measures a larger one. The floor has no checksums: the image carries an MD5, and the
SHA-256 beside it can only begin when that is known.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from rollbuild.commands.main import main
from rollbuild.distribution import find_generation, import_os
from rollbuild.media import WantedDvd, create_dvd
from rollbuild.rolls import Store
from tests.bench.test_bench import ratio, tell
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

    tell(capsys, f"install DVD of {size / MIB:.0f} MiB", *ratio(writes, cats), "1.3")
