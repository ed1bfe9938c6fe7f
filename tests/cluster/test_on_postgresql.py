from collections.abc import Callable

import pytest

from rollbuild.cluster import (
    Database,
    VirtualMachine,
    VmDisk,
    add_host,
    add_vm,
    apply_import,
    approve_discovery,
    begin_install,
    count_attempts,
    discoveries,
    dump_commands,
    export_cluster,
    find_install,
    hold_host,
    install_states,
    list_audit,
    list_discoveries,
    list_events,
    make_url_token,
    note_discovery,
    open_database,
    plan_import,
    prune_audit,
    record_event,
    resolve_attributes,
    set_attribute,
    set_boot,
)
from tests.cluster.conftest import fill

pytestmark = pytest.mark.long


@pytest.fixture
def database(postgresql: Callable[..., str]) -> Database:
    return open_database(postgresql())


def test_installs(database: Database) -> None:
    fill(database)
    with database.writing("test") as c:
        set_boot(c, "compute-0-0", "install")
    with database.recording() as c:
        url_token = make_url_token(c, "compute-0-0", 1.0)
        install = begin_install(c, "compute-0-0", token="one", address="10.1.255.254", now=2.0, url_token=url_token)
        for number in range(205):
            record_event(c, install, "packages", f"{number}\0", 3.0)
        assert len(list_events(c, "compute-0-0")) == 200
        assert count_attempts(c, "compute-0-0") == 1
        assert record_event(c, install, "post-done", "", 4.0).state == "installed"
        assert install_states(c).keys() == {"compute-0-0"}
        assert find_install(c, token="one") == install_states(c)["compute-0-0"]
        hold_host(c, "compute-0-0", "why")


def test_discoveries(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discoveries, "QUEUE_LIMIT", 3)
    with database.recording() as c:
        for number in range(5):
            note_discovery(c, f"52:54:00:bb:01:0{number}", now=float(number))
        monkeypatch.setattr(discoveries, "QUEUE_LIMIT", 1)
        note_discovery(c, "52:54:00:bb:01:09", now=9.0)
        assert [found.mac[-2:] for found in list_discoveries(c)] == ["09"]
        assert approve_discovery(c, "52:54:00:bb:01:09", appliance="compute").state == "approved"


def test_all_that_is_configured(database: Database, postgresql: Callable[..., str]) -> None:
    fill(database)
    with database.writing("rocks test") as c:
        set_attribute(c, "global", "", "motd", "é\n")
        set_attribute(c, "rack", "0", "motd", "x" * 100_000)
        add_host(c, "box", appliance="vm-container", rack=0, rank=0)
        add_host(c, "compute-0-0-0", appliance="compute", rack=0, rank=0, is_vm=True)
        add_vm(c, VirtualMachine("compute-0-0-0", "box", 0, disks=(VmDisk("file", "/a", "hda"),)))
    with database.recording() as c:
        exported = export_cluster(c)
        commands = list(dump_commands(c))
        assert resolve_attributes(c, "compute-0-0")["motd"] == ("x" * 100_000, "R")
        assert list_audit(c)[0].command == "rocks test"
        assert prune_audit(c, 1) >= 1
    with open_database(postgresql()) as other:
        with other.reading() as c:
            changes = plan_import(c, exported, removes=True)
        with other.writing("import") as c:
            apply_import(c, changes)
        with other.reading() as c:
            assert export_cluster(c) == exported
            assert list(dump_commands(c)) == commands
