"""Web servers over a folder, on loopback, that misbehave as they are told."""

import email.utils
import hashlib
import html
import os
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: the path as sent, and the Range and If-Range headers."""

    path: str
    range: str = ""
    if_range: str = ""


@dataclass
class Server:
    """A running server. Its faults may be changed while it runs.

    `ranges`: answers Range requests. `etags`: "strong", "weak" or "". `modified`: sends Last-Modified. `lengths`: sends
    Content-Length. `listing`: apache, nginx, lighttpd, python or "" (folders are 403 then). `cuts`: hang up after
    so many bytes of the body, one number per answered file, None for a whole one; then whole ones. `statuses`: answer
    these, one per request (0: as usual), then as usual. `always`: path -> status. `redirects`: path -> URL.
    `silent`: paths whose answer never comes. `pause`: seconds between pieces of 64 KiB. `replaced`: path -> bytes sent
    instead of the file's. `no_head`: refuses HEAD.
    """

    folder: Path
    ranges: bool = True
    etags: str = "strong"
    modified: bool = True
    lengths: bool = True
    listing: str = "apache"
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    always: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    pause: float = 0.0
    no_head: bool = False
    replaced: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    sent: int = 0
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [request.path for request in self.requests]

    def next_status(self) -> int:
        with self.lock:
            return self.statuses.pop(0) if self.statuses else 0

    def next_cut(self) -> int | None:
        with self.lock:
            return self.cuts.pop(0) if self.cuts else None


@contextmanager
def serve(folder: Path, **faults: object) -> Iterator[Server]:
    """A server over `folder` while the block lasts; `faults` are fields of Server. Proxies are left out by its users:
    its URL is one of 127.0.0.1."""
    server = Server(folder)
    for name, value in faults.items():
        assert hasattr(server, name), name
        setattr(server, name, value)

    class Handler(_Handler):
        state = server

    listener = _Listener(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    os.environ.update(dict.fromkeys(before, "*"))
    try:
        yield server
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text
        server.closing.set()
        listener.shutdown()
        thread.join()
        listener.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients hang up, as they are tested to


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        state = self.state
        headers = self.headers
        state.requests.append(Request(self.path, headers.get("Range", ""), headers.get("If-Range", "")))
        path = unquote(urlsplit(self.path).path)
        if state.no_head and self.command == "HEAD":
            self.send_error(405)
            return
        if self.path in state.silent:
            state.closing.wait(20)
            self.close_connection = True
            return
        status = state.always.get(self.path, 0) or state.next_status()
        if status:
            self.send_error(status)
            return
        if self.path in state.redirects:
            self._send_redirect(state.redirects[self.path])
            return
        parts = [part for part in path.split("/") if part]
        target = state.folder.joinpath(*parts)
        if ".." in parts or not target.exists():
            self.send_error(404)
        elif target.is_dir():
            self._send_folder(target, path)
        else:
            self._send_file(target)

    do_HEAD = do_GET

    def _send_redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_folder(self, folder: Path, path: str) -> None:
        if not self.state.listing:
            self.send_error(403)
        elif not path.endswith("/"):
            self._send_redirect(quote(path) + "/")
        else:
            names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
            data = write_listing(self.state.listing, path, names).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def _send_file(self, path: Path) -> None:
        state = self.state
        data = state.replaced.get(self.path, None)
        data = path.read_bytes() if data is None else data
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        date = email.utils.formatdate(int(path.stat().st_mtime), usegmt=True)
        wanted = self.headers.get("If-Range", "")
        fresh = (
            not wanted or wanted in ((tag,) if state.etags == "strong" else ()) or (state.modified and wanted == date)
        )
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if state.ranges and fresh else None
        start = int(found[1]) if found else 0
        if found and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if state.etags:
            self.send_header("ETag", tag if state.etags == "strong" else f"W/{tag}")
        if state.modified:
            self.send_header("Last-Modified", date)
        if state.ranges:
            self.send_header("Accept-Ranges", "bytes")
        body = data[start:]
        if state.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = state.next_cut()
        self._send_body(body if cut is None else body[:cut])
        if cut is not None:
            self._hang_up()

    def _send_body(self, body: bytes) -> None:
        for at in range(0, len(body), 65536):
            piece = body[at : at + 65536]
            self.wfile.write(piece)
            with self.state.lock:
                self.state.sent += len(piece)
            if self.state.pause and self.state.closing.wait(self.state.pause):
                return

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


def write_listing(style: str, path: str, names: Sequence[str]) -> str:
    """The page that a web server makes of a folder; names of folders end with a slash."""
    links = [(quote(name), html.escape(name)) for name in names]
    return _STYLES[style](html.escape(path), links)


Links = Sequence[tuple[str, str]]


def _apache(path: str, links: Links) -> str:
    columns = "".join(f'<th><a href="?C={key};O=A">{title}</a></th>' for key, title in zip("NMSD", "Name", strict=True))
    parent = path.rstrip("/").rpartition("/")[0] + "/"
    rows = "".join(
        f'<tr><td valign="top"><img src="/icons/unknown.gif" alt="[   ]"></td><td><a href="{href}">{text[:20]}</a>'
        '</td><td align="right">2023-11-14 22:13  </td><td align="right">1.2M</td><td>&nbsp;</td></tr>\n'
        for href, text in links
    )
    return (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<html>\n <head>\n  '
        f"<title>Index of {path}</title>\n </head>\n <body>\n<h1>Index of {path}</h1>\n"
        f'  <table>\n   <tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th>{columns}</tr>\n'
        f'<tr><td>&nbsp;</td><td><a href="{parent}">Parent Directory</a></td></tr>\n{rows}</table>\n'
        '<address>Apache/2.4.57 Server at <a href="mailto:root@localhost">localhost</a> Port 80</address>\n'
        "</body></html>\n"
    )


def _nginx(path: str, links: Links) -> str:
    rows = "".join(f'<a href="{href}">{text[:50]}</a>      14-Nov-2023 22:13      1024\r\n' for href, text in links)
    return (
        f"<html>\r\n<head><title>Index of {path}</title></head>\r\n<body>\r\n<h1>Index of {path}</h1><hr>"
        f'<pre><a href="../">../</a>\r\n{rows}</pre><hr></body>\r\n</html>\r\n'
    )


def _lighttpd(path: str, links: Links) -> str:
    rows = "".join(
        f'<tr><td class="n"><a href="{href}">{text.rstrip("/")}</a>{"/" * text.endswith("/")}</td>'
        '<td class="m">2023-Nov-14 22:13:20</td><td class="s">1.0K</td></tr>\n'
        for href, text in links
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n'
        f"<html>\n<head>\n<title>Index of {path}</title>\n</head>\n"
        f'<body>\n<h2>Index of {path}</h2>\n<div class="list"><table>\n<tbody>\n'
        f'<tr class="d"><td class="n"><a href="../">..</a>/</td></tr>\n{rows}</tbody></table></div>\n'
        '<div class="foot">lighttpd/1.4.69</div>\n</body>\n</html>\n'
    )


def _python(path: str, links: Links) -> str:
    rows = "".join(f'<li><a href="{href}">{text}</a></li>\n' for href, text in links)
    return (
        '<!DOCTYPE HTML>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>Directory listing for {path}</title>\n</head>\n<body>\n<h1>Directory listing for {path}</h1>\n<hr>\n"
        f"<ul>\n{rows}</ul>\n<hr>\n</body>\n</html>\n"
    )


_STYLES = {"apache": _apache, "nginx": _nginx, "lighttpd": _lighttpd, "python": _python}
STYLES = tuple(_STYLES)
