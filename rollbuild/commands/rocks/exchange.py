"""`rocks export` and `rocks import`: the cluster as YAML, or its hosts as CSV, and back."""

import sys

from rollbuild.commands.rocks._command import Argument, Call, Parameter, RocksCommand
from rollbuild.errors import INTERRUPTED, USAGE, RollbuildError
from rollbuild.files import write_atomically

_YAML, _CSV = "yaml", "csv"


def _export(call: Call) -> None:
    from rollbuild.cluster import export_cluster, export_table, write_yaml

    form = call.parameters["format"] or (_CSV if call.argument.lower().endswith(".csv") else _YAML)
    with call.reading() as connection:
        text = export_table(connection) if form == _CSV else write_yaml(export_cluster(connection))
    if not call.argument:
        call.write(text)
        return
    if form == _CSV and not call.argument.lower().endswith(".csv"):
        raise RollbuildError("a file of CSV is called NAME.csv", hint="import knows it by that", exit_code=USAGE)
    write_atomically(call.argument, text.encode(), mode=0o600, sync=True)
    call.console.say(f"wrote {call.argument}: it may hold secrets, and only its owner may read it")


def _import(call: Call) -> int | None:
    from rollbuild.cluster import apply_import, plan_import, read_cluster_file

    data = read_cluster_file(call.argument)
    with call.reading() as connection:
        changes = plan_import(connection, data, removes=call.flag("remove"))
    for host in changes.kept:
        call.console.say(f"{host} stays: it is the front end")
    if not changes:
        call.console.say("the cluster is as the file says: nothing to do")
        return None
    call.write("".join(f"{line}\n" for line in changes.lines))
    if not call.flag("apply"):
        if "apply" in call.given or not (sys.stdin and sys.stdin.isatty()):
            call.console.say(f"nothing is changed yet; do it: rocks import {call.argument} apply=yes")
            return None
        if not _confirm(len(changes.lines)):
            call.console.say("nothing was changed")
            return INTERRUPTED
    with call.writing() as connection:
        # Whoever changed something meanwhile is not overrun: it is refused.
        apply_import(connection, changes)
    call.console.say(f"imported {call.argument}: {len(changes.lines):,} changes")
    return None


def _confirm(count: int) -> bool:
    while True:
        sys.stderr.write(f"Make these {count:,} changes? [no] ")
        sys.stderr.flush()
        answer = sys.stdin.readline().strip().lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("", "n", "no"):
            return False


EXPORT = RocksCommand(
    "export",
    _export,
    arguments=(
        Argument(
            "file", "Where to; NAME.csv has the hosts only.  [standard output]", is_required=False, completes="file"
        ),
    ),
    parameters=(Parameter("format", "yaml: everything; csv: the hosts, one a row.", choices=("", _YAML, _CSV)),),
    description="Write the cluster as YAML, or its hosts as CSV, to be changed and imported again.",
    examples=(("rocks export cluster.yaml", ""), ("rocks export hosts.csv", "For a spreadsheet.")),
)
IMPORT = RocksCommand(
    "import",
    _import,
    arguments=(Argument("file", "A .yaml or .csv file, as `rocks export` writes them.", completes="file"),),
    parameters=(
        Parameter("apply", "Make the changes.  [on a terminal it is asked]", kind="boolean", default="no"),
        Parameter("remove", "Remove what the file's lists do not have.", kind="boolean", default="no"),
    ),
    description="Show what differs between the cluster and a file, and make the cluster as the file says: all of it, "
    "or nothing. What the file does not name stays, unless remove=yes.",
    examples=(("rocks import hosts.csv", "Shows the differences."), ("rocks import hosts.csv apply=yes", "")),
    changes=True,
)
