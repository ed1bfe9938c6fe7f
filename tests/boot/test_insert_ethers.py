"""Discovery with real DHCP servers: a machine asks, becomes a host, and gets its address when it asks again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollbuild.cluster import Interface, Network, add_host, add_interface, add_network, open_database, set_attribute
from rollbuild.files import system_path
from rollbuild.frontend import apply_configuration, open_front_end
from tests.boot import network as networks

pytestmark = pytest.mark.boot

ADDRESS, PREFIX = "10.77.0.1", 16
PXE = "PXEClient:Arch:00007:UNDI:003016"
MAC, PHONE = "52:54:00:aa:10:00", "52:54:00:aa:10:99"
_MAIN = "import sys; from rollbuild.commands.insert_ethers import main; sys.exit(main())"
_SECONDS = 60.0

# Starts the server again whenever it ends; its output is the log.
_KEEP = """#!/bin/sh
trap 'kill $server; exit' TERM
while :; do
    "$@" >> "$LOG" 2>&1 &
    server=$!
    echo $server > "$PID"
    wait $server
done
"""


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[networks.Network]:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "root"))
    with networks.make_network(ADDRESS, PREFIX) as network:
        yield network


def make_front_end(server: str) -> None:
    database = open_database()
    with database.writing("test") as c:
        add_network(c, Network("private", "10.77.0.0", "255.255.0.0", zone="local"))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        mac = "52:54:00:00:00:01"
        add_interface(c, Interface("granite", networks.BRIDGE, mac=mac, address=ADDRESS, network="private"))
        set_attribute(c, "global", "", "dhcp_server", server)
    database.close()
    front_end = open_front_end()
    assert apply_configuration(front_end, restart=False).is_complete
    front_end.database.close()


def dnsmasq(folder: Path) -> list[str]:
    """Its arguments; what it reads is what the front end wrote, below the prefix."""
    written = system_path("/etc/dnsmasq.d/rollbuild-dhcp.conf").read_text()
    configuration = folder / "dnsmasq.conf"
    configuration.write_text(written.replace("/etc/rollbuild", str(system_path("/etc/rollbuild"))))
    argv = [networks.program("dnsmasq"), "--keep-in-foreground", f"--conf-file={configuration}", "--port=0"]
    argv += ["--log-facility=-", "--user=root", "--pid-file=", f"--dhcp-leasefile={folder / 'leases'}"]
    return [*argv, "--bind-interfaces", f"--interface={networks.BRIDGE}"]


def kea(folder: Path) -> list[str]:
    program = networks.program("kea-dhcp4")
    script = folder / "kea"
    # Its own start makes the file that it reads out of the one which the front end wrote.
    script.write_text(
        f"""#!{sys.executable}
import json, os
content = json.load(open({str(system_path("/etc/kea/kea-dhcp4.conf"))!r}))
# The bridge may get its carrier later.
content["Dhcp4"]["interfaces-config"]["service-sockets-max-retries"] = 50
content["Dhcp4"]["interfaces-config"]["service-sockets-retry-wait-time"] = 200
content["Dhcp4"]["lease-database"] = {{"type": "memfile", "persist": False}}
content["Dhcp4"]["loggers"] = [
    {{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{{"output": "stdout"}}]}}
]
json.dump(content, open({str(folder / "kea.json")!r}, "w"))
os.execv({program!r}, ["kea-dhcp4", "-c", {str(folder / "kea.json")!r}])
"""
    )
    script.chmod(0o755)
    return [str(script)]


SERVERS = {
    "dnsmasq": (dnsmasq, "DHCP, static leases only", "RESTART_DNSMASQ"),
    "kea": (kea, "DHCP4_STARTED", "RESTART_KEA"),
}


@contextmanager
def serving(network: networks.Network, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A DHCP server that is restarted as the front end wants it; its log."""
    make, ready, setting = SERVERS[name]
    make_front_end(name)
    keep, restart, log, pid = (folder / part for part in ("keep", "restart", "dhcp.log", "pid"))
    argv = make(folder)
    keep.write_text(_KEEP)
    restart.write_text(f'#!/bin/sh\nkill -TERM "$(cat {pid})"\n')
    for script in (keep, restart):
        script.chmod(0o755)
    monkeypatch.setenv(f"ROLLBUILD_{setting}", json.dumps([str(restart)]))
    environment = {"LOG": str(log), "PID": str(pid), "KEA_PIDFILE_DIR": str(folder), "KEA_LOCKFILE_DIR": str(folder)}
    log.touch()
    with network.inside():
        process = subprocess.Popen([str(keep), *argv], env={**os.environ, **environment}, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _SECONDS
        while ready not in log.read_text(errors="replace"):
            assert time.monotonic() < deadline and process.poll() is None, log.read_text(errors="replace")
            time.sleep(0.05)
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def inserting(network: networks.Network, output: Path, *argv: str) -> Iterator[None]:
    command = [sys.executable, "-c", _MAIN, "--no-check", "--json", "--membership", "VM Container", *argv]
    with open(output, "wb") as file, network.inside():
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file)
    try:
        until(output, "chosen")
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def events(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


def until(output: Path, event: str) -> dict[str, Any]:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        found = [item for item in events(output) if item["event"] == event]
        if found:
            return found[0]
        time.sleep(0.05)
    pytest.fail(f"no {event}: {output.read_text()}")


@pytest.mark.parametrize(("server", "source"), [("dnsmasq", "log"), ("dnsmasq", "listen"), ("kea", "log")])
def test_a_machine_that_asks_becomes_a_host(
    private: networks.Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, source: str
) -> None:
    output = tmp_path / "events"
    with serving(private, server, tmp_path, monkeypatch) as log:
        given = ["--log", str(log)] if source == "log" else ["--listen", networks.BRIDGE]
        with inserting(private, output, *given):
            assert networks.ask_dhcp(private, tmp_path, PHONE, 7, "-V", "MSFT 5.0") == ""
            answer, tries = "", 0
            while not answer and tries < 10:
                answer = networks.ask_dhcp(private, tmp_path, MAC, 7, "-V", PXE)
                tries += 1
            address, name = answer.split()[:2]
            assert (address, name.partition(".")[0]) == ("10.77.255.254", "vm-container-0-0")
            assert until(output, "inserted")["mac"] == MAC
            assert until(output, "ignored")["mac"] == PHONE
        said = [item["event"] for item in events(output)]
        assert said.count("inserted") == 1 and said.count("not-applied") == 0
