"""An install DVD of 2 GiB, against `cat` of the same files into one, and `sync`."""

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

GIB = 1024**3
STAGE2 = 512 * 1024**2
PACKAGES = 800


@contextmanager
def no_progress(total: int, label: str) -> Iterator[Callable[..., None]]:
    yield lambda steps=1: None


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    packages = default_packages("el9", "9.4")
    size = (2 * GIB - STAGE2) // PACKAGES
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


def test_an_iso_of_two_gibibyte_against_cat(large, capsys):
    folder = large.folder.parents[3]
    files = [str(path) for path in sorted(large.folder.rglob("*")) if path.is_file() and "kickstarts" not in path.parts]
    size = sum(os.path.getsize(path) for path in files)
    assert size > 1.99 * GIB

    def writes() -> None:
        create_dvd(large, WantedDvd(), folder / "dvd.iso", progress=no_progress)
        os.sync()

    def cats() -> None:
        with open(folder / "cat", "wb") as file:
            subprocess.run(["cat", *files], check=True, stdout=file)
        os.sync()

    tell(capsys, f"install DVD of {size / GIB:.2f} GiB", *ratio(writes, cats), "1.3")
