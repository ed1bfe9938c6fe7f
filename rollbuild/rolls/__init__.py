"""Rolls: from a roll's source to a built roll, and the store that keeps them."""

from rollbuild.rolls.built import BuiltRoll, RollPackage, read_built_roll, roll_folder
from rollbuild.rolls.identity import Requirement, RollId, is_roll_name, parse_requirement
from rollbuild.rolls.store import AddedRoll, Store

__all__ = [
    "AddedRoll",
    "BuiltRoll",
    "Requirement",
    "RollId",
    "RollPackage",
    "Store",
    "is_roll_name",
    "parse_requirement",
    "read_built_roll",
    "roll_folder",
]
