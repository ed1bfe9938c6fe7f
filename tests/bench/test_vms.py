"""Fifty VMs on five containers: how long the command takes, against the slowest container alone."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rollbuild.cluster import add_host
from rollbuild.vm import WantedVm, add, create
from tests.vm.sites import Cluster, make_template, open_copy

CONTAINERS = 5
EACH = 10
# Seconds that a container takes for each question: those of SSH connections, less or more.
SLOW = {f"vm-container-0-{rank}": 0.02 + 0.005 * rank for rank in range(CONTAINERS)}
LIMIT = 1.3


@pytest.fixture
def clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Cluster, Cluster]:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "root"))
    template = make_template(tmp_path)
    return fill(open_copy(template, tmp_path / "all")), fill(open_copy(template, tmp_path / "one"))


def fill(cluster: Cluster) -> Cluster:
    with cluster.database.writing("fill") as c:
        for rank in range(2, CONTAINERS):
            add_host(c, f"vm-container-0-{rank}", appliance="vm-container", rack=0, rank=rank)
        for name in SLOW:
            for _ in range(EACH):
                add(c, name, WantedVm("Compute"))
    for name, seconds in SLOW.items():
        cluster.fake(name).tell(slow=seconds, crash_after=None)
    return cluster


def seconds_for(cluster: Cluster, containers: Sequence[str]) -> float:
    from rollbuild.cluster import list_vms

    with cluster.database.reading() as c:
        machines = [(vm.host, vm.container) for vm in list_vms(c) if vm.container in containers]
    start = time.perf_counter()
    results = list(create(cluster.workplace, machines))
    assert [result.error for result in results] == [None] * len(machines)
    return time.perf_counter() - start


def test_fifty_vms_take_as_long_as_the_slowest_container(clusters: tuple[Cluster, Cluster]) -> None:
    everything, one = clusters
    slowest = max(SLOW, key=lambda name: SLOW[name])
    alone = seconds_for(one, [slowest])
    together = seconds_for(everything, list(SLOW))
    print(f"{EACH} VMs on {slowest}: {alone:.2f} s; {EACH * CONTAINERS} VMs on {CONTAINERS}: {together:.2f} s")
    print(f"that is {together / alone:.2f} times as long; one after another it would be about {CONTAINERS} times")
    assert together <= LIMIT * alone
