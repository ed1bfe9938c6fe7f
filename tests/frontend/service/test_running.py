"""The service as a process: clients that are slow or send too much, kills at any moment, two instances."""

import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from rollbuild.cluster import Interface, add_host, add_interface, find_host, install_states, list_hosts, set_boot
from rollbuild.frontend import FrontEnd, Listening, ensure_applied, open_front_end
from rollbuild.frontend.service import limits, running
from rollbuild.frontend.service.description import describe
from tests.conftest import Outcome
from tests.frontend.service.conftest import ADDRESSES, HOST, Service, fill, open_on, token_in
from tests.shipped.webservers import make_certificate


@contextmanager
def in_thread(service: Service) -> Iterator[tuple[str, int]]:
    """Serve in this process."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(running.make_config(service.app, Listening("127.0.0.1", 0)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield bound.getsockname()
        finally:
            server.should_exit = True
            thread.join()


def read_all(connection: socket.socket) -> bytes:
    connection.settimeout(30)
    pieces = []
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def test_a_request_that_does_not_come_is_not_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEADER_SECONDS", 0.2)
    half = b"GET /ks/compute-0-0 HTTP/1.1\r\nHost: x\r\nX-Slow: "
    with in_thread(service) as place:
        for begun in (b"", half):
            with socket.create_connection(place) as connection:
                connection.sendall(begun)
                assert read_all(connection) == b""
        with socket.create_connection(place) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            connection.sendall(half)
            assert b"HTTP/1.1" not in read_all(connection)


def test_a_body_that_does_not_come_is_not_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    token = service.install()
    monkeypatch.setattr("rollbuild.frontend.service.app.BODY_SECONDS", 0.2)
    monkeypatch.setattr("rollbuild.frontend.service.app.LOGS_SECONDS", 0.2)
    with in_thread(service) as place:
        for path in ("/events/", f"/logs/{HOST}"):
            with socket.create_connection(place) as connection:
                head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-RB-Token: {token}\r\n"
                connection.sendall(f"{head}Content-Length: 100\r\n\r\nhost=".encode())
                assert b"HTTP/1.1 408 " in read_all(connection)
    folder = service.root / "var/lib/rollbuild/logs" / HOST
    assert list(folder.iterdir()) == []


def test_large_headers_are_refused(service: Service) -> None:
    with in_thread(service) as place:
        for head in (
            b"GET /ks/" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Large: " + b"x" * 100_000 + b"\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"X-Many: y\r\n" * 10_000 + b"\r\n",
            b"no HTTP at all\r\n\r\n",
        ):
            with socket.create_connection(place) as connection:
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(head)
                assert read_all(connection)[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.1 431 ", b"")
        assert httpx.get(f"http://127.0.0.1:{place[1]}/healthz").status_code == 200


WRONG: dict[str, tuple[list[str], int, str]] = {
    "no port": (["--listen", "127.0.0.1"], 2, "no ADDRESS:PORT"),
    "a name": (["--listen", "localhost:8441"], 2, "no ADDRESS:PORT"),
    "a large port": (["--listen", "127.0.0.1:99999"], 2, "no ADDRESS:PORT"),
    "another's address": (["--listen", "192.0.2.1:0"], 75, "cannot listen on 192.0.2.1:0"),
    "half of TLS": (["--listen", "127.0.0.1:0", "--tls-cert", "x"], 2, "go together"),
    "no certificate": (["--listen", "127.0.0.1:0", "--tls-cert", "x", "--tls-key", "y"], 4, "cannot read x"),
    "no folder": (["--files", "/nowhere"], 2, "/nowhere is no folder"),
    "no database": (["--database", "sqlite:////proc/nothing/x.db"], 4, "/proc/nothing"),
}


@pytest.mark.parametrize(("arguments", "code", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_at_once(
    root: Path, rollbuild: Callable[..., Outcome], arguments: list[str], code: int, said: str
) -> None:
    done = rollbuild("serve", *arguments)
    assert said in done.err
    assert done.code == code
    assert "Traceback" not in done.err


def test_a_certificate_that_is_none_is_refused(root: Path, rollbuild: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no PEM")
    done = rollbuild("serve", "--listen", "127.0.0.1:0", "--tls-cert", tmp_path / "x", "--tls-key", tmp_path / "x")
    assert done.code == 1 and "are no certificate with its key" in done.err


@dataclass
class Process:
    """`rollbuild serve`, which can be killed and started again at the same address."""

    port: int
    database: str = ""
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None
    reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        argv = [sys.executable, "-m", "rollbuild", "serve", "--listen", f"127.0.0.1:{self.port}", *self.arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        if self.database:
            environment["ROLLBUILD_DATABASE"] = self.database
        self.process = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if line.startswith("serving "):
                self.port = int(line.rpartition(":")[2])
                break
        else:
            self.process.wait(30)
            self.process.stderr.close()
            pytest.fail("".join(lines))
        self.reader = threading.Thread(target=self.process.stderr.read)
        self.reader.start()

    def kill(self, how: int = signal.SIGKILL) -> None:
        assert self.process is not None and self.process.stderr is not None
        self.process.send_signal(how)
        self.process.wait(30)
        if self.reader is not None:
            self.reader.join()
        self.process.stderr.close()


@contextmanager
def serving(*processes: Process) -> Iterator[None]:
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in processes:
            if process.process is not None and process.process.poll() is None:
                process.kill()


def add_hosts(front_end: FrontEnd, count: int) -> dict[str, str]:
    """More hosts that are to install; name -> address."""
    hosts = {f"compute-1-{rank}": f"10.1.2.{rank + 1}" for rank in range(count)}
    with front_end.database.writing("add") as c:
        for rank, (name, address) in enumerate(hosts.items()):
            add_host(c, name, appliance="compute", rack=1, rank=rank)
            add_interface(c, Interface(name, "eth0", f"52:54:00:bb:00:{rank:02x}", address, "private"))
            set_boot(c, name, "install")
    ensure_applied(front_end)
    return hosts


class Machine(threading.Thread):
    """A machine that installs, and asks again where an answer does not come, as curl does."""

    def __init__(self, name: str, address: str, urls: list[str]) -> None:
        super().__init__()
        self.host, self.address, self.urls = name, address, urls
        self.problem = ""

    def run(self) -> None:
        try:
            text = self.ask("GET", f"/ks/{self.host}")
            token = token_in(text)
            for stage in ("pre-start", "preinstall", "post-start", "post-done"):
                fields = {"host": self.host, "stage": stage, "detail": ""}
                self.ask("POST", "/events/", headers={"X-RB-Token": token}, data=fields)
        except AssertionError as problem:
            self.problem = str(problem)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **given: object) -> str:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            url = random.choice(self.urls)
            with suppress(httpx.TransportError):
                answer = httpx.request(
                    method,
                    f"{url}{path}",
                    headers={"X-Forwarded-For": self.address, **(headers or {})},
                    timeout=30,
                    **given,  # type: ignore[arg-type]
                )
                if answer.status_code < 500:
                    assert answer.status_code in (200, 204), f"{self.host}: {method} {path}: {answer.status_code}"
                    return answer.text
            time.sleep(0.1)
        raise AssertionError(f"{self.host}: {method} {path}: no answer")


def install_all(front_end: FrontEnd, hosts: dict[str, str], urls: list[str], kill: Callable[[], object]) -> None:
    """Install hosts while the service is killed again and again; then everything must be as it should."""
    machines = [Machine(name, address, urls) for name, address in hosts.items()]
    for machine in machines:
        machine.start()
    while any(machine.is_alive() for machine in machines):
        kill()
    assert [machine.problem for machine in machines if machine.problem] == []
    with front_end.database.reading() as c:
        states = install_states(c)
        assert {name: states[name].state for name in hosts} == dict.fromkeys(hosts, "installed")
        assert {host.name for host in list_hosts(c, list(hosts)) if host.boot_action != "os"} == set()
        assert {host.held for host in list_hosts(c)} == {""}
    tree = Path(os.environ["ROLLBUILD_ROOT"]) / "export/install/netboot/pxelinux.cfg"
    for rank in range(len(hosts)):
        assert "inst.ks" not in (tree / f"01-52-54-00-bb-00-{rank:02x}").read_text()


@pytest.mark.long
def test_kills_at_any_moment_lose_nothing(root: Path) -> None:
    front_end = open_front_end()
    with front_end.database:
        hosts = add_hosts(front_end, 12)
        process = Process(0)
        with serving(process):

            def kill() -> None:
                time.sleep(random.uniform(0.1, 3.0))
                process.kill()
                process.start()

            install_all(front_end, hosts, [process.url], kill)


@pytest.mark.long
def test_two_instances_on_postgresql(root: Path, postgresql: Callable[[], str]) -> None:
    url = postgresql()
    front_end = open_on(url)
    with front_end.database:
        fill(front_end)
        hosts = add_hosts(front_end, 12)
        first, second = Process(0, url), Process(0, url)
        with serving(first, second):

            def kill() -> None:
                time.sleep(random.uniform(0.1, 3.0))
                victim = random.choice((first, second))
                victim.kill()
                victim.start()

            install_all(front_end, hosts, [first.url, second.url], kill)


@pytest.mark.long
def test_it_speaks_tls_and_ends_when_told(root: Path, tmp_path: Path) -> None:
    ca, certificate = make_certificate(tmp_path, "server")
    process = Process(0, arguments=("--tls-cert", str(certificate), "--tls-key", str(certificate)))
    (root / "etc/rollbuild/secrets").mkdir(parents=True, mode=0o700)
    (root / "etc/rollbuild/secrets/munge.key").write_text("a key")
    with serving(process):
        context = ssl.create_default_context(cafile=str(ca))
        context.check_hostname = False
        url = f"https://127.0.0.1:{process.port}"
        headers = {"X-Forwarded-For": ADDRESSES[HOST], "X-Forwarded-Proto": "https"}
        with httpx.Client(verify=context, headers=headers) as client:
            token = token_in(client.get(f"{url}/ks/{HOST}").text)
            answer = client.get(f"{url}/secrets/{HOST}", headers={"X-RB-Token": token})
            assert answer.status_code == 200 and b"a key" in answer.content
        process.kill(signal.SIGTERM)
        assert process.process is not None and process.process.returncode in (0, -signal.SIGTERM)
    with open_front_end().database as database, database.reading() as c:
        assert find_host(c, HOST).boot_action == "install"


@pytest.mark.long
def test_it_answers_what_its_description_allows(service: Service) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings

    schema = schemathesis.openapi.from_dict(describe())
    with in_thread(service) as place:
        for operation in schema.get_all_operations():
            found = operation.ok()

            @given(case=found.as_strategy())
            @settings(
                max_examples=60,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
                database=None,
            )
            def ask(case: object) -> None:
                case.call_and_validate(base_url=f"http://127.0.0.1:{place[1]}")  # type: ignore[attr-defined]

            ask()
