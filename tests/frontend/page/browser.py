"""Chromium, driven through a pipe (its DevTools protocol), without any package for it."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-pipe"),
)
SECONDS = 60.0


@dataclass
class Browser:
    """A page of a browser. `problems` are errors of the console: scripts, policies, resources that are not there."""

    read: int
    write: int
    session: str = ""
    problems: list[str] = field(default_factory=list)
    _number: int = 0
    _rest: bytes = b""

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select([self.read], [], [], max(0.0, deadline - time.monotonic()))[0], "the browser is silent"
            piece = os.read(self.read, 1 << 20)
            assert piece, "the browser is gone"
            self._rest += piece
        text, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _note(self, event: dict[str, Any]) -> None:
        given = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(str(given["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if given["type"] in ("error", "warning", "assert"):
                self.problems.append(str(given["args"]))
            case "Log.entryAdded" if given["entry"]["level"] in ("error", "warning"):
                self.problems.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")

    def open(self, url: str) -> None:
        """Go to a page and wait until it is there."""
        self.tell("Page.navigate", url=url)
        self.wait_for(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        done = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + SECONDS
        while True:
            done = self.tell("Runtime.evaluate", expression=f"Boolean({script})", returnByValue=True)
            if done["result"].get("value") is True:
                return
            assert time.monotonic() < deadline, script
            select([self.read], [], [], 0.05)

    def look_like(self, width: int, height: int, scheme: str) -> None:
        """The size of the window, and whether its user likes it dark."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def shoot(self, file: Path) -> None:
        """A picture of what the window shows."""
        file.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """A browser with an empty page; `folder` is for its files."""
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    # The protocol is spoken on the files 3 and 4.
    script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    arguments = [str(CHROMIUM), *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with open(folder.with_suffix(".log"), "wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", *arguments], pass_fds=(to_browser, from_browser), stdout=log, stderr=log
        )
    os.close(to_browser)
    os.close(from_browser)
    try:
        browser = Browser(answers, commands)
        target = browser.tell("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            browser.tell(f"{domain}.enable")
        yield browser
    finally:
        os.close(commands)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answers)
        shutil.rmtree(folder, ignore_errors=True)
