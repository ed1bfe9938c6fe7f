import contextlib
import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollbuild.errors import BUSY, DISK, FindingsError, RollbuildError
from rollbuild.packages import export_key, sign_packages
from rollbuild.rolls import Store, read_built_roll, verifying
from rollbuild.rolls.adding import ADDED, REPLACED, UNCHANGED, Adding, Additions, add_rolls
from rollbuild.rolls.verifying import verify_roll
from tests.programs import need_programs
from tests.rolls.making import make_iso, make_roll, write_manifest
from tests.rpms import make_rpm


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def add(store: Store, *sources: Path, **how: bool) -> Additions:
    return add_rolls([str(source) for source in sources], Adding(store, **how))  # type: ignore[arg-type]


def added(additions: Additions) -> dict[str, str]:
    return {str(addition.roll.id): addition.what for addition in additions.rolls}


def refused(store: Store, *sources: Path, **how: bool) -> list[str]:
    """What refuses these rolls, `CODE: place from the test's folder: message`; nothing of the store may change."""
    before = contents(store)
    with pytest.raises(FindingsError) as refusal:
        add(store, *sources, **how)
    assert contents(store) == before
    assert all(finding.hint for finding in refusal.value.findings)
    top = f"{store.folder.parent}/"
    return [
        f"{finding.code}: {str(finding.location).removeprefix(top)}: {finding.message}"
        for finding in refusal.value.findings
        if finding.severity == "error"
    ]


def contents(store: Store) -> dict[str, bytes]:
    found = [path for path in store.folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(store.folder)): path.read_bytes() for path in found}


def check(store: Store) -> None:
    """Every roll of the index is there, whole, and nothing else is."""
    for roll in store.read_index():
        folder = store.folder_of(roll.id)
        assert "error" not in {finding.severity for finding in verify_roll(folder, store.read_roll(roll))}
    assert store.unlisted_folders() == ()
    assert not list(store.rolls_folder.glob(".*"))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_what_it_came_from_need_not_be_utf8(store: Store, tmp_path: Path) -> None:
    top = Path(os.fsdecode(os.fsencode(tmp_path) + b"/lat\xe9"))
    make_roll(top)
    assert added(add(store, top)) == {"hello-1.0-1.x86_64": ADDED}
    assert store.read_index()[0].source.endswith("/lat\\udce9")


@pytest.mark.parametrize("name", ["plain", "a b", "a%20b"])
def test_a_url_of_a_file(store: Store, tmp_path: Path, name: str) -> None:
    make_roll(tmp_path / name)
    assert added(add_rolls([f"file://{tmp_path}/{name}"], Adding(store))) == {"hello-1.0-1.x86_64": ADDED}
    make_roll(tmp_path / "c d", "other")
    assert added(add_rolls([f"file://{tmp_path}/c%20d"], Adding(store))) == {"other-1.0-1.x86_64": ADDED}


def test_sums_without_end(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "_SUMS_LIMIT", 100_000)
    folder = make_roll(tmp_path / "in")
    with (folder / "SHA256SUMS").open("ab") as file:
        file.truncate(200_000)
    assert "is larger than 100,000 bytes" in refused(store, folder)[0]


def rpm_of(folder: Path) -> Path:
    return next((folder / "RPMS").glob("*.rpm"))


@pytest.mark.parametrize("which", ["inner", "outer", "several", "iso", "jumbo"])
def test_a_roll_is_found_wherever_it_lies(which: str, store: Store, tmp_path: Path) -> None:
    inner = make_roll(tmp_path / "one/hello-1.0-1.x86_64")
    make_roll(tmp_path / "two", "base")
    make_roll(tmp_path / "two", "hpc", "9.1")
    outer = tmp_path / "one/hello-1.0-1.x86_64"
    sources = {"inner": inner, "outer": outer, "several": tmp_path / "one", "jumbo": tmp_path / "two"}
    source = make_iso(tmp_path / "two", tmp_path / "two.iso") if which == "iso" else sources[which]
    names = ["base-1.0-1.x86_64", "hpc-9.1-1.x86_64"] if which in ("iso", "jumbo") else ["hello-1.0-1.x86_64"]
    assert added(add(store, source)) == dict.fromkeys(names, ADDED)
    assert [str(roll.id) for roll in store.read_index()] == names
    check(store)
    assert "TRANS.TBL" not in {path.name for path in store.rolls_folder.rglob("*")}
    assert added(add(store, source)) == dict.fromkeys(names, UNCHANGED)


def test_what_is_added_is_a_copy_that_nobody_edits(store: Store, tmp_path: Path) -> None:
    folder = make_roll(tmp_path)
    os.chmod(folder / "profile/roll.yaml", 0o600)
    roll = add(store, folder).rolls[0].roll
    there = store.folder_of(roll.id)
    for path in there.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o444), path
    (folder / "profile/roll.yaml").write_text("changed")
    assert not os.path.samefile(folder / "roll.json", there / "roll.json")
    check(store)


def test_what_was_read_is_told(store: Store, tmp_path: Path) -> None:
    folder, steps = make_roll(tmp_path, size=100_000), [0]
    totals: list[int] = []
    add_rolls([str(folder)], Adding(store, advance=steps.append, expect=totals.append))
    (total,) = totals
    assert total * 0.9 < sum(steps) <= total


def test_other_contents_are_refused_unless_they_replace(store: Store, tmp_path: Path) -> None:
    first = add(store, make_roll(tmp_path / "a"), enable=True).rolls[0].roll
    other = make_roll(tmp_path / "b", files={"profile/README": "new"})
    message = "the store has a roll hello-1.0-1.x86_64 already, with other contents"
    assert refused(store, other) == [f"ROLL-OTHER: b/hello/1.0/x86_64: {message}"]
    linked = tmp_path / "generation"
    os.link(store.folder_of(first.id) / "roll.json", linked)
    before = linked.read_bytes()
    second = add(store, other, replace=True)
    assert added(second) == {"hello-1.0-1.x86_64": REPLACED}
    assert second.rolls[0].roll.enabled
    assert second.rolls[0].roll.digest != first.digest
    assert (store.folder_of(first.id) / "profile/README").read_text() == "new"
    assert linked.read_bytes() == before
    check(store)


def test_a_damaged_roll_is_repaired(store: Store, tmp_path: Path) -> None:
    folder = make_roll(tmp_path)
    roll = add(store, folder).rolls[0].roll
    shutil.rmtree(store.folder_of(roll.id))
    with pytest.raises(RollbuildError, match="is gone") as refusal:
        add(store, folder)
    assert "--replace" in refusal.value.hint
    assert added(add(store, folder, replace=True)) == {"hello-1.0-1.x86_64": REPLACED}
    check(store)


def test_the_same_roll_twice_in_one_command(store: Store, tmp_path: Path) -> None:
    one, same = make_roll(tmp_path / "a"), make_roll(tmp_path / "b")
    other = make_roll(tmp_path / "c", files={"profile/README": "x"})
    assert "is also in" in refused(store, one, other)[0]
    assert added(add(store, one, same)) == {"hello-1.0-1.x86_64": ADDED}


def test_everything_that_is_wrong_is_told_and_nothing_is_added(store: Store, tmp_path: Path) -> None:
    good, bad = make_roll(tmp_path / "good"), make_roll(tmp_path / "bad", "other", packages=["one", "two"])
    empty = tmp_path / "empty"
    empty.mkdir()
    (bad / "profile/nodes/other.xml").unlink()
    (bad / "profile/more").write_text("x")
    (bad / "profile/roll.yaml").write_text("x")
    assert refused(store, good, bad, empty) == ["REFUSED: empty: this is empty"]
    where = "ROLL-FILE: bad/other/1.0/x86_64/profile"
    assert refused(store, good, bad) == [
        f"{where}/more: its roll.json does not list this file",
        f"{where}/nodes/other.xml: its roll.json lists this file, which is missing",
        f"{where}/roll.yaml: this file has 1 bytes, its roll.json says 12",
    ]
    assert store.read_index() == ()


def damage(what: str, folder: Path) -> None:
    rpm = rpm_of(folder)
    built = read_built_roll(folder)
    match what:
        case "cut":
            rpm.write_bytes(rpm.read_bytes()[:-20])
        case "cut, and listed so":
            rpm.write_bytes(rpm.read_bytes()[:-20])
            data = json.loads((folder / "roll.json").read_bytes())
            content = rpm.read_bytes()
            new = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            data["files"][f"RPMS/{rpm.name}"] = new
            data["packages"][0] |= new
            (folder / "roll.json").write_text(json.dumps(data))
            (folder / "SHA256SUMS").unlink()
        case "flipped":
            flip(rpm, -10)
        case "another version":
            make_rpm(folder / "RPMS", "hello", version="9").rename(rpm)
            data = json.loads(write_manifest(folder, built).to_json())
            data["packages"][0]["version"] = "1.0"
            (folder / "roll.json").write_text(json.dumps(data))
            (folder / "SHA256SUMS").unlink()
        case "not among its packages":
            data = json.loads((folder / "roll.json").read_bytes())
            data["packages"] = []
            (folder / "roll.json").write_text(json.dumps(data))
            (folder / "SHA256SUMS").unlink()
        case "same name, other contents":
            make_rpm(folder / "RPMS/more", "hello", files={"/other": "x"})
            write_manifest(folder, built)
        case "sums":
            sums = folder / "SHA256SUMS"
            sums.write_text(sums.read_text().replace("profile/roll.yaml", "profile/../roll.yaml"))
        case "climbs out":
            data = json.loads((folder / "roll.json").read_bytes())
            data["files"]["../../../../x"] = {"sha256": "0", "size": 1}
            (folder / "roll.json").write_text(json.dumps(data))


FAULTS = {
    "cut": "ROLL-FILE: PLACE/RPMS/hello-1.0-1.noarch.rpm: this file has .* bytes, its roll.json says",
    "cut, and listed so": "ROLL-PACKAGE: PLACE/RPMS/hello-1.0-1.noarch.rpm: .*(20 bytes|cut|short)",
    "flipped": "ROLL-FILE: PLACE/RPMS/hello-1.0-1.noarch.rpm: .*SHA-256 differs",
    "another version": "ROLL-PACKAGE: PLACE/RPMS/hello-1.0-1.noarch.rpm: .*another thing of .* hello-0:9-1.noarch",
    "not among its packages": "ROLL-PACKAGE: PLACE/RPMS/hello-1.0-1.noarch.rpm: .*among its packages",
    "same name, other contents": "ROLL-PACKAGE: PLACE/RPMS/.*: two packages are hello-0:1.0-1.noarch",
    "sums": "ROLL-FILE: PLACE/SHA256SUMS: its line on 'profile/../roll.yaml' is not what roll.json says",
    "climbs out": "REFUSED: PLACE/roll.json: .*outside of its roll: ../../../../x",
}


@pytest.mark.parametrize("medium", ["folder", "iso"])
@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_refuses_a_roll(what: str, medium: str, store: Store, tmp_path: Path) -> None:
    folder = make_roll(tmp_path / "media")
    damage(what, folder)
    source, place = folder, "media/hello/1.0/x86_64"
    if medium == "iso":
        source, place = make_iso(tmp_path / "media", tmp_path / "m.iso"), "m.iso/hello/1.0/x86_64"
    messages = refused(store, source)
    assert any(re.match(FAULTS[what].replace("PLACE", place), message) for message in messages), messages


def test_links_and_pipes_are_refused(store: Store, tmp_path: Path) -> None:
    folder = make_roll(tmp_path / "media")
    os.symlink("/etc/passwd", folder / "profile/passwd")
    (message,) = refused(store, folder)
    assert message == "REFUSED: media/hello/1.0/x86_64/profile/passwd: this is a link, not a file"
    (message,) = refused(store, make_iso(tmp_path / "media", tmp_path / "m.iso"))
    assert "passwd: this is a link or a device" in message
    (folder / "profile/passwd").unlink()
    os.mkfifo(folder / "profile/passwd")
    assert "pipe" in refused(store, folder)[0]


def test_an_iso_cut_short(store: Store, tmp_path: Path) -> None:
    make_roll(tmp_path / "media", size=400_000)
    iso = make_iso(tmp_path / "media", tmp_path / "m.iso")
    iso.write_bytes(iso.read_bytes()[: iso.stat().st_size // 2])
    (message,) = refused(store, iso)
    assert "incomplete" in message


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        ({}, "this is empty", "mounted"),
        ({".treeinfo": "", "BaseOS/x": ""}, "operating system", "distro import-os"),
        ({".discinfo": "1\nRocks\nx86_64\n1\n", "LiveOS/x": ""}, "operating system", "distro import-os"),
        ({"roll.yaml": "", "nodes/a.xml": ""}, "source of a roll", "rollbuild roll build {top}"),
        ({"hpc/graphs/default/a.xml": ""}, "source of a roll", "rollbuild roll build {top}/hpc"),
        ({"a.rpm": ""}, "these are packages", "rollbuild new roll NAME"),
        ({"Packages/a.rpm": ""}, "these are packages", "rollbuild new roll NAME"),
        ({"a.iso": ""}, "these are ISO images", "rollbuild roll add {top}/*.iso"),
        ({"text": ""}, "there is no roll here", "roll.json"),
    ],
)
def test_what_is_no_roll(
    files: dict[str, str], message: str, hint: str, store: Store, tree: Callable[..., Path], tmp_path: Path
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    tree({f"top/{name}": text for name, text in files.items()})
    with pytest.raises(FindingsError, match=message) as refusal:
        add(store, top)
    assert hint.format(top=top) in refusal.value.hint


def test_files_that_are_no_iso(store: Store, tmp_path: Path) -> None:
    (tmp_path / "page.iso").write_text("<html>not found</html>")
    assert len(refused(store, tmp_path / "page.iso")) == 1
    assert "a package" in refused(store, make_rpm(tmp_path, "hello"))[0]
    with pytest.raises(RollbuildError, match="there is no") as refusal:
        add(store, tmp_path / "none.iso")
    assert refusal.value.exit_code == DISK


def test_requirements_are_looked_at_before_anything_changes(store: Store, tmp_path: Path) -> None:
    hpc, base = make_roll(tmp_path / "a", "hpc", requires=["base >= 2"]), make_roll(tmp_path / "b", "base", "2.0")
    assert refused(store, hpc, enable=True) == [
        "ROLL-REQUIRES: None: roll hpc-1.0-1.x86_64 requires base >= 2, which is not enabled"
    ]
    (warning,) = [finding for finding in add(store, hpc).findings if finding.code == "ROLL-REQUIRES"]
    assert warning.severity == "warning"
    assert added(add(store, hpc, base, enable=True)) == {"hpc-1.0-1.x86_64": UNCHANGED, "base-2.0-1.x86_64": ADDED}
    assert all(roll.enabled for roll in store.read_index())
    new = add(store, make_roll(tmp_path / "c", "base", "2.1"), enable=True)
    assert [str(roll) for roll in new.disabled] == ["base-2.0-1.x86_64"]
    assert "requires base >= 2, but base-1.0-1" in refused(store, make_roll(tmp_path / "d", "base"), enable=True)[0]


@pytest.fixture(scope="module")
def keys() -> Iterator[Path]:
    """A home of GnuPG with the keys `builder` and `stranger`."""
    need_programs("gpg", "gpgconf", "rpmsign", "rpmkeys")
    folder = Path(tempfile.mkdtemp(prefix="rb-"))  # the name of the agent's socket has a limit
    env = {**os.environ, "GNUPGHOME": str(folder)}
    try:
        for name in ("builder", "stranger"):
            argv = ["gpg", "--batch", "--passphrase", "", "--quick-gen-key", f"{name}@example.org", "rsa2048", "sign"]
            subprocess.run(argv, env=env, check=True, capture_output=True)
        yield folder
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def make_signed(folder: Path, key: str, *, with_key: bool) -> Path:
    inner = make_roll(folder, packages=["hello", "other"])
    sign_packages([inner / "RPMS/hello-1.0-1.noarch.rpm"], f"{key}@example.org")
    if with_key:
        (inner / "RPM-GPG-KEY-hello").write_bytes(export_key(f"{key}@example.org"))
    write_manifest(inner, read_built_roll(inner))
    return inner


def test_signatures(keys: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNUPGHOME", str(keys))
    one = make_signed(tmp_path / "one", "builder", with_key=True)
    place = "ROLL-SIGNATURE: one/hello/1.0/x86_64/RPMS"
    assert refused(store, one, require_signed=True) == [f"{place}/other-1.0-1.noarch.rpm: this package is not signed"]
    assert [finding.message for finding in add(store, one).findings] == ["this package is not signed"]

    two = make_signed(tmp_path / "two", "stranger", with_key=False)
    other = Store(tmp_path / "two-store")
    assert "signed with a key that is not known" in refused(other, two, require_signed=True)[0]
    messages = [finding.message for finding in add(other, two).findings]
    assert len(messages) == 2 and "signed with a key that is not known" in messages[0]
    (tmp_path / "key").write_bytes(export_key("stranger@example.org"))
    known = add_rolls([str(two)], Adding(Store(tmp_path / "three"), keys=[tmp_path / "key"]))
    assert [finding.message for finding in known.findings] == ["this package is not signed"]


def test_a_wrong_signature(keys: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature of one package put before the content of another, with digests that fit."""
    monkeypatch.setenv("GNUPGHOME", str(keys))
    folder = make_signed(tmp_path / "one", "builder", with_key=True)
    rpm = folder / "RPMS/hello-1.0-1.noarch.rpm"
    data = bytearray(rpm.read_bytes())
    count, size = struct.unpack(">II", data[104:112])
    store_at = 112 + 16 * count
    for index in range(count):
        tag, _, offset, length = struct.unpack(">IIII", data[112 + 16 * index : 128 + 16 * index])
        if tag in (267, 268, 278, 1002, 1005):
            data[store_at + offset + length - 5] ^= 1
    rpm.write_bytes(data)
    write_manifest(folder, read_built_roll(folder))
    messages = refused(store, folder)
    assert len(messages) == 1 and "hello-1.0-1.noarch.rpm" in messages[0], (messages, size)
    assert "signature is wrong" in messages[0]


def test_two_at_once(store: Store, tmp_path: Path) -> None:
    folder = make_roll(tmp_path)
    with store.locked("adding"), pytest.raises(RollbuildError, match="another rollbuild is") as refusal:
        add(store, folder)
    assert refusal.value.exit_code == BUSY
    assert store.read_index() == ()


def test_a_disk_without_the_space(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs

    def little(path: str) -> os.statvfs_result:
        values = list(real(path))
        values[4] = 10
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", little)
    with pytest.raises(RollbuildError, match="are free") as refusal:
        add(store, make_roll(tmp_path, size=50_000))
    assert refusal.value.exit_code == DISK
    assert contents(store) == {}


def test_a_disk_that_fills_up(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, make_roll(tmp_path / "a"))
    before = contents(store)
    folder = make_roll(tmp_path / "b", "other", size=50_000)
    real, left = os.write, [60_000]

    def write(file: int, data: bytes) -> int:
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    left[0] = 20_000
    with pytest.raises(RollbuildError, match="no space left") as refusal:
        add(store, folder)
    assert refusal.value.exit_code == DISK
    monkeypatch.undo()
    assert contents(store) == before
    check(store)


@pytest.mark.long
def test_kills_at_random_moments(store: Store, tmp_path: Path) -> None:
    first = make_roll(tmp_path / "a", files={"profile/README": "first"})
    add(store, first)
    sources = [make_roll(tmp_path / "b", files={"profile/README": "second"}, size=300_000), first]
    sources += [make_roll(tmp_path / "b", f"more{number}", size=200_000) for number in range(3)]
    chance = random.Random(4)
    kills = 0
    start = time.monotonic()
    add(Store(tmp_path / "measured"), sources[0], *sources[2:])
    lasts = time.monotonic() - start
    for turn in range(10):
        process = os.fork()
        if not process:
            with contextlib.suppress(BaseException):
                add(store, sources[turn % 2], *sources[2:], replace=True)
            os._exit(0)
        time.sleep(chance.uniform(0, lasts))
        os.kill(process, signal.SIGKILL)
        kills += os.waitpid(process, 0)[1] == signal.SIGKILL
        for roll in store.read_index():
            assert read_built_roll(store.folder_of(roll.id)).id == roll.id
        with store.locked("settling"):
            pass
        check(store)
        assert "hello" in {roll.id.name for roll in store.read_index()}
    assert kills
    add(store, sources[0], *sources[2:], replace=True)
    check(store)
