"""What pykickstart does not look at: commands that are missing, given twice, or lack what they need."""

import ipaddress
import re
from collections.abc import Iterator, Sequence

from rollbuild.checks.mainlines import MainLine, read_option
from rollbuild.findings import Finding, Severity, error, note, warning
from rollbuild.releases import Release

_NEVER_STOPS = frozenset(("install source", "non-interactive mode", "end of the install"))
"""Requirements that boot options may meet, or without which an install only waits at its end."""

_NEEDS_VALUE = {
    "url": ("--url",),
    "nfs": ("--server", "--dir"),
    "harddrive": ("--partition", "--dir"),
    "repo": ("--name", "--baseurl", "--mirrorlist", "--metalink"),
    "user": ("--name",),
    "sshkey": ("--username",),
    "network": ("--device", "--ip", "--netmask", "--gateway", "--hostname"),
}
_ADDRESS = re.compile(r"[0-9.]+\Z|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\Z")


def check_commands(appliance: str, lines: Sequence[MainLine], release: Release) -> tuple[Finding, ...]:
    """Requirements of an unattended install, repeated commands, empty values, network addresses."""
    lines = [line for line in lines if line.is_command]
    return (
        *_missing(appliance, lines, release),
        *_repeated(lines, release),
        *_exclusive(lines, release),
        *_empty(lines),
        *_network(lines),
    )


def _missing(appliance: str, lines: list[MainLine], release: Release) -> Iterator[Finding]:
    texts = [line.text for line in lines]
    included = any(line.name == "%include" for line in lines)
    for requirement in release.required:
        if requirement.is_met_by(texts):
            continue
        message = f"appliance {appliance} has no {requirement.name} (one of: {', '.join(requirement.any_of)})"
        severity = Severity.WARNING if requirement.name in _NEVER_STOPS or included else Severity.ERROR
        if included:
            message += ", unless what it includes brings one"
        yield Finding("KS-REQUIRED", severity, message, hint=requirement.remedy)


def _repeated(lines: list[MainLine], release: Release) -> Iterator[Finding]:
    first: dict[str, MainLine] = {}
    for line in lines:
        name = line.name
        if name in release.repeatable or name.startswith("%") or name not in release.known_commands:
            continue
        earlier = first.setdefault(name, line)
        if earlier is line:
            continue
        if earlier.words == line.words:
            message = f"{name} is given twice with the same text, first at {earlier.location}"
            yield note("DUP-COMMAND", message, line.location, "one of them is enough")
        else:
            message = f"{name} is given twice: this one wins over the one at {earlier.location}"
            yield warning("DUP-COMMAND", message, line.location, "remove one, or make them conditional")
        first[name] = line


def _exclusive(lines: list[MainLine], release: Release) -> Iterator[Finding]:
    for group in release.exclusive:
        seen: MainLine | None = None
        for line in lines:
            if line.name not in group:
                continue
            if seen is not None and seen.name != line.name:
                message = f"{line.name} and {seen.name} (at {seen.location}) exclude each other: the last one wins"
                yield warning("DUP-COMMAND", message, line.location, "remove one, or make them conditional")
            seen = line


def _empty(lines: list[MainLine]) -> Iterator[Finding]:
    for line in lines:
        for option in _NEEDS_VALUE.get(line.name, ()):
            if line.words and read_option(line.words, option) == "":
                message = f"{line.name} {option} has no value"
                yield error("KS-EMPTY", message, line.location, "check the attribute that it is made of")


def _network(lines: list[MainLine]) -> Iterator[Finding]:
    for line in lines:
        if line.name != "network" or not line.words:
            continue
        for option in ("--ip", "--gateway", "--netmask", "--nameserver"):
            for value in (read_option(line.words, option) or "").split(","):
                if _ADDRESS.match(value) and not _is_address(value):
                    yield error("NETWORK-ADDRESS", f"network {option}: {value} is no IP address", line.location)
        if read_option(line.words, "--bootproto") != "static":
            continue
        ip = read_option(line.words, "--ip")
        if ip is None and read_option(line.words, "--ipv6") is None:
            message = "network --bootproto=static without --ip: the interface gets no address"
            yield warning("NETWORK-STATIC", message, line.location, "add --ip= and --netmask=")
        elif ip and read_option(line.words, "--netmask") is None:
            message = "network --bootproto=static without --netmask: the network of the address is not known"
            yield warning("NETWORK-STATIC", message, line.location, "add --netmask=")


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value.partition("/")[0])
    except ValueError:
        return False
    return True
