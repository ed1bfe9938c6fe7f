"""`rocks list roll`, `list distro` and `list host profile`, from a store with a real distribution."""

from pathlib import Path

import pytest

from rollbuild.cluster import find_host, set_attribute, set_host
from rollbuild.commands.rocks import main
from rollbuild.distribution import Compiled, Wanted, create_generation
from rollbuild.rolls import Store
from tests.clusters import make_cluster
from tests.stores import BASE, HELLO, OS, PROFILE, add_os, add_roll

NODE = BASE.replace("</kickstart>", "<post>echo &hostname; in rack &rack; at &hostaddr;</post></kickstart>")


@pytest.mark.long
def test_the_store_and_a_kickstart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    monkeypatch.setenv("ROLLBUILD_ROOT", str(root))
    store = Store(root / "export/rollbuild")
    store.folder.mkdir(parents=True)
    add_os(store, tmp_path / "dvd")
    add_roll(store, packages=[HELLO], profile={**PROFILE, "nodes/base.xml": NODE})
    for name in ("cluster", "trial"):
        create_generation(store, Wanted(name, OS), compile=lambda _: Compiled({}), judge=lambda _: None)

    def rocks(*argv: str) -> str:
        capfd.readouterr()
        assert main(argv) == 0
        return capfd.readouterr().out

    with make_cluster(root) as database:
        (roll,) = store.read_index()
        table = rocks("list", "roll").splitlines()
        assert table[0].split() == ["NAME", "VERSION", "ARCH", "ENABLED"]
        assert table[1].split() == [f"{roll.id.name}:", roll.id.version, roll.id.arch, "yes"]
        assert rocks("list", "distro") == (
            "DISTRIBUTION GENERATION IN-USE\ncluster:     1          yes   \ntrial:       1          yes   \n"
        )
        assert main(["list", "host", "profile", "compute-0-0"]) == 1
        assert "rocks set attr distribution" in capfd.readouterr().err
        with database.writing("test") as c:
            set_attribute(c, "global", "", "distribution", "cluster")
            set_host(c, find_host(c, "compute-0-0").name, rack=3)
        assert rocks("report", "distro") == "cluster\n"
        assert "echo compute-0-0 in rack 3 at 10.1.255.252\n" in rocks("list", "host", "profile", "c0")
        assert rocks("list", "membership", "compute", "output-col=distribution", "output-header=no") == "cluster\n"
