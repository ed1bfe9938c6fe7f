"""What pykickstart, the parser of the installer itself, says about a profile; told at the node file's line."""

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from rollbuild.checks.mainlines import MainLine, read_main_lines
from rollbuild.compiler import Profile
from rollbuild.findings import Finding, error, warning
from rollbuild.location import Location
from rollbuild.releases import Release

_WRAPPER = re.compile(r"^The following problem occurred on line \d+ of the kickstart file:\s*|\s+$")
_IGNORED = re.compile(r"^Ignoring deprecated (?:command|option) on line \d+:\s*")
_THREAT = re.compile(r"\s*(?:It may be removed|However, this|In future releases|Please modify).*$")
_TWICE = re.compile(r"An ssh user with the name .* has already been defined")
# One handler per release serves every profile, and pykickstart's warnings are collected in a process-wide place.
_LOCK = threading.Lock()


def check_kickstart(profile: Profile, release: Release) -> tuple[Finding, ...]:
    """All errors and warnings of pykickstart's handler of the release.

    Each line is given to the parser on its own, so that one that it refuses hides no other. Nothing is read
    from disk or network: `%include` and `%ksappend` are left to the installer.
    """
    lines = read_main_lines(profile)
    with _LOCK:
        parser = _parser(release.handler)
        with _collected_warnings() as caught:
            findings = tuple(_feed(parser, lines, caught, _Blame(profile)))
        _forget(parser, lines)
    return findings


@cache
def _parser(name: str) -> Any:
    # Importing pykickstart takes a tenth of a second, which commands that check nothing need not wait for.
    from pykickstart.parser import KickstartParser
    from pykickstart.version import makeVersion

    return KickstartParser(makeVersion(name), followIncludes=False, missingIncludeIsFatal=False)


def _forget(parser: Any, lines: tuple[MainLine, ...]) -> None:
    """Make the handler as new: making another one takes 30 ms."""
    for name in {line.name for line in lines if line.is_command}:
        if name in parser.handler.commands:
            parser.handler.resetCommand(name)
    parser.handler.packages = type(parser.handler.packages)()


@contextmanager
def _collected_warnings() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def _feed(
    parser: Any, lines: tuple[MainLine, ...], caught: list[warnings.WarningMessage], blame: "_Blame"
) -> Iterator[Finding]:
    opened: MainLine | None = None
    for line in lines:
        if opened is not None and line.opens:
            yield _unclosed(opened)
        try:
            _give(parser, line)
        except Exception as problem:  # pykickstart raises whatever its option parser trips over
            yield blame.explain(line, _essence(problem))
        while caught:
            message = _WRAPPER.sub("", str(caught[0].message))
            is_old = caught.pop(0).category.__name__ == "KickstartDeprecationWarning"
            message = _tidy(message)
            if not _TWICE.search(message):
                yield warning("KS-DEPRECATED" if is_old else "KS-WARNING", message, line.location)
        if line.opens:
            opened = line
        if line.closes or (opened is not None and blame.is_script(opened)):
            opened = None
    if opened is not None:
        yield _unclosed(opened)


def _give(parser: Any, line: MainLine) -> None:
    if line.words is None:
        raise ValueError("a quote is not closed")
    words = list(line.words)
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
        if line.name != "%include":
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
        self.scripts = {script.header for script in profile.scripts}
        self.undefined = [
            finding
            for finding in profile.findings
            if finding.code in ("UNDEF-ATTR", "EVAL-OFF") and finding.location is not None
        ]
        self.starts: dict[str, list[int]] = {}
        for command in profile.commands:
            self.starts.setdefault(command.location.file, []).append(command.location.line)

    def is_script(self, line: MainLine) -> bool:
        return line.text in self.scripts

    def explain(self, line: MainLine, message: str) -> Finding:
        """The finding about a refused line."""
        name = line.name
        cause = self.cause(line.location) if line.location else None
        if cause is not None:
            return error("KS-EMPTY", f"{name}: {message}: {cause.message}", line.location, cause.hint)
        if line.is_command and line.words is not None and len(line.words) == 1:
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
