"""What a change of the database does not do: containers are not asked, and keep what they have until they are."""

from typing import TYPE_CHECKING

from rollbuild.cluster import VirtualMachine
from rollbuild.vm.machines import INSTALLING, RUNNING, SAVED, container_settings, disk_paths, files_there

if TYPE_CHECKING:
    from sqlalchemy import Connection

_HAS = {RUNNING: "runs", SAVED: "is saved", INSTALLING: "was started"}


def tell_changes(c: "Connection", former: VirtualMachine, vm: VirtualMachine) -> tuple[str, ...]:
    """What a person should know when a VM of the database is another one now, a line each.

    Of one of which nothing was ever made on its container there is nothing to say.
    """
    if not former.may_exist:
        return ()
    news: list[str] = []
    name, container = former.host, former.container
    old, new, used = disk_paths(former), disk_paths(vm), files_there(c, container)
    for path, disk in old.items():
        remove = f"virsh -c '{container_settings(c, container).uri}' vol-delete {path}"
        if path not in new:
            if path not in used:
                news.append(f"the old disk of {name} stays on {container}: {path}; to get rid of it: {remove}")
        elif disk.kind == "file" and new[path].size_gb != disk.size_gb:
            news.append(
                f"{path} on {container} keeps its size; it has {new[path].size_gb} GB when it is made anew, without "
                f"what is on it now: {remove}; rocks create host vm {name} force=yes"
            )
    if vm.memory != former.memory:
        news += tell_next_start(former, f"{former.memory} MiB")
    return tuple(news)


def tell_next_start(vm: VirtualMachine, what: str) -> tuple[str, ...]:
    """That a VM which is known to be on has `what` until it is started again."""
    if vm.state not in _HAS:
        return ()
    return (f"{vm.host} {_HAS[vm.state]} with {what}: the change holds from its next start",)
