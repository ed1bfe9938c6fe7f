"""Machines that ask: which are taken, and what comes of each."""

from dataclasses import replace

from rollbuild.frontend.discovery.state import TOLD_LIMIT, State, Stepped, note_change, say, tell_once
from rollbuild.frontend.discovery.values import (
    Action,
    AddHost,
    Asked,
    Box,
    Entry,
    Inserted,
    KnownHost,
    NoteDiscovery,
)

BOX_SECONDS = 2.0  # that a box is shown
AGAIN_SECONDS = 5.0  # until something that failed is tried again
_NETWORK_BOOT = ("PXEClient", "HTTPClient")


def hear_machine(state: State, asked: Asked) -> Stepped:
    mac = asked.mac
    if not state.is_open or mac in state.adding or any(mac == waiting.mac for waiting, _ in state.asking):
        return state, ()
    if asked.interface and state.rules.interface and asked.interface != state.rules.interface:
        text = (
            f"machines that ask on {asked.interface} are left alone: the cluster's network is {state.rules.interface}"
        )
        return tell_once(state, "ignored", asked.interface, text)
    if mac in state.known:
        # A running host that renews its address is no news; one that boots from the network may be looked for.
        return show_known(state, mac, state.known[mac].name) if _boots_from_network(asked) else (state, ())
    if mac in state.denied:
        return tell_once(state, "denied", mac, f"{mac} is on the deny list", mac=mac)
    if mac in state.undone:
        text = f"{mac} was undone; it is left alone until insert-ethers is started again"
        return tell_once(state, "ignored", mac, text, mac=mac)
    if not _is_wanted(state, asked):
        if asked.vendor is None:
            text = f"{mac} asks for an address; the log does not say whether it boots from the network"
        else:
            text = f"{mac} asks for an address, but does not boot from the network"
        return tell_once(state, "ignored", mac, f"{text} (--any takes it)", mac=mac)
    if state.time < state.again.get(mac, state.time):
        return state, ()
    if state.rules.only_notes:
        told, actions = tell_once(state, "noted", mac, f"{mac} waits for approval", mac=mac)
        return told, (*actions, NoteDiscovery(mac, asked.vendor or "", asked.arch))
    if state.is_full:
        text = f"{mac} is one more than the {state.rules.maximum} that are taken"
        return tell_once(state, "ignored", mac, text, mac=mac)
    return _take(state, asked)


def _boots_from_network(asked: Asked) -> bool:
    return asked.vendor is None or asked.vendor.startswith(_NETWORK_BOOT)


def _is_wanted(state: State, asked: Asked) -> bool:
    if state.rules.takes_any or (state.membership is not None and not state.membership.is_kickstartable):
        return True
    return asked.vendor is not None and asked.vendor.startswith(_NETWORK_BOOT)


def _take(state: State, asked: Asked) -> Stepped:
    text = f"Discovered a new appliance with MAC ({asked.mac})"
    box = Box("Discovered New Appliance", text, state.time + BOX_SECONDS)
    state, actions = tell_once(replace(state, box=box), "discovered", asked.mac, text, mac=asked.mac)
    if state.rules.asks_address:
        return replace(state, asking=(*state.asking, (asked, ""))), actions
    return _ask_to_add(state, asked, "", actions)


def _ask_to_add(state: State, asked: Asked, address: str, before: tuple[Action, ...] = ()) -> Stepped:
    if state.membership is None:
        return state, before
    add = AddHost(asked.mac, state.membership, asked.arch, address)
    return replace(state, adding=state.adding | {asked.mac}), (*before, add)


def take_answer(state: State, mac: str, address: str) -> Stepped:
    for position, (asked, _) in enumerate(state.asking):
        if asked.mac == mac and mac not in state.adding:
            # It stays in the list with its question until the address is accepted.
            again = (*state.asking[:position], (asked, ""), *state.asking[position + 1 :])
            return _ask_to_add(replace(state, asking=again), asked, address)
    return state, ()


def done_adding(state: State, mac: str) -> State:
    asking = tuple(item for item in state.asking if item[0].mac != mac)
    return replace(state, adding=state.adding - {mac}, asking=asking)


def add_entry(state: State, event: Inserted) -> Stepped:
    mac, host = event.mac, event.host
    membership = state.membership
    is_kickstartable = membership is not None and membership.is_kickstartable
    entry = Entry(mac, host, " " if is_kickstartable else "", is_held=event.is_held, is_new=True)
    rest = tuple(old for old in state.entries if old.mac != mac and old.host != host)
    appliance = membership.appliance if membership else ""
    known = KnownHost(host, appliance, state.rules.rack, is_kickstartable, event.is_held)
    state = replace(
        done_adding(state, mac),
        entries=(entry, *rest),
        known={**state.known, mac: known},
        again={key: value for key, value in state.again.items() if key != mac},
        taken=state.taken + 1,
    )
    text = f"{mac} is {host}, {event.address}" if event.address else f"{mac} is {host}"
    return say(note_change(state), "inserted", text, mac=mac, host=host, address=event.address)


def show_known(state: State, mac: str, host: str) -> Stepped:
    if any(entry.mac == mac or (entry.host == host and not entry.is_known) for entry in state.entries):
        return state, ()
    if len(state.told) >= TOLD_LIMIT:
        return state, ()
    state = replace(state, entries=(Entry(mac, host, is_known=True), *state.entries))
    return tell_once(state, "known", mac, f"{mac} is known: {host}", mac=mac, host=host)


def refuse_machine(state: State, mac: str, text: str) -> Stepped:
    asking = tuple((asked, text if asked.mac == mac else error) for asked, error in state.asking)
    state = replace(state, adding=state.adding - {mac}, asking=asking)
    if not any(asked.mac == mac for asked, _ in asking):
        state = replace(state, again={**state.again, mac: state.time + AGAIN_SECONDS})
    return tell_once(state, "refused", f"{mac} {text}", f"{mac} was not inserted: {text}", mac=mac)
