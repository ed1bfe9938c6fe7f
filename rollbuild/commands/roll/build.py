"""`rollbuild roll build`: from rolls' sources to folders and ISOs."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._report import show_findings
from rollbuild.commands._shown import counted
from rollbuild.commands._store import show_size
from rollbuild.console import Console
from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.findings import Finding
from rollbuild.releases import RELEASES
from rollbuild.rolls import (
    BuildOptions,
    BuiltRoll,
    RollSource,
    build_roll,
    built_folder,
    find_sources,
    has_image,
    read_built_roll,
    read_source,
    roll_folder,
    write_jumbo,
    write_roll_image,
)


@click.command(name="build", no_args_is_help=True)
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default=Path("build/rolls"),
    type=click.Path(path_type=Path),
    help="The folder of built rolls.  [build/rolls]",
)
@click.option("--iso", is_flag=True, help="Write an ISO image of each roll too.")
@click.option("--jumbo", metavar="NAME", help="With --iso: write one image, NAME.ARCH.iso, that holds all the rolls.")
@click.option("--sign", metavar="KEYID", default="", help="Sign the packages with this secret key of GnuPG.")
@click.option("--require-signed", is_flag=True, help="Refuse packages without a signature of a key of the roll.")
@click.option(
    "--os-release",
    type=click.Choice(RELEASES),
    default="el9",
    help="The release of Enterprise Linux that the packages are for.  [el9]",
)
@click.option(
    "--arch",
    type=click.Choice(["x86_64", "aarch64", "ppc64le", "s390x", "i386", "noarch"]),
    default="x86_64",
    help="The architecture.  [x86_64]",
)
@click.option(
    "--repo",
    "repositories",
    multiple=True,
    metavar="[NAME=]URL-OR-DIR",
    help="Where the packages that roll.yaml names come from. May be given several times.",
)
@click.option(
    "--base-repo",
    "base_repositories",
    multiple=True,
    metavar="[NAME=]URL-OR-DIR",
    help="A repository that hosts have anyway: its packages stay out of the roll. May be given several times.",
)
@click.option("--update-lock", is_flag=True, help="Choose the named packages anew, and write them to roll.lock.")
@click.option(
    "--mock",
    metavar="CONFIG",
    help="Build spec files with mock and this configuration; `none`: with rpmbuild, on this very machine.  [mock "
    "where it and rocky+epel-9-x86_64 or the like are installed]",
)
@click.option(
    "--no-description-package",
    "description_package",
    flag_value=False,
    default=True,
    help="Leave out roll-NAME-kickstart, the description as a package: then only spec files need rpmbuild.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: what was built.")
@common_options
@pass_session
def command(
    session: Session,
    /,
    folders: tuple[Path, ...],
    output: Path,
    iso: bool,
    jumbo: str | None,
    sign: str,
    require_signed: bool,
    os_release: str,
    arch: str,
    repositories: tuple[str, ...],
    base_repositories: tuple[str, ...],
    update_lock: bool,
    mock: str | None,
    description_package: bool,
    as_json: bool,
) -> None:
    """Build rolls from their sources into NAME-VERSION-RELEASE.ARCH/: packages, metadata, description, digests.

    Each DIR is a roll's source or a folder of them. All sources are looked at before anything is built. Equal sources
    give equal bytes; a roll that would be as it was is left alone.
    """
    if jumbo is not None and not iso:
        raise RollbuildError("--jumbo is for --iso", exit_code=USAGE, hint="give both")
    console = session.console
    sources = _read_sources(folders, console)
    options = BuildOptions(
        output=output,
        release=os_release,
        arch=arch,
        sign=sign,
        mock="" if mock == "none" else mock,
        require_signed=require_signed,
        description_package=description_package,
        repositories=repositories,
        base_repositories=base_repositories,
        update_lock=update_lock,
    )
    data = []
    built: list[BuiltRoll] = []
    for source in sources:
        roll, changed = _build(source, options, console)
        built.append(roll)
        place = built_folder(output, roll.id)
        image = _write_image(output, roll, place, changed, console) if iso and jumbo is None else None
        size = sum(size for _, size in roll.files.values())
        state = "" if changed else ", as it was"
        console.say(f"{place}: {counted(_binary(roll), 'package')}, {show_size(size)}{state}")
        if image:
            console.say(f"{image}: {show_size(image.stat().st_size)}")
        data.append(
            {
                "roll": str(roll.id),
                "path": os.fspath(place),
                "iso": os.fspath(image) if image else None,
                "packages": _binary(roll),
                "size": size,
                "digest": roll.digest,
                "changed": changed,
            }
        )
    if jumbo is not None:
        with console.progress(None, "writing the image") as advance:
            image = write_jumbo(output, jumbo, [(roll, built_folder(output, roll.id)) for roll in built], advance)
        console.say(f"{image}: {counted(len(built), 'roll')}, {show_size(image.stat().st_size)}")
        data = [{**item, "iso": os.fspath(image)} for item in data]
    if as_json:
        console.json(data)


def _read_sources(folders: Sequence[Path], console: Console) -> tuple[RollSource, ...]:
    """All sources, those that others require first. Raises FindingsError with what is wrong in all of them."""
    found: dict[str, RollSource] = {}
    faults: list[Finding] = []
    for folder in folders:
        for place in find_sources(folder):
            try:
                found.setdefault(os.path.realpath(place), read_source(place))
            except FindingsError as problem:
                faults += problem.findings
            except RollbuildError as problem:
                faults.append(problem.as_finding())
    named: dict[str, RollSource] = {}
    for source in found.values():
        other = named.setdefault(source.name, source)
        if other is not source:
            faults.append(
                RollbuildError(
                    f"two of the sources are roll {source.name}, also {other.folder}",
                    location=source.location,
                    hint="give one another name, or build them one by one",
                ).as_finding()
            )
    if faults:
        raise FindingsError(faults)
    return _in_order(named)


def _in_order(sources: dict[str, RollSource]) -> tuple[RollSource, ...]:
    """What is required comes first; of rolls that require each other, the first by name."""
    ordered: dict[str, RollSource] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in ordered or name in above or name not in sources:
            return
        for requirement in sorted(sources[name].requires, key=lambda requirement: requirement.name):
            add(requirement.name, (*above, name))
        ordered[name] = sources[name]

    for name in sorted(sources):
        add(name, ())
    return tuple(ordered.values())


def _build(source: RollSource, options: BuildOptions, console: Console) -> tuple[BuiltRoll, bool]:
    before = _is_there(source, options)
    with console.progress(None, f"building {source.name}") as advance:
        roll = build_roll(
            source,
            options,
            report=lambda finding: show_findings(console, [finding]),
            news=console.detail,
            advance=advance,
        )
    return roll, not before(roll)


def _is_there(source: RollSource, options: BuildOptions) -> Callable[[BuiltRoll], bool]:
    """Asks later whether the roll built is the one that lay there before."""
    identity = source.identity(options.arch)
    try:
        digest = read_built_roll(roll_folder(built_folder(options.output, identity), identity)).digest
    except RollbuildError:
        digest = ""  # of no roll
    return lambda roll: roll.digest == digest


def _write_image(output: Path, roll: BuiltRoll, folder: Path, changed: bool, console: Console) -> Path:
    path = output / f"{roll.id}.iso"
    if changed or not has_image(path):
        with console.progress(None, f"writing {path.name}") as advance:
            write_roll_image(path, roll, folder, advance)
    return path


def _binary(roll: BuiltRoll) -> int:
    return sum(package.arch != "src" for package in roll.packages)
