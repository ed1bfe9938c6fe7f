"""`rocks list ...`: what is in the database, the command line, and exactly what it prints."""

import json
import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.cluster import begin_install, hold_host, note_discovery, open_database, record_event
from rollbuild.commands.rocks._output import Layout, print_table, table_data
from tests.clusters import make_cluster
from tests.conftest import Outcome, Run


@pytest.fixture
def rocks(rocks: Run, unchanged_cluster: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `rocks ARGV...` on the made-up cluster."""
    monkeypatch.setenv("ROLLBUILD_ROOT", str(unchanged_cluster))
    monkeypatch.setenv("COLUMNS", "100")
    return rocks


# A bar ends each line: what pads the last column shows.
TABLES = {
    "list host": """\
HOST              MEMBERSHIP   CPUS RACK RANK RUNACTION INSTALLACTION|
compute-0-0:      Compute      4    0    0    os        install      |
compute-0-0-0:    Compute      1    0    0    os        install vm   |
compute-0-0-1:    Compute      2    0    0    os        install vm   |
granite:          Frontend     8    0    0    os        install      |
hosted-vm-0-1-0:  Hosted VM    1    0    1    --------- install vm   |
vm-container-0-0: VM Container 16   0    0    os        install      |
vm-container-0-1: VM Container 16   0    1    os        install      |
""",
    "list host compute-0-0": """\
MEMBERSHIP CPUS RACK RANK RUNACTION INSTALLACTION|
Compute    4    0    0    os        install      |
""",
    "LIST Host COMPUTE-0-0": """\
MEMBERSHIP CPUS RACK RANK RUNACTION INSTALLACTION|
Compute    4    0    0    os        install      |
""",
    "list host vm-container output-col=host,cpus output-header=no": """\
vm-container-0-0: 16|
vm-container-0-1: 16|
""",
    "list host c0 10.1.255.254 output-col=rack": """\
RACK|
0   |
0   |
""",
    "list host interface granite vm-container-0-0": """\
HOST              SUBNET  IFACE MAC               IP           NETMASK       MODULE NAME             VLAN OPTIONS CHANNEL|
granite:          private eth0  52:54:00:aa:00:01 10.1.1.1     255.255.0.0   e1000  granite          ---- ------- -------|
granite:          public  eth1  52:54:00:aa:00:02 203.0.113.77 255.255.255.0 e1000  granite          ---- ------- -------|
vm-container-0-0: private eth0  52:54:00:aa:10:00 10.1.255.254 255.255.0.0   ------ vm-container-0-0 ---- ------- -------|
vm-container-0-0: private vlan2 ----------------- ------------ ------------- ------ ---------------- 2    ------- -------|
""",  # noqa: E501 - the lines are as wide as they are
    "list host boot compute-0-0 vm-container-0-0": """\
HOST              ACTION |
compute-0-0:      install|
vm-container-0-0: os     |
""",
    "list host boot compute-0-0": """\
ACTION |
install|
""",
    "list network": """\
NETWORK  SUBNET      NETMASK       MTU  DNSZONE     SERVEDNS|
private: 10.1.0.0    255.255.0.0   1500 local       True    |
public:  203.0.113.0 255.255.255.0 1500 example.org False   |
""",
    "list membership compute frontend hosted-vm 'vm container'": """\
MEMBERSHIP    APPLIANCE    DISTRIBUTION PUBLIC|
Compute:      compute      ------------ yes   |
Frontend:     frontend     ------------ no    |
Hosted VM:    hosted-vm    ------------ no    |
VM Container: vm-container ------------ yes   |
""",
    "list appliance compute hosted-vm": """\
APPLIANCE  GRAPH   NODE   |
compute:   default compute|
hosted-vm: ------- -------|
""",
    "list cluster": """\
FRONTEND             CLIENT NODES     TYPE    |
granite.example.org: ---------------- physical|
:                    compute-0-0      physical|
:                    compute-0-0-0    VM      |
:                    compute-0-0-1    VM      |
:                    hosted-vm-0-1-0  VM      |
:                    vm-container-0-0 physical|
:                    vm-container-0-1 physical|
""",
    "list bootaction os 'install vm'": """\
ACTION      KERNEL                             RAMDISK    ARGS|
install vm: file:///boot/kickstart/xen/vmlinuz initrd-xen ks  |
os:         localboot 0                        ---------- ----|
""",
    "list route": """\
NETWORK    NETMASK       GATEWAY |
0.0.0.0:   0.0.0.0       10.1.1.1|
224.0.0.0: 255.255.255.0 private |
""",
    "list host route granite compute-0-0": """\
HOST         NETWORK   NETMASK       GATEWAY     SOURCE|
compute-0-0: 0.0.0.0   0.0.0.0       10.1.1.1    G     |
compute-0-0: 10.2.0.0  255.255.0.0   10.1.1.2    H     |
compute-0-0: 224.0.0.0 255.255.255.0 private     G     |
granite:     0.0.0.0   0.0.0.0       203.0.113.1 H     |
granite:     224.0.0.0 255.255.255.0 private     G     |
""",
    "list host alias": """\
HOST         ALIAS|
compute-0-0: c0   |
""",
    "list host macs compute-0-0-1": """\
IFACE MAC              |
eth0  4e:71:00:40:00:01|
eth1  4e:71:00:40:00:02|
""",
    "list attr": """\
ATTR                            VALUE   |
Kickstart_PrivateAddress:       10.1.1.1|
Kickstart_PrivateDNSDomain:     local   |
Kickstart_PrivateDNSServers:    10.1.1.1|
Kickstart_PrivateGateway:       10.1.1.1|
Kickstart_PrivateHostname:      granite |
Kickstart_PrivateKickstartHost: 10.1.1.1|
Kickstart_PrivateRootPassword:  (hidden)|
Kickstart_Timezone:             Etc/UTC |
""",
    "list attr attr=Kickstart_PrivateRootPassword show-secrets=YES": """\
ATTR                           VALUE               |
Kickstart_PrivateRootPassword: $6$salt$made-up-hash|
""",
    "list appliance attr Compute": """\
APPLIANCE ATTR      VALUE|
compute:  exec_host true |
""",
    "list rack attr rack0": "",
    "list host attr compute-0-0 attr=exec_host": """\
HOST         ATTR      VALUE SOURCE|
compute-0-0: exec_host true  A     |
""",
    "list roll": "",
    "list distro": "",
}


@pytest.mark.parametrize(("line", "table"), TABLES.items(), ids=TABLES)
def test_tables(rocks: Run, line: str, table: str) -> None:
    assert rocks(*shlex.split(line)) == Outcome(0, table.replace("|\n", "\n"), "")


def test_all_attributes_of_a_host_have_their_source(rocks: Run) -> None:
    outcome = rocks("list", "host", "attr", "compute-0-0")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[0] == ["HOST", "ATTR", "VALUE", "SOURCE"]
    sources = {name: source for _, name, *_, source in lines[1:]}
    assert sources["HttpConf"] == "H"
    assert sources["exec_host"] == "A"
    assert sources["Kickstart_Timezone"] == "G"
    assert sources["hostname"] == sources["rack"] == "I"
    assert "$6$" not in outcome.out


def test_json_groups_rows_by_owner(rocks: Run) -> None:
    outcome = rocks("list", "host", "interface", "compute-0-0", "granite", "json=true")
    found = json.loads(outcome.out)
    assert [entry["host"] for entry in found] == ["compute-0-0", "granite"]
    assert [one["iface"] for one in found[1]["interface"]] == ["eth0", "eth1"]
    assert found[0]["interface"][0]["vlan"] is None
    assert outcome == rocks("--json", "list", "host", "interface", "compute-0-0", "granite")


def test_json_of_plain_tables_has_typed_values(rocks: Run) -> None:
    (found,) = json.loads(rocks("list", "host", "compute-0-0", "--json").out)
    assert found == {
        "host": "compute-0-0",
        "membership": "Compute",
        "cpus": 4,
        "rack": 0,
        "rank": 0,
        "runaction": "os",
        "installaction": "install",
    }
    assert json.loads(rocks("list", "roll", "--json").out) == []


REFUSED = {
    "list host interfac": (2, 'host "interfac" is not in cluster', "did you mean `rocks list host interface`?"),
    "list host compute-0-1": (1, 'host "compute-0-1" is not in cluster', "did you mean compute-0-0"),
    "list host boot-0-1": (1, 'host "boot-0-1" is not in cluster', "hosts"),
    "list attr compute-0-0": (2, 'takes no "compute-0-0"', "rocks list attr"),
    "list host memory=1": (2, "has no parameter memory=", "it takes"),
    "list host output-col=mac": (2, "there is no column `mac`", "the columns are host, membership"),
    "list host output-header=perhaps": (2, 'output-header must be yes or no, not "perhaps"', ""),
    "list hosts": (2, "did you mean `rocks list host`?", "rocks help"),
    "list network privat": (1, 'there is no network "privat"', "private"),
    "list appliance comput": (1, 'there is no appliance "comput"', "compute"),
    "list bootaction oss": (1, 'action "oss" does not exist', "os"),
    "list audit limit=0": (2, "limit must be 1 or more", ""),
    "list host profile compute": (2, "must supply one host", "3"),
    "list host profile compute-0-0": (1, "there is no distribution", "rollbuild distro create"),
    "list host 'select name from nodes'": (2, "not selected by SQL", "pattern"),
}


@pytest.mark.parametrize(("line", "refusal"), REFUSED.items(), ids=REFUSED)
def test_refusals(rocks: Run, line: str, refusal: tuple[int, str, str]) -> None:
    code, message, hint = refusal
    outcome = rocks(*shlex.split(line))
    assert (outcome.code, outcome.out) == (code, "")
    first, *further = outcome.err.splitlines()
    assert first.startswith("error: ") and message in first
    assert hint in "\n".join(further)


def test_installs_holds_and_events(rocks: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    with make_cluster(tmp_path) as database, database.recording() as c:
        install = begin_install(c, "compute-0-0", token="t", address="10.1.255.252", now=1_800_000_000.0)
        record_event(c, install, "packages", "half\x1b[31m way\nmore", 1_800_000_060.0)
        hold_host(c, "vm-container-0-0", "three installs failed")
        note_discovery(c, "52:54:00:ff:00:01", vendor="PXEClient", arch="uefi", now=1_800_000_000.0)
    columns = "output-col=state,stage,attempts,held"
    assert rocks("list", "host", "install", "compute-0-0", "vm-container-0-0", columns).out == (
        "STATE      STAGE    ATTEMPTS HELD                 \n"
        "installing packages 1        ---------------------\n"
        "---------- -------- 0        three installs failed\n"
    )
    events = rocks("list", "host", "install", "compute-0-0", "events=yes", "output-header=no").out
    assert "\x1b" not in events
    assert [line.split()[2] for line in events.splitlines()] == ["ks-fetched", "packages"]
    discoveries = rocks("list", "discovery", "output-col=mac,state,times,vendor").out.splitlines()
    assert discoveries[1] == "52:54:00:ff:00:01: waiting 1     PXEClient"


def test_the_audit_says_who_did_what(rocks: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    make_cluster(tmp_path).close()
    done = rocks("list", "audit", "output-col=user,command")
    assert done == Outcome(0, "USER  COMMAND   \ntests rocks load\n", "")


def test_a_missing_database_that_may_not_be_made_is_told(
    rocks: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        (tmp_path / "var").write_text("no folder")
    else:
        tmp_path.chmod(0o500)
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    done = rocks("list", "host")
    assert done.code in (1, 4)
    assert done.err.startswith("error: ") and str(tmp_path) in done.err and "Traceback" not in done.err


def test_another_database_by_option(rocks: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    open_database(f"sqlite:///{path}").close()
    assert rocks("--database", f"sqlite:///{path}", "list", "host") == Outcome(0, "", "")


CELL = st.one_of(st.none(), st.integers(), st.booleans(), st.text(max_size=12))
ROWS = st.integers(1, 5).flatmap(
    lambda width: st.tuples(
        st.lists(
            st.text(st.characters(codec="ascii", categories=["Lu"]), min_size=1, max_size=8),
            min_size=width,
            max_size=width,
            unique=True,
        ),
        st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=6),
    )
)


@given(ROWS, st.booleans(), st.booleans())
def test_columns_stand_below_each_other(
    table: tuple[list[str], list[list[object]]], has_header: bool, keeps: bool
) -> None:
    headers, rows = table
    text = print_table(headers, rows, Layout(has_header), keeps_owner=keeps)
    # Text of the database may hold line ends of other alphabets; only "\n" ends a row.
    lines = text.split("\n")[:-1]
    assert len(lines) == (len(rows) + has_header if rows else 0)
    assert len({len(line) for line in lines}) <= 1
    same = bool(rows) and all(row[0] == rows[0][0] for row in rows)
    if rows and has_header:
        assert lines[0].split() == (headers[1:] if same and not keeps else headers)
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for line in lines for letter in line)


@given(ROWS)
def test_json_has_all_values(table: tuple[list[str], list[list[object]]]) -> None:
    headers, rows = table
    found = table_data(headers, rows)
    assert [[entry[name.lower()] for name in headers] for entry in found] == [
        [None if value == "" else value for value in row] for row in rows
    ]


def test_short_rows_end_where_they_end() -> None:
    rows = [("a", 1, "x", "para"), ("a", None, "y")]
    assert print_table(("vm", "slice", "mac", "type"), rows) == "SLICE MAC TYPE\n1     x   para\n----- y  \n"
