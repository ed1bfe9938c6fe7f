"""What differs between el7, el8, el9 and el10, as data, and writing Kickstart commands accordingly."""

from rollbuild.releases.adapt import Adapted, Status, adapt_command, adapt_packages_options
from rollbuild.releases.release import (
    RELEASES,
    ArgumentRule,
    CommandRule,
    Release,
    Requirement,
    load_release,
)

__all__ = [
    "RELEASES",
    "Adapted",
    "ArgumentRule",
    "CommandRule",
    "Release",
    "Requirement",
    "Status",
    "adapt_command",
    "adapt_packages_options",
    "load_release",
]
