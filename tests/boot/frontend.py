"""A front end below a folder whose servers run, in a network of its own.

What the rolls write at a front end's install (nginx, certificates) is taken from the Kickstart of this front end.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.boot.conftest import Firmware
from tests.boot.installed import SERVER, SLOW, Installed, Prompt, command
from tests.boot.machine import Machine, boot
from tests.boot.network import BRIDGE, Network, make_network, need, program, run
from tests.boot.test_configuration import SERVING, wait_for_carrier

BITS = 16
FIRST = "10.1.255.254"
SECONDS = 60.0
OPTIONS = "console=ttyS0 no_timer_check rdinit=/netboot test.install"
_NGINX = """
daemon off; {user} pid {run}/nginx.pid; error_log {run}/error.log;
events {{}}
http {{
    access_log {run}/access.log; default_type application/octet-stream;
    client_body_temp_path {run}/a; proxy_temp_path {run}/b; fastcgi_temp_path {run}/c;
    uwsgi_temp_path {run}/d; scgi_temp_path {run}/e;
    server {{ listen {address}:80; include {run}/default.d/*.conf; }}
    include {run}/conf.d/*.conf;
}}
"""
# What systemd does for a unit with Restart=always; ends with its standard input.
_KEEP = """#!/bin/sh
while :; do
    "$@" </dev/null >>"$LOG" 2>&1 &
    echo $! >"$PID"
    wait $!
done
"""
# As a site would have it: firmware does not wait for a router of IPv6.
_ROUTER = f"enable-ra\ndhcp-range=fd77::,ra-only\nra-param={BRIDGE},4,600\n"


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """A front end whose servers run."""

    network: Network
    folder: Path
    prompt: Prompt
    _taps: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.prompt.root

    @property
    def tree(self) -> Path:
        return self.root / "export/install/netboot"

    def rocks(self, *argv: str | Path, code: int = 0) -> str:
        return self.prompt.run("rocks", *argv, code=code)

    def log(self, name: str) -> Path:
        """Of dnsmasq, kea or the service."""
        return self.folder / "service.log" if name == "service" else self.root / "run" / name / "log"

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Pull the plug of dnsmasq, kea, nginx or the service; the last two come back."""
        at = self.root / "run" / name / "pid" if name in ("dnsmasq", "kea") else self.folder / f"{name}.pid"
        with suppress(ProcessLookupError):
            os.kill(int(at.read_text()), number)

    def restart(self, name: str) -> None:
        """What systemd does where dnsmasq or Kea ended."""
        run(SERVING, name, self.root, self.network.name)

    def publish(self, path: str, content: bytes = b"") -> None:
        """Put a file below /install/."""
        target = self.root / "export/install" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        new.write_bytes(content)
        new.rename(target)

    def options(self, *words: str) -> None:
        """Arguments for the installer's kernel."""
        self.rocks("set", "attr", "installer_options", "value=" + " ".join((OPTIONS, *words)))

    def boot_file(self, mac: str, kind: str = "pxelinux.cfg/01-{}") -> str:
        """What a machine fetches, "" for none."""
        path = self.tree / kind.format(mac.replace(":", "-"))
        return path.read_text() if path.exists() else ""

    @contextmanager
    def machine(self, folder: Path, mac: str, disk: Path, firmware: Firmware | None = None) -> Iterator[Machine]:
        """A machine that boots from the network, then from its disk, again and again."""
        if not self._taps:
            self._taps.append(self.network.plug())
        rom = ",romfile=" if firmware else ""  # UEFI brings its own driver
        argv: list[str | Path] = ["-netdev", f"tap,id=net,ifname={self._taps[0]},script=no,downscript=no"]
        argv += ["-device", f"virtio-net-pci,netdev=net,mac={mac},bootindex=1{rom}", "-device", "virtio-rng-pci"]
        argv += ["-drive", f"if=none,id=disk,format=raw,file={disk}"]
        argv += ["-device", "virtio-blk-pci,drive=disk,bootindex=2"]
        code, variables = (firmware.code, firmware.variables) if firmware else (None, None)
        with ExitStack() as stack:
            with self.network.inside():
                running = stack.enter_context(boot(folder, argv, firmware=code, variables=variables, reboots=True))
            yield running

    @contextmanager
    def inserting(self, *argv: str) -> "Iterator[Inserting]":
        """`insert-ethers --no-screen` with these options; killed at the end if it is still there."""
        output = self.folder / "insert-ethers"
        output.write_bytes(b"")
        words = ["--no-screen", "--log", str(self.log("kea" if self.log("kea").exists() else "dnsmasq")), *argv]
        with open(output, "wb") as file:
            process = subprocess.Popen(
                [*self.prompt.prefix, *command("insert-ethers", *words)],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                env=self.prompt.variables(),
            )
        running = Inserting(process, output)
        try:
            running.wait_for("waiting for machines")
            yield running
        finally:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


@dataclass(frozen=True, slots=True)
class Inserting:
    """A running insert-ethers without a screen."""

    process: subprocess.Popen[bytes]
    output: Path

    def wait_for(self, text: str, seconds: float = SLOW) -> str:
        """The line that holds a text."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.output.read_text().splitlines():
                if text in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        pytest.fail(f"insert-ethers did not say {text!r}:\n{self.output.read_text()}")

    def press(self, key: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{key}\n".encode())
        self.process.stdin.flush()

    def leave(self) -> str:
        """Leave as F8 does; all that it said."""
        self.press("q")
        assert self.process.wait(SECONDS) == 0, self.output.read_text()
        return self.output.read_text()


def wait_until(what: str, is_so: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:g} seconds")
        time.sleep(0.05)


@contextmanager
def running_front_end(
    installed: Installed, folder: Path, *, dhcp: str = "dnsmasq", ipxe: bool = True
) -> Iterator[FrontEnd]:
    """Make the database of an installed front end, start its servers, have its configuration written.

    Without `ipxe`, firmware that is iPXE is taken for any other.
    """
    need("ip", "dnsmasq", "nginx", "openssl", *(["kea-dhcp4"] if dhcp == "kea" else []))
    root = folder / "root"
    for name in ("etc/rollbuild", "etc/dnsmasq.d", "export/install", "usr/share"):
        (root / name).mkdir(parents=True)
    (root / "export/rollbuild").symlink_to(installed.store)
    (root / "usr/share/syslinux").symlink_to(installed.loaders)
    (root / "etc/rollbuild/site.yaml").write_bytes(installed.site.read_bytes())
    (root / "etc/dnsmasq.d/site.conf").write_text(_ROUTER)
    with make_network(SERVER, BITS) as network, ExitStack() as stack:
        wait_for_carrier(network)
        prompt = Prompt(root, ("ip", "netns", "exec", network.name))
        for kind in ("dnsmasq", "kea"):
            prompt.environment[f"ROLLBUILD_RESTART_{kind.upper()}"] = json.dumps(
                [str(SERVING), kind, str(root), network.name]
            )
            stack.callback(subprocess.run, [str(SERVING), f"stop-{kind}", str(root), network.name], check=False)
        if not ipxe:
            prompt.environment["SERVING_WITHOUT"] = "dhcp-userclass="
        make_certificates(installed, prompt, folder)
        front_end = FrontEnd(network, folder, prompt)
        stack.enter_context(_nginx(front_end, installed))
        stack.enter_context(_kept(front_end, "service", command("rollbuild", "serve")))
        front_end.rocks("add", "frontend")
        front_end.options(f"test.disk=http://{SERVER}/install/test/disk.img")
        if dhcp != "dnsmasq":
            front_end.rocks("set", "attr", "dhcp_server", dhcp)
        front_end.rocks("sync", "config")
        wait_until("the service listens", lambda: "serving " in front_end.log("service").read_text())
        yield front_end


def make_certificates(installed: Installed, prompt: Prompt, folder: Path) -> None:
    """Run what a front end's first boot runs."""
    script = folder / "rollbuild-ca"
    script.write_text(_below(prompt.root, installed.written["/usr/local/libexec/rollbuild-ca"]))
    stubs = folder / "stubs"
    stubs.mkdir()
    for name in ("restorecon", "systemctl"):
        (stubs / name).write_text("#!/bin/sh\n")
        (stubs / name).chmod(0o755)
    variables = prompt.variables()
    done = subprocess.run(
        ["bash", script], capture_output=True, text=True, env={**variables, "PATH": f"{stubs}:{variables['PATH']}"}
    )
    assert done.returncode == 0, done.stderr


def _below(root: Path, text: str) -> str:
    return re.sub(r"(?<![\w/])/(etc|export)/", rf"{root}/\1/", text)


@contextmanager
def _nginx(front_end: FrontEnd, installed: Installed) -> Iterator[None]:
    place = front_end.folder / "nginx"
    for path in ("/etc/nginx/default.d/rollbuild.conf", "/etc/nginx/conf.d/rollbuild-tls.conf"):
        target = place / path.removeprefix("/etc/nginx/")
        target.parent.mkdir(parents=True)
        target.write_text(_below(front_end.root, installed.written[path]))
    user = "" if os.geteuid() else "user root;"
    (place / "nginx.conf").write_text(_NGINX.format(run=place, user=user, address=SERVER))
    argv = [program("nginx"), "-p", str(place), "-c", str(place / "nginx.conf")]
    with _kept(front_end, "nginx", argv):
        wait_until("nginx listens", lambda: (place / "nginx.pid").exists())
        yield


@contextmanager
def _kept(front_end: FrontEnd, name: str, argv: Sequence[str]) -> Iterator[None]:
    """A server that is started again whenever it ends."""
    script, pid = front_end.folder / f"keep-{name}", front_end.folder / f"{name}.pid"
    script.write_text(_KEEP)
    script.chmod(0o755)
    own = {"LOG": str(front_end.folder / f"{name}.log"), "PID": str(pid)}
    process = subprocess.Popen(
        [*front_end.prompt.prefix, str(script), *argv],
        stdin=subprocess.DEVNULL,
        env={**front_end.prompt.variables(), **own},
        cwd=front_end.folder,
    )
    try:
        wait_until(f"{name} is started", lambda: pid.exists() and pid.read_text().strip())
        yield
    finally:
        process.kill()
        process.wait()
        with suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGTERM)
