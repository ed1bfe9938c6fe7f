"""What somebody on the provisioning network, on a compute node or on the front end tries who is to get nothing."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from rollbuild.cluster import find_host, list_events
from rollbuild.frontend.service import hostlogs, peers
from rollbuild.frontend.service.answers import Refused
from rollbuild.frontend.service.asking import Asker
from rollbuild.frontend.service.rounds import Rounds
from tests.frontend.service.conftest import ADDRESSES, DONE, HOST, MACS, OTHER, Service
from tests.frontend.service.test_running import in_thread, read_all

STRANGER = "10.1.9.9"
"""An address of the network that no host has."""


def names_mac(host: str) -> dict[str, str]:
    return {"X-RHN-Provisioning-MAC-0": f"eth0 {MACS[host]}"}


def test_a_forged_mac_from_another_hosts_address(service: Service) -> None:
    for of in (ADDRESSES[OTHER], ADDRESSES[DONE], "10.1.1.1"):
        answer = service.ask("GET", f"/ks/{HOST}", of=of, headers=names_mac(HOST))
        assert answer.status_code == 403, of
    assert service.ask("GET", f"/ks/{HOST}", of=STRANGER, headers=names_mac(HOST)).status_code == 200
    assert service.ask("GET", f"/ks/{DONE}", of=STRANGER, headers=names_mac(DONE)).status_code == 403


def test_another_hosts_token(service: Service) -> None:
    token = service.install(OTHER)
    mine: dict[str, Any] = {"of": ADDRESSES[OTHER], "token": token}
    assert service.ask("POST", "/events/", data={"host": HOST, "stage": "post-done"}, **mine).status_code == 403
    assert service.ask("GET", f"/secrets/{HOST}", tls=True, **mine).status_code == 403
    assert service.ask("POST", f"/logs/{HOST}", content=b"x", **mine).status_code == 403
    with service.front_end.database.reading() as c:
        assert find_host(c, HOST).boot_action == "install" and list_events(c, HOST) == ()


def test_a_used_token(service: Service) -> None:
    token = service.install()
    assert service.report(HOST, token, "post-done").status_code == 204
    service.order(HOST)
    newer = service.install()
    assert newer != token
    for stage in ("failed", "failed", "failed", "post-done", "ready"):
        service.report(HOST, token, stage)
    with service.front_end.database.reading() as c:
        host = find_host(c, HOST)
    assert (host.boot_action, host.held) == ("install", ""), "a used token moves no later install"
    assert service.ask("GET", f"/secrets/{HOST}", tls=True, token=token).status_code == 403
    assert service.ask("POST", f"/logs/{HOST}", token=token, content=b"x").status_code == 403


@pytest.mark.parametrize("token", ["x", "a" * 43, "A" * 513, "' OR 1=1 --", "*", "\x00", "%", "null", "é"])
def test_guessed_tokens(service: Service, token: str) -> None:
    service.install()
    headers = {"X-RB-Token": token.encode("latin-1")}
    for method, path, body in (
        ("POST", "/events/", {"data": {"host": HOST, "stage": "post-done"}}),
        ("GET", f"/secrets/{HOST}", {}),
        ("POST", f"/logs/{HOST}", {"content": b"x"}),
    ):
        answer = service.ask(method, path, tls=True, headers=headers, **body)  # type: ignore[arg-type]
        assert answer.status_code == 403


PATHS = (
    *("/ks/%00", f"/ks/{HOST}%00", f"/ks/{HOST}%2f..%2f{OTHER}", f"/ks/{HOST}/", f"/ks//{HOST}", f"/ks/{HOST}%0a"),
    *("/ks/%F0%9F%98%80", "/ks/%c0%af", "/ks/%ff", f"/ks/{HOST.upper()}x", f"/ks/{HOST}.", f"/ks/{'a' * 300}"),
    *("/ks/t/%00", f"/ks/t/{'x' * 129}", "/ks/t/..", "/ks/t/a/b", "/ks/../events/", "/ks/t/%2e%2e%2f"),
    *("/secrets/..%2f..%2fetc%2fshadow", "/secrets/.", f"/secrets/{HOST}%00", "/install/%2e%2e/%2e%2e/etc/passwd"),
    *("/cluster/hosts/%00", "/cluster/hosts/..%2f..", "/cluster/hosts/%ff/kickstart", "/cluster/graph/%00/drawing"),
    *("/cluster/static/..%2froutes.py", "/cluster/static/%2e%2e", "/cluster/graph/%F0%9F%98%80"),
    *("/cluster/?q=%00", "/cluster/?q=%ff&state=%00", f"/cluster/?q={'%25' * 3000}", "/cluster/hosts/%3Cscript%3E"),
    *("/cluster/hosts/' OR 1=1 --", "/openapi.json/", "/healthz/x", "/HEALTHZ"),
)


def test_odd_paths(service: Service) -> None:
    for path in PATHS:
        for of in (ADDRESSES[OTHER], STRANGER):
            answer = service.ask("GET", path, of=of)
            assert answer.status_code < 500 or path.startswith("/cluster/"), path
            assert answer.status_code in (200, 403, 404, 405, 503), path
            assert "root:" not in answer.text and "$6$" not in answer.text and "<script>" not in answer.text, path


BODIES: dict[str, tuple[str, bytes]] = {
    "deep": ("application/json", b"[" * 500_000),
    "deep objects": ("application/json", b'{"a":' * 150_000),
    "a long number": ("application/json", b'{"host":' + b"9" * 900_000 + b"}"),
    "many keys": ("application/json", json.dumps({str(n): "" for n in range(50_000)}).encode()),
    "half a pair": ("application/json", b'{"host":"\\ud800","stage":"x"}'),
    "not UTF-8": ("application/json", b'{"host":"\xff"}'),
    "infinite": ("application/json", b'{"host":Infinity}'),
    "null": ("application/json", b"null"),
    "many fields": ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(100_000))),
    "twice": ("application/x-www-form-urlencoded", f"host={HOST}&host={OTHER}&stage=ready".encode()),
    "NUL": ("application/x-www-form-urlencoded", f"host={HOST}%00&stage=ready".encode()),
    "another encoding": ("application/json; charset=utf-16", '{"host":"x"}'.encode("utf-16")),
    "a file": ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
    "XML": ("application/xml", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"),
}


def test_odd_bodies(service: Service) -> None:
    token = service.install()
    for case, (kind, body) in BODIES.items():
        answer = service.ask("POST", "/events/", token=token, content=body, headers={"Content-Type": kind})
        assert answer.status_code in (400, 403, 415), case
    with service.front_end.database.reading() as c:
        assert [event.stage for event in list_events(c, HOST)] == ["ks-fetched"]


def test_hostile_details_are_kept_as_text(service: Service) -> None:
    token = service.install()
    detail = "\x00\x1b[2J<script>alert(1)</script>\n%end\n{{ 7*7 }}\u202e"
    assert service.report(HOST, token, "packages", detail).status_code == 204
    page = service.ask("GET", f"/cluster/hosts/{HOST}", of=ADDRESSES[OTHER])
    assert "<script>alert" not in page.text and "\x1b" not in page.text and "\x00" not in page.text


ODD = (
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhost=",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /ks/compute-0-0 HTTP/1.1\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"Content-Length: -1\r\n\r\n",
    b"Content-Length: +5\r\n\r\nhost=",
    b"Content-Length: 0x5\r\n\r\nhost=",
    b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"Content-Length: 5\r\n folded\r\n\r\nhost=",
    b"Content-Length : 5\r\n\r\nhost=",
    b"X-RB-Token: a\r\nX-RB-Token: b\r\n\r\n",
    b"X: \x00\r\n\r\n",
    b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
)


def test_odd_requests(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.install()
    with in_thread(service) as place:
        for head in ODD:
            with socket.create_connection(place) as connection:
                connection.sendall(b"POST /events/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head)
                connection.shutdown(socket.SHUT_WR)
                said = read_all(connection)
            assert said[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 431", b""), (head[:60], said)
            assert said.count(b"HTTP/1.1") <= 1, "one request, one answer"
        for line in (
            b"GET http://other/ks/x HTTP/1.1",
            b"GET * HTTP/1.1",
            b"CONNECT x:1 HTTP/1.1",
            b"GET /ks/x HTTP/9.9",
        ):
            with socket.create_connection(place) as connection:
                connection.sendall(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert read_all(connection)[9:12] in (b"400", b"403", b"404", b"405", b"505", b"")
        assert httpx.get(f"http://127.0.0.1:{place[1]}/healthz").status_code == 200
    assert "Traceback" not in caplog.text


def test_a_host_cannot_fill_the_disk_with_logs(service: Service) -> None:
    token = service.install()
    folder = service.root / "var/lib/rollbuild/logs" / HOST
    asker = Asker(ADDRESSES[HOST], token=token)

    async def endless(stop: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await stop.wait()

    async def run() -> list[object]:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(hostlogs.take_logs(service.work, HOST, asker, endless(stop))) for _ in range(20)]
        done, waiting = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_EXCEPTION)
        while len(done) < len(tasks) - hostlogs.AT_ONCE:
            more, waiting = await asyncio.wait(waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert len(list(folder.iterdir())) == hostlogs.AT_ONCE
        stop.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(run())
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert len(refused) == 20 - hostlogs.AT_ONCE and {answer.status for answer in refused} == {503}
    assert list(folder.glob(".part-*")) == []


ASKS = """
import encodings.idna, os, socket, sys
os.setuid(int(sys.argv[4]))
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.sendall(b"GET %b HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nX-Forwarded-For: %b\\r\\n\\r\\n"
        % (sys.argv[2].encode(), sys.argv[3].encode()))
    print(connection.recv(100).split()[1].decode())
"""


def test_a_user_of_the_front_end_is_no_proxy(service: Service) -> None:
    if os.geteuid():
        pytest.skip("only root can be another user")
    with in_thread(service) as place:

        def ask(user: int, path: str) -> str:
            argv = [sys.executable, "-I", "-c", ASKS, str(place[1]), path, ADDRESSES[HOST], str(user)]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
            return done.stdout.strip() or done.stderr

        assert ask(0, f"/ks/{HOST}") == "200"
        assert ask(65534, f"/ks/{HOST}") == "403"
        assert ask(65534, f"/secrets/{HOST}") == "403"
        assert ask(65534, "/healthz") == "200"


@pytest.mark.parametrize("find", [peers._ask_kernel, peers._search_table])
@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_kernel_knows_who_connects(find: object, family: int, address: str) -> None:
    with suppress(OSError), socket.create_server((address, 0), family=socket.AddressFamily(family)) as server:
        place = server.getsockname()[:2]
        with socket.create_connection(place) as connection:
            assert find(family, connection.getsockname()[:2], place) == os.geteuid()  # type: ignore[operator]
            assert find(family, (address, 1), place) is None  # type: ignore[operator]


def test_rounds() -> None:
    """What is asked for while a round is done is done in the next one; a bad one hurts nobody else."""
    begun, go_on = threading.Event(), threading.Event()
    seen: list[list[int]] = []

    def act(items: object) -> None:
        seen.append(sorted(items))  # type: ignore[call-overload]
        begun.set()
        assert go_on.wait(30)
        if 13 in seen[-1]:
            raise ValueError("13")

    rounds: Rounds[int] = Rounds(act)
    failed: list[int] = []

    def do(item: int) -> None:
        try:
            rounds.do(item)
        except ValueError:
            failed.append(item)

    threads = [threading.Thread(target=do, args=(item,)) for item in range(10, 20)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    while len(rounds._next.items) < 9:
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    assert seen[:2] == [[10], list(range(11, 20))]
    assert sorted(item for items in seen[2:] for item in items) == list(range(11, 20)), "each by itself"
    assert failed == [13]
