"""What is compared of a Kickstart: nodes, packages, commands, files and scripts, without their places."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rollbuild.compiler import RESERVED, Line, Profile, ScriptSection, WrittenFile

_HERE = re.compile(r"<<'?(RB_EOF(?:_\d+)?)'?\Z")
_LABEL = re.compile(r"--log=\S*/rollbuild/([^/\s]+)\.log\b")
_SECTIONS = frozenset(word for word in RESERVED if word not in ("%end", "%include"))


@dataclass(frozen=True, slots=True)
class Script:
    """A script: its section, whose it is (a node, or empty) and its text with its header, files left out."""

    section: str
    node: str
    text: str


@dataclass(frozen=True, slots=True)
class FileState:
    """What all the writes of one file add up to: content (lines), and owner, perms, mode and node of each write."""

    content: str
    writes: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Content:
    """One Kickstart for comparing; `packages` maps each line of %packages to the nodes that ask for it."""

    nodes: tuple[str, ...] = ()
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    files: Mapping[str, FileState] = field(default_factory=dict)
    scripts: tuple[Script, ...] = ()
    text: str = ""


def read_profile(profile: Profile, mask: Callable[[str], str]) -> Content:
    """The content of a compiled appliance; every text goes through `mask`."""
    packages: dict[str, dict[str, None]] = {}
    for name, node, _ in profile.packages:
        packages.setdefault(name, {})[node] = None
    options = [line.text for line in profile.lines if line.text.startswith("%packages ")]
    files: dict[str, FileState] = {}
    scripts = []
    for script in profile.scripts:
        text, binary = _without_files(script)
        if text:
            scripts.append(Script(script.section, script.node, mask(text)))
        for file in script.files:
            path = mask(file.path)
            files[path] = _with_write(files.get(path), file, mask(_content_of(file, binary)))
    return Content(
        nodes=profile.nodes,
        # A package that one node disables and another wants is wanted.
        packages={
            name: tuple(nodes) for name, nodes in packages.items() if not (name[0] == "-" and name[1:] in packages)
        },
        commands=tuple(mask(text) for text in (*(command.text for command in profile.commands), *options)),
        files=files,
        scripts=tuple(scripts),
        text=mask("".join(f"{line.text}\n" for line in profile.lines if not line.text.startswith("#"))),
    )


def _with_write(state: FileState | None, file: WrittenFile, content: str) -> FileState:
    write = (file.mode, file.owner, file.perms, file.node)
    if state is None:
        return FileState(content, (write,))
    before = "" if file.mode == "create" else state.content
    return FileState(before + content, (*state.writes, write))


def _content_of(file: WrittenFile, binary: Mapping[object, str]) -> str:
    if file.content is not None:
        return file.content
    return binary.get((file.path, file.location), "")


def _without_files(script: ScriptSection) -> tuple[str, dict[object, str]]:
    """The text of a script without what writes its files, and of copied files a line about their bytes.

    Files are compared on their own; of those whose content a program gives, the program stays in the text.
    """
    places = {file.location: file for file in script.files}
    copies = {line.location for line in script.body if line.text.startswith("base64 -d > ")}
    kept: list[str] = []
    binary: dict[object, str] = {}
    lines = iter(script.body)
    for line in lines:
        file = places.get(line.location) if line.location else None
        if file is None:
            if not line.text.startswith("keep_original() {"):
                kept.append(line.text)
            continue
        is_copy = file.location in copies
        if file.content is None and not is_copy:
            kept.append(line.text)
        elif found := _HERE.search(line.text):
            body = _read_here(lines, found[1], line)
            if is_copy:
                binary[file.path, file.location] = _describe_bytes(body)
    if not any(line.strip() for line in kept):
        return "", binary
    # Where files stood, blank lines are left over.
    kept = [line for number, line in enumerate(kept) if line.strip() or not number or kept[number - 1].strip()]
    return "\n".join((script.header, *kept)) + "\n", binary


def _read_here(lines: Iterator[Line], delimiter: str, opened: Line) -> list[str]:
    body = []
    for line in lines:
        if line.text == delimiter and line.location == opened.location:
            break
        body.append(line.text)
    return body


def _describe_bytes(body: Sequence[str]) -> str:
    try:
        data = base64.b64decode("".join(body))
    except (binascii.Error, ValueError):
        return ""
    return f"({len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()})\n"


def read_kickstart(text: str) -> Content:
    """The content of any Kickstart file, by its sections. Files that its scripts write are part of the scripts."""
    commands: list[str] = []
    packages: dict[str, tuple[str, ...]] = {}
    scripts: list[Script] = []
    section, body = "", [""]

    def close() -> None:
        if section and section != "%packages":
            label = _LABEL.search(body[0])
            node = label[1].removeprefix(f"{section[1:]}-") if label else ""
            scripts.append(Script(section[1:], node, "\n".join(body) + "\n"))

    for line in text.splitlines():
        word = line.split(None, 1)[0] if line.strip() else ""
        if word in _SECTIONS:
            close()  # before RHEL 6 a section could end without %end
            section, body = word, [line.rstrip()]
            if section == "%packages" and line.strip() != "%packages":
                commands.append(" ".join(line.split()))
        elif word == "%end":
            close()
            section, body = "", [""]
        elif section == "%packages":
            if word and not word.startswith("#"):
                packages[line.partition("#")[0].strip()] = ()
        elif section:
            body.append(line.rstrip())
        elif word and not word.startswith("#"):
            commands.append(line.strip())
    close()
    plain = "".join(f"{line}\n" for line in text.splitlines() if not line.startswith("#"))
    return Content(packages=packages, commands=tuple(commands), scripts=tuple(scripts), text=plain)
