"""The differences of two Kickstarts, in the words of a description."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rollbuild.commands._contents import Content, FileState, Script
from rollbuild.commands._shown import counted

KINDS = ("nodes", "packages", "commands", "files", "scripts", "other")
_SHOWN_NODES = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    `kind` is one of KINDS; `action` is added, removed, moved or changed; `name` says what, `detail` more about it;
    `diff` holds the lines that differ (a unified diff without file names).
    """

    kind: str
    action: str
    name: str
    detail: str = ""
    diff: tuple[str, ...] = ()


def compare(before: Content, after: Content) -> tuple[Change, ...]:
    """Every difference, kind by kind."""
    changes = (
        *_compare_nodes(before.nodes, after.nodes),
        *_compare_packages(before, after),
        *_compare_commands(before.commands, after.commands),
        *_compare_files(before, after),
        *_compare_scripts(before.scripts, after.scripts),
    )
    if not changes and before.text != after.text:
        diff = unified(before.text, after.text)
        return (
            Change("other", "changed", "the text", "in its order, its blank lines or the ends of sections only", diff),
        )
    return changes


def unified(before: str, after: str) -> tuple[str, ...]:
    """A unified diff without the lines that name files."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=2, lineterm="")
    return tuple(lines)[2:]


def summarize(changes: Iterable[Change]) -> str:
    """`2 packages added, 1 file changed`."""
    counts: dict[tuple[str, str], int] = {}
    for change in changes:
        key = (change.kind, change.action)
        counts[key] = counts.get(key, 0) + 1
    return ", ".join(
        f"{counted(count, kind.removesuffix('s'))} {action}" if kind != "other" else "other differences"
        for (kind, action), count in counts.items()
    )


def _compare_nodes(before: Sequence[str], after: Sequence[str]) -> Iterable[Change]:
    for name in sorted(set(after) - set(before)):
        yield Change("nodes", "added", name)
    for name in sorted(set(before) - set(after)):
        yield Change("nodes", "removed", name)
    old = [name for name in before if name in set(after)]
    new = [name for name in after if name in set(before)]
    kept: set[str] = set()
    for block in difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        kept.update(old[block.a : block.a + block.size])
    for name in (name for name in new if name not in kept):
        yield Change("nodes", "moved", name, f"was {_neighbour(old, name)}, is {_neighbour(new, name)}")


def _neighbour(names: Sequence[str], name: str) -> str:
    position = names.index(name)
    return f"after {names[position - 1]}" if position else "first"


def _compare_packages(before: Content, after: Content) -> Iterable[Change]:
    for name in sorted(set(after.packages) - set(before.packages)):
        yield Change("packages", "added", name, _of_nodes(after.packages[name]))
    for name in sorted(set(before.packages) - set(after.packages)):
        yield Change("packages", "removed", name, _of_nodes(before.packages[name]))


def _of_nodes(nodes: Sequence[str]) -> str:
    if not nodes:
        return ""
    if len(nodes) > _SHOWN_NODES:
        return f"nodes {', '.join(nodes[:_SHOWN_NODES])} and {len(nodes) - _SHOWN_NODES} more"
    return f"node {nodes[0]}" if len(nodes) == 1 else f"nodes {', '.join(nodes)}"


def _compare_commands(before: Sequence[str], after: Sequence[str]) -> Iterable[Change]:
    """Commands that both have count as equal wherever they stand; the others pair up by what they are about."""
    old, new = _unmatched(before, after)
    for same in (_subject, _word):
        pairs = [(one, other) for one, other in _pair(old, new, same) if one is not None and other is not None]
        for one, other in pairs:
            yield Change("commands", "changed", _word(other), diff=(f"-{one}", f"+{other}"))
            old.remove(one)
            new.remove(other)
    for text in new:
        yield Change("commands", "added", text)
    for text in old:
        yield Change("commands", "removed", text)
    if sorted(before) == sorted(after) and list(before) != list(after):
        diff = unified("\n".join(before), "\n".join(after))
        yield Change("other", "changed", "the order of the commands", diff=diff)


def _unmatched(before: Sequence[str], after: Sequence[str]) -> tuple[list[str], list[str]]:
    new = list(after)
    old = []
    for text in before:
        if text in new:
            new.remove(text)
        else:
            old.append(text)
    return old, new


def _word(command: str) -> str:
    return command.split(None, 1)[0]


def _subject(command: str) -> str:
    """The command and its first word that is no option: `part /`."""
    first, *rest = command.split()
    return " ".join((first, *[word for word in rest if not word.startswith("-")][:1]))


def _pair(
    old: Sequence[str], new: Sequence[str], same: Callable[[str], str]
) -> Iterable[tuple[str | None, str | None]]:
    """Those that are the only ones with their key on both sides."""
    for one in old:
        ones = [text for text in old if same(text) == same(one)]
        others = [text for text in new if same(text) == same(one)]
        if len(ones) == 1 and len(others) == 1:
            yield one, others[0]


def _compare_files(before: Content, after: Content) -> Iterable[Change]:
    for path in sorted(set(after.files) - set(before.files)):
        yield _whole_file("added", path, after.files[path])
    for path in sorted(set(before.files) - set(after.files)):
        yield _whole_file("removed", path, before.files[path])
    for path in sorted(set(before.files) & set(after.files)):
        old, new = before.files[path], after.files[path]
        if old == new:
            continue
        diff = unified(old.content, new.content)
        notes = _compare_writes(old, new)
        yield Change("files", "changed", path, "; ".join(filter(None, (_of_nodes(_nodes_of(new)), *notes))), diff)


def _whole_file(action: str, path: str, state: FileState) -> Change:
    sign = "+" if action == "added" else "-"
    diff = tuple(f"{sign}{line}" for line in state.content.splitlines())
    return Change("files", action, path, _of_nodes(_nodes_of(state)), diff)


def _nodes_of(state: FileState) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node for *_, node in state.writes))


def _compare_writes(old: FileState, new: FileState) -> list[str]:
    """What differs besides the content: who writes it, how, and its owner and permissions."""
    before, after = _nodes_of(old), _nodes_of(new)
    notes = [f"now also by node {node}" for node in after if node not in before]
    notes += [f"no longer by node {node}" for node in before if node not in after]
    for position, name in enumerate(("mode", "owner", "perms")):
        ones = [write[position] or "none" for write in old.writes if write[3] in after]
        others = [write[position] or "none" for write in new.writes if write[3] in before]
        if ones != others:
            notes.append(f"{name} {', '.join(ones)} -> {', '.join(others)}")
    if not notes and old.content == new.content:
        notes.append("written in another order")
    return notes


def _compare_scripts(before: Sequence[Script], after: Sequence[Script]) -> Iterable[Change]:
    """Scripts of the same node and section are compared in their order."""
    for section, node in dict.fromkeys((script.section, script.node) for script in (*after, *before)):
        old, new = _unmatched(_texts(before, section, node), _texts(after, section, node))
        name = f"%{section}"
        detail = f"node {node}" if node else ""
        for one, other in zip(old, new, strict=False):
            yield Change("scripts", "changed", name, detail, unified(one, other))
        for text in new[len(old) :]:
            yield Change("scripts", "added", name, detail, tuple(f"+{line}" for line in text.splitlines()))
        for text in old[len(new) :]:
            yield Change("scripts", "removed", name, detail, tuple(f"-{line}" for line in text.splitlines()))


def _texts(scripts: Sequence[Script], section: str, node: str) -> list[str]:
    return [script.text for script in scripts if (script.section, script.node) == (section, node)]
