"""The expression language of conditions: read with `ast`, checked against a short list of allowed forms,
and turned into closures. No text of a description file is ever run as code.
"""

import ast
import keyword
import math
import re
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NoReturn

Value = Any  # None, bool, int, float, str, or a list of these
Test = Callable[[Mapping[str, str]], Value]
Comparison = Callable[[Value, Value], bool]

MAX_LENGTH = 2000
MAX_DEPTH = 50
QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")

_ALLOWED = "a condition is made of attribute names, numbers, quoted text, comparisons, `in`, `and`, `or`, `not`"
_TRUE = frozenset({"on", "true", "yes", "y"})
_FALSE = frozenset({"off", "false", "no", "n"})
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "none": None}
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")
_FLOAT = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_MAX_DIGITS = 4000  # Python refuses to read longer integers
_REMEMBERED = 256  # longer values are coerced every time, so that the memo stays small
_WORDS = frozenset({"and", "or", "not", "in", "is", "None", "True", "False"})


class BadForm(Exception):
    """An expression outside the allowed forms."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class BadKinds(Exception):
    """Two values that an operator cannot be applied to."""

    def __init__(self, sign: str, left: Value, right: Value) -> None:
        super().__init__(f"cannot apply `{sign}` to {_kind(left)} and {_kind(right)}")
        self.hint = (
            "what stands right of `in` must be text or a list such as ('a', 'b')"
            if sign == "in"
            else "a number is ordered against a number, and text against text"
        )


@lru_cache(maxsize=4096)
def compile_text(text: str) -> tuple[frozenset[str], Test]:
    """The attribute names that an expression looks at, and its test over raw attribute values.

    Raises BadForm for whatever is not allowed; the test raises BadKinds.
    """
    if not text:
        raise BadForm("it is empty", "write a condition, or remove the attribute `cond`")
    if len(text) > MAX_LENGTH:
        raise BadForm(f"it is longer than {MAX_LENGTH} characters", "split it over nested nodes or attributes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval")
    except (RecursionError, MemoryError):
        raise _too_deep() from None
    except (SyntaxError, ValueError, OverflowError):
        raise BadForm("it cannot be read", _explain_unreadable(text)) from None
    names: set[str] = set()
    test = _build(tree.body, names, 1)
    return frozenset(names), test


def coerce(text: str) -> bool | int | float | str:
    """What a raw attribute value means in a condition: yes/no words, then a number, else the text itself.

    Blanks around a number do not matter, blanks around yes/no words do: `off ` is a text, as it was in Rocks.
    """
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    if len(text) <= _MAX_DIGITS:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            number = float(text)
            return number if math.isfinite(number) else text
    return text


_coerce_short = lru_cache(maxsize=16384)(coerce)


def _build(node: ast.expr, names: set[str], depth: int) -> Test:
    if depth > MAX_DEPTH:
        raise _too_deep()
    match node:
        case ast.Name(id=name):
            names.add(name)
            return _look_up(name)
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
            return lambda _: value
        case ast.BoolOp(op=op, values=values):
            tests = [_build(value, names, depth + 1) for value in values]
            return _all_of(tests) if isinstance(op, ast.And) else _any_of(tests)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            test = _build(operand, names, depth + 1)
            return lambda attributes: not test(attributes)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=number)) if type(number) in (
            int,
            float,
        ):
            signed = -number if isinstance(sign, ast.USub) else number  # type: ignore[operator]
            return lambda _: signed
        case ast.Compare(left=left, ops=ops, comparators=rights):
            operands = [_build(operand, names, depth + 1) for operand in (left, *rights)]
            return _compare([_COMPARISONS[type(op)] for op in ops], operands)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            tests = [_build(item, names, depth + 1) for item in items]
            return lambda attributes: [test(attributes) for test in tests]
    _refuse(node)


def _look_up(name: str) -> Test:
    """Reads an attribute. `true`, `false` and `none`, in any case, are constants where no attribute is."""
    missing = _CONSTANTS.get(name.lower())

    def read(attributes: Mapping[str, str]) -> Value:
        text = attributes.get(name)
        if text is None:
            return missing
        return _coerce_short(text) if len(text) < _REMEMBERED else coerce(text)

    return read


def _all_of(tests: list[Test]) -> Test:
    def test_all(attributes: Mapping[str, str]) -> Value:
        value: Value = True
        for test in tests:
            value = test(attributes)
            if not value:
                break
        return value

    return test_all


def _any_of(tests: list[Test]) -> Test:
    def test_any(attributes: Mapping[str, str]) -> Value:
        value: Value = False
        for test in tests:
            value = test(attributes)
            if value:
                break
        return value

    return test_any


def _compare(comparisons: list[Comparison], operands: list[Test]) -> Test:
    if len(comparisons) == 1:
        comparison, (left, right) = comparisons[0], operands
        return lambda attributes: comparison(left(attributes), right(attributes))

    def test_chain(attributes: Mapping[str, str]) -> bool:
        before = operands[0](attributes)
        for comparison, operand in zip(comparisons, operands[1:], strict=True):
            after = operand(attributes)
            if not comparison(before, after):
                return False
            before = after
        return True

    return test_chain


def _ordered(sign: str, compare: Comparison) -> Comparison:
    def test_order(left: Value, right: Value) -> bool:
        if left is None or right is None:
            return False
        try:
            return compare(left, right)
        except TypeError:
            raise BadKinds(sign, left, right) from None

    return test_order


def _is_same(left: Value, right: Value) -> bool:
    # Identity of numbers and texts is an accident of the interpreter; same kind and equal is meant.
    return left is right or (type(left) is type(right) and left == right)


def _is_in(left: Value, right: Value) -> bool:
    if right is None:
        return False
    if isinstance(right, str):
        return isinstance(left, str) and left in right
    if isinstance(right, list):
        return left in right
    raise BadKinds("in", left, right)


_COMPARISONS: dict[type[ast.cmpop], Comparison] = {
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
    ast.Lt: _ordered("<", lambda left, right: left < right),
    ast.LtE: _ordered("<=", lambda left, right: left <= right),
    ast.Gt: _ordered(">", lambda left, right: left > right),
    ast.GtE: _ordered(">=", lambda left, right: left >= right),
    ast.Is: _is_same,
    ast.IsNot: lambda left, right: not _is_same(left, right),
    ast.In: _is_in,
    ast.NotIn: lambda left, right: not _is_in(left, right),
}


def _too_deep() -> BadForm:
    return BadForm(f"it is nested deeper than {MAX_DEPTH} levels", "simplify it, or split it over nested nodes")


def _refuse(node: ast.expr) -> NoReturn:
    match node:
        case ast.BinOp(op=ast.Sub()):
            what = "`-` would be a subtraction"
            hint = "attribute names with hyphens cannot be used in conditions; name the attribute with `_`"
        case ast.BinOp() | ast.UnaryOp():
            what, hint = "arithmetic is not allowed", _ALLOWED
        case ast.Call():
            what, hint = "calls are not allowed", _ALLOWED
        case ast.Attribute():
            what, hint = (
                "`.` after a name is not allowed",
                f"attribute names with dots cannot be used; {_ALLOWED}",
            )
        case ast.NamedExpr():
            what, hint = "`:=` is not allowed", "did you mean `==`?"
        case ast.Constant(value=value):
            what, hint = f"a constant of type {type(value).__name__} is not allowed", _ALLOWED
        case _:
            what, hint = f"{_FORMS.get(type(node), 'this form of expression')} cannot be used", _ALLOWED
    raise BadForm(what, hint)


_FORMS: dict[type[ast.expr], str] = {
    ast.Subscript: "`[...]` after a value",
    ast.Lambda: "`lambda`",
    ast.IfExp: "`if ... else`",
    ast.JoinedStr: "text with `{...}` in it",
    ast.Dict: "`{...}`",
    ast.Set: "`{...}`",
    ast.Starred: "`*`",
}


def _explain_unreadable(text: str) -> str:
    """A hint for a text that is no expression at all, from the slips that authors make."""
    bare = QUOTED.sub(" ", text)
    for pattern, hint in _SLIPS:
        if re.search(pattern, bare):
            return hint
    if "'" in bare or '"' in bare:
        return "a quote is opened and not closed"
    for opening, closing in ("()", "[]"):
        if bare.count(opening) != bare.count(closing):
            return f"`{opening}` and `{closing}` do not pair up"
    for word in re.findall(r"\w+", bare):
        if keyword.iskeyword(word) and word not in _WORDS:
            return f"`{word}` is a reserved word and cannot be the name of an attribute in a condition"
    return _ALLOWED


_SLIPS = (
    (r"&&", "write `and` for `&&`"),
    (r"\|\|", "write `or` for `||`"),
    (r"<>", "write `!=` for `<>`"),
    (r"(?<![=!<>])=(?!=)", "did you mean `==`?"),
    (r"!(?!=)", "write `not` for `!`"),
    (r"\b0[0-9]", "write the number without leading zeros"),
)


def _kind(value: Value) -> str:
    if value is None:
        return "an attribute that is not set"
    if isinstance(value, str):
        return f"the text '{shorten(value)}'"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "a list"
    return f"the number {shorten(str(value))}"


def shorten(text: str) -> str:
    """The text on one line, short, and without control characters."""
    line = "".join(character if character.isprintable() else " " for character in text[:200])
    return line + ("..." if len(text) > 200 else "")
