"""A database with fake VM containers, commands that die at any moment, and what must hold whatever happens."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from rollbuild.cluster import (
    Database,
    Interface,
    Network,
    add_host,
    add_interface,
    add_network,
    begin_install,
    find_host,
    find_install,
    list_interfaces,
    list_vms,
    new_token,
    open_database,
    record_event,
    set_attribute,
)
from rollbuild.vm import (
    ContainerSettings,
    DomainState,
    Driver,
    FakeDriver,
    Installer,
    Result,
    VirtType,
    WantedVm,
    Workplace,
    add,
    create,
    move,
    pause,
    remove,
    restore,
    resume,
    save,
    start,
    stop,
)

NOW = 1_800_000_000.0


class Killed(BaseException):
    """The process ends here, as with kill -9."""


@dataclass
class Killer:
    """Kills at the moment `at` of those at which something was changed for good, or was about to be."""

    at: int = 0
    count: int = 0

    def tick(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise Killed


@dataclass
class Cluster:
    """A front end's database and containers that are files below a folder."""

    folder: Path
    database: Database
    killer: Killer = field(default_factory=Killer)
    contents: dict[str, str] = field(default_factory=dict)
    """VM -> what is on its disk."""
    gone_macs: set[str] = field(default_factory=set)

    @property
    def containers(self) -> tuple[str, ...]:
        return tuple(name for name in ("vm-container-0-0", "vm-container-0-1"))

    def fake(self, container: str) -> FakeDriver:
        return FakeDriver(container, self.folder / "fake", die=self.killer.tick)

    def make_driver(self, settings: ContainerSettings) -> Driver:
        return FakeDriver(settings.container, self.folder / "fake", is_xen=settings.is_xen, die=self.killer.tick)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self.database.writing("tests", "tests") as c:
            yield c
            self.killer.tick()
        self.killer.tick()

    @contextmanager
    def recording(self) -> Iterator[Connection]:
        with self.database.recording() as c:
            yield c
            self.killer.tick()
        self.killer.tick()

    def make_installer(self, host: str, token: str, virt_type: VirtType) -> Installer:
        return Installer(
            self.folder / "vmlinuz", self.folder / "initrd.img", (f"inst.ks=http://10.1.1.1/ks/t/{token}",)
        )

    @property
    def workplace(self) -> Workplace:
        return Workplace(
            reading=self.database.reading,
            writing=self.writing,
            recording=self.recording,
            make_installer=self.make_installer,
            make_driver=self.make_driver,
            clock=lambda: NOW,
        )

    def where(self, name: str) -> tuple[str, str]:
        with self.database.reading() as c:
            return next((vm.host, vm.container) for vm in list_vms(c) if vm.host == name)

    def add(self, container: str = "vm-container-0-0", **wanted: Any) -> str:
        with self.writing() as c:
            return add(c, container, WantedVm("Compute", **wanted)).host

    def run(self, verb: str, name: str, **options: Any) -> Result:
        """One of VERBS on one VM; `at` is the moment at which it is killed."""
        work: Callable[..., Iterator[Result]] = VERBS[verb]
        if verb == "move":
            (result,) = move(self.workplace, self.where(name), options.pop("to"), **options)
        else:
            (result,) = work(self.workplace, [self.where(name)], **options)
        return result

    def do(self, verb: str, name: str, **options: Any) -> Result:
        """The same, which must not be refused."""
        result = self.run(verb, name, **options)
        assert result.error is None, result.error
        return result

    def report_installed(self, name: str) -> None:
        """The host's own report, by way of the service."""
        with self.database.recording() as c:
            install = find_install(c, host=name)
            if install is None or install.state != "given":
                install = begin_install(c, name, token=new_token(), address="10.1.255.9", now=NOW, limit=1000)
            record_event(c, install, "post-done", "", NOW)

    def finish_install(self, name: str) -> None:
        """The installer has written the disk, reports it, and boots again."""
        assert name not in self.contents, f"nobody gave up what is on the disk of {name}"
        container = self.where(name)[1]
        fake = self.fake(container)
        self.contents[name] = f"{name} {len(self.contents)}"
        with fake._changing() as data:
            with self.database.reading() as c:
                (vm,) = list_vms(c, (name,))
            for disk in vm.disks:
                data["disks"][disk.path]["content"] = self.contents[name]
        self.report_installed(name)
        fake.end(name)

    def install(self, container: str = "vm-container-0-0", **wanted: Any) -> str:
        """A VM that is installed, and off."""
        name = self.add(container, **wanted)
        self.do("create", name)
        self.finish_install(name)
        return name

    def lose_power(self, container: str) -> None:
        """The container is switched off and on."""
        fake = self.fake(container)
        for name in fake.look()["domains"]:
            fake.end(name)

    def state(self, name: str) -> DomainState:
        return self.fake(self.where(name)[1]).states().get(name, DomainState.UNDEFINED)

    def boot_action(self, name: str) -> str:
        with self.database.reading() as c:
            return find_host(c, name).boot_action

    def check(self) -> None:
        """What must hold at any moment, whatever was killed."""
        with self.database.reading() as c:
            vms = {vm.host: vm for vm in list_vms(c)}
            macs = [interface.mac for interface in list_interfaces(c) if interface.mac]
        assert len(macs) == len(set(macs))
        assert not self.gone_macs & set(macs), "a MAC was given twice"
        running: dict[str, str] = {}
        looked = {container: self.fake(container).look() for container in self.containers}
        for container, data in looked.items():
            for name, domain in data["domains"].items():
                assert name in vms, f"{name} is an orphan on {container}"
                assert vms[name].container == container, f"{name} is on {container} too"
                if DomainState(domain["state"]).is_on:
                    assert name not in running, f"{name} runs twice"
                    running[name] = container
        for name, content in self.contents.items():
            disks = looked[vms[name].container]["disks"]
            for disk in vms[name].disks:
                assert disks.get(disk.path, {}).get("content") == content, f"{name} lost its disk"


VERBS: dict[str, Callable[..., Iterator[Result]]] = {
    "create": create,
    "start": start,
    "stop": stop,
    "pause": pause,
    "resume": resume,
    "save": save,
    "restore": restore,
    "move": move,
    "remove": remove,
}


def make_template(folder: Path) -> Path:
    """A database with two VM containers, to copy."""
    file = folder / "cluster.db"
    with open_database(str(file)) as database, database.writing("fill") as c:
        add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="local", serves_dns=True))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eth0", "52:54:00:aa:00:01", "10.1.1.1", "private"))
        for rank in range(2):
            add_host(c, f"vm-container-0-{rank}", appliance="vm-container", rack=0, rank=rank)
        for name, value in (("vm_driver", "fake"), ("vm_hypervisor", "xen"), ("vm_virt_type", "para")):
            set_attribute(c, "global", "", name, value)
    return file


def open_copy(template: Path, folder: Path) -> Cluster:
    """A cluster of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, folder / "cluster.db")
    for name in ("vmlinuz", "initrd.img"):
        (folder / name).write_bytes(name.encode())
    cluster = Cluster(folder, open_database(str(folder / "cluster.db")))
    (folder / "fake").mkdir(exist_ok=True)
    for container in cluster.containers:
        cluster.fake(container).tell(crash_after="any")
    return cluster


def dump(cluster: Cluster) -> str:
    """For the messages of failures."""
    return json.dumps({name: cluster.fake(name).look() for name in cluster.containers}, indent=1)
