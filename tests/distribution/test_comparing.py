"""What differs between two generations."""

import shutil
from pathlib import Path

import pytest

from rollbuild.distribution import (
    Compiled,
    DescriptionToCompile,
    GenerationDiff,
    PackageChange,
    Wanted,
    compare_generations,
    create_generation,
    find_generation,
    make_masks,
)
from rollbuild.errors import RollbuildError
from rollbuild.rolls import Store
from tests.stores import BASE, HELLO, OS, PROFILE, TOOL, add_os, add_roll, copy_store, make_store


def create(store: Store, kickstart: str = "lang en_US\n", secrets: tuple[str, ...] = (), **wanted: object) -> None:
    def compile(_: DescriptionToCompile) -> Compiled:
        return Compiled({"compute.ks": kickstart.encode()}, secrets)

    arguments: dict[str, object] = {"name": "cluster", "os_name": OS, **wanted}
    create_generation(store, Wanted(**arguments), compile=compile, judge=lambda _: None)  # type: ignore[arg-type]


def diff(store: Store) -> GenerationDiff:
    return compare_generations(find_generation(store, "cluster", 1), find_generation(store, "cluster", 2))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = make_store(tmp_path_factory.mktemp("template"))
    create(store)
    return store


@pytest.fixture
def store(template: Store, tmp_path: Path) -> Store:
    return copy_store(template, tmp_path)


def test_packages(store: Store) -> None:
    newer = {**HELLO, "version": "1.1"}
    add_roll(store, "base", "1.1", packages=[newer, {"name": "extra"}])
    rebuilt = {**TOOL, "summary": "built again"}
    add_roll(store, "tools", "1.1", packages=[rebuilt])
    create(store)
    found = diff(store)
    assert found.packages == {
        "base": (
            PackageChange("added", "extra", "noarch", after="1.0-1"),
            PackageChange("upgraded", "hello", "noarch", "1.0-1", "1.1-1"),
        ),
        "tools": (PackageChange("rebuilt", "tool", "noarch", "2.0-1", "2.0-1"),),
    }
    assert set(found.rolls) == {"base", "tools"} and found.os is None
    back = compare_generations(found.after, found.before)
    assert [change.action for change in back.packages["base"]] == ["removed", "downgraded"]


def test_a_roll_less(store: Store) -> None:
    create(store, rolls=("base",))
    found = diff(store)
    assert found.packages == {"tools": (PackageChange("removed", "tool", "noarch", before="2.0-1"),)}
    assert found.rolls["tools"][1] == "" and found.rolls["tools"][0].startswith("tools-1.0-1.x86_64 ")
    assert [(change.path, change.action) for change in found.description] == [("tools/roll.yaml", "removed")]


def test_nodes_and_graphs(store: Store) -> None:
    profile = {**PROFILE, "nodes/base.xml": BASE.replace("hello", "goodbye"), "nodes/new.xml": "<kickstart/>\n"}
    del profile["nodes/compute.xml"]
    add_roll(store, "base", "1.1", packages=[HELLO], profile=profile)
    create(store)
    changes = {change.path: change for change in diff(store).description}
    assert {path: change.action for path, change in changes.items()} == {
        "base/nodes/base.xml": "changed",
        "base/nodes/compute.xml": "removed",
        "base/nodes/new.xml": "added",
    }
    assert "-  <package>hello</package>" in changes["base/nodes/base.xml"].diff
    assert "+  <package>goodbye</package>" in changes["base/nodes/base.xml"].diff


def test_another_os_tree(store: Store, tmp_path: Path) -> None:
    name = add_os(store, tmp_path / "other", version="9.5")
    create(store, os_name=name)
    found = diff(store)
    assert found.os and found.os[0].startswith(f"{OS} (el9) ") and found.os[1].startswith("rocky-9.5-x86_64 (el9) ")
    assert PackageChange("upgraded", "rocky-release", "noarch", "9.4-1", "9.5-1") in found.packages["BaseOS"]


def test_attributes_by_name_only(store: Store) -> None:
    create(store, attributes={"a": "1", "b": "2"})
    found = diff(store)
    assert found.attributes == (("a", "added"), ("b", "added"))
    create(store, attributes={"a": "9"})
    found = compare_generations(find_generation(store, "cluster", 2), find_generation(store, "cluster", 3))
    assert found.attributes == (("a", "changed"), ("b", "removed"))


def test_kickstarts_and_their_secrets(store: Store) -> None:
    create(store, "lang de_DE\nrootpw second\n", secrets=("second",))
    found = diff(store)
    assert found.kickstarts == {"compute": ("lang en_US\n", "lang de_DE\nrootpw second\n")}
    before, after = make_masks(found)
    assert before("rootpw second") == "rootpw (hidden, before)" and after("rootpw second") == "rootpw (hidden, after)"


def test_no_difference(store: Store) -> None:
    create(store, url="http://h/x")
    assert not diff(store)


@pytest.mark.parametrize("name", ["distribution.json", "SHA256SUMS", "kickstarts/attributes.json"])
def test_a_damaged_generation_is_named(store: Store, name: str) -> None:
    create(store, rolls=("base",))
    path = find_generation(store, "cluster", 1).folder / name
    path.write_text("}")
    with pytest.raises(RollbuildError) as refused:
        diff(store)
    assert refused.value.location is not None and refused.value.location.file == str(path)


def test_a_generation_whose_repository_is_gone(store: Store) -> None:
    create(store, rolls=("base",))
    shutil.rmtree(find_generation(store, "cluster", 1).folder / "rolls" / "tools")
    with pytest.raises(RollbuildError, match="no repository"):
        diff(store)
