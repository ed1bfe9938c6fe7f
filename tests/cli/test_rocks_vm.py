"""Whole commands of `rocks` for VMs, on made-up containers: the article's transcript, refusals, and failures."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rollbuild.cluster import (
    find_install,
    open_database,
    parse_disk,
    set_vm,
)
from rollbuild.commands import rocks_console
from rollbuild.vm.machines import held
from tests.cli.vm_site import CONTAINERS, VM, Site, applied, described, site
from tests.frontend.service.conftest import made

__all__ = ["applied", "described", "made", "site"]

ROOT = Path(__file__).parents[2]


def test_the_articles_transcript(site: Site, applied: None) -> None:
    """Typed as the article prints it, capital VM included."""
    done = site('add host vm vm-container-0-0 membership="Compute"')
    assert (done.code, done.out, done.err) == (
        0,
        'Added VM on node "vm-container-0-0" slice "1" with vm_name "compute-0-0-1"\n',
        "",
    )
    started = 'Using config file "/etc/xen/rocks/compute-0-0-1"\nStarted domain compute-0-0-1\n'
    done = site("create host vm compute-0-0-1")
    assert (done.code, done.out, done.err) == (0, started, "")
    assert 'type        = "pv"' in site.fake().look()["configs"][VM]
    site.installed()
    done = site("start host VM compute-0-0-1")
    assert (done.code, done.out, done.err) == (0, started, "")
    assert re.search(r"^compute-0-0-1: +Compute +1 +0 +0 +os +install *$", site.do("list host"), re.MULTILINE)
    assert site.do("list host vm") == (
        "SLICE MEM  CPUS MAC               HOST             VIRT-TYPE\n"
        "1     1024 1    4e:71:00:40:00:00 vm-container-0-0 para     \n"
    )
    assert site.states() == {VM: "active"}
    done = site("stop host vm compute-0-0-1")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert site.states() == {VM: "shutoff"}


# Typed after one VM was added -> exit code and what standard error says; nothing else changes.
REFUSED: dict[str, tuple[tuple[str, ...], str, int, str]] = {
    "no membership": ((), "add host vm vm-container-0-0", 2, "must supply a membership"),
    "no container": ((), "add host vm membership=Compute", 2, "must supply at least one host"),
    "no such membership": (
        (),
        "add host vm vm-container-0-0 membership=Computer",
        1,
        'membership "Computer" is not valid',
    ),
    "one name, two hosts": (
        (),
        "add host vm vm-container name=a membership=Compute",
        2,
        "can't supply the 'name' parameter with more than one host",
    ),
    "a parameter of Rocks' trap": (
        (),
        "add host vm vm-container-0-0 membership=Compute memory=4096",
        2,
        "no parameter memory=; did you mean mem=?",
    ),
    "a slice that is taken": ((), "add host vm vm-container-0-0 compute slice=1 name=x", 1, "is that of compute-0-0-1"),
    "a disk that is none": ((), "add host vm vm-container-0-0 compute disk=hda", 2, "'hda' is no disk"),
    "a disk out of its place": (
        (),
        "add host vm vm-container-0-0 compute disk=file:/a/../etc/passwd,hda,w",
        2,
        "its path is no plain path",
    ),
    "a disk that is another's": (
        (),
        "add host vm vm-container-0-0 compute disk=file:/state/partition1/vm/disks/compute-0-0-1.xvda,xvda,w",
        1,
        "compute-0-0-1.xvda on vm-container-0-0 is the disk of compute-0-0-1, and cannot be that of compute-0-0-2 too",
    ),
    "a disk that becomes another's": (
        ("add host vm vm-container-0-0 compute",),
        "set host vm compute-0-0-2 disk=file:/state/partition1/vm/disks/compute-0-0-1.xvda,xvda,w",
        1,
        "is the disk of compute-0-0-1, and cannot be that of compute-0-0-2 too",
    ),
    "a disk of nothing": ((), "add host vm vm-container-0-0 compute disksize=0", 2, "a disk of 0 GB holds nothing"),
    "VLANs of no interfaces": (
        (),
        "add host vm vm-container-0-0 compute vlan=1,2,3",
        2,
        "3 VLANs and 1 interfaces do not go together\nhint: num-macs=3 gives it as many",
    ),
    "no way to run it": (
        (),
        "add host vm vm-container-0-0 compute virt-type=xen",
        2,
        "hint: it is one of para, pvh, hvm",
    ),
    "too little memory": (
        (),
        "add host vm vm-container-0-0 compute mem=63",
        2,
        "the memory of a VM in MiB must be from 64 to 16777216, not 63",
    ),
    "too little memory by set": ((), "set host vm compute-0-0-1 mem=63", 2, "must be from 64 to 16777216, not 63"),
    "memory by the byte": ((), "set host vm compute-0-0-1 mem=1073741824", 2, "must be from 64 to 16777216"),
    "one file, two VMs": (
        ("add host vm vm-container-0-0 compute",),
        "save host vm compute-0-0-% file=/a",
        2,
        'if you supply the "file" parameter, then you only can specify one VM host',
    ),
    "restored from one file": (
        ("add host vm vm-container-0-0 compute",),
        "restore host vm compute-0-0-% file=/a",
        2,
        'if you supply the "file" parameter, then you only can specify one VM host',
    ),
    **{
        f"{verb} by {file!r}": (
            (),
            f"{verb} host vm compute-0-0-1 {'vm-container-0-1 ' * (verb == 'move')}'file={file}'",
            2,
            f"{file!r} cannot be the file of a saved VM",
        )
        for verb in ("save", "restore", "move")
        for file in ("a.saved", "/a b", "/a;b", "/a/../b", "/a/")
    },
    "its container as another thing": (
        ("create host vm compute-0-0-1",),
        "set host membership vm-container-0-0 Compute",
        1,
        "vm-container-0-0 has VMs that were created there: compute-0-0-1",
    ),
    "no number": ((), "add host vm vm-container-0-0 compute mem=much", 2, "mem must be an integer"),
    "a VM as container": ((), "add host vm compute-0-0-1 compute", 1, "is a VM and holds no others"),
    "a MAC that is taken": (
        (),
        "add host vm vm-container-0-0 compute mac=4e:71:00:40:00:00",
        1,
        'the MAC 4e:71:00:40:00:00 is that of eth0 of host "compute-0-0-1" already',
    ),
    "what is no VM": ((), "start host vm compute-0-0", 1, "compute-0-0 means no VM"),
    "nobody": ((), "start host vm", 2, "must supply host"),
    "start before create": ((), "start host vm compute-0-0-1", 1, "compute-0-0-1 was never installed"),
    "start in the install": (
        ("create host vm compute-0-0-1",),
        "start host vm compute-0-0-1",
        1,
        "compute-0-0-1 is still installing on vm-container-0-0 (since ",
    ),
    "create in the install": (
        ("create host vm compute-0-0-1",),
        "create host vm compute-0-0-1 force=yes",
        1,
        "compute-0-0-1 is already installing on vm-container-0-0 (since ",
    ),
    "save in the install": (("create host vm compute-0-0-1",), "save host vm compute-0-0-1", 1, "cannot be saved"),
    "reboot in the install": (
        ("create host vm compute-0-0-1",),
        "stop host vm compute-0-0-1 action=reboot",
        1,
        "is installing, which a reboot would end",
    ),
    "remove in the install": (
        ("create host vm compute-0-0-1",),
        "remove host vm compute-0-0-1",
        1,
        "compute-0-0-1 is running on vm-container-0-0",
    ),
    "remove the host in the install": (
        ("create host vm compute-0-0-1",),
        "remove host compute-0-0-1",
        1,
        "rocks stop host vm compute-0-0-1; or force=yes",
    ),
    "remove its container": ((), "remove host vm-container-0-0", 1, "vm-container-0-0 still holds 1 VM: compute-0-0-1"),
    "another container by set": (
        ("create host vm compute-0-0-1",),
        "set host vm compute-0-0-1 physnode=vm-container-0-1",
        1,
        "rocks move host vm compute-0-0-1 vm-container-0-1",
    ),
    "another name": (
        ("create host vm compute-0-0-1",),
        "set host name compute-0-0-1 front",
        1,
        "vm-container-0-0 knows the VM compute-0-0-1 by this name",
    ),
    "resume what is off": ((), "resume host vm compute-0-0-1", 1, "does not run on vm-container-0-0"),
    "restore what was not saved": ((), "restore host vm compute-0-0-1", 1, "compute-0-0-1 is not saved"),
    "a wrong action": ((), "stop host vm compute-0-0-1 action=off", 2, 'action cannot be "off"'),
    "a wrong attribute": (
        ("set host attr vm-container-0-0 vm_disk_dir /a/../b",),
        "create host vm compute-0-0-1",
        1,
        "attribute vm_disk_dir of vm-container-0-0 cannot be '/a/../b'",
    ),
    "two distributions": (
        ("set attr distribution nowhere",),
        "create host vm compute-0-0-1",
        1,
        "there is no distribution nowhere",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(site: Site, what: str) -> None:
    before, line, code, said = REFUSED[what]
    site.do("add host vm vm-container-0-0 membership=Compute", *before)
    domains = site.fake().look()["domains"]
    rows = site.do("dump")
    done = site(line)
    assert (done.code, done.out) == (code, "")
    assert said in done.err and "Traceback" not in done.err
    assert site.do("dump") == rows
    assert site.fake().look()["domains"] == domains


def test_not_enough_memory(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute")
    site.fake().tell(nomem=612)
    done = site("create host vm compute-0-0-1")
    assert done.code == 1
    assert done.err.splitlines()[0] == (
        "error: not enough memory on vm-container-0-0: need 1024 MiB, free 612 MiB (dom0 keeps 768 MiB)"
    )
    for remedy in ("mem=", "rocks move host vm", "dom0_memory"):
        assert remedy in done.err.splitlines()[1]
    look = site.fake().look()
    assert not look["domains"] and not look["disks"] and not look["configs"]
    assert "boot compute-0-0-1" not in site.do("dump")
    # They have room one by one, and not both: the second is refused before anything is made of it.
    site.do("add host vm vm-container-0-0 membership=Compute")
    site.fake().tell(nomem=1500)
    done = site("create host vm vm-container-0-0")
    assert done.code == 1 and done.out.count("Started domain") == 1
    assert "error: compute-0-0-2: not enough memory on vm-container-0-0: need 1024 MiB, free 466 MiB" in done.err
    assert done.err.splitlines()[-1] == "1 of 2 are done"
    assert list(site.fake().look()["disks"]) == ["/state/partition1/vm/disks/compute-0-0-1.xvda"]


def test_not_enough_disk_space(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute disksize=100")
    site.fake().tell(nodisk=60 * 10**9)
    done = site("create host vm compute-0-0-1")
    assert done.code == 1
    assert "compute-0-0-1 needs 100.0 GB, free 60.0 GB in /state/partition1/vm/disks" in done.err
    assert "overcommit=yes" in done.err
    assert not site.fake().look()["disks"]
    site.do("create host vm compute-0-0-1 overcommit=yes")


# Free on the container -> what is said. Xen's own tools count 1,034 MiB for 1,024 and one processor.
MEMORY = {
    1034: "",
    1033: "need 1024 MiB, free 1033 MiB (dom0 keeps 768 MiB); Xen needs 10 MiB more for it\n",
    1023: "need 1024 MiB, free 1023 MiB (dom0 keeps 768 MiB)\n",
}


@pytest.mark.parametrize("free", MEMORY)
def test_memory_that_xen_needs_besides(site: Site, free: int) -> None:
    site.fake().tell(nomem=free)
    site.fake(CONTAINERS[1]).tell(nomem=0)
    done = site("add host vm --place membership=Compute")
    assert done.code == int(free < 1034)
    if done.code:
        more = "; Xen needs 10 MiB more for it" if free >= 1024 else ""
        assert f"no VM container has 1024 MiB free: vm-container-0-0 {free} MiB, vm-container-0-1 0 MiB{more}\n" in (
            done.err
        )
        site.do("add host vm vm-container-0-0 membership=Compute")
    done = site("create host vm compute-0-0-1")
    assert MEMORY[free] in done.err and done.code == int(free < 1034)


def test_containers_that_do_not_answer(site: Site) -> None:
    site.do(
        "add host vm vm-container membership=Compute",
        "add host vm vm-container-0-1 membership=Compute",
        "create host vm vm-container-0-0 vm-container-0-1",
    )
    site.fake(CONTAINERS[1]).tell(unreachable="connection refused")
    assert site.states() == {VM: "active", "compute-0-1-1": "unreachable", "compute-0-1-2": "unreachable"}
    done = site("stop host vm compute")
    assert done.code == 69
    assert done.err.count("cannot reach vm-container-0-1: connection refused") == 2
    assert site.fake().look()["domains"] == {}
    done = site("remove host vm compute-0-1-1")
    assert done.code == 69 and "lost=yes" in done.err
    site.do("remove host vm compute-0-1-1 lost=yes")
    assert "compute-0-1-1" not in site.do("list host")


def test_create_of_a_finished_one_wants_a_word(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    done = site("create host vm compute-0-0-1")
    assert done.code == 1 and "is installed already: its disk would be overwritten" in done.err
    assert site.states() == {VM: "undefined"}
    site.do("create host vm --force compute-0-0-1")
    assert 'on_reboot   = "destroy"' in site.fake().look()["configs"][VM]


def test_nor_is_it_created_because_an_install_was_ordered(site: Site) -> None:
    """`start` installs it then; `create` could be meant for one that never was."""
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    site.do("set host boot compute-0-0-1 action=install")
    done = site("create host vm compute-0-0-1")
    assert done.code == 1 and "is installed already: its disk would be overwritten" in done.err
    site.do("start host vm compute-0-0-1")
    # This one did not come to its end.
    site.fake().end(VM)
    site.do("create host vm compute-0-0-1")


def test_a_failed_install_is_started_again(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.fake().end(VM)
    done = site("start host vm compute-0-0-1")
    assert done.code == 0 and done.out.endswith("Started domain compute-0-0-1\n")
    assert "compute-0-0-1 is to install itself: its install starts again" in done.err
    assert "inst.ks=http://10.1.1.1/ks/t/" in site.fake().look()["configs"][VM]


def test_start_while_its_installer_ends(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.report()
    done = site("start host vm compute-0-0-1")
    assert done.code == 75 and "is installed, and its installer still runs" in done.err


def test_a_disk_of_a_removed_vm_is_not_overwritten_without_a_word(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    done = site("remove host vm compute-0-0-1")
    assert done.code == 0
    assert "its disk stays on vm-container-0-0: /state/partition1/vm/disks/compute-0-0-1.xvda" in done.err
    site.do("add host vm vm-container-0-0 membership=Compute")
    done = site("create host vm compute-0-0-1")
    assert done.code == 1 and "has a disk that compute-0-0-1 would overwrite" in done.err
    site.do("create host vm compute-0-0-1 force=yes", "remove host vm compute-0-0-1 force=yes purge=yes")
    assert site.fake().look()["disks"] == {}


def test_nor_by_an_install_that_was_ordered(site: Site) -> None:
    """`rocks set host boot compute action=install` means what is installed, not what a removed VM left."""
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    site.do("remove host vm compute-0-0-1", "add host vm vm-container-0-0 membership=Compute")
    site.do("set host boot compute-0-0-1 action=install")
    disks = site.fake().look()["disks"]
    done = site("start host vm compute-0-0-1")
    assert done.code == 1 and "has a disk that compute-0-0-1 would overwrite" in done.err
    assert site.fake().look()["disks"] == disks and not site.fake().look()["domains"]
    site.do("start host vm compute-0-0-1 force=yes")


def test_purge_leaves_what_another_has(site: Site) -> None:
    """As an import of two VMs with one disk can make it."""
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    site.do("add host vm vm-container-0-0 membership=Compute")
    path = "/state/partition1/vm/disks/compute-0-0-1.xvda"
    with open_database() as database, database.writing("import") as c:
        set_vm(c, "compute-0-0-2", disks=(parse_disk(f"file:{path},xvda,w"),))
    done = site("remove host vm compute-0-0-2 purge=yes")
    assert done.code == 0 and f"{path} on vm-container-0-0 stays: it is the disk of compute-0-0-1 too" in done.err
    site.do("start host vm compute-0-0-1")


def test_what_answers_is_not_lost(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    done = site("remove host vm compute-0-0-1 lost=yes")
    assert done.code == 1 and "compute-0-0-1 is running on vm-container-0-0" in done.err
    assert site.states() == {VM: "active"}
    site.do("remove host vm compute-0-0-1 lost=yes force=yes")
    assert site.fake().look()["domains"] == {} and VM not in site.do("list host")


def test_an_import_asks_no_container(site: Site, tmp_path: Path) -> None:
    site.do("export all.yaml")
    site.do("add host vm vm-container-0-0 membership=Compute", "export with.yaml")
    assert "- host compute-0-0-1" in site.do("import all.yaml remove=yes")  # which no container knows
    site.do("create host vm compute-0-0-1")
    domains = site.fake().look()["domains"]
    moved = (tmp_path / "with.yaml").read_text().replace("container: vm-container-0-0", "container: vm-container-0-1")
    (tmp_path / "moved.yaml").write_text(moved)
    for line, said in (
        ("import all.yaml remove=yes apply=yes", "rocks remove host vm compute-0-0-1"),
        ("import moved.yaml apply=yes", "rocks move host vm compute-0-0-1 vm-container-0-1"),
    ):
        done = site(line)
        assert done.code == 1 and "compute-0-0-1 was created on vm-container-0-0" in done.err and said in done.err
    assert site.fake().look()["domains"] == domains and site.states() == {VM: "active"}
    site.do("remove host vm compute-0-0-1 force=yes", "import all.yaml remove=yes apply=yes")


def test_a_move_that_fails(site: Site) -> None:
    """It runs no more, and this is told with what to do; nothing is lost, and the same again succeeds."""
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    site.do("start host vm compute-0-0-1")
    site.fake(CONTAINERS[1]).tell(nodisk=10**9)
    assert "not enough disk space on vm-container-0-1" in site("move host vm compute-0-0-1 vm-container-0-1").err
    assert site.states() == {VM: "active"}
    site.fake(CONTAINERS[1]).tell(nodisk=None, refuse={"send_disk": "no space left"})
    done = site("move host vm compute-0-0-1 vm-container-0-1")
    assert done.code == 1 and "no space left" in done.err
    assert "compute-0-0-1 is saved on vm-container-0-0: rocks restore host vm compute-0-0-1" in done.err
    assert site.do("list host vm output-col=host").split() == ["HOST", "vm-container-0-0"]
    site.do("restore host vm compute-0-0-1")
    site.fake(CONTAINERS[1]).tell(refuse={"restore": "no such bridge"})
    done = site("move host vm compute-0-0-1 vm-container-0-1")
    assert "compute-0-0-1 is saved on vm-container-0-1: rocks restore host vm compute-0-0-1" in done.err
    site.fake(CONTAINERS[1]).tell(refuse=None)
    site.do("restore host vm compute-0-0-1")
    assert site.states() == {VM: "active"}


def test_a_move_overwrites_no_disk_without_a_word(site: Site) -> None:
    path = "/state/partition1/vm/disks/front.xvda"
    site.do("add host vm vm-container-0-1 compute name=front", "create host vm front")
    site.installed("front", CONTAINERS[1])
    site.do("remove host vm front", "add host vm vm-container-0-0 compute name=front", "create host vm front")
    site.installed("front")
    done = site("move host vm front vm-container-0-1")
    assert done.code == 1 and f"vm-container-0-1 has a disk that front would overwrite: {path}" in done.err
    # What a move itself left there is no disk of another.
    site.fake(CONTAINERS[0]).tell(refuse={"remove_domain": "busy"})
    assert site("move host vm front vm-container-0-1 force=yes").code == 1
    assert path in site.fake(CONTAINERS[0]).look()["disks"]
    site.fake(CONTAINERS[0]).tell(refuse=None)
    site.do("move host vm front vm-container-0-1")


def test_a_stranger_of_the_same_name(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    with site.fake(CONTAINERS[1])._changing() as data:
        data["domains"][VM] = {"state": "active", "memory": 512, "is_kept": True, "document": ""}
    done = site("move host vm compute-0-0-1 vm-container-0-1")
    assert done.code == 1 and "vm-container-0-1 runs a machine compute-0-0-1 already" in done.err
    site.do("start host vm compute-0-0-1")


def test_one_command_for_a_vm_at_a_time(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute")
    with held(VM):
        for line in ("create host vm compute-0-0-1", "start host vm compute-0-0-1", "remove host vm compute-0-0-1"):
            done = site(line)
            assert done.code == 75 and "another command works on compute-0-0-1" in done.err
    site.do("create host vm compute-0-0-1")


def test_added_twice(site: Site) -> None:
    """Two VMs, as Rocks does it; with a name the second is refused, and nothing of it is there."""
    line = "add host vm vm-container-0-0 membership=Compute"
    assert '"compute-0-0-1"' in site.do(line) and '"compute-0-0-2"' in site.do(line)
    site.do(f"{line} name=front")
    rows = site.do("dump")
    done = site(f"{line} name=front")
    assert done.code == 1 and 'host "front"' in done.err and "exists already" in done.err
    assert site.do("dump") == rows


def test_no_address_is_left(site: Site) -> None:
    line = "add host vm vm-container-0-0 compute subnet=tiny"
    site.do("add network tiny 10.9.0.0 255.255.255.252", line, line)
    rows = site.do("dump")
    done = site(line)
    assert done.code == 1 and "network tiny (10.9.0.0/30) has no free address" in done.err
    assert site.do("dump") == rows


def test_sizes_that_are_not_named_stay(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute")
    site.do("set host vm compute-0-0-1 disk='file:/a/one,xvda,w file:/a/two,xvdb,w' disksize='50 100'")
    site.do("set host vm compute-0-0-1 disksize=60")
    assert "'disksize=60 100'" in site.do("dump host vm")


def test_a_saved_state_that_is_in_use_is_left(site: Site) -> None:
    """The connection broke off, and libvirt goes on with the save: what it writes is not to be removed."""
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    site.do("start host vm compute-0-0-1", "save host vm compute-0-0-1")
    path = "/state/partition1/vm/disks/compute-0-0-1.saved"
    site.fake().restore("compute-0-0-1", path)
    site.fake().tell(at_work=["compute-0-0-1"])
    for line in ("stop", "start", "restore", "remove", "save"):
        done = site(f"{line} host vm compute-0-0-1")
        assert done.code == 75 and "compute-0-0-1 is still being saved or restored on vm-container-0-0" in done.err
    assert path in site.fake().look()["disks"] and site.states() == {VM: "active"}
    site.fake().tell(at_work=None)
    site.do("pause host vm compute-0-0-1")
    assert path not in site.fake().look()["disks"]
    assert "; rocks resume host vm compute-0-0-1" in site("restore host vm compute-0-0-1").err


def test_the_other_verbs(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    site.do("start host vm compute-0-0-1", "pause host vm compute-0-0-1")
    assert site.states() == {VM: "paused"}
    done = site("start host vm compute-0-0-1")
    assert done.code == 1 and "rocks resume host vm compute-0-0-1" in done.err
    site.do("resume host vm compute-0-0-1", "save host vm compute-0-0-1")
    assert site.states() == {VM: "saved"}
    done = site("start host vm compute-0-0-1")
    assert done.code == 1 and "rocks restore host vm compute-0-0-1" in done.err
    assert site.do("restore host vm compute-0-0-1") == "Started domain compute-0-0-1\n"
    assert site.do("move host vm compute-0-0-1 vm-container-0-1") == (
        "Saving the VM's current state.\n"
        "Copying the VM's current state to vm-container-0-1.\n"
        "Moving virtual disk (/state/partition1/vm/disks/compute-0-0-1.xvda) to vm-container-0-1\n"
        "Restarting the VM on vm-container-0-1.\n"
    )
    assert site.fake().look()["domains"] == {} and site.fake().look()["disks"] == {}
    assert site.states() == {VM: "active"}
    assert site.do("list host vm output-col=host").split() == ["HOST", "vm-container-0-1"]
    done = site("stop host vm compute-0-0-1 action=shutdown")
    assert done.code == 0 and "is asked to shut down" in done.err


def test_parameters_of_add(site: Site) -> None:
    out = site.do(
        "add host vm vm-container-0-1 Login name=front slice=7 mem=4096 cpus=4 disksize=100 num-macs=3 "
        "vlan=none,5,none mac=52:54:00:aa:77:01 ip=10.1.200.7 virt-type=hvm"
    )
    assert out == 'Added VM on node "vm-container-0-1" slice "7" with vm_name "front"\n'
    disk = "file:/state/partition1/vm/disks/front.xvda,xvda,w"
    assert [
        line.split() for line in site.do("list host vm showdisks=yes output-col=mac,disk,disksize").splitlines()
    ] == [
        ["MAC", "DISK", "DISKSIZE"],
        ["52:54:00:aa:77:01", disk, "100"],
        ["4e:71:00:40:00:00"],
        ["4e:71:00:40:00:01"],
    ]
    assert site.do("list host vm front").splitlines()[1:] == [
        "7     4096 4    52:54:00:aa:77:01 vm-container-0-1 hvm      ",
        "----- ---- ---- 4e:71:00:40:00:00 ----------------",
        "----- ---- ---- 4e:71:00:40:00:01 ----------------",
    ]
    interfaces = json.loads(site.do("list host interface front --json"))[0]["interface"]
    assert [(one["iface"], one["ip"], one["vlan"]) for one in interfaces] == [
        ("eth0", "10.1.200.7", None),
        ("eth1", None, 5),
        ("eth2", None, None),
    ]
    text = site.do("report host vm front")
    assert 'vif         = [ "mac=52:54:00:aa:77:01,bridge=br-private", "mac=4e:71:00:40:00:00,bridge=br-vlan5"' in text
    assert '<boot dev="hd"/>' in site.do("report host vm config front")
    assert site.do("dump host vm") == (
        "rocks set host vm front physnode=vm-container-0-1 slice=7 mem=4096 "
        "disk=file:/state/partition1/vm/disks/front.xvda,xvda,w disksize=100 virt-type=hvm\n"
    )


def test_the_container_with_the_most_room(site: Site) -> None:
    site.fake(CONTAINERS[0]).tell(nomem=4036)
    site.fake(CONTAINERS[1]).tell(nomem=4500)
    # What is added and off counts, so that the next one goes elsewhere.
    nodes = [site.do("add host vm --place membership=Compute mem=2000").split('"')[1] for _ in range(4)]
    assert nodes == [CONTAINERS[1], CONTAINERS[0], CONTAINERS[1], CONTAINERS[0]]
    done = site("add host vm --place membership=Compute mem=2000")
    assert done.code == 1 and "no VM container has 2000 MiB free: vm-container-0-0 0 MiB" in done.err
    site.fake(CONTAINERS[0]).tell(unreachable="no route to host")
    done = site("add host vm --place membership=Compute mem=100")
    assert done.code == 0 and '"vm-container-0-1"' in done.out
    assert "warning: cannot reach vm-container-0-0: no route to host" in done.err
    site.fake(CONTAINERS[1]).tell(unreachable="no route to host")
    done = site("add host vm --place membership=Compute mem=100")
    assert done.code == 69 and "no VM container answers" in done.err


def test_kvm(site: Site) -> None:
    site.do("set attr vm_hypervisor kvm", "add host vm vm-container-0-0 membership=Compute")
    assert site.do("create host vm compute-0-0-1") == "Started domain compute-0-0-1\n"
    document = site.fake().look()["domains"][VM]["document"]
    assert '<domain type="kvm">' in document and "console=ttyS0" in document and "compute-0-0-1.vda" in document
    assert site.fake().look()["configs"] == {}
    done = site("add host vm vm-container-0-0 membership=Compute virt-type=para")
    assert done.code == 1 and "which has no virt-type para" in done.err


def test_hvm_by_the_release(site: Site) -> None:
    site.do("set attr vm_virt_type ''", "add host vm vm-container-0-0 membership=Compute")
    assert " hvm " in site.do("list host vm")


def test_without_sync(site: Site, applied: None) -> None:
    done = site("add host vm vm-container-0-0 membership=Compute sync-config=no")
    assert done.code == 0 and "rocks sync config" in done.err
    hosts = (site.root / "etc/rollbuild/hosts").read_text()
    assert VM not in hosts
    site.do("add host vm vm-container-0-0 membership=Compute")
    assert "compute-0-0-2" in (site.root / "etc/rollbuild/hosts").read_text()


def test_the_console(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute", "set attr vm_driver libvirt")

    def console(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = rocks_console.main(words)
        return (code, *capfd.readouterr())

    assert console("--print", VM) == (
        0,
        "virsh -c xen+ssh://rbvm@vm-container-0-0/system console compute-0-0-1\n",
        "",
    )
    code, out, _ = console("--print", "compute-0-0")  # which is to install
    assert code == 0 and out.startswith("ssh -t ") and out.endswith(" root@10.1.255.254 tmux attach\n")
    code, _, err = console("compute-0-2")
    assert code == 1 and "rocks set host attr compute-0-2 bmc_address" in err
    site.do("set host attr compute-0-2 bmc_address 10.3.0.17", "set host attr compute-0-2 bmc_password_file /etc/bmc")
    code, out, _ = console("--print", "compute-0-2")
    assert out == "ipmitool -I lanplus -H 10.3.0.17 -U root -f /etc/bmc sol activate\n"
    assert console() == (
        2,
        "",
        'error: "nodename" was not specified\nhint: rocks-console NODE [--installer | --bmc]\n',
    )
    code, _, err = console("--serial", VM)
    assert code == 2 and "no such option" in err.lower()
    code, _, err = console("compute")
    assert (code == 2 and "3 hosts" in err) or "means" in err


def test_the_console_takes_the_terminal(site: Site) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from rollbuild.commands.rocks_console import main; sys.exit(main())", VM],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, "the console of compute-0-0-1 on vm-container-0-0\n")


@pytest.mark.long
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_on_a_terminal_it_asks(site: Site, answer: str, code: int) -> None:
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    site.installed()
    control, terminal = pty.openpty()
    command = "import sys; from rollbuild.commands.rocks import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "create", "host", "vm", VM],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(terminal)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(control, 1000)
    assert b"compute-0-0-1: installed already; the disk will be overwritten" in seen
    os.write(control, f"{answer}\n".encode())
    try:
        while more := os.read(control, 1000):
            seen += more
    except OSError:
        pass  # the other end is closed
    assert process.wait(60) == code
    os.close(control)
    assert (b"Started domain" in seen) == (code == 0)


@pytest.mark.long
@pytest.mark.parametrize("step", ["make_disk", "put_installer", "put_config", "start"])
def test_killed_for_good(site: Site, step: str) -> None:
    """The whole command, by SIGKILL; the next one understands what is left."""
    site.do("add host vm vm-container-0-0 membership=Compute")
    site.fake().tell(crash_after=step)
    done = subprocess.run(
        [
            *(sys.executable, "-c", "import sys; from rollbuild.commands.rocks import main; sys.exit(main())"),
            *("create", "host", "vm", VM),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -signal.SIGKILL
    site.fake().tell(crash_after=None)
    done_again = site("start host vm compute-0-0-1")
    if step == "start":
        assert "still installing" in done_again.err
    else:
        assert done_again.code == 0, done_again.err
    site.installed()
    site.do("start host vm compute-0-0-1")
    assert site.states() == {VM: "active"}


def test_the_kickstart_of_the_token_is_its_own(site: Site) -> None:
    """The URL in the kernel's arguments is known to the database, for this VM and one install."""
    site.do("add host vm vm-container-0-0 membership=Compute", "create host vm compute-0-0-1")
    (token,) = re.findall(r"ks/t/([A-Za-z0-9_-]+)", site.fake().look()["configs"][VM])
    with open_database() as database, database.reading() as c:
        install = find_install(c, url_token=token)
    assert install is not None and install.host == VM and install.state == "waiting"
