"""VM containers: bridges from the cluster's data, control by the front end alone, memory for the host, pools, Xen."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from lxml import etree

from rollbuild.compiler import Profile
from rollbuild.findings import Severity
from tests.programs import need_program
from tests.shipped.conftest import RELEASES, SOURCES, Compile, Tree, compile_appliance, scripts_of

CONNECTIONS = "etc/NetworkManager/system-connections"
OWN_MAC, OTHER_MAC, THIRD_MAC = "52:54:00:12:34:56", "52:54:00:12:34:57", "52:54:00:12:34:58"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI control of virtual machines"
POOL_SCHEMA = Path("/usr/share/libvirt/schemas/storagepool.rng")
XEN = {"vm_hypervisor": "xen", "xen_repository": "http://10.1.1.1/xen"}

DATA: dict[str, Any] = {
    "networks": [
        {"name": "private", "address": "10.1.0.0", "netmask": "255.255.0.0", "mtu": 9000, "domain": "cluster.internal"},
        {"name": "storage", "address": "10.2.0.0", "netmask": "255.255.240.0", "mtu": 9000},
        {"name": "world", "address": "192.0.2.0", "netmask": "255.255.255.0"},
    ],
    "hosts": [
        {"name": "compute-0-0", "address": "10.1.255.254", "interfaces": [{"mac": "52:54:00:aa:00:01"}]},
        {
            "name": "vm-container-0-0",
            "address": "10.1.255.253",
            "mac": OWN_MAC,
            "interfaces": [
                {"name": "eno1", "mac": OWN_MAC, "network": "private", "address": "10.1.255.253"},
                {"name": "eno2", "mac": OTHER_MAC.upper(), "network": "storage", "address": "10.2.0.7"},
                {"name": "eno3", "mac": THIRD_MAC, "network": "world"},
                {"name": "eno4", "mac": "52:54:00:12:34:59"},
                {"name": "eno5", "mac": "52:54:00:12:34:5a", "network": "lab"},
                {"name": "lab", "type": "bridge", "mac": "52:54:00:12:34:5a", "network": "lab", "ports": ["eno5"]},
            ],
        },
    ],
}


def compile_container(release: str, data: Mapping[str, Any] | None = None, /, **attributes: str) -> Profile:
    """The VM container vm-container-0-0, with data of the cluster."""
    return compile_appliance("vm-container", release, data, hostname="vm-container-0-0", **attributes)


@pytest.fixture
def container(host: Tree) -> Tree:
    """A host whose packages are installed and whose installer has written its network."""
    for name in ("systemctl", "restorecon", "semanage", "ssh-keygen", "grub2-set-default"):
        host.add_program(name, "exit 0")
    host.add_program("ip", 'echo "10.1.1.1 dev eno1 src 10.1.255.253 uid 0"')
    host.add_program("curl", f"while [ $# -gt 1 ]; do [ \"$1\" != --output ] || echo '{PUBLIC_KEY}' >$2; shift; done")
    host.write("/usr/local/libexec/rollbuild.sh", 'rb_fail() { echo "$1" >&2; exit 1; }\n')
    host.write("/sys/class/net/eno1/address", f"{OWN_MAC}\n")
    host.write(f"/{CONNECTIONS}/eno1.nmconnection", f"[connection]\nid=eno1\n[ethernet]\nmac-address={OWN_MAC}\n")
    host.write(f"/{CONNECTIONS}/other.nmconnection", f"[connection]\nid=x\n[ethernet]\nmac-address={OTHER_MAC}\n")
    host.write("/etc/sysconfig/libvirt-guests", "what the package brought\n")
    host.write("/etc/ssh/sshd_config", "Subsystem sftp internal-sftp\n")
    host.write("/etc/libvirt/qemu/networks/autostart/default.xml", "<network/>\n")
    return host


def run_nodes(host: Tree, profile: Profile, nodes: Sequence[str]) -> None:
    for node in nodes:
        for script in scripts_of(profile, "post", node):
            done = host.run(script)
            assert done.returncode == 0, f"{node}: {done.stdout}{done.stderr}"


def connections(host: Tree) -> dict[str, str]:
    folder = host.root / CONNECTIONS
    assert {path.stat().st_mode & 0o777 for path in folder.glob("br-*")} == {0o600}
    return {path.stem: path.read_text() for path in sorted(folder.iterdir())}


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
def test_each_network_has_a_bridge(container: Tree, release: str) -> None:
    profile = compile_container(release, DATA, vm_vlans="100, 2001")
    assert [finding for finding in profile.findings if finding.severity != Severity.NOTE] == []
    # What the base makes of the same data is there before.
    nodes = ["interfaces", "vm-bridge", "vm-networks"]
    assert [node for node in profile.nodes if node in nodes] == nodes
    run_nodes(container, profile, nodes)
    first = container.files()
    files = connections(container)
    assert sorted(files) == sorted(
        [
            *("eno4", "eno5", "lab"),
            *("br-private", "br-storage", "br-world", "br-vlan100", "br-vlan2001"),
            *("br-private-port", "br-storage-port", "br-world-port", "br-vlan100-port", "br-vlan2001-port"),
        ]
    )
    assert "\n[ethernet]\nmtu=9000\n" in files["br-private"]
    assert "method=manual\naddress1=10.2.0.7/20\nnever-default=true\n" in files["br-storage"]
    assert f"mac-address={OTHER_MAC}\nmtu=9000\n" in files["br-storage-port"]
    assert "[ipv4]\nmethod=disabled\n" in files["br-world"]
    (uuid,) = re.findall(r"uuid=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\n", files["br-private-port"])
    assert files["br-vlan2001-port"].endswith(f"[vlan]\nid=2001\nparent={uuid}\n")
    uuids = [line for text in files.values() for line in text.splitlines() if line.startswith("uuid=")]
    assert len(set(uuids)) == len(files)
    run_nodes(container, profile, nodes)
    assert container.files() == first


def test_network_manager_reads_the_keyfiles(container: Tree) -> None:
    nmcli = need_program("nmcli")
    run_nodes(container, compile_container("el10", DATA, vm_vlans="100"), ["vm-bridge", "vm-networks"])
    for name, text in connections(container).items():
        # What it does not understand it leaves out of what it writes.
        command = [nmcli, "--offline", "connection", "modify", "connection.autoconnect", "yes"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, name + done.stderr
        for old, new in (("master=", "controller="), ("slave-type=", "port-type=")):
            done.stdout = done.stdout.replace(new, old)
        written = {line.lower() for line in done.stdout.splitlines()}
        assert [line for line in text.splitlines() if line and line.lower() not in written] == [], name


@pytest.mark.parametrize(
    ("attributes", "data", "message"),
    [
        ({"vm_bridge": "br-of-the-cluster"}, {}, "vm_bridge=br-of-the-cluster: the name of an interface"),
        ({"vm_bridge_prefix": "bridge-to-the-"}, DATA, "the bridge of network storage would be bridge-to-the-storage"),
        ({"vm_vlans": "100,4095"}, {}, "vm_vlans: 4095 is no VLAN"),
        ({"vm_vlans": "blue"}, {}, "vm_vlans: blue is no VLAN"),
        ({}, {**DATA, "networks": []}, "network storage has no netmask"),
    ],
)
def test_impossible_networks_are_refused(attributes: dict[str, str], data: dict[str, Any], message: str) -> None:
    findings = compile_container("el9", data, **attributes).findings
    assert [finding for finding in findings if finding.message.startswith(message)]


@pytest.mark.parametrize(("attributes", "driver"), [({}, "qemu"), (XEN, "xen")])
@pytest.mark.parametrize("release", RELEASES)
def test_the_front_end_reaches_libvirt_and_nothing_else(
    container: Tree, release: str, attributes: dict[str, str], driver: str
) -> None:
    container.add_program(
        "curl",
        'while [ $# -gt 1 ]; do [ "$1" != --output ] || echo \'ssh-rsa AAAAB3 x" command="/bin/sh\' >$2; shift; done',
    )
    profile = compile_container(release, **attributes)
    run_nodes(container, profile, ["vm-control"])
    assert container.read("/etc/ssh/rbvm.keys") == (
        f'from="10.1.1.1",restrict,command="/usr/bin/virt-ssh-helper {driver}:///system" ssh-rsa AAAAB3\n'
    )
    assert (container.root / "etc/ssh/rbvm.keys").stat().st_mode & 0o777 == 0o644
    assert any(line.text.startswith("user --name=rbvm --uid=350 ") for line in profile.lines)
    first = container.files()
    run_nodes(container, profile, ["vm-control"])
    assert container.files() == first


def test_without_a_key_nobody_gets_in_as_rbvm(container: Tree) -> None:
    container.add_program("curl", "exit 22")
    run_nodes(container, compile_container("el9"), ["vm-control"])
    assert container.read("/etc/ssh/rbvm.keys") == ""


@pytest.mark.parametrize("release", RELEASES)
def test_sshd_restricts_the_user_alone(container: Tree, release: str) -> None:
    sshd, keygen = need_program("sshd"), need_program("ssh-keygen")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(container.root / "key")], check=True)
    profile = compile_container(release)
    run_nodes(container, profile, ["ssh-server", "vm-control"])
    own, folder = container.root / "etc/ssh/sshd_config", container.root / "etc/ssh/sshd_config.d"
    if release != "el8":
        own.write_text(f"Include {folder}/*.conf\n{own.read_text()}")
    shown = {}
    for user in ("rbvm", "root"):
        command = [sshd, "-T", "-h", str(container.root / "key"), "-f", str(own)]
        done = subprocess.run(
            [*command, "-C", f"user={user},host=x,addr=10.1.1.1"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if "rivilege separation" in done.stderr:
            pytest.skip("sshd is installed without its user or its folder")
        assert done.returncode == 0, done.stderr
        shown[user] = set(done.stdout.splitlines())
    assert {"disableforwarding yes", "permittty no", "passwordauthentication no"} <= shown["rbvm"]
    assert any(line.startswith("authorizedkeysfile ") and line.endswith("rbvm.keys") for line in shown["rbvm"])
    assert {
        "disableforwarding no",
        "permittty yes",
        "authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2",
    } <= (shown["root"])


def test_the_front_end_uses_its_key_for_this_user(compile_shipped: Compile, container: Tree) -> None:
    ssh = need_program("ssh")
    run_nodes(container, compile_shipped("frontend", "el9"), ["vm-control-key"])
    path = container.root / "etc/ssh/ssh_config.d/40-rollbuild-vm.conf"
    path.write_text(container.read("/etc/ssh/ssh_config.d/40-rollbuild-vm.conf"))
    for user, expected in (("rbvm", True), ("root", False)):
        done = subprocess.run([ssh, "-G", "-F", str(path), f"{user}@x"], capture_output=True, text=True, check=True)
        lines = set(done.stdout.splitlines())
        for said in ("identityfile /etc/rollbuild/ssh/vmctl", "connecttimeout 10", "serveraliveinterval 5"):
            assert (said in lines) == expected, said


def test_the_front_ends_key_is_made_once(compile_shipped: Compile, container: Tree) -> None:
    container.add_program(
        "ssh-keygen",
        'while [ $# -gt 1 ]; do [ "$1" != -f ] || { echo private >"$2"; echo public >"$2.pub"; }; shift; done',
    )
    text = compile_shipped("frontend", "el9").text
    (script,) = re.findall(r"boot-post\.d/[0-9]+-vm-control-key\.sh <<'RB_BOOT'\n(.*?)\nRB_BOOT", text, re.DOTALL)
    script = re.sub(r"/(?=(?:etc|export)/)", f"{container.root}/", script)
    for _ in range(2):
        environment = {"PATH": f"{container.programs}:/usr/bin:/bin"}
        subprocess.run(["/bin/bash", "-c", script], env=environment, check=True, timeout=60)
    assert container.read("/export/install/keys/vmctl.pub") == "public\n"
    assert (container.root / "etc/rollbuild/ssh").stat().st_mode & 0o777 == 0o700
    assert sum(call.startswith("ssh-keygen -q") for call in container.called()) == 1


# Memory of the host and of running machines in MiB, what the host keeps, the operation, and whether it goes on.
MEMORY: dict[str, tuple[int, dict[str, int], str, str, bool]] = {
    "there is room": (16384, {}, "2048", "prepare", True),
    "exactly": (4096 + 256 + 2048, {}, "2048", "prepare", True),
    "one too much": (4096 + 256 + 2047, {}, "2048", "prepare", False),
    "others count, with their emulators": (16384, {"a": 6000, "b": 3600}, "2048", "prepare", False),
    "others leave room": (16384, {"a": 6000}, "2048", "prepare", True),
    "its own state does not count": (8192, {"new": 4096}, "2048", "prepare", True),
    "a tenth is kept": (40960, {"a": 32257}, "", "prepare", False),
    "at least 2048": (6399, {}, "", "prepare", False),
    "its end is not refused": (1024, {}, "2048", "release", True),
}


@pytest.mark.parametrize(("total", "running", "kept", "operation", "goes_on"), MEMORY.values(), ids=MEMORY)
def test_memory_is_kept_for_the_host(
    container: Tree, total: int, running: dict[str, int], kept: str, operation: str, goes_on: bool
) -> None:
    run_nodes(container, compile_container("el9", vm_host_memory=kept), ["vm-memory"])
    hook = container.root / "etc/libvirt/hooks/qemu.d/rollbuild-memory"
    assert hook.stat().st_mode & 0o777 == 0o755
    container.write("/proc/meminfo", f"MemTotal:   {total * 1024} kB\nMemFree:  1 kB\n")
    domain = "<domain type='kvm'>\n  <memory unit='KiB'>{}</memory>\n  <currentMemory unit='KiB'>1</currentMemory>\n"
    for name, mib in running.items():
        container.write(f"/run/libvirt/qemu/{name}.xml", domain.format(mib * 1024))
    text = hook.read_text().replace(" /proc/meminfo", f" {container.root}/proc/meminfo")
    hook.write_text(text)
    done = subprocess.run(
        [hook, "new", operation, "begin", "-"],
        input=domain.format(4096 * 1024),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode == 0) == goes_on, done.stderr
    assert ("vm_host_memory" in done.stderr) != goes_on


@pytest.mark.parametrize(
    ("release", "enabled", "masked"),
    [
        ("el8", "systemctl enable libvirtd.service", "systemctl mask libvirtd-tcp.socket libvirtd-tls.socket"),
        (
            "el9",
            "systemctl enable virtqemud.socket virtqemud-ro.socket virtqemud-admin.socket",
            "systemctl mask virtproxyd-tcp.socket virtproxyd-tls.socket libvirtd-tcp.socket libvirtd-tls.socket",
        ),
    ],
)
def test_libvirt_listens_on_no_port(container: Tree, release: str, enabled: str, masked: str) -> None:
    run_nodes(container, compile_container(release), ["libvirt-daemons", "libvirt-closed"])
    assert {enabled, masked} <= set(container.called())
    assert not list(container.root.glob("etc/libvirt/qemu/networks/**/default.xml"))


def test_pools_are_libvirts(container: Tree) -> None:
    run_nodes(container, compile_container("el9"), ["vm-pools"])
    folder = container.root / "etc/libvirt/storage"
    paths = {path.stem: path for path in (folder / "autostart").iterdir()}
    assert sorted(paths) == ["disks", "install"]
    for name, link in paths.items():
        assert link.is_symlink()
        pool = etree.fromstring((folder / f"{name}.xml").read_bytes())
        assert pool.findtext("name") == name
        if POOL_SCHEMA.exists():
            etree.RelaxNG(etree.parse(POOL_SCHEMA)).assertValid(pool)


GRUB_MENU = "menuentry 'Linux, with kernel 6' {}\nmenuentry 'Enterprise Linux, with Xen hypervisor' {}\n"


@pytest.mark.parametrize("release", RELEASES)
def test_xen_is_what_boots(container: Tree, release: str) -> None:
    container.add_program("grub2-mkconfig", f"cat >$2 <<'END'\n{GRUB_MENU}END")
    container.write("/etc/default/grub", 'GRUB_TIMEOUT=3\nGRUB_CMDLINE_LINUX="noresume"\n')
    (container.root / "boot/grub2").mkdir(parents=True)
    profile = compile_container(release, dom0_memory="8192", dom0_vcpus="4", serial_console="ttyS1,115200n8", **XEN)
    assert [finding for finding in profile.findings if finding.severity != Severity.NOTE] == []
    for _ in range(2):
        run_nodes(container, profile, ["xen-boot", "xen-services"])
    settings = container.read("/etc/default/grub").splitlines()
    assert settings[:2] == ["GRUB_TIMEOUT=3", 'GRUB_CMDLINE_LINUX="noresume"']
    assert settings.count("# begin rollbuild") == 1
    assert (
        'GRUB_CMDLINE_XEN_DEFAULT="dom0_mem=8192M,max:8192M dom0_max_vcpus=4 dom0_vcpus_pin'
        ' console=com2,vga com2=115200,8n1"' in settings
    )
    assert "grub2-set-default Enterprise Linux, with Xen hypervisor" in container.called()
    assert 'vif.default.bridge="br-private"\n' in container.read("/etc/xen/xl.conf")


def test_packages_without_xen_stop_the_install(container: Tree) -> None:
    container.add_program("grub2-mkconfig", "echo \"menuentry 'Linux' {}\" >$2")
    (container.root / "boot/grub2").mkdir(parents=True)
    (script,) = scripts_of(compile_container("el9", **XEN), "post", "xen-boot")
    done = container.run(script)
    assert done.returncode == 1
    assert "the boot menu has no entry for Xen" in done.stderr


def test_grub_knows_the_settings_for_xen() -> None:
    program = Path("/etc/grub.d/20_linux_xen")
    if not program.exists():
        pytest.skip("grub is not installed")
    node = (SOURCES / "rolls/xen/nodes/xen-boot.xml").read_text()
    names = set(re.findall(r"GRUB_[A-Z_]+", node))
    assert names
    assert [name for name in names if name not in program.read_text()] == []


def test_readme_names_every_node() -> None:
    for roll in ("kvm", "xen"):
        text = (SOURCES / "rolls" / roll / "README.md").read_text()
        names = {path.stem for path in (SOURCES / "rolls" / roll / "nodes").iterdir()}
        assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_attributes_have_examples_that_fit() -> None:
    for roll in ("kvm", "xen"):
        declared = yaml.safe_load((SOURCES / "rolls" / roll / "attributes.yaml").read_text())
        assert all(item["description"].endswith((".", ")")) for item in declared.values())
