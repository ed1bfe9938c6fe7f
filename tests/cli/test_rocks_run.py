"""`rocks run host` and `rocks sync host network` against a real SSH server on loopback."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Run

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
PROGRAMS = {"sshd": SSHD, "ssh": shutil.which("ssh"), "ssh-keygen": shutil.which("ssh-keygen")}

pytestmark = [
    pytest.mark.long,
    *(pytest.mark.skip(f"{name} is not installed") for name, path in PROGRAMS.items() if path is None),
]


@dataclass(frozen=True, slots=True)
class Server:
    """An SSH server on 127.0.0.1 to 127.0.0.3, `ssh` the program with options that gets in."""

    ssh: str
    folder: Path
    pid: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("ssh")
    folder.chmod(0o700)
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nListenAddress 127.0.0.2\nListenAddress 127.0.0.3\n"
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nMaxStartups 100\nMaxSessions 100\n"
    )
    assert SSHD is not None
    process = subprocess.Popen([SSHD, "-D", "-E", folder / "log", "-f", folder / "conf"])
    try:
        end = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.3", port)) == 0:
                    break
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
        known = f"-oUserKnownHostsFile={folder}/known"
        yield Server(f"ssh -p {port} -i {folder}/id -oIdentitiesOnly=yes {known}", folder, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@pytest.fixture
def rocks(rocks: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `rocks WORDS...` in a cluster whose hosts compute-0-0 to 2 are that server."""
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    monkeypatch.setenv("ROLLBUILD_SSH", server.ssh)
    for line in (
        "add network private 127.0.0.0/8",
        "add host granite membership=Frontend rack=0 rank=0",
        "add host compute-0-0",
        "add host interface compute-0-0 eth0 ip=127.0.0.1 mac=52:54:00:00:00:01",
        "add host compute-0-1",
        "add host interface compute-0-1 eth0 ip=127.0.0.2",
        "add host compute-0-2",
        "add host interface compute-0-2 eth0 ip=127.0.0.3",
    ):
        done = rocks(*shlex.split(line))
        assert done.code == 0, done.err
    return rocks


def test_all_hosts_of_an_appliance(rocks: Run) -> None:
    done = rocks("run", "host", "compute", 'echo "$SSH_CONNECTION" | cut -d" " -f3', "collate=yes", "stats=yes")
    assert done.code == 0, done.err
    assert done.out == "compute-0-0: 127.0.0.1\ncompute-0-1: 127.0.0.2\ncompute-0-2: 127.0.0.3\n"
    assert done.err.count(" seconds") == 3


def test_no_word_means_all_hosts_that_are_managed(rocks: Run) -> None:
    rocks("set", "host", "attr", "compute-0-2", "managed", "no")
    done = rocks("run", "host", "command=echo x")
    assert (done.code, done.out) == (0, "x\nx\n"), done.err
    done = rocks("run", "host", "compute", "echo x")
    assert done.out == "x\nx\n" and "left out: compute-0-2 (its attribute managed says no)" in done.err
    assert rocks("run", "host", "compute", "echo x", "managed=no").out == "x\nx\nx\n"
    assert rocks("run", "host", "compute-0-2", "echo x").out == "x\n"


def test_the_worst_exit_code_and_a_table(rocks: Run) -> None:
    done = rocks(
        "run", "host", "compute", 'case "$SSH_CONNECTION" in *127.0.0.2*) echo bad >&2; exit 3;; esac; echo good'
    )
    assert done.code == 3
    assert done.out == "good\ngood\n"
    assert "compute-0-1: bad" in done.err
    assert "1 of 3 hosts failed:\n  compute-0-1  exit code 3" in done.err


def test_what_cannot_be_reached_and_what_does_not_end(rocks: Run, server: Server) -> None:
    rocks("add", "host", "compute-0-3")
    rocks("add", "host", "interface", "compute-0-3", "eth0", "ip=127.0.0.9")
    start = time.monotonic()
    done = rocks(
        "run", "host", "compute", 'case "$SSH_CONNECTION" in *127.0.0.2*) exec sleep 300;; esac; echo x', "timeout=8"
    )
    assert time.monotonic() - start < 60
    assert done.code == 69
    assert done.out == "x\nx\n"
    assert "compute-0-1  no answer in time" in done.err
    assert "compute-0-3  unreachable: ssh: connect to host 127.0.0.9 port" in done.err
    # None of the ssh that were started is left.
    left = subprocess.run(["pgrep", "-P", str(os.getpid()), "-x", "ssh"], capture_output=True, check=False)
    assert left.stdout == b""


def test_no_shell_on_this_side(rocks: Run, tmp_path: Path) -> None:
    """What is typed reaches the shell of the hosts as it is, and no other."""
    done = rocks(
        "run", "host", "compute-0-0", f"printf '%s' '%h %n $(touch {tmp_path}/pwned) ;&|'; hostname >/dev/null"
    )
    assert done.code == 0, done.err
    assert done.out == f"%h %n $(touch {tmp_path}/pwned) ;&|\n"
    assert not (tmp_path / "pwned").exists()


def test_output_that_is_no_text_and_much_of_it(rocks: Run) -> None:
    done = rocks("run", "host", "compute-0-0", "head -c 300000 /dev/zero | tr '\\0' x; echo; printf '\\377\\n'")
    assert done.code == 0
    assert len(done.out) >= 300_001


USAGE = {
    "no command": (("run", "host", "command="), 2, "must supply a command"),
    "hosts and no command": (("run", "host", "compute-0-0"), 2, "compute-0-0 names hosts, and there is no command"),
    "no such host": (("run", "host", "compute-7-7", "true"), 1, "compute-7-7"),
    "no ssh": (("run", "host", "compute", "true", "ssh=/nowhere/ssh"), 3, "/nowhere/ssh is missing"),
    "a quote": (("run", "host", "compute", "true", "ssh='x"), 1, "is no command"),
    "the front end only": (("run", "host", "frontend", "true"), 1, "there is no host to run it on"),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage(rocks: Run, name: str) -> None:
    words, code, said = USAGE[name]
    done = rocks(*words)
    assert done.code == code and said in done.err, done.err


def test_interfaces_are_brought_to_a_host(
    rocks: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's side of it runs for real, in a folder of its own: nmcli stands in for NetworkManager."""
    from rollbuild.commands.rocks import sync

    folder = tmp_path / "connections"
    folder.mkdir()
    (folder / "eno1.nmconnection").write_text("[ethernet]\nmac-address=52:54:00:00:00:01\n")
    (folder / "other.nmconnection").write_text("[connection]\ninterface-name=other\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nmcli").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\n')
    (programs / "nmcli").chmod(0o755)
    script = sync._RECEIVE.replace("/etc/NetworkManager/system-connections", str(folder))
    monkeypatch.setattr(sync, "_RECEIVE", f"PATH={programs}:$PATH\n{script}")
    done = rocks("sync", "host", "network", "compute-0-0", "activate=yes")
    assert done.code == 0, done.err
    assert sorted(path.name for path in folder.iterdir()) == ["eth0.nmconnection", "other.nmconnection"]
    assert (folder / "eth0.nmconnection").stat().st_mode & 0o777 == 0o600
    assert "address1=127.0.0.1/8" in (folder / "eth0.nmconnection").read_text()
    called = (tmp_path / "called").read_text().splitlines()
    assert called == ["connection reload", f"--wait 20 connection up filename {folder}/eth0.nmconnection"]
    # A host that fails half-way keeps what it had.
    monkeypatch.setattr(sync, "_RECEIVE", f"PATH={programs}:$PATH\ntar() {{ return 2; }}\n{script}")
    before = sorted((path.name, path.read_text()) for path in folder.iterdir())
    done = rocks("sync", "host", "network", "compute-0-0")
    assert done.code == 2 and "exit code 2" in done.err
    assert sorted((path.name, path.read_text()) for path in folder.iterdir()) == before
