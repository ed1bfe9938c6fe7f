"""What an install medium is to be."""

from dataclasses import dataclass, field

from rollbuild.media.bootmenu import LOCAL
from rollbuild.media.hostiso import HostInstall
from rollbuild.media.menus import Menus

SCOPES = ("boot", "packages", "full")
FIRMWARES = ("bios", "uefi")


@dataclass(frozen=True, slots=True)
class WantedDvd:
    """What to put onto a medium. `appliances`: all that have Kickstarts when none is named. `max_size` is in bytes,
    `timeout` in seconds; `default` is the entry that starts after it: `local` or an appliance. `required`: the kinds
    of firmware (bios, uefi) without which nothing is written. `host`: the medium is for this one host."""

    appliances: tuple[str, ...] = ()
    scope: str = "full"
    max_size: int | None = None
    label: str = ""
    arguments: tuple[str, ...] = ()
    timeout: int = 60
    default: str = LOCAL
    required: tuple[str, ...] = ()
    host: HostInstall | None = None
    menus: Menus = field(default_factory=Menus)
