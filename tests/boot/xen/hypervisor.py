"""A VM container: a real Xen under QEMU, with a Debian dom0, reached by SSH as from a front end."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.boot.machine import EMULATOR
from tests.boot.xen.image import Image


@dataclass(frozen=True, slots=True)
class Container:
    """A running VM container. `port` is that of its SSH on 127.0.0.1; guests reach this machine as 10.0.2.2."""

    image: Image
    port: int
    process: subprocess.Popen[bytes]
    console: Path

    def disconnect(self) -> None:
        """Have what it wrote on its disk, and let nobody in any more."""
        self.ssh(
            "for key in s u; do echo $key >/proc/sysrq-trigger; done; sleep 1; nohup sh -c 'sleep 1; pkill sshd' &"
        )

    def reset(self, timeout: float = 240) -> None:
        """Cut its power for a moment. Its virtual machines are gone."""
        start = len(self.console.read_bytes())
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.console.with_suffix(".qmp")))
            replies = control.makefile("r")
            replies.readline()
            for name, arguments in (
                ("qmp_capabilities", {}),
                ("set-action", {"reboot": "reset"}),
                ("system_reset", {}),
            ):
                control.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
                while "return" not in (reply := json.loads(replies.readline())):
                    assert "error" not in reply, reply
        _wait(self, start, timeout)

    def ssh(self, *command: str, input: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command there as root."""
        argv = ["ssh", "-q", "-i", str(self.image.key), "-p", str(self.port), "-o", "StrictHostKeyChecking=no"]
        argv += [
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=20",
            "root@127.0.0.1",
        ]
        return subprocess.run([*argv, *command], input=input, capture_output=True, text=True, timeout=timeout)


@contextmanager
def run_container(
    image: Image, folder: Path, *, name: str = "vm-container-0-0", memory: int = 2048, dom0: int = 640
) -> Iterator[Container]:
    """Boot a VM container; gone when the block ends, its disk as it was before. `memory` and `dom0` are in MiB."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    console, errors = folder / f"{name}.console", folder / f"{name}.errors"
    xen = f"console=com1 com1=115200,8n1 dom0_mem={dom0}M,,max:{dom0}M dom0_max_vcpus=1 noreboot"
    argv: list[str | Path] = [EMULATOR, "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=1024"]
    # SMAP: emulated, it faults on what Xen does when it returns to dom0.
    argv += ["-cpu", "max,-smap,-smep", "-m", str(memory), "-smp", "2", "-display", "none", "-no-reboot", "-nodefaults"]
    argv += ["-kernel", image.folder / "xen", "-append", xen.replace(",,", ",")]
    kernel = f"{image.folder}/dom0-kernel console=hvc0 panic=-1 quiet container={name}"
    argv += ["-initrd", f"{kernel},{image.folder}/dom0-initrd"]
    argv += ["-drive", f"file={image.folder}/dom0.img,format=raw,if=none,id=disk,snapshot=on"]
    argv += ["-device", "virtio-blk-pci,drive=disk"]
    # The first address that QEMU gives out would be dom0's usual one: guests get others.
    argv += ["-netdev", f"user,id=net,dhcpstart=10.0.2.30,hostfwd=tcp:127.0.0.1:{port}-10.0.2.4:22"]
    argv += ["-device", "virtio-net-pci,netdev=net", "-serial", f"file:{console}"]
    argv += ["-qmp", f"unix:{console.with_suffix('.qmp')},server=on,wait=off"]
    with errors.open("wb") as error_file:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=error_file, stderr=error_file)
    container = Container(image, port, process, console)
    try:
        _wait(container)
        yield container
    finally:
        process.kill()
        process.wait()


def _wait(container: Container, start: int = 0, timeout: float = 240) -> None:
    """Wait until it is up, as its console says after the first `start` bytes."""
    deadline = time.monotonic() + timeout
    console = container.console
    while time.monotonic() < deadline and container.process.poll() is None:
        shown = console.read_bytes()[start:] if console.exists() else b""
        if b"CONTAINER ready" in shown and container.ssh("virsh", "uri").returncode == 0:
            return
        time.sleep(0.3)
    tail = console.read_text(errors="replace")[-3000:] if console.exists() else ""
    errors = console.with_suffix(".errors").read_text(errors="replace")[-500:]
    pytest.fail(f"the VM container did not come up\n{tail}\n{errors}")
