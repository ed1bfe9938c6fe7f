"""What pykickstart, the parser of the installer itself, says about a profile; told at the node file's line."""

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from rollbuild.checks.mainlines import MainLine
from rollbuild.compiler import Profile
from rollbuild.findings import Finding, error, warning
from rollbuild.location import Location
from rollbuild.releases import Release

_WRAPPER = re.compile(r"^The following problem occurred on line \d+ of the kickstart file:\s*|\s+$")
_IGNORED = re.compile(r"^Ignoring deprecated (?:command|option) on line \d+:\s*")
_THREAT = re.compile(r"\s*(?:It may be removed|However, this|In future releases|Please modify).*$")
_TWICE = re.compile(r"An ssh user with the name .* has already been defined")
_WANTS = re.compile(r"required|expected|specified|given")
_PLAIN_PACKAGE = re.compile(r"-?@?\^?[A-Za-z0-9][\w.+*:~/-]*\Z")
_LOG = re.compile(r"--log(?:file)?=/[\w./-]+\Z")
# One handler per release serves every profile, and pykickstart's warnings are collected in a process-wide place.
_LOCK = threading.Lock()


def check_kickstart(profile: Profile, lines: tuple[MainLine, ...], release: Release) -> tuple[Finding, ...]:
    """All errors and warnings of pykickstart's handler of the release.

    Each line is given to the parser on its own, so that one that it refuses hides no other. Nothing is read
    from disk or network: `%include` and `%ksappend` are left to the installer.
    """
    with _LOCK:
        parser, clean_headers = _parser(release.handler)
        try:
            with _collected_warnings() as caught:
                return tuple(_feed(parser, lines, caught, _Blame(profile), clean_headers))
        finally:
            _forget(parser, lines)


@cache
def _parser(name: str) -> tuple[Any, set[tuple[str, ...]]]:
    """A parser with the handler of this name, and the section headers, logs aside, that it had nothing to say to."""
    # Importing pykickstart takes a tenth of a second, which commands that check nothing need not wait for.
    from pykickstart.parser import KickstartParser
    from pykickstart.version import makeVersion

    return KickstartParser(makeVersion(name), followIncludes=False, missingIncludeIsFatal=False), set()


def _forget(parser: Any, lines: tuple[MainLine, ...]) -> None:
    """Make the handler as new: making another one takes 30 ms."""
    handler = parser.handler
    handler.packages = type(handler.packages)()
    for name in {"method", *(line.name for line in lines if line.is_command)}:
        used = handler.commands.get(name)
        if used is not None:
            handler.resetCommand(name)
            for alias in [other for other, command in handler.commands.items() if command is used]:
                handler.commands[alias] = handler.commands[name]


@contextmanager
def _collected_warnings() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def _feed(
    parser: Any,
    lines: tuple[MainLine, ...],
    caught: list[warnings.WarningMessage],
    blame: "_Blame",
    clean_headers: set[tuple[str, ...]],
) -> Iterator[Finding]:
    opened: MainLine | None = None
    for line in lines:
        if line.opens:
            if opened is not None:
                yield _unclosed(opened)
            opened = None if line.has_script else line
        elif line.closes:
            opened = None
        header = tuple(word for word in line.words or () if not _LOG.match(word)) if line.opens else ()
        if header and header in clean_headers:
            continue
        found = list(_judge(parser, line, caught, blame))
        if header and not found:
            clean_headers.add(header)
        yield from found
    if opened is not None:
        yield _unclosed(opened)


def _judge(parser: Any, line: MainLine, caught: list[warnings.WarningMessage], blame: "_Blame") -> Iterator[Finding]:
    try:
        _give(parser, line)
    except Exception as problem:  # pykickstart raises whatever its option parser trips over
        yield blame.explain(line, _essence(problem))
    for told in caught:
        message = _tidy(_WRAPPER.sub("", str(told.message)))
        is_old = told.category.__name__ == "KickstartDeprecationWarning"
        if not _TWICE.search(message):
            yield warning("KS-DEPRECATED" if is_old else "KS-WARNING", message, line.location)
    caught.clear()


def _give(parser: Any, line: MainLine) -> None:
    if line.words is None and (line.opens or not line.section):
        raise ValueError("a quote is not closed")
    words = list(line.words or ())
    if line.opens:
        try:
            section = parser.getSection(line.section)
        except KeyError:
            raise ValueError(f"there is no section {line.section}") from None
        section.handleHeader(line.number, words)
    elif line.closes:
        if not line.section:
            raise ValueError("%end closes nothing")
    elif line.section == "%packages":
        if line.name != "%include" and not _PLAIN_PACKAGE.match(line.text):
            parser.getSection("%packages").handleLine(line.text)
    elif line.name == "%include":
        if len(words) == 1:
            raise ValueError("%include names no file")
    elif not line.section and line.name != "%ksappend":
        parser.handler.currentLine = line.text
        parser.handler.dispatcher(words, line.number)


def _unclosed(line: MainLine) -> Finding:
    return error("KS-ERROR", f"{line.section} does not end with %end", line.location, "add a line %end behind it")


def _essence(problem: Exception) -> str:
    text = getattr(problem, "message", "") or str(problem) or type(problem).__name__
    return _tidy(_WRAPPER.sub("", str(text)))


def _tidy(message: str) -> str:
    message = " ".join(_IGNORED.sub("", message).split())
    return _THREAT.sub("", message).rstrip(".") or message


class _Blame:
    """Who is to blame for a line that is refused: often an attribute without a value."""

    def __init__(self, profile: Profile) -> None:
        self.undefined = [
            finding
            for finding in profile.findings
            if finding.code in ("UNDEF-ATTR", "EVAL-OFF") and finding.location is not None
        ]
        self.starts: dict[str, list[int]] = {}
        for command in profile.commands:
            self.starts.setdefault(command.location.file, []).append(command.location.line)

    def explain(self, line: MainLine, message: str) -> Finding:
        """The finding about a refused line."""
        name = line.name
        cause = self.cause(line.location) if line.location else None
        if cause is not None:
            return error("KS-EMPTY", f"{name}: {message}: {cause.message}", line.location, cause.hint)
        if line.is_command and line.words is not None and len(line.words) == 1 and _WANTS.search(message):
            hint = f"write <{name}>VALUE</{name}>, or check that the attribute in it has a value"
            return error("KS-EMPTY", f"{name} has no value: {message}", line.location, hint)
        shown = message if message.startswith(name) or name.startswith("%") else f"{name}: {message}"
        return error("KS-ERROR", shown, line.location)

    def cause(self, place: Location) -> Finding | None:
        """What was undefined between this command and the next one of the same file."""
        later = [line for line in self.starts.get(place.file, ()) if line > place.line]
        end = min(later, default=place.line + 10)
        for finding in self.undefined:
            where = finding.location
            if where and where.file == place.file and place.line <= where.line < max(end, place.line + 1):
                return finding
        return None
