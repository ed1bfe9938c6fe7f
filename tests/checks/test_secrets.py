import pytest

from rollbuild.checks import check_profile
from rollbuild.releases import load_release
from tests.checks.conftest import Check, Make

SECRET = "Tr0ub4dor-and-3"

COMMANDS = {
    f"rootpw {SECRET}": ["SECRET-PLAIN error"],
    f"rootpw --plaintext {SECRET}": ["SECRET-PLAIN error"],
    "rootpw $6$salt$hash": ["SECRET-PLAIN error"],
    "rootpw --lock": [],
    "rootpw --iscrypted $6$salt$hash": [],
    "rootpw --iscrypted --lock !!": [],
    "rootpw --iscrypted $1$salt$hash": ["SECRET-WEAK warning"],
    "rootpw --iscrypted abJnggxhB/yWI": ["SECRET-WEAK warning"],
    f"sshpw --username=root {SECRET}": ["SECRET-PLAIN error"],
    "sshpw --username=root --sshkey 'ssh-ed25519 AAAA'": [],
    "sshpw --username root --iscrypted $6$a$b": [],
    f"user --name=a --password={SECRET}": ["SECRET-PLAIN error"],
    "user --name=a --password=$6$a$b --iscrypted": [],
    "user --name=a --lock": [],
    f"bootloader --password={SECRET}": ["SECRET-PLAIN error"],
    "bootloader --iscrypted --password=grub.pbkdf2.sha512.1": [],
    f"vnc --password={SECRET}": ["SECRET-PLAIN error"],
    f"url --url=http://me:{SECRET}@server/x": ["SECRET-URL warning"],
    "url --url=http://server:80/x@y": [],
}


@pytest.mark.parametrize(("line", "expected"), COMMANDS.items())
def test_commands(check_main: Check, line: str, expected: list[str]) -> None:
    found = check_main(f"<ks>{line}</ks>", kickstart=False)
    assert [f"{finding.code} {finding.severity}" for finding in found] == expected
    assert all(SECRET not in finding.message + finding.hint for finding in found)


KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"
SCRIPTS = {
    f"cat > /k &lt;&lt;E\n{KEY}\nxxx\nE": ["SECRET-KEY error"],
    f"<file name='/k' perms='600'>\n{KEY}\n</file>": ["SECRET-KEY error"],
    f"grep -q '{KEY}' /k": [],
    "<file name='/k'>\n-----BEGIN PUBLIC KEY-----\n</file>": [],
    "curl https://me:word@host/": ["SECRET-URL warning"],
    'curl "https://me:$PASSWORD@host/"': [],
    "# https://user:password@host/": [],
}


@pytest.mark.parametrize(("text", "expected"), SCRIPTS.items())
def test_scripts(check: Check, text: str, expected: list[str]) -> None:
    found = check(f"<post>\n{text}\n</post>")
    assert [f"{finding.code} {finding.severity}" for finding in found] == expected


def test_keys_in_rolls_of_the_rocks_days_are_warned_of(check: Check) -> None:
    found = check(f"<post>\n{KEY}\n</post>", attributes={"rocks_version_major": "7"})
    assert [finding.severity for finding in found if finding.code == "SECRET-KEY"] == ["warning"]


FILES = [
    ("name='/etc/a'", "x=&db_password;", True),
    ("name='/etc/a' perms='0600'", "x=&db_password;", False),
    ("name='/etc/a' perms='0644'", "x=&db_password;", True),
    ("name='/etc/a' perms='u=rw'", "x=&db_password;", False),
    ("name='/root/a'", "x=&db_password;", False),
    ("name='/etc/a'", "x=&API_TOKEN;", True),
    ("name='/etc/a'", "x=&pin_secret;", False),
    ("name='/etc/a'", "x=&plain;", False),
    ("name='/etc/a'", "x=&declared;", True),
]


@pytest.mark.parametrize(("attributes", "text", "expected"), FILES)
def test_files(make_profile: Make, attributes: str, text: str, expected: bool) -> None:
    values = {"db_password": SECRET, "API_TOKEN": "t" * 20, "pin_secret": "1", "plain": "p" * 20, "declared": "d" * 20}
    profile = make_profile(f"<post><file {attributes}>{text}</file></post>", attributes=values)
    found = check_profile(profile, load_release("el9"), kickstart=False, secret_names=["declared"])
    assert [finding.code for finding in found] == ["SECRET-FILE"] * expected
    assert all(value not in finding.message for finding in found for value in values.values() if len(value) > 1)


@pytest.mark.parametrize(
    ("command", "closes"),
    [("chmod 600 /etc/a", True), ("chmod 0640 /etc/a", True), ("chmod go-rwx /etc/a", True), ("chmod o= /etc/a", True),
     ("chmod 644 /etc/a", False), ("chmod +x /etc/a", False), ("chmod 600 /etc/b", False)],
)  # fmt: skip
def test_a_script_may_close_the_file_itself(check: Check, command: str, closes: bool) -> None:
    found = check(
        f"<post><file name='/etc/a'>&db_password;</file>\n{command}</post>", attributes={"db_password": SECRET}
    )
    assert [finding.code for finding in found] == ([] if closes else ["SECRET-FILE"])
