"""What runs on the front end: discovery, configuration of DHCP, DNS and netboot, the Kickstart service, its page."""

from rollbuild.frontend import discovery
from rollbuild.frontend.applying import (
    Applied,
    Refusal,
    apply_boot_files,
    apply_configuration,
    ensure_applied,
)
from rollbuild.frontend.configuration import (
    Configuration,
    Link,
    PlannedFile,
    Service,
    diff_configuration,
    plan_configuration,
)
from rollbuild.frontend.directboot import installed_release, make_direct_boot
from rollbuild.frontend.discovery import Holder, find_holder
from rollbuild.frontend.kickstarts import KickstartMaker
from rollbuild.frontend.place import FrontEnd, Installer, choose_distribution, open_front_end
from rollbuild.frontend.serviceurls import kickstart_url
from rollbuild.frontend.serving import Listening, parse_listen, serve

__all__ = [
    "Applied",
    "Configuration",
    "FrontEnd",
    "Holder",
    "Installer",
    "KickstartMaker",
    "Link",
    "Listening",
    "PlannedFile",
    "Refusal",
    "Service",
    "apply_boot_files",
    "apply_configuration",
    "choose_distribution",
    "diff_configuration",
    "discovery",
    "ensure_applied",
    "find_holder",
    "installed_release",
    "kickstart_url",
    "make_direct_boot",
    "open_front_end",
    "parse_listen",
    "plan_configuration",
    "serve",
]
