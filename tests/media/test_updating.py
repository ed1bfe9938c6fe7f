"""The tree of a running cluster: only what changed is made, and some hosts' files are changed by themselves."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollbuild.errors import RollbuildError
from rollbuild.media import (
    BootAction,
    BootHost,
    ClusterTree,
    GrubVerbs,
    Menus,
    differing_files,
    placing,
    update_boot_files,
    update_cluster_tree,
)
from tests.media.cases import INSTALLS, NETWORK, STARTS


def tree_of(folder: Path, *hosts: BootHost) -> ClusterTree:
    return ClusterTree(folder, hosts, NETWORK, GrubVerbs(), {"pxelinux.0": b"loader"}, {})


def update(folder: Path, *hosts: BootHost) -> tuple[int, int, int]:
    written, _ = update_cluster_tree(tree_of(folder, *hosts), Menus(), {"generation": 1})
    return written.written, written.kept, written.removed


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_what_changed_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert update(tmp_path, INSTALLS, STARTS) == (12, 0, 0)
    made: list[str] = []
    write = Menus.write

    def note(self: Menus, name: str, values: Mapping[str, Any]) -> bytes:
        made.append(name)
        return write(self, name, values)

    monkeypatch.setattr(Menus, "write", note)
    assert update(tmp_path, INSTALLS, STARTS) == (0, 12, 0)
    assert not [name for name in made if name.endswith("-host")]
    assert update(tmp_path, replace(INSTALLS, action=BootAction.OS), STARTS) == (3, 9, 0)
    assert update(tmp_path, STARTS) == (0, 9, 3)


def test_it_is_the_same_as_made_whole(tmp_path: Path) -> None:
    update(tmp_path / "one", STARTS)
    update(tmp_path / "one", INSTALLS, STARTS)
    update(tmp_path / "two", INSTALLS, STARTS)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_some_hosts_are_changed_and_the_record_is_not_believed_after(tmp_path: Path) -> None:
    update(tmp_path, INSTALLS, STARTS)
    before = files_of(tmp_path)
    local = replace(INSTALLS, action=BootAction.OS, kernel="", initrd="", arguments=())
    arguments = (NETWORK, GrubVerbs(), Menus())
    assert update_boot_files(tmp_path, [local], *arguments).written == 3
    assert update_boot_files(tmp_path, [local], *arguments).written == 0
    changed = {name for name, content in files_of(tmp_path).items() if before.get(name) != content}
    assert changed == {
        "netboot.changed",
        *(f"{place}{INSTALLS.dashed_mac}" for place in ("pxelinux.cfg/", "grub/grub.cfg-")),
        f"ipxe/hosts/{INSTALLS.mac.replace(':', '-')}.ipxe",
    }
    # The record still has the digests of INSTALLS; its files are written all the same.
    assert update(tmp_path, INSTALLS, STARTS) == (3, 9, 0)
    assert files_of(tmp_path) == before


def test_files_of_a_host_that_came_by_itself_go_with_it(tmp_path: Path) -> None:
    update(tmp_path, STARTS)
    before = files_of(tmp_path)
    update_boot_files(tmp_path, [INSTALLS], NETWORK, GrubVerbs(), Menus())
    assert update(tmp_path, STARTS) == (0, 9, 3)
    assert files_of(tmp_path) == before


def test_a_journal_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    update(tmp_path, STARTS)
    (tmp_path / placing.JOURNAL).write_text(f"\npxelinux.cfg/{STARTS.dashed_mac}\n../../etc/passwd\n/etc/x\ngrub/gru")
    record = placing.read_record(tmp_path)
    assert record.files[f"pxelinux.cfg/{STARTS.dashed_mac}"] == ""
    assert not [name for name in record.files if "passwd" in name or name in ("/etc/x", "grub/gru")]


def test_what_differs_is_told_and_nothing_written(tmp_path: Path) -> None:
    update(tmp_path, INSTALLS)
    before = files_of(tmp_path)
    found = {name: (bool(was), bool(will)) for name, was, will in differing_files(tree_of(tmp_path, STARTS), Menus())}
    assert set(found.values()) == {(False, True), (True, False)} and len(found) == 6
    assert files_of(tmp_path) == before


def test_images_of_several_distributions(tmp_path: Path) -> None:
    sources = {}
    for name in ("a", "b", "c"):
        sources[name] = tmp_path / name
        sources[name].write_text(name)
    top = tmp_path / "tree"

    def run(*names: str) -> tuple[str, ...]:
        images = {f"images/{name}-1": {"vmlinuz": sources[name]} for name in names}
        tree = replace(tree_of(top, STARTS), images=images)
        return update_cluster_tree(tree, Menus(), {})[1]

    run("a", "b")
    assert (top / "images/a-1/vmlinuz").read_text() == "a" and (top / "images/b-1/vmlinuz").read_text() == "b"
    assert run("b", "c") == ()  # a host may just have read its menu
    assert json.loads((top / "netboot.json").read_text())["images"] == ["a-1", "b-1", "c-1"]
    assert run("c") == ("a-1",)
    assert sorted(path.name for path in (top / "images").iterdir()) == ["b-1", "c-1"]


def test_a_kernel_without_initrd_and_arguments(tmp_path: Path) -> None:
    update(tmp_path, BootHost("c", STARTS.mac, STARTS.address, BootAction.RUN, "memtest"))
    texts = {name: content.decode() for name, content in files_of(tmp_path).items() if "aa-bb-02" in name}
    assert len(texts) == 3 and not any("initrd /" in text or "append" in text for text in texts.values())
    ipxe = texts[f"ipxe/hosts/{STARTS.mac.replace(':', '-')}.ipxe"]
    assert "\nkernel http://10.1.1.1/install/netboot/memtest\nboot\n" in ipxe


def test_a_run_action_is_not_for_a_hosts_file() -> None:
    from rollbuild.location import Location
    from rollbuild.media import HostEntry, check_hosts

    entry = HostEntry("c", STARTS.mac, STARTS.address, "run", Location("hosts.yaml"))
    with pytest.raises(RollbuildError, match="no boot action 'run'"):
        check_hosts([entry], NETWORK)
