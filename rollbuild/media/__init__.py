"""Media: netboot trees, and what the installer's kernel is given."""

from rollbuild.media.arguments import LINE_LIMIT, StaticNetwork, check_arguments, check_length, install_arguments
from rollbuild.media.dhcp import dhcp_files
from rollbuild.media.direct import BootFiles, DirectBoot, direct_boot, find_boot_files
from rollbuild.media.loaders import BIOS_LOADERS, FoundLoaders, Loaders, find_loaders
from rollbuild.media.menus import Menus
from rollbuild.media.netboot import GrubVerbs, NetbootTree, image_folder, make_netboot_tree
from rollbuild.media.placing import Written
from rollbuild.media.programs import Looked, check_with_programs
from rollbuild.media.table import BootAction, BootHost, BootNetwork, HostEntry, check_hosts

__all__ = [
    "BIOS_LOADERS",
    "LINE_LIMIT",
    "BootAction",
    "BootFiles",
    "BootHost",
    "BootNetwork",
    "DirectBoot",
    "FoundLoaders",
    "GrubVerbs",
    "HostEntry",
    "Loaders",
    "Looked",
    "Menus",
    "NetbootTree",
    "StaticNetwork",
    "Written",
    "check_arguments",
    "check_hosts",
    "check_length",
    "check_with_programs",
    "dhcp_files",
    "direct_boot",
    "find_boot_files",
    "find_loaders",
    "image_folder",
    "install_arguments",
    "make_netboot_tree",
]
