"""`rollbuild distro create`: an OS tree and rolls become a new generation of a distribution."""

from collections.abc import Sequence
from pathlib import Path

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._report import Report
from rollbuild.commands._shown import counted
from rollbuild.commands._store import store_option
from rollbuild.commands._workspace_options import attribute_options
from rollbuild.commands.distro._kickstarts import Compilation
from rollbuild.console import Console
from rollbuild.distribution import Made, Wanted, create_generation, summarize_shadows
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.findings import Finding
from rollbuild.rolls import Store


@click.command(name="create")
@click.argument("name")
@click.option("--os", "os_name", required=True, metavar="NAME", help="The OS tree; `rollbuild distro list` shows them.")
@click.option(
    "--roll",
    "rolls",
    multiple=True,
    metavar="NAME[-VERSION]",
    help="Have this roll and no others but those named; give it once for each.  [the enabled rolls]",
)
@click.option(
    "--lock",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Have exactly the rolls of this file, which `rollbuild roll list --lock` wrote.",
)
@attribute_options
@click.option("--data", metavar="FILE", help="YAML that templates may use: hosts, networks.")
@click.option("--url", default="", metavar="URL", help="Where hosts find the distribution.  [the store's own folder]")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Public keys that packages are signed with, besides those that rolls and the OS tree bring.",
)
@click.option("--no-kickstarts", is_flag=True, help="Compile no Kickstarts.")
@click.option("--require-signed", is_flag=True, help="Refuse rolls with packages that are not signed by a known key.")
@click.option("--verify", is_flag=True, help="Hash every file of the OS tree and of the rolls again.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Remove the oldest generations beyond N afterwards, never the one in use.  [all stay]",
)
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Wait for another rollbuild.  [0]"
)
@click.option("--json", "as_json", is_flag=True, help="Write what was made as JSON.")
@store_option
@common_options
@pass_session
def command(
    session: Session,
    /,
    name: str,
    os_name: str,
    rolls: tuple[str, ...],
    lock: Path | None,
    attrs: tuple[str, ...],
    assignments: tuple[str, ...],
    data: str | None,
    url: str,
    keys: tuple[Path, ...],
    no_kickstarts: bool,
    require_signed: bool,
    verify: bool,
    strict: bool,
    dry_run: bool,
    keep: int | None,
    wait: float,
    as_json: bool,
    store: Store,
) -> None:
    """Make a new generation of the distribution NAME and put it to use.

    It holds the OS tree's repositories as they are, one repository for each roll, the description and a Kickstart for
    each appliance. All big files are hard links: a generation takes next to no space.

    The generation before stays, and `rollbuild distro rollback NAME` uses it again. Nothing is made when nothing
    changed. Whatever stops this command leaves the generation in use as it is.
    """
    if rolls and lock:
        raise RollbuildError("--roll and --lock both say which rolls to have", hint="give one of them", exit_code=USAGE)
    console = session.console
    report = Report(console, strict=strict)
    compilation = Compilation(report, attrs, assignments, data, url)
    wanted = Wanted(
        name=name,
        os_name=os_name,
        rolls=rolls,
        lock=lock,
        url=url,
        keys=keys,
        attributes={} if no_kickstarts else compilation.given(),
        data=b"" if no_kickstarts else compilation.data_bytes(),
        require_signed=require_signed,
        verify=verify,
        keep=keep or 0,
        is_dry_run=dry_run,
        wait_seconds=wait,
    )

    def judge(findings: Sequence[Finding]) -> None:
        report.add(findings)
        report.finish()

    with console.progress(None, f"making {name}") as advance:
        made = create_generation(
            store, wanted, compile=None if no_kickstarts else compilation.run, judge=judge, advance=advance
        )
    _tell(console, store, made)
    if as_json:
        console.json(_data(made, report))


def _tell(console: Console, store: Store, made: Made) -> None:
    generation, folder = made.generation, made.generation.folder
    if made.status == "unchanged":
        console.say(f"nothing changed: {generation} is what would be made, and in use")
        return
    if made.status == "reused":
        console.say(f"nothing changed since {generation}: it is in use again")
        return
    provenance = made.provenance
    counts = {name: count for name, _, count in provenance.repositories}
    of_rolls = sum(roll.packages for roll in provenance.rolls)
    would = "would make" if made.status == "dry-run" else "made"
    console.say(f"{would} {generation} in {folder}")
    console.say(f"  OS {provenance.os_name}: {counted(sum(counts.values()) - of_rolls, 'package')}")
    listed = ", ".join(f"{roll.id.name} {roll.id.version}-{roll.id.release}" for roll in provenance.rolls)
    console.say(f"  {counted(len(provenance.rolls), 'roll')}: {counted(of_rolls, 'package')} ({listed or 'none'})")
    if provenance.appliances:
        console.say(f"  {counted(len(provenance.appliances), 'Kickstart')}: {', '.join(provenance.appliances)}")
    if made.status == "made":
        copied = f", {made.copied:,} copied (they lie on another file system)" if made.copied else ""
        console.say(f"  {counted(made.linked, 'file')} linked{copied}")
    shown = summarize_shadows(made.shadows)
    for line in shown:
        console.say(f"  {line}")
    if shown and made.status == "made":
        console.say(f"  {folder / 'shadowed.json'} has each of them")
    for old in made.pruned:
        console.say(f"  removed {old}")
    if made.status != "made":
        return
    current = folder.parent / "current"
    console.say(f"it is in use: {current} is a link to it; {current / 'rollbuild.repo'} is for the hosts' dnf")
    if generation.number > 1:
        console.say(f"see what changed: rollbuild distro diff {generation.distribution}")


def _data(made: Made, report: Report) -> dict[str, object]:
    provenance = made.provenance
    return {
        "status": made.status,
        "name": made.generation.distribution,
        "generation": made.generation.number,
        "path": str(made.generation.folder),
        "os": {"name": provenance.os_name, "release": provenance.os_release, "digest": provenance.os_digest},
        "rolls": [
            {"name": roll.id.name, "id": str(roll.id), "digest": roll.digest, "packages": roll.packages}
            for roll in provenance.rolls
        ],
        "repositories": [
            {"name": name, "path": path, "packages": count} for name, path, count in provenance.repositories
        ],
        "kickstarts": list(provenance.appliances),
        "shadowed": len(made.shadows),
        "linked": made.linked,
        "copied": made.copied,
        "removed": [old.number for old in made.pruned],
        "findings": [
            {
                "severity": str(finding.severity),
                "code": finding.code,
                "file": finding.location.file if finding.location else None,
                "line": finding.location.line or None if finding.location else None,
                "message": finding.message,
                "hint": finding.hint,
            }
            for finding in report.kept()
        ],
    }
