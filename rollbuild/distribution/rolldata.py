"""What templates may know of a generation's rolls, read from the generation itself."""

import configparser
from urllib.parse import quote, unquote

from rollbuild.distribution.generation import Generation
from rollbuild.distribution.provenance import read_provenance
from rollbuild.distribution.repofile import REPO_FILE, DnfRepository, describe_rolls
from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.location import Location

_LIMIT = 4 * 1024 * 1024


def read_roll_data(generation: Generation) -> list[dict[str, object]]:
    """The data `rolls` that the generation's own Kickstarts were compiled with: each roll that has packages.

    Raises RollbuildError for a generation that is damaged.
    """
    provenance = read_provenance(generation.folder)
    path = generation.folder / REPO_FILE
    sections = configparser.ConfigParser(interpolation=None, default_section="", strict=False)
    try:
        sections.read_string(read_limited(path, _LIMIT).decode())
    except (configparser.Error, UnicodeDecodeError) as problem:
        message = f"this file is damaged: {' '.join(str(problem).split())}"
        hint = "make a new generation: rollbuild distro create"
        raise RollbuildError(message, location=Location(str(path)), hint=hint) from None
    versions = {roll.id.name: (roll.id.version, roll.id.release) for roll in provenance.rolls}
    found = []
    for name, place, _ in provenance.repositories:
        repository = DnfRepository(name, place, name not in versions, 0, False)
        if repository.is_os or not sections.has_section(repository.id):
            continue
        section = sections[repository.id]
        top = section.get("baseurl", "").removesuffix(f"/{quote(place)}")
        keys = tuple(unquote(key.removeprefix(f"{top}/")) for key in section.get("gpgkey", "").split())
        found.append(
            DnfRepository(
                name=name,
                path=place,
                is_os=False,
                priority=section.getint("priority", 99),
                is_checked=section.get("gpgcheck", "1") == "1",
                keys=keys,
                has_hotfixes=section.get("module_hotfixes", "0") == "1",
            )
        )
    return describe_rolls(found, versions, str(provenance.options.get("url") or ""))
