"""`rocks set host interface ...`: one command for each field of an interface."""

from typing import Any

from rollbuild.commands.rocks._changing import NOTHING, ONE_HOST, find_one_host
from rollbuild.commands.rocks._command import Argument, Call, RocksCommand
from rollbuild.commands.rocks.add_host import find_network_of, read_vlan
from rollbuild.errors import RollbuildError


def _setter(word: str, field: str, summary: str, example: str, *, which: str = "iface") -> RocksCommand:
    def run(call: Call) -> None:
        from rollbuild.cluster import find_interface, set_interface

        text = call.parameters[word]
        value: Any = "" if text == NOTHING else text
        fields: dict[str, Any] = {field: read_vlan(value) if field == "vlan" else value}
        with call.writing() as connection:
            host = find_one_host(call, connection)
            interface = find_interface(connection, host, call.parameters[which])
            if field == "address" and value and not interface.network:
                fields["network"] = find_network_of(connection, value)
            if field == "network" and not value and interface.address:
                hint = f"rocks set host interface ip {host} {interface.device} {NOTHING}"
                raise RollbuildError(
                    f"{interface.device} of {host} has the address {interface.address}: it needs a network", hint=hint
                )
            set_interface(connection, host, interface.device, **fields)

    clears = "" if field == "device" else f" {NOTHING} clears it."
    return RocksCommand(
        f"set host interface {word}",
        run,
        arguments=(
            ONE_HOST,
            Argument(which, "The interface: its device or MAC.", is_named=True),
            Argument(word, f"{summary}{clears}", is_named=True),
        ),
        description=f"Set an interface's {_PLAIN.get(word, word)}. `rocks sync host network` brings it to the host.",
        examples=((f"rocks set host interface {word} {example}", ""),),
        changes=True,
    )


_PLAIN = {"ip": "address", "mac": "MAC", "subnet": "network", "vlan": "VLAN", "iface": "device"}

IP = _setter("ip", "address", "The new address.", "compute-0-0 eth1 10.2.0.4")
MAC = _setter("mac", "mac", "The new MAC.", "compute-0-0 eth0 52:54:00:aa:10:07")
NAME = _setter("name", "name", "A name of its own, without its domain.", "login-0-0 eth1 gateway")
SUBNET = _setter("subnet", "network", "The name of the network that it is on.", "compute-0-0 eth1 public")
MODULE = _setter("module", "module", "The kernel module that drives it.", "compute-0-0 eth0 e1000")
VLAN = _setter("vlan", "vlan", "The number of its VLAN.", "vm-container-0-0 vlan2 2")
OPTIONS = _setter("options", "options", "Options of its module, or of a bond.", "compute-0-0 bond0 options=mode=1")
CHANNEL = _setter("channel", "channel", "Its channel, or the bond that it belongs to.", "compute-0-0 eth1 bond0")
IFACE = _setter("iface", "device", "The new device.", "compute-0-0 52:54:00:aa:10:07 eno1", which="mac")
