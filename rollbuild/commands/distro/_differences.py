"""What differs between two generations, as lines for a person and as JSON."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rollbuild.commands._compare import Change, compare, summarize
from rollbuild.commands._contents import read_kickstart
from rollbuild.commands._shown import counted, printable
from rollbuild.distribution import FileChange, GenerationDiff, PackageChange, make_masks
from rollbuild.language import HIDDEN

_SIGNS = {
    "added": "+",
    "removed": "-",
    "changed": "~",
    "moved": ">",
    "upgraded": "~",
    "downgraded": "~",
    "rebuilt": "~",
}
_MOST_PACKAGES = 20
_MOST_LINES = 16
_SHOWN_FILES = 30
# What looks like a password hides its value, also where no attribute is known to hold it.
_HASH = re.compile(r"\$(?:1|2[abxy]|5|6|7|y|gy)\$[^\s\"']+")
_PASSWORD = re.compile(r"(--(?:passw(?:or)?d|passphrase)[= ]|^rootpw (?:--\S+ )*)(?!--)(?!\(hidden)\S+", re.MULTILINE)


def kickstart_changes(diff: GenerationDiff) -> dict[str, tuple[str, tuple[Change, ...]]]:
    """Appliance -> (added, removed or changed; what changed), secrets hidden."""
    masks = make_masks(diff)
    found = {}
    for name, (before, after) in diff.kickstarts.items():
        if before is None or after is None:
            found[name] = "added" if before is None else "removed", tuple[Change, ...]()
            continue
        contents = [read_kickstart(_hidden(text, mask)) for text, mask in zip((before, after), masks, strict=True)]
        changes = compare(*contents) or (Change("other", "changed", "values that are hidden, or their order"),)
        found[name] = "changed", changes
    return found


def _hidden(text: str, mask: Callable[[str], str]) -> str:
    return _PASSWORD.sub(rf"\g<1>{HIDDEN}", _HASH.sub(HIDDEN, mask(text)))


def summarize_diff(diff: GenerationDiff) -> Iterator[str]:
    """A line for each kind of thing that differs."""
    if not diff:
        yield "no differences"
    if diff.os:
        yield f"OS: {diff.os[0]} -> {diff.os[1]}"
    if diff.rolls:
        yield f"rolls: {', '.join(_roll_line(name, *texts) for name, texts in diff.rolls.items())}"
    for repository, changes in diff.packages.items():
        yield f"packages of {repository}: {_count(change.action for change in changes)}"
    if diff.description:
        yield f"description: {_count(change.action for change in diff.description)}"
    if diff.attributes:
        yield f"attributes: {', '.join(f'{name} {action}' for name, action in diff.attributes)}"
    if diff.kickstarts:
        yield f"Kickstarts that differ: {', '.join(diff.kickstarts)}"
    if diff.hidden:
        yield diff.hidden


def _roll_line(name: str, before: str, after: str) -> str:
    if not before or not after:
        return f"{name} {'added' if after else 'removed'}"
    ids = before.partition(" ")[0], after.partition(" ")[0]
    return f"{ids[0]} -> {ids[1]}" if ids[0] != ids[1] else f"{ids[0]} with other contents"


def _count(actions: Iterator[str]) -> str:
    return ", ".join(f"{count} {action}" for action, count in sorted(Counter(actions).items()))


def lines_of(diff: GenerationDiff, *, whole: bool) -> Iterator[str]:
    """Everything that differs; long lists and diffs are cut unless `whole`."""
    yield f"{diff.before} -> {diff.after}"
    if diff.os:
        yield "os"
        yield f"  - {diff.os[0]}"
        yield f"  + {diff.os[1]}"
    if diff.rolls:
        yield "rolls"
        for before, after in diff.rolls.values():
            yield from (f"  {sign} {text}" for sign, text in (("-", before), ("+", after)) if text)
    for repository, changes in diff.packages.items():
        yield f"packages of {repository}: {_count(change.action for change in changes)}"
        yield from _cut([_package_line(change) for change in changes], _MOST_PACKAGES, "package", whole=whole)
    if diff.description:
        yield f"description: {_count(change.action for change in diff.description)}"
        for number, change in enumerate(diff.description):
            yield f"  {_SIGNS[change.action]} {printable(change.path)}"
            if change.action == "changed" and (whole or number < _SHOWN_FILES):
                yield from _cut([f"      {printable(line)}" for line in change.diff], _MOST_LINES, "line", whole=whole)
    if diff.attributes:
        yield "attributes"
        yield from (f"  {_SIGNS[action]} {printable(name)}" for name, action in diff.attributes)
    yield from _kickstart_lines(diff, whole=whole)
    if diff.hidden:
        yield f"({diff.hidden})"


def _kickstart_lines(diff: GenerationDiff, *, whole: bool) -> Iterator[str]:
    for name, (action, changes) in kickstart_changes(diff).items():
        yield f"Kickstart {name}: {summarize(changes) if changes else action}"
        for change in changes:
            detail = f"  ({change.detail})" if change.detail else ""
            yield f"  {_SIGNS[change.action]} {printable(f'{change.name}{detail}')}"
            yield from _cut([f"      {printable(line)}" for line in change.diff], _MOST_LINES, "line", whole=whole)


def _package_line(change: PackageChange) -> str:
    name = f"{change.name}.{change.arch}"
    if change.action in ("added", "removed"):
        return f"  {_SIGNS[change.action]} {change.name}-{change.before or change.after}.{change.arch}"
    if change.action == "rebuilt":
        return f"  ~ {name} {change.after} has other contents"
    return f"  ~ {name} {change.before} -> {change.after}  ({change.action})"


def _cut(lines: Sequence[str], most: int, noun: str, *, whole: bool) -> Iterator[str]:
    if whole or len(lines) <= most:
        yield from lines
        return
    yield from lines[:most]
    yield f"      ... {counted(len(lines) - most, f'more {noun}')}; -v shows all"


def data_of(diff: GenerationDiff) -> dict[str, object]:
    """What differs, for JSON."""
    return {
        "before": {"name": diff.before.distribution, "generation": diff.before.number},
        "after": {"name": diff.after.distribution, "generation": diff.after.number},
        "os": list(diff.os) if diff.os else None,
        "rolls": {name: {"before": old or None, "after": new or None} for name, (old, new) in diff.rolls.items()},
        "packages": {
            repository: [
                {
                    "action": change.action,
                    "name": change.name,
                    "arch": change.arch,
                    "before": change.before or None,
                    "after": change.after or None,
                }
                for change in changes
            ]
            for repository, changes in diff.packages.items()
        },
        "description": [_file_data(change) for change in diff.description],
        "attributes": dict(diff.attributes),
        "kickstarts": {
            name: {
                "action": action,
                "changes": [
                    {
                        "kind": change.kind,
                        "action": change.action,
                        "name": change.name,
                        "detail": change.detail,
                        "diff": list(change.diff),
                    }
                    for change in changes
                ],
            }
            for name, (action, changes) in kickstart_changes(diff).items()
        },
        "not_compared": diff.hidden or None,
    }


def _file_data(change: FileChange) -> dict[str, object]:
    return {"path": change.path, "action": change.action, "diff": list(change.diff)}
