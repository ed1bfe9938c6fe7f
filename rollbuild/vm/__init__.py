"""Virtual machines: what containers are asked to do, and how a machine lives."""

from rollbuild.vm.documents import domain_document
from rollbuild.vm.driver import Driver
from rollbuild.vm.values import (
    BootPlace,
    DomainState,
    Guest,
    GuestDisk,
    GuestInterface,
    Installer,
    VirtType,
)
from rollbuild.vm.virsh import VirshDriver
from rollbuild.vm.xlfile import xl_file

__all__ = [
    "BootPlace",
    "DomainState",
    "Driver",
    "Guest",
    "GuestDisk",
    "GuestInterface",
    "Installer",
    "VirshDriver",
    "VirtType",
    "domain_document",
    "xl_file",
]
