"""The front end's own scripts and services, run in throw-away trees; its files as their programs read them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollbuild.compiler import Profile
from rollbuild.findings import Severity
from tests.programs import need_program, run_checker
from tests.shipped.conftest import Tree, compile_appliance, scripts_of
from tests.shipped.webservers import check_nginx

HOSTS: list[dict[str, Any]] = [
    {"name": "compute-0-0", "appliance": "compute", "address": "10.1.255.254", "mac": "52:54:00:AA:00:01"},
    {
        "name": "login-0-0",
        "address": "10.1.255.253",
        "mac": "52:54:00:aa:00:02",
        "interfaces": [
            {"name": "eno1", "mac": "52:54:00:aa:00:02", "address": "10.1.255.253", "network": "private"},
            {"name": "eno2", "mac": "52:54:00:aa:00:03", "address": "192.0.2.7", "network": "public"},
            {"name": "ib0", "address": "10.2.0.7", "network": "ipoib"},
        ],
    },
    {"name": "planned-0-0"},
]
DATA: dict[str, Any] = {
    "hosts": HOSTS,
    "networks": [{"name": "private", "domain": "cluster.internal"}, {"name": "public", "domain": "example.org"}],
}
CompileWith = Callable[..., Profile]


@pytest.fixture(scope="session")
def compile_with() -> CompileWith:
    """Compile an appliance with data and attributes."""

    def compile_one(data: Mapping[str, Any] = DATA, name: str = "frontend", **attributes: str) -> Profile:
        return compile_appliance(name, "el9", data, **attributes)

    return compile_one


@pytest.fixture(scope="session")
def full(compile_with: CompileWith) -> Profile:
    """A front end with everything that is not the default."""
    return compile_with(dhcp_server="kea", database="postgresql", shadow_on_hosts="yes")


@pytest.fixture(scope="session")
def plain(compile_with: CompileWith) -> Profile:
    return compile_with()


def prepare(host: Tree) -> Tree:
    for name in ("systemctl", "restorecon", "firewall-offline-cmd", "rpm", "setsebool"):
        host.add_program(name, "exit 0")
    host.add_program("semanage", 'if [ "$1" = export ]; then cat "$KNOWN"; else cat >>"$KNOWN"; fi')
    host.environment["KNOWN"] = str(host.root / "known-to-selinux")
    host.write("/known-to-selinux", "boolean -D\nfcontext -D\n")
    for name in ("passwd", "group", "shadow", "chrony.conf", "dnsmasq.conf", "nfs.conf", "motd"):
        host.write(f"/etc/{name}", "root:x:0:0:root:/root:/bin/bash\n" if name == "passwd" else "")
    return host


def install(host: Tree, profile: Profile, *nodes: str) -> None:
    """Run the scripts of %post of some nodes, or of all; they must say nothing on standard error."""
    host.run_all(
        script
        for script in (*scripts_of(profile, "post", "progress"), *scripts_of(profile, "post"))
        if script.in_chroot and (not nodes or script.node in nodes or script.node == "progress")
    )


def run(host: Tree, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["/bin/bash", host.root / program],
        env={"PATH": f"{host.programs}:{os.environ['PATH']}", **host.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.long
@pytest.mark.parametrize("which", ["plain", "full"])
def test_a_second_run_changes_nothing(host: Tree, request: pytest.FixtureRequest, which: str) -> None:
    profile: Profile = request.getfixturevalue(which)
    assert [finding for finding in profile.findings if finding.severity != Severity.NOTE] == []
    install(prepare(host), profile)
    first = host.files()
    install(host, profile)
    assert host.files() == first
    assert [name for name, (mode, _) in first.items() if mode & 0o002] == []


def test_hosts_get_names_and_addresses(host: Tree, plain: Profile) -> None:
    install(prepare(host), plain, "cluster-dns", "dhcp-dnsmasq")
    assert host.read("/etc/rollbuild/hosts").splitlines() == [
        "10.1.1.1 frontend",
        "10.1.255.254 compute-0-0",
        "10.1.255.253 login-0-0",
        "192.0.2.7 login-0-0.example.org",
        "10.2.0.7 login-0-0-ib0",
    ]
    # Neither an interface on another network, nor a host that has no address yet.
    assert host.read("/etc/rollbuild/dhcp-hosts").splitlines() == [
        "52:54:00:aa:00:01,10.1.255.254,compute-0-0",
        "52:54:00:aa:00:02,10.1.255.253,login-0-0",
    ]


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "one MAC address": (
        [HOSTS[0], {**HOSTS[0], "name": "x", "address": "10.1.0.9"}],
        "hosts compute-0-0 and x both have the MAC address 52:54:00:aa:00:01",
    ),
    "one address": (
        [HOSTS[0], {**HOSTS[0], "name": "x", "mac": "52:54:00:00:00:09"}],
        "hosts compute-0-0 and x both have the address 10.1.255.254",
    ),
    "no MAC address": ([{**HOSTS[0], "mac": "52:54"}], "host compute-0-0: 52:54 is no MAC address"),
    "a line in a name": ([{**HOSTS[0], "name": "x\ndhcp-range=1"}], "host x"),
    "an option in a name": ([{**HOSTS[0], "name": "x,ignore"}], "host x,ignore"),
}


@pytest.mark.parametrize("dhcp_server", ["dnsmasq", "kea"])
@pytest.mark.parametrize(("hosts", "message"), REFUSED.values(), ids=REFUSED)
def test_hosts_that_cannot_be(
    compile_with: CompileWith, hosts: list[dict[str, Any]], message: str, dhcp_server: str
) -> None:
    profile = compile_with({"hosts": hosts}, dhcp_server=dhcp_server)
    errors = [finding.message for finding in profile.findings if finding.severity == Severity.ERROR]
    assert any(error.startswith(message) for error in errors), errors


def test_dnsmasq_accepts_all_of_its_files(host: Tree, plain: Profile) -> None:
    dnsmasq = need_program("dnsmasq")
    install(prepare(host), plain, "cluster-dns", "dhcp-dnsmasq", "netboot")
    # These are read with the paths of the tree, as the server would.
    run_checker(dnsmasq, "--test", "-C", host.root / "etc/dnsmasq.conf")
    settings = "".join(path.read_text() for path in (host.root / "etc/dnsmasq.d").iterdir())
    assert {"dhcp-ignore=tag:!known", "dhcp-range=10.1.0.0,static,255.255.0.0,3600"} <= set(settings.splitlines())
    assert not re.search(r"^(interface|bind-interfaces)", settings, re.MULTILINE)
    (host.root / "etc/dnsmasq.d/bad.conf").write_text("dhcp-nonsense\n")
    assert subprocess.run([dnsmasq, "--test", "-C", host.root / "etc/dnsmasq.conf"], capture_output=True).returncode


@pytest.mark.parametrize("data", [DATA, {}], ids=["hosts", "no hosts"])
def test_kea_accepts_its_file(host: Tree, compile_with: CompileWith, data: dict[str, Any]) -> None:
    profile = compile_with(data, dhcp_server="kea")
    assert "dhcp-dnsmasq" not in profile.nodes and "netboot" in profile.nodes
    install(prepare(host), profile, "dhcp-kea")
    path = host.root / "etc/kea/kea-dhcp4.conf"
    (subnet,) = json.loads(path.read_text())["Dhcp4"]["subnet4"]
    assert [row["hostname"] for row in subnet["reservations"]] == ["compute-0-0", "login-0-0"][: 2 * len(data)]
    assert "pools" not in subnet
    kea = need_program("kea-dhcp4")
    path.write_text(path.read_text().replace(str(host.root), ""))
    run_checker(kea, "-t", path)


def test_certificates_are_made_once_and_nginx_takes_them(host: Tree, plain: Profile) -> None:
    openssl = need_program("openssl")
    prepare(host).add_program("systemctl", '[ "$1" = enable ]')
    install(host, plain, "cluster-ca", "web-server", "web-server-tls")
    run(host, "usr/local/libexec/rollbuild-ca")
    etc = host.root / "etc/rollbuild"
    made = host.files()
    assert made["export/install/ca.pem"] == (0o644, made["etc/rollbuild/ca/ca.pem"][1])
    for name in ("ca/ca.key", "tls/server.key"):
        assert made[f"etc/rollbuild/{name}"][0] == 0o600
    assert [name for name in made if name.startswith("export") and b"PRIVATE" in made[name][1]] == []
    run_checker(
        openssl, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", etc / "ca/ca.pem", etc / "tls/server.pem"
    )
    text = run_checker(openssl, "x509", "-noout", "-ext", "subjectAltName", "-in", etc / "tls/server.pem")
    assert "DNS:frontend.cluster.internal, DNS:frontend, IP Address:10.1.1.1" in text
    run(host, "usr/local/libexec/rollbuild-ca")
    assert host.files() == made
    check_nginx(host)


def test_certificates_follow_names_and_the_ca(host: Tree, plain: Profile) -> None:
    openssl = need_program("openssl")
    install(prepare(host), plain, "cluster-ca")
    program = host.root / "usr/local/libexec/rollbuild-ca"
    run(host, "usr/local/libexec/rollbuild-ca")
    first = host.files()
    program.write_text(program.read_text().replace("kickstart_host='10.1.1.1'", "kickstart_host='boot.example.org'"))
    run(host, "usr/local/libexec/rollbuild-ca")
    assert host.files()["etc/rollbuild/ca/ca.pem"] == first["etc/rollbuild/ca/ca.pem"]
    pem = host.root / "etc/rollbuild/tls/server.pem"
    assert "DNS:boot.example.org" in run_checker(openssl, "x509", "-noout", "-ext", "subjectAltName", "-in", pem)
    assert "systemctl reload nginx.service" in host.called()
    (host.root / "etc/rollbuild/ca/ca.key").unlink()
    assert "a new CA is made" in run(host, "usr/local/libexec/rollbuild-ca").stdout
    run_checker(openssl, "verify", "-CAfile", host.root / "export/install/ca.pem", pem)


def test_selinux_is_told_once(host: Tree, plain: Profile) -> None:
    install(prepare(host), plain, "frontend-selinux")
    assert host.read("/known-to-selinux").splitlines()[2:] == [
        "fcontext -a -f a -t public_content_t '/export/install(/.*)?'",
        "fcontext -a -e /home /export/home",
        "port -a -t http_port_t -p tcp 8441",
        "boolean -m -1 httpd_can_network_relay",
    ]
    assert [call for call in host.called() if call.startswith("semanage")] == ["semanage export", "semanage import"]
    # As semanage of EL writes it, with one that the site has set otherwise.
    host.write(
        "/known-to-selinux",
        "boolean -m -1 httpd_can_network_relay\nport -a -t http_port_t -r 's0' -p tcp 8441\n"
        f"fcontext -a -f a -t httpd_sys_content_t -r 's0' '{host.root}/export/install(/.*)?'\n"
        f"fcontext -a -e /home {host.root}/export/home\n",
    )
    install(host, plain, "frontend-selinux")
    assert host.read("/known-to-selinux").splitlines()[4:] == [
        "fcontext -m -f a -t public_content_t '/export/install(/.*)?'"
    ]


def test_the_interface_of_the_cluster_is_in_its_zone(host: Tree, plain: Profile) -> None:
    folder = "/etc/NetworkManager/system-connections"
    host.write(f"{folder}/eno1.nmconnection", "[connection]\nid=eno1\n\n[ipv4]\naddress1=10.1.1.1/16\n")
    host.write(f"{folder}/eno2.nmconnection", "[connection]\nid=eno2\n\n[ipv4]\naddress1=10.1.1.11/16\n")
    host.write("/etc/sysconfig/network-scripts/ifcfg-eno1", "DEVICE=eno1\nIPADDR=10.1.1.1\n")
    for _ in range(2):
        install(prepare(host), plain, "cluster-firewall")
    assert host.read(f"{folder}/eno1.nmconnection").startswith("[connection]\nzone=rbprivate\nid=eno1\n\n")
    assert "zone" not in host.read(f"{folder}/eno2.nmconnection")
    assert host.read("/etc/sysconfig/network-scripts/ifcfg-eno1").endswith("IPADDR=10.1.1.1\nZONE=rbprivate\n")
    zone = host.read("/etc/firewalld/zones/rbprivate.xml")
    assert re.findall(r'(?:service name|port port)="([\w-]+)"', zone) == (
        ["ssh", "dhcp", "dns", "tftp", "http", "ntp", "nfs", "514", "8443"]
    )


def test_machines_without_a_file_of_their_own_start_from_their_disk(host: Tree, plain: Profile) -> None:
    for name in ("shimx64.efi", "grubx64.efi"):
        host.write(f"/boot/efi/EFI/rocky/{name}", name)
    host.write("/export/install/netboot/grub/grub.cfg", "of a netboot tree\n")
    install(prepare(host), plain, "netboot")
    tree = host.root / "export/install/netboot"
    assert (tree / "EFI/BOOT/BOOTX64.EFI").read_text() == "shimx64.efi"
    assert (tree / "grub/grubx64.efi").read_text() == "grubx64.efi"
    assert (tree / "grub/grub.cfg").read_text() == "of a netboot tree\n"
    assert "localboot 0" in (tree / "pxelinux.cfg/default").read_text()
    assert "exit" in (tree / "EFI/BOOT/grub.cfg").read_text()


def test_keys_and_users_survive_a_reinstall(host: Tree, plain: Profile, tmp_path: Path) -> None:
    install(prepare(host), plain, "keys-restore", "keys-backup")
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n")
    host.write("/etc/group", "root:x:0:\nalice:x:1000:\n")
    host.write("/etc/shadow", "root:!::::::\nalice:$6$hash:1::::::\n")
    keys = {"/etc/rollbuild/ca/ca.key": "ca", "/root/.ssh/id_ed25519": "root", "/etc/ssh/ssh_host_rsa_key": "host"}
    for name, text in keys.items():
        host.write(name, text)
        (host.root / name[1:]).chmod(0o600)
    backup = host.root / "export/backup"
    run(host, "usr/local/libexec/rollbuild-backup")
    # As if that had been long ago: what is written anew from here on has another time.
    for path in (host.root / "etc/rollbuild/users").iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (backup / "frontend.tar").unlink()
    for _ in range(2):
        run(host, "usr/local/libexec/rollbuild-backup")
    assert (backup.stat().st_mode & 0o777, [path.name for path in backup.iterdir()]) == (0o700, ["frontend.tar"])
    assert (backup / "frontend.tar").stat().st_mode & 0o777 == 0o600
    for round_ in range(20):
        host.write("/etc/rollbuild/ca/ca.key", f"ca {round_}")
        os.utime(backup / "frontend.tar", (round_ * 100, round_ * 100))
        run(host, "usr/local/libexec/rollbuild-backup")
    assert len(list(backup.glob("frontend-*.tar"))) == 14

    # All but /export is new.
    shutil.rmtree(host.root / "etc")
    shutil.rmtree(host.root / "root")
    (host.root / "root").mkdir()
    prepare(host)
    host.write("/etc/ssh/ssh_host_rsa_key", "new\n")
    for _ in range(2):
        install(host, plain, "keys-restore")
    assert host.read("/etc/rollbuild/ca/ca.key") == "ca 19"
    assert host.read("/etc/ssh/ssh_host_rsa_key") == "new\n"
    assert host.files()["root/.ssh/id_ed25519"] == (0o600, b"root")
    assert (host.root / "root/.ssh").stat().st_mode & 0o777 == 0o700
    assert host.read("/etc/passwd").splitlines()[1:] == ["alice:x:1000:1000::/home/alice:/bin/bash"]
    assert host.read("/etc/shadow") == "alice:$6$hash:1::::::\n"
    # A user who was removed since then stays away.
    host.write("/etc/passwd", "root:x:0:0::/root:/bin/bash\n")
    install(host, plain, "keys-restore")
    assert "alice" not in host.read("/etc/passwd")


UNITS = {
    "home.mount",
    "share.mount",
    "rollbuild-accounts.service",
    "rollbuild-accounts.timer",
    "rollbuild-backup.service",
    "rollbuild-backup.timer",
    "rollbuild-ca.service",
    "rollbuild-ca.timer",
    "rollbuild-publish-accounts.path",
    "rollbuild-publish-accounts.service",
    "rollbuild-publish-accounts.timer",
    "rollbuild.service",
}


def test_systemd_accepts_the_units(host: Tree, plain: Profile, compile_with: CompileWith) -> None:
    analyze = need_program("systemd-analyze")
    install(prepare(host), plain)
    host.add_program("curl", "exit 22")
    install(host, compile_with(name="compute"), "accounts-client")
    folder = host.root / "etc/systemd/system"
    assert {path.name for path in folder.iterdir()} >= UNITS
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    for path in paths:
        # The programs lie in the tree; what is mounted has the host's own names.
        if path.suffix == ".mount":
            path.write_text(path.read_text().replace(str(host.root), ""))
        # The package of rollbuild is not on the machine of the tests.
        path.write_text(path.read_text().replace("/usr/bin/rollbuild", "/usr/bin/env"))
    done = subprocess.run([analyze, "verify", *paths], capture_output=True, text=True, timeout=60)
    mine = [line for line in done.stderr.splitlines() if any(path.name in line for path in paths)]
    assert mine == []


def test_homes_are_mounted_where_they_are_not_local(host: Tree, compile_with: CompileWith) -> None:
    compute = compile_with(name="compute", home_server="nas-0-0", home_path="/export/data1/home")
    install(prepare(host), compute, "homes")
    options = "-fstype=nfs,rw,vers=4.2,hard,noatime,nosuid,nodev"
    assert host.read("/etc/auto.rollbuild-home") == f"* {options} nas-0-0:/export/data1/home/&\n"
    assert host.read("/etc/auto.rollbuild-share").endswith(" 10.1.1.1:/export/share/&\n")
    assert len(host.read("/etc/auto.master.d/rollbuild.autofs").splitlines()) == 2
    frontend = compile_with(home_server="nas-0-0")
    assert "homes" in frontend.nodes and "home-server" not in frontend.nodes
    assert not {"homes", "accounts-client"} & set(compile_with(name="compute", homes="no", accounts="none").nodes)


def test_programs_pass_shellcheck(host: Tree, full: Profile, compile_with: CompileWith) -> None:
    shellcheck = need_program("shellcheck")
    install(prepare(host), full)
    host.add_program("curl", "exit 22")
    for script in scripts_of(compile_with(name="compute"), "post", "accounts-client"):
        host.run(script)
    names = "accounts backup ca publish-accounts selinux"
    run_checker(
        shellcheck, "--shell=bash", *(host.root / f"usr/local/libexec/rollbuild-{name}" for name in names.split())
    )


def test_exports_are_what_exportfs_reads(host: Tree, plain: Profile) -> None:
    install(prepare(host), plain, "nfs-server", "home-server")
    folder = host.root / "etc/exports.d"
    lines = [path.read_text().replace(str(host.root), "").strip() for path in sorted(folder.iterdir())]
    assert lines == [
        "/export/home 10.1.0.0/16(rw,sync,root_squash,no_subtree_check,sec=sys)",
        "/export/share 10.1.0.0/16(ro,sync,root_squash,no_subtree_check,sec=sys)",
    ]
    exportfs = need_program("exportfs")
    if os.geteuid() != 0 or not Path("/etc/exports").exists():
        pytest.skip("only root can give exportfs another /etc/exports")
    exports = host.root / "exports"
    exports.write_text("".join(path.read_text() for path in sorted(folder.iterdir())))
    # It reads fixed paths: a mount namespace of its own has our file there. The kernel keeps its exports for each
    # network namespace: in one of its own those of a file server that this runs on stay as they are.
    script = f"""mount -t tmpfs none /var/lib/nfs && mount --bind {exports} /etc/exports || exit 77
{exportfs} -ar && {exportfs} -s"""
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip("mount namespaces cannot be had here")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(re.findall(r"/export/(\w+) .*\b(rw|ro)\b", done.stdout)) == [("home", "rw"), ("share", "ro")]
