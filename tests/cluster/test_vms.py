from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from rollbuild.cluster import (
    Database,
    VirtualMachine,
    VmDisk,
    add_host,
    add_vm,
    find_host,
    find_vm,
    list_hosts,
    list_vms,
    next_slice,
    parse_disk,
    remove_host,
    remove_vm,
    set_host,
    set_vm,
)
from rollbuild.errors import USAGE, RollbuildError

DISK = VmDisk("file", "/state/partition1/xen/disks/a.hda", "hda", "w", 36)


def make(c: Connection, *numbers: int, container: str = "vm-container-0-0") -> None:
    if container not in {host.name for host in list_hosts(c)}:
        add_host(c, container, appliance="vm-container", rack=0, rank=0)
    for number in numbers:
        add_host(c, f"compute-0-0-{number}", appliance="compute", rack=0, rank=0, is_vm=True)
        add_vm(c, VirtualMachine(f"compute-0-0-{number}", container, number, disks=(DISK,)))


def test_a_vm_is_kept_as_it_was_given(database: Database) -> None:
    disks = (DISK, VmDisk("phy", "vg0/a", "xvdb", "r", 100))
    with database.writing("test") as c:
        make(c, 10, 9)
        vm = set_vm(c, "compute-0-0-9", memory=4096, virt_type="pvh", state="added", disks=disks)
        assert vm == find_vm(c, "compute-0-0-9")
        assert [vm.host for vm in list_vms(c)] == ["compute-0-0-9", "compute-0-0-10"]
        assert list_vms(c, ["compute-0-0-9"]) == (vm,)
        assert find_host(c, "compute-0-0-9").is_vm
    assert vm == VirtualMachine("compute-0-0-9", "vm-container-0-0", 9, 4096, "pvh", "added", disks)
    assert vm.disks[0].spec == "file:/state/partition1/xen/disks/a.hda,hda,w"


def test_slices_are_filled_from_below(database: Database) -> None:
    with database.writing("test") as c:
        assert next_slice(c, "vm-container-0-0") == 0
        make(c, 0, 1, 3)
        assert next_slice(c, "vm-container-0-0") == 2
        assert next_slice(c, "vm-container-0-0", first=1) == 2
        assert next_slice(c, "vm-container-0-0", first=3) == 4
        remove_host(c, "compute-0-0-0")
        assert next_slice(c, "vm-container-0-0") == 0
        assert next_slice(c, "another") == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"slice": 1}, "slice 1 .* compute-0-0-1"),
        ({"slice": -1}, "slice"),
        ({"memory": 63}, "the memory of a VM in MiB must be from 64 to 16777216, not 63"),
        ({"memory": 16 * 1024 * 1024 + 1}, "must be from 64 to 16777216"),
        ({"saved": "saved"}, "does not begin with /"),
        ({"saved": "/a b"}, "has characters other than"),
        ({"saved": "/a;b"}, "has characters other than"),
        ({"saved": "/a/../b"}, "is no plain path"),
        ({"saved": "/a/"}, "is no plain path"),
        ({"virt_type": "kvm"}, "virt-type"),
        ({"state": "Up!"}, "state"),
        ({"container": "compute-0-0-0"}, "container of itself"),
        ({"container": "compute-0-0-1"}, "is a VM"),
        ({"container": "nowhere"}, "not in cluster"),
        ({"disks": (DISK, DISK)}, "another disk"),
        ({"disks": tuple(replace(DISK, device=f"d{n}") for n in range(27))}, "at most 26"),
    ],
)
def test_what_cannot_be(database: Database, fields: dict[str, Any], message: str) -> None:
    with database.writing("test") as c:
        make(c, 0, 1)
    with pytest.raises(RollbuildError, match=message), database.writing("test") as c:
        set_vm(c, "compute-0-0-0", **fields)
    with database.reading() as c:
        assert find_vm(c, "compute-0-0-0") == VirtualMachine("compute-0-0-0", "vm-container-0-0", 0, disks=(DISK,))


def test_two_cannot_be_one_and_a_container_is_no_vm(database: Database) -> None:
    with database.writing("test") as c:
        make(c, 0)
        with pytest.raises(RollbuildError, match="is a VM already"):
            add_vm(c, VirtualMachine("compute-0-0-0", "vm-container-0-0", 5))
        add_host(c, "vm-container-0-1", appliance="vm-container", rack=0, rank=1)
        with pytest.raises(RollbuildError, match="holds VMs"):
            add_vm(c, VirtualMachine("vm-container-0-0", "vm-container-0-1", 0))
        with pytest.raises(RollbuildError, match="still holds 1 VM: compute-0-0-0"):
            remove_host(c, "vm-container-0-0")
        with pytest.raises(RollbuildError, match="is no VM"):
            find_vm(c, "vm-container-0-0")
        with pytest.raises(RollbuildError, match="not in cluster"):
            find_vm(c, "compute-9-9-9")


def test_renaming_and_removing(database: Database) -> None:
    with database.writing("test") as c:
        make(c, 0, 1)
        set_host(c, "vm-container-0-0", name="vm-container-0-9")
        set_vm(c, "compute-0-0-0", state="added")
        set_host(c, "compute-0-0-0", name="hosted-0-0-0")
        assert find_vm(c, "hosted-0-0-0").container == "vm-container-0-9"
        assert find_vm(c, "hosted-0-0-0").disks == (DISK,)
        remove_vm(c, "hosted-0-0-0")
        assert not find_host(c, "hosted-0-0-0").is_vm
        remove_host(c, "compute-0-0-1")
        assert list_vms(c) == ()
        remove_host(c, "vm-container-0-9")


def test_a_state_is_no_change_of_configuration(database: Database) -> None:
    with database.writing("test") as c:
        make(c, 0)
    with database.recording() as c:
        before = find_host(c, "compute-0-0-0").changed
        set_vm(c, "compute-0-0-0", state="running")
        assert find_host(c, "compute-0-0-0").changed == before
        set_vm(c, "compute-0-0-0", state="saved", saved="/a")
        assert find_host(c, "compute-0-0-0").changed == before
        set_vm(c, "compute-0-0-0", memory=2048)
        assert find_host(c, "compute-0-0-0").changed > before


def test_one_with_less_memory_than_there_may_be_lives_on(database: Database) -> None:
    """As an older rollbuild allowed."""
    with database.writing("test") as c:
        make(c, 0)
        c.exec_driver_sql("UPDATE vms SET memory = 32")
        assert set_vm(c, "compute-0-0-0", state="running").memory == 32
        with pytest.raises(RollbuildError, match="from 64"):
            set_vm(c, "compute-0-0-0", memory=33)


@pytest.mark.parametrize("state", ["", "installing", "running", "saved"])
def test_no_other_name_for_one_that_its_container_may_know(database: Database, state: str) -> None:
    with database.writing("test") as c:
        make(c, 0)
        set_vm(c, "compute-0-0-0", state="added")
        set_host(c, "compute-0-0-0", name="hosted-0-0-0")
        set_vm(c, "hosted-0-0-0", state=state)
        with pytest.raises(RollbuildError, match=r"know.* the VM hosted-0-0-0 by this name") as refused:
            set_host(c, "hosted-0-0-0", name="compute-0-0-0")
        assert "rocks add host alias hosted-0-0-0" in refused.value.hint


@pytest.mark.parametrize(
    "spec",
    [
        *("", "file", "file:/a,hda", "file:/a,hda,w,x", "tap:/a,hda,w", "file:a,hda,w", "file:/a/../b,hda,w"),
        *("file:/a b,hda,w", "file:/a'b,hda,w", "file:/a\n,hda,w", "file:/a/,hda,w", "phy:-a,hda,w", "file:,hda,w"),
        *("file:/a,h d,w", "file:/a,1,w", "file:/a,hda,W", "file:/a,hda,", "file:/" + "a" * 1100 + ",hda,w"),
    ],
)
def test_what_is_no_disk(spec: str) -> None:
    with pytest.raises(RollbuildError, match="is no disk") as caught:
        parse_disk(spec)
    assert caught.value.exit_code == USAGE


@pytest.mark.parametrize("spec", ["file:/a.hda,hda,w", "phy:vg0/lv-a,xvda,r", "file:/a,vda,virtio"])
def test_disks_are_spelled_as_they_are_read(spec: str) -> None:
    assert parse_disk(spec, 5).spec == spec
    assert parse_disk(spec, 5).size_gb == 5
