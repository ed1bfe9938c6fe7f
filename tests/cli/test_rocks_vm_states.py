"""What becomes of VMs when their database is loaded anew, or says something else than their containers."""

import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pytest

from rollbuild.cluster import find_vm, list_interfaces, open_database, set_vm
from tests.cli.vm_site import CONTAINERS, VM, Site, applied, described, site
from tests.frontend.service.conftest import made

__all__ = ["applied", "described", "made", "site"]

DISK = "/state/partition1/vm/disks/compute-0-0-1.xvda"
SAVED = "/state/partition1/vm/disks/compute-0-0-1.saved"
FILE = "/state/partition2/a.state"
ADD = 'add host vm vm-container-0-0 membership="Compute"'
CREATE, START = "create host vm compute-0-0-1", "start host vm compute-0-0-1"
MOVE = "move host vm compute-0-0-1 vm-container-0-1"
STAYS = "removed from vm-container-0-0, where a move of compute-0-0-1 left it: "


def make(site: Site, *lines: str) -> None:
    """A VM that is installed, and what follows."""
    site.do(ADD, CREATE)
    site.installed()
    site.do(*lines)


def reload(site: Site, *lines: str) -> None:
    """Another front end, with what a dump of this one says; `lines` come after the dump."""
    text = site.do("dump")
    if lines:
        site.do(*lines)
    folder = site.root / "var/lib/rollbuild"
    for file in folder.glob("cluster.db*"):
        file.unlink()
    dump = site.root / "dump"
    dump.write_text(text)
    site.do(f"load {dump}")


def state_of(name: str = VM) -> tuple[str, str]:
    with open_database() as database, database.reading() as c:
        vm = find_vm(c, name)
    return vm.state, vm.saved


# What was typed before the dump, and after it -> the first line that is typed after the load, its exit code, what it
# says, and (what its container, what the database says then). The disk stays in all of them.
LOADED: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, int, str, str, str]] = {
    "it runs, and is stopped": ((START,), (), "stop host vm compute-0-0-1", 0, "", "shutoff", "stopped"),
    "it runs, and is started": ((START,), (), START, 1, "is already running", "active", "running"),
    "it runs, and is created": (
        (START,),
        (),
        f"{CREATE} force=yes",
        1,
        "is already running",
        "active",
        "running",
    ),
    "it runs, and is removed": ((START,), (), "remove host vm compute-0-0-1", 1, "is running on", "active", "running"),
    "it is off, and is started": ((), (), START, 0, "", "active", "running"),
    "it is off, and is stopped": (
        (START, "stop host vm compute-0-0-1"),
        (),
        "stop host vm compute-0-0-1",
        0,
        "does not run",
        "shutoff",
        "",
    ),
    "it is off, and is created": ((), (), CREATE, 1, f"is installed, and its disk on {CONTAINERS[0]} would be", "", ""),
    "it is paused, and goes on": (
        (START, "pause host vm compute-0-0-1"),
        (),
        "resume host vm compute-0-0-1",
        0,
        "",
        "active",
        "running",
    ),
    "it is saved, and is started": ((START, "save host vm compute-0-0-1"), (), START, 1, "is saved on", "", "saved"),
    "it is saved, and is created": (
        (START, "save host vm compute-0-0-1"),
        (),
        CREATE,
        1,
        "is installed already",
        "",
        "saved",
    ),
    "it was saved after the dump": ((START,), ("save host vm compute-0-0-1",), START, 1, "is saved on", "", "saved"),
    "it is saved in a file, and is started": (
        (START, f"save host vm compute-0-0-1 file={FILE}"),
        (),
        START,
        1,
        "is saved on",
        "",
        "saved",
    ),
    "it was saved in a file after the dump": (
        (START,),
        (f"save host vm compute-0-0-1 file={FILE}",),
        f"restore host vm compute-0-0-1 file={FILE}",
        0,
        "",
        "active",
        "running",
    ),
    "it was to install when it was dumped, and is started": (
        (START, "set host boot compute-0-0-1 action=install"),
        ("stop host vm compute-0-0-1",),
        START,
        1,
        "rocks set host boot compute-0-0-1 action=os, then rocks start host vm compute-0-0-1",
        "shutoff",
        "",
    ),
    "it was to install, runs, and is stopped": (
        (START, "set host boot compute-0-0-1 action=install"),
        (),
        "stop host vm compute-0-0-1",
        0,
        "",
        "shutoff",
        "",
    ),
    "it was to install, runs, and is saved": (
        (START, "set host boot compute-0-0-1 action=install"),
        (),
        "save host vm compute-0-0-1",
        1,
        "it is not known whether compute-0-0-1 is installing or was installed",
        "active",
        "",
    ),
    "it was to install, runs, and is reset": (
        (START, "set host boot compute-0-0-1 action=install"),
        (),
        "stop host vm compute-0-0-1 action=reset",
        1,
        "it is not known whether compute-0-0-1 is installing or was installed",
        "active",
        "",
    ),
}


QUICK_LOADS = (
    *("it runs, and is stopped", "it is off, and is created", "it is saved, and is started"),
    *("it was saved in a file after the dump", "it was to install, runs, and is stopped"),
)


def quick(table: Iterable[str], names: Collection[str]) -> list[Any]:
    """The others take most of a second each, and show little more."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.long) for name in table]


@pytest.mark.parametrize("what", quick(LOADED, QUICK_LOADS))
def test_after_a_load(site: Site, what: str) -> None:
    before, after, line, code, said, status, state = LOADED[what]
    make(site, *before)
    reload(site, *after)
    assert state_of()[0] == ""
    shown = site.states()[VM]  # a list changes nothing
    assert state_of()[0] == "" and shown in ("active", "paused", "shutoff", "saved", "undefined")
    done = site(line)
    assert done.code == code and said in done.err and "Traceback" not in done.err
    assert not status or site.states() == {VM: status}
    assert state_of()[0] == state
    assert DISK in site.fake().look()["disks"]
    # Nothing it was answered with is a dead end.
    if state == "saved":
        site.do("restore host vm compute-0-0-1")
        assert site.fake().look()["disks"].keys() == {DISK}
    elif any("set host boot" in one for one in before):
        site.do("stop host vm compute-0-0-1")
        assert "would be overwritten" in site(START).err and "would be overwritten" in site(CREATE).err
        site.do("set host boot compute-0-0-1 action=os", START)
    elif line == CREATE and not state:
        assert "rocks start host vm compute-0-0-1; or lose" in done.err
        site.do(START)


def test_what_was_never_made_is_made_after_a_load(site: Site) -> None:
    site.do(ADD)
    reload(site)
    done = site(START)
    assert done.code == 1 and "was it never installed? rocks create host vm compute-0-0-1" in done.err
    site.do(CREATE)
    assert state_of() == ("installing", "")


def test_no_import_takes_away_what_may_be_there(site: Site) -> None:
    site.do("export without.yaml")
    make(site)
    reload(site)
    done = site("import without.yaml remove=yes apply=yes")
    assert done.code == 1 and "compute-0-0-1 may have been created on vm-container-0-0" in done.err
    done = site("set host vm compute-0-0-1 physnode=vm-container-0-1")
    assert done.code == 1 and "rocks move host vm compute-0-0-1 vm-container-0-1" in done.err
    done = site("set host name compute-0-0-1 front")
    assert done.code == 1 and "vm-container-0-0 may know the VM compute-0-0-1 by this name" in done.err
    site.do("remove host vm compute-0-0-1 purge=yes", "import without.yaml remove=yes apply=yes")
    assert site.fake().look()["disks"] == {}


def test_an_import_into_an_empty_database(site: Site) -> None:
    """The other way that a cluster comes to another front end."""
    make(site, START)
    site.do("export all.yaml")
    with open_database() as database, database.writing("another front end") as c:
        c.exec_driver_sql("DELETE FROM vms")
        c.exec_driver_sql("DELETE FROM hosts WHERE name = 'compute-0-0-1'")
    assert VM in site.do("import all.yaml apply=yes")
    assert state_of() == ("", "")
    site.do("stop host vm compute-0-0-1", START)


VIRSH = "virsh -c 'xen+ssh://rbvm@vm-container-0-0/system' vol-delete"
# What was typed before -> what is set, and what is said of it; nothing for a VM that was only added.
CHANGED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "memory of what runs": (
        (START,),
        "mem=512",
        "compute-0-0-1 runs with 1024 MiB: the change holds from its next start",
    ),
    "the same memory": ((START,), "mem=1024", ""),
    "memory of what is off": ((START, "stop host vm compute-0-0-1"), "mem=512", ""),
    "memory of what is saved": (
        (START, "save host vm compute-0-0-1"),
        "mem=512",
        "compute-0-0-1 is saved with 1024 MiB",
    ),
    "another disk": (
        (),
        "disk=file:/new/a.xvda,xvda,w disksize=36",
        f"the old disk of compute-0-0-1 stays on vm-container-0-0: {DISK}; to get rid of it: {VIRSH} {DISK}",
    ),
    "another device of a disk": ((), f"disk=file:{DISK},xvdb,w", ""),
    "another size": (
        (),
        "disksize=100",
        f"{DISK} on vm-container-0-0 keeps its size; it has 100 GB when it is made anew, without what is on it now: "
        f"{VIRSH} {DISK}; rocks create host vm compute-0-0-1 force=yes",
    ),
    "the same size": ((), "disksize=36", ""),
}


@pytest.mark.parametrize("what", quick(CHANGED, ("memory of what runs", "another disk", "another size")))
def test_what_a_change_does_not_do_is_said(site: Site, what: str) -> None:
    before, words, said = CHANGED[what]
    site.do(ADD, ADD)
    done = site(f"set host vm compute-0-0-2 {words.replace(DISK, '/x')}")
    assert (done.code, done.err) == (0, "")
    site.do("remove host vm compute-0-0-2", CREATE)
    site.installed()
    site.do(*before)
    looked = site.fake().look()
    done = site(f"set host vm compute-0-0-1 {words}")
    assert (done.code, done.out) == (0, "")
    assert said in done.err if said else done.err == ""
    assert site.fake().look() == looked


def test_processors_hold_from_the_next_start_too(site: Site) -> None:
    make(site, START)
    done = site("set host cpus compute 2")
    assert (done.code, done.err) == (0, "compute-0-0-1 runs with 1 processor: the change holds from its next start\n")
    assert site("set host cpus compute 2").err == ""
    site.fake().tell(unreachable="the container is not asked")
    assert "compute-0-0-1 runs with 2 processors" in site("set host cpus compute-0-0-1 4").err


def test_the_disk_of_another_is_no_old_one(site: Site) -> None:
    make(site, ADD)
    site.do("set host vm compute-0-0-1 disk='file:/a,xvda,w file:/shared,xvdb,r'")
    site.do("set host vm compute-0-0-2 disk='file:/b,xvda,w file:/shared,xvdb,r'")
    done = site("set host vm compute-0-0-1 disk=file:/a,xvda,w")
    assert (done.code, done.err) == (0, "")


def test_saved_in_a_file(site: Site) -> None:
    make(site, START)
    done = site(f"save host vm compute-0-0-1 file={FILE}")
    assert (done.code, done.err) == (0, f"compute-0-0-1 is saved in {FILE} on vm-container-0-0\n")
    assert state_of() == ("saved", FILE)
    assert f"saved={FILE}" in site.do("dump host vm")
    assert site.fake().look()["disks"].keys() == {DISK, FILE}
    assert f"saved already, in {FILE}" in site("save host vm compute-0-0-1").err
    done = site(START)
    assert done.code == 1 and "rocks restore host vm compute-0-0-1" in done.err
    done = site(f"restore host vm compute-0-0-1 file={SAVED}")
    assert done.code == 1 and f"is saved in {FILE}, not in {SAVED}" in done.err
    assert site.do("restore host vm compute-0-0-1") == "Started domain compute-0-0-1\n"
    assert state_of() == ("running", "") and site.fake().look()["disks"].keys() == {DISK}


def test_started_without_what_was_saved_in_a_file(site: Site) -> None:
    make(site, START, f"save host vm compute-0-0-1 file={FILE}")
    site.do(f"{START} force=yes")
    assert state_of() == ("running", "") and site.fake().look()["disks"].keys() == {DISK}


def test_a_file_that_was_brought_elsewhere(site: Site) -> None:
    make(site, START, "save host vm compute-0-0-1")
    assert state_of() == ("saved", SAVED)
    with site.fake()._changing() as data:
        data["disks"][FILE] = data["disks"].pop(SAVED)
    done = site("restore host vm compute-0-0-1")
    assert done.code == 1 and "was it brought elsewhere there? file=PATH" in done.err
    done = site("restore host vm compute-0-0-1 file=/nowhere")
    assert done.code == 1 and "vm-container-0-0 has no file /nowhere" in done.err
    site.do(f"restore host vm compute-0-0-1 file={FILE}")
    assert state_of() == ("running", "") and site.fake().look()["disks"].keys() == {DISK}


def test_a_file_of_another(site: Site) -> None:
    """It is neither overwritten nor let go on."""
    make(site, START, ADD, "create host vm compute-0-0-2")
    site.installed("compute-0-0-2")
    site.do("start host vm compute-0-0-2", f"save host vm compute-0-0-2 file={FILE}")
    with site.fake()._changing() as data:
        data["disks"]["/there"] = {"size": 1, "content": "{}"}
    looked = site.fake().look()
    other = DISK.replace("0-0-1", "0-0-2")
    for file, said in (
        (FILE, f"{FILE} on vm-container-0-0 is a file of compute-0-0-2"),
        (other, f"{other} on vm-container-0-0 is a file of compute-0-0-2"),
        (DISK, f"{DISK} on vm-container-0-0 is a file of compute-0-0-1"),
        ("/there", "vm-container-0-0 has a file /there already, which would be overwritten"),
    ):
        done = site(f"save host vm compute-0-0-1 file={file}")
        assert done.code == 1 and said in done.err
    assert site.fake().look() == looked and state_of()[0] == "running"
    site.do("save host vm compute-0-0-1")
    with site.fake()._changing() as data:
        data["disks"]["/copy"] = data["disks"][FILE]
        del data["disks"][SAVED]
    done = site(f"restore host vm compute-0-0-1 file={FILE}")
    assert done.code == 1 and f"{FILE} on vm-container-0-0 is a file of compute-0-0-2" in done.err
    done = site("restore host vm compute-0-0-1 file=/copy")
    assert done.code == 1 and "/copy on vm-container-0-0 is the saved state of another machine" in done.err
    assert "/copy" in site.fake().look()["disks"]


def test_a_saved_state_that_is_said_is_no_file_of_another(site: Site) -> None:
    """Nor is such a file removed with the VM, however it came into the database."""
    make(site, ADD)
    done = site(f"set host vm compute-0-0-2 saved={FILE}")
    assert done.code == 1 and "rocks restore host vm compute-0-0-2 file=PATH" in done.err
    reload(site)
    done = site(f"set host vm compute-0-0-2 saved={DISK}")
    assert done.code == 1 and f"{DISK} on vm-container-0-0 is a disk, or of another VM" in done.err
    site.do(f"set host vm compute-0-0-2 saved={FILE}")
    assert state_of("compute-0-0-2") == ("", FILE)
    with open_database() as database, database.recording() as c:
        set_vm(c, "compute-0-0-2", state="saved", saved=DISK)
    site.do("remove host vm compute-0-0-2 purge=yes", START)


def test_moved_by_a_file(site: Site) -> None:
    make(site, START)
    with site.fake(CONTAINERS[1])._changing() as data:
        data["disks"][FILE] = {"size": 1, "content": "{}"}
    done = site(f"{MOVE} file={FILE}")
    assert done.code == 1 and f"would overwrite: {FILE}" in done.err and site.states() == {VM: "active"}
    out = site.do(f"{MOVE} file={FILE} force=yes")
    assert "Copying the VM's current state to vm-container-0-1." in out
    assert site.states() == {VM: "active"} and site.fake().look()["disks"] == {}
    assert site.fake(CONTAINERS[1]).look()["disks"].keys() == {DISK} and state_of() == ("running", "")
    # What is saved already goes to the file there.
    site.do("save host vm compute-0-0-1", f"move host vm compute-0-0-1 vm-container-0-0 file={FILE}")
    assert state_of() == ("saved", FILE) and site.fake(CONTAINERS[1]).look()["disks"] == {}
    site.do("restore host vm compute-0-0-1")


def test_old_copies_of_a_move_are_removed_when_their_container_answers(site: Site) -> None:
    make(site)
    site.fake().tell(refuse={"remove_disk": "input/output error"})
    done = site(MOVE)
    assert done.code == 0
    left = f"vm-container-0-0 may still have what a move of compute-0-0-1 left there: {DISK}"
    assert left in done.err and "the next command for compute-0-0-1 tries again" in done.err
    site.fake().tell(refuse=None, unreachable="no route to host")
    done = site(START)
    assert done.code == 0 and left in done.err and "no route to host" in done.err
    # It may be moved on meanwhile.
    with open_database() as database, database.writing("test") as c:
        c.exec_driver_sql(
            "INSERT INTO hosts (name, appliance, rack, rank) VALUES ('vm-container-0-9', 'vm-container', 0, 9)"
        )
    site.do("move host vm compute-0-0-1 vm-container-0-9")
    assert DISK in site.fake().look()["disks"]
    site.fake().tell(unreachable=None)
    done = site("stop host vm compute-0-0-1")
    assert done.code == 0 and f"{STAYS}{DISK}" in done.err
    assert (
        site.fake().look()["disks"] == {} and site("stop host vm compute-0-0-1").err == "compute-0-0-1 does not run\n"
    )
    assert DISK in site.fake("vm-container-0-9").look()["disks"]


def test_the_same_move_again_removes_them(site: Site) -> None:
    make(site)
    site.fake().tell(refuse={"remove_disk": "busy"})
    site.do(MOVE)
    site.fake().tell(refuse=None)
    done = site(MOVE)
    assert done.code == 0 and f"{STAYS}{DISK}" in done.err and "is on vm-container-0-1 already" in done.err
    assert site.fake().look()["disks"] == {}


def test_and_a_move_back_does(site: Site) -> None:
    """What it left there is no disk of another."""
    make(site)
    site.fake().tell(refuse={"remove_disk": "busy"})
    site.do(MOVE)
    site.fake().tell(refuse=None)
    done = site("move host vm compute-0-0-1 vm-container-0-0")
    assert done.code == 0 and f"{STAYS}{DISK}" in done.err
    assert DISK in site.fake().look()["disks"] and site.fake(CONTAINERS[1]).look()["disks"] == {}


def test_a_new_vm_with_the_old_disk_keeps_it(site: Site) -> None:
    make(site)
    site.fake().tell(refuse={"remove_disk": "busy"})
    site.do(MOVE)
    site.fake().tell(refuse=None)
    site.do(f"{ADD} name=heir", f"set host vm heir disk=file:{DISK},xvda,w")
    assert site(START).err == ""
    assert DISK in site.fake().look()["disks"]


@pytest.mark.parametrize("is_back", [False, True])
def test_a_vm_that_is_removed_takes_its_old_copies_along(site: Site, is_back: bool) -> None:
    make(site)
    site.fake().tell(refuse={"remove_disk": "busy"})
    site.do(MOVE)
    if is_back:
        site.fake().tell(refuse=None)
    done = site("remove host vm compute-0-0-1 purge=yes")
    assert done.code == 0 and (f"{STAYS}{DISK}" if is_back else "may still have what a move of") in done.err
    # Another of this name has nothing to do with it.
    site.do(ADD.replace("0-0 ", "0-1 ") + " name=compute-0-0-1")
    assert site("create host vm compute-0-0-1").err == ""


def test_a_mark_of_another_machine_of_that_name(site: Site) -> None:
    """The database is an older one, which has not the VM that was moved."""
    make(site)
    site.fake().tell(refuse={"remove_disk": "busy"})
    site.do(MOVE)
    site.fake().tell(refuse=None)
    with open_database() as database, database.writing("an older one") as c:
        c.exec_driver_sql("DELETE FROM vms")
        c.exec_driver_sql("DELETE FROM hosts WHERE name = 'compute-0-0-1'")
    site.do(f"{ADD.replace('0-0 ', '0-1 ')} name=compute-0-0-1 mac=52:54:00:aa:99:02", f"{CREATE} force=yes")
    assert DISK in site.fake().look()["disks"]


def test_a_move_that_was_cut_off_is_given_up_for_another(site: Site) -> None:
    make(site)
    site.fake().tell(refuse={"remove_domain": "busy"})
    assert site(MOVE).code == 1
    assert DISK in site.fake(CONTAINERS[1]).look()["disks"]
    site.fake().tell(refuse=None)
    with open_database() as database, database.writing("test") as c:
        c.exec_driver_sql(
            "INSERT INTO hosts (name, appliance, rack, rank) VALUES ('vm-container-0-9', 'vm-container', 0, 9)"
        )
    done = site("move host vm compute-0-0-1 vm-container-0-9")
    assert (
        done.code == 0 and f"removed from vm-container-0-1, where a move of compute-0-0-1 left it: {DISK}" in done.err
    )
    assert [site.fake(one).look()["disks"] for one in CONTAINERS] == [{}, {}]


def test_another_name_of_the_container(site: Site) -> None:
    """It is the same machine, reached by its new name."""
    make(site, START, "set host name vm-container-0-0 box")
    os.rename(site.fake().file, site.fake("box").file)
    assert site.states() == {VM: "active"}
    site.do("stop host vm compute-0-0-1", START)


def test_another_membership_of_the_vm(site: Site) -> None:
    make(site, START)
    document = site.fake().look()["domains"][VM]["document"]
    site.do("set host membership compute-0-0-1 Login", "stop host vm compute-0-0-1", START)
    assert site.fake().look()["domains"][VM]["document"] == document


def test_an_interface_that_is_removed(site: Site) -> None:
    """The VM has its MAC until it is stopped; nobody else gets it."""
    make(site, START)

    def macs() -> dict[str, str]:
        with open_database() as database, database.reading() as c:
            return {one.host: one.mac for one in list_interfaces(c) if one.host.startswith("compute-0-0-")}

    first = macs()[VM]
    site.do("remove host interface compute-0-0-1 eth0", ADD)
    second = macs()["compute-0-0-2"]
    assert second not in ("", first)
    site.do("set host interface mac compute-0-0-2 eth0 52:54:00:aa:99:01", ADD)
    assert macs()["compute-0-0-3"] not in ("", first, second)
    site.do("stop host vm compute-0-0-1", START, "stop host vm compute-0-0-1", "remove host vm compute-0-0-1 purge=yes")
    assert VM not in site.fake().look()["domains"] and DISK not in site.fake().look()["disks"]


def test_the_same_machine_in_each_of_its_lives(site: Site) -> None:
    def uuids(container: str = CONTAINERS[0]) -> set[str]:
        look: dict[str, Any] = site.fake(container).look()
        document = look["domains"][VM]["document"]
        (config,) = [line for line in look["configs"][VM].splitlines() if line.startswith("uuid")]
        return {document.split("<uuid>")[1].split("</uuid>")[0], config.split('"')[1]}

    site.do(ADD, CREATE)
    first = uuids()
    assert len(first) == 1
    site.installed()
    site.do(START, "set host vm compute-0-0-1 mem=512", "stop host vm compute-0-0-1", START)
    assert uuids() == first
    site.do("stop host vm compute-0-0-1", MOVE, START)
    assert uuids(CONTAINERS[1]) == first
    assert json.loads(site.do("list host vm --json"))[0]["vm-host"] == VM


def test_the_tree_has_no_marks_left(site: Site) -> None:
    make(site, START, MOVE, "move host vm compute-0-0-1 vm-container-0-0")
    assert list(Path(site.root, "var/lib/rollbuild/moving").iterdir()) == []
