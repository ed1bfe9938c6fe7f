"""Units of a Kickstart: each becomes one stretch of it, the main section, the packages, or one script."""

import re
from dataclasses import dataclass
from typing import Protocol

from rollbuild.compiler.boot import boot_lines
from rollbuild.compiler.context import MARK_START, Context
from rollbuild.compiler.profile import KickstartCommand, Line, ScriptSection, Section, WrittenFile
from rollbuild.compiler.script import KEEP_ORIGINAL, Lines, assemble_parts, refuse_reserved, trim
from rollbuild.findings import error, note
from rollbuild.language import Command, Package, Script, Text
from rollbuild.releases import adapt_command, adapt_packages_options

_VARYING_OPTION = re.compile(rf"(?:^|\s)-[^\s=]*{MARK_START}")
"""An option whose name is an attribute's value: whether it needs adapting differs from host to host."""


class Unit(Protocol):
    """A stretch of a Kickstart that is assembled on its own."""

    def assemble(self, context: Context) -> Section:
        """Its lines for the context's attribute values, with what is in them."""
        ...


@dataclass(frozen=True, slots=True)
class Header:
    """Comments on top: what this is and which nodes it is made of."""

    appliance: str
    nodes: tuple[tuple[str, str], ...]

    def assemble(self, context: Context) -> Section:
        """A few comment lines; nothing in them changes from one compile to the next."""
        release = context.release.name
        host = " ".join(context.look_up("hostname").split())
        lines = [
            f"# Kickstart of {host}, appliance {' '.join(self.appliance.split())}, release {release}.",
            "# Compiled by rollbuild; change the node files, not this file. Nodes in order (and their rolls):",
        ]
        row = "#"
        for name, roll in self.nodes:
            word = f" {name} ({' '.join(roll.split())})"
            if len(row) + len(word) > 118:
                lines.append(row)
                row = "#"
            row += word
        return Section(tuple(Line(text) for text in [*lines, row, ""]))


@dataclass(frozen=True, slots=True)
class Main:
    """The commands, in the order of the nodes and of their files."""

    commands: tuple[tuple[str, Command], ...]

    def assemble(self, context: Context) -> Section:
        """One line a command, adapted to the release; further lines of its text are lines of their own."""
        lines: list[Line] = []
        commands: list[KickstartCommand] = []
        for node, command in self.commands:
            if command.name == "packages":
                continue
            context.refuse_line_ends(command.body)
            body, _ = assemble_parts(command.body, context, node=node, in_target=False)
            body = [(text.strip(), place) for text, place in body if text.strip()]
            for line, place in body if command.name == "ks" else self.adapt(command, body, context):
                place = place or command.location
                lines.append(Line(line, place))
                commands.append(KickstartCommand(line.split(None, 1)[0], line, node, place))
        return Section((*lines, Line("")), commands=tuple(commands))

    def adapt(self, command: Command, body: Lines, context: Context) -> Lines:
        release = context.release
        text = "\n".join(line for line, _ in body)
        adapted = adapt_command(release, command.name, text)
        if adapted.notes or _VARYING_OPTION.search(text):
            for part in command.body:
                context.pin(part if isinstance(part, Text) else None)
        for message in adapted.notes:
            context.findings.append(note("KS-ADAPTED", message, command.location))
        if adapted.status == "unknown":
            message = f"{command.name} is no Kickstart command of {release.name}"
            hint = f"did you mean <{adapted.nearest}>?" if adapted.nearest else "raw lines go into <ks>"
            context.findings.append(error("KS-UNSUPPORTED", message, command.location, hint))
            return []
        places = [place for _, place in body] or [None]
        return [
            (line, command.location if line.startswith(command.name) else places[origin])
            for line, origin in zip(adapted.lines, adapted.origins, strict=True)
            if line.strip()
        ]


@dataclass(frozen=True, slots=True)
class Packages:
    """The packages section: sorted, each once; enabling wins over disabling."""

    packages: tuple[tuple[str, Package], ...]
    options: tuple[tuple[str, Command], ...]
    is_lenient: bool

    def assemble(self, context: Context) -> Section:
        """The section with its options as the release spells them."""
        enabled: dict[str, Package] = {}
        disabled: dict[str, Package] = {}
        listed: list[tuple[str, str, Package]] = []
        for node, package in self.packages:
            if any(reference in context.marking for reference, _ in package.name.references):
                context.dynamic = True  # the list is sorted by what the names are
            for name in _package_names(package, context):
                (enabled if package.enabled else disabled).setdefault(name, package)
                listed.append((name if package.enabled else f"-{name}", node, package))
        place = self.options[0][1].location if self.options else None
        lines = [Line(" ".join(("%packages", *self.given_options(context))), place)]
        lines += [Line(name, enabled[name].location) for name in sorted(enabled)]
        lines += [Line(f"-{name}", disabled[name].location) for name in sorted(disabled) if name not in enabled]
        return Section((*lines, Line("%end"), Line("")), packages=tuple(listed))

    def given_options(self, context: Context) -> tuple[str, ...]:
        options: list[str] = ["--ignoremissing"] if self.is_lenient else []
        for node, command in self.options:
            body, _ = assemble_parts(command.body, context, node=node, in_target=False)
            options += [word for line, _ in body for word in line.split() if word not in options]
        adapted, notes = adapt_packages_options(context.release, options)
        for message in notes:
            place = self.options[0][1].location if self.options else None
            context.findings.append(note("KS-ADAPTED", message, place))
        return adapted


def _package_names(package: Package, context: Context) -> list[str]:
    """The names in an element, one a line, as %packages has them."""
    names = [line.strip() for line in context.require(package.name).split("\n") if line.strip()]
    good = []
    for name in names or [""]:
        if not name.lstrip("@-^ "):
            message, hint = "this <package> names no package", "remove it, or name one"
            context.findings.append(error("EMPTY-PACKAGE", message, package.location, hint))
        elif " " in name and not package.is_group and name[0] not in "@^":
            message, hint = f'"{name}" is no package name', "write one name a line, or one <package> for each"
            context.findings.append(error("PACKAGE-NAME", message, package.location, hint))
        else:
            good.append(f"@{name}" if package.is_group and not name.startswith("@") else name)
    return good


@dataclass(frozen=True, slots=True)
class ScriptUnit:
    """One script of a node; `label` is its node's name, numbered when the node has several of its section."""

    script: Script
    node: str
    label: str

    @property
    def section(self) -> str:
        """Its Kickstart section."""
        return "post" if self.script.kind in ("configure", "boot") else self.script.kind

    def assemble(self, context: Context) -> Section:
        """The section, its body as the author wrote it; nothing when it is blank."""
        script = self.script
        interpreter = (context.require(script.interpreter).strip() if script.interpreter else "") or "/bin/bash"
        argument = context.require(script.argument).strip() if script.argument else ""
        context.pin(script.interpreter)
        context.pin(script.argument)
        in_chroot = self.section == "post" and "--nochroot" not in argument.split()
        body, files = assemble_parts(script.body, context, node=self.node, in_target=in_chroot)
        body = trim(body)
        if not any(line.strip() for line, _ in body):
            return Section(())
        if any(line.startswith("keep_original ") for line, _ in body):
            body.insert(0, (KEEP_ORIGINAL, script.location))
        refuse_reserved(body, context)
        header = self.header(interpreter, argument, in_chroot, context)
        return _script_section(self, header, interpreter, in_chroot, body, files)

    def header(self, interpreter: str, argument: str, in_chroot: bool, context: Context) -> str:
        words = [f"%{self.section}"]
        given = argument.split()
        if not any(word.startswith("--interpreter") for word in given):
            words.append(f"--interpreter={interpreter}")
        if not any(word.startswith("--log") for word in given):
            words.append(f"--log={log_folder(self.section, in_chroot, context)}/{self.section}-{self.label}.log")
        return " ".join((*words, argument) if argument else words)


def log_folder(section: str, in_chroot: bool, context: Context) -> str:
    """Where the log of a section lies: on the host, or in the installer, which copies that folder to the host."""
    if section == "post":
        return "/var/log/rollbuild" if in_chroot else f"{context.release.sysroot}/var/log/rollbuild"
    return "/tmp/pre-anaconda-logs/rollbuild"  # noqa: S108  a path on the host that is installed


def _script_section(
    unit: ScriptUnit, header: str, interpreter: str, in_chroot: bool, body: Lines, files: list[WrittenFile]
) -> Section:
    place = unit.script.location
    lines = tuple(Line(text, where) for text, where in body)
    script = ScriptSection(
        section=unit.section,
        kind=unit.script.kind,
        interpreter=interpreter,
        in_chroot=in_chroot,
        header=header,
        body=lines,
        files=tuple(files),
        node=unit.node,
        location=place,
    )
    return Section((Line(header, place), *lines, Line("%end", place), Line("")), script=script)


@dataclass(frozen=True, slots=True)
class Boot:
    """The scripts that run once at the first boot, before or after the services."""

    scripts: tuple[tuple[str, Script], ...]

    def assemble(self, context: Context) -> Section:
        """A %post that puts the scripts and their units in place; nothing when there are none."""
        bodies: list[tuple[str, str, Script, Lines]] = []
        files: list[WrittenFile] = []
        for node, script in self.scripts:
            body, written = assemble_parts(script.body, context, node=node, in_target=False)
            body = trim(body)
            if any(line.strip() for line, _ in body):
                bodies.append((node, script.order, script, body))
                files += written
        if not bodies:
            return Section(())
        first = bodies[0][2]
        header = "%post --interpreter=/bin/bash --log=/var/log/rollbuild/post-boot-scripts.log --erroronfail"
        lines = boot_lines([(node, order, script.location, body) for node, order, script, body in bodies])
        refuse_reserved([line for _, _, _, body in bodies for line in body], context)
        unit = ScriptUnit(first, bodies[0][0], "boot-scripts")
        return _script_section(unit, header, "/bin/bash", True, lines, files)
