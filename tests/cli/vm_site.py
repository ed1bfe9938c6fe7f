"""A front end with two VM containers that are files, and whole commands of `rocks` typed there."""

import json
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollbuild.cluster import (
    Interface,
    add_host,
    add_interface,
    begin_install,
    find_install,
    new_token,
    open_database,
    record_event,
    set_attribute,
)
from rollbuild.commands.rocks import main
from rollbuild.frontend import ensure_applied, open_front_end
from rollbuild.vm import FakeDriver
from tests.conftest import Outcome

CONTAINERS = ("vm-container-0-0", "vm-container-0-1")
VM = "compute-0-0-1"


@dataclass
class Site:
    """A front end with two VM containers that are files."""

    root: Path
    run: Callable[..., Outcome]

    def __call__(self, *words: str) -> Outcome:
        return self.run(*words)

    def fake(self, container: str = CONTAINERS[0]) -> FakeDriver:
        return FakeDriver(container, self.root / "var/lib/rollbuild/fake-vm")

    def do(self, *lines: str) -> str:
        """Commands that must succeed; what the last one wrote."""
        out = ""
        for line in lines:
            done = self.run(line)
            assert done.code == 0, f"{line}: {done.err}"
            out = done.out
        return out

    def report(self, name: str = VM, stage: str = "post-done") -> None:
        """What the service does when the VM fetches its Kickstart and reports."""
        with open_database() as database, database.recording() as c:
            install = find_install(c, host=name)
            if install is None or install.state != "given":
                install = begin_install(c, name, token=new_token(), address="10.1.255.200", now=time.time())
            record_event(c, install, stage, "", time.time())

    def installed(self, name: str = VM, container: str = CONTAINERS[0]) -> None:
        """The VM reports that it is installed, and its installer boots again."""
        self.report(name)
        self.fake(container).end(name)

    def states(self) -> dict[str, str]:
        shown = self.do("list host vm status=yes --json")
        return {row["vm-host"]: row["vm"][0]["status"] for row in json.loads(shown or "[]")}


@pytest.fixture(scope="module")
def described(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with the front end of the service's tests and two fake VM containers, all applied."""
    root = tmp_path_factory.mktemp("vms") / "root"
    shutil.copytree(made, root, symlinks=True, ignore=shutil.ignore_patterns("rollbuild-0", "export"))
    (root / "export").mkdir(exist_ok=True)
    shutil.copytree(made / "export/install", root / "export/install", symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLBUILD_ROOT", str(root))
        patch.setenv("ROLLBUILD_STORE", str(made / "export/rollbuild"))
        front_end = open_front_end()
        with front_end.database as database:
            with database.writing("fill") as c:
                for rank, name in enumerate(CONTAINERS):
                    add_host(c, name, appliance="vm-container", rack=0, rank=rank, cpus=16)
                    address = f"10.1.255.{100 - rank}"
                    add_interface(c, Interface(name, "eth0", f"52:54:00:aa:30:0{rank}", address, "private"))
                for name, value in (
                    ("vm_driver", "fake"),
                    ("vm_hypervisor", "xen"),
                    ("vm_virt_type", "para"),
                    ("vm_mac_base_addr", "4e:71:00:40:00:00"),
                ):
                    set_attribute(c, "global", "", name, value)
            ensure_applied(front_end)
    return root


@pytest.fixture
def applied() -> None:
    """The front end's files follow each command."""


@pytest.fixture
def site(
    described: Path,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Iterator[Site]:
    root = tmp_path / "root"
    if "applied" in request.fixturenames:
        shutil.copytree(described, root, symlinks=True)
    else:
        shutil.copytree(described / "var/lib/rollbuild", root / "var/lib/rollbuild")
    monkeypatch.setenv("ROLLBUILD_ROOT", str(root))
    monkeypatch.setenv("ROLLBUILD_STORE", str(made / "export/rollbuild"))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    if "applied" not in request.fixturenames:
        # Half a second for each command; tests that are about the files ask for it.
        monkeypatch.setattr("rollbuild.commands.rocks._changing.apply_changes", lambda call: 0)

    def run(*words: str) -> Outcome:
        argv = shlex.split(words[0]) if len(words) == 1 else list(words)
        capfd.readouterr()
        code = main(argv)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    yield Site(root, run)
