"""What a line of a Kickstart is, and where it comes from."""

from rollbuild.commands._explain_parts import parts_of
from rollbuild.commands._paths import Answer, Question
from rollbuild.commands._shown import place_data, place_of
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import read_limited
from rollbuild.language import Guard, Node
from rollbuild.location import Location

_SOURCE_LIMIT = 64 * 1024 * 1024


def explain_line(question: Question, number: int) -> Answer:
    """What a line (from 1) of the Kickstart is, and the place that it comes from."""
    lines = question.profile.lines
    if not 1 <= number <= len(lines):
        message = f"there is no line {number}: the Kickstart of {question.appliance.name} has {len(lines)} lines"
        raise RollbuildError(message, hint=f"lines count from 1 to {len(lines)}", exit_code=USAGE)
    line = lines[number - 1]
    section, node = _section_of(question, number)
    text = question.hide(line.text)
    shown = [f"line {number} of {question.profile.name}: {text}".rstrip(), f"  in {section}"]
    data: dict[str, object] = {
        "subject": "line",
        "line_number": number,
        "text": text,
        "section": section,
        **place_data(line.location),
    }
    if line.location is None:
        shown.append("  rollbuild itself writes this line")
        return Answer({**data, "node": node or None, "source": None, "from": None, "also": []}, tuple(shown))
    owner = question.node_of(line.location.file)
    node = owner.name if owner else node
    source = _source_line(line.location)
    maker = _maker(owner, line.location)
    if maker:
        shown.append(f"  put there by the <{maker}> at {place_of(line.location)} (node {node})")
    else:
        shown.append(f"  from node {node}  {place_of(line.location)}")
    shown.append(f"    {question.hide(source.strip())}")
    guards = _element_guards(question, owner, line.location)
    if guards:
        shown.append(f"   {question.condition(guards)}")
    if node in question.selection.names:
        shown.append(f"    {question.short_path(node)}")
    also = [
        (name, item.location)
        for written, name, item in question.profile.packages
        if written == line.text and item.location != line.location and section == "%packages"
    ]
    shown += [f"  also asked for by node {name}  {place_of(place)}" for name, place in also]
    data["also"] = [{"node": name, **place_data(place)} for name, place in also]
    data |= {"node": node or None, "source": question.hide(source), "from": maker or None}
    return Answer({**data, **question.condition_data(guards)}, tuple(shown))


def _section_of(question: Question, number: int) -> tuple[str, str]:
    """The section that a line is in, in words, and its node where it is a script."""
    for section in question.profile.sections:
        if number > len(section.lines):
            number -= len(section.lines)
            continue
        if section.script:
            return f"%{section.script.section} of node {section.script.node}", section.script.node
        if section.lines[0].text.split(None, 1)[:1] == ["%packages"]:
            return "%packages", ""
        if section.lines[0].text.startswith("# Kickstart of"):
            return "the comments on top", ""
        return "the commands", ""
    return "", ""


def _element_guards(question: Question, node: Node | None, location: Location) -> tuple[Guard, ...]:
    """The conditions of the command, package or script that a place is in."""
    items = [
        item
        for file in (node.files if node else ())
        for item in file.items
        if item.location.file == location.file
        and item.location <= location
        and all(guard.holds(question.attributes) for guard in item.guards)
    ]
    return max(items, key=lambda item: item.location).guards if items else ()


def _source_line(location: Location) -> str:
    try:
        text = read_limited(location.file, _SOURCE_LIMIT).decode("utf-8", "replace")
    except RollbuildError:
        return ""
    lines = text.splitlines()
    return lines[location.line - 1] if 0 < location.line <= len(lines) else ""


def _maker(node: Node | None, location: Location) -> str:
    """`template` or `eval` where one of these gives the line."""
    for kind, _, part in parts_of(node) if node else ():
        if kind in ("template", "eval") and part.location == location:
            return kind
    return ""
