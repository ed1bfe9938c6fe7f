"""Files of a netboot tree in their places: only what changed is written, and what went is removed."""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import explained, link_file, make_folder, read_limited, write_many
from rollbuild.location import Location

RECORD = "netboot.json"
IMAGES = "images"
_FORMAT = 1
_MODE = 0o644
_UNFINISHED = ".rollbuild-"  # how rollbuild.files names what is not in its place yet
_RECORD_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """What a run did to the tree: how many files were written, left as they were, and removed."""

    written: int
    kept: int
    removed: int


@dataclass(frozen=True, slots=True)
class Record:
    """What a netboot tree was given: its files with their digests, and the folders of images, the newest last."""

    files: Mapping[str, str]
    images: tuple[str, ...]


def update_tree(
    tree: Path,
    files: Iterable[tuple[str, bytes]],
    facts: Mapping[str, object],
    *,
    images: Sequence[str] = (),
    before: Record | None = None,
    advance: Callable[[int], object] | None = None,
) -> Written:
    """Write the files that differ from what this tree was last given, and remove those that it has no more.

    What else is in the tree stays. Nothing is written before all files are made; then each is replaced atomically.
    `images` (the folders below images/) and `facts` go into the tree's record, netboot.json, which is written last; a
    run that was stopped is made good by the next. `before`: the record, if it was read already. `advance` is told how
    many files were looked at. Raises RollbuildError, exit code DISK, or REFUSED for a record that is damaged.
    """
    if before is None:
        before = read_record(tree)
    had = before.files
    after: dict[str, str] = {}
    waiting: dict[str, list[tuple[str, bytes]]] = {}
    there: dict[str, frozenset[str]] = {}
    kept = 0
    for name, content in files:
        digest = hashlib.sha256(content).hexdigest()
        after[name] = digest
        folder, _, base = name.rpartition("/")
        if had.get(name) == digest:
            if folder not in there:
                there[folder] = _names_in(tree / folder)
            if base in there[folder]:
                kept += 1
                continue
        waiting.setdefault(folder, []).append((base, content))
    if advance is not None:
        advance(kept)
    changing = {f"{folder}/{base}".lstrip("/"): "" for folder, items in waiting.items() for base, _ in items}
    if changing and had:
        # Should this run be stopped, the next one knows whose content it cannot be sure of.
        _write_record(tree, {**had, **changing}, {"images": [*dict.fromkeys((*before.images, *images))]})
    for folder, items in waiting.items():
        _write_public(tree, folder, items)
        if advance is not None:
            advance(len(items))
    removed = 0
    for name in sorted(had.keys() - after.keys()):
        with explained("cannot remove", tree / name):
            (tree / name).unlink(missing_ok=True)
        removed += 1
    _write_record(tree, after, {**facts, "images": [*images]})
    return Written(len(after) - kept, kept, removed)


def _write_record(tree: Path, files: Mapping[str, str], facts: Mapping[str, object]) -> None:
    # A line each, so that people and `diff` can read it, and at the speed of the encoder's C half.
    record = {**facts, "format": _FORMAT, "files": files}
    text = json.dumps(record, sort_keys=True, separators=(",\n", ": "))
    _write_public(tree, "", [(RECORD, f"{text}\n".encode())])


def remove_leftovers(tree: Path) -> None:
    """Remove files that a run of this command left half written when it was killed; the caller holds the tree's lock.

    Raises RollbuildError, exit code DISK.
    """
    for folder, _, names in os.walk(tree):
        for name in names:
            if name.startswith(_UNFINISHED):
                with explained("cannot remove", os.path.join(folder, name)):
                    os.unlink(os.path.join(folder, name))


def make_public(folder: Path, top: Path) -> None:
    """Make a folder and those above it, up to `top`, so that all may read them, whatever the umask."""
    with explained("cannot write into", folder):
        if folder.is_dir():
            return
        if folder != top:
            make_public(folder.parent, top)
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
        make_folder(folder)


def _write_public(tree: Path, folder: str, items: Sequence[tuple[str, bytes]]) -> None:
    """Write files that the servers of the tree may read, whatever the umask."""
    target = tree / folder
    make_public(target, tree)
    write_many(target, items)
    with explained("cannot write into", target):
        if stat.S_IMODE(os.stat(target / items[0][0]).st_mode) != _MODE:
            for name, _ in items:
                os.chmod(target / name, _MODE)


def _names_in(folder: Path) -> frozenset[str]:
    with explained("cannot read", folder):
        try:
            return frozenset(os.listdir(folder))
        except FileNotFoundError:
            return frozenset()


def read_record(tree: Path) -> Record:
    """What a netboot tree was given; nothing where there is no tree yet.

    Raises RollbuildError for a record that is damaged or names files elsewhere.
    """
    path = tree / RECORD
    if not os.path.lexists(path):
        return Record({}, ())
    try:
        content = json.loads(read_limited(path, _RECORD_LIMIT))
        files = {str(name): str(digest) for name, digest in content["files"].items()}
        images = tuple(str(name) for name in content.get("images", ()))
        if content["format"] != _FORMAT or any(map(_climbs, files)) or any(map(_climbs, images)):
            raise ValueError("it is of another format, or names files elsewhere")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise RollbuildError(
            f"the record of this netboot tree is damaged: {' '.join(str(problem).split())}",
            location=Location(os.fspath(path)),
            hint="remove it: all files are written anew; those of hosts that are gone then stay",
        ) from None
    return Record(files, images)


def _climbs(name: str) -> bool:
    padded = f"/{name}/"
    return "//" in padded or "/./" in padded or "/../" in padded


def place_images(tree: Path, name: str, images: Mapping[str, Path], before: Sequence[str]) -> tuple[str, ...]:
    """Put a generation's kernel and initrd (name in the tree -> file) into images/NAME; which to keep.

    They are hard links where they can be. `before` are the folders of the tree's record: the newest of another
    generation stays, so that a host that has just read its menu still finds its kernel. Raises RollbuildError, exit
    code DISK.
    """
    folder = tree / IMAGES / name
    make_public(folder, tree)
    for base, source in images.items():
        _place(source, folder / base)
    earlier = [other for other in before if other != name]
    return (*earlier[-1:], name)


def _place(source: Path, target: Path) -> None:
    with explained("cannot read", source):
        wanted = source.stat()
    with explained("cannot write", target):
        try:
            found = target.stat()
        except FileNotFoundError:
            pass
        else:
            if os.path.samestat(wanted, found):
                return
            if (found.st_size, found.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns):
                return  # a copy, which keeps the time
        temporary = target.with_name(f"{_UNFINISHED}{os.getpid()}")
        with suppress(FileNotFoundError):
            temporary.unlink()
        link_file(source, temporary)
        os.rename(temporary, target)


def remove_images(tree: Path, kept: Sequence[str], before: Sequence[str]) -> tuple[str, ...]:
    """Remove the folders of images that the tree had `before` and that are not `kept`; their names.

    Raises RollbuildError, exit code DISK.
    """
    removed = []
    for name in before:
        folder = tree / IMAGES / name
        if name in kept:
            continue
        with explained("cannot remove", folder), suppress(FileNotFoundError):
            shutil.rmtree(folder)
            removed.append(name)
    return tuple(removed)
