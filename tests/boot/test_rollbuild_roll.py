"""The roll rollbuild: built by its own tool, installed by dnf from a distribution, run with the Python it asks for."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Outcome
from tests.ostrees import default_packages, make_os_tree

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.boot


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("rollbuild-roll") / "rollbuild"
    argv = [sys.executable, str(ROOT / "tools" / "rollbuild_roll.py"), str(target)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def python312() -> Iterator[str]:
    """A Python 3.12, which the package is for; not every machine has one."""
    names = ["python3.12", *map(str, Path(sys.base_prefix).parent.glob("3.12.*/bin/python3.12"))]
    for name in names:
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            yield found
            return
    pytest.skip("python3.12 is missing")


def test_dnf_installs_it_without_a_network_and_it_runs(
    rollbuild: Callable[..., Outcome], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python312: str
) -> None:
    for program in ("rpmbuild", "dnf"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing")
    monkeypatch.chdir(tmp_path)
    packages = default_packages("el9", "9.4")
    packages["AppStream"].append({"name": "python3.12", "version": "3.12.1", "files": {"/usr/bin/python3.12": "no"}})
    make_os_tree(tmp_path / "os", packages=packages)
    shutil.copytree(ROOT / "graphs", tmp_path / "sources" / "graphs")
    for name in ("base", "kernel", "frontend", "compute", "hpc", "login", "nas", "kvm", "monitoring"):
        shutil.copytree(ROOT / "rolls" / name, tmp_path / "sources" / "rolls" / name)

    def run(*argv: str | Path) -> None:
        outcome = rollbuild(*argv)
        assert outcome.code == 0, outcome.err

    run("roll", "build", source, "sources/rolls", "sources/graphs", "-o", "built")
    run("roll", "add", "--enable", *sorted((tmp_path / "built").iterdir()))
    run("distro", "import-os", "os", "--name", "os")
    run("distro", "create", "cluster", "--os", "os")
    current = tmp_path / "build/store/distributions/cluster/current"
    kickstart = (current / "kickstarts/frontend.ks").read_text()
    assert "\nrollbuild\n" in kickstart
    assert "mkdir -p /export/rollbuild" in kickstart

    root = tmp_path / "root"
    repositories = tmp_path / "repos"
    repositories.mkdir()
    (tmp_path / "log").mkdir()
    text = (current / "rollbuild.repo").read_text()
    (repositories / "rollbuild.repo").write_text(text.replace("gpgcheck=1", "gpgcheck=0"))
    argv = [
        "dnf",
        "-q",
        "-y",
        "--noplugins",
        f"--installroot={root}",
        "--releasever=9",
        f"--setopt=reposdir={repositories}",
    ]
    argv += [f"--setopt={name}dir={tmp_path}/{name}" for name in ("cache", "log", "persist")]
    done = subprocess.run([*argv, "install", "rollbuild"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    site = root / "usr/lib/rollbuild"
    program = (root / "usr/bin/rollbuild").read_text()
    assert program.startswith("#!/usr/bin/python3.12 -I\n")
    runnable = tmp_path / "run.py"
    runnable.write_text(program.replace('"/usr/lib/rollbuild"', repr(str(site))))

    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    argv = [python312, "-I", str(runnable), "compile", "compute", "--rolls", str(tmp_path / "sources"), "-o", "-"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == rollbuild("compile", "compute", "--rolls", tmp_path / "sources", "-o", "-").out
    # So do the front end's commands, with the database and all that they need.
    programs = root / "usr/bin"
    assert {path.name for path in programs.iterdir()} >= {"rollbuild", "rocks", "rocks-console", "insert-ethers"}
    runnable_rocks = tmp_path / "rocks.py"
    runnable_rocks.write_text((programs / "rocks").read_text().replace('"/usr/lib/rollbuild"', repr(str(site))))
    there = {**environment, "ROLLBUILD_ROOT": str(tmp_path / "front-end")}
    (tmp_path / "front-end").mkdir()
    for words in (["add", "host", "compute-0-0", "membership=Compute"], ["list", "host"]):
        argv = [python312, "-I", str(runnable_rocks), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=there, timeout=120)
        assert done.returncode == 0, done.stderr
    assert "Compute" in done.stdout
    # What builds rolls and repositories works too: createrepo_c and libsolv are inside.
    argv = [python312, "-I", str(runnable), "check", str(tmp_path / "sources"), "--repo", str(current / "BaseOS")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert "PACKAGE-MISSING" in done.stdout + done.stderr
    assert "RESOLVER-MISSING" not in done.stdout + done.stderr


def test_it_is_the_same_roll_when_it_is_made_again(source: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere" / "rollbuild"
    shutil.copytree(source.parent / "wheels", again.parent / "wheels")
    argv = [sys.executable, str(ROOT / "tools" / "rollbuild_roll.py"), str(again)]
    subprocess.run(argv, capture_output=True, check=True, timeout=600, umask=0o077)

    def contents(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    first, second = contents(source), contents(again)
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []
