"""Every command of `rocks`: where it is defined, and what the help says in one line. Nothing here is imported early."""

from rollbuild.commands.rocks._table_of_changes import CHANGES
from rollbuild.commands.rocks._table_of_lists import LISTS, REPORTS

TABLE: dict[str, tuple[str, str]] = {**LISTS, **REPORTS, **CHANGES}
