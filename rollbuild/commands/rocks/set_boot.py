"""`rocks set host boot`, `set host installaction`, `set host runaction`, `add bootaction`, `remove bootaction`."""

from rollbuild.commands.rocks._changing import NOTHING
from rollbuild.commands.rocks._command import SOME_HOSTS, Argument, Call, Parameter, RocksCommand
from rollbuild.errors import USAGE, RollbuildError

_ACTIONS = ("install", "os", "run", "rescue")


def _set_boot(call: Call) -> None:
    from rollbuild.cluster import find_host, mark_changed, set_boot

    action = call.parameters["action"]
    if not action and (word := call.arguments[-1].lower()) in _ACTIONS:
        hint = f"did you mean action={word}?"
        raise RollbuildError(f'"{call.arguments[-1]}" is no host, but an action', hint=hint, exit_code=USAGE)
    with call.writing() as connection:
        hosts = call.select_hosts(connection)
        if not action:
            mark_changed(connection, *hosts)
        for host in hosts if action else ():
            held = find_host(connection, host).held
            set_boot(connection, host, action)
            if held and not find_host(connection, host).held:
                call.console.say(f"{host} was held ({held}): it may install again")


def _action_setter(word: str, field: str, when: str) -> RocksCommand:
    def run(call: Call) -> None:
        from rollbuild.cluster import set_host

        label = call.parameters["action"]
        label = "" if label in ("none", NOTHING) else label
        with call.writing() as connection:
            for host in call.select_hosts(connection):
                set_host(connection, host, **{field: label})

    return RocksCommand(
        f"set host {word}",
        run,
        arguments=(SOME_HOSTS, Argument("action", "The label of a boot action; none for none.", is_named=True)),
        description=f"Set which boot action hosts take when they {when}. `rocks list bootaction` shows them.",
        examples=((f"rocks set host {word} compute-0-3 {field.partition('_')[0].replace('run', 'os')}", ""),),
        changes=True,
    )


def _add_boot_action(call: Call) -> None:
    from rollbuild.cluster import BootAction, list_boot_actions, put_boot_action

    given = call.parameters
    with call.writing() as connection:
        label = given["action"]
        before = {action.label: action for action in list_boot_actions(connection)}.get(label, BootAction(label))
        fields = {name: given[name] if name in call.given else getattr(before, name) for name in _PARTS}
        put_boot_action(connection, BootAction(label, **fields))


def _remove_boot_action(call: Call) -> None:
    from rollbuild.cluster import remove_boot_action

    with call.writing() as connection:
        remove_boot_action(connection, call.parameters["action"])


_PARTS = ("kernel", "ramdisk", "args")

BOOT = RocksCommand(
    "set host boot",
    _set_boot,
    arguments=(SOME_HOSTS,),
    parameters=(
        Parameter("action", "install, os (run is the same) or rescue.  [as it is: only their boot files are written]"),
    ),
    description="Set what hosts do when they boot next. A host that was held after failed installs may install again.",
    examples=(
        ("rocks set host boot compute-0-3 action=install", "It installs itself when it boots next."),
        ("rocks set host boot rack1 action=os", "All hosts of rack 1 start their disks."),
    ),
    changes=True,
)
RUN_ACTION = _action_setter("runaction", "run_action", "start their disks")
INSTALL_ACTION = _action_setter("installaction", "install_action", "install")
ADD_ACTION = RocksCommand(
    "add bootaction",
    _add_boot_action,
    arguments=(Argument("action", "Its label.", is_named=True),),
    parameters=(
        Parameter("kernel", "A kernel of the netboot tree, or a command such as `localboot 0`."),
        Parameter("ramdisk", "Its initrd."),
        Parameter("args", "Arguments of the kernel."),
    ),
    description="Add a boot action, or change what is given of the one of this label.",
    examples=(('rocks add bootaction action="install serial" args="console=ttyS0,115200n8"', ""),),
    changes=True,
)
REMOVE_ACTION = RocksCommand(
    "remove bootaction",
    _remove_boot_action,
    arguments=(Argument("action", "Its label.", is_named=True),),
    description="Remove a boot action that no host uses.",
    examples=(('rocks remove bootaction "install serial"', ""),),
    changes=True,
)
