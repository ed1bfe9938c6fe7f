"""`rollbuild roll script`: what the script holds, and that it does that when it is run."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.rolls import Store
from tests.conftest import Outcome
from tests.programs import need_program
from tests.stores import add_os, add_roll

Run = Callable[..., Outcome]
Tree = Callable[[dict[str, str]], Path]

ROLLS = {
    "rolls/base/nodes/base.xml": "<kickstart><package>bash</package><post>echo base</post></kickstart>",
    "rolls/base/nodes/compute.xml": "<kickstart/>",
    "rolls/base/nodes/nas.xml": "<kickstart/>",
    "rolls/base/graphs/default/base.xml": (
        '<graph><appliance name="compute" root="compute" membership="Compute"/>'
        '<appliance name="nas" root="nas" membership="NAS"/>'
        '<edge from="compute"><to>base</to><to>tool</to></edge><edge from="nas"><to>base</to></edge></graph>'
    ),
    "rolls/tool/nodes/tool.xml": (
        "<kickstart>"
        '<package>tool</package><package disable="1">old-tool</package>'
        "<main><services>--enabled=toold,toolx --disabled=old</services><selinux>--permissive</selinux></main>"
        '<pre>echo pre</pre><post arg="--nochroot">echo outside</post>'
        '<post arg="--erroronfail">echo "for &hostname; in &place;"\n'
        '<file name="&place;/tool.conf" perms="0640">\nkey="$value"\nRB_SCRIPT\n%end\n</file></post>'
        '<post interpreter="/usr/bin/env -S sh -u">echo second; exit &status;</post>'
        "</kickstart>"
    ),
    "rolls/tool/nodes/extend-base.xml": "<kickstart><post>echo extended</post></kickstart>",
    "hosts.yaml": "hosts:\n- {name: compute-0-0, appliance: compute, attributes: {status: '3'}}\n- {name: lost}\n",
}


@pytest.fixture
def rolls(tree: Tree) -> Path:
    return tree(ROLLS)


def make(rollbuild: Run, rolls: Path, *argv: str) -> Outcome:
    return rollbuild(
        *("roll", "script", "tool", "--rolls", rolls / "rolls", "-A", f"place={rolls}/etc", "-A", "status=0", *argv)
    )


def run(script: str, folder: Path, hostname: str = "compute-0-0", fails: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script with programs that write down what they are asked for."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, text in {
        "id": "echo 0",
        "hostname": f"echo {hostname}",
        "dnf": f'echo "dnf $*" >> {folder}/log; {fails}',
        "systemctl": f'echo "systemctl $*" >> {folder}/log',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    (folder / "script.sh").write_text(script)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", folder / "script.sh"], env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def test_the_script_does_what_the_roll_says(rollbuild: Run, rolls: Path) -> None:
    made = make(rollbuild, rolls, "--host", "compute")
    assert made.code == 0, made.err
    done = run(made.out, rolls)
    assert (done.returncode, done.stderr) == (0, "")
    steps = [line for line in done.stdout.splitlines() if line and not line.startswith("==")]
    assert steps == ["extended", f"for compute in {rolls}/etc", "second"]
    assert (rolls / "log").read_text().splitlines() == [
        "dnf -y --exclude=old-tool install tool",
        "systemctl enable --now toold toolx",
        "systemctl disable --now old",
    ]
    assert (rolls / "etc/tool.conf").read_text() == 'key="$value"\nRB_SCRIPT\n%end\n'
    assert (rolls / "etc/tool.conf").stat().st_mode & 0o777 == 0o640
    left_out = [line for line in made.out.splitlines() if line.startswith("#   ")]
    assert [line.rpartition(": ")[2] for line in left_out] == ["selinux", "%pre", "%post --nochroot"]
    assert "bash" not in made.out.replace("/bin/bash", "")


def test_shellcheck_has_nothing_to_say(rollbuild: Run, rolls: Path) -> None:

    program = need_program("shellcheck")
    script = make(rollbuild, rolls, "--host", "compute").out
    done = subprocess.run([program, "-s", "bash", "-"], input=script, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_a_failed_script_is_told_at_the_end_and_a_needed_step_at_once(rollbuild: Run, rolls: Path) -> None:
    hosts = ("--hosts", str(rolls / "hosts.yaml"))
    script = rollbuild(
        *("roll", "script", "tool", "--rolls", rolls / "rolls", "-A", f"place={rolls}/etc", "--host", "compute-0-0"),
        *hosts,
    ).out
    done = run(script, rolls)
    assert done.returncode == 1
    assert "the script of node tool ended with 3" in done.stderr
    assert "done, but these nodes' scripts failed: tool" in done.stderr
    (rolls / "log").unlink()
    done = run(script, rolls, fails="exit 1")
    assert done.returncode == 1 and "installing packages failed" in done.stderr
    assert "script of node" not in done.stdout
    done = run(script, rolls, hostname="compute-0-9")
    assert done.returncode == 1 and "made for compute-0-0" in done.stderr


def test_it_runs_as_root_only(rollbuild: Run, rolls: Path) -> None:
    script = make(rollbuild, rolls, "--host", "compute").out.replace("id -u", "echo 5")
    done = run(script, rolls)
    assert done.returncode == 1 and "run this as root" in done.stderr
    assert not (rolls / "log").exists()


REFUSED = {
    "no such roll": (("toool", "--host", "compute"), 2, "there is no roll toool here", "did you mean tool?"),
    "no host": (("tool", "--host", "compute-0-0"), 2, "nothing says which appliance compute-0-0 is", "--appliance"),
    "not in the file": (("tool", "--host", "c", "--hosts", "hosts.yaml"), 1, "no host c in this file", ""),
    "no appliance": (("tool", "--host", "lost", "--hosts", "hosts.yaml"), 1, "lost has no appliance", "--appliance"),
}


@pytest.mark.parametrize(("argv", "code", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(
    rollbuild: Run,
    rolls: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: tuple[str, ...],
    code: int,
    message: str,
    hint: str,
) -> None:
    monkeypatch.chdir(rolls)
    outcome = rollbuild("roll", "script", *argv, "-A", "place=/etc", "-A", "status=0")
    assert outcome.code == code
    assert message in outcome.err and hint in outcome.err


def test_findings_of_the_node_files_refuse_the_script(rollbuild: Run, rolls: Path) -> None:
    (rolls / "rolls/tool/nodes/tool.xml").write_text("<kickstart><servces/></kickstart>")
    outcome = make(rollbuild, rolls, "--host", "compute")
    assert (outcome.code, outcome.out) == (1, "")
    assert "tool.xml:1:12: <servces> is no element of a node file [UNKNOWN-ELEMENT]" in outcome.err


def test_an_appliance_without_any_node_of_the_roll(rollbuild: Run, rolls: Path) -> None:
    (rolls / "rolls/tool/nodes/extend-base.xml").unlink()
    outcome = make(rollbuild, rolls, "--host", "nas")
    assert outcome.code == 1
    assert "appliance nas has nothing of roll tool" in outcome.err


def test_a_file_is_for_its_owner_only(rollbuild: Run, rolls: Path) -> None:
    outcome = make(rollbuild, rolls, "--host", "c1", "--appliance", "compute", "-o", str(rolls / "tool.sh"))
    assert (outcome.code, outcome.out) == (0, "")
    assert (rolls / "tool.sh").stat().st_mode & 0o777 == 0o700


def test_from_a_distribution(rollbuild: Run, rolls: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.folder.mkdir()
    name_of_os = add_os(store, tmp_path / "dvd", release="el8", version="8.10")
    for name in ("base", "tool"):
        texts = {path.removeprefix(f"rolls/{name}/"): text for path, text in ROLLS.items() if f"/{name}/" in path[:12]}
        add_roll(store, name, profile=texts)
    made = rollbuild(
        "distro", "create", "d", "--os", name_of_os, "--store", store.folder, "--no-kickstarts", "--url", "http://h/d"
    )
    assert made.code == 0, made.err
    argv = ("roll", "script", "tool", "--store", store.folder, "--host", "compute", "-A", "place=/x", "-A", "status=0")
    outcome = rollbuild(*argv, "--distro", "d")
    assert outcome.code == 0, outcome.err
    assert "release el8" in outcome.out
    assert "cat > /etc/yum.repos.d/rollbuild.repo" in outcome.out
    assert "baseurl=http://h/d/BaseOS" in outcome.out
    assert rollbuild(*argv, "--distro", "d@1").out == outcome.out
    for wrong, message in (
        ("d@2", "has no generation 2"),
        ("d@x", "is no generation"),
        ("e", "no distribution e"),
    ):
        refused = rollbuild(*argv, "--distro", wrong)
        assert refused.code == 2 and message in refused.err
    assert rollbuild(*argv, "--distro", "d", "--rolls", rolls / "rolls").code == 2
