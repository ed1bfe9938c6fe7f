"""What discovery takes in, asks to be done and shows: plain values, without a clock or a database."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Membership:
    """A line of the menu. A membership without a root node, such as a switch's, is never installed."""

    name: str
    appliance: str
    is_kickstartable: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """How one run behaves.

    `network` is for people (`10.1.0.0/255.255.0.0`); `interface` is the front end's device on it, "" when not known;
    `maximum` machines are taken, None for no limit; `only_notes` puts machines into the queue instead of inserting.
    """

    version: str = ""
    network: str = ""
    interface: str = ""
    rack: int = 0
    takes_any: bool = False
    maximum: int | None = None
    leaves_itself: bool = False
    asks_address: bool = False
    only_notes: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A machine asked for an address. `vendor` is its vendor class, None where the log does not say."""

    mac: str
    vendor: str | None = None
    arch: str = ""
    interface: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an install is. `mark`: " " nothing yet, "*" it has its Kickstart, else a status such as "503"."""

    mark: str = " "
    stage: str = ""
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A host by one of its MAC addresses. `awaits_install`: it is to be installed, or held until someone approves."""

    name: str
    appliance: str
    rack: int
    awaits_install: bool = False
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What the database holds. None: as at the last survey."""

    known: Mapping[str, KnownHost] | None = None
    denied: frozenset[str] = frozenset()
    installs: Mapping[str, Progress] = field(default_factory=dict)
    is_stale: bool = False  # the configuration is older than the database


@dataclass(frozen=True, slots=True)
class Inserted:
    """A host was added to the database for a machine."""

    mac: str
    host: str
    address: str
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    """A machine turned out to be a host that another command added."""

    mac: str
    host: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A machine could not be inserted, and nothing of it was."""

    mac: str
    text: str


@dataclass(frozen=True, slots=True)
class KickstartGiven:
    """A host asked for its Kickstart and got this status of HTTP."""

    host: str
    status: int


@dataclass(frozen=True, slots=True)
class Removed:
    """An undo was done (`error` is "") or refused."""

    host: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """The configuration was applied (`error` is ""), or not and why."""

    error: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A key: up, down, home, end, enter, f7, f8, f9."""

    name: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A membership was chosen by its name."""

    membership: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The address that a machine is to have; "" for the next free one."""

    mac: str
    address: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something outside went wrong, such as a log that cannot be read; discovery goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes; `time` in seconds never runs backwards."""

    time: float


Event = (
    Asked
    | Surveyed
    | Inserted
    | Exists
    | Refused
    | KickstartGiven
    | Removed
    | Applied
    | Key
    | Chosen
    | Answer
    | Trouble
    | Tick
)


@dataclass(frozen=True, slots=True)
class AddHost:
    """Insert a machine; answered by Inserted, Exists or Refused. `address` "" is the next free one."""

    mac: str
    membership: Membership
    arch: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class NoteDiscovery:
    """Put a machine into the queue for approval."""

    mac: str
    vendor: str
    arch: str


@dataclass(frozen=True, slots=True)
class RemoveHost:
    """Undo an insert; answered by Removed."""

    host: str


@dataclass(frozen=True, slots=True)
class ApplyConfiguration:
    """Bring the configuration of the services up to the database; answered by Applied."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End the run."""


@dataclass(frozen=True, slots=True)
class News:
    """Something that people and programs that read along are told, once."""

    kind: str
    text: str
    mac: str = ""
    host: str = ""
    address: str = ""


Action = AddHost | NoteDiscovery | RemoveHost | ApplyConfiguration | Leave | News


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of "Inserted Appliances". `mark` is that of Progress, or "" where none is shown."""

    mac: str
    host: str
    mark: str = ""
    stage: str = ""
    is_known: bool = False  # a host already when it appeared
    is_held: bool = False
    is_new: bool = False  # inserted in this run

    @property
    def is_awaited(self) -> bool:
        """Whether F8 waits for it: it is to fetch a Kickstart and has not."""
        return not self.is_known and not self.is_held and self.mark not in ("", "*")

    @property
    def text(self) -> str:
        if self.is_known:
            return f"{self.mac}   known: {self.host}"
        mark = f"   ({self.mark})" if self.mark else ""
        notes = "held" if self.is_held else self.stage
        return f"{self.mac}   {self.host}{mark}{f'   {notes}' if notes else ''}"


@dataclass(frozen=True, slots=True)
class Message:
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Box:
    """A small box over the screen for a moment."""

    title: str
    text: str
    until: float


@dataclass(frozen=True, slots=True)
class Question:
    """What address a machine is to have; `error` is what was wrong with the last answer."""

    mac: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What a face shows. While `menu` is not empty, a membership is to be chosen and `cursor` is on one."""

    heading: tuple[str, ...]
    menu: tuple[str, ...]
    cursor: int
    membership: str
    entries: tuple[Entry, ...]
    messages: tuple[Message, ...]
    box: Box | None
    question: Question | None
    footer: str
    is_applying: bool
