"""The story of insert-ethers, with real machines: switched on, discovered, installed, started from their disks."""

import hashlib
import os
import random
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.boot.conftest import Firmware, Guest, Unpack
from tests.boot.frontend import FIRST, SECONDS, FrontEnd, running_front_end, wait_until
from tests.boot.installed import SERVER, SLOW, Installed, command, install_front_end, written_files
from tests.boot.machine import Machine
from tests.boot.network import BRIDGE, ask_dhcp, need, run
from tests.boot.test_insert_ethers import PXE
from tests.boot.test_netboot import ON_DISK, bios_disk, uefi_disk
from tests.cli.test_insert_ethers import tmux, until_shown

__all__ = ["bios_disk", "uefi_disk"]
pytestmark = pytest.mark.boot
MAC = "52:54:00:aa:10:00"
DISK = f"test.disk=http://{SERVER}/install/test/disk.img"
WAIT = f"test.wait=http://{SERVER}/install/test"

MakeFrontEnd = Callable[..., AbstractContextManager[FrontEnd]]


@pytest.fixture(scope="module")
def installed(guest: Guest, unpacked: Unpack, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    need("ip", "busybox", "qemu-system-x86_64")
    return install_front_end(tmp_path_factory.mktemp("front-end"), guest, unpacked)


@pytest.fixture
def make_front_end(installed: Installed, tmp_path: Path, bios_disk: Path) -> MakeFrontEnd:
    @contextmanager
    def make(disk: Path = bios_disk, **how: Any) -> Iterator[FrontEnd]:
        with running_front_end(installed, tmp_path / "frontend", **how) as front_end:
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


def is_local(boot_file: str) -> bool:
    """Whether pxelinux starts the disk by it."""
    assert boot_file
    return "vmlinuz" not in boot_file


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
    case: Case, make_front_end: MakeFrontEnd, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    firmware: Firmware | None = request.getfixturevalue(case.firmware) if case.firmware else None
    disk = request.getfixturevalue("uefi_disk" if firmware else "bios_disk")
    with make_front_end(disk, dhcp=case.dhcp, ipxe=case.ipxe) as front_end:
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
                assert front_end.rocks("list", "host", "boot", case.name).split()[-1] == "os"
                machine.wait_for(ON_DISK, SLOW)
                assert machine.seen().count("GUEST started") == 1
            assert "1 host inserted" in running.leave()
        if case.loader:
            assert f"sent {front_end.tree / case.loader} to" in front_end.log("dnsmasq").read_text()
        assert is_local(front_end.boot_file(MAC, case.pxe))


@pytest.mark.parametrize("case", STORIES.values(), ids=STORIES)
def test_an_installer_is_told_whom_to_trust(
    case: Case, make_front_end: MakeFrontEnd, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """With kickstart_tls every loader brings the cluster's authority to the installer, in an initrd of its own."""
    firmware: Firmware | None = request.getfixturevalue(case.firmware) if case.firmware else None
    disk = request.getfixturevalue("uefi_disk" if firmware else "bios_disk")
    with make_front_end(disk, dhcp=case.dhcp, ipxe=case.ipxe) as front_end:
        front_end.rocks("set", "attr", "kickstart_tls", "yes")
        front_end.prompt.run("insert-ethers", "--membership", case.membership, "--mac", MAC)
        authority = (front_end.root / "export/install/ca.pem").read_bytes()
        with front_end.machine(tmp_path, MAC, empty_disk(tmp_path, disk), firmware) as machine:
            shown = machine.wait_for("GUEST trusted", SLOW).split()
            arguments = machine.wait_for("GUEST arguments")
        assert shown[2] == hashlib.sha256(authority).hexdigest()
        assert int(shown[3]) >= 1
        assert f"inst.ks=https://{SERVER}:8443/ks/{case.name}" in arguments
        assert "noverifyssl" not in arguments


def test_the_plug_is_pulled(make_front_end: MakeFrontEnd, bios_disk: Path, tmp_path: Path) -> None:
    """Of everything, more than once: the install goes on when all is back."""
    disk = empty_disk(tmp_path, bios_disk)
    with make_front_end() as front_end:
        front_end.options(DISK, WAIT)
        with front_end.inserting("--membership", "Compute") as running, front_end.machine(tmp_path, MAC, disk):
            running.wait_for(f"{MAC} is compute-0-0, {FIRST}")
            running.process.kill()
            for name in ("dnsmasq", "service"):
                front_end.kill(name)
        front_end.restart("dnsmasq")
        # It is back, and so is what was under way; the files follow without a command.
        with front_end.inserting("--membership", "Compute") as running:
            running.wait_for(f"{MAC} is compute-0-0, from an earlier run")
            with front_end.machine(tmp_path, MAC, disk) as machine:
                machine.wait_for("GUEST waiting start", SLOW)
                running.wait_for("compute-0-0 fetched its Kickstart")
            with front_end.machine(tmp_path, MAC, disk) as machine:
                machine.wait_for("GUEST waiting start", SLOW)
                front_end.publish("test/start")
                machine.wait_for("GUEST waiting post", SLOW)
                running.process.kill()
                for name in ("dnsmasq", "service"):
                    front_end.kill(name)
                front_end.publish("test/post")
                machine.wait_for("GUEST installed", SLOW)
                assert stages(machine) == ["pre-start", "post-start", "post-done"]
                front_end.restart("dnsmasq")
                machine.wait_for(ON_DISK, SLOW)
                assert machine.seen().count("GUEST started") == 1
        assert is_local(front_end.boot_file(MAC))
        assert "installed" in front_end.rocks("list", "host", "install", "compute-0-0")
        with front_end.inserting("--membership", "Compute") as running:
            assert "earlier run" not in running.leave()


def test_a_machine_that_fails_three_times_is_held(
    make_front_end: MakeFrontEnd, bios_disk: Path, tmp_path: Path
) -> None:
    """It restarts itself after each failure, and in the end starts what is on its disk."""
    with make_front_end() as front_end:
        front_end.options("test.fail")
        front_end.prompt.run("insert-ethers", "--membership", "Compute", "--mac", MAC)
        with front_end.machine(tmp_path, MAC, old_disk(tmp_path, bios_disk)) as machine:
            machine.wait_for(ON_DISK, 4 * SLOW)  # it boots four times
            assert stages(machine) == ["pre-start", "failed"] * 3
        shown = front_end.rocks("list", "host", "install", "compute-0-0")
        assert "3 installs failed; the last: no disk is large enough" in shown
        assert is_local(front_end.boot_file(MAC))
        front_end.rocks("set", "host", "boot", "compute-0-0", "action=install")
        assert not is_local(front_end.boot_file(MAC))


def test_a_machine_that_nobody_inserted_stays_as_it_is(
    make_front_end: MakeFrontEnd, bios_disk: Path, tmp_path: Path
) -> None:
    with make_front_end() as front_end:
        before = front_end.rocks("list", "host")
        disk = old_disk(tmp_path, bios_disk)
        with front_end.machine(tmp_path, MAC, disk) as machine:
            machine.wait_for(ON_DISK, SLOW)
        assert f"{MAC} ignored" in front_end.log("dnsmasq").read_text()
        assert front_end.rocks("list", "host") == before
        assert disk.read_bytes() == bios_disk.read_bytes()


class Client:
    """A machine without a machine: it asks DHCP, and runs the scripts of its Kickstart that report."""

    def __init__(self, front_end: FrontEnd, folder: Path, mac: str) -> None:
        self.front_end, self.folder, self.mac = front_end, folder, mac
        self.name = self.address = ""

    def boot(self, tries: int = 20) -> None:
        """Ask for an address as firmware does, again and again."""
        for _ in range(tries):
            answer = ask_dhcp(self.front_end.network, self.folder, self.mac, 7, "-V", PXE)
            if answer:
                self.address, self.name = answer.split()[:2]
                self.name = self.name.partition(".")[0]
                with self.front_end.network.inside():
                    run("ip", "addr", "replace", f"{self.address}/16", "dev", BRIDGE)
                return
        pytest.fail(f"{self.mac} got no address")

    def fetch(self) -> int:
        """Ask for the Kickstart; the status."""
        argv = ["curl", "-s", "-o", str(self.folder / "ks"), "-w", "%{http_code}", "--interface", self.address]
        argv += ["--retry", "5", "-H", f"X-RHN-Provisioning-MAC-0: eth0 {self.mac}"]
        with self.front_end.network.inside():
            status = int(run(*argv, f"http://{SERVER}/ks/{self.name}"))
        if status == 200:
            for path, text in written_files((self.folder / "ks").read_text()).items():
                if path.startswith("/tmp/rb"):
                    (self.folder / path[5:]).write_text(text.replace("/tmp/rb", f"{self.folder}/rb"))
        return status

    def report(self, stage: str) -> "subprocess.Popen[bytes]":
        """Start what a script of the Kickstart runs."""
        with self.front_end.network.inside():
            return subprocess.Popen(["bash", "-c", f". {self.folder}/rb.sh; rb_event {stage} detail"])


def test_the_screen(make_front_end: MakeFrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("tmux", "curl")
    monkeypatch.setattr("tests.cli.test_insert_ethers._SECONDS", SLOW)
    socket = f"rollbuild-front-end-{os.getpid()}"
    with make_front_end() as front_end:
        script = tmp_path / "run"
        argv = [*front_end.prompt.prefix, *command("insert-ethers", "--log", front_end.log("dnsmasq"))]
        script.write_text(f"{shlex.join(argv)}; echo code $?; exec sleep 600\n")
        variables = front_end.prompt.variables()
        given = [f"-e{name}={value}" for name, value in variables.items() if name.startswith(("ROLLBUILD", "PYTHON"))]
        tmux(socket, "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", *given, "sh", str(script))
        try:
            until_shown(socket, "VM Container")
            tmux(socket, "send-keys", "End", "Enter")
            until_shown(socket, "Inserted Appliances")
            client = Client(front_end, tmp_path, MAC)
            client.boot()
            assert (client.address, client.name) == (FIRST, "vm-container-0-0")
            until_shown(socket, f"{MAC}   vm-container-0-0   ( )")
            tmux(socket, "send-keys", "F8")
            until_shown(socket, "Not kickstarted, please wait...")
            assert client.fetch() == 200
            until_shown(socket, f"{MAC}   vm-container-0-0   (*)")
            assert client.report("packages").wait() == 0
            until_shown(socket, "(*)   packages")
            front_end.prompt.transcript.append(tmux(socket, "capture-pane", "-p"))
            assert client.report("post-done").wait() == 0
            until_shown(socket, "(*)   installed")
            tmux(socket, "send-keys", "F8")
            assert "1 host inserted" in until_shown(socket, "code 0")
        finally:
            tmux(socket, "kill-server")
        assert is_local(front_end.boot_file(MAC))
        # Reports go the way that nobody can listen to, where the CA is known.
        assert "POST /events" not in (front_end.folder / "nginx/access.log").read_text()


ROUNDS = 4


def test_the_service_is_killed_at_any_moment(make_front_end: MakeFrontEnd, tmp_path: Path) -> None:
    """A host whose install was reported never installs again, whatever was cut off meanwhile."""
    need("curl")
    chance = random.Random(5)
    with make_front_end() as front_end:
        front_end.prompt.run("insert-ethers", "--membership", "Compute", "--mac", MAC)
        client = Client(front_end, tmp_path, MAC)
        client.boot()
        for turn in range(ROUNDS):
            front_end.rocks("set", "host", "boot", "compute-0-0", "action=install")
            assert not is_local(front_end.boot_file(MAC))
            if turn % 2:
                threading.Timer(chance.uniform(0, 0.1), front_end.kill, ["service"]).start()
            assert client.fetch() == 200
            if turn == ROUNDS - 1:
                front_end.kill("nginx", signal.SIGTERM)  # the report finds nobody who listens
            report = client.report("post-done")
            with suppress(subprocess.TimeoutExpired):
                report.wait(chance.uniform(0.02, 0.15))
            front_end.kill("service")
            assert report.wait(SECONDS) == 0
            wait_until("the boot file is local", lambda: is_local(front_end.boot_file(MAC)))
            assert front_end.rocks("list", "host", "boot", "compute-0-0").split()[-1] == "os"
            assert client.fetch() == 403
