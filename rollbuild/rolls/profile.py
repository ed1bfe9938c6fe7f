"""A roll's description, as a built roll carries it: which files belong to it, and whether they can be read."""

import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.files import explained, read_limited, walk_tree
from rollbuild.findings import Finding, Severity, error
from rollbuild.language import find_rolls, read_description
from rollbuild.location import Location
from rollbuild.rolls.rollyaml import ROLL_YAML
from rollbuild.rolls.source import RollSource

_FOLDERS = ("nodes", "graphs", "site-nodes", "include", "include-version", "tests")
_FILES = ("attributes.yaml", "waivers.yaml", "DESCRIPTION", "LICENSE", "COPYING")
_LEFT_OUT = re.compile(r"\..*|.*~|#.*#|.*\.(?:orig|rej|swp|bak|rpmnew|rpmsave|pyc)|__pycache__|CVS|TRANS\.TBL")
_FILE_LIMIT = 256 * 1024 * 1024
_OLD_PARTS = ("nodes", "graphs", "site-nodes", "include")
# What another roll may bring.
_OF_OTHERS = frozenset(("NODE-MISSING", "INCLUDE-MISSING"))
OLD_PROFILE = "/export/profile"


def read_profile(source: RollSource) -> dict[str, bytes]:
    """The files of the roll's description, as they are: path -> content. Backups of editors stay behind.

    Where the folder has no roll.yaml, or one without a name, there is one that names the roll all the same. Raises
    FindingsError with every link out of the roll and other things that are no file, DISK.
    """
    faults: list[Finding] = []
    files = {name: _read(path) for name, path in _find_files(source, faults)}
    if faults:
        raise FindingsError(faults)
    own = source.folder / ROLL_YAML
    text = _read(own) if own.is_file() else b""
    if not source.is_named:
        text = _naming(source, whole=not own.is_file()) + text
    files[ROLL_YAML] = text
    return dict(sorted(files.items()))


def _naming(source: RollSource, *, whole: bool) -> bytes:
    said = {"name": source.name}
    if whole:
        said |= {"version": source.version, "release": source.release, "summary": source.summary}
    # A JSON text is a YAML one too, whatever is in it.
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in said.items() if value).encode()


def _find_files(source: RollSource, faults: list[Finding]) -> Iterator[tuple[str, Path]]:
    for entry in sorted(os.scandir(source.folder), key=lambda entry: entry.name):
        name, path = entry.name, Path(entry.path)
        if name in _FILES or (name.startswith("README") and not _LEFT_OUT.fullmatch(name)):
            yield from _checked(name, path, source.folder, faults)
        elif source.only_graphs and entry.is_dir() and not _LEFT_OUT.fullmatch(name):
            yield from _walk(f"graphs/{name}", path, source.folder, faults)
        elif name in _FOLDERS and not source.only_graphs:
            yield from _walk(name, path, source.folder, faults)


def _walk(inside: str, folder: Path, top: Path, faults: list[Finding]) -> Iterator[tuple[str, Path]]:
    if folder.is_symlink() or not folder.is_dir():
        what = "a link" if folder.is_symlink() else "a file"
        faults.append(error("ROLL-FILE", f"this is {what} where a folder is needed", Location(os.fspath(folder))))
        return
    for name, status in walk_tree(folder):
        if any(_LEFT_OUT.fullmatch(part) for part in name.split("/")) or stat.S_ISDIR(status.st_mode):
            continue
        yield from _checked(f"{inside}/{name}", folder / name, top, faults)


def _checked(inside: str, path: Path, top: Path, faults: list[Finding]) -> Iterator[tuple[str, Path]]:
    place = Location(os.fspath(path))
    if any(ord(letter) < 32 or 0xDC80 <= ord(letter) < 0xDD00 for letter in inside):
        faults.append(error("ROLL-FILE", "this name has control characters or is not UTF-8", place, "rename the file"))
    elif path.is_symlink():
        home = os.path.realpath(top)
        target = os.path.realpath(path)
        if os.path.commonpath((home, target)) != home:
            message = f"this link leads out of the roll: {os.readlink(path)}"
            faults.append(error("ROLL-FILE", message, place, "put a copy of the file in its place"))
        elif not os.path.isfile(target):
            what = "a folder" if os.path.isdir(target) else "nothing"
            message = f"this is a link to {what}: {os.readlink(path)}"
            faults.append(error("ROLL-FILE", message, place, "a roll holds files; put a copy in its place"))
        else:
            yield inside, path
    elif not path.is_file():
        message = "this is a folder, a pipe or a device where a file is needed"
        faults.append(error("ROLL-FILE", message, place, "remove it"))
    else:
        yield inside, path


def _read(path: Path) -> bytes:
    return read_limited(path, _FILE_LIMIT)


def write_profile(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the description below a folder. Raises RollbuildError, exit code DISK."""
    for name, content in files.items():
        path = folder / name
        with explained("cannot write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def in_old_places(files: Mapping[str, bytes], roll: str, xml: bytes) -> dict[str, bytes]:
    """The same files at the paths where the tools of Rocks 5-7 look for them once the package is unpacked."""
    placed = {f"{OLD_PROFILE}/roll-{roll}.xml": xml}
    for name, content in files.items():
        own = name.split("/", 1)[0] in _OLD_PARTS
        placed[f"{OLD_PROFILE}/{name}" if own else f"{OLD_PROFILE}/rolls/{roll}/{name}"] = content
    return placed


def check_profile_files(source: RollSource) -> tuple[Finding, ...]:
    """What is wrong in the roll's graphs, nodes and attributes, read without other rolls; errors only.

    That a node or a root is missing is none: another roll may bring it.
    """
    found: list[Finding] = []
    try:
        rolls = find_rolls([os.fspath(source.folder)]) if _has_description(source) else ()
    except RollbuildError as problem:
        return (problem.as_finding(),)
    for roll in rolls:
        found += _caught(roll.declarations)
        for overlay in ("", *roll.overlays()):
            for graph in roll.graph_names() or ("default",):
                try:
                    description = read_description([roll], graph=graph, overlay=overlay)
                except RollbuildError as problem:
                    if problem.message != f"no roll has a graph {graph}":
                        found += _findings_of(problem)
                    continue
                for name in description.node_names:
                    found += _caught(partial(description.node, name))
                for name in description.only_extended:
                    found += _caught(partial(description.extensions, name))
                found += description.findings
    errors = (item for item in found if item.severity is Severity.ERROR and item.code not in _OF_OTHERS)
    # An appliance may start from a node of another roll.
    return tuple(
        dict.fromkeys(item for item in errors if item.code != "GRAPH-APPLIANCE" or "does not exist" not in item.message)
    )


def _has_description(source: RollSource) -> bool:
    return source.only_graphs or any((source.folder / part).is_dir() for part in ("nodes", "graphs", "site-nodes"))


def _caught(read: Callable[[], object]) -> Iterable[Finding]:
    try:
        read()
    except RollbuildError as problem:
        return _findings_of(problem)
    return ()


def _findings_of(problem: RollbuildError) -> Iterable[Finding]:
    return problem.findings if isinstance(problem, FindingsError) else (problem.as_finding(),)
