"""The scripts of base and kernel that depend on attributes, run twice; and what programs say of their files."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from tests.programs import need_program
from tests.shipped.conftest import Compile, Tree, scripts_of

Run = Callable[..., None]


@pytest.fixture
def run(compile_shipped: Compile, host: Tree) -> Run:
    """Run a node's scripts of %post twice; the second time changes nothing. Messages of failures are raised."""
    for name in ("systemctl", "grub2-mkconfig", "grub2-editenv", "grub2-install", "dracut", "restorecon"):
        host.add_program(name, "exit 0")

    def run_node(node: str, release: str = "el9", appliance: str = "compute", **attributes: str) -> None:
        profile = compile_shipped(appliance, release, **attributes)
        before = None
        for _ in range(2):
            scripts = scripts_of(profile, "post", node)
            for script in [*scripts_of(profile, "post", "progress"), *scripts]:
                done = host.run(script)
                if done.returncode:
                    raise AssertionError(done.stderr)
                assert done.stderr == ""
            assert before in (None, host.files())
            before = host.files()

    return run_node


LINES = {
    "ttyS0,115200n8": (0, "serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1"),
    "ttyS1": (1, "serial --unit=1 --speed=9600 --word=8 --parity=no --stop=1"),
    "ttyS2,57600o7": (2, "serial --unit=2 --speed=57600 --word=7 --parity=odd --stop=1"),
}


@pytest.mark.parametrize("line", LINES)
def test_the_menu_is_on_the_serial_line(run: Run, host: Tree, line: str) -> None:
    host.write("/etc/default/grub", 'GRUB_TIMEOUT=3\nGRUB_TERMINAL_OUTPUT="console"\nGRUB_DISABLE_RECOVERY="true"\n')
    run("serial-console", serial_console=line)
    unit, command = LINES[line]
    assert host.read("/etc/default/grub").splitlines() == [
        "GRUB_TIMEOUT=3",
        'GRUB_DISABLE_RECOVERY="true"',
        'GRUB_TERMINAL="serial console"',
        f'GRUB_SERIAL_COMMAND="{command}"',
    ]
    calls = host.called()
    assert calls.count("grub2-mkconfig -o /boot/grub2/grub.cfg") == 1
    assert f"systemctl enable serial-getty@ttyS{unit}.service" in calls


@pytest.mark.parametrize(
    ("text", "target"),
    [("set prefix\n", "/boot/efi/EFI/rocky/grub.cfg"), ("configfile $prefix/grub.cfg\n", "/boot/grub2/grub.cfg")],
)
def test_the_menu_of_uefi_is_where_its_release_has_it(run: Run, host: Tree, text: str, target: str) -> None:
    (host.root / "sys/firmware/efi").mkdir(parents=True)
    host.write("/boot/efi/EFI/rocky/grub.cfg", text)
    run("serial-console", serial_console="ttyS0,115200n8")
    assert f"grub2-mkconfig -o {target}" in host.called()


def test_a_line_that_is_none(run: Run) -> None:
    with pytest.raises(AssertionError, match="serial_console takes a line and its speed"):
        run("serial-console", serial_console="com1")


def test_drivers(run: Run, host: Tree) -> None:
    run(
        "kernel-modules",
        kernel_modules="msr, ipmi_devintf",
        kernel_modules_blacklist="nouveau floppy",
        kernel_module_options="mlx5_core prof_sel=2\n\nbnxt_en debug=1 x=2\n",
    )
    assert host.read("/etc/modules-load.d/rollbuild.conf") == "msr\nipmi_devintf\n"
    text = host.read("/etc/modprobe.d/rollbuild.conf")
    assert text.splitlines() == [
        "blacklist nouveau",
        "install nouveau /bin/false",
        "blacklist floppy",
        "install floppy /bin/false",
        "options mlx5_core prof_sel=2",
        "options bnxt_en debug=1 x=2",
    ]
    program = need_program("modprobe")
    done = subprocess.run(
        [program, "-C", str(host.root / "etc/modprobe.d"), "--showconfig"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "options mlx5_core prof_sel=2" in done.stdout.splitlines()


def test_the_initramfs_is_made_once_for_each_change(run: Run, host: Tree) -> None:
    run("initramfs")
    assert not any(call.startswith("dracut") for call in host.called())
    for text in ("options a b=1\n", "options a b=2\n"):
        host.write("/etc/modprobe.d/rollbuild.conf", text)
        run("initramfs")
    assert host.called().count("dracut --force --regenerate-all") == 2


TREE = """
case $1 in
-nrso) printf '%s\\n' "md127 raid1" "sdb1 part" "sdb disk" "sda1 part" "sda disk" ;;
*PKNAME*) echo ;;
esac
if [ "$1 $2" = "-dnro PKNAME" ]; then name=${3##*/}; echo "${name%1}"; fi
if [ "$1 $2" = "-dnro PARTUUID" ]; then name=${3##*/}; echo "id-of-$name"; fi
"""


@pytest.fixture
def mirror(host: Tree) -> Tree:
    """A host with /boot and /boot/efi on a mirror of sda1 and sdb1."""
    host.add_program("findmnt", "echo /dev/md127")
    host.add_program("lsblk", TREE)
    for name in ("sda1", "sdb1"):
        host.write(f"/sys/class/block/{name}/partition", "1\n")
    return host


def test_both_disks_boot_with_bios(run: Run, mirror: Tree) -> None:
    run("mirror-boot", disk_layout="raid1")
    installed = [call for call in mirror.called() if call.startswith("grub2-install")]
    assert installed[:2] == ["grub2-install /dev/sda", "grub2-install /dev/sdb"]
    assert "systemctl enable mdmonitor.service" in mirror.called()


# A firmware: entries are lines of a file, new ones are added to it.
FIRMWARE = """
state={root}/firmware
case "$*" in
-v) cat $state ;;
*" -C "*) echo "Boot0009* $8	HD($6,GPT,id-of-sdb1,0x800,0x12c000)/File(${{10}})" >>$state ;;
*-o*) sed -i "s/^BootOrder: .*/BootOrder: $3/" $state ;;
esac
"""


def test_both_disks_boot_with_uefi(run: Run, mirror: Tree) -> None:
    (mirror.root / "sys/firmware/efi").mkdir(parents=True)
    for name in ("BOOT", "rocky"):
        mirror.write(f"/boot/efi/EFI/{name}/shimx64.efi", "")
    mirror.write(
        "/firmware",
        "BootCurrent: 0002\nBootOrder: 0002,0001\n"
        "Boot0001* Rocky Linux\tHD(1,GPT,ID-OF-SDA1,0x800,0x12c000)/File(\\EFI\\rocky\\shimx64.efi)\n"
        "Boot0002* PXE\tPciRoot(0x0)/MAC(525400123456,0)\n",
    )
    mirror.add_program("efibootmgr", FIRMWARE.format(root=mirror.root))
    run("mirror-boot", disk_layout="raid1")
    assert "BootOrder: 0002,0001,0009\n" in mirror.read("/firmware")
    made = [call for call in mirror.called() if " -C " in call]
    assert made == [r"efibootmgr -q -C -d /dev/sdb -p 1 -L Linux on sdb -l \EFI\rocky\shimx64.efi"]
    assert not any(call.startswith("grub2-install") for call in mirror.called())


KDUMPS = {
    "local": ({}, ["path /var/crash", "core_collector makedumpfile -l --message-level 7 -d 31"]),
    "ssh": ({"kdump_server": "kdump@10.1.1.1"}, ["ssh kdump@10.1.1.1", "sshkey /etc/rollbuild/secrets/kdump.key"]),
    "nfs": ({"kdump_server": "10.1.1.1:/export/crash"}, ["nfs 10.1.1.1:/export/crash", "path /var/crash"]),
}


@pytest.mark.parametrize("target", KDUMPS)
def test_crash_dumps(run: Run, host: Tree, target: str) -> None:
    host.write("/etc/kdump.conf", "the distribution's\n")
    attributes, expected = KDUMPS[target]
    run("kdump", kdump="yes", kdump_target=target, **attributes)
    lines = host.read("/etc/kdump.conf").splitlines()
    assert [line for line in expected if line not in lines] == []
    assert "systemctl enable kdump.service" in host.called()


def test_settings_of_the_kernel(run: Run, host: Tree) -> None:
    run("sysctl", sysctl="vm.swappiness = 10\n\nnet.core.somaxconn=4096\n")
    assert host.read("/etc/sysctl.d/95-rollbuild-site.conf") == "vm.swappiness = 10\nnet.core.somaxconn=4096\n"
    program = need_program("sysctl")
    for name in ("70-rollbuild", "95-rollbuild-site"):
        done = subprocess.run(
            [program, "--dry-run", "-p", str(host.root / f"etc/sysctl.d/{name}.conf")],
            capture_output=True,
            text=True,
            check=False,
        )
        if "unrecognized option" in done.stderr:
            pytest.skip("sysctl has no --dry-run")
        assert done.returncode == 0, done.stderr


def test_many_hosts_need_room_for_neighbours(compile_shipped: Compile) -> None:
    few, many = (
        compile_shipped("compute", "el9", {"hosts": [{"name": f"compute-0-{number}"} for number in range(count)]}).text
        for count in (10, 1000)
    )
    assert "gc_thresh" not in few
    assert "net.ipv4.neigh.default.gc_thresh3 = 16000" in many


DNF = "[main]\ngpgcheck=1\nproxy=http://old.example.org\n\n[other]\nproxy = http://kept.example.org\n"


def test_the_proxy(run: Run, host: Tree) -> None:
    host.write("/etc/dnf/dnf.conf", DNF)
    run("proxy", proxy="http://u:p@proxy.example.org:3128", proxy_exceptions=".example.org")
    text = host.read("/etc/dnf/dnf.conf")
    assert text == DNF.replace("[main]", "[main]\nproxy=http://u:p@proxy.example.org:3128").replace(
        "proxy=http://old.example.org\n", ""
    )
    shell = subprocess.run(
        ["/bin/bash", "-c", f". {host.root}/etc/profile.d/rollbuild-proxy.sh; echo $https_proxy $no_proxy"],
        capture_output=True,
        text=True,
        check=True,
    )
    exceptions = "localhost,127.0.0.1,10.1.1.1,.cluster.internal,.example.org"
    assert shell.stdout == f"http://u:p@proxy.example.org:3128 {exceptions}\n"


@pytest.mark.parametrize(
    ("attributes", "url", "repository"),
    [
        ({"proxy": "http://p:1"}, "url --url=http://10.1.1.1/install/dist/el9", "proxy=\n"),
        (
            {"proxy": "http://p:1", "install_url": "http://m/9"},
            "url --url=http://m/9 --proxy=http://p:1",
            "baseurl=http://m/9/AppStream\nproxy=http://p:1\n",
        ),
        (
            {"install_mirrorlist": "http://m/?a=1&b=BaseOS", "appstream_mirrorlist": "http://m/?a=1&b=AppStream"},
            'url --mirrorlist="http://m/?a=1&b=BaseOS"',
            "mirrorlist=http://m/?a=1&b=AppStream\ngpgcheck",
        ),
    ],
)
def test_where_packages_come_from(
    compile_shipped: Compile, run: Run, host: Tree, attributes: dict[str, str], url: str, repository: str
) -> None:
    run("cluster-repositories", **attributes)
    assert repository in host.read("/etc/yum.repos.d/rollbuild.repo")
    profile = compile_shipped("compute", "el9", **attributes)
    assert url in profile.text.splitlines()
    for release in ("el8", "el10"):
        text = compile_shipped("compute", release, **attributes).text
        KickstartParser(
            makeVersion(release.replace("el", "RHEL")), missingIncludeIsFatal=False
        ).readKickstartFromString(text)


def test_variables_of_dnf(run: Run, host: Tree) -> None:
    run("dnf-variables", dnf_variables="contentdir=pub/rocky\n my_site = it's = here\n")
    assert host.read("/etc/dnf/vars/contentdir") == "pub/rocky\n"
    assert host.read("/etc/dnf/vars/my_site") == "it's = here\n"


def test_trusted_networks(run: Run, host: Tree) -> None:
    run("cluster-zone", trust_private="yes")
    zone = host.root / "etc/firewalld/zones/rbcluster.xml"
    assert 'target="ACCEPT"' in zone.read_text() and '<source address="10.1.0.0/16"/>' in zone.read_text()
    program = need_program("firewall-offline-cmd")
    done = subprocess.run(
        [program, "--system-config", str(host.root / "etc/firewalld"), "--zone=rbcluster", "--list-all"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "be root" in done.stdout + done.stderr:
        pytest.skip("firewall-offline-cmd wants to be root")
    assert done.returncode == 0, done.stderr
    assert "target: ACCEPT" in done.stdout and "sources: 10.1.0.0/16" in done.stdout


def test_audit(run: Run, host: Tree) -> None:
    rules = "-w /etc/shadow -p wa -k accounts\n-a always,exit -F arch=b64 -S mount -k mounts\n"
    run("audit", "el10", audit_rules=rules)
    assert host.read("/etc/audit/rules.d/40-rollbuild.rules") == f"{rules}\n"
    assert host.files()["etc/audit/rules.d/40-rollbuild.rules"][0] == 0o600
    assert "systemctl enable auditd.service" in host.called()


def test_logs_wait_for_the_front_end(run: Run, host: Tree) -> None:
    run("log-forward")
    text = host.read("/etc/rsyslog.d/60-rollbuild-forward.conf")
    assert re.search(r'queue\.type="LinkedList".*queue\.filename=', text, re.DOTALL)
    program = need_program("rsyslogd")
    config = Path(host.root, "rsyslog.conf")
    config.write_text(f'include(file="{host.root}/etc/rsyslog.d/*.conf")\n')
    done = subprocess.run([program, "-N1", "-f", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
