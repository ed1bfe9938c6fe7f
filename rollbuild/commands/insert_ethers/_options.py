"""The options that say how a run goes, as one value; and what of them does not go together."""

from dataclasses import dataclass

from rollbuild.errors import USAGE, RollbuildError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for; the names are those of the options."""

    rack: int = 0
    rank: int | None = None
    basename: str = ""
    membership: str = ""
    hostname: str = ""
    ipaddr: str = ""
    baseip: str = ""
    inc: int = -1
    replace: str = ""
    remove: tuple[str, ...] = ()
    update: bool = False
    staticip: bool = False
    os: str = ""
    mac: tuple[str, ...] = ()
    maximum: int | None = None
    hold: bool = False
    any: bool = False
    batch: bool = False
    queue: bool = False
    approve: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    pending: bool = False
    listen: str | None = None  # "" is the cluster's device
    log: str = ""
    screen: bool = True
    json: bool = False
    check: bool = True

    @property
    def tasks(self) -> tuple[str, ...]:
        """The options that make it do something else than wait for machines."""
        given = {
            "--remove": self.remove,
            "--update": self.update,
            "--mac": self.mac,
            "--queue": self.queue,
            "--approve": self.approve,
            "--deny": self.deny,
            "--pending": self.pending,
        }
        return tuple(name for name, value in given.items() if value)

    @property
    def is_for_one(self) -> bool:
        """Whether exactly one machine is taken."""
        return bool(self.hostname or self.ipaddr or self.replace)


def check_wanted(wanted: Wanted) -> None:
    """Raises RollbuildError, exit code USAGE, for options that do not go together."""
    tasks = wanted.tasks
    if len(tasks) > 1:
        raise _usage(f"{tasks[0]} and {tasks[1]} are two tasks", "give one at a time")
    task = tasks[0] if tasks else ""
    if wanted.listen is not None and wanted.log:
        raise _usage("--listen and --log are two sources", "give one of them")
    if not wanted.inc:
        raise _usage("--inc 0 would try the same address for ever", "-1 counts down, 1 counts up")
    if wanted.replace and wanted.hostname:
        raise _usage("--replace keeps the host's name", "leave --hostname out; `rocks set host name` renames a host")
    if wanted.replace and (wanted.basename or wanted.rank is not None):
        raise _usage("--replace keeps the host's name, rack and rank", "leave --basename and --rank out")
    if wanted.staticip and (wanted.batch or wanted.json or task):
        raise _usage("--staticip asks for each address", "leave --batch, --json and tasks out, or give --ipaddr")
    if wanted.staticip and wanted.ipaddr:
        raise _usage("--staticip asks for what --ipaddr says", "give one of them")
    if len(wanted.mac) > 1 and wanted.is_for_one:
        raise _usage("--hostname, --ipaddr and --replace are for one machine", "give one --mac")
    if task in ("--mac", "--approve") and wanted.replace and task == "--approve":
        raise _usage("--approve makes a new host", "--replace HOST --mac MAC gives a host another machine")
    needs_place = ("--mac", "--approve", "")
    if task not in needs_place and (wanted.is_for_one or wanted.hold or wanted.membership):
        raise _usage(f"{task} inserts nothing", "leave --membership, --hostname, --ipaddr, --replace and --hold out")


def _usage(message: str, hint: str) -> RollbuildError:
    return RollbuildError(message, hint=hint, exit_code=USAGE)
