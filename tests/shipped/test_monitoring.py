"""Monitoring: what promtool and nginx say of the files, alerts that go off, queries that can be read."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from rollbuild.checks import check_profile, check_scripts
from rollbuild.compiler import Profile
from rollbuild.findings import Severity
from rollbuild.releases import load_release
from tests.programs import need_program, run_checker
from tests.shipped.conftest import RELEASES, SOURCES, Tree, compile_appliance, scripts_of
from tests.shipped.webservers import check_nginx

ROLL = SOURCES / "rolls/monitoring"
DASHBOARD = ROLL / "include/cluster-dashboard.json"
PROMETHEUS = {
    "monitoring": "prometheus",
    "epel_repository": "http://10.1.1.1/install/epel",
    "prometheus_repository": "http://10.1.1.1/install/prometheus",
}
DATA: dict[str, Any] = {
    "hosts": [
        {"name": "frontend", "appliance": "frontend", "address": "10.1.1.1"},
        {"name": "compute-0-0", "appliance": "compute", "rack": 0, "rank": 0, "address": "10.1.255.254"},
        {"name": "nas-0-0", "appliance": "nas", "rack": "0", "rank": 1},
        {"name": "odd"},
    ]
}


def compile_with_data(appliance: str, release: str, **attributes: str) -> Profile:
    """An appliance of the shipped rolls, with hosts of the cluster."""
    return compile_appliance(appliance, release, DATA, **attributes)


def run_roll(host: Tree, profile: Profile) -> None:
    """Run all scripts of the roll's nodes; each must succeed."""
    for node in sorted(path.stem for path in (ROLL / "nodes").iterdir()):
        host.run_all(scripts_of(profile, "post", node))


@pytest.fixture
def watched(host: Tree) -> Tree:
    """A host on which the packages are installed."""
    for name in ("systemctl", "restorecon", "node_exporter", "prometheus"):
        host.add_program(name, "exit 0")
    host.add_program("firewall-offline-cmd", "case $2 in --query*) exit 1 ;; esac")
    host.write("/usr/local/libexec/rollbuild.sh", 'rb_fail() { echo "$1" >&2; exit 1; }\n')
    return host


@pytest.mark.long
@pytest.mark.parametrize("monitoring", ["prometheus", "pcp", "none"])
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("appliance", ["frontend", "compute"])
def test_every_choice_is_clean(appliance: str, release: str, monitoring: str) -> None:
    profile = compile_with_data(appliance, release, **{**PROMETHEUS, "monitoring": monitoring})
    facts = load_release(release)
    findings = (*profile.findings, *check_profile(profile, facts))
    assert [finding for finding in findings if finding.severity != Severity.NOTE] == []
    KickstartParser(makeVersion(facts.handler), missingIncludeIsFatal=False).readKickstartFromString(profile.text)
    checked = check_scripts([profile])
    if not any(finding.code == "SHELLCHECK-MISSING" for finding in checked):
        assert checked == ()


@pytest.mark.parametrize("monitoring", ["prometheus", "pcp"])
@pytest.mark.parametrize("appliance", ["frontend", "compute"])
def test_a_second_run_changes_nothing(watched: Tree, appliance: str, monitoring: str) -> None:
    profile = compile_with_data(appliance, "el9", **{**PROMETHEUS, "monitoring": monitoring})
    run_roll(watched, profile)
    first = watched.files()
    run_roll(watched, profile)
    assert watched.files() == first
    assert [name for name, (mode, _) in first.items() if mode & 0o022] == []


@pytest.mark.parametrize(("monitoring", "port"), [("prometheus", 9100), ("pcp", 44321)])
@pytest.mark.parametrize("zone", ["public", "rbprivate"])
def test_only_the_front_end_reaches_the_port(watched: Tree, monitoring: str, port: int, zone: str) -> None:
    if zone != "public":
        watched.write(f"/etc/firewalld/zones/{zone}.xml", "<zone/>\n")
    run_roll(watched, compile_with_data("compute", "el9", **{**PROMETHEUS, "monitoring": monitoring}))
    rule = f'rule family="ipv4" source address="10.1.1.1" port port="{port}" protocol="tcp" accept'
    assert [call for call in watched.called() if " --add-" in call] == [
        f"firewall-offline-cmd --zone={zone} --add-rich-rule={rule}"
    ]


def test_the_front_end_opens_nothing_for_itself(watched: Tree) -> None:
    run_roll(watched, compile_with_data("frontend", "el9", **PROMETHEUS))
    assert not [call for call in watched.called() if call.startswith("firewall")]
    assert watched.read("/etc/rollbuild/selinux.d/grafana") == "boolean on httpd_can_network_connect\n"


def test_targets_are_the_clusters_hosts(watched: Tree) -> None:
    run_roll(watched, compile_with_data("frontend", "el9", **PROMETHEUS))
    targets = json.loads(watched.read("/etc/prometheus/targets/hosts.json"))
    assert [(item["targets"], item["labels"]["instance"]) for item in targets] == [
        (["compute-0-0.cluster.internal:9100"], "compute-0-0"),
        (["nas-0-0.cluster.internal:9100"], "nas-0-0"),
        (["odd.cluster.internal:9100"], "odd"),
        (["127.0.0.1:9100"], "frontend"),
    ]
    assert targets[0]["labels"] == {"instance": "compute-0-0", "appliance": "compute", "rack": "0", "rank": "0"}


def test_archives_are_those_of_the_clusters_hosts(watched: Tree) -> None:
    run_roll(watched, compile_with_data("frontend", "el9"))
    lines = watched.read("/etc/pcp/pmlogger/control.d/rollbuild").splitlines()
    assert [line.split()[:4] for line in lines if line[0] not in "#$"] == [
        [f"{name}.cluster.internal", "n", "n", f"PCP_LOG_DIR/pmlogger/{name}"]
        for name in ("compute-0-0", "nas-0-0", "odd")
    ]


@pytest.mark.parametrize("attributes", [{}, {"alertmanager": "10.1.1.1:9093"}])
def test_promtool_accepts_the_configuration(watched: Tree, attributes: dict[str, str]) -> None:
    promtool = need_program("promtool")
    run_roll(watched, compile_with_data("frontend", "el9", **PROMETHEUS, **attributes))
    config = watched.root / "etc/prometheus/prometheus.yml"
    said = run_checker(promtool, "check", "config", config)
    assert "9 rules found" in said
    assert ("alertmanagers" in config.read_text()) == bool(attributes)


# Measurements that raise each alert, and that raise none: series, their values, when to look.
RAISED: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "HostDown": ({'up{job="hosts"}': "0x60"}, {'up{job="hosts"}': "1x60"}, "10m"),
    "FileSystemFull": (
        {'node_filesystem_avail_bytes{fstype="xfs"}': "9x60", 'node_filesystem_size_bytes{fstype="xfs"}': "100x60"},
        {'node_filesystem_avail_bytes{fstype="xfs"}': "11x60", 'node_filesystem_size_bytes{fstype="xfs"}': "100x60"},
        "15m",
    ),
    "FileSystemReadOnly": (
        {'node_filesystem_readonly{fstype="xfs"}': "1x60"},
        {'node_filesystem_readonly{fstype="iso9660"}': "1x60"},
        "10m",
    ),
    "RaidDegraded": (
        {
            'node_md_disks_required{device="md0"}': "2x60",
            'node_md_disks{device="md0",state="active"}': "1x60",
            'node_md_disks{device="md0",state="failed"}': "1x60",
        },
        {'node_md_disks_required{device="md0"}': "2x60", 'node_md_disks{device="md0",state="active"}': "2x60"},
        "10m",
    ),
    "UnitFailed": (
        {'node_systemd_unit_state{name="a.service",state="failed"}': "1x60"},
        {'node_systemd_unit_state{name="a.service",state="active"}': "1x60"},
        "10m",
    ),
    "ClockWrong": ({"node_timex_sync_status": "0x60"}, {"node_timex_sync_status": "1x60"}, "20m"),
    "OutOfMemory": ({"node_vmstat_oom_kill": "0x5 1x60"}, {"node_vmstat_oom_kill": "3x60"}, "10m"),
    "MemoryErrors": (
        {"node_edac_uncorrectable_errors_total": "0x5 1x60"},
        {"node_edac_uncorrectable_errors_total": "1x60"},
        "10m",
    ),
    "TooHot": (
        {
            'node_hwmon_temp_celsius{chip="c",sensor="t"}': "101x60",
            'node_hwmon_temp_crit_celsius{chip="c",sensor="t"}': "100x60",
        },
        {
            'node_hwmon_temp_celsius{chip="c",sensor="t"}': "40x60",
            'node_hwmon_temp_crit_celsius{chip="c",sensor="t"}': "0x60",
        },
        "10m",
    ),
}


def with_host(series: str) -> str:
    name, _, labels = series.rstrip("}").partition("{")
    return f'{name}{{instance="compute-0-0"{"," if labels else ""}{labels}}}'


def test_every_alert_is_tried() -> None:
    (group,) = yaml.safe_load((ROLL / "include/alerts.yml").read_text())["groups"]
    assert [rule["alert"] for rule in group["rules"]] == list(RAISED)


@pytest.mark.parametrize("alert", RAISED)
def test_alerts_go_off_and_only_then(tmp_path: Path, alert: str) -> None:
    promtool = need_program("promtool")
    bad, good, when = RAISED[alert]
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": with_host(name), "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count by (instance) (ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": when,
                    "exp_samples": [{"labels": '{instance="compute-0-0"}', "value": 1}] if raised else [],
                }
            ],
        }
        for series, raised in ((bad, True), (good, False))
    ]
    file = tmp_path / "test.yml"
    rules = str(ROLL / "include/alerts.yml")
    file.write_text(yaml.safe_dump({"rule_files": [rules], "evaluation_interval": "1m", "tests": tests}))
    run_checker(promtool, "test", "rules", file)


def dashboard_queries() -> Iterator[tuple[str, str]]:
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_queries_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    promtool = need_program("promtool")
    rules = []
    for number, (_, query) in enumerate(dashboard_queries()):
        query = query.replace("$__rate_interval", "2m")
        query = re.sub(r"\$(appliance|rack|host)\b", ".*", query)
        assert "$" not in query
        rules.append({"record": f"query:{number}", "expr": query})
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run_checker(promtool, "check", "rules", file)


def test_the_dashboard_fits_together(watched: Tree) -> None:
    run_roll(watched, compile_with_data("frontend", "el9", **PROMETHEUS))
    dashboard = json.loads(watched.read("/var/lib/grafana/rollbuild/cluster.json"))
    (source,) = yaml.safe_load(watched.read("/etc/grafana/provisioning/datasources/rollbuild.yaml"))["datasources"]
    (provider,) = yaml.safe_load(watched.read("/etc/grafana/provisioning/dashboards/rollbuild.yaml"))["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/rollbuild"
    variables = {item["name"] for item in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$([a-z]+)", DASHBOARD.read_text()))
    assert used == variables
    sources = {item["datasource"]["uid"] for item in (*dashboard["panels"], *dashboard["templating"]["list"])}
    assert sources == {source["uid"]}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own


def test_the_password_of_grafana_is_made_once(watched: Tree) -> None:
    run_roll(watched, compile_with_data("frontend", "el9", **PROMETHEUS))
    script = watched.root / "usr/local/libexec/rollbuild-grafana-password"
    script.write_text(script.read_text().replace(" /etc/rollbuild", f" {watched.root}/etc/rollbuild"))
    script.write_text(script.read_text().replace(">/etc/rollbuild", f">{watched.root}/etc/rollbuild"))
    (watched.root / "etc/rollbuild").mkdir(exist_ok=True)
    subprocess.run([script], check=True, timeout=60)
    path = watched.root / "etc/rollbuild/grafana.env"
    first = path.read_text()
    assert re.fullmatch("GF_SECURITY_ADMIN_PASSWORD=[0-9a-f]{32}\n", first)
    assert path.stat().st_mode & 0o777 == 0o600
    subprocess.run([script], check=True, timeout=60)
    assert path.read_text() == first


def test_nginx_leads_to_grafana(watched: Tree) -> None:
    run_roll(watched, compile_with_data("frontend", "el9", **PROMETHEUS))
    check_nginx(watched)


@pytest.mark.parametrize("unit", ["rollbuild-prometheus", "rollbuild-node-exporter"])
def test_systemd_accepts_the_units(watched: Tree, unit: str) -> None:
    analyze = need_program("systemd-analyze")
    run_roll(watched, compile_with_data("frontend", "el9", **PROMETHEUS))
    assert "\nExecStart=/" in watched.read(f"/etc/systemd/system/{unit}.service")
    run_checker(analyze, "verify", watched.root / f"etc/systemd/system/{unit}.service")


@pytest.mark.parametrize("node", ["node-exporter", "prometheus"])
def test_a_package_without_its_program_stops_the_install(watched: Tree, node: str) -> None:
    # Nothing but what the scripts need, whatever this machine has.
    bare = watched.root / "bare"
    bare.mkdir()
    for name in ("cat", "chmod", "cp", "dirname", "mkdir", "sed", "systemctl"):
        (bare / name).symlink_to(shutil.which(name, path=f"{watched.programs}:/usr/bin:/bin") or name)
    watched.environment["PATH"] = str(bare)
    script = scripts_of(compile_with_data("frontend", "el9", **PROMETHEUS), "post", node)[0]
    done = watched.run(script)
    assert done.returncode == 1
    assert "brought no program" in done.stderr


@pytest.mark.parametrize("release", RELEASES)
def test_foreign_packages_are_accounted_for(release: str) -> None:
    said = yaml.safe_load((ROLL / "roll.yaml").read_text())["packages_from"]
    foreign = {name for names in said.values() for name in names}
    attributes = {**PROMETHEUS, "monitoring": "none"}
    without = {name for name, _, _ in compile_with_data("frontend", release, **attributes).packages}
    added = {name for name, _, _ in compile_with_data("frontend", release, **PROMETHEUS).packages} - without
    exporter = "golang-github-prometheus-node-exporter" if release == "el8" else "node-exporter"
    server = "prometheus" if release == "el10" else "golang-github-prometheus"
    assert added & foreign == {exporter, server}
    # The rest is in AppStream of every release that it is asked for on.
    assert added - foreign == ({"grafana"} if release == "el8" else {"grafana", "grafana-selinux"})
