"""comps: groups of packages, environments of groups."""

from collections.abc import Mapping
from dataclasses import dataclass

from lxml import etree

from rollbuild.errors import RollbuildError
from rollbuild.location import Location


@dataclass(frozen=True, slots=True)
class GroupPackage:
    """A package of a group; `kind` is mandatory, default, optional or conditional."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group: what `@id` stands for."""

    id: str
    name: str
    packages: tuple[GroupPackage, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment: what `@^id` stands for. `groups` come with it, `options` may."""

    id: str
    name: str
    groups: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def read_groups(data: bytes, shown: str) -> tuple[Mapping[str, Group], Mapping[str, Environment], tuple[str, ...]]:
    """Groups and environments by id, and the ids of categories, of a comps file. Raises RollbuildError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as problem:
        place = Location(shown, problem.lineno or 0, problem.offset or 0)
        raise RollbuildError(f"not valid XML: {problem.msg}", location=place) from None
    if root.tag != "comps":
        raise RollbuildError(f"a file of groups starts with <comps>, not <{root.tag}>", location=Location(shown))
    groups: dict[str, Group] = {}
    environments: dict[str, Environment] = {}
    for element in root.iterfind("group"):
        group = Group(_text(element, "id"), _text(element, "name"), _packages(element))
        # A group that stands twice, as in comps merged from several, has the packages of both.
        old = groups.get(group.id, Group("", ""))
        groups[group.id] = Group(group.id, old.name or group.name, (*old.packages, *group.packages))
    for element in root.iterfind("environment"):
        environment = Environment(
            _text(element, "id"),
            _text(element, "name"),
            _ids(element, "grouplist"),
            _ids(element, "optionlist"),
        )
        environments.setdefault(environment.id, environment)
    categories = tuple(dict.fromkeys(_text(element, "id") for element in root.iterfind("category")))
    groups.pop("", None)
    environments.pop("", None)
    return groups, environments, tuple(name for name in categories if name)


def _text(element: etree._Element, tag: str) -> str:
    # Translations have the same tag, with xml:lang.
    for child in element.iterfind(tag):
        if not child.attrib:
            return (child.text or "").strip()
    return ""


def _packages(element: etree._Element) -> tuple[GroupPackage, ...]:
    return tuple(
        GroupPackage(name, child.get("type") or "mandatory")
        for child in element.iterfind("packagelist/packagereq")
        if (name := (child.text or "").strip())
    )


def _ids(element: etree._Element, tag: str) -> tuple[str, ...]:
    return tuple(name for child in element.iterfind(f"{tag}/groupid") if (name := (child.text or "").strip()))
