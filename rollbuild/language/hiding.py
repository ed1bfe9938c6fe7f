"""Which attributes hold secrets, so that nothing made for people to read shows their values."""

import re
from collections.abc import Collection

HIDDEN = "(hidden)"
"""What stands in the place of a value."""

_SECRET = re.compile(
    r"passw(?:or)?d|passphrase|secret|token|credential|private_?key|api_?key|rootpw|(?:^|_)pw(?:$|_)", re.IGNORECASE
)
_NO_SECRETS = frozenset(("", "yes", "no", "true", "false", "on", "off", "none", "0", "1"))


def is_secret_name(name: str) -> bool:
    """Whether an attribute is called like one that holds a secret; rolls may declare others."""
    return bool(_SECRET.search(name))


def is_hidden(name: str, value: str, declared: Collection[str]) -> bool:
    """Whether the value of an attribute is not shown: `declared` are those that rolls declare as secret, others count
    by their names. A value such as `yes` is not worth it."""
    return value.lower() not in _NO_SECRETS and (name in declared or is_secret_name(name))
