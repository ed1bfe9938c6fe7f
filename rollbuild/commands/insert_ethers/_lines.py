"""Faces without a screen: a line for each piece of news, for people or as JSON, and answers from standard input."""

import json
import os
import select
import sys
from collections.abc import Callable
from threading import Thread

from rollbuild.console import Console
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.frontend import discovery

_WAIT = 0.2
_LIMIT = 4096
_KEYS = {"q": "f8", "quit": "f8", "q!": "f9", "quit!": "f9", "u": "f7", "undo": "f7"}
HELP = "q leaves when all have their Kickstart, q! at once, u undoes the last insert"


class Lines:
    """Writes news to standard output; the question for an address too."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self._console = console
        self._as_json = as_json
        self._asked: tuple[str, str] | None = None

    def show(self, view: discovery.View, news: tuple[discovery.News, ...]) -> None:
        question = view.question
        asked = (question.mac, question.error) if question else None
        is_new, self._asked = asked is not None and asked != self._asked, asked
        for item in news:
            self._console.data(_json_line(item) if self._as_json else f"{_plain(item.text)}\n")
        if is_new and not self._as_json:
            self._console.say(f"IP Address Selection: address for {self.asked} (empty: the next free one)")

    @property
    def asked(self) -> str:
        """The machine whose address is asked for, "" for none."""
        return self._asked[0] if self._asked else ""


def _json_line(news: discovery.News) -> str:
    fields = {"event": news.kind, "mac": news.mac, "host": news.host, "address": news.address, "text": news.text}
    return json.dumps({key: value for key, value in fields.items() if value}, ensure_ascii=False) + "\n"


def _plain(text: str) -> str:
    """What came out of a log must not steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def choose(console: Console, memberships: tuple[str, ...]) -> str:
    """Ask on the terminal which membership machines get; the first without an answer."""
    console.say("Choose Appliance Type")
    for number, name in enumerate(memberships, 1):
        console.say(f"  {number}  {name}")
    while True:
        sys.stderr.write("Select An Appliance Type [1]: ")
        sys.stderr.flush()
        line = sys.stdin.readline(_LIMIT)
        if not line:
            raise RollbuildError("no appliance type was chosen", hint="--membership names it", exit_code=USAGE)
        word = line.strip() or "1"
        if word.isdecimal() and 1 <= int(word) <= len(memberships):
            return memberships[int(word) - 1]
        found = [name for name in memberships if name.lower() == word.lower()]
        if found:
            return found[0]
        console.say(f"{_plain(word)} is none of them: a number from 1 to {len(memberships)}, or a name")


def read_input(run: discovery.Discovery, lines: Lines) -> Thread:
    """Take keys and answers from standard input, a line each, in a thread that ends with the run."""

    def handle(text: str) -> None:
        word = text.strip()
        if lines.asked and word.lower() not in _KEYS:
            run.put(discovery.Answer(lines.asked, word))
        elif word.lower() in _KEYS:
            run.put(discovery.Key(_KEYS[word.lower()]))
        elif word:
            run.tell(f"{_plain(word)[:40]} means nothing here: {HELP}")

    thread = Thread(target=_read_lines, args=(sys.stdin.fileno(), run, handle), daemon=True)
    thread.start()
    return thread


def _read_lines(file: int, run: discovery.Discovery, handle: Callable[[str], None]) -> None:
    rest = b""
    # A read that blocks would keep the process when it wants to end.
    while not run.stop.is_set():
        try:
            if not select.select([file], [], [], _WAIT)[0]:
                continue
            piece = os.read(file, _LIMIT)
        except OSError:
            return
        if not piece:
            return
        *whole, rest = (rest + piece)[-_LIMIT:].split(b"\n")
        for line in whole:
            handle(line.decode("utf-8", "replace"))
