"""Virtual machines on KVM, emulated in software, in containers as the shipped roll makes them."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollbuild.compiler import Profile
from tests.boot.conftest import Guest
from tests.boot.libvirt import (
    Container,
    compile_host,
    end_connections,
    giving_addresses,
    make_container,
    make_front_end_host,
    name_hosts,
    need_containers,
)
from tests.boot.network import Network
from tests.boot.system import make_system_disk, make_system_initrd
from tests.boot.virtual import (
    CONTAINER,
    SECONDS,
    SERVER,
    Terminal,
    VmFrontEnd,
    inside_network,
    make_front_end,
    wait_until,
)

pytestmark = pytest.mark.boot
OTHER = "vm-container-0-1"
MACHINE = "compute-0-0-1"
STARTED = f"Started domain {MACHINE}\n"
QUIET = "console=ttyS0 no_timer_check quiet rdinit=/system"
KEPT = "512"


@dataclass(slots=True)
class Site:
    """A front end, and its VM containers by their names."""

    rocks: VmFrontEnd
    folder: Path
    network: Network
    profile: Profile
    stack: ExitStack
    containers: dict[str, Container] = field(default_factory=dict)

    def add_container(self, name: str, address: str) -> Container:
        container = self.stack.enter_context(make_container(self.network, self.folder, name, address))
        self.containers[name] = container
        container.install(self.profile)
        name_hosts(self.rocks)
        container.start()
        return container

    def logs(self) -> str:
        shown = ["\n".join(self.rocks.transcript), (self.rocks.root / "service.log").read_text()]
        return "\n".join([*shown, *(container.logs() for container in self.containers.values())])


@dataclass(frozen=True, slots=True)
class System:
    """What machines install: kernel and initrd of the installer, and the disk that it writes."""

    kernel: Path
    initrd: Path
    disk: Path


@pytest.fixture(scope="module")
def system(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> System:
    folder = tmp_path_factory.mktemp("system")
    initrd = make_system_initrd(guest, folder)
    return System(guest.kernel, initrd, make_system_disk(folder, guest.kernel, initrd, QUIET))


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The shipped rolls' VM container."""
    places = {"Kickstart_PrivateAddress": SERVER, "Kickstart_PrivateKickstartHost": SERVER}
    return compile_host("vm-container", CONTAINER, vm_host_memory=KEPT, **places)


@pytest.fixture
def site(system: System, profile: Profile, tmp_path: Path) -> Iterator[Site]:
    need_containers()
    attributes = {
        "vm_hypervisor": "kvm",
        "vm_host_memory": KEPT,
        "installer_options": f"{QUIET} test.disk=http://{SERVER}/install/system.img",
    }
    with inside_network() as network, giving_addresses(tmp_path), ExitStack() as stack:
        rocks = make_front_end(tmp_path, system.kernel, system.initrd, attributes)
        shutil.copyfile(system.disk, rocks.root / "export/install/system.img")
        make_front_end_host(rocks, tmp_path / "granite")
        stack.callback(end_connections, rocks)
        stack.enter_context(rocks.serving(f"{SERVER}:80"))
        site = Site(rocks, tmp_path, network, profile, stack)
        try:
            site.add_container(CONTAINER, "10.0.2.4")
            yield site
        finally:
            print(site.logs())  # noqa: T201


def install(site: Site, name: str = MACHINE, options: str = "mem=384 disksize=1") -> None:
    """Add a machine, and have it install itself."""
    rocks = site.rocks
    rocks.do(f"rocks add host vm {CONTAINER} Compute name={name} {options}")
    assert rocks.do(f"rocks create host vm {name}") == f"Started domain {name}\n"
    wait_for_install(site, name)


def wait_for_install(site: Site, name: str = MACHINE) -> None:
    with site.rocks.console(f"rocks-console {name}") as console:
        console.wait_for("GUEST reported post-done")
        console.wait_for_end()
    assert site.rocks.stages(name)[-3:] == ["ks-fetched", "pre-start", "post-done"]
    site.rocks.wait_for_status(name, "undefined")


def start(site: Site, name: str = MACHINE) -> str:
    """Start an installed machine, which reports its first boot; the kernel's id of this boot."""
    assert site.rocks.do(f"rocks start host vm {name}") == f"Started domain {name}\n"
    boot, _ = watch(site, name)
    assert site.rocks.stages(name)[-1] == "first-boot"
    return boot


def see_alive(console: Terminal) -> tuple[str, int]:
    """The id of the machine's boot and its count of seconds. Its disk and its network are there, and it was started by
    the loader of its disk, which says where on that the kernel is.
    """
    line = re.compile(r"GUEST alive (\S+) (\d+) disk=yes network=yes loader=/boot/vmlinuz\n")
    start, deadline = len(console.text()), time.monotonic() + SECONDS
    while (found := line.search(console.text(), start)) is None:
        if not console.read(0.2) or time.monotonic() > deadline:
            pytest.fail(f"the machine is not alive:\n{console.text()}")
    return found[1], int(found[2])


def watch(site: Site, name: str = MACHINE) -> tuple[str, int]:
    with site.rocks.console(f"rocks-console {name}") as console:
        return see_alive(console)


def test_install_start_save_and_restore(site: Site) -> None:
    """All that a user does with a machine, over SSH as the roll restricts it."""
    rocks, container = site.rocks, site.containers[CONTAINER]
    rocks.do(f'rocks add host vm {CONTAINER} membership="Compute" mem=9999999 disksize=1')
    done = rocks(f"rocks create host vm {MACHINE}")
    assert done.code == 1 and "need 9999999 MiB, free " in done.err and f"the host keeps {KEPT} MiB" in done.err
    rocks.do(f"rocks set host vm {MACHINE} mem=384")
    # KVM has no /etc/xen/rocks.
    assert rocks.do(f"rocks create host vm {MACHINE}") == STARTED
    wait_for_install(site)

    assert rocks.do(f"rocks start host VM {MACHINE}") == STARTED
    with rocks.console(f"rocks-console {MACHINE}") as console:
        boot, before = see_alive(console)
        console.press("a word\r")
        console.wait_for("GUEST heard a word")
        console.press("\x1d")
        console.wait_for_end()
    assert rocks.stages(MACHINE)[-1] == "first-boot"

    done = rocks(f"rocks save host vm {MACHINE}")
    assert done.code == 0 and f"{MACHINE} is saved in /state/partition1/vm/disks/" in done.err
    rocks.wait_for_status(MACHINE, "saved")
    done = rocks(f"rocks start host vm {MACHINE}")
    assert done.code == 1 and f"rocks restore host vm {MACHINE}" in done.err
    assert rocks.do(f"rocks restore host vm {MACHINE}") == STARTED
    again, number = watch(site)
    assert again == boot and number > before
    assert rocks.stages(MACHINE).count("first-boot") == 1
    assert [path.name for path in container.disks.iterdir()] == [f"{MACHINE}.vda"]

    rocks.do(f"rocks pause host vm {MACHINE}")
    rocks.wait_for_status(MACHINE, "paused")
    rocks.do(f"rocks resume host vm {MACHINE}")
    done = rocks(f"rocks remove host vm {MACHINE}")
    assert done.code == 1 and "is running" in done.err
    # The machine's own system turns it off.
    assert rocks(f"rocks stop host vm {MACHINE} action=shutdown").code == 0
    rocks.wait_for_status(MACHINE, "shutoff")
    assert rocks(f"rocks remove host vm {MACHINE} purge=yes").code == 0
    assert container.remains() == []
    assert rocks.do("rocks list host vm") == ""


def test_move(site: Site) -> None:
    """A running machine goes on in another container; or where it is, when that is off."""
    rocks = site.rocks
    rocks.do(f'rocks add host {OTHER} membership="VM Container" rack=0 rank=1 cpus=2')
    rocks.do(f"rocks add host interface {OTHER} eth0 mac=52:54:00:aa:10:01 ip=10.0.2.5 subnet=private")
    other = site.add_container(OTHER, "10.0.2.5")
    install(site)
    boot = start(site)
    other.stop()
    done = rocks(f"rocks move host vm {MACHINE} {OTHER}")
    assert (done.code, done.out) == (69, "") and f"cannot reach {OTHER}: " in done.err
    assert watch(site)[0] == boot
    other.start()
    done = rocks(f"rocks move host vm {MACHINE} {OTHER}")
    assert done.code == 0, rocks.transcript[-1]
    assert done.out.splitlines()[-1] == f"Restarting the VM on {OTHER}."
    assert watch(site)[0] == boot
    assert rocks.stages(MACHINE).count("first-boot") == 1
    assert site.containers[CONTAINER].remains() == []
    assert [path.name for path in other.disks.iterdir()] == [f"{MACHINE}.vda"]
    assert f" {OTHER} " in rocks.do(f"rocks list host vm {MACHINE}")
    assert rocks(f"rocks remove host vm {MACHINE} force=yes purge=yes").code == 0
    assert other.remains() == []


@contextmanager
def killed_at(container: Container, moment: str) -> Iterator[None]:
    """libvirtd kills itself when it tells its hooks of something."""
    hook = container.root / "etc/libvirt/hooks/qemu.d/kill"
    hook.write_text(f'#!/bin/sh\n[ "$2" != {moment} ] || kill -9 $(cat /run/libvirtd.pid)\n')
    hook.chmod(0o755)
    yield
    hook.unlink()


# What libvirtd is killed by: the moment, as its hook is told of it, and whether the machine runs then.
MOMENTS = {"before the machine is started": ("prepare", False), "when the machine runs": ("started", True)}


@pytest.mark.parametrize(("moment", "runs"), MOMENTS.values(), ids=MOMENTS)
def test_libvirtd_is_killed(site: Site, moment: str, runs: bool) -> None:
    rocks, container = site.rocks, site.containers[CONTAINER]
    rocks.do(f"rocks add host vm {CONTAINER} Compute name={MACHINE} mem=384 disksize=1")
    with killed_at(container, moment):
        done = rocks(f"rocks create host vm {MACHINE}")
    assert (done.code, done.out) == (69, "")
    assert f"cannot reach {CONTAINER}: " in done.err
    for line in (f"rocks create host vm {MACHINE}", f"rocks stop host vm {MACHINE}"):
        done = rocks(line)
        assert done.code == 69 and f"cannot reach {CONTAINER}: " in done.err
    done = rocks("rocks list host vm status=true")
    assert done.code == 0 and f"warning: cannot reach {CONTAINER}: " in done.err
    assert done.out.splitlines()[-1].split()[-1] == "unreachable"
    if runs:
        # The installer ends its work while libvirt is away.
        rocks.wait_for_stage(MACHINE, "post-done")
        container.start_libvirtd()
        rocks.wait_for_status(MACHINE, "undefined")
    else:
        container.start_libvirtd()
        assert rocks.do(f"rocks create host vm {MACHINE}") == STARTED
        wait_for_install(site)
    start(site)
    assert rocks(f"rocks remove host vm {MACHINE} force=yes purge=yes").code == 0
    assert container.remains() == []


def test_libvirtd_is_killed_when_a_machine_is_saved_and_restored(site: Site) -> None:
    """What the machine has in memory is not lost, and not brought back a second time."""
    rocks, container = site.rocks, site.containers[CONTAINER]
    install(site)
    boot = start(site)
    with killed_at(container, "stopped"):
        done = rocks(f"rocks save host vm {MACHINE}")
    assert done.code == 69 and f"cannot reach {CONTAINER}: " in done.err
    container.start_libvirtd()
    rocks.wait_for_status(MACHINE, "saved")
    with killed_at(container, "started"):
        done = rocks(f"rocks restore host vm {MACHINE}")
    assert (done.code, done.out) == (69, "") and f"cannot reach {CONTAINER}: " in done.err
    container.start_libvirtd()
    # It has its memory again, and stands still.
    rocks.wait_for_status(MACHINE, "paused")
    done = rocks(f"rocks restore host vm {MACHINE}")
    assert (done.code, done.out) == (0, "") and f"{MACHINE} is paused on {CONTAINER} already" in done.err
    rocks.do(f"rocks resume host vm {MACHINE}")
    assert watch(site)[0] == boot
    assert rocks.stages(MACHINE).count("first-boot") == 1
    assert [path.name for path in container.disks.iterdir()] == [f"{MACHINE}.vda"]
    assert rocks(f"rocks remove host vm {MACHINE} force=yes purge=yes").code == 0
    assert container.remains() == []


def test_a_container_falls_silent_and_is_switched_off(site: Site) -> None:
    rocks, container = site.rocks, site.containers[CONTAINER]
    rocks.do(f"rocks add host vm {CONTAINER} Compute name={MACHINE} mem=384 disksize=1")
    # In the middle of a command, which waits for libvirt.
    container.do("kill -STOP $(cat /run/libvirtd.pid)")
    with rocks.console(f"rocks create host vm {MACHINE}") as create:
        wait_until("the command is connected", container.has_visitors)
        container.cut_off()
        assert create.wait_for_end() == 69
        assert f"cannot reach {CONTAINER}: " in create.text()
        # It was ssh that noticed, long before the time for an answer is over.
        assert "no answer within" not in create.text()
    container.do("kill -CONT $(cat /run/libvirtd.pid)")
    done = rocks(f"rocks start host vm {MACHINE}")
    assert done.code == 69 and f"cannot reach {CONTAINER}: " in done.err
    container.plug_in()
    assert rocks.do(f"rocks create host vm {MACHINE}") == STARTED
    container.stop()
    done = rocks(f"rocks stop host vm {MACHINE}")
    assert done.code == 69 and f"cannot reach {CONTAINER}: " in done.err
    done = rocks("rocks list host vm status=true")
    assert done.code == 0 and done.out.splitlines()[-1].split()[-1] == "unreachable"
    container.start()
    rocks.wait_for_status(MACHINE, "undefined")
    done = rocks(f"rocks start host vm {MACHINE}")
    assert (done.code, done.out) == (0, STARTED) and "its install starts again" in done.err
    wait_for_install(site)
    assert rocks(f"rocks remove host vm {MACHINE} purge=yes").code == 0
    assert container.remains() == []
