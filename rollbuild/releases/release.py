"""The facts of one release, read from its YAML file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.releases.words import split_words

RELEASES: tuple[str, ...] = ("el7", "el8", "el9", "el10")

# libyaml where PyYAML was built with it: five to ten times faster, same safe subset.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class ArgumentRule:
    """What becomes of one argument of a command.

    At most one of `becomes` (its new name), `line` (a line of its own; `{}` stands for each of its
    comma-separated values), `command` (the whole command becomes this one) and `drop_command` is set; with
    none of them it is taken out. `value` says that a value follows it.
    """

    because: str
    becomes: str = ""
    line: str = ""
    command: str = ""
    drop_command: bool = False
    value: bool = False


@dataclass(frozen=True, slots=True)
class CommandRule:
    """What becomes of a command: dropped, named otherwise, or only some of its arguments changed.

    `bare` is false for a command that is not valid without arguments.
    """

    because: str = ""
    drop: bool = False
    becomes: str = ""
    bare: bool = True
    arguments: Mapping[str, ArgumentRule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that an install without a person needs.

    `any_of` names commands, one of which must be there; options after the name must stand in its line too.
    """

    name: str
    any_of: tuple[str, ...]
    remedy: str

    def is_met_by(self, lines: Iterable[str]) -> bool:
        """Whether one of these Kickstart lines (those outside of sections) is what is wanted."""
        wanted = [alternative.split() for alternative in self.any_of]
        for line in lines:
            words = [word.value for word in split_words(line) or ()]
            if any(words[:1] == want[:1] and set(want) <= set(words) for want in wanted):
                return True
        return False


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """Every fact about a release; each field is explained where its data stands, in the release's YAML file.

    `absent_in_installer`, `unfit_in_chroot` and `gone` map a program (with its first words, or a file by its
    path) to what to use instead. There is one instance for each release, so that they compare by identity.
    """

    name: str
    title: str
    handler: str
    os_version_major: int
    sysroot: str
    installer_python: str
    known_commands: frozenset[str]
    repeatable: frozenset[str]
    exclusive: tuple[frozenset[str], ...]
    sections: frozenset[str]
    section_notes: Mapping[str, str]
    required: tuple[Requirement, ...]
    adaptations: Mapping[str, CommandRule]
    packages_options: Mapping[str, ArgumentRule]
    absent_in_installer: Mapping[str, str]
    unfit_in_chroot: Mapping[str, str]
    gone: Mapping[str, str]
    boot_options: frozenset[str]
    boot_options_plain: bool


@cache
def load_release(name: str) -> Release:
    """The facts of a release, read once.

    Raises RollbuildError (usage) for a name that is not in RELEASES.
    """
    if name not in RELEASES:
        import difflib

        nearest = difflib.get_close_matches(name.lower(), RELEASES, n=1, cutoff=0.4)
        raise RollbuildError(
            f"there is no release {name!r}; there are {', '.join(RELEASES)}",
            hint=f"did you mean {nearest[0]}?" if nearest else "",
            exit_code=USAGE,
        )
    text = Path(__file__).with_name(f"{name}.yaml").read_bytes()
    facts: dict[str, Any] = yaml.load(text, Loader=_LOADER)  # noqa: S506 (both loaders are safe)
    return Release(
        name=facts["name"],
        title=facts["title"],
        handler=facts["handler"],
        os_version_major=facts["os_version_major"],
        sysroot=facts["sysroot"],
        installer_python=facts["installer_python"],
        known_commands=frozenset(facts["known_commands"].split()),
        repeatable=frozenset(facts["repeatable"].split()),
        exclusive=tuple(frozenset(group.split()) for group in facts["exclusive"]),
        sections=frozenset(facts["sections"].split()),
        section_notes=MappingProxyType(facts["section_notes"]),
        required=tuple(Requirement(need["name"], tuple(need["any_of"]), need["remedy"]) for need in facts["required"]),
        adaptations=MappingProxyType({command: _read_command(rule) for command, rule in facts["adaptations"].items()}),
        packages_options=_read_arguments(facts["packages_options"]),
        absent_in_installer=MappingProxyType(facts["absent_in_installer"]),
        unfit_in_chroot=MappingProxyType(facts["unfit_in_chroot"]),
        gone=MappingProxyType(facts["gone"]),
        boot_options=frozenset(facts["boot_options"].split()),
        boot_options_plain=facts["boot_options_plain"],
    )


def _read_command(rule: str | dict[str, Any]) -> CommandRule:
    if isinstance(rule, str):
        return CommandRule(because=rule, drop=True)
    arguments = _read_arguments(rule.get("arguments", {}))
    return CommandRule(**{**rule, "arguments": arguments})


def _read_arguments(rules: dict[str, str | dict[str, Any]]) -> Mapping[str, ArgumentRule]:
    return MappingProxyType({name: _read_argument(rule) for name, rule in rules.items()})


def _read_argument(rule: str | dict[str, Any]) -> ArgumentRule:
    if isinstance(rule, str):
        return ArgumentRule(because=rule)
    rest = dict(rule)
    if "drop_command" in rest:
        return ArgumentRule(because=rest["drop_command"], drop_command=True)
    if "drop" in rest:
        rest["because"] = rest.pop("drop")
    return ArgumentRule(**rest)
