"""dump -> load -> dump is equal, whatever the cluster is like."""

import shlex
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from rollbuild.cluster import (
    Appliance,
    BootAction,
    Database,
    Interface,
    Network,
    Route,
    VirtualMachine,
    add_alias,
    add_appliance,
    add_host,
    add_interface,
    add_network,
    add_route,
    add_vm,
    dump_commands,
    open_database,
    parse_disk,
    put_boot_action,
    remove_appliance,
    remove_boot_action,
    set_attribute,
    set_boot,
    set_host,
)
from rollbuild.commands.rocks import main
from rollbuild.errors import RollbuildError

# Words that a grammar or a shell could take for something else.
_TRAPS = [
    "help",
    "select x",
    "attr=1",
    "--json",
    "-v",
    "--",
    "NULL",
    "none",
    "interface",
    "host",
    "a=b",
    "#x",
    "'",
    '"',
    "$(x)",
    "\\",
    "a\n\tb\n",
    " ",
    "é\u2028",
    "%h",
]
_TEXT = st.one_of(
    st.sampled_from(_TRAPS), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
)
_LINE = _TEXT.filter(str.isprintable)
_NAME = st.one_of(
    st.sampled_from(["interface", "attr", "vm", "help", "route", "host", "boot", "a", "compute-0-0"]),
    st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True),
)
_ATTRIBUTE = st.one_of(
    st.sampled_from(["attr", "help", "--x", "a=b", "select", "api_token", "Kickstart_Lang"]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,8}", fullmatch=True),
)
_SCOPES = st.sampled_from([("global", ""), ("os", "linux"), ("appliance", "compute"), ("rack", "0")])


def draw_cluster(draw: Callable[..., Any], c: Connection) -> None:
    """Fill a database with what hypothesis thinks of; what the database refuses is left out."""

    def attempt(function: Callable[..., object], *arguments: object, **values: object) -> None:
        with suppress(RollbuildError):
            function(c, *arguments, **values)

    attempt(add_network, Network("private", "10.1.0.0", "255.255.0.0", 1500, "cluster.internal", True))
    for number, name in enumerate(draw(st.lists(_NAME, max_size=2, unique=True))):
        zone = draw(st.sampled_from(["", f"zone{number}.example.org"]))
        attempt(add_network, Network(name, f"10.{number + 2}.0.0", "255.255.0.0", 9000, zone, draw(st.booleans())))
    for name in draw(st.lists(_NAME, max_size=2)):
        attempt(
            add_appliance,
            Appliance(name, draw(_LINE), "default", draw(st.sampled_from(["", "node"])), draw(st.booleans())),
        )
    if draw(st.booleans()):
        attempt(remove_appliance, draw(st.sampled_from(["nas", "power", "hosted-vm"])))
    for label in draw(st.lists(_LINE, max_size=2)):
        attempt(put_boot_action, BootAction(label, draw(_LINE), draw(_LINE), draw(_LINE)))
    hosts = draw(st.lists(_NAME, max_size=4, unique=True))
    for number, name in enumerate(hosts):
        attempt(
            add_host,
            name,
            appliance=draw(st.sampled_from(["compute", "Login", "VM Container"])),
            rack=draw(st.integers(0, 2)),
            rank=number,
            cpus=draw(st.integers(1, 9)),
            comment=draw(_LINE),
        )
        for place in range(draw(st.integers(0, 2))):
            device = draw(st.sampled_from([f"eth{place}", f"bond{place}", f"eth{place}.7", "help"]))
            address = f"10.1.{number}.{place + 1}" if draw(st.booleans()) else ""
            mac = f"52:54:00:00:{number:02x}:{place:02x}" if draw(st.booleans()) else ""
            vlan = draw(st.sampled_from([None, 0, 7]))
            attempt(
                add_interface,
                Interface(
                    name,
                    device,
                    mac,
                    address,
                    "private",
                    draw(st.sampled_from(["", f"i{number}{place}"])),
                    "",
                    vlan,
                    draw(_LINE),
                    draw(_LINE),
                ),
            )
        attempt(set_attribute, "host", name, draw(_ATTRIBUTE), draw(_TEXT))
        attempt(add_alias, name, draw(_NAME))
        attempt(set_boot, name, draw(st.sampled_from(["os", "install", "rescue"])))
        attempt(
            set_host,
            name,
            run_action=draw(st.sampled_from(["", "os", "rescue"])),
            arch=draw(st.sampled_from(["x86_64", "aarch64"])),
        )
        attempt(add_route, Route("host", name, "10.77.0.0/16", "10.1.0.9"))
    for scope, key in draw(st.lists(_SCOPES, max_size=3)):
        attempt(set_attribute, scope, key, draw(_ATTRIBUTE), draw(_TEXT))
        attempt(add_route, Route(scope, key, "224.0.0.0/4", network="private"))
    if len(hosts) > 1 and draw(st.booleans()):
        attempt(add_host, "vm-0-0-0", appliance="compute", rack=0, rank=0, is_vm=True)
        disks = (parse_disk("file:/vm/a.hda,hda,w", 36), parse_disk("phy:vg/b,hdb,r", 7))
        attempt(add_vm, VirtualMachine("vm-0-0-0", hosts[0], 0, 2048, "hvm", "", disks[: draw(st.integers(0, 2))]))
    if draw(st.booleans()):
        attempt(remove_boot_action, draw(st.sampled_from(["rescue", "install"])))


def dump(database: Database) -> str:
    with database.reading() as connection:
        return "".join(f"{line}\n" for line in dump_commands(connection))


def check_round_trip(data: st.DataObject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_database(str(folder / "first.db")) as database:
            with database.writing("test") as connection:
                draw_cluster(data.draw, connection)
            first = dump(database)
        (folder / "all.rocks").write_text(first, encoding="utf-8", newline="")
        monkeypatch.setenv("ROLLBUILD_ROOT", str(folder / "root"))
        code = main(["load", str(folder / "all.rocks"), "--database", str(folder / "second.db")])
        assert code == 0, f"{capfd.readouterr().err}\n{first}"
        with open_database(str(folder / "second.db")) as database:
            assert dump(database) == first
        assert all(shlex.split(line)[0] == "rocks" for line in first.splitlines() if line.startswith("rocks add"))


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_dump_load_dump(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    check_round_trip(data, monkeypatch, capfd)


@pytest.mark.long
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_dump_load_dump_of_many(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    check_round_trip(data, monkeypatch, capfd)
