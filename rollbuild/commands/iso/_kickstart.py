"""The Kickstart that goes onto an image: from a file, or of an appliance of a distribution."""

from dataclasses import dataclass
from pathlib import Path

from rollbuild.commands._distro import find_distro
from rollbuild.console import Console
from rollbuild.distribution import read_provenance
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import warning
from rollbuild.media import DiscKickstart, prepare_kickstart
from rollbuild.rolls import Store

_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GivenKickstart:
    """A Kickstart, and where it lies on a medium."""

    place: str
    kickstart: DiscKickstart

    def placed(self) -> tuple[str, bytes]:
        """(path on the medium, content)."""
        return self.place, self.kickstart.content

    def tell(self, console: Console) -> None:
        """What there is to know about it."""
        if self.kickstart.ejects:
            console.say(f"  {self.place}: `reboot` is `reboot --eject` on the medium")
        if self.kickstart.has_secrets:
            message = "the Kickstart holds secrets (such as the hash of root's password)"
            hint = "whoever has the image can read them: keep it as you keep a key"
            console.print_finding(warning("DISC-SECRET", message, hint=hint))


def read_kickstart(store: Store, ks: Path | None, distro: str | None, appliance: str | None) -> GivenKickstart | None:
    """The Kickstart that options name, if they name one. Raises RollbuildError."""
    if ks is not None:
        if distro or appliance:
            raise RollbuildError("--ks and --distro both name a Kickstart", hint="give one of them", exit_code=USAGE)
        content = read_limited(ks, _LIMIT)
        if not content.strip():
            raise RollbuildError(f"{ks} is empty: that is no Kickstart")
        return GivenKickstart("ks.cfg", prepare_kickstart(ks.name, content))
    if not distro:
        if appliance:
            raise RollbuildError("--appliance needs --distro, which has its Kickstart", exit_code=USAGE)
        return None
    generation = find_distro(store, distro)
    name = appliance or "frontend"
    known = read_provenance(generation.folder).appliances
    if name not in known:
        hint = f"there is: {', '.join(sorted(known)) or 'none'}; name it with --appliance"
        raise RollbuildError(f"{generation} has no Kickstart of an appliance {name}", hint=hint, exit_code=USAGE)
    content = read_limited(generation.folder / "kickstarts" / f"{name}.ks", _LIMIT)
    return GivenKickstart(f"ks/{name}.ks", prepare_kickstart(name, content))
