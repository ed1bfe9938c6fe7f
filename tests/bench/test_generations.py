"""Making a generation against `cp -al` of the same tree, in one run."""

import itertools
import subprocess
from pathlib import Path

import pytest

from rollbuild.distribution import Wanted, create_generation
from rollbuild.files import link_tree
from rollbuild.rolls import Store
from tests.bench.test_bench import ratio, tell
from tests.stores import OS, add_os, add_roll

PACKAGES = 10_000
OF_ROLLS = 500


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with ten thousand packages: most of them in the OS tree, as it is in practice."""
    folder = tmp_path_factory.mktemp("bench")
    store = Store(folder / "store")
    store.folder.mkdir()
    names = [f"{'abcdefghij'[number % 10]}-{number:05}" for number in range(PACKAGES)]
    packages = [{"name": name} for name in names]
    half = (PACKAGES - OF_ROLLS) // 2
    add_os(store, folder / "dvd", packages={"BaseOS": packages[:half], "AppStream": packages[half:-OF_ROLLS]})
    add_roll(store, "large", packages=packages[-OF_ROLLS:])
    return store


def test_a_distribution_against_cp(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = itertools.count()

    def make() -> Path:
        wanted = Wanted("cluster", OS, url=f"http://host/{next(numbers)}")
        made = create_generation(store, wanted, compile=None, judge=lambda _: None)
        assert made.status == "made" and made.copied == 0
        return made.generation.folder

    source = make()

    def copy() -> None:
        subprocess.run(["cp", "-al", source, source.parent / f"copy-{next(numbers)}"], check=True)

    tell(capsys, f"a generation of {PACKAGES:,} packages against cp -al", *ratio(make, copy), "1.5")


def test_linking_against_cp(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    source, numbers = store.os_folder / OS, itertools.count()
    target = store.folder / "targets"
    target.mkdir()

    def copy() -> None:
        subprocess.run(["cp", "-al", source, target / f"copy-{next(numbers)}"], check=True)

    result = ratio(lambda: link_tree(source, target / f"link-{next(numbers)}"), copy)
    tell(capsys, f"linking {PACKAGES - OF_ROLLS:,} packages against cp -al", *result, "1.5")
