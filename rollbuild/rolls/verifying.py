"""Whether a built roll's folder holds exactly what its roll.json says, and packages that are whole and signed."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files import digest_file, read_limited, walk_tree
from rollbuild.findings import Finding, Severity, error
from rollbuild.location import Location
from rollbuild.packages import RpmFile, Signature, open_keyring, verify_rpm
from rollbuild.rolls.built import MANIFEST, SOURCES, BuiltRoll, RollPackage

SUMS = "SHA256SUMS"
IGNORED = "TRANS.TBL"
"""Tables of long names, which old programs write into every folder of an ISO."""

_OWN = frozenset((MANIFEST, SUMS, f"{SUMS}.asc"))
_COPY_AGAIN = "copy or build the roll again"
_SHOWN_NAMES = 5
_SUMS_LIMIT = 256 * 1024 * 1024


def verify_roll(
    folder: Path,
    built: BuiltRoll,
    *,
    shown: str = "",
    keys: Sequence[Path] = (),
    require_signed: bool = False,
    advance: Callable[[int], object] | None = None,
) -> tuple[Finding, ...]:
    """What is wrong with a roll's folder, every file looked at: `built` is what its roll.json says.

    Errors, but for packages that nobody signed, or somebody with a key that is not known: these are warnings unless
    `require_signed`. `keys`: files of public keys besides the roll's own. `shown` names the folder in findings.
    `advance` is told the bytes of each step. Raises RollbuildError, exit code DISK or MISSING_PROGRAM.
    """
    return tuple(_Verification(folder, built, shown or os.fspath(folder), keys, require_signed, advance).findings())


@dataclass(slots=True)
class _Verification:
    folder: Path
    built: BuiltRoll
    shown: str
    keys: Sequence[Path]
    require_signed: bool
    advance: Callable[[int], object] | None
    rpms: dict[str, RpmFile] = field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        yield from self._check_files()
        yield from self._check_sums()
        yield from self._check_packages()
        yield from self._check_same_names()
        yield from self._check_signatures()

    def _check_files(self) -> Iterator[Finding]:
        there = set()
        for name, status in walk_tree(self.folder):
            if stat.S_ISDIR(status.st_mode) or name in _OWN or os.path.basename(name) == IGNORED:
                continue
            if not stat.S_ISREG(status.st_mode):
                yield self._error("ROLL-FILE", "this is a link, a pipe or a device, not a file", name)
            elif name not in self.built.files:
                yield self._error("ROLL-FILE", "its roll.json does not list this file", name)
            else:
                yield from self._check_file(name, status.st_size)
            there.add(name)
        for name in sorted(self.built.files.keys() - there):
            yield self._error("ROLL-FILE", "its roll.json lists this file, which is missing", name)

    def _check_file(self, name: str, size: int) -> Iterator[Finding]:
        digest, right_size = self.built.files[name]
        if size != right_size:
            yield self._error("ROLL-FILE", f"this file has {size:,} bytes, its roll.json says {right_size:,}", name)
        elif digest_file(self.folder / name, advance=self.advance)[0] != digest:
            yield self._error(
                "ROLL-FILE", "this file is not the one that its roll.json lists: its SHA-256 differs", name
            )

    def _check_sums(self) -> Iterator[Finding]:
        """SHA256SUMS, which roll.json does not list, may say nothing else than roll.json does."""
        path = self.folder / SUMS
        if not path.is_file():
            return
        right = {name: digest for name, (digest, _) in self.built.files.items()}
        right[MANIFEST] = digest_file(self.folder / MANIFEST)[0]
        for line in read_limited(path, _SUMS_LIMIT).decode("utf-8", "backslashreplace").split("\n"):
            digest, _, name = line.partition("  ")
            if line and not line.startswith("\\") and right.get(name) != digest:
                yield self._error("ROLL-FILE", f"its line on {name or line!r} is not what roll.json says", SUMS)
                return

    def _check_packages(self) -> Iterator[Finding]:
        listed = {package.file: package for package in self.built.packages}
        for name in sorted(self.built.files):
            if not name.endswith(".rpm") or not (self.folder / name).is_file():
                continue
            try:
                self.rpms[name] = verify_rpm(self.folder / name)
            except RollbuildError as problem:
                if problem.exit_code != REFUSED:
                    raise
                message = problem.message.replace(os.fspath(self.folder), self.shown)
                yield self._error("ROLL-PACKAGE", message, name, problem.hint or _COPY_AGAIN)
                continue
            if name not in listed and name.startswith(f"{SOURCES}/"):
                continue
            if name not in listed:
                yield self._error("ROLL-PACKAGE", "its roll.json does not list this package among its packages", name)
            elif not _agree(listed[name], self.rpms[name]):
                right = self.rpms[name].nevra
                yield self._error("ROLL-PACKAGE", f"its roll.json says another thing of this package, {right}", name)

    def _check_same_names(self) -> Iterator[Finding]:
        first: dict[str, str] = {}
        for name, rpm in self.rpms.items():
            other = first.setdefault(rpm.nevra, name)
            if self.rpms[other].header_sha256 != rpm.header_sha256:
                message = f"two packages are {rpm.nevra} and have other contents; the other is {other}"
                yield self._error("ROLL-PACKAGE", message, name, "build one of them with another release")

    def _check_signatures(self) -> Iterator[Finding]:
        signed = {name: rpm for name, rpm in self.rpms.items() if rpm.signed_by}
        unsigned = [name for name in self.rpms if name not in signed]
        unknown: dict[str, str] = {}
        if signed:
            own = [self.folder / key for key in self.built.keys if (self.folder / key).is_file()]
            with open_keyring([*own, *self.keys]) as keyring:
                found = keyring.check([self.folder / name for name in signed])
            for name, rpm in signed.items():
                signature = found[self.folder / name]
                if signature is Signature.BAD:
                    yield self._error("ROLL-SIGNATURE", "its signature is wrong: it was changed after signing", name)
                elif signature is Signature.UNKNOWN_KEY:
                    unknown[name] = ", ".join(rpm.signed_by)
                elif signature is Signature.UNSIGNED:
                    unsigned.append(name)
        if unsigned:
            yield self._doubt(
                "not signed", sorted(unsigned), "sign rolls that you build: rollbuild roll build --sign KEY"
            )
        for keys in sorted(set(unknown.values())):
            names = [name for name, its in unknown.items() if its == keys]
            yield self._doubt(f"signed with a key that is not known, {keys}", names, "name its file with --key FILE")

    def _doubt(self, what: str, names: Sequence[str], hint: str) -> Finding:
        severity = Severity.ERROR if self.require_signed else Severity.WARNING
        if len(names) == 1:
            return Finding("ROLL-SIGNATURE", severity, f"this package is {what}", self._place(names[0]), hint)
        message = f"its {len(names)} packages are {what}"
        if len(names) < len(self.rpms):
            message = f"{len(names)} of its {len(self.rpms)} packages are {what}: {_shortened(names)}"
        return Finding("ROLL-SIGNATURE", severity, message, Location(self.shown), hint)

    def _place(self, name: str) -> Location:
        return Location(f"{self.shown}/{name}")

    def _error(self, code: str, message: str, name: str, hint: str = _COPY_AGAIN) -> Finding:
        return error(code, message, self._place(name), hint)


def _agree(package: RollPackage, rpm: RpmFile) -> bool:
    header = package.header_sha256 in ("", rpm.header_sha256)
    return header and package.nevra == rpm.nevra and set(package.signed_by) == set(rpm.signed_by)


def _shortened(names: Sequence[str]) -> str:
    listed = ", ".join(map(os.path.basename, names[:_SHOWN_NAMES]))
    return listed if len(names) <= _SHOWN_NAMES else f"{listed} and {len(names) - _SHOWN_NAMES} more"
