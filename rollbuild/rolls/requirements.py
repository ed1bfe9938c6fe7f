"""What rolls ask of each other, of those that are enabled together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rollbuild.findings import Finding, error, in_order, note, warning
from rollbuild.releases import RELEASES
from rollbuild.rolls.built import BuiltRoll
from rollbuild.rolls.identity import Requirement, RollId

_ANY = "noarch"


def resolve_enabled(
    rolls: Sequence[BuiltRoll], *, available: Iterable[RollId] = (), release: str = ""
) -> tuple[Finding, ...]:
    """What is wrong with a set of rolls that are to be enabled together.

    Errors: two versions of one roll, a roll that another one requires and that is not among them or too old or new, a
    conflict, rolls that no release can have together (or, with `release`, that are not for it). A cycle of
    requirements is a note. Rolls of other architectures do not see each other; noarch ones are seen by all.
    `available`: what else the store has, for the hints.
    """
    known = sorted(available)
    arches = {roll.id.arch for roll in rolls} - {_ANY} or {_ANY}
    findings: list[Finding] = []
    for arch in sorted(arches):
        together = sorted((roll for roll in rolls if roll.id.arch in (arch, _ANY)), key=lambda roll: roll.id)
        findings += _find_twins(together)
        findings += _find_missing(together, [roll for roll in known if roll.arch in (arch, _ANY)])
        findings += _find_conflicts(together)
        findings += _find_misfits(together, release)
        findings += _find_cycles(together)
    return in_order(findings)


def _find_twins(rolls: Sequence[BuiltRoll]) -> Iterator[Finding]:
    first: dict[str, BuiltRoll] = {}
    for roll in rolls:
        other = first.setdefault(roll.id.name, roll)
        if other is not roll:
            message = f"{other.id} and {roll.id} are one roll, and cannot both be enabled"
            yield error("ROLL-VERSIONS", message, hint=f"disable one: rollbuild roll disable {other.id}")


def _find_missing(rolls: Sequence[BuiltRoll], known: Sequence[RollId]) -> Iterator[Finding]:
    for roll in rolls:
        for wanted in roll.requires:
            if any(wanted.is_met_by(other.id) for other in rolls):
                continue
            there = [other.id for other in rolls if other.id.name == wanted.name]
            but = f", but {there[0]} is enabled" if there else ", which is not enabled"
            yield error("ROLL-REQUIRES", f"roll {roll.id} requires {wanted}{but}", hint=_how_to_get(wanted, known))


def _how_to_get(wanted: Requirement, known: Iterable[RollId]) -> str:
    """Which command would bring what is missing: the newest roll that fits, where the store has one."""
    fitting = [roll for roll in known if wanted.is_met_by(roll)]
    if fitting:
        return f"enable it too: rollbuild roll enable {fitting[-1]}"
    return f"the store has no roll {wanted}; get one and add it: rollbuild roll add ISO-OR-DIR-OR-URL"


def find_unmet(rolls: Iterable[BuiltRoll], available: Sequence[RollId]) -> tuple[Finding, ...]:
    """A warning for each requirement of these rolls that no roll of the store meets, enabled or not."""
    return in_order(
        warning("ROLL-REQUIRES", f"roll {roll.id} requires {wanted}", hint=_how_to_get(wanted, ()))
        for roll in rolls
        for wanted in roll.requires
        if not any(wanted.is_met_by(other) and roll.id.shares_machines(other) for other in available)
    )


def _find_conflicts(rolls: Sequence[BuiltRoll]) -> Iterator[Finding]:
    for roll in rolls:
        for unwanted in roll.conflicts:
            for other in rolls:
                if other is not roll and unwanted.is_met_by(other.id):
                    message = f"roll {roll.id} conflicts with {other.id}"
                    yield error("ROLL-CONFLICT", message, hint=f"disable one: rollbuild roll disable {other.id.name}")


def _find_misfits(rolls: Sequence[BuiltRoll], release: str) -> Iterator[Finding]:
    limited = [roll for roll in rolls if roll.releases]
    if release:
        for roll in limited:
            if release not in roll.releases:
                message = f"roll {roll.id} is for {_listed(roll.releases)}, not for {release}"
                yield error("ROLL-RELEASE", message, hint=f"build or get it for {release}, or disable it")
        return
    common = set(RELEASES)
    for roll in limited:
        if common.isdisjoint(roll.releases):
            others = ", ".join(str(other.id) for other in limited[: limited.index(roll)])
            message = f"roll {roll.id} is for {_listed(roll.releases)}, which {others} is not for"
            yield error("ROLL-RELEASE", message, hint="no release can have all of these rolls: disable some")
            return
        common.intersection_update(roll.releases)


def _listed(releases: Sequence[str]) -> str:
    return " and ".join(releases)


def _find_cycles(rolls: Sequence[BuiltRoll]) -> Iterator[Finding]:
    """A note per circle of rolls that require each other: nothing orders rolls, so it harms nothing."""
    asks = {roll.id.name: {wanted.name for wanted in roll.requires} for roll in rolls}
    reached: Mapping[str, set[str]] = {name: _reach(name, asks) for name in asks}
    seen: set[str] = set()
    for name in sorted(asks):
        if name in reached[name] and name not in seen:
            circle = sorted(other for other in reached[name] if name in reached.get(other, ()))
            seen.update(circle)
            what = (
                f"rolls {', '.join(circle)} require each other" if len(circle) > 1 else f"roll {name} requires itself"
            )
            yield note("ROLL-CYCLE", what, hint="they can only be enabled and disabled together")


def _reach(start: str, asks: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        for name in asks.get(todo.pop(), ()):
            if name not in found:
                found.add(name)
                todo.append(name)
    return found
