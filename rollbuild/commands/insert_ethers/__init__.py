"""The command `insert-ethers`: machines that are switched on become hosts of the cluster."""

import shlex
import sys
from collections.abc import Sequence
from typing import Any

import click

from rollbuild import __version__
from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._program import run_program
from rollbuild.commands.insert_ethers._options import Wanted, check_wanted

_NUMBER = click.IntRange(0, 999_999)


@click.command(name="insert-ethers", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--membership", metavar="NAME", help="What machines become; no menu is shown.")
@click.option("--cabinet", "--rack", "rack", type=_NUMBER, default=0, metavar="N", help="The rack of new hosts.  [0]")
@click.option("--rank", type=_NUMBER, metavar="N", help="The first rank.  [the one after the highest in the rack]")
@click.option("--basename", metavar="NAME", help="How names begin, before -RACK-RANK.  [the appliance]")
@click.option("--hostname", metavar="NAME", help="Take one machine, and call it so.")
@click.option("--ipaddr", metavar="ADDRESS", help="Take one machine, and give it this address.")
@click.option("--baseip", metavar="ADDRESS", help="The first address that is tried.  [the network's last]")
@click.option("--inc", type=int, default=-1, metavar="N", help="The step from one address to the next.  [-1]")
@click.option("--staticip", is_flag=True, help="Ask for the address of each machine.")
@click.option("--hold", is_flag=True, help="Insert machines, but let them install only when they are approved.")
@click.option(
    "--replace", metavar="HOST", help="Take one machine for HOST, which keeps its name, address and attributes."
)
@click.option("--os", metavar="OS", help="Offer only appliances of this OS in the menu.")
@click.option("--any", is_flag=True, help="Take machines that do not boot from the network, too.")
@click.option("--max", "--max-new", "maximum", type=click.IntRange(1), metavar="N", help="Take N machines, then leave.")
@click.option("--mac", multiple=True, metavar="MAC", help="Insert this machine at once; give it once for each.")
@click.option("--remove", multiple=True, metavar="HOST", help="Remove a host.")
@click.option("--update", is_flag=True, help="Write the configuration of DHCP, DNS and netboot, all of it.")
@click.option("--queue", is_flag=True, help="Only note machines that ask, for approval later.")
@click.option("--pending", is_flag=True, help="List what waits for approval.")
@click.option("--approve", multiple=True, metavar="MAC|all", help="Insert what waits, or let what is held install.")
@click.option("--deny", multiple=True, metavar="MAC", help="Leave a machine alone from now on.")
@click.option(
    "--listen",
    is_flag=False,
    flag_value="",
    metavar="[DEVICE]",
    help="Hear machines on a network device instead of reading a log.  [the front end's device on `private`]",
)
@click.option("--log", metavar="FILE", help="The log of the DHCP server.  [the journal, else one in /var/log]")
@click.option("--screen/--no-screen", default=True, help="A full screen, or a line for each event.")
@click.option("--json", "json", is_flag=True, help="A line of JSON for each event; lists as JSON.")
@click.option("--batch", is_flag=True, help="Write lines and read nothing: for scripts.")
@click.option("--check/--no-check", default=True, help="Whether the services are looked at first.")
@click.option("--database", metavar="URL", help="The cluster's database.  [ROLLBUILD_DATABASE]")
@click.option("--store", metavar="DIR", help="The store with the distributions.  [ROLLBUILD_STORE]")
@click.version_option(__version__, prog_name="insert-ethers", message="%(prog)s %(version)s")
@common_options
@pass_session
def command(session: Session, /, database: str | None, store: str | None, **given: Any) -> int:
    """Wait for machines that boot from the network, and make each a host: name, address, boot files.

    Choose what they are to become, then switch them on, in the order in which they shall be numbered. Each shows with
    its MAC address and name, ( ) until it has fetched its Kickstart, and then (*). F8 leaves when all have one, F9 at
    once, F7 takes the last one back.

    Without a terminal, or with --no-screen, --batch or --json, each event is a line.
    """
    values: dict[str, Any] = {name: "" if value is None and name in _TEXTS else value for name, value in given.items()}
    wanted = Wanted(**values)
    check_wanted(wanted)
    from pathlib import Path

    from rollbuild.commands.insert_ethers._tasks import do_task
    from rollbuild.commands.insert_ethers._waiting import wait_for_machines
    from rollbuild.frontend import open_front_end

    front_end = open_front_end(database, Path(store) if store else None)
    try:
        line = shlex.join(["insert-ethers", *sys.argv[1:]]) if sys.argv else "insert-ethers"
        if wanted.tasks and not wanted.queue:
            return do_task(session.console, front_end, wanted, line)
        return wait_for_machines(session.console, front_end, wanted, line)
    finally:
        front_end.database.close()


_TEXTS = ("basename", "membership", "hostname", "ipaddr", "baseip", "replace", "os", "log")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `insert-ethers ARGV...` (default: the process's arguments) and return its exit code."""
    return run_program(command, "insert-ethers", argv)
