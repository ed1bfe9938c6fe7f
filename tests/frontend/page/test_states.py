"""What a host does now, and how times and texts are spelled."""

import time

import pytest

from rollbuild.cluster import Host, Install
from rollbuild.frontend.page.states import SILENT_SECONDS, STATES, state_of
from rollbuild.frontend.page.words import clock_time, counted, exact_time, how_long, printable

NOW = 1_800_000_000.0
LONG_AGO = NOW - SILENT_SECONDS - 1
CASES = {
    "unknown": ({}, None),
    "waiting": ({"boot_action": "install"}, None),
    "rescue": ({"boot_action": "rescue"}, "installed"),
    "given": ({"boot_action": "install"}, "given"),
    "installing": ({"boot_action": "install"}, "installing"),
    "installed": ({}, "installed"),
    "failed": ({"boot_action": "install"}, "failed"),
    "held": ({"held": "why"}, "failed"),
}


def install(state: str, moved: float = NOW - 60) -> Install:
    return Install(1, "c", "", state, "packages", "", moved, moved, 0.0, 0.0, 1, 0)


@pytest.mark.parametrize("name", CASES)
def test_states(name: str) -> None:
    fields, state = CASES[name]
    host = Host("c", "compute", "Compute", 0, 0, **fields)  # type: ignore[arg-type]
    assert state_of(host, install(state) if state else None, NOW).name == name


@pytest.mark.parametrize("state", ["given", "installing"])
def test_an_install_that_says_nothing_any_more(state: str) -> None:
    host = Host("c", "compute", "Compute", 0, 0, boot_action="install")
    assert state_of(host, install(state, LONG_AGO), NOW).name == "silent"


def test_a_host_that_is_told_to_install_again() -> None:
    host = Host("c", "compute", "Compute", 0, 0, boot_action="install")
    assert state_of(host, install("installed"), NOW).name == "waiting"


def test_each_state_has_a_sign_of_its_own() -> None:
    assert len({state.sign for state in STATES}) == len({state.word for state in STATES}) == len(STATES)


PRINTED = {
    "plain": ("caf\u00e9 \u25cf\n\ttab", "caf\u00e9 \u25cf\n\ttab"),
    "escape": ("\x1b[31mred\x07\r\x00", "\\x1b[31mred\\x07\\x0d\\x00"),
    "C1": ("\x9b31m\x85", "\\x9b31m\\x85"),
    "turned around": ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
    "not seen": ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
    "half a character": ("\udcff", "\\udcff"),
}


@pytest.mark.parametrize(("text", "shown"), PRINTED.values(), ids=PRINTED)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    printable(text).encode()


def test_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        assert exact_time(NOW) == "2027-01-15T08:00:00Z"
        assert clock_time(NOW - 61, NOW) == "07:58:59"
        assert clock_time(NOW - 86_000, NOW) == "Jan 14 08:06"
        assert clock_time(NOW - 400 * 86_400, NOW) == "2025-12-11"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [how_long(seconds) for seconds in (-1, 42.7, 300, 7500, 200_000)] == [
        *("0 s", "42 s", "5 min", "2 h 05 min", "2 days")
    ]
    assert [counted(number, "host") for number in (0, 1, 1000)] == ["0 hosts", "1 host", "1,000 hosts"]
