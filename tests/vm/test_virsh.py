"""The driver on virsh: against libvirt's own test driver where that can, and against what virsh prints elsewhere."""

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rollbuild.errors import UNREACHABLE, RollbuildError
from rollbuild.vm import BootPlace, DomainState, GuestDisk, VirshDriver, VirtType, domain_document
from rollbuild.vm.virshtext import spell_word
from tests.vm.test_documents import guest

needs_virsh = pytest.mark.skipif(shutil.which("virsh") is None, reason="virsh is missing (package libvirt-clients)")
DOMAIN = "<domain type='test'><name>{}</name><memory unit='MiB'>512</memory><os><type>hvm</type></os></domain>"


@pytest.fixture
def driver(tmp_path: Path) -> VirshDriver:
    """libvirt's test driver with two machines, a pool and no daemon; it forgets all when virsh ends."""
    node = tmp_path / "node.xml"
    pool = "<pool type='dir'><name>disks</name><target><path>/state/disks</path></target></pool>"
    node.write_text(f"<node>{DOMAIN.format('compute-0-0-1')}{DOMAIN.format('compute-0-0-2')}{pool}</node>")
    return VirshDriver("vm-container-0-0", f"test://{node}", is_xen=False, disk_folder="/state/disks")


@needs_virsh
def test_states(driver: VirshDriver) -> None:
    assert driver.states() == {"compute-0-0-1": DomainState.ACTIVE, "compute-0-0-2": DomainState.ACTIVE}


@needs_virsh
def test_pools(driver: VirshDriver) -> None:
    assert driver.free_disk() > 0
    disk = GuestDisk("/state/disks/x.xvda", "xvda", 10**9)
    assert driver.missing_disks((disk,)) == (disk,)
    driver.make_disk(disk)
    driver.remove_disks((disk,))


@needs_virsh
def test_verbs_that_the_test_driver_has(driver: VirshDriver) -> None:
    driver.pause("compute-0-0-1")
    driver.shut_down("compute-0-0-1")
    driver.reboot("compute-0-0-1")
    driver.stop("compute-0-0-1")
    driver.stop("compute-0-0-9")
    with pytest.raises(RollbuildError, match=r"refused `suspend`: .*compute-0-0-9"):
        driver.pause("compute-0-0-9")
    with pytest.raises(RollbuildError, match="compute-0-0-1 is active"):
        driver.remove("compute-0-0-1")


@needs_virsh
def test_a_container_that_does_not_answer() -> None:
    driver = VirshDriver("vm-container-0-0", "qemu+tcp://127.0.0.1:1/system", is_xen=False)
    with pytest.raises(RollbuildError, match="cannot reach vm-container-0-0: ") as refused:
        driver.states()
    assert refused.value.exit_code == UNREACHABLE


@needs_virsh
def test_what_libvirt_does_with_uuids(tmp_path: Path) -> None:
    """Why the driver has libvirt forget a machine before it is started: one of the same UUID is replaced, but stays
    behind an install; one of another UUID, as with another first MAC, is not replaced."""
    made = guest(VirtType.KVM)
    moved = replace(made, interfaces=made.interfaces[1:])
    install = BootPlace("/vmlinuz", "/initrd.img", "")
    for name, document in (
        ("run", domain_document(made)),
        ("changed", domain_document(replace(made, memory=2048))),
        ("other", domain_document(moved)),
        ("install", domain_document(made, install)),
    ):
        (tmp_path / name).write_bytes(document.replace(b'type="kvm"', b'type="test"'))

    def virsh(*commands: str) -> str:
        line = "; ".join(command.format(folder=tmp_path, vm=made.name) for command in commands)
        done = subprocess.run(
            ["virsh", "-q", "-c", "test:///default", line],
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
            timeout=60,
        )
        return done.stdout + done.stderr

    assert made.uuid != moved.uuid
    shown = virsh("define {folder}/run", "define {folder}/changed", "domuuid {vm}", "dominfo {vm}")
    assert str(made.uuid) in shown and "2097152 KiB" in shown and "error" not in shown
    assert f"already exists with uuid {made.uuid}" in virsh("define {folder}/run", "define {folder}/other")
    # An install is gone when it ends, unless libvirt kept the machine before.
    after = ("create {folder}/install", "destroy {vm}", "list --all --name")
    assert made.name in virsh("define {folder}/run", *after).splitlines()
    assert made.name not in virsh("define {folder}/run", "undefine {vm}", *after).splitlines()


# What virsh 9.0 printed on Xen 4.17 and with QEMU: subcommand -> output.
XEN = {
    "list --all": " Id   Name            State\n--------------------------------\n 0    Domain-0        running\n"
    " 3    compute-0-0-1   running\n 4    compute-0-0-2   paused\n 5    compute-0-0-3   in shutdown\n"
    " -    compute-0-0-4   shut off\n 7    compute-0-0-5   crashed\n 8    compute-0-0-6   no state\n\n",
    "freecell": "Total: 1234944 KiB\n",
    "dominfo Domain-0": "Id:             0\nMax memory:     786432 KiB\nUsed memory:    786432 KiB\n",
}
KVM = {
    "nodeinfo": "CPU model:           x86_64\nMemory size:         33554432 KiB\n",
    "domstats --balloon --list-active": "Domain: 'compute-0-0-1'\n  balloon.current=1048576\n"
    "  balloon.maximum=1048576\n\n",
}


def fake_virsh(folder: Path, monkeypatch: pytest.MonkeyPatch, outputs: Mapping[str, str], errors: str = "") -> None:
    """A virsh that knows some subcommands, to see how its words are read."""
    lines = ["#!/bin/sh", 'case "$3" in']
    for number, (command, output) in enumerate(outputs.items()):
        (folder / f"{number}.txt").write_text(output)
        lines.append(f"'{command}') cat '{folder}/{number}.txt' ;;")
    lines += [f"*) echo '{errors}' >&2; exit 1 ;;", "esac"]
    program = folder / "virsh"
    program.write_text("\n".join(lines) + "\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_what_virsh_prints_of_xen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_virsh(tmp_path, monkeypatch, XEN)
    driver = VirshDriver("vm-container-0-0", "xen+ssh://x/system", is_xen=True)
    assert driver.states() == {
        "compute-0-0-1": DomainState.ACTIVE,
        "compute-0-0-2": DomainState.PAUSED,
        "compute-0-0-3": DomainState.SHUTDOWN,
        "compute-0-0-4": DomainState.SHUTOFF,
        "compute-0-0-5": DomainState.CRASHED,
        "compute-0-0-6": DomainState.NOSTATE,
    }
    assert driver.free_memory() == 1206
    assert driver.kept_memory() == 768


def test_a_connection_that_breaks_off_while_virsh_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """virsh has no word for it: SIGPIPE ends it, as was seen when libvirtd was killed under an upload."""
    program = tmp_path / "virsh"
    program.write_text("#!/bin/sh\nkill -s PIPE $$\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RollbuildError, match="cannot reach vm-container-0-0: the connection broke off") as refused:
        VirshDriver("vm-container-0-0", "xen+ssh://x/system", is_xen=True).states()
    assert refused.value.exit_code == UNREACHABLE


def test_memory_with_kvm_is_as_the_containers_hook_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_virsh(tmp_path, monkeypatch, KVM)
    driver = VirshDriver("vm-container-0-0", "qemu+ssh://x/system", is_xen=False)
    # 32 GiB, a tenth for the host; the machine there and the new one have an emulator each.
    assert driver.kept_memory() == 3276
    assert driver.free_memory() == 32768 - 3276 - (1024 + 256) - 256
    assert VirshDriver("c", "qemu+ssh://x/system", is_xen=False, host_memory=8192).kept_memory() == 8192


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "error: failed to connect to the hypervisor: Cannot recv data: ssh: connect to host x port 22: timed out",
            "ssh: connect to host x port 22: timed out",
        ),
        ("error: internal error: libxenlight failed", "refused `list`: internal error: libxenlight failed"),
    ],
)
def test_what_virsh_says_of_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, message: str) -> None:
    fake_virsh(tmp_path, monkeypatch, {}, said)
    with pytest.raises(RollbuildError) as refused:
        VirshDriver("vm-container-0-0", "xen+ssh://x/system", is_xen=True).states()
    assert message in refused.value.message


@needs_virsh
@pytest.mark.parametrize("word", ["plain", "with blank", "a;b", "a'b", 'a"b', "a\\b", "a\nb", "#x", "-x", "é"])
def test_words_reach_virsh_whole(word: str) -> None:
    try:
        spelled = spell_word(word)
    except RollbuildError:
        return
    done = subprocess.run(
        ["virsh", "-q", "-c", "test:///default", f"echo {spelled}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.removesuffix("\n") == word
