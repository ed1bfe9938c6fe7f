"""libvirt, through its program virsh: Xen and KVM on another machine, over SSH, without a shell there.

libvirt's Python binding would have to be built for the Python that rollbuild runs with; virsh is there wherever libvirt
is. What it prints is parsed under LC_ALL=C; the forms were seen with libvirt 9.0.
"""

import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rollbuild.errors import UNREACHABLE, RollbuildError
from rollbuild.files import digest_file
from rollbuild.process import Completed, run_program
from rollbuild.vm.documents import domain_document
from rollbuild.vm.values import BootPlace, DomainState, Guest, GuestDisk, Installer, VirtType
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
_STATES = {
    "running": DomainState.ACTIVE,
    "idle": DomainState.ACTIVE,
    "paused": DomainState.PAUSED,
    "in shutdown": DomainState.SHUTDOWN,
    "shut off": DomainState.SHUTOFF,
    "crashed": DomainState.CRASHED,
    "pmsuspended": DomainState.PAUSED,
}
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,-]+\Z")


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
        shown = self._run(("list", "--all"))
        found: dict[str, DomainState] = {}
        for line in shown.splitlines()[2:]:
            match = re.match(r"\s*(?:\d+|-)\s+(\S+)\s+(\S.*?)\s*$", line)
            if match and match[1] != "Domain-0":
                found[match[1]] = _STATES.get(match[2], DomainState.NOSTATE)
        return found

    def free_memory(self) -> int:
        if self.is_xen:
            return _number(self._run(("freecell",)), r"Total:\s*(\d+) KiB", "freecell") // 1024
        # What the hook on the container counts too, which has the last word: see the node vm-memory.
        total = self._total_memory()
        shown = self._run(("domstats", "--balloon", "--list-active"))
        used = [int(number) // 1024 + _OVERHEAD for number in re.findall(r"balloon\.maximum=(\d+)", shown)]
        return max(0, total - self._kept_of(total) - sum(used) - _OVERHEAD)

    def kept_memory(self) -> int:
        if self.is_xen:
            shown = self._run(("dominfo", "Domain-0"))
            return _number(shown, r"Used memory:\s*(\d+) KiB", "dominfo") // 1024
        return self._kept_of(self._total_memory())

    def _total_memory(self) -> int:
        return _number(self._run(("nodeinfo",)), r"Memory size:\s*(\d+) KiB", "nodeinfo") // 1024

    def _kept_of(self, total: int) -> int:
        return max(total // 10, _LEAST_KEPT) if self.host_memory is None else self.host_memory

    def free_disk(self) -> int:
        return self._pool(self.disk_folder).available

    def missing_disks(self, disks: Sequence[GuestDisk]) -> tuple[GuestDisk, ...]:
        missing = []
        for disk in disks:
            pool = self._pool(str(PurePosixPath(disk.path).parent))
            if PurePosixPath(disk.path).name not in self._volumes(pool.name):
                missing.append(disk)
        return tuple(missing)

    def make_disk(self, disk: GuestDisk) -> None:
        place = PurePosixPath(disk.path)
        pool = self._pool(str(place.parent))
        if place.name in self._volumes(pool.name):
            return
        words = ["vol-create-as", pool.name, place.name, str(disk.size)]
        # A logical volume has its room from the start; a file gets it as it is written.
        words += ["--format", "raw", "--allocation", "0"] if disk.kind == "file" else []
        self._run(tuple(words))

    def remove_disks(self, disks: Sequence[GuestDisk]) -> None:
        for disk in disks:
            place = PurePosixPath(disk.path)
            pool = self._pool(str(place.parent))
            if place.name in self._volumes(pool.name):
                self._run(("vol-delete", place.name, "--pool", pool.name))

    def fetch_disk(self, disk: GuestDisk, to: Path) -> None:
        place = PurePosixPath(disk.path)
        pool = self._pool(str(place.parent))
        self._volumes(pool.name)
        self._run(("vol-download", place.name, str(to), "--pool", pool.name, "--sparse"), seconds=_COPY_SECONDS)

    def send_disk(self, disk: GuestDisk, source: Path) -> None:
        place = PurePosixPath(disk.path)
        pool = self._pool(str(place.parent))
        there = self._volumes(pool.name)
        if disk.kind == "file" and place.name in there:
            self._run(("vol-delete", place.name, "--pool", pool.name))
        if disk.kind == "file" or place.name not in there:
            size = str(max(disk.size, source.stat().st_size))
            how = ("--format", "raw", "--allocation", "0") if disk.kind == "file" else ()
            self._run(("vol-create-as", pool.name, place.name, size, *how))
        self._run(("vol-upload", place.name, str(source), "--pool", pool.name, "--sparse"), seconds=_COPY_SECONDS)

    def put_installer(self, name: str, installer: Installer) -> BootPlace:
        places = []
        with self._lock:
            pool = self._named_pool(INSTALL_POOL)
            there = self._volumes(pool.name)
            for path in (installer.kernel, installer.initrd):
                # Named by content, so that machines of one distribution share it.
                digest, _ = digest_file(path)
                volume = f"{digest[:24]}-{path.name}"
                if f"{volume}.whole" not in there:
                    self._put_file(pool.name, volume, path, there)
                    # An upload that was cut short has no such mark, and is done anew.
                    self._run(("vol-create-as", pool.name, f"{volume}.whole", "0", "--format", "raw"))
                places.append(f"{pool.folder}/{volume}")
        return BootPlace(places[0], places[1], installer.command_line)

    def _put_file(self, pool: str, volume: str, path: Path, there: Sequence[str]) -> None:
        if volume in there:
            self._run(("vol-delete", volume, "--pool", pool))
        self._run(("vol-create-as", pool, volume, str(path.stat().st_size), "--format", "raw"))
        self._run(("vol-upload", volume, str(path), "--pool", pool), seconds=_UPLOAD_SECONDS)

    def start(self, guest: Guest, install: BootPlace | None = None) -> None:
        state = self.states().get(guest.name, DomainState.UNDEFINED)
        if state.is_on:
            raise RollbuildError(f"{guest.name} is {state} on {self.container} already")
        with tempfile.TemporaryDirectory(prefix="rollbuild-vm-") as folder:
            document = Path(folder, "domain.xml")
            document.write_bytes(domain_document(guest, install))
            if self.is_xen and guest.virt_type is not VirtType.KVM:
                config = Path(folder, guest.name)
                config.write_text(xl_file(guest, install), encoding="utf-8")
                self._put_config(config)
            if install is not None:
                if state is not DomainState.UNDEFINED:
                    self._run(("undefine", guest.name))
                # Not kept: when the installer reboots, the machine is gone, and does not start its install again.
                self._run(("create", str(document)))
            else:
                self._run(("define", str(document)))
                self._run(("start", guest.name))

    def _put_config(self, path: Path) -> None:
        pool = self._pool(CONFIG_FOLDER)
        self._put_file(pool.name, path.name, path, self._volumes(pool.name))

    def stop(self, name: str) -> None:
        if self.states().get(name, DomainState.UNDEFINED).is_on:
            self._run(("destroy", name))

    def shut_down(self, name: str) -> None:
        if self.states().get(name, DomainState.UNDEFINED).is_on:
            self._run(("shutdown", name))

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

    def remove(self, name: str, disks: Sequence[GuestDisk] = ()) -> None:
        state = self.states().get(name, DomainState.UNDEFINED)
        if state.is_on:
            raise RollbuildError(f"{name} is {state} on {self.container}", hint=f"rocks stop host vm {name}")
        if state is not DomainState.UNDEFINED:
            self._run(("undefine", name))
        if self.is_xen:
            pool = self._pool(CONFIG_FOLDER)
            if name in self._volumes(pool.name):
                self._run(("vol-delete", name, "--pool", pool.name))
        self.remove_disks(disks)

    def console_argv(self, name: str) -> tuple[str, ...]:
        return ("virsh", "-c", self.uri, "console", name)

    def _volumes(self, pool: str) -> tuple[str, ...]:
        shown = self._run(("pool-refresh", pool), ("vol-list", pool))
        rows = (line.split() for line in shown.splitlines())
        return tuple(row[0] for row in rows if len(row) >= 2 and row[1].startswith("/"))

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
        self._read_pools()
        for pool in self._pools.values():
            if pool.name == name:
                return pool
        raise RollbuildError(
            f"libvirt on {self.container} has no storage pool {name}",
            hint="VM containers have it from the node vm-pools; or virsh pool-define-as, pool-build, pool-start",
        )

    def _read_pools(self) -> None:
        names = self._run(("pool-list", "--name")).split()
        if not names:
            return
        shown = self._run(*(("pool-dumpxml", name) for name in names))
        for document in re.findall(r"<pool .*?</pool>", shown, re.DOTALL):
            name = re.search(r"<name>([^<]*)</name>", document)
            folder = re.search(r"<target>\s*<path>([^<]*)</path>", document)
            available = re.search(r"<available unit='bytes'>(\d+)<", document)
            if name and folder:
                self._pools[folder[1]] = _Pool(name[1], folder[1], int(available[1]) if available else 0)

    def _run(self, *commands: Sequence[str], seconds: float = 0) -> str:
        """What virsh prints; several commands share a connection, and all of them must succeed."""
        line = "; ".join(" ".join(map(_word, command)) for command in commands)
        done = run_program(
            ["virsh", "-c", self.uri, line],
            timeout=seconds or self.seconds,
            env={**os.environ, "LC_ALL": "C"},
        )
        errors = [text for text in done.stderr.decode(errors="replace").splitlines() if text.strip()]
        if done.returncode or any(text.startswith("error:") for text in errors):
            raise self._explain(commands[-1][0], done, errors)
        return done.stdout.decode(errors="replace")

    def _explain(self, command: str, done: Completed, errors: Sequence[str]) -> RollbuildError:
        said = " ".join(text.removeprefix("error:").strip() for text in errors) or f"exit status {done.returncode}"
        if "failed to connect" in said:
            reason = said.split("failed to connect to the hypervisor", 1)[-1].strip(" :") or "no answer"
            return RollbuildError(
                f"cannot reach {self.container}: {reason}",
                hint=f"is it on, and does `virsh -c {self.uri} list` work?",
                exit_code=UNREACHABLE,
            )
        return RollbuildError(f"libvirt on {self.container} refused `{command}`: {said}")


def _word(text: str) -> str:
    """A word as virsh's own parser reads it. Raises RollbuildError for what could end it early."""
    if _PLAIN.match(text):
        return text
    if "'" in text or any(ord(letter) < 32 for letter in text):
        raise RollbuildError(f"{text!r} cannot be given to libvirt", hint="names and paths have no quotes in them")
    return f"'{text}'"


def _number(text: str, pattern: str, command: str) -> int:
    match = re.search(pattern, text)
    if match is None:
        raise RollbuildError(f"virsh {command} printed something else than expected: {text.strip()[:100]!r}")
    return int(match[1])
