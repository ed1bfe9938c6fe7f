"""The workspace: rolls and attributes that were read, and what they compile to, host by host."""

from rollbuild.workspace.choice import DEFAULT_RELEASE, DEFAULT_ROLLS, Choice
from rollbuild.workspace.plans import HostPlan, Plans
from rollbuild.workspace.reading import default_rolls, make_workspace
from rollbuild.workspace.workspace import Workspace

__all__ = [
    "DEFAULT_RELEASE",
    "DEFAULT_ROLLS",
    "Choice",
    "HostPlan",
    "Plans",
    "Workspace",
    "default_rolls",
    "make_workspace",
]
