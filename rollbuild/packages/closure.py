"""What gets installed for some wanted packages: they themselves and all that they require."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollbuild.packages.repository import AvailablePackage, Repository

if TYPE_CHECKING:
    from rollbuild.packages.resolve import Unresolved


@dataclass(frozen=True, slots=True)
class Chosen:
    """A package that was chosen, and the repository that offers it."""

    package: AvailablePackage
    repository: Repository

    @property
    def sort_key(self) -> tuple[str, str, str]:
        return self.package.name, self.package.arch, self.package.full_label


@dataclass(frozen=True, slots=True)
class Closure:
    """The answer to "what does it take": `packages` to fetch and those that the `base` has, each sorted by name.

    Where there are `problems`, both are empty.
    """

    packages: tuple[Chosen, ...] = ()
    base: tuple[Chosen, ...] = ()
    problems: tuple["Unresolved", ...] = ()
