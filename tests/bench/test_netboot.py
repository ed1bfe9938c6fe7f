"""The files of a netboot tree for 10,000 hosts, against writing the same bytes with nothing else done."""

import ipaddress
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollbuild.media import (
    BootAction,
    BootHost,
    BootNetwork,
    GrubVerbs,
    Loaders,
    Menus,
    check_arguments,
    dhcp_files,
    install_arguments,
)
from rollbuild.media.netboot import loader_files
from rollbuild.media.placing import update_tree
from rollbuild.releases import load_release

HOSTS = 10_000
NETWORK = BootNetwork(
    ipaddress.IPv4Address("10.1.1.1"), ipaddress.IPv4Network("10.1.0.0/16"), "http://10.1.1.1/install/netboot"
)


def table(*, installing: int) -> list[BootHost]:
    """Rows, of which the first so many install."""
    release = load_release("el9")
    hosts = []
    for number in range(HOSTS):
        mac = f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        name, address = f"compute-{number // 40}-{number % 40}", str(NETWORK.network[number + 1000])
        if number >= installing:
            hosts.append(BootHost(name, mac, address, BootAction.OS))
            continue
        arguments = install_arguments(
            release, stage2="http://10.1.1.1/install/dist/el9", kickstart=f"http://10.1.1.1/ks/{name}", mac=mac
        )
        assert not check_arguments(release, arguments)
        images = ("images/el9-1/vmlinuz", "images/el9-1/initrd.img")
        hosts.append(BootHost(name, mac, address, BootAction.INSTALL, *images, arguments))
    return hosts


def files(hosts: list[BootHost]) -> Iterator[tuple[str, bytes]]:
    menus = Menus()
    yield from dhcp_files(hosts, NETWORK, menus, Loaders("pxelinux.0"), tftp_root="/srv/netboot")
    yield from loader_files(hosts, NETWORK, menus, GrubVerbs())


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds that passed, and those that a processor worked."""
    start, before = time.perf_counter(), os.times()
    action()
    after = os.times()
    return time.perf_counter() - start, after.user - before.user + after.system - before.system


def write_plainly(folder: Path, contents: list[tuple[str, bytes]]) -> None:
    for name in {name.rpartition("/")[0] for name, _ in contents}:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, content in contents:
        with open(folder / f"{name}.new", "wb") as file:
            file.write(content)
        os.replace(folder / f"{name}.new", folder / name)


def test_files_for_ten_thousand_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contents = list(files(table(installing=HOSTS // 2)))
    plain = timed(lambda: write_plainly(tmp_path / "plain", contents))
    tree = tmp_path / "tree"
    cold = timed(lambda: update_tree(tree, files(table(installing=HOSTS // 2)), {}))
    again = timed(lambda: update_tree(tree, files(table(installing=HOSTS // 2)), {}))
    few = update_tree(tree, files(table(installing=HOSTS // 2 + 10)), {})
    assert few.written == 30
    with capsys.disabled():
        print(f"\nnetboot files of {HOSTS:,} hosts ({len(contents):,} files), seconds passed and worked:")
        for what, (passed, worked) in (("plain writing", plain), ("first run", cold), ("second run", again)):
            print(f"  {what:14} {passed:6.2f} {worked:6.2f}")
        print("  aim: the first run under 5 s")
