"""What a repository says besides its packages: groups (comps), module streams, and advisories (updateinfo)."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any

from lxml import etree

from rollbuild.errors import RollbuildError
from rollbuild.location import Location
from rollbuild.packages.native import read_compressed
from rollbuild.packages.repomd import REPOMD, read_repomd, verify
from rollbuild.packages.repository import COMPS_LIMIT, MODULES_LIMIT

UPDATEINFO_LIMIT = 512 * 1024 * 1024
"""Bytes, unpacked; that of Fedora's updates has some 50 MiB."""

GROUPS_FILE, MODULES_FILE, UPDATEINFO_FILE = "comps.xml", "modules.yaml", "updateinfo.xml"


@dataclass(frozen=True, slots=True)
class Extras:
    """The files comps.xml, modules.yaml and updateinfo.xml of a repository; None for what it has not."""

    groups: bytes | None = None
    modules: bytes | None = None
    updateinfo: bytes | None = None


NO_EXTRAS = Extras()

_KINDS = {
    "groups": (("group", "group_gz", "group_xz", "group_zst"), COMPS_LIMIT),
    "modules": (("modules", "modules_gz", "modules_xz", "modules_zst"), MODULES_LIMIT),
    "updateinfo": (("updateinfo", "updateinfo_gz", "updateinfo_xz", "updateinfo_zst"), UPDATEINFO_LIMIT),
}


def read_extras(folder: str | os.PathLike[str]) -> Extras:
    """The extras of the repository in a folder that holds repodata/.

    Raises RollbuildError when there is none, or where a file is absent, damaged or not what repomd.xml says.
    """
    index = os.path.join(folder, REPOMD)
    records = read_repomd(index, index)
    found: dict[str, bytes] = {}
    for field, (kinds, limit) in _KINDS.items():
        listed = [records[kind] for kind in kinds if kind in records]
        if not listed:
            continue
        paths = [os.path.join(folder, *record.href.split("/")) for record in listed]
        for record, path in zip(listed, paths, strict=True):
            if os.path.isfile(path):
                verify(path, record, path)
                found[field] = read_compressed(path, limit)
                break
        else:
            raise RollbuildError(
                f"this file is missing, but repomd.xml lists it ({listed[0].kind})",
                location=Location(paths[0]),
                hint="copy the whole repodata folder",
            )
    return Extras(**found)


def check_extras(extras: Extras, *, folder: str | os.PathLike[str] = "") -> None:
    """Whether these files say what they should: well-formed, with ids, each once.

    `folder` is where they came from, for messages. Raises RollbuildError with file and line.
    """
    if extras.groups is not None:
        shown = os.path.join(folder, GROUPS_FILE)
        _refuse_twice(_read_groups(extras.groups, shown), shown)
    if extras.modules is not None:
        shown = os.path.join(folder, MODULES_FILE)
        _refuse_twice(_read_modules(extras.modules, shown), shown)
    if extras.updateinfo is not None:
        shown = os.path.join(folder, UPDATEINFO_FILE)
        _refuse_twice(_read_updates(extras.updateinfo, shown), shown)


def merge_extras(many: Iterable[Extras]) -> Extras:
    """The extras of several as those of one; what is there once stays as it is, byte for byte.

    Groups, environments, categories and advisories with the same id become one: what the first says stays, and
    the later ones add their packages, groups and references. Two different documents for the same stream or the same
    defaults of a module cannot be joined, and are refused.

    Raises RollbuildError, with the line, for what is malformed.
    """
    every = tuple(many)
    merged: dict[str, bytes | None] = {}
    join: dict[str, Callable[[Sequence[bytes]], bytes]] = {
        "groups": _join_groups,
        "modules": _join_modules,
        "updateinfo": _join_updates,
    }
    for field in fields(Extras):
        given = list(dict.fromkeys(data for one in every if (data := getattr(one, field.name)) is not None))
        merged[field.name] = join[field.name](given) if given else None
    return Extras(**merged)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something with an id: an element of XML, or a document of YAML and its text."""

    key: tuple[str, ...]
    line: int
    value: Any


def _refuse_twice(entries: Iterable[_Entry], shown: str) -> None:
    lines: dict[tuple[str, ...], int] = {}
    for entry in entries:
        first = lines.setdefault(entry.key, entry.line)
        if first != entry.line:
            raise RollbuildError(
                f"{' '.join(entry.key)} is there twice, first on line {first}",
                location=Location(shown, entry.line),
                hint="give each its own id, or make one of the two",
            )


def _parse_xml(data: bytes, shown: str, root_tag: str, what: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as problem:
        place = Location(shown, problem.lineno or 0, problem.offset or 0)
        raise RollbuildError(f"not valid XML: {problem.msg}", location=place) from None
    except ValueError as problem:
        raise RollbuildError(f"not valid XML: {problem}", location=Location(shown)) from None
    subset: Any = root.getroottree().docinfo.internalDTD
    if subset is not None and next(iter(subset.iterentities()), None) is not None:
        raise RollbuildError(
            "this file declares entities, which other programs might follow",
            location=Location(shown, 1),
            hint="write the text out where it is used",
        )
    if root.tag != root_tag:
        message = f"{what} starts with <{root_tag}>, not <{root.tag}>"
        raise RollbuildError(message, location=Location(shown, _line_of(root)))
    return root


def _line_of(element: Any) -> int:
    return element.sourceline or 0


def _id_of(element: etree._Element, shown: str) -> str:
    found = " ".join((element.findtext("id") or "").split())
    if not found:
        raise RollbuildError(
            f"this <{element.tag}> has no <id>", location=Location(shown, _line_of(element)), hint="give it one"
        )
    return found


_WITH_ID = ("group", "environment", "category")


def _read_groups(data: bytes, shown: str) -> Iterator[_Entry]:
    root = _parse_xml(data, shown, "comps", "a file of groups")
    for element in root:
        if element.tag not in _WITH_ID:
            continue
        for child in element.iterfind("packagelist/packagereq"):
            if not (child.text or "").strip():
                place = Location(shown, _line_of(child))
                raise RollbuildError("this <packagereq> names no package", location=place, hint="write its name in it")
        yield _Entry((element.tag, _id_of(element, shown)), _line_of(element), element)


def _join_groups(given: Sequence[bytes]) -> bytes:
    entries: dict[tuple[str, ...], etree._Element] = {}
    packs: dict[bytes, etree._Element] = {}
    twice = len(given) > 1
    for data in given:
        for entry in _read_groups(data, GROUPS_FILE):
            twice |= entry.key in entries
            _add(entries, entry, ("packagelist", "grouplist", "optionlist"))
        for pack in _parse_xml(data, GROUPS_FILE, "comps", "").iterfind("langpacks/match"):
            packs.setdefault(etree.tostring(pack, method="c14n"), pack)
    if not twice:
        return given[0]
    root = etree.Element("comps")
    # The order that comps files have: groups, categories, environments.
    root.extend(element for tag in ("group", "category", "environment") for element in _of(entries, tag))
    if packs:
        etree.SubElement(root, "langpacks").extend(packs.values())
    return _write_xml(root)


def _of(entries: dict[tuple[str, ...], etree._Element], tag: str) -> list[etree._Element]:
    return [element for (kind, *_), element in entries.items() if kind == tag]


def _read_updates(data: bytes, shown: str) -> Iterator[_Entry]:
    root = _parse_xml(data, shown, "updates", "a file of advisories")
    for element in root.iterfind("update"):
        yield _Entry(("update", _id_of(element, shown)), _line_of(element), element)


def _join_updates(given: Sequence[bytes]) -> bytes:
    entries: dict[tuple[str, ...], etree._Element] = {}
    twice = len(given) > 1
    for data in given:
        for entry in _read_updates(data, UPDATEINFO_FILE):
            twice |= entry.key in entries
            _add(entries, entry, ("references", "pkglist"))
    if not twice:
        return given[0]
    root = etree.Element("updates")
    root.extend(entries.values())
    return _write_xml(root)


def _add(entries: dict[tuple[str, ...], etree._Element], entry: _Entry, lists: Sequence[str]) -> None:
    """Keep an element, or add to the one with the same id the children of these lists that it has not."""
    first = entries.setdefault(entry.key, entry.value)
    if first is entry.value:
        return
    for tag in lists:
        for more in entry.value.iterfind(tag):
            mine = first.find(tag)
            if mine is None:
                mine = etree.SubElement(first, tag)
            known = {_text_of(child) for child in mine}
            mine.extend(deepcopy(child) for child in more if _text_of(child) not in known)


def _text_of(element: etree._Element) -> bytes:
    # A package or a group that is in the list already, be it as another kind, is not added again.
    if element.tag in ("packagereq", "groupid"):
        return (element.text or "").strip().encode()
    return bytes(etree.tostring(element, method="c14n", with_tail=False))


def _write_xml(root: etree._Element) -> bytes:
    etree.indent(root)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8")) + b"\n"


_MODULE_KEYS = {
    "modulemd": ("name", "stream", "version", "context", "arch"),
    "modulemd-stream": ("name", "stream", "version", "context", "arch"),
    "modulemd-packager": ("name", "stream"),
    "modulemd-defaults": ("module",),
    "modulemd-obsoletes": ("module", "stream", "context", "modified"),
    "modulemd-translations": ("module", "stream"),
}


def _read_modules(data: bytes, shown: str) -> Iterator[_Entry]:
    import yaml

    from rollbuild.packages.modules import check_nesting

    try:
        check_nesting(text := data.decode(), aliases=False)
        # All values are texts to this loader: stream 2.10 is not 2.1.
        loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)(text)
        while loader.check_node():
            node = loader.get_node()
            line = node.start_mark.line + 1
            document = loader.construct_document(node)
            yield _Entry(_key_of(document, shown, line), line, document)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = Location(shown, mark.line + 1, mark.column + 1) if mark else Location(shown)
        raise RollbuildError(f"not valid YAML: {problem.problem}", location=place) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as problem:
        message = f"not valid YAML: {' '.join(str(problem).split())}"
        raise RollbuildError(message, location=Location(shown)) from None


def _key_of(document: Any, shown: str, line: int) -> tuple[str, ...]:
    kind = document.get("document") if isinstance(document, dict) else None
    content = document.get("data") if isinstance(document, dict) else None
    if not isinstance(kind, str) or not isinstance(content, dict):
        raise RollbuildError(
            "this is no document about a module",
            location=Location(shown, line),
            hint="each has the keys document (modulemd, modulemd-defaults, ...), version and data",
        )
    if kind not in _MODULE_KEYS:
        raise RollbuildError(
            f"{kind} is no kind of document about modules",
            location=Location(shown, line),
            hint=f"there are {', '.join(_MODULE_KEYS)}",
        )
    parts = [content.get(name, "") for name in _MODULE_KEYS[kind]]
    if not all(isinstance(part, str) for part in parts) or not parts[0] or (kind == "modulemd" and not parts[1]):
        raise RollbuildError("this document does not name its module and stream", location=Location(shown, line))
    return (kind, *parts)


def _join_modules(given: Sequence[bytes]) -> bytes:
    known: dict[tuple[str, ...], Any] = {}
    twice = len(given) > 1
    for data in given:
        for entry in _read_modules(data, MODULES_FILE):
            twice |= entry.key in known
            if known.setdefault(entry.key, entry.value) != entry.value:
                raise RollbuildError(
                    f"two different documents tell of {' '.join(entry.key).rstrip()}",
                    location=Location(MODULES_FILE, entry.line),
                    hint="keep one of them, or give one of them another stream",
                )
    if not twice:
        return given[0]
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump_all(known.values(), Dumper=dumper, sort_keys=False, explicit_start=True, allow_unicode=True)
    return text.encode()
