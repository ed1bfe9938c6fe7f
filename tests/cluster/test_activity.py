"""The mark of what happened: another one after every change that a page could show."""

from collections.abc import Callable
from typing import Any

import pytest

from rollbuild.cluster import (
    Database,
    activity_mark,
    add_host,
    approve_discovery,
    begin_install,
    fail_install,
    find_install,
    finish_install,
    hold_host,
    list_installs,
    make_url_token,
    note_discovery,
    note_event,
    note_secrets,
    open_database,
    record_event,
    remove_host,
    set_attribute,
    set_boot,
    set_host,
)
from tests.cluster.conftest import fill

HOST, OTHER = "compute-0-0", "compute-0-1"
MAC = "52:54:00:00:00:99"


def newest(c: Any) -> Any:
    return find_install(c, host=HOST)


RECORDED: dict[str, Callable[[Any], object]] = {
    "discovered": lambda c: note_discovery(c, MAC, now=1.0),
    "discovered again": lambda c: note_discovery(c, MAC, now=1.0),
    "decided": lambda c: approve_discovery(c, MAC),
    "a URL": lambda c: make_url_token(c, HOST, 2.0),
    "given": lambda c: begin_install(c, HOST, token="a", address="10.1.1.9", now=10.0),
    "given again": lambda c: begin_install(c, HOST, token="b", address="10.1.1.9", now=10.0),
    "secrets": lambda c: note_secrets(c, newest(c)),
    "an event": lambda c: record_event(c, newest(c), "packages", "", 11.0),
    "the same event at the same time": lambda c: record_event(c, newest(c), "packages", "", 11.0),
    "a failure": lambda c: fail_install(c, newest(c), "why", 12.0),
    "held": lambda c: hold_host(c, HOST, "why"),
    "another held in the same generation": lambda c: hold_host(c, OTHER, "why"),
    "told to install": lambda c: set_boot(c, HOST, "install"),
    "a second attempt": lambda c: begin_install(c, HOST, token="c", address="10.1.1.9", now=20.0),
    "the end": lambda c: finish_install(c, newest(c), 21.0),
    "outside of an attempt": lambda c: note_event(c, HOST, "refused", "x", 22.0),
    "that again, later": lambda c: note_event(c, HOST, "refused", "x", 23.0),
}
CONFIGURED: dict[str, Callable[[Any], object]] = {
    "added": lambda c: add_host(c, "compute-0-9", appliance="compute", rack=0, rank=9),
    "commented": lambda c: set_host(c, HOST, comment="new"),
    "attribute": lambda c: set_attribute(c, "global", "", "x", "y"),
    "removed": lambda c: remove_host(c, "compute-0-9"),
}


def check_marks(cluster: Database) -> None:
    def mark() -> str:
        with cluster.reading() as c:
            return activity_mark(c)

    seen = [mark()]
    assert mark() == seen[0]
    for name, change in RECORDED.items():
        with cluster.recording() as c:
            change(c)
        assert mark() not in seen, name
        seen.append(mark())
    for name, change in CONFIGURED.items():
        with cluster.writing(name) as c:
            change(c)
        assert mark() not in seen, name
        seen.append(mark())


def test_every_change_gives_another_mark(cluster: Database) -> None:
    check_marks(cluster)


@pytest.mark.long
def test_on_postgresql_too(postgresql: Callable[[], str]) -> None:
    with open_database(postgresql()) as database:
        fill(database)
        check_marks(database)


def test_the_attempts_of_a_host(cluster: Database) -> None:
    with cluster.recording() as c:
        make_url_token(c, HOST, 1.0)
        for number in range(3):
            begin_install(c, HOST, token=str(number), address=f"10.1.1.{number}", now=1000.0 * number)
        begin_install(c, OTHER, token="other", address="10.1.1.8", now=1.0)
        found = list_installs(c, HOST, 2)
        assert [item.address for item in found] == ["10.1.1.2", "10.1.1.1"]
        assert found[0] == find_install(c, host=HOST)
        assert list_installs(c, "nobody") == ()
