"""Web servers of a front end: nginx below a tree, and small ones with certificates that scripts of hosts talk to."""

import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.programs import need_program, run_checker
from tests.shipped.conftest import Tree

_NGINX = """
pid {root}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    server {{ listen 127.0.0.1:8080; include {root}/etc/nginx/default.d/*.conf; }}
    {tls}
}}
"""


def write_nginx_conf(host: Tree) -> None:
    """The main file of nginx, for what the rolls wrote for it; of TLS only where the certificate was made."""
    has_certificate = (host.root / "etc/rollbuild/tls/server.pem").exists()
    tls = f"include {host.root}/etc/nginx/conf.d/*.conf;" if has_certificate else ""
    host.write("/nginx.conf", _NGINX.format(root=host.root, tls=tls))


def check_nginx(host: Tree) -> None:
    """Have nginx read what the rolls wrote for it."""
    write_nginx_conf(host)
    run_checker(need_program("nginx"), "-t", "-p", host.root, "-c", host.root / "nginx.conf")


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """An authority and a certificate of it for 10.1.1.1: the authority's, and key and certificate in one file."""
    openssl = need_program("openssl")
    ca, ca_key, server, request = (folder / f"{name}-{part}" for part in ("ca.pem", "ca.key", "server.pem", "request"))
    extension = folder / f"{name}-extension"
    extension.write_text("subjectAltName=IP:10.1.1.1\n")
    made = ["-extfile", extension, "-out", folder / f"{name}-certificate"]
    make_key = ["-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
    for arguments in (
        ["req", "-x509", *make_key, "-keyout", ca_key, "-out", ca, "-days", "2"],
        ["req", *make_key, "-keyout", server, "-out", request],
        ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-set_serial", "1", "-days", "2", *made],
    ):
        subprocess.run([openssl, *map(str, arguments)], check=True, capture_output=True, timeout=60)
    server.write_text(server.read_text() + (folder / f"{name}-certificate").read_text())
    return ca, server


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], certificate: Path) -> Iterator[dict[str, int]]:
    """A handler's requests over `http` and `https`; the ports on loopback, by scheme."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler)) for name in ("http", "https")
        }
        servers["https"].socket = context.wrap_socket(servers["https"].socket, server_side=True)
        for server in servers.values():
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield {name: server.server_port for name, server in servers.items()}


def lead_to(host: Tree, ports: Mapping[str, int]) -> None:
    """Have curl on a host find these servers where it looks for the front end, 10.1.1.1."""
    ways = f"--connect-to 10.1.1.1:80:127.0.0.1:{ports['http']} --connect-to 10.1.1.1:8443:127.0.0.1:{ports['https']}"
    host.add_program("curl", f"exec {need_program('curl')} \"$@\" {ways} --retry-delay 1 --noproxy '*'")
