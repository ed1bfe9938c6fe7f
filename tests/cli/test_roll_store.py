import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from rollbuild.errors import BUSY, DISK, REFUSED, USAGE
from rollbuild.rolls import Store
from tests.conftest import Outcome
from tests.rolls.making import NODE, make_iso, make_old_medium, make_roll

ROOT = Path(__file__).parents[2]


@pytest.fixture
def roll(rollbuild: Callable[..., Outcome], tmp_path: Path) -> Callable[..., Outcome]:
    """Run `rollbuild roll VERB --store ...`."""

    def run(verb: str, *argv: str | Path) -> Outcome:
        return rollbuild("roll", verb, "--store", tmp_path / "store", *argv)

    return run


@pytest.fixture
def several(roll: Callable[..., Outcome], tmp_path: Path) -> None:
    """A store with base 1 and 2, hpc, which requires base 2, and other, which conflicts with hpc."""
    media = tmp_path / "media"
    for number in ("1", "2"):
        make_roll(media / f"base{number}", "base", number)
    make_roll(media / "hpc", "hpc", "9.1", requires=["base >= 2"])
    make_roll(media / "other", "other", conflicts=["hpc"])
    outcome = roll("add", "-q", *sorted(media.iterdir()))
    assert outcome.code == 0, outcome.err


def enabled(roll: Callable[..., Outcome]) -> list[str]:
    rolls = json.loads(roll("list", "--json").out)
    return [f"{item['name']}-{item['version']}" for item in rolls if item["enabled"]]


def test_commands_to_type_next_name_the_store_where_it_was_named(
    rollbuild: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, media = tmp_path / "my store", make_roll(tmp_path / "media")
    assert f"add --store '{store}' ISO" in rollbuild("roll", "list", "--store", store).err
    assert (
        f"next: rollbuild roll enable --store '{store}' hello\n"
        in rollbuild("roll", "add", "--store", store, media).err
    )
    monkeypatch.setenv("ROLLBUILD_STORE", str(store))
    assert "next: rollbuild roll enable hello\n" in rollbuild("roll", "add", media).err


def test_the_life_of_a_roll(roll: Callable[..., Outcome], tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert roll("list") == Outcome(
        0, "", f"there are no rolls in {store}; add some: rollbuild roll add --store {store} ISO-OR-DIR-OR-URL\n"
    )
    folder = make_roll(tmp_path / "media")
    outcome = roll("add", folder)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.splitlines()[-2:] == [
        "added hello-1.0-1.x86_64: 1 package, 2 KiB",
        f"next: rollbuild roll enable --store {store} hello",
    ]
    assert roll("list").out.splitlines() == [
        "NAME   VERSION  RELEASE  ARCH    ENABLED  PACKAGES  SIZE   SIGNED",
        "hello  1.0      1        x86_64  no       1         2 KiB  no",
    ]
    assert roll("add", "--enable", folder).err == (
        "hello-1.0-1.x86_64 is in the store already, with the same contents, enabled\n"
    )
    assert roll("enable", "hello").err == "enabled already\n"
    assert enabled(roll) == ["hello-1.0"]
    outcome = roll("remove", "hello")
    assert outcome.code == REFUSED
    assert "rollbuild roll disable hello-1.0-1.x86_64" in outcome.err
    assert roll("disable", "hello").err == "disabled hello-1.0-1.x86_64\n"
    assert roll("remove", "hello").err.startswith("removed hello-1.0-1.x86_64: ")
    assert roll("list", "--json").out == "[]\n"
    assert not list((tmp_path / "store/rolls").iterdir())


def test_what_is_added_as_json(roll: Callable[..., Outcome], tmp_path: Path) -> None:
    (item,) = json.loads(roll("add", "--json", make_roll(tmp_path / "media")).out)
    (roll_of_store,) = Store(tmp_path / "store").read_index()
    assert item.pop("size") > 0
    assert item == {
        "roll": "hello-1.0-1.x86_64",
        "done": "added",
        "enabled": False,
        "digest": roll_of_store.digest,
        "packages": 1,
    }


@pytest.mark.usefixtures("several")
def test_the_newest_version_takes_the_place_of_another(roll: Callable[..., Outcome]) -> None:
    assert roll("enable", "base-1").err == "enabled base-1-1.x86_64\n"
    assert roll("enable", "base").err == "enabled base-2-1.x86_64\ndisabled base-1-1.x86_64\n"
    assert enabled(roll) == ["base-2"]


@pytest.mark.usefixtures("several")
def test_requirements_and_conflicts(roll: Callable[..., Outcome]) -> None:
    outcome = roll("enable", "hpc")
    assert outcome.code == REFUSED
    assert "roll hpc-9.1-1.x86_64 requires base >= 2, which is not enabled [ROLL-REQUIRES]" in outcome.err
    assert "hint: enable it too: rollbuild roll enable base-2-1.x86_64" in outcome.err
    assert enabled(roll) == []
    outcome = roll("enable", "hpc", "--with-requirements")
    assert outcome.err == "enabled base-2-1.x86_64\nenabled hpc-9.1-1.x86_64\n"
    outcome = roll("disable", "base")
    assert outcome.code == REFUSED
    assert "hint: disable what requires it too: rollbuild roll disable base hpc" in outcome.err
    outcome = roll("enable", "base-1")
    assert "requires base >= 2, but base-1-1.x86_64 is enabled" in outcome.err
    outcome = roll("enable", "other")
    assert "roll other-1.0-1.x86_64 conflicts with hpc-9.1-1.x86_64 [ROLL-CONFLICT]" in outcome.err
    assert enabled(roll) == ["base-2", "hpc-9.1"]
    assert roll("disable", "base", "hpc").code == 0
    assert enabled(roll) == []


@pytest.mark.usefixtures("several")
def test_what_force_leaves_does_not_stop_other_work(roll: Callable[..., Outcome]) -> None:
    roll("enable", "hpc", "--with-requirements")
    assert roll("remove", "--force", "base").code == 0
    outcome = roll("disable", "hpc")
    assert outcome.code == 0, outcome.err
    assert enabled(roll) == []


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("bas", USAGE, "did you mean base?"),
        ("base-3", USAGE, "it has base-2-1.x86_64, base-1-1.x86_64"),
        ("../rolls", USAGE, "the store has no roll ../rolls"),
        ("", USAGE, "the store has no roll"),
        ("base-2-1.x86_64", 0, "enabled base-2-1.x86_64"),
        ("base-2-1", 0, "enabled base-2-1.x86_64"),
        ("base.x86_64", 0, "enabled base-2-1.x86_64"),
    ],
)
def test_names(roll: Callable[..., Outcome], name: str, code: int, told: str) -> None:
    outcome = roll("enable", name)
    assert (outcome.code, told in outcome.err) == (code, True), outcome.err


def test_a_roll_for_several_machines(roll: Callable[..., Outcome], tmp_path: Path) -> None:
    make_roll(tmp_path / "media", arch="aarch64")
    make_roll(tmp_path / "media")
    assert roll("add", tmp_path / "media").code == 0
    outcome = roll("enable", "hello")
    assert (outcome.code, "is there for aarch64, x86_64" in outcome.err) == (USAGE, True)
    assert roll("enable", "hello.aarch64", "hello.x86_64").code == 0


@pytest.mark.usefixtures("several")
def test_a_lock_of_contents(roll: Callable[..., Outcome], tmp_path: Path) -> None:
    roll("enable", "hpc", "--with-requirements")
    lock = tmp_path / "rolls.lock"
    assert roll("list", "--lock", lock).err == f"wrote {lock}: 2 enabled rolls\n"
    roll("disable", "hpc")
    roll("enable", "other")
    assert sorted(roll("enable", "--lock", lock).err.splitlines()) == [
        "disabled other-1.0-1.x86_64",
        "enabled hpc-9.1-1.x86_64",
    ]
    assert enabled(roll) == ["base-2", "hpc-9.1"]
    make_roll(tmp_path / "new", "hpc", "9.1", files={"profile/README": "x"})
    roll("add", "--replace", tmp_path / "new")
    roll("remove", "--force", "base-2")
    outcome = roll("enable", "--lock", lock)
    assert outcome.code == REFUSED
    assert "the store has no roll base-2-1.x86_64 [ROLL-LOCK]" in outcome.err
    assert "roll hpc-9.1-1.x86_64 of the store has other contents than the lock says" in outcome.err


@pytest.mark.parametrize("text", ["", "[]", '{"format": 9}', '{"format": 1, "rolls": []}'])
def test_a_damaged_lock(roll: Callable[..., Outcome], tree: Callable[..., Path], text: str) -> None:
    outcome = roll("enable", "--lock", tree({"rolls.lock": text}) / "rolls.lock")
    assert outcome.code == REFUSED
    assert "rolls.lock: this lock" in outcome.err


@pytest.mark.parametrize(
    "argv",
    [
        ("add",),
        ("add", "roll.iso", "--key", "no-such-file"),
        ("enable",),
        ("enable", "a", "--lock", "x"),
        ("enable", "--lock", "x", "--with-requirements"),
        ("disable",),
        ("remove",),
        ("list", "a", "--lock", "x"),
        ("list", "--check", "--lock", "x"),
    ],
)
def test_wrong_usage(roll: Callable[..., Outcome], argv: tuple[str, ...]) -> None:
    assert roll(*argv).code == USAGE


def test_a_store_is_verified_again(roll: Callable[..., Outcome], tmp_path: Path) -> None:
    folder = make_roll(tmp_path / "media")
    roll("add", folder, make_roll(tmp_path / "media", "good"))
    assert roll("list", "--check").err.splitlines()[-1] == "2 rolls verified"
    rpm = tmp_path / "store/rolls/hello/1.0-1/x86_64/RPMS/hello-1.0-1.noarch.rpm"
    rpm.chmod(0o644)
    data = bytearray(rpm.read_bytes())
    data[-9] ^= 1
    rpm.write_bytes(data)
    outcome = roll("list", "--check")
    assert outcome.code == REFUSED
    assert f"error: {rpm}: " in outcome.err
    assert "add the damaged ones again with --replace" in outcome.err
    assert roll("list").code == 0
    assert roll("add", folder, "--replace").code == 0
    assert roll("list", "--check").code == 0
    shutil.rmtree(tmp_path / "store/rolls/hello")
    outcome = roll("list")
    assert outcome.code == REFUSED
    assert "hello  1.0      1        x86_64  no       damaged   -      -" in outcome.out
    assert roll("remove", "hello").code == 0


def test_a_damaged_index_is_not_lost(roll: Callable[..., Outcome], tmp_path: Path) -> None:
    roll("add", make_roll(tmp_path / "media"))
    index = tmp_path / "store/rolls.json"
    index.write_text(index.read_text()[:40])
    for argv in (["list"], ["add", tmp_path / "media"], ["enable", "hello"], ["remove", "hello"]):
        outcome = roll(*argv)
        assert outcome.code == REFUSED
        assert f"error: {index}: the store's list of rolls is damaged" in outcome.err
    index.rename(tmp_path / "moved")
    assert "does not have 1 roll of this folder [ROLL-UNLISTED]" in roll("list").err
    assert roll("add", tmp_path / "store/rolls").code == 0
    assert roll("list", "--check").err.splitlines()[-1] == "1 roll verified"


def test_another_rollbuild_is_at_work(roll: Callable[..., Outcome], tmp_path: Path) -> None:
    roll("add", make_roll(tmp_path / "media"))
    with Store(tmp_path / "store").locked("testing"):
        for argv in (["add", tmp_path / "media"], ["enable", "hello"], ["disable", "hello"], ["remove", "hello"]):
            outcome = roll(*argv)
            assert (outcome.code, "error: another rollbuild is" in outcome.err) == (BUSY, True)
        assert roll("list").code == 0


def run_on_small_disk(tmp_path: Path, script: str, files: int = 1000) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a mount name space of its own, where $1 is a disk of 4 MiB and $2 the test's folder."""
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("needs the program unshare, and root")
    disk = tmp_path / "disk"
    disk.mkdir(exist_ok=True)
    mount = 'mount -t tmpfs -o "size=4m,nr_inodes=$3" none "$1" || exit 99; '
    env = {**os.environ, "PYTHONPATH": str(ROOT), "RB": f"{sys.executable} -m rollbuild"}
    argv = ["unshare", "-m", "sh", "-c", mount + script, "sh", str(disk), str(tmp_path), str(files)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode in (1, 99) and ("unshare" in done.stderr or "mount:" in done.stderr):
        pytest.skip("needs the right to mount")
    return done


@pytest.mark.long
def test_a_disk_without_the_space(tmp_path: Path) -> None:
    make_roll(tmp_path / "small")
    make_roll(tmp_path / "large", "large", size=2_000_000)
    make_roll(tmp_path / "large", "larger", size=2_000_000)
    script = """
    $RB roll add -q --store "$1/store" "$2/small" || exit 1
    $RB roll add -q --store "$1/store" "$2/large"; echo "code $?" >&2
    $RB roll list --check --store "$1/store"; ls -A "$1/store/rolls"
    """
    done = run_on_small_disk(tmp_path, script)
    assert f"code {DISK}" in done.stderr
    assert "the set of rolls needs" in done.stderr
    assert "1 roll verified" in done.stderr
    assert done.stdout.splitlines()[2:] == ["hello"]


@pytest.mark.long
@pytest.mark.parametrize("files", [20, 28, 29])
def test_a_disk_that_fills_up_on_the_way(files: int, tmp_path: Path) -> None:
    """A disk for so many files: the second roll, of 15, does not fit; the more there is, the later it fails."""
    make_roll(tmp_path / "small")
    make_roll(tmp_path / "more", "more")
    script = """
    $RB roll add -q --store "$1/store" "$2/small" || exit 1
    $RB roll add -q --store "$1/store" "$2/more"; echo "code $?" >&2
    $RB roll list --check --store "$1/store"; ls -A "$1/store/rolls"
    """
    done = run_on_small_disk(tmp_path, script, files)
    assert f"code {DISK}" in done.stderr, done.stderr
    assert "the disk is full" in done.stderr
    assert "1 roll verified" in done.stderr
    assert done.stdout.splitlines()[2:] == ["hello"]


@pytest.mark.long
def test_a_read_only_store(tmp_path: Path) -> None:
    make_roll(tmp_path / "small")
    script = """
    $RB roll add -q --store "$1/store" "$2/small" || exit 1
    mount -o remount,ro "$1" || exit 99
    $RB roll list --check --store "$1/store"; echo "code $?" >&2
    for verb in "add --replace $2/small" "enable hello" "remove hello"; do
        $RB roll $verb --store "$1/store"; echo "code $?" >&2
    done
    """
    done = run_on_small_disk(tmp_path, script)
    codes = [line for line in done.stderr.splitlines() if line.startswith("code")]
    assert codes == ["code 0", *[f"code {DISK}"] * 3], done.stderr
    assert "mounted read-only" in done.stderr
    assert "Traceback" not in done.stderr


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("what", ["iso", "folder", "old"])
def test_a_roll_of_a_web_server(
    what: str, served: tuple[Path, str], roll: Callable[..., Outcome], tmp_path: Path
) -> None:
    folder, url = served
    if what == "iso":
        make_roll(tmp_path / "media")
        make_iso(tmp_path / "media", folder / "hello.iso")
        url += "/hello.iso"
    elif what == "folder":
        make_roll(folder)
    else:
        make_old_medium(folder, "hello", profile={"nodes/a.xml": NODE})
    outcome = roll("add", url)
    assert outcome.code == 0, outcome.err
    (item,) = json.loads(roll("list", "--json").out)
    assert (item["name"], item["source"]) == ("hello", url)
    assert [path for path in (tmp_path / "store/cache").rglob("*") if path.name != "lock" and path.is_file()] == []


def test_a_server_without_a_roll(served: tuple[Path, str], roll: Callable[..., Outcome]) -> None:
    outcome = roll("add", served[1])
    assert (outcome.code, "there is no roll at" in outcome.err) == (REFUSED, True)


def test_help_names_every_option(rollbuild: Callable[..., Outcome]) -> None:
    for verb, options in {
        "add": ["--replace", "--enable", "--require-signed", "--key", "--json", "--store"],
        "list": ["--check", "--lock", "--json"],
        "enable": ["--with-requirements", "--lock"],
        "disable": ["--store"],
        "remove": ["--force"],
    }.items():
        outcome = rollbuild("roll", verb, "--help")
        assert outcome.code == 0
        assert all(option in outcome.out for option in options)


def test_what_one_remedy_is_for_is_told_a_few_times(roll: Callable[..., Outcome], tmp_path: Path) -> None:
    for name in ("one", "two", "three", "four", "five"):
        make_roll(tmp_path / "media", name)
    for verb, argv in (("add", [tmp_path / "media"]), ("list", ["--check"])):
        told = roll(verb, *argv).err
        assert told.count("[ROLL-SIGNATURE]") == 3
        assert "... 2 more places with ROLL-SIGNATURE; -v shows all\n" in told
    assert roll("list", "--check", "-v").err.count("[ROLL-SIGNATURE]") == 5
