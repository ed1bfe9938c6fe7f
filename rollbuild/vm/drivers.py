"""Which driver a VM container has, and how its machines are made: from its attributes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rollbuild.errors import RollbuildError
from rollbuild.files import system_path
from rollbuild.vm.driver import Driver
from rollbuild.vm.fake import FakeDriver
from rollbuild.vm.values import VirtType
from rollbuild.vm.virsh import VirshDriver

DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "vm_hypervisor": "kvm",
        "vm_driver": "libvirt",
        "vm_connection": "",
        "vm_acceleration": "kvm",
        "vm_virt_type": "",
        "vm_first_slice": "1",
        "vm_disk_dir": "/state/partition1/vm/disks",
        "vm_bridge": "br-private",
        "vm_bridge_prefix": "br-",
        "vm_host_memory": "",
    }
)
"""As the roll kvm declares them: what holds where the database says nothing else."""

FAKE_FOLDER = "/var/lib/rollbuild/fake-vm"
_CHOICES = {
    "vm_hypervisor": ("kvm", "xen"),
    "vm_driver": ("libvirt", "fake"),
    "vm_acceleration": ("kvm", "emulation"),
    "vm_virt_type": ("", "para", "pvh", "hvm"),
}
_FOLDER = re.compile(r"(/[A-Za-z0-9_.@+-]+)+\Z")
_BRIDGE = re.compile(r"[A-Za-z0-9_.-]{0,15}\Z")
_URI = re.compile(r"[a-z]+(\+[a-z0-9]+)?://[\x21\x23-\x26\x28-\x3a\x3c-\x7e]*\Z")
_LONGEST_BRIDGE = 15
_OLD_RELEASES = ("el5", "el6", "el7")


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """How the machines of one container are made and reached. `host_memory` is in MiB, None: a tenth."""

    container: str
    is_xen: bool = False
    is_fake: bool = False
    connection: str = ""
    is_emulated: bool = False
    virt_type: str = ""
    first_slice: int = 1
    disk_folder: str = DEFAULTS["vm_disk_dir"]
    bridge: str = DEFAULTS["vm_bridge"]
    bridge_prefix: str = DEFAULTS["vm_bridge_prefix"]
    host_memory: int | None = None

    @property
    def uri(self) -> str:
        """Where libvirt is asked."""
        default = "xen+ssh://rbvm@{container}/system" if self.is_xen else "qemu+ssh://rbvm@{container}/system"
        return (self.connection or default).replace("{container}", self.container)

    @property
    def disk_device(self) -> str:
        """What machines call their first disk."""
        return "xvda" if self.is_xen else "vda"

    def bridge_of(self, network: str, vlan: int | None) -> str:
        """The bridge for an interface on a network or VLAN. Raises RollbuildError for a name that is too long."""
        name = self.bridge
        if vlan is not None:
            name = f"br-vlan{vlan}"
        elif network not in ("", "private"):
            name = f"{self.bridge_prefix}{network}"
        if len(name) > _LONGEST_BRIDGE:
            raise RollbuildError(
                f"the bridge of network {network} would be {name}, which has more than {_LONGEST_BRIDGE} characters",
                hint="shorten the attribute vm_bridge_prefix or the name of the network",
            )
        return name

    def choose_virt_type(self, wanted: str, release: str = "") -> VirtType:
        """How a machine is virtualized, for what its VM or attribute says, else for the release that it installs.

        Raises RollbuildError for a way that the hypervisor does not have.
        """
        if not self.is_xen:
            if wanted not in ("", "hvm"):
                raise RollbuildError(
                    f"{self.container} runs its VMs with KVM, which has no virt-type {wanted}",
                    hint="virt-type=hvm, or another VM container",
                )
            return VirtType.KVM
        if wanted or self.virt_type:
            return VirtType(wanted or self.virt_type)
        # The kernels of EL 8 and later have no drivers for Xen but those of HVM.
        is_new = release.startswith("el") and release not in _OLD_RELEASES
        return VirtType.HVM if is_new else VirtType.PARA


def read_settings(container: str, attributes: Mapping[str, str]) -> ContainerSettings:
    """The settings of a container from the attributes that hold for it. Raises RollbuildError for a wrong value."""
    values = {name: attributes.get(name, default).strip() for name, default in DEFAULTS.items()}
    for name, choices in _CHOICES.items():
        if values[name] not in choices:
            shown = ", ".join(choice or "nothing" for choice in choices)
            raise _wrong(container, name, values[name], f"it is one of {shown}")
    for name, pattern, hint in (
        ("vm_disk_dir", _FOLDER, "it is an absolute path of letters, digits and _.@+-"),
        ("vm_bridge", _BRIDGE, "it is the name of a bridge, at most 15 characters"),
        ("vm_bridge_prefix", _BRIDGE, "it is how names of bridges begin"),
    ):
        if not pattern.match(values[name]) or "/../" in f"{values[name]}/":
            raise _wrong(container, name, values[name], hint)
    if values["vm_connection"] and not _URI.match(values["vm_connection"]):
        raise _wrong(
            container, "vm_connection", values["vm_connection"], "as xen+ssh://rbvm@{container}/system, without blanks"
        )
    for name in ("vm_first_slice", "vm_host_memory"):
        if not re.fullmatch(r"[0-9]{1,9}", values[name] or "0"):
            raise _wrong(container, name, values[name], "it is a number")
    return ContainerSettings(
        container=container,
        is_xen=values["vm_hypervisor"] == "xen",
        is_fake=values["vm_driver"] == "fake",
        connection=values["vm_connection"],
        is_emulated=values["vm_acceleration"] == "emulation",
        virt_type=values["vm_virt_type"],
        first_slice=int(values["vm_first_slice"] or DEFAULTS["vm_first_slice"]),
        disk_folder=values["vm_disk_dir"],
        bridge=values["vm_bridge"],
        bridge_prefix=values["vm_bridge_prefix"],
        host_memory=int(values["vm_host_memory"]) if values["vm_host_memory"] else None,
    )


def make_driver(settings: ContainerSettings) -> Driver:
    """The driver of a container; nothing is asked of it yet."""
    if settings.is_fake:
        return FakeDriver(settings.container, system_path(FAKE_FOLDER), is_xen=settings.is_xen)
    return VirshDriver(
        settings.container, settings.uri, settings.is_xen, settings.disk_folder, host_memory=settings.host_memory
    )


def _wrong(container: str, name: str, value: str, hint: str) -> RollbuildError:
    return RollbuildError(
        f"attribute {name} of {container} cannot be {value!r}",
        hint=f"{hint}: rocks set host attr {container} {name} VALUE",
    )
