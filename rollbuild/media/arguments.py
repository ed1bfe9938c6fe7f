"""Arguments of the installer's kernel: those that a release knows, and what must stand on its line."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rollbuild.findings import Finding, error, warning
from rollbuild.language import did_you_mean
from rollbuild.location import Location
from rollbuild.releases import Release

LINE_LIMIT = 2048
"""COMMAND_LINE_SIZE of x86, the zero at its end included (arch/x86/include/asm/setup.h)."""

_ARGUMENT = re.compile(r"[\x21\x23-\x26\x28-\x7e]+\Z")
"""Printable, without blanks and quotes: what GRUB, pxelinux, iPXE and the kernel all take for one word."""

_IPXE_READS = re.compile(r"\$\{|&&|\|\|")
"""What iPXE reads as its own: a setting, or the end of a command."""

_OLD_NAMES = frozenset(
    (
        *("ks", "ksdevice", "kssendmac", "kssendsn", "method", "repo", "stage2", "updates", "dd", "proxy", "rescue"),
        *("text", "graphical", "cmdline", "vnc", "vncconnect", "vncpassword", "sshd", "lang", "keymap", "headless"),
        *("noverifyssl", "askmethod", "asknetwork", "dns", "ipv6", "noipv6"),
    )
)
"""What Anaconda called its options before they began with `inst.` (its dracut module names each as removed)."""


@dataclass(frozen=True, slots=True)
class StaticNetwork:
    """An address that the installer takes without DHCP. `interface` may be empty: then the one that boots."""

    address: ipaddress.IPv4Interface
    gateway: str = ""
    nameservers: tuple[str, ...] = ()
    interface: str = ""


def install_arguments(
    release: Release,
    *,
    stage2: str,
    kickstart: str = "",
    hostname: str = "",
    mac: str = "",
    network: StaticNetwork | None = None,
    is_local: bool = False,
    extra: Sequence[str] = (),
) -> tuple[str, ...]:
    """The arguments that install a host, in a fixed order.

    `stage2` and `kickstart` are URLs, or `hd:LABEL=...`; without a Kickstart the installer asks a person. `mac` (with
    colons) is the interface that boots. `is_local`: all of it comes from a medium, so that no network is needed.
    `extra` come last and win where the installer takes the last one.
    """
    arguments = [f"inst.stage2={stage2}"]
    if kickstart:
        arguments.append(f"inst.ks={kickstart}")
        if kickstart.startswith(("http://", "https://")):
            arguments.append("inst.ks.sendmac")
    if mac:
        arguments.append(f"BOOTIF=01-{mac.lower().replace(':', '-')}")
    if network is not None:
        arguments += _static(network, hostname)
    elif not is_local:
        arguments.append("ip=dhcp")
    if kickstart and not {"inst.text", "inst.graphical", "inst.cmdline"} & set(extra):
        # Rather an end with an error than a question that nobody sees.
        arguments.append("inst.cmdline")
    if kickstart and "nosave" in release.boot_options and not any(word.startswith("inst.nosave") for word in extra):
        arguments.append("inst.nosave=all_ks")
    return (*arguments, *extra)


def _static(network: StaticNetwork, hostname: str) -> list[str]:
    # dracut.cmdline(7): ip=CLIENT:PEER:GATEWAY:NETMASK:HOSTNAME:INTERFACE:none
    address = network.address
    words = f"ip={address.ip}::{network.gateway}:{address.netmask}:{hostname}:{network.interface}:none"
    return [words, *(f"nameserver={server}" for server in network.nameservers)]


def fits_loaders(argument: str) -> bool:
    """Whether every boot loader hands this argument on to a kernel as it is."""
    return bool(_ARGUMENT.match(argument)) and not _IPXE_READS.search(argument)


def check_arguments(
    release: Release, arguments: Iterable[str], location: Location | None = None
) -> tuple[Finding, ...]:
    """Findings on arguments of the installer's kernel: those that the release does not know, and unfit ones."""
    findings: list[Finding] = []
    arguments = tuple(arguments)
    for argument in arguments:
        name = argument.partition("=")[0]
        if not _ARGUMENT.match(argument):
            message = f"{argument!r} cannot be one argument of a kernel"
            hint = "blanks, quotes and other than ASCII characters do not reach the kernel the same from every loader"
            findings.append(error("BOOT-ARGUMENT", message, location, hint))
        elif name.startswith("inst."):
            if name.removeprefix("inst.") not in release.boot_options:
                known = [f"inst.{option}" for option in release.boot_options]
                message = f"the installer of {release.name} does not know {name}"
                findings.append(error("BOOT-ARGUMENT", message, location, did_you_mean(name, known)))
        elif name in _OLD_NAMES and not release.boot_options_plain:
            message = f"the installer of {release.name} passes over {name}"
            new = {"ksdevice": "ip= and BOOTIF=", "kssendmac": "inst.ks.sendmac", "kssendsn": "inst.ks.sendsn"}
            hint = f"it is called {new.get(name, f'inst.{name}')} now" if name in new or _has(release, name) else ""
            findings.append(warning("BOOT-ARGUMENT", message, location, hint))
    return (*findings, *check_length(arguments, location))


def check_length(arguments: Iterable[str], location: Location | None = None) -> tuple[Finding, ...]:
    """A finding when the arguments are more than a kernel's line takes."""
    length = len(" ".join(arguments)) + 1
    if length <= LINE_LIMIT:
        return ()
    message = f"the kernel's line has {length - 1:,} characters; {LINE_LIMIT - 1:,} are the most"
    return (error("BOOT-ARGUMENT", message, location, "shorten URLs or leave arguments out"),)


def _has(release: Release, name: str) -> bool:
    return name in release.boot_options
