"""`rollbuild distro create|list|diff|rollback` as a person uses them."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.errors import REFUSED, USAGE
from rollbuild.rolls import Store
from tests.conftest import Outcome
from tests.stores import BASE, HELLO, OS, PROFILE, TOOL, add_roll, copy_store, make_store

Distro = Callable[..., Outcome]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("template"))


@pytest.fixture
def store(template: Store, tmp_path: Path) -> Store:
    return copy_store(template, tmp_path)


@pytest.fixture
def distro(rollbuild: Callable[..., Outcome], store: Store) -> Distro:
    """Run `rollbuild distro VERB ARGUMENTS... --store STORE`."""

    def run(verb: str, *arguments: object) -> Outcome:
        outcome = rollbuild("distro", verb, *arguments, "--store", store.folder)
        assert "Traceback" not in outcome.err
        return outcome

    return run


def create(distro: Distro, *more: object) -> Outcome:
    return distro("create", "cluster", "--os", OS, *more)


def test_the_first_generation(distro: Distro, store: Store) -> None:
    outcome = create(distro)
    assert outcome.code == 0 and outcome.out == ""
    folder = store.distributions_folder / "cluster" / "1"
    for said in (
        f"made cluster@1 in {folder}",
        f"OS {OS}: 9 packages",
        "2 rolls: 2 packages (base 1.0-1, tools 1.0-1)",
        "1 Kickstart: compute",
        "it is in use:",
    ):
        assert said in outcome.err
    kickstart = (folder / "kickstarts" / "compute.ks").read_text()
    assert "rootpw --iscrypted $6$first$hash" in kickstart and "hello" in kickstart
    again = create(distro)
    assert again.code == 0 and "nothing changed: cluster@1" in again.err


def test_as_json(distro: Distro) -> None:
    data = json.loads(create(distro, "--json").out)
    assert (data["status"], data["generation"], data["kickstarts"]) == ("made", 1, ["compute"])
    assert {finding["code"] for finding in data["findings"]} == {"OS-KEY-MISSING", "ROLL-UNSIGNED"}
    assert json.loads(create(distro, "--json").out)["status"] == "unchanged"
    assert json.loads(create(distro, "--json", "--dry-run", "-A", "x=1").out)["status"] == "dry-run"


def test_strict_and_signed_refuse(distro: Distro, store: Store) -> None:
    for option in ("--strict", "--require-signed"):
        outcome = create(distro, option)
        assert outcome.code == REFUSED and "is signed: dnf will not check" in outcome.err and "hint: " in outcome.err
    assert not (store.distributions_folder / "cluster" / "current").exists()


def test_a_node_that_does_not_compile_refuses(distro: Distro, store: Store) -> None:
    profile = {**PROFILE, "nodes/base.xml": BASE.replace("<reboot/>", "<firewall>--nonsense</firewall>")}
    add_roll(store, "base", "1.1", profile=profile, packages=[HELLO])
    outcome = create(distro)
    assert outcome.code == REFUSED
    # The place is in the roll of the store: the stage is gone.
    node = store.rolls_folder / "base" / "1.1-1" / "x86_64" / "profile" / "nodes" / "base.xml"
    assert f"error: {node}:" in outcome.err and ".rollbuild-stage" not in outcome.err
    assert node.is_file()
    assert os.listdir(store.distributions_folder / "cluster") == []
    assert create(distro, "--no-kickstarts").code == 0
    assert not (store.distributions_folder / "cluster" / "1" / "kickstarts").exists()


def test_a_broken_graph_refuses(distro: Distro, store: Store) -> None:
    add_roll(store, "base", "1.1", profile={**PROFILE, "graphs/default/base.xml": "<graph><edge"})
    outcome = create(distro)
    assert outcome.code == REFUSED and "base.xml" in outcome.err and ".rollbuild-stage" not in outcome.err


def test_rolls_without_appliances(distro: Distro) -> None:
    outcome = create(distro, "--roll", "tools")
    assert outcome.code == REFUSED or "no appliance" in outcome.err


def test_templates_see_the_rolls(distro: Distro, store: Store, tmp_path: Path) -> None:
    node = """<kickstart><post><template>{% for roll in rolls %}{{ roll.name }}={{ roll.path }} {{ roll.priority }}
{% endfor %}{{ site }}</template></post></kickstart>
"""
    add_roll(store, "base", "1.1", packages=[HELLO], profile={**PROFILE, "nodes/compute.xml": node})
    data = tmp_path / "data.yaml"
    data.write_text("site: ours\n")
    assert create(distro, "--data", data).code == 0
    text = (store.distributions_folder / "cluster" / "current" / "kickstarts" / "compute.ks").read_text()
    assert "base=rolls/base 50\ntools=rolls/tools 50\nours" in text


def test_secrets_stay_private(distro: Distro, store: Store) -> None:
    assert create(distro, "-A", "root_password=$6$very$secret").code == 0
    folder = store.distributions_folder / "cluster" / "1"
    for path in folder.rglob("*"):
        if path.is_file() and b"very$secret" in path.read_bytes():
            assert path.parent == folder / "kickstarts" and stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((folder / "kickstarts").stat().st_mode) == 0o700


def test_what_changed_in_packages_nodes_and_kickstarts(distro: Distro, store: Store) -> None:
    assert create(distro, "-A", "root_password=$6$before$x").code == 0
    profile = {**PROFILE, "nodes/base.xml": BASE.replace("<package>hello</package>", "<package>httpd</package>")}
    add_roll(store, "base", "1.1", packages=[{**HELLO, "version": "1.1"}], profile=profile)
    assert create(distro, "-A", "root_password=$6$after$x").code == 0
    outcome = distro("diff", "cluster")
    assert outcome.code == 0
    for said in (
        "cluster@1 -> cluster@2",
        "hello.noarch 1.0-1 -> 1.1-1  (upgraded)",
        "~ base/nodes/base.xml",
        "-  <package>hello</package>",
        "Kickstart compute:",
        "+ httpd",
        "- hello",
        "~ root_password",
    ):
        assert said in outcome.out, outcome.out
    assert "$6$" not in outcome.out and "(hidden" in outcome.out
    for sides in (("cluster@1", "cluster@2"), ("cluster", "1", "2"), ("cluster@1", "cluster"), ("cluster@1",)):
        assert distro("diff", *sides).out == outcome.out
    data = json.loads(distro("diff", "cluster", "--json").out)
    assert data["packages"]["base"][0]["action"] == "upgraded" and data["attributes"] == {"root_password": "changed"}
    assert data["kickstarts"]["compute"]["action"] == "changed" and "$6$" not in json.dumps(data)
    stat_lines = distro("diff", "cluster", "--stat").out
    assert "packages of base: 1 upgraded" in stat_lines and "Kickstarts that differ: compute" in stat_lines


def test_long_diffs_are_cut(distro: Distro, store: Store) -> None:
    create(distro)
    many = [{"name": f"p{number:02}"} for number in range(40)]
    add_roll(store, "tools", "1.1", packages=[TOOL, *many])
    create(distro)
    short, whole = distro("diff", "cluster").out, distro("diff", "cluster", "-v").out
    assert "... 20 more packages; -v shows all" in short and "p39" not in short and "p39" in whole


def test_rolling_back(distro: Distro, store: Store) -> None:
    create(distro)
    create(distro, "--roll", "base")
    outcome = distro("rollback", "cluster")
    assert outcome.code == 0 and "cluster@1 is in use now, cluster@2 was" in outcome.err
    assert "tools added" in outcome.err and "rollbuild distro rollback cluster 2" in outcome.err
    assert os.readlink(store.distributions_folder / "cluster" / "current") == "1"
    assert "is in use already" in distro("rollback", "cluster", "1").err
    assert json.loads(distro("rollback", "cluster", "2", "--json").out)["generation"] == 2
    (store.distributions_folder / "cluster" / "2" / "distribution.json").write_text("{")
    back = distro("rollback", "cluster")
    assert back.code == 0 and "what changes cannot be said" in back.err


def test_the_list(distro: Distro, store: Store) -> None:
    assert OS in distro("list").out and "there is no distribution yet" in distro("list").err
    create(distro)
    create(distro, "--roll", "base")
    text = distro("list").out
    assert "base 1.0-1, tools 1.0-1" in text and OS in text
    data = json.loads(distro("list", "--json").out)
    assert [(item["generation"], item["current"]) for item in data["distributions"]] == [(1, False), (2, True)]
    assert [tree["name"] for tree in data["os"]] == [OS]
    (store.distributions_folder / "cluster" / "1" / "distribution.json").write_text("{")
    damaged = distro("list", "cluster")
    assert damaged.code == 0 and "damaged" in damaged.out and "error: " in damaged.err


def test_an_empty_store(rollbuild: Callable[..., Outcome], tmp_path: Path) -> None:
    for verb in (("create", "cluster", "--os", OS), ("diff", "cluster"), ("rollback", "cluster")):
        outcome = rollbuild("distro", *verb, "--store", tmp_path / "none")
        assert outcome.code == USAGE and "there is no " in outcome.err and "hint: " in outcome.err
    outcome = rollbuild("distro", "list", "--store", tmp_path / "none")
    assert outcome.code == 0 and "import-os" in outcome.err
    assert not (tmp_path / "none").exists()


WRONG = {
    "no such OS tree": (("create", "cluster", "--os", "rocky"), f"there is: {OS}"),
    "no such roll": (("create", "cluster", "--os", OS, "--roll", "tols"), "did you mean tools?"),
    "no name": (("create", "a/b", "--os", OS), "no name of a distribution"),
    "no URL": (("create", "cluster", "--os", OS, "--url", "host/path"), "no URL"),
    "both": (("create", "cluster", "--os", OS, "--roll", "base", "--lock", "x"), "give one of them"),
    "no attribute": (("create", "cluster", "--os", OS, "-A", "novalue"), "novalue"),
    "no distribution": (("diff", "cluster"), "there is no distribution cluster"),
    "rollback of none": (("rollback", "cluster"), "there is no distribution cluster"),
    "three sides": (("diff", "a", "b", "c"), "two generations"),
    "no side": (("diff", "a@0"), "names no generation"),
    "climbing": (("diff", "../../etc"), "no name of a distribution"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_slips(distro: Distro, store: Store, arguments: tuple[str, ...], said: str) -> None:
    outcome = distro(*arguments)
    assert outcome.code == USAGE and said in outcome.err
    assert not store.distributions_folder.exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [("http://10.1.1.1/dist", False), ("http://10.1.1.1/dist/", False), ("http://10.1.1.2/d", True), ("", False)],
)
def test_a_kickstart_that_installs_from_elsewhere_is_told(distro: Distro, url: str, told: bool) -> None:
    outcome = create(distro, *(("--url", url) if url else ()))
    assert outcome.code == 0
    message = "compute installs from http://10.1.1.1/dist, and the distribution is at http://10.1.1.2/d"
    assert (message in outcome.err) == told
    assert ("[INSTALL-URL]" in outcome.err) == told


def test_a_roll_that_is_called_like_the_os_is_refused(distro: Distro, store: Store) -> None:
    add_roll(store, "AppStream", packages=[{"name": "other"}])
    outcome = create(distro)
    assert outcome.code == REFUSED
    assert "roll AppStream-1.0-1.x86_64 is called like the OS's repository AppStream [ROLL-NAME]" in outcome.err
    assert not (store.distributions_folder / "cluster" / "current").exists()
