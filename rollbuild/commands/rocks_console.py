"""The command `rocks-console`: what a host's screen says, in this terminal."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rollbuild import __version__
from rollbuild.console import Console
from rollbuild.errors import INTERRUPTED, USAGE, RollbuildError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_USAGE = "rocks-console NODE [--installer | --bmc]"


@click.command(name="rocks-console", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("node", required=False)
@click.option(
    "--installer", "way", flag_value="installer", help="Log in to the installer, which must be on the network."
)
@click.option("--bmc", "way", flag_value="bmc", help="The serial line of the machine's BMC.")
@click.option("--print", "only_prints", is_flag=True, help="Print the command that would show it, and run nothing.")
@click.option("--database", metavar="URL", help="The cluster's database.  [ROLLBUILD_DATABASE]")
@click.version_option(__version__, prog_name="rocks-console", message="%(prog)s %(version)s")
def _command(node: str | None, way: str | None, only_prints: bool, database: str | None) -> None:
    """Show the console of NODE.

    A VM: its serial console, from the moment it starts, also while it installs; Ctrl-] leaves it. Another host: the
    installer's screen over SSH while it installs (installer option inst.sshd), else the serial line of its BMC, which
    the attributes bmc_address, bmc_user and bmc_password_file of the host name.
    """
    import shlex

    if not node:
        raise RollbuildError('"nodename" was not specified', hint=_USAGE, exit_code=USAGE)
    argv = find_console(node, way or "", database)
    if only_prints:
        Console().data(f"{shlex.join(argv)}\n")
        return
    _run(argv)


def find_console(node: str, way: str = "", database: str | None = None) -> tuple[str, ...]:
    """The program, with its arguments, that shows the console of a host. Raises RollbuildError."""
    from rollbuild.cluster import find_host, open_database, resolve_attributes, select_hosts
    from rollbuild.vm import make_driver, read_machine

    with open_database(database) as opened, opened.reading() as connection:
        names = select_hosts(connection, (node,))
        if len(names) != 1:
            hint = f"{node} means {len(names)} hosts"
            raise RollbuildError("a console is that of one node", hint=hint, exit_code=USAGE)
        host = find_host(connection, names[0])
        if host.is_vm and not way:
            machine = read_machine(connection, host.name)
            return make_driver(machine.settings).console_argv(host.name)
        values = {name: value for name, (value, _) in resolve_attributes(connection, host.name).items()}
        address = values.get("hostaddr", "")
        installs = host.boot_action == "install"
        if way == "installer" or (not way and installs and address):
            return _installer_argv(host.name, address)
        return _bmc_argv(connection, host.name, values, installs=installs)


def _installer_argv(name: str, address: str) -> tuple[str, ...]:
    if not address:
        raise RollbuildError(f"{name} has no address", hint=f"rocks add host interface {name} eth0 ip=...")
    # The installer has a host key of its own at each install.
    options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
    return ("ssh", "-t", "-o", "ConnectTimeout=10", *options, f"root@{address}", "tmux", "attach")


def _bmc_argv(connection: "Connection", name: str, values: dict[str, str], *, installs: bool) -> tuple[str, ...]:
    from rollbuild.cluster import spell_host_name

    address = values.get("bmc_address", "")
    if not address:
        more = "" if installs else "; while it installs, rocks-console shows the installer"
        raise RollbuildError(
            f"nothing says how the serial line of {name} is reached",
            hint=f"rocks set host attr {name} bmc_address ADDRESS (and bmc_user, bmc_password_file){more}",
        )
    try:
        import ipaddress

        ipaddress.ip_address(address)
    except ValueError:
        spell_host_name(address.partition(".")[0])
    argv = ["ipmitool", "-I", "lanplus", "-H", address, "-U", values.get("bmc_user", "") or "root"]
    if file := values.get("bmc_password_file", ""):
        # The password itself would be seen in the list of processes.
        argv += ["-f", file]
    return (*argv, "sol", "activate")


def _run(argv: Sequence[str]) -> None:
    from rollbuild.errors import MISSING_PROGRAM
    from rollbuild.process import find_program

    packages = {"virsh": "libvirt-client", "ssh": "openssh-clients", "ipmitool": "ipmitool"}
    program = find_program(argv[0])
    if program is None:
        raise RollbuildError(
            f"the program {argv[0]} is missing",
            hint=f"install the package {packages.get(argv[0], argv[0])}",
            exit_code=MISSING_PROGRAM,
        )
    sys.stdout.flush()
    # In its place: the terminal is the program's own.
    os.execv(program, list(argv))  # noqa: S606


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rocks-console ARGV...` (default: the process's arguments) and return its exit code."""
    from rollbuild.commands._errors import explain

    console = Console()
    try:
        _command.main(list(sys.argv[1:] if argv is None else argv), prog_name="rocks-console", standalone_mode=False)
    except click.ClickException as problem:
        console.print_error(RollbuildError(problem.format_message(), hint=_USAGE, exit_code=USAGE))
        return USAGE
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as problem:
        refusal = explain(problem)
        console.print_error(refusal)
        return refusal.exit_code
    return 0
