"""Any commands in any order, killed at any moment, with containers that fail: no machine twice, no disk lost."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rollbuild.cluster import list_interfaces, list_vms, set_boot, set_vm
from rollbuild.errors import RollbuildError
from tests.vm.sites import Cluster, Killed, make_template, open_copy

CONTAINERS = ("vm-container-0-0", "vm-container-0-1")
FILES = ("/state/a", "/state/partition1/vm/disks/compute-0-0-1.xvda")
MOMENTS = st.one_of(st.just(0), st.integers(1, 14))


class Lives(RuleBasedStateMachine):
    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.cluster: Cluster = open_copy(self.template, self.folder)

    def teardown(self) -> None:
        self.cluster.database.close()
        shutil.rmtree(self.folder)

    def names(self) -> list[str]:
        with self.cluster.database.reading() as c:
            return [vm.host for vm in list_vms(c)]

    def type(self, verb: str, pick: int, at: int, **options: Any) -> None:
        names = self.names()
        name = names[pick % len(names)]
        with self.cluster.database.reading() as c:
            macs = {interface.mac for interface in list_interfaces(c, (name,))}
        gives_up = options.get("is_forced", False) if verb == "create" else verb == "remove"
        content = self.cluster.contents.get(name)
        # An install overwrites only what somebody gave up; `start` of an install goes on with one.
        if gives_up or (verb in ("start", "stop") and self.cluster.boot_action(name) == "install"):
            self.cluster.contents.pop(name, None)
        self.cluster.killer.count, self.cluster.killer.at = 0, at
        try:
            result = self.cluster.run(verb, name, **options)
            refused = result.error is not None
        except Killed:
            refused = False
        finally:
            self.cluster.killer.at = 0
        if refused and content is not None:
            # A refusal changes nothing on the disk.
            self.cluster.contents[name] = content
        if verb == "remove" and name not in self.names():
            self.cluster.contents.pop(name, None)
            self.cluster.gone_macs |= macs

    @rule(container=st.sampled_from(CONTAINERS), at=st.sampled_from([0, 0, 0, 1, 2]))
    def add(self, container: str, at: int) -> None:
        if len(self.names()) > 4:
            return
        self.cluster.killer.count, self.cluster.killer.at = 0, at
        try:
            self.cluster.add(container, memory=2048)
        except (Killed, RollbuildError):
            pass
        finally:
            self.cluster.killer.at = 0

    @precondition(lambda self: self.names())
    @rule(
        verb=st.sampled_from(["create", "start", "start", "stop", "pause", "resume", "save", "restore"]),
        pick=st.integers(0, 4),
        at=MOMENTS,
    )
    def plain(self, verb: str, pick: int, at: int) -> None:
        self.type(verb, pick, at)

    @precondition(lambda self: self.names())
    @rule(verb=st.sampled_from(["create", "start", "restore"]), pick=st.integers(0, 4), at=MOMENTS)
    def forced(self, verb: str, pick: int, at: int) -> None:
        self.type(verb, pick, at, is_forced=True)

    @precondition(lambda self: self.names())
    @rule(action=st.sampled_from(["reset", "shutdown"]), pick=st.integers(0, 4), at=MOMENTS)
    def stop_otherwise(self, action: str, pick: int, at: int) -> None:
        self.type("stop", pick, at, action=action)

    @precondition(lambda self: self.names())
    @rule(to=st.sampled_from(CONTAINERS), file=st.sampled_from(["", *FILES]), pick=st.integers(0, 4), at=MOMENTS)
    def move(self, to: str, file: str, pick: int, at: int) -> None:
        self.type("move", pick, at, to=to, file=file)

    @precondition(lambda self: self.names())
    @rule(forced=st.booleans(), purges=st.booleans(), pick=st.integers(0, 4), at=MOMENTS)
    def remove(self, forced: bool, purges: bool, pick: int, at: int) -> None:
        self.type("remove", pick, at, is_forced=forced, purges=purges)

    @precondition(lambda self: self.names())
    @rule(pick=st.integers(0, 4))
    def order_install(self, pick: int) -> None:
        """`rocks set host boot VM action=install`."""
        names = self.names()
        with self.cluster.database.writing("set host boot") as c:
            set_boot(c, names[pick % len(names)], "install")

    @precondition(lambda self: self.names())
    @rule()
    def load(self) -> None:
        """What `rocks dump` and `rocks load` leave of states: nothing."""
        with self.cluster.database.recording() as c:
            for vm in list_vms(c):
                set_vm(c, vm.host, state="")

    @precondition(lambda self: self.names())
    @rule(verb=st.sampled_from(["save", "restore"]), file=st.sampled_from(FILES), pick=st.integers(0, 4), at=MOMENTS)
    def by_file(self, verb: str, file: str, pick: int, at: int) -> None:
        self.type(verb, pick, at, file=file)

    @precondition(lambda self: self.installing())
    @rule(pick=st.integers(0, 4))
    def finish_install(self, pick: int) -> None:
        names = self.installing()
        self.cluster.finish_install(names[pick % len(names)])

    @rule(container=st.sampled_from(CONTAINERS))
    def lose_power(self, container: str) -> None:
        self.cluster.lose_power(container)

    @rule(container=st.sampled_from(CONTAINERS), reason=st.sampled_from([None, None, "no route to host"]))
    def reach(self, container: str, reason: str | None) -> None:
        self.cluster.fake(container).tell(unreachable=reason)

    @rule(container=st.sampled_from(CONTAINERS), free=st.sampled_from([None, 612]))
    def memory(self, container: str, free: int | None) -> None:
        self.cluster.fake(container).tell(nomem=free)

    def installing(self) -> list[str]:
        """Those whose installer runs."""
        found = []
        for container in CONTAINERS:
            for name, domain in self.cluster.fake(container).look()["domains"].items():
                if not domain["is_kept"] and self.cluster.boot_action(name) == "install":
                    found.append(name)
        return sorted(found)

    @invariant()
    def holds(self) -> None:
        self.cluster.check()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "root"))
    yield tmp_path


def run_lives(template: Path, examples: int, steps: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    class Here(Lives):
        pass

    Here.template = template
    wanted = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Here, settings=wanted)


def test_some_lives(template: Path, root: Path) -> None:
    run_lives(template, 6, 20)


@pytest.mark.long
def test_many_lives(template: Path, root: Path) -> None:
    run_lives(template, 60, 40)
