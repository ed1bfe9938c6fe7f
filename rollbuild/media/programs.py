"""Having the programs that will read a netboot tree's files look at them first."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import explained
from rollbuild.location import Location
from rollbuild.process import find_program, run_program

_TIMEOUT = 120.0
_SYSTEM = ("/usr/sbin", "/sbin", "/usr/local/sbin")
_GRUB = (("grub2-script-check", "grub-script-check"), ())
_DNSMASQ = (("dnsmasq",), ("--test", "--conf-file={}"))
_KEA = (("kea-dhcp4",), ("-t", "{}"))


@dataclass(frozen=True, slots=True)
class Looked:
    """The programs that accepted their files, and those that are not on this machine."""

    by: tuple[str, ...]
    missing: tuple[str, ...]


def check_with_programs(files: Mapping[str, bytes]) -> Looked:
    """Let GRUB, dnsmasq and Kea read those of the files (path in the tree -> content) that are theirs.

    Raises RollbuildError with what a program says of a file that it refuses.
    """
    looked: list[str] = []
    missing: list[str] = []
    work = [
        (_GRUB, [name for name in files if name.rpartition("/")[2].startswith("grub.cfg")]),
        (_DNSMASQ, [name for name in files if name.endswith("/dnsmasq.conf")]),
        (_KEA, [name for name in files if name.endswith("/kea-dhcp4.json")]),
    ]
    with (
        explained("cannot write into", tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="rollbuild-") as folder,
    ):
        for (programs, arguments), names in work:
            program = _find(programs)
            (looked if program else missing).append(programs[-1] if not program else Path(program).name)
            for name in names if program else ():
                _check(program, arguments, name, files[name], Path(folder))
    return Looked(tuple(looked), tuple(missing))


def _find(programs: Iterable[str]) -> str:
    for program in programs:
        if found := find_program(program):
            return found
        for folder in _SYSTEM:  # not on the PATH of everyone
            if Path(folder, program).is_file():
                return f"{folder}/{program}"
    return ""


def _check(program: str, arguments: Sequence[str], name: str, content: bytes, folder: Path) -> None:
    path = folder / name.rpartition("/")[2]
    path.write_bytes(content)
    argv = [word.format(path) for word in arguments] or [str(path)]
    done = run_program([program, *argv], timeout=_TIMEOUT)
    if done.returncode:
        said = " ".join((done.stderr + done.stdout).decode(errors="replace").replace(str(path), name).split())
        raise RollbuildError(
            f"{Path(program).name} does not accept this file: {said[:500]}",
            location=Location(name),
            hint="nothing was written; a template of the site or a value in it is wrong, see --templates",
        )
