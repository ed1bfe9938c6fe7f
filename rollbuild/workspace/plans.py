"""Plans of hosts: those that share one differ in values only, so that each is made once."""

from collections.abc import Mapping
from dataclasses import dataclass

from rollbuild.compiler import Plan, Target
from rollbuild.language import Appliance
from rollbuild.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A host and its plan. Hosts of equal `shape` have the same text but for plain values in their own places."""

    target: Target
    plan: Plan
    shape: tuple[object, ...]


class Plans:
    """The plans of a workspace, made when the first host needs them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._varying = workspace.varying_names()
        self._plans: dict[tuple[object, ...], Plan] = {}

    def find(self, name: str, appliance: Appliance, own: Mapping[str, str]) -> HostPlan:
        """The plan for a host of an appliance with attributes of its own.

        Raises RollbuildError, or FindingsError with all that is wrong with its nodes.
        """
        workspace = self._workspace
        target = workspace.target(appliance, name, {"hostname": name, **own})
        varying = self._varying.union(own)
        key = (workspace.compiler.plan_key(target), varying, frozenset(varying & target.attributes.keys()))
        if key not in self._plans:
            self._plans[key] = workspace.compiler.plan(target, varying)
        plan = self._plans[key]
        return HostPlan(target, plan, (key, plan.awkward(target.attributes)))
