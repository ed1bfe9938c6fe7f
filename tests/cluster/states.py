"""Strategies for whole configurations, as the database can hold them."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from rollbuild.cluster import (
    Appliance,
    BootAction,
    Interface,
    Network,
    Route,
    VirtualMachine,
    VmDisk,
    add_alias,
    add_appliance,
    add_host,
    add_interface,
    add_network,
    add_route,
    add_vm,
    put_boot_action,
    remove_appliance,
    remove_boot_action,
    set_attributes,
    set_boot,
    set_host,
)

# Each example makes databases: few are enough for every run, and looking for a smaller one would take minutes.
QUICKLY = settings(
    deadline=None,
    max_examples=5,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

ODD = st.sampled_from(
    (
        *(
            "",
            "a=b",
            "-x",
            "--help",
            "help",
            "select name",
            "two\nlines",
            'it\'s "quoted"',
            "$(id) `id` \\",
            "yes",
            "007",
        ),
        *("~", "null", "é ☃", " blanks ", "# no remark", "a: b", "- c", "NULL", "tab\there", "x" * 300, "\x85", "[a"),
    )
)
NAMES = st.sampled_from(["selinux", "a=b", "x-y", "help", "-z", "select", "é", "yes", "null", "name", "Kickstart_Lang"])
VALUES = st.dictionaries(NAMES, ODD, max_size=3)
LINE = ODD.filter(lambda text: text.isprintable())


@st.composite
def fillings(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Calls that fill a fresh database: (function, arguments..., keywords)."""
    calls: list[tuple[Any, ...]] = []

    def call(function: Any, *arguments: Any, **keywords: Any) -> None:
        calls.append((function, arguments, keywords))

    if draw(st.booleans()):
        call(remove_appliance, "nas")
    if draw(st.booleans()):
        call(remove_appliance, "login")
        call(add_appliance, Appliance("login", "Gate, of 'all'", root="gate", is_public=draw(st.booleans())))
    call(add_appliance, Appliance("gpu", "GPU Node", "other", "gpu"))
    zones = draw(st.sampled_from(["", "local"]))
    call(add_network, Network("private", "10.1.0.0", "255.255.0.0", draw(st.sampled_from([1500, 9000])), zones, True))
    call(add_network, Network("vm", "10.2.0.0", "255.255.255.0", zone="vm.example.org"))
    call(put_boot_action, BootAction("install vm", draw(LINE), "initrd", draw(LINE)))
    call(put_boot_action, BootAction("os", "localboot 1"))
    if draw(st.booleans()):
        call(remove_boot_action, "rescue")
    hosts = draw(st.lists(st.sampled_from(["vm", "interface", "compute-0-0", "compute-0-10", "gpu-1-2"]), unique=True))
    call(add_host, "box", appliance="vm-container", rack=0, rank=0)
    for number, name in enumerate(hosts):
        call(add_host, name, appliance=draw(st.sampled_from(["compute", "gpu"])), rack=number, rank=3, arch="aarch64")
        fields = {"cpus": draw(st.sampled_from([1, 64])), "comment": draw(LINE)}
        actions = st.sampled_from(["", "os", "install", "install vm"])
        call(set_host, name, **fields, run_action=draw(actions), install_action=draw(actions))
        if draw(st.booleans()):
            call(add_alias, name, f"alias-{number}")
        own = Interface(name, "eth0", f"52:54:00:00:00:{number:02x}", f"10.1.0.{number + 1}", "private")
        call(add_interface, own)
        plain = draw(
            st.sampled_from([Interface(name, "bond0.5", vlan=0), Interface(name, "eth1", vlan=5, network="vm")])
        )
        more = draw(st.booleans())
        if more:
            plain = replace(plain, options=draw(LINE), channel="bond0", module="e1000", name=f"{name}-x")
        call(add_interface, plain)
        call(set_attributes, "host", name, draw(VALUES))
        call(set_boot, name, draw(st.sampled_from(["os", "install", "rescue"])))
    for number in range(draw(st.integers(0, 2))):
        name = f"compute-0-0-{number}"
        disks = (VmDisk("file", f"/disks/{number}.hda", "hda"), VmDisk("phy", "vg/a", "xvdb", "r", 7))
        call(add_host, name, appliance="compute", rack=0, rank=0, is_vm=True)
        call(
            add_vm,
            VirtualMachine(
                *(name, "box", 3 - number, 2048, draw(st.sampled_from(["", "pvh"])), "", disks[number:]),
                saved="/disks/1.saved" if number else "",
            ),
        )
    for scope, key in (("global", ""), ("os", "linux"), ("appliance", "gpu"), ("rack", "12")):
        call(set_attributes, scope, key, draw(VALUES))
        if draw(st.booleans()):
            call(add_route, Route(scope, key, "10.9.0.0/16", "10.1.0.250"))
            call(add_route, Route(scope, key, "224.0.0.0/4", network="private"))
    call(add_route, Route("host", "box", "0.0.0.0/0", "10.1.0.251"))
    return calls


def fill(c: Connection, calls: list[tuple[Any, ...]]) -> None:
    for function, arguments, keywords in calls:
        function(c, *arguments, **keywords)
