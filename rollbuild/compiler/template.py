"""Templates in node files: Jinja2 in its sandbox, undefined names are errors."""

import shlex
import traceback
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from rollbuild.errors import RollbuildError
from rollbuild.language import Template, did_you_mean
from rollbuild.location import Location

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

OUTPUT_LIMIT = 4 * 1024 * 1024
"""Characters that one template may give."""
_NAME = "<template>"


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


@cache
def _environment() -> "SandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    class Environment(SandboxedEnvironment):
        # "a" * 10**9 and 9 ** 9 ** 9 would otherwise use up the machine.
        intercepted_binops = frozenset(("*", "**", "%"))

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "*" and _size(left) * _size(right) > OUTPUT_LIMIT:
                raise ValueError("this multiplication gives too much text")
            if operator == "**" and not (_small(left, 2**32) and _small(right, 64)):
                raise ValueError("this power is too large")
            if operator == "%" and isinstance(left, str):
                raise ValueError("use ~ or format filters instead of % on text")
            return super().call_binop(context, operator, left, right)

    environment = Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    environment.filters["ks"] = quote_kickstart
    # Random or slow results have no place in a compile, nor anything that gives unbounded text.
    for name in ("random", "pprint", "xmlattr", "urlize", "center", "indent", "filesizeformat", "format"):
        environment.filters.pop(name, None)
    for name in ("lipsum", "cycler"):
        environment.globals.pop(name, None)
    environment.globals["refuse"] = _refuse
    return environment


class _Refused(Exception):
    pass


def _refuse(message: object) -> str:
    """What a template calls when its node cannot do its work: the message becomes an error at its line."""
    raise _Refused(str(message))


def _size(value: Any) -> int:
    if isinstance(value, str | list | tuple):
        return max(len(value), 1)
    return abs(int(value)) if isinstance(value, int | float) and abs(value) < 2**63 else OUTPUT_LIMIT + 1


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
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == _NAME]
    return Location(start.file, start.line + (lines[-1] or 1) - 1) if lines else start
