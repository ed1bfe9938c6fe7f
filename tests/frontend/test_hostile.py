"""Whatever the database holds: no file gets a line, and no Kickstart a section, that somebody else wrote."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from rollbuild.errors import RollbuildError
from rollbuild.frontend import apply_configuration, plan_configuration
from tests.frontend.service.conftest import (
    ADDRESSES,
    HOST,
    MACS,
    OTHER,
    Service,
    made,
    postgresql,
    root,
    service,
    token_in,
)

__all__ = ["made", "postgresql", "root", "service"]

EVIL = (
    "x\n%end\n%post\nevil\n%end\n",
    "x\r\n%end\r\n%post\r\nevil",
    "x\u2028%end\u2028%post\x85evil",
    "'; evil; '",
    "$(evil) `evil`",
    "{{ 7 * 191 }}{% for x in hosts %}{{ x }}{% endfor %}",
    "</main><post>evil</post>&amp;<![CDATA[",
    "#!/bin/evil",
    "%include /tmp/evil",
)


def sections(kickstart: str) -> list[str]:
    return [line for line in kickstart.splitlines() if line.startswith("%")]


@pytest.mark.parametrize("value", EVIL)
def test_an_attribute_makes_no_section(service: Service, value: str) -> None:
    """Of one host, and nobody else suffers for it."""
    plain = service.ask("GET", f"/ks/{OTHER}", of=ADDRESSES[OTHER]).text
    service.set("host", HOST, "note", value)
    answer = service.ask("GET", f"/ks/{HOST}")
    if answer.status_code == 200:
        assert sections(answer.text) == sections(plain)
        assert "1337" not in answer.text
    else:
        assert answer.status_code == 503 and "attributes.yaml" not in answer.text
        assert "note" in answer.text or "%" in answer.text
    assert service.ask("GET", f"/ks/{OTHER}", of=ADDRESSES[OTHER]).status_code == 200


def test_what_a_host_says_of_itself_is_in_no_kickstart(service: Service) -> None:
    """Headers, and what it reports."""
    headers = {
        "X-RHN-Provisioning-MAC-0": f"evil%0a%25end {MACS[HOST]}",
        "X-Anaconda-Architecture": "evil",
        "User-Agent": "evil\t%end",
    }
    answer = service.ask("GET", f"/ks/{HOST}", headers=headers)
    for stage in ("packages", "failed", "evil-stage"):
        service.report(HOST, token_in(answer.text), stage, "evil\n%end\n%post\nevil")
    again = service.ask("GET", f"/ks/{HOST}", headers=headers)
    assert again.status_code == 200 and "evil" not in answer.text + again.text
    assert sections(again.text) == sections(answer.text)


POISONS = (
    ("hosts", "comment", "evil\nevil"),
    ("hosts", "arch", "x\nevil"),
    ("hosts", "held", "x\nevil"),
    ("interfaces", "name", "x\nevil=1"),
    ("interfaces", "module", "x\nevil=1"),
    ("interfaces", "address", "10.1.2.3\nevil=1"),
    ("interfaces", "mac", "52:54:00:00:00:99\nevil=1"),
    ("interfaces", "device", "eth0\nevil=1"),
    ("networks", "zone", "x\nevil=1"),
    ("boot_actions", "args", "x\nevil=1"),
    ("boot_actions", "kernel", "../../etc/shadow\nevil"),
    ("attributes", "value", "x\nevil=1"),
)


@pytest.mark.parametrize("server", ["dnsmasq", "kea"])
@pytest.mark.parametrize(("table", "column", "value"), POISONS)
def test_a_poisoned_database_makes_no_line(service: Service, table: str, column: str, value: str, server: str) -> None:
    """A value that no command lets through, as from another program that writes the database."""
    which = {"hosts": f"name = '{HOST}'", "interfaces": f"host = '{HOST}'"}.get(table, "1 = 1")
    if table == "attributes":
        for name in ("Kickstart_PrivateDNSDomain", "Kickstart_PrivateGateway", "installer_options", "note"):
            service.set("host" if name == "note" else "global", HOST if name == "note" else "", name, "x")
    service.set("global", "", "dhcp_server", server)
    with service.front_end.database.writing("poison") as c:
        where = f"{which} AND name != 'dhcp_server'" if table == "attributes" else which
        c.execute(text(f"UPDATE {table} SET {column} = :value WHERE {where}"), {"value": value})
    try:
        apply_configuration(service.front_end)
    except RollbuildError:
        pass
    else:
        for file in plan_configuration(service.front_end).files:
            if file.path.endswith(".conf") and "kea" in file.path and file.content is not None:
                json.loads(file.content)
    written = [path for part in ("etc", "export/install/netboot") for path in (service.root / part).rglob("*")]
    for path in written:
        assert "evil" not in path.name
        if path.is_file() and path.suffix not in (".efi", ".img") and path.stat().st_size < 1_000_000:
            lines = path.read_bytes().splitlines()
            assert not [line for line in lines if re.match(rb"\s*evil", line)], path
            assert b"etc/shadow" not in b"".join(lines), path


COMMANDS = (
    "rocks('add', 'network', 'ipmi', '10.9.0.0', '255.255.0.0')",
    "rocks('add', 'host', 'compute-7-0', 'membership=Compute', 'rack=7', 'rank=0')",
    "rocks('add', 'host', 'interface', 'compute-7-0', 'eth0', 'ip=10.1.7.7', 'subnet=private', 'mac=5254.0077.0001')",
    "rocks('set', 'host', 'boot', 'compute-7-0', 'action=install')",
    "rocks('sync', 'config')",
    "rocks('dump')",
    "insert('--membership', 'Compute', '--mac', '52:54:00:77:00:02')",
    "insert('--update')",
)
SCRIPT = """
import os, sys
os.umask(int(sys.argv[1], 8))
from rollbuild.commands.insert_ethers import main as insert_main
from rollbuild.commands.rocks import main as rocks_main
from rollbuild.rolls import Store
from rollbuild.frontend import ensure_applied, open_front_end
from tests.frontend.service.conftest import ADDRESSES, HOST, fill, start, token_in
from pathlib import Path
def rocks(*argv):
    assert rocks_main(list(argv)) == 0, argv
def insert(*argv):
    assert insert_main(list(argv)) == 0, argv
front_end = open_front_end()
with front_end.database:
    fill(front_end)
    ensure_applied(front_end)
    COMMANDS
    root = Path(os.environ["ROLLBUILD_ROOT"])
    secrets = root / "etc/rollbuild/secrets"
    secrets.mkdir(mode=0o700)
    os.close(os.open(secrets / "munge.key", os.O_WRONLY | os.O_CREAT, 0o600))
    service = start(root, front_end)
    token = service.install()
    answer = service.ask("GET", f"/secrets/{HOST}", tls=True, token=token)
    assert answer.status_code == 200, answer.text
    assert service.report(HOST, token, "failed", "why").status_code == 204
    assert service.ask("POST", f"/logs/{HOST}", token=token, content=b"logs").status_code == 204
    assert service.report(HOST, token, "post-done").status_code == 204
"""
SECRET = (
    "var/lib/rollbuild/logs",
    "var/lib/rollbuild/host-keys",
    "etc/rollbuild/secrets",
    "var/lib/rollbuild/cluster.db",
)
PUBLIC = ("etc/rollbuild/hosts", "etc/rollbuild/dhcp-hosts", "etc/dnsmasq.d", "export/install/netboot")


@pytest.mark.long
@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_modes_of_every_file(made: Path, tmp_path: Path, umask: str) -> None:
    fresh = tmp_path / "root"
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "ROLLBUILD_ROOT": str(fresh),
        "ROLLBUILD_STORE": str(made / "export/rollbuild"),
    }
    fresh.mkdir(mode=0o755)
    code = SCRIPT.replace("COMMANDS", "\n    ".join(COMMANDS))
    done = subprocess.run(
        [sys.executable, "-c", code, umask], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    modes = {}
    for path in [*fresh.rglob("*")]:
        if not path.is_symlink():
            modes[str(path.relative_to(fresh))] = stat.S_IMODE(path.stat().st_mode)
    (tmp_path / "modes").write_text("".join(f"{name} {mode:04o}\n" for name, mode in sorted(modes.items())))
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o022} == {}, "nobody else writes"
    for name, mode in modes.items():
        is_folder = (fresh / name).is_dir()
        if name.startswith(SECRET):
            assert mode == (0o700 if is_folder else 0o600), f"{name} {mode:04o}"
        if name.endswith(".lock"):
            assert mode == 0o600, f"{name} {mode:04o}: whoever reads a lock can hold it"
        if name.startswith(PUBLIC) and not name.endswith((".lock", "netboot.changed")):
            assert mode & 0o055 == 0o055 if is_folder else mode & 0o044 == 0o044, f"{name} {mode:04o}"
    closed = {"var/lib/rollbuild": 0o750}
    assert {name: modes[name] & 0o007 for name in closed} == dict.fromkeys(closed, 0)
