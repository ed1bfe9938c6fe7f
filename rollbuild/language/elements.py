"""What node files consist of, as frozen values."""

from dataclasses import dataclass

from rollbuild.findings import Finding
from rollbuild.language.conditions import Guard
from rollbuild.language.xmltree import Text
from rollbuild.location import Location


@dataclass(frozen=True, slots=True)
class Eval:
    """A program whose output takes its place at compile time; `as_xml` output is parsed as elements."""

    shell: str
    as_xml: bool
    body: Text
    guards: tuple[Guard, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class Template:
    """A Jinja2 template whose output takes its place."""

    body: Text
    guards: tuple[Guard, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class File:
    """A file that a script writes on the host (format: `<file name= mode= owner= perms= vars= expr=>`)."""

    name: Text
    mode: str
    owner: Text | None
    perms: Text | None
    expands: bool
    expr: Text | None
    source: Text | None
    keeps_original: bool
    body: tuple["Part", ...]
    guards: tuple[Guard, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes of a file of the roll, written on the host."""

    name: Text
    data: bytes
    guards: tuple[Guard, ...]
    location: Location


Part = Text | Eval | Template | File | Copy


@dataclass(frozen=True, slots=True)
class Command:
    """A Kickstart command of the main section; `name` is `ks` for raw lines."""

    name: str
    body: tuple[Part, ...]
    guards: tuple[Guard, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class Package:
    """One package or group of the packages section."""

    name: Text
    is_group: bool
    enabled: bool
    guards: tuple[Guard, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class Script:
    """A script section; `kind` is the element's name, `order` only means something for `boot`."""

    kind: str
    interpreter: Text | None
    argument: Text | None
    phases: frozenset[str]
    order: str
    body: tuple[Part, ...]
    guards: tuple[Guard, ...]
    location: Location


Item = Command | Package | Script


@dataclass(frozen=True, slots=True)
class NodeFile:
    """One node file that was read."""

    path: str
    roll: str
    description: str
    items: tuple[Item, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its own file and what site nodes extend it by, or what replaces it."""

    name: str
    files: tuple[NodeFile, ...]

    @property
    def description(self) -> str:
        """The first description that its files give."""
        return next((file.description for file in self.files if file.description), "")
