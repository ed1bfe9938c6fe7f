"""Whole commands of `rocks` that change things: what is typed, what it says, and what the database then has."""

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rollbuild.commands.rocks import main
from rollbuild.frontend.discovery.lock import hold_lock
from tests.conftest import Outcome, Run

ROOT = Path(__file__).parents[2]
NETWORKS = (
    "add network private 10.1.0.0 255.255.0.0 servedns=yes dnszone=cluster.internal",
    "add network public 192.0.2.0/24",
)
HOSTS = (
    *NETWORKS,
    "add host compute-0-0",
    "add host interface compute-0-0 eth0 ip=10.1.255.254 mac=52:54:00:aa:10:00",
    "add host compute-0-1",
    "add host vm-container-0-0",
)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with a database that has HOSTS: copied, it is there in no time."""
    root = tmp_path_factory.mktemp("rocks") / "root"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLBUILD_ROOT", str(root))
        for line in HOSTS:
            assert main(shlex.split(line)) == 0
    return root


@pytest.fixture
def cluster(rocks: Run, described: Path, tmp_path: Path) -> Run:
    """`rocks` with HOSTS."""
    shutil.copytree(described, tmp_path / "root")
    return rocks


@pytest.fixture
def rocks(rocks: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `rocks WORDS...` with a database and files below a temporary folder; one text is split as a shell does."""
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "root"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Outcome:
        return rocks(*(shlex.split(str(words[0])) if len(words) == 1 else words))

    return run


def do(rocks: Run, lines: Sequence[str]) -> None:
    for line in lines:
        done = rocks(line)
        assert done.code == 0, f"{line}: {done.err}"


def dumped(rocks: Run) -> list[str]:
    """The commands of a dump without `rocks` and quotes."""
    done = rocks("dump")
    assert done.code == 0, done.err
    return [plain(line).removeprefix("rocks ") for line in done.out.splitlines()]


def plain(line: str) -> str:
    return " ".join(shlex.split(line))


# What is typed after HOSTS -> lines that the dump then has besides, and those that it has no more.
DONE: dict[str, tuple[str, list[str], list[str]]] = {
    "a host of a name that says all": (
        "add host compute-2-5",
        ["add host compute-2-5 membership=Compute rack=2 rank=5 cpus=1 os=linux"],
        [],
    ),
    "a host of another name": (
        "ADD Host profile Membership=login rack=1 rank=0 cpus=8 comment='the way in'".replace(
            "Membership", "membership"
        ),
        ["add host profile membership=Login rack=1 rank=0 cpus=8 os=linux 'comment=the way in'"],
        [],
    ),
    "an interface by its MAC": (
        "add host interface compute-0-1 52-54-00-AA-10-01 ip=10.1.255.253",
        ["add host interface compute-0-1 eth0 ip=10.1.255.253 mac=52:54:00:aa:10:01 subnet=private"],
        [],
    ),
    "a VLAN without an address": (
        "add host interface vm-container-0-0 vlan2 vlan=2 subnet=private",
        ["add host interface vm-container-0-0 vlan2 subnet=private vlan=2"],
        [],
    ),
    "an address": (
        "set host interface ip compute-0-0 eth0 10.1.255.200",
        ["add host interface compute-0-0 eth0 ip=10.1.255.200 mac=52:54:00:aa:10:00 subnet=private"],
        [],
    ),
    "an address by names, the interface by its MAC, the host by its address": (
        "set host interface ip 10.1.255.254 iface=52:54:00:AA:10:00 ip=10.1.255.200",
        ["add host interface compute-0-0 eth0 ip=10.1.255.200 mac=52:54:00:aa:10:00 subnet=private"],
        [],
    ),
    "no MAC": (
        "set host interface mac compute-0-0 eth0 NULL",
        ["add host interface compute-0-0 eth0 ip=10.1.255.254 subnet=private"],
        ["add host interface compute-0-0 eth0 ip=10.1.255.254 mac=52:54:00:aa:10:00 subnet=private"],
    ),
    "another device": (
        "set host interface iface compute-0-0 eth0 eno1",
        ["add host interface compute-0-0 eno1 ip=10.1.255.254 mac=52:54:00:aa:10:00 subnet=private"],
        [],
    ),
    "options": (
        "set host interface options compute-0-0 eth0 options='mode=1 miimon=100'",
        [
            "add host interface compute-0-0 eth0 ip=10.1.255.254 mac=52:54:00:aa:10:00 subnet=private "
            "'options=mode=1 miimon=100'"
        ],
        [],
    ),
    "a module, a VLAN, a channel, a name": (
        "set host interface vlan compute-0-0 eth0 7",
        ["add host interface compute-0-0 eth0 ip=10.1.255.254 mac=52:54:00:aa:10:00 subnet=private vlan=7"],
        [],
    ),
    "an alias": ("add host alias compute-0-0 gpu", ["add host alias compute-0-0 gpu"], []),
    "an attribute of all": ("set attr motd 'a b'", ["set attr motd 'a b'"], []),
    "an empty attribute": ("set attr motd ''", ["set attr attr=motd value="], []),
    "an attribute with =": ("set attr attr=opts value=a=b", ["set attr attr=opts value=a=b"], []),
    "an attribute of an appliance by its membership": (
        "set appliance attr Compute kdump yes",
        ["set appliance attr compute kdump yes"],
        [],
    ),
    "an attribute of a rack": ("add rack attr 0 kdump yes", ["set rack attr 0 kdump yes"], []),
    "an attribute of an OS": ("add os attr linux kdump yes", ["set os attr linux kdump yes"], []),
    "an attribute of several hosts": (
        "set host attr compute kdump yes",
        ["set host attr compute-0-0 kdump yes", "set host attr compute-0-1 kdump yes"],
        [],
    ),
    "a network without a domain": (
        "add network ipmi 10.3.0.0 255.255.0.0 dnszone= mtu=9000",
        ["add network ipmi 10.3.0.0 255.255.0.0 mtu=9000 dnszone= servedns=no"],
        [],
    ),
    "a network's MTU": (
        "set network mtu private 9000",
        ["add network private 10.1.0.0 255.255.0.0 mtu=9000 dnszone=cluster.internal servedns=yes"],
        [],
    ),
    "a network's domain": (
        "set network dnszone public example.org",
        ["add network public 192.0.2.0 255.255.255.0 mtu=1500 dnszone=example.org servedns=no"],
        [],
    ),
    "no network": (
        "remove network public",
        [],
        ["add network public 192.0.2.0 255.255.255.0 mtu=1500 dnszone=public servedns=no"],
    ),
    "an appliance": (
        "add appliance gpu node=gpu-node",
        ["add appliance gpu membership=Gpu graph=default node=gpu-node public=yes os=linux"],
        [],
    ),
    "another node of an appliance": (
        "set appliance power node=power public=no",
        ["add appliance power 'membership=Power Distribution Unit' graph=default node=power public=no os=linux"],
        [],
    ),
    "no appliance": ("remove appliance nas", ["remove appliance nas"], []),
    "a boot action": (
        "add bootaction 'install serial' args=console=ttyS0",
        ["add bootaction 'action=install serial' kernel= ramdisk= args=console=ttyS0"],
        [],
    ),
    "a part of a boot action": (
        "add bootaction action=os args=quiet",
        ["add bootaction action=os 'kernel=localboot 0' ramdisk= args=quiet"],
        [],
    ),
    "a route of all": (
        "add route 10.9.0.0 10.1.1.1 netmask=255.255.0.0",
        ["add route 10.9.0.0 10.1.1.1 netmask=255.255.0.0"],
        [],
    ),
    "a route of hosts out to a network": (
        "add host route compute-0-0 224.0.0.0/4 private",
        ["add host route compute-0-0 224.0.0.0 private netmask=240.0.0.0"],
        [],
    ),
    "a route of an appliance": (
        "add appliance route Compute 10.9.1.1 10.1.1.1",
        ["add appliance route compute 10.9.1.1 10.1.1.1 netmask=255.255.255.255"],
        [],
    ),
    "to install": (
        "set host boot compute action=install",
        ["set host boot compute-0-0 action=install", "set host boot compute-0-1 action=install"],
        [],
    ),
    "to run": ("set host boot compute action=run", [], []),
    "an action to install by": (
        "set host installaction compute-0-0 rescue",
        ["set host installaction compute-0-0 rescue"],
        [],
    ),
    "no action to run by": ("set host runaction compute-0-0 none", ["set host runaction compute-0-0 none"], []),
    "a new name": (
        "set host name compute-0-0 compute-1-0",
        [
            "add host compute-1-0 membership=Compute rack=0 rank=0 cpus=1 os=linux",
            "add host interface compute-1-0 eth0 ip=10.1.255.254 mac=52:54:00:aa:10:00 subnet=private",
        ],
        ["add host compute-0-0 membership=Compute rack=0 rank=0 cpus=1 os=linux"],
    ),
    "another membership": (
        "set host membership compute-0-1 Login",
        ["add host compute-0-1 membership=Login rack=0 rank=1 cpus=1 os=linux"],
        [],
    ),
    "processors of a range": (
        "set host cpus compute-0-[0-1] 16",
        ["add host compute-0-1 membership=Compute rack=0 rank=1 cpus=16 os=linux"],
        [],
    ),
    "a comment": (
        "set host comment compute-0-1 'waits; for $(a) disk'",
        ["add host compute-0-1 membership=Compute rack=0 rank=1 cpus=1 os=linux 'comment=waits; for $(a) disk'"],
        [],
    ),
    "a host less": (
        "remove host compute-0-0",
        [],
        [
            "add host compute-0-0 membership=Compute rack=0 rank=0 cpus=1 os=linux",
            "add host interface compute-0-0 eth0 ip=10.1.255.254 mac=52:54:00:aa:10:00 subnet=private",
        ],
    ),
    "an interface less": (
        "remove host interface compute-0-0 52:54:00:aa:10:00",
        [],
        ["add host interface compute-0-0 eth0 ip=10.1.255.254 mac=52:54:00:aa:10:00 subnet=private"],
    ),
    "a VM of a host": (
        "set host vm compute-0-1 physnode=vm-container-0-0 mem=2048 disk=file:/vm/a.hda,hda,w disksize=20 "
        "virt-type=hvm",
        [
            "set host vm compute-0-1 physnode=vm-container-0-0 slice=0 mem=2048 disk=file:/vm/a.hda,hda,w disksize=20 "
            "virt-type=hvm"
        ],
        [],
    ),
}


@pytest.mark.parametrize("name", DONE)
def test_done(cluster: Run, name: str) -> None:
    line, there, gone = DONE[name]
    rocks = cluster
    before = dumped(rocks)
    done = rocks(line)
    assert (done.code, done.out) == (0, ""), done.err
    after = dumped(rocks)
    assert [line for line in map(plain, there) if line not in after] == [], after
    assert [line for line in map(plain, gone) if line in after] == []
    assert [line for line in map(plain, gone) if line not in before] == []


# What is typed after HOSTS -> exit code, and words of what it says.
REFUSED: dict[str, tuple[str, int, str]] = {
    "no membership": ("add host profile rack=0 rank=0", 2, "membership not specified"),
    "an action without its name": ("set host boot compute-0-0 install", 2, "did you mean action=install?"),
    "a second front end": (
        "add host granite membership=Frontend rack=0 rank=0 ; add host other membership=Frontend rack=0 rank=1",
        1,
        "a cluster has one front end, and there would be granite and other",
    ),
    "a host becomes a second front end": (
        "add host granite membership=Frontend rack=0 rank=0 ; set host membership compute-0-0 frontend",
        1,
        "a cluster has one front end, and there would be compute-0-0 and granite",
    ),
    "a device that Linux does not take": (
        "add host interface compute-0-0 enp123s0f0np0v12",
        2,
        "is no name of an interface",
    ),
    "no rack": ("add host profile membership=Compute rank=0", 2, "rack not specified"),
    "no rank": ("add host profile membership=Compute rack=0", 2, "rank not specified"),
    "no such membership": ("add host profile membership=Compte rack=0 rank=0", 1, 'membership "Compte" is not valid'),
    "the same name": (
        "add host compute-0-0",
        1,
        'host "compute-0-0" (rack 0, rank 0, MAC 52:54:00:aa:10:00) exists already',
    ),
    "the name of an appliance": ("add host compute membership=Compute rack=0 rank=9", 2, "it is an appliance's"),
    "the name of a rack": ("add host rack3 membership=Compute rack=0 rank=9", 2, "it means all hosts of a rack"),
    "a name with a dot": ("add host a.b membership=Compute rack=0 rank=9", 2, "it has a dot"),
    "a name for VMs": ("add host compute-0-0-0 membership=Compute rack=0 rank=9", 2, "it is that of a VM"),
    "letters for a shell": ("add host '$(reboot)' membership=Compute rack=0 rank=9", 2, "cannot be a host's name"),
    "a path for a name": ("add host ../etc membership=Compute rack=0 rank=9", 2, "cannot be a host's name"),
    "a rack that is no number": ("add host a membership=Compute rack=x rank=9", 2, "rack must be an integer"),
    "a parameter with a slip": ("add host compute-0-9 cpu=4", 2, "did you mean cpus=?"),
    "no interface named": ("add host interface compute-0-1", 2, "missing iface"),
    "an interface of two hosts": ("add host interface compute eth1", 2, "must supply one host"),
    "the same interface": ("add host interface compute-0-0 eth0", 1, 'interface "eth0" exists already'),
    "the same MAC": (
        "add host interface compute-0-1 eth0 mac=52:54:00:AA:10:0",
        1,
        'the MAC 52:54:00:aa:10:00 is that of eth0 of host "compute-0-0" already',
    ),
    "the same address": (
        "add host interface compute-0-1 eth0 ip=10.1.255.254",
        1,
        'the address 10.1.255.254 is that of eth0 of host "compute-0-0" already',
    ),
    "an address in no network": ("add host interface compute-0-1 eth0 ip=10.2.0.1", 1, "lies in no network"),
    "a broadcast address": ("set host interface ip compute-0-0 eth0 10.1.255.255", 1, "is for no host"),
    "an address of another network": (
        "add host interface compute-0-1 eth0 ip=192.0.2.7 subnet=private",
        1,
        "is not in network private (10.1.0.0/16)",
    ),
    "a network less under an address": ("set host interface subnet compute-0-0 eth0 NULL", 1, "it needs a network"),
    "a MAC for many": ("set host interface mac compute-0-0 eth0 01:00:5e:00:00:01", 2, "belongs to no interface"),
    "no such interface": ("set host interface ip compute-0-0 eth7 10.1.0.9", 1, 'has no interface "eth7"'),
    "a full name for an interface": ("set host interface name compute-0-0 eth0 a.b", 2, "it has a dot"),
    "a VLAN too many": ("set host interface vlan compute-0-0 eth0 5000", 2, "from 0 to 4094"),
    "a VLAN that is none": ("set host interface vlan compute-0-0 eth0 two", 2, "is no VLAN"),
    "a line in options": ("set host interface options compute-0-0 eth0 options='a\nb'", 2, "a line end"),
    "no host": ("set host boot action=install", 2, "must supply host"),
    "no such host": ("set host boot compute-0-7 action=install", 1, "compute-0-7"),
    "no such boot": ("set host boot compute-0-0 action=instal", 2, 'must be "os", "run", "install" or "rescue"'),
    "no such label": ("set host runaction compute-0-0 oz", 1, 'action "oz" does not exist'),
    "a label in use": ("remove bootaction os", 1, 'hosts boot by "os"'),
    "an attribute that is there": ("add attr motd x ; add attr motd y", 1, "is set already"),
    "an attribute that is not there": ("remove attr motd", 1, "attribute motd is not set"),
    "no value": ("set attr motd", 2, "missing value"),
    "an attribute of no host": ("set host attr compute-0-9 a b", 1, "compute-0-9"),
    "what a host is": ("set host attr compute-0-0 rack 7", 1, "rocks set host rack compute-0-0 NUMBER"),
    "a network that is there": ("add network private 10.7.0.0 255.255.0.0", 1, 'network "private" exists'),
    "a network without address": ("add network ipmi", 2, "subnet not specified"),
    "a network without mask": ("add network ipmi 10.7.0.0", 2, "netmask not specified"),
    "networks that overlap": ("add network ipmi 10.1.7.0 255.255.255.0", 1, "overlaps with private"),
    "a network in use": ("remove network private", 1, "has 1 interfaces"),
    "a mask that leaves a host out": ("set network netmask private 255.255.255.0", 1, "would lie outside"),
    "an appliance that is there": ("add appliance compute", 1, 'appliance "compute" exists'),
    "a membership that is there": ("add appliance c2 membership=compute", 1, 'membership "Compute" exists already'),
    "an appliance with hosts": ("remove appliance compute", 1, "has hosts: compute-0-0, compute-0-1"),
    "a gateway that is none": ("add route 10.9.0.0/16 nowhere", 1, 'no network "nowhere"'),
    "a route that is there": ("add route 10.9.0.0/16 10.1.1.1 ; add route 10.9.0.0/16 10.1.1.2", 1, "already"),
    "a route that is not there": ("remove route 10.9.0.0/16", 1, "no route to 10.9.0.0/16"),
    "SQL": ("set host boot 'select name from nodes' action=install", 2, "not selected by SQL"),
    "a VM without its container": ("set host vm compute-0-0 mem=100", 2, "is no VM yet"),
    "a taken slice": (
        "set host vm compute-0-0 physnode=vm-container-0-0 slice=0 ; "
        "set host vm compute-0-1 physnode=vm-container-0-0 slice=0",
        1,
        'slice 0 of "vm-container-0-0" is that of compute-0-0',
    ),
    "a container with VMs": (
        "set host vm compute-0-0 physnode=vm-container-0-0 ; remove host vm-container-0-0",
        1,
        "vm-container-0-0 still holds 1 VM: compute-0-0",
    ),
    "more sizes than disks": ("set host vm compute-0-0 physnode=vm-container-0-0 disksize=3", 2, "do not go together"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(cluster: Run, name: str) -> None:
    """With a reason, and without changing anything."""
    line, code, words = REFUSED[name]
    rocks = cluster
    *first, last = line.split(" ; ")
    do(rocks, first)
    before = rocks("dump").out
    done = rocks(last)
    assert (done.code, done.out) == (code, ""), done.err
    assert words in done.err
    assert done.err.startswith("error: ")
    assert rocks("dump").out == before


def test_removing_hosts_is_all_or_nothing(cluster: Run) -> None:
    rocks = cluster
    do(rocks, ["add host granite membership=Frontend rack=0 rank=0"])
    before = dumped(rocks)
    done = rocks("remove host %")
    assert done.code == 1 and "granite is the front end, and stays" in done.err
    assert dumped(rocks) == before
    do(
        rocks,
        ["set host vm compute-0-0 physnode=vm-container-0-0", "remove host vm-container-0-0 compute-0-0 lost=yes"],
    )
    assert not any(line.startswith(("add host compute-0-0", "add host vm-")) for line in dumped(rocks))


def test_a_second_front_end_may_be_removed(cluster: Run, tmp_path: Path) -> None:
    rocks = cluster
    made = [f"rocks add host {name} membership=Frontend rack=0 rank={rank}" for rank, name in enumerate(("one", "two"))]
    # As editors on other systems write a file.
    (tmp_path / "two").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(made).encode())
    do(rocks, ["load two"])
    assert rocks("remove host one two").code == 1
    do(rocks, ["remove host two"])
    assert rocks("remove host one").code == 1


def test_the_audit_keeps_no_secret(rocks: Run) -> None:
    do(
        rocks,
        (
            "set attr Kickstart_PrivateRootPassword $6$geheim",
            "add attr attr=api_token value=geheim",
            "set attr motd seen",
        ),
    )
    done = rocks("list audit --json")
    assert "geheim" not in done.out
    assert json.loads(done.out)[0]["command"] == "rocks set attr motd seen"
    assert rocks("dump").out.count("geheim") == 2


def test_insert_ethers_writes_the_configuration(rocks: Run) -> None:
    """A change beside an open insert-ethers is never silently stale."""
    with hold_lock():
        done = rocks("add network private 10.1.0.0/16")
    assert done.code == 0
    assert f"configuration is deferred: insert-ethers (pid {os.getpid()}" in done.err


def test_files_follow_a_change(cluster: Run, tmp_path: Path) -> None:
    rocks = cluster
    do(rocks, ["set attr Kickstart_PrivateAddress 10.1.1.1"])
    names = tmp_path / "root/etc/rollbuild/hosts"
    assert "10.1.255.254" in names.read_text()
    do(rocks, ["set host interface ip compute-0-0 eth0 10.1.255.9"])
    assert "10.1.255.9\t" in names.read_text() or "10.1.255.9 " in names.read_text()
    names.write_text("somebody's own\n")
    shown = rocks("sync config --diff")
    assert shown.code == 0
    assert "-somebody's own" in shown.out and "+10.1.255.9" in shown.out
    assert names.read_text() == "somebody's own\n"
    done = rocks("sync config")
    assert done.code == 0, done.err
    assert "10.1.255.9" in names.read_text()
    assert "wrote /etc/rollbuild/hosts" in done.err
    assert "all files are as the database says" in rocks("sync dns").err
    assert rocks("sync config --diff").out == ""


def test_a_change_that_cannot_be_written_is_told(cluster: Run, tmp_path: Path) -> None:
    rocks = cluster
    do(rocks, ["set attr Kickstart_PrivateAddress 10.1.1.1"])
    (tmp_path / "root/etc/rollbuild/hosts").unlink()
    (tmp_path / "root/etc/rollbuild/hosts").mkdir()
    done = rocks("add host compute-0-9")
    assert done.code == 4
    assert "the database is changed, the front end's files are not all" in done.err
    assert "add host compute-0-9 membership=Compute rack=0 rank=9 cpus=1 os=linux" in dumped(rocks)


def test_what_hosts_were_held_for_is_told_when_they_may_install(cluster: Run) -> None:
    from rollbuild.cluster import hold_host, open_database

    rocks = cluster
    with open_database() as database, database.writing("test") as connection:
        hold_host(connection, "compute-0-0", "three installs failed")
    done = rocks("set host boot compute-0-0 action=install")
    assert done.code == 0
    assert "compute-0-0 was held (three installs failed): it may install again" in done.err


def test_the_files_of_a_host_are_shown(cluster: Run) -> None:
    rocks = cluster
    do(rocks, ["set attr Kickstart_PrivateGateway 10.1.1.1"])
    done = rocks("sync host network compute-0-0 --diff")
    assert done.code == 0
    assert "address1=10.1.255.254/16" in done.out and "mac-address=52:54:00:aa:10:00" in done.out
    done = rocks("sync host network compute-0-1")
    assert done.code == 1 and "has no interface" in done.err
    do(rocks, ["add host granite membership=Frontend rack=0 rank=0"])
    assert "its own network is not changed from here" in rocks("sync host network granite").err


DUMPS: dict[str, tuple[str, str]] = {
    "another program": ("rm -rf /\n", "this is no command of rocks"),
    "a shell": ("rocks add host compute-7-7; reboot\n", "rack-rank"),
    "two lines, one wrong": ("rocks add host compute-7-7\nrocks add host compute-7-7\n", "file.rocks:2: "),
    "a command that is no change": ("rocks run host % reboot\n", "`rocks run host` is not loaded"),
    "a load": ("rocks load file.rocks\n", "`rocks load` is not loaded"),
    "a roll": ("rocks add roll x.iso\n", "`rocks add roll` is not loaded"),
    "an open quote": ("rocks add host 'compute-7-7\n", "a quote is not closed"),
    "no such command": ("rocks add hosst compute-7-7\n", "there is no command"),
    "another database": ("rocks add host compute-7-7 --database=x.db\n", "--database"),
    "binary": ("\x00\udcff", "not UTF-8"),
}


@pytest.mark.parametrize("name", DUMPS)
def test_a_wrong_dump_changes_nothing(cluster: Run, tmp_path: Path, name: str) -> None:
    text, words = DUMPS[name]
    rocks = cluster
    before = rocks("dump").out
    (tmp_path / "file.rocks").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = rocks("load", "file.rocks")
    assert done.code in (1, 2)
    assert words in done.err or name == "a shell"
    assert "file.rocks" in done.err
    assert rocks("dump").out == before


def test_a_dump_is_loaded_by_no_shell(cluster: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = "$(touch pwned) `touch pwned`; touch pwned\n# 'x' \"y\" \\ | & > pwned\n\ttail#"
    rocks = cluster
    assert rocks("set", "attr", "attr=motd", f"value={value}").code == 0
    assert rocks("dump", "all.rocks").code == 0
    assert stat.S_IMODE((tmp_path / "all.rocks").stat().st_mode) == 0o600
    before = rocks("dump").out
    assert (tmp_path / "all.rocks").read_text() == before
    remarked = f"# a remark: it's one\n\n{before}   # another\n"
    (tmp_path / "all.rocks").write_text(remarked)
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "other"))
    done = rocks("load", "all.rocks")
    assert done.code == 0, done.err
    assert rocks("dump").out == before
    assert rocks("report host attr compute-0-0 attr=motd").out == value + "\n"
    assert not (tmp_path / "pwned").exists()


def test_export_and_import(cluster: Run, tmp_path: Path) -> None:
    rocks = cluster
    assert rocks("export", "all.yaml").code == 0
    assert stat.S_IMODE((tmp_path / "all.yaml").stat().st_mode) == 0o600
    done = rocks("import", "all.yaml")
    assert (done.code, done.out) == (0, "") and "nothing to do" in done.err
    text = (tmp_path / "all.yaml").read_text()
    assert rocks("export").out == text
    (tmp_path / "all.yaml").write_text(text.replace("10.1.255.254", "10.1.255.99"))
    before = rocks("dump").out
    done = rocks("import", "all.yaml")
    assert done.code == 0 and "10.1.255.99" in done.out and "apply=yes" in done.err
    assert rocks("dump").out == before
    done = rocks("import", "all.yaml", "apply=yes")
    assert done.code == 0, done.err
    assert "10.1.255.99" in rocks("dump").out
    (tmp_path / "hosts.csv").write_text(
        "name,mac,address,boot_action\ncompute-0-5,52:54:00:aa:10:05,10.1.255.5,install\n"
    )
    assert rocks("import hosts.csv apply=yes").code == 0
    assert "set host boot compute-0-5 action=install" in dumped(rocks)
    assert rocks("export format=csv").out.startswith("name,appliance,")
    (tmp_path / "hosts.csv").write_text("name,mac\ncompute-0-6,52:54:00:aa:10:05\ncompute-0-7,zz\n")
    before = rocks("dump").out
    done = rocks("import hosts.csv apply=yes")
    assert done.code == 1 and "hosts.csv:3" in done.err
    assert rocks("dump").out == before


SITE = """
global:
  Kickstart_PublicHostname: granite.example.org
  Kickstart_PrivateHostname: granite
  Kickstart_PrivateAddress: 10.5.0.1
  Kickstart_PrivateNetmask: 255.255.0.0
  Kickstart_PrivateInterface: 52:54:00:00:00:0a
  Kickstart_PublicAddress: 192.0.2.10
  Kickstart_PublicInterface: eno2
  private_mtu: 9000
appliance:
  compute: {kdump: yes}
host:
  compute-0-7: {os_disk: sdb}
"""


def test_a_front_end(rocks: Run, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    for device, mac in (("eno1", "52:54:00:00:00:0a"), ("eno2", "52:54:00:00:00:0b"), ("lo", "00:00:00:00:00:00")):
        folder = tmp_path / "root/sys/class/net" / device
        folder.mkdir(parents=True)
        (folder / "address").write_text(mac + "\n")
    done = rocks("add", "frontend", "attrs=site.yaml", f"rolls={ROOT / 'rolls'}")
    assert done.code == 0, done.err
    assert "host compute-0-7 is not there yet" in done.err
    lines = dumped(rocks)
    assert lines[:2] == [
        "add network private 10.5.0.0 255.255.0.0 mtu=9000 dnszone=cluster.internal servedns=yes",
        "add network public 192.0.2.0 255.255.255.0 mtu=1500 dnszone=example.org servedns=no",
    ]
    assert [line for line in lines if line.startswith("add host interface")] == [
        "add host interface granite eno1 ip=10.5.0.1 mac=52:54:00:00:00:0a subnet=private",
        "add host interface granite eno2 ip=192.0.2.10 mac=52:54:00:00:00:0b subnet=public",
    ]
    assert "set appliance attr compute kdump yes" in lines
    assert "10.5.0.1" in (tmp_path / "root/etc/rollbuild/hosts").read_text()
    done = rocks("add", "frontend", "attrs=site.yaml")
    assert done.code == 1 and "there is a front end already: granite" in done.err


def test_a_front_end_without_facts(rocks: Run, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("nat: no\n")
    before = rocks("dump").out
    done = rocks("add frontend attrs=site.yaml")
    assert done.code == 1 and "Kickstart_PrivateAddress is not set" in done.err
    # A site.yaml leaves out what the rolls have as a default.
    assert "`rocks create distro` first" in done.err
    assert rocks("dump").out == before
    assert rocks("add frontend").code == 4


def test_rolls_are_those_of_the_store(rocks: Run, tmp_path: Path) -> None:
    done = rocks("enable", "roll", "nothing", f"--store={tmp_path / 'store'}")
    assert done.code == 2 and "nothing" in done.err
    done = rocks("create", "distro", f"--store={tmp_path / 'store'}")
    assert done.code == 2 and "rollbuild distro import-os" in done.err


@pytest.mark.long
def test_many_at_once_are_all_different(tmp_path: Path) -> None:
    """Whole processes that take names and addresses at the same time."""
    environment = {**os.environ, "ROLLBUILD_ROOT": str(tmp_path), "PYTHONPATH": str(ROOT)}
    program = "import sys; from rollbuild.commands.rocks import main; sys.exit(main(sys.argv[1:]))"

    def start(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", program, *words], env=environment, stderr=subprocess.DEVNULL)

    assert start("add", "network", "private", "10.1.0.0/16").wait() == 0
    running = [start("add", "host", f"compute-0-{number % 4}") for number in range(8)]
    codes = sorted(process.wait() for process in running)
    assert codes == [0] * 4 + [1] * 4
