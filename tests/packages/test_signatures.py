import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbuild.errors import DISK, MISSING_PROGRAM, REFUSED, RollbuildError
from rollbuild.packages import (
    Signature,
    export_key,
    open_keyring,
    read_rpm,
    sign_file,
    sign_packages,
    verify_rpm,
)
from rollbuild.packages.rpmfile import open_rpm
from tests.programs import need_programs
from tests.rpms import BIN, INT32, STRING, make_header, make_lead, make_rpm

PLAIN, SUBKEY, LOCKED, EXPIRED = (f"{name}@example.invalid" for name in ("plain", "subkey", "locked", "expired"))


def run_gpg(*arguments: str, home: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C", **({"GNUPGHOME": str(home)} if home else {})}
    argv = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    done = subprocess.run([*argv, *arguments], capture_output=True, text=True, env=environment, check=True)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home of GnuPG with throw-away keys."""
    need_programs("gpg", "gpgconf", "rpmsign", "rpmkeys")
    # Not below tmp_path: the name of the agent's socket has a limit of 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="rb-"))
    try:
        run_gpg("--quick-gen-key", f"plain <{PLAIN}>", "rsa2048", "sign", "never", home=folder)
        run_gpg("--quick-gen-key", f"subkey <{SUBKEY}>", "rsa2048", "cert", "never", home=folder)
        listing = run_gpg("--list-keys", "--with-colons", SUBKEY, home=folder)
        fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))
        run_gpg("--quick-add-key", fingerprint, "rsa2048", "sign", "never", home=folder)
        run_gpg("--passphrase", "secret", "--quick-gen-key", LOCKED, "ed25519", "sign", "never", home=folder)
        past = ("--faked-system-time", "20200101T000000")
        run_gpg(*past, "--quick-gen-key", EXPIRED, "ed25519", "sign", "1y", home=folder)
        # The agent of key generation knows the passphrase.
        subprocess.run(["gpgconf", "--kill", "all"], env={**os.environ, "GNUPGHOME": str(folder)}, check=True)
        yield folder
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env={**os.environ, "GNUPGHOME": str(folder)}, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _keys(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNUPGHOME", str(home))
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def public(tmp_path: Path) -> Path:
    path = tmp_path / "RPM-GPG-KEY-plain"
    path.write_bytes(export_key(PLAIN))
    return path


def refusal(function, *arguments) -> RollbuildError:
    with pytest.raises(RollbuildError) as caught:
        function(*arguments)
    return caught.value


def flip(path: Path, at: int) -> Path:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    changed = path.with_name(f"flipped-{path.name}")
    changed.write_bytes(content)
    return changed


def forge_payload(path: Path) -> Path:
    """Keep the signature of the header, drop that of the payload, and give it another payload with a fitting MD5."""
    with open_rpm(path) as opened:
        rsa, header = opened.signature.binary(268), opened.header.blob
        content = opened.file.read() + b"evil"
    signature = make_header(
        62,
        [
            (268, BIN, rsa),
            (269, STRING, hashlib.sha1(header).hexdigest()),
            (1000, INT32, [len(header) + len(content)]),
            (1004, BIN, hashlib.md5(header + content).digest()),
        ],
    )
    forged = path.with_name(f"forged-{path.name}")
    forged.write_bytes(make_lead("x") + signature + bytes(-len(signature) % 8) + header + content)
    return forged


def test_signatures_are_told_apart(tmp_path, public, capfd):
    names = ("one", "two", "we ird %{nil}[x]")
    signed = [make_rpm(tmp_path / name, "app", files={"/etc/app": name}) for name in names]
    signed.append(make_rpm(tmp_path, "old", old=True, files={"/etc/old": "1"}))
    signed.append(make_rpm(tmp_path, "source", arch="src", files={"source.spec": "Name: source"}))
    plain = make_rpm(tmp_path, "plain")
    before = {path: read_rpm(path) for path in signed}
    sign_packages(signed, PLAIN)
    for path in signed:
        after = verify_rpm(path)
        assert before[path].signed_by == ()
        assert len(after.signed_by) == 1
        assert after.header_sha256 == before[path].header_sha256
        assert after.size > before[path].size
    other = make_rpm(tmp_path, "other")
    sign_packages([other], SUBKEY)
    junk = tmp_path / "junk.rpm"
    junk.write_text("<html>")
    size = signed[0].stat().st_size
    signature_at = signed[0].read_bytes().index(b"\x89\x01") + 100
    bad = [flip(signed[0], size - 3), flip(signed[1], signature_at), flip(plain, -3), forge_payload(signed[3]), junk]
    with open_keyring([public]) as keyring:
        assert keyring.key_ids == read_rpm(signed[0]).signed_by
        found = keyring.check([*signed, other, plain, *bad])
        assert list(found) == [*signed, other, plain, *bad]
        good, unknown, unsigned = Signature.GOOD, Signature.UNKNOWN_KEY, Signature.UNSIGNED
        assert list(found.values()) == [good] * 5 + [unknown, unsigned] + [Signature.BAD] * 5
        assert keyring.check([]) == {}
    with open_keyring([]) as keyring:
        assert set(keyring.check(signed).values()) == {Signature.UNKNOWN_KEY}
    assert capfd.readouterr() == ("", "")
    assert not list((tmp_path / "home").iterdir())


def test_many_packages_are_signed_and_checked_in_several_calls(tmp_path, public, monkeypatch):
    monkeypatch.setattr("rollbuild.packages.signatures._FILES_PER_CALL", 3)
    paths = [make_rpm(tmp_path, f"p{number}") for number in range(8)]
    sign_packages(paths[:7], PLAIN)
    with open_keyring([public]) as keyring:
        assert list(keyring.check(paths).values()) == [Signature.GOOD] * 7 + [Signature.UNSIGNED]


def test_a_subkey_signs_and_is_known(tmp_path):
    package, key = make_rpm(tmp_path, "app"), tmp_path / "key"
    sign_packages([package], SUBKEY)
    key.write_bytes(export_key(SUBKEY))
    with open_keyring([key]) as keyring:
        assert len(keyring.key_ids) == 2
        assert read_rpm(package).signed_by == keyring.key_ids[1:]
        assert keyring.check([package]) == {package: Signature.GOOD}


@pytest.mark.parametrize(
    ("key", "words", "hint"),
    [
        ("nobody@example.invalid", "no secret key nobody@example.invalid", "gpg --list-secret-keys"),
        ("example.invalid", "4 secret keys are called example.invalid", "by its id"),
        (EXPIRED, "has expired", "gpg --list-secret-keys"),
        ("", "names no key", "gpg --list-secret-keys"),
        ("--version", "names no key", "gpg --list-secret-keys"),
    ],
)
def test_keys_that_cannot_sign_are_refused(tmp_path, key, words, hint):
    path = make_rpm(tmp_path, "app")
    for error in (refusal(sign_packages, [path], key), refusal(sign_file, path, key), refusal(export_key, key)):
        assert words in str(error)
        assert hint in error.hint
        assert error.exit_code == REFUSED
    assert read_rpm(path).signed_by == ()
    assert not path.with_name(f"{path.name}.asc").exists()


def test_a_passphrase_that_nobody_gives_is_not_waited_for(tmp_path):
    path = make_rpm(tmp_path, "app")
    for error in (refusal(sign_packages, [path], LOCKED), refusal(sign_file, path, LOCKED)):
        assert "app-1.0-1.noarch.rpm was not signed: the key locked@example.invalid has a passphrase" in str(error)
    assert sorted(os.listdir(tmp_path)) == [path.name, "home"]


def test_the_other_names_of_a_package_stay_unsigned(tmp_path):
    path = make_rpm(tmp_path / "copies", "app")
    path.chmod(0o444)
    os.link(path, tmp_path / "original.rpm")
    before = path.read_bytes()
    sign_packages([path], PLAIN)
    assert (tmp_path / "original.rpm").read_bytes() == before
    assert read_rpm(path).signed_by
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert os.listdir(path.parent) == [path.name]


def test_when_one_package_cannot_be_signed_none_changes(tmp_path):
    paths = [make_rpm(tmp_path, "app"), flip(make_rpm(tmp_path, "bad"), -1)]
    before = [path.read_bytes() for path in paths]
    error = refusal(sign_packages, paths, PLAIN)
    assert "the content of this package is damaged" in str(error)
    assert error.location is not None and error.location.file.endswith("flipped-bad-1.0-1.noarch.rpm")
    assert [path.read_bytes() for path in paths] == before


def test_a_file_gets_a_signature_beside_it(tmp_path, public):
    path = tmp_path / "repo md.xml"
    path.write_text("<repomd/>")
    signature = sign_file(path, PLAIN)
    assert signature == tmp_path / "repo md.xml.asc"
    assert "Good signature" in run_gpg("--verify", str(signature), str(path))
    path.write_text("<repomd />")
    with pytest.raises(subprocess.CalledProcessError):
        run_gpg("--verify", str(signature), str(path))
    assert refusal(sign_file, tmp_path / "none", PLAIN).exit_code == DISK


def test_an_exported_key_is_the_same_each_time_and_holds_no_secret(public):
    assert public.read_bytes() == export_key(PLAIN)
    assert public.read_bytes().startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n-----END", b"\x99\x01\x0d\x04"]
)
def test_files_that_hold_no_key_are_refused(tmp_path, content):
    path = tmp_path / "RPM-GPG-KEY"
    path.write_bytes(content)
    with pytest.raises(RollbuildError, match="holds no public key") as caught, open_keyring([path]):
        pass
    assert caught.value.location is not None


def test_a_key_that_rpm_cannot_use_is_refused(tmp_path):
    path = tmp_path / "RPM-GPG-KEY"
    path.write_bytes(b"\x99\x00\x08\x04abcd\x63xy")  # a key packet of an unknown algorithm
    with pytest.raises(RollbuildError, match="rpm does not take this key") as caught, open_keyring([path]):
        pass
    assert str(tmp_path) not in str(caught.value)


def test_missing_programs_and_files_are_named(tmp_path, public, monkeypatch):
    package = make_rpm(tmp_path, "app")
    with open_keyring([public]) as keyring:
        assert refusal(keyring.check, [tmp_path / "none.rpm"]).exit_code == DISK
        assert refusal(keyring.check, [tmp_path]).exit_code == DISK
        monkeypatch.setattr("rollbuild.process.find_program", lambda name: None)
        error = refusal(keyring.check, [package])
        assert (error.exit_code, "rpmkeys" in str(error)) == (MISSING_PROGRAM, True)
    monkeypatch.setattr("rollbuild.packages.signatures.find_program", lambda name: None)
    error = refusal(sign_packages, [package], PLAIN)
    assert (error.exit_code, "gpg" in str(error), "gnupg" in error.hint) == (MISSING_PROGRAM, True, True)
