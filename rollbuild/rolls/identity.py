"""Which roll: its name, version, release and architecture, and what one roll asks of others."""

import re
from dataclasses import dataclass

from rollbuild.errors import RollbuildError
from rollbuild.packages import compare_versions

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_OLD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~^+]*\Z")
_OLD_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~^+-]*\Z")  # of updates, a day: 2017-12-01
_ARCH = re.compile(r"(?:x86_64|aarch64|ppc64le|s390x|i386|noarch)\Z")
_SHOWN = 60
_LONGEST = 200
"""Characters of a roll's text: names of files are made of it, which may have 255 bytes."""
_REQUIREMENT = re.compile(r"\s*(?P<name>\S+?)\s*(?:(?P<sign><=|>=|=|<|>)\s*(?P<version>[A-Za-z0-9][!-~]*)\s*)?\Z")


@dataclass(frozen=True, slots=True, order=True)
class RollId:
    """A roll, exactly; its text is `NAME-VERSION-RELEASE.ARCH`. The parts are names of folders too."""

    name: str
    version: str
    release: str
    arch: str

    def __str__(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.{self.arch}"

    def shares_machines(self, other: "RollId") -> bool:
        """Whether there are machines that both rolls are for."""
        return self.arch == other.arch or "noarch" in (self.arch, other.arch)

    def __post_init__(self) -> None:
        """Refuse parts that could lead elsewhere as names of folders. Raises RollbuildError."""
        for what, text, shape in (
            ("name", self.name, _OLD_NAME),
            ("version", self.version, _OLD_VERSION),
            ("release", self.release, _VERSION),
        ):
            if not shape.match(text):
                hint = "letters, digits and dots are allowed, first a letter or digit"
                raise RollbuildError(f"{_shortened(text)} is no {what} of a roll", hint=hint)
        if not _ARCH.match(self.arch):
            raise RollbuildError(
                f"{_shortened(self.arch)} is no architecture of a roll",
                hint="x86_64, aarch64, ppc64le, s390x, i386 or noarch",
            )
        if len(str(self)) > _LONGEST:
            raise RollbuildError(
                f"the roll {_shortened(str(self))} has a name, version and release of more than {_LONGEST} characters "
                "together",
                hint="files are called by them: choose shorter ones",
            )


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def is_roll_name(name: str) -> bool:
    """Whether a new roll may have this name: lower-case letters, digits and `. _ -`, first a letter or digit."""
    return bool(_NAME.match(name))


def is_roll_version(version: str) -> bool:
    """Whether a new roll may have this version; packages of the roll's description have it too, so without a dash."""
    return bool(_VERSION.match(version))


@dataclass(frozen=True, slots=True)
class Requirement:
    """A roll that another one asks for, or cannot be with: `NAME`, or `NAME >= VERSION` (also <, <=, =, >)."""

    name: str
    sign: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.version}" if self.sign else self.name

    def is_met_by(self, roll: RollId) -> bool:
        """Whether a roll has the name and a fitting version, compared as RPM does; its release counts if named."""
        if roll.name != self.name:
            return False
        if not self.sign:
            return True
        if self.version == roll.version:
            return "=" in self.sign
        own = f"{roll.version}-{roll.release}" if "-" in self.version else roll.version
        order = compare_evr_text(own, self.version)
        return {"<": order < 0, "<=": order <= 0, "=": order == 0, ">=": order >= 0, ">": order > 0}[self.sign]


def compare_evr_text(one: str, other: str) -> int:
    """Below, equal to or above 0 as `VERSION` or `VERSION-RELEASE` is older than, the same as or newer than another."""
    version, _, release = one.partition("-")
    other_version, _, other_release = other.partition("-")
    return compare_versions(version, other_version) or compare_versions(release, other_release)


def parse_requirement(text: str) -> Requirement:
    """A requirement as written in roll.yaml. Raises RollbuildError."""
    match = _REQUIREMENT.match(text) if len(text) <= _LONGEST else None
    if match is None or not _OLD_NAME.match(match["name"]):
        raise RollbuildError(
            f"{_shortened(text)} does not name a roll", hint="write it as in: kernel, or: kernel >= 2.0"
        )
    return Requirement(match["name"], match["sign"] or "", match["version"] or "")
