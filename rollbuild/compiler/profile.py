"""What one appliance or host compiles to."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from rollbuild.findings import Finding
from rollbuild.language import Package
from rollbuild.location import Location


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the Kickstart, without its end; `location` is None where rollbuild itself wrote it."""

    text: str
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class KickstartCommand:
    """A command as emitted for the release: its name and its whole line."""

    name: str
    text: str
    node: str
    location: Location


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that a script writes. `mode` is create, append or pipe; `content` is None where a program gives it."""

    path: str
    mode: str
    owner: str
    perms: str
    content: str | None
    expands: bool
    node: str
    location: Location


@dataclass(frozen=True, slots=True)
class ScriptSection:
    """A script section as emitted.

    `section` is its Kickstart name (pre, pre-install, post, onerror); `kind` the element it was written as;
    `header` its first line; `body` the lines between that and `%end`, files expanded to shell.
    """

    section: str
    kind: str
    interpreter: str
    in_chroot: bool
    header: str
    body: tuple[Line, ...]
    files: tuple[WrittenFile, ...]
    node: str
    location: Location


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of the Kickstart and what is in it."""

    lines: tuple[Line, ...]
    commands: tuple[KickstartCommand, ...] = ()
    packages: tuple[tuple[str, str, Package], ...] = ()
    """Package lines as emitted (`name`, `@group`, `-name`), with node and element; repeats are listed too."""
    script: ScriptSection | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Profile:
    """One compiled Kickstart with the origin of every line. `nodes` are in compile order."""

    name: str
    appliance: str
    release: str
    root: str
    attributes: Mapping[str, str]
    nodes: tuple[str, ...]
    sections: tuple[Section, ...]
    findings: tuple[Finding, ...]

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """All lines in order; line N of the Kickstart is `lines[N - 1]`."""
        return tuple(line for section in self.sections for line in section.lines)

    @cached_property
    def text(self) -> str:
        """The Kickstart."""
        return "".join(line.text + "\n" for line in self.lines)

    @cached_property
    def commands(self) -> tuple[KickstartCommand, ...]:
        """The commands of the main section."""
        return tuple(command for section in self.sections for command in section.commands)

    @cached_property
    def scripts(self) -> tuple[ScriptSection, ...]:
        """The script sections in order."""
        return tuple(section.script for section in self.sections if section.script)

    @cached_property
    def files(self) -> tuple[WrittenFile, ...]:
        """The files that scripts write, in order."""
        return tuple(file for script in self.scripts for file in script.files)

    @cached_property
    def packages(self) -> tuple[tuple[str, str, Package], ...]:
        """The package lines with node and element, repeats included."""
        return tuple(package for section in self.sections for package in section.packages)

    def locate(self, line: int) -> Location | None:
        """Where a line (from 1) of the Kickstart comes from; the nearest known line above for lines of ours."""
        for number in range(min(line, len(self.lines)), 0, -1):
            location = self.lines[number - 1].location
            if location is not None:
                return location
        return None
