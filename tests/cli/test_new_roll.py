"""`rollbuild new roll`: what it makes is whole."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import Outcome
from tests.programs import need_program

Run = Callable[..., Outcome]
SOURCES = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.parametrize(("name", "releases"), [("lab", ("el8", "el10")), ("9lives.x-y", ("el9",))])
def test_a_new_roll_checks_compiles_and_builds(
    rollbuild: Run, tmp_path: Path, name: str, releases: tuple[str, ...]
) -> None:
    done = rollbuild("new", "roll", name, "-o", tmp_path, "--version", "2.5")
    assert done.code == 0, done.err
    folder = tmp_path / name
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert made == {
        *("roll.yaml", "attributes.yaml", "README.md", "packages/README", f"nodes/{name}.xml"),
        *(f"graphs/default/{name}.xml", f"tests/{name}.yaml"),
    }
    assert f"rollbuild check {folder}" in done.err and f"rollbuild roll build {folder}" in done.err
    rolls = ("--rolls", SOURCES / "rolls", "--rolls", SOURCES / "graphs", "--rolls", folder)
    for release in releases:
        checked = rollbuild("check", "--strict", "--os-release", release, folder, *rolls[:4])
        assert (checked.code, "no findings" in checked.err) == (0, True), checked.err
    for case in yaml.safe_load((folder / f"tests/{name}.yaml").read_text()):
        given = [part for key, value in case.get("attributes", {}).items() for part in ("-A", f"{key}={value}")]
        argv = ("compile", case["appliance"], "--os-release", case["release"], "-o", "-", *given, *rolls)
        text = rollbuild(*argv).out
        assert all(part in text for part in [*case["contains"], *case.get("packages", ())])
        assert not [part for part in case.get("lacks", ()) if part in text]
    need_program("rpmbuild")
    built = rollbuild("roll", "build", folder, "-o", tmp_path / "out")
    assert (built.code, built.err.count("\n")) == (0, 1), built.err
    assert (tmp_path / f"out/{name}-2.5-1.x86_64/.discinfo").exists()


def test_nothing_is_written_over(rollbuild: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/mine").touch()
    done = rollbuild("new", "roll", "lab")
    assert (done.code, "nothing was written" in done.err) == (1, True)
    assert [path.name for path in tmp_path.rglob("*")] == ["lab", "mine"]
    (tmp_path / "rolls").mkdir()
    assert rollbuild("new", "roll", "lab").code == 0
    assert (tmp_path / "rolls/lab/roll.yaml").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("My Roll",), "did you mean my-roll?"),
        (("../lab",), "no name of a roll"),
        (("-lab",), ""),
        (("lab", "--version", "1-2"), "'1-2' is no version"),
        ((), "Usage"),
    ],
)
def test_wrong_names(
    rollbuild: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = rollbuild("new", "roll", *argv)
    assert (done.code, said in done.err) == (2, True), done.err
    assert list(tmp_path.iterdir()) == []
