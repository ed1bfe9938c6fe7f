"""Faults while media are made: what was there stays whole, and the next run cleans up."""

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollbuild.errors import BUSY, DISK, INTERRUPTED
from rollbuild.files import locked
from tests.conftest import Outcome
from tests.programs import need_dvd_programs
from tests.stores import OS, make_store

pytestmark = pytest.mark.long

SOURCE = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": ""}
KILLS = 5
NETWORK = ("--server", "10.1.1.1", "--network", "10.1.0.0/16", "--url", "http://10.1.1.1/netboot")


@dataclass(frozen=True, slots=True)
class Site:
    """A store with the distribution `cluster`, an install ISO and a Kickstart."""

    folder: Path

    def run(self, *words: str, env: dict[str, str] | None = None) -> Outcome:
        done = subprocess.run(self.argv(*words), env={**ENVIRONMENT, **(env or {})}, capture_output=True, text=True)
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "rollbuild", *words, "--store", str(self.folder / "store")]

    def command(self, name: str, output: Path, number: int = 0) -> list[str]:
        """One of the commands, each with a result of its own for every number."""
        out = output / {"oemdrv": "out.img", "netboot": "tree"}.get(name, "out.iso")
        if name == "netboot":
            hosts = output.parent / f"hosts-{number}.csv"
            action = ("install", "os", "rescue")
            rows = (
                f"c{n},52:54:00:00:{n >> 8:02x}:{n & 255:02x},10.1.{1 + n // 200}.{n % 200 + 2}" for n in range(1500)
            )
            hosts.write_text(
                "name,mac,address,boot_action\n" + "".join(f"{row},{action[number % 3]}\n" for row in rows)
            )
            more = ["--tree-url", "http://10.1.1.1/dist", "--no-check", "--hosts", str(hosts), *NETWORK]
            return ["netboot", "create", "--distro", "cluster", "-o", str(out), *more]
        if name == "oemdrv":
            kickstart = output.parent / f"{number}.ks"
            kickstart.write_text(f"lang en_US # {number}\n")
            return ["iso", "oemdrv", "--ks", str(kickstart), "-o", str(out)]
        label = ["--label", f"N{number}", "-o", str(out)]
        if name == "modify":
            return ["iso", "modify", str(self.folder / "dvd.iso"), *label]
        return ["iso", "create", "--distro", "cluster", *label]


NAMES = ("create", "modify", "oemdrv", "netboot")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    need_dvd_programs()
    site = Site(tmp_path_factory.mktemp("site"))
    make_store(site.folder)
    assert site.run("distro", "create", "cluster", "--os", OS).code == 0
    assert site.run("iso", "create", "--distro", "cluster", "-o", str(site.folder / "dvd.iso")).code == 0
    return site


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left_over(*folders: Path) -> list[str]:
    return [str(path) for folder in folders for path in folder.rglob(".rollbuild-*")]


def assert_whole(output: Path, wholes: list[dict[str, bytes]]) -> None:
    """What is there is one of the results; of a netboot tree, each file is that of one of them."""
    for name, content in files_of(output).items():
        if "/.rollbuild-" in f"/{name}" or name.endswith(("netboot.json", ".netboot.lock")):
            continue
        assert content in [whole[name] for whole in wholes if name in whole], name
    found = files_of(output)
    if "out.iso.sha256" in found:
        subprocess.run(["sha256sum", "--quiet", "-c", "out.iso.sha256"], cwd=output, check=True)


def results(site: Site, name: str, output: Path) -> list[dict[str, bytes]]:
    """What the command makes for the numbers 0 and 1; that of 0 is there afterwards."""
    output.mkdir()
    found = []
    for number in (1, 0):
        done = site.run(*site.command(name, output, number))
        assert done.code == 0, done.err
        found.append(files_of(output))
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
@pytest.mark.parametrize("name", NAMES)
def test_stopped_at_any_moment(site: Site, tmp_path: Path, name: str, how: signal.Signals) -> None:
    output = tmp_path / "out"
    wholes = results(site, name, output)
    moments, stopped = random.Random(f"{name} {how}"), 0
    start = time.monotonic()
    assert site.run(*site.command(name, output, 0)).code == 0
    seconds = time.monotonic() - start
    for number in range(10 * KILLS):
        process = subprocess.Popen(
            site.argv(*site.command(name, output, number % 2)),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        start = time.monotonic()
        try:
            process.wait(timeout=seconds * moments.uniform(0.3, 1.0))
            seconds = time.monotonic() - start  # the machine has less to do than it had
        except subprocess.TimeoutExpired:
            process.send_signal(how)
        _, said = process.communicate()
        if how is signal.SIGKILL:
            stopped += process.returncode == -how
        elif process.returncode:
            stopped += 1
            # Before rollbuild itself runs, Python says what it says.
            assert process.returncode in (INTERRUPTED, -how), said
            assert "Traceback" not in said or process.returncode == -how, said
            assert left_over(output, site.folder / "store") == []
        assert_whole(output, wholes)
        if stopped == KILLS:
            break
    assert stopped == KILLS
    done = site.run(*site.command(name, output, 1))
    assert done.code == 0, done.err
    assert left_over(output, site.folder / "store") == []
    assert {path: content for path, content in files_of(output).items() if "lock" not in path} == {
        path: content for path, content in wholes[0].items() if "lock" not in path
    }


@pytest.mark.parametrize("name", NAMES)
def test_two_runs_at_once(site: Site, tmp_path: Path, name: str) -> None:
    output = tmp_path / "out"
    wholes = results(site, name, output)
    for _ in range(3):
        runs = [
            subprocess.Popen(
                site.argv(*site.command(name, output, number)), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
            )
            for number in (0, 1)
        ]
        for process in runs:
            _, said = process.communicate()
            assert process.returncode == 0 or (name == "netboot" and process.returncode == BUSY), said
        assert left_over(output, site.folder / "store") == []
        assert_whole(output, wholes)
        assert files_of(output).keys() == wholes[0].keys()


def test_a_netboot_tree_that_another_run_holds(site: Site, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert site.run(*site.command("netboot", tmp_path / "out")).code == 0
    with locked(tmp_path / "out/tree/.netboot.lock", "testing"):
        assert site.run(*site.command("netboot", tmp_path / "out", 1)).code == BUSY


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a file system of so many MiB; skips where this user may not."""
    mount, made = shutil.which("mount"), list[Path]()
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mount is for root")

    def make(size: int) -> Path:
        folder = tmp_path / f"small-{len(made)}"
        folder.mkdir()
        argv = [str(mount), "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(folder)]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mount of a tmpfs: {done.stderr.strip()}")
        made.append(folder)
        return folder

    try:
        yield make
    finally:
        for folder in made:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, spare: int = 0) -> Path:
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as problem:
            assert problem.errno == errno.ENOSPC
        file.truncate(max(0, os.fstat(file.fileno()).st_size - spare))
    return folder / "filler"


@pytest.mark.parametrize("spare", [0, 64 * 1024, 3 * 1024 * 1024])
@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk(site: Site, tmp_path: Path, small_disk: Callable[[int], Path], name: str, spare: int) -> None:
    output = small_disk(32) / "out"
    wholes = results(site, name, output)
    filler = fill(output.parent, spare)
    try:
        full = site.run(*full_command(site, name, output))
    finally:
        filler.unlink()
    assert full.code in ((DISK, 0) if spare and name == "netboot" else (DISK,)), full.err
    if full.code:
        assert any(word in full.err for word in ("bytes, and the disk has", "is full", "are free")), full.err
    assert left_over(output, site.folder / "store") == []
    assert_whole(output, wholes)
    assert site.run(*site.command(name, output, 1)).code == 0
    assert left_over(output) == []


def full_command(site: Site, name: str, output: Path) -> list[str]:
    """The command for the number 1, with its inputs elsewhere than on the full disk."""
    inputs = site.folder / "inputs" / "x"
    inputs.parent.mkdir(exist_ok=True)
    words = site.command(name, inputs, 1)
    place = words.index("-o") + 1
    return [*words[:place], str(output / Path(words[place]).name), *words[place + 1 :]]


@pytest.mark.parametrize("name", ["create", "modify", "oemdrv"])
def test_a_full_disk_of_the_temporary_folder(
    site: Site, tmp_path: Path, small_disk: Callable[[int], Path], name: str
) -> None:
    output, temporary = tmp_path / "out", small_disk(1)
    wholes = results(site, name, output)
    fill(temporary, 8 * 1024)  # Python takes another folder where nothing fits at all
    full = site.run(*site.command(name, output, 1), env={"TMPDIR": str(temporary)})
    assert full.code == DISK and re.search(r"the disk (of \S+ )?is full", full.err), full.err
    assert files_of(output) == wholes[1] and os.listdir(temporary) == ["filler"]
