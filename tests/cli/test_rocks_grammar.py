"""The grammar of `rocks`: which command words spell, and what a command gets of the rest."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.commands.rocks._command import HOSTS, SOME_HOSTS, Argument, Parameter, RocksCommand
from rollbuild.commands.rocks._grammar import Found, fill, find_command, split_line
from rollbuild.errors import USAGE, RollbuildError

COMMANDS = (
    "add host",
    "add host interface",
    "list host",
    "list host boot",
    "list host interface",
    "list attr",
    "report vm nextmac",
    "set host interface ip",
    "dump",
)

FOUND = {
    "the longest": (["list", "host", "interface", "c0"], "list host interface", ["c0"]),
    "a host": (["list", "host", "compute-0-0"], "list host", ["compute-0-0"]),
    "any case": (["LIST", "Host", "INTERFACE", "C0"], "list host interface", ["C0"]),
    "quoted, with a host called like a noun": (["list host", "interface"], "list host", ["interface"]),
    "quoted in capitals": (["List Host", "x"], "list host", ["x"]),
    "one word": (["dump"], "dump", []),
    "a group": (["report", "vm"], "report vm", []),
    "nothing": ([], "", []),
    "help of a group": (["set", "host", "help"], "set host", ["help"]),
}


@pytest.mark.parametrize(("words", "command", "rest"), FOUND.values(), ids=FOUND)
def test_words_spell_a_command(words: list[str], command: str, rest: list[str]) -> None:
    is_command = command in COMMANDS
    is_group = any(name.startswith(f"{command} ") for name in COMMANDS) or not command
    assert find_command(words, COMMANDS) == Found(command, is_command, is_group, tuple(rest))


UNKNOWN = {
    "verb": (["lst", "host"], "`rocks lst host`; did you mean `rocks list host`?"),
    "noun": (["list", "hsot"], "did you mean `rocks list host`?"),
    "deep noun": (["set", "host", "interfac", "ip", "c0"], "did you mean `rocks set host interface ip`?"),
    "below a group": (["report", "vm", "nextmak"], "did you mean `rocks report vm nextmac`?"),
    "nothing like it": (["frobnicate"], "there is no command `rocks frobnicate`"),
    "a quoted one": (["add hsot", "x"], "did you mean `rocks add host`?"),
    "a host after a group": (["set", "host", "compute-0-0"], "there is no command"),
}


@pytest.mark.parametrize(("words", "said"), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_words_are_told_with_what_is_like_them(words: list[str], said: str) -> None:
    with pytest.raises(RollbuildError) as refused:
        find_command(words, COMMANDS)
    assert said in refused.value.message
    assert refused.value.exit_code == USAGE


LINES = {
    "anywhere": (["a=1", "list", "b=2", "host"], ["list", "host"], [("a", "1"), ("b", "2")]),
    "equals in a value": (["args=a=b c"], [], [("args", "a=b c")]),
    "empty": (["ip="], [], [("ip", "")]),
    "dashes and digits": (["output-col=mac", "num-macs=2", "x_y+z=1"], [], "output-col num-macs x_y+z"),
    "select is a word": (["select-x=1"], ["select-x=1"], []),
    "no name": (["=x", "a b=c"], ["=x", "a b=c"], []),
    "after two dashes": (["run", "--", "FOO=1", "--json"], ["run", "FOO=1", "--json"], []),
    "a negative number": (["-1", "-"], ["-1", "-"], []),
}


@pytest.mark.parametrize(("argv", "words", "parameters"), LINES.values(), ids=LINES)
def test_a_line_is_taken_apart(argv: list[str], words: list[str], parameters: object) -> None:
    line = split_line(argv)
    assert line.words == tuple(words)
    if isinstance(parameters, str):
        assert [name for name, _ in line.parameters] == parameters.split()
    else:
        assert list(line.parameters) == parameters


def test_options_stand_anywhere() -> None:
    line = split_line(["--json", "list", "--database", "sqlite:///x", "host", "--store=/s", "-q"])
    assert line.words == ("list", "host")
    assert line.options == {"--json": "", "--database": "sqlite:///x", "--store": "/s", "-q": ""}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--jsn"], "no option `--jsn`; did you mean --json?"),
        (["--database"], "--database needs a value"),
        (["--json=yes"], "--json takes no value"),
        (["--diff=yes"], "--diff takes no value"),
        (["--membership=Compute"], "no option `--membership`"),
    ],
)
def test_wrong_options_are_refused(argv: list[str], said: str) -> None:
    with pytest.raises(RollbuildError, match=said.replace("?", r"\?")) as refused:
        split_line(argv)
    assert refused.value.exit_code == USAGE


def _run(call: object) -> None:
    pass


IFACE, IP = Argument("iface", is_named=True), Argument("ip", is_named=True)
SET_IP = RocksCommand("set host interface ip", _run, arguments=(SOME_HOSTS, IFACE, IP))
ADD_NETWORK = RocksCommand(
    "add network",
    _run,
    arguments=(Argument("name"), Argument("subnet", is_named=True), Argument("netmask", is_named=True)),
    parameters=(Parameter("mtu", kind="integer", default="1500"), Parameter("servedns", kind="boolean", default="no")),
)
SET_BOOT = RocksCommand(
    "set host boot",
    _run,
    arguments=(SOME_HOSTS,),
    parameters=(Parameter("action", choices=("os", "run", "install", "rescue")),),
)
LIST_HOST = RocksCommand("list host", _run, arguments=(HOSTS,), lists=True)

FILLED = {
    "from the right": (SET_IP, ["a", "b", "eth1", "10.2.0.4"], [], ["a", "b"], "iface=eth1 ip=10.2.0.4"),
    "all by name": (SET_IP, ["a"], [("iface", "eth1"), ("ip", "10.2.0.4")], ["a"], "iface=eth1 ip=10.2.0.4"),
    "the last by name": (SET_IP, ["a", "eth1"], [("ip", "1.2.3.4")], ["a"], "iface=eth1 ip=1.2.3.4"),
    "the first by name": (SET_IP, ["a", "b", "1.2.3.4"], [("iface", "eth0")], ["a", "b"], "iface=eth0 ip=1.2.3.4"),
    "from the left": (
        ADD_NETWORK,
        ["n", "10.0.0.0", "255.0.0.0"],
        [("mtu", "9000")],
        ["n"],
        "subnet=10.0.0.0 netmask=255.0.0.0 mtu=9000 servedns=no",
    ),
    "defaults": (
        ADD_NETWORK,
        ["n"],
        [("netmask", "m"), ("subnet", "s")],
        ["n"],
        "subnet=s netmask=m mtu=1500 servedns=no",
    ),
    "a choice in capitals": (SET_BOOT, ["a"], [("action", "OS")], ["a"], "action=os"),
    "nothing": (LIST_HOST, [], [], [], "json=no output-col= output-header=yes"),
}


@pytest.mark.parametrize(("command", "words", "parameters", "arguments", "values"), FILLED.values(), ids=FILLED)
def test_a_command_gets_its_words(
    command: RocksCommand, words: list[str], parameters: list[tuple[str, str]], arguments: list[str], values: str
) -> None:
    filled = fill(command, words, parameters)
    assert filled.arguments == tuple(arguments)
    assert filled.parameters == dict(pair.split("=", 1) for pair in values.split())


REFUSED = {
    "unknown": (ADD_NETWORK, ["n"], [("mut", "1")], "`rocks add network` has no parameter mut=; did you mean mtu=?"),
    "the trap of Rocks": (SET_BOOT, ["a"], [("acton", "os")], "did you mean action=?"),
    "nothing like it": (SET_BOOT, ["a"], [("memory", "1")], "has no parameter memory="),
    "twice": (SET_BOOT, ["a"], [("action", "os"), ("action", "run")], "action= is given twice"),
    "no hosts": (SET_IP, ["eth1", "10.2.0.4"], [], "must supply host"),
    "no device": (SET_IP, ["10.2.0.4"], [], "must supply host"),
    "no name": (ADD_NETWORK, [], [], "must supply name"),
    "no netmask": (ADD_NETWORK, ["n", "s"], [], "missing netmask"),
    "too many": (ADD_NETWORK, ["n", "s", "m", "more"], [], '`rocks add network` takes no "more"'),
    "no integer": (ADD_NETWORK, ["n", "s", "m"], [("mtu", "big")], 'mtu must be an integer, not "big"'),
    "no boolean": (ADD_NETWORK, ["n", "s", "m"], [("servedns", "maybe")], 'servedns must be yes or no, not "maybe"'),
    "no choice": (SET_BOOT, ["a"], [("action", "boot")], 'action cannot be "boot"'),
}


@pytest.mark.parametrize(("command", "words", "parameters", "said"), REFUSED.values(), ids=REFUSED)
def test_wrong_words_are_refused(
    command: RocksCommand, words: Sequence[str], parameters: Sequence[tuple[str, str]], said: str
) -> None:
    with pytest.raises(RollbuildError) as refused:
        fill(command, words, parameters)
    assert said in refused.value.message
    assert refused.value.exit_code == USAGE


PLAIN = st.text(st.characters(codec="ascii", exclude_characters="=-"), min_size=1, max_size=8)


@given(
    hosts=st.lists(PLAIN, min_size=1, max_size=4),
    device=PLAIN,
    address=PLAIN,
    named=st.sets(st.sampled_from(["iface", "ip"])),
)
def test_by_name_or_by_place_is_the_same(hosts: list[str], device: str, address: str, named: set[str]) -> None:
    values = {"iface": device, "ip": address}
    words = [*hosts, *(value for name, value in values.items() if name not in named)]
    filled = fill(SET_IP, words, [(name, values[name]) for name in sorted(named)])
    assert (filled.arguments, filled.parameters) == (tuple(hosts), values)


@given(st.lists(st.text(max_size=12), max_size=6))
def test_no_words_break_the_grammar(argv: list[str]) -> None:
    try:
        line = split_line(argv)
        found = find_command(line.words, COMMANDS)
        for command in (SET_IP, ADD_NETWORK, LIST_HOST):
            fill(command, found.rest, line.parameters)
    except RollbuildError as refusal:
        assert refusal.exit_code == USAGE
