"""The page in real Chromium: it follows what happens, survives a restart, and fits windows of any size."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollbuild.cluster import hold_host
from tests.frontend.page.browser import CHROMIUM, Browser, open_browser
from tests.frontend.page.test_pages import PAGES, poison
from tests.frontend.service.conftest import DONE, HOST, OTHER, Service

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]

SIZES = ((1280, 800), (390, 844))
ROW = f"document.getElementById('host-{HOST}').innerText.replace(/\\s+/g, ' ')"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with open_browser(tmp_path / "browser") as opened:
        yield opened


@contextmanager
def serving(port: int) -> Iterator[str]:
    """The service as a process of its own."""
    command = [sys.executable, "-m", "rollbuild", "serve", "--listen", f"127.0.0.1:{port}"]
    folder = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        assert process.stdout is not None
        assert any("serving " in line for line in process.stdout)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def test_it_follows_an_install_and_a_restart(service: Service, browser: Browser, port: int) -> None:
    with serving(port) as url:
        browser.open(f"{url}/cluster/")
        browser.wait_for("document.getElementById('asof').className === 'asof live'")
        assert "to install" in browser.ask(ROW)
        # What somebody looks at stays as it is: the focus, and what is open.
        browser.ask(f"document.querySelector('#host-{OTHER} a').focus()")
        browser.ask("document.querySelector('.legend').open = true")
        browser.ask(f"window.kept = document.getElementById('host-{OTHER}')")
        token = service.install()
        browser.wait_for(f"{ROW}.includes('Kickstart given')")
        service.report(HOST, token, "packages", "<b>kernel</b>")
        browser.wait_for(f"{ROW}.includes('installing packages: <b>kernel</b>')")
        browser.wait_for("document.getElementById('counts').innerText.includes('installing')")
        with service.front_end.database.recording() as c:
            hold_host(c, DONE, "why not")
        browser.wait_for(f"document.getElementById('cares').innerText.includes('{DONE}')")
        assert browser.ask(f"document.activeElement === document.querySelector('#host-{OTHER} a')")
        assert browser.ask(f"window.kept === document.getElementById('host-{OTHER}')")
        assert browser.ask("document.querySelector('.legend').open")
        assert browser.problems == []
    browser.wait_for("document.getElementById('asof').className === 'asof lost'")
    assert browser.ask("document.getElementById('asof').getAttribute('aria-live')") == "polite"
    browser.problems.clear()  # that nobody answers is told by the browser itself
    service.report(HOST, token, "post-done")
    with serving(port):
        browser.wait_for(f"{ROW}.includes('installed')")
        browser.wait_for("document.getElementById('asof').className === 'asof live'")


def test_a_host_is_followed(service: Service, browser: Browser, port: int) -> None:
    with serving(port) as url:
        browser.open(f"{url}/cluster/hosts/{HOST}")
        browser.wait_for("document.getElementById('asof').className === 'asof live'")
        token = service.install()
        service.report(HOST, token, "pre-start", "sda")
        browser.wait_for("document.querySelectorAll('.steps .done').length === 2")
        browser.wait_for("document.getElementById('events').innerText.includes('sda')")
        assert browser.ask("document.querySelectorAll('.events tbody tr').length") == 2
        assert browser.problems == []


def test_without_scripts(service: Service, browser: Browser, port: int) -> None:
    with serving(port) as url:
        browser.tell("Emulation.setScriptExecutionDisabled", value=True)
        browser.tell("Page.navigate", url=f"{url}/cluster/")
        # Its own scripts are off; what this test asks is not.
        browser.wait_for("document.readyState === 'complete' && document.getElementById('racks')")
        assert browser.ask("document.getElementById('asof').innerText").startswith("as of ")
        assert browser.ask("document.querySelector('meta[http-equiv=refresh]').content") == "15"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_nothing_is_blocked(
    service: Service, browser: Browser, port: int, scheme: str, tmp_path: Path
) -> None:
    poison(service)
    with serving(port) as url:
        for width, height in SIZES:
            browser.look_like(width, height, scheme)
            for path in PAGES:
                browser.open(url + path)
                browser.ask("for (const part of document.querySelectorAll('details')) part.open = true")
                wide = browser.ask("document.documentElement.scrollWidth")
                assert wide <= width, (path, width)
                assert browser.ask("getComputedStyle(document.body).backgroundColor") == (
                    "rgb(255, 255, 255)" if scheme == "light" else "rgb(17, 22, 27)"
                )
                assert browser.ask("document.title") != "1", path
                picture = tmp_path / f"{scheme}-{width}-{path.strip('/').replace('/', '-')}.png"
                browser.shoot(picture)
                assert picture.stat().st_size > 5000
    assert browser.problems == []


def test_the_picture_of_a_graph_is_seen_in_its_frame(service: Service, browser: Browser, port: int) -> None:
    with serving(port) as url:
        for width, height in SIZES:
            browser.look_like(width, height, "light")
            browser.open(f"{url}/cluster/graph/compute/drawing")
            browser.wait_for("document.querySelector('.node .box').getBoundingClientRect().width > 20")
            box = browser.ask("document.querySelector('.root .box').getBoundingClientRect().toJSON()")
            assert 0 <= box["left"] < width and 0 <= box["top"] < height, width
        assert browser.problems == []


def test_the_keyboard_is_enough(service: Service, browser: Browser, port: int) -> None:
    def press(key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            browser.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def walk(until: Callable[[str], bool]) -> None:
        for _ in range(60):
            press("Tab", 9)
            if until(browser.ask("document.activeElement.textContent.trim()")):
                return
        raise AssertionError("never reached")

    with serving(port) as url:
        browser.open(f"{url}/cluster/")
        walk(lambda text: text == "To the content")
        assert browser.ask("document.activeElement.getBoundingClientRect().left") >= 0
        walk(lambda text: text == OTHER)
        browser.tell("Input.dispatchKeyEvent", type="keyDown", key="Enter", windowsVirtualKeyCode=13, text="\r")
        browser.wait_for(f"location.pathname === '/cluster/hosts/{OTHER}' && document.querySelector('h1')")
        assert browser.ask("document.querySelector('h1').innerText") == OTHER
