"""Texts for boot loaders, from templates that a site may replace."""

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import read_limited
from rollbuild.location import Location
from rollbuild.media.table import BootHost, BootNetwork

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.runtime import Context
    from jinja2.sandbox import SandboxedEnvironment

_LIMIT = 1024 * 1024
_PLAIN = frozenset((BootHost, BootNetwork))
"""Values that hold nothing but texts and addresses."""

_GRUB_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_-]+\Z")
_IPXE_UNFIT = re.compile(r"\$\{|&&|\|\||\s")


class Menus:
    """The templates of boot loaders: rollbuild's own, or those of the same name in a site's folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds the site's templates. Raises RollbuildError when it holds one that nothing uses or that is no
        file; names that do not end in `.j2` are passed over."""
        self._own = {
            entry.name.removesuffix(".j2"): entry.read_text(encoding="utf-8")
            for entry in files("rollbuild.media").joinpath("templates").iterdir()
            if entry.name.endswith(".j2")
        }
        self._folder = folder
        self._made: dict[str, tuple[Template, Context]] = {}
        if folder is not None:
            if not folder.is_dir():
                raise RollbuildError(f"there is no folder {folder} of templates", exit_code=USAGE)
            for path in sorted(folder.glob("*.j2")):
                if path.name.removesuffix(".j2") not in self._own:
                    known = ", ".join(f"{name}.j2" for name in self.names)
                    raise RollbuildError(f"nothing uses the template {path}", hint=f"there is: {known}")
                if not path.is_file():
                    raise RollbuildError(f"this template is {_kind(path)}, not a file", location=Location(str(path)))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the templates, without `.j2`."""
        return tuple(sorted(self._own))

    def digest(self) -> str:
        """SHA-256 of all templates: as long as it is the same, so are the texts for the same values.

        Raises RollbuildError for a template that cannot be read.
        """
        found = hashlib.sha256()
        for name in self.names:
            loaded = self._load(name)
            found.update(f"{name}\0{loaded[0] if loaded else ''}\0".encode())
        return found.hexdigest()

    def write(self, name: str, values: Mapping[str, Any]) -> bytes:
        """The text of a template for these values. Raises RollbuildError with the line of a template that fails."""
        import jinja2

        try:
            if name not in self._made:
                template = self._environment.get_template(name)
                self._made[name] = template, template.new_context()
            template, context = self._made[name]
            # A context is as quickly emptied as it is slowly made, and ten thousand hosts need thirty thousand.
            context.parent = {**template.globals, **values}
            context.vars.clear()
            context.exported_vars.clear()
            try:
                return "".join(template.root_render_func(context)).encode()
            except Exception:
                self._environment.handle_exception()  # the same, with the template's lines
        except jinja2.TemplateSyntaxError as problem:
            place = Location(problem.filename or name, problem.lineno)
            raise RollbuildError(problem.message or "not a template", location=place) from None
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as problem:
            raise RollbuildError(
                f"this template cannot be used: {problem}",
                location=self._place_of(problem, name),
                hint="docs/reference/boot-menus.md lists what each template gets",
            ) from None

    def _load(self, name: str) -> tuple[str, str, None] | None:
        path = self._folder / f"{name}.j2" if self._folder is not None else None
        if path is not None and path.is_file():
            try:
                return read_limited(path, _LIMIT).decode(), str(path), None
            except UnicodeDecodeError:
                raise RollbuildError("this template is not UTF-8", location=Location(str(path))) from None
        return (self._own[name], f"{name}.j2", None) if name in self._own else None

    def _place_of(self, problem: BaseException, name: str) -> Location:
        """Where in a template an exception arose; the line of the innermost template that it went through."""
        trace, place = problem.__traceback__, Location(f"{name}.j2")
        while trace is not None:
            if (file := trace.tb_frame.f_code.co_filename).endswith(".j2"):
                place = Location(file, trace.tb_lineno)
            trace = trace.tb_next
        return place

    @cached_property
    def _environment(self) -> "SandboxedEnvironment":
        from jinja2 import FunctionLoader, StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment

        class Environment(SandboxedEnvironment):
            def getattr(self, obj: Any, attribute: str) -> Any:
                # Half of the time of ten thousand hosts' files would go into asking whether a row may be read.
                if type(obj) in _PLAIN and attribute[:1] != "_":
                    try:
                        return getattr(obj, attribute)
                    except AttributeError:
                        pass
                return super().getattr(obj, attribute)

        environment = Environment(
            loader=FunctionLoader(self._load),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # these are no web pages
        )
        environment.filters.update(grub=quote_for_grub, ipxe=check_for_ipxe)
        return environment


def _kind(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "a pipe or a device" if path.exists() else "a link to nothing"


@lru_cache(maxsize=4096)  # most words are those of all hosts
def quote_for_grub(word: str) -> str:
    """A word as GRUB's script reads it: in single quotes where it holds more than plain characters.

    Raises ValueError for what quotes cannot hold.
    """
    if _GRUB_PLAIN.match(word):
        return word
    if "'" in word or "\n" in word:
        raise ValueError(f"GRUB takes no quote and no line end in {word!r}")
    return f"'{word}'"


@lru_cache(maxsize=4096)
def check_for_ipxe(word: str) -> str:
    """The same word, which iPXE's script takes as it is. Raises ValueError for what that would read otherwise."""
    if _IPXE_UNFIT.search(word):
        raise ValueError(f"iPXE would read {word!r} otherwise")
    return word
