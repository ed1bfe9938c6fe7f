"""Declarations: the attributes that a roll knows, with their defaults and what values make sense."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from rollbuild.errors import RollbuildError
from rollbuild.language import plain_yaml as tree
from rollbuild.language.attributes import (
    DEFAULT,
    Attribute,
    AttributeSet,
    check_name,
    check_value,
    entries,
    read_text,
)
from rollbuild.language.expressions import coerce
from rollbuild.language.names import did_you_mean
from rollbuild.location import Location

TYPES = (
    "string",
    "integer",
    "boolean",
    "address",
    "network",
    "hostname",
    "choice",
    "secret",
    "list",
)

_KEYS = ("default", "description", "type", "choices", "required", "example")
_SHAPE = "write `NAME: default`, or below NAME any of: " + ", ".join(_KEYS)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a roll says about one attribute; `type` is one of TYPES, `default` None when it has none."""

    name: str
    default: str | None
    description: str
    type: str
    choices: tuple[str, ...]
    required: bool
    example: str
    location: Location

    def explain_misfit(self, value: str) -> str:
        """Why a value is not of this type, in words that follow its name; empty when it is."""
        if _fits(self.type, value, self.choices):
            return ""
        if self.type == "choice":
            return f"must be one of {', '.join(self.choices)}"
        return f"must be {_ARTICLED[self.type]}"


_ARTICLED = {
    "integer": "a whole number",
    "boolean": "yes or no",
    "address": "an IP address",
    "network": "a network such as 10.1.0.0/16",
    "hostname": "a host name",
}


def _fits(type_name: str, value: str, choices: tuple[str, ...]) -> bool:
    match type_name:
        case "integer":
            return re.fullmatch(r"[+-]?[0-9]+", value) is not None
        case "boolean":
            return coerce(value) in (True, False)
        case "hostname":
            return _HOSTNAME.fullmatch(value) is not None
        case "choice":
            return value in choices
        case "address" | "network":
            import ipaddress

            try:
                if type_name == "address":
                    ipaddress.ip_address(value)
                else:
                    ipaddress.ip_network(value)
            except ValueError:
                return False
    return True


def read_defaults(path: str | os.PathLike[str]) -> tuple[Declaration, ...]:
    """Read a roll's attributes.yaml: NAME to its default, or to a mapping with more about it.

    A null, and a mapping without `default`, declares a name without a value; '' is an empty value. Raises
    RollbuildError.
    """
    file = os.fspath(path)
    document = tree.read_yaml(read_text(file), file)
    return tuple(_declare(key, node) for key, node in entries(document, _SHAPE))


def collect_defaults(declarations: Iterable[Declaration]) -> AttributeSet:
    """The declared defaults as attributes of the lowest scope; a later declaration of a name wins."""
    values = {
        declaration.name: Attribute(declaration.default, declaration.location, DEFAULT)
        for declaration in declarations
        if declaration.default is not None
    }
    return AttributeSet({(DEFAULT, ""): values})


def _declare(key: tree.Scalar, node: tree.Node) -> Declaration:
    name, location = key.text, key.location
    check_name(name, location)
    if isinstance(node, tree.Scalar):
        return Declaration(name, _value_of(name, node), "", "string", (), False, "", location)
    parts: dict[str, tree.Node] = {}
    for part, value in entries(node, _SHAPE):
        if part.text not in _KEYS:
            hint = did_you_mean(part.text, _KEYS, "`{}`") or f"it may hold: {', '.join(_KEYS)}"
            message = f"`{part.text}` is nothing that a declaration can hold"
            raise RollbuildError(message, location=part.location, hint=hint)
        parts[part.text] = value
    texts = {key: _text_of(key, value) for key, value in parts.items() if key != "choices"}
    declaration = Declaration(
        name=name,
        default=_value_of(name, parts.get("default")),
        description=texts.get("description", "").strip(),
        type=_read_type(parts, texts),
        choices=_read_choices(name, parts.get("choices")),
        required=_read_yes_or_no(parts, texts),
        example=texts.get("example", ""),
        location=location,
    )
    _check_together(declaration, parts)
    return declaration


def _value_of(name: str, node: tree.Node | None) -> str | None:
    if node is None or (isinstance(node, tree.Scalar) and node.null):
        return None
    text = _text_of("default", node)
    check_value(name, text, node.location)
    return text


def _text_of(key: str, node: tree.Node) -> str:
    if isinstance(node, tree.Scalar):
        return node.text
    hint = "write one text; separate the items of a list by blanks or commas"
    raise RollbuildError(f"`{key}` must be one text", location=node.location, hint=hint)


def _read_type(parts: dict[str, tree.Node], texts: dict[str, str]) -> str:
    type_name = texts.get("type", "choice" if "choices" in parts else "string")
    if type_name not in TYPES:
        hint = did_you_mean(type_name, TYPES, "`{}`") or f"types are: {', '.join(TYPES)}"
        raise RollbuildError(f"`{type_name}` is no type", location=parts["type"].location, hint=hint)
    return type_name


def _read_choices(name: str, node: tree.Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    if not isinstance(node, tree.Sequence) or not node.items:
        hint = "write them as [one, other]"
        raise RollbuildError("`choices` must be a list", location=node.location, hint=hint)
    for item in node.items:
        check_value(name, _text_of("choices", item), item.location)
    return tuple(_text_of("choices", item) for item in node.items)


def _read_yes_or_no(parts: dict[str, tree.Node], texts: dict[str, str]) -> bool:
    answer = coerce(texts.get("required", "no"))
    if not isinstance(answer, bool):
        hint = "write `required: true` or `required: false`"
        raise RollbuildError("`required` must be yes or no", location=parts["required"].location, hint=hint)
    return answer


def _check_together(declaration: Declaration, parts: dict[str, tree.Node]) -> None:
    name = declaration.name
    if (declaration.type == "choice") != bool(declaration.choices):
        raise RollbuildError(
            f"`{name}` needs both `type: choice` and `choices`, or neither",
            location=declaration.location,
            hint="`choices` lists the values of a choice",
        )
    if declaration.default and (misfit := declaration.explain_misfit(declaration.default)):
        raise RollbuildError(
            f"the default of `{name}` {misfit}",
            location=parts["default"].location,
            hint="correct the default or the type",
        )
