"""What a Kickstart on a medium says of itself, and the one change that it needs there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SOURCES = ("cdrom", "url", "nfs", "harddrive", "hmc", "liveimg", "ostreesetup", "ostreecontainer", "bootc")
_SECRETS = re.compile(
    r"\$(?:1|5|6|y|2[aby])\$[./A-Za-z0-9$=,]{8,}|PRIVATE KEY"
    r"|^[ \t]*(?:rootpw|sshpw)(?![^\n]*--lock)[ \t]+\S|--(?:passphrase|password|wpakey|wepkey)[= \t]\S",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class DiscKickstart:
    """A Kickstart for a medium. `source` is the command that says where packages come from, empty for none;
    `ejects`: `reboot` was given its --eject."""

    name: str
    content: bytes
    source: str
    ejects: bool
    has_secrets: bool


def prepare_kickstart(name: str, content: bytes) -> DiscKickstart:
    """The Kickstart with `reboot --eject`, so that a disc left in its drive does not boot again."""
    text = content.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    source, ejects = "", False
    for number, words in main_commands(lines):
        if words[0] in _SOURCES:
            source = words[0]
        elif words[0] == "reboot" and "--eject" not in words:
            lines[number] = f"{lines[number].rstrip()} --eject"
            if "#" in lines[number]:
                lines[number] = " ".join([*words, "--eject"])
            ejects = True
    changed = "\n".join(lines).encode("utf-8", "surrogateescape")
    return DiscKickstart(name, changed, source, ejects, bool(_SECRETS.search(text)))


def main_commands(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """(line from 0, words without a comment) of each command outside of sections."""
    inside = False
    for number, line in enumerate(lines):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if words[0].startswith("%"):
            # An include stands in sections too, and neither begins nor ends one.
            if words[0] not in ("%include", "%ksappend"):
                inside = words[0] != "%end"
        elif not inside:
            yield number, words
