"""Where something of the description stands, as people look for it: `base/nodes/base.xml:12`."""

from collections.abc import Iterable
from pathlib import Path

from rollbuild.language import Description, Roll
from rollbuild.location import Location


class Places:
    """Spells the places of a description below the folders of its rolls, and knows whose node a file is."""

    def __init__(self, rolls: Iterable[Roll], folder: Path) -> None:
        """`folder` is that of the generation, which no place names."""
        self._tops = sorted(((f"{roll.folder.rstrip('/')}/", roll.name) for roll in rolls), reverse=True)
        self._top = f"{folder}/"

    def spell(self, location: Location) -> str:
        """`ROLL/nodes/NAME.xml:LINE`; the store's own folders are left out."""
        file = location.file
        for top, roll in self._tops:
            if file.startswith(top):
                file = f"{roll}/{file.removeprefix(top)}"
                break
        return str(Location(file.removeprefix(self._top), location.line))

    def shorten(self, text: str) -> str:
        """A message without the store's own folders."""
        for top, roll in self._tops:
            text = text.replace(top, f"{roll}/")
        return text.replace(self._top, "")


def owners_of(description: Description, names: Iterable[str]) -> dict[str, str]:
    """File -> node, for the files of some nodes."""
    return {file.path: name for name in names if name in description for file in description.node(name).files}
