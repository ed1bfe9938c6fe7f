"""What looks like a secret is not shown, wherever it stands: in attributes, Kickstarts and reports of hosts."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise

from rollbuild.language import HIDDEN, is_hidden

_SHORTEST = 4
"""Characters of a value that is looked for in texts; shorter ones stand in any text by chance."""

_WORD = r"[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|private[_-]?key|api[_-]?key|rootpw)[\w-]*"
_VALUE = r"(?:'[^'\n]+'|\"[^\"\n]+\"|[^\s'\";&|<>()]+)"
_HASH = re.compile(
    r"\$(?:1|2[abxy]?|5|6|7|y|gy|md5|sha1|argon2\w*|pbkdf2[\w-]*|scrypt)\$[^\s'\"<>:;]+"
    r"|grub\.pbkdf2\.[^\s'\"]+"
    r"|\{(?:S?SHA\d*|S?MD5|CRYPT|PBKDF2[\w-]*)\}[^\s'\"]+",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(\b[A-Za-z][\w+.-]*://[^\s/:@'\"]*:)[^\s/@'\"]+(?=@)")
_ASSIGNED = re.compile(rf"(?<![\w${{-])(-{{0,2}}{_WORD}[\"']?\s*[=:]\s*)({_VALUE})", re.IGNORECASE)
_OPTION = re.compile(rf"(?<!\S)(--{_WORD}\s+)(?!-)({_VALUE})", re.IGNORECASE)
_COMMAND = re.compile(r"^(\s*(?:rootpw|sshpw)\s)(.*)$")
_ARGUMENT = re.compile(r"(?<!\S)(?!-)\S+")
_RANDOM = re.compile(r"(?<![\w+/.=-])(?!/)[A-Za-z0-9+/_-]{32,}={0,2}(?![\w.])")
_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
_SSH_KEY = re.compile(r"(?:ssh-[\w-]+|ecdsa-[\w-]+|sk-[\w@.-]+)\s+$")
_WORTHLESS = frozenset(("yes", "no", "true", "false", "on", "off", "none", "0", "1", "''", '""'))


class Mask:
    """Hides the values of secret attributes, and what has the form of a secret."""

    def __init__(self, attributes: Mapping[str, str] | None = None, secret: Collection[str] = ()) -> None:
        """`secret` are the attributes that rolls declare so; others count by their names."""
        given = attributes or {}
        self._secret = secret
        values = {value for name, value in given.items() if is_hidden(name, value, secret)}
        # A value of several lines stands in a text line by line.
        pieces = {piece.strip() for value in values for piece in (value, *value.splitlines())}
        self._values = sorted((piece for piece in pieces if len(piece) >= _SHORTEST), key=len, reverse=True)

    def value(self, name: str, value: str) -> str:
        """The value of an attribute."""
        return HIDDEN if is_hidden(name, value, self._secret) else self.text(value)

    def text(self, text: str) -> str:
        """A text of one line or several."""
        return "\n".join(self.lines(text.split("\n")))

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines of a text, one for one."""
        block = ""
        for line in lines:
            shown = line
            for value in self._values:
                shown = shown.replace(value, HIDDEN)
            if block:
                ends = f"-----END {block}-----" in line
                if "PRIVATE KEY" in block and not ends:
                    shown = HIDDEN if line.strip() else line
                block = "" if ends else block
                yield shown
                continue
            if (begin := _BEGIN.search(line)) and f"-----END {begin[1]}-----" not in line:
                block = begin[1]
                rest = line[begin.end() :]
                yield line[: begin.end()] + HIDDEN if "PRIVATE KEY" in block and rest.strip() else shown
                continue
            yield _hide_forms(shown)


def _hide_forms(line: str) -> str:
    line = _HASH.sub(HIDDEN, line)
    line = _IN_URL.sub(rf"\1{HIDDEN}", line)
    line = _COMMAND.sub(lambda match: match[1] + _ARGUMENT.sub(HIDDEN, match[2]), line)
    line = _ASSIGNED.sub(_hide_value, line)
    line = _OPTION.sub(_hide_value, line)
    return _RANDOM.sub(_hide_random, line)


def _hide_value(match: re.Match[str]) -> str:
    value = match[2]
    bare = value.strip("'\"")
    # What a script puts in when it runs is no secret, nor is a path or a switch.
    if bare.lower() in _WORTHLESS or bare.startswith(("$", "/", "`", "(", "%", "{")) or HIDDEN in value:
        return match[0]
    # After a colon in the middle of a sentence stands a word more often than a password.
    is_word = bare == value and value.isalpha() and value.islower()
    if is_word and match[1].rstrip().endswith(":") and match.string[: match.start()].strip(" \t#*-\"'"):
        return match[0]
    quote = value[0] if value[0] in "'\"" else ""
    return f"{match[1]}{quote}{HIDDEN}{quote}"


def _hide_random(match: re.Match[str]) -> str:
    text = match[0]
    # Keys of SSH are public.
    if text.startswith("AAAA") or _SSH_KEY.search(match.string[: match.start()]):
        return text
    kinds = ["U" if letter.isupper() else "l" if letter.islower() else "9" for letter in text if letter.isalnum()]
    # In names and paths letters of a kind stand together; in what was drawn by lot every second one differs.
    changes = sum(one != other for one, other in pairwise(kinds))
    return HIDDEN if len(set(kinds)) == 3 and changes * 3 >= len(kinds) else text
