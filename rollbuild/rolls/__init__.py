"""Rolls: from a roll's source to a built roll, and the store that keeps them."""

from rollbuild.rolls.adding import ADDED, REPLACED, UNCHANGED, Adding, Addition, Additions, add_rolls
from rollbuild.rolls.build import BuildOptions, build_roll, built_folder, choose_epoch
from rollbuild.rolls.built import BuiltRoll, RollPackage, read_built_roll, roll_folder
from rollbuild.rolls.enabling import Change, Removal, disable_rolls, enable_rolls, find_named, pick_newest, remove_rolls
from rollbuild.rolls.finish import finish_roll, write_disc_info
from rollbuild.rolls.identity import Requirement, RollId, is_roll_name, parse_requirement
from rollbuild.rolls.image import has_image, volume_id, write_jumbo, write_roll_image
from rollbuild.rolls.lock import LockedPackage, LockEntry, RollLock, fetch_locked, read_lock, write_lock
from rollbuild.rolls.mirror import fetch_roll, fetched_folder, find_sum, forget_fetched
from rollbuild.rolls.pinned import enable_pinned, pin_enabled, read_pinned
from rollbuild.rolls.requirements import resolve_enabled
from rollbuild.rolls.rollxml import OldRoll, read_old_roll_xml, write_roll_xml
from rollbuild.rolls.skeleton import write_skeleton
from rollbuild.rolls.source import RollSource, find_sources, read_source
from rollbuild.rolls.store import AddedRoll, Store
from rollbuild.rolls.verifying import verify_roll

__all__ = [
    "ADDED",
    "REPLACED",
    "UNCHANGED",
    "AddedRoll",
    "Adding",
    "Addition",
    "Additions",
    "BuildOptions",
    "BuiltRoll",
    "Change",
    "LockEntry",
    "LockedPackage",
    "OldRoll",
    "Removal",
    "Requirement",
    "RollId",
    "RollLock",
    "RollPackage",
    "RollSource",
    "Store",
    "add_rolls",
    "build_roll",
    "built_folder",
    "choose_epoch",
    "disable_rolls",
    "enable_pinned",
    "enable_rolls",
    "fetch_locked",
    "fetch_roll",
    "fetched_folder",
    "find_named",
    "find_sources",
    "find_sum",
    "finish_roll",
    "forget_fetched",
    "has_image",
    "is_roll_name",
    "parse_requirement",
    "pick_newest",
    "pin_enabled",
    "read_built_roll",
    "read_lock",
    "read_old_roll_xml",
    "read_pinned",
    "read_source",
    "remove_rolls",
    "resolve_enabled",
    "roll_folder",
    "verify_roll",
    "volume_id",
    "write_disc_info",
    "write_jumbo",
    "write_lock",
    "write_roll_image",
    "write_roll_xml",
    "write_skeleton",
]
