"""Kickstarts of the database's hosts: the same as `rollbuild compile` makes, always of the newest, made once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import rollbuild.frontend.kickstartinputs as kickstartinputs
from rollbuild.cluster import Appliance as ClusterAppliance
from rollbuild.cluster import (
    AttributeRow,
    Interface,
    add_appliance,
    add_host,
    add_interface,
    find_appliance,
    list_attributes,
    list_hosts,
    list_interfaces,
    list_networks,
    resolve_attributes,
    set_attribute,
    set_host,
)
from rollbuild.distribution import find_generation, read_provenance, read_roll_data
from rollbuild.distribution.repofile import describe_rolls
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.frontend import FrontEnd, KickstartMaker, kickstart_url, open_front_end
from rollbuild.frontend.serviceurls import service_attributes
from rollbuild.frontend.templatedata import describe_cluster, describe_hosts, primary_interface
from rollbuild.language import AttributeSet
from rollbuild.rolls import Store
from rollbuild.workspace import make_workspace
from tests.conftest import Outcome
from tests.frontend.service.conftest import (
    HOST,
    OTHER,
    Service,
    copy_of_store,
    made,
    make_generation,
    root,
    service,
)
from tests.stores import add_roll

__all__ = ["made", "root", "service"]

TOKEN = "a-token_of-43-characters-as-the-service-has"
Rollbuild = Callable[..., Outcome]


def compile_by_hand(front_end: FrontEnd, hosts: list[str], folder: Path, rollbuild: Rollbuild) -> dict[str, bytes]:
    """What `rollbuild compile --hosts` makes of the same inputs, written to files."""
    generation = find_generation(front_end.store, "cluster")
    with front_end.database.reading() as c:
        rows = list_attributes(c)
        known = {host: resolve_attributes(c, host) for host in hosts}
        data = describe_cluster(list_hosts(c), list_interfaces(c), list_networks(c), AttributeSet())
    files = {
        "attributes.yaml": tree_of(rows, {"Kickstart_PrivateKickstartHost": "10.1.1.1"}),
        "hosts.yaml": {
            "hosts": [
                {
                    "name": host,
                    "appliance": values["appliance"][0],
                    "attributes": {
                        **{name: value for name, (value, source) in values.items() if source == "I"},
                        "install_token": TOKEN,
                    },
                }
                for host, values in known.items()
            ]
        },
        "data.yaml": {**data, "rolls": read_roll_data(generation)},
    }
    for name, content in files.items():
        (folder / name).write_text(yaml.safe_dump(content))
    done = rollbuild(
        *("compile", "--rolls", generation.folder / "description", "--attrs", folder / "attributes.yaml"),
        *("--hosts", folder / "hosts.yaml", "--data", folder / "data.yaml", "-o", folder / "out"),
        *("--os-release", read_provenance(generation.folder).os_release),
    )
    assert done.code == 0, done.err
    return {path.stem: path.read_bytes() for path in (folder / "out").iterdir()}


def tree_of(rows: tuple[AttributeRow, ...], site: dict[str, str]) -> dict[str, Any]:
    """Rows as a file of attributes, with what the service adds below."""
    found: dict[str, Any] = {"global": service_attributes(site)}
    for row in rows:
        if row.scope == "global":
            found["global"][row.name] = row.value
        else:
            found.setdefault(row.scope, {}).setdefault(row.key, {})[row.name] = row.value
    return found


def test_they_are_those_of_a_compile(service: Service, tmp_path: Path, rollbuild: Rollbuild) -> None:
    for scope, key, name, value in (
        ("global", "", "note", "for all"),
        ("appliance", "compute", "size", "200"),
        ("rack", "0", "extra", "unused"),
        ("host", OTHER, "note", 'it\'s "quoted" & `odd`  \\'),
        ("host", OTHER, "size", "300"),
    ):
        service.set(scope, key, name, value)
    ca = service.root / "etc/rollbuild/ca/ca.pem"
    ca.parent.mkdir(parents=True)
    ca.write_text("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n")
    hosts = [HOST, OTHER]
    expected = compile_by_hand(service.front_end, hosts, tmp_path, rollbuild)
    found = {host: service.work.maker.render(host, token=TOKEN) for host in hosts}
    assert found == expected
    assert b"200" in found[HOST] and b"300" in found[OTHER] and TOKEN.encode() in found[HOST]


def test_a_change_is_seen_at_once(service: Service) -> None:
    maker = service.work.maker
    assert b"echo 'plain'" in maker.render(HOST)
    service.set("global", "", "note", "changed")
    assert b"echo 'changed'" in maker.render(HOST)
    service.set("host", HOST, "note", "its own")
    assert b"echo 'its own'" in maker.render(HOST)
    assert b"echo 'changed'" in maker.render(OTHER)
    assert b"4 hosts" in maker.render(HOST)
    with service.front_end.database.writing("add") as c:
        add_host(c, "compute-0-9", appliance="compute", rack=0, rank=9)
        add_interface(c, Interface("compute-0-9", "eth0", "52:54:00:aa:10:09", "10.1.255.9", "private"))
    assert b"5 hosts" in maker.render(HOST)
    assert b"10.1.255.9 52:54:00:aa:10:09" in maker.render("compute-0-9")
    with service.front_end.database.writing("rename") as c:
        set_host(c, "compute-0-9", name="compute-0-8")
    assert b"rb_host='compute-0-8'" in maker.render("compute-0-8")
    with pytest.raises(RollbuildError, match="compute-0-9"):
        maker.render("compute-0-9")


def test_a_new_generation_is_seen_at_once(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = copy_of_store(service.front_end.store, tmp_path)
    maker = KickstartMaker(FrontEnd(service.front_end.database, store))
    assert b"extra" not in maker.render(HOST)
    node = '<kickstart><main><bootloader>--append="extra"</bootloader></main></kickstart>\n'
    graph = '<graph><edge from="base" to="more"/></graph>\n'
    add_roll(
        store, "more", profile={"roll.yaml": "name: more\n", "nodes/more.xml": node, "graphs/default/m.xml": graph}
    )
    make_generation(store)
    assert b"extra" in maker.render(HOST)


def test_which_distribution(service: Service, tmp_path: Path) -> None:
    store = copy_of_store(service.front_end.store, tmp_path)
    maker = KickstartMaker(FrontEnd(service.front_end.database, store))
    make_generation(store, "second")
    with pytest.raises(RollbuildError, match="several distributions"):
        maker.render(HOST)
    service.set("appliance", "compute", "distribution", "second")
    assert b"rb_host" in maker.render(HOST)
    service.set("host", HOST, "distribution", "third")
    with pytest.raises(RollbuildError, match="there is no distribution third"):
        maker.render(HOST)
    assert b"rb_host" in maker.render(OTHER)


def test_an_appliance_of_the_database_alone(service: Service) -> None:
    with service.front_end.database.writing("add") as c:
        root = find_appliance(c, "compute").root
        add_appliance(c, ClusterAppliance("visual", "Visual", "default", root, True))
        add_host(c, "visual-0-0", appliance="visual", rack=0, rank=0)
        add_host(c, "switch-0-0", appliance="network", rack=0, rank=0)
    assert b"appliance visual" in service.work.maker.render("visual-0-0")
    with pytest.raises(RollbuildError, match="hosts of the appliance network have no Kickstart"):
        service.work.maker.render("switch-0-0")


def test_one_compile_for_many_requests(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"read": 0, "check": 0}
    real, check = make_workspace, KickstartMaker._check

    def count(*arguments: Any, **named: Any) -> Any:
        counts["read"] += 1
        return real(*arguments, **named)

    def count_checks(*arguments: Any) -> Any:
        counts["check"] += 1
        return check(*arguments)

    monkeypatch.setattr(kickstartinputs, "make_workspace", count)
    monkeypatch.setattr(KickstartMaker, "_check", count_checks)
    texts: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: texts.append(service.work.maker.render(HOST, token=TOKEN))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(texts), len(set(texts))) == (16, 1)
    assert counts == {"read": 1, "check": 1}
    # Another host, and hosts that are added, change nothing about the plan.
    service.work.maker.render(OTHER, token=TOKEN)
    service.order(OTHER, "os")
    service.work.maker.render(OTHER, token=f"another_{TOKEN}")
    service.work.maker.findings(OTHER)
    assert counts == {"read": 1, "check": 1}


def test_what_is_wrong_for_all_is_looked_at_twice_at_most(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.set("appliance", "compute", "size", "many")
    checks = []
    check = KickstartMaker._check

    def count(*arguments: Any) -> Any:
        checks.append(arguments)
        return check(*arguments)

    monkeypatch.setattr(KickstartMaker, "_check", count)
    for host in (HOST, OTHER, "compute-0-2", HOST, OTHER):
        with pytest.raises(FindingsError, match="size: must be a whole number"):
            service.work.maker.render(host)
    assert len(checks) == 2
    service.set("appliance", "compute", "size", "1")
    service.work.maker.render(HOST)


def test_what_is_shown_holds_no_secret(service: Service) -> None:
    service.set("global", "", "root_password", "$6$salt$thehash")
    assert b"thehash" in service.work.maker.render(HOST)
    profile = service.work.maker.explain(HOST)
    assert "thehash" not in profile.text and "(hidden)" in profile.text
    places = {line.location.file for section in profile.sections for line in section.lines if line.location}
    assert any(place.endswith("base.xml") for place in places)
    assert [finding.code for finding in service.work.maker.findings(HOST) if str(finding.severity) == "error"] == []


def test_where_a_kickstart_is() -> None:
    assert kickstart_url({"Kickstart_PrivateKickstartHost": "10.1.1.1"}, HOST) == "http://10.1.1.1/ks/compute-0-0"


@pytest.mark.parametrize(
    ("value", "start"),
    [(value, "https://h:8443/") for value in ("yes", "True", " on ", "1", "y", "perhaps")]
    + [(value, "http://h/") for value in ("no", "False", "off", "0", "", " ")],
)
def test_the_attribute_says_whether_it_comes_over_tls(value: str, start: str) -> None:
    found = {"kickstart_tls": value, "Kickstart_PrivateKickstartHost": "other"}
    assert kickstart_url(found, "t/x", server="h") == f"{start}ks/t/x"


def test_roll_data_is_that_of_the_generation(service: Service) -> None:
    generation = find_generation(service.front_end.store, "cluster")
    (roll,) = read_roll_data(generation)
    assert roll == {
        "name": "base",
        "id": "rollbuild-roll-base",
        "version": "1.0",
        "release": "1",
        "path": "rolls/base",
        "url": "",
        "priority": roll["priority"],
        "gpgcheck": False,
        "gpgkey": [],
        "module_hotfixes": False,
    }
    text = (generation.folder / "rollbuild.repo").read_text()
    assert f"priority={roll['priority']}\n" in text.split("[rollbuild-roll-base]")[1]
    assert describe_rolls([], {}, "") == []


def test_hosts_as_templates_see_them() -> None:
    from rollbuild.cluster import Host

    host = Host("compute-1-0", "compute", "Compute", 1, 0, cpus=16)
    interfaces = [
        Interface("compute-1-0", "bond0", "", "10.1.9.9", "private"),
        Interface("compute-1-0", "eth0", "52:54:00:00:00:01", channel="bond0"),
        Interface("compute-1-0", "eth1", "52:54:00:00:00:02", channel="bond0"),
        Interface("compute-1-0", "bond0.7", "", "10.7.0.9", "storage", vlan=7),
        Interface("compute-1-0", "ib0", ":".join(["80"] * 20), "10.3.0.9", "ipoib"),
    ]
    attributes = AttributeSet.of("global", {"memory": "64000"}).merge(
        AttributeSet.of("rack", {"memory": "128000", "gpus": "2"}, key="1")
    )
    (entry,) = describe_hosts([host], interfaces, attributes)
    assert {key: entry[key] for key in ("name", "address", "cpus", "memory", "gpus", "rack")} == {
        "name": "compute-1-0",
        "address": "10.1.9.9",
        "cpus": 16,
        "memory": 128000,
        "gpus": 2,
        "rack": 1,
    }
    by_name = {item["name"]: item for item in entry["interfaces"]}
    assert by_name["bond0"]["ports"] == ["eth0", "eth1"] and by_name["bond0"]["type"] == "bond"
    assert by_name["bond0.7"] == {
        "name": "bond0.7",
        "address": "10.7.0.9",
        "network": "storage",
        "type": "vlan",
        "parent": "bond0",
        "vlan": 7,
    }
    assert by_name["ib0"]["type"] == "infiniband"
    assert primary_interface([]) is None
    (plain,) = describe_hosts([Host("a", "compute", "Compute", 0, 0)], [], AttributeSet())
    assert not {"cpus", "memory", "address", "mac", "interfaces"} & plain.keys()


SOURCES = Path(__file__).parents[2]


@pytest.mark.long
def test_shipped_rolls_give_those_of_a_compile(
    service: Service, tmp_path: Path, rollbuild: Rollbuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copy_of_store(service.front_end.store, tmp_path)
    for folder in sorted((SOURCES / "rolls").iterdir()):
        texts = {
            str(path.relative_to(folder)): path.read_text()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "tests" not in path.parts and "packages" not in path.parts
        }
        add_roll(store, folder.name, "9.0", profile=texts)
    graphs = {f"graphs/default/{path.name}": path.read_text() for path in (SOURCES / "graphs/default").glob("*.xml")}
    add_roll(store, "appliances", profile={"roll.yaml": "name: appliances\n", **graphs})
    make_generation(store)
    with service.front_end.database.writing("set") as c:
        set_attribute(c, "global", "", "ssh_root_keys", "ssh-ed25519 AAAA admin@example.org")
    ca = service.root / "etc/rollbuild/ca/ca.pem"
    ca.parent.mkdir(parents=True)
    ca.write_text("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n")
    front_end = FrontEnd(service.front_end.database, store)
    expected = compile_by_hand(front_end, [HOST, OTHER], tmp_path, rollbuild)
    maker = KickstartMaker(front_end)
    assert {host: maker.render(host, token=TOKEN) for host in (HOST, OTHER)} == expected


def test_the_front_end_may_be_elsewhere(root: Path) -> None:
    front_end = open_front_end()
    with front_end.database:
        assert isinstance(front_end.store, Store)
        assert b"rb_host" in KickstartMaker(front_end).render(HOST)
