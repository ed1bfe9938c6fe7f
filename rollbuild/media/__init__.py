"""Media: netboot trees, and what the installer's kernel is given."""

from rollbuild.media.arguments import (
    LINE_LIMIT,
    StaticNetwork,
    check_arguments,
    check_length,
    fits_loaders,
    install_arguments,
)
from rollbuild.media.bootmenu import BootMenu, MenuEntry, check_label
from rollbuild.media.dhcp import dhcp_files
from rollbuild.media.direct import BootFiles, DirectBoot, direct_boot, find_boot_files
from rollbuild.media.dvd import MadeDisc, MadeDvd, create_dvd
from rollbuild.media.hostiso import HostInstall, describe_host
from rollbuild.media.kickstarts import DiscKickstart, prepare_kickstart
from rollbuild.media.loaders import BIOS_LOADERS, FoundLoaders, Loaders, find_loaders
from rollbuild.media.menus import Menus
from rollbuild.media.modifying import Modification, Modified, modify_iso
from rollbuild.media.netboot import GrubVerbs, NetbootTree, image_folder, make_netboot_tree
from rollbuild.media.oemdrv import write_oemdrv
from rollbuild.media.placing import Written
from rollbuild.media.programs import Looked, check_with_programs
from rollbuild.media.splitting import parse_size
from rollbuild.media.table import BootAction, BootHost, BootNetwork, HostEntry, check_hosts, is_address, is_mac
from rollbuild.media.updating import ClusterTree, differing_files, update_boot_files, update_cluster_tree
from rollbuild.media.wanted import FIRMWARES, SCOPES, WantedDvd

__all__ = [
    "BIOS_LOADERS",
    "FIRMWARES",
    "LINE_LIMIT",
    "SCOPES",
    "BootAction",
    "BootFiles",
    "BootHost",
    "BootMenu",
    "BootNetwork",
    "ClusterTree",
    "DirectBoot",
    "DiscKickstart",
    "FoundLoaders",
    "GrubVerbs",
    "HostEntry",
    "HostInstall",
    "Loaders",
    "Looked",
    "MadeDisc",
    "MadeDvd",
    "MenuEntry",
    "Menus",
    "Modification",
    "Modified",
    "NetbootTree",
    "StaticNetwork",
    "WantedDvd",
    "Written",
    "check_arguments",
    "check_hosts",
    "check_label",
    "check_length",
    "check_with_programs",
    "create_dvd",
    "describe_host",
    "dhcp_files",
    "differing_files",
    "direct_boot",
    "find_boot_files",
    "find_loaders",
    "fits_loaders",
    "image_folder",
    "install_arguments",
    "is_address",
    "is_mac",
    "make_netboot_tree",
    "modify_iso",
    "parse_size",
    "prepare_kickstart",
    "update_boot_files",
    "update_cluster_tree",
    "write_oemdrv",
]
