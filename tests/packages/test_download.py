"""Repositories fetched from a web server, and servers that misbehave."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rollbuild.errors import REFUSED, UNREACHABLE, RollbuildError
from rollbuild.packages import Repository, list_url, open_repositories, parse_repository_name, read_url
from rollbuild.packages import download as download_module
from rollbuild.packages import sources as sources_module
from tests.packages.repositories import COMPS, Rpm, write_repository

Answer = Callable[[BaseHTTPRequestHandler], bool]


class Server:
    """A web server over a folder; `answer` may take a request over by returning true."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer: Answer = lambda request: False
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                if outer.answer(self):
                    return
                path = outer.folder / self.path.lstrip("/")
                if not path.is_file():
                    self.send_error(404)
                    return
                data = path.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    write_repository(tmp_path / "9" / "BaseOS" / "os", [Rpm("bash"), Rpm("zsh")], comps=COMPS)
    made = Server(tmp_path)
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def read(place: str, timeout: float = 5) -> Repository:
    with open_repositories([parse_repository_name(place)], timeout=timeout) as (repository,):
        return repository


def test_a_repository_is_fetched(server: Server) -> None:
    url = f"{server.url}/9/BaseOS/os"
    for place in (url, f"{url}/", f"{url}/repodata/repomd.xml"):
        found = read(place)
        assert (found.name, sorted(found.packages), list(found.groups)) == ("BaseOS", ["bash", "zsh"], ["core"])
    assert read(f"mine={url}").name == "mine"
    assert not [path for path in server.asked if "filelists" in path or "other" in path]


def test_a_redirect_is_followed(server: Server) -> None:
    def answer(request: BaseHTTPRequestHandler) -> bool:
        if request.path.startswith("/old/"):
            request.send_response(302)
            request.send_header("Location", request.path.replace("/old/", "/9/"))
            request.end_headers()
            return True
        return False

    server.answer = answer
    assert len(read(f"{server.url}/old/BaseOS/os")) == 2


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:text/plain,a", "gopher:a"])
def test_redirects_to_other_schemes(server: Server, target: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> bool:
        request.send_response(301)
        request.send_header("Location", target)
        request.end_headers()
        return True

    server.answer = answer
    with pytest.raises(RollbuildError) as refused:
        read(f"{server.url}/9")
    assert refused.value.exit_code == REFUSED
    assert target in refused.value.message


def status(code: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> bool:
        request.send_error(code)
        return True

    return answer


def loop(request: BaseHTTPRequestHandler) -> bool:
    request.send_response(302)
    request.send_header("Location", request.path)
    request.end_headers()
    return True


def hang_up(request: BaseHTTPRequestHandler) -> bool:
    request.close_connection = True
    return True


def stop_half_way(request: BaseHTTPRequestHandler) -> bool:
    if "primary" not in request.path:
        return False
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    request.wfile.write(b"\x1f\x8b")
    request.close_connection = True
    return True


def send_more(request: BaseHTTPRequestHandler) -> bool:
    if "primary" not in request.path:
        return False
    request.send_response(200)
    request.end_headers()
    request.wfile.write(bytes(100_000))
    request.close_connection = True
    return True


MISBEHAVIOUR: dict[str, tuple[Answer, int, str]] = {
    "not there": (status(404), REFUSED, "there is no repository at"),
    "forbidden": (status(403), REFUSED, "the server answers 403"),
    "busy": (status(503), UNREACHABLE, "the server answers 503"),
    "in circles": (loop, REFUSED, "the server answers 302"),
    "hangs up": (hang_up, UNREACHABLE, "cannot fetch"),
    "half of it": (stop_half_way, REFUSED, "cut short"),
    "more than promised": (send_more, REFUSED, "is larger than"),
}


@pytest.mark.parametrize(("answer", "code", "said"), MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
def test_servers_that_misbehave(server: Server, answer: Answer, code: int, said: str) -> None:
    server.answer = answer
    with pytest.raises(RollbuildError) as refused:
        read(f"{server.url}/9/BaseOS/os")
    assert (refused.value.exit_code, said in refused.value.message) == (code, True), refused.value.message


def test_a_silent_server(server: Server) -> None:
    done = threading.Event()
    server.answer = lambda request: done.wait(10)
    with pytest.raises(RollbuildError) as refused:
        read(f"{server.url}/9", timeout=0.2)
    done.set()
    assert (refused.value.exit_code, "timed out" in refused.value.message) == (UNREACHABLE, True)


@pytest.mark.parametrize(
    "fetch", [lambda url: read_url(url, 100), list_url, lambda url: read(url)], ids=["file", "listing", "repository"]
)
def test_a_server_that_never_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., object]
) -> None:
    """It is never silent, and sends a byte now and then."""
    monkeypatch.setattr(download_module, "LONGEST_SECONDS", 0.2)
    done = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> bool:
        request.send_response(200)
        request.send_header("Content-Type", "text/html")
        request.end_headers()
        for _ in range(150):
            if done.wait(0.02):
                break
            request.wfile.write(b" ")
        return True

    server.answer = drip
    begun = time.monotonic()
    try:
        with pytest.raises(RollbuildError, match="was not there after") as refused:
            fetch(f"{server.url}/9")
    finally:
        took = time.monotonic() - begun
        done.set()
    assert refused.value.exit_code == UNREACHABLE
    assert took < 2


def test_nobody_there(server: Server) -> None:
    server.server.server_close()
    with pytest.raises(RollbuildError) as refused:
        read(f"{server.url}/9")
    assert refused.value.exit_code == UNREACHABLE


def test_a_file_larger_than_any(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, "METADATA_LIMIT", 10)
    with pytest.raises(RollbuildError) as refused:
        read(f"{server.url}/9/BaseOS/os")
    assert "primary is" in refused.value.message


NAMES = {
    "https://mirror.example.org/9-stream/AppStream/x86_64/os": "AppStream",
    "https://dl.example.org/pub/epel/9/Everything/x86_64/": "epel",
    "http://10.1.1.1/install/rolls/hpc": "hpc",
    "http://10.1.1.1/9": "9",
    "http://10.1.1.1": "10.1.1.1",
}


@pytest.mark.parametrize(("url", "name"), NAMES.items())
def test_names_of_urls(url: str, name: str) -> None:
    assert sources_module._name_of(url) == name
