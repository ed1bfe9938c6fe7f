"""The file /etc/xen/rocks/NAME: the same machine as `xl` reads it (xl.cfg(5) of Xen 4.17)."""

from rollbuild.vm.values import BootPlace, Guest, GuestDisk, VirtType

_TYPES = {VirtType.PARA: "pv", VirtType.PVH: "pvh", VirtType.HVM: "hvm"}


def xl_file(guest: Guest, install: BootPlace | None = None) -> str:
    """The file for an install, or without one for the machine as it runs from its disk."""
    lines = [
        ("name", _quoted(guest.name)),
        ("uuid", _quoted(str(guest.uuid))),
        ("type", _quoted(_TYPES[guest.virt_type])),
        ("memory", str(guest.memory)),
        ("vcpus", str(guest.cpus)),
    ]
    if install is not None:
        lines += [("kernel", _quoted(install.kernel)), ("ramdisk", _quoted(install.initrd))]
        lines.append(("cmdline", _quoted(install.command_line)))
    elif guest.virt_type is VirtType.HVM:
        lines.append(("boot", _quoted("c")))
    else:
        lines.append(("bootloader", _quoted("pygrub")))
    if guest.virt_type is VirtType.HVM:
        lines += [("serial", _quoted("pty")), ("vnc", "1"), ("vnclisten", _quoted("127.0.0.1"))]
    if guest.virt_type in (VirtType.PVH, VirtType.HVM) and guest.is_emulated:
        lines.append(("tsc_mode", _quoted("native")))
    lines += [
        ("on_poweroff", _quoted("destroy")),
        ("on_reboot", _quoted("restart" if install is None else "destroy")),
        ("on_crash", _quoted("preserve")),
        ("disk", _list(_disk(disk) for disk in guest.disks)),
        ("vif", _list(f"mac={item.mac},bridge={item.bridge}" for item in guest.interfaces)),
    ]
    width = max(len(name) for name, _ in lines)
    return "".join(f"{name.ljust(width)} = {value}\n" for name, value in lines)


def _disk(disk: GuestDisk) -> str:
    access = "rw" if disk.is_writable else "ro"
    return f"format=raw,vdev={disk.device},access={access},target={disk.path}"


def _list(items: object) -> str:
    return f"[ {', '.join(_quoted(str(item)) for item in items)} ]"  # type: ignore[attr-defined]


def _quoted(text: str) -> str:
    """A string of xl's language, which is Python's: without quotes, backslashes and line ends in it."""
    return '"' + "".join("_" if letter in '"\\\n\r' else letter for letter in text) + '"'
