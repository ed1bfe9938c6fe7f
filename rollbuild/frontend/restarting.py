"""Having a service take its new files: dnsmasq is restarted, as it may crash on SIGHUP; Kea reads its file anew."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import system_root
from rollbuild.frontend.configuration import Service
from rollbuild.process import run_program

_TIMEOUT = 120.0
_SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)
_VERBS = {Service.DNSMASQ: "restart", Service.KEA: "reload-or-restart"}
SETTINGS = {Service.DNSMASQ: "restart_dnsmasq", Service.KEA: "restart_kea"}
"""Settings of the database, or ROLLBUILD_RESTART_... of the environment: commands to use instead, as JSON lists."""
_SHOWN = 500


def find_command(service: Service, settings: Mapping[Service, str]) -> tuple[tuple[str, ...], str]:
    """The command that has a service take its new files; or none, and why. Raises RollbuildError for one that is wrong.

    A command that somebody set is used wherever the files are; systemd's only for those of the running system.
    """
    own = os.environ.get(f"ROLLBUILD_{SETTINGS[service].upper()}") or settings.get(service, "")
    if own:
        return _parse(own, SETTINGS[service]), ""
    if system_root() != Path("/"):
        return (), f"{service} was not restarted: the files are below {system_root()}, not those of this system"
    if not _SYSTEMD.is_dir():
        hint = f"restart it yourself, or set {SETTINGS[service]}"
        return (), f"{service} was not restarted: there is no systemd on this machine; {hint}"
    return ("systemctl", _VERBS[service], f"{service}.service"), ""


def restart_service(service: Service, command: tuple[str, ...]) -> None:
    """Raises RollbuildError with what the command says when it fails."""
    done = run_program(command, timeout=_TIMEOUT)
    if done.returncode:
        said = " ".join((done.stderr + done.stdout).decode(errors="replace").split())[:_SHOWN]
        raise RollbuildError(
            f"{service} has new files and did not start with them: {said or f'`{command[0]}` failed'}",
            hint=f"journalctl -u {service}; `rocks sync config` tries again",
        )


def _parse(text: str, name: str) -> tuple[str, ...]:
    try:
        words = json.loads(text)
    except ValueError:
        words = None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise RollbuildError(
            f"{name} is no command: {text[:200]!r}",
            hint='it is a list as JSON has it: ["service", "dnsmasq", "restart"]',
        )
    return tuple(words)
