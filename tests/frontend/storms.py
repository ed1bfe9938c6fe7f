"""A thousand machines that are switched on at once: they ask for an address, boot, install, and report."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.frontend.service.conftest import token_in

PXE = "PXEClient:Arch:00007:UNDI:003016"
STAGES = ("pre-start", "post-done")
_INSERT = "import sys; from rollbuild.commands.insert_ethers import main; sys.exit(main())"
_SERVE = "import sys; from rollbuild.commands.main import main; sys.exit(main())"
_KICKSTART = re.compile(rb"inst\.ks=http://10\.1\.1\.1(/ks/[a-z0-9-]+)")
_SECONDS = 300.0
_AGAIN = 2.0  # seconds until a machine without an address asks once more
_NAP = 0.1
_BOOT = 0.5  # seconds that a machine needs to boot once more


def mac_of(number: int) -> str:
    return f"52:54:00:cc:{number >> 8:02x}:{number & 255:02x}"


@dataclass
class Program:
    """A program of the front end, which can be killed and started again. What it says is kept in files."""

    name: str
    code: str
    arguments: tuple[str, ...]
    folder: Path
    ready: str
    database: str = ""
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def said(self) -> Path:
        """What the run said that is on now, or was the last."""
        return self.folder / f"{self.name}-{self.starts}.log"

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.starts += 1
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        if self.database:
            environment["ROLLBUILD_DATABASE"] = self.database
        with self.said.open("wb") as file:
            argv = [sys.executable, "-c", self.code, *self.arguments]
            self.process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + _SECONDS
        while self.ready not in self.said.read_text():
            assert self.process.poll() is None and time.monotonic() < end, self.said.read_text()
            time.sleep(_NAP / 5)

    def end(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(_SECONDS)


def insert_ethers(folder: Path, database: str = "") -> Program:
    log = folder / "dnsmasq.log"
    log.touch()
    arguments = ("--no-check", "--json", "--membership", "Compute", "--log", str(log))
    return Program("insert-ethers", _INSERT, arguments, folder, '"chosen"', database)


def service(folder: Path, port: int, database: str = "") -> Program:
    arguments = ("serve", "--listen", f"127.0.0.1:{port}")
    return Program(f"service-{port}", _SERVE, arguments, folder, "serving http", database)


@contextmanager
def running(*programs: Program) -> Iterator[None]:
    try:
        for program in programs:
            program.start()
        yield
    finally:
        for program in programs:
            if program.process is not None and program.process.poll() is None:
                program.end(signal.SIGKILL)


@dataclass
class Storm:
    """Machines, and what they share: the network, the DHCP server and the boot files of a front end below `root`."""

    root: Path
    folder: Path
    ports: tuple[int, ...]
    count: int
    leases: dict[str, tuple[str, str]] = field(default_factory=dict)
    """MAC -> address and name, as the DHCP server hands them out."""
    tokens: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    cut: int = 0
    """Requests that got no whole answer, because nobody listened or the service was killed."""

    async def run(self, *disasters: Callable[["Storm"], Coroutine[None, None, None]]) -> None:
        """Have all machines come, ask, install; each of `disasters` happens meanwhile."""
        helpers = [asyncio.create_task(self._answer()), asyncio.create_task(self._ask())]
        async with asyncio.timeout(_SECONDS):
            try:
                async with asyncio.TaskGroup() as group:
                    for disaster in disasters:
                        group.create_task(disaster(self))
                    for number in range(self.count):
                        group.create_task(self._install(number))
            finally:
                for helper in helpers:
                    helper.cancel()

    async def reach(self, what: str, count: int) -> None:
        """Wait until so many machines are so far."""
        while self.done[what] < count:
            await asyncio.sleep(_NAP / 5)

    async def _ask(self) -> None:
        """Machines without an address ask for one, again and again."""
        transaction = 0
        while True:
            lines = []
            for mac in map(mac_of, range(self.count)):
                if mac not in self.leases:
                    transaction += 1
                    lines.append(f"dnsmasq-dhcp[1]: {transaction} vendor class: {PXE}\n")
                    lines.append(f"dnsmasq-dhcp[1]: {transaction} DHCPDISCOVER(eth0) {mac} ignored\n")
            with (self.folder / "dnsmasq.log").open("a") as file:
                file.writelines(lines)
            await asyncio.sleep(_AGAIN)

    async def _answer(self) -> None:
        """Hand out what the file of the DHCP server says; nobody's address or name ever becomes another."""
        path, seen = self.root / "etc/rollbuild/dhcp-hosts", 0
        while True:
            with suppress(FileNotFoundError):
                if (now := path.stat().st_mtime_ns) != seen:
                    seen = now
                    for line in path.read_text().splitlines():
                        mac, address, name = line.split(",")
                        if self.leases.setdefault(mac, (address, name)) != (address, name):
                            self.wrong.append(f"{mac} was {self.leases[mac]}, and is {address} {name}")
                    self.done["address"] = len(self.leases)
            await asyncio.sleep(_NAP)

    async def _install(self, number: int) -> None:
        mac = mac_of(number)
        while mac not in self.leases:
            await asyncio.sleep(_BOOT)
        address, name = self.leases[mac]
        while (found := _KICKSTART.search(self.boot_file(mac))) is None:
            await asyncio.sleep(_BOOT)  # it starts from its disk, where there is nothing, and then boots again
        text = await self.request("GET", found[1].decode(), address)
        self.done["kickstart"] += 1
        self.tokens[name] = token = token_in(text)
        if f"rb_host='{name}'" not in text or f" {address} {mac}\n" not in text:
            self.wrong.append(f"{name} has the Kickstart of another: {text[:300]}")
        for stage in STAGES:
            await self.request("POST", "/events/", address, token, f"host={name}&stage={stage}&detail=")
            self.done[stage] += 1
        if b"inst.ks" in self.boot_file(mac):
            self.wrong.append(f"{name} was answered, and would install again")

    def boot_file(self, mac: str) -> bytes:
        """What a machine with BIOS boots; nothing where there is no file for it."""
        name = f"pxelinux.cfg/01-{mac.replace(':', '-')}"
        with suppress(FileNotFoundError):
            return (self.root / "export/install/netboot" / name).read_bytes()
        return b""

    async def request(self, method: str, path: str, address: str, token: str = "", body: str = "") -> str:
        """The body of a good answer; machines ask again until one comes whole, as curl does."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 10.1.1.1\r\nConnection: close\r\nX-Forwarded-For: {address}\r\n"
        if token:
            head += f"X-RB-Token: {token}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        data = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        attempt = hash(address)
        while True:
            attempt += 1
            answer = await _exchange(self.ports[attempt % len(self.ports)], data)
            status, text = _read_answer(answer)
            if status:
                if status not in (200, 204):
                    raise AssertionError(f"{address}: {method} {path}: {status} {text[:200]}")
                return text
            self.cut += 1
            await asyncio.sleep(_NAP * 2)


async def _exchange(port: int, data: bytes) -> bytes:
    with suppress(ConnectionError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
    return b""


def _read_answer(answer: bytes) -> tuple[int, str]:
    """Status and body; 0 where not all of it came."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    status = int(head[9:12] or 0)
    whole = status == 204 or (length is not None and int(length[1]) == len(body))
    return (status if whole else 0), body.decode(errors="replace")
