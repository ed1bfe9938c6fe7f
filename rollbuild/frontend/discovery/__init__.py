"""Discovery: machines that ask for an address become hosts. A pure state machine, and what feeds it."""

from rollbuild.frontend.discovery.inserting import (
    DEVICE_ATTRIBUTE,
    HELD,
    NETWORK,
    Placement,
    find_owner,
    insert_machine,
    remove_machine,
)
from rollbuild.frontend.discovery.lock import QUEUE_LOCK, Holder, find_holder, hold_lock
from rollbuild.frontend.discovery.machine import step
from rollbuild.frontend.discovery.readers import find_log, follow_file, follow_journal, has_journal
from rollbuild.frontend.discovery.running import Discovery, read_machines
from rollbuild.frontend.discovery.sniffing import listen, open_device
from rollbuild.frontend.discovery.starting import apply_changes, check_start, find_network
from rollbuild.frontend.discovery.state import State, view
from rollbuild.frontend.discovery.survey import read_memberships
from rollbuild.frontend.discovery.values import (
    Answer,
    Asked,
    Chosen,
    Entry,
    Event,
    Exists,
    Inserted,
    Key,
    Membership,
    News,
    Rules,
    View,
)

__all__ = [
    "DEVICE_ATTRIBUTE",
    "HELD",
    "NETWORK",
    "QUEUE_LOCK",
    "Answer",
    "Asked",
    "Chosen",
    "Discovery",
    "Entry",
    "Event",
    "Exists",
    "Holder",
    "Inserted",
    "Key",
    "Membership",
    "News",
    "Placement",
    "Rules",
    "State",
    "View",
    "apply_changes",
    "check_start",
    "find_holder",
    "find_log",
    "find_network",
    "find_owner",
    "follow_file",
    "follow_journal",
    "has_journal",
    "hold_lock",
    "insert_machine",
    "listen",
    "open_device",
    "read_machines",
    "read_memberships",
    "remove_machine",
    "step",
    "view",
]
