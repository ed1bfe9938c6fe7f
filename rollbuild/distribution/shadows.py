"""Packages that several repositories of a distribution offer: which one dnf takes, and which one the installer."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rollbuild.findings import Finding, error, note, warning
from rollbuild.packages import ModuleStream, compare_evr

OS_PRIORITY = 50
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class OfferedPackage:
    """A package of a repository; `file` is its path from the top of the generation.

    `header_sha256` is the digest of its header without the signature, empty where it is not known.
    """

    repository: str
    name: str
    epoch: str
    version: str
    release: str
    arch: str
    file: str
    sha256: str = ""
    header_sha256: str = ""

    @property
    def nevra(self) -> str:
        """`name-epoch:version-release.arch`."""
        return f"{self.name}-{self.epoch or '0'}:{self.version}-{self.release}.{self.arch}"

    @property
    def evr(self) -> str:
        """`version-release`, after `epoch:` where that is not 0."""
        text = f"{self.version}-{self.release}"
        return f"{self.epoch}:{text}" if self.epoch not in ("", "0") else text


@dataclass(frozen=True, slots=True)
class Offer:
    """A repository of a distribution with its packages.

    `priority` is dnf's: 1 to 99, the lower number wins. `streams` are the module streams of its metadata.
    """

    repository: str
    priority: int
    is_os: bool
    packages: Sequence[OfferedPackage] = field(repr=False)
    streams: Sequence[ModuleStream] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Shadow:
    """A name that several repositories offer.

    `winner`: what dnf takes on a host. `losers`: the newest of each other repository, with why it does not win:
    `priority`, `older` or `same`. `installer`: what the installer takes, which knows no priorities.
    """

    name: str
    winner: OfferedPackage
    losers: tuple[tuple[OfferedPackage, str], ...]
    installer: OfferedPackage

    @property
    def differs(self) -> bool:
        """Whether the installer takes another version than dnf does on a host."""
        return self.installer.evr != self.winner.evr


def dnf_priority(priority: int) -> int:
    """dnf's number (1 to 99, lower wins) for a roll's priority (higher wins; that of the OS is 50)."""
    return min(99, max(1, 100 - priority))


def find_shadows(offers: Sequence[Offer], arch: str) -> tuple[Shadow, ...]:
    """Every name that several repositories offer, sorted; `arch` is that of the distribution.

    Packages of `arch` and noarch ones stand for each other; those of other architectures are looked at apart. What a
    module stream that is not on by default has is left out, as dnf leaves it out.
    """
    passive, taken = _split_streams(offers)
    found: dict[tuple[str, str], dict[int, OfferedPackage]] = {}
    for number, offer in enumerate(offers):
        for package in offer.packages:
            if package.nevra in passive:
                continue
            kind = "" if package.arch in (arch, "noarch") else package.arch
            known = found.setdefault((package.name, kind), {})
            if number not in known or _compare(package, known[number]) > 0:
                known[number] = package
    shadows = []
    for (name, _), packages in sorted(found.items()):
        if len(packages) > 1:
            shadows.append(_judge(name, [(offers[number], package) for number, package in packages.items()], taken))
    return tuple(shadows)


def _split_streams(offers: Iterable[Offer]) -> tuple[frozenset[str], Mapping[str, frozenset[str]]]:
    """The packages that no active stream shows, and the packages of active streams by name."""
    active: dict[str, set[str]] = {}
    passive: set[str] = set()
    for offer in offers:
        for stream in offer.streams:
            if not stream.is_default:
                passive |= stream.artifacts
                continue
            for artifact in stream.artifacts:
                active.setdefault(artifact.rsplit("-", 2)[0], set()).add(artifact)
    shown = frozenset(artifact for artifacts in active.values() for artifact in artifacts)
    return frozenset(passive) - shown, {name: frozenset(artifacts) for name, artifacts in active.items()}


def _judge(
    name: str, candidates: Sequence[tuple[Offer, OfferedPackage]], taken: Mapping[str, frozenset[str]]
) -> Shadow:
    # A sort is stable: of equals the first repository wins, and the OS comes first.
    newest_first = functools.cmp_to_key(_compare)
    by_version = sorted(candidates, key=lambda item: newest_first(item[1]), reverse=True)
    winner_offer, winner = min(by_version, key=lambda item: item[0].priority)
    losers = []
    for offer, package in candidates:
        if package is not winner:
            is_outranked = offer.priority != winner_offer.priority
            reason = "same" if package.evr == winner.evr else "priority" if is_outranked else "older"
            losers.append((package, reason))
    modular = taken.get(name, frozenset())
    visible = [package for _, package in by_version if not modular or package.nevra in modular]
    return Shadow(name, winner, tuple(losers), visible[0] if visible else by_version[0][1])


def _compare(one: OfferedPackage, other: OfferedPackage) -> int:
    return compare_evr((one.epoch, one.version, one.release), (other.epoch, other.version, other.release))


def hotfixed(offers: Sequence[Offer]) -> Mapping[str, tuple[str, ...]]:
    """The repositories of rolls that need `module_hotfixes=1`, with the packages that are the reason.

    dnf on el8 and el9 hides a package where a module stream has one of its name, whatever the repository. Packages
    that the roll's own streams have need nothing.
    """
    names = {
        artifact.rsplit("-", 2)[0]
        for offer in offers
        if offer.is_os
        for stream in offer.streams
        for artifact in stream.artifacts
    }
    found: dict[str, tuple[str, ...]] = {}
    for offer in offers:
        own = {artifact for stream in offer.streams for artifact in stream.artifacts}
        concerned = {item.name for item in offer.packages if item.name in names and item.nevra not in own}
        if concerned and not offer.is_os:
            found[offer.repository] = tuple(sorted(concerned))
    return found


def shadow_findings(shadows: Iterable[Shadow]) -> tuple[Finding, ...]:
    """A warning for each package that the installer takes from elsewhere than dnf does on a host."""
    findings = []
    for shadow in shadows:
        if not shadow.differs:
            continue
        winner, other = shadow.winner, shadow.installer
        message = (
            f"the installer takes {shadow.name} {other.evr} of {other.repository}, but dnf on the hosts "
            f"{winner.evr} of {winner.repository}: the installer knows no priorities"
        )
        if _compare(winner, other) > 0:
            message = (
                f"the installer does not see {shadow.name} {winner.evr} of {winner.repository}, which a module "
                f"stream hides: it takes {other.evr} of {other.repository}"
            )
            hint = f"exclude {shadow.name} from %packages and install it in %post, or disable the stream with `module`"
        else:
            hint = (
                f"build {shadow.name} of {winner.repository} with a higher version, release or epoch than {other.evr}"
                f", or give {winner.repository} a lower priority in its roll.yaml"
            )
        findings.append(warning("INSTALLER-CHOICE", message, hint=hint))
    return tuple(findings)


def find_conflicts(offers: Sequence[Offer], header_of: Callable[[OfferedPackage], str]) -> tuple[Finding, ...]:
    """Packages of the same name, version, release and architecture, but with other contents; those of the OS aside.

    `header_of` gives the digest of a package's header where it is not known: equal ones are the same package with
    other signatures, which is a note.
    """
    first: dict[str, OfferedPackage] = {}
    findings: list[Finding] = []
    of_os = {offer.repository for offer in offers if offer.is_os}
    for offer in offers:
        for package in offer.packages:
            known = first.setdefault(package.nevra, package)
            if known is package or known.repository == package.repository or known.sha256 == package.sha256:
                continue
            if {known.repository, package.repository} <= of_os:
                continue  # a vendor's own affair
            headers = [item.header_sha256 or header_of(item) for item in (known, package)]
            if headers[0] and headers[0] == headers[1]:
                message = f"{known.file} and {package.file} are the same package, signed by different keys"
                findings.append(note("SIGNED-ANEW", message))
            else:
                message = f"{known.file} and {package.file} have the same name and version, but other contents"
                hint = "dnf would mix them up: build one of them with another release, or leave one out"
                findings.append(error("SAME-NEVRA", message, hint=hint))
    return tuple(findings)


def summarize_shadows(shadows: Sequence[Shadow]) -> tuple[str, ...]:
    """Lines for a person: how many packages of which repository give way to which."""
    pairs: dict[tuple[str, str, str], list[str]] = {}
    for shadow in shadows:
        for loser, reason in shadow.losers:
            if reason != "same":
                key = shadow.winner.repository, loser.repository, reason
                pairs.setdefault(key, []).append(shadow.name)
    words = {"priority": "by priority", "older": "as the newer"}
    lines = []
    for (winner, other, reason), names in pairs.items():
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        lines.append(f"{winner} wins over {other} {words[reason]}: {shown}")
    return tuple(lines)


def shadows_to_json(shadows: Iterable[Shadow]) -> bytes:
    """The bytes of shadowed.json: a list of names with what wins, what does not and why, what the installer takes."""

    def describe(package: OfferedPackage) -> dict[str, str]:
        return {"repository": package.repository, "nevra": package.nevra, "file": package.file}

    content = [
        {
            "name": shadow.name,
            "arch": shadow.winner.arch,
            "winner": describe(shadow.winner),
            "shadowed": [{**describe(package), "reason": reason} for package, reason in shadow.losers],
            "installer": describe(shadow.installer),
            "installer_differs": shadow.differs,
        }
        for shadow in shadows
    ]
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
