"""The front end: its database, its store, and what it keeps in memory of generations, which never change."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.cluster import Database, open_database
from rollbuild.distribution import Generation, distribution_names, find_generation, read_provenance
from rollbuild.errors import RollbuildError
from rollbuild.files import system_path
from rollbuild.media import BootFiles, GrubVerbs, Menus, find_boot_files, image_folder
from rollbuild.rolls import Store

STORE_VARIABLE = "ROLLBUILD_STORE"
_STORE = "/export/rollbuild"
_TEMPLATES = "/etc/rollbuild/templates"


@dataclass(frozen=True, slots=True)
class Installer:
    """What installs hosts from one generation: `url` is where its tree is, if it says so itself; `images` the folder
    of kernel and initrd in the netboot tree."""

    generation: Generation
    boot: BootFiles
    verbs: GrubVerbs
    url: str
    images: str


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What the commands and the service of a front end work on; many threads may share one."""

    database: Database
    store: Store
    _installers: dict[tuple[str, int], Installer] = field(default_factory=dict, repr=False, compare=False)
    _menus: dict[str, Menus] = field(default_factory=dict, repr=False, compare=False)

    def menus(self) -> Menus:
        """The templates of boot loaders, those of the site in /etc/rollbuild/templates before rollbuild's own.

        Raises RollbuildError.
        """
        folder = system_path(_TEMPLATES)
        menus = Menus(folder if folder.is_dir() else None)
        # Templates that were read once are compiled; they are kept until a file of them differs.
        return self._menus.setdefault(menus.digest(), menus)

    def installer(self, generation: Generation) -> Installer:
        """What installs hosts from a generation. Raises RollbuildError where it has no kernel or initrd."""
        key = (generation.distribution, generation.number)
        if (found := self._installers.get(key)) is None:
            boot = find_boot_files(generation)
            own = str(read_provenance(generation.folder).options.get("url") or "")
            url = own.rstrip("/") if own.startswith(("http://", "https://")) else ""
            verbs = GrubVerbs.of_menu(generation.folder / "EFI/BOOT/grub.cfg")
            found = self._installers[key] = Installer(generation, boot, verbs, url, image_folder(generation))
        return found


def open_front_end(url: str | None = None, store: Store | Path | None = None) -> FrontEnd:
    """The front end of this machine.

    `url` is that of its database (None: `find_database_url`); `store` its store or that one's folder (None:
    ROLLBUILD_STORE, else /export/rollbuild). Raises what `open_database` raises.
    """
    if store is None:
        store = Path(os.environ.get(STORE_VARIABLE) or system_path(_STORE))
    return FrontEnd(open_database(url), store if isinstance(store, Store) else Store(store))


def choose_distribution(store: Store, named: str) -> Generation:
    """The generation in use of the distribution that the attribute `distribution` names, else of the only one.

    Raises RollbuildError where there is none, or several and none is named.
    """
    if named:
        try:
            return find_generation(store, named)
        except RollbuildError as problem:
            hint = f"correct the attribute `distribution`: {problem.hint}" if problem.hint else ""
            raise RollbuildError(problem.message, hint=hint) from None
    names = distribution_names(store)
    if len(names) == 1:
        return find_generation(store, names[0])
    if not names:
        hint = "rollbuild distro create makes one"
        raise RollbuildError(f"there is no distribution in {store.folder} that hosts could install from", hint=hint)
    raise RollbuildError(
        f"there are several distributions ({', '.join(names)}), and nothing says which one hosts install from",
        hint=f"rocks set attr distribution {names[-1]}",
    )
