"""Whether a container has room: memory and disks, asked before anything is made."""

from collections.abc import Sequence
from dataclasses import dataclass

from rollbuild.errors import RollbuildError
from rollbuild.vm.driver import Driver
from rollbuild.vm.machines import Machine
from rollbuild.vm.values import GuestDisk, VirtType

_GB = 10**9


@dataclass(slots=True)
class Room:
    """What is free on a container, less what was promised since: MiB of memory, bytes of disk; None: not asked yet."""

    driver: Driver
    memory: int | None = None
    disk: int | None = None

    def take_memory(self, machine: Machine, *, is_forced: bool = False) -> None:
        """Promise a machine its memory. Raises RollbuildError with the figures and what can be done."""
        if is_forced:
            return
        if self.memory is None:
            self.memory = self.driver.free_memory()
        need = machine.vm.memory
        if machine.settings.is_xen:
            need = xen_memory(need, machine.host.cpus, machine.vm.virt_type)
        if need > self.memory:
            raise self._no_memory(machine, need)
        self.memory -= need

    def take_disks(self, machine: Machine, missing: Sequence[GuestDisk], *, overcommits: bool = False) -> None:
        """Promise it the disks that are still to be made, at their full sizes. Raises RollbuildError."""
        need = sum(disk.size for disk in missing if disk.kind == "file")
        if overcommits or not need:
            return
        if self.disk is None:
            self.disk = self.driver.free_disk()
        if need > self.disk:
            raise RollbuildError(
                f"not enough disk space on {machine.container}: {machine.name} needs {_show(need)}, "
                f"free {_show(self.disk)} in {machine.settings.disk_folder}",
                hint=f"a smaller disk (rocks set host vm {machine.name} disksize=...), another container, or "
                "overcommit=yes: files take room only as they are written, and guests fail when there is none left",
            )
        self.disk -= need

    def _no_memory(self, machine: Machine, need: int) -> RollbuildError:
        attribute = "dom0_memory" if machine.settings.is_xen else "vm_host_memory"
        keeper = "dom0" if machine.settings.is_xen else "the host"
        own, free = machine.vm.memory, self.memory or 0
        besides = f"; Xen needs {need - own} MiB more for it" if own <= free else ""
        return RollbuildError(
            f"not enough memory on {machine.container}: need {machine.vm.memory} MiB, free {self.memory} MiB "
            f"({keeper} keeps {self.driver.kept_memory()} MiB){besides}",
            hint=f"a smaller VM (rocks set host vm {machine.name} mem=...), another container (rocks move host vm "
            f"{machine.name} CONTAINER), stop VMs there, or as a last resort lower what {keeper} keeps (attribute "
            f"{attribute}, then reinstall the container)",
        )


def xen_memory(memory: int, cpus: int, virt_type: str) -> int:
    """MiB that a machine with `memory` MiB takes of a Xen container: its own, the tables of its pages, and slack.

    As Xen's own tools count: libxl__domain_need_memory_calculate() in tools/libs/light/libxl_mem.c, which has
    libxl_get_required_shadow_memory() of libxl_utils.c, and LIBXL_PV_EXTRA_MEMORY and LIBXL_HVM_EXTRA_MEMORY of
    libxl_internal.h (Xen 4.17). The memory of its screen is of its own, unless its QEMU is in a domain of its own.
    """
    tables = 4 * (256 * cpus + 2 * memory)
    slack = 1024 if virt_type == VirtType.PARA else 2048
    # In whole large pages, of 2 MiB.
    return -(-(memory * 1024 + tables + slack) // 2048) * 2


def _show(size: int) -> str:
    return f"{size / _GB:,.1f} GB"
