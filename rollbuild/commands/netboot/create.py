"""`rollbuild netboot create`: the tree that hosts boot from the network."""

import os
from collections import Counter
from pathlib import Path

import click

from rollbuild.commands._distro import find_distro
from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._report import Report
from rollbuild.commands._shown import counted, place_data
from rollbuild.commands._store import refuse_place, store_option
from rollbuild.commands._workspace_options import attribute_options
from rollbuild.commands.netboot._rows import read_rows
from rollbuild.commands.netboot._site import Given, make_network, make_urls, read_site
from rollbuild.console import Console
from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.findings import Finding, warning
from rollbuild.media import (
    BIOS_LOADERS,
    BootAction,
    BootHost,
    GrubVerbs,
    Looked,
    Menus,
    NetbootTree,
    Written,
    check_with_programs,
    find_boot_files,
    find_loaders,
    image_folder,
    make_netboot_tree,
)
from rollbuild.rolls import Store

_FILES_A_HOST = 3
_FOLDER = click.Path(path_type=Path)


@click.command(name="create")
@click.option("--distro", required=True, metavar="NAME[@N]", help="The distribution; @N for another than that in use.")
@click.option("--hosts", "hosts_file", metavar="FILE", help="Hosts with mac, address and boot_action: YAML or CSV.")
@click.option(
    "-o", "--output", required=True, metavar="DIR", type=_FOLDER, help="The tree; the top of what TFTP serves."
)
@click.option("--server", default="", metavar="ADDRESS", help="The front end's address.  [Kickstart_PrivateAddress]")
@click.option("--network", default="", metavar="CIDR", help="The hosts' network.  [Kickstart_PrivateNetwork]")
@click.option("--gateway", default="", metavar="ADDRESS", help="Their gateway.  [Kickstart_PrivateGateway]")
@click.option(
    "--nameserver",
    "nameservers",
    multiple=True,
    metavar="ADDRESS",
    help="Their name server; give it once for each.  [Kickstart_PrivateDNSServers]",
)
@click.option("--domain", default="", metavar="NAME", help="Their domain.  [Kickstart_PrivateDNSDomain]")
@click.option("--url", default="", metavar="URL", help="The tree over HTTP.  [http://HOST/BASEDIR/netboot]")
@click.option(
    "--tree-url",
    default="",
    metavar="URL",
    help="The distribution over HTTP.  [what it was made with, else http://HOST/BASEDIR/dist/RELEASE]",
)
@click.option(
    "--kickstart-url",
    default="",
    metavar="URL",
    help="Kickstarts; {host}, {mac} and {address} are filled in.  [http://SERVER/ks/{host}]",
)
@attribute_options
@click.option("--templates", metavar="DIR", type=_FOLDER, help="Templates of the site, in place of rollbuild's.")
@click.option(
    "--loaders",
    "loader_folders",
    multiple=True,
    metavar="DIR",
    type=_FOLDER,
    help="Look for boot loaders here first; give it once for each folder.",
)
@click.option("--bios", type=click.Choice(BIOS_LOADERS), help="What starts BIOS machines.  [pxelinux, else grub]")
@click.option("--ipxe/--no-ipxe", default=True, help="Whether machines whose firmware is iPXE get a script for it.")
@click.option(
    "--tftp-root",
    default="",
    metavar="DIR",
    help="Where the machine that serves the tree has it.  [the tree's own path]",
)
@click.option(
    "--replace", is_flag=True, help="Write over files of other origin that are in DIR, where it is no netboot tree yet."
)
@click.option("--check/--no-check", "is_checked", default=True, help="Whether GRUB, dnsmasq and Kea look at the files.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--json", "as_json", is_flag=True, help="Write what was done as JSON.")
@store_option
@common_options
@pass_session
def command(
    session: Session,
    /,
    distro: str,
    hosts_file: str | None,
    output: Path,
    attrs: tuple[str, ...],
    assignments: tuple[str, ...],
    templates: Path | None,
    loader_folders: tuple[Path, ...],
    bios: str | None,
    ipxe: bool,
    tftp_root: str,
    replace: bool,
    is_checked: bool,
    strict: bool,
    as_json: bool,
    store: Store,
    **given: object,
) -> None:
    """Make the tree that hosts boot from the network, or bring one up to date.

    DIR then holds boot loaders, kernel and initrd of the installer, what each loader reads for each host, and the
    configuration of a DHCP server. Serve it by TFTP and by HTTP. A host of the file does what its attribute boot_action
    says: install, os (its local disk, as without one) or rescue. All other machines start their local disk.

    One table makes one tree: hosts that FILE does not name any more lose their files. Only what changed is written.
    """
    console = session.console
    generation = find_distro(store, distro)
    boot = find_boot_files(generation)
    if boot.arch != "x86_64":
        raise RollbuildError(f"{generation} is for {boot.arch}; a netboot tree is made for x86_64 only")
    if not str(output).strip() or str(output) == ".":
        raise RollbuildError("-o needs the name of a folder of its own", exit_code=USAGE)
    refuse_place(output, store, "a netboot tree")
    if tftp_root and not tftp_root.startswith("/"):
        hint = "it is the folder's whole path on the machine that serves the tree, such as /srv/netboot"
        raise RollbuildError(f"--tftp-root: {tftp_root!r} does not begin with /", hint=hint, exit_code=USAGE)
    if output.exists() and not output.is_dir():
        raise RollbuildError(f"{output} is there and is no folder", exit_code=USAGE)
    site = read_site(generation, attrs, assignments)
    options = Given(**given)  # type: ignore[arg-type]
    network = make_network(site, options)
    urls = make_urls(site, options, generation, network)
    menus = Menus(templates)
    report = Report(console, strict=strict)
    hosts: tuple[BootHost, ...] = ()
    try:
        hosts = read_rows(hosts_file, site, network, urls, boot.release, image_folder(generation), report)
    except FindingsError as problem:
        report.add(problem.findings)  # told together with what is found below
    found = find_loaders(generation.folder, loader_folders, bios=bios or "", ipxe=ipxe)
    report.add(found.findings)
    report.add(_unreadable(output))
    report.finish()
    tree = NetbootTree(
        folder=output,
        generation=generation,
        images={"vmlinuz": boot.kernel, "initrd.img": boot.initrd},
        hosts=hosts,
        network=network,
        loaders=found,
        verbs=GrubVerbs.of_menu(generation.folder / "EFI/BOOT/grub.cfg"),
        tftp_root=tftp_root or os.path.abspath(output),
    )
    looked = check_with_programs(tree.sample(menus)) if is_checked else None
    with console.progress(_FILES_A_HOST * len(hosts), "writing hosts' files") as advance:
        written, removed = make_netboot_tree(tree, menus, replace=replace, advance=advance)
    _tell(console, tree, written, removed, looked)
    if as_json:
        console.json(_data(tree, written, removed, looked, report.kept()))


def _unreadable(tree: Path) -> tuple[Finding, ...]:
    """A warning when a TFTP server that runs as another user could not get to the tree."""
    for folder in reversed([Path(os.path.abspath(tree)), *Path(os.path.abspath(tree)).parents]):
        if folder.is_dir() and folder.stat().st_mode & 0o005 != 0o005:
            message = f"servers that do not run as root cannot read {folder}"
            return (warning("BOOT-TREE", message, hint=f"chmod o+rx {folder}, or put the tree elsewhere"),)
    return ()


def _tell(
    console: Console, tree: NetbootTree, written: Written, removed: tuple[str, ...], looked: Looked | None
) -> None:
    actions = Counter(str(host.action) for host in tree.hosts)
    listed = ", ".join(f"{actions[action]:,} {action}" for action in BootAction if actions[action])
    console.say(f"{tree.folder} boots {tree.generation}: {counted(len(tree.hosts), 'host')}{listed and f' ({listed})'}")
    gone = f", {written.removed:,} removed" if written.removed else ""
    console.say(f"  {counted(written.written, 'file')} written, {written.kept:,} as they were{gone}")
    for name in removed:
        console.say(f"  removed images/{name}")
    loaders = tree.loaders.loaders
    for what, path in (
        ("BIOS", loaders.bios),
        ("UEFI", loaders.uefi),
        ("HTTP", loaders.uefi_http),
        ("iPXE", loaders.ipxe),
    ):
        console.detail(f"  {what}: {path or 'none'}")
    if looked is not None and looked.by:
        console.say(f"  accepted by {', '.join(looked.by)}")
    if looked is not None and looked.missing:
        console.say(f"  not checked by {', '.join(looked.missing)}: not on this machine")
    console.say(f"serve it by TFTP and as {tree.network.url}; for DHCP see {tree.folder / 'dhcp'}")


def _data(
    tree: NetbootTree,
    written: Written,
    removed: tuple[str, ...],
    looked: Looked | None,
    findings: tuple[Finding, ...],
) -> dict[str, object]:
    loaders = tree.loaders.loaders
    return {
        "path": str(tree.folder),
        "distribution": tree.generation.distribution,
        "generation": tree.generation.number,
        "images": tree.image_folder,
        "url": tree.network.url,
        "loaders": {
            "bios": loaders.bios,
            "uefi": loaders.uefi,
            "uefi_http": loaders.uefi_http,
            "ipxe": loaders.ipxe,
        },
        "hosts": [
            {
                "name": host.name,
                "mac": host.mac,
                "address": host.address,
                "action": str(host.action),
                "kernel": host.kernel,
                "initrd": host.initrd,
                "arguments": list(host.arguments),
            }
            for host in tree.hosts
        ],
        "written": written.written,
        "kept": written.kept,
        "removed": written.removed,
        "removed_images": list(removed),
        "checked": list(looked.by) if looked else [],
        "not_checked": list(looked.missing) if looked else [],
        "findings": [
            {
                "severity": str(finding.severity),
                "code": finding.code,
                **place_data(finding.location),
                "message": finding.message,
                "hint": finding.hint,
            }
            for finding in findings
        ],
    }
