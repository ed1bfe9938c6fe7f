"""The netboot tree's files: every loader's, made from one table of hosts so that they cannot differ."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rollbuild.errors import RollbuildError
from rollbuild.files import explained, read_limited, write_atomically
from rollbuild.location import Location
from rollbuild.media.menus import Menus
from rollbuild.media.table import BootHost, BootNetwork

RECORD = "netboot.json"
_FORMAT = 1
_RECORD_LIMIT = 256 * 1024 * 1024
_HOST_FILES = (
    ("pxelinux-host", "pxelinux.cfg/{dashed}"),
    ("grub-host", "grub/grub.cfg-{dashed}"),
    ("ipxe-host", "ipxe/hosts/{hyphened}.ipxe"),
)
_SHARED_FILES = (
    ("pxelinux-default", "pxelinux.cfg/default"),
    ("grub-default", "grub/grub.cfg"),
    ("ipxe-default", "ipxe/boot.ipxe"),
)


@dataclass(frozen=True, slots=True)
class GrubVerbs:
    """What UEFI GRUB of the release calls its commands: `linuxefi` and `initrdefi`, or `linux` and `initrd`."""

    kernel: str = "linuxefi"
    initrd: str = "initrdefi"


@dataclass(frozen=True, slots=True)
class Written:
    """What a run did to the tree: how many files were written, left as they were, and removed."""

    written: int
    kept: int
    removed: int


def loader_files(
    hosts: Sequence[BootHost], network: BootNetwork, menus: Menus, verbs: GrubVerbs
) -> Iterator[tuple[str, bytes]]:
    """(path from the tree, content) of each loader's files: the shared ones, then those of each host."""
    http_root = _grub_http(network)
    shared = {"network": network, "verbs": verbs, "http_root": http_root}
    for template, path in _SHARED_FILES:
        yield path, menus.write(template, shared)
    for host in hosts:
        values = {**shared, "host": host}
        for template, path in _HOST_FILES:
            place = path.format(dashed=host.dashed_mac, hyphened=host.mac.replace(":", "-"))
            yield place, menus.write(template, values)


def _grub_http(network: BootNetwork) -> str:
    """GRUB's name of the tree over HTTP: `(http,SERVER[:PORT])/PATH`; GRUB speaks no TLS."""
    parts = urlsplit(network.url)
    return f"(http,{parts.netloc}){parts.path}" if parts.scheme == "http" else ""


def update_tree(tree: Path, files: Iterator[tuple[str, bytes]], facts: Mapping[str, object]) -> Written:
    """Write the files that differ from what this tree was last given, and remove those that it has no more.

    What else is in the tree stays. `facts` go into the tree's record, netboot.json. Each file is replaced
    atomically; the record is written last, and a run that was stopped is made good by the next. Raises
    RollbuildError, exit code DISK, or REFUSED for a record that is damaged.
    """
    before = read_record(tree)
    after: dict[str, str] = {}
    written = kept = 0
    folders: set[Path] = set()
    for name, content in files:
        path = tree / name
        digest = hashlib.sha256(content).hexdigest()
        after[name] = digest
        if before.get(name) == digest and path.exists():
            kept += 1
            continue
        if path.parent not in folders:
            with explained("cannot write into", path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
            folders.add(path.parent)
        write_atomically(path, content)
        written += 1
    removed = 0
    for name in sorted(before.keys() - after.keys()):
        with explained("cannot remove", tree / name):
            (tree / name).unlink(missing_ok=True)
        removed += 1
    record = {"format": _FORMAT, "files": after, **facts}
    write_atomically(tree / RECORD, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    return Written(written, kept, removed)


def read_record(tree: Path) -> Mapping[str, str]:
    """The files that a netboot tree was given, with their digests; none where there is no tree yet.

    Raises RollbuildError for a record that is damaged or names files elsewhere.
    """
    path = tree / RECORD
    if not os.path.lexists(path):
        return {}
    try:
        content = json.loads(read_limited(path, _RECORD_LIMIT))
        files = {str(name): str(digest) for name, digest in content["files"].items()}
        if content["format"] != _FORMAT or any(_climbs(name) for name in files):
            raise ValueError("it is of another format, or names files elsewhere")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise RollbuildError(
            f"the record of this netboot tree is damaged: {' '.join(str(problem).split())}",
            location=Location(os.fspath(path)),
            hint="remove it: all files are written anew; those of hosts that are gone then stay",
        ) from None
    return files


def _climbs(name: str) -> bool:
    return name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/"))
