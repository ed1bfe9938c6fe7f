import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.errors import BUSY, DISK, REFUSED, RollbuildError
from rollbuild.rolls import AddedRoll, RollId, Store, read_built_roll
from rollbuild.rolls.store import CHANGING, INDEX
from tests.rolls.making import make_roll

HELLO = RollId("hello", "1.0", "1", "x86_64")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def stage(store: Store, work: Path, name: str = "hello", text: str = "") -> tuple[AddedRoll, Path]:
    """A roll in the work folder, and what the index will say of it."""
    folder = make_roll(work / f"stage-{name}{text}", name, packages=(), files={"profile/README": text})
    digest = read_built_roll(folder).digest
    return AddedRoll(RollId(name, "1.0", "1", "x86_64"), False, digest), folder


def add(store: Store, name: str = "hello", text: str = "") -> AddedRoll:
    with store.locked("adding"), store.work_folder() as work:
        added, folder = stage(store, work, name, text)
        rest = [roll for roll in store.read_index() if roll.id != added.id]
        store.change_rolls(work, {added.id: folder}, [*rest, added])
    return added


def leftovers(store: Store) -> list[str]:
    listed = [store.folder_of(roll.id).relative_to(store.rolls_folder) for roll in store.read_index()]
    kept = {str(part) for path in listed for part in (path, *path.parents)}
    return [
        str(p.relative_to(store.rolls_folder))
        for p in store.rolls_folder.glob("*/*/*")
        if str(p.relative_to(store.rolls_folder)) not in kept
    ] + [p.name for p in store.rolls_folder.glob(".*")]


def test_there_is_no_store_yet(store: Store) -> None:
    assert store.read_index() == ()
    assert store.unlisted_folders() == ()
    assert not store.folder.exists()


@pytest.mark.parametrize(("kind", "said"), [("file", "this is no folder"), ("link", "this link leads nowhere")])
def test_a_store_that_is_no_folder(store: Store, kind: str, said: str) -> None:
    if kind == "file":
        store.folder.write_text("")
    else:
        store.folder.symlink_to("nowhere")
    for use in (store.read_index, lambda: store.locked("changing").__enter__()):
        with pytest.raises(RollbuildError, match=said) as refusal:
            use()
        assert refusal.value.exit_code == DISK
        assert "--store" in refusal.value.hint


def test_an_index_with_names_that_lead_elsewhere(store: Store) -> None:
    with store.locked("writing"):
        store.write_index([AddedRoll(HELLO, False, "d")])
    path = store.folder / INDEX
    path.write_text(path.read_text().replace('"hello"', '"../x"'))
    with pytest.raises(RollbuildError, match=r"list of rolls is damaged: '\.\./x' is no name") as refusal:
        store.read_index()
    assert refusal.value.location is not None and refusal.value.location.file == str(path)


def test_an_index_is_read_as_written(store: Store) -> None:
    rolls = [AddedRoll(RollId("b", "1", "1", "noarch"), False, "d2"), AddedRoll(HELLO, True, "d1", "hello.iso")]
    with store.locked("writing"):
        store.write_index(rolls)
    assert store.read_index() == tuple(rolls)
    first = (store.folder / INDEX).read_bytes()
    store.write_index(rolls[::-1])
    assert (store.folder / INDEX).read_bytes() == first


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"format": 1}',
        '{"format": 1, "rolls": [1]}',
        '{"format": 1, "rolls": [{"name": "a"}]}',
        "\udcff",
    ],
)
def test_a_damaged_index_is_told_and_kept(store: Store, content: str) -> None:
    add(store)
    (store.folder / INDEX).write_bytes(content.encode(errors="surrogateescape"))
    for use in (store.read_index, lambda: add(store, "other")):
        with pytest.raises(RollbuildError, match="damaged") as refusal:
            use()
        assert refusal.value.exit_code == REFUSED
        assert f"rollbuild roll add {store.rolls_folder}" in refusal.value.hint
    assert (store.folder / INDEX).read_bytes() == content.encode(errors="surrogateescape")
    assert store.folder_of(HELLO).is_dir()


def test_an_index_that_names_other_places_is_refused(store: Store) -> None:
    store.folder.mkdir()
    item = {"name": "..", "version": "1", "release": "1", "arch": "noarch", "enabled": True, "digest": ""}
    (store.folder / INDEX).write_text(json.dumps({"format": 1, "rolls": [item]}))
    with pytest.raises(RollbuildError, match="no name of a roll"):
        store.read_index()


def test_a_newer_store_is_refused(store: Store) -> None:
    store.folder.mkdir()
    (store.folder / INDEX).write_text('{"format": 2, "rolls": []}')
    with pytest.raises(RollbuildError, match="format 2"):
        store.read_index()


def test_rolls_change_together_and_leave_nothing_behind(store: Store) -> None:
    first = add(store)
    assert store.read_index() == (first,)
    assert store.read_roll(first).id == HELLO
    second = add(store, text="new")
    assert second.digest != first.digest
    assert store.read_roll(second).digest == second.digest
    with pytest.raises(RollbuildError, match="was changed since"):
        store.read_roll(first)
    with store.locked("removing"), store.work_folder() as work:
        store.change_rolls(work, {HELLO: None}, [])
    assert store.read_index() == ()
    assert leftovers(store) == [] == list(store.rolls_folder.iterdir())


@pytest.mark.parametrize("point", range(8))
@pytest.mark.parametrize("what", ["add", "replace", "remove"])
def test_a_failure_at_any_step_leaves_what_was_there(
    store: Store, what: str, point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rename on the way fails once; what is not reached leaves the change done."""
    before = (add(store, "other"), *([add(store)] if what != "add" else []))
    index = tuple(sorted(before, key=lambda roll: roll.id))
    left = iter(range(point + 1))
    names: dict[str, Callable[..., None]] = {"rename": os.rename, "replace": os.replace}

    def failing(name: str) -> Callable[..., None]:
        def rename(*arguments: object, **more: object) -> None:
            if next(left, None) == point:
                raise OSError(5, "Input/output error")
            names[name](*arguments, **more)

        return rename

    with store.locked("changing"), store.work_folder() as work:
        added, folder = stage(store, work, text="new")
        rest = [roll for roll in index if roll.id != HELLO]
        after = rest if what == "remove" else sorted([*rest, added], key=lambda roll: roll.id)
        for name in names:
            monkeypatch.setattr(os, name, failing(name))
        try:
            store.change_rolls(work, {HELLO: None if what == "remove" else folder}, after)
        except RollbuildError as problem:
            assert problem.exit_code == DISK
            expected = index
        else:
            expected = tuple(after)
        monkeypatch.undo()
    assert store.read_index() == expected
    for roll in expected:
        store.read_roll(roll)
    assert leftovers(store) == []


def change_until_killed(store: Store, what: str, point: int) -> bool:
    """Change the roll in a process of its own, killed at its n-th call that changes the disk; whether it was."""
    process = os.fork()
    if process:
        return os.waitpid(process, 0)[1] == signal.SIGKILL
    try:
        count = iter(range(1, 1000))

        def counting(real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **more: object) -> object:
                if next(count) == point:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **more)

            return call

        with store.locked("changing"), store.work_folder() as work:
            added, folder = stage(store, work, text="new")
            rest = [roll for roll in store.read_index() if roll.id != HELLO]
            for name in ("rename", "replace", "fsync", "unlink", "rmdir"):
                setattr(os, name, counting(getattr(os, name)))
            new = [] if what == "remove" else [added]
            store.change_rolls(work, {HELLO: folder if new else None}, [*rest, *new])
    finally:
        os._exit(0)


@pytest.mark.long
@pytest.mark.parametrize("what", ["add", "replace", "remove"])
def test_a_kill_at_any_step_is_settled_by_the_next_change(store: Store, what: str) -> None:
    other = add(store, "other")
    before = store.read_index() if what == "add" else tuple(sorted((add(store), other), key=lambda roll: roll.id))
    kills = done = 0
    for point in range(1, 1000):
        if not change_until_killed(store, what, point):
            break
        kills += 1
        with store.locked("looking"):
            pass
        index = store.read_index()
        for roll in index:
            store.read_roll(roll)
        assert leftovers(store) == []
        if index != before:  # the index was written before the kill: the change is done
            assert (HELLO in {roll.id for roll in index}) is (what != "remove")
            done += 1
            with store.locked("starting again"), store.work_folder() as work:
                old, folder = stage(store, work)
                changes = {HELLO: folder if what != "add" else None}
                store.change_rolls(work, changes, [other] if what == "add" else [other, old])
    assert kills >= 8
    assert done


def test_folders_that_the_index_does_not_have(store: Store) -> None:
    add(store)
    (store.folder / INDEX).unlink()
    assert store.unlisted_folders() == (store.folder_of(HELLO),)
    add(store, "other")
    assert store.unlisted_folders() == (store.folder_of(HELLO),)


def test_a_damaged_journal_is_told(store: Store) -> None:
    work = store.rolls_folder / CHANGING
    work.mkdir(parents=True)
    (work / "journal.json").write_text("[[1]]")
    with pytest.raises(RollbuildError, match="damaged"), store.locked("changing"):
        pass
    assert work.exists()


def test_a_roll_that_is_gone(store: Store) -> None:
    added = add(store)
    os.rename(store.folder_of(HELLO), store.folder / "elsewhere")
    with pytest.raises(RollbuildError, match="is gone"):
        store.read_roll(added)


def test_two_changes_at_once(store: Store) -> None:
    with store.locked("first"), pytest.raises(RollbuildError) as refusal, store.locked("second"):
        pass
    assert refusal.value.exit_code == BUSY
