"""Templates in node files: Jinja2 in its sandbox, undefined names are errors."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache, partial, wraps
from typing import TYPE_CHECKING, Any

from rollbuild.errors import RollbuildError
from rollbuild.language import Template, did_you_mean
from rollbuild.location import Location

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

OUTPUT_LIMIT = 4 * 1024 * 1024
"""Characters that one template may give."""
WORK_LIMIT = 64 * 1024 * 1024
"""Characters (and list items) that one rendering may make on its way."""
STEP_LIMIT = 1_000_000
"""Turns of loops, calls and operations of one rendering: far more than any node needs, a few seconds at most."""
_NAME = "<template>"
_UNFIT_FILTERS = (
    *("attr", "batch", "center", "filesizeformat", "forceescape", "indent", "pprint", "random", "slice"),
    *("striptags", "urlize", "wordwrap", "xmlattr"),
)
_UNBOUNDED_METHODS = frozenset(("center", "encode", "expandtabs", "format", "format_map", "translate"))


def quote_kickstart(value: object) -> str:
    """One word of a Kickstart command, in double quotes where it needs them.

    pykickstart splits commands as a POSIX shell does (shlex). Raises ValueError for a value with a line end.
    """
    text = str(value)
    if "\n" in text or "\r" in text:
        raise ValueError("a value with a line end cannot stand in a Kickstart command")
    if text and all(character.isalnum() or character in "@%+=:,./_-" for character in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _quote_shell(value: object) -> str:
    import shlex

    return shlex.quote(str(value))


@cache
def _environment() -> "SandboxedEnvironment":
    from jinja2 import StrictUndefined, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        # "a" * 10**9 and 9 ** 9 ** 9 would otherwise use up the machine.
        intercepted_binops = frozenset(("*", "**", "%", "+"))

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "*":
                _check_product(left, right)
            if operator == "**" and not (_small(left, 2**32) and _small(right, 64)):
                raise ValueError("this power is too large")
            if operator == "%" and isinstance(left, str):
                raise ValueError("use ~ or the format filter instead of % on text")
            return _charge(super().call_binop(context, operator, left, right))

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            if isinstance(obj, str) and attr in _UNBOUNDED_METHODS:
                return False
            return super().is_safe_attribute(obj, attr, value)

        def wrap_str_format(self, value: Any) -> Any:
            if getattr(value, "__name__", "") in ("format", "format_map"):
                raise ValueError('use ~ or the format filter ("%02d"|format(number)) instead of .format')
            return None

        def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
            text, method = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
            if isinstance(text, str) and method in _BOUNDED_METHODS:
                obj, args = _BOUNDED_METHODS[method], (text, *args)
            return _charge(super().call(context, obj, *args, **kwargs))

        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            tree = super()._parse(source, name, filename)
            for loop in tree.find_all(nodes.For):
                loop.iter = nodes.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.iter.lineno)
            for joined in list(tree.find_all(nodes.Concat)):
                items = nodes.List(joined.nodes, lineno=joined.lineno)
                joined.nodes = [nodes.Filter(items, "join", [], [], None, None, lineno=joined.lineno)]
            return tree

    environment = Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        finalize=_charge,
    )
    environment.filters["sh"] = _quote_shell
    environment.filters["ks"] = quote_kickstart
    # Random or slow results have no place in a compile, nor anything that gives unbounded text.
    for name in _UNFIT_FILTERS:
        environment.filters.pop(name, None)
    environment.filters["format"] = _format
    environment.filters["replace"] = _replace
    environment.filters["join"] = _join
    environment.filters["sum"] = _add_up
    environment.filters["tojson"] = _to_json
    for name, function in environment.filters.items():
        environment.filters[name] = _charged(function)
    environment.filters["_counted"] = _count
    for name in ("lipsum", "cycler"):
        environment.globals.pop(name, None)
    environment.globals["refuse"] = _refuse
    return environment


class _Refused(Exception):
    pass


def _refuse(message: object) -> str:
    """What a template calls when its node cannot do its work: the message becomes an error at its line."""
    raise _Refused(str(message))


class _Budget(threading.local):
    """What the template that is being rendered may still use up: characters (and items) made, and steps."""

    size = WORK_LIMIT
    steps = STEP_LIMIT


_budget = _Budget()


def _charge(value: Any) -> Any:
    """The value; its size is taken from what the template may use up. Raises ValueError when that is nothing."""
    _budget.steps -= 1
    if isinstance(value, str | list | tuple | dict):
        _charge_size(len(value))
    if _budget.steps < 0:
        raise ValueError(f"it takes more than {STEP_LIMIT} steps")
    return value


def _charge_size(size: int) -> None:
    _budget.size -= size
    if size > OUTPUT_LIMIT or _budget.size < 0:
        raise ValueError(f"it makes more text than {OUTPUT_LIMIT} characters at once or {WORK_LIMIT} in all")


def _charged(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def charged(*args: Any, **kwargs: Any) -> Any:
        return _charge(function(*args, **kwargs))

    return charged


def _count(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _charge(None)
        yield item


def _join(value: Iterable[Any], separator: object = "", attribute: str | None = None) -> str:
    if attribute is not None:
        raise ValueError("write |map(attribute='NAME')|join instead of |join(attribute='NAME')")
    texts = [str(item) for item in value]
    _charge_size(sum(map(len, texts)) + len(texts) * len(str(separator)))
    return str(separator).join(texts)


def _replace(value: object, old: str, new: str, count: int = -1) -> str:
    text = str(value)
    _charge_size(len(text) + text.count(str(old)) * len(str(new)))
    return text.replace(str(old), str(new), count)


def _format(value: object, *args: Any) -> str:
    if re.search(r"\d{4}|%[^%a-z]*\*", str(value)):
        raise ValueError("this format gives too much text")
    return str(value) % args


def _add_up(numbers: Iterable[Any], attribute: str | None = None) -> Any:
    if attribute is not None:
        raise ValueError("write |map(attribute='NAME')|sum instead of |sum(attribute='NAME')")
    return sum(numbers)


def _to_json(value: Any, indent: int | None = None) -> str:
    import json

    return json.dumps(value, indent=indent and min(indent, 8), sort_keys=True, ensure_ascii=False)


def _pad(text: str, width: int, *rest: Any, method: Callable[..., str]) -> str:
    _charge_size(width)
    return method(text, width, *rest)


_BOUNDED_METHODS: dict[str, Callable[..., str]] = {
    "replace": _replace,
    "join": lambda separator, items: _join(items, separator),
    "ljust": partial(_pad, method=str.ljust),
    "rjust": partial(_pad, method=str.rjust),
    "zfill": partial(_pad, method=str.zfill),
}


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > 4096:
            raise ValueError("this number is too large")
        return
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(count, int):
            _charge_size(len(sequence) * max(count, 0))


def _small(value: Any, limit: int) -> bool:
    return isinstance(value, int | float) and abs(value) <= limit


@lru_cache(maxsize=1024)
def _compile(source: str, location: Location) -> Callable[[Mapping[str, Any]], str]:
    from jinja2 import TemplateError, TemplateSyntaxError

    environment = _environment()
    try:
        code = environment.compile(source, name=_NAME, filename=_NAME)
        template = environment.template_class.from_code(environment, code, environment.make_globals(None))
    except TemplateSyntaxError as problem:
        place = Location(location.file, location.line + problem.lineno - 1)
        raise RollbuildError(f"this template cannot be read: {problem.message}", location=place) from None
    except (TemplateError, RecursionError, SyntaxError, ValueError) as problem:
        raise RollbuildError(f"this template cannot be read: {problem}", location=location) from None

    def render(variables: Mapping[str, Any]) -> str:
        _budget.size, _budget.steps = WORK_LIMIT, STEP_LIMIT
        size = 0
        chunks = []
        for chunk in template.generate(variables):
            size += len(chunk)
            if size > OUTPUT_LIMIT:
                raise ValueError(f"it gives more than {OUTPUT_LIMIT} characters")
            chunks.append(chunk)
        return "".join(chunks)

    return render


def render_template(template: Template, attributes: Mapping[str, str], data: Mapping[str, Any]) -> str:
    """The template's output for a host.

    Names in it are the attributes (also as `attributes["any-name"]`) and the keys of `data` (hosts, networks,
    rolls: plain values). Raises RollbuildError at the node file's line for anything undefined or not allowed.
    """
    source = template.body.literal or ""
    first = template.body.pieces[0].line if template.body.pieces else template.location.line
    start = Location(template.location.file, first)
    render = _compile(source, start)
    variables: dict[str, Any] = {**attributes, **data, "attributes": dict(attributes)}
    try:
        return render(variables)
    except RollbuildError:
        raise
    except Exception as problem:  # a template is input: whatever its expressions raise is its author's to mend
        place = _place(problem, start)
        if isinstance(problem, _Refused):
            raise RollbuildError(str(problem), location=place) from None
        message = str(problem) or type(problem).__name__
        hint = ""
        if "is undefined" in message and message.startswith("'"):
            name = message.split("'")[1]
            hint = did_you_mean(name, variables) or f"set it: -A {name}=VALUE, or write {{{{ {name}|default('') }}}}"
        raise RollbuildError(f"this template failed: {message}", location=place, hint=hint) from None


def _place(problem: BaseException, start: Location) -> Location:
    import traceback

    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == _NAME]
    return Location(start.file, start.line + (lines[-1] or 1) - 1) if lines else start
