"""The pages that web servers make of folders."""

import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.packages import download_file, list_url
from rollbuild.packages import listing as listing_module
from rollbuild.packages.listing import parse_listing
from tests.programs import need_program
from tests.servers import STYLES, serve, write_listing

NAMES = (
    "RedHat/",
    "a b+c.rpm",
    "caf\u00e9",
    "50%.txt",
    "a&b;c",
    "q?x#y",
    "x:y",
    "libstdc++-4.8.5.rpm",
    "~tilde",
    '"q"',
)


@pytest.mark.parametrize("style", STYLES)
def test_each_style(style: str) -> None:
    page = write_listing(style, "/install/rolls/", NAMES)
    assert parse_listing(page, "http://host/install/rolls/") == tuple(sorted(NAMES))


OTHERS = {
    "sorting": '<a href="?C=N;O=D">Name</a>',
    "parent": '<a href="../">..</a> <a href="..">..</a> <a href="/">/</a> <a href="/install/">Parent</a>',
    "itself": '<a href="./">.</a> <a href=".">.</a> <a href="">.</a> <a href="/install/rolls/">this</a>',
    "elsewhere": '<a href="http://other/install/rolls/a">a</a> <a href="https://host/install/rolls/a">a</a>',
    "mail": '<a href="mailto:root@host">root</a> <a href="javascript:x()">x</a>',
    "deeper": '<a href="a/b">b</a> <a href="a%2Fb">b</a> <a href="..%2fb">b</a>',
    "control": '<a href="a%00">a</a> <a href="a%0Ab">a</a> <a href="%7f">a</a>',
    "no text": '<a href="%ff%fe">x</a>',
    "broken": '<a href="http://[">x</a> <a href>x</a> <a>x</a> <a href="',
    "not a link": '<img src="a.png"> <!-- <a href="x">x</a> --> <link href="style.css">',
}


@pytest.mark.parametrize("page", OTHERS.values(), ids=OTHERS)
def test_links_that_are_no_names(page: str) -> None:
    assert parse_listing(page, "http://host/install/rolls/") == ()


def test_links_that_are_names() -> None:
    page = '<A HREF="a">x</A><a href=b>x</a><a href="./c">c</a><a href="/top/d/">d</a><a href="http://h/top/e">e</a>'
    assert parse_listing(page, "http://h/top/") == ("a", "b", "c", "d/", "e")


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "_MOST_NAMES", 3)
    with pytest.raises(RollbuildError):
        parse_listing(write_listing("nginx", "/", "abcd"), "http://host/")


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=12))
)
def test_any_names_in_any_style(names: list[str]) -> None:
    plain = sorted({name for name in names if name not in (".", "..")})
    for style in STYLES:
        assert parse_listing(write_listing(style, "/a/", plain), "http://host/a/") == tuple(plain)


@given(st.text() | st.from_regex(r'(<a href="?[^>]{0,9}>?|[a-z<>/]){0,9}'))
def test_any_page(page: str) -> None:
    for name in parse_listing(page, "http://host/a/"):
        assert name.removesuffix("/") not in ("", ".", "..")
        assert "/" not in name[:-1]


def test_over_http(tmp_path: Path) -> None:
    (tmp_path / "a b" / "x").mkdir(parents=True)
    (tmp_path / "a b" / "f").write_text("")
    with serve(tmp_path) as server:
        assert list_url(f"{server.url}/a%20b") == ("f", "x/")
        for path, said in (("/none", "is not there"), ("/a%20b/f", "is no")):
            with pytest.raises(RollbuildError) as refused:
                list_url(server.url + path)
            assert refused.value.exit_code == REFUSED
            assert refused.value.hint
            assert said in refused.value.message
        server.redirects["/moved/"] = "/a%20b/"
        assert list_url(f"{server.url}/moved") == ("f", "x/")


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A real nginx over a folder: its URL and the folder."""
    program = need_program("nginx")
    top = tmp_path_factory.mktemp("nginx")
    (top / "www").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    temporary = "".join(
        f"{kind}_temp_path {top}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (top / "conf").write_text(
        f"daemon off; master_process off; pid {top}/pid; error_log {top}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port}; root {top}/www; autoindex on; limit_rate 0; }} }}\n"
    )
    with subprocess.Popen([program, "-c", top / "conf", "-e", top / "error.log"], stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < end:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}", top / "www"
        process.terminate()


def test_a_real_nginx(nginx: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    url, folder = nginx
    for name in NAMES:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).write_bytes(b"x")
    assert list_url(url) == tuple(sorted(NAMES))
    content = random.Random(2).randbytes(500_000)
    (folder / "big").write_bytes(content)
    steps: list[int] = []

    def stop(step: int) -> None:
        steps.append(step)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_file(f"{url}/big", tmp_path / "big", advance=stop)
    download_file(f"{url}/big", tmp_path / "big", advance=steps.append)
    assert (tmp_path / "big").read_bytes() == content
    assert steps[0] == steps[1] < len(content)  # what was there, then the rest
