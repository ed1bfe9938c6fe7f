"""The failures of docs/explanation/failures.md: each row names a test; and tests that have no other place."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

from rollbuild.cluster import configuration_generation, set_boot, set_interface
from rollbuild.commands.insert_ethers._options import Wanted
from rollbuild.commands.insert_ethers._waiting import can_show_screen
from rollbuild.console import Console
from rollbuild.frontend import apply_configuration, ensure_applied
from tests.frontend.service.conftest import HOST, MACS, Service, made, postgresql, root, service

__all__ = ["made", "postgresql", "root", "service"]

TOP = Path(__file__).parents[2]
PAGE = TOP / "docs/explanation/failures.md"


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and not line.startswith("| ---")]
    rows = [row for row in rows if not row.startswith("| Failure |")]
    assert len(rows) > 30
    for row in rows:
        assert row.count("|") == 5, row
        found = re.search(r"`([a-z_/]+\.py)::(test_\w+)` \|$", row)
        assert found is not None, row
        assert f"\ndef {found[2]}(" in (TOP / "tests" / found[1]).read_text(), row


def test_nothing_is_written_before_it_is_committed(service: Service) -> None:
    """Whoever writes files meanwhile sees what is committed; a change that is undone never was in any file."""
    apply_configuration(service.front_end)
    names = service.root / "etc/rollbuild/hosts"
    before = names.read_bytes()
    with pytest.raises(ZeroDivisionError), service.front_end.database.writing("half") as c:
        set_interface(c, HOST, "eth0", address="10.1.7.7")
        applied = apply_configuration(service.front_end)
        assert not applied.has_changed
        raise ZeroDivisionError
    assert not ensure_applied(service.front_end).has_changed
    assert names.read_bytes() == before


def test_a_clock_that_was_set_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is newer is counted: a year that is wrong makes no file older than its database."""
    database, real = service.front_end.database, time.time

    def generation() -> int:
        with database.reading() as c:
            return configuration_generation(c)

    place = service.root / f"export/install/netboot/pxelinux.cfg/01-{MACS[HOST].replace(':', '-')}"
    service.order(HOST, "os")
    ensure_applied(service.front_end)
    assert b"inst.ks" not in place.read_bytes()
    before = generation()
    monkeypatch.setattr(time, "time", lambda: real() - 10 * 365 * 86400)
    service.clock.now -= 10 * 365 * 86400
    with database.writing("set boot") as c:
        set_boot(c, HOST, "install")
    assert generation() == before + 1
    ensure_applied(service.front_end)
    assert b"inst.ks" in place.read_bytes()
    token = service.install()
    assert service.report(HOST, token, "post-done").status_code == 204
    assert generation() == before + 2 and b"inst.ks" not in place.read_bytes()


@pytest.mark.parametrize(("columns", "lines"), [(20, 24), (80, 5), (0, 0)])
def test_a_small_terminal_gets_lines(
    columns: int, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("textual")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((columns, lines)))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)
    assert not can_show_screen(Console(), Wanted())
    assert "plain lines are written" in capsys.readouterr().err
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    assert can_show_screen(Console(), Wanted())
