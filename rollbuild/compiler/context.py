"""What an assembly of Kickstart sections works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollbuild.compiler.template import render_template
from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding, error, warning
from rollbuild.language import Eval, Part, Template, Text
from rollbuild.location import Location
from rollbuild.releases import Release


@dataclass(frozen=True, slots=True)
class ClusterData:
    """What templates may use besides attributes: plain values (hosts, networks, rolls) by name."""

    values: Mapping[str, Any]
    hosts: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "ClusterData":
        """The data with its hosts found by name, once for all that are compiled."""
        hosts = values.get("hosts")
        found: dict[str, Any] = {}
        for entry in hosts if isinstance(hosts, list | tuple) else ():
            if isinstance(entry, Mapping):
                found.setdefault(str(entry.get("name", "")), entry)
        return cls(values, found)

    def for_host(self, name: str) -> dict[str, Any]:
        """The data as a host's templates see it: `host` is its own entry, empty where it has none."""
        return {**self.values, "host": self.hosts.get(name, {})}


MARK_START = "\U000f0000"
MARK_END = "\U000f0001"

Evaluate = Callable[[Eval, str], str | None]
"""Runs an eval whose text is given, attributes replaced; None where evals are not run.

Raises RollbuildError when the program fails.
"""

_ROCKS_PROGRAMS = {"/opt/rocks/sbin/gen_root_pw": "Kickstart_PrivateRootPassword"}
"""Programs of the Rocks front end that only print an attribute: their value is known without running them."""


def printed_attribute(program: Eval) -> str | None:
    """The attribute that a program of the Rocks front end only prints; its value is taken without running it."""
    return _ROCKS_PROGRAMS.get((program.body.literal or "").strip())


@dataclass(slots=True)
class Context:
    """Attribute values, cluster data and release of one assembly; collects its findings.

    In a `marking` context a reference becomes its name between two private-use characters, so that the assembled
    text can be cut there. `dynamic` tells that something other than attribute values went into the text.
    """

    attributes: Mapping[str, str]
    data: ClusterData
    release: Release
    evaluate: Evaluate
    marking: frozenset[str] = frozenset()
    findings: list[Finding] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    dynamic: bool = False

    def expand(self, text: Text | None) -> str:
        """A text with its attributes replaced."""
        if text is None:
            return ""
        self.note_references(text)
        return text.expand(self.look_up)

    def pin(self, text: Text | None) -> None:
        """Note that the values in this text decide about more than its own place: they cannot be filled in later."""
        if text is not None and any(name in self.marking for name, _ in text.references):
            self.dynamic = True

    def look_up(self, name: str) -> str:
        """The value of an attribute; nothing where it is not defined."""
        self.names.add(name)
        if name in self.marking:
            return f"{MARK_START}{name}{MARK_END}"
        return self.attributes.get(name, "")

    def note_references(self, text: Text) -> None:
        """Report the attributes of a text that are not defined."""
        for name, location in text.references:
            if name not in self.attributes:
                message = f"attribute {name} is not defined: nothing is put in its place"
                self.findings.append(warning("UNDEF-ATTR", message, location, f"set it: -A {name}=VALUE"))

    def require(self, text: Text) -> str:
        """A text of an element's attribute, where nothing may be undefined."""
        for name, location in text.references:
            if name not in self.attributes:
                message = f"attribute {name} is not defined"
                self.findings.append(error("UNDEF-ATTR", message, location, f"set it: -A {name}=VALUE"))
        self.refuse_line_ends((text,))
        return text.expand(self.look_up)

    def refuse_line_ends(self, parts: tuple[Part, ...]) -> None:
        """Report attributes with several lines where one line is all there can be."""
        for part in parts:
            for name, location in part.references if isinstance(part, Text) else ():
                if "\n" in self.attributes.get(name, ""):
                    message = f"the value of attribute {name} has several lines, but here it must be one"
                    self.findings.append(error("ATTR-LINES", message, location))

    def render(self, template: Template) -> str:
        """A template's output; nothing, with a finding, when it fails."""
        self.dynamic = True
        try:
            data = self.data.for_host(self.attributes.get("hostname", ""))
            return render_template(template, self.attributes, data)
        except RollbuildError as problem:
            self.findings.append(error("TEMPLATE", problem.message, problem.location, problem.hint))
            return ""

    def run(self, program: Eval) -> str:
        """An eval's output; nothing, with a finding, when it is not run or fails."""
        for name, location in program.body.references:
            if name not in self.attributes:
                message = f"attribute {name} is not defined: nothing is put in its place"
                self.findings.append(warning("UNDEF-ATTR", message, location, f"set it: -A {name}=VALUE"))
        known = printed_attribute(program)
        if known and known in self.attributes:
            return self.look_up(known)
        was_dynamic, self.dynamic = self.dynamic, True
        try:
            output = self.evaluate(program, program.body.expand(lambda name: self.attributes.get(name, "")))
        except RollbuildError as problem:
            self.findings.append(
                error("EVAL-FAILED", problem.message, problem.location or program.location, problem.hint)
            )
            return ""
        if output is not None:
            return output
        self.dynamic = was_dynamic
        if known:
            message = f"attribute {known} is not defined: nothing is put in its place"
            hint = f"set it: -A {known}=HASH (openssl passwd -6)"
            self.findings.append(warning("UNDEF-ATTR", message, program.location, hint))
            return ""
        message = "this <eval> is not run: nothing is put in its place"
        words = " ".join(program.body.expand(lambda name: self.attributes.get(name, "")).split())
        what = words if len(words) <= 80 else words[:77] + "..."
        hint = f"--eval run would run: {what}; a <template> needs no program"
        self.findings.append(warning("EVAL-OFF", message, program.location, hint))
        return ""


@dataclass(slots=True)
class TextLines:
    """Lines put together from texts and blocks, each with its location; the last one is still open."""

    lines: list[tuple[str, Location | None]] = field(default_factory=lambda: [("", None)])

    def add(self, lines: list[tuple[str, Location | None]]) -> None:
        """Add running text, given as its lines."""
        (first, place), rest = lines[0], lines[1:]
        last, known = self.lines[-1]
        if rest and not last and known is None and not first.strip() and len(self.lines) > 1:
            self.lines.pop()  # what stood behind the end tag of a block on its line
        elif first or known is None:
            self.lines[-1] = (last + first, known if last.strip() and known else place)
        self.lines += rest

    def add_block(self, lines: list[tuple[str, Location | None]]) -> None:
        """Add whole lines; what follows starts on a new line."""
        if not self.lines[-1][0].strip():
            self.lines.pop()
        self.lines += lines
        self.lines.append(("", None))

    def trimmed(self) -> list[tuple[str, Location | None]]:
        """The lines without a first and a last one that are blank (the tags' own lines)."""
        lines = list(self.lines)
        if lines and not lines[0][0].strip():
            del lines[0]
        if lines and not lines[-1][0].strip():
            del lines[-1]
        return lines
