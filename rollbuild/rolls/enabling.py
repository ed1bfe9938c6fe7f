"""Which rolls of the store are enabled: enabling, disabling and removing them, and a lock of what is enabled."""

import functools
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.files import walk_tree
from rollbuild.findings import Finding, Severity
from rollbuild.packages import compare_versions
from rollbuild.rolls.built import BuiltRoll
from rollbuild.rolls.identity import RollId
from rollbuild.rolls.requirements import resolve_enabled
from rollbuild.rolls.store import AddedRoll, Store


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of the enabled rolls did, and the warnings about the rolls that are enabled now."""

    enabled: tuple[RollId, ...] = ()
    disabled: tuple[RollId, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """A roll that was removed, and the bytes of its files. Those that a generation shares stay on the disk."""

    roll: RollId
    size: int


def newest(rolls: Iterable[RollId]) -> list[RollId]:
    """Rolls by version and release, compared as RPM does; the newest first."""

    def compare(one: RollId, other: RollId) -> int:
        return compare_versions(one.version, other.version) or compare_versions(one.release, other.release)

    return sorted(sorted(rolls), key=functools.cmp_to_key(compare), reverse=True)


def find_named(text: str, rolls: Sequence[AddedRoll]) -> tuple[AddedRoll, ...]:
    """The rolls that `NAME[-VERSION[-RELEASE[.ARCH]]]` names, or `NAME.ARCH`; the newest first.

    Raises RollbuildError, exit code USAGE, when there is none.
    """
    by_id = {roll.id: roll for roll in rolls}
    found = [by_id[roll] for roll in newest(by_id) if text in _texts(roll)]
    if not found:
        import difflib

        near = difflib.get_close_matches(text, sorted({roll.id.name for roll in rolls}), n=1)
        others = newest(roll for roll in by_id if text.startswith(f"{roll.name}-"))
        hint = "`rollbuild roll list` shows what it has"
        if others:
            hint = f"it has {', '.join(map(str, others))}"
        elif near:
            hint = f"did you mean {near[0]}?"
        raise RollbuildError(f"the store has no roll {text}", hint=hint, exit_code=USAGE)
    return tuple(found)


def _texts(roll: RollId) -> tuple[str, ...]:
    name, version = roll.name, f"{roll.name}-{roll.version}"
    return name, f"{name}.{roll.arch}", version, f"{version}-{roll.release}", str(roll)


def pick_newest(text: str, rolls: Sequence[AddedRoll]) -> AddedRoll:
    """The newest roll that is named. Raises RollbuildError when there is none, or it is there for several machines."""
    first, *others = find_named(text, rolls)
    same = [
        roll.id.arch for roll in others if (roll.id.version, roll.id.release) == (first.id.version, first.id.release)
    ]
    if same:
        arches = sorted([first.id.arch, *same])
        raise RollbuildError(
            f"roll {text} is there for {', '.join(arches)}",
            hint=f"say which, as in {first.id.name}-{first.id.version}-{first.id.release}.{arches[0]}",
            exit_code=USAGE,
        )
    return first


def make_enabled(index: Sequence[AddedRoll], chosen: Iterable[RollId]) -> tuple[AddedRoll, ...]:
    """The index with these rolls enabled, and with other versions of them disabled."""
    wanted = set(chosen)

    def is_enabled(roll: AddedRoll) -> bool:
        replaced = any(_stand_for_each_other(roll.id, other) for other in wanted)
        return roll.id in wanted or (roll.enabled and not replaced)

    return tuple(replace(roll, enabled=is_enabled(roll)) for roll in index)


def _stand_for_each_other(one: RollId, other: RollId) -> bool:
    return one.name == other.name and one != other and one.shares_machines(other)


def check_enabled(
    store: Store,
    before: Sequence[AddedRoll],
    after: Sequence[AddedRoll],
    *,
    known: Mapping[RollId, BuiltRoll] | None = None,
) -> tuple[Finding, ...]:
    """The findings about the rolls that are enabled `after` a change; `known` are rolls not in their place yet.

    Raises FindingsError for errors that were not there `before` (a removal by force leaves some), RollbuildError when
    an enabled roll is not whole.
    """
    known = known or {}
    rolls = [known.get(roll.id) or store.read_roll(roll) for roll in after if roll.enabled]
    findings = resolve_enabled(rolls, available=newest(roll.id for roll in after)[::-1])
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        old = {finding.message for finding in resolve_enabled(_readable(store, before))}
        if any(finding.message not in old for finding in errors):
            raise FindingsError(finding for finding in findings if finding.message not in old)
    return findings


def _readable(store: Store, index: Sequence[AddedRoll]) -> list[BuiltRoll]:
    rolls = []
    for roll in index:
        with suppress(RollbuildError):
            rolls += [store.read_roll(roll)] if roll.enabled else []
    return rolls


def enable_rolls(store: Store, names: Sequence[str], *, with_requirements: bool = False) -> Change:
    """Enable rolls; of one that is named without its version the newest, in place of another version of it.

    `with_requirements` enables what they require too, the newest that fits. Raises RollbuildError: FindingsError when
    the rolls could then not be enabled together, USAGE for a name that the store does not have, BUSY, DISK.
    """
    with store.locked("changing which rolls are enabled"):
        index = store.read_index()
        chosen = [pick_newest(name, index).id for name in names]
        if with_requirements:
            chosen = _with_requirements(store, index, chosen)
        return write_change(store, index, make_enabled(index, chosen))


def _with_requirements(store: Store, index: Sequence[AddedRoll], chosen: Sequence[RollId]) -> list[RollId]:
    by_id = {roll.id: roll for roll in index}
    wanted = list(dict.fromkeys(chosen))
    for roll in wanted:  # grows on the way
        enabled = [other.id for other in make_enabled(index, wanted) if other.enabled]
        for requirement in store.read_roll(by_id[roll]).requires:
            if any(requirement.is_met_by(other) for other in enabled):
                continue
            fitting = [other for other in newest(by_id) if requirement.is_met_by(other) and roll.shares_machines(other)]
            if fitting:
                wanted.append(fitting[0])
                enabled.append(fitting[0])
    return wanted


def disable_rolls(store: Store, names: Sequence[str]) -> Change:
    """Disable rolls; one named without its version is that which is enabled.

    Raises RollbuildError: FindingsError when an enabled roll requires one of them, USAGE, BUSY, DISK.
    """
    with store.locked("changing which rolls are enabled"):
        index = store.read_index()
        chosen = {roll.id for name in names for roll in find_named(name, index)}
        after = [replace(roll, enabled=roll.enabled and roll.id not in chosen) for roll in index]
        try:
            return write_change(store, index, after)
        except FindingsError as problem:
            needing = _find_needing(_readable(store, after))
            hint = f"disable what requires it too: rollbuild roll disable {' '.join((*names, *needing))}"
            raise FindingsError(replace(finding, hint=hint) for finding in problem.findings) from None


def _find_needing(rolls: Sequence[BuiltRoll]) -> list[str]:
    """The names of the rolls that cannot stay, as what they require, or what that requires, is not among them."""
    left = list(rolls)
    while True:
        kept = [
            roll
            for roll in left
            if all(
                any(wanted.is_met_by(other.id) and roll.id.shares_machines(other.id) for other in left)
                for wanted in roll.requires
            )
        ]
        if len(kept) == len(left):
            return list(dict.fromkeys(roll.id.name for roll in rolls if roll not in left))
        left = kept


def write_change(store: Store, before: Sequence[AddedRoll], after: Sequence[AddedRoll]) -> Change:
    """Write an index in which other rolls are enabled; the caller holds the lock. Raises as `check_enabled`, DISK."""
    findings = check_enabled(store, before, after)
    old = {roll.id for roll in before if roll.enabled}
    new = {roll.id for roll in after if roll.enabled}
    if new != old:
        store.write_index(after)
    return Change(tuple(sorted(new - old)), tuple(sorted(old - new)), findings)


def remove_rolls(store: Store, names: Sequence[str], *, force: bool = False) -> tuple[Removal, ...]:
    """Remove rolls from the store; one that is named without its version in all its versions.

    Raises RollbuildError: REFUSED when one of them is enabled, unless `force`; USAGE, BUSY, DISK.
    """
    with store.locked("removing rolls from the store"):
        index = store.read_index()
        chosen = list(dict.fromkeys(roll for name in names for roll in find_named(name, index)))
        enabled = [roll.id for roll in chosen if roll.enabled]
        if enabled and not force:
            listed = ", ".join(map(str, enabled))
            raise RollbuildError(
                f"{listed} {'is' if len(enabled) == 1 else 'are'} enabled: distributions made from now on have it",
                hint=f"disable first: rollbuild roll disable {' '.join(map(str, enabled))}; --force removes it anyway",
            )
        removals = tuple(Removal(roll.id, folder_size(store, roll.id)) for roll in chosen)
        with store.work_folder() as work:
            rest = [roll for roll in index if roll not in chosen]
            store.change_rolls(work, dict.fromkeys(removal.roll for removal in removals), rest)
        return removals


def folder_size(store: Store, roll: RollId) -> int:
    """The bytes of a roll's files; 0 when its folder is gone. Raises RollbuildError, exit code DISK."""
    folder = store.folder_of(roll)
    if not folder.is_dir():
        return 0
    return sum(status.st_size for _, status in walk_tree(folder) if stat.S_ISREG(status.st_mode))
