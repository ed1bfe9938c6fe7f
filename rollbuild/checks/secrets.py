"""Secrets in plain sight. No message ever holds the secret itself."""

import re
from collections.abc import Collection, Iterable, Iterator

from rollbuild.checks.mainlines import MainLine, read_arguments, read_option
from rollbuild.compiler import Profile, ScriptSection, WrittenFile
from rollbuild.findings import Finding, Severity, error, warning

_FLAGS = frozenset(["--iscrypted", "--plaintext", "--lock", "--allow-ssh", "--append", "--homedir", "--sshkey"])
_OWN_HASH = "make a hash: openssl passwd -6"
_PRIVATE_KEY = re.compile(r"\|?-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\Z")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'\"$&<>{}]+:[^\s/@'\"$&<>{}]+@[A-Za-z0-9\[]")
_SECRET_NAME = re.compile(r"password|passwd|passphrase|secret|token|private_?key", re.IGNORECASE)
_DES = re.compile(r"[./0-9A-Za-z]{13}\Z")
_PRIVATE_PATHS = ("/root/", "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/var/log/audit/")
_CLOSING = re.compile(r"chmod\b.*(?:\b[0-7]?[0-7]{2}0\b|\b[ug]*o(?:-[rwx]*r|=(?=[\s,])))")
_SHORTEST = 6
"""Characters of a value that is looked for in files; shorter ones stand in any text by chance."""


def check_secrets(
    profile: Profile, lines: Iterable[MainLine], secret_names: Collection[str] = ()
) -> tuple[Finding, ...]:
    """Passwords, weak hashes, private keys, and secret attributes in files that every user may read.

    `secret_names` are attributes that rolls declare as secret; others count by their names.
    """
    return (
        *_passwords(lines),
        *_keys(profile),
        *_urls(profile),
        *_files(profile, frozenset(secret_names)),
    )


def _passwords(lines: Iterable[MainLine]) -> Iterator[Finding]:
    for line in lines:
        if not line.is_command or not line.words:
            continue
        if line.name in ("rootpw", "sshpw"):
            if line.name == "sshpw" and "--sshkey" in line.words:
                continue
            arguments = read_arguments(line.words, _FLAGS)
            yield from _password(line, arguments[-1] if arguments else "", "--iscrypted" in line.words)
        elif line.name in ("user", "group", "bootloader"):
            value = read_option(line.words, "--password") or ""
            yield from _password(line, value, "--iscrypted" in line.words)
            yield from _password(line, read_option(line.words, "--md5pass") or "", True)
        elif line.name in ("vnc", "rdp") and read_option(line.words, "--password"):
            yield _plain(line, "leave remote access out, or give it a password that is used once")


def _password(line: MainLine, value: str, hashed: bool) -> Iterator[Finding]:
    if not value or value in ("!!", "*", "!", "x"):
        return
    if not hashed:
        if value.startswith("$") and value.count("$") > 2:
            hint = "this looks like a hash: add --iscrypted, or the hash itself becomes the password"
        else:
            hint = f"{_OWN_HASH}, and add --iscrypted; or --lock it and use an sshkey"
        yield _plain(line, hint)
    elif value.startswith("$1$"):
        message = f"{line.name} has an MD5 hash, whose password can be guessed within days"
        yield warning("SECRET-WEAK", message, line.location, _OWN_HASH)
    elif _DES.match(value):
        message = f"{line.name} has a DES hash, whose password can be guessed within hours"
        yield warning("SECRET-WEAK", message, line.location, _OWN_HASH)


def _plain(line: MainLine, hint: str) -> Finding:
    message = f"{line.name} has a password in plain text: whoever can read the Kickstart knows it"
    return error("SECRET-PLAIN", message, line.location, hint)


def _keys(profile: Profile) -> Iterator[Finding]:
    # The Rocks days put keys into Kickstarts, which went over TLS to known hosts only.
    severity = Severity.WARNING if "rocks_version_major" in profile.attributes else Severity.ERROR
    for number, line in enumerate(profile.lines, start=1):
        if "PRIVATE KEY" in line.text and _PRIVATE_KEY.match(line.text.strip()):
            place = line.location or profile.locate(number)
            message = "a private key stands in the Kickstart: whoever can read it can use the key"
            hint = "make the key on the host, or fetch it once, with a token"
            yield Finding("SECRET-KEY", severity, message, place, hint)


def _urls(profile: Profile) -> Iterator[Finding]:
    for number, line in enumerate(profile.lines, start=1):
        may_be = "@" in line.text and "://" in line.text and not line.text.lstrip().startswith("#")
        if may_be and _URL.search(line.text):
            place = line.location or profile.locate(number)
            message = "a URL holds a password: it shows in logs and process lists"
            hint = "use a file that root alone can read, such as .netrc"
            yield warning("SECRET-URL", message, place, hint)


def _files(profile: Profile, secret_names: frozenset[str]) -> Iterator[Finding]:
    secrets = [
        (name, value)
        for name, value in profile.attributes.items()
        if len(value) >= _SHORTEST and (name in secret_names or _SECRET_NAME.search(name))
    ]
    if not secrets:
        return
    for script in profile.scripts:
        for file in script.files:
            if file.content is None or not _is_readable_by_all(file) or _is_closed_later(file, script):
                continue
            for name, value in secrets:
                if value in file.content:
                    message = f"attribute {name} is a secret, and every user of the host may read {file.path}"
                    yield warning("SECRET-FILE", message, file.location, 'add perms="0600"')


def _is_readable_by_all(file: WrittenFile) -> bool:
    if file.perms:
        octal = file.perms.isdecimal()
        return bool(int(file.perms, 8) & 0o004) if octal and set(file.perms) <= set("01234567") else False
    return not file.path.startswith(_PRIVATE_PATHS)


def _is_closed_later(file: WrittenFile, script: ScriptSection) -> bool:
    """Whether the script itself takes the file from the other users."""
    name = file.path.rpartition("/")[2]
    return any(
        "chmod" in line.text and name in line.text and line.location != file.location and _CLOSING.search(line.text)
        for line in script.body
    )
