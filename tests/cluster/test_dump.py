import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from rollbuild.cluster import (
    Appliance,
    BootAction,
    Database,
    Interface,
    Route,
    VirtualMachine,
    VmDisk,
    add_alias,
    add_appliance,
    add_host,
    add_interface,
    add_route,
    add_vm,
    dump_commands,
    dump_vms,
    hold_host,
    open_database,
    put_boot_action,
    remove_appliance,
    set_attribute,
    set_boot,
    set_host,
)
from rollbuild.cluster.state import read_state
from rollbuild.commands.rocks import main
from tests.cluster.states import QUICKLY, fill, fillings

Fresh = Callable[[], Any]


@pytest.fixture
def fresh(fresh_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fresh:
    """Makes fresh databases, one at a time."""
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "root"))
    file = tmp_path / "loaded.db"

    @contextmanager
    def make() -> Iterator[tuple[Database, Path]]:
        for left in tmp_path.glob("loaded.db*"):
            left.unlink()
        shutil.copy(fresh_file, file)
        with open_database(str(file)) as opened:
            yield opened, file

    return make


def load(commands: list[str], into: Path, folder: Path) -> int:
    dump = folder / "dump"
    dump.write_text("".join(f"{command}\n" for command in commands), encoding="utf-8")
    return main(["load", str(dump), "--database", str(into)])


def test_the_commands_of_a_small_cluster(cluster: Database) -> None:
    with cluster.writing("test") as c:
        set_boot(c, "compute-0-0", "install")
        hold_host(c, "compute-0-1", "why")
        set_attribute(c, "global", "", "motd", "it's $HOME")
        set_attribute(c, "global", "", "console", "ttyS0=1")
        set_attribute(c, "host", "compute-0-0", "empty", "")
        set_attribute(c, "rack", "0", "x", "-1")
        set_host(c, "compute-0-2", cpus=4, comment="a b", install_action="", run_action="rescue")
        add_alias(c, "compute-0-2", "extra")
        add_appliance(c, Appliance("gpu", "GPU Node", root="gpu", is_public=True))
        remove_appliance(c, "nas")
        put_boot_action(c, BootAction("install vm", "vmlinuz", "initrd.img", "ro quiet"))
        add_interface(c, Interface("compute-0-2", "eth1", vlan=7, options="mode=1"))
        add_route(c, Route("global", "", "224.0.0.0/4", network="private"))
        add_route(c, Route("host", "granite", "0.0.0.0/0", "203.0.113.1"))
        add_host(c, "vm-container-0-0", appliance="vm-container", rack=0, rank=0)
        add_host(c, "compute-0-0-0", appliance="compute", rack=0, rank=0, is_vm=True)
        disks = (VmDisk("file", "/disks/a.hda", "hda"), VmDisk("phy", "vg/a", "hdb", "r", 100))
        add_vm(c, VirtualMachine("compute-0-0-0", "vm-container-0-0", 0, 2048, "para", "saved", disks, "/a.saved"))
        commands = list(dump_commands(c))
        assert list(dump_vms(c, ["granite"])) == []
    assert commands == [
        "rocks remove appliance nas",
        "rocks add appliance gpu 'membership=GPU Node' graph=default node=gpu public=yes os=linux",
        "rocks add network private 10.1.0.0 255.255.0.0 mtu=1500 dnszone=local servedns=yes",
        "rocks add network public 203.0.113.0 255.255.255.0 mtu=1500 dnszone=example.org servedns=no",
        "rocks add bootaction 'action=install vm' kernel=vmlinuz ramdisk=initrd.img 'args=ro quiet'",
        "rocks set attr attr=console value=ttyS0=1",
        "rocks set attr motd 'it'\"'\"'s $HOME'",
        "rocks set rack attr 0 attr=x value=-1",
        "rocks add host compute-0-0 membership=Compute rack=0 rank=0 cpus=1 os=linux",
        "rocks add host compute-0-0-0 membership=Compute rack=0 rank=0 cpus=1 os=linux vm=yes",
        "rocks add host compute-0-1 membership=Compute rack=0 rank=1 cpus=1 os=linux",
        "rocks add host compute-0-2 membership=Compute rack=0 rank=2 cpus=4 os=linux 'comment=a b'",
        "rocks set host runaction compute-0-2 rescue",
        "rocks set host installaction compute-0-2 none",
        "rocks add host granite membership=Frontend rack=0 rank=0 cpus=1 os=linux",
        "rocks add host vm-container-0-0 'membership=VM Container' rack=0 rank=0 cpus=1 os=linux",
        "rocks add host alias compute-0-2 extra",
        "rocks add host interface compute-0-0 eth0 ip=10.1.255.254 mac=52:54:00:aa:10:00 subnet=private",
        "rocks add host interface compute-0-1 eth0 ip=10.1.255.253 mac=52:54:00:aa:10:01 subnet=private",
        "rocks add host interface compute-0-2 eth0 ip=10.1.255.252 mac=52:54:00:aa:10:02 subnet=private",
        "rocks add host interface compute-0-2 eth1 vlan=7 options=mode=1",
        "rocks add host interface granite eth0 ip=10.1.1.1 mac=52:54:00:aa:00:01 subnet=private",
        "rocks add host interface granite eth1 ip=203.0.113.77 mac=52:54:00:aa:00:02 subnet=public",
        "rocks set host vm compute-0-0-0 physnode=vm-container-0-0 slice=0 mem=2048 "
        "'disk=file:/disks/a.hda,hda,w phy:vg/a,hdb,r' 'disksize=36 100' virt-type=para saved=/a.saved",
        "rocks set host attr compute-0-0 attr=empty value=",
        "rocks add route 224.0.0.0 private netmask=240.0.0.0",
        "rocks add host route granite 0.0.0.0 203.0.113.1 netmask=0.0.0.0",
        "rocks set host boot compute-0-0 action=install",
    ]


def test_a_fresh_database_needs_no_command(database: Database) -> None:
    with database.reading() as c:
        assert list(dump_commands(c)) == []


def test_a_host_called_like_a_noun(cluster: Database, fresh: Fresh, tmp_path: Path) -> None:
    with cluster.writing("test") as c:
        for name in ("interface", "vm", "help"):
            add_host(c, name, appliance="compute", rack=9, rank=9)
        commands = list(dump_commands(c))
        before = read_state(c)
    assert "rocks 'add host' vm membership=Compute rack=9 rank=9 cpus=1 os=linux" in commands
    with fresh() as (loaded, file):
        assert load(commands, file, tmp_path) == 0
        with loaded.reading() as c:
            assert read_state(c) == before


@QUICKLY
@given(fillings())
def test_loaded_into_a_fresh_database_it_dumps_the_same(
    fresh: Fresh, tmp_path: Path, calls: list[tuple[Any, ...]]
) -> None:
    with fresh() as (filled, _), filled.writing("fill") as c:
        fill(c, calls)
        commands = list(dump_commands(c))
        before = read_state(c)
    assert all(shlex.split(command)[0] == "rocks" for command in commands)
    with fresh() as (loaded, file):
        assert load(commands, file, tmp_path) == 0
        with loaded.reading() as c:
            assert read_state(c) == before
            assert list(dump_commands(c)) == commands
