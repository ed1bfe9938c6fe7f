"""A network of its own for machines: a namespace with a bridge, and the servers on it. No real interface is in it."""

import ctypes
import http.server
import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
BRIDGE = "br0"
_numbers = itertools.count()


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program, path=_PATH) is None:
            pytest.skip(f"{program} is missing")


def program(name: str) -> str:
    """The path of a program that may lie where only root looks."""
    need(name)
    return str(shutil.which(name, path=_PATH))


@dataclass(slots=True)
class Network:
    """A namespace; `taps` counts the machines that were plugged in."""

    name: str
    taps: int = 0
    clients: int = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread starts in the block, and sockets that it opens, belong to the network."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net", "rb") as own, open(f"/run/netns/{self.name}", "rb") as other:
            _enter(libc, other.fileno())
            try:
                yield
            finally:
                _enter(libc, own.fileno())

    def plug(self) -> str:
        """A new port for a machine: the name of its tap interface."""
        tap = f"tap{self.taps}"
        self.taps += 1
        with self.inside():
            run("ip", "tuntap", "add", tap, "mode", "tap")
            run("ip", "link", "set", tap, "master", BRIDGE, "up")
        return tap

    @contextmanager
    def server(self, argv: Sequence[str | Path], log: Path, ready: str, **environment: str) -> Iterator[Path]:
        """Run a server in the network; its log. It is ready when that holds a text."""
        log.touch()
        with open(log, "ab") as output, self.inside():
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **environment}
            )
        try:
            deadline = time.monotonic() + 20
            while ready not in log.read_text(errors="replace"):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{argv[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.02)
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()


def _enter(libc: ctypes.CDLL, namespace: int) -> None:
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PATH": _PATH})
    assert done.returncode == 0, (argv, done.stderr)
    return done.stdout


@contextmanager
def make_network(address: str, prefix: int) -> Iterator[Network]:
    """A network whose only host is the front end, with this address."""
    need("ip")
    network = Network(f"rollbuild-{os.getpid()}-{next(_numbers)}")
    made = subprocess.run(["ip", "netns", "add", network.name], capture_output=True, env={**os.environ, "PATH": _PATH})
    if made.returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr.decode().strip()}")
    try:
        with network.inside():
            run("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "stp_state", "0")
            run("ip", "addr", "add", f"{address}/{prefix}", "dev", BRIDGE)
            # A router advertisement spares firmware the wait for one.
            run("ip", "addr", "add", "fd77::1/64", "dev", BRIDGE, "nodad")
            # Servers listen where there is a carrier: something is plugged in from the start.
            run("ip", "link", "add", "port", "type", "veth", "peer", "name", "plugged")
            run("ip", "link", "set", "port", "master", BRIDGE)
            for interface in ("lo", "plugged", "port", BRIDGE):
                run("ip", "link", "set", interface, "up")
        yield network
    finally:
        run("ip", "netns", "del", network.name)


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: Mapping[str, str]
    status: int


Answer = Callable[[str, Mapping[str, str]], bytes | None]
"""From a path and the headers of a request, what it gets; None for 404."""


@contextmanager
def web_server(network: Network, address: str, folders: Mapping[str, Path], answer: Answer) -> Iterator[list[Request]]:
    """Serve folders (by the paths that they are below) and what `answer` gives; the requests so far."""
    requests: list[Request] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def translate_path(self, path: str) -> str:
            for prefix, folder in folders.items():
                if path.startswith(f"{prefix}/"):
                    self.directory = str(folder)
                    return super().translate_path(path[len(prefix) :])
            return os.devnull + "/none"

        def do_GET(self) -> None:
            content = answer(self.path, {key.lower(): value for key, value in self.headers.items()})
            if content is None:
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def send_response(self, code: int, message: str | None = None) -> None:
            requests.append(Request(self.path, {key.lower(): value for key, value in self.headers.items()}, code))
            super().send_response(code, message)

        def log_message(self, *_: object) -> None:
            pass

    with ExitStack() as stack:
        with network.inside():
            server = stack.enter_context(http.server.ThreadingHTTPServer((address, 80), Handler))
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # loaders hang up when they know enough
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield requests
        finally:
            server.shutdown()
            thread.join()


_SCRIPT = """#!/bin/sh
if [ "$1" = bound ]; then echo "$ip $hostname ${bootfile:-$boot_file} ${siaddr:-none}"; fi
"""


def ask_dhcp(network: Network, folder: Path, mac: str, architecture: int, *options: str) -> str:
    """What DHCP answers firmware of an architecture (option 93): `ADDRESS NAME FILE SERVER`; "" for no answer."""
    need("busybox", "ip")
    script = folder / "answered"
    script.write_text(_SCRIPT)
    script.chmod(0o755)
    client, port = f"c{network.clients}", f"p{network.clients}"
    network.clients += 1
    name = f"{network.name}-{client}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", network.name, "link", "add", port, "type", "veth", "peer", "name", client, "netns", name)
        run("ip", "-n", name, "link", "set", client, "address", mac, "up")
        run("ip", "-n", network.name, "link", "set", port, "master", BRIDGE, "up")
        argv = ["ip", "netns", "exec", name, "busybox", "udhcpc", "-f", "-q", "-n", "-t", "3", "-T", "1", "-A", "1"]
        argv += ["-i", client, "-s", str(script), "-O", "bootfile", "-x", f"0x5d:{architecture:04x}", *options]
        return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PATH": _PATH}).stdout.strip()
    finally:
        run("ip", "netns", "del", name)
