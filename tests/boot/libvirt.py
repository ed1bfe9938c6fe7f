"""VM containers with KVM: what the shipped roll writes at their install, and sshd, polkit and libvirtd that run by it.

A container has a root of its own, in which programs are this machine's; a network namespace that is plugged into the
front end's network; and a process namespace, whose end is that of all that runs in it. QEMU emulates the processors.
The front end has a root of its own too, with what the roll writes there: `rocks` finds containers by the roll's
settings for ssh, as the user rbvm, and nothing else.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollbuild.compiler import Profile
from tests.boot.network import BRIDGE, Network, need, program, run
from tests.boot.virtual import VmFrontEnd, wait_until
from tests.shipped.conftest import compile_appliance

PROGRAMS = (
    *("libvirtd", "virsh", "virt-ssh-helper", "qemu-system-x86_64", "ssh", "sshd", "ssh-keygen", "dnsmasq", "curl"),
    *("dbus-daemon", "bash", "ip", "pgrep", "nsenter", "unshare", "setpriv"),
)
POLKIT = Path("/usr/lib/polkit-1/polkitd")
RELEASE = "el9"
# Of this machine's /etc: what its programs need to run; the rest of the root's own is empty.
_SETTINGS = (
    *("alternatives", "dbus-1", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "pam.d", "passwd", "security"),
    *("services", "ssl"),
)
_FOLDERS = (
    *("actions", "dev", "etc/ssh", "export", "local/bin", "local/libexec", "proc", "root", "run/dbus", "run/libvirt"),
    *("run/lock", "run/sshd", "state", "sys", "tmp", "usr", "var/cache", "var/lib/libvirt", "var/log", "var/tmp"),
)
_CHROOT = r"""
set -e
root=$1
shift
mount --rbind /usr "$root/usr"
mount --rbind /dev "$root/dev"
mount --bind "$root/local" "$root/usr/local"
mount --bind "$root/actions" "$root/usr/share/polkit-1/actions"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
exec chroot "$root" "$@"
"""
# What the service manager would start. The first process waits for all that nobody else does.
_INIT = r"""
echo "$0" >/proc/sys/kernel/hostname
dbus-daemon --system --fork --nopidfile
/usr/lib/polkit-1/polkitd --no-debug >/var/log/polkit.log 2>&1 &
libvirtd --daemon
/usr/sbin/sshd -E /var/log/sshd.log
while :; do
    sleep 3600 &
    wait
done
"""
_AS_FRONT_END = r'mount --bind "$0/etc" /etc && mount --bind "$0/run" /run && exec "$@"'
_LIBVIRTD = """
unix_sock_rw_perms = "0777"
auth_unix_ro = "polkit"
auth_unix_rw = "polkit"
log_outputs = "2:file:/var/log/libvirtd.log"
"""
# As libvirt's package declares it: without a rule, root's password is asked for.
_ACTION = """<policyconfig>
  <action id="org.libvirt.unix.manage">
    <description>Manage local virtualized systems</description>
    <message>System policy prevents management of local virtualized systems</message>
    <defaults><allow_any>auth_admin_keep</allow_any></defaults>
  </action>
</policyconfig>
"""
_QEMU = """
user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
remember_owner = 0
"""
_SSHD = """
Include /etc/ssh/sshd_config.d/*.conf
UsePAM yes
"""


def make_root(folder: Path) -> Path:
    """The root of a host without services."""
    folder.mkdir()
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (folder / name).symlink_to(f"usr/{name}")
    for name in ("lock", "run"):
        (folder / "var" / name).symlink_to(f"../{name.replace('lock', 'run/lock')}")
    (folder / "tmp").chmod(0o1777)
    for name in _SETTINGS:
        source, target = Path("/etc", name), folder / "etc" / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        elif source.exists():
            shutil.copyfile(source, target)
    etc = folder / "etc"
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n")
    (etc / "shadow").write_text("root:*:19000::::::\n")
    (etc / "shadow").chmod(0o600)
    (etc / "machine-id").write_text(f"{os.urandom(16).hex()}\n")
    # What the packages of the rolls bring, or what only the host itself has.
    for name in ("systemctl", "restorecon"):
        (folder / "local/bin" / name).write_text("#!/bin/sh\n")
        (folder / "local/bin" / name).chmod(0o755)
    (folder / "local/libexec/rollbuild.sh").write_text("")
    return folder


def run_inside(root: Path, script: str, prefix: Sequence[str] = ()) -> str:
    """Run a script with a folder as its root; what it printed."""
    argv = [*prefix, "unshare", "--mount", "--propagation", "private", "sh", "-c", _CHROOT, "sh", str(root)]
    argv += ["bash", "-c", script]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def compile_host(appliance: str, name: str, **attributes: str) -> Profile:
    """What the shipped rolls make of a host."""
    return compile_appliance(appliance, RELEASE, None, name, **attributes)


def _posts(profile: Profile, *nodes: str) -> str:
    scripts = [script for script in profile.scripts if script.header.startswith("%post") and script.node in nodes]
    assert {script.node for script in scripts} == set(nodes)
    texts = ("\n".join(line.text for line in script.body) for script in scripts)
    return "".join(f"(\n{text}\n)\n" for text in texts)


def make_front_end_host(rocks: VmFrontEnd, folder: Path) -> None:
    """Have `rocks` run where the roll's settings for ssh are, and the key that its first boot makes."""
    profile = compile_host("frontend", "granite")
    root = make_root(folder)
    (boot,) = re.findall(r"boot-post\.d/[0-9]+-vm-control-key\.sh <<'RB_BOOT'\n(.*?)\nRB_BOOT", profile.text, re.DOTALL)
    run_inside(root, f"set -e\n{_posts(profile, 'vm-control-key')}\n{boot}")
    (root / "etc/ssh/ssh_config").write_text("Include /etc/ssh/ssh_config.d/*.conf\n")
    shutil.copytree(root / "export/install/keys", rocks.root / "export/install/keys")
    rocks.prefix = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _AS_FRONT_END, str(root))


def name_hosts(rocks: VmFrontEnd) -> None:
    """Have the front end know its hosts by name."""
    Path(rocks.prefix[-1], "etc/hosts").write_text(rocks.do("rocks report host"))


def end_connections(rocks: VmFrontEnd) -> None:
    """End the connections to containers that wait for the next command."""
    for path in Path(rocks.prefix[-1], "run").glob("rbvm-*"):
        argv = [*rocks.prefix, "ssh", "-o", f"ControlPath=/run/{path.name}", "-O", "exit", "any"]
        subprocess.run(argv, capture_output=True, env=rocks.variables(), timeout=60)


@dataclass(slots=True)
class Container:
    """A VM container: its root, its network namespace and the port of the front end's network that leads there."""

    name: str
    root: Path
    network: Network
    namespace: str
    port: str
    process: subprocess.Popen[bytes] | None = None
    _first: int = 0
    _first_files: set[str] = field(default_factory=set)

    @property
    def disks(self) -> Path:
        return self.root / "state/partition1/vm/disks"

    def install(self, profile: Profile) -> None:
        """What the Kickstart does: user and scripts. They fetch the key from the front end."""
        (line,) = (line.text for line in profile.lines if line.text.startswith("user --name=rbvm "))
        user = {name: value for name, _, value in (word.partition("=") for word in shlex.split(line)[1:])}
        name, uid, gid = user["--name"], user["--uid"], user["--gid"]
        home = user["--homedir"]
        assert "--lock" in user
        with (self.root / "etc/passwd").open("a") as file:
            file.write("libvirt-qemu:x:64055:64055::/:/bin/false\ntss:x:64056:64056::/:/bin/false\n")
            file.write(f"{name}:x:{uid}:{gid}:{user['--gecos']}:{home}:{user['--shell']}\n")
        with (self.root / "etc/group").open("a") as file:
            file.write(f"libvirt-qemu:x:64055:\ntss:x:64056:\n{name}:x:{gid}:\n")
        with (self.root / "etc/shadow").open("a") as file:
            file.write(f"{name}:!!:19000::::::\n")
        (self.root / home.lstrip("/")).mkdir()
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost {self.name}\n")
        (self.root / "etc/ssh/sshd_config").write_text(_SSHD)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.root / "etc/ssh/ssh_host_ed25519_key")
        script = _posts(profile, "ssh-server", "vm-control", "vm-pools", "vm-memory")
        run_inside(self.root, f"set -e\n{script}", self._network())
        for name, text in (("libvirtd.conf", _LIBVIRTD), ("qemu.conf", _QEMU)):
            (self.root / "etc/libvirt" / name).write_text(text)
        (self.root / "actions/org.libvirt.unix.policy").write_text(_ACTION)
        for name in ("disks", "install"):
            (self.root / "state/partition1/vm" / name).mkdir(parents=True)

    def _network(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/run/netns/{self.namespace}")

    def start(self) -> None:
        shutil.rmtree(self.root / "run")
        for name in _FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        # It ends with the test, whatever ends that.
        argv = [*self._network(), "setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--uts", "--pid", "--fork"]
        argv += ["--kill-child", "--propagation", "private"]
        argv += ["sh", "-c", _CHROOT, "sh", str(self.root), "bash", "-c", _INIT, self.name]
        with (self.root.parent / f"{self.name}.log").open("ab") as output:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment()
            )
        wait_until(f"{self.name} is up", self._is_up)
        self._first_files = self._first_files or self._files()

    def _is_up(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.logs()
        ready = "virsh -q list >/dev/null 2>&1 && grep -q 'listening on' /var/log/sshd.log"
        return bool(self._find_first()) and self._enter(ready).returncode == 0

    def _find_first(self) -> int:
        """The process that is the first one inside."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self._first = int(children[0]) if children else 0
        return self._first

    def stop(self) -> None:
        """Cut its power: nothing that ran on it goes on."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            (self.root / "var/log/sshd.log").unlink(missing_ok=True)

    def _enter(self, script: str) -> subprocess.CompletedProcess[str]:
        argv = ["nsenter", f"--target={self._first}", "--mount", "--uts", "--net", "--pid", "--root", "--wd"]
        return subprocess.run(
            [*argv, "sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment()
        )

    def do(self, script: str) -> str:
        """Run a script on it, as its root would; what it printed."""
        done = self._enter(script)
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout

    def has_visitors(self) -> bool:
        """Whether somebody is connected with libvirt over SSH."""
        return self._enter("pgrep virt-ssh-helper").returncode == 0

    def cut_off(self) -> None:
        """It gets and sends nothing any more, and nobody is told."""
        run("ip", "-n", self.network.name, "link", "set", self.port, "down")

    def plug_in(self) -> None:
        run("ip", "-n", self.network.name, "link", "set", self.port, "up")

    def start_libvirtd(self) -> None:
        self.do("libvirtd --daemon")
        wait_until("libvirtd listens", lambda: self._enter("virsh -q list").returncode == 0)

    def _files(self) -> set[str]:
        """What libvirt keeps, but for installers: they are for all machines."""
        places = ("etc/libvirt", "run/libvirt", "state/partition1/vm/disks", "var/lib/libvirt")
        found = (path for place in places for path in (self.root / place).rglob("*"))
        return {str(path.relative_to(self.root)) for path in found if not path.is_dir()}

    def remains(self) -> list[str]:
        """The machines that libvirt knows there, and the files that were not there before the first of them."""
        return [*self.do("virsh -q list --all --name").split(), *sorted(self._files() - self._first_files)]

    def logs(self) -> str:
        paths = [self.root.parent / f"{self.name}.log", *sorted((self.root / "var/log").rglob("*.log"))]
        return "".join(f"== {path}\n{path.read_text(errors='replace')[-3000:]}\n" for path in paths if path.exists())


@contextmanager
def make_container(network: Network, folder: Path, name: str, address: str) -> Iterator[Container]:
    """A container in the front end's network, switched off; the place that its programs, but no settings, are of."""
    number = network.taps
    network.taps += 1
    namespace, port = f"{network.name}-{name}", f"port{number}"
    run("ip", "netns", "add", namespace)
    container = Container(name, make_root(folder / name), network, namespace, port)
    try:
        run("ip", "-n", network.name, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "-n", network.name, "link", "set", port, "master", BRIDGE, "up")
        run("ip", "-n", namespace, "link", "add", "br-private", "type", "bridge", "forward_delay", "0")
        run("ip", "-n", namespace, "link", "set", "eth0", "master", "br-private", "up")
        run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "br-private")
        for interface in ("br-private", "lo"):
            run("ip", "-n", namespace, "link", "set", interface, "up")
        yield container
    finally:
        container.stop()
        run("ip", "netns", "del", namespace)


@contextmanager
def giving_addresses(folder: Path) -> Iterator[None]:
    """A DHCP server that gives machines any address."""
    argv = [program("dnsmasq"), "--no-daemon", "--port=0", "--conf-file=/dev/null", f"--interface={BRIDGE}"]
    argv += ["--bind-interfaces", "--dhcp-range=10.0.2.50,10.0.2.99", f"--dhcp-leasefile={folder}/leases"]
    log = folder / "dnsmasq.log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_until("dnsmasq is started", lambda: "started" in log.read_text() or process.poll() is not None, 20)
        yield
    finally:
        process.terminate()
        process.wait(20)


def need_containers() -> None:
    need(*PROGRAMS)
    if not POLKIT.exists():
        pytest.skip("polkitd is missing")


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}
