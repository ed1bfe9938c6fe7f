"""The netboot tree of a running cluster: hosts of several distributions, and only what changed is made at all."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rollbuild import __version__
from rollbuild.errors import RollbuildError
from rollbuild.files import locked, read_limited
from rollbuild.media.menus import Menus
from rollbuild.media.netboot import LOCK, GrubVerbs, host_files, shared_files, shared_values
from rollbuild.media.placing import (
    Later,
    Written,
    make_public,
    note_changes,
    place_images,
    read_record,
    remove_images,
    remove_leftovers,
    update_tree,
    write_public,
)
from rollbuild.media.table import BootHost, BootNetwork

_LIMIT = 64 * 1024 * 1024
_WAIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class ClusterTree:
    """What the netboot tree of a running cluster is made of.

    `hosts` may hold several rows of one host, one for each MAC address that it boots with; their kernels are in
    `images` (folder in the tree, as `image_folder` names it -> name in it -> file or content), or the site put them
    into the tree.
    """

    folder: Path
    hosts: Sequence[BootHost]
    network: BootNetwork
    verbs: GrubVerbs
    loaders: Mapping[str, bytes]
    images: Mapping[str, Mapping[str, Path | bytes]]

    def files(self, menus: Menus) -> Iterator[tuple[str, bytes | Later]]:
        """(path from the tree, content) of all files but kernels and initrds; those of hosts are made when needed."""
        yield from self.loaders.items()
        shared = shared_values(self.network, self.verbs)
        yield from shared_files(menus, shared)
        origin = hashlib.sha256(repr((__version__, menus.digest(), shared)).encode())
        for host in self.hosts:
            own = origin.copy()
            own.update(repr(host).encode())
            digest, values = own.hexdigest(), {**shared, "host": host}
            for place, template in host_files(host):
                yield place, Later(digest, partial(menus.write, template, values))


def update_cluster_tree(
    tree: ClusterTree, menus: Menus, facts: Mapping[str, object]
) -> tuple[Written, tuple[str, ...]]:
    """Bring the tree up to date, as `make_netboot_tree` does; what was written, and the images that were removed.

    Waits for another run on the same tree. What it wrote is on the disk when this returns. Raises RollbuildError.
    """
    top = tree.folder
    make_public(top, top)
    with locked(top / LOCK, f"writing the netboot tree {top}", wait_seconds=_WAIT_SECONDS):
        remove_leftovers(top)
        before = read_record(top)
        kept = place_images(top, tree.images, before.images)
        written = update_tree(top, tree.files(menus), facts, images=kept, before=before, sync=True)
        removed = remove_images(top, kept, before.images)
    return written, removed


def update_boot_files(
    folder: Path,
    hosts: Iterable[BootHost],
    network: BootNetwork,
    verbs: GrubVerbs,
    menus: Menus,
) -> Written:
    """Write the files of some hosts into a tree that is there, and leave all others alone; on the disk at once.

    Costs the same however many hosts the tree has: a journal beside the tree's record tells the next full run which
    files to look at. Raises RollbuildError.
    """
    shared = shared_values(network, verbs)
    made = [
        (place, menus.write(template, {**shared, "host": host}))
        for host in hosts
        for place, template in host_files(host)
    ]
    make_public(folder, folder)
    with locked(folder / LOCK, f"writing the netboot tree {folder}", wait_seconds=_WAIT_SECONDS):
        changed = [(name, content) for name, content in made if _content(folder / name) != content]
        if changed:
            note_changes(folder, (name for name, _ in changed))
            by_folder: dict[str, list[tuple[str, bytes]]] = {}
            for name, content in changed:
                inside, _, base = name.rpartition("/")
                by_folder.setdefault(inside, []).append((base, content))
            for inside, items in by_folder.items():
                write_public(folder, inside, items, sync=True)
    return Written(len(changed), len(made) - len(changed), 0)


def differing_files(tree: ClusterTree, menus: Menus) -> Iterator[tuple[str, bytes, bytes]]:
    """(path from the tree, content that is there, content that would be) of each file that a run would change.

    A file that is not there, or would be removed, is empty on that side. Raises RollbuildError.
    """
    before = read_record(tree.folder)
    wanted = set()
    for name, content in tree.files(menus):
        wanted.add(name)
        if isinstance(content, Later):
            if before.files.get(name) == content.digest and (tree.folder / name).is_file():
                continue
            content = content.make()
        found = _content(tree.folder / name)
        if found != content:
            yield name, found or b"", content
    for name in sorted(before.files.keys() - wanted):
        found = _content(tree.folder / name)
        if found is not None:
            yield name, found, b""


def _content(path: Path) -> bytes | None:
    """What is in a file; None where there is none that can be read."""
    with suppress(RollbuildError):
        return read_limited(path, _LIMIT)
    return None
