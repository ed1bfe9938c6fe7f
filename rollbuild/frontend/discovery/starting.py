"""What must be there before machines are switched on: looked at in order, and the first that is missing is told."""

import http.client
from pathlib import Path
from typing import TYPE_CHECKING

from rollbuild.cluster import list_appliances, list_attributes, list_interfaces, list_networks
from rollbuild.errors import DISK, FindingsError, RollbuildError
from rollbuild.files import system_root
from rollbuild.findings import Severity
from rollbuild.frontend.applying import ensure_applied
from rollbuild.frontend.discovery.inserting import NETWORK, select_front_end
from rollbuild.frontend.place import FrontEnd, choose_distribution
from rollbuild.process import run_program

if TYPE_CHECKING:
    from sqlalchemy import Connection

SERVICE = ("127.0.0.1", 8441)
_SYSTEMD = Path("/run/systemd/system")
_DEVICES = Path("/sys/class/net")
_UNITS = {"dnsmasq": "dnsmasq", "kea": "kea-dhcp4"}
_SECONDS = 10.0


def apply_changes(front_end: FrontEnd) -> str:
    """Bring the files of the services up to the database; what was done, "" for nothing.

    Raises RollbuildError with all that a checker refused or that cannot be written.
    """
    applied = ensure_applied(front_end)
    if not applied.is_complete:
        texts = [f"{refusal.service}: {refusal.message}" for refusal in applied.refused]
        hints = [refusal.hint for refusal in applied.refused]
        for finding in applied.findings:
            if finding.severity is Severity.ERROR:
                texts.append(finding.message)
                hints.append(finding.hint)
        code = max((refusal.exit_code for refusal in applied.refused if refusal.exit_code == DISK), default=1)
        raise RollbuildError("; ".join(texts), hint=next(filter(None, hints), ""), exit_code=code)
    if not applied.has_changed:
        return ""
    return ", ".join(("the configuration is applied", *(f"restarted {service}" for service in applied.restarted)))


def check_start(front_end: FrontEnd) -> None:
    """Raises RollbuildError, with the remedy, for the first thing that is missing."""
    with front_end.database.reading() as c:
        if not select_front_end(c):
            raise RollbuildError(
                "the database has no front end", hint="rocks add frontend attrs=/etc/rollbuild/site.yaml"
            )
        attributes = {row.name: row.value for row in list_attributes(c, "global", "")}
        named = {attributes.get("distribution", ""), *_named_for_appliances(c)}
    try:
        apply_changes(front_end)
    except FindingsError as problem:
        texts = "; ".join(finding.message for finding in problem.findings)
        raise RollbuildError(f"the configuration cannot be applied: {texts}", hint=problem.hint) from None
    except RollbuildError as problem:
        hint = problem.hint or "`rocks sync config` shows more"
        raise RollbuildError(
            f"the configuration cannot be applied: {problem.message}", hint=hint, exit_code=problem.exit_code
        ) from None
    _check_unit(_UNITS.get(attributes.get("dhcp_server", "dnsmasq"), "dnsmasq"))
    _check_service()
    for name in sorted(named, reverse=True):
        if name or len(named) == 1:
            choose_distribution(front_end.store, name)


def _named_for_appliances(c: "Connection") -> set[str]:
    rows = [row for kind in list_appliances(c) for row in list_attributes(c, "appliance", kind.name)]
    return {row.value for row in rows if row.name == "distribution" and row.value}


def _check_unit(unit: str) -> None:
    if system_root() != Path("/") or not _SYSTEMD.is_dir():
        return
    done = run_program(["systemctl", "is-active", f"{unit}.service"], timeout=_SECONDS)
    if done.returncode:
        state = done.stdout.decode(errors="replace").strip() or "unknown"
        raise RollbuildError(
            f"{unit}, which gives machines their addresses, is not running ({state})",
            hint=f"systemctl start {unit}; why it is not: journalctl -u {unit}",
        )


def _check_service() -> None:
    host, port = SERVICE
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/")
        connection.getresponse().read(1)
    except (OSError, http.client.HTTPException) as problem:
        reason = str(getattr(problem, "strerror", "") or problem).lower()
        raise RollbuildError(
            f"the Kickstart service does not answer on {host}:{port}: {reason}",
            hint="start it: systemctl start rollbuild (or `rollbuild serve`); --no-check goes on without it",
        ) from None
    finally:
        connection.close()


def find_network(front_end: FrontEnd) -> tuple[str, str]:
    """The cluster's network for people (`10.1.0.0/255.255.0.0`), and the front end's device on it if it is here.

    Raises RollbuildError when there is no such network.
    """
    with front_end.database.reading() as c:
        network = next((network for network in list_networks(c) if network.name == NETWORK), None)
        if network is None:
            raise RollbuildError(
                f"the database has no network `{NETWORK}`, on which machines would appear",
                hint="rocks add frontend attrs=/etc/rollbuild/site.yaml",
            )
        own = list_interfaces(c, select_front_end(c)) if select_front_end(c) else ()
    device = next((one.device for one in own if one.network == NETWORK), "")
    # A name that this machine does not know would have every request left alone.
    return f"{network.address}/{network.netmask}", device if device and (_DEVICES / device).exists() else ""
