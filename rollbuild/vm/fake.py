"""A VM container that is none: a file says what it holds, and in which ways it fails. For tests and for trying out."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollbuild.errors import UNREACHABLE, RollbuildError
from rollbuild.files import locked, read_limited, write_atomically
from rollbuild.vm.documents import domain_document
from rollbuild.vm.values import BootPlace, DomainState, Guest, GuestDisk, Installer, VirtType
from rollbuild.vm.xlfile import xl_file

_LIMIT = 64 * 1024 * 1024
_GB = 10**9
_FRESH: Mapping[str, Any] = {
    "memory": 16384,
    "kept_memory": 768,
    "disk": 2000 * _GB,
    "domains": {},
    "disks": {},
    "configs": {},
    "images": {},
    "faults": {},
}

STEPS = (
    *("make_disk", "put_installer", "put_config", "start", "stop", "remove_domain", "remove_disk"),
    *("save", "restore", "fetch_disk", "send_disk"),
)
"""After which of its steps a fake can have the process killed."""


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class FakeDriver:
    """A made-up container, kept in FOLDER/CONTAINER.json; see `Driver`.

    `faults` in that file: `unreachable` (a reason), `nomem` (MiB that are free), `nodisk` (bytes that are free),
    `slow` (seconds that every question takes), `crash_after` (one of STEPS, or `any`: the process is killed when that
    step is done), `refuse` (step -> what the hypervisor says), `at_work` (machines that are still saved or restored).
    """

    container: str
    folder: Path
    is_xen: bool = True
    die: Callable[[], object] = _kill_self

    @property
    def file(self) -> Path:
        return self.folder / f"{self.container}.json"

    def tell(self, **faults: object) -> None:
        """Set faults; None takes one back."""
        with self._changing() as data:
            for name, value in faults.items():
                data["faults"].pop(name, None)
                if value is not None:
                    data["faults"][name] = value

    def look(self) -> dict[str, Any]:
        """All that the file has."""
        return self._read()

    def end(self, name: str) -> None:
        """The machine turned itself off or, in its install, booted again."""
        with self._changing() as data:
            self._turn_off(data, name)

    def states(self) -> Mapping[str, DomainState]:
        data = self._ask("states")
        return {name: DomainState(domain["state"]) for name, domain in data["domains"].items()}

    def free_memory(self) -> int:
        data = self._ask("free_memory")
        return _free_memory(data)

    def kept_memory(self) -> int:
        return int(self._ask("kept_memory")["kept_memory"])

    def free_disk(self) -> int:
        data = self._ask("free_disk")
        return int(data["faults"].get("nodisk", data["disk"]))

    def missing_disks(self, disks: Sequence[GuestDisk]) -> tuple[GuestDisk, ...]:
        data = self._ask("missing_disks")
        return tuple(disk for disk in disks if disk.path not in data["disks"])

    def make_disk(self, disk: GuestDisk) -> None:
        with self._step("make_disk") as data:
            data["disks"].setdefault(disk.path, {"size": disk.size, "content": ""})

    def remove_disks(self, disks: Sequence[GuestDisk]) -> None:
        for disk in disks:
            with self._step("remove_disk") as data:
                data["disks"].pop(disk.path, None)

    def fetch_disk(self, disk: GuestDisk, to: Path) -> None:
        with self._step("fetch_disk") as data:
            if disk.path not in data["disks"]:
                raise RollbuildError(f"{disk.path} is not on {self.container}")
            write_atomically(to, json.dumps(data["disks"][disk.path]).encode())

    def send_disk(self, disk: GuestDisk, source: Path) -> None:
        with self._step("send_disk") as data:
            data["disks"][disk.path] = json.loads(read_limited(source, _LIMIT))

    def put_installer(self, name: str, installer: Installer) -> BootPlace:
        with self._step("put_installer") as data:
            places = []
            for path in (installer.kernel, installer.initrd):
                place = f"/state/partition1/vm/install/{path.name}"
                data["images"][place] = path.stat().st_size
                places.append(place)
        return BootPlace(places[0], places[1], installer.command_line)

    def start(self, guest: Guest, install: BootPlace | None = None) -> None:
        document = domain_document(guest, install).decode()
        if self.is_xen and guest.virt_type is not VirtType.KVM:
            with self._step("put_config") as data:
                data["configs"][guest.name] = xl_file(guest, install)
        with self._step("start") as data:
            known = data["domains"].get(guest.name, {"state": DomainState.UNDEFINED})
            if DomainState(known["state"]).is_on:
                raise RollbuildError(f"{guest.name} is {known['state']} on {self.container} already")
            if guest.memory > _free_memory(data):
                raise RollbuildError(f"libvirt on {self.container} refused `start`: not enough free memory")
            if missing := [disk.path for disk in guest.disks if disk.path not in data["disks"]]:
                raise RollbuildError(f"libvirt on {self.container} refused `start`: no {missing[0]}")
            data["domains"][guest.name] = {
                "state": DomainState.ACTIVE,
                "memory": guest.memory,
                "is_kept": install is None,
                "document": document,
            }

    def stop(self, name: str) -> None:
        with self._step("stop") as data:
            self._turn_off(data, name)

    def shut_down(self, name: str) -> None:
        self.stop(name)

    def reboot(self, name: str) -> None:
        with self._step("reboot") as data:
            domain = self._domain(data, name)
            if not domain["is_kept"]:
                self._turn_off(data, name)

    def pause(self, name: str) -> None:
        self._set(name, "pause", DomainState.ACTIVE, DomainState.PAUSED)

    def resume(self, name: str) -> None:
        self._set(name, "resume", DomainState.PAUSED, DomainState.ACTIVE)

    def save(self, name: str, path: str) -> None:
        with self._step("save") as data:
            domain = self._domain(data, name)
            data["disks"][path] = {"size": domain["memory"], "content": json.dumps({"name": name, **domain})}
            self._turn_off(data, name)

    def restore(self, name: str, path: str) -> None:
        with self._step("restore") as data:
            if path not in data["disks"]:
                raise RollbuildError(f"libvirt on {self.container} refused `restore`: no {path}")
            domain = json.loads(data["disks"][path]["content"])
            # As libvirt does: whichever machine is in the file goes on.
            data["domains"][domain.pop("name")] = domain

    def is_at_work(self, name: str) -> bool:
        return name in self._ask("job")["faults"].get("at_work", ())

    def remove(self, name: str, disks: Sequence[GuestDisk] = ()) -> None:
        with self._step("remove_domain") as data:
            known = data["domains"].get(name)
            if known and DomainState(known["state"]).is_on:
                raise RollbuildError(f"{name} is {known['state']} on {self.container}")
            data["domains"].pop(name, None)
            data["configs"].pop(name, None)
        self.remove_disks(disks)

    def console_argv(self, name: str) -> tuple[str, ...]:
        return ("echo", f"the console of {name} on {self.container}")

    def _set(self, name: str, step: str, before: DomainState, after: DomainState) -> None:
        with self._step(step) as data:
            domain = self._domain(data, name)
            if domain["state"] != before:
                raise RollbuildError(f"libvirt on {self.container} refused `{step}`: {name} is {domain['state']}")
            domain["state"] = after

    def _domain(self, data: dict[str, Any], name: str) -> dict[str, Any]:
        if name not in data["domains"]:
            raise RollbuildError(f"libvirt on {self.container} knows no {name}")
        domain: dict[str, Any] = data["domains"][name]
        return domain

    @staticmethod
    def _turn_off(data: dict[str, Any], name: str) -> None:
        domain = data["domains"].get(name)
        if domain is None:
            return
        if domain["is_kept"]:
            domain["state"] = DomainState.SHUTOFF
        else:
            del data["domains"][name]

    def _ask(self, step: str) -> dict[str, Any]:
        data = self._read()
        self._fail(data, step)
        return data

    def _fail(self, data: Mapping[str, Any], step: str) -> None:
        faults = data["faults"]
        if seconds := faults.get("slow"):
            time.sleep(seconds)
        if reason := faults.get("unreachable"):
            raise RollbuildError(
                f"cannot reach {self.container}: {reason}",
                hint="is it on, and does libvirt run there?",
                exit_code=UNREACHABLE,
            )
        if said := faults.get("refuse", {}).get(step):
            raise RollbuildError(f"libvirt on {self.container} refused `{step}`: {said}")

    @contextmanager
    def _step(self, step: str) -> Iterator[dict[str, Any]]:
        self._ask(step)
        with self._changing() as data:
            yield data
        if data["faults"].get("crash_after") in (step, "any"):
            self.die()

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / f"{self.container}.lock", "changing a fake container", wait_seconds=30):
            data = self._read()
            yield data
            write_atomically(self.file, json.dumps(data, indent=1, sort_keys=True).encode())

    def _read(self) -> dict[str, Any]:
        found = json.loads(read_limited(self.file, _LIMIT)) if self.file.exists() else {}
        fresh: dict[str, Any] = json.loads(json.dumps(dict(_FRESH)))
        return fresh | found


def _free_memory(data: Mapping[str, Any]) -> int:
    used = sum(domain["memory"] for domain in data["domains"].values() if DomainState(domain["state"]).is_on)
    free = data["memory"] - data["kept_memory"] - used
    return int(min(free, data["faults"].get("nomem", free)))
