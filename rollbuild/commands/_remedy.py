"""What would make a false condition true."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

from rollbuild.errors import RollbuildError
from rollbuild.language import Guard
from rollbuild.releases import RELEASES

_FIXED = frozenset(("root", "os_release", "os_version_major", "appliance", "membership", "hostname"))
"""Attributes that come from what is compiled: nobody sets them to get another node."""
_LITERAL = re.compile(r"'([^']*)'|\"([^\"]*)\"|\b(\d+(?:\.\d+)?)\b")
_TRIES = 2000


def find_remedy(guards: Sequence[Guard], attributes: Mapping[str, str]) -> str:
    """The options that make all the guards hold, such as `-A xen=true`; empty when none is found.

    Other releases are tried first, then values that the conditions themselves name, for one and for two attributes.
    """
    names = {name for guard in guards for name in guard.names}
    if names & {"os_release", "os_version_major", "release"}:
        for release in RELEASES:
            if _holds(guards, {**attributes, **_release_values(release, attributes)}):
                return f"--os-release {release}"
    free = sorted(names - _FIXED)
    values = {name: tuple(_candidates(name, guards)) for name in free}
    tries = 0
    for count in (1, 2):
        for chosen in combinations(free, count):
            for picked in product(*(values[name] for name in chosen)):
                tries += 1
                if tries > _TRIES:
                    return ""
                changes = dict(zip(chosen, picked, strict=True))
                if _holds(guards, {**attributes, **changes}):
                    return " ".join(_option(name, value) for name, value in changes.items())
    return ""


def _option(name: str, value: str) -> str:
    word = f"{name}={value}"
    return f"-A {word}" if re.fullmatch(r"[\w@%+=:,./-]+", word) else f"-A '{word}'"


def _release_values(release: str, attributes: Mapping[str, str]) -> dict[str, str]:
    values = {"os_release": release, "os_version_major": release.removeprefix("el")}
    if attributes.get("release") == attributes.get("os_release"):
        values["release"] = release
    return values


def _holds(guards: Sequence[Guard], attributes: Mapping[str, str]) -> bool:
    try:
        return all(guard.holds(attributes) for guard in guards)
    except RollbuildError:
        return False


def _candidates(name: str, guards: Sequence[Guard]) -> Iterator[str]:
    compared = re.compile(
        rf"\b{re.escape(name)}\b\s*(?:[=!<>]|in\b|not\s+in\b)|(?:[=!<>]=?|\bin)\s*{re.escape(name)}\b"
    )
    texts = [guard.condition.text for guard in guards if guard.condition and name in guard.names]
    for guard in guards:
        yield from {"arch": guard.arch, "os": guard.os, "release": guard.release}.get(name, ())
    found = [literal for text in texts for literal in _literals(text)]
    truths = ["true", "false"]
    yield from dict.fromkeys(found + truths if any(compared.search(text) for text in texts) else truths + found)


def _literals(text: str) -> Iterator[str]:
    for single, double, number in _LITERAL.findall(text):
        yield single or double or number
        if number.isdigit():
            yield str(int(number) + 1)
            yield str(int(number) - 1)
