"""Storage layouts that cannot hold, or that do more than was meant."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollbuild.checks.mainlines import MainLine, read_arguments, read_option
from rollbuild.findings import Finding, error, note, warning

_SMALLEST_MIB = {"/boot": 200, "/boot/efi": 50}
"""A kernel with its initrd takes some 100 MiB, and an update needs room for a second one."""

_FLAGS = frozenset(
    (
        *("--grow", "--asprimary", "--noformat", "--recommended", "--hibernation", "--encrypted", "--active"),
        *("--useexisting", "--resize", "--thinpool", "--thin", "--all", "--none", "--initlabel", "--onbiosdisk"),
    )
)
_SIZED_OTHERWISE = ("--onpart", "--usepart", "--recommended", "--hibernation")
_DISK_OPTIONS = ("--ondisk", "--ondrive", "--drives", "--only-use", "--boot-drive", "--driveorder")
_KERNEL_DISK = re.compile(r"(?:/dev/)?((?:sd|vd|xvd|hd)[a-z]+|nvme\d+n\d+|mmcblk\d+)\Z")
_MEMBER = re.compile(r"(?:raid|pv|btrfs)\.[\w.-]+\Z")


@dataclass(frozen=True, slots=True)
class _Volume:
    """A part, raid or logvol line. `mount` is a mount point, `swap`, or a member such as `pv.01`."""

    line: MainLine
    kind: str
    mount: str
    members: tuple[str, ...]

    def option(self, name: str) -> str | None:
        return read_option(self.line.words or (), name)

    def has(self, *names: str) -> bool:
        words = {word.partition("=")[0] for word in self.line.words or ()}
        return any(name in words for name in names)

    def is_sized(self) -> bool:
        return self.has("--size", *_SIZED_OTHERWISE) or self.option("--fstype") == "tmpfs"


def check_storage(lines: Sequence[MainLine]) -> tuple[Finding, ...]:
    """Sizes, mount points, members, and disks that are wiped or named by the kernel."""
    lines = [line for line in lines if line.is_command]
    volumes = [_read_volume(line) for line in lines if line.name in ("part", "partition", "raid", "logvol")]
    included = any(line.name == "%include" for line in lines)
    findings = [*_sizes(volumes), *_mounts(volumes), *_clearing(lines), *_disks(lines)]
    if not included:
        findings += _members(volumes, lines)
        if any(volume.mount == "/" for volume in volumes) and not any(v.mount == "swap" for v in volumes):
            place = next(volume.line.location for volume in volumes if volume.mount == "/")
            hint = "add <part>swap --size=4096</part>, or waive this where it is meant"
            findings.append(note("STORAGE-SWAP", "this layout has no swap", place, hint))
    return tuple(findings)


def _read_volume(line: MainLine) -> _Volume:
    arguments = read_arguments(line.words or (), _FLAGS)
    kind = "part" if line.name == "partition" else line.name
    return _Volume(line, kind, arguments[0] if arguments else "", arguments[1:])


def _sizes(volumes: list[_Volume]) -> Iterator[Finding]:
    for volume in volumes:
        place, what = volume.line.location, f"{volume.kind} {volume.mount}"
        size = _number(volume.option("--size"))
        largest = _number(volume.option("--maxsize"))
        grows = volume.has("--grow")
        if size is not None and size <= 0:
            yield error("STORAGE-SIZE", f"{what}: --size={size} is no size", place, "sizes are in MiB")
        elif volume.kind == "part" and not volume.is_sized():
            hint = "add --size=MIB; with --grow it is the least that will do"
            yield warning("STORAGE-SIZE", f"{what} has no --size", place, hint)
        if size is not None and largest is not None and 0 < largest < size:
            yield error("STORAGE-SIZE", f"{what}: --maxsize={largest} is below --size={size}", place)
        least = _SMALLEST_MIB.get(volume.mount)
        if least and size is not None and 0 < size < least and not grows:
            message = f"{what}: {size} MiB is too little, it needs {least} MiB or more"
            yield warning("STORAGE-SIZE", message, place, "reqpart --add-boot makes what the machine needs")


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:  # pykickstart reports it
        return None


def _mounts(volumes: list[_Volume]) -> Iterator[Finding]:
    seen: dict[str, _Volume] = {}
    for volume in volumes:
        if not volume.mount.startswith("/"):
            continue
        first = seen.setdefault(volume.mount, volume)
        if first is not volume:
            message = f"{volume.mount} is made twice, first at {first.line.location}"
            yield warning("STORAGE-MOUNT", message, volume.line.location, "remove one of the two")


def _clearing(lines: list[MainLine]) -> Iterator[Finding]:
    chosen = any(line.name == "ignoredisk" and "--only-use" in line.text for line in lines)
    for line in lines:
        words = line.words or ()
        if line.name == "clearpart" and "--all" in words and read_option(words, "--drives") is None and not chosen:
            message = "clearpart --all wipes every disk that the installer finds, also data disks and USB sticks"
            yield warning("CLEARPART-ALL", message, line.location, "name the disks: ignoredisk --only-use=DISK")


def _disks(lines: list[MainLine]) -> Iterator[Finding]:
    seen: set[str] = set()
    for line in lines:
        for option in _DISK_OPTIONS:
            for disk in (read_option(line.words or (), option) or "").split(","):
                found = _KERNEL_DISK.match(disk)
                if found and found[1] not in seen:
                    seen.add(found[1])
                    message = f"{line.name} {option}: {found[1]} may be another disk at the next start"
                    hint = "name it by /dev/disk/by-id/... or by-path/..., or choose it in a <pre> script"
                    yield note("STORAGE-DISK", message, line.location, hint)


def _members(volumes: list[_Volume], lines: list[MainLine]) -> Iterator[Finding]:
    made = {volume.mount: volume for volume in volumes if _MEMBER.match(volume.mount)}
    groups: set[str] = set()
    used: set[str] = set()
    for line in lines:
        if line.name != "volgroup" or not line.words:
            continue
        arguments = read_arguments(line.words, _FLAGS)
        groups.update(arguments[:1])
        used.update(arguments[1:])
        yield from _absent(line, arguments[1:], made)
    for volume in volumes:
        if volume.kind == "raid":
            used.update(volume.members)
            yield from _absent(volume.line, volume.members, made)
        elif volume.kind == "logvol":
            group = volume.option("--vgname")
            if group and group not in groups and not volume.has("--useexisting", "--noformat"):
                message = f"logvol {volume.mount}: there is no volgroup {group}"
                hint = f"add <volgroup>{group} pv.01</volgroup>"
                yield error("STORAGE-MEMBER", message, volume.line.location, hint)
    for name, volume in made.items():
        if name not in used and not volume.has("--noformat", "--onpart"):
            message = f"{name} is made, but no raid, volgroup or btrfs uses it"
            if not any(line.name == "btrfs" for line in lines):
                yield warning("STORAGE-MEMBER", message, volume.line.location, "use it, or leave it out")


def _absent(line: MainLine, names: tuple[str, ...], made: dict[str, _Volume]) -> Iterator[Finding]:
    for name in names:
        if _MEMBER.match(name) and name not in made:
            message = f"{line.name}: there is no {name}"
            yield error("STORAGE-MEMBER", message, line.location, f"add <part>{name} --size=...</part>")
