"""What the elements of node files may carry: which XML attributes there are, and what they say."""

from collections.abc import Collection

from rollbuild.findings import Finding, error, warning
from rollbuild.language.conditions import ALWAYS, ConditionError, Guard, make_guard
from rollbuild.language.names import did_you_mean
from rollbuild.language.xmltree import Element

SCRIPTS = ("pre", "pre-install", "post", "configure", "boot", "onerror")

_GUARDS = frozenset(("arch", "os", "release", "cond"))
# `roll` and `file` stand on elements of files that an old compiler has written.
ANYWHERE = _GUARDS | {"roll", "file"}
_MARKS = frozenset(("roll", "file"))
ATTRIBUTES: dict[str, frozenset[str]] = {
    "kickstart": frozenset(("roll", "interface", "file")),
    "main": ANYWHERE | {"phase"},
    "package": ANYWHERE | {"type", "disable", "phase"},
    "boot": ANYWHERE | {"order", "phase"},
    "file": ANYWHERE | {"name", "mode", "owner", "perms", "vars", "expr", "rcs", "src", "include"},
    "eval": ANYWHERE | {"shell", "mode"},
    "template": ANYWHERE,
    "include": _MARKS | {"mode"},
    "sinclude": _MARKS | {"mode"},
    "var": _MARKS | {"name", "val", "ref"},
    "copy": ANYWHERE | {"src", "dst"},
    "clearpart": ANYWHERE | {"partition"},
} | {kind: ANYWHERE | {"interpreter", "arg", "chroot", "phase"} for kind in SCRIPTS if kind != "boot"}
"""The XML attributes of each element; of others, those of ANYWHERE."""


class ElementChecks:
    """Reads the XML attributes of elements; what is wrong with them or with an element's children is in `findings`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def guards(self, element: Element, outer: tuple[Guard, ...]) -> tuple[Guard, ...]:
        """The conditions that hold for the element: `outer` and those of its own XML attributes."""
        if not (_GUARDS & element.attributes.keys()):
            return outer
        keys = sorted(_GUARDS & element.attributes.keys())
        given = {key: text for key in keys if (text := self.plain(element, key)) is not None}
        try:
            guard = make_guard(given, element.location)
        except ConditionError as problem:
            self.findings.append(problem.as_finding())
            return outer
        return outer if guard == ALWAYS else (*outer, guard)

    def plain(self, element: Element, key: str) -> str | None:
        """The value of an XML attribute that must be known before any host is."""
        text = element.attributes.get(key)
        if text is None:
            return None
        literal = text.literal
        if literal is None:
            name, place = text.references[0]
            message = f"&{name}; cannot stand in {key}= of <{element.tag}>"
            hint = f"name the attribute without & and ;: {name}" if key == "cond" else ""
            self.findings.append(error("ENT-IN-ATTR", message, place, hint))
            return None
        return literal

    def choice(self, element: Element, key: str, known: tuple[str, ...], default: str) -> str:
        """The value of an XML attribute that has to be one of `known`."""
        value = self.plain(element, key)
        if value is None or value in known:
            return value or default
        hint = did_you_mean(value, known) or f"it is {' or '.join(known)}"
        message = f'{key}="{value}" is not known for <{element.tag}>: read as {default}'
        self.findings.append(warning("UNKNOWN-VALUE", message, element.location, hint))
        return default

    def check_attributes(self, element: Element) -> None:
        """Warn of XML attributes that the element does not have."""
        allowed = ATTRIBUTES.get(element.tag, ANYWHERE)
        for key in sorted(element.attributes.keys() - allowed):
            hint = did_you_mean(key, allowed)
            message = f"<{element.tag}> has no attribute {key}: ignored"
            self.findings.append(warning("UNKNOWN-ATTR", message, element.location, hint))

    def refuse_children(self, element: Element) -> None:
        """For an element that holds nothing but text."""
        for child in element.elements:
            self.unexpected(child, element, ())

    def unexpected(self, child: Element, element: Element, allowed: Collection[str]) -> None:
        """Note an element where none, or only others are allowed."""
        hint = did_you_mean(child.tag, allowed, "<{}>") if len(child.tag) > 2 else ""
        hint = hint or "if it is text, put it in <![CDATA[ ... ]]>"
        message = f"<{child.tag}> cannot stand in <{element.tag}>"
        self.findings.append(error("UNEXPECTED-CHILD", message, child.location, hint))


def is_foreign(element: Element) -> bool:
    """Whether it is for Solaris only, which no release is."""
    given = element.attributes.get("os")
    return given is not None and {item.strip() for item in (given.literal or "").split(",")} <= {"sunos"}
