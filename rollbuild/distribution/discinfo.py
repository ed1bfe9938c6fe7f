"""`.discinfo`: the three or four lines that name a medium."""

import re
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.location import Location

FILE = ".discinfo"
_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class DiscInfo:
    """What a `.discinfo` says. `timestamp`: seconds since 1970, as text, with a fraction or without; `discs`: numbers
    of the discs that it is, empty for all.
    """

    timestamp: str
    description: str
    arch: str
    discs: tuple[int, ...] = ()

    def to_text(self) -> str:
        """The file."""
        return f"{self.timestamp}\n{self.description}\n{self.arch}\n{','.join(map(str, self.discs)) or 'ALL'}\n"


def read_discinfo(path: Path) -> DiscInfo:
    """Read a `.discinfo`. Raises RollbuildError: REFUSED for one that is damaged, DISK when it cannot be read."""
    return parse_discinfo(read_limited(path, _LIMIT), str(path))


def parse_discinfo(data: bytes, shown: str) -> DiscInfo:
    """The same from its bytes; `shown` names the file in errors. Raises RollbuildError."""
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    if len(lines) < 3 or not re.match(r"\d{1,12}(\.\d*)?\Z", lines[0]):
        raise RollbuildError(
            "this is no .discinfo: a time, a name and an architecture are expected, each in its line",
            location=Location(shown, 1 if len(lines) >= 3 else 0),
        )
    discs = lines[3] if len(lines) > 3 else ""
    numbers = tuple(map(int, discs.split(","))) if re.match(r"\d{1,4}(,\d{1,4})*\Z", discs) else ()
    return DiscInfo(lines[0], lines[1], lines[2], numbers)
