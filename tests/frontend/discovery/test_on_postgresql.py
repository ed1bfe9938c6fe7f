"""The same on PostgreSQL: several front ends insert at once, nothing is there twice."""

import threading
from collections.abc import Callable

import pytest

from rollbuild.cluster import (
    Interface,
    Network,
    add_host,
    add_interface,
    add_network,
    list_hosts,
    list_interfaces,
    open_database,
)
from rollbuild.errors import RollbuildError
from rollbuild.frontend.discovery.inserting import Placement, insert_machine
from rollbuild.frontend.discovery.survey import Survey
from rollbuild.frontend.discovery.values import Exists, Inserted
from tests.postgresql import postgresql

__all__ = ["postgresql"]

pytestmark = pytest.mark.long


def mac(number: int) -> str:
    return f"52:54:00:aa:10:{number:02x}"


def test_many_at_once(postgresql: Callable[..., str]) -> None:
    url = postgresql()
    with open_database(url) as database, database.writing("test") as c:
        add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="local"))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eth0", address="10.1.1.1", network="private"))
    found: list[Inserted | Exists] = []

    def work(start: int) -> None:
        with open_database(url) as own:
            for number in range(start, start + 20):
                found.append(insert_machine(own, Placement(), mac(number), "compute"))

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 0, 20, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    inserted = [one for one in found if isinstance(one, Inserted)]
    assert len(found) == 80 and len(inserted) == 40
    with open_database(url) as database:
        with database.reading() as c:
            assert {host.name for host in list_hosts(c)} == {"granite", *(f"compute-0-{rank}" for rank in range(40))}
            assert len({one.address for one in list_interfaces(c)}) == 41
        with pytest.raises(RollbuildError, match="exists already"):
            insert_machine(database, Placement(host="compute-0-7"), mac(99), "compute")
        known = Survey(database).look().known
    assert known is not None and set(known) == {mac(number) for number in range(40)}
