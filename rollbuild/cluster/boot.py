"""Boot actions: which there are, and which of them a host takes when it boots next."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from rollbuild.cluster import schema
from rollbuild.cluster.database import mark_changed
from rollbuild.cluster.names import check_text, nearest, number_order, savepoint
from rollbuild.cluster.schema import BOOT_ACTIONS
from rollbuild.cluster.values import BootAction
from rollbuild.errors import USAGE, RollbuildError

_table = schema.boot_actions
_hosts = schema.hosts


def list_boot_actions(c: Connection) -> tuple[BootAction, ...]:
    return tuple(BootAction(**row._mapping) for row in c.execute(select(_table).order_by(_table.c.label)))


def put_boot_action(c: Connection, action: BootAction) -> None:
    """Add a boot action, or replace that of its label. Raises RollbuildError, exit code USAGE."""
    if not action.label.strip() or len(action.label) > 128:
        raise RollbuildError("the label of a boot action has 1 to 128 characters", exit_code=USAGE)
    for field, value in asdict(action).items():
        check_text(value, f"the {field} of a boot action")
    former = c.execute(select(_table).where(_table.c.label == action.label)).first()
    if former is None:
        c.execute(insert(_table).values(**asdict(action)))
    elif BootAction(**former._mapping) != action:
        c.execute(update(_table).where(_table.c.label == action.label).values(**asdict(action)))
        mark_changed(c, *_users(c, action.label))


def remove_boot_action(c: Connection, label: str) -> None:
    """Raises RollbuildError where hosts boot by it, or it is not there."""
    check_label(c, label)

    def in_use() -> RollbuildError:
        users = sorted(_users(c, label), key=number_order)
        return RollbuildError(
            f'{len(users)} hosts boot by "{label}", as {users[0]}',
            hint="`rocks set host installaction` and `rocks set host runaction` give them another",
        )

    with savepoint(c, otherwise=in_use):
        c.execute(delete(_table).where(_table.c.label == label))


def check_label(c: Connection, label: str) -> str:
    """The label, where a boot action has it. Raises RollbuildError."""
    labels = c.execute(select(_table.c.label).order_by(_table.c.label)).scalars().all()
    if label not in labels:
        hint = nearest(label, labels) or f"there are: {', '.join(labels)}"
        raise RollbuildError(f'action "{label}" does not exist', hint=hint)
    return label


def set_boot(c: Connection, host: str, action: str) -> None:
    """Set what a host does when it boots next: os (or `run`), install or rescue.

    To install lifts a hold, and its attempts count from 0 again. Raises RollbuildError: USAGE for another action,
    REFUSED where there is no such host.
    """
    action = "os" if action == "run" else action
    if action not in BOOT_ACTIONS:
        raise RollbuildError(
            f'invalid action "{action}"', hint='action must be "os", "run", "install" or "rescue"', exit_code=USAGE
        )
    row = c.execute(
        select(_hosts.c.boot_action, _hosts.c.held, _hosts.c.attempts_after).where(_hosts.c.name == host)
    ).first()
    if row is None:
        raise RollbuildError(f'host "{host}" is not in cluster')
    changes: dict[str, Any] = {"boot_action": action} if row.boot_action != action else {}
    if action == "install":
        last = c.execute(select(func.max(schema.installs.c.id)).where(schema.installs.c.host == host)).scalar() or 0
        if row.held:
            changes["held"] = ""
        if row.attempts_after != last:
            changes["attempts_after"] = last
    if changes:
        c.execute(update(_hosts).where(_hosts.c.name == host).values(**changes))
        mark_changed(c, host)


def _users(c: Connection, label: str) -> list[str]:
    uses = (_hosts.c.run_action == label) | (_hosts.c.install_action == label)
    return list(c.execute(select(_hosts.c.name).where(uses)).scalars())
