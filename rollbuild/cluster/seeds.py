"""What a fresh database holds."""

from dataclasses import asdict

from sqlalchemy import Connection, insert

from rollbuild.cluster import schema
from rollbuild.cluster.values import Appliance, BootAction

APPLIANCES = (
    Appliance("frontend", "Frontend", root="frontend"),
    Appliance("compute", "Compute", root="compute", is_public=True),
    Appliance("login", "Login", root="login", is_public=True),
    Appliance("nas", "NAS Appliance", root="nas", is_public=True),
    Appliance("network", "Ethernet Switch", is_public=True),
    Appliance("power", "Power Distribution Unit", is_public=True),
    Appliance("vm-container", "VM Container", root="vm-container", is_public=True),
    Appliance("hosted-vm", "Hosted VM"),
)

# An empty kernel is that of the host's distribution.
BOOT_ACTIONS = (
    BootAction("install"),
    BootAction("os", "localboot 0"),
    BootAction("rescue", args="inst.rescue"),
)


def insert_seeds(c: Connection) -> None:
    c.execute(insert(schema.appliances), [asdict(appliance) for appliance in APPLIANCES])
    c.execute(insert(schema.boot_actions), [asdict(action) for action in BOOT_ACTIONS])
