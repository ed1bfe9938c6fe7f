"""Importing an OS tree of 1 GiB, against `sha256sum` of the same files.

Both read every byte from memory; the import also links the files, and compares digests with the metadata.
"""

import shutil
import subprocess

import pytest

from rollbuild.distribution import import_os
from rollbuild.rolls import Store
from tests.bench.test_bench import ratio, tell
from tests.ostrees import default_packages, make_os_tree

GIB = 1024**3
STAGE2 = 256 * 1024**2
PACKAGES = 400


@pytest.fixture(scope="session")
def large_tree(tmp_path_factory):
    packages = default_packages("el9", "9.4")
    size = (GIB - STAGE2) // PACKAGES
    for number in range(PACKAGES):
        item = {"name": f"bulk{number}", "arch": "x86_64", "size": size, "payload": "none"}
        packages[("BaseOS", "AppStream")[number % 2]].append(item)
    folder = tmp_path_factory.mktemp("large")
    yield make_os_tree(folder / "dvd", packages=packages, boot={"images/install.img": bytes(STAGE2)})
    shutil.rmtree(folder)


def test_an_import_of_one_gibibyte_against_sha256sum(large_tree, capsys):
    size = sum(path.stat().st_size for path in large_tree.rglob("*") if path.is_file())
    assert size > 0.99 * GIB
    store = Store(large_tree.parent / "store")
    files = [str(path) for path in sorted(large_tree.rglob("*")) if path.is_file()]

    def imports() -> None:
        shutil.rmtree(store.folder, ignore_errors=True)
        assert import_os(store, str(large_tree)).is_new

    def sums() -> None:
        subprocess.run(["sha256sum", *files], check=True, stdout=subprocess.DEVNULL)

    tell(capsys, f"import of {size / GIB:.2f} GiB", *ratio(imports, sums), "1")
