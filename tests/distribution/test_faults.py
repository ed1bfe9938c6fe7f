"""Faults while a distribution is made: the generation in use stays whole, and the next run cleans up."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rollbuild.distribution import inputs as reading
from rollbuild.distribution import read_generations
from rollbuild.errors import BUSY, DISK, REFUSED
from rollbuild.rolls import Store
from tests.conftest import Outcome
from tests.stores import HELLO, OS, TOOL, add_roll, copy_store, make_store

pytestmark = pytest.mark.long

SOURCE = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": ""}
KILLS = 20


def argv(store: Store, *more: str) -> list[str]:
    options = ["--os", OS, "--no-kickstarts", "--store", str(store.folder), *more]
    return [sys.executable, "-m", "rollbuild", "distro", "create", "cluster", *options]


def run(store: Store, *more: str) -> Outcome:
    done = subprocess.run(argv(store, *more), env=ENVIRONMENT, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


def assert_whole(store: Store) -> int:
    """The generation in use has all its files, with the digests that it says; its number."""
    current = store.distributions_folder / "cluster" / "current"
    done = subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=current, capture_output=True)
    assert done.returncode == 0, done.stderr
    return int(os.readlink(current))


def left_over(store: Store) -> list[str]:
    folder = store.distributions_folder / "cluster"
    return [name for name in os.listdir(folder) if name != "current" and not name.isdigit()]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store whose distribution has a generation, with enough files that a kill lands in the middle."""
    folder = tmp_path_factory.mktemp("prepared")
    store = make_store(folder)
    many = {f"nodes/n{number}.xml": "<kickstart/>\n" for number in range(1500)}
    add_roll(store, "many", profile={"roll.yaml": "name: many\n", **many})
    assert run(store).code == 0
    return store


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("template"))


@pytest.fixture
def store(template: Store, tmp_path: Path) -> Store:
    return copy_store(template, tmp_path)


def test_killed_at_twenty_moments(prepared: Store) -> None:
    start = time.monotonic()
    assert run(prepared, "--url", "http://h/first").code == 0
    seconds = time.monotonic() - start
    moments = random.Random(4)
    killed = 0
    for number in range(3 * KILLS):
        before, start = assert_whole(prepared), time.monotonic()
        process = subprocess.Popen(
            argv(prepared, "--url", f"http://h/{number}"),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # The first part is Python starting; the files are written in the second.
            process.wait(timeout=seconds * moments.uniform(0.4, 1.0))
            seconds = time.monotonic() - start  # the machine has less to do than it had
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert assert_whole(prepared) >= before
        if killed == KILLS:
            break
    assert killed == KILLS
    after = run(prepared, "--url", "http://h/last")
    assert after.code == 0, after.err
    assert left_over(prepared) == []
    assert assert_whole(prepared) == read_generations(prepared, "cluster")[-1].number


def kill_in(store: Store, place: str) -> None:
    """Run a build in which this process dies as it calls a function, such as os.rename, for the first time."""
    module, _, name = place.rpartition(".")
    code = (
        f"import os, signal, sys, {module.partition('.')[0]}, {module}\n"
        "from rollbuild.commands.main import main\n"
        f"{module}.{name} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main(sys.argv[1:])\n"
    )
    arguments = argv(store, "--url", "http://h/killed")[3:]
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=ENVIRONMENT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    "place",
    [
        "rollbuild.distribution.creating.join_files",
        "rollbuild.distribution.creating.write_files",
        "rollbuild.distribution.creating.sync_tree",
        "rollbuild.distribution.creating.sync_folder",
        "rollbuild.distribution.creating.switch_current",
        "os.symlink",
    ],
)
def test_killed_at_each_step(store: Store, place: str) -> None:
    assert run(store).code == 0
    kill_in(store, place)
    assert assert_whole(store) == 1
    after = run(store, "--url", "http://h/killed")
    assert after.code == 0, after.err
    assert left_over(store) == []
    assert assert_whole(store) == 2 == len(read_generations(store, "cluster"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes; skips where this user may not mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mount is for root")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mount of a tmpfs: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(store: Store, small_disk: Path) -> None:
    shutil.move(store.folder, small_disk / "store")
    moved = Store(small_disk / "store")
    first = run(moved)
    assert first.code == 0, first.err
    with open(small_disk / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as problem:
            assert problem.errno == errno.ENOSPC
    full = run(moved, "--url", "http://h/full")
    assert full.code == DISK, full.err
    assert "the disk is full" in full.err and str(moved.folder) in full.err
    assert assert_whole(moved) == 1
    (small_disk / "filler").unlink()
    assert run(moved, "--url", "http://h/full").code == 0
    assert left_over(moved) == [] and assert_whole(moved) == 2


def test_a_store_on_another_disk_than_the_os_tree(store: Store, small_disk: Path) -> None:
    shutil.move(store.os_folder / OS, small_disk / OS)
    (store.os_folder / OS).symlink_to(small_disk / OS)
    outcome = run(store)
    assert outcome.code == 0, outcome.err
    assert "copied (they lie on another file system)" in outcome.err
    assert_whole(store)


def test_no_room_for_copies_is_said_before_they_are_made(store: Store, small_disk: Path) -> None:
    (store.folder / "distributions").symlink_to(small_disk)
    free = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - 32 * 1024))
    outcome = run(store)
    assert outcome.code == DISK, outcome.err
    assert "the files that lie on other file systems" in outcome.err
    assert sorted(os.listdir(small_disk)) == ["cluster", "filler"] and left_over(store) == []


def test_without_hard_links_files_are_copied(store: Store, rollbuild, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr("rollbuild.files.linking.os.link", refuse)
    outcome = rollbuild("distro", "create", "cluster", "--os", OS, "--no-kickstarts", "--store", store.folder)
    assert outcome.code == 0, outcome.err
    assert "0 files linked" in outcome.err
    assert_whole(store)
    folder = store.distributions_folder / "cluster" / "1"
    package = "BaseOS/Packages/b/bash-5.1.8-1.x86_64.rpm"
    assert not (folder / package).samefile(store.os_folder / OS / package)


def test_a_read_only_store(store: Store) -> None:
    assert run(store).code == 0
    folder = store.distributions_folder / "cluster"
    if os.geteuid() == 0:
        # Permissions do not stop root; an attribute of the file system does.
        chattr = shutil.which("chattr")
        if chattr is None or subprocess.run([chattr, "+i", str(folder)], capture_output=True).returncode:
            pytest.skip("chattr +i does not work here")
        undo: Sequence[str] = [chattr, "-i", str(folder)]
    else:
        folder.chmod(0o555)
        undo = ["chmod", "755", str(folder)]
    try:
        outcome = run(store, "--url", "http://h/x")
    finally:
        subprocess.run(undo, check=True)
    assert outcome.code == DISK, outcome.err
    assert str(folder) in outcome.err and "hint:" in outcome.err
    assert assert_whole(store) == 1


def test_two_builds_at_once(store: Store) -> None:
    with store.locked("testing"):
        busy = run(store)
        assert busy.code == BUSY and "another rollbuild is" in busy.err
        process = subprocess.Popen(argv(store, "--wait", "60"), env=ENVIRONMENT, stderr=subprocess.PIPE)
        time.sleep(0.2)
        assert process.poll() is None
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


CHANGES = {
    "a package cut short": ("rolls/base/1.0-1/x86_64/RPMS/hello-1.0-1.noarch.rpm", "bytes, but", ()),
    "a flipped byte": ("rolls/base/1.0-1/x86_64/RPMS/hello-1.0-1.noarch.rpm", "SHA-256 is not", ("--verify",)),
    "a node that was edited": ("rolls/base/1.0-1/x86_64/profile/nodes/base.xml", "bytes, but", ()),
    "an OS package cut short": (f"os/{OS}/BaseOS/Packages/b/bash-5.1.8-1.x86_64.rpm", "bytes, but", ()),
    "an image that is gone": (f"os/{OS}/images/install.img", "missing", ()),
    "a package that is a link": (f"os/{OS}/BaseOS/Packages/b/bash-5.1.8-1.x86_64.rpm", "no file", ()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_inputs_that_changed(store: Store, rollbuild, what: str) -> None:
    options = ("distro", "create", "cluster", "--os", OS, "--no-kickstarts", "--store", store.folder)
    assert rollbuild(*options).code == 0
    name, said, more = CHANGES[what]
    path = store.folder / name
    data = path.read_bytes()
    path.unlink()
    if "link" in what:
        path.symlink_to("/etc/hostname")
    elif "flipped" in what:
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert rollbuild(*options).code == 0  # sizes are looked at, not every byte
    elif "gone" not in what:
        path.write_bytes(data[: len(data) // 2])
    outcome = rollbuild(*options, *more, "--url", "http://h/x")
    assert outcome.code == REFUSED, outcome.err
    assert f"{path}: this file" in outcome.err and said in outcome.err
    assert "hint:" in outcome.err and "again" in outcome.err
    assert [item.number for item in read_generations(store, "cluster")] == [1]


def test_a_roll_changed_since_it_was_added(store: Store, rollbuild) -> None:
    manifest = store.rolls_folder / "base" / "1.0-1" / "x86_64" / "roll.json"
    manifest.write_text(manifest.read_text().replace('"priority": 50', '"priority": 51'))
    outcome = rollbuild("distro", "create", "cluster", "--os", OS, "--store", store.folder)
    assert outcome.code == REFUSED
    assert "roll base-1.0-1.x86_64 was changed since it was added" in outcome.err and "hint:" in outcome.err


def test_an_os_tree_changed_since_its_import(store: Store, rollbuild) -> None:
    files = store.os_folder / OS / ".rollbuild" / "files.json"
    files.write_text(files.read_text().replace("bash", "fish"))
    outcome = rollbuild("distro", "create", "cluster", "--os", OS, "--store", store.folder)
    assert outcome.code == REFUSED
    assert "changed since the import" in outcome.err and "import-os" in outcome.err


def test_a_roll_that_needs_another(store: Store, rollbuild) -> None:
    add_roll(store, "asks", requires=("kernel",))
    outcome = rollbuild("distro", "create", "cluster", "--os", OS, "--no-kickstarts", "--store", store.folder)
    assert outcome.code == REFUSED
    assert "roll asks-1.0-1.x86_64 requires kernel" in outcome.err and "rollbuild roll add" in outcome.err


def test_the_same_package_with_other_contents(store: Store, rollbuild) -> None:
    add_roll(store, "other", packages=[{**HELLO, "files": {"/usr/bin/hello": "another\n"}}])
    outcome = rollbuild("distro", "create", "cluster", "--os", OS, "--no-kickstarts", "--store", store.folder)
    assert outcome.code == REFUSED
    assert "rolls/base/RPMS/hello-1.0-1.noarch.rpm and rolls/other/RPMS/hello-1.0-1.noarch.rpm" in outcome.err
    add_roll(store, "other", "2", packages=[HELLO, TOOL])
    outcome = rollbuild("distro", "create", "cluster", "--os", OS, "--no-kickstarts", "--store", store.folder)
    assert outcome.code == 0, outcome.err  # equal contents are no conflict


def test_an_os_tree_with_a_folder_of_ours_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch, rollbuild) -> None:
    monkeypatch.setattr(reading, "RESERVED", frozenset(("images",)))
    outcome = rollbuild("distro", "create", "cluster", "--os", OS, "--store", store.folder)
    assert outcome.code == REFUSED and "where rollbuild puts its own" in outcome.err


def test_what_stands_where_the_link_belongs(store: Store, rollbuild) -> None:
    (store.distributions_folder / "cluster" / "current").mkdir(parents=True)
    outcome = rollbuild("distro", "create", "cluster", "--os", OS, "--no-kickstarts", "--store", store.folder)
    assert outcome.code == DISK
    assert "cannot switch" in outcome.err and "a link belongs" in outcome.err
