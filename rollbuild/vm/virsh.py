"""libvirt, through its program virsh: Xen and KVM on another machine, over SSH, without a shell there.

libvirt's Python binding would have to be built for the Python that rollbuild runs with; virsh is there wherever libvirt
is. What it prints is parsed under LC_ALL=C; the forms were seen with libvirt 9.0.
"""

import hashlib
import os
import re
import shlex
import signal
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rollbuild.errors import UNREACHABLE, RollbuildError
from rollbuild.files import digest_file
from rollbuild.process import Completed, run_program
from rollbuild.vm.documents import domain_document
from rollbuild.vm.values import BootPlace, DomainState, Guest, GuestDisk, Installer, VirtType
from rollbuild.vm.virshtext import (
    EXISTS,
    NO_CONNECTION,
    NO_JOBS,
    NO_POOL,
    NOT_RUNNING,
    at_work,
    find_errors,
    find_number,
    hung_up,
    read_paths,
    read_states,
    refresh_and_list,
    shorten,
    spell_word,
    upload_steps,
)
from rollbuild.vm.xlfile import xl_file

CONFIG_FOLDER = "/etc/xen/rocks"
INSTALL_POOL = "install"
_SECONDS = 90.0
_UPLOAD_SECONDS = 1800.0
_SAVE_SECONDS = 1800.0
_COPY_SECONDS = 6 * 3600.0
# Of the emulator of each machine, and what a host keeps at least, in MiB; as the container's own hook has them.
_OVERHEAD = 256
_LEAST_KEPT = 2048
# Of rollbuild's own containers; their names in libvirt.
_POOLS = ("disks", INSTALL_POOL, "rocks")
_XEN_LOG = "/var/log/libvirt/libxl/libxl-driver.log"


@dataclass(frozen=True, slots=True)
class _Pool:
    name: str
    folder: str
    available: int


@dataclass(slots=True)
class VirshDriver:
    """A VM container behind a libvirt URI, such as `xen+ssh://rbvm@vm-container-0-0/system`; see `Driver`."""

    container: str
    uri: str
    is_xen: bool
    disk_folder: str = "/state/partition1/vm/disks"
    seconds: float = _SECONDS
    host_memory: int | None = None
    _pools: dict[str, _Pool] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def states(self) -> Mapping[str, DomainState]:
        return read_states(self._run(("list", "--all")))

    def free_memory(self) -> int:
        if self.is_xen:
            return find_number(self._run(("freecell",)), r"Total:\s*(\d+) KiB", "freecell") // 1024
        # What the hook on the container counts too, which has the last word: see the node vm-memory.
        total = self._total_memory()
        shown = self._run(("domstats", "--balloon", "--list-active"))
        used = [int(number) // 1024 + _OVERHEAD for number in re.findall(r"balloon\.maximum=(\d+)", shown)]
        return max(0, total - self._kept_of(total) - sum(used) - _OVERHEAD)

    def kept_memory(self) -> int:
        if self.is_xen:
            shown = self._run(("dominfo", "Domain-0"))
            return find_number(shown, r"Used memory:\s*(\d+) KiB", "dominfo") // 1024
        return self._kept_of(self._total_memory())

    def _total_memory(self) -> int:
        return find_number(self._run(("nodeinfo",)), r"Memory size:\s*(\d+) KiB", "nodeinfo") // 1024

    def _kept_of(self, total: int) -> int:
        return max(total // 10, _LEAST_KEPT) if self.host_memory is None else self.host_memory

    def free_disk(self) -> int:
        return self._pool(self.disk_folder).available

    def missing_disks(self, disks: Sequence[GuestDisk]) -> tuple[GuestDisk, ...]:
        there = self._paths(*(self._pool_of(disk).name for disk in disks))
        return tuple(disk for disk in disks if disk.path not in there)

    def make_disk(self, disk: GuestDisk) -> None:
        pool, name = self._pool_of(disk).name, PurePosixPath(disk.path).name
        create = ["vol-create-as", pool, name, str(disk.size)]
        # A logical volume has its room from the start; a file gets it as it is written.
        create += ["--format", "raw", "--allocation", "0"] if disk.kind == "file" else []
        self._run(("pool-refresh", pool), create, allowed=EXISTS)

    def remove_disks(self, disks: Sequence[GuestDisk]) -> None:
        there = self._paths(*(self._pool_of(disk).name for disk in disks))
        self._run_all(self._delete(disk) for disk in disks if disk.path in there)

    def _delete(self, disk: GuestDisk) -> tuple[str, ...]:
        return ("vol-delete", PurePosixPath(disk.path).name, "--pool", self._pool_of(disk).name)

    def fetch_disk(self, disk: GuestDisk, to: Path) -> None:
        pool, name = self._pool_of(disk).name, PurePosixPath(disk.path).name
        download = ("vol-download", name, str(to), "--pool", pool, "--sparse")
        self._run(("pool-refresh", pool), download, seconds=_COPY_SECONDS)

    def send_disk(self, disk: GuestDisk, source: Path) -> None:
        pool, name = self._pool_of(disk).name, PurePosixPath(disk.path).name
        is_there = disk.path in self._paths(pool)
        if disk.kind == "file" and is_there:
            self._run(self._delete(disk))
        if disk.kind == "file" or not is_there:
            size = str(max(disk.size, source.stat().st_size))
            how = ("--format", "raw", "--allocation", "0") if disk.kind == "file" else ()
            self._run(("vol-create-as", pool, name, size, *how))
        self._run(("vol-upload", name, str(source), "--pool", pool, "--sparse"), seconds=_COPY_SECONDS)

    def put_installer(self, name: str, installer: Installer) -> BootPlace:
        with self._lock:
            pool = self._named_pool(INSTALL_POOL)
            there = self._paths(pool.name)
            # Named by content, so that machines of one distribution share it.
            files = {path: f"{digest_file(path)[0][:24]}-{path.name}" for path in (installer.kernel, installer.initrd)}
            # An upload that was cut short has no such mark, and is done anew.
            late = {path: volume for path, volume in files.items() if f"{pool.folder}/{volume}.whole" not in there}
            uploads: list[tuple[str, ...]] = []
            for path, volume in late.items():
                uploads += upload_steps(pool.name, volume, path, is_there=f"{pool.folder}/{volume}" in there)
            self._run_all(uploads, seconds=_UPLOAD_SECONDS)
            self._run_all(
                ("vol-create-as", pool.name, f"{volume}.whole", "0", "--format", "raw") for volume in late.values()
            )
        kernel, initrd = (f"{pool.folder}/{files[path]}" for path in (installer.kernel, installer.initrd))
        return BootPlace(kernel, initrd, installer.command_line)

    def start(self, guest: Guest, install: BootPlace | None = None) -> None:
        has_config = self.is_xen and guest.virt_type is not VirtType.KVM
        pool = self._pool(CONFIG_FOLDER) if has_config else None
        shown = self._run(("list", "--all"), *(refresh_and_list(pool.name) if pool else ()))
        state = read_states(shown).get(guest.name, DomainState.UNDEFINED)
        if state.is_on:
            raise RollbuildError(f"{guest.name} is {state} on {self.container} already")
        with tempfile.TemporaryDirectory(prefix="rollbuild-vm-") as folder:
            document = Path(folder, "domain.xml")
            document.write_bytes(domain_document(guest, install))
            steps: list[tuple[str, ...]] = []
            if pool is not None:
                config = Path(folder, guest.name)
                config.write_text(xl_file(guest, install), encoding="utf-8")
                is_there = f"{pool.folder}/{guest.name}" in read_paths(shown)
                steps += upload_steps(pool.name, guest.name, config, is_there=is_there)
            if state is not DomainState.UNDEFINED:
                # libvirt replaces no machine by one with another UUID, as it has with another first MAC; and one that
                # it keeps would stay when its install ends.
                steps.append(("undefine", guest.name))
            if install is None:
                steps.append(("define", str(document)))
            self._run_all(steps)
            # Not kept: when the installer reboots, the machine is gone, and does not start its install again.
            self._run(("start", guest.name) if install is None else ("create", str(document)))

    def stop(self, name: str) -> None:
        self._run(("destroy", name), allowed=NOT_RUNNING)

    def shut_down(self, name: str) -> None:
        self._run(("shutdown", name), allowed=NOT_RUNNING)

    def reboot(self, name: str) -> None:
        self._run(("reboot", name))

    def pause(self, name: str) -> None:
        self._run(("suspend", name))

    def resume(self, name: str) -> None:
        self._run(("resume", name))

    def save(self, name: str, path: str) -> None:
        self._run(("save", name, path), seconds=_SAVE_SECONDS)

    def restore(self, name: str, path: str) -> None:
        self._run(("restore", path), seconds=_SAVE_SECONDS)

    def is_at_work(self, name: str) -> bool:
        return at_work(self._run(("domjobinfo", name), allowed=NO_JOBS))

    def remove(self, name: str, disks: Sequence[GuestDisk] = ()) -> None:
        pools = {self._pool_of(disk).name: None for disk in disks}
        config = self._pool(CONFIG_FOLDER) if self.is_xen else None
        if config is not None:
            pools[config.name] = None
        shown = self._run(("list", "--all"), *(words for pool in pools for words in refresh_and_list(pool)))
        state, there = read_states(shown).get(name, DomainState.UNDEFINED), read_paths(shown)
        if state.is_on:
            raise RollbuildError(f"{name} is {state} on {self.container}", hint=f"rocks stop host vm {name}")
        if state is not DomainState.UNDEFINED:
            self._run(("undefine", name))
        steps = [self._delete(disk) for disk in disks if disk.path in there]
        if config is not None and f"{config.folder}/{name}" in there:
            steps.append(("vol-delete", name, "--pool", config.name))
        self._run_all(steps)

    def console_argv(self, name: str) -> tuple[str, ...]:
        return ("virsh", "-c", self.uri, "console", name)

    def _paths(self, *pools: str) -> frozenset[str]:
        """The paths of what is in some pools."""
        if not pools:
            return frozenset()
        return read_paths(self._run(*(words for pool in dict.fromkeys(pools) for words in refresh_and_list(pool))))

    def _pool_of(self, disk: GuestDisk) -> _Pool:
        return self._pool(str(PurePosixPath(disk.path).parent))

    def _pool(self, folder: str) -> _Pool:
        """The pool of a folder; one is made where libvirt has none."""
        if folder not in self._pools:
            self._read_pools()
        if folder not in self._pools:
            name = f"rollbuild-{hashlib.sha256(folder.encode()).hexdigest()[:12]}"
            self._run(("pool-define-as", name, "dir", "--target", folder))
            self._run(("pool-build", name), ("pool-start", name), ("pool-autostart", name))
            self._read_pools()
        if folder not in self._pools:
            raise RollbuildError(
                f"libvirt on {self.container} has no storage pool for {folder}",
                hint=f"virsh -c {self.uri} pool-list --all shows those that it has",
            )
        return self._pools[folder]

    def _named_pool(self, name: str) -> _Pool:
        for is_fresh in (False, True):
            if is_fresh:
                self._read_pools()
            for pool in self._pools.values():
                if pool.name == name:
                    return pool
        raise RollbuildError(
            f"libvirt on {self.container} has no storage pool {name}",
            hint="VM containers have it from the node vm-pools; or virsh pool-define-as, pool-build, pool-start",
        )

    def _read_pools(self) -> None:
        # Those of rollbuild's own containers in the same connection as the names.
        shown = self._run(("pool-list", "--name"), *(("pool-dumpxml", name) for name in _POOLS), allowed=NO_POOL)
        names = re.sub(r"<pool .*?</pool>", "", shown, flags=re.DOTALL).split()
        if others := [name for name in names if name not in _POOLS]:
            shown += self._run(*(("pool-dumpxml", name) for name in others))
        for document in re.findall(r"<pool .*?</pool>", shown, re.DOTALL):
            name = re.search(r"<name>([^<]*)</name>", document)
            folder = re.search(r"<target>\s*<path>([^<]*)</path>", document)
            available = re.search(r"<available unit='bytes'>(\d+)<", document)
            if name and folder and name[1] in names:
                self._pools[folder[1]] = _Pool(name[1], folder[1], int(available[1]) if available else 0)

    def _run_all(self, commands: Iterable[Sequence[str]], *, seconds: float = 0) -> None:
        if given := tuple(commands):
            self._run(*given, seconds=seconds)

    def _run(self, *commands: Sequence[str], seconds: float = 0, allowed: re.Pattern[str] | None = None) -> str:
        """What virsh prints; several commands share a connection. virsh goes on after one that fails: those that need
        the success of another are for the next call.

        `allowed` are errors that are none here. Raises RollbuildError for any other.
        """
        line = "; ".join(" ".join(map(spell_word, command)) for command in commands)
        done = self._call(line, seconds or self.seconds)
        if hung_up(done.stderr):
            # ssh gave up a shared connection at this very moment, or it was to a container that booted since. Nothing
            # was done yet.
            done = self._call(line, seconds or self.seconds)
        if done.returncode == -signal.SIGPIPE:
            # Its connection was gone while it wrote.
            raise self._unreachable("the connection broke off")
        errors = [text for text in done.stderr.decode(errors="replace").splitlines() if text.strip()]
        wrong = find_errors(errors, allowed)
        if wrong or (done.returncode and not errors):
            raise self._explain(commands[-1][0], done, wrong)
        return done.stdout.decode(errors="replace")

    def _call(self, line: str, seconds: float) -> Completed:
        try:
            return run_program(["virsh", "-c", self.uri, line], timeout=seconds, env={**os.environ, "LC_ALL": "C"})
        except RollbuildError as problem:
            if "did not end within" not in problem.message:
                raise
            raise self._unreachable(f"no answer within {seconds:g} seconds") from None

    def _explain(self, command: str, done: Completed, errors: Sequence[str]) -> RollbuildError:
        said = " ".join(text.removeprefix("error:").strip() for text in errors) or f"exit status {done.returncode}"
        if NO_CONNECTION.search(said):
            return self._unreachable(shorten(said))
        hint = f"its log there: {_XEN_LOG}" if "libxenlight" in said else ""
        return RollbuildError(f"libvirt on {self.container} refused `{command}`: {said}", hint=hint)

    def _unreachable(self, reason: str) -> RollbuildError:
        return RollbuildError(
            f"cannot reach {self.container}: {reason}",
            hint=f"is it on, and does `{shlex.join(('virsh', '-c', self.uri, 'list'))}` work?",
            exit_code=UNREACHABLE,
        )
