"""What looks like a secret is hidden, what does not is shown."""

import pytest

from rollbuild.frontend.page.masking import Mask

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"
LOT = "hV3k9Qz-7TbW_2mXc5Yp8LdR4nGs6JfA1eKu0oZiBvE"

HIDDEN = {
    "a SHA-512 hash": ("rootpw --iscrypted $6$salt$abcDEF012./", "rootpw --iscrypted (hidden)"),
    "yescrypt": ("root:$y$j9T$abc$def:1:", "root:(hidden):1:"),
    "argon2": ("x $argon2id$v=19$m=65536,t=3$abc$def y", "x (hidden) y"),
    "GRUB": ("set x grub.pbkdf2.sha512.10000.AB.CD", "set x (hidden)"),
    "LDAP": ("userPassword {SSHA}abcdef==", "userPassword (hidden)"),
    "rootpw in plain text": ("rootpw hunter2", "rootpw (hidden)"),
    "sshpw": ("sshpw --username=root hunter2 --plaintext", "sshpw --username=root (hidden) --plaintext"),
    "an option": ("bootloader --password=hunter2 --append=x", "bootloader --password=(hidden) --append=x"),
    "an option and a blank": ("prog --api-key s3cr", "prog --api-key (hidden)"),
    "an option with _": ("prog --api_key s3cr", "prog --api_key (hidden)"),
    "an assignment": ("rb_token='abc-def'", "rb_token='(hidden)'"),
    "an exported one": ('export DB_PASSWORD="a b c"; run', 'export DB_PASSWORD="(hidden)"; run'),
    "YAML": ("  password: hunter", "  password: (hidden)"),
    "JSON": ('{"token": "abcdef"}', '{"token": "(hidden)"}'),
    "in a URL": ("url --url=http://me:pass@10.1.1.1/x", "url --url=http://me:(hidden)@10.1.1.1/x"),
    "drawn by lot": (f"Authorization {LOT}", "Authorization (hidden)"),
    "base64": ("key QmFzZTY0IGlzIG5vdCBhIHNlY3JldCwg/a+9Yd2w1Q==", "key (hidden)"),
    "a key": (f"{KEY}\nabc\ndef\n-----END OPENSSH PRIVATE KEY-----\nx", None),
}
SHOWN = (
    "echo $PASSWORD",
    'token=$(cat "$file")',
    "${secret:+--secret}",
    "Kickstarts may hold a token: they never become a file here.",
    "PasswordAuthentication no",
    "passwd --lock root",
    "/etc/munge/munge.key",
    "token=/run/token",
    "require_secrets=no",
    "rootpw --lock",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBv7Q2xKcW9Fh3LmTzY8rP4sJdN1uWgE5oXiZaHbCyDk me",
    "sha256sum e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "PCP_LOG_DIR/pmlogger/compute-1-10 -r -T24h10m -t 30s -c config.default",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ3p9Xk2LmTzY8rP4sJdN1uWgE5oXiZaH\n-----END CERTIFICATE-----",
    "part / --size=20000",
)


@pytest.mark.parametrize(("text", "shown"), HIDDEN.values(), ids=HIDDEN)
def test_secrets(text: str, shown: str | None) -> None:
    if shown is None:
        shown = f"{KEY}\n(hidden)\n(hidden)\n-----END OPENSSH PRIVATE KEY-----\nx"
    assert Mask().text(text) == shown


@pytest.mark.parametrize("text", SHOWN)
def test_what_is_no_secret(text: str) -> None:
    assert Mask().text(text) == text


def test_values_of_secret_attributes() -> None:
    given = {"root_password": "swordfish", "munge": "line one\nline two", "api_token": "abc", "use_token": "yes"}
    mask = Mask({**given, "plain": "shown"}, {"munge"})
    assert mask.text("a swordfish, shown, abc, yes") == "a (hidden), shown, abc, yes"
    assert mask.text("x\nline one\nline two\n") == "x\n(hidden)\n(hidden)\n"
    assert {name: mask.value(name, value) for name, value in given.items()} == {
        "root_password": "(hidden)",
        "munge": "(hidden)",
        "api_token": "(hidden)",
        "use_token": "yes",
    }
    assert mask.value("comment", "the swordfish") == "the (hidden)"


def test_lines_stay_as_many() -> None:
    text = f"a\n{KEY}\n\nx\n-----END OPENSSH PRIVATE KEY-----\n\nb"
    assert len(list(Mask().lines(text.split("\n")))) == len(text.split("\n"))
