import difflib
import json
import os
import pty
import re
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollbuild.language import read_attributes
from tests.conftest import Outcome

ROOT = Path(__file__).parents[2]
ROLLS = ("--rolls", str(ROOT / "rolls"), "--rolls", str(ROOT / "graphs"))
HASH = "$6$abcdefgh$" + "x" * 86
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample admin@example.org"


class Terminal:
    """`rollbuild init` at the other end of a real pseudo-terminal."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self.text = ""
        self._seen = 0
        self.pid, self._file = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child becomes another program
            os.chdir(folder)
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
            os.execve(sys.executable, [sys.executable, "-m", "rollbuild", "init", *ROLLS, *argv], environment)

    def expect(self, words: str) -> str:
        """Wait until the words come; return what came since the last time."""
        end = time.monotonic() + 60
        while words not in self.text[self._seen :]:
            if not self._read(end):
                raise AssertionError(f"{words!r} did not come; there is:\n{self.text[self._seen :]}")
        at = self.text.index(words, self._seen) + len(words)
        passed, self._seen = self.text[self._seen : at], at
        return passed

    def answer(self, question: str, text: str = "") -> str:
        shown = self.expect(f"  {question} ")
        shown += self.expect("]: ")
        os.write(self._file, text.encode() + b"\n")
        return shown

    def type(self, text: str) -> None:
        os.write(self._file, text.encode())

    def end(self) -> int:
        end = time.monotonic() + 60
        while self._read(end):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._file)

    def _read(self, end: float) -> bool:
        left = end - time.monotonic()
        if left <= 0 or not select.select([self._file], [], [], left)[0]:
            raise AssertionError(f"nothing more came; there is:\n{self.text[self._seen :]}")
        try:
            piece = os.read(self._file, 65536)
        except OSError:  # what Linux says when the other end has gone
            return False
        self.text += piece.decode().replace("\r\n", "\n")
        return bool(piece)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*argv: str) -> Terminal:
        opened.append(Terminal(tmp_path, *argv))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def values_of(path: Path) -> dict[str, str]:
    return {name: attribute.value for name, attribute in read_attributes(path).layers["global", ""].items()}


def test_a_dialogue_in_a_terminal(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    """Proposals, explanations, refusals with the reason, back, a hashed password, what follows from what."""
    (tmp_path / "admin.pub").write_text(KEY + "\n")
    screen = terminal()
    screen.answer("Info_ClusterName", "Granite")
    screen.answer("Kickstart_PublicHostname", "granite")
    screen.expect("must be a full name, with its domain, such as cluster.example.org")
    screen.answer("Kickstart_PublicHostname", "Granite.Example.org")
    assert "[granite]" in screen.answer("Kickstart_PrivateHostname", "<")
    assert "[granite.example.org]" in screen.answer("Kickstart_PublicHostname")
    screen.answer("Kickstart_PrivateHostname")
    screen.answer("Kickstart_PrivateDNSDomain", "cluster.local")
    screen.expect("must not be .local")
    screen.answer("Kickstart_PrivateDNSDomain")
    screen.answer("Kickstart_PrivateInterface", "?")
    screen.expect("for example: eno1")
    screen.answer("Kickstart_PrivateInterface")
    screen.answer("Kickstart_PrivateAddress", "192.168.7.256")
    screen.expect("must be an IP address")
    screen.answer("Kickstart_PrivateAddress", "192.168.7.1")
    assert "[255.255.255.0]" in screen.answer("Kickstart_PrivateNetmask", "<")
    screen.answer("Kickstart_PrivateAddress", "172.20.0.1/20")
    assert "[255.255.240.0]" in screen.answer("Kickstart_PrivateNetmask")
    assert "[172.20.0.1]" in screen.answer("Kickstart_PrivateGateway", "10.9.9.9")
    screen.expect("must be an address in 172.20.0.0/20")
    screen.answer("Kickstart_PrivateGateway")
    screen.answer("Kickstart_PrivateDNSServers")
    screen.answer("Kickstart_PublicInterface")
    screen.answer("Kickstart_PublicAddress", "172.20.3.4")
    screen.expect("lies in the cluster's own network 172.20.0.0/20")
    screen.answer("Kickstart_PublicAddress", "192.0.2.10")
    assert "[255.255.255.0]" in screen.answer("Kickstart_PublicNetmask")
    assert "[192.0.2.1]" in screen.answer("Kickstart_PublicGateway")
    screen.answer("Kickstart_PublicDNSServers", "192.0.2.53, 192.0.2.54")
    screen.answer("nat", "n")
    screen.answer("Kickstart_Timezone", "Europe/Berln")
    screen.expect("did you mean Europe/Berlin?")
    screen.answer("Kickstart_Timezone", "Europe/Berlin")
    screen.answer("Kickstart_PublicNTPHost")
    screen.answer("Kickstart_Lang")
    screen.answer("Kickstart_Keyboard")
    screen.answer("Kickstart_PrivateRootPassword", "correct horse")
    screen.expect("the same again: ")
    screen.type("battery staple\n")
    screen.expect("the two differ")
    screen.answer("Kickstart_PrivateRootPassword", "correct horse")
    screen.expect("the same again: ")
    screen.type("correct horse\n")
    screen.expect("ssh_root_keys [empty]: ")
    screen.type("./admin.pub\n")
    screen.expect("and (ENTER ends): ")
    screen.type("\n")
    screen.answer("os_disk")
    screen.answer("disk_layout", "3")
    screen.answer("data_disks", "sdb sdc")
    screen.answer("dhcp_server", "kea")
    screen.answer("database")
    screen.answer("scheduler")
    screen.answer("monitoring")
    screen.answer("vm_hypervisor")
    screen.expect("Rolls to go through, or all [none]: ")
    screen.type("nonsense\n")
    screen.expect("nonsense is none of: ")
    screen.expect("[none]: ")
    screen.type("xen\n")
    screen.answer("xen_repository", "http://10.1.1.1/install/xen/el9")
    screen.answer("xen_kernel")
    screen.answer("dom0_memory", "lots")
    screen.expect("must be a whole number")
    screen.answer("dom0_memory", "2048")
    screen.answer("dom0_vcpus")
    screen.expect("[none]: ")
    screen.type("\n")
    screen.expect("Write site.yaml? [yes] ")
    screen.type("\n")
    assert screen.end() == 0, screen.text

    path = tmp_path / "site.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    values = values_of(path)
    password = values.pop("Kickstart_PrivateRootPassword")
    assert re.fullmatch(r"\$6\$[^$]+\$[./A-Za-z0-9]{86}", password)
    assert "correct horse" not in screen.text + path.read_text()
    private = "172.20.0.1"
    assert values == {
        "Info_ClusterName": "Granite",
        "Kickstart_PublicHostname": "granite.example.org",
        "Kickstart_PrivateHostname": "granite",
        "Kickstart_PrivateAddress": private,
        "Kickstart_PrivateNetmask": "255.255.240.0",
        "Kickstart_PrivateNetmaskCIDR": "20",
        "Kickstart_PrivateNetwork": "172.20.0.0",
        "Kickstart_PrivateGateway": private,
        "Kickstart_PrivateDNSServers": private,
        "Kickstart_PrivateNTPHost": private,
        "Kickstart_PrivateSyslogHost": private,
        "Kickstart_PrivateKickstartHost": private,
        "Kickstart_PublicAddress": "192.0.2.10",
        "Kickstart_PublicNetmask": "255.255.255.0",
        "Kickstart_PublicGateway": "192.0.2.1",
        "Kickstart_PublicDNSServers": "192.0.2.53, 192.0.2.54",
        "nat": "no",
        "Kickstart_Timezone": "Europe/Berlin",
        "ssh_root_keys": KEY,
        "disk_layout": "raid1",
        "data_disks": "sdb sdc",
        "dhcp_server": "kea",
        "xen_repository": "http://10.1.1.1/install/xen/el9",
        "dom0_memory": "2048",
    }


def test_proposals_for_everything_write_almost_nothing(
    terminal: Callable[..., Terminal], tmp_path: Path, rollbuild: Callable[..., Outcome]
) -> None:
    screen = terminal("-o", "mine.yaml")
    screen.answer("Info_ClusterName", ".")
    screen.expect("Write mine.yaml? [yes] ")
    screen.type("y\n")
    assert screen.end() == 0
    assert values_of(tmp_path / "mine.yaml") == {}
    done = rollbuild("compile", *ROLLS, "--attrs", tmp_path / "mine.yaml", "-o", tmp_path / "ks", "--strict")
    assert done.code == 0, done.err


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_ending_it_writes_nothing(terminal: Callable[..., Terminal], tmp_path: Path, key: str) -> None:
    screen = terminal()
    screen.answer("Info_ClusterName", "Granite")
    screen.expect("Kickstart_PublicHostname [")
    screen.type(key)
    assert screen.end() == 130
    assert "Traceback" not in screen.text
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_shown_as_a_difference(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("global:\n  Info_ClusterName: Old\n")
    screen = terminal("--force")
    screen.answer("Info_ClusterName", "New")
    screen.answer("Kickstart_PublicHostname", ".")
    shown = screen.expect("Write site.yaml? [yes] ")
    assert "-  Info_ClusterName: Old" in shown and "+  Info_ClusterName: New" in shown
    screen.type("no\n")
    assert screen.end() == 130
    assert "Old" in (tmp_path / "site.yaml").read_text()


@pytest.fixture
def init(rollbuild: Callable[..., Outcome], tmp_path: Path) -> Callable[..., Outcome]:
    """Run `rollbuild init` with the shipped rolls and answers out of a file into `site.yaml`."""

    def run(answers: str, *argv: str, name: str = "answers.yaml") -> Outcome:
        (tmp_path / name).write_text(answers)
        return rollbuild("init", *ROLLS, "--from", tmp_path / name, "-o", tmp_path / "site.yaml", *argv)

    return run


FORMS = {
    "answers.yaml": "Kickstart_PrivateAddress: 10.5.0.1\nglobal:\n  nat: No\nappliance:\n  compute:\n    audit: n\n",
    "answers.json": '{"Kickstart_PrivateAddress": "10.5.0.1", "nat": "no", "appliance": {"compute": {"audit": "no"}}}',
    "answers": "Kickstart_PrivateAddress: 10.5.0.1\nnat:no\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_answers_of_a_file(
    init: Callable[..., Outcome], rollbuild: Callable[..., Outcome], tmp_path: Path, name: str
) -> None:
    done = init(FORMS[name], name=name)
    assert (done.code, done.out) == (0, ""), done.err
    values = values_of(tmp_path / "site.yaml")
    assert values["nat"] == "no"
    assert values["Kickstart_PrivateNetwork"] == "10.5.0.0"
    assert values["Kickstart_PrivateGateway"] == "10.5.0.1"
    if name != "answers":
        read = read_attributes(tmp_path / "site.yaml")
        assert read.layers["appliance", "compute"]["audit"].value == "no"
    done = rollbuild("compile", *ROLLS, "--attrs", tmp_path / "site.yaml", "-o", tmp_path / "ks", "--strict")
    assert done.code == 0, done.err


def test_what_it_writes_is_read_back_as_answers(init: Callable[..., Outcome], tmp_path: Path) -> None:
    keys = f"{KEY}\n{KEY}2"
    told = {
        "Info_ClusterName": "# 'Granite': \"the\" cluster\\ of é",
        "Kickstart_PrivateRootPassword": HASH,
        "ssh_root_keys": keys,
        "sysctl": " vm.swappiness = 10\n\nkernel.x = '1'",
        "unknown_to_all_of_them": "null",
    }
    assert init(json.dumps({**told, "host": {"0": {"os_disk": "~"}}}), name="a.json").code == 0
    first = (tmp_path / "site.yaml").read_text()
    told["sysctl"] = told["sysctl"].strip()
    assert values_of(tmp_path / "site.yaml") == told
    assert init(first, "--force").code == 0
    assert (tmp_path / "site.yaml").read_text() == first


WRONG = {
    "type": ("Kickstart_PrivateAddress: 10.1.1", ["Kickstart_PrivateAddress must be an IP address"]),
    "name": ("Kickstart_PrivatAddress: 10.1.1.1", ["did you mean Kickstart_PrivateAddress?"]),
    "choice": ("disk_layout: raid5", ["disk_layout must be one of plain, lvm, raid1"]),
    "password": ("Kickstart_PrivateRootPassword: secret", ["must be a hash"]),
    "private key": ("ssh_root_keys: '-----BEGIN OPENSSH PRIVATE KEY-----'", ["this is a private one"]),
    "gateway": (
        "Kickstart_PublicAddress: 192.0.2.10\nKickstart_PublicGateway: 198.51.100.1",
        ["Kickstart_PublicGateway must be an address in 192.0.2.0/24"],
    ),
    "broadcast": ("Kickstart_PrivateAddress: 10.1.255.255", ["not the network or its broadcast address"]),
    "mask": ("Kickstart_PrivateNetmask: 255.0.255.0", ["must be a mask such as"]),
    "bits": ("Kickstart_PrivateNetmaskCIDR: 24", ["must be 16"]),
    "empty": ("Kickstart_PrivateDNSDomain: ''", ["Kickstart_PrivateDNSDomain is needed"]),
    "scope": ("appliance:\n  compute:\n    audit: maybe", ["audit of appliance compute must be yes or no"]),
    "all at once": (
        "nat: maybe\nos_disk_min: lots\nKickstart_Timezone: Nowhere/Land",
        ["nat must be yes or no", "os_disk_min must be a whole number", "Kickstart_Timezone must be a time zone"],
    ),
    "a second line": ('Info_ClusterName: "x\\ny: z"', ["Info_ClusterName must be one line"]),
    "control characters": ('Info_ClusterName: "x\\u001b[0m"', ["holds control characters"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_all_named(init: Callable[..., Outcome], tmp_path: Path, name: str) -> None:
    answers, words = WRONG[name]
    done = init(answers + "\n")
    assert done.code == 1
    assert [word for word in words if word not in done.err] == [], done.err
    assert done.err.count("error: ") == len(words)
    assert "answers.yaml:" in done.err
    assert not (tmp_path / "site.yaml").exists()


def test_a_file_that_is_there_is_kept(init: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("mine\n")
    done = init("nat: no\n")
    assert done.code == 1 and "--force" in done.err
    assert (tmp_path / "site.yaml").read_text() == "mine\n"
    done = init("nat: no\n", "--force")
    assert done.code == 0 and "-mine" in done.err
    assert (tmp_path / "site.yaml").stat().st_mode & 0o777 == 0o600


USAGE = {
    "no terminal": ([], 2, "there is no terminal to ask on"),
    "a folder": (["-o", "."], 2, "is a folder"),
    "no such folder": (["-o", "nowhere/site.yaml"], 1, "there is no folder nowhere"),
    "no such file": (["--from", "nothing.yaml", "-o", "-"], 4, "nothing.yaml"),
    "no rolls": (["--rolls", "nowhere"], 2, "nowhere does not exist"),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage(rollbuild: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    argv, code, words = USAGE[name]
    monkeypatch.chdir(tmp_path)
    done = rollbuild("init", *(() if "--rolls" in argv else ROLLS), *argv)
    assert done.code == code, done.err
    assert words in done.err
    assert list(tmp_path.iterdir()) == []


def test_json_lists_the_questions(rollbuild: Callable[..., Outcome]) -> None:
    questions = {entry["name"]: entry for entry in json.loads(rollbuild("init", *ROLLS, "--json").out)}
    assert questions["disk_layout"]["choices"] == ["plain", "lvm", "raid1"]
    assert questions["Kickstart_PrivateNetmask"]["group"] == "The cluster's own network"
    assert questions["dom0_memory"] | {"description": ""} == {
        "name": "dom0_memory",
        "group": "Roll xen",
        "roll": "xen",
        "asked": "on demand",
        "type": "integer",
        "choices": [],
        "needed": False,
        "default": "4096",
        "proposal": "4096",
        "description": "",
        "example": "",
        "hashed": False,
    }
    assert not questions.keys() & {"ksmac", "hostaddr", "install_token"}


def test_every_first_question_is_declared_by_a_shipped_roll(rollbuild: Callable[..., Outcome]) -> None:
    """A renamed attribute would silently vanish from the wizard."""
    from rollbuild.commands._wizard_questions import _GROUPS

    names = {entry["name"] for entry in json.loads(rollbuild("init", *ROLLS, "--json").out)}
    assert [name for group in _GROUPS.values() for name in group if name not in names] == []


def test_standard_output(rollbuild: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "a.attrs").write_text("nat:no\n")
    done = rollbuild("init", *ROLLS, "--from", tmp_path / "a.attrs", "-o", "-")
    wanted = (
        "global:\n  # The network to the world\n  # - Whether hosts reach the world through the front end.\n  nat: no\n"
    )
    assert done.out.endswith(wanted), "".join(difflib.ndiff([wanted], [done.out]))
