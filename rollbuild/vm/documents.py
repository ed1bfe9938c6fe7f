"""Domain documents: a machine as libvirt is told of it (https://libvirt.org/formatdomain.html)."""

from lxml import etree

from rollbuild.errors import RollbuildError
from rollbuild.vm.values import BootPlace, Guest, GuestDisk, VirtType

_XEN = (VirtType.PARA, VirtType.PVH, VirtType.HVM)
# type, machine and text of <os><type>, as the libxl driver spells them.
_XEN_OS = {
    VirtType.PARA: ("xenpv", "linux"),
    VirtType.PVH: ("xenpvh", "xenpvh"),
    VirtType.HVM: ("xenfv", "hvm"),
}


def domain_document(guest: Guest, install: BootPlace | None = None) -> bytes:
    """The document for an install, or without one for the machine as it runs from its disk.

    In an install a reboot ends the machine: it is started anew, from its disk, when it is known to be installed.
    Raises RollbuildError for a machine without a disk.
    """
    if not guest.disks:
        raise RollbuildError(f"{guest.name} has no disk", hint="rocks set host vm NAME disk=file:PATH,DEVICE,w")
    is_xen = guest.virt_type in _XEN
    kind = "xen" if is_xen else ("qemu" if guest.is_emulated else "kvm")
    domain = etree.Element("domain", type=kind)
    _add(domain, "name", guest.name)
    _add(domain, "uuid", str(guest.uuid))
    _add(domain, "memory", str(guest.memory), unit="MiB")
    _add(domain, "vcpu", str(guest.cpus))
    if is_xen and guest.virt_type is not VirtType.HVM and install is None:
        _add(domain, "bootloader", "pygrub")
    _add_os(domain, guest, install)
    if guest.virt_type in (VirtType.HVM, VirtType.KVM):
        features = _add(domain, "features")
        for name in ("acpi", "apic", *(("pae",) if is_xen else ())):
            _add(features, name)
    if not is_xen and not guest.is_emulated:
        _add(domain, "cpu", mode="host-passthrough")
    if guest.virt_type in (VirtType.PVH, VirtType.HVM) and guest.is_emulated:
        clock = _add(domain, "clock", offset="utc")
        _add(clock, "timer", name="tsc", mode="native")
    else:
        _add(domain, "clock", offset="utc")
    _add(domain, "on_poweroff", "destroy")
    _add(domain, "on_reboot", "restart" if install is None else "destroy")
    _add(domain, "on_crash", "preserve" if is_xen else "destroy")
    devices = _add(domain, "devices")
    for disk in guest.disks:
        _add_disk(devices, disk, is_xen=is_xen)
    for interface in guest.interfaces:
        element = _add(devices, "interface", type="bridge")
        _add(element, "mac", address=interface.mac)
        _add(element, "source", bridge=interface.bridge)
        if not is_xen:
            _add(element, "model", type="virtio")
        elif guest.virt_type is VirtType.HVM:
            _add(element, "model", type="e1000")
    _add_console(devices, guest)
    return etree.tostring(domain, pretty_print=True, encoding="utf-8")


def _add_os(domain: etree._Element, guest: Guest, install: BootPlace | None) -> None:
    system = _add(domain, "os")
    if guest.virt_type in _XEN:
        machine, text = _XEN_OS[guest.virt_type]
        _add(system, "type", text, arch=guest.arch, machine=machine)
    else:
        _add(system, "type", "hvm", arch=guest.arch, machine="q35")
    if install is not None:
        _add(system, "kernel", install.kernel)
        _add(system, "initrd", install.initrd)
        _add(system, "cmdline", install.command_line)
    elif guest.virt_type in (VirtType.HVM, VirtType.KVM):
        _add(system, "boot", dev="hd")


def _add_disk(devices: etree._Element, disk: GuestDisk, *, is_xen: bool) -> None:
    is_file = disk.kind == "file"
    element = _add(devices, "disk", type="file" if is_file else "block", device="disk")
    if not is_xen:
        _add(element, "driver", name="qemu", type="raw", discard="unmap")
    elif not is_file:
        _add(element, "driver", name="phy")
    _add(element, "source", **{"file" if is_file else "dev": disk.path})
    _add(element, "target", dev=disk.device, bus=_bus(disk.device))
    if not disk.is_writable:
        _add(element, "readonly")


def _bus(device: str) -> str:
    return {"xvd": "xen", "vda": "virtio", "vd": "virtio", "hd": "ide", "sd": "scsi"}.get(
        device.rstrip("0123456789")[:3] if device.startswith("xvd") else device[:2], "virtio"
    )


def _add_console(devices: etree._Element, guest: Guest) -> None:
    console = _add(devices, "console", type="pty")
    if guest.virt_type in (VirtType.PARA, VirtType.PVH):
        _add(console, "target", type="xen", port="0")
    else:
        _add(console, "target", type="serial", port="0")
    if guest.virt_type in (VirtType.HVM, VirtType.KVM):
        # With Xen a screen of the other two would need QEMU on the container, which they do without.
        _add(devices, "graphics", type="vnc", port="-1", autoport="yes", listen="127.0.0.1")


def _add(parent: etree._Element, name: str, text: str | None = None, /, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, name, attributes)
    element.text = text
    return element
