"""The scripts of %post and of the first boot, run in a throw-away tree, twice; and what programs say of the files."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from rollbuild.compiler import Profile
from tests.programs import need_program
from tests.shipped.conftest import APPLIANCES, RELEASES, Compile, Tree, scripts_of
from tests.shipped.webservers import write_nginx_conf

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI root of the front end"
VENDOR = "[baseos]\nname=BaseOS\nenabled=1\n\n[extras]\nname=Extras\nenabled = 1\n"

Install = Callable[..., Profile]


@pytest.fixture
def install(compile_shipped: Compile, host: Tree) -> Install:
    """Run all scripts of %post that run in the host's own system, in order; each must succeed."""
    fakes = "systemctl restorecon semanage setsebool dracut firewall-offline-cmd rpm grub2-mkconfig rsync"
    for name in fakes.split():
        host.add_program(name, "exit 0")
    host.add_program("ip", 'echo "10.1.1.1 dev eno1 src 10.1.255.254 uid 0"')
    host.add_program("ssh-keygen", "exit 0")
    host.add_program("curl", f"while [ $# -gt 1 ]; do [ \"$1\" != --output ] || echo '{PUBLIC_KEY}' >$2; shift; done")
    host.write("/sys/class/net/eno1/address", "52:54:00:12:34:56\n")
    host.write("/etc/NetworkManager/system-connections/eno1.nmconnection", "[connection]\nid=eno1\n")
    host.write("/etc/yum.repos.d/vendor.repo", VENDOR)
    host.write("/etc/pki/rpm-gpg/RPM-GPG-KEY-Vendor-9", "a key\n")
    host.write("/etc/pki/rpm-gpg/RPM-GPG-KEY-Vendor-Testing-9", "another key\n")
    for name in ("chrony.conf", "fstab", "motd", "sysconfig/libvirt-guests"):
        host.write(f"/etc/{name}", "what the package brought\n")
    host.write("/etc/ssh/sshd_config", "# the distribution's\nPasswordAuthentication yes\n")

    def run(appliance: str, release: str, **attributes: str) -> Profile:
        profile = compile_shipped(appliance, release, **attributes)
        host.run_all(script for script in scripts_of(profile, "post") if script.in_chroot)
        return profile

    return run


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("appliance", APPLIANCES)
def test_a_second_run_changes_nothing(install: Install, host: Tree, appliance: str, release: str) -> None:
    install(appliance, release)
    first = host.files()
    install(appliance, release)
    assert host.files() == first


def test_only_root_reads_the_token(install: Install, host: Tree) -> None:
    install("compute", "el9", install_token="0123", install_events="")
    holding = {name: mode for name, (mode, content) in host.files().items() if b"0123" in content}
    assert holding == {"etc/rollbuild/install.conf": 0o600}
    # What dnsmasq reads after it has given up being root lies beside it.
    assert (host.root / "etc/rollbuild").stat().st_mode & 0o055 == 0o055


def test_the_front_ends_key_is_let_in_from_the_front_end(install: Install, host: Tree) -> None:
    host.write("/root/.ssh/authorized_keys", "ssh-ed25519 AAAA admin@example.org\n")
    install("compute", "el9")
    assert host.read("/root/.ssh/authorized_keys").splitlines() == [
        "ssh-ed25519 AAAA admin@example.org",
        f'from="10.1.1.1" {PUBLIC_KEY}',
    ]
    assert host.files()["root/.ssh/authorized_keys"][0] == 0o600
    assert any(call.endswith("http://10.1.1.1/install/keys/root.pub") for call in host.called())


@pytest.mark.parametrize(
    ("present", "attributes", "status"),
    [
        ("", {}, 1),
        ("", {"allow_no_login": "yes"}, 0),
        ("", {"Kickstart_PrivateRootPassword": "$6$salt$hash"}, 0),
        ("ssh-ed25519 AAAA admin@example.org\n", {}, 0),
    ],
)
def test_without_any_key_an_install_fails(
    compile_shipped: Compile, install: Install, host: Tree, present: str, attributes: dict[str, str], status: int
) -> None:
    install("compute", "el9")
    host.write("/root/.ssh/authorized_keys", present)
    host.add_program("curl", "exit 22")
    (script,) = scripts_of(compile_shipped("compute", "el9", **attributes), "post", "cluster-key")
    done = host.run(script)
    assert done.returncode == status
    assert ("nobody could log in" in done.stderr) == bool(status)


def test_repositories_of_the_cluster_replace_the_vendors(install: Install, host: Tree) -> None:
    install("compute", "el9")
    assert "baseurl=http://10.1.1.1/install/dist/el9/AppStream\n" in host.read("/etc/yum.repos.d/rollbuild.repo")
    assert "gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-Vendor-9\n" in host.read("/etc/yum.repos.d/rollbuild.repo")
    assert host.read("/etc/yum.repos.d/vendor.repo") == VENDOR.replace("enabled=1", "enabled=0").replace(
        "enabled = 1", "enabled=0"
    )


def test_repositories_of_the_vendor_may_stay(install: Install, host: Tree) -> None:
    install("compute", "el9", vendor_repositories="kept", install_url="http://mirror.example.org/9/os")
    assert host.read("/etc/yum.repos.d/vendor.repo") == VENDOR
    assert "baseurl=http://mirror.example.org/9/os/BaseOS\n" in host.read("/etc/yum.repos.d/rollbuild.repo")


@pytest.mark.parametrize(
    ("attributes", "ipv4"),
    [
        ({}, "[ipv4]\nmethod=auto\n"),
        (
            {
                "hostaddr": "10.1.255.254",
                "ksmac": "52:54:00:12:34:56",
                "Kickstart_PrivateDNSServers": "10.1.1.1,10.1.1.2",
            },
            "[ipv4]\nmethod=manual\naddress1=10.1.255.254/16,10.1.1.1\ndns=10.1.1.1;10.1.1.2;\n"
            "dns-search=cluster.internal;\n",
        ),
    ],
)
def test_the_bridge_takes_over_the_interface(
    install: Install, host: Tree, attributes: dict[str, str], ipv4: str
) -> None:
    install("vm-container", "el9", **attributes)
    folder = "etc/NetworkManager/system-connections"
    files = {name: mode for name, (mode, _) in host.files().items() if name.startswith(folder)}
    assert files == {f"{folder}/br-private-port.nmconnection": 0o600, f"{folder}/br-private.nmconnection": 0o600}
    bridge = host.read(f"/{folder}/br-private.nmconnection")
    assert ipv4 in bridge
    assert "[bridge]\nstp=false\nmac-address=52:54:00:12:34:56\n" in bridge
    assert "master=br-private\n" in host.read(f"/{folder}/br-private-port.nmconnection")


def test_sshd_of_el8_reads_our_settings_first(install: Install, host: Tree) -> None:
    install("compute", "el8")
    text = host.read("/etc/ssh/sshd_config")
    assert text.startswith("# begin rollbuild")
    assert text.endswith("# end rollbuild\n# the distribution's\nPasswordAuthentication yes\n")
    kept = host.root / "var/lib/rollbuild/orig" / str(host.root).lstrip("/") / "etc/ssh/sshd_config"
    assert kept.read_text() == "# the distribution's\nPasswordAuthentication yes\n"


def test_the_first_boot_makes_the_front_ends_key_once(install: Install, host: Tree) -> None:
    install("frontend", "el9", ssh_root_keys="ssh-ed25519 AAAA x")
    host.add_program(
        "ssh-keygen",
        'while [ $# -gt 1 ]; do [ "$1" != -f ] || { echo private >"$2"; echo public >"$2.pub"; }; shift; done',
    )
    for _ in range(2):
        run_first_boot(host, "post", "root-key")
    assert host.read("/export/install/keys/root.pub") == "public\n"
    assert sum(call.startswith("ssh-keygen -q") for call in host.called()) == 1


def run_first_boot(host: Tree, order: str, node: str) -> subprocess.CompletedProcess[str]:
    """Run a script that an install left for the first boot; its paths are those of the tree already."""
    (path,) = (host.root / f"etc/rollbuild/boot-{order}.d").glob(f"*-{node}.sh")
    done = subprocess.run(
        ["/bin/bash", str(path)],
        env={"PATH": f"{host.programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.long
@pytest.mark.parametrize(
    ("status", "made"), [("root LK 2026-01-01", True), ("root L 2026-01-01", True), ("root P 2026-01-01", False)]
)
def test_a_front_end_without_keys_shows_a_password_once(install: Install, host: Tree, status: str, made: bool) -> None:
    install("frontend", "el9")
    host.write("/etc/issue", "the distribution's\n")
    host.add_program("passwd", f"echo '{status}'")
    host.add_program("chpasswd", f"cat >'{host.root}/given'")
    for name in ("chage", "agetty"):
        host.add_program(name, "exit 0")
    run_first_boot(host, "pre", "console-password")
    if not made:
        assert host.read("/etc/issue") == "the distribution's\n"
        return
    password = host.read("/given").strip().removeprefix("root:")
    assert len(password) == 24
    assert f"with the password {password}\n" in host.read("/etc/issue")
    assert "chage -d 0 root" in host.called()


def test_the_firewall_reads_its_zone_and_policy(install: Install, host: Tree) -> None:
    install("frontend", "el9")
    zone = etree.fromstring((host.root / "etc/firewalld/zones/rbprivate.xml").read_bytes())
    assert [element.get("name") for element in zone.iter("service")] == (
        ["ssh", "dhcp", "dns", "tftp", "http", "ntp", "nfs"]
    )
    policy = etree.fromstring((host.root / "etc/firewalld/policies/rb-nat.xml").read_bytes())
    assert policy.get("target") == "ACCEPT"


# Program, what it is given, and the appliance and release whose file it reads.
CHECKERS: dict[str, tuple[str, list[str], str, str]] = {
    "chrony of a host": ("chronyd", ["-p", "-f", "{root}/etc/chrony.conf"], "compute", "el9"),
    "chrony of the front end": ("chronyd", ["-p", "-f", "{root}/etc/chrony.conf"], "frontend", "el9"),
    "dnsmasq": ("dnsmasq", ["--test", "-C", "{root}/etc/dnsmasq.d/rollbuild.conf"], "frontend", "el9"),
    "nginx": ("nginx", ["-t", "-p", "{root}", "-c", "{root}/nginx.conf"], "frontend", "el9"),
    "rsyslog of a host": ("rsyslogd", ["-N1", "-f", "{root}/rsyslog.conf"], "compute", "el9"),
    "rsyslog of the front end": ("rsyslogd", ["-N1", "-f", "{root}/rsyslog.conf"], "frontend", "el9"),
    "logrotate": ("logrotate", ["-d", "{root}/etc/logrotate.d/rollbuild-hosts"], "frontend", "el9"),
    "sshd": (
        "sshd",
        ["-T", "-h", "{root}/key", "-f", "{root}/etc/ssh/sshd_config.d/40-rollbuild.conf"],
        "compute",
        "el9",
    ),
    "sshd of el8": ("sshd", ["-T", "-h", "{root}/key", "-f", "{root}/etc/ssh/sshd_config"], "compute", "el8"),
    "the unit of the first boot": (
        "systemd-analyze",
        ["verify", "{root}/etc/systemd/system/rollbuild-boot-post.service"],
        "frontend",
        "el9",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize(("program", "arguments", "appliance", "release"), CHECKERS.values(), ids=CHECKERS)
def test_programs_accept_their_files(
    install: Install, host: Tree, program: str, arguments: list[str], appliance: str, release: str
) -> None:
    path = need_program(program)
    install(appliance, release)
    if program == "sshd":
        keygen = need_program("ssh-keygen")
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(host.root / "key")], check=True)
    write_nginx_conf(host)
    host.write("/rsyslog.conf", f'include(file="{host.root}/etc/rsyslog.d/*.conf")\n')
    for config in Path(host.root, "etc").rglob("*"):
        if config.is_file():
            config.chmod(config.stat().st_mode & 0o755)
    done = subprocess.run(
        [path, *(argument.format(root=host.root) for argument in arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "rivilege separation" in done.stderr:
        pytest.skip("sshd is installed without its user or its folder")
    assert done.returncode == 0, done.stdout + done.stderr
    if program == "sshd":
        assert "passwordauthentication no" in done.stdout.splitlines()
        assert {"permitrootlogin prohibit-password", "permitrootlogin without-password"} & set(done.stdout.splitlines())
