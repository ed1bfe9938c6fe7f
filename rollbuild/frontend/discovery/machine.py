"""The state machine of discovery: events in, a new state and actions out. No clock, no input, no output."""

from collections.abc import Mapping
from dataclasses import replace

from rollbuild.frontend.discovery.state import State, Stepped, note_change, say, tell_once
from rollbuild.frontend.discovery.taking import (
    AGAIN_SECONDS,
    BOX_SECONDS,
    add_entry,
    done_adding,
    hear_machine,
    refuse_machine,
    show_known,
    take_answer,
)
from rollbuild.frontend.discovery.values import (
    Action,
    Answer,
    Applied,
    ApplyConfiguration,
    Asked,
    Box,
    Chosen,
    Entry,
    Event,
    Exists,
    Inserted,
    Key,
    KickstartGiven,
    Leave,
    Progress,
    Refused,
    Removed,
    RemoveHost,
    Surveyed,
    Tick,
    Trouble,
)

_QUIET = 1.0  # seconds without a further change after which the configuration is applied
_LONGEST = 3.0  # seconds that a change waits while others keep coming


def step(state: State, event: Event) -> Stepped:
    """What an event makes of a state, and what is to be done for it."""
    if state.is_leaving and not isinstance(event, Applied | Inserted | Exists | Refused):
        return state, ()
    match event:
        case Asked():
            return hear_machine(state, event)
        case Surveyed():
            return _look_around(state, event)
        case Inserted():
            return add_entry(state, event)
        case Exists(mac, host):
            state = done_adding(state, mac)
            return show_known(state, mac, host)
        case Refused(mac, text):
            return refuse_machine(state, mac, text)
        case KickstartGiven(host, status):
            return _mark(state, {host: Progress("*" if status == 200 else str(status))})
        case Removed(host, error):
            return _forget(state, host, error)
        case Applied(error, text):
            return _finish_applying(state, error, text)
        case Key(name):
            return _press(state, name)
        case Chosen(membership):
            return _choose(state, membership)
        case Answer(mac, address):
            return take_answer(state, mac, address)
        case Trouble(text):
            return tell_once(state, "trouble", text, text)
        case Tick(time):
            return _pass_time(state, time)


def _look_around(state: State, event: Surveyed) -> Stepped:
    actions: tuple[Action, ...] = ()
    state = replace(state, denied=event.denied, installs=event.installs)
    if event.known is not None:
        state, actions = _compare_known(replace(state, known=event.known))
    state, more = _mark(state, event.installs)
    if event.is_stale and state.changed is None and not state.is_applying and not state.rules.only_notes:
        state = note_change(state)
    return state, (*actions, *more)


def _compare_known(state: State) -> Stepped:
    """Entries whose hosts other commands removed, renamed or released."""
    actions: tuple[Action, ...] = ()
    entries = []
    for entry in state.entries:
        now = state.known.get(entry.mac)
        if now is None:
            state, news = say(state, "removed", f"{entry.host} was removed", mac=entry.mac, host=entry.host)
            actions += news
            continue
        is_held = entry.is_held and now.is_held
        same = (entry.host, entry.is_held) == (now.name, is_held)
        entries.append(entry if same else replace(entry, host=now.name, is_held=is_held))
    kept = tuple(entries)
    return (state if kept == state.entries else replace(state, entries=kept)), actions


def _mark(state: State, installs: Mapping[str, Progress]) -> Stepped:
    actions: tuple[Action, ...] = ()
    entries = list(state.entries)
    for position, entry in enumerate(entries):
        progress = installs.get(entry.host)
        if progress is None or entry.is_known or not entry.mark:
            continue
        stage = "installed" if progress.is_done else progress.stage
        if (progress.mark, stage) == (entry.mark, entry.stage):
            continue
        entries[position] = replace(entry, mark=progress.mark, stage=stage)
        if progress.mark not in (entry.mark, " "):
            what = "fetched its Kickstart" if progress.mark == "*" else f"got no Kickstart ({progress.mark})"
            kind = "kickstart" if progress.mark == "*" else "no-kickstart"
            state, news = say(state, kind, f"{entry.host} {what}", mac=entry.mac, host=entry.host)
            actions += news
        if stage not in (entry.stage, ""):
            kind = "installed" if progress.is_done else "stage"
            text = f"{entry.host} is installed" if progress.is_done else f"{entry.host}: {stage}"
            state, news = say(state, kind, text, mac=entry.mac, host=entry.host)
            actions += news
    marked = tuple(entries)
    return (state if marked == state.entries else replace(state, entries=marked)), actions


def _forget(state: State, host: str, error: str) -> Stepped:
    if error:
        return say(state, "refused", f"{host} was not removed: {error}", host=host)
    gone = [entry.mac for entry in state.entries if entry.host == host]
    state = replace(
        state,
        entries=tuple(entry for entry in state.entries if entry.host != host),
        known={mac: known for mac, known in state.known.items() if known.name != host},
        undone=state.undone | set(gone),
        taken=max(0, state.taken - len(gone)),
    )
    return say(note_change(state), "undone", f"{host} was removed again", mac=gone[0] if gone else "", host=host)


def _finish_applying(state: State, error: str, text: str) -> Stepped:
    state = replace(state, is_applying=False)
    if not error:
        told = frozenset(key for key in state.told if key[0] != "not-applied")
        state = replace(state, told=told, next_apply=0.0)
        return say(state, "applied", text) if text else (state, ())
    state = replace(note_change(state), next_apply=state.time + AGAIN_SECONDS)
    return tell_once(state, "not-applied", error, f"the configuration was not applied: {error}")


def _choose(state: State, name: str) -> Stepped:
    found = [item for item in state.memberships if item.name == name]
    if not found or state.membership is not None:
        return state, ()
    state = replace(state, membership=found[0], cursor=state.memberships.index(found[0]))
    # What an earlier run inserted here and was not installed yet shows again.
    unfinished = [
        Entry(mac, host.name, " " if found[0].is_kickstartable else "", is_held=host.is_held)
        for mac, host in state.known.items()
        if host.appliance == found[0].appliance and host.rack == state.rules.rack and host.awaits_install
    ]
    entries = list({entry.host: entry for entry in reversed(unfinished)}.values())  # one line each, its first device
    state, chosen = say(replace(state, entries=tuple(entries)), "chosen", f"waiting for machines: {name}")
    actions: tuple[Action, ...] = chosen
    for entry in reversed(entries):
        text = f"{entry.mac} is {entry.host}, from an earlier run"
        state, news = say(state, "unfinished", text, mac=entry.mac, host=entry.host)
        actions += news
    state, marked = _mark(state, state.installs)
    return state, (*actions, *marked)


def _press(state: State, name: str) -> Stepped:
    if name == "f9":
        return _leave(state)
    if not state.is_open:
        last = len(state.memberships) - 1
        match name:
            case "up" | "down":
                cursor = min(max(state.cursor + (1 if name == "down" else -1), 0), max(last, 0))
                return replace(state, cursor=cursor), ()
            case "home" | "end":
                return replace(state, cursor=0 if name == "home" else max(last, 0)), ()
            case "enter" if state.memberships:
                return _choose(state, state.memberships[state.cursor].name)
            case "f8":
                return _leave(state)
        return state, ()
    if name == "f8":
        missing = [entry.host for entry in state.entries if entry.is_awaited]
        if not missing:
            return _leave(state)
        text = "Not kickstarted, please wait...\n" + "\n".join(missing[:8]) + ("\n..." if len(missing) > 8 else "")
        state = replace(state, box=Box("Not kickstarted", text, state.time + BOX_SECONDS))
        listed = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        return say(state, "waiting", f"not kickstarted yet: {listed}")
    if name == "f7":
        return _undo(state)
    return state, ()


def _undo(state: State) -> Stepped:
    mine = [entry for entry in state.entries if entry.is_new]
    if not mine:
        return say(state, "refused", "there is nothing to undo")
    if mine[0].mark == "*":
        host = mine[0].host
        text = f"{host} has fetched its Kickstart and installs; `rocks remove host {host}` removes it"
        return say(state, "refused", text, host=host)
    return state, (RemoveHost(mine[0].host),)


def _leave(state: State) -> Stepped:
    return replace(state, is_leaving=True, asking=()), (Leave(),)


def _pass_time(state: State, time: float) -> Stepped:
    if time > state.time:
        state = replace(state, time=time)
    if state.box is not None and state.box.until <= state.time:
        state = replace(state, box=None)
    actions: tuple[Action, ...] = ()
    if state.changed is not None and not state.is_applying and state.time >= state.next_apply:
        is_quiet = state.time - state.last_change >= _QUIET and not state.adding
        if is_quiet or state.time - state.changed >= _LONGEST:
            state = replace(state, changed=None, is_applying=True)
            actions = (ApplyConfiguration(),)
    is_settled = state.changed is None and not state.is_applying and not state.adding and not state.asking
    is_done = state.is_full and is_settled and not any(entry.is_awaited for entry in state.entries if entry.is_new)
    if state.rules.leaves_itself and is_done and not actions:
        return _leave(state)
    return state, actions
