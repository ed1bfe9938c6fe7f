"""`rollbuild roll list`: which rolls the store has."""

from collections.abc import Sequence
from pathlib import Path

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._shown import counted
from rollbuild.commands._store import MebibyteProgress, print_findings, show_size, store_option, store_words
from rollbuild.console import Console
from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding, Severity, in_order, warning
from rollbuild.location import Location
from rollbuild.rolls import AddedRoll, BuiltRoll, RollPackage, Store, find_named, pin_enabled, verify_roll

_HEADERS = ("name", "version", "release", "arch", "enabled", "packages", "size", "signed")


@click.command(name="list")
@click.argument("name", required=False)
@store_option
@click.option("--check", is_flag=True, help="Verify every file, package and signature of the rolls again.")
@click.option(
    "--lock",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the enabled rolls and the digests of their contents into a file, for `rollbuild roll enable --lock`.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@common_options
@pass_session
def command(session: Session, /, name: str | None, store: Store, check: bool, lock: Path | None, as_json: bool) -> None:
    """List the rolls of the store, or those that NAME[-VERSION[-RELEASE[.ARCH]]] names."""
    console = session.console
    if lock is not None:
        if name or check or as_json:
            raise click.UsageError("--lock writes the enabled rolls: it goes with nothing else")
        pinned = pin_enabled(store, lock)
        console.say(f"wrote {lock}: {counted(len(pinned), 'enabled roll')}")
        return
    index = store.read_index()
    chosen = sorted(find_named(name, index), key=lambda roll: roll.id) if name else index
    findings: list[Finding] = []
    rolls: list[tuple[AddedRoll, BuiltRoll | None]] = []
    for roll in chosen:
        try:
            rolls.append((roll, store.read_roll(roll)))
        except RollbuildError as problem:
            rolls.append((roll, None))
            findings.append(problem.as_finding())
    if check:
        findings += _verify(console, store, rolls)
    if as_json:
        console.json([_data(roll, built, findings) for roll, built in rolls])
    elif rolls:
        console.table(_HEADERS, [_row(roll, built) for roll, built in rolls])
    else:
        add = f"rollbuild roll add{store_words(store)} ISO-OR-DIR-OR-URL"
        console.say(f"there are no rolls in {store.folder}; add some: {add}")
    if not name:
        findings += _find_unlisted(store)
    _report(console, findings, len(rolls), check)


def _verify(console: Console, store: Store, rolls: Sequence[tuple[AddedRoll, BuiltRoll | None]]) -> list[Finding]:
    findings: list[Finding] = []
    with MebibyteProgress(console, "verifying rolls") as progress:
        progress.expect(sum(size for _, built in rolls if built for _, size in built.files.values()))
        for roll, built in rolls:
            if built is not None:
                findings += verify_roll(store.folder_of(roll.id), built, advance=progress.advance)
    return findings


def _find_unlisted(store: Store) -> list[Finding]:
    folders = store.unlisted_folders()
    if not folders:
        return []
    message = f"the store's list does not have {counted(len(folders), 'roll')} of this folder"
    hint = f"add what is wanted again: rollbuild roll add {' '.join(map(str, folders[:3]))}"
    return [warning("ROLL-UNLISTED", message, Location(str(store.rolls_folder)), hint)]


def _report(console: Console, findings: Sequence[Finding], count: int, check: bool) -> None:
    print_findings(console, in_order(findings))
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise RollbuildError(
            "not every roll is whole", hint="add the damaged ones again with --replace, or remove them"
        )
    if check and count:
        console.say(f"{counted(count, 'roll')} verified")


def _row(roll: AddedRoll, built: BuiltRoll | None) -> tuple[object, ...]:
    identity = (roll.id.name, roll.id.version, roll.id.release, roll.id.arch, "yes" if roll.enabled else "no")
    if built is None:
        return (*identity, "damaged", "-", "-")
    return (*identity, len(_binaries(built)), show_size(_size(built)), _signed(built))


def _size(built: BuiltRoll) -> int:
    return sum(size for _, size in built.files.values())


def _binaries(built: BuiltRoll) -> list[RollPackage]:
    return [package for package in built.packages if package.arch != "src"]


def _signed(built: BuiltRoll) -> str:
    packages = _binaries(built)
    signed = sum(bool(package.signed_by) for package in packages)
    if not packages:
        return "-"
    return {0: "no", len(packages): "yes"}.get(signed, f"{signed} of {len(packages)}")


def _data(roll: AddedRoll, built: BuiltRoll | None, findings: Sequence[Finding]) -> dict[str, object]:
    data: dict[str, object] = {
        "name": roll.id.name,
        "version": roll.id.version,
        "release": roll.id.release,
        "arch": roll.id.arch,
        "enabled": roll.enabled,
        "digest": roll.digest,
        "source": roll.source,
        "whole": built is not None,
    }
    if built is not None:
        data |= {
            "summary": built.summary,
            "releases": list(built.releases),
            "requires": [str(requirement) for requirement in built.requires],
            "conflicts": [str(requirement) for requirement in built.conflicts],
            "packages": len(_binaries(built)),
            "signed": sum(bool(package.signed_by) for package in _binaries(built)),
            "size": _size(built),
        }
    return data
