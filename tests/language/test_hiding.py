"""Attributes that hold secrets are known by their names, and by what rolls declare."""

from rollbuild.language import is_hidden, is_secret_name


def test_secrets_by_name() -> None:
    secret = ("Kickstart_PrivateRootPassword", "munge_token", "db_pw", "apikey", "tls_private_key", "rootpw")
    assert all(map(is_secret_name, secret))
    assert not any(map(is_secret_name, ("Kickstart_Lang", "selinux", "pwd_dir", "keyboard")))


def test_values_that_are_worth_hiding() -> None:
    hidden = {("db_pw", "x"), ("quiet", "x")}
    shown = {("db_pw", ""), ("db_pw", "Yes"), ("quiet", "0"), ("other", "x")}
    assert {item for item in hidden | shown if is_hidden(*item, ["quiet"])} == hidden
