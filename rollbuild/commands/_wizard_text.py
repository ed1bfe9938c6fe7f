"""The site.yaml that `rollbuild init` writes."""

import json
import re
from collections.abc import Iterable, Mapping

from rollbuild.commands._wizard_questions import Question
from rollbuild.language import AttributeSet

_PLAIN = re.compile(r"[A-Za-z0-9/](?:[A-Za-z0-9_./+@,-]|:(?=[A-Za-z0-9_./+@,-])| (?=[A-Za-z0-9]))*\Z")
_NULLS = frozenset({"null", "~"})
_BLOCK_LINE = re.compile(r"\S(?:[ -~]*\S)?\Z")


def write_site(
    differing: Iterable[tuple[Question, str]], more: Mapping[str, str], scopes: AttributeSet, rolls: Iterable[str]
) -> str:
    """The YAML of a site's attributes: what differs from the defaults of the rolls, by group, with comments.

    `more`: attributes that no roll declares; `scopes`: those for one os, appliance, rack or host.
    """
    lines = [
        f"# The site's facts, beside what the rolls {', '.join(sorted(set(rolls)))} take as given.",
        "# `rollbuild list attributes APPLIANCE --attrs THIS-FILE` shows all attributes with their values.",
    ]
    body: list[str] = []
    group = ""
    for question, value in differing:
        if question.group != group:
            group = question.group
            body += ["", f"  # {group}"]
        if question.declaration.description:
            body.append(f"  # - {' '.join(question.declaration.description.split())}")
        body += _entry(question.name, value, 2)
    if more:
        body += ["", "  # No roll declares these"]
        for name, value in more.items():
            body += _entry(name, value, 2)
    lines += ["global:" if body else "global: {}", *body[1:]]
    for scope in ("os", "appliance", "rack", "host"):
        keys = [key for key in scopes.keys_of(scope) if scopes.layers[scope, key]]
        if keys:
            lines += ["", f"{scope}:"]
        for key in keys:
            lines.append(f"  {_scalar(key)}:")
            for name, attribute in scopes.layers[scope, key].items():
                lines += _entry(name, attribute.value, 4)
    return "\n".join(lines) + "\n"


def _entry(name: str, value: str, indent: int) -> list[str]:
    blanks = " " * indent
    parts = value.split("\n")
    if len(parts) > 1 and all(_BLOCK_LINE.match(part) for part in parts):
        return [f"{blanks}{_scalar(name)}: |-", *(f"{blanks}  {part}" for part in parts)]
    return [f"{blanks}{_scalar(name)}: {_scalar(value)}"]


def _scalar(text: str) -> str:
    if _PLAIN.match(text) and text.lower() not in _NULLS:
        return text
    # Strings of JSON are strings of YAML; beyond ASCII they are escaped, as YAML takes less than JSON as it is.
    return json.dumps(text, ensure_ascii=not text.isprintable())
