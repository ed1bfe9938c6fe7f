"""Signing packages and files with GnuPG, and checking whose signature a package carries with rpmkeys."""

import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files import copy_file, explained, read_limited, write_atomically
from rollbuild.location import Location
from rollbuild.packages.openpgp import read_key_ids
from rollbuild.packages.rpmfile import RpmFile, open_regular, read_rpm, verify_rpm
from rollbuild.process import Completed, find_program, run_program

_GNUPG = ("gnupg", "gnupg2")
_RPM = ("rpm", "rpm")
_RPM_SIGN = ("rpm", "rpm-sign")
_KEY_FILE_BYTES = 4 * 1024 * 1024
_FILES_PER_CALL = 500
# A key that needs a passphrase which no agent has must fail, not wait for a terminal that nobody watches.
_UNATTENDED = ("--batch", "--no-tty", "--pinentry-mode", "error")
_RESULT = re.compile(r"\s+(?P<what>.+?): (?P<result>[A-Z]+)(?: .*)?")


class Signature(StrEnum):
    """What the signature of a package is worth."""

    GOOD = "good"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown-key"
    """Signed, but not by a key of the keyring, or by one that is not trusted, as it expired or was revoked."""
    BAD = "bad"
    """The signature of a known key does not match, or the package is damaged."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Public keys in an RPM database of their own, for as long as `open_keyring` lasts.

    `key_ids` are those of keys and subkeys, 16 lower-case hexadecimal digits.
    """

    key_ids: tuple[str, ...]
    folder: Path

    def check(self, paths: Sequence[Path]) -> Mapping[Path, Signature]:
        """What the signature of each of these packages is worth; digests are compared too.

        Raises RollbuildError: MISSING_PROGRAM without rpmkeys, DISK for a file that cannot be read.
        """
        found: dict[Path, Signature] = {}
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            # Names of our own: what rpmkeys prints can then be told apart whatever the files are called.
            names = [f"{number}.rpm" for number in range(len(paths))]
            for name, path in zip(names, paths, strict=True):
                with explained("cannot read", path), open_regular(path):
                    os.symlink(os.path.abspath(path), os.path.join(folder, name))
            for start in range(0, len(paths), _FILES_PER_CALL):
                some = names[start : start + _FILES_PER_CALL]
                found.update(zip(paths[start:], self._check_some(folder, some), strict=False))
        return found

    def _check_some(self, folder: str, names: Sequence[str]) -> list[Signature]:
        done = _run_rpmkeys(self.folder, ["-K", "-v", *names], cwd=folder)
        results: dict[str, list[tuple[str, str]]] = {}
        at: list[tuple[str, str]] = []
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            if match := re.fullmatch(r"([0-9]+\.rpm):(.*)", line):
                at = results.setdefault(match[1], [])
                if match[2].strip():  # how some releases of rpm report what they cannot read
                    at.append((line, "BAD"))
            elif match := _RESULT.fullmatch(line):
                at.append((match["what"], match["result"]))
        judged = [_judge(results.get(name, [])) for name in names]
        if done.returncode:
            self._doubt(folder, names, judged)
        return judged

    def _doubt(self, folder: str, names: Sequence[str], judged: list[Signature]) -> None:
        """Make BAD what seemed GOOD line by line but not to rpm, such as a signature that leaves out the payload."""
        good = [at for at, signature in enumerate(judged) if signature is Signature.GOOD]
        if not good or not _run_rpmkeys(self.folder, ["-K", *(names[at] for at in good)], cwd=folder).returncode:
            return
        for at in good:
            if _run_rpmkeys(self.folder, ["-K", names[at]], cwd=folder).returncode:
                judged[at] = Signature.BAD


@contextmanager
def open_keyring(keys: Sequence[Path]) -> Iterator[Keyring]:
    """A keyring of these files of public keys (armoured or not); the RPM database of this machine is not touched.

    Raises RollbuildError: REFUSED for a file that holds no public key or none that rpm takes, MISSING_PROGRAM without
    rpmkeys, DISK for a file that cannot be read.
    """
    ids: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rollbuild-") as name:
        folder = Path(name)
        database = folder / "db"
        database.mkdir()
        for number, path in enumerate(keys):
            data = read_limited(path, _KEY_FILE_BYTES)
            found = read_key_ids(data)
            if not found:
                raise RollbuildError(
                    "this file holds no public key",
                    location=Location(os.fspath(path)),
                    hint="a file of public keys is written by: gpg --armor --export KEY",
                )
            copy = folder / f"{number}.key"
            copy.write_bytes(data)
            done = _run_rpmkeys(folder, ["--import", os.fspath(copy)])
            if done.returncode:
                raise RollbuildError(
                    f"rpm does not take this key: {_last_words(done).replace(os.fspath(copy), path.name)}",
                    location=Location(os.fspath(path)),
                    hint="the releases of Enterprise Linux take RSA keys of 3072 bits and more",
                )
            ids += found
        yield Keyring(tuple(dict.fromkeys(ids)), folder)


def sign_packages(paths: Sequence[Path], key: str) -> None:
    """Sign packages with a secret key of GnuPG; other names (hard links) of a package keep the unsigned file.

    `key` is what gpg takes for one: a key id, a fingerprint, an address. GNUPGHOME says where keys are. Raises
    RollbuildError: REFUSED for a key that is not there, or whose passphrase no agent has, and packages that did not
    become signed; MISSING_PROGRAM without gpg or rpmsign.
    """
    if not paths:
        return
    gpg, fingerprint, ids = _find_key(key)
    definitions = {
        "__gpg": gpg,
        "_openpgp_sign": "gpg",
        "_gpg_name": fingerprint,
        "_gpg_path": "%{nil}",  # GNUPGHOME is what counts, here and for gpg itself
        "_gpg_digest_algo": "sha256",
        "_gpg_sign_cmd_extra_args": " ".join(_UNATTENDED),
    }
    options = [option for name, value in definitions.items() for option in ("--define", f"{name} {value}")]
    folders: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(paths):
        folders.setdefault(path.parent, []).append(path)
    for folder, those in folders.items():
        for start in range(0, len(those), _FILES_PER_CALL):
            _sign_some(folder, those[start : start + _FILES_PER_CALL], key, ids, options)


def _sign_some(folder: Path, paths: Sequence[Path], key: str, ids: Sequence[str], options: Sequence[str]) -> None:
    """Sign copies beside the packages, and put them in their places once they are signed."""
    with explained("cannot write into", folder), tempfile.TemporaryDirectory(prefix=".rollbuild-", dir=folder) as stage:
        # Names of our own: rpmsign takes brackets and other characters in names for patterns.
        copies = [Path(stage, f"{number}.rpm") for number in range(len(paths))]
        unsigned: list[RpmFile] = []
        for path, copy in zip(paths, copies, strict=True):
            unsigned.append(verify_rpm(path))
            copy_file(path, copy)
            os.chmod(copy, 0o600)
        argv = ["rpmsign", *options, "--addsign", *(copy.name for copy in copies)]
        done = run_program(argv, env=_environment(), cwd=stage, package=_RPM_SIGN)
        # The exit status says nothing: rpmsign goes on after gpg failed.
        for old, copy in zip(unsigned, copies, strict=True):
            signed = read_rpm(copy)
            if not set(signed.signed_by) & set(ids) or signed.header_sha256 != old.header_sha256:
                raise _not_signed(f"{old.path.name} was not signed", key, done)
        for path, copy in zip(paths, copies, strict=True):
            os.chmod(copy, stat.S_IMODE(os.stat(path).st_mode))
            os.replace(copy, path)


def sign_file(path: Path, key: str) -> Path:
    """Write the detached, armoured signature of a file beside it, as `NAME.asc`; its path.

    The same key, the same errors as in `sign_packages`.
    """
    gpg, fingerprint, _ = _find_key(key)
    with explained("cannot read", path), open_regular(path):
        pass
    argv = [gpg, *_UNATTENDED, "--local-user", fingerprint, "--digest-algo", "SHA256", "--no-emit-version"]
    argv += ["--armor", "--detach-sign", "--output", "-", "--", os.path.abspath(path)]
    done = run_program(argv, env=_environment(), package=_GNUPG)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN PGP SIGNATURE-----"):
        raise _not_signed(f"{path.name} was not signed", key, done)
    target = path.with_name(f"{path.name}.asc")
    write_atomically(target, done.stdout)
    return target


def export_key(key: str) -> bytes:
    """The public key, armoured, of a secret key of GnuPG: the same bytes each time. Raises as `sign_packages` does."""
    gpg, fingerprint, _ = _find_key(key)
    argv = [gpg, *_UNATTENDED, "--armor", "--no-emit-version", "--export-options", "export-minimal"]
    done = run_program([*argv, "--export", fingerprint], env=_environment(), package=_GNUPG)
    if done.returncode or not read_key_ids(done.stdout):
        raise RollbuildError(f"gpg did not export the key {key}: {_last_words(done)}")
    return done.stdout


def _find_key(key: str) -> tuple[str, str, tuple[str, ...]]:
    """(path of gpg, fingerprint of the one secret key, its ids and those of its subkeys)."""
    gpg = find_program("gpg") or find_program("gpg2") or "gpg"
    hint = "see the keys there are: gpg --list-secret-keys (GNUPGHOME says where they lie)"
    if not key.strip() or key.startswith("-"):
        raise RollbuildError(f"{key!r} names no key", hint=hint)
    argv = [gpg, *_UNATTENDED, "--with-colons", "--list-secret-keys", "--", key]
    done = run_program(argv, env=_environment(), package=_GNUPG)
    records = [line.split(":") for line in done.stdout.decode("utf-8", "replace").splitlines()]
    keys = [record for record in records if record[0] == "sec"]
    fingerprints = [record[9] for record in records if record[0] == "fpr"]
    if not keys or not fingerprints:
        raise RollbuildError(f"GnuPG has no secret key {key}", hint=hint)
    if len(keys) > 1:
        many = ", ".join(record[4].lower() for record in keys)
        raise RollbuildError(f"{len(keys)} secret keys are called {key}: {many}", hint="name one by its id")
    if keys[0][1] in ("e", "r", "d"):
        state = {"e": "has expired", "r": "was revoked", "d": "is disabled"}[keys[0][1]]
        raise RollbuildError(f"the key {key} {state}", hint=hint)
    if "S" not in keys[0][11]:
        raise RollbuildError(f"the key {key} cannot sign", hint=hint)
    ids = tuple(record[4].lower() for record in records if record[0] in ("sec", "ssb"))
    return gpg, fingerprints[0], ids


def _not_signed(what: str, key: str, done: Completed) -> RollbuildError:
    said = done.stderr.decode("utf-8", "replace").lower()
    marks = ("pinentry", "passphrase", "no agent", "operation cancelled")
    if any(mark in said for mark in marks):
        return RollbuildError(
            f"{what}: the key {key} has a passphrase that no agent holds",
            hint="unlock it first, by signing something in a terminal (gpg --clearsign), or use a key for machines",
        )
    return RollbuildError(f"{what} with the key {key}: {_last_words(done)}", exit_code=REFUSED)


def _judge(results: Sequence[tuple[str, str]]) -> Signature:
    signatures = [result for what, result in results if "ignature" in what]
    others = [result for what, result in results if "ignature" not in what]
    if not results or any(result != "OK" for result in others if result != "NOTFOUND"):
        return Signature.BAD
    present = [result for result in signatures if result != "NOTFOUND"]
    if not present:
        return Signature.UNSIGNED
    if any(result not in ("OK", "NOKEY", "NOTTRUSTED") for result in present):
        return Signature.BAD
    return Signature.GOOD if all(result == "OK" for result in present) else Signature.UNKNOWN_KEY


def _run_rpmkeys(folder: Path, arguments: Sequence[str], cwd: str | None = None) -> Completed:
    options = ["--dbpath", os.fspath(folder / "db"), "--define", "_pkgverify_level all"]
    return run_program(["rpmkeys", *options, *arguments], env=_environment(), cwd=cwd, package=_RPM)


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}


def _last_words(done: Completed) -> str:
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"exit status {done.returncode}"
