"""Virtual machines: what containers are asked to do, and how a machine lives."""

from rollbuild.vm.adding import WantedVm, add, find_roomiest
from rollbuild.vm.changing import tell_changes, tell_next_start
from rollbuild.vm.documents import domain_document
from rollbuild.vm.driver import Driver
from rollbuild.vm.drivers import DEFAULTS, ContainerSettings, make_driver, read_settings
from rollbuild.vm.fake import FakeDriver
from rollbuild.vm.installing import create, is_installed, start
from rollbuild.vm.looking import Seen, look
from rollbuild.vm.machines import Machine, Workplace, check_own_disks, read_machine
from rollbuild.vm.moving import move
from rollbuild.vm.parallel import Result
from rollbuild.vm.removing import remove
from rollbuild.vm.running import STOP_ACTIONS, pause, restore, resume, save, stop
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
    "DEFAULTS",
    "STOP_ACTIONS",
    "BootPlace",
    "ContainerSettings",
    "DomainState",
    "Driver",
    "FakeDriver",
    "Guest",
    "GuestDisk",
    "GuestInterface",
    "Installer",
    "Machine",
    "Result",
    "Seen",
    "VirshDriver",
    "VirtType",
    "WantedVm",
    "Workplace",
    "add",
    "check_own_disks",
    "create",
    "domain_document",
    "find_roomiest",
    "is_installed",
    "look",
    "make_driver",
    "move",
    "pause",
    "read_machine",
    "read_settings",
    "remove",
    "restore",
    "resume",
    "save",
    "start",
    "stop",
    "tell_changes",
    "tell_next_start",
    "xl_file",
]
