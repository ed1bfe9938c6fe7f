"""Having dnsmasq and Kea look at their files before these take the places of the old ones."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import explained, read_limited, system_path, write_atomically
from rollbuild.frontend.configuration import DHCP_HOSTS, FILE_LIMIT, KEA_CONF, PlannedFile, Service
from rollbuild.process import find_program, run_program

_TIMEOUT = 120.0
_SYSTEM = ("/usr/sbin", "/sbin", "/usr/local/sbin")
_DNSMASQ_CONF = "/etc/dnsmasq.conf"
_DNSMASQ_FOLDER = "/etc/dnsmasq.d"
_UNREAD = (".rpmnew", ".rpmsave", ".rpmorig", "~")
_ELSEWHERE = re.compile(rb"^[ \t]*(?:conf-dir|conf-file|servers-file)[ \t]*=.*$", re.M)
_SHOWN = 500


def check_service(service: Service, files: Sequence[PlannedFile]) -> bool:
    """Whether the program of a service looked at its files; False where this machine does not have it.

    Raises RollbuildError with what the program says of a file that it refuses.
    """
    program = _find("dnsmasq" if service is Service.DNSMASQ else "kea-dhcp4")
    if not program:
        return False
    with (
        explained("cannot write into", tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="rollbuild-") as folder,
    ):
        if service is Service.DNSMASQ:
            argv, places = _lay_out_dnsmasq(files, Path(folder))
        else:
            argv, places = _lay_out_kea(files, Path(folder))
        if not argv:
            return True
        # Kea's lock is for its own logs, which this user may not write.
        environment = {**os.environ, "LC_ALL": "C", "KEA_LOCKFILE_DIR": "none"}
        done = run_program([program, *argv], timeout=_TIMEOUT, env=environment)
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace")
        for place, name in places.items():
            said = said.replace(str(place), name)
        raise RollbuildError(
            f"{Path(program).name} does not accept what it would get: {' '.join(said.split())[:_SHOWN]}",
            hint="it keeps running with its old files; `rocks sync config --diff` shows what would change",
        )
    return True


def _lay_out_dnsmasq(files: Sequence[PlannedFile], folder: Path) -> tuple[list[str], Mapping[Path, str]]:
    """Everything that dnsmasq would read at its start, the site's own files too; rows of hosts as options.

    It looks into other files than those of options only when it runs.
    """
    inside = folder / "dnsmasq.d"
    inside.mkdir()
    own = {file.path: file.content for file in files}
    places = {inside: _DNSMASQ_FOLDER, folder / "dnsmasq.conf": _DNSMASQ_CONF}
    there = system_path(_DNSMASQ_FOLDER)
    if there.is_dir():
        for path in there.iterdir():
            name = f"{_DNSMASQ_FOLDER}/{path.name}"
            if name in own or path.name.startswith((".", "#")) or path.name.endswith(_UNREAD) or not path.is_file():
                continue
            write_atomically(inside / path.name, _ELSEWHERE.sub(b"", read_limited(path, FILE_LIMIT)))
    for path_text, content in own.items():
        if content is not None and path_text.startswith(f"{_DNSMASQ_FOLDER}/"):
            write_atomically(inside / Path(path_text).name, content)
    rows = (own.get(DHCP_HOSTS) or b"").splitlines()
    hosts = folder / "dhcp-hosts"
    write_atomically(hosts, b"".join(b"dhcp-host=%b\n" % row for row in rows))
    places[hosts] = DHCP_HOSTS
    main = system_path(_DNSMASQ_CONF)
    text = _ELSEWHERE.sub(b"", read_limited(main, FILE_LIMIT)) if main.is_file() else b""
    write_atomically(folder / "dnsmasq.conf", text + f"\nconf-file={hosts}\n".encode())
    return ["--test", f"--conf-file={folder / 'dnsmasq.conf'}", f"--conf-dir={inside}"], places


def _lay_out_kea(files: Sequence[PlannedFile], folder: Path) -> tuple[list[str], Mapping[Path, str]]:
    content = next((file.content for file in files if file.path == KEA_CONF), None)
    if content is None:
        return [], {}
    path = folder / "kea-dhcp4.conf"
    write_atomically(path, content)
    return ["-t", str(path)], {path: KEA_CONF}


def _find(program: str) -> str:
    if found := find_program(program):
        return found
    # Not on the PATH of everyone.
    return next((f"{folder}/{program}" for folder in _SYSTEM if Path(folder, program).is_file()), "")
