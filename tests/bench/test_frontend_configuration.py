"""Configuration of a front end with 10,000 hosts: all of it, none of it, and one host's boot action."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.cluster import Interface, Network, add_host, add_interface, add_network, set_attribute, set_boot
from rollbuild.commands.main import main
from rollbuild.frontend import FrontEnd, apply_boot_files, apply_configuration, ensure_applied, open_front_end
from rollbuild.rolls import Store
from tests.stores import add_os, add_roll

HOSTS = 10_000


def fill(front_end: FrontEnd) -> None:
    with front_end.database.writing("fill") as c:
        add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="cluster.internal", serves_dns=True))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eno1", address="10.1.1.1", network="private"))
        set_attribute(c, "global", "", "Kickstart_PrivateHostname", "granite")
        for number in range(HOSTS):
            rack, rank = divmod(number, 40)
            name, mac = (
                f"compute-{rack}-{rank}",
                f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
            )
            add_host(c, name, appliance="compute", rack=rack, rank=rank)
            top = (10 << 24) + (1 << 16) + 65534 - number
            address = ".".join(str(top >> shift & 255) for shift in (24, 16, 8, 0))
            add_interface(c, Interface(name, "eno1", mac, address, "private"))
            set_attribute(c, "host", name, "bay", str(number))
            if number % 2:
                set_boot(c, name, "install")


def timed(what: str, action: Callable[[], object], lines: list[str], aim: str = "") -> None:
    start, before = time.perf_counter(), os.times()
    action()
    passed, after = time.perf_counter() - start, os.times()
    worked = after.user - before.user + after.system - before.system
    lines.append(f"  {what:48} {passed * 1000:8.0f} {worked * 1000:8.0f}   {aim}")


def boot(front_end: FrontEnd, host: str, action: str) -> None:
    with front_end.database.writing("boot") as c:
        set_boot(c, host, action)


@pytest.mark.parametrize("server", ["dnsmasq", "kea"])
def test_ten_thousand_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    store = Store(tmp_path / "export/rollbuild")
    store.folder.mkdir(parents=True)
    name = add_os(store, tmp_path / "dvd")
    add_roll(store, "base")
    assert main(["distro", "create", "c", "--os", name, "--no-kickstarts", "--store", str(store.folder), "-q"]) == 0
    front_end = open_front_end()
    fill(front_end)
    with front_end.database.writing("server") as c:
        set_attribute(c, "global", "", "dhcp_server", server)
    lines: list[str] = []
    timed("all files, into an empty tree", lambda: apply_configuration(front_end), lines, "aim: under 5 s")
    timed("all files looked at, none changed", lambda: apply_configuration(front_end), lines)
    timed("nothing changed, compared", lambda: ensure_applied(front_end), lines)
    boot(front_end, "compute-7-7", "install")
    timed("one host's boot files", lambda: apply_boot_files(front_end, ["compute-7-7"]), lines, "aim: under 100 ms")
    boot(front_end, "compute-7-7", "os")
    timed("again", lambda: apply_boot_files(front_end, ["compute-7-7"]), lines, "aim: under 100 ms")
    timed("a command after one host's change", lambda: ensure_applied(open_front_end()), lines)
    with front_end.database.writing("options") as c:
        set_attribute(c, "global", "", "installer_options", "inst.sshd")
    timed("an attribute that changes half of the hosts", lambda: ensure_applied(front_end), lines, "aim: under 5 s")
    assert (tmp_path / "etc/rollbuild/hosts").read_text().count("\n") == HOSTS + 1
    with capsys.disabled():
        print(f"\nconfiguration of {HOSTS:,} hosts with {server}, ms passed and worked:\n" + "\n".join(lines))
