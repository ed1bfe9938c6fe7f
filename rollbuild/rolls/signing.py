"""The signatures of a roll that is being built."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import copy_file, explained, write_atomically
from rollbuild.findings import Finding, Severity, error
from rollbuild.location import Location
from rollbuild.packages import RpmFile, Signature, export_key, open_keyring, read_rpm, sign_packages, verify_rpm
from rollbuild.rolls.built import PACKAGES, SOURCES
from rollbuild.rolls.finish import KEY_PREFIX
from rollbuild.rolls.identity import RollId

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Signing:
    """The packages in `folder` (`NAME/VERSION/ARCH`, in a stage), which are copies.

    `keys`: files of public keys that the source brings, `key`: the secret key to sign with, empty for none. `before`:
    the same folder of the roll that was built before, if there is one.
    """

    folder: Path
    roll: RollId
    keys: Sequence[Path]
    key: str
    before: Path

    @property
    def key_file(self) -> Path:
        """Where the public key of `key` goes."""
        name = f"{KEY_PREFIX}{self.roll.name}"
        # The source may have brought a key of this name; it may be another one.
        return self.folder / (f"{name}-build" if name in (key.name for key in self.keys) else name)

    def packages(self) -> list[RpmFile]:
        """The packages in RPMS/ and SRPMS/, as they are now."""
        folders = (self.folder / name for name in (PACKAGES, SOURCES))
        return [read_rpm(path) for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]

    def sign(self, news: Callable[[str], object]) -> None:
        """Copy the public keys, and sign every package that is not signed with the key yet. Raises RollbuildError."""
        for key in self.keys:
            copy_file(os.path.realpath(key), self.folder / key.name)
        if not self.key:
            return
        write_atomically(self.key_file, export_key(self.key))
        with open_keyring([self.key_file]) as keyring:
            ids = set(keyring.key_ids)
        unsigned = [rpm for rpm in self.packages() if not ids & set(rpm.signed_by)]
        unsigned = [rpm for rpm in unsigned if not self._take_signed(rpm, ids)]
        if unsigned:
            news(f"signing {len(unsigned)} package{'s' * (len(unsigned) > 1)} of {self.roll}")
            sign_packages([rpm.path for rpm in unsigned], self.key)

    def _take_signed(self, rpm: RpmFile, ids: set[str]) -> bool:
        """Whether the roll that was built before has the same package signed: a signature is new each time."""
        there = self.before / rpm.path.relative_to(self.folder)
        try:
            old = verify_rpm(there)
        except RollbuildError:
            return False
        if old.header_sha256 != rpm.header_sha256 or not ids & set(old.signed_by):
            return False
        with open_keyring([self.key_file]) as keyring:
            if keyring.check([there])[there] is not Signature.GOOD:
                return False
        with explained("cannot write", rpm.path):
            rpm.path.unlink()
        copy_file(there, rpm.path)
        return True

    def judge(self, origins: Mapping[str, Path], place: Location, *, require_signed: bool) -> Iterator[Finding]:
        """What the signatures are worth. `origins`: where packages came from, by file name; `place`: of the roll.

        Raises RollbuildError as open_keyring does.
        """
        rpms = self.packages()
        judged = {rpm.path: Signature.UNKNOWN_KEY if rpm.signed_by else Signature.UNSIGNED for rpm in rpms}
        keys = sorted(self.folder.glob(f"{KEY_PREFIX}*"))
        if keys and any(rpm.signed_by for rpm in rpms):
            with open_keyring(keys) as keyring:
                judged.update(keyring.check([rpm.path for rpm in rpms if rpm.signed_by]))
        unsigned = []
        for path, signature in sorted(judged.items()):
            here = Location(os.fspath(origins.get(path.name, path.name)))
            if signature is Signature.BAD:
                message = "the signature of this package is wrong: it was changed after it was signed"
                yield error("ROLL-SIGNATURE", message, here, "fetch the package again from where it comes from")
            elif signature is Signature.UNSIGNED:
                unsigned.append(path.name)
            elif signature is Signature.UNKNOWN_KEY and require_signed:
                message = "this package is signed with a key that the roll does not have"
                hint = f"put the file of its public key into packages/ as {KEY_PREFIX}NAME, or sign it with --sign"
                yield error("ROLL-SIGNATURE", message, here, hint)
        own = f"roll-{self.roll.name}-kickstart-"
        if unsigned and (require_signed or any(not name.startswith(own) for name in unsigned)):
            severity = Severity.ERROR if require_signed else Severity.WARNING
            more = f" and {len(unsigned) - _SHOWN} more" if len(unsigned) > _SHOWN else ""
            message = f"not signed, so that dnf refuses them where gpgcheck is on: {', '.join(unsigned[:_SHOWN])}{more}"
            yield Finding("ROLL-SIGNATURE", severity, message, place, "sign with --sign KEYID")
