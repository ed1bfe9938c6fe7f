"""The service behind nginx as the roll frontend configures it: addresses, TLS, limits, and what is not led on."""

import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rollbuild.cluster import Interface, Network, add_host, add_interface, add_network, set_boot
from rollbuild.frontend import FrontEnd, open_front_end
from tests.bench.test_service import free_port, wait_for
from tests.frontend.service.conftest import token_in
from tests.frontend.service.test_running import Process, serving
from tests.programs import need_program
from tests.shipped.conftest import Compile, Tree, compile_shipped, host
from tests.shipped.test_frontend import install, prepare
from tests.shipped.webservers import make_certificate

__all__ = ["compile_shipped", "host"]

NGINX = """
{user}
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{plain}; include {folder}/default.d/*.conf; }}
    include {folder}/conf.d/*.conf;
}}
"""


@pytest.fixture
def front_end(root: Path) -> Iterator[FrontEnd]:
    """A front end on the loopback network, where addresses to come from are to be had."""
    opened = open_front_end()
    with opened.database, opened.database.writing("fill") as c:
        add_network(c, Network("loop", "127.0.0.0", "255.0.0.0"))
        for rank in (1, 2):
            add_host(c, f"compute-7-{rank}", appliance="compute", rack=7, rank=rank)
            add_interface(c, Interface(f"compute-7-{rank}", "eth0", "", f"127.0.7.{rank}", "loop"))
            set_boot(c, f"compute-7-{rank}", "install")
    yield opened


@pytest.mark.long
def test_hosts_behind_nginx(
    front_end: FrontEnd, root: Path, host: Tree, compile_shipped: Compile, tmp_path: Path
) -> None:
    program = need_program("nginx")
    network = {
        "Kickstart_PrivateNetwork": "127.0.0.0",
        "Kickstart_PrivateNetmaskCIDR": "8",
        "Kickstart_PrivateAddress": "127.0.0.1",
    }
    install(prepare(host), compile_shipped("frontend", "el9", **network), "web-server", "web-server-tls")
    folder = tmp_path / "nginx"
    ca, certificate = make_certificate(tmp_path, "front-end")
    plain, tls = free_port(), free_port()
    service = Process(0)
    (root / "etc/rollbuild/secrets").mkdir(parents=True, mode=0o700)
    (root / "etc/rollbuild/secrets/munge.key").write_text("a key")
    with serving(service):
        for place in ("default.d", "conf.d"):
            (folder / place).mkdir(parents=True)
            for path in (host.root / "etc/nginx" / place).glob("rollbuild*.conf"):
                text = path.read_text().replace("127.0.0.1:8441", f"127.0.0.1:{service.port}")
                text = text.replace("listen 8443 ssl", f"listen 127.0.0.1:{tls} ssl")
                for name in ("server.pem", "server.key"):
                    text = text.replace(f"{host.root}/etc/rollbuild/tls/{name}", str(certificate))
                (folder / place / path.name).write_text(text)
        user = "" if os.geteuid() else "user root;"
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, plain=plain, user=user))
        nginx = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
        try:
            wait_for(f"http://127.0.0.1:{plain}")
            ask_as_host(plain, tls, ca)
        finally:
            nginx.send_signal(signal.SIGTERM)
            nginx.wait(30)
    logged = (folder / "access.log").read_text()
    assert "GET / " in logged and "/ks/" not in logged


def ask_as_host(plain: int, tls: int, ca: Path) -> None:
    context = ssl.create_default_context(cafile=str(ca))
    context.check_hostname = False
    http, https = f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}"

    def client(address: str, **headers: str) -> httpx.Client:
        transport = httpx.HTTPTransport(local_address=address, verify=context)
        return httpx.Client(transport=transport, headers=headers, timeout=30)

    with client("127.0.7.1") as mine, client("127.0.7.2") as other:
        assert other.get(f"{http}/ks/compute-7-1").status_code == 403
        # What the client says of its address is not passed on.
        forged = {"X-Forwarded-For": "127.0.7.1", "X-Forwarded-Proto": "https"}
        assert other.get(f"{http}/ks/compute-7-1", headers=forged).status_code == 403
        answer = mine.get(f"{http}/ks/compute-7-1")
        assert answer.status_code == 200, answer.text
        headers = {"X-RB-Token": token_in(answer.text)}
        assert mine.get(f"{http}/secrets/compute-7-1", headers=headers | forged).status_code == 404
        assert mine.get(f"{https}/healthz").status_code == 404
        assert other.get(f"{https}/secrets/compute-7-1", headers=headers).status_code == 403
        secrets = mine.get(f"{https}/secrets/compute-7-1", headers=headers)
        assert secrets.status_code == 200 and b"a key" in secrets.content
        for url, stage in ((https, "pre-start"), (http, "preinstall")):
            fields = {"host": "compute-7-1", "stage": stage}
            assert mine.post(f"{url}/events/", headers=headers, data=fields).status_code == 204
        for url in (http, https):
            logs = f"{url}/logs/compute-7-1"
            assert mine.post(logs, headers=headers, content=b"x" * 8 * 1024 * 1024).status_code == 204
            assert mine.post(logs, headers=headers, content=b"x" * 9 * 1024 * 1024).status_code == 413
        assert mine.get(f"{http}/ks/t/nobodys").status_code == 403
        assert mine.get(f"{http}/").status_code in (403, 404)
