"""Each command, killed at each moment at which it changed something: what is left holds, and again it ends well."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rollbuild.cluster import set_vm
from rollbuild.errors import BUSY
from rollbuild.vm import DomainState, FakeDriver, create, remove
from tests.vm.sites import Cluster, Killed, Killer, open_copy

OTHER = "vm-container-0-1"
FILE = "/state/partition2/a.state"


def added(cluster: Cluster) -> str:
    return cluster.add()


def installed(cluster: Cluster) -> str:
    return cluster.install()


def running(cluster: Cluster) -> str:
    name = cluster.install()
    cluster.do("start", name)
    return name


def saved(cluster: Cluster) -> str:
    name = running(cluster)
    cluster.do("save", name)
    return name


def interrupted(cluster: Cluster) -> str:
    """Its container lost power during the install."""
    name = cluster.add()
    cluster.do("create", name)
    cluster.lose_power("vm-container-0-0")
    return name


def saved_elsewhere(cluster: Cluster) -> str:
    name = running(cluster)
    cluster.do("save", name, file=FILE)
    return name


def unknown(cluster: Cluster) -> str:
    """It runs, and the database was loaded from a dump meanwhile."""
    name = running(cluster)
    forget(cluster, name)
    return name


def forget(cluster: Cluster, name: str) -> None:
    with cluster.database.recording() as c:
        set_vm(c, name, state="", saved="")


OFF = (DomainState.SHUTOFF, DomainState.UNDEFINED)
ACTIVE = (DomainState.ACTIVE,)
# Before, what is typed, how the VM is when it was done, what it may be refused with when it is typed again.
KILLED: dict[str, tuple[Callable[[Cluster], str], str, dict[str, object], tuple[DomainState, ...], str]] = {
    "create": (added, "create", {}, ACTIVE, "already installing"),
    "create anew": (installed, "create", {"is_forced": True}, ACTIVE, "already installing"),
    "create what was saved": (saved, "create", {"is_forced": True}, ACTIVE, "already installing"),
    "start": (installed, "start", {}, ACTIVE, "already running"),
    "start an install": (interrupted, "start", {}, ACTIVE, "still installing"),
    "start what was saved": (saved, "start", {"is_forced": True}, ACTIVE, "already running"),
    "stop": (running, "stop", {}, OFF, ""),
    "reset": (running, "stop", {"action": "reset"}, ACTIVE, "does not run"),
    "save": (running, "save", {}, OFF, ""),
    "restore": (saved, "restore", {}, ACTIVE, ""),
    "move what is off": (installed, "move", {"to": OTHER}, OFF, ""),
    "move what runs": (running, "move", {"to": OTHER}, ACTIVE, ""),
    "move what is saved": (saved, "move", {"to": OTHER}, OFF, ""),
    "save in a file": (running, "save", {"file": FILE}, OFF, ""),
    "restore from a file": (saved_elsewhere, "restore", {}, ACTIVE, ""),
    "create what was saved in a file": (saved_elsewhere, "create", {"is_forced": True}, ACTIVE, "already installing"),
    "move what runs, by a file": (running, "move", {"to": OTHER, "file": FILE}, ACTIVE, ""),
    "move what is saved in a file": (saved_elsewhere, "move", {"to": OTHER, "file": FILE}, OFF, ""),
    "stop what is unknown": (unknown, "stop", {}, OFF, ""),
    "save what is unknown": (unknown, "save", {}, OFF, ""),
    "move what is unknown": (unknown, "move", {"to": OTHER}, ACTIVE, ""),
    "remove": (installed, "remove", {}, OFF, ""),
    "remove what runs, with its disks": (running, "remove", {"is_forced": True, "purges": True}, OFF, ""),
}


# The others take a second each and show little more.
QUICK = ("create", "remove", "move what is off")


@pytest.mark.parametrize("what", [one if one in QUICK else pytest.param(one, marks=pytest.mark.long) for one in KILLED])
def test_killed_at_any_moment(what: str, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, verb, options, expected, refusal = KILLED[what]
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "root"))
    for moment in range(1, 100):
        cluster = open_copy(template, tmp_path / f"{moment}")
        with cluster.database:
            name = before(cluster)
            if verb == "create" or (verb == "remove" and options):
                # What is on the disk is given up.
                cluster.contents.clear()
            cluster.killer.count, cluster.killer.at = 0, moment
            try:
                result = cluster.run(verb, name, **options)
                assert result.error is None, result.error
                was_killed = False
            except Killed:
                was_killed = True
            cluster.killer.at = 0
            if verb == "remove":
                cluster.contents.pop(name, None) if name not in known(cluster) else None
            cluster.check()
            if was_killed and name in known(cluster):
                again = cluster.run(verb, name, **options)
                assert again.error is None or (refusal and refusal in again.error.message), again.error
                if verb == "move" and before in (running, unknown) and cluster.state(name) in OFF:
                    # Killed after the move: it waits where it is now.
                    assert any("rocks restore host vm" in line for line in again.news)
                    cluster.do("restore", name)
                if what == "reset" and cluster.state(name) in OFF:
                    cluster.do("start", name)
            if verb == "remove":
                assert name not in known(cluster)
                assert all(name not in cluster.fake(one).look()["domains"] for one in cluster.containers)
                assert all(name not in cluster.fake(one).look()["configs"] for one in cluster.containers)
            else:
                cluster.check()
                assert cluster.state(name) in expected
            if verb == "move":
                assert cluster.where(name)[1] == OTHER
                assert cluster.fake("vm-container-0-0").look()["disks"] == {}, "the old copies are forgotten"
            if verb != "remove":
                left = {path for one in cluster.containers for path in cluster.fake(one).look()["disks"]}
                assert (FILE in left) == ((before is saved_elsewhere and verb == "move") or what == "save in a file")
        if not was_killed:
            assert moment > 2
            return
    raise AssertionError("it does not end")


def known(cluster: Cluster) -> set[str]:
    from rollbuild.cluster import list_vms

    with cluster.database.reading() as c:
        return {vm.host for vm in list_vms(c)}


def test_a_removed_vm_keeps_its_mac_for_a_day(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from rollbuild.cluster import list_interfaces

    def mac(name: str) -> str:
        with cluster.database.reading() as c:
            return list_interfaces(c, (name,))[0].mac

    first = cluster.add()
    taken = mac(first)
    cluster.do("remove", first)
    second = cluster.add()
    assert first == second and mac(second) != taken
    later = time.time() + 25 * 3600
    monkeypatch.setattr("time.time", lambda: later)
    assert mac(cluster.add()) == taken


def test_a_vm_that_was_moved_meanwhile_is_not_made_where_it_was(cluster: Cluster) -> None:
    """Two terminals: one chose the VM by its old container, and comes second."""
    first, second = cluster.add(), cluster.add()
    chosen = [cluster.where(first), cluster.where(second)]
    cluster.do("move", second, to=OTHER)
    results = list(create(cluster.workplace, chosen))
    assert results[0].error is None
    assert results[1].error is not None and results[1].error.exit_code == BUSY
    assert f"{second} was moved to {OTHER} meanwhile" in results[1].error.message
    cluster.check()
    assert cluster.state(second) in OFF


def test_a_container_that_is_lost_is_asked_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [cluster.install() for _ in range(3)]
    cluster.fake("vm-container-0-0").tell(unreachable="no route to host")
    asked: list[str] = []
    states = FakeDriver.states

    def ask(driver: FakeDriver) -> Mapping[str, DomainState]:
        asked.append(driver.container)
        return states(driver)

    monkeypatch.setattr(FakeDriver, "states", ask)
    results = list(remove(cluster.workplace, [cluster.where(name) for name in names], is_lost=True))
    assert not any(result.error for result in results) and len(asked) == 1
    assert not known(cluster) & set(names)


def test_the_killer_kills(cluster: Cluster) -> None:
    name = cluster.add()
    cluster.killer = Killer(1)
    with pytest.raises(Killed):
        cluster.run("create", name)
