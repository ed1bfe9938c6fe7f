"""What a command of `rocks` declares, and what it is given when it runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from rollbuild.commands.rocks._output import Layout, print_table
from rollbuild.console import Console
from rollbuild.errors import USAGE, RollbuildError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rollbuild.cluster import Database
    from rollbuild.frontend import FrontEnd

TRUE = frozenset({"on", "yes", "y", "true", "1"})
FALSE = frozenset({"off", "no", "n", "false", "0", ""})
Kind = Literal["string", "boolean", "integer"]


@dataclass(frozen=True, slots=True)
class Argument:
    """A word of a command line that has a place.

    Those with `is_named` may be given as `name=value` too; they are the last ones, and their values are found in
    `Call.parameters` whichever way they were given. What stands before them is `Call.arguments`. Where one
    `is_repeated`, the named ones are filled from the right. `completes`: what a shell offers for it (host, appliance,
    network, roll, file or nothing).
    """

    name: str
    summary: str = ""
    is_required: bool = True
    is_repeated: bool = False
    is_named: bool = False
    choices: tuple[str, ...] = ()
    completes: str = ""

    @property
    def synopsis(self) -> str:
        """`{name}` when required, else `[name]`; with `...` when repeated."""
        spelled = f"{{{self.name}}}" if self.is_required else f"[{self.name}]"
        return f"{spelled}..." if self.is_repeated else spelled


@dataclass(frozen=True, slots=True)
class Parameter:
    """A `name=value` of a command line. `kind`: string, boolean, integer (checked before the command runs)."""

    name: str
    summary: str = ""
    kind: Kind = "string"
    default: str = ""
    is_required: bool = False
    choices: tuple[str, ...] = ()
    completes: str = ""

    @property
    def synopsis(self) -> str:
        """`[name=kind]`, or `{name=kind}` when required."""
        spelled = f"{self.name}={'|'.join(self.choices) or self.kind}"
        return f"{{{spelled}}}" if self.is_required else f"[{spelled}]"


HOSTS = Argument(
    "host",
    "Names, aliases, addresses or MACs of hosts, an appliance, a rack (rack0), a pattern (compute-0-%, "
    "compute-0-[0-9]) or localhost; all hosts when none is given.",
    is_required=False,
    is_repeated=True,
    completes="host",
)
SOME_HOSTS = Argument(
    "host",
    "Names, aliases, addresses or MACs of hosts, an appliance, a rack (rack0), a pattern (compute-0-%, "
    "compute-0-[0-9]) or localhost.",
    is_repeated=True,
    completes="host",
)


@dataclass(frozen=True, slots=True)
class RocksCommand:
    """A command: `words` (`list host interface`), what it takes, and what runs it.

    `run` returns an exit code, or None for 0. `changes`: whether it needs to write the database; after one that
    wrote it, the front end's files are brought up to date unless `applies` is false. `lists`: whether it prints a
    table, and so takes json=, output-header= and output-col=. `examples`: (command line, what it does).
    """

    words: str
    run: "Callable[[Call], int | None]"
    arguments: tuple[Argument, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    description: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    changes: bool = False
    applies: bool = True
    lists: bool = False

    @property
    def verb(self) -> str:
        return self.words.partition(" ")[0]

    @property
    def named(self) -> tuple[Argument, ...]:
        """The arguments that may be given by name."""
        return tuple(argument for argument in self.arguments if argument.is_named)

    @property
    def placed(self) -> tuple[Argument, ...]:
        """The arguments that have a place only."""
        return tuple(argument for argument in self.arguments if not argument.is_named)


@dataclass(slots=True)
class Call:
    """One run of a command: what it was given, and what it works with. `is_loaded`: it is a line of `rocks load`."""

    is_loaded: ClassVar[bool] = False
    command: RocksCommand
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)  # those given, by name or place, and the defaults
    given: frozenset[str] = frozenset()  # the names of those that were given
    console: Console = field(default_factory=Console)
    layout: Layout = field(default_factory=Layout)
    argv: tuple[str, ...] = ()
    near: str = ""  # the command that was meant, should the first argument be no host
    database_url: str | None = None
    store: str | None = None
    has_written: bool = False
    _database: "Database | None" = None
    _front_end: "FrontEnd | None" = None

    @property
    def command_line(self) -> str:
        """As typed, fit for the audit and logs: quoted for the shell, the values of secrets hidden."""
        from rollbuild.cluster import describe_command

        return describe_command(("rocks", *self.argv))

    @property
    def database(self) -> "Database":
        """The cluster's database, opened when first asked for. Raises RollbuildError."""
        if self._front_end is not None:
            return self._front_end.database
        if self._database is None:
            from rollbuild.cluster import open_database

            self._database = open_database(self.database_url)
            self._tell_of_new(self._database)
        return self._database

    @property
    def front_end(self) -> "FrontEnd":
        """Database and store together. Raises RollbuildError."""
        if self._front_end is None:
            from rollbuild.frontend import open_front_end

            self.close()
            self._front_end = open_front_end(self.database_url, Path(self.store) if self.store else None)
            self._tell_of_new(self._front_end.database)
        return self._front_end

    def _tell_of_new(self, database: "Database") -> None:
        if database.is_new:
            # On a machine that was thought to be the front end, this says why nothing is there.
            self.console.say(f"made a new, empty database: {database.path or database.url}")

    def close(self) -> None:
        """Close what was opened."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._front_end is not None:
            self._front_end.database.close()
            self._front_end = None

    @contextmanager
    def reading(self) -> "Iterator[Connection]":
        """One snapshot of the database."""
        with self.database.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> "Iterator[Connection]":
        """The command's one transaction; audited with its command line and the user who typed it."""
        with self.database.writing(self.command_line) as connection:
            yield connection
        self.has_written = True

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the hosts that the arguments select; all hosts when there are none."""
        with self.reading() as connection:
            return self.select_hosts(connection)

    def select_hosts(self, connection: "Connection", words: Sequence[str] | None = None) -> tuple[str, ...]:
        """The names of the hosts that `words` (the arguments, unless given) select, in a transaction of the caller.

        All hosts when there are no words and the command's hosts are optional. Raises RollbuildError.
        """
        from rollbuild.cluster import select_hosts

        chosen = self.arguments if words is None else tuple(words)
        if not chosen and words is None and any(argument.is_required for argument in self.command.placed):
            raise RollbuildError("must supply host", exit_code=USAGE)
        try:
            return select_hosts(connection, chosen, everything=not chosen)
        except RollbuildError as problem:
            if self.near and words is None:
                hint = f"did you mean `rocks {self.near}`?"
                raise RollbuildError(problem.message, hint=hint, exit_code=USAGE) from None
            raise

    @property
    def argument(self) -> str:
        """The only placed argument, or nothing."""
        return self.arguments[0] if self.arguments else ""

    def flag(self, name: str) -> bool:
        """The boolean parameter `name`; its default when it was not given."""
        return self.parameters.get(name, "").lower() in TRUE

    def number(self, name: str) -> int:
        """The integer parameter `name`; 0 when it was not given and has no default."""
        return int(self.parameters.get(name) or 0)

    def table(
        self, headers: Sequence[str], rows: Sequence[Sequence[object]], *, group: str = "", keeps_owner: bool = False
    ) -> None:
        """Print rows (owner, values...) below headers, as the layout that the user chose says.

        `group`: in JSON, the rows of one owner become a list of that name; without it each row is an object.
        `keeps_owner`: the owner is shown as a plain column too when all rows have the same.
        """
        if self.layout.is_json:
            from rollbuild.commands.rocks._output import table_data

            self.console.json(table_data(headers, rows, self.layout, group=group))
        else:
            self.console.data(print_table(headers, rows, self.layout, keeps_owner=keeps_owner))

    def write(self, text: str | bytes) -> None:
        """Write to standard output exactly this."""
        self.console.data(text)
