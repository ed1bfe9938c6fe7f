"""The shipped rolls: clean for every release, of packages that exist, and what their own tests expect."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from rollbuild.checks import check_profile, check_scripts
from rollbuild.compiler import check_references
from rollbuild.findings import Severity
from rollbuild.language import Declaration, find_rolls, read_description
from rollbuild.releases import load_release
from tests.shipped.conftest import APPLIANCES, FOLDERS, RELEASES, SOURCES, Compile

CASES = [
    pytest.param(case, id=f"{path.relative_to(SOURCES / 'rolls')}-{number}")
    for path in sorted((SOURCES / "rolls").glob("*/tests/*.yaml"))
    for number, case in enumerate(yaml.safe_load(path.read_text()), 1)
]
CASE_KEYS = {"appliance", "release", "attributes", "contains", "lacks", "packages", "refuses"}
ROLLS = sorted(path.name for path in (SOURCES / "rolls").iterdir())

# Attributes of a site that uses everything.
FULL = {
    "ksmac": "52:54:00:12:34:56",
    "hostaddr": "10.1.255.254",
    "kdump": "yes",
    "serial_console": "ttyS0,115200n8",
    "ssh_root_keys": "ssh-ed25519 AAAA admin@example.org",
    "install_events": "http://10.1.1.1/event",
    "disk_layout": "raid1",
    "trust_private": "yes",
    "proxy": "http://proxy.example.org:3128",
    "dnf_variables": "contentdir=pub/rocky",
    "sysctl": "vm.swappiness = 10",
    "audit_rules": "-w /etc/shadow -p wa -k accounts",
    "kernel_modules": "msr",
    "kernel_modules_blacklist": "nouveau",
    "kernel_module_options": "mlx5_core prof_sel=2",
    "driver_disk": "http://10.1.1.1/install/drivers/dd.iso",
    "kdump_target": "nfs",
    "kdump_server": "10.1.1.1:/export/crash",
    "dhcp_server": "kea",
    "database": "postgresql",
    "shadow_on_hosts": "yes",
    "epel_repository": "http://10.1.1.1/install/epel",
    "scheduler": "slurm",
    "slurm_repository": "http://10.1.1.1/install/slurm",
    "slurm_accounting": "yes",
    "module_paths": "/share/modulefiles",
    "compute_huge_pages": "1024",
    "login_public_interface": "eno2",
    "fail2ban": "yes",
    "nas_mounts": "rbkeep-data1 /export/data1",
    "nas_exports": "/export/data1",
    "nas_quotas": "user",
}


def known_packages() -> dict[str, dict[str, str]]:
    rows = (Path(__file__).parent / "packages.tsv").read_text().splitlines()
    table = csv.DictReader((row for row in rows if not row.startswith("#")), delimiter="\t")
    return {row["name"]: row for row in table}


@pytest.mark.parametrize("attributes", [{}, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("appliance", APPLIANCES)
def test_appliances_are_clean(
    compile_shipped: Compile, appliance: str, release: str, attributes: dict[str, str]
) -> None:
    profile = compile_shipped(appliance, release, **attributes)
    facts = load_release(release)
    findings = (*profile.findings, *check_profile(profile, facts))
    assert [finding for finding in findings if finding.severity != Severity.NOTE] == []
    # The parser itself, with the whole text, as the installer reads it: a warning is an error here.
    parser = KickstartParser(makeVersion(facts.handler), missingIncludeIsFatal=False)
    parser.readKickstartFromString(profile.text)


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
def test_scripts_pass_shellcheck(compile_shipped: Compile, release: str) -> None:
    findings = check_scripts([compile_shipped(appliance, release, **FULL) for appliance in APPLIANCES])
    if any(finding.code == "SHELLCHECK-MISSING" for finding in findings):
        pytest.skip("shellcheck is not installed")
    assert findings == ()


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("appliance", APPLIANCES)
def test_packages_exist(compile_shipped: Compile, appliance: str, release: str) -> None:
    known = known_packages()
    names = {name for name, _, _ in compile_shipped(appliance, release, **FULL).packages}
    assert sorted(name for name in names if known.get(name, {}).get(release, "-") == "-") == []


def test_package_list_has_no_leftovers(compile_shipped: Compile) -> None:
    used = {
        name
        for release in RELEASES
        for appliance in APPLIANCES
        for name, _, _ in compile_shipped(appliance, release, **FULL).packages
    }
    assert sorted(known_packages().keys() - used) == []


def test_foreign_packages_are_accounted_for(compile_shipped: Compile) -> None:
    profile = compile_shipped("vm-container", "el9", vm_hypervisor="xen", xen_repository="http://10.1.1.1/xen")
    said = yaml.safe_load((SOURCES / "rolls/xen/roll.yaml").read_text())["packages_from"]
    foreign = {name for name, _, _ in profile.packages} - known_packages().keys()
    assert foreign == {name for names in said.values() for name in names}


@pytest.mark.parametrize("case", CASES)
def test_rolls_expect(compile_shipped: Compile, case: dict[str, Any]) -> None:
    assert case.keys() <= CASE_KEYS
    profile = compile_shipped(case["appliance"], case["release"], **case.get("attributes", {}))
    errors = [finding.message for finding in profile.findings if finding.severity == Severity.ERROR]
    if "refuses" in case:
        assert [message for message in errors if message.startswith(case["refuses"])] == errors != []
        return
    assert errors == []
    lines = {line.strip() for line in profile.text.splitlines()}
    assert [line for line in case.get("contains", ()) if line not in lines] == []
    assert [line for line in case.get("lacks", ()) if line in lines] == []
    names = {name for name, _, _ in profile.packages}
    assert sorted(set(case.get("packages", ())) - names) == []


def test_appliances_differ(compile_shipped: Compile) -> None:
    nodes = {appliance: set(compile_shipped(appliance, "el9").nodes) for appliance in APPLIANCES}
    for appliance, own in nodes.items():
        others = set().union(*(nodes[other] for other in APPLIANCES if other != appliance))
        assert f"layout-{appliance}" in own - others


@pytest.mark.parametrize("name", ROLLS)
def test_rolls_are_described(name: str) -> None:
    folder = SOURCES / "rolls" / name
    facts = yaml.safe_load((folder / "roll.yaml").read_text())
    assert facts["name"] == name
    assert facts.keys() <= {"name", "version", "summary", "releases", "arch", "requires", "packages_from"}
    assert set(facts["requires"]) < set(ROLLS)
    assert (folder / "README.md").read_text().startswith(f"# {name}\n")
    (roll,) = find_rolls([str(folder)])
    assert [item.name for item in roll.declarations() if not item.description.endswith((".", ")"))] == []


def test_nodes_and_graphs_are_described() -> None:
    description = read_description(find_rolls(FOLDERS))
    assert [name for name in description.node_names if not description.node(name).description] == []
    assert check_references(description) == ()
    assert description.findings == ()
    for path in SOURCES.glob("**/graphs/default/*.xml"):
        if "rolls" in path.parts or path.parts[-3] == "graphs":
            assert "<description>" in path.read_text(), path


def test_every_node_is_used_and_every_attribute_too() -> None:
    description = read_description(find_rolls(FOLDERS))
    reached = {edge.child for edge in description.graph.edges} | {item.root for item in description.graph.appliances}
    assert sorted(set(description.node_names) - reached) == []
    texts = "".join(path.read_text() for folder in FOLDERS for path in Path(folder).glob("**/*.xml"))
    # Some are for the front end's own commands: no node reads them.
    texts += "".join(path.read_text() for path in (SOURCES / "rollbuild").glob("**/*.py"))
    declared: list[Declaration] = [item for roll in description.rolls for item in roll.declarations()]
    assert [item.name for item in declared if item.name not in texts] == []
