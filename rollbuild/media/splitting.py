"""Which rolls go onto which disc, where all of them do not fit onto one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.packages import show_size

_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([KMGT]?)(i?)B?\Z", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_BLOCK = 2048
_FIXED = 600 * 1024  # descriptors, partitions, lists, padding
_UNIT = 1024 * 1024  # what a disc's size is rounded to, where isolinux boots it as a disk


@dataclass(frozen=True, slots=True)
class Amount:
    """How much a set of files takes on a disc."""

    blocks: int = 0
    files: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.blocks + other.blocks, self.files + other.files)

    @property
    def size(self) -> int:
        """Bytes on the disc, and not fewer; a file's names take about 700 bytes of folders and tables."""
        return self.blocks * _BLOCK + self.files * 700


def amount_of(size: int) -> Amount:
    """What one file of so many bytes takes."""
    return Amount(-(-size // _BLOCK), 1)


def parse_size(text: str) -> int:
    """Bytes of `4.7G` (as makers of discs count: powers of 1000) or `4.3GiB` (of 1024). Raises RollbuildError."""
    found = _SIZE.match(text.strip())
    size = int(float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].lower()]) if found else 0
    if not size:
        raise RollbuildError(f"{text!r} is no size of a disc", hint="such as 4.7G, 8.5G or 15GiB", exit_code=USAGE)
    return size


def disc_size(amount: Amount) -> int:
    """Bytes of a disc that holds this, and not fewer; up to a MiB more."""
    return -(-(amount.size + _FIXED) // _UNIT) * _UNIT


def split_rolls(first: Amount, rolls: Mapping[str, Amount], limit: int | None) -> tuple[tuple[str, ...], ...]:
    """The rolls of each disc; the first disc, which holds `first` too, may have none.

    Rolls come in the order of `rolls`, each onto the first disc that has room for it; none is divided. Raises
    RollbuildError, with sizes, when `first` or one roll alone is larger than `limit` bytes.
    """
    if limit is None:
        return (tuple(rolls),)
    if disc_size(first) > limit:
        raise RollbuildError(
            f"what must be on the first disc takes {show_size(disc_size(first))}, and --max-size is {show_size(limit)}",
            hint="--scope packages takes only what the appliances need, --scope boot no packages at all",
        )
    discs: list[list[str]] = [[]]
    used = [first]
    for name, amount in rolls.items():
        if disc_size(amount) > limit:
            raise RollbuildError(
                f"roll {name} takes {show_size(disc_size(amount))}, and --max-size is {show_size(limit)}",
                hint="the repository of a roll is never divided; take larger discs",
            )
        for number, taken in enumerate(used):
            if disc_size(taken + amount) <= limit:
                discs[number].append(name)
                used[number] += amount
                break
        else:
            discs.append([name])
            used.append(amount)
    return tuple(map(tuple, discs))
