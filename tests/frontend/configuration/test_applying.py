"""Files of a front end below a temporary folder, from a real database and a real store."""

import json
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from rollbuild.cluster import (
    BootAction,
    Interface,
    add_alias,
    add_interface,
    add_network,
    hold_host,
    put_boot_action,
    remove_host,
    set_attribute,
    set_boot,
    set_host,
    set_network,
    write_setting,
)
from rollbuild.cluster import Network as ClusterNetwork
from rollbuild.commands.main import main
from rollbuild.errors import RollbuildError
from rollbuild.frontend import (
    Applied,
    FrontEnd,
    apply_boot_files,
    apply_configuration,
    diff_configuration,
    ensure_applied,
    open_front_end,
)
from tests.frontend.configuration.conftest import add
from tests.programs import need_program

HOSTS, DHCP_HOSTS = "etc/rollbuild/hosts", "etc/rollbuild/dhcp-hosts"
DHCP = "etc/dnsmasq.d/rollbuild-dhcp.conf"
TREE = "export/install/netboot"
FIRST = f"{TREE}/pxelinux.cfg/01-52-54-00-aa-00-01"


def files_of(root: Path) -> dict[str, bytes]:
    """What a run writes, but not the database and the lock."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith("cluster.db") and "export/rollbuild" not in str(path)
    }


def boot(front_end: FrontEnd, host: str, action: str) -> None:
    with front_end.database.writing("boot") as c:
        set_boot(c, host, action)


def test_all_files_are_written_once(stocked: FrontEnd, root: Path) -> None:
    boot(stocked, "compute-0-0", "install")
    first = apply_configuration(stocked)
    assert first.is_complete, (first.refused, first.findings)
    assert (root / HOSTS).read_text().splitlines() == [
        "10.1.1.1 granite",
        "10.1.255.254 compute-0-0",
        "10.1.255.253 compute-0-1",
        "192.0.2.1 granite.example.org",
    ]
    assert (root / DHCP_HOSTS).read_text().splitlines() == [
        "52:54:00:aa:00:01,10.1.255.254,compute-0-0",
        "52:54:00:aa:00:02,10.1.255.253,compute-0-1",
    ]
    text = (root / FIRST).read_text()
    assert "inst.stage2=http://10.1.1.1/install/dist/el9 inst.ks=http://10.1.1.1/ks/compute-0-0 inst.ks.sendmac" in text
    assert "BOOTIF=01-52-54-00-aa-00-01 ip=dhcp" in text
    assert "localboot 0" in (root / f"{TREE}/pxelinux.cfg/01-52-54-00-aa-00-02").read_text()
    kernel = root / TREE / "images/compute-1/vmlinuz"
    assert (
        kernel.read_bytes() == (root / "export/rollbuild/distributions/compute/1/images/pxeboot/vmlinuz").read_bytes()
    )
    assert (root / "export/install/dist/el9/.treeinfo").is_file()
    assert os.readlink(root / "export/install/dist/el9") == "../../rollbuild/distributions/compute/current"
    before = files_of(root)
    second = apply_configuration(stocked)
    assert (second.changed, second.boot_files.written, second.has_changed) == ((), 0, False)
    assert files_of(root) == before
    modes = {path: stat.S_IMODE((root / path).stat().st_mode) for path in (HOSTS, DHCP_HOSTS, DHCP)}
    assert set(modes.values()) == {0o644}
    assert stat.S_IMODE((root / "var/lib/rollbuild").stat().st_mode) & 0o007 == 0


def test_files_are_readable_whatever_the_umask(front_end: FrontEnd, root: Path) -> None:
    before = os.umask(0o077)
    try:
        apply_configuration(front_end)
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / HOSTS).stat().st_mode) == 0o644
    assert stat.S_IMODE((root / "etc/dnsmasq.d").stat().st_mode) == 0o755


def test_ensure_applied_only_compares_where_nothing_changed(stocked: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ensure_applied(stocked).has_changed
    with monkeypatch.context() as patch:
        patch.setattr("rollbuild.frontend.applying.plan_configuration", None)
        applied = ensure_applied(stocked)
    assert applied == Applied(applied.generation)
    add(stocked, "compute-0-2", "52:54:00:aa:00:03", "10.1.255.252", rank=2)
    assert "/etc/rollbuild/dhcp-hosts" in ensure_applied(stocked).changed


def _edit_hosts(root: Path, front_end: FrontEnd) -> None:
    (root / HOSTS).write_text("10.1.9.9 someone\n")


def _remove_dhcp(root: Path, front_end: FrontEnd) -> None:
    (root / DHCP).unlink()


def _local(root: Path, front_end: FrontEnd) -> None:
    (root / "etc/rollbuild/hosts.local").write_text("10.1.0.77 printer")


def _forget(root: Path, front_end: FrontEnd) -> None:
    (root / "var/lib/rollbuild/configuration.json").write_text("{")
    (root / HOSTS).write_text("half")


def _commit_only(root: Path, front_end: FrontEnd) -> None:
    """The power went between commit and writing."""
    add(front_end, "compute-0-2", "52:54:00:aa:00:03", "10.1.255.252", rank=2)


STALE = {
    "a file that somebody edited": _edit_hosts,
    "a file that is gone": _remove_dhcp,
    "names of the site": _local,
    "a record that is damaged": _forget,
    "a commit without files": _commit_only,
}


@pytest.mark.parametrize("make_stale", STALE.values(), ids=STALE)
def test_what_is_stale_is_made_good_by_the_next_command(stocked: FrontEnd, root: Path, make_stale) -> None:
    apply_configuration(stocked)
    make_stale(root, stocked)
    assert ensure_applied(stocked).changed
    made = files_of(root)
    made.pop("var/lib/rollbuild/configuration.json")
    assert apply_configuration(stocked).changed == ()
    assert {name: content for name, content in files_of(root).items() if name in made} == made
    text = (root / HOSTS).read_text()
    assert "half" not in text and "someone" not in text
    if make_stale is _local:
        assert text.endswith("\n10.1.0.77 printer\n")


def test_a_new_generation_of_the_distribution_is_noticed(stocked: FrontEnd, root: Path) -> None:
    boot(stocked, "compute-0-0", "install")
    apply_configuration(stocked)
    store = str(root / "export/rollbuild")
    argv = ["distro", "create", "compute", "--os", "rocky-9.4-x86_64", "--no-kickstarts", "--store", store, "-q"]
    assert main([*argv, "--url", "http://10.1.1.1/elsewhere"]) == 0
    applied = ensure_applied(stocked)
    assert applied.boot_files.written >= 3
    text = (root / FIRST).read_text()
    assert "kernel images/compute-2/vmlinuz" in text and "inst.stage2=http://10.1.1.1/elsewhere" in text
    assert (root / TREE / "images/compute-1/vmlinuz").exists()  # for a host that has just read its menu


def test_without_a_distribution_names_and_addresses_are_written_and_the_rest_is_told(
    front_end: FrontEnd, root: Path
) -> None:
    boot(front_end, "compute-0-0", "install")
    applied = apply_configuration(front_end)
    assert (root / HOSTS).exists() and (root / DHCP_HOSTS).exists() and applied.is_complete
    (finding,) = applied.findings
    assert finding.code == "BOOT-DISTRIBUTION"
    assert finding.message.startswith("compute-0-0 starts from its local disk: there is no distribution in ")
    assert "localboot 0" in (root / FIRST).read_text()


def test_several_distributions_need_a_word(stocked: FrontEnd, root: Path) -> None:
    store = root / "export/rollbuild"
    argv = ["distro", "create", "second", "--os", "rocky-9.4-x86_64", "--no-kickstarts", "--store", str(store), "-q"]
    assert main(argv) == 0
    boot(stocked, "compute-0-0", "install")
    boot(stocked, "compute-0-1", "install")
    (finding,) = apply_configuration(stocked).findings
    assert finding.message.startswith("compute-0-0, compute-0-1 start from their local disks: there are several")
    assert finding.hint == "rocks set attr distribution second"
    with stocked.database.writing("set") as c:
        set_attribute(c, "global", "", "distribution", "compute")
        set_attribute(c, "host", "compute-0-1", "distribution", "second")
    assert ensure_applied(stocked).findings == ()
    assert "dist/el9 " in (root / FIRST).read_text() and "images/compute-1/" in (root / FIRST).read_text()
    other = (root / f"{TREE}/pxelinux.cfg/01-52-54-00-aa-00-02").read_text()
    assert "dist/second " in other and "images/second-1/vmlinuz" in other
    assert (root / "export/install/dist/second/.treeinfo").is_file()
    with stocked.database.writing("set") as c:
        set_attribute(c, "host", "compute-0-1", "distribution", "secund")
    (finding,) = ensure_applied(stocked).findings
    assert "there is no distribution secund" in finding.message


def test_a_folder_in_the_place_of_a_link_stays(stocked: FrontEnd, root: Path) -> None:
    folder = root / "export/install/dist/el9"
    folder.mkdir(parents=True)
    (folder / "mine").touch()
    applied = apply_configuration(stocked)
    assert (folder / "mine").exists() and not folder.is_symlink()
    assert [finding.code for finding in applied.findings] == ["BOOT-DISTRIBUTION"]


def test_a_foreign_link_stays_and_an_old_one_of_ours_is_replaced(stocked: FrontEnd, root: Path) -> None:
    link = root / "export/install/dist/el9"
    link.parent.mkdir(parents=True)
    link.symlink_to("/srv/mirror")
    assert len(apply_configuration(stocked).findings) == 1
    assert os.readlink(link) == "/srv/mirror"
    link.unlink()
    link.symlink_to("/elsewhere/distributions/old/current")
    assert apply_configuration(stocked).findings == ()
    assert (link / ".treeinfo").exists()


def test_a_held_host_and_one_without_kickstart_start_their_disks(stocked: FrontEnd, root: Path) -> None:
    add(stocked, "network-0-0", "52:54:00:aa:00:09", "10.1.255.200", appliance="network")
    boot(stocked, "compute-0-0", "install")
    with stocked.database.writing("hold") as c:
        hold_host(c, "compute-0-0", "three failed attempts")
    apply_configuration(stocked)
    assert "localboot 0" in (root / FIRST).read_text()
    assert not (root / f"{TREE}/pxelinux.cfg/01-52-54-00-aa-00-09").exists()
    assert "network-0-0" in (root / DHCP_HOSTS).read_text()


def test_boot_actions_of_the_site(stocked: FrontEnd, root: Path) -> None:
    apply_configuration(stocked)
    with stocked.database.writing("actions") as c:
        put_boot_action(c, BootAction("memtest", "kernel memtest"))
        put_boot_action(c, BootAction("install headless", args="inst.sshd inst.vnc"))
        put_boot_action(c, BootAction("own", "own/vmlinuz", "own/initrd", "root=live:a quiet"))
        set_host(c, "compute-0-0", run_action="memtest")
        set_host(c, "compute-0-1", install_action="install headless")
        set_boot(c, "compute-0-1", "install")
    (finding,) = ensure_applied(stocked).findings
    assert "memtest is not there" in finding.message and "localboot 0" in (root / FIRST).read_text()
    (root / TREE / "memtest").write_bytes(b"m")
    assert apply_configuration(stocked).findings == ()
    lines = [line.strip() for line in (root / FIRST).read_text().splitlines()]
    assert lines[-2:] == ["label run", "kernel memtest"]
    grub = (root / f"{TREE}/grub/grub.cfg-01-52-54-00-aa-00-01").read_text()
    assert "$kernel /memtest\n" in grub and "initrd /" not in grub
    assert "inst.nosave=all_ks inst.sshd inst.vnc\n" in (root / f"{TREE}/pxelinux.cfg/01-52-54-00-aa-00-02").read_text()
    boot(stocked, "compute-0-1", "rescue")
    ensure_applied(stocked)
    text = (root / f"{TREE}/pxelinux.cfg/01-52-54-00-aa-00-02").read_text()
    assert "inst.rescue" in text and "inst.ks=" not in text
    with stocked.database.writing("actions") as c:
        set_host(c, "compute-0-1", install_action="own")
        set_boot(c, "compute-0-1", "install")
    (root / TREE / "own").mkdir()
    for name in ("vmlinuz", "initrd"):
        (root / TREE / "own" / name).touch()
    ensure_applied(stocked)
    text = (root / f"{TREE}/pxelinux.cfg/01-52-54-00-aa-00-02").read_text()
    assert "kernel own/vmlinuz\n  initrd own/initrd\n  append root=live:a quiet\n" in text


HOSTILE = {
    "climbs": BootAction("x", "../../etc/passwd"),
    "line end": BootAction("x", "a", "b\nc"),
    "quotes": BootAction("x", "", "", "a='b c'"),
    "iPXE's own": BootAction("x", "", "", "a=${net0/mac}"),
    "not ASCII": BootAction("x", "", "", "a=\u2028b\u00a0c"),
}


@pytest.mark.parametrize("action", HOSTILE.values(), ids=HOSTILE)
def test_a_boot_action_that_cannot_be_leaves_the_host_at_its_disk(
    stocked: FrontEnd, root: Path, action: BootAction
) -> None:
    with stocked.database.writing("actions") as c:
        try:
            put_boot_action(c, action)
        except RollbuildError:
            return  # the database is stricter
        set_host(c, "compute-0-0", install_action="x")
        set_boot(c, "compute-0-0", "install")
    applied = apply_configuration(stocked)
    assert applied.findings and applied.findings[0].message.startswith("compute-0-0 starts from its local disk: ")
    assert "localboot 0" in (root / FIRST).read_text()


def test_further_ports_get_the_same_address(stocked: FrontEnd, root: Path) -> None:
    with stocked.database.writing("ports") as c:
        add_network(c, ClusterNetwork("storage", "10.2.0.0", "255.255.0.0"))
        add_interface(c, Interface("compute-0-0", "eno2", mac="52:54:00:aa:01:01"))
        add_interface(
            c, Interface("compute-0-0", "ib0", mac="80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01")
        )
        add_interface(c, Interface("compute-0-0", "eno3", "52:54:00:aa:01:02", "10.2.0.7", "storage"))
        add_alias(c, "compute-0-0", "c0")
        set_boot(c, "compute-0-0", "install")
    apply_configuration(stocked)
    rows = (root / DHCP_HOSTS).read_text().splitlines()
    assert rows[0] == "52:54:00:aa:00:01,52:54:00:aa:01:01,10.1.255.254,compute-0-0"
    assert len(rows) == 2
    names = (root / HOSTS).read_text().splitlines()
    assert "10.1.255.254 compute-0-0 c0" in names and "10.2.0.7 compute-0-0-eno3" in names
    text = (root / f"{TREE}/pxelinux.cfg/01-52-54-00-aa-01-01").read_text()
    assert "BOOTIF=01-52-54-00-aa-01-01" in text and "/ks/compute-0-0 " in text
    with stocked.database.writing("kea") as c:
        set_attribute(c, "global", "", "dhcp_server", "kea")
    ensure_applied(stocked)
    kea = json.loads((root / "etc/kea/kea-dhcp4.conf").read_text())["Dhcp4"]
    assert kea["ip-reservations-unique"] is False
    assert [row["hostname"] for row in kea["subnet4"][0]["reservations"]] == [
        "compute-0-0",
        "compute-0-0",
        "compute-0-1",
    ]
    assert not (root / DHCP).exists() and not (root / DHCP_HOSTS).exists() and (root / HOSTS).exists()


def test_a_host_that_is_gone_loses_its_files(stocked: FrontEnd, root: Path) -> None:
    apply_configuration(stocked)
    boot(stocked, "compute-0-0", "install")
    assert apply_boot_files(stocked, ["compute-0-0"]).written == 3
    with stocked.database.writing("remove") as c:
        remove_host(c, "compute-0-0")
    assert ensure_applied(stocked).boot_files.removed == 3
    assert not (root / FIRST).exists()
    assert b"compute-0-0" not in b"".join(files_of(root).values())


def test_boot_files_of_some_hosts(stocked: FrontEnd, root: Path) -> None:
    apply_configuration(stocked)
    before = files_of(root)
    boot(stocked, "compute-0-0", "install")
    assert apply_boot_files(stocked, ["compute-0-0", "nobody-0-0"]).written == 3
    changed = {name for name, content in files_of(root).items() if before.get(name) != content}
    assert {name.partition("52-54")[2] for name in changed} == {"", "-00-aa-00-01", "-00-aa-00-01.ipxe"}
    assert apply_boot_files(stocked, ["compute-0-0"]).written == 0
    quick = files_of(root)[FIRST]
    # To and fro, without a full run between: the tree's record must not be believed.
    assert ensure_applied(stocked).boot_files.written == 3
    assert files_of(root)[FIRST] == quick
    boot(stocked, "compute-0-0", "os")
    apply_boot_files(stocked, ["compute-0-0"])
    boot(stocked, "compute-0-0", "install")
    ensure_applied(stocked)
    assert files_of(root)[FIRST] == quick


def test_nothing_is_written_for_a_database_that_lacks_the_network(bare: FrontEnd, root: Path) -> None:
    applied = ensure_applied(bare)
    assert (applied.changed, applied.is_complete) == ((), False)
    assert [finding.code for finding in applied.findings] == ["BOOT-NETWORK"]
    assert not (root / "etc").exists()
    with pytest.raises(RollbuildError, match="there is no network `private`"):
        diff_configuration(bare)


WRONG_FACTS = {
    "Kickstart_PrivateGateway": "10.1.1.1\ndhcp-script=/bin/sh",
    "Kickstart_PrivateDNSServers": "10.1.1.1,evil",
    "Kickstart_PrivateDNSDomain": "a\naddn-hosts=/etc/shadow",
    "Kickstart_PrivateAddress": "10.2.1.1",
    "Kickstart_PrivateKickstartBasedir": "../..",
    "Kickstart_PrivateKickstartHost": "a b",
    "Kickstart_PrivateHostname": "x y",
    "dhcp_lease": "0",
    "dhcp_server": "isc",
}


@pytest.mark.parametrize(("name", "value"), WRONG_FACTS.items(), ids=WRONG_FACTS)
def test_a_wrong_fact_changes_nothing_and_is_told(stocked: FrontEnd, root: Path, name: str, value: str) -> None:
    apply_configuration(stocked)
    before = files_of(root)
    with stocked.database.writing("set") as c:
        set_attribute(c, "global", "", name, value)
        set_boot(c, "compute-0-0", "install")
    applied = ensure_applied(stocked)
    assert not applied.is_complete and f"attribute {name}: " in applied.findings[0].message
    assert files_of(root) == before
    assert ensure_applied(stocked).findings  # again, until somebody puts it right


def test_what_dnsmasq_refuses_leaves_all_its_files(stocked: FrontEnd, root: Path) -> None:
    need_program("dnsmasq")
    apply_configuration(stocked)
    before = {name: content for name, content in files_of(root).items() if name.startswith("etc/")}
    (root / "etc/dnsmasq.d/site.conf").write_text("dhcp-rang=10.1.0.0\n")
    add(stocked, "compute-0-2", "52:54:00:aa:00:03", "10.1.255.252", rank=2)
    applied = ensure_applied(stocked)
    (refusal,) = applied.refused
    assert refusal.service == "dnsmasq"
    assert "bad option at line 1 of /etc/dnsmasq.d/site.conf" in refusal.message
    assert {name: files_of(root)[name] for name in before} == before
    assert applied.boot_files.written == 3  # the others do not wait
    assert ensure_applied(stocked).refused == applied.refused
    (root / "etc/dnsmasq.d/site.conf").write_text("dhcp-option=option:ntp-server,10.1.1.1\n")
    assert ensure_applied(stocked).is_complete
    assert "compute-0-2" in (root / DHCP_HOSTS).read_text()


def test_a_template_of_the_site_that_fails_does_not_hold_up_names(stocked: FrontEnd, root: Path) -> None:
    apply_configuration(stocked)
    templates = root / "etc/rollbuild/templates"
    templates.mkdir()
    (templates / "pxelinux-host.j2").write_text("{{ nothing }}")
    add(stocked, "compute-0-2", "52:54:00:aa:00:03", "10.1.255.252", rank=2)
    applied = ensure_applied(stocked)
    (refusal,) = applied.refused
    assert refusal.service == "netboot" and "'nothing' is undefined" in refusal.message
    assert "/etc/rollbuild/dhcp-hosts" in applied.changed
    (templates / "pxelinux-host.j2").write_text("# {{ host.name }}\n")
    assert ensure_applied(stocked).boot_files.written == 9
    assert (root / FIRST).read_text() == "# compute-0-0\n"


def restarts(root: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> Path:
    """Count restarts in a file; the command fails when asked to."""
    log = root.parent / "restarts"
    code = f"open({str(log)!r}, 'a').write('x'); raise SystemExit({'`port in use`' if fails else ''!r} or 0)"
    monkeypatch.setenv("ROLLBUILD_RESTART_DNSMASQ", json.dumps([sys.executable, "-c", code]))
    return log


def test_many_changes_are_one_restart(stocked: FrontEnd, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = restarts(root, monkeypatch)
    for number in range(10):
        add(stocked, f"compute-1-{number}", f"52:54:00:bb:00:{number:02x}", f"10.1.200.{number + 1}")
    assert ensure_applied(stocked).restarted == ("dnsmasq",)
    boot(stocked, "compute-0-0", "install")
    assert ensure_applied(stocked).restarted == ()
    assert log.read_text() == "x"


def test_a_restart_that_failed_is_tried_again(stocked: FrontEnd, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restarts(root, monkeypatch, fails=True)
    applied = ensure_applied(stocked)
    assert "did not start with them: `port in use`" in applied.refused[0].message
    restarts(root, monkeypatch)
    applied = ensure_applied(stocked)
    assert (applied.changed, applied.restarted) == ((), ("dnsmasq",))
    assert ensure_applied(stocked) == Applied(applied.generation)


def test_a_run_that_was_stopped_before_the_restart_is_made_good(
    stocked: FrontEnd, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rollbuild.frontend.applying._restart", stop)
        with pytest.raises(KeyboardInterrupt):
            ensure_applied(stocked)
    log = restarts(root, monkeypatch)
    assert ensure_applied(stocked).restarted == ("dnsmasq",)
    assert log.read_text() == "x"


def test_below_another_root_nothing_restarts_and_that_is_said(stocked: FrontEnd, root: Path) -> None:
    applied = apply_configuration(stocked)
    assert applied.restarted == ()
    assert any(f"dnsmasq was not restarted: the files are below {root}" in line for line in applied.lines())
    assert apply_configuration(stocked, restart=False).notes == ()


def test_a_restart_may_wait(stocked: FrontEnd, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = restarts(root, monkeypatch)
    assert apply_configuration(stocked, restart=False).restarted == ()
    assert not log.exists()
    assert ensure_applied(stocked).restarted == ("dnsmasq",)


@pytest.mark.parametrize("text", ["dnsmasq", "[]", '["a", 1]', '{"a": 1}'])
def test_a_restart_command_is_a_list(stocked: FrontEnd, text: str) -> None:
    with stocked.database.writing("setting") as c:
        write_setting(c, "restart_dnsmasq", text)
    (refusal,) = apply_configuration(stocked).refused
    assert refusal.message.startswith("restart_dnsmasq is no command")


def test_a_diff_shows_what_would_change_and_changes_nothing(stocked: FrontEnd, root: Path) -> None:
    new = diff_configuration(stocked)
    assert "--- /dev/null\n+++ /etc/rollbuild/hosts\n" in new and "images/compute-1 will be made" in new
    assert "Binary file /export/install/netboot/" in new
    assert not (root / "etc/dnsmasq.d").exists()
    apply_configuration(stocked)
    assert diff_configuration(stocked) == ""
    before = files_of(root)
    boot(stocked, "compute-0-0", "install")
    with stocked.database.writing("rename") as c:
        set_host(c, "compute-0-1", name="compute-0-7")
    text = diff_configuration(stocked)
    assert "-52:54:00:aa:00:02,10.1.255.253,compute-0-1\n+52:54:00:aa:00:02,10.1.255.253,compute-0-7\n" in text
    assert "+++ /export/install/netboot/pxelinux.cfg/01-52-54-00-aa-00-01\n" in text
    assert files_of(root) == before
    ensure_applied(stocked)
    assert diff_configuration(stocked) == ""


def test_runs_at_once_wait_for_each_other(stocked: FrontEnd, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = restarts(root, monkeypatch)
    done: list[Applied] = []
    threads = [threading.Thread(target=lambda: done.append(ensure_applied(stocked))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 6 and sum(applied.has_changed for applied in done) == 1
    assert log.read_text() == "x"


def test_the_network_of_the_database_counts(stocked: FrontEnd, root: Path) -> None:
    with stocked.database.writing("attributes") as c:
        set_attribute(c, "global", "", "Kickstart_PrivateNetwork", "10.9.0.0")
        set_attribute(c, "global", "", "Kickstart_PrivateNetmaskCIDR", "16")
    (finding,) = apply_configuration(stocked).findings
    assert "is 10.1.0.0/16, but Kickstart_PrivateNetwork says 10.9.0.0/16" in finding.message
    assert (root / DHCP).read_text().startswith("dhcp-range=10.1.0.0,static,255.255.0.0,3600\n")
    with stocked.database.writing("zone") as c:
        set_network(c, "private", zone="other.internal")
    ensure_applied(stocked)
    assert "local=/other.internal/\n" in (root / "etc/dnsmasq.d/rollbuild.conf").read_text()


def test_the_store_is_found(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_front_end().store.folder == root / "export/rollbuild"
    monkeypatch.setenv("ROLLBUILD_STORE", str(tmp_path))
    assert open_front_end().store.folder == tmp_path
