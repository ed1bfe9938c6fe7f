"""What lies in the store: `rocks list roll`, `rocks list distro`, and a host's Kickstart, `rocks list host profile`."""

from rollbuild.commands.rocks._command import Argument, Call, RocksCommand
from rollbuild.errors import USAGE, RollbuildError


def _roll(call: Call) -> None:
    from rollbuild.rolls import find_named

    index = call.front_end.store.read_index()
    found = [roll for name in call.arguments for roll in find_named(name, index)] if call.arguments else list(index)
    rows = [(roll.id.name, roll.id.version, roll.id.arch, "yes" if roll.enabled else "no") for roll in found]
    call.table(("name", "version", "arch", "enabled"), rows, keeps_owner=True)


def _distro(call: Call) -> None:
    from rollbuild.distribution import distribution_names, read_generations

    store = call.front_end.store
    rows = [
        (name, generation.number, "yes" if generation.is_current else "no")
        for name in distribution_names(store)
        for generation in read_generations(store, name)
    ]
    call.table(("distribution", "generation", "in-use"), rows, keeps_owner=True)


def _profile(call: Call) -> None:
    from rollbuild.frontend import KickstartMaker

    hosts = call.hosts
    if len(hosts) != 1:
        raise RollbuildError("must supply one host", hint=f"these words mean {len(hosts)}", exit_code=USAGE)
    call.write(KickstartMaker(call.front_end).render(hosts[0]))


ROLL = RocksCommand(
    "list roll",
    _roll,
    arguments=(Argument("roll", "Names of rolls; all when none is given.", is_required=False, is_repeated=True),),
    lists=True,
    description="`rollbuild roll list` says more of each.",
    examples=(("rocks list roll", "all rolls"),),
)
DISTRO = RocksCommand(
    "list distro",
    _distro,
    lists=True,
    description="The attribute `distribution` says which one hosts install from, where there are several.",
    examples=(("rocks list distro", "all distributions"),),
)
PROFILE = RocksCommand(
    "list host profile",
    _profile,
    arguments=(Argument("host", "Name, alias, address or MAC of a host.", completes="host"),),
    description="The same as the host gets when it installs, but without its token. It may hold hashes of passwords.",
    examples=(("rocks list host profile compute-0-0", "the Kickstart of one host"),),
)
