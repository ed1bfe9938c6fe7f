"""Real dnsmasq and Kea with the files that a front end makes of its database; clients get what the database says."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rollbuild.cluster import (
    Interface,
    Network,
    add_host,
    add_interface,
    add_network,
    remove_host,
    set_attribute,
    set_boot,
    set_interface,
)
from rollbuild.frontend import (
    FrontEnd,
    apply_boot_files,
    diff_configuration,
    ensure_applied,
    open_front_end,
    plan_configuration,
)
from tests.boot import network as network_room
from tests.boot.network import BRIDGE, ask_dhcp, make_network, need, run

SERVER = "10.1.1.1"
SERVING = Path(__file__).with_name("serving.sh")
BIOS, UEFI, UEFI_HTTP = 0, 7, 16


def mac_of(number: int) -> str:
    return f"52:54:00:77:00:{number:02x}"


def address_of(number: int) -> str:
    return f"10.1.255.{254 - number}"


def add(front_end: FrontEnd, number: int) -> None:
    name = f"compute-0-{number}"
    with front_end.database.writing(f"add {name}") as c:
        add_host(c, name, appliance="compute", rack=0, rank=number)
        add_interface(c, Interface(name, "eno1", mac_of(number), address_of(number), "private"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setenv("ROLLBUILD_ROOT", str(folder))
    return folder


@pytest.fixture
def front_end(root: Path) -> Iterator[FrontEnd]:
    front_end = open_front_end()
    with front_end.database.writing("fill") as c:
        add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="cluster.internal", serves_dns=True))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eno1", address=SERVER, network="private"))
        set_attribute(c, "global", "", "Kickstart_PrivateHostname", "granite")
    yield front_end
    front_end.database.close()


@pytest.fixture
def network(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[network_room.Network]:
    """The cluster's network; dnsmasq and Kea are restarted in it as somebody asks for that."""
    need("ip", "busybox")
    with make_network(SERVER, 16) as network:
        wait_for_carrier(network)
        monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
        for kind in ("dnsmasq", "kea"):
            command = json.dumps([str(SERVING), kind, str(root), network.name])
            monkeypatch.setenv(f"ROLLBUILD_RESTART_{kind.upper()}", command)
        try:
            yield network
        finally:
            for kind in ("dnsmasq", "kea"):
                subprocess.run([SERVING, f"stop-{kind}", root, network.name], check=False)


def wait_for_carrier(network: network_room.Network) -> None:
    """Kea listens only on interfaces that run when it starts, and a bridge takes a moment."""
    deadline = time.monotonic() + 10
    with network.inside():
        while json.loads(run("ip", "-j", "link", "show", BRIDGE))[0]["operstate"] != "UP":
            assert time.monotonic() < deadline
            time.sleep(0.02)


def restarts(root: Path, kind: str) -> int:
    return len((root / "run" / kind / "restarts").read_text().splitlines())


@pytest.mark.boot
def test_dnsmasq_gives_what_the_database_says(
    front_end: FrontEnd, root: Path, network: network_room.Network, tmp_path: Path
) -> None:
    need("dnsmasq")
    add(front_end, 0)
    applied = ensure_applied(front_end)
    assert (applied.restarted, applied.refused) == (("dnsmasq",), ())
    tree = root / "export/install/netboot"
    assert ask_dhcp(network, tmp_path, mac_of(0), UEFI) == f"{address_of(0)} compute-0-0 grub/shimx64.efi {SERVER}"
    assert ask_dhcp(network, tmp_path, mac_of(0), BIOS) == f"{address_of(0)} compute-0-0 pxelinux.0 {SERVER}"
    url = f"http://{SERVER}/install/netboot/EFI/BOOT/BOOTX64.EFI"
    assert ask_dhcp(network, tmp_path, mac_of(0), UEFI_HTTP).split()[2] == url
    assert ask_dhcp(network, tmp_path, mac_of(5), BIOS) == ""
    # Ten changes, while leases are given out: one restart, and the leases live on.
    for number in range(1, 10):
        add(front_end, number)
    with front_end.database.writing("another port") as c:
        add_interface(c, Interface("compute-0-0", "eno2", "52:54:00:78:00:00"))
    applied = ensure_applied(front_end)
    assert (applied.restarted, restarts(root, "dnsmasq")) == (("dnsmasq",), 2)
    for number in range(10):
        assert ask_dhcp(network, tmp_path, mac_of(number), BIOS).startswith(f"{address_of(number)} compute-0-{number} ")
    assert ask_dhcp(network, tmp_path, "52:54:00:78:00:00", BIOS).startswith(f"{address_of(0)} compute-0-0 ")
    with network.inside():
        for name in ("compute-0-3", "compute-0-3.cluster.internal"):
            assert address_of(3) in run("busybox", "nslookup", name, SERVER)
        assert "compute-0-3" in run("busybox", "nslookup", address_of(3), SERVER)
        # A boot action restarts nothing: the file is served as it is.
        before = restarts(root, "dnsmasq")
        with front_end.database.writing("boot") as c:
            set_boot(c, "compute-0-3", "rescue")
        apply_boot_files(front_end, ["compute-0-3"])
        name = f"pxelinux.cfg/01-{mac_of(3).replace(':', '-')}"
        run("busybox", "tftp", "-g", "-r", name, "-l", str(tmp_path / "got"), SERVER)
    assert (tmp_path / "got").read_bytes() == (tree / name).read_bytes()
    assert restarts(root, "dnsmasq") == before
    with front_end.database.writing("moved") as c:
        remove_host(c, "compute-0-1")
        set_interface(c, "compute-0-2", "eno1", address="10.1.200.2")
    ensure_applied(front_end)
    assert ask_dhcp(network, tmp_path, mac_of(1), BIOS) == ""
    assert ask_dhcp(network, tmp_path, mac_of(2), BIOS).startswith("10.1.200.2 compute-0-2 ")


@pytest.mark.boot
def test_kea_gives_what_the_database_says(
    front_end: FrontEnd, root: Path, network: network_room.Network, tmp_path: Path
) -> None:
    need("dnsmasq", "kea-dhcp4")
    with front_end.database.writing("kea") as c:
        set_attribute(c, "global", "", "dhcp_server", "kea")
    add(front_end, 0)
    applied = ensure_applied(front_end)
    assert (applied.restarted, applied.refused) == (("dnsmasq", "kea-dhcp4"), ())
    assert ask_dhcp(network, tmp_path, mac_of(0), UEFI) == f"{address_of(0)} compute-0-0 grub/shimx64.efi {SERVER}"
    assert ask_dhcp(network, tmp_path, mac_of(5), BIOS) == ""
    for number in range(1, 10):
        add(front_end, number)
    with front_end.database.writing("another port") as c:
        add_interface(c, Interface("compute-0-9", "eno2", "52:54:00:78:00:00"))
    assert ensure_applied(front_end).restarted == ("dnsmasq", "kea-dhcp4")
    assert (restarts(root, "kea"), restarts(root, "dnsmasq")) == (2, 2)
    for number in range(9):
        assert ask_dhcp(network, tmp_path, mac_of(number), BIOS).startswith(f"{address_of(number)} compute-0-{number} ")
    assert ask_dhcp(network, tmp_path, "52:54:00:78:00:00", BIOS).startswith(f"{address_of(9)} compute-0-9 ")


@pytest.mark.boot
def test_the_other_server_takes_over(
    front_end: FrontEnd, root: Path, network: network_room.Network, tmp_path: Path
) -> None:
    """From dnsmasq to Kea: one of them answers, never both."""
    need("dnsmasq", "kea-dhcp4")
    add(front_end, 0)
    ensure_applied(front_end)
    with front_end.database.writing("kea") as c:
        set_attribute(c, "global", "", "dhcp_server", "kea")
    applied = ensure_applied(front_end)
    assert applied.restarted == ("dnsmasq", "kea-dhcp4")
    assert "`systemctl enable kea-dhcp4` has Kea answer after the next boot too" in applied.notes
    log = root / "run/dnsmasq/log"
    before = log.read_text().count("DHCPOFFER")
    assert ask_dhcp(network, tmp_path, mac_of(0), BIOS).startswith(f"{address_of(0)} compute-0-0 ")
    assert log.read_text().count("DHCPOFFER") == before


CHILD = """
import sys
from rollbuild.frontend import apply_configuration, open_front_end
front_end = open_front_end()
print("ready", flush=True)
sys.stdin.readline()
apply_configuration(front_end)
print("done", flush=True)
"""
HOSTS = 120
ROUNDS = 15


def contents(root: Path) -> dict[str, bytes]:
    folders = [root / "etc", root / "export/install"]
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".", "netboot."))
    }


@pytest.mark.long
def test_a_run_that_is_killed_leaves_whole_files_and_the_next_repairs(
    front_end: FrontEnd, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a restart is: the files that the service would have now.
    served = tmp_path / "served"
    code = f"import shutil; shutil.copyfile({str(root / 'etc/rollbuild/dhcp-hosts')!r}, {str(served)!r})"
    monkeypatch.setenv("ROLLBUILD_RESTART_DNSMASQ", json.dumps([sys.executable, "-c", code]))
    for number in range(HOSTS):
        add(front_end, number)
    start = time.monotonic()
    ensure_applied(front_end)
    usual = time.monotonic() - start
    chance = random.Random(7)
    killed = 0
    for turn in range(ROUNDS):
        before = contents(root)
        with front_end.database.writing("change") as c:
            for number in chance.sample(range(HOSTS), 40):
                set_interface(c, f"compute-0-{number}", "eno1", mac=f"52:54:00:{turn + 1:02x}:00:{number:02x}")
        plan = plan_configuration(front_end)
        wanted = {file.path.lstrip("/"): file.content for file in plan.files}
        assert plan.tree is not None
        for name, content in plan.tree.files(front_end.menus()):
            wanted[f"export/install/netboot/{name}"] = content if isinstance(content, bytes) else content.make()
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.stdin.write("\n")
        child.stdin.flush()
        with suppress(subprocess.TimeoutExpired):
            child.wait(chance.uniform(0, usual))
        child.kill()
        killed += child.wait() != 0
        child.stdin.close()
        child.stdout.close()
        for name, content in contents(root).items():
            assert content in (before.get(name), wanted.get(name)), f"round {turn}: {name}"
        assert ensure_applied(front_end).is_complete
        assert contents(root) == wanted
        assert served.read_bytes() == wanted["etc/rollbuild/dhcp-hosts"]
        assert diff_configuration(front_end) == ""
    assert killed > ROUNDS // 3
    leftovers = [path for path in root.rglob(".rollbuild-*") if "distributions" not in str(path)]
    assert leftovers == []
