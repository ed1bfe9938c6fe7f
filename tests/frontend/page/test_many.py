"""A thousand hosts: the overview stays quick."""

from typing import Any

from sqlalchemy import Engine, event, insert

from rollbuild.cluster import Database, schema
from tests.frontend.page.test_pages import get
from tests.frontend.service.conftest import Service

HOSTS = 1000
STATES = ("installed", "installing", "given", "failed")


def fill(database: Database, now: float) -> None:
    """A thousand hosts in racks of 40, each with an interface, an install and three events."""
    names = [(f"compute-{1 + number // 40}-{number % 40}", number) for number in range(HOSTS)]
    with database.writing("fill") as c:
        c.execute(
            insert(schema.hosts),
            [{"name": name, "appliance": "compute", "rack": 1 + n // 40, "rank": n % 40} for name, n in names],
        )
        interfaces = [
            {
                "host": name,
                "device": "eth0",
                "mac": f"52:54:00:10:{n // 256:02x}:{n % 256:02x}",
                "address": f"10.1.{100 + n // 250}.{n % 250 + 1}",
                "network": "private",
            }
            for name, n in names
        ]
        c.execute(insert(schema.interfaces), interfaces)
        installs = [
            {"host": name, "state": STATES[n % 4], "stage": "packages", "detail": "x" * 200, "given": now - n}
            for name, n in names
        ]
        c.execute(insert(schema.installs), installs)
        events = [{"host": name, "time": now, "stage": stage} for name, _ in names for stage in ("a", "b", "c")]
        c.execute(insert(schema.install_events), events)


def test_the_overview_of_a_thousand_hosts(service: Service) -> None:
    fill(service.front_end.database, service.clock.now)
    get(service, "/cluster/")
    asked: list[str] = []

    def note(*given: Any) -> None:
        asked.append(given[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        answer = get(service, "/cluster/")
        queries, asked = len(asked), []
        assert get(service, "/cluster/", If_None_Match=answer.headers["etag"]).status_code == 304
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert answer.text.count('<tr id="host-') == HOSTS + 4
    # As many for one host as for a thousand.
    assert queries <= 8 and len(asked) <= 4
    assert len(answer.content) < 800 * (HOSTS + 20)
