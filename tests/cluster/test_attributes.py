from pathlib import Path

import pytest
from sqlalchemy import Connection

from rollbuild.cluster import (
    INTRINSIC,
    Database,
    add_attribute,
    add_host,
    add_interface,
    attribute_set,
    list_attributes,
    list_hosts,
    remove_appliance,
    remove_attribute,
    remove_host,
    resolve_attributes,
    resolve_many,
    set_attribute,
    set_attributes,
    set_host,
)
from rollbuild.cluster.values import Interface
from rollbuild.compiler import Target
from rollbuild.errors import RollbuildError
from rollbuild.language import read_attributes
from rollbuild.location import Location
from tests.compiler.cases import compiler_of

LAYERS = (("global", ""), ("os", "linux"), ("appliance", "compute"), ("rack", "0"), ("host", "compute-0-0"))


def test_the_narrowest_scope_wins(cluster: Database) -> None:
    with cluster.writing("test") as c:
        for number, (scope, key) in enumerate(LAYERS):
            for name in ("a", "b", "c", "d", "e")[number:]:
                set_attribute(c, scope, key, name, scope)
        found = resolve_attributes(c, "compute-0-0", {"a": "roll", "f": "roll"})
        other = resolve_attributes(c, "granite")
    assert {name: found[name] for name in "abcdef"} == {
        "a": ("global", "G"),
        "b": ("os", "O"),
        "c": ("appliance", "A"),
        "d": ("rack", "R"),
        "e": ("host", "H"),
        "f": ("roll", "D"),
    }
    assert other["c"] == ("os", "O")
    assert other["d"] == ("rack", "R")
    assert list(found) == sorted(found)


def test_what_a_host_is_by_itself(cluster: Database) -> None:
    with cluster.writing("test") as c:
        add_host(c, "compute-1-7", appliance="compute", rack=1, rank=7, cpus=4, arch="aarch64")
        add_interface(c, Interface("compute-1-7", "eth1", "52:54:00:aa:11:08", "10.1.3.9", "private", vlan=5))
        add_interface(c, Interface("compute-1-7", "eth2", "52:54:00:aa:11:07", "10.1.3.7", "private"))
        add_interface(c, Interface("compute-1-7", "eth0", "", "10.1.3.8", "private"))
        found = resolve_attributes(c, "compute-1-7", {"rack": "9", "hostaddr": "roll"})
    assert {name: value for name, (value, source) in found.items() if source == "I"} == {
        "hostname": "compute-1-7",
        "rack": "1",
        "rank": "7",
        "cpus": "4",
        "appliance": "compute",
        "membership": "Compute",
        "arch": "aarch64",
        "os": "linux",
        "hostaddr": "10.1.3.7",
        "ksmac": "52:54:00:aa:11:07",
    }


def test_a_host_without_an_interface_has_empty_addresses(database: Database) -> None:
    with database.writing("test") as c:
        add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)
        found = resolve_attributes(c, "compute-0-0")
    assert (found["hostaddr"], found["ksmac"]) == (("", "I"), ("", "I"))


def test_all_hosts_at_once_say_the_same(cluster: Database) -> None:
    with cluster.writing("test") as c:
        set_attribute(c, "host", "compute-0-1", "x", "1")
        set_attribute(c, "rack", "0", "x", "0")
        many = dict(resolve_many(c, None, {"y": "2"}))
        assert list(many) == [host.name for host in list_hosts(c)]
        assert many == {name: resolve_attributes(c, name, {"y": "2"}) for name in many}


@pytest.mark.parametrize("name", INTRINSIC)
@pytest.mark.parametrize(("scope", "key"), [("global", ""), ("host", "compute-0-0")])
def test_what_a_host_is_by_itself_cannot_be_set(cluster: Database, name: str, scope: str, key: str) -> None:
    with cluster.writing("test") as c, pytest.raises(RollbuildError, match="by itself") as caught:
        set_attribute(c, scope, key, name, "x")
    assert "rocks set host" in caught.value.hint
    assert (key or "HOST") in caught.value.hint


@pytest.mark.parametrize(
    ("scope", "key", "name", "value", "message"),
    [
        ("global", "", "", "x", "has no name"),
        ("global", "", "a b", "x", "cannot be the name"),
        ("global", "", "a\nb", "x", "cannot be the name"),
        ("global", "", "a" * 129, "x", "longer than 128"),
        ("global", "", "a", "x\0y", "NUL"),
        ("global", "", "a", "x" * (1024 * 1024 + 1), "longer than"),
        ("global", "", "a", "\udc80", "Unicode"),
        ("host", "compute-0-9", "a", "x", "compute-0-9"),
        ("host", "", "a", "x", "not in cluster"),
        ("appliance", "computer", "a", "x", "no appliance"),
        ("rack", "zero", "a", "x", "rack"),
        ("rack", "-1", "a", "x", "rack"),
        ("os", "../x", "a", "x", "OS"),
        ("planet", "x", "a", "x", "scope"),
    ],
)
def test_refused(cluster: Database, scope: str, key: str, name: str, value: str, message: str) -> None:
    with pytest.raises(RollbuildError, match=message), cluster.writing("test") as c:
        set_attribute(c, scope, key, name, value)
    with cluster.reading() as c:
        assert list_attributes(c) == ()


def test_setting_adding_removing(cluster: Database) -> None:
    with cluster.writing("test") as c:
        assert set_attribute(c, "global", "", "x", "")
        assert not set_attribute(c, "global", "", "x", "")
        assert set_attribute(c, "global", "", "x", "two\nlines")
        with pytest.raises(RollbuildError, match="set already"):
            add_attribute(c, "global", "", "x", "1")
        add_attribute(c, "rack", "007", "x", "1")
        add_attribute(c, "appliance", "VM Container", "x", "1")
        assert set_attributes(c, "global", "", {"x": "1", "y": "2", "z": ""}) == ("x", "y", "z")
        assert set_attributes(c, "global", "", {"x": "1", "y": "3"}) == ("y",)
        remove_attribute(c, "global", "", "z")
        with pytest.raises(RollbuildError, match="not set") as caught:
            remove_attribute(c, "rack", "7", "xx")
        assert "did you mean x?" in caught.value.hint
        rows = [(row.scope, row.key, row.name, row.value) for row in list_attributes(c)]
    assert rows == [
        ("global", "", "x", "1"),
        ("global", "", "y", "3"),
        ("appliance", "vm-container", "x", "1"),
        ("rack", "7", "x", "1"),
    ]


def test_racks_are_listed_in_the_order_of_numbers(cluster: Database) -> None:
    with cluster.writing("test") as c:
        for rack in ("10", "9", "100"):
            set_attribute(c, "rack", rack, "x", rack)
        assert [row.key for row in list_attributes(c, "rack")] == ["9", "10", "100"]


@pytest.mark.parametrize(
    ("scope", "key", "changed"),
    [
        ("global", "", {"granite", "compute-0-0", "compute-0-1", "compute-0-2"}),
        ("appliance", "frontend", {"granite"}),
        ("os", "sunos", set()),
        ("rack", "0", {"granite", "compute-0-0", "compute-0-1", "compute-0-2"}),
        ("rack", "1", set()),
        ("host", "compute-0-1", {"compute-0-1"}),
    ],
)
def test_the_hosts_that_an_attribute_changes(cluster: Database, scope: str, key: str, changed: set[str]) -> None:
    for act in (_set, _remove):
        with cluster.reading() as c:
            before = {host.name: host.changed for host in list_hosts(c)}
        with cluster.writing("test") as c:
            act(c, scope, key)
        with cluster.reading() as c:
            assert {host.name for host in list_hosts(c) if host.changed != before[host.name]} == changed
    assert act is _remove


def _set(c: Connection, scope: str, key: str) -> None:
    set_attribute(c, scope, key, "x", "1")


def _remove(c: Connection, scope: str, key: str) -> None:
    remove_attribute(c, scope, key, "x")


def test_they_go_with_their_host_and_appliance(cluster: Database) -> None:
    with cluster.writing("test") as c:
        for host in ("compute-0-0", "compute-0-1"):
            set_attribute(c, "host", host, "x", host)
        set_attribute(c, "appliance", "nas", "x", "1")
        set_host(c, "compute-0-0", name="compute-0-8")
        remove_host(c, "compute-0-1")
        remove_appliance(c, "nas")
        assert [(row.key, row.value) for row in list_attributes(c)] == [("compute-0-8", "compute-0-0")]
        assert resolve_attributes(c, "compute-0-8")["x"] == ("compute-0-0", "H")


def test_an_unknown_host(cluster: Database) -> None:
    with cluster.reading() as c, pytest.raises(RollbuildError, match="compute-0-7"):
        resolve_attributes(c, "compute-0-7")


SITE = """
global:
  selinux: permissive
  Kickstart_Timezone: Etc/UTC
  Info_ClusterName: "a & b"
  motd: |
    two
    lines
os:
  linux: {Kickstart_Keyboard: de}
appliance:
  compute: {selinux: enforcing, empty: ""}
rack:
  0: {where: cellar}
host:
  compute-0-0: {where: shelf}
"""
ROLL = {
    "site/nodes/compute.xml": """<kickstart><package cond="selinux == 'enforcing'">setools</package>
      <main><timezone>&Kickstart_Timezone;</timezone></main>
      <post>echo "&where; &Kickstart_Keyboard; &empty; &hostname; &hostaddr; &Info_ClusterName;"
cat &gt;/etc/motd &lt;&lt;'END'
&motd;END
</post></kickstart>""",
    "site/nodes/more.xml": "<kickstart><package>bash</package></kickstart>",
    "site/graphs/default/x.xml": "<graph><edge from='compute' to='more'/></graph>",
}


def test_it_compiles_as_the_same_attributes_of_a_file(cluster: Database, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    from_file = read_attributes(tmp_path / "site.yaml")
    with cluster.writing("load") as c:
        for (scope, key), layer in from_file.layers.items():
            set_attributes(c, scope, key, {name: attribute.value for name, attribute in layer.items()})
    with cluster.reading() as c:
        from_database = attribute_set(c)
        own = {name: value for name, (value, source) in resolve_attributes(c, "compute-0-0").items() if source == "I"}
    assert from_database.layers.keys() == from_file.layers.keys()
    compiler = compiler_of(tmp_path / "rolls", ROLL)
    kickstarts = []
    for attributes in (from_file, from_database):
        values = attributes.resolve_texts(
            os=own["os"], appliance=own["appliance"], rack=own["rack"], host=own["hostname"]
        )
        profile = compiler.compile(Target("compute-0-0", "compute", "compute", {**values, **own}))
        kickstarts.append(profile.text)
    assert kickstarts[0] == kickstarts[1]
    assert 'echo "shelf de  compute-0-0 10.1.255.254 a & b"' in kickstarts[0]


def test_a_value_tells_which_command_sets_it(cluster: Database) -> None:
    with cluster.writing("test") as c:
        set_attribute(c, "host", "compute-0-0", "x", "1")
        set_attribute(c, "global", "", "x", "1")
        layers = attribute_set(c).layers
    assert layers["host", "compute-0-0"]["x"].location == Location("rocks set host attr compute-0-0 x")
    assert layers["global", ""]["x"].location == Location("rocks set attr x")
