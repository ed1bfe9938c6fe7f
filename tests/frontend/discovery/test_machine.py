"""The state machine: tables of what happens and what is then shown and done; what holds whatever happens."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollbuild.frontend.discovery.machine import step
from rollbuild.frontend.discovery.state import State, view
from rollbuild.frontend.discovery.values import (
    Action,
    AddHost,
    Answer,
    Applied,
    ApplyConfiguration,
    Asked,
    Chosen,
    Event,
    Exists,
    Inserted,
    Key,
    KickstartGiven,
    KnownHost,
    Leave,
    Membership,
    News,
    NoteDiscovery,
    Progress,
    Refused,
    Removed,
    RemoveHost,
    Rules,
    Surveyed,
    Tick,
    Trouble,
)

COMPUTE = Membership("Compute", "compute", True)
SWITCH = Membership("Ethernet Switch", "network", False)
CONTAINER = Membership("VM Container", "vm-container", True)
MENU = (COMPUTE, SWITCH, CONTAINER)
RULES = Rules(version="1", network="10.1.0.0/255.255.0.0", interface="eth0")
PXE = "PXEClient:Arch:00007:UNDI:003016"


def mac(number: int) -> str:
    return f"52:54:00:aa:10:{number:02x}"


def asks(number: int, vendor: str | None = PXE, interface: str = "eth0") -> Asked:
    return Asked(mac(number), vendor, "x86_64", interface)


def name(number: int) -> str:
    return f"compute-0-{number}"


def inserted(number: int, *, is_held: bool = False) -> Inserted:
    return Inserted(mac(number), name(number), f"10.1.255.{254 - number}", is_held)


def start(**rules: object) -> State:
    return State(RULES if not rules else Rules(**{"interface": "eth0", **rules}), MENU)  # type: ignore[arg-type]


def play(state: State, *events: Event) -> tuple[State, list[Action]]:
    actions: list[Action] = []
    for event in events:
        state, more = step(state, event)
        actions += more
    return state, actions


def chosen(membership: str = "Compute", **rules: object) -> State:
    return play(start(**rules), Chosen(membership))[0]


def work(actions: Iterable[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, News)]


def news(actions: Iterable[Action]) -> list[tuple[str, str]]:
    return [(action.kind, action.text) for action in actions if isinstance(action, News)]


def lines(state: State) -> list[str]:
    return [entry.text for entry in view(state).entries]


def test_the_screen_of_the_menu() -> None:
    state, _ = play(start(), Key("down"), Key("down"), Key("down"))
    shown = view(state)
    assert shown.heading == ("insert-ethers -- version 1", "Opened kickstart access to 10.1.0.0/255.255.0.0 network")
    assert shown.menu == ("Compute", "Ethernet Switch", "VM Container")
    assert shown.cursor == 2
    assert shown.footer == "Press <F8> to quit, press <F9> to force quit"
    state, _ = play(state, Key("enter"))
    assert (view(state).menu, view(state).membership) == ((), "VM Container")


@pytest.mark.parametrize(
    ("keys", "cursor"), [("", 0), ("up", 0), ("down", 1), ("end", 2), ("end up", 1), ("down home", 0)]
)
def test_the_cursor_of_the_menu(keys: str, cursor: int) -> None:
    assert view(play(start(), *map(Key, keys.split()))[0]).cursor == cursor


def test_the_story_of_the_article() -> None:
    state, actions = play(chosen("VM Container"), Tick(1.0), asks(0))
    assert work(actions) == [AddHost(mac(0), CONTAINER, "x86_64", "")]
    box = view(state).box
    assert box is not None
    assert (box.title, box.text) == (
        "Discovered New Appliance",
        "Discovered a new appliance with MAC (52:54:00:aa:10:00)",
    )
    state, actions = play(state, Inserted(mac(0), "vm-container-0-0", "10.1.255.254"))
    assert lines(state) == ["52:54:00:aa:10:00   vm-container-0-0   ( )"]
    state, actions = play(state, Tick(3.1))
    assert view(state).box is None
    assert work(actions) == [ApplyConfiguration()]
    state, actions = play(state, Applied(), KickstartGiven("vm-container-0-0", 503))
    assert lines(state) == ["52:54:00:aa:10:00   vm-container-0-0   (503)"]
    state, actions = play(state, Key("f8"))
    assert work(actions) == []
    box = view(state).box
    assert box is not None and box.text == "Not kickstarted, please wait...\nvm-container-0-0"
    state, actions = play(state, KickstartGiven("vm-container-0-0", 200), Key("f8"))
    assert lines(state) == ["52:54:00:aa:10:00   vm-container-0-0   (*)"]
    assert work(actions) == [Leave()]


# what is asked, for which membership, with which rules -> whether a host is added, and what is said
TAKEN = {
    "a PXE client": (asks(0), "Compute", {}, True, "discovered"),
    "an HTTP client": (asks(0, "HTTPClient:Arch:00016"), "Compute", {}, True, "discovered"),
    "on another network": (asks(0, interface="eth1"), "Compute", {}, False, "ignored"),
    "the log does not say the interface": (asks(0, interface=""), "Compute", {}, True, "discovered"),
    "a phone": (asks(0, "MSFT 5.0"), "Compute", {}, False, "ignored"),
    "a phone that begins alike": (asks(0, "XPXEClient"), "Compute", {}, False, "ignored"),
    "no vendor class": (asks(0, ""), "Compute", {}, False, "ignored"),
    "the log does not say the vendor": (asks(0, None), "Compute", {}, False, "ignored"),
    "a phone with --any": (asks(0, "MSFT 5.0"), "Compute", {"takes_any": True}, True, "discovered"),
    "no vendor known with --any": (asks(0, None), "Compute", {"takes_any": True}, True, "discovered"),
    "a switch": (asks(0, ""), "Ethernet Switch", {}, True, "discovered"),
}


@pytest.mark.parametrize(("asked", "membership", "rules", "is_taken", "kind"), TAKEN.values(), ids=TAKEN)
def test_which_machines_are_taken(
    asked: Asked, membership: str, rules: dict[str, object], is_taken: bool, kind: str
) -> None:
    _, actions = play(chosen(membership, **rules), asked, asked)
    assert [type(action) for action in work(actions)] == [AddHost] * is_taken
    assert [told for told, _ in news(actions)] == [kind] * bool(kind)


def test_nothing_is_taken_before_a_membership_is_chosen() -> None:
    assert work(play(start(), asks(0))[1]) == []


def test_a_switch_has_no_mark_and_never_keeps_f8_waiting() -> None:
    state, actions = play(chosen("Ethernet Switch"), asks(0), inserted(0), Key("f8"))
    assert lines(state) == [f"{mac(0)}   compute-0-0"]
    assert Leave() in actions


def test_known_machines_are_shown_as_known() -> None:
    survey = Surveyed({mac(0): KnownHost("compute-0-0", "compute", 0)})
    state, actions = play(chosen(), survey, asks(0), asks(0), asks(0, "MSFT 5.0"))
    assert lines(state) == [f"{mac(0)}   known: compute-0-0"]
    assert news(actions) == [("known", f"{mac(0)} is known: compute-0-0")]
    assert work(play(state, Key("f8"))[1]) == [Leave()]


def test_a_running_host_that_renews_its_address_is_not_shown() -> None:
    state, _ = play(chosen(), Surveyed({mac(0): KnownHost("compute-0-0", "compute", 0)}), asks(0, ""))
    assert lines(state) == []


def test_another_command_was_first() -> None:
    state, _ = play(chosen(), asks(0), Exists(mac(0), "login-0-0"))
    assert lines(state) == [f"{mac(0)}   known: login-0-0"]


def test_what_an_earlier_run_inserted_shows_again() -> None:
    known = {
        mac(0): KnownHost("compute-0-0", "compute", 0, awaits_install=True),
        mac(1): KnownHost("compute-0-1", "compute", 0, awaits_install=True),
        mac(2): KnownHost("compute-0-2", "compute", 0, awaits_install=False),
        mac(3): KnownHost("compute-1-0", "compute", 1, awaits_install=True),
        mac(4): KnownHost("vm-container-0-0", "vm-container", 0, awaits_install=True),
        mac(5): KnownHost("compute-0-3", "compute", 0, awaits_install=True, is_held=True),
    }
    installs = {"compute-0-1": Progress("*", "packages")}
    state, actions = play(start(), Surveyed(known, installs=installs), Chosen("Compute"), asks(0))
    assert sorted(lines(state)) == [
        f"{mac(0)}   compute-0-0   ( )",
        f"{mac(1)}   compute-0-1   (*)   packages",
        f"{mac(5)}   compute-0-3   ( )   held",
    ]
    assert work(actions) == []
    assert [entry.host for entry in state.entries if entry.is_awaited] == ["compute-0-0"]
    # What was not inserted now is not undone either.
    assert work(play(state, Key("f7"))[1]) == []


def test_hosts_that_other_commands_remove_rename_or_release() -> None:
    state, _ = play(chosen(), *(event for n in range(3) for event in (asks(n), inserted(n, is_held=n == 2))))
    known = {
        mac(0): KnownHost("alpha", "compute", 0, True),
        mac(2): KnownHost("compute-0-2", "compute", 0, True, is_held=False),
    }
    assert lines(state)[0].endswith("held")
    state, actions = play(state, Surveyed(known))
    assert lines(state) == [f"{mac(2)}   compute-0-2   ( )", f"{mac(0)}   alpha   ( )"]
    assert news(actions) == [("removed", "compute-0-1 was removed")]


def test_a_held_host_is_not_waited_for() -> None:
    assert Leave() in play(chosen(), asks(0), inserted(0, is_held=True), Key("f8"))[1]


def test_progress_is_told_once() -> None:
    state, _ = play(chosen(), asks(0), inserted(0))
    seen = []
    for progress in (
        Progress(),
        Progress("*"),
        Progress("*"),
        Progress("*", "packages"),
        Progress("*", "packages"),
        Progress("*", "done", is_done=True),
    ):
        state, actions = play(state, Surveyed(installs={"compute-0-0": progress}))
        seen.append([text for _, text in news(actions)])
    assert seen == [
        [],
        ["compute-0-0 fetched its Kickstart"],
        [],
        ["compute-0-0: packages"],
        [],
        ["compute-0-0 is installed"],
    ]
    assert lines(state) == [f"{mac(0)}   compute-0-0   (*)   installed"]


def test_a_refused_machine_is_tried_again_later() -> None:
    text = "network private (10.1.0.0/16) has no free address"
    state, actions = play(chosen(), Tick(10), asks(0), Refused(mac(0), text))
    assert lines(state) == []
    assert view(state).messages[-1].text == f"{mac(0)} was not inserted: {text}"
    state, actions = play(state, Tick(12), asks(0))
    assert work(actions) == []
    state, actions = play(state, Tick(15.1), asks(0), Refused(mac(0), text))
    assert [type(action) for action in work(actions)] == [AddHost]
    assert news(actions) == [], "the same is not said twice"
    state, actions = play(state, Tick(21), asks(0), inserted(0))
    assert lines(state) == [f"{mac(0)}   compute-0-0   ( )"]


def test_undo() -> None:
    state, _ = play(chosen(), asks(0), inserted(0), asks(1), inserted(1))
    state, actions = play(state, Key("f7"))
    assert work(actions) == [RemoveHost("compute-0-1")]
    state, actions = play(state, Removed("compute-0-1"), asks(1), Key("f7"))
    assert lines(state) == [f"{mac(0)}   compute-0-0   ( )"]
    assert work(actions) == [RemoveHost("compute-0-0")], "the machine that was undone is not inserted again"
    state, actions = play(state, Removed("compute-0-0", "it still holds 2 VMs"))
    assert len(lines(state)) == 1
    state, actions = play(state, KickstartGiven("compute-0-0", 200), Key("f7"))
    assert work(actions) == []
    assert "rocks remove host compute-0-0" in view(state).messages[-1].text


def test_denied_machines_are_left_alone() -> None:
    _, actions = play(chosen(), Surveyed({}, denied=frozenset({mac(0)})), asks(0), asks(0))
    assert (work(actions), len(news(actions))) == ([], 1)


def test_the_maximum() -> None:
    state, actions = play(chosen(maximum=2), asks(0), asks(1), asks(2))
    assert len(work(actions)) == 2, "also those count that are being inserted"
    state, actions = play(state, Refused(mac(0), "no"), asks(3))
    assert len(work(actions)) == 1
    state, actions = play(state, inserted(1), inserted(3), asks(2))
    assert work(actions) == []
    # F7 makes room again.
    state, actions = play(state, Key("f7"), Removed("compute-0-3"), asks(2))
    assert AddHost(mac(2), COMPUTE, "x86_64", "") in actions


def test_it_leaves_by_itself_when_the_last_has_its_kickstart() -> None:
    state, actions = play(chosen(maximum=1, leaves_itself=True), Tick(1), asks(0), inserted(0), Tick(3))
    assert work(actions)[1:] == [ApplyConfiguration()]
    state, actions = play(state, Applied(), Tick(4))
    assert work(actions) == []
    state, actions = play(state, KickstartGiven("compute-0-0", 200), Tick(5), Tick(6))
    assert work(actions) == [Leave()]


def test_the_queue_only_notes() -> None:
    state, actions = play(start(only_notes=True), asks(0), asks(0), asks(1, "MSFT 5.0"))
    assert work(actions) == [NoteDiscovery(mac(0), PXE, "x86_64")] * 2
    assert view(state).menu == ()


def test_the_address_is_asked_for() -> None:
    state, actions = play(chosen(asks_address=True), asks(0), asks(0), asks(1))
    assert work(actions) == []
    question = view(state).question
    assert question is not None and (question.mac, question.error) == (mac(0), "")
    state, actions = play(state, Answer(mac(0), "10.1.0.1"))
    assert work(actions) == [AddHost(mac(0), COMPUTE, "x86_64", "10.1.0.1")]
    other = view(state).question
    assert other is not None and other.mac == mac(1), "the next is asked while the first is inserted"
    state, actions = play(state, Refused(mac(0), "10.1.0.1 is the front end's"))
    question = view(state).question
    assert question is not None and question.error == "10.1.0.1 is the front end's"
    state, actions = play(state, Answer(mac(0), ""), inserted(0), Answer(mac(0), "10.1.0.9"))
    assert work(actions) == [AddHost(mac(0), COMPUTE, "x86_64", "")]
    assert lines(state) == [f"{mac(0)}   compute-0-0   ( )"]


# (time, event) -> times at which the configuration is applied; each takes no time
APPLYING = {
    "after a second of quiet": ([(0, inserted(0))], [1]),
    "many at once": ([(0, inserted(0)), (0.2, inserted(1)), (0.9, inserted(2))], [2]),
    "not for ever": ([(n / 2, inserted(n)) for n in range(9)], [3, 5]),
    "again for what comes later": ([(0, inserted(0)), (4, inserted(1))], [1, 5]),
    "another command's change": ([(2, Surveyed(is_stale=True))], [3]),
    "an undo": ([(0, inserted(0)), (4, Removed("compute-0-0"))], [1, 5]),
    "nothing": ([(2, Surveyed()), (3, asks(0, "MSFT 5.0"))], []),
}


@pytest.mark.parametrize(("events", "times"), APPLYING.values(), ids=APPLYING)
def test_when_the_configuration_is_applied(events: list[tuple[float, Event]], times: list[int]) -> None:
    state, applied = chosen(), []
    for tenth in range(100):
        now = tenth / 10
        state, actions = play(state, *(event for time, event in events if now - 0.1 < time <= now), Tick(now))
        if ApplyConfiguration() in actions:
            applied.append(now)
            state, _ = play(state, Applied())
    assert [round(time) for time in applied] == times


def test_a_configuration_that_is_refused_is_tried_again() -> None:
    state, actions = play(chosen(), Tick(0), inserted(0), Tick(1.1))
    assert work(actions) == [ApplyConfiguration()]
    state, actions = play(state, Tick(2), inserted(1), Tick(9))
    assert work(actions) == [], "not twice at once"
    state, actions = play(state, Applied("dnsmasq refuses line 3"), Tick(11), Tick(13))
    assert work(actions) == []
    assert view(state).messages[-1].text == "the configuration was not applied: dnsmasq refuses line 3"
    state, actions = play(state, Tick(14.5), Applied("dnsmasq refuses line 3"))
    assert (work(actions), news(actions)) == ([ApplyConfiguration()], [])
    state, actions = play(state, Tick(20), Applied(text="applied"), Tick(30))
    assert work(actions) == [ApplyConfiguration()]


def test_after_leaving_nothing_is_taken() -> None:
    state, actions = play(chosen(), asks(0), Key("f9"), asks(1), Key("f7"))
    assert work(actions) == [AddHost(mac(0), COMPUTE, "x86_64", ""), Leave()]
    state, _ = play(state, inserted(0))
    assert lines(state) == [f"{mac(0)}   compute-0-0   ( )"], "what was under way is finished"


def test_a_flood_of_made_up_addresses_is_bounded() -> None:
    state = chosen()
    for number in range(10_400):
        made_up = f"02:00:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        state, _ = step(state, Asked(made_up, "MSFT 5.0"))
        if number == 10_100:
            size = len(state.told), len(state.messages)
    assert (len(state.told), len(state.messages)) == size


_NUMBERS = st.integers(0, 5)
_EVENTS = st.one_of(
    st.builds(asks, _NUMBERS, st.sampled_from([PXE, "", None, "HTTPClient"]), st.sampled_from(["eth0", "eth1", ""])),
    st.builds(Key, st.sampled_from(["f7", "f8", "up", "enter", "nonsense"])),
    st.builds(Answer, st.builds(mac, _NUMBERS), st.sampled_from(["", "10.1.0.9", "x"])),
    st.builds(KickstartGiven, st.builds(name, _NUMBERS), st.sampled_from([200, 503])),
    st.builds(Applied, st.sampled_from(["", "refused"])),
    st.builds(Trouble, st.sampled_from(["a", "b"])),
    st.sampled_from(["work", "fail", "survey", "wait", "other"]),
)


@settings(max_examples=200)
@given(st.lists(_EVENTS, max_size=60), st.booleans(), st.sampled_from([None, 1, 3]))
def test_whatever_happens(events: list[Event | str], asks_address: bool, maximum: int | None) -> None:
    """Against a small database that does what actions say, in any order: no MAC and no name is there twice."""
    state = chosen(asks_address=asks_address, maximum=maximum)
    database: dict[str, str] = {}  # MAC -> host
    to_do: list[Action] = []
    now = 0.0
    applying = 0

    def feed(event: Event) -> None:
        nonlocal state, applying
        state, actions = step(state, event)
        to_do.extend(action for action in actions if isinstance(action, AddHost | RemoveHost))
        applying += sum(isinstance(action, ApplyConfiguration) for action in actions)
        assert applying <= 1

    for event in events:
        match event:
            case "work" | "fail" if to_do:
                action = to_do.pop(0)
                if isinstance(action, RemoveHost):
                    for key in [key for key, host in database.items() if host == action.host]:
                        del database[key]
                    feed(Removed(action.host))
                elif event == "fail":
                    feed(Refused(action.mac, "no free address"))  # type: ignore[union-attr]
                elif isinstance(action, AddHost) and action.mac in database:
                    feed(Exists(action.mac, database[action.mac]))
                elif isinstance(action, AddHost):
                    free = next(name(n) for n in range(99) if name(n) not in database.values())
                    database[action.mac] = free
                    feed(Inserted(action.mac, free, "10.1.255.254"))
            case "survey":
                known = {key: KnownHost(host, "compute", 0, True) for key, host in database.items()}
                feed(Surveyed(known))
            case "other":
                free = next(name(n) for n in range(99) if name(n) not in database.values())
                database.setdefault(mac(5), free)
            case "wait":
                now += 1.5
                feed(Tick(now))
            case Applied():
                if applying:
                    applying = 0
                    feed(event)
            case str():
                pass
            case _:
                feed(event)
        shown = view(state)
        macs = [entry.mac for entry in shown.entries]
        assert len(macs) == len(set(macs))
        hosts = [entry.host for entry in shown.entries if not entry.is_known]
        assert len(hosts) == len(set(hosts))
        adding = [action.mac for action in to_do if isinstance(action, AddHost)]
        assert len(adding) == len(set(adding))
        if maximum is not None:
            assert sum(entry.is_new for entry in shown.entries) + len(adding) <= maximum
