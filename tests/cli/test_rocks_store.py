"""`rocks list roll`, `list distro` and `list host profile`, from a store with a real distribution."""

from pathlib import Path

import pytest

from rollbuild.cluster import find_host, set_attribute, set_host
from rollbuild.distribution import Compiled, Wanted, create_generation
from rollbuild.rolls import Store
from tests.clusters import make_cluster
from tests.conftest import Run
from tests.stores import BASE, HELLO, OS, PROFILE, add_os, add_roll

NODE = BASE.replace("</kickstart>", "<post>echo &hostname; in rack &rack; at &hostaddr;</post></kickstart>")


@pytest.mark.long
def test_the_store_and_a_kickstart(rocks: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    monkeypatch.setenv("ROLLBUILD_ROOT", str(root))
    store = Store(root / "export/rollbuild")
    store.folder.mkdir(parents=True)
    add_os(store, tmp_path / "dvd")
    add_roll(store, packages=[HELLO], profile={**PROFILE, "nodes/base.xml": NODE})
    for name in ("cluster", "trial"):
        create_generation(store, Wanted(name, OS), compile=lambda _: Compiled({}), judge=lambda _: None)

    def shown(*argv: str) -> str:
        done = rocks(*argv)
        assert done.code == 0, done.err
        return done.out

    with make_cluster(root) as database:
        (roll,) = store.read_index()
        table = shown("list", "roll").splitlines()
        assert table[0].split() == ["NAME", "VERSION", "ARCH", "ENABLED"]
        assert table[1].split() == [f"{roll.id.name}:", roll.id.version, roll.id.arch, "yes"]
        assert shown("list", "distro") == (
            "DISTRIBUTION GENERATION IN-USE\ncluster:     1          yes   \ntrial:       1          yes   \n"
        )
        refused = rocks("list", "host", "profile", "compute-0-0")
        assert refused.code == 1 and "rocks set attr distribution" in refused.err
        with database.writing("test") as c:
            set_attribute(c, "global", "", "distribution", "cluster")
            set_host(c, find_host(c, "compute-0-0").name, rack=3)
        assert shown("report", "distro") == "cluster\n"
        assert "echo compute-0-0 in rack 3 at 10.1.255.252\n" in shown("list", "host", "profile", "c0")
        assert shown("list", "membership", "compute", "output-col=distribution", "output-header=no") == "cluster\n"
