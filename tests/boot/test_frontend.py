"""The story of insert-ethers, with real machines: switched on, discovered, installed, started from their disks."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.boot.conftest import Firmware, Guest, Unpack
from tests.boot.frontend import (
    FIRST,
    SERVER,
    SLOW,
    FrontEnd,
    Installed,
    command,
    install_front_end,
    running_front_end,
    wait_until,
)
from tests.boot.machine import Machine
from tests.boot.network import need
from tests.boot.test_netboot import ON_DISK, bios_disk, uefi_disk

__all__ = ["bios_disk", "uefi_disk"]
pytestmark = pytest.mark.boot
MAC, OTHER = "52:54:00:aa:10:00", "52:54:00:aa:10:01"
WAIT = f"test.wait=http://{SERVER}/install/test"


@pytest.fixture(scope="module")
def installed(guest: Guest, unpacked: Unpack, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    need("ip", "busybox", "qemu-system-x86_64")
    return install_front_end(tmp_path_factory.mktemp("front-end"), guest, unpacked)


@pytest.fixture
def make_front_end(installed: Installed, tmp_path: Path, bios_disk: Path) -> Callable[..., object]:
    @contextmanager
    def make(disk: Path = bios_disk, **how: object) -> Iterator[FrontEnd]:
        with running_front_end(installed, tmp_path / "frontend", **how) as front_end:  # type: ignore[arg-type]
            front_end.publish("test/disk.img", disk.read_bytes())
            yield front_end

    return make


def empty_disk(folder: Path, like: Path) -> Path:
    path = folder / "disk.img"
    with open(path, "wb") as file:
        file.truncate(max(like.stat().st_size, 1 << 20))
    return path


def old_disk(folder: Path, like: Path) -> Path:
    path = folder / "disk.img"
    path.write_bytes(like.read_bytes())
    return path


def stages(machine: Machine) -> list[str]:
    return [line.split()[2] for line in machine.seen().splitlines() if line.startswith("GUEST reported ")]


@dataclass(frozen=True, slots=True)
class Case:
    membership: str
    name: str
    firmware: str | None = None
    dhcp: str = "dnsmasq"
    ipxe: bool = True
    loader: str = ""
    pxe: str = "pxelinux.cfg/01-{}"


STORIES = {
    "BIOS, pxelinux": Case("VM Container", "vm-container-0-0", ipxe=False, loader="pxelinux.0"),
    "BIOS, iPXE, Kea": Case("Compute", "compute-0-0", dhcp="kea", pxe="ipxe/hosts/{}.ipxe"),
    "UEFI": Case("Compute", "compute-0-0", "uefi", loader="grub/shimx64.efi", pxe="grub/grub.cfg-01-{}"),
}


@pytest.mark.parametrize("case", STORIES.values(), ids=STORIES)
def test_a_machine_becomes_a_host(
    case: Case, make_front_end: Callable[..., object], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    firmware: Firmware | None = request.getfixturevalue(case.firmware) if case.firmware else None
    disk = request.getfixturevalue("uefi_disk" if firmware else "bios_disk")
    with make_front_end(disk, dhcp=case.dhcp, ipxe=case.ipxe) as front_end:  # type: ignore[attr-defined]
        assert case.name not in front_end.rocks("list", "host")
        with front_end.inserting("--membership", case.membership) as running:
            with front_end.machine(tmp_path, MAC, empty_disk(tmp_path, disk), firmware) as machine:
                running.wait_for(f"Discovered a new appliance with MAC ({MAC})")
                running.wait_for(f"{MAC} is {case.name}, {FIRST}")
                running.wait_for(f"{case.name} fetched its Kickstart")
                assert machine.wait_for("GUEST firmware", SLOW).endswith(case.firmware or "bios")
                lease = f"GUEST lease {FIRST} {case.name} {SERVER} {SERVER} cluster.internal"
                assert machine.wait_for("GUEST lease") == lease
                machine.wait_for("GUEST installed", SLOW)
                assert stages(machine) == ["pre-start", "post-start", "post-done"]
                running.wait_for(f"{case.name} is installed")
                boots = front_end.rocks("list", "host", "boot", case.name)
                assert "install" not in boots
                machine.wait_for(ON_DISK, SLOW)
                assert machine.seen().count("GUEST started") == 1
        said = running
        if case.loader:
            assert f"sent {front_end.tree / case.loader} to" in front_end.log("dnsmasq").read_text()
        assert "vmlinuz" not in front_end.boot_file(MAC, case.pxe).replace("images", "")
        print(said.output.read_text())
