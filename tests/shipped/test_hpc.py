"""Modules, MPI and Slurm, login hosts and file servers: their scripts run twice, and programs read their files."""

import gzip
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollbuild.compiler import Profile
from tests.programs import need_program
from tests.shipped.conftest import RELEASES, Compile, Tree, scripts_of
from tests.shipped.test_disks import Device, choose, disk, part

SLURM = {"scheduler": "slurm", "slurm_repository": "http://10.1.1.1/install/slurm", "slurm_accounting": "yes"}
ATTRIBUTES = {
    **SLURM,
    "slurm_options": "PriorityType=priority/multifactor",
    "epel_repository": "http://10.1.1.1/install/epel",
    "module_system": "lmod",
    "module_paths": "/share/modulefiles /opt/modulefiles",
    "compute_huge_pages": "16",
    "compute_unlimited_stack": "yes",
    "login_public_interface": "52:54:00:12:34:57",
    "login_passwords": "yes",
    "login_groups": "users staff",
    "fail2ban": "yes",
    "nas_mounts": "rbkeep-data1 /export/data1\nrbkeep-data2 /export/data2 ext4 nosuid",
    "nas_exports": "/export/data1\n/export/data2/shared ro,sync,root_squash",
    "nas_quotas": "user",
}
ROLLS = ("compute", "hpc", "login", "nas")
NODES = {
    path.stem.removeprefix("extend-")
    for roll in ROLLS
    for path in (Path(__file__).parents[2] / "rolls" / roll / "nodes").glob("*.xml")
}

Configure = Callable[..., Profile]


@pytest.fixture
def configure(compile_shipped: Compile, host: Tree) -> Configure:
    """Run the scripts of %post of these rolls' nodes, in order; each must succeed and be silent."""
    for name in ("systemctl", "restorecon", "chown", "groupadd", "useradd", "groupmod", "usermod"):
        host.add_program(name, "exit 0")
    host.add_program("getent", "exit 2")
    host.write("/etc/fstab", "UUID=1 / xfs defaults 0 0\n")
    host.write("/etc/ssh/sshd_config", "# the distribution's\nPasswordAuthentication yes\n")
    host.write("/etc/rollbuild/secrets/munge.key", "a key that all hosts share\n")

    def run(appliance: str, release: str, **attributes: str) -> Profile:
        profile = compile_shipped(appliance, release, **{**ATTRIBUTES, **attributes})
        host.run_all(script for script in scripts_of(profile, "post") if script.node in {*NODES, "progress"})
        return profile

    return run


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("appliance", ["compute", "login", "nas", "frontend"])
def test_a_second_run_changes_nothing(configure: Configure, host: Tree, appliance: str, release: str) -> None:
    configure(appliance, release)
    first = host.files()
    configure(appliance, release)
    assert host.files() == first


def test_nobody_else_reads_keys_and_passwords(configure: Configure, host: Tree) -> None:
    configure("frontend", "el9")
    configure("login", "el9")
    modes = {name: mode for name, (mode, _) in host.files().items()}
    assert modes["etc/munge/munge.key"] == 0o400
    assert modes["etc/slurm/slurmdbd.conf"] == 0o600
    assert modes["etc/NetworkManager/system-connections/rollbuild-public.nmconnection"] == 0o600
    assert (host.root / "etc/munge").stat().st_mode & 0o777 == 0o700
    assert (host.root / "export/slurm/state").stat().st_mode & 0o777 == 0o700
    assert any(call == "chown munge:munge /etc/munge/munge.key.new" for call in host.called())


def test_the_front_end_makes_the_key_once(configure: Configure, host: Tree) -> None:
    (host.root / "etc/rollbuild/secrets/munge.key").unlink()
    configure("frontend", "el9")
    files = host.files()
    mode, key = files["etc/rollbuild/secrets/munge.key"]
    assert (mode, len(key)) == (0o600, 1024)
    assert files["etc/munge/munge.key"][1] == key
    configure("frontend", "el9")
    assert host.files()["etc/munge/munge.key"][1] == key


def test_a_host_without_a_key_says_so_and_goes_on(compile_shipped: Compile, configure: Configure, host: Tree) -> None:
    (host.root / "etc/rollbuild/secrets/munge.key").unlink()
    profile = configure("compute", "el9")
    assert not (host.root / "etc/munge/munge.key").exists()
    (script,) = scripts_of(profile, "post", "munge")
    assert host.run(script).stdout.startswith("munge: no key. Slurm works here once")


USERS: dict[str, tuple[dict[str, str], list[str], str]] = {
    "no such user": (
        {},
        [
            "groupadd --system --gid 902 slurm",
            "useradd --system --uid 902 --gid 902 --home-dir /var/lib/slurm --shell /sbin/nologin slurm",
        ],
        "",
    ),
    "made by the package": (
        {"passwd slurm": "slurm:x:987:985::/:/sbin/nologin", "group slurm": "slurm:x:985:"},
        ["groupmod --gid 902 slurm", "usermod --uid 902 --gid 902 slurm"],
        "",
    ),
    "as it should be": (
        {
            "passwd slurm": "slurm:x:902:902::/:/sbin/nologin",
            "passwd 902": "slurm:x:902:902::/:/sbin/nologin",
            "group slurm": "slurm:x:902:",
        },
        [],
        "",
    ),
    "the number is taken": (
        {"passwd 902": "someone:x:902:902::/:/sbin/nologin"},
        [],
        "slurm_uid is 902, but that is the user someone",
    ),
}


@pytest.mark.parametrize(("known", "calls", "failure"), USERS.values(), ids=USERS)
def test_the_user_slurm(
    configure: Configure, host: Tree, known: dict[str, str], calls: list[str], failure: str
) -> None:
    profile = configure("compute", "el9")
    host.calls.unlink()
    cases = "".join(f"'{asked}') echo '{answer}' ;; " for asked, answer in known.items())
    host.add_program("getent", f'case "$*" in {cases} *) exit 2 ;; esac')
    (script,) = scripts_of(profile, "post", "slurm-user")
    done = host.run(script)
    assert [call for call in host.called() if not call.startswith("getent")] == calls
    assert (failure in done.stderr) if failure else (done.returncode == 0), done.stderr


def test_nodes_have_no_configuration_of_their_own(configure: Configure, host: Tree) -> None:
    host.write("/etc/slurm/slurm.conf", "ClusterName=example\n")
    configure("compute", "el9")
    assert not (host.root / "etc/slurm/slurm.conf").exists()
    assert host.read("/etc/sysconfig/slurmd") == 'SLURMD_OPTIONS="--conf-server 10.1.1.1:6817"\n'


def test_sshd_of_el8_reads_the_login_settings_first(configure: Configure, host: Tree) -> None:
    configure("login", "el8")
    lines = host.read("/etc/ssh/sshd_config").splitlines()
    assert lines[1:3] == ["PasswordAuthentication yes", "AllowGroups root users staff"]
    assert lines[-3:] == ["# end login", "# the distribution's", "PasswordAuthentication yes"]


def test_the_file_server_keeps_the_lines_of_others(configure: Configure, host: Tree) -> None:
    host.write("/etc/mdadm.conf", "ARRAY /dev/md/data1 UUID=1:2:3:4\n")
    configure("nas", "el9")
    assert host.read("/etc/fstab").splitlines()[0] == "UUID=1 / xfs defaults 0 0"
    assert host.read("/etc/fstab").count("LABEL=") == 2
    assert (host.root / "export/data1").is_dir()
    assert host.read("/etc/mdadm.conf").splitlines()[0] == "ARRAY /dev/md/data1 UUID=1:2:3:4"
    configure("nas", "el9", nas_mounts="")
    assert "LABEL=" not in host.read("/etc/fstab")


def test_firewalld_accepts_the_policies(configure: Configure, host: Tree) -> None:
    checker = need_program("firewall-offline-cmd")
    for appliance in ("compute", "nas", "frontend"):
        configure(appliance, "el9", job_ports="6818 50000-63000")
    folder = host.root / "etc/firewalld"
    assert {path.name for path in (folder / "policies").iterdir()} == {
        "rb-jobs.xml",
        "rb-nfs.xml",
        "rb-slurm.xml",
        "rb-srun.xml",
    }
    host.write("/etc/firewalld/firewalld.conf", "DefaultZone=public\n")
    done = subprocess.run(
        [checker, "--system-config", str(folder), "--check-config"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "be root" in done.stdout + done.stderr:
        pytest.skip("firewall-offline-cmd wants to be root")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


# Program, what it is given, appliance and release whose file it reads, and what it must say.
CHECKERS: dict[str, tuple[str, list[str], str, str, str]] = {
    "sshd of a login host": (
        "sshd",
        ["-T", "-h", "{root}/key", "-f", "{root}/etc/ssh/sshd_config.d/30-rollbuild-login.conf"],
        "login",
        "el9",
        "maxstartups 30:50:200",
    ),
    "sshd of a login host of el8": (
        "sshd",
        ["-T", "-h", "{root}/key", "-f", "{root}/etc/ssh/sshd_config"],
        "login",
        "el8",
        "maxstartups 30:50:200",
    ),
    "fstab": ("findmnt", ["--verify", "--tab-file", "{root}/data.fstab"], "nas", "el9", "0 parse errors"),
    "dnsmasq": ("dnsmasq", ["--test", "-C", "{root}/etc/dnsmasq.d/rollbuild-slurm.conf"], "frontend", "el9", ""),
    "the limits of users": (
        "systemd-analyze",
        ["verify", "{root}/etc/systemd/system/user-1000.slice"],
        "login",
        "el9",
        "",
    ),
    "the nightly copy": (
        "systemd-analyze",
        ["verify", "{root}/etc/systemd/system/rollbuild-slurm-backup.timer"],
        "frontend",
        "el9",
        "",
    ),
    "smartd": (
        "smartd",
        ["-q", "onecheck", "-c", "{root}/etc/smartmontools/smartd.conf"],
        "nas",
        "el9",
        "was parsed, found DEVICESCAN",
    ),
}


@pytest.mark.parametrize(("name", "arguments", "appliance", "release", "says"), CHECKERS.values(), ids=CHECKERS)
def test_programs_accept_their_files(
    configure: Configure, host: Tree, name: str, arguments: list[str], appliance: str, release: str, says: str
) -> None:
    path = need_program(name)
    configure(appliance, release)
    if name == "sshd":
        keygen = need_program("ssh-keygen")
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", f"{host.root}/key"], check=True)
    data = [line + "\n" for line in host.read("/etc/fstab").splitlines() if line.startswith("LABEL=")]
    host.write("/data.fstab", "".join(data))
    host.write("/etc/systemd/system/user-1000.slice", "[Unit]\nDescription=A user\n")
    done = subprocess.run(
        [path, *(argument.format(root=host.root) for argument in arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    output = done.stdout + done.stderr
    if "rivilege separation" in output:
        pytest.skip("sshd is installed without its user or its folder")
    assert says in output
    if name == "systemd-analyze":
        # It also tells of units and programs that this machine lacks.
        assert not re.search(r"Unknown (key|section|lvalue)|Failed to parse|Invalid|ignoring", output), output
    elif name not in ("findmnt", "smartd"):
        # These two fail, because the disks are not here.
        assert done.returncode == 0, output


def test_fail2ban_reads_its_jail(configure: Configure, host: Tree) -> None:
    client = need_program("fail2ban-client")
    vendor = Path("/etc/fail2ban")
    if not vendor.is_dir():
        pytest.skip("fail2ban brought no configuration")
    configure("login", "el9")
    folder = host.root / "etc/fail2ban"
    shutil.copytree(vendor, folder, dirs_exist_ok=True)
    (folder / "jail.d/defaults-debian.conf").unlink(missing_ok=True)
    done = subprocess.run([client, "-c", str(folder), "-d"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "'10.1.0.0/16'" in done.stdout
    assert "firewallcmd-rich-rules" in done.stdout


HARDWARE: list[dict[str, object]] = [
    {
        "name": "compute-0-0",
        "appliance": "compute",
        "address": "10.1.255.254",
        "sockets": 2,
        "cores": 32,
        "memory": 257000,
    },
    {"name": "compute-0-1", "appliance": "compute", "address": "10.1.255.253", "cpus": 16, "memory": 64000, "gpus": 2},
    {"name": "login-0-0", "appliance": "login", "address": "10.1.255.252"},
]
UNKNOWN: list[dict[str, object]] = [
    {"name": "compute-0-0", "appliance": "compute"},
    {"name": "compute-0-1", "appliance": "compute", "cpus": 4},
]

# Hosts of the data, attributes, and lines that the files must hold, or must not where they begin with a minus.
CONFIGURATIONS: dict[str, tuple[list[dict[str, object]], dict[str, str], list[str]]] = {
    "all is known": (
        HARDWARE,
        {},
        [
            "NodeName=compute-0-0 NodeAddr=10.1.255.254 Sockets=2 CoresPerSocket=32 ThreadsPerCore=1 RealMemory=244150"
            " State=UNKNOWN",
            "NodeName=compute-0-1 NodeAddr=10.1.255.253 CPUs=16 RealMemory=60800 Gres=gpu:2 State=UNKNOWN",
            "SelectTypeParameters=CR_Core_Memory",
            "DefMemPerCPU=3800",
            "ConstrainRAMSpace=yes",
            "GresTypes=gpu",
            "NodeName=compute-0-1 Name=gpu File=/dev/nvidia[0-1]",
        ],
    ),
    "nothing is known": (
        UNKNOWN,
        {},
        [
            "NodeName=compute-0-0 State=UNKNOWN",
            "NodeName=compute-0-1 CPUs=4 State=UNKNOWN",
            "SelectTypeParameters=CR_Core",
            "ConstrainRAMSpace=no",
            "-GresTypes=gpu",
        ],
    ),
    "a default for all": (
        UNKNOWN[:1],
        {"slurm_node_default": "Sockets=1 CoresPerSocket=8 RealMemory=30000"},
        [
            "NodeName=compute-0-0 Sockets=1 CoresPerSocket=8 RealMemory=30000 State=UNKNOWN",
            "SelectTypeParameters=CR_Core_Memory",
            "ConstrainRAMSpace=yes",
        ],
    ),
    "other appliances": (
        HARDWARE,
        {"slurm_appliances": "login", "slurm_partitions": "PartitionName=one Nodes=ALL\nPartitionName=two Nodes=ALL"},
        ["NodeName=login-0-0 NodeAddr=10.1.255.252 State=UNKNOWN", "PartitionName=two Nodes=ALL"],
    ),
    "no host yet": ([], {}, ["NodeName=none State=FUTURE", "SelectTypeParameters=CR_Core", "ConstrainRAMSpace=no"]),
}


def slurm_files(host: Tree) -> str:
    return "".join(path.read_text() for path in sorted((host.root / "etc/slurm").glob("*.conf")))


@pytest.fixture
def configure_with(configure: Configure, compile_shipped: Compile, host: Tree) -> Callable[..., None]:
    """Write the files of Slurm on the front end for hosts of the cluster's data."""

    def run(hosts: list[dict[str, object]], **attributes: str) -> None:
        configure("frontend", "el9")
        profile = compile_shipped("frontend", "el9", data={"hosts": hosts}, **{**SLURM, **attributes})
        (script,) = scripts_of(profile, "post", "slurm-controller")
        done = host.run(script)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    return run


@pytest.mark.parametrize(("hosts", "attributes", "lines"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_slurm_knows_its_nodes(
    configure_with: Callable[..., None],
    host: Tree,
    hosts: list[dict[str, object]],
    attributes: dict[str, str],
    lines: list[str],
) -> None:
    configure_with(hosts, **attributes)
    written = slurm_files(host).splitlines()
    assert [line for line in lines if not line.startswith("-") and line not in written] == []
    assert [line for line in lines if line.startswith("-") and line[1:] in written] == []


@pytest.fixture
def slurm(
    configure_with: Callable[..., None], tmp_path_factory: pytest.TempPathFactory, host: Tree
) -> Iterator[Callable[..., str]]:
    """Start a controller on this machine with the files of the front end, and ask it with scontrol."""
    controller, munged, scontrol = need_program("slurmctld"), need_program("munged"), need_program("scontrol")
    folder = tmp_path_factory.mktemp("slurm", numbered=True)
    folder.chmod(0o755)
    running: list[subprocess.Popen[bytes]] = []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def start(hosts: list[dict[str, object]], *question: str, **attributes: str) -> str:
        configure_with(hosts, **attributes)
        for path in (host.root / "etc/slurm").glob("*.conf"):
            shutil.copy(path, folder)
        config = folder / "slurm.conf"
        text = config.read_text()
        for pattern, ours in {
            r"^SlurmctldHost=.*": f"SlurmctldHost={socket.gethostname().split('.')[0]}(127.0.0.1)",
            r"^SlurmUser=.*": f"SlurmUser={os.geteuid()}",
            r"^StateSaveLocation=.*": f"StateSaveLocation={folder}",
            r"^SlurmdSpoolDir=.*": f"SlurmdSpoolDir={folder}",
            # There is no database here.
            r"^AccountingStorage(Type|Host|TRES)=.*\n": "",
        }.items():
            text, count = re.subn(pattern, ours, text, flags=re.MULTILINE)
            assert count, pattern
        config.write_text(
            f"{text}SlurmctldPort={port}\nSlurmctldPidFile={folder}/pid\nAuthInfo=socket={folder}/munge\n"
        )
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
        running.append(
            subprocess.Popen(
                [munged, "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge", *files]
            )
        )
        log = folder / "log"
        with log.open("wb") as output:
            running.append(subprocess.Popen([controller, "-D", "-v", "-f", str(config)], stdout=output, stderr=output))
        answer = ""
        for _ in range(100):
            assert running[-1].poll() is None, log.read_text()
            done = subprocess.run(
                [scontrol, *question],
                env={"SLURM_CONF": str(config), "PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            answer = done.stdout + done.stderr
            if done.returncode == 0:
                break
            time.sleep(0.1)
        assert not re.search(r"[Pp]arse error|[Uu]nrecognized|[Uu]nknown key|fatal", log.read_text()), log.read_text()
        return answer

    yield start
    for process in reversed(running):
        process.terminate()
        process.wait(timeout=30)


def test_the_controller_starts_and_knows_the_nodes(slurm: Callable[..., str]) -> None:
    answer = slurm(HARDWARE, "show", "nodes", "--oneliner", slurm_options="PriorityType=priority/multifactor")
    nodes = {line.split()[0]: line.split() for line in answer.splitlines() if line.startswith("NodeName=")}
    assert nodes.keys() == {"NodeName=compute-0-0", "NodeName=compute-0-1"}
    assert {"CPUTot=64", "RealMemory=244150", "Sockets=2", "NodeAddr=10.1.255.254"} <= set(
        nodes["NodeName=compute-0-0"]
    )
    assert {"CPUTot=16", "Gres=gpu:2", "Partitions=batch"} <= set(nodes["NodeName=compute-0-1"])


def test_the_controller_starts_without_hosts(slurm: Callable[..., str]) -> None:
    answer = slurm([], "show", "config")
    settings = dict(re.findall(r"^(\w+)\s+= (.*?)\s*$", answer, flags=re.MULTILINE))
    assert settings["SlurmctldParameters"] == "enable_configless"
    assert settings["ClusterName"] == "cluster"
    assert settings["TaskPlugin"] == "task/cgroup,task/affinity"


MYSQL = """case $2 in
USE*) [ -e "{root}/database" ] ;;
CREATE\\ DATABASE*) touch "{root}/database" ;;
DROP*) rm "{root}/database" ;;
'') cat >"{root}/restored"; {restoring} ;;
esac"""


@pytest.mark.parametrize(
    ("saved", "restoring", "made", "restored"),
    [(False, "true", True, None), (True, "true", True, "accounts"), (True, "false", False, "accounts")],
    ids=["the first time", "from the copy", "a copy that is broken"],
)
def test_the_first_boot_makes_the_database_once(
    configure: Configure, host: Tree, saved: bool, restoring: str, made: bool, restored: str | None
) -> None:
    profile = configure("frontend", "el9")
    (boot,) = (script for script in scripts_of(profile, "post") if "post-boot-scripts.log" in script.header)
    assert host.run(boot).returncode == 0
    host.add_program("mysql", MYSQL.format(root=host.root, restoring=restoring))
    if saved:
        host.write("/export/slurm/accounting.sql.gz", "")
        (host.root / "export/slurm/accounting.sql.gz").write_bytes(gzip.compress(b"accounts"))
    (path,) = (host.root / "etc/rollbuild/boot-post.d").glob("*-slurm-accounting.sh")
    for _ in range(2):
        done = subprocess.run(
            [need_program("bash"), str(path)],
            env={"PATH": f"{host.programs}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode == 0) == made, done.stderr
    assert (host.root / "database").exists() == made
    assert sum(call.startswith("mysql -e CREATE DATABASE") for call in host.called()) == (1 if made else 2)
    if restored:
        assert host.read("/restored") == restored
    assert ("mysql -e CREATE USER IF NOT EXISTS slurm@localhost IDENTIFIED VIA unix_socket" in host.called()) == made


def test_a_node_tells_its_hardware_and_never_fails_by_it(configure: Configure, host: Tree) -> None:
    host.add_program("curl", "exit 0")
    profile = configure("compute", "el9", install_events="http://10.1.1.1/event")
    (boot,) = (script for script in scripts_of(profile, "post") if "post-boot-scripts.log" in script.header)
    assert host.run(boot).returncode == 0
    (path,) = (host.root / "etc/rollbuild/boot-post.d").glob("*-slurm-node.sh")
    for body in ("printf 'NodeName=x CPUs=4\\nUpTime=1\\n'", "exit 1"):
        host.add_program("slurmd", body)
        done = subprocess.run(
            [need_program("bash"), str(path)],
            env={"PATH": f"{host.programs}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    reports = [call for call in host.called() if call.startswith("curl") and "stage=slurm-hardware" in call]
    assert [report.count("detail=NodeName=x CPUs=4 ") for report in reports] == [1, 0]


DATA = disk("sdb", 50, LABEL="rbkeep-data1", FSTYPE="xfs")
UNLABELLED = disk("sdb", 50, FSTYPE="xfs")
ZFS = [disk("sdb", 50, PTTYPE="gpt"), part("sdb1", "sdb", FSTYPE="zfs_member")]
NAMED = {"os_disk": "sdb"}

# What is there besides the disk sda, attributes, and why sdb is not taken; without a reason sda is.
DATA_DISKS: dict[str, tuple[list[Device], dict[str, str], str]] = {
    "a labelled one": ([disk("sda", 100), DATA], {}, ""),
    "one without a label": ([disk("sda", 100), UNLABELLED], {}, ""),
    "a part of a pool": ([disk("sda", 100), *ZFS], {}, ""),
    "the only one": ([UNLABELLED], {}, "no disk fits"),
    "the one that is named": ([disk("sda", 100), UNLABELLED], NAMED, "which is not empty"),
    "the labelled one is named": ([disk("sda", 100), DATA], NAMED, "which holds rbkeep-data1"),
}


@pytest.mark.parametrize(("devices", "attributes", "reason"), DATA_DISKS.values(), ids=DATA_DISKS)
def test_a_file_server_leaves_its_data_disks_alone(
    compile_shipped: Compile, host: Tree, devices: list[Device], attributes: dict[str, str], reason: str
) -> None:
    status, output = choose(compile_shipped, host, devices, appliance="nas", **attributes)
    assert not any("sdb" in call for call in host.called() if not call.startswith("lsblk"))
    if reason:
        assert status == 1
        assert reason in output
    else:
        assert status == 0, output
        lines = host.read("/tmp/rb-storage.ks").splitlines()
        assert lines[0] == "ignoredisk --only-use=sda"
        assert not any("sdb" in line for line in lines)


def test_a_login_host_keeps_users_files_out_of_the_system(compile_shipped: Compile, host: Tree) -> None:
    status, output = choose(compile_shipped, host, [disk("sda", 100)], appliance="login")
    assert status == 0, output
    assert "part /tmp --fstype=xfs --size=1024 --grow --ondisk=sda --label=rbtmp" in host.read("/tmp/rb-storage.ks")
