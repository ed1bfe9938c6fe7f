"""The clusters that tests of VMs work on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.sites import Cluster, make_template, open_copy


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("vm-template"))


@pytest.fixture
def cluster(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "root"))
    made = open_copy(template, tmp_path / "cluster")
    with made.database:
        yield made
