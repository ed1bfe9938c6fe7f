"""roll-NAME.xml: what the tools of Rocks 5-7 read of a roll."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rollbuild.errors import RollbuildError
from rollbuild.location import Location
from rollbuild.rolls.identity import RollId

if TYPE_CHECKING:
    from lxml import etree

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DEFAULT_COLOR = "steelblue"
_REMEDY = "copy the roll again, or write the file anew: it names the roll, its version, release and arch"


@dataclass(frozen=True, slots=True)
class OldRoll:
    """What an old roll's XML file says: which roll it is, its os (`linux`) and colour (empty where none is said)."""

    id: RollId
    os: str = "linux"
    color: str = ""


def write_roll_xml(roll: RollId, *, epoch: int, color: str = "", has_sources: bool = False) -> bytes:
    """The bytes of roll-NAME.xml; `epoch` in seconds since 1970 becomes its time stamp, in UTC.

    The author is nobody: whose machine built a roll is not part of it.
    """
    moment = time.gmtime(epoch)
    date = f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:02} {moment.tm_year}"
    clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
    shown = color or _DEFAULT_COLOR
    # Names, versions and colours are letters, digits and a few marks: nothing needs to be escaped.
    return f"""<roll name="{roll.name}" interface="4.0">
  <timestamp time="{clock}" date="{date}" tz="UTC"/>
  <color edge="{shown}" node="{shown}"/>
  <info version="{roll.version}" release="{roll.release}" arch="{roll.arch}" os="linux"/>
  <iso maxsize="0" bootable="0"/>
  <rpm rolls="0" bin="1" src="{int(has_sources)}"/>
  <author name="rollbuild" host="rollbuild"/>
</roll>
""".encode()


def read_old_roll_xml(data: bytes, shown: str | Path) -> OldRoll:
    """Read roll-NAME.xml as old tools did: text between elements is passed over, a later element replaces an earlier.

    `shown` names the file in errors. Raises RollbuildError for a document type, XML that cannot be read, and when it
    does not say which roll it is.
    """
    place = Location(os.fspath(shown))
    root = _parse(data, place)
    if root.tag != "roll":
        raise RollbuildError(f"this is no roll's XML file: it begins with <{root.tag}>", location=place, hint=_REMEDY)
    said = {element.tag: element for element in root.iter() if isinstance(element.tag, str)}
    info = said.get("info")
    if info is None:
        raise _incomplete("there is no <info>", root, place)
    values = []
    for key, element in (("name", root), ("version", info), ("release", info), ("arch", info)):
        values.append(element.get(key, "").strip())
        if not values[-1]:
            raise _incomplete(f"<{element.tag}> has no {key}", element, place)
    color = said.get("color")
    name = color.get("node", color.get("edge", "")) if color is not None else ""
    try:
        roll = RollId(*values)
    except RollbuildError as problem:
        raise RollbuildError(problem.message, location=place, hint=problem.hint) from None
    return OldRoll(roll, info.get("os", "linux"), name if name.isalnum() and name.isascii() else "")


def _incomplete(what: str, element: "etree._Element", place: Location) -> RollbuildError:
    line = getattr(element, "sourceline", None) or 0
    return RollbuildError(
        f"this roll's XML file is not complete: {what}", location=Location(place.file, line), hint=_REMEDY
    )


def _parse(data: bytes, place: Location) -> "etree._Element":
    from lxml import etree  # slow to import, and only needed for old rolls

    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise RollbuildError("a roll's XML file has no document type", location=place, hint="remove the DOCTYPE")
    # Whatever was before the root element, or is not UTF-8, old tools did not mind.
    start = data.find(b"<")
    text = data[start:] if start > 0 else data
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        if not text.startswith(b"<?xml"):
            text = text.decode("latin-1").encode()
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(text, parser)
    except etree.XMLSyntaxError as problem:
        raise RollbuildError(
            f"this roll's XML file cannot be read: {problem.msg}",
            location=Location(place.file, int(problem.lineno or 0)),
            hint=_REMEDY,
        ) from None
    except ValueError as problem:
        raise RollbuildError(f"this roll's XML file cannot be read: {problem}", location=place, hint=_REMEDY) from None
