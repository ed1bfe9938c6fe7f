"""The shipped rolls compiled, and a throw-away tree in which their scripts run with fake commands."""

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rollbuild.compiler import Compiler, Profile, ScriptSection, Target
from rollbuild.language import AttributeSet, Description, collect_defaults, complete, find_rolls, read_description
from rollbuild.releases import load_release

SOURCES = Path(__file__).parents[2]
FOLDERS = [str(SOURCES / "rolls"), str(SOURCES / "graphs")]
RELEASES = ("el8", "el9", "el10")
APPLIANCES = ("frontend", "vm-container", "compute", "login", "nas")

Compile = Callable[..., Profile]

# Folders of the host that scripts name; those of programs stay the machine's own.
_HOST_PATH = re.compile(r"(?<![\w.}\])/-])/(?=(?:etc|root|tmp|var|export|state|sys|run|mnt|boot|usr/local)(?![\w-]))")


@cache
def _shipped() -> tuple[Description, AttributeSet]:
    rolls = find_rolls(FOLDERS)
    defaults = collect_defaults(declaration for roll in rolls for declaration in roll.declarations())
    return read_description(rolls), defaults


def compile_appliance(
    name: str, release: str, data: Mapping[str, Any] | None = None, host: str = "", **attributes: str
) -> Profile:
    """Compile an appliance of the shipped rolls for a release, with data and attributes of the site.

    The host is called as its appliance unless `host` says otherwise.
    """
    host = host or name
    description, defaults = _shipped()
    (appliance,) = (appliance for appliance in description.graph.appliances if appliance.name == name)
    values = complete(
        {**defaults.resolve_texts(os="linux", appliance=name, rack="0", host=host), **attributes},
        root=appliance.root,
        appliance=name,
        membership=appliance.membership,
        hostname=host,
        os_release=release,
        graph="default",
    )
    compiler = Compiler(description, load_release(release), data or {})
    return compiler.compile(Target(values["hostname"], name, appliance.root, values))


@pytest.fixture(scope="session")
def compile_shipped() -> Compile:
    """The same, for tests that get it from elsewhere."""
    return compile_appliance


def scripts_of(profile: Profile, section: str, node: str = "") -> list[ScriptSection]:
    """The scripts of a section, of one node or of all."""
    return [
        script for script in profile.scripts if script.header.split()[0] == f"%{section}" and node in ("", script.node)
    ]


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder that stands for the host's root; `run` moves a script's paths into it."""

    root: Path
    programs: Path
    calls: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> None:
        """Write a file of the host."""
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, name: str) -> str:
        """A file of the host, with its paths as the host sees them."""
        return (self.root / name.lstrip("/")).read_text().replace(str(self.root), "")

    def add_program(self, name: str, body: str) -> None:
        """A fake command; it notes how it was called before it does what `body` says."""
        path = self.programs / name
        path.write_text(f'#!/bin/bash\nprintf "%s\\n" "{name} $*" >>"{self.calls}"\n{body}\n')
        path.chmod(0o755)

    def called(self) -> list[str]:
        """How the fake commands were called, in order."""
        if not self.calls.exists():
            return []
        return self.calls.read_text().replace(str(self.root), "").splitlines()

    def run(self, script: ScriptSection) -> subprocess.CompletedProcess[str]:
        """Run a script; its output has the host's paths."""
        body = "".join(line.text + "\n" for line in script.body)
        result = subprocess.run(
            ["/bin/bash", "-c", _HOST_PATH.sub(f"{self.root}/", body)],
            env={"PATH": f"{self.programs}:{os.environ['PATH']}", **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        result.stdout = result.stdout.replace(str(self.root), "")
        result.stderr = result.stderr.replace(str(self.root), "")
        return result

    def run_all(self, scripts: Iterable[ScriptSection]) -> None:
        """Run scripts that must succeed and say nothing on standard error."""
        for script in scripts:
            done = self.run(script)
            assert (done.returncode, done.stderr) == (0, ""), f"{script.node}: {done.stdout}{done.stderr}"

    def files(self) -> Mapping[str, tuple[int, bytes]]:
        """Mode and content of every file of the host."""
        return {
            str(path.relative_to(self.root)): (path.stat().st_mode & 0o7777, path.read_bytes())
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def host(tmp_path: Path) -> Tree:
    """An empty host."""
    root, programs = tmp_path / "host", tmp_path / "programs"
    root.mkdir()
    programs.mkdir()
    for name in ("etc/systemd/system", "tmp", "root"):
        (root / name).mkdir(parents=True)
    return Tree(root, programs, tmp_path / "calls")
