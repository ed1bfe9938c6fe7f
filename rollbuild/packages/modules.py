"""Module streams (modulemd): which packages are there only when their stream is enabled."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from rollbuild.errors import RollbuildError
from rollbuild.location import Location

if TYPE_CHECKING:
    from rollbuild.packages.repository import AvailablePackage, Repository

# All values are texts to this loader: stream 2.10 is not 2.1. libyaml, where PyYAML was built with it, is much faster.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_DEEPEST = 100
_STEPS = {
    yaml.MappingStartEvent: 1,
    yaml.SequenceStartEvent: 1,
    yaml.MappingEndEvent: -1,
    yaml.SequenceEndEvent: -1,
}


def check_nesting(data: bytes | str, *, aliases: bool = True) -> None:
    """Refuse YAML that is nested so deeply that the library would crash on it, and, unless `aliases`, YAML that says a
    value once and means it again elsewhere: a little of that can stand for gigabytes.

    Raises ValueError, and yaml.YAMLError for what is no YAML.
    """
    depth = 0
    for event in yaml.parse(data, Loader=_LOADER):
        depth += _STEPS.get(type(event), 0)
        if depth > _DEEPEST:
            raise ValueError(f"{_line_of(event)} is nested more than {_DEEPEST} deep")
        if not aliases and isinstance(event, yaml.AliasEvent):
            raise ValueError(f"{_line_of(event)} has an alias (*{event.anchor}): write the value out")


def _line_of(event: yaml.Event) -> str:
    mark = event.start_mark
    return f"line {mark.line + 1}" if mark else "it"


@dataclass(frozen=True, slots=True)
class ModuleStream:
    """A stream of a module with the packages of all its builds, as `name-epoch:version-release.arch`."""

    module: str
    stream: str
    artifacts: frozenset[str] = field(default=frozenset(), repr=False)
    is_default: bool = False


def read_modules(data: bytes, shown: str) -> tuple[ModuleStream, ...]:
    """The streams of a modules.yaml, each once. Raises RollbuildError."""
    artifacts: dict[tuple[str, str], set[str]] = {}
    defaults: dict[str, str] = {}
    try:
        check_nesting(data)
        for document in yaml.load_all(data, Loader=_LOADER):
            kind, content = (document or {}).get("document"), (document or {}).get("data") or {}
            if kind == "modulemd":
                rpms = (content.get("artifacts") or {}).get("rpms") or ()
                artifacts.setdefault((content["name"] + "", content["stream"] + ""), set()).update(rpms)
            elif kind == "modulemd-defaults" and content.get("stream"):
                defaults[content["module"] + ""] = content["stream"]
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = Location(shown, mark.line + 1, mark.column + 1) if mark else Location(shown)
        raise RollbuildError(f"not valid YAML: {problem.problem}", location=place) from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as problem:
        message = f"not a list of modules: {type(problem).__name__} {' '.join(str(problem).split())}"
        raise RollbuildError(message, location=Location(shown)) from None
    return tuple(
        ModuleStream(module, stream, frozenset(names), defaults.get(module) == stream)
        for (module, stream), names in artifacts.items()
    )


def hidden_packages(
    repositories: Iterable["Repository"], enabled: Mapping[str, str]
) -> Mapping["AvailablePackage", ModuleStream | None]:
    """The packages that an install does not see, with the stream that would show each.

    `enabled` has streams by module; other modules have their default stream, or none. A package that belongs
    to no module is hidden (None) where an active stream has one of its name.
    """
    repositories = tuple(repositories)
    streams = [stream for repository in repositories for stream in repository.streams]
    active: set[str] = set()
    passive: dict[str, ModuleStream] = {}
    for stream in streams:
        if enabled.get(stream.module, stream.stream if stream.is_default else "") == stream.stream:
            active |= stream.artifacts
        else:
            passive.update(dict.fromkeys(stream.artifacts, stream))
    taken = {_name_of(artifact) for artifact in active}
    concerned = taken | {_name_of(artifact) for artifact in passive}
    hidden: dict[AvailablePackage, ModuleStream | None] = {}
    for repository in repositories:
        for name in concerned & repository.packages.keys():
            for package in repository.packages[name]:
                label = package.full_label
                if label in active:
                    continue
                if label in passive:
                    hidden[package] = passive[label]
                elif name in taken:
                    hidden[package] = None
    return hidden


def _name_of(artifact: str) -> str:
    return artifact.rsplit("-", 2)[0]


def streams_of(repositories: Iterable["Repository"]) -> Mapping[str, tuple[str, ...]]:
    """The streams of every module."""
    found: dict[str, list[str]] = {}
    for repository in repositories:
        for stream in repository.streams:
            found.setdefault(stream.module, []).append(stream.stream)
    return {module: tuple(sorted(set(names))) for module, names in found.items()}
