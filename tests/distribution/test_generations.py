"""Generations: what they hold, that they never change, that equal inputs give equal bytes."""

import os
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from productmd.treeinfo import TreeInfo

from rollbuild.distribution import (
    Compiled,
    DescriptionToCompile,
    Made,
    Wanted,
    create_generation,
    find_generation,
    import_os,
    read_generations,
    read_provenance,
    roll_back,
)
from rollbuild.errors import BUSY, FindingsError, RollbuildError
from rollbuild.findings import Finding, Severity
from rollbuild.rolls import Store
from tests.stores import HELLO, OS, TOOL, add_os, add_roll, make_store

URL = "http://10.1.1.1/install/distributions/cluster/current"


def compile_nothing(description: DescriptionToCompile) -> Compiled:
    names = sorted(path.name for path in description.folder.iterdir())
    return Compiled({"compute.ks": f"# {names} {description.release} {description.rolls}\n".encode()}, ("secret",))


def create(store: Store, **wanted: object) -> tuple[Made, tuple[Finding, ...]]:
    found: list[Finding] = []

    def judge(findings: Sequence[Finding]) -> None:
        found.extend(findings)
        if any(finding.severity is Severity.ERROR for finding in findings):
            raise FindingsError(findings)

    arguments: dict[str, object] = {"name": "cluster", "os_name": OS, "url": URL, **wanted}
    compiling: Callable[[DescriptionToCompile], Compiled] | None = compile_nothing
    made = create_generation(store, Wanted(**arguments), compile=compiling, judge=judge)  # type: ignore[arg-type]
    return made, tuple(found)


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below a folder with its permissions and bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[path.relative_to(folder).as_posix()] = (status.st_mode, content)
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Made]:
    store = make_store(tmp_path_factory.mktemp("shared"))
    return store, create(store)[0]


def test_what_a_generation_holds(shared: tuple[Store, Made]) -> None:
    store, made = shared
    folder = made.generation.folder
    assert (made.status, made.generation.number) == ("made", 1)
    assert os.readlink(folder.parent / "current") == "1"
    assert made.copied == 0
    for roll in ("base", "tools"):
        assert (folder / "rolls" / roll / "repodata" / "repomd.xml").is_file()
    assert {path.name for path in (folder / "description").iterdir()} == {"base", "tools"}
    for path, mode in {".": 0o755, "kickstarts": 0o700, "kickstarts/compute.ks": 0o600, ".treeinfo": 0o644}.items():
        assert stat.S_IMODE((folder / path).stat().st_mode) == mode, path
    package = "BaseOS/Packages/b/bash-5.1.8-1.x86_64.rpm"
    assert (folder / package).samefile(store.os_folder / OS / package)
    assert not (folder / ".rollbuild").exists()


def test_the_sums_are_those_of_all_files(shared: tuple[Store, Made]) -> None:
    folder = shared[1].generation.folder
    for place in (folder, folder / "kickstarts"):
        done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    listed = {line.split("  ", 1)[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there - listed - {"SHA256SUMS"} == {
        f"kickstarts/{name}" for name in ("SHA256SUMS", "attributes.json", "compute.ks")
    }
    assert listed <= there


def test_productmd_reads_the_treeinfo(shared: tuple[Store, Made]) -> None:
    store, made = shared
    ours, vendors = TreeInfo(), TreeInfo()
    ours.load(str(made.generation.folder / ".treeinfo"))
    vendors.load(str(store.os_folder / OS / ".treeinfo"))
    ours.validate()
    assert set(ours.variants.variants) == {"AppStream", "BaseOS", "base", "tools"}
    assert ours.variants["tools"].paths.repository == "rolls/tools"
    assert ours.variants["BaseOS"].paths.repository == "BaseOS"
    assert ours.checksums.checksums == vendors.checksums.checksums
    assert ours.stage2.mainimage == vendors.stage2.mainimage


def test_nothing_changed_makes_no_generation(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    assert create(store)[0].status == "made"
    before = everything(store.distributions_folder)
    made, _ = create(store)
    assert (made.status, made.generation.number) == ("unchanged", 1)
    assert everything(store.distributions_folder) == before


@pytest.mark.parametrize(
    "change",
    [{"url": "http://elsewhere/x"}, {"attributes": {"a": "1"}}, {"data": b"hosts: []"}, {"rolls": ("base",)}],
    ids=["url", "attributes", "data", "rolls"],
)
def test_what_changed_makes_one(shared: tuple[Store, Made], change: dict[str, object]) -> None:
    made, _ = create(shared[0], **change, is_dry_run=True)
    assert (made.status, made.generation.number) == ("dry-run", 2)


def test_a_dry_run_changes_nothing(shared: tuple[Store, Made]) -> None:
    store, _ = shared
    before = everything(store.distributions_folder)
    create(store, rolls=("tools",), name="other", is_dry_run=True)
    assert everything(store.distributions_folder) == before


def test_equal_inputs_give_equal_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other folder, other time, other umask, rolls added in another order."""
    first = make_store(tmp_path / "one")
    second = Store(tmp_path / "another" / "deeper" / "place")
    second.folder.mkdir(parents=True)
    old = os.umask(0o022)
    try:
        create(first)
        add_roll(second, "tools", packages=[TOOL])
        add_roll(second, "base", packages=[HELLO])
        import_os(second, str(tmp_path / "one" / "dvd"))
        os.umask(0o077)
        monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
        create(second)
    finally:
        os.umask(old)
    trees = [everything(store.distributions_folder / "cluster" / "1") for store in (first, second)]
    assert trees[0].keys() == trees[1].keys()
    assert [path for path in trees[0] if trees[0][path] != trees[1][path]] == []
    texts = b"".join(content for path, (_, content) in trees[1].items() if not path.endswith((".rpm", ".zst")))
    assert str(tmp_path).encode() not in texts


def test_source_date_epoch(shared: tuple[Store, Made], monkeypatch: pytest.MonkeyPatch) -> None:
    assert shared[1].provenance.epoch == 1_714_862_022  # of the OS tree, the newest
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert create(shared[0], is_dry_run=True)[0].provenance.epoch == 1_800_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "-1")
    with pytest.raises(RollbuildError, match="SOURCE_DATE_EPOCH"):
        create(shared[0], is_dry_run=True)


def test_rolling_back_and_forth(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    create(store)
    with pytest.raises(RollbuildError, match="no generation of cluster before 1"):
        roll_back(store, "cluster")
    create(store, rolls=("base",))
    before, after = roll_back(store, "cluster")
    assert (before.number, after.number) == (2, 1)
    assert find_generation(store, "cluster").number == 1
    # What would be made is the newest already: it is put to use, and no third one is made.
    made, _ = create(store, rolls=("base",))
    assert (made.status, made.generation.number) == ("reused", 2)
    assert [item.number for item in read_generations(store, "cluster") if item.is_current] == [2]
    roll_back(store, "cluster", 1)
    assert create(store, rolls=("tools",))[0].generation.number == 3
    with pytest.raises(RollbuildError, match="has no generation 7"):
        roll_back(store, "cluster", 7)


def test_keeping_a_few(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for number in range(1, 5):
        create(store, url=f"{URL}/{number}")
    roll_back(store, "cluster", 1)
    made, _ = create(store, url=f"{URL}/5", keep=2)
    assert [old.number for old in made.pruned] == [1, 2, 3]
    assert [item.number for item in read_generations(store, "cluster")] == [4, 5]
    roll_back(store, "cluster", 4)
    # Removing never takes the one in use, which is the new one then.
    made, _ = create(store, url=f"{URL}/6", keep=1)
    assert [item.number for item in read_generations(store, "cluster")] == [6]


def test_rolls_that_do_not_go_together(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    add_roll(store, "asks", requires=("kernel",))
    add_roll(store, "old", releases=("el8",))
    with pytest.raises(FindingsError) as refused:
        create(store)
    assert {finding.code for finding in refused.value.findings} >= {"ROLL-REQUIRES", "ROLL-RELEASE"}
    assert not store.distributions_folder.exists() or read_generations(store, "cluster") == ()
    assert create(store, rolls=("base", "tools"))[0].status == "made"


def test_rolls_of_another_architecture(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    add_roll(store, "arm", arch="aarch64")
    made, findings = create(store)
    assert [roll.id.name for roll in made.provenance.rolls] == ["base", "tools"]
    assert [finding.message for finding in findings if finding.code == "ROLL-ARCH"]
    with pytest.raises(RollbuildError, match="not for x86_64"):
        create(store, rolls=("arm",))


def test_a_lock_of_exact_rolls(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    lock = tmp_path / "rolls.lock"
    digests = {str(roll.id): roll.digest for roll in store.read_index()}
    lock.write_text(f'{{"format": 1, "rolls": {{"base-1.0-1.x86_64": "sha256:{digests["base-1.0-1.x86_64"]}"}}}}')
    made, _ = create(store, lock=lock)
    assert [str(roll.id) for roll in made.provenance.rolls] == ["base-1.0-1.x86_64"]
    lock.write_text('{"format": 1, "rolls": {"base-1.0-1.x86_64": "sha256:00"}}')
    with pytest.raises(RollbuildError, match="other contents than the lock says"):
        create(store, lock=lock)


def test_a_second_build_at_once_is_busy(tmp_path: Path) -> None:
    store = make_store(tmp_path)

    def compile_twice(_: DescriptionToCompile) -> Compiled:
        with pytest.raises(RollbuildError, match="another rollbuild is making distribution cluster") as busy:
            create(store)
        assert busy.value.exit_code == BUSY
        return Compiled({})

    wanted = Wanted("cluster", OS, url=URL)
    assert create_generation(store, wanted, compile=compile_twice, judge=lambda _: None).status == "made"


@pytest.mark.parametrize("name", ["", "..", "a/b", "Cluster", "-x", "a@1", "a" * 65])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(RollbuildError, match="no name of a distribution"):
        create(Store(tmp_path / "store"), name=name)
    assert not (tmp_path / "store").exists()


def test_el7_has_its_repository_at_the_top(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.folder.mkdir()
    name = add_os(store, tmp_path / "dvd", release="el7")
    add_roll(store, "base", packages=[HELLO])
    made, _ = create(store, os_name=name)
    text = (made.generation.folder / "rollbuild.repo").read_text()
    assert f"baseurl={URL}\n" in text and f"baseurl={URL}/rolls/base\n" in text
    assert read_provenance(made.generation.folder).os_release == "el7"


def test_symbolic_links_of_the_os_tree_stay(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    (store.os_folder / OS / "images" / "link.img").symlink_to("install.img")
    folder = create(store)[0].generation.folder
    assert os.readlink(folder / "images" / "link.img") == "install.img"
