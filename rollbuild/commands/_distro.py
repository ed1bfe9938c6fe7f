"""How commands name a generation: `NAME` for the one in use, `NAME@N` for another."""

from rollbuild.distribution import Generation, find_generation
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.rolls import Store


def find_distro(store: Store, text: str) -> Generation:
    """The generation of `NAME` or `NAME@N`. Raises RollbuildError."""
    name, sign, number = text.partition("@")
    if sign and not (number.isascii() and number.isdigit() and len(number) < 10):
        raise RollbuildError(f"{text!r} is no generation", hint="such as cluster@3, or cluster alone", exit_code=USAGE)
    return find_generation(store, name, int(number) if sign else None)
