"""OS trees of the store: `os/NAME/` is an install tree, whole and untouched, and what was found of it lies in it.

```text
STORE/os/NAME/                  the tree
STORE/os/NAME/.rollbuild/       tree.json, and files.json: every file with its digest
STORE/os/NAME.json              a link to that tree.json
```

The two lie in the tree so that one rename puts all of it in its place.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rollbuild.distribution.treeinfo import TreeInfo, Variant, read_treeinfo
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import explained, read_limited
from rollbuild.location import Location
from rollbuild.releases import RELEASES
from rollbuild.rolls import Store

RECORD = ".rollbuild"
"""The folder of a tree in the store that is not part of the tree: leave it out when you link the tree."""

_TREE = "tree.json"
_FILES = "files.json"
_FORMAT = 1
_TREE_LIMIT = 4 * 1024 * 1024
_FILES_LIMIT = 256 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_BOOT_FOLDERS = ("EFI/", "boot/", "images/", "isolinux/")

FileDigest = tuple[str, int]
"""SHA-256 in hexadecimal, and the size in bytes."""


@dataclass(frozen=True, slots=True)
class OsTree:
    """An OS tree of the store.

    `release` is el7 to el10, `version` its own (9.4), `epoch` when it was composed, in seconds since 1970, `source`
    says in words where it came from. `variants`: their paths lie in the tree, `.` for its top. `kernel`, `initrd` and
    `stage2` are paths in it, `boot_files` those that an install medium takes from it, these three among them.
    `digest` is that of `files.json`, and so of every file. `verified`: every package was hashed.
    """

    name: str
    folder: Path
    family: str
    short: str
    release: str
    version: str
    arch: str
    epoch: int
    variants: tuple[Variant, ...]
    kernel: str
    initrd: str
    stage2: str
    boot_files: tuple[str, ...] = field(repr=False)
    keys: tuple[str, ...]
    digest: str
    source: str = ""
    verified: bool = True

    @property
    def base(self) -> Variant:
        """The variant that Anaconda takes for the base repository: BaseOS, else the one at the top, else the first."""
        named = [variant for variant in self.variants if variant.uid.lower() == "baseos"]
        return next(
            iter([*named, *(variant for variant in self.variants if variant.repository == "."), *self.variants])
        )

    def read_files(self) -> dict[str, FileDigest]:
        """Every file of the tree: path -> (SHA-256, bytes). Packages have the digest that their metadata gives.

        Raises RollbuildError when the list is not the one that was written at the import.
        """
        path = self.folder / RECORD / _FILES
        data = read_limited(path, _FILES_LIMIT)
        if hashlib.sha256(data).hexdigest() != self.digest:
            raise _damaged(path, self.name, "it was changed since the import")
        try:
            return {str(file): (str(digest), int(size)) for file, (digest, size) in json.loads(data).items()}
        except (ValueError, TypeError, AttributeError, RecursionError) as problem:
            raise _damaged(path, self.name, " ".join(str(problem).split())) from None

    def read_treeinfo(self) -> TreeInfo:
        """Its `.treeinfo`, as it came. Raises RollbuildError."""
        return read_treeinfo(self.folder / ".treeinfo")

    def to_json(self) -> dict[str, object]:
        """What `tree.json` holds, and what `--json` shows."""
        return {
            "format": _FORMAT,
            "name": self.name,
            "family": self.family,
            "short": self.short,
            "release": self.release,
            "version": self.version,
            "arch": self.arch,
            "epoch": self.epoch,
            "variants": [
                {
                    "uid": variant.uid,
                    "id": variant.id,
                    "name": variant.name,
                    "type": variant.type,
                    "repository": variant.repository,
                    "packages": variant.packages,
                }
                for variant in self.variants
            ],
            "kernel": self.kernel,
            "initrd": self.initrd,
            "stage2": self.stage2,
            "boot_files": list(self.boot_files),
            "keys": list(self.keys),
            "digest": self.digest,
            "source": self.source,
            "verified": self.verified,
        }


def check_os_name(name: str) -> None:
    """Refuse what cannot be the name of an OS tree. Raises RollbuildError, exit code USAGE."""
    if not _NAME.match(name) or name.endswith(".json"):
        hint = "letters, digits and `. _ -` are allowed, first a letter or digit, as in rocky-9.4-x86_64"
        raise RollbuildError(f"{name!r} is no name of an OS tree", hint=hint, exit_code=USAGE)


def read_os_tree(store: Store, name: str) -> OsTree:
    """An OS tree of a store.

    Raises RollbuildError: USAGE when there is none of this name, REFUSED when what was found of it is damaged.
    """
    check_os_name(name)
    folder = store.os_folder / name
    path = folder / RECORD / _TREE
    if not os.path.lexists(path):
        known = os_tree_names(store)
        hint = f"there is: {', '.join(known)}" if known else "rollbuild distro import-os makes one of a DVD"
        raise RollbuildError(f"there is no OS tree {name} in {store.folder}", hint=hint, exit_code=USAGE)
    try:
        return _from_json(json.loads(read_limited(path, _TREE_LIMIT)), name, folder)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        what = f"{problem} is missing" if isinstance(problem, KeyError) else " ".join(str(problem).split())
        raise _damaged(path, name, what) from None


def os_tree_names(store: Store) -> tuple[str, ...]:
    """The OS trees of a store, sorted. Raises RollbuildError, exit code DISK."""
    with explained("cannot read", store.os_folder):
        try:
            entries = sorted(os.listdir(store.os_folder))
        except FileNotFoundError:
            return ()
    return tuple(name for name in entries if _NAME.match(name) and os.path.lexists(_tree_json(store, name)))


def list_os_trees(store: Store) -> tuple[OsTree, ...]:
    """Every OS tree of a store, by name. Raises RollbuildError."""
    return tuple(read_os_tree(store, name) for name in os_tree_names(store))


def record_os_tree(folder: Path, tree: OsTree, files: Mapping[str, FileDigest]) -> OsTree:
    """Write into a tree's folder what was found of it; the tree with its digest. Raises RollbuildError, code DISK."""
    data = digest_list(files)
    tree = replace(tree, digest=hashlib.sha256(data).hexdigest())
    text = json.dumps(tree.to_json(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    with explained("cannot write", folder / RECORD):
        (folder / RECORD).mkdir()
        (folder / RECORD).chmod(0o755)  # whatever the umask
        for name, content in ((_FILES, data), (_TREE, text.encode())):
            (folder / RECORD / name).write_bytes(content)
            (folder / RECORD / name).chmod(0o644)
    return tree


def link_record(store: Store, name: str) -> None:
    """Make `os/NAME.json` the link to what was found of a tree. Raises RollbuildError, exit code DISK."""
    link = store.os_folder / f"{name}.json"
    wanted = f"{name}/{RECORD}/{_TREE}"
    with explained("cannot write", link):
        if not link.is_symlink() or os.readlink(link) != wanted:
            link.unlink(missing_ok=True)
            link.symlink_to(wanted)


def digest_list(files: Mapping[str, FileDigest]) -> bytes:
    """The bytes of `files.json`; equal for trees of equal content."""
    lines = (f"{json.dumps(path)}:{json.dumps(files[path], separators=(',', ':'))}" for path in sorted(files))
    return ("{" + ",\n".join(lines) + "}\n").encode()


def boot_files_of(paths: Mapping[str, object] | tuple[str, ...]) -> tuple[str, ...]:
    """Those of a tree's files that an install medium takes from it, sorted."""
    return tuple(sorted(path for path in paths if path.startswith(_BOOT_FOLDERS) or path == "LiveOS/squashfs.img"))


def _tree_json(store: Store, name: str) -> Path:
    return store.os_folder / name / RECORD / _TREE


def _from_json(content: Any, name: str, folder: Path) -> OsTree:
    if content["format"] != _FORMAT:
        raise ValueError(f"it has format {content['format']}, this rollbuild knows {_FORMAT}")
    if content["release"] not in RELEASES:
        raise ValueError(f"release {content['release']} is not known")
    texts = ("uid", "repository", "packages", "name", "type", "id")
    variants = tuple(Variant(**{key: str(item[key]) for key in texts}) for item in content["variants"])
    if not variants:
        raise ValueError("it has no variants")
    tree = OsTree(
        name=name,
        folder=folder,
        **{key: str(content[key]) for key in ("family", "short", "release", "version", "arch")},
        epoch=int(content["epoch"]),
        variants=variants,
        **{key: str(content[key]) for key in ("kernel", "initrd", "stage2", "digest", "source")},
        boot_files=tuple(map(str, content["boot_files"])),
        keys=tuple(map(str, content["keys"])),
        verified=bool(content["verified"]),
    )
    paths = (tree.kernel, tree.initrd, tree.stage2, *tree.boot_files, *tree.keys)
    for path in (*paths, *(variant.repository for variant in variants)):
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path} leads out of the tree")
    return tree


def _damaged(path: Path, name: str, what: str) -> RollbuildError:
    return RollbuildError(
        f"what was found of the OS tree {name} is damaged: {what}",
        location=Location(os.fspath(path)),
        hint=f"import it again: rollbuild distro import-os ... --name {name} --replace",
    )
