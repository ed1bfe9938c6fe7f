"""What all hosts have in common: the graph as a picture and a table, and what checks find in it."""

import threading
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from rollbuild.cluster import Appliance, list_appliances
from rollbuild.drawing import Drawing, draw_html, make_drawing
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.findings import Finding, Severity, in_order
from rollbuild.frontend.kickstarts import KickstartMaker
from rollbuild.frontend.page.masking import Mask
from rollbuild.frontend.page.places import Places
from rollbuild.language import Appliance as GraphAppliance
from rollbuild.location import Location

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KEPT = 32
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class GraphView:
    """The graph of an appliance: `parents` has, for each node, the edges that lead to it, as (node, condition)."""

    appliance: Appliance
    distribution: str
    drawing: Drawing
    parents: dict[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, where it is, and which appliances have it."""

    finding: Finding
    place: str
    appliances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindingsView:
    """What checks find in the appliances that can be installed; `checked` are these."""

    checked: tuple[str, ...]
    distributions: tuple[str, ...]
    found: tuple[Found, ...]

    def of(self, severity: str) -> tuple[Found, ...]:
        return tuple(item for item in self.found if item.finding.severity == severity)


class Descriptions:
    """Makes graphs and findings, and keeps them for a generation of the distribution and one of the configuration."""

    def __init__(self, maker: KickstartMaker) -> None:
        self._maker = maker
        self._lock = threading.Lock()
        self._kept: dict[Hashable, Any] = {}

    def graph(self, appliance: Appliance, configuration: int) -> GraphView:
        """Raises RollbuildError."""
        generation, workspace = self._maker.workspace(appliance.name)
        key = ("graph", appliance, generation.folder, configuration)

        def make() -> GraphView:
            place = Location("(database)")
            drawn = GraphAppliance(appliance.name, appliance.root, appliance.membership, place)
            drawing = make_drawing(workspace, drawn, orders=False, everything=False)
            parents: dict[str, list[tuple[str, str]]] = {}
            for edge in drawing.edges:
                parents.setdefault(edge.child, []).append((edge.parent, edge.condition))
            name = f"{generation.distribution} ({generation.number})"
            return GraphView(appliance, name, drawing, {child: tuple(own) for child, own in parents.items()})

        return self._keep(key, make)

    def drawing(self, appliance: Appliance, configuration: int) -> str:
        """The picture, a page of its own. Raises RollbuildError."""
        view = self.graph(appliance, configuration)
        return self._keep(("drawing", appliance, view.distribution, configuration), lambda: draw_html(view.drawing))

    def findings(self, appliances: tuple[Appliance, ...], used: Collection[str], configuration: int) -> FindingsView:
        """The findings of the appliances that the distribution describes, or that are `used` by a host.

        Raises RollbuildError where there is no distribution to look at.
        """
        every = [(appliance, *self._maker.workspace(appliance.name)) for appliance in appliances]
        made = [item for item in every if item[0].name in used or item[0].root in item[2].description]
        appliances = tuple(appliance for appliance, _, _ in made)
        key = ("findings", appliances, tuple(generation.folder for _, generation, _ in made), configuration)

        def make() -> FindingsView:
            having: dict[tuple[Finding, str], list[str]] = {}
            for appliance, generation, workspace in made:
                places = Places(workspace.rolls, generation.folder)
                mask = Mask(workspace.attributes.resolve_texts(**_layers(appliance)), workspace.secret_names())
                for finding in self._findings_of(appliance.name):
                    shown = Finding(
                        finding.code,
                        finding.severity,
                        places.shorten(mask.text(finding.message)),
                        finding.location,
                        places.shorten(mask.text(finding.hint)),
                    )
                    place = places.spell(finding.location) if finding.location else ""
                    having.setdefault((shown, place), []).append(appliance.name)
            ordered = in_order(finding for finding, _ in having)
            rank = {finding: number for number, finding in enumerate(ordered)}
            found = [Found(finding, place, tuple(names)) for (finding, place), names in having.items()]
            return FindingsView(
                checked=tuple(appliance.name for appliance in appliances),
                distributions=tuple(sorted({f"{one.distribution} ({one.number})" for _, one, _ in made})),
                found=tuple(sorted(found, key=lambda item: rank[item.finding])),
            )

        return self._keep(key, make)

    def _findings_of(self, appliance: str) -> tuple[Finding, ...]:
        try:
            return self._maker.appliance_findings(appliance)
        except FindingsError as problem:
            return problem.findings
        except RollbuildError as problem:
            return (problem.as_finding(),)

    def _keep(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        # One at a time: what many ask for is made once.
        with self._lock:
            if key not in self._kept:
                made = make()
                while len(self._kept) >= _KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = made
            kept: _Made = self._kept[key]
            return kept


def installable(c: "Connection") -> tuple[Appliance, ...]:
    """The appliances that have a Kickstart."""
    return tuple(appliance for appliance in list_appliances(c) if appliance.root)


def count_severities(view: FindingsView) -> tuple[tuple[str, int], ...]:
    """How many findings of each severity there are."""
    return tuple((severity.value, len(view.of(severity.value))) for severity in Severity)


def _layers(appliance: Appliance) -> dict[str, str]:
    return {"os": appliance.os, "appliance": appliance.name, "rack": "0", "host": ""}
