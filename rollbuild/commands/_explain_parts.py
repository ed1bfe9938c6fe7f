"""Why a package or a file is in a Kickstart, or why it is not."""

import re
from collections.abc import Iterator

from rollbuild.commands._paths import Answer, Question, explain_absence
from rollbuild.commands._shown import place_data, place_of
from rollbuild.commands._uses import readable_nodes
from rollbuild.compiler import WrittenFile
from rollbuild.errors import RollbuildError
from rollbuild.language import Copy, Eval, File, Guard, Node, Package, Part, Template, Text, did_you_mean
from rollbuild.location import Location

_MENTIONS = 10


def explain_package(question: Question, name: str) -> Answer:
    """Every element that asks for a package or disables it; where none does, the nearest that would."""
    listed = question.profile.packages
    known = {item.removeprefix("-") for item, _, _ in listed}
    if name not in known and f"@{name}" in known:
        name = f"@{name}"
    enabled = [(node, package) for item, node, package in listed if item == name]
    disabled = [(node, package) for item, node, package in listed if item == f"-{name}"]
    if not enabled and not disabled:
        return _explain_missing_package(question, name, known)
    appliance = question.appliance.name
    if enabled:
        lines = [f"package {name} is installed on {appliance}"]
    else:
        lines = [f"package {name} is disabled on {appliance}: %packages has -{name}"]
    for word, items in (("asked for by", enabled), ("disabled by", disabled)):
        for node, package in items:
            lines.append(f"  {word} node {node}  {place_of(package.location)}{question.condition(package.guards)}")
            lines.append(f"    {question.short_path(node)}")
    if enabled and disabled:
        lines.append("  asking for a package wins over disabling it")
    data = {
        "subject": "package",
        "name": name,
        "installed": bool(enabled),
        "enabled_by": [_element_data(question, node, item.guards, item.location) for node, item in enabled],
        "disabled_by": [_element_data(question, node, item.guards, item.location) for node, item in disabled],
    }
    return Answer(data, tuple(lines))


def _element_data(question: Question, node: str, guards: tuple[Guard, ...], location: Location) -> dict[str, object]:
    edges = question.selection.path_to(node)
    return {
        "node": node,
        **place_data(location),
        **question.condition_data(guards),
        "path": [question.selection.root, *(edge.child for edge in edges)],
    }


def _explain_missing_package(question: Question, name: str, known: set[str]) -> Answer:
    def is_it(item: Package) -> bool:
        found = item.name.expand(lambda key: question.attributes.get(key, "")).strip()
        return name in (found, f"@{found}" if item.is_group else found) or (item.is_group and name == found)

    elsewhere = [
        (node.name, item.guards, item.location)
        for node in _every_node(question)
        for file in node.files
        for item in file.items
        if isinstance(item, Package) and is_it(item)
    ]
    if not elsewhere:
        hint = did_you_mean(name, known) or f"`rollbuild list packages {question.appliance.name}` lists them"
        raise RollbuildError(f"no node asks for package {name}", hint=hint)
    return _explain_elsewhere(question, "package", name, "installed on", elsewhere)


def _every_node(question: Question) -> Iterator[Node]:
    return readable_nodes(question.workspace, question.workspace.description.node_names)


def _explain_elsewhere(
    question: Question, subject: str, name: str, verb: str, elsewhere: list[tuple[str, tuple[Guard, ...], Location]]
) -> Answer:
    """Elements that have it, none of which counts: their own condition is false, or their node is not there."""
    lines = [f"{subject} {name} is not {verb} {question.appliance.name}; it would be by:"]
    data = []
    for node, guards, location in elsewhere:
        is_selected = node in question.selection.names
        lines.append(f"  node {node}  {place_of(location)}")
        entry = {"node": node, **place_data(location), **question.condition_data(guards), "selected": is_selected}
        if not entry["holds"]:
            lines.append(f"    {question.falsity(guards)}")
        if not is_selected:
            absence = explain_absence(question, node)
            lines += [f"    {line}" for line in absence.lines]
            entry["absence"] = absence.data
        data.append(entry)
    return Answer({"subject": subject, "name": name, "installed": False, "elsewhere": data}, tuple(lines))


def explain_file(question: Question, path: str) -> Answer:
    """Every script that writes a file, in order, and what owner and permissions it ends up with."""
    writes = [
        (script.section, file) for script in question.profile.scripts for file in script.files if file.path == path
    ]
    mentions = _mentions(question, path)
    if not writes:
        return _explain_missing_file(question, path, mentions)
    first_lines: dict[Location, int] = {}
    for number, line in enumerate(question.profile.lines, start=1):
        if line.location is not None:
            first_lines.setdefault(line.location, number)
    lines = [f"file {path} is written on {question.appliance.name}:"]
    data: list[dict[str, object]] = []
    for section, file in writes:
        line_number = first_lines.get(file.location)
        lines.append(
            f"  {_VERBS[file.mode]} by node {file.node} in %{section}  {place_of(file.location)}"
            + (f"  (line {line_number} of the Kickstart)" if line_number else "")
        )
        detail = _describe_write(file)
        guards = _guards_at(question, file.location)
        lines.append(f"    {detail}{question.condition(guards)}")
        lines.append(f"    {question.short_path(file.node)}")
        data.append(
            {
                "node": file.node,
                "mode": file.mode,
                "owner": file.owner or None,
                "perms": file.perms or None,
                "section": section,
                "kickstart_line": line_number,
                **place_data(file.location),
                **question.condition_data(guards),
                "content": None if file.content is None else question.hide_lines(file.content),
            }
        )
    owner = next((file.owner for _, file in reversed(writes) if file.owner), "")
    perms = next((file.perms for _, file in reversed(writes) if file.perms), "")
    lines.append(
        f"in the end: owner {owner or 'as the script leaves it'}, perms {perms or 'as the script leaves them'}"
    )
    lines += _mention_lines(mentions)
    answer = {"subject": "file", "name": path, "written": data, "owner": owner or None, "perms": perms or None}
    return Answer({**answer, "mentioned": [item for item, _ in mentions]}, tuple(lines))


_VERBS = {"create": "created", "append": "appended to", "pipe": "changed by a program"}


def _describe_write(file: WrittenFile) -> str:
    words = [f"owner {file.owner}"] if file.owner else []
    words += [f"perms {file.perms}"] if file.perms else []
    if file.content is None:
        words.append("content: what a program gives, or a file of the roll")
    else:
        count = file.content.count("\n")
        words.append(f"{count} line" + ("" if count == 1 else "s"))
    return ", ".join(words)


def _guards_at(question: Question, location: Location) -> tuple[Guard, ...]:
    """The conditions of the element at a place, those around it first."""
    node = question.node_of(location.file)
    for _, guards, part in parts_of(node) if node else ():
        if part.location == location:
            return guards
    return ()


def _mentions(question: Question, path: str) -> list[tuple[dict[str, object], str]]:
    """Lines of scripts that name a path without <file>: they may write it too."""
    found: list[tuple[dict[str, object], str]] = []
    written = {file.location for file in question.profile.files}
    named = re.compile(rf"(?<![\w./-]){re.escape(path)}(?![\w/-]|\.\w)")
    for number, line in enumerate(question.profile.lines, start=1):
        if line.location is None or line.location in written or not named.search(line.text):
            continue
        text = question.hide(line.text.strip())
        found.append(({"kickstart_line": number, "text": text, **place_data(line.location)}, place_of(line.location)))
    return found


def _mention_lines(mentions: list[tuple[dict[str, object], str]]) -> list[str]:
    if not mentions:
        return []
    lines = ["named in lines of scripts, which may change it:"]
    lines += [f"  {place}  {item['text']}" for item, place in mentions[:_MENTIONS]]
    if len(mentions) > _MENTIONS:
        lines.append(f"  and {len(mentions) - _MENTIONS} more")
    return lines


def _explain_missing_file(question: Question, path: str, mentions: list[tuple[dict[str, object], str]]) -> Answer:
    def name_of(part: File | Copy) -> str:
        return part.name.expand(lambda key: question.attributes.get(key, "")).strip()

    elsewhere = [
        (node.name, guards, part.location)
        for node in _every_node(question)
        for _, guards, part in parts_of(node)
        if isinstance(part, File | Copy) and name_of(part) == path
    ]
    if elsewhere:
        answer = _explain_elsewhere(question, "file", path, "written on", elsewhere)
        data = {**answer.data, "mentioned": [item for item, _ in mentions]}
        return Answer(data, (*answer.lines, *_mention_lines(mentions)))
    if mentions:
        lines = [f"no <file> writes {path} on {question.appliance.name}", *_mention_lines(mentions)]
        data = {"subject": "file", "name": path, "written": [], "mentioned": [item for item, _ in mentions]}
        return Answer(data, tuple(lines))
    known = {file.path for file in question.profile.files}
    raise RollbuildError(
        f"no node writes {path}", hint=did_you_mean(path, known) or "packages bring files of their own"
    )


def parts_of(node: Node) -> Iterator[tuple[str, tuple[Guard, ...], File | Copy | Eval | Template]]:
    """Everything but texts inside the elements of a node, with all the conditions around it."""
    for file in node.files:
        for item in file.items:
            if not isinstance(item, Package):
                yield from _inner(item.body, item.guards)


def _inner(
    parts: tuple[Part, ...], outer: tuple[Guard, ...]
) -> Iterator[tuple[str, tuple[Guard, ...], File | Copy | Eval | Template]]:
    for part in parts:
        if isinstance(part, Text):
            continue
        guards = (*outer, *part.guards)
        yield type(part).__name__.lower(), guards, part
        if isinstance(part, File):
            yield from _inner(part.body, guards)
