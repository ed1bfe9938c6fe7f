"""One host: what it is, how its installs went, and what holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollbuild.cluster import (
    ATTEMPT_LIMIT,
    STAGES,
    Host,
    Install,
    InstallEvent,
    Interface,
    VirtualMachine,
    count_attempts,
    find_host,
    find_vm,
    list_aliases,
    list_events,
    list_installs,
    list_interfaces,
    resolve_attributes,
)
from rollbuild.errors import RollbuildError
from rollbuild.frontend.kickstarts import KickstartMaker
from rollbuild.frontend.page.masking import Mask
from rollbuild.frontend.page.states import State, state_of
from rollbuild.language import collect_defaults

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SOURCES = {
    "D": "a roll's default",
    "G": "the site",
    "O": "the OS",
    "A": "the appliance",
    "R": "the rack",
    "H": "the host",
    "I": "what it is",
}
_OWN_ORDER = "HRAOGDI"
_MOST_DETAIL = 2000
_LOGS = "/var/lib/rollbuild/logs"


@dataclass(frozen=True, slots=True)
class Shown:
    """An attribute: `source` says where it is set."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Step:
    """A stage of the newest install; `time` is 0 while it is not reached."""

    stage: str
    time: float
    is_last: bool


@dataclass(frozen=True, slots=True)
class HostView:
    """The page of a host."""

    host: Host
    state: State
    aliases: tuple[str, ...]
    vm: VirtualMachine | None
    interfaces: tuple[Interface, ...]
    attributes: tuple[Shown, ...]
    defaults: tuple[Shown, ...]
    installs: tuple[Install, ...]
    steps: tuple[Step, ...]
    events: tuple[InstallEvent, ...]
    attempts: int
    limit: int
    held: str
    logs: str
    problem: str
    """Why the defaults and secrets of the rolls are not known, where that is so."""


def read_host(c: "Connection", maker: KickstartMaker, name: str, now: float) -> HostView:
    """Raises RollbuildError for a host that is not there."""
    host = find_host(c, name)
    defaults, secret, problem = _declared(maker, host)
    resolved = resolve_attributes(c, name, defaults)
    mask = Mask({key: value for key, (value, _) in resolved.items()}, secret)
    shown = sorted(
        (Shown(key, mask.value(key, value), letter) for key, (value, letter) in resolved.items()),
        key=lambda item: (_OWN_ORDER.index(item.source), item.name),
    )
    named = [(item, Shown(item.name, item.value, _SOURCES[item.source])) for item in shown]
    installs = list_installs(c, name)
    events = tuple(_shown_event(event, mask) for event in list_events(c, name))
    return HostView(
        host=host,
        state=state_of(host, installs[0] if installs else None, now),
        aliases=tuple(alias.name for alias in list_aliases(c) if alias.host == name),
        vm=find_vm(c, name) if host.is_vm else None,
        interfaces=list_interfaces(c, [name]),
        attributes=tuple(item for known, item in named if known.source not in "DI"),
        defaults=tuple(item for known, item in named if known.source == "D"),
        installs=installs,
        steps=_steps(installs[0], events) if installs else (),
        events=events[::-1],
        attempts=count_attempts(c, name),
        limit=ATTEMPT_LIMIT,
        held=mask.text(host.held),
        logs=f"{_LOGS}/{name}" if any(event.stage == "logs" for event in events) else "",
        problem=problem,
    )


def _declared(maker: KickstartMaker, host: Host) -> tuple[Mapping[str, str], frozenset[str], str]:
    """The defaults of the rolls, what they declare as secret, and why neither is known."""
    try:
        _, workspace = maker.workspace(host.appliance)
    except RollbuildError as problem:
        return {}, frozenset(), problem.message
    declared = collect_defaults(workspace.declared.values())
    values = declared.resolve_texts(os=host.os, appliance=host.appliance, rack=str(host.rack), host=host.name)
    return values, workspace.secret_names(), ""


def _shown_event(event: InstallEvent, mask: Mask) -> InstallEvent:
    detail = mask.text(event.detail)
    if len(detail) > _MOST_DETAIL:
        cut = len(detail) - _MOST_DETAIL
        detail = f"{detail[:_MOST_DETAIL]}\n({cut:,} characters more)"
    return InstallEvent(event.time, event.stage, detail)


def _steps(install: Install, events: tuple[InstallEvent, ...]) -> tuple[Step, ...]:
    """The stages of an attempt as far as they are known; of its own events only."""
    reached: dict[str, float] = {}
    for event in events:
        if event.time >= install.given and event.stage in STAGES:
            reached.setdefault(event.stage, event.time)
    stages = [stage for stage in STAGES if stage != "failed" or "failed" in reached]
    if "failed" in reached:
        stages = [stage for stage in stages if stage in reached]
    return tuple(Step(stage, reached.get(stage, 0.0), stage == install.stage) for stage in stages)
