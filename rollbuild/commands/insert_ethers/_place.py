"""Where new hosts go, from options and database: looked at before any machine is waited for."""

from rollbuild.cluster import (
    check_address,
    check_host_name,
    find_appliance,
    find_host,
    find_network,
    lies_in,
    spell_address,
)
from rollbuild.commands.insert_ethers._options import Wanted
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.frontend import FrontEnd, discovery


def read_placement(front_end: FrontEnd, wanted: Wanted) -> discovery.Placement:
    """Raises RollbuildError for a name or an address that no new host could have."""
    rack = wanted.rack
    with front_end.database.reading() as c:
        if wanted.hostname:
            check_host_name(c, wanted.hostname)
        if wanted.replace:
            rack = find_host(c, wanted.replace).rack
        if wanted.ipaddr and not wanted.replace:
            check_address(c, wanted.ipaddr, discovery.NETWORK)
        if wanted.baseip:
            network = find_network(c, discovery.NETWORK)
            if not lies_in(spell_address(wanted.baseip), network):
                hint = f"it is from {network.network[1]} to {network.network[-2]}"
                message = f"--baseip {wanted.baseip} is for no host of network {network.name} ({network.network})"
                raise RollbuildError(message, hint=hint, exit_code=USAGE)
    return discovery.Placement(
        rack=rack,
        rank=wanted.rank,
        base_name=wanted.basename,
        host=wanted.hostname,
        address=wanted.ipaddr,
        base_address=wanted.baseip,
        step=wanted.inc,
        is_held=wanted.hold,
        replaced=wanted.replace,
    )


def find_membership(front_end: FrontEnd, wanted: Wanted) -> discovery.Membership | None:
    """The membership that the options name, also one that is not public; None where the menu is to be shown.

    Raises RollbuildError for one that there is not.
    """
    with front_end.database.reading() as c:
        name = wanted.membership
        if wanted.replace:
            own = find_host(c, wanted.replace).membership
            if name and find_appliance(c, name).membership != own:
                raise RollbuildError(
                    f"{wanted.replace} is of the membership {own}, and --replace keeps it",
                    hint="`rocks set host membership` gives a host another",
                    exit_code=USAGE,
                )
            name = own
        if not name:
            return None
        try:
            found = find_appliance(c, name)
        except RollbuildError as problem:
            memberships = ", ".join(one.name for one in discovery.read_memberships(c))
            message = f"Could not find appliance ({name}) in database"
            raise RollbuildError(message, hint=problem.hint or f"there are: {memberships}", exit_code=USAGE) from None
    return discovery.Membership(found.membership, found.name, bool(found.root))
