"""MACs of VMs that were removed: nobody gets them for a day, as others may still know the VM by them."""

import json
import time

from sqlalchemy import Connection, select

from rollbuild.cluster import schema
from rollbuild.cluster.database import read_setting, write_setting

KEPT_SECONDS = 24 * 3600.0
_SETTING = "retired_macs"


def retire_macs(c: Connection, host: str, device: str = "") -> None:
    """Keep the MACs of a VM, which it is about to lose, from being given out; those of other hosts are free.

    `device`: that of one interface.
    """
    if c.execute(select(schema.vms.c.host).where(schema.vms.c.host == host)).first() is None:
        return
    table = schema.interfaces
    wanted = [table.c.host == host, table.c.mac.is_not(None), *([table.c.device == device] if device else [])]
    macs = c.execute(select(table.c.mac).where(*wanted)).scalars().all()
    now = time.time()
    kept = {mac: at for mac, at in _read(c).items() if now - at < KEPT_SECONDS}
    write_setting(c, _SETTING, json.dumps({**kept, **dict.fromkeys(macs, now)}))


def retired_macs(c: Connection) -> frozenset[str]:
    """The MACs that must not be given out yet."""
    now = time.time()
    # A clock that was set back must not keep them for ever.
    return frozenset(mac for mac, at in _read(c).items() if abs(now - at) < KEPT_SECONDS)


def _read(c: Connection) -> dict[str, float]:
    found: dict[str, float] = json.loads(read_setting(c, _SETTING, "{}"))
    return found
