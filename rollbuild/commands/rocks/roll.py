"""`rocks add|enable|disable|remove roll` and `rocks create distro`: what `rollbuild roll` and `distro` do."""

from collections.abc import Sequence

from rollbuild.commands.rocks._command import Argument, Call, Parameter, RocksCommand
from rollbuild.errors import USAGE, RollbuildError


def _run(call: Call, words: Sequence[str]) -> int:
    """Run a command of rollbuild with the store and the console of this one."""
    from rollbuild.commands.main import main

    options = [f"--color={call.console.color}"]
    options += ["-q"] * (call.console.verbosity < 0) + ["-v"] * (call.console.verbosity > 0)
    store = ["--store", str(call.front_end.store.folder)]
    return main([*options, *words[:2], *store, *words[2:]])


def _applied(call: Call, code: int) -> int:
    """Hosts may install from another distribution now: the files of their boots follow."""
    from rollbuild.commands.rocks._changing import apply_changes

    return max(code, apply_changes(call)) if code == 0 else code


def _add(call: Call) -> int:
    return _run(call, ["roll", "add", *(["--enable"] if call.flag("enable") else []), "--", *call.arguments])


def _enable(call: Call) -> int:
    return _run(call, ["roll", "enable", "--", *call.arguments])


def _disable(call: Call) -> int:
    return _run(call, ["roll", "disable", "--", *call.arguments])


def _remove(call: Call) -> int:
    return _run(call, ["roll", "remove", "--", *call.arguments])


def _create_distro(call: Call) -> int:
    from rollbuild.distribution import distribution_names, find_generation, os_tree_names, read_provenance

    store = call.front_end.store
    names, trees = distribution_names(store), os_tree_names(store)
    name, tree = call.argument, call.parameters["os"]
    if not name:
        if len(names) > 1:
            hint = f"there are {', '.join(names)}: rocks create distro NAME"
            raise RollbuildError("nothing says which distribution is made", hint=hint, exit_code=USAGE)
        name = names[0] if names else trees[0] if len(trees) == 1 else ""
    if not tree and name in names:
        tree = read_provenance(find_generation(store, name).folder).os_name
    if not tree:
        if len(trees) != 1:
            hint = f"os= is one of {', '.join(trees)}" if trees else "rollbuild distro import-os DVD.iso brings one"
            raise RollbuildError("nothing says which OS tree the distribution is made of", hint=hint, exit_code=USAGE)
        (tree,) = trees
    if not name:
        name = tree
    return _applied(call, _run(call, ["distro", "create", "--os", tree, "--", name]))


_ROLLS = Argument("roll", "NAME or NAME-VERSION of a roll in the store.", is_repeated=True, completes="roll")

ADD = RocksCommand(
    "add roll",
    _add,
    arguments=(Argument("roll", "ISOs, folders or URLs with rolls.", is_repeated=True, completes="file"),),
    parameters=(Parameter("enable", "Whether to enable them too.", kind="boolean", default="no"),),
    description="Bring rolls into the store. `rollbuild roll add` is the same, with more options.",
    examples=(("rocks add roll hpc-1.0.iso", ""),),
)
ENABLE = RocksCommand(
    "enable roll",
    _enable,
    arguments=(_ROLLS,),
    description="Have distributions made from now on have these rolls: rollbuild roll enable.",
    examples=(("rocks enable roll hpc", "Then: rocks create distro"),),
)
DISABLE = RocksCommand(
    "disable roll",
    _disable,
    arguments=(_ROLLS,),
    description="Have distributions made from now on do without these rolls: rollbuild roll disable.",
    examples=(("rocks disable roll hpc", ""),),
)
REMOVE = RocksCommand(
    "remove roll",
    _remove,
    arguments=(_ROLLS,),
    description="Remove disabled rolls from the store: rollbuild roll remove.",
    examples=(("rocks remove roll hpc-1.0", ""),),
)
CREATE_DISTRO = RocksCommand(
    "create distro",
    _create_distro,
    arguments=(Argument("distro", "The distribution.  [the only one]", is_required=False),),
    parameters=(Parameter("os", "The OS tree.  [that of the last generation, or the only one]"),),
    description="Make a new generation of a distribution from the OS tree and the enabled rolls, and have hosts "
    "install from it. `rollbuild distro create` is the same, with more options.",
    examples=(("rocks create distro", ""),),
)
