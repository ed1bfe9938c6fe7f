"""`insert-ethers` as a whole: its tasks, its refusals, and runs in processes that are watched and killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from rollbuild.cluster import (
    Database,
    begin_install,
    find_host,
    list_hosts,
    list_interfaces,
    new_token,
    note_discovery,
)
from rollbuild.commands.insert_ethers import main
from rollbuild.commands.insert_ethers._lines import HELP
from tests.conftest import Run, run_captured
from tests.frontend.discovery.conftest import database, seeded
from tests.programs import need_program

__all__ = ["database", "seeded"]

_SECONDS = 30.0
_MAIN = "import sys; from rollbuild.commands.insert_ethers import main; sys.exit(main())"
PXE = "PXEClient:Arch:00007:UNDI:003016"


def mac(number: int) -> str:
    return f"52:54:00:aa:{number >> 8:02x}:{number & 255:02x}"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


@pytest.fixture
def insert(root: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `insert-ethers ARGV...` in this process."""
    return run_captured(main, capfd)


def names(database: Database) -> list[str]:
    with database.reading() as c:
        return [host.name for host in list_hosts(c) if host.name != "granite"]


# ---- tasks


def test_scripted_machines(insert: Run, database: Database, root: Path) -> None:
    done = insert("--membership", "vm container", "--cabinet", "2", "--mac", "52-54-00-AA-10-00", "--mac", mac(1))
    assert (done.code, done.err) == (0, "")
    assert (
        done.out == "52:54:00:aa:10:00 vm-container-2-0 10.1.255.254\n52:54:00:aa:00:01 vm-container-2-1 10.1.255.253\n"
    )
    assert "52:54:00:aa:10:00,10.1.255.254,vm-container-2-0" in (root / "etc/rollbuild/dhcp-hosts").read_text()


def test_a_scripted_machine_that_is_there(insert: Run, database: Database) -> None:
    insert("--membership", "Compute", "--mac", mac(0))
    done = insert("--membership", "Compute", "--mac", mac(0), "--mac", mac(1), "--json")
    assert done.code == 1
    assert f"error: {mac(0)} is compute-0-0 already" in done.err
    assert json.loads(done.out) == [{"mac": mac(1), "host": "compute-0-1", "address": "10.1.255.253"}]


def test_replace_by_script(insert: Run, database: Database) -> None:
    insert("--membership", "Compute", "--mac", mac(0), "--ipaddr", "10.1.7.7")
    done = insert("--replace", "compute-0-0", "--mac", mac(1))
    assert (done.code, done.out) == (0, f"{mac(1)} compute-0-0 10.1.7.7\n")
    assert names(database) == ["compute-0-0"]


def test_remove(insert: Run, database: Database) -> None:
    insert("--membership", "Compute", "--mac", mac(0))
    done = insert("--remove", "compute-0-0")
    assert (done.code, done.out) == (0, "Removed node compute-0-0\n")
    done = insert("--remove", "compute-0-0")
    assert done.code == 1 and done.out == ""
    assert 'error: host "compute-0-0" is not in cluster' in done.err


@pytest.mark.parametrize("option", ["--remove", "--replace"])
def test_the_front_end_stays(insert: Run, database: Database, option: str) -> None:
    done = insert(option, "granite", *(["--mac", mac(0)] if option == "--replace" else []))
    assert done.code == 1 and "granite is the front end, and stays" in done.err
    with database.reading() as c:
        assert [one.mac for one in list_interfaces(c, ["granite"])] == ["52:54:00:00:00:01"]


def test_update(insert: Run, database: Database, root: Path) -> None:
    done = insert("--update")
    assert done.code == 0, done.err
    hosts = root / "etc/rollbuild/hosts"
    text = hosts.read_text()
    hosts.write_text("broken")
    assert insert("--update").code == 0
    assert hosts.read_text() == text


def test_the_queue_is_listed_approved_and_denied(insert: Run, database: Database) -> None:
    assert insert("--pending").err == "nothing waits for approval\n"
    with database.recording() as c:
        for number in range(3):
            note_discovery(c, mac(number), vendor=PXE, arch="aarch64", now=1000.0 + number)
    shown = insert("--pending")
    assert [line.split()[:2] for line in shown.out.splitlines()[1:]] == [[mac(n), "waiting"] for n in range(3)]
    assert insert("--deny", mac(1)).code == 0
    assert [row["state"] for row in json.loads(insert("--pending", "--json").out)] == ["waiting", "denied", "waiting"]
    refused = insert("--approve", "all")
    assert refused.code == 2 and "--membership NAME: Compute, Ethernet Switch, Login" in refused.err
    done = insert("--approve", "all", "--membership", "Compute")
    assert done.out == f"{mac(0)} compute-0-0 10.1.255.254\n{mac(2)} compute-0-1 10.1.255.253\n"
    with database.reading() as c:
        assert find_host(c, "compute-0-0").arch == "aarch64"
    assert insert("--approve", mac(1), "--membership", "Login").out == f"{mac(1)} login-0-0 10.1.255.252\n"
    assert insert("--pending").err == "nothing waits for approval\n"


def test_held_hosts_wait_for_approval_too(insert: Run, database: Database) -> None:
    insert("--membership", "Compute", "--mac", mac(0), "--hold")
    assert insert("--pending").out.splitlines()[1].split() == [mac(0), "held", "compute-0-0"]
    done = insert("--approve", mac(0))
    assert (done.code, done.out) == (0, f"{mac(0)} compute-0-0 installs when it boots next\n")
    with database.reading() as c:
        assert find_host(c, "compute-0-0").boot_action == "install"


# arguments -> exit code, and what standard error says
REFUSED: dict[str, tuple[list[str], int, str]] = {
    "no membership": (["--mac", mac(0)], 2, "error: nothing says of which membership"),
    "no such membership": (
        ["--membership", "Computer", "--mac", mac(0)],
        2,
        "error: Could not find appliance (Computer) in database\nhint: did you mean compute?",
    ),
    "no terminal": (["--no-check", "--batch", "--log", "x"], 2, "error: nothing says which appliance machines become"),
    "no MAC": (["--membership", "Compute", "--mac", "x"], 2, "error: 'x' is no MAC address"),
    "a group's MAC": (["--membership", "Compute", "--mac", "01:00:5e:00:00:01"], 2, "belongs to no interface"),
    "two names": (["--hostname", "a", "--mac", mac(0), "--mac", mac(1)], 2, "are for one machine"),
    "a taken name": (["--membership", "Compute", "--hostname", "granite"], 1, "exists already"),
    "a name that is none": (["--membership", "Compute", "--hostname", "a b"], 2, "cannot be a host's name"),
    "a taken address": (["--membership", "Compute", "--ipaddr", "10.1.1.1"], 1, 'of host "granite" already'),
    "an address elsewhere": (["--membership", "Compute", "--ipaddr", "10.2.1.1"], 1, "is not in network"),
    "a base elsewhere": (["--membership", "Compute", "--baseip", "10.2.1.1"], 2, "it is from 10.1.0.1 to 10.1.255.254"),
    "no step": (["--membership", "Compute", "--inc", "0"], 2, "--inc 0"),
    "two sources": (["--listen", "--log", "x"], 2, "--listen and --log"),
    "two tasks": (["--update", "--pending"], 2, "are two tasks"),
    "a task that inserts nothing": (["--update", "--hold"], 2, "--update inserts nothing"),
    "an unknown host to replace": (["--replace", "compute-0-9"], 1, 'host "compute-0-9" is not in cluster'),
    "another membership": (["--replace", "granite", "--membership", "Compute"], 2, "--replace keeps it"),
    "an unknown machine to approve": (["--approve", mac(0)], 1, "does not wait for approval"),
    "a host to deny": (["--deny", "52:54:00:00:00:01"], 1, "is granite"),
    "an unknown device": (
        ["--no-check", "--membership", "Compute", "--listen", "nosuchdevice0"],
        2,
        "cannot listen on the device nosuchdevice0",
    ),
    "no such option": (["--cabinett", "1"], 2, "hint: see `insert-ethers --help`"),
    "no number": (["--cabinet", "one"], 2, "'one' is not a valid integer range"),
    "the service is not there": (["--membership", "Compute", "--log", "x"], 1, "hint: start it"),
}


@pytest.mark.parametrize(("argv", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(
    insert: Run, database: Database, argv: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollbuild.frontend.discovery.starting.SERVICE", ("127.0.0.1", 1))
    if os.geteuid() and "nosuchdevice0" in argv:
        pytest.skip("listening needs root")
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        done = insert(*argv)
    assert said in done.err
    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    assert names(database) == []


def test_an_empty_database_says_what_to_do(insert: Run) -> None:
    done = insert("--membership", "Compute", "--log", "x")
    assert done.code == 1
    assert "hint: rocks add frontend attrs=/etc/rollbuild/site.yaml" in done.err


def test_help_is_quick_to_import() -> None:
    code = (
        "import sys; import rollbuild.commands.insert_ethers;"
        "print([m for m in ('sqlalchemy', 'textual', 'starlette', 'rich', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ---- runs


class Running:
    """A run in a process of its own with `--json`; `log` is the DHCP server's."""

    def __init__(self, log: Path, *argv: str) -> None:
        self.log = log
        log.touch()
        arguments = ["--no-check", "--log", str(log), *argv]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: Queue[str] = Queue()
        self.seen: list[dict[str, Any]] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def until(self, event: str, text: str = "") -> dict[str, Any]:
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            try:
                item = json.loads(self.lines.get(timeout=0.2))
            except Empty:
                if self.process.poll() is not None:
                    break
                continue
            self.seen.append(item)
            if item["event"] == event and text in item["text"]:
                return dict(item)
        self.process.kill()
        pytest.fail(f"no {event} {text}: {self.seen} {self.process.communicate()[1]}")

    def ask(self, *numbers: int, vendor: str = PXE) -> None:
        with open(self.log, "a", encoding="utf-8") as file:
            for number in numbers:
                file.write(f"dnsmasq-dhcp[1]: {number} vendor class: {vendor}\n")
                file.write(f"dnsmasq-dhcp[1]: {number} DHCPDISCOVER(eth0) {mac(number)} ignored\n")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(_SECONDS)


@pytest.fixture
def start(tmp_path: Path, database: Database) -> Iterator[Callable[..., Running]]:
    runs: list[Running] = []

    def start(*argv: str) -> Running:
        runs.append(Running(tmp_path / "dnsmasq.log", *argv))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.communicate()


@pytest.mark.long
def test_a_run_in_lines_of_json(start: Callable[..., Running], database: Database, root: Path) -> None:
    run = start("--json", "--membership", "VM Container", "--max", "2")
    run.until("chosen")
    run.ask(0)
    run.ask(9, vendor="MSFT 5.0")
    assert run.until("inserted") == {
        "event": "inserted",
        "mac": mac(0),
        "host": "vm-container-0-0",
        "address": "10.1.255.254",
        "text": f"{mac(0)} is vm-container-0-0, 10.1.255.254",
    }
    # Which of the two comes first is open.
    if not any(item["event"] == "ignored" for item in run.seen):
        run.until("ignored")
    assert any("does not boot from the network" in item["text"] for item in run.seen)
    run.until("applied")
    while f"{mac(0)},10.1.255.254,vm-container-0-0" not in (root / "etc/rollbuild/dhcp-hosts").read_text():
        run.until("applied")
    run.ask(1)
    run.until("inserted", "vm-container-0-1")
    for name in ("vm-container-0-0", "vm-container-0-1"):
        with database.recording() as c:
            begin_install(c, name, token=new_token(), address="10.1.255.254", now=time.time())
        run.until("kickstart", name)
    assert run.process.wait(_SECONDS) == 0, "it leaves by itself"


@pytest.mark.long
def test_only_one_runs(start: Callable[..., Running], insert: Run, database: Database, root: Path) -> None:
    run = start("--json", "--membership", "Compute")
    run.until("chosen")
    second = insert("--no-check", "--membership", "Compute", "--batch", "--log", "x")
    assert second.code == 75
    assert f"error: insert-ethers is already running (pid {run.process.pid}, " in second.err
    third = insert("--no-check", "--membership", "Compute", "--batch", "--staticip", "--log", "x")
    assert third.code == 2
    other = insert("--membership", "Login", "--mac", mac(77))
    assert other.code == 0 and f"insert-ethers (pid {run.process.pid}, " in other.err
    run.until("applied")
    while "login-0-0" not in (root / "etc/rollbuild/dhcp-hosts").read_text():
        run.until("applied")
    assert run.end(signal.SIGINT) == 130
    assert insert("--membership", "Login", "--mac", mac(78)).err == ""


@pytest.mark.long
def test_kill_at_any_moment_and_go_on(start: Callable[..., Running], database: Database, root: Path) -> None:
    total = 40
    for moment in (0.0, 0.01, 0.03, 0.1, 0.3, 1.2):
        run = start("--json", "--membership", "Compute")
        run.until("chosen")
        run.ask(*range(total))
        run.until("inserted") if not names(database) else None
        threading.Event().wait(moment)
        run.end(signal.SIGKILL)
        with database.reading() as c:
            hosts = [host.name for host in list_hosts(c) if host.name != "granite"]
            interfaces = [one for one in list_interfaces(c) if one.host != "granite"]
        assert sorted(one.host for one in interfaces) == sorted(hosts), "no host without its interface"
        assert all(one.mac and one.address for one in interfaces)
    run = start("--json", "--membership", "Compute")
    run.until("chosen")
    run.ask(*range(total))
    while len(names(database)) < total:
        run.until("inserted")
    assert run.end() == 0
    assert names(database) == [f"compute-0-{rank}" for rank in range(total)]
    with database.reading() as c:
        macs = {one.mac: one.address for one in list_interfaces(c) if one.host != "granite"}
    assert set(macs) == {mac(number) for number in range(total)} and len(set(macs.values())) == total
    written = (root / "etc/rollbuild/dhcp-hosts").read_text()
    assert all(f"{key},{address}," in written for key, address in macs.items())


@pytest.mark.long
def test_the_queue_runs_beside(start: Callable[..., Running], insert: Run, database: Database) -> None:
    queue = start("--queue", "--json")
    run = start("--json", "--membership", "Compute", "--max", "1", "--hostname", "alpha")
    run.until("chosen")
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and not queue.seen:
        # The queue has no event that says it reads; machines ask again and again too.
        run.ask(0, 1)
        with suppress(Empty):
            queue.seen.append(json.loads(queue.lines.get(timeout=0.3)))
    queue.until("noted", mac(1))
    run.until("inserted")
    assert run.end() == 0 and queue.end() == 0
    assert insert("--pending").out.count(mac(0)) == 0, "a host by now"
    assert insert("--pending").out.count(mac(1)) == 1


@pytest.mark.long
def test_lines_for_people_with_keys(root: Path, database: Database, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    argv = [sys.executable, "-c", _MAIN, "--no-check", "--no-screen", "--membership", "Compute", "--log", str(log)]
    argv += ["--staticip"]
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin is not None and process.stdout is not None
    watchdog = threading.Timer(_SECONDS, process.kill)
    watchdog.start()

    def until(text: str) -> None:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if line == f"{text}\n":
                return
        pytest.fail(f"no {text!r}: {seen}")

    try:
        until("waiting for machines: Compute")
        with open(log, "a") as file:
            file.write(f"1 vendor class: {PXE}\n1 DHCPDISCOVER(eth0) {mac(0)} ignored\n")
        until(f"Discovered a new appliance with MAC ({mac(0)})")
        process.stdin.write("10.1.3.4\n")
        until(f"{mac(0)} is compute-0-0, 10.1.3.4")
        process.stdin.write("what\nq\n")
        until(f"what means nothing here: {HELP}")
        until("not kickstarted yet: compute-0-0")
        process.stdin.write("u\n")
        until("compute-0-0 was removed again")
        process.stdin.write("q\n")
        out, err = process.communicate(timeout=_SECONDS)
        assert process.returncode == 0
        assert "Opened kickstart access to 10.1.0.0/255.255.0.0 network" in err
        assert out.endswith("0 hosts inserted\n")
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
    assert names(database) == []


def tmux(socket: str, *argv: str) -> str:
    done = subprocess.run(["tmux", "-L", socket, *argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until_shown(socket: str, text: str) -> str:
    deadline = time.monotonic() + _SECONDS
    shown = ""
    while time.monotonic() < deadline:
        shown = tmux(socket, "capture-pane", "-p")
        if text in shown:
            return shown
        threading.Event().wait(0.1)
    pytest.fail(f"{text!r} never showed:\n{shown}")


@pytest.mark.long
def test_the_screen_in_a_terminal(root: Path, database: Database, tmp_path: Path) -> None:
    need_program("tmux")
    log = tmp_path / "log"
    log.touch()
    socket = f"rollbuild-{os.getpid()}"
    script = tmp_path / "run"
    script.write_text(
        f"cd {os.getcwd()}; {sys.executable} -c '{_MAIN}' --no-check --log {log}; echo code $?; exec sleep 600\n"
    )
    environment = [f"-eROLLBUILD_ROOT={root}", "-ePYTHONPATH=."]
    tmux(socket, "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", *environment, "sh", str(script))
    try:
        shown = until_shown(socket, "VM Container")
        assert " insert-ethers -- version " in shown
        assert " Opened kickstart access to 10.1.0.0/255.255.0.0 network" in shown
        assert "Choose Appliance Type" in shown and "Select An Appliance Type:" in shown and "[ OK ]" in shown
        tmux(socket, "send-keys", "End", "Enter")
        until_shown(socket, "Inserted Appliances")
        until_shown(socket, "waiting for machines: VM Container")
        with open(log, "a") as file:
            file.write(f"1 vendor class: {PXE}\n1 DHCPDISCOVER(eth0) {mac(0)} ignored\n")
        until_shown(socket, f"Discovered a new appliance with MAC ({mac(0)})")
        until_shown(socket, f"{mac(0)}   vm-container-0-0   ( )")
        tmux(socket, "send-keys", "F8")
        until_shown(socket, "Not kickstarted, please wait...")
        tmux(socket, "resize-window", "-x", "100", "-y", "30")
        with database.recording() as c:
            begin_install(c, "vm-container-0-0", token=new_token(), address="10.1.255.254", now=time.time())
        until_shown(socket, "vm-container-0-0   (*)")
        tmux(socket, "send-keys", "F8")
        shown = until_shown(socket, "code 0")
        assert "1 host inserted" in shown
    finally:
        tmux(socket, "kill-server")
