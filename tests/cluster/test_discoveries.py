import pytest

from rollbuild.cluster import (
    Database,
    Interface,
    add_interface,
    approve_discovery,
    deny_discovery,
    discoveries,
    find_discovery,
    forget_discovery,
    list_discoveries,
    note_discovery,
)
from rollbuild.errors import RollbuildError

MAC = "52:54:00:bb:00:01"


def test_what_asks_again_is_counted_and_waits(database: Database) -> None:
    with database.recording() as c:
        note_discovery(c, MAC.upper().replace(":", "-"), vendor="PXEClient", now=1.0)
        again = note_discovery(c, MAC, arch="uefi", address="10.1.0.9", now=2.0)
        note_discovery(c, "52:54:00:bb:00:02", now=1.5)
        assert [found.mac for found in list_discoveries(c)] == [MAC, "52:54:00:bb:00:02"]
    assert (again.mac, again.times, again.first_seen, again.last_seen) == (MAC, 2, 1.0, 2.0)
    assert (again.vendor, again.arch, again.address, again.state) == ("PXEClient", "uefi", "10.1.0.9", "waiting")


def test_decisions_stay_when_it_asks_again(database: Database) -> None:
    with database.recording() as c:
        note_discovery(c, MAC, now=1.0)
        assert approve_discovery(c, MAC, appliance="compute", host="compute-0-7").state == "approved"
        again = note_discovery(c, MAC, now=2.0)
        assert (again.state, again.appliance, again.host) == ("approved", "compute", "compute-0-7")
        assert deny_discovery(c, MAC).appliance == ""
        assert list_discoveries(c, "waiting") == ()
        assert [found.mac for found in list_discoveries(c, "denied")] == [MAC]
        forget_discovery(c, MAC)
        with pytest.raises(RollbuildError, match="was discovered"):
            find_discovery(c, MAC)
        assert note_discovery(c, MAC, now=3.0).state == "waiting"


def test_what_a_host_has_is_no_discovery(cluster: Database) -> None:
    with cluster.writing("test") as c:
        note_discovery(c, MAC, now=1.0)
        add_interface(c, Interface("compute-0-0", "eth1", MAC))
        assert list_discoveries(c) == ()
        with pytest.raises(RollbuildError, match="compute-0-0"):
            approve_discovery(c, MAC)


@pytest.mark.parametrize("mac", ["", "52:54:00:bb:00", "01:00:5e:00:00:01", "x\n"])
def test_what_is_no_mac(database: Database, mac: str) -> None:
    with database.recording() as c, pytest.raises(RollbuildError):
        note_discovery(c, mac, now=1.0)


def test_what_a_machine_says_is_one_short_line(database: Database) -> None:
    with database.recording() as c:
        found = note_discovery(c, MAC, vendor="a\n\x1b[31m" + "x" * 500, arch="é", now=1.0)
    assert found.vendor.startswith("a??[31mx")
    assert len(found.vendor) == 128
    assert found.arch == "é"


def test_the_queue_has_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discoveries, "QUEUE_LIMIT", 3)
    with database.recording() as c:
        note_discovery(c, MAC, now=0.0)
        approve_discovery(c, MAC)
        for number in range(5):
            note_discovery(c, f"52:54:00:bb:01:0{number}", now=1.0 + number)
        assert [found.mac[-2:] for found in list_discoveries(c)] == ["01", "02", "03", "04"]
        assert find_discovery(c, MAC).state == "approved"
