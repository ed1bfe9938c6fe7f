"""What is looked at before machines are switched on, and the remedies."""

import http.server
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbuild.cluster import Database, set_attribute
from rollbuild.errors import RollbuildError
from rollbuild.files import system_path
from rollbuild.frontend import FrontEnd, open_front_end
from rollbuild.frontend.discovery import starting
from rollbuild.frontend.discovery.starting import apply_changes, check_start, find_network


@pytest.fixture
def front_end(database: Database) -> Iterator[FrontEnd]:
    front_end = open_front_end()
    yield front_end
    front_end.database.close()


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Something that answers where the Kickstart service should, whatever it says."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        monkeypatch.setattr(starting, "SERVICE", server.server_address)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield
        server.shutdown()
        thread.join()


def refusal(front_end: FrontEnd) -> tuple[str, str]:
    with pytest.raises(RollbuildError) as caught:
        check_start(front_end)
    return caught.value.message, caught.value.hint


def test_no_front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    front_end = open_front_end()
    assert refusal(front_end) == (
        "the database has no front end",
        "rocks add frontend attrs=/etc/rollbuild/site.yaml",
    )
    with pytest.raises(RollbuildError, match="no network `private`"):
        find_network(front_end)
    front_end.database.close()


def test_a_site_that_is_not_described(front_end: FrontEnd) -> None:
    with front_end.database.writing("test") as c:
        set_attribute(c, "global", "", "Kickstart_PrivateDNSDomain", "not a domain")
    message, hint = refusal(front_end)
    assert message.startswith("the configuration cannot be applied: ") and "Kickstart_PrivateDNSDomain" in message
    assert hint == "rocks set attr Kickstart_PrivateDNSDomain VALUE"


def test_a_checker_that_refuses(
    front_end: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: None
) -> None:
    program = tmp_path / "bin/dnsmasq"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'dnsmasq: bad option at line 3' >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    message, _ = refusal(front_end)
    assert message.startswith("the configuration cannot be applied: dnsmasq: ") and "bad option" in message
    with pytest.raises(RollbuildError, match="bad option"):
        apply_changes(front_end)
    program.unlink()
    assert apply_changes(front_end).startswith("the configuration is applied")
    assert apply_changes(front_end) == "", "nothing is left to do"


def test_no_service(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "SERVICE", ("127.0.0.1", 1))
    message, hint = refusal(front_end)
    assert message == "the Kickstart service does not answer on 127.0.0.1:1: connection refused"
    assert hint.startswith("start it: systemctl start rollbuild")


def test_no_distribution(front_end: FrontEnd, service: None) -> None:
    message, hint = refusal(front_end)
    assert message.startswith("there is no distribution in ")
    assert hint == "rollbuild distro create makes one"


def test_a_distribution_that_is_not_there(front_end: FrontEnd, service: None) -> None:
    with front_end.database.writing("test") as c:
        set_attribute(c, "appliance", "compute", "distribution", "el42")
    message, _ = refusal(front_end)
    assert "el42" in message


def test_the_network(front_end: FrontEnd) -> None:
    network, device = find_network(front_end)
    assert network == "10.1.0.0/255.255.0.0"
    assert device in ("eth0", ""), "only a device that this machine has"


def test_where_the_configuration_went(front_end: FrontEnd) -> None:
    apply_changes(front_end)
    assert "10.1.1.1" in system_path("/etc/rollbuild/hosts").read_text()
