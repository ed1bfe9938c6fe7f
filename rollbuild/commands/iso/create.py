"""`rollbuild iso create`: a distribution becomes an image that boots and installs."""

from pathlib import Path

import click

from rollbuild.commands._distro import find_distro
from rollbuild.commands._hosts import read_hosts
from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._shown import counted
from rollbuild.commands._store import print_findings, refuse_place, show_size, store_option
from rollbuild.console import Console
from rollbuild.distribution import Generation, read_provenance
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.media import (
    FIRMWARES,
    SCOPES,
    HostInstall,
    MadeDvd,
    Menus,
    WantedDvd,
    create_dvd,
    describe_host,
    parse_size,
)
from rollbuild.rolls import Store


@click.command(name="create")
@click.option("--distro", required=True, metavar="NAME[@N]", help="The distribution, or one generation of it.")
@click.option(
    "--appliance",
    "appliances",
    multiple=True,
    metavar="NAME",
    help="Have a menu entry for this appliance; give it once for each.  [all that have a Kickstart]",
)
@click.option(
    "-o", "--output", required=True, metavar="FILE.iso", type=click.Path(path_type=Path), help="The image to write."
)
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    help="What is on the medium: what it takes to boot; also the packages that its appliances need; or all packages.  "
    "[full; boot with --host]",
)
@click.option("--max-size", metavar="SIZE", help="Make several discs, none larger than this: 4.7G, 8.5G, 15GiB.")
@click.option("--label", default="", metavar="LABEL", help="The volume id, A-Z 0-9 _ -.  [RB-NAME-N-ARCH]")
@click.option(
    "--templates",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Templates of boot menus to use instead of rollbuild's own.",
)
@click.option("--arguments", default="", metavar="TEXT", help="More arguments for the installer's kernel.")
@click.option(
    "--timeout",
    type=click.IntRange(1, 3599),
    default=60,
    metavar="SECONDS",
    help="How long the menu waits before it starts its default entry.  [60]",
)
@click.option(
    "--default",
    default="local",
    metavar="APPLIANCE",
    help="What starts then: the local disk, or the install of an appliance without any question.  [local]",
)
@click.option("--require", default="", metavar="LIST", help="Refuse to write what does not boot on: bios, uefi.")
@click.option("--host", metavar="NAME", help="Make a medium for this host of --hosts, with its address.")
@click.option("--hosts", metavar="FILE", help="The hosts, YAML or CSV, with address, netmask, gateway, mac.")
@click.option("--url", default="", metavar="URL", help="Where a host finds the distribution's tree.  [its own --url]")
@click.option(
    "--kickstart-url", default="", metavar="URL", help="Where a host finds its Kickstart; {host} stands for its name."
)
@click.option("--json", "as_json", is_flag=True, help="Write what was made as JSON.")
@store_option
@common_options
@pass_session
def command(
    session: Session,
    /,
    distro: str,
    appliances: tuple[str, ...],
    output: Path,
    scope: str | None,
    max_size: str | None,
    label: str,
    templates: Path | None,
    arguments: str,
    timeout: int,
    default: str,
    require: str,
    host: str | None,
    hosts: str | None,
    url: str,
    kickstart_url: str,
    as_json: bool,
    store: Store,
) -> None:
    """Make an install DVD of a distribution: an image for a disc, a stick or a virtual drive.

    It boots on BIOS and on UEFI, with Secure Boot, as far as the OS tree has loaders for them, which stay as they are.
    Its menu installs each appliance with the Kickstart that is on the medium; left alone, it starts the local disk.

    With --host the medium is for one machine in a network without DHCP: it has the machine's address, and takes
    everything else from the network.

    A former image stays when anything fails.
    """
    console = session.console
    refuse_place(output, store, "an image")
    generation = find_distro(store, distro)
    wanted = WantedDvd(
        appliances=appliances,
        scope=scope or ("boot" if host else "full"),
        max_size=parse_size(max_size) if max_size else None,
        label=label,
        arguments=tuple(arguments.split()),
        timeout=timeout,
        default=default,
        required=_firmwares(require),
        host=_host(generation, host, hosts, url, kickstart_url, scope, appliances),
        menus=Menus(templates),
    )
    made = create_dvd(generation, wanted, output, progress=console.progress)
    print_findings(console, made.findings)
    _tell(console, generation, wanted, made)
    if as_json:
        console.json(_data(generation, wanted, made))


def _firmwares(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in FIRMWARES]:
        known = ", ".join(FIRMWARES)
        raise RollbuildError(f"there is no firmware {unknown[0]!r}", hint=f"--require {known}", exit_code=USAGE)
    return names


def _host(
    generation: Generation,
    name: str | None,
    hosts: str | None,
    url: str,
    kickstart_url: str,
    scope: str | None,
    appliances: tuple[str, ...],
) -> HostInstall | None:
    if name is None:
        if hosts or url or kickstart_url:
            raise RollbuildError(
                "--hosts, --url and --kickstart-url are for the medium of one host",
                hint="name it: --host NAME",
                exit_code=USAGE,
            )
        return None
    if hosts is None:
        raise RollbuildError("--host needs --hosts FILE, which says what its address is", exit_code=USAGE)
    if appliances or scope not in (None, "boot"):
        raise RollbuildError("the medium of one host holds no packages and no other Kickstart", exit_code=USAGE)
    entries = {entry.name: entry for entry in read_hosts(hosts)}
    if name not in entries:
        import difflib

        near = difflib.get_close_matches(name, entries, n=1)
        raise RollbuildError(
            f"{hosts} has no host {name}", hint=f"did you mean {near[0]}?" if near else "", exit_code=USAGE
        )
    tree = url or str(read_provenance(generation.folder).options.get("url") or "")
    for what, given, option in (("tree", tree, "--url"), ("Kickstart", kickstart_url, "--kickstart-url")):
        if not given.startswith(("http://", "https://", "ftp://", "nfs:")):
            message = f"{given!r} is no URL" if given else f"where the host finds its {what} is not known"
            hint = f"give {option} http://10.1.1.1/..."
            raise RollbuildError(message, hint=hint, exit_code=USAGE)
    entry = entries[name]
    return describe_host(name, entry.attributes, entry.location, tree_url=tree, kickstart_url=kickstart_url)


def _tell(console: Console, generation: Generation, wanted: WantedDvd, made: MadeDvd) -> None:
    for number, disc in enumerate(made.discs, 1):
        rolls = f"; rolls {', '.join(disc.rolls)}" if disc.rolls and wanted.scope != "boot" else ""
        which = f" (disc {number} of {len(made.discs)})" if len(made.discs) > 1 else ""
        console.say(f"wrote {disc.path}{which}: {show_size(disc.size)}, label {disc.label}{rolls}")
    firmware = " and ".join({"bios": "BIOS", "uefi": "UEFI"}[name] for name in made.firmwares)
    packages = f", {counted(made.packages, 'package')}" if made.packages else ", no packages"
    console.say(f"  {generation}, scope {wanted.scope}{packages}; boots on {firmware}")
    installs = [entry.title for entry in made.entries if entry.action == "install"]
    console.say(f"  menu: {', '.join(installs)}; after {wanted.timeout} seconds {_default_of(wanted)}")
    for kickstart in made.kickstarts:
        if kickstart.ejects:
            console.say(f"  ks/{kickstart.name}.ks: `reboot` is `reboot --eject` on the medium")
    console.say(f"  checksum: {made.discs[0].path}.sha256; the image carries one too, for `checkisomd5`")


def _default_of(wanted: WantedDvd) -> str:
    return "the local disk" if wanted.default == "local" else f"it installs {wanted.default}"


def _data(generation: Generation, wanted: WantedDvd, made: MadeDvd) -> dict[str, object]:
    return {
        "distribution": generation.distribution,
        "generation": generation.number,
        "scope": wanted.scope,
        "firmwares": list(made.firmwares),
        "packages": made.packages,
        "discs": [
            {
                "path": str(disc.path),
                "label": disc.label,
                "size": disc.size,
                "sha256": disc.sha256,
                "rolls": list(disc.rolls),
            }
            for disc in made.discs
        ],
        "entries": [
            {"id": entry.id, "action": entry.action, "title": entry.title, "arguments": list(entry.arguments)}
            for entry in made.entries
        ],
        "findings": [
            {"severity": str(one.severity), "code": one.code, "message": one.message, "hint": one.hint}
            for one in made.findings
        ],
    }
