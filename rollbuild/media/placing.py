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
from rollbuild.files import digest_file, explained, link_file, make_folder, read_limited, write_folder, write_many
from rollbuild.location import Location

RECORD = "netboot.json"
JOURNAL = "netboot.changed"
IMAGES = "images"
_FORMAT = 1
_MODE = 0o644
_UNFINISHED = ".rollbuild-"  # how rollbuild.files names what is not in its place yet
_RECORD_LIMIT = 256 * 1024 * 1024
_SHOWN = 5
_FEW = 64  # files that are brought to the disk each by itself; more of them, with all that waits for it


@dataclass(frozen=True, slots=True)
class Written:
    """What a run did to the tree: how many files were written, left as they were, and removed."""

    written: int
    kept: int
    removed: int


@dataclass(frozen=True, slots=True)
class Later:
    """A file that is only made when it has to be written: `digest` is of all that it is made from."""

    digest: str
    make: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Record:
    """What a netboot tree was given: its files with their digests, and the folders of images, the newest last."""

    files: Mapping[str, str]
    images: tuple[str, ...]


def update_tree(
    tree: Path,
    files: Iterable[tuple[str, bytes | Later]],
    facts: Mapping[str, object],
    *,
    images: Sequence[str] = (),
    before: Record | None = None,
    advance: Callable[[int], object] | None = None,
    sync: bool = False,
) -> Written:
    """Write the files that differ from what this tree was last given, and remove those that it has no more.

    What else is in the tree stays. Nothing is written before all files are made; then each is replaced atomically.
    `images` (the folders below images/) and `facts` go into the tree's record, netboot.json, which is written last; a
    run that was stopped is made good by the next. `before`: the record, if it was read already. `advance` is told how
    many files were looked at. With `sync` the files are on the disk before the record says so. Raises RollbuildError,
    exit code DISK, or REFUSED for a record that is damaged.
    """
    if before is None:
        before = read_record(tree)
    had = before.files
    after: dict[str, str] = {}
    waiting: dict[str, list[tuple[str, bytes]]] = {}
    there: dict[str, frozenset[str]] = {}
    kept = 0
    for name, content in files:
        digest = content.digest if isinstance(content, Later) else hashlib.sha256(content).hexdigest()
        after[name] = digest
        folder, _, base = name.rpartition("/")
        if had.get(name) == digest:
            if folder not in there:
                there[folder] = _names_in(tree / folder)
            if base in there[folder]:
                kept += 1
                continue
        made = content.make() if isinstance(content, Later) else content
        waiting.setdefault(folder, []).append((base, made))
    if advance is not None:
        advance(kept)
    changing = {f"{folder}/{base}".lstrip("/"): "" for folder, items in waiting.items() for base, _ in items}
    if changing:
        # Should this run be stopped, the next one knows which files are the tree's, and that it cannot be sure of them.
        _write_record(tree, {**had, **changing}, {"images": [*dict.fromkeys((*before.images, *images))]}, sync)
    # A folder before those in it: one that is new is then made with all its files at once.
    for folder, items in sorted(waiting.items(), key=lambda item: item[0].count("/")):
        write_public(tree, folder, items, sync=sync and len(changing) <= _FEW)
        if advance is not None:
            advance(len(items))
    removed = 0
    for name in sorted(had.keys() - after.keys()):
        with explained("cannot remove", tree / name):
            (tree / name).unlink(missing_ok=True)
        removed += 1
    if sync and len(changing) > _FEW:
        os.sync()
    _write_record(tree, after, {**facts, "images": [*images]}, sync)
    with explained("cannot remove", tree / JOURNAL):
        (tree / JOURNAL).unlink(missing_ok=True)
    return Written(len(after) - kept, kept, removed)


def is_tree(folder: Path) -> bool:
    """Whether a run wrote, or began to write, a netboot tree there."""
    return any(os.path.lexists(folder / name) for name in (RECORD, JOURNAL))


def refuse_others(tree: Path, files: Iterable[tuple[str, bytes]], images: Mapping[str, Path]) -> None:
    """Refuse to begin a tree in a folder where files of another origin would be overwritten.

    `files` and `images` (path from the tree -> file) are what would be written; what is there with the same content is
    in nobody's way. Raises RollbuildError.
    """
    there: dict[str, frozenset[str]] = {}
    found = []
    for name, content in files:
        folder, _, base = name.rpartition("/")
        if folder not in there:
            there[folder] = _names_in(tree / folder)
        if base in there[folder] and not _holds(tree / name, content):
            found.append(name)
    for name, path in images.items():
        if os.path.lexists(tree / name) and digest_file(tree / name) != digest_file(path):
            found.append(name)
    if found:
        listed = ", ".join(sorted(found)[:_SHOWN])
        more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
        raise RollbuildError(
            f"{tree} holds files that are not of a netboot tree and would be overwritten: {listed}{more}",
            hint="name a folder of its own, or write over them with --replace",
        )


def _holds(path: Path, content: bytes) -> bool:
    try:
        return read_limited(path, len(content)) == content
    except RollbuildError:
        return False


def _write_record(tree: Path, files: Mapping[str, str], facts: Mapping[str, object], sync: bool) -> None:
    # A line each, so that people and `diff` can read it, and at the speed of the encoder's C half.
    record = {**facts, "format": _FORMAT, "files": files}
    text = json.dumps(record, sort_keys=True, separators=(",\n", ": "))
    write_public(tree, "", [(RECORD, f"{text}\n".encode())], sync=sync)


def remove_leftovers(tree: Path) -> None:
    """Remove what a run of this command left half written when it was killed; the caller holds the tree's lock.

    Raises RollbuildError, exit code DISK.
    """
    for folder, below, names in os.walk(tree):
        for name in [name for name in below if name.startswith(_UNFINISHED)]:
            below.remove(name)
            with explained("cannot remove", os.path.join(folder, name)):
                shutil.rmtree(os.path.join(folder, name))
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


def write_public(tree: Path, folder: str, items: Sequence[tuple[str, bytes]], *, sync: bool = False) -> None:
    """Write files that the servers of the tree may read, whatever the umask. Raises RollbuildError, exit code DISK."""
    target = tree / folder
    if not sync and not os.path.lexists(target):
        make_public(target.parent, tree)
        write_folder(target, items)
    elif sync:
        make_public(target, tree)
        write_many(target, items, sync=True)
    else:
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
    noted = _read_journal(tree)
    if not os.path.lexists(path):
        return Record(noted, ())
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
            hint="remove it and run with --replace: all files are written anew; those of hosts that are gone then stay",
        ) from None
    return Record({**files, **noted}, images)


def _read_journal(tree: Path) -> dict[str, str]:
    """The files that were written since the record was, without digests: nobody knows what is in them."""
    path = tree / JOURNAL
    if not os.path.lexists(path):
        return {}
    # A last line without its end was cut off before its file was written.
    lines = read_limited(path, _RECORD_LIMIT).decode(errors="replace").split("\n")[:-1]
    return {line: "" for line in lines if line and not _climbs(line)}


def note_changes(tree: Path, names: Iterable[str]) -> None:
    """Have the next run of `update_tree` look at these files, whatever the record says of them; on the disk at once.

    The caller holds the tree's lock. Raises RollbuildError, exit code DISK.
    """
    with explained("cannot write", tree / JOURNAL):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        journal = os.open(tree / JOURNAL, flags, _MODE)
        try:
            os.write(journal, "".join(f"{name}\n" for name in ("", *names)).encode())
            os.fsync(journal)
        finally:
            os.close(journal)


def _climbs(name: str) -> bool:
    padded = f"/{name}/"
    return "//" in padded or "/./" in padded or "/../" in padded


def place_images(
    tree: Path, wanted: Mapping[str, Mapping[str, Path | bytes]], before: Sequence[str]
) -> tuple[str, ...]:
    """Put kernels and initrds (images/NAME -> name in that folder -> file, or content) into the tree; the folders to
    keep.

    Files are hard links where they can be. `before` are the folders of the tree's record: the newest of another
    generation stays, so that a host that has just read its menu still finds its kernel. Raises RollbuildError, exit
    code DISK.
    """
    for folder, images in wanted.items():
        make_public(tree / folder, tree)
        for base, source in images.items():
            if isinstance(source, Path):
                _place(source, tree / folder / base)
            elif not _holds(tree / folder / base, source):
                write_public(tree, folder, [(base, source)], sync=True)
    names = [folder.rpartition("/")[2] for folder in wanted]
    earlier = [other for other in before if other not in names]
    return (*earlier[-1:], *names)


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
