"""Rolls as folders: where their nodes, graphs, includes and attributes lie."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import read_limited
from rollbuild.language.declarations import Declaration, read_defaults
from rollbuild.language.names import is_node_name
from rollbuild.language.source import FILE_LIMIT
from rollbuild.location import Location

DEFAULT_PRIORITY = 50
_PARTS = ("nodes", "graphs", "site-nodes")
_SEARCH_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Roll:
    """A roll's folder as the user named it.

    `only_graphs`: the folder holds graph sets (`default/`) directly, and no nodes. `packages_from`: where packages
    come from that the release does not have, each source with its packages.
    """

    name: str
    folder: str
    priority: int = DEFAULT_PRIORITY
    only_graphs: bool = False
    packages_from: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def folders(self, kind: str, overlay: str) -> tuple[str, ...]:
        """Its folders of a kind (`nodes`, `site-nodes`, `include`, `graphs/NAME`), overlay last."""
        if self.only_graphs:
            first = os.path.join(self.folder, kind.removeprefix("graphs" + os.sep))
            return (first,) if kind.startswith("graphs" + os.sep) and os.path.isdir(first) else ()
        paths = [os.path.join(self.folder, kind)]
        if is_node_name(overlay):
            paths.append(os.path.join(self.folder, "include-version", overlay, kind))
        return tuple(path for path in paths if os.path.isdir(path))

    def graph_names(self) -> tuple[str, ...]:
        """The graph sets it has part in."""
        folder = self.folder if self.only_graphs else os.path.join(self.folder, "graphs")
        if not os.path.isdir(folder):
            return ()
        return tuple(sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()))

    def overlays(self) -> tuple[str, ...]:
        """The N of its `include-version/N/` folders."""
        folder = os.path.join(self.folder, "include-version")
        if not os.path.isdir(folder):
            return ()
        return tuple(sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()))

    def read_file(self, name: str) -> tuple[str, bytes] | None:
        """A file named from the roll's folder: its path and bytes; None when there is none.

        Raises RollbuildError for a name that leads out of the roll, also through a symbolic link.
        """
        path = os.path.normpath(os.path.join(self.folder, name))
        top = os.path.realpath(self.folder)
        if os.path.commonpath((top, os.path.realpath(path))) != top:
            raise RollbuildError(
                f"{name} leads out of roll {self.name}", hint="a roll may only use files of its own folder"
            )
        if not os.path.isfile(path):
            return None
        return path, read_limited(path, FILE_LIMIT)

    def declarations(self) -> tuple[Declaration, ...]:
        """The attributes that it declares in `attributes.yaml`, with their defaults."""
        path = os.path.join(self.folder, "attributes.yaml")
        return read_defaults(path) if not self.only_graphs and os.path.isfile(path) else ()


def find_rolls(paths: Sequence[str]) -> tuple[Roll, ...]:
    """The rolls in these folders: each is a roll, a folder of graph sets, or holds rolls up to five levels down.

    A folder with `rolls/` and `graphs/` but no `nodes/` is a checkout: it is these two.

    Raises RollbuildError for a folder that does not exist or holds no roll.
    """
    rolls: dict[str, Roll] = {}
    for path in paths:
        if not os.path.isdir(path):
            what = "is not a folder" if os.path.exists(path) else "does not exist"
            raise RollbuildError(f"{path} {what}", exit_code=USAGE, hint="--rolls takes folders that hold rolls")
        found = list(_search(path, _SEARCH_DEPTH))
        if not found:
            raise RollbuildError(
                f"there is no roll in {path}", hint="a roll is a folder that holds nodes/ and graphs/default/"
            )
        for roll in found:
            rolls.setdefault(os.path.realpath(roll.folder), roll)
    return tuple(rolls.values())


def _search(path: str, depth: int) -> Iterator[Roll]:
    try:
        folders = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except OSError as problem:
        raise RollbuildError(
            f"cannot read this folder: {problem.strerror}",
            location=Location(path),
            hint="check its permissions",
        ) from None
    # A folder's name need not be text; the roll's goes into Kickstarts.
    name = os.fsencode(os.path.basename(os.path.abspath(path))).decode(errors="backslashreplace")
    is_checkout = {"graphs", "rolls"} <= set(folders) and "nodes" not in folders
    if is_checkout:
        for folder in ("rolls", "graphs"):
            yield from _search(os.path.join(path, folder), depth - 1)
    elif any(part in folders for part in _PARTS):
        yield _read_roll(path, name)
    elif name == "graphs" and "default" in folders:
        yield Roll(name, path, only_graphs=True)
    elif depth:
        for folder in folders:
            if not folder.startswith("."):
                yield from _search(os.path.join(path, folder), depth - 1)


def _read_roll(path: str, name: str) -> Roll:
    file = os.path.join(path, "roll.yaml")
    if not os.path.isfile(file):
        return Roll(name, path)
    import yaml  # old rolls have no roll.yaml: they need not wait for it

    try:
        data = yaml.safe_load(read_limited(file, 1024 * 1024))
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        raise RollbuildError(f"not valid YAML: {problem.problem}", location=place) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as problem:
        raise RollbuildError(f"not valid YAML: {' '.join(str(problem).split())}", location=Location(file)) from None
    if not isinstance(data, dict):
        raise RollbuildError("a roll.yaml is a list of KEY: VALUE lines", location=Location(file, 1))
    priority = data.get("priority", DEFAULT_PRIORITY)
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise RollbuildError(f"priority is a number, not {priority!r}", location=Location(file))
    sources = _read_sources(data.get("packages_from") or {}, Location(file))
    return Roll(str(data.get("name", name)), path, priority, packages_from=sources)


def _read_sources(data: object, place: Location) -> tuple[tuple[str, tuple[str, ...]], ...]:
    sources = []
    for source, names in data.items() if isinstance(data, dict) else [(None, None)]:
        if not isinstance(source, str) or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            hint = "write it as in: packages_from: {EPEL: [slurm, munge]}"
            raise RollbuildError("packages_from lists names of packages by their source", location=place, hint=hint)
        sources.append((source, tuple(names)))
    return tuple(sources)
