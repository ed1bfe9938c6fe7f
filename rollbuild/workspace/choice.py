"""What to work on."""

from dataclasses import dataclass

DEFAULT_ROLLS = ("rolls", "graphs")
DEFAULT_RELEASE = "el9"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rolls, attributes and release to work on, as the options of a command say it."""

    rolls: tuple[str, ...] = ()
    graph: str = "default"
    root: str | None = None
    os_release: str = DEFAULT_RELEASE
    attrs: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    data: str | None = None
    eval_mode: str = "off"
