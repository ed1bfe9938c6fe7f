"""Virtual machines on libvirt with QEMU, emulated in software: the driver for KVM, and the commands on it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.boot.conftest import Guest
from tests.boot.network import BRIDGE, need, program
from tests.boot.test_netboot import ON_DISK, bios_disk, make_initrd
from tests.boot.virtual import CONTAINER, SERVER, VmFrontEnd, inside_network, make_front_end, wait_until

__all__ = ["bios_disk"]
pytestmark = pytest.mark.boot
MACHINE = "compute-0-0-1"
STARTED = f"Started domain {MACHINE}\n"
# A libvirtd of its own: it sees these folders in the place of the system's, and has no service manager.
_DAEMON = r"""
set -e
for name in etc run lib cache log; do mkdir -p "$0/$name"; done
mkdir -p /etc/libvirt /run/libvirt
mount --bind "$0/etc" /etc/libvirt
mount --bind "$0/run" /run/libvirt
for name in lib cache log; do mount --bind "$0/$name" "/var/$name"; done
# It wants them even where machines run as root.
for name in passwd group; do
    { cat "/etc/$name"; for who in libvirt-qemu tss; do echo "$who:x:64055:64055::/:/bin/false"; done; } >"$0/$name"
done
sed -i 's/\(:x:64055:\).*/\1/' "$0/group"
for name in passwd group; do mount --bind "$0/$name" "/etc/$name"; done
exec libvirtd -f "$0/libvirtd.conf" -p "$0/pid"
"""
_SETTINGS = """
unix_sock_dir = "{folder}"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:{folder}/libvirtd.log"
"""
_QEMU = """
user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
remember_owner = 0
"""


@dataclass(frozen=True, slots=True)
class Libvirt:
    """A libvirtd with QEMU, whose socket is in `folder`."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"qemu:///system?socket={self.folder}/libvirt-sock"

    def virsh(self, *words: str) -> str:
        done = subprocess.run(["virsh", "-q", "-c", self.uri, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def running(self) -> Iterator[None]:
        """Machines go on when the block ends, as they do when libvirtd is restarted."""
        argv = [program("unshare"), "--mount", "--propagation", "private", "sh", "-c", _DAEMON, str(self.folder)]
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment())
        try:
            wait_until("libvirtd listens", lambda: process.poll() is not None or self._answers())
            assert process.poll() is None, (self.folder / "output").read_text()
            yield
        finally:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        argv = ["virsh", "-c", self.uri, "version"]
        return subprocess.run(argv, capture_output=True, timeout=60).returncode == 0

    def end(self) -> None:
        """End what is left of the machines."""
        for path in (self.folder / "run/qemu").glob("*.pid"):
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(path.read_text()), signal.SIGKILL)


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


@pytest.fixture
def libvirt(tmp_path: Path) -> Iterator[Libvirt]:
    need("libvirtd", "virsh", "unshare", "qemu-system-x86_64")
    # The path of a socket has to be short.
    made = Libvirt(tmp_path / "libvirt")
    (made.folder / "etc").mkdir(parents=True)
    (made.folder / "libvirtd.conf").write_text(_SETTINGS.format(folder=made.folder))
    (made.folder / "etc/qemu.conf").write_text(_QEMU)
    try:
        yield made
    finally:
        made.end()


@contextmanager
def giving_addresses(folder: Path) -> Iterator[None]:
    """A DHCP server that gives machines any address."""
    argv = [program("dnsmasq"), "--no-daemon", "--port=0", "--conf-file=/dev/null", f"--interface={BRIDGE}"]
    argv += ["--bind-interfaces", "--dhcp-range=10.0.2.50,10.0.2.99", f"--dhcp-leasefile={folder}/leases"]
    log = folder / "dnsmasq.log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_until("dnsmasq is started", lambda: "started" in log.read_text() or process.poll() is not None, 20)
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_install_and_start(libvirt: Libvirt, guest: Guest, bios_disk: Path, tmp_path: Path) -> None:
    need("dnsmasq")
    disks = tmp_path / "disks"
    options = f"console=ttyS0 no_timer_check rdinit=/netboot test.install test.disk=http://{SERVER}/install/disk.img"
    attributes = {
        "vm_hypervisor": "kvm",
        "vm_bridge": BRIDGE,
        "vm_connection": libvirt.uri,
        "vm_disk_dir": str(disks),
        "vm_host_memory": "512",
        "installer_options": options,
    }
    with inside_network(), giving_addresses(tmp_path), libvirt.running():
        for name, folder in (("disks", disks), ("install", tmp_path / "install")):
            libvirt.virsh("pool-define-as", name, "dir", "--target", str(folder))
            libvirt.virsh(f"pool-build {name}; pool-start {name}; pool-autostart {name}")
        rocks = make_front_end(
            tmp_path, guest.kernel, make_initrd(guest, tmp_path / "initrd", "installing"), attributes
        )
        # It says again and again that it started: what is said while nobody looks is lost.
        again = bios_disk.read_bytes().replace(bytes.fromhex("f4ebfd"), bytes.fromhex("f4ebeb"), 1)
        (rocks.root / "export/install/disk.img").write_bytes(again)
        with rocks.serving(f"{SERVER}:80"):
            try:
                install(rocks)
                run_from_disk(rocks, libvirt)
            finally:
                print("\n".join(rocks.transcript), (rocks.root / "service.log").read_text())  # noqa: T201


def install(rocks: VmFrontEnd) -> None:
    rocks.do(f'rocks add host vm {CONTAINER} membership="Compute" mem=9999999 disksize=1')
    done = rocks(f"rocks create host vm {MACHINE}")
    assert done.code == 1 and "need 9999999 MiB, free " in done.err and "the host keeps 512 MiB" in done.err
    rocks.do(f"rocks set host vm {MACHINE} mem=512")
    # KVM has no /etc/xen/rocks.
    assert rocks.do(f"rocks create host vm {MACHINE}") == STARTED
    with rocks.console(f"rocks-console {MACHINE}") as console:
        console.wait_for("GUEST reported post-done")
        console.wait_for_end()
    assert [stage for stage in rocks.stages(MACHINE) if "-" in stage][-3:] == ["pre-start", "post-start", "post-done"]
    rocks.wait_for_status(MACHINE, "undefined")


def run_from_disk(rocks: VmFrontEnd, libvirt: Libvirt) -> None:
    assert rocks.do(f"rocks start host VM {MACHINE}") == STARTED
    with rocks.console(f"rocks-console {MACHINE}") as console:
        console.wait_for(ON_DISK)
        console.press("\x1d")
        console.wait_for_end()
    rocks.wait_for_status(MACHINE, "active")
    rocks.do(f"rocks pause host vm {MACHINE}")
    rocks.wait_for_status(MACHINE, "paused")
    rocks.do(f"rocks resume host vm {MACHINE}")
    done = rocks(f"rocks remove host vm {MACHINE}")
    assert done.code == 1 and "is running" in done.err
    assert rocks(f"rocks stop host vm {MACHINE}").code == 0
    rocks.wait_for_status(MACHINE, "shutoff")
    assert rocks(f"rocks remove host vm {MACHINE} purge=yes").code == 0
    assert libvirt.virsh("list", "--all", "--name").split() == []
    assert list(rocks.root.parent.glob("disks/*")) == []
