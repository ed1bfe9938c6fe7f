"""Attributes: `rocks list attr`, of appliances, racks, systems and hosts, and `rocks report host attr`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import FALSE, HOSTS, TRUE, Argument, Call, Parameter, RocksCommand
from rollbuild.commands.rocks._grammar import suggest
from rollbuild.errors import RollbuildError

if TYPE_CHECKING:
    from sqlalchemy import Connection

# A value such as `yes` is no secret, whatever the attribute is called.
_PLAIN = TRUE | FALSE | {"none"}


def show_value(call: Call, name: str, value: str) -> str:
    """The value, or `(hidden)` for a secret unless show-secrets=yes."""
    from rollbuild.language import HIDDEN, is_secret_name

    if call.flag("show-secrets") or value.lower() in _PLAIN or not is_secret_name(name):
        return value
    return HIDDEN


def _list_scope(scope: str) -> Callable[[Call], None]:
    def run(call: Call) -> None:
        from rollbuild.cluster import list_attributes

        with call.reading() as c:
            keys = {_find_key(c, scope, word) for word in call.arguments}
            found = [row for row in list_attributes(c, scope) if not keys or row.key in keys]
        if name := call.parameters["attr"]:
            found = [row for row in found if row.name == name]
        shown = [(row.key, row.name, show_value(call, row.name, row.value)) for row in found]
        if scope == "global":
            call.table(("attr", "value"), [row[1:] for row in shown], keeps_owner=True)
        else:
            call.table((scope, "attr", "value"), shown, group="attr", keeps_owner=True)

    return run


def _find_key(c: "Connection", scope: str, word: str) -> str:
    from rollbuild.cluster import check_scope

    return check_scope(c, scope, word.lower().removeprefix("rack") if scope == "rack" else word)


def _list_host(call: Call) -> None:
    from rollbuild.cluster import resolve_many

    name = call.parameters["attr"]
    with call.reading() as c:
        rows = [
            (host, attribute, show_value(call, attribute, value), source)
            for host, values in resolve_many(c, call.select_hosts(c))
            for attribute, (value, source) in values.items()
            if not name or attribute == name
        ]
    call.table(("host", "attr", "value", "source"), rows, group="attr", keeps_owner=True)


def _report_host(call: Call) -> None:
    from rollbuild.cluster import resolve_many

    wanted = call.parameters["attr"]
    with call.reading() as c:
        found = dict(resolve_many(c, call.select_hosts(c)))
    for host, values in found.items():
        if not wanted:
            prefix = f"{host}: " if len(found) > 1 else ""
            lines = (f"{prefix}{name}:{show_value(call, name, value)}\n" for name, (value, _) in values.items())
            call.write("".join(line[:-1].replace("\n", "\\n") + "\n" for line in lines))
        elif wanted in values:
            # Asked for by its name, a value is wanted as it is.
            call.write(f"{values[wanted][0]}\n")
        else:
            meant = suggest(wanted, values)
            raise RollbuildError(f"Attribute {wanted} does not exist{meant}", hint=f"see `rocks list host attr {host}`")


_ATTR = Parameter("attr", "Only the attribute of this name.")
_SECRETS = Parameter("show-secrets", "Show the values of secrets too.", kind="boolean", default="no")


def _command(words: str, scope: str, *arguments: Argument, example: str, meaning: str) -> RocksCommand:
    return RocksCommand(
        words,
        _list_scope(scope),
        arguments=arguments,
        parameters=(_ATTR, _SECRETS),
        lists=True,
        examples=((example, meaning),),
    )


def _some(name: str, summary: str, completes: str = "") -> Argument:
    return Argument(name, summary, is_required=False, is_repeated=True, completes=completes)


ATTR = _command("list attr", "global", example="rocks list attr", meaning="the attributes that all hosts have")
APPLIANCE_ATTR = _command(
    "list appliance attr",
    "appliance",
    _some("appliance", "Names of appliances, or memberships; all when none is given.", "appliance"),
    example="rocks list appliance attr compute",
    meaning="those of the compute hosts",
)
OS_ATTR = _command(
    "list os attr",
    "os",
    _some("os", "Operating systems; all when none is given."),
    example="rocks list os attr linux",
    meaning="those of all hosts that run Linux",
)
RACK_ATTR = _command(
    "list rack attr",
    "rack",
    _some("rack", "Numbers of racks; all when none is given."),
    example="rocks list rack attr 0",
    meaning="those of the hosts in rack 0",
)
HOST_ATTR = RocksCommand(
    "list host attr",
    _list_host,
    arguments=(HOSTS,),
    parameters=(_ATTR, _SECRETS),
    lists=True,
    description="SOURCE says where a value comes from: I what the host is by itself, H the host, R its rack, A its "
    "appliance, O its operating system, G all hosts. The earlier wins.",
    examples=(
        ("rocks list host attr compute-0-0", "all attributes of one host"),
        ("rocks list host attr attr=distribution", "what each host installs from"),
    ),
)
REPORT_ATTR = RocksCommand(
    "report host attr",
    _report_host,
    arguments=(HOSTS,),
    parameters=(
        Parameter("attr", "Only the value of this attribute, and that in clear."),
        Parameter("show-secrets", "Show the values of secrets too.", kind="boolean", default="no"),
    ),
    examples=(
        ("rocks report host attr compute-0-0", "name:value lines"),
        ("rocks report host attr compute-0-0 attr=Kickstart_PrivateAddress", "one value"),
    ),
)
