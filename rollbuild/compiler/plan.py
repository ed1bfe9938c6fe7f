"""Plans: a compiled appliance with everything decided but the values that differ from host to host."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rollbuild.compiler.context import MARK_END, MARK_START, ClusterData, Context, Evaluate
from rollbuild.compiler.sections import Unit
from rollbuild.findings import Finding
from rollbuild.releases import Release

_MARK = re.compile(f"{MARK_START}([^{MARK_END}]*){MARK_END}")
_HARMLESS = re.compile(r"(?![-%])(?!.*(?:--|RB_))[^\s'\"\\`#]+(?: [^\s'\"\\`#]+)*\Z")
"""Values whose text changes nothing but itself: words with single blanks between them, without quotes, options,
comments, delimiters of ours, and what Kickstart acts upon."""
_DELIMITERS = ("RB_EOF", "RB_BOOT", *(f"RB_EOF_{number}" for number in range(2, 10)))


@dataclass(slots=True)
class _Block:
    """One unit; `chunks` are None when it must be assembled anew for each host."""

    unit: Unit
    chunks: tuple[bytes | str, ...] | None
    names: frozenset[str]


@dataclass(slots=True)
class Plan:
    """What hosts share whose conditions give the same answers. `varying` are the attributes that may differ.

    `render` gives the same bytes as compiling the host on its own.
    """

    release: Release
    data: ClusterData
    evaluate: Evaluate
    varying: frozenset[str]
    blocks: tuple[_Block, ...]
    chunks: list[bytes]
    slots: tuple[tuple[int, str], ...]
    names: frozenset[str]
    is_static: bool

    def render(self, attributes: Mapping[str, str], findings: list[Finding]) -> bytes:
        """The Kickstart of a host, as UTF-8; what is found on the way is added to `findings`.

        A host of plain values adds none: what holds for it was found when the plan was made.
        """
        awkward = {name for name, _ in self.awkward(attributes)}
        if self.is_static and not awkward:
            chunks = self.chunks.copy()
            for index, name in self.slots:
                chunks[index] = attributes[name].encode()
            return b"".join(chunks)
        return b"".join(self._render_block(block, attributes, awkward, findings) for block in self.blocks)

    def awkward(self, attributes: Mapping[str, str]) -> frozenset[tuple[str, str]]:
        """The varying attributes, with their values, that may change more of the text than their own place."""
        values = ((name, attributes.get(name, "")) for name in self.names)
        return frozenset((name, value) for name, value in values if not _HARMLESS.match(value))

    def _render_block(
        self, block: _Block, attributes: Mapping[str, str], awkward: set[str], findings: list[Finding]
    ) -> bytes:
        if block.chunks is None or not awkward.isdisjoint(block.names):
            context = Context(attributes, self.data, self.release, self.evaluate)
            text = _text(block.unit, context)
            findings += context.findings
            return text.encode()
        return b"".join(
            chunk if isinstance(chunk, bytes) else attributes.get(chunk, "").encode() for chunk in block.chunks
        )


def make_plan(
    units: Iterable[Unit],
    attributes: Mapping[str, str],
    varying: Iterable[str],
    *,
    data: ClusterData,
    release: Release,
    evaluate: Evaluate,
) -> Plan:
    """Assemble the units once, with marks where attributes vary; `attributes` are those of any one of the hosts."""
    marked = frozenset(varying)
    blocks = tuple(_plan_unit(unit, attributes, marked, data, release, evaluate) for unit in units)
    chunks: list[bytes] = []
    slots: list[tuple[int, str]] = []
    pending: list[bytes] = []
    for block in blocks:
        for chunk in block.chunks or ():
            if isinstance(chunk, bytes):
                pending.append(chunk)
            else:
                chunks.append(b"".join(pending))
                pending = []
                slots.append((len(chunks), chunk))
                chunks.append(b"")
    chunks.append(b"".join(pending))
    return Plan(
        release=release,
        data=data,
        evaluate=evaluate,
        varying=marked,
        blocks=blocks,
        chunks=chunks,
        slots=tuple(slots),
        names=frozenset(name for block in blocks for name in block.names),
        is_static=all(block.chunks is not None for block in blocks),
    )


def _plan_unit(
    unit: Unit,
    attributes: Mapping[str, str],
    marked: frozenset[str],
    data: ClusterData,
    release: Release,
    evaluate: Evaluate,
) -> _Block:
    context = Context(attributes, data, release, evaluate, marked)
    text = _text(unit, context)
    names = frozenset(context.names & marked)
    if marked and (context.dynamic or any(map(_values_decide, text.split("\n")))):
        return _Block(unit, None, names)
    pieces = _MARK.split(text)
    # A text may hold our marks itself, or these values may have decided about more than their own places.
    plain = _text(unit, Context(attributes, data, release, evaluate)) if names else text
    if MARK_START in plain or "".join(_fill(pieces, attributes)) != plain:
        return _Block(unit, None, names)
    chunks = tuple(piece if index % 2 else piece.encode() for index, piece in enumerate(pieces))
    return _Block(unit, chunks, names)


def _fill(pieces: list[str], attributes: Mapping[str, str]) -> Iterator[str]:
    for index, piece in enumerate(pieces):
        yield attributes.get(piece, "") if index % 2 else piece


def _values_decide(line: str) -> bool:
    """Whether a line can become one that the Kickstart parser acts upon or that ends a here-document."""
    if MARK_START not in line:
        return False
    words = line.split(None, 1)
    if words and words[0].startswith("%") and MARK_START in words[0]:
        return True
    literals = _MARK.split(line)[::2]
    if literals[0][:1] not in ("", "R") or (len(literals) == 2 and not any(literals)):
        return False
    pattern = re.compile(".+".join(map(re.escape, literals)))
    return any(map(pattern.fullmatch, _DELIMITERS))


def _text(unit: Unit, context: Context) -> str:
    return "".join(line.text + "\n" for line in unit.assemble(context).lines)
