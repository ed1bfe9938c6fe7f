"""Kickstarts per second from the service, each for another host, against nginx with the same bytes on disk.

Both are asked by one curl with 16 connections, in the same run; each Kickstart has about 200 kB.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollbuild.cluster import Interface, Network, add_host, add_interface, add_network, set_boot
from rollbuild.frontend import FrontEnd, KickstartMaker, open_front_end
from rollbuild.rolls import Store
from tests.frontend.service.conftest import ATTRIBUTES, NODE, make_generation
from tests.frontend.service.test_running import Process, serving
from tests.programs import need_program
from tests.stores import PROFILE, add_os, add_roll

HOSTS = 400
SIZE = 200_000
CONNECTIONS = 16
NGINX = """
{user}
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; root {folder}/files;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{port}; }}
}}
"""


@pytest.fixture
def front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FrontEnd]:
    """A front end whose hosts all are to install."""
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    store = Store(tmp_path / "export/rollbuild")
    store.folder.mkdir(parents=True)
    monkeypatch.setenv("ROLLBUILD_STORE", str(store.folder))
    add_os(store, tmp_path / "dvd")
    lines = (
        f"echo 'line {number} of a long script, which says the same on most hosts'\n" for number in range(SIZE // 70)
    )
    filler = "".join(line if number % 10 else f"echo &hostname;\n{line}" for number, line in enumerate(lines))
    node = NODE.replace("</kickstart>", f"<post>\n{filler}</post>\n</kickstart>")
    add_roll(store, profile={**PROFILE, "nodes/base.xml": node, "attributes.yaml": ATTRIBUTES})
    make_generation(store)
    front_end = open_front_end()
    with front_end.database:
        with front_end.database.writing("fill") as c:
            add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="cluster.internal"))
            add_host(c, "frontend-0-0", appliance="frontend", rack=0, rank=0)
            add_interface(c, Interface("frontend-0-0", "eth0", "52:54:00:aa:00:01", "10.1.1.1", "private"))
            for number in range(HOSTS):
                rack, rank = divmod(number, 40)
                name, mac = f"compute-{rack}-{rank}", f"52:54:00:{rack:02x}:{rank:02x}:01"
                add_host(c, name, appliance="compute", rack=rack, rank=rank)
                add_interface(c, Interface(name, "eth0", mac, f"10.1.{rack + 2}.{rank + 1}", "private"))
                set_boot(c, name, "install")
        yield front_end


def names() -> list[tuple[str, str]]:
    """(host, address)."""
    return [
        (f"compute-{number // 40}-{number % 40}", f"10.1.{number // 40 + 2}.{number % 40 + 1}")
        for number in range(HOSTS)
    ]


def fetch_all(url: str, folder: Path) -> float:
    """Seconds that curl takes for one Kickstart of each host."""
    curl = need_program("curl")
    sections = [
        f'url = "{url}/ks/{name}"\noutput = "{folder}/{name}"\nheader = "X-Forwarded-For: {address}"\nfail\nsilent\n'
        for name, address in names()
    ]
    config = folder.with_suffix(".curl")
    config.write_text("next\n".join(sections))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    start = time.perf_counter()
    argv = [curl, "--parallel", "--parallel-immediate", "--parallel-max", str(CONNECTIONS), "-K", str(config)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    assert len(list(folder.iterdir())) == HOSTS
    return seconds


@contextmanager
def nginx(folder: Path, port: int) -> Iterator[str]:
    program = need_program("nginx")
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, user="" if os.geteuid() else "user root;"))
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(config)])
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(url: str) -> None:
    import httpx

    for _ in range(200):
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"nothing answers at {url}")


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def test_kickstarts_per_second(front_end: FrontEnd, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = Process(0)
    with serving(process):
        first = time.perf_counter()
        fetch_one(process.url)
        first = time.perf_counter() - first
        service = fetch_all(process.url, tmp_path / "service")
        again = fetch_all(process.url, tmp_path / "again")
    sizes = [path.stat().st_size for path in (tmp_path / "service").iterdir()]
    files = tmp_path / "files" / "ks"
    files.parent.mkdir()
    shutil.copytree(tmp_path / "service", files)
    with nginx(tmp_path, free_port()) as url:
        disk = fetch_all(url, tmp_path / "disk")
    maker = KickstartMaker(front_end)
    maker.render("compute-0-0", token="token")
    start = time.perf_counter()
    for name, _ in names():
        maker.render(name, token="token")
    render = time.perf_counter() - start
    with capsys.disabled():
        print()
        print(f"  {HOSTS} Kickstarts of {sum(sizes) // len(sizes):,} bytes, {CONNECTIONS} connections")
        print(f"  the first one, compiled and checked   {first:.2f} s")
        for what, seconds in (
            ("from the service", service),
            ("from the service, once more", again),
            ("nginx, the same from disk", disk),
            ("rendered without HTTP", render),
        ):
            print(f"  {what:<36}  {HOSTS / seconds:,.0f}/s")
    assert service < 60


def fetch_one(url: str) -> None:
    import httpx

    name, address = names()[0]
    answer = httpx.get(f"{url}/ks/{name}", headers={"X-Forwarded-For": address}, timeout=60)
    assert answer.status_code == 200
