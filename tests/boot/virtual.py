"""A front end for virtual machines: its database, store and Kickstart service below a folder, in a network of its own.

QEMU's user network leads what machines send to 10.0.2.2 to 127.0.0.1 of that network: it is the front end's address.
"""

import json
import os
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollbuild.cluster import Interface, Network, add_host, add_interface, add_network, set_attribute
from rollbuild.distribution import Compiled, Wanted, create_generation
from rollbuild.frontend import ensure_applied, open_front_end
from rollbuild.rolls import Store
from tests.boot import network
from tests.conftest import Outcome
from tests.stores import BASE, OS, PROFILE, add_os, add_roll

ROOT = Path(__file__).parents[2]
SERVER = "10.0.2.2"
CONTAINER = "vm-container-0-0"
SECONDS = 600.0  # where others have the processors; 60 are usual
_ATTRIBUTES = """
root_password: {default: $6$first$hash, type: secret}
install_token: {default: "", type: secret}
install_events: ""
"""
_NODE = BASE.replace("<package>hello</package>", "").replace(
    "</kickstart>",
    "<pre>\nrb_url='&install_events;'\nrb_host='&hostname;'\nrb_token='&install_token;'\n</pre>\n</kickstart>",
)
_PROGRAMS = {
    "rocks": "from rollbuild.commands.rocks import main",
    "rocks-console": "from rollbuild.commands.rocks_console import main",
    "rollbuild": "from rollbuild.commands.main import main",
}
_SSH = """#!/bin/sh
exec ssh -o ControlMaster=auto -o ControlPath={folder}/%C -o ControlPersist=60 -o ConnectTimeout=20 "$@"
"""


@dataclass(slots=True)
class VmFrontEnd:
    """A front end with VM containers; `transcript` is what was typed and said.

    `prefix` is a command that runs another in the place where the front end's programs run.
    """

    root: Path
    transcript: list[str] = field(default_factory=list)
    prefix: tuple[str, ...] = ()

    def command(self, *words: str) -> list[str]:
        """A command line, as typed, for a process."""
        name, *argv = words
        return [*self.prefix, sys.executable, "-c", f"import sys; {_PROGRAMS[name]}; sys.exit(main())", *argv]

    def variables(self) -> dict[str, str]:
        paths = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
        own = {"ROLLBUILD_ROOT": str(self.root), "PYTHONPATH": paths, "COLUMNS": "120", "TZ": "UTC"}
        return {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", **own}

    def __call__(self, line: str) -> Outcome:
        """Run a command as it is typed."""
        begin = time.monotonic()
        done = subprocess.run(
            self.command(*shlex.split(line)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.variables(),
            timeout=SECONDS,
        )
        self.transcript.append(f"[{time.monotonic() - begin:.1f} s] # {line}\n{done.stdout}{done.stderr}")
        return Outcome(done.returncode, done.stdout, done.stderr)

    def do(self, line: str) -> str:
        """The same for one that must succeed and say no more than it writes: what it wrote."""
        done = self(line)
        assert (done.code, done.err) == (0, ""), self.transcript[-1]
        return done.out

    def stages(self, host: str) -> list[str]:
        """What a host reported of its last install, the oldest first."""
        from rollbuild.cluster import list_events, open_database

        with open_database(f"sqlite:///{self.root}/var/lib/rollbuild/cluster.db") as database, database.reading() as c:
            return [event.stage for event in list_events(c, host)]

    def wait_for_stage(self, host: str, stage: str, seconds: float = SECONDS) -> None:
        wait_until(f"{host} reports {stage}", lambda: stage in self.stages(host), seconds)

    def wait_for_status(self, host: str, status: str) -> str:
        """What `rocks list host vm status=true` shows when a VM is so."""
        line = "rocks list host vm status=true"

        def is_so() -> bool:
            done = self(f"{line} --json")
            assert done.code == 0, self.transcript[-1]
            self.transcript.pop()
            return (host, status) in {(row["vm-host"], row["vm"][0]["status"]) for row in json.loads(done.out)}

        # Asking is work for an emulated container, too.
        wait_until(f"{host} is {status}", is_so, pause=3)
        return self(line).out

    @contextmanager
    def console(self, line: str) -> "Iterator[Terminal]":
        """A command on a terminal of its own."""
        ours, theirs = os.openpty()
        try:
            process = subprocess.Popen(
                self.command(*shlex.split(line)),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=self.variables(),
                start_new_session=True,
            )
            os.close(theirs)
            terminal = Terminal(process, ours)
            try:
                yield terminal
            finally:
                process.kill()
                process.wait()
                self.transcript.append(f"# {line}\n{terminal.text()}")
        finally:
            os.close(ours)

    @contextmanager
    def serving(self, listen: str = "127.0.0.1:80") -> Iterator[None]:
        """Run the Kickstart service, which serves the distribution too."""
        log = self.root / "service.log"
        argv = self.command("rollbuild", "serve", "--listen", listen)
        argv += ["--files", str(self.root / "export/install")]
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.variables()
            )
        try:
            wait_until("the service listens", lambda: process.poll() is not None or "serving " in log.read_text())
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(20)


@dataclass(slots=True)
class Terminal:
    """What a program shows on its terminal."""

    process: subprocess.Popen[bytes]
    device: int
    seen: bytes = b""

    def text(self) -> str:
        return self.seen.decode(errors="replace").replace("\r", "")

    def read(self, seconds: float) -> bool:
        """Read on; False when the program is gone."""
        if not select.select([self.device], [], [], seconds)[0]:
            return True
        try:
            self.seen += (piece := os.read(self.device, 4096))
        except OSError:
            # Nobody has the other end open any more.
            return False
        return bool(piece)

    def wait_for(self, text: str, seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.text():
            if not self.read(0.2) or time.monotonic() > deadline:
                pytest.fail(f"{text!r} was not shown:\n{self.text()}")

    def press(self, keys: str) -> None:
        os.write(self.device, keys.encode())

    def ask(self, line: str, answer: str, seconds: float = SECONDS) -> None:
        """Type a line until it is answered: what comes while the terminal is made ready is thrown away."""
        deadline = time.monotonic() + seconds
        while answer not in self.text():
            if time.monotonic() > deadline:
                pytest.fail(f"{line!r} was not answered with {answer!r}:\n{self.text()}")
            self.press(f"{line}\n")
            pause = time.monotonic() + 3
            while time.monotonic() < pause and answer not in self.text() and self.read(0.2):
                pass

    def wait_for_end(self, seconds: float = SECONDS) -> int:
        """Its exit code."""
        deadline = time.monotonic() + seconds
        while self.read(0.2):
            if time.monotonic() > deadline:
                pytest.fail(f"it did not end:\n{self.text()}")
        return self.process.wait(20)


def wait_until(what: str, is_so: Callable[[], object], seconds: float = SECONDS, *, pause: float = 0.2) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:g} seconds")
        time.sleep(pause)


def make_front_end(folder: Path, kernel: Path, initrd: Path, attributes: Mapping[str, str]) -> VmFrontEnd:
    """A front end whose distribution's installer is this kernel and initrd, and with one VM container."""
    root = folder / "root"
    store = Store(root / "export/rollbuild")
    store.folder.mkdir(parents=True)
    add_os(store, folder / "dvd", boot={"images/pxeboot/vmlinuz": kernel, "images/pxeboot/initrd.img": initrd})
    profile = {**PROFILE, "nodes/base.xml": _NODE, "attributes.yaml": _ATTRIBUTES}
    add_roll(store, profile=profile)
    create_generation(
        store, Wanted("cluster", OS), compile=lambda description: Compiled({}), judge=lambda findings: None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLBUILD_ROOT", str(root))
        patch.delenv("ROLLBUILD_STORE", raising=False)
        front_end = open_front_end()
        with front_end.database as database:
            with database.writing("tests") as c:
                add_network(c, Network("private", "10.0.2.0", "255.255.255.0", zone="cluster.internal"))
                add_host(c, "granite", appliance="frontend", rack=0, rank=0)
                add_interface(c, Interface("granite", "eth0", "52:54:00:aa:00:01", SERVER, "private"))
                add_host(c, CONTAINER, appliance="vm-container", rack=0, rank=0, cpus=2)
                add_interface(c, Interface(CONTAINER, "eth0", "52:54:00:aa:10:00", "10.0.2.4", "private"))
                values = {
                    "installer_options": "quiet",
                    "vm_mac_base_addr": "4e:71:00:40:00:00",
                    "vm_acceleration": "emulation",
                }
                values |= {"Kickstart_PrivateKickstartHost": SERVER, **attributes}
                for name, value in values.items():
                    set_attribute(c, "global", "", name, value)
            ensure_applied(front_end)
    return VmFrontEnd(root)


def shared_ssh(folder: Path) -> Path:
    """A program that is ssh with one connection for all that is asked of a container, as front ends have it."""
    path = folder / "ssh"
    path.write_text(_SSH.format(folder=folder))
    path.chmod(0o755)
    return path


@contextmanager
def inside_network() -> Iterator[network.Network]:
    """This thread, and what it starts, in a network in which port 80 is free."""
    if os.geteuid():
        pytest.skip("network namespaces need root here")
    with network.make_network(SERVER, 24) as made, made.inside():
        yield made
