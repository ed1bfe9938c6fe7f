"""What a host does now, in one word: from its boot action, its hold and its newest install."""

from dataclasses import dataclass

from rollbuild.cluster import FAILED, GIVEN, INSTALLED, INSTALLING, Host, Install

SILENT_SECONDS = 1800.0
"""An install that says nothing for so long is worth a look: large packages take a few minutes, not thirty."""


@dataclass(frozen=True, slots=True)
class State:
    """A state; `sign` says the same without colours. `needs_care`: somebody has to do something."""

    name: str
    sign: str
    word: str
    meaning: str
    needs_care: bool = False


STATES = (
    State("held", "\u25a0", "held", "it boots its disk and may not install until it is told to", True),
    State("failed", "\u2715", "failed", "its last install failed", True),
    State("silent", "\u25b2", "silent", "an install that reported nothing for 30 minutes", True),
    State("installing", "\u25d0", "installing", "it reports how far it is"),
    State("given", "\u25d4", "Kickstart given", "it fetched its Kickstart and reported nothing yet"),
    State("waiting", "\u25cb", "to install", "it installs when it boots next"),
    State("rescue", "\u25c7", "rescue", "it boots the installer's rescue system"),
    State("installed", "\u25cf", "installed", "its last install ended well"),
    State("unknown", "\u2013", "never installed", "this front end never installed it"),
)
BY_NAME = {state.name: state for state in STATES}
"""In the order of how much they matter."""


def state_of(host: Host, install: Install | None, now: float) -> State:
    """The state of a host at a time."""
    return BY_NAME[_name_of(host, install, now)]


def since_of(install: Install | None) -> float:
    """When the newest install last moved; 0 without one."""
    return max(install.given, install.last_event, install.finished) if install else 0.0


def _name_of(host: Host, install: Install | None, now: float) -> str:
    if host.held:
        return "held"
    if install is not None and install.state in (GIVEN, INSTALLING):
        if now - since_of(install) > SILENT_SECONDS:
            return "silent"
        return "installing" if install.state == INSTALLING else "given"
    if host.boot_action == "rescue":
        return "rescue"
    if install is not None and install.state == FAILED:
        return "failed"
    if host.boot_action == "install":
        return "waiting"
    return "installed" if install is not None and install.state == INSTALLED else "unknown"
