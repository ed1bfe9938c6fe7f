"""POST /logs/HOST: logs of failed installs come back and are kept."""

from typing import Any

import pytest

from rollbuild.cluster import list_events
from tests.frontend.service.conftest import ADDRESSES, HOST, OTHER, Service


def send(service: Service, token: str, content: Any, host: str = HOST) -> int:
    return service.ask("POST", f"/logs/{host}", of=ADDRESSES[HOST], token=token, content=content).status_code


def test_the_last_five_are_kept(service: Service) -> None:
    token = service.install()
    service.report(HOST, token, "failed", "no disk")
    folder = service.root / "var/lib/rollbuild/logs" / HOST
    for number in range(7):
        service.clock.now += 1
        assert send(service, token, f"logs {number}".encode()) == 204
    kept = sorted(folder.iterdir())
    assert [path.read_text() for path in kept] == [f"logs {number}" for number in range(2, 7)]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert {place.stat().st_mode & 0o777 for place in (folder, folder.parent)} == {0o700}
    with service.front_end.database.reading() as c:
        event = list_events(c, HOST)[-1]
    assert (event.stage, event.detail) == ("logs", f"{kept[-1].name} (6 bytes)")


def test_what_is_not_taken_leaves_nothing(service: Service) -> None:
    token, others = service.install(), service.install(OTHER)
    assert send(service, "", b"x") == 403
    assert send(service, "nobodys", b"x") == 403
    assert send(service, others, b"x") == 403
    assert send(service, token, b"x", OTHER) == 403
    assert not (service.root / "var/lib/rollbuild/logs").exists()
    assert send(service, token, b"") == 400
    assert send(service, token, b"x" * (8 * 1024 * 1024 + 1)) == 413

    async def pieces() -> Any:
        for _ in range(1000):
            yield b"x" * 65536

    assert send(service, token, pieces()) == 413
    assert list((service.root / "var/lib/rollbuild/logs" / HOST).iterdir()) == []
    assert send(service, token, b"x" * (8 * 1024 * 1024)) == 204


def test_logs_of_an_older_install_are_not_wanted(service: Service) -> None:
    token = service.install()
    service.report(HOST, token, "failed")
    service.install()
    assert send(service, token, b"x") == 403


def test_a_full_disk_is_not_the_hosts_business(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    token = service.install()
    place = service.root / "var/lib/rollbuild/logs"
    place.write_text("a file where a folder belongs")
    answer = service.ask("POST", f"/logs/{HOST}", token=token, content=b"x")
    assert (answer.status_code, answer.text) == (503, "not now: try again\n")
