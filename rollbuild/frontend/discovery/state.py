"""What a run of discovery knows, what is told of it, and what a face shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rollbuild.frontend.discovery.values import (
    Action,
    Asked,
    Box,
    Entry,
    KnownHost,
    Membership,
    Message,
    News,
    Progress,
    Question,
    Rules,
    View,
)

MESSAGES_KEPT = 100
TOLD_LIMIT = 10_000
"""Machines that are told of, so that a flood of made-up addresses fills no memory."""

Stepped = tuple["State", tuple[Action, ...]]


@dataclass(frozen=True, slots=True)
class State:
    """All that a run knows. `entries` has the newest first; `time` is that of the last Tick."""

    rules: Rules
    memberships: tuple[Membership, ...]
    cursor: int = 0
    membership: Membership | None = None
    entries: tuple[Entry, ...] = ()
    known: Mapping[str, KnownHost] = field(default_factory=dict)
    installs: Mapping[str, Progress] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    undone: frozenset[str] = frozenset()
    told: frozenset[tuple[str, str]] = frozenset()
    adding: frozenset[str] = frozenset()
    asking: tuple[tuple[Asked, str], ...] = ()  # machines whose address is asked for; what was wrong with the last
    again: Mapping[str, float] = field(default_factory=dict)  # refused machines: when to try once more
    taken: int = 0
    messages: tuple[Message, ...] = ()
    box: Box | None = None
    time: float = 0.0
    changed: float | None = None  # when the first change came that is not applied
    last_change: float = 0.0
    next_apply: float = 0.0
    is_applying: bool = False
    is_leaving: bool = False

    @property
    def is_open(self) -> bool:
        """Whether machines are taken: a membership is chosen, or none is needed."""
        return self.membership is not None or self.rules.only_notes

    @property
    def is_full(self) -> bool:
        waiting = len(self.adding) + len(self.asking)
        return self.rules.maximum is not None and self.taken + waiting >= self.rules.maximum


def say(state: State, kind: str, text: str, *, mac: str = "", host: str = "", address: str = "") -> Stepped:
    messages = (*state.messages, Message(kind, text))[-MESSAGES_KEPT:]
    return replace(state, messages=messages), (News(kind, text, mac, host, address),)


def tell_once(state: State, kind: str, key: str, text: str, *, mac: str = "", host: str = "") -> Stepped:
    if (kind, key) in state.told or len(state.told) >= TOLD_LIMIT:
        return state, ()
    return say(replace(state, told=state.told | {(kind, key)}), kind, text, mac=mac, host=host)


def note_change(state: State) -> State:
    return replace(state, changed=state.time if state.changed is None else state.changed, last_change=state.time)


def view(state: State) -> View:
    """What a face shows of a state."""
    rules = state.rules
    asked = next(((item, error) for item, error in state.asking if item.mac not in state.adding), None)
    return View(
        heading=(
            f"insert-ethers -- version {rules.version}",
            f"Opened kickstart access to {rules.network} network",
        ),
        menu=() if state.is_open else tuple(item.name for item in state.memberships),
        cursor=state.cursor,
        membership=state.membership.name if state.membership else "",
        entries=state.entries,
        messages=state.messages,
        box=state.box,
        question=Question(asked[0].mac, asked[1]) if asked else None,
        footer="Press <F8> to quit, press <F9> to force quit",
        is_applying=state.is_applying,
    )
