"""The roll that a site copies: each of its examples works when it is renamed. And the example of a small cluster."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rollbuild.language import find_rolls
from tests.conftest import Outcome
from tests.shipped.conftest import FOLDERS, RELEASES, SOURCES

SITE = SOURCES / "rolls/site"
EXAMPLES = SOURCES / "docs/examples"
SUFFIX = ".example"

# Files that belong together, an appliance, and lines that it has with them and not without.
USES: dict[str, tuple[list[str], str, list[str]]] = {
    "extend": (
        ["site-nodes/extend-compute.xml"],
        "compute",
        ["sysstat", "HISTORY=28", "systemctl enable sysstat.service"],
    ),
    "replace": (
        ["site-nodes/replace-motd.xml", "attributes.yaml"],
        "compute",
        ["Questions: hpc-support@example.org"],
    ),
    "a new appliance": (
        ["graphs/default/gpu-compute.xml", "nodes/gpu-compute.xml", "nodes/gpu.xml", "attributes.yaml"],
        "gpu-compute",
        ["kernel-devel", "blacklist nouveau", "grubby --update-kernel=ALL --args=rd.driver.blacklist=nouveau"],
    ),
}

Run = Callable[..., Outcome]


def copy_site(folder: Path, names: list[str]) -> Path:
    """A site's copy of the roll, in which these examples are renamed."""
    copy = folder / "my-site"
    shutil.copytree(SITE, copy)
    for name in names:
        (copy / (name + SUFFIX)).rename(copy / name)
    return copy


def compile_lines(rollbuild: Run, folder: Path, release: str, appliance: str, *rolls: Path) -> set[str]:
    options = [option for roll in (*map(Path, FOLDERS), *rolls) for option in ("--rolls", str(roll))]
    out = folder / f"out-{len(rolls)}"
    done = rollbuild("compile", *options, "--strict", "--os-release", release, "-o", out, appliance)
    assert done.code == 0, done.err
    return set((out / f"{appliance}.ks").read_text().splitlines())


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("names", "appliance", "added"), USES.values(), ids=USES)
def test_an_example_works_when_it_is_renamed(
    rollbuild: Run, tmp_path: Path, names: list[str], appliance: str, added: list[str], release: str
) -> None:
    # The shipped roll stays beside its copy.
    lines = compile_lines(rollbuild, tmp_path, release, appliance, copy_site(tmp_path, names))
    assert set(added) <= lines
    replaced = [line for line in lines if line.endswith("installed by rollbuild from its node files.")]
    assert bool(replaced) != ("site-nodes/replace-motd.xml" in names)


def test_all_examples_work_together(rollbuild: Run, tmp_path: Path) -> None:
    names = [str(path.relative_to(SITE)).removesuffix(SUFFIX) for path in SITE.rglob(f"*{SUFFIX}")]
    assert set(names) == {name for used, _, _ in USES.values() for name in used}
    lines = compile_lines(rollbuild, tmp_path, "el10", "gpu-compute", copy_site(tmp_path, names))
    assert {line for _, _, added in USES.values() for line in added} <= lines


def test_the_roll_does_nothing_as_it_is(rollbuild: Run, tmp_path: Path) -> None:
    (roll,) = find_rolls([str(SITE)])
    assert list(SITE.rglob("*.xml")) == []
    assert roll.declarations() == ()
    # An example that is not renamed has no part in anything.
    lines = compile_lines(rollbuild, tmp_path, "el9", "compute")
    assert not {line for _, _, added in USES.values() for line in added} & lines


def test_the_readmes_show_the_same_example() -> None:
    example = (SITE / f"site-nodes/extend-compute.xml{SUFFIX}").read_text()
    assert len(example.splitlines()) <= 11
    indented = "".join(f"    {line}\n" for line in example.splitlines())
    assert f"`site-nodes/extend-compute.xml`:\n\n{indented}" in (SITE / "README.md").read_text()
    assert f"<!-- mysite/site-nodes/extend-compute.xml -->\n{example}" in (SOURCES / "README.md").read_text()


def test_the_readme_tells_of_every_file() -> None:
    text = (SITE / "README.md").read_text()
    assert [path.name for path in SITE.rglob(f"*{SUFFIX}") if f"`{path.relative_to(SITE)}`" not in text] == []


@pytest.mark.parametrize("release", ["el9", "el10"])
def test_the_small_cluster_compiles(rollbuild: Run, tmp_path: Path, release: str) -> None:
    options = ["--attrs", EXAMPLES / "site.yaml", "--hosts", EXAMPLES / "hosts.yaml", "--data", EXAMPLES / "data.yaml"]
    rolls = [option for folder in FOLDERS for option in ("--rolls", folder)]
    done = rollbuild("compile", *rolls, *options, "--strict", "--os-release", release, "-o", tmp_path)
    assert done.code == 0, done.err
    texts = {path.stem: path.read_text() for path in tmp_path.glob("*.ks")}
    assert sorted(texts) == ["compute-0-0", "compute-0-1", "frontend", "vm-container-0-0"]
    assert "10.1.255.252 vm-container-0-0\n" in texts["frontend"]
    assert "os_disk='disk/by-id/wwn-0x5000c500a1b2c3d4'\n" in texts["compute-0-1"]
    assert (
        "write_bridge br-storage 52:54:00:00:00:21 9000 method=manual address1=10.2.0.252/16"
        in (texts["vm-container-0-0"])
    )
    # What a rack says hides what an appliance says.
    assert "console=ttyS0,115200n8" in texts["vm-container-0-0"]
    assert "--ip=10.1.255.254 " in texts["compute-0-0"]


def test_the_files_of_the_small_cluster_agree() -> None:
    hosts = yaml.safe_load((EXAMPLES / "hosts.yaml").read_text())["hosts"]
    data = {item["name"]: item for item in yaml.safe_load((EXAMPLES / "data.yaml").read_text())["hosts"]}
    assert [host["name"] for host in hosts] == list(data)
    for host in hosts:
        known, own = data[host["name"]], host.get("attributes", {})
        assert known["appliance"] == host["appliance"]
        assert (own.get("hostaddr", known["address"]), own.get("ksmac")) == (known["address"], known.get("mac"))
