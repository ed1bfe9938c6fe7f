"""Programs in scripts that are not there, or do not do their work, where and when the script runs."""

from collections.abc import Iterator, Mapping

from rollbuild.checks.shellwords import Command, find_commands
from rollbuild.checks.wrappers import unwrap
from rollbuild.compiler import Profile, ScriptSection
from rollbuild.findings import Finding, warning
from rollbuild.location import Location
from rollbuild.releases import Release

SHELLS = frozenset(("sh", "bash", "dash", "ksh", "zsh"))
_STANDARD = frozenset(("/bin", "/sbin", "/usr/bin", "/usr/sbin"))
_HARMLESS = frozenset(("[", "test", "rm", "echo", "printf"))
"""Programs that may name a file that is not there."""


def check_programs(profile: Profile, release: Release) -> tuple[Finding, ...]:
    """Every program in a command's place, and every interpreter, against what the release tells."""
    installed = frozenset(name.lstrip("@") for name, _, _ in profile.packages if not name.startswith("-"))
    findings: list[Finding] = []
    for script in profile.scripts:
        findings += _interpreter(script, release)
        if runs_in_shell(script):
            findings += _script(script, release, installed)
    return tuple(findings)


def runs_in_shell(script: ScriptSection) -> bool:
    """Whether a script's interpreter is a shell."""
    words = script.interpreter.split()
    return bool(words) and words[0].rsplit("/", 1)[-1] in SHELLS


def _interpreter(script: ScriptSection, release: Release) -> Iterator[Finding]:
    words = script.interpreter.split()
    if not words:
        return
    path = words[0]
    name = _program(path)
    if not script.in_chroot and name in release.absent_in_installer:
        remedy = release.absent_in_installer[name]
        message = f"the interpreter {path} is not in the installer of {release.name}"
        yield warning("PRE-PROGRAM", message, script.location, f"use {remedy}")
    elif release.os_version_major >= 8 and (remedy := _match(release.gone, Command((path,), 0))):
        message = f"{release.name} has no interpreter {path}"
        yield warning("GONE-PROGRAM", message, script.location, remedy)


def _script(script: ScriptSection, release: Release, installed: frozenset[str]) -> Iterator[Finding]:
    commands, functions = find_commands("\n".join(line.text for line in script.body))
    # Who asks whether a program is there knows that it may not be.
    probed = {
        word
        for command in commands
        if command.words[0] in ("command", "type", "which", "hash")
        for word in command.words[1:]
    }
    for outer in commands:
        in_target = script.in_chroot
        for command in unwrap(outer):
            found = _enter_chroot(command)
            if found is not None:
                command, in_target = found, True
            name = _program(command.words[0])
            if name in functions or name in probed:
                continue
            place = script.body[command.line].location if command.line < len(script.body) else None
            yield from _command(command, name, in_target, release, installed, place or script.location)


def _enter_chroot(command: Command) -> Command | None:
    """What `chroot FOLDER PROGRAM...` runs."""
    if _program(command.words[0]) != "chroot":
        return None
    rest = [word for word in command.words[1:] if not word.startswith("-")]
    return Command(tuple(rest[1:]), command.line) if len(rest) > 1 else None


def _command(
    command: Command,
    name: str,
    in_target: bool,
    release: Release,
    installed: frozenset[str],
    place: Location,
) -> Iterator[Finding]:
    if in_target:
        told = _match(release.unfit_in_chroot, _as_systemctl(command, release))
        if told:
            what = " ".join(command.words[:3]) if name in ("systemctl", "service") else name
            message = f"{what} does not do its work while the host is installed"
            yield warning("CHROOT-PROGRAM", message, place, told)
            return
    elif name in release.absent_in_installer:
        message = f"{name} is not in the installer of {release.name}"
        yield warning("PRE-PROGRAM", message, place, f"instead: {release.absent_in_installer[name]}")
        return
    if release.os_version_major >= 8 and name not in installed:
        told = _match(release.gone, command)
        if told:
            message = f"{_key(release.gone, command)} is of older releases than {release.name}"
            yield warning("GONE-PROGRAM", message, place, told)


def _program(word: str) -> str:
    """A program's name where its folder is one of those of the system, else its whole path."""
    folder, _, name = word.rpartition("/")
    return name if folder in _STANDARD else word


def _as_systemctl(command: Command, release: Release) -> Command:
    words = command.words
    # The service of el7 runs an init script itself where there is one, and that may well work.
    if release.os_version_major >= 8 and _program(words[0]) == "service" and len(words) > 2:
        return Command(("systemctl", words[2], words[1]), command.line)
    return command


def _match(table: Mapping[str, str], command: Command) -> str:
    key = _key(table, command)
    return table[key] if key else ""


def _key(table: Mapping[str, str], command: Command) -> str:
    """The entry of a table that a command is: by its program, program and argument, or a path in its words."""
    words = command.words
    name = _program(words[0])
    if name in table:
        return name
    action = next((word for word in words[1:] if not word.startswith("-")), "")
    for word in (action, *(word for word in words[1:] if word.startswith("-"))):
        if f"{name} {word}" in table:
            return f"{name} {word}"
    for word in words if name not in _HARMLESS else ():
        path = word if word.startswith("/") else ""
        while path:
            if path in table:
                return path
            path = path.rpartition("/")[0]
    return ""
