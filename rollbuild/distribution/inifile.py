"""INI files from elsewhere, with the line of every value for what is told of them."""

import configparser
import re

from rollbuild.errors import RollbuildError
from rollbuild.location import Location

_HEADING = re.compile(r"\[(.+)\]")
_KEY = re.compile(r"([^\s=;#\[][^=]*?)\s*=")
_HINT = "take the file from the medium or the mirror again"


class IniFile:
    """Sections, keys and values, as texts; keys keep their upper and lower case."""

    def __init__(self, parser: configparser.RawConfigParser, text: str, shown: str) -> None:
        self._parser = parser
        self._shown = shown
        self._lines: dict[tuple[str, str], int] = {}
        section = ""
        for number, line in enumerate(text.splitlines(), 1):
            if heading := _HEADING.match(line):
                section = heading[1]
                self._lines.setdefault((section, ""), number)
            elif key := _KEY.match(line):
                self._lines.setdefault((section, key[1]), number)

    def sections(self) -> list[str]:
        return self._parser.sections()

    def has(self, section: str) -> bool:
        return self._parser.has_section(section)

    def keys(self, section: str) -> list[str]:
        """The keys of a section; none of one that is missing."""
        return list(self._parser.options(section)) if self.has(section) else []

    def get(self, section: str, key: str) -> str:
        """A value, empty where the key or its section is missing."""
        return self._parser.get(section, key, fallback="").strip()

    def need(self, section: str, key: str) -> str:
        """A value that has to be there. Raises RollbuildError."""
        value = self.get(section, key)
        if not value:
            what = f"{key} is missing in [{section}]" if self.has(section) else f"the section [{section}] is missing"
            raise self.refusal(what, section)
        return value

    def refusal(self, message: str, section: str = "", key: str = "", *, hint: str = _HINT) -> RollbuildError:
        """The refusal that names the file and the line of a key, or of a section's heading."""
        line = self._lines.get((section, key)) or self._lines.get((section, ""), 0)
        return RollbuildError(message, location=Location(self._shown, line), hint=hint)


def parse_ini(data: bytes, shown: str) -> IniFile:
    """Parse an INI file; `shown` names it in errors. Raises RollbuildError with the line of what is wrong."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise RollbuildError("this is not UTF-8 text", location=Location(shown, line), hint=_HINT) from None
    # Only these end a line for the parser; splitlines knows more of them and would count otherwise.
    text = text.replace("\r\n", "\n")
    if control := re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", text):
        line = text.count("\n", 0, control.start()) + 1
        raise RollbuildError(
            f"the character {control[0]!r} has no place in this file", location=Location(shown, line), hint=_HINT
        )
    # The default section of the format would put its values into every other section.
    parser = configparser.RawConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), default_section="\0", empty_lines_in_values=False
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text, shown)
    except configparser.Error as problem:
        raise _damaged(problem, shown) from None
    found = IniFile(parser, text, shown)
    for section in parser.sections():
        for key, value in parser.items(section):
            if "\n" in value.strip():
                raise found.refusal("this value goes on in the next line", section, key)
    return found


def _damaged(problem: configparser.Error, shown: str) -> RollbuildError:
    line = getattr(problem, "lineno", 0)
    match problem:
        case configparser.DuplicateSectionError():
            what = f"the section [{problem.section}] stands here twice"
        case configparser.DuplicateOptionError():
            what = f"{problem.option} stands twice in [{problem.section}]"
        case configparser.MissingSectionHeaderError():
            what = "this is no INI file: a line comes before the first [section]"
        case configparser.ParsingError():
            line = problem.errors[0][0]
            what = "this line is neither a [section] nor KEY = VALUE"
        case _:
            what = " ".join(str(problem).split())
    return RollbuildError(what, location=Location(shown, line or 0), hint=_HINT)
