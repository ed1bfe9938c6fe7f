"""Adding rolls to the store: found on media, staged beside their places, verified there, put into place together."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from rollbuild.errors import REFUSED, FindingsError, RollbuildError
from rollbuild.files import explained, locked
from rollbuild.findings import Finding, Severity, error, in_order
from rollbuild.location import Location
from rollbuild.rolls.built import BuiltRoll
from rollbuild.rolls.enabling import check_enabled, make_enabled
from rollbuild.rolls.identity import RollId
from rollbuild.rolls.media import find_rolls_on, open_medium
from rollbuild.rolls.requirements import find_unmet
from rollbuild.rolls.staged import IncomingRoll, expect_space, identify_roll, stage_roll
from rollbuild.rolls.store import AddedRoll, Store

ADDED, REPLACED, UNCHANGED = "added", "replaced", "unchanged"
_DOWNLOADS = "rolls"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Addition:
    """A roll that was named for adding. `what` became of it: ADDED, REPLACED, or UNCHANGED as it was there already."""

    roll: AddedRoll
    built: BuiltRoll
    what: str

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(size for _, size in self.built.files.values())


@dataclass(frozen=True, slots=True)
class Additions:
    """What `add_rolls` did; the findings are warnings."""

    rolls: tuple[Addition, ...]
    disabled: tuple[RollId, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Adding:
    """How to add rolls. `keys`: files of public keys besides those of the rolls. `advance` is told the bytes of each
    step, `expect` how many there are in all before they are copied and verified; `news` what a server has.
    """

    store: Store
    replace: bool = False
    enable: bool = False
    require_signed: bool = False
    keys: Sequence[Path] = ()
    advance: Callable[[int], object] | None = None
    expect: Callable[[int], object] | None = None
    news: Callable[[str], object] | None = None


def add_rolls(sources: Sequence[str], how: Adding) -> Additions:
    """Add the rolls of folders, ISOs and URLs to the store: all of them, or none.

    Raises RollbuildError: FindingsError with everything that is wrong with them, BUSY while another process changes
    the store, UNREACHABLE for a URL, DISK.
    """
    sources = [_without_scheme(source) for source in sources]
    media = [(_fetch(source, how) if _URL.match(source) else Path(source), source) for source in sources]
    additions = _add(media, how)
    for source in filter(_URL.match, sources):
        from rollbuild.rolls.mirror import forget_fetched

        forget_fetched(how.store.cache_folder / _DOWNLOADS, source)
    return additions


def _without_scheme(source: str) -> str:
    """The path of a `file://` URL, which may have escapes as other URLs do; other texts as they are."""
    if not source.startswith("file://"):
        return source
    path = source.removeprefix("file://").removeprefix("localhost")
    return path if os.path.lexists(path) else unquote(path)


def _add(media: Sequence[tuple[Path, str]], how: Adding) -> Additions:
    with how.store.locked("changing the rolls of this store"):
        index = how.store.read_index()
        rolls, doubts = _find(media)
        _refuse_others(rolls, index, how)
        coming = [roll for roll in rolls if how.replace or not _is_there(roll, index, how.store)]
        if not coming:
            return _finish(rolls, [], doubts, index, how, None)
        with how.store.work_folder() as work:
            findings = [*doubts, *_stage(coming, work, how)]
            _refuse_others(coming, index, how)
            return _finish(rolls, coming, findings, index, how, work)


def _fetch(url: str, how: Adding) -> Path:
    """Bring what a URL names into the cache, where a transfer that was cut off goes on."""
    from rollbuild.rolls.mirror import fetch_roll

    downloads = how.store.cache_folder / _DOWNLOADS
    with explained("cannot make the store", downloads):
        downloads.mkdir(parents=True, exist_ok=True)
    with locked(downloads / "lock", "fetching rolls for this store"):
        return fetch_roll(url, downloads, advance=how.advance, news=how.news)


@contextmanager
def _collecting(findings: list[Finding]) -> Iterator[None]:
    """Keep what is refused inside as findings; other failures go on up."""
    try:
        yield
    except FindingsError as problem:
        findings += problem.findings
    except RollbuildError as problem:
        if problem.exit_code != REFUSED:
            raise
        finding = problem.as_finding()
        findings.append(finding if finding.hint else replace(finding, hint="fetch, copy or build it again"))


def _refuse_errors(findings: Sequence[Finding]) -> None:
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise FindingsError(findings)


def _find(media: Sequence[tuple[Path, str]]) -> tuple[list[IncomingRoll], list[Finding]]:
    """The rolls of these media (path, and what the user called it), each once; warnings. Raises FindingsError."""
    findings: list[Finding] = []
    found: dict[RollId, IncomingRoll] = {}
    for path, source in media:
        with _collecting(findings):
            parts, doubts = find_rolls_on(open_medium(path))
            findings += doubts
            for part in parts:
                with _collecting(findings):
                    roll = identify_roll(part, source)
                    known = found.setdefault(roll.id, roll)
                    if known is not roll:
                        _join(known, roll)
    _refuse_errors(findings)
    return list(found.values()), findings


def _join(known: IncomingRoll, roll: IncomingRoll) -> None:
    """Take a medium for a further one of an old roll, or for the same roll once more. Raises RollbuildError."""
    if known.built is None and roll.built is None:
        known.parts += roll.parts
    elif known.built is None or roll.built is None or known.built.digest != roll.built.digest:
        raise RollbuildError(
            f"roll {roll.id} is also in {known.parts[0].shown}, with other contents",
            location=Location(roll.parts[0].shown),
            hint="name one of the two",
        )


def _refuse_others(rolls: Sequence[IncomingRoll], index: Sequence[AddedRoll], how: Adding) -> None:
    """Refuse rolls that the store has with other contents, unless they are to be replaced."""
    there = {added.id: added for added in index}
    if not how.replace:
        _refuse_errors(
            [
                error(
                    "ROLL-OTHER",
                    f"the store has a roll {roll.id} already, with other contents",
                    Location(roll.parts[0].shown),
                    "build it with a new release, or add it with --replace"
                    if not roll.parts[0].is_old
                    else "name all media of the roll in one command; with --replace they take its place",
                )
                for roll in rolls
                if roll.built and roll.id in there and there[roll.id].digest != roll.built.digest
            ]
        )


def _is_there(roll: IncomingRoll, index: Sequence[AddedRoll], store: Store) -> bool:
    """Whether the store has the very roll. Raises RollbuildError when it has, but damaged."""
    added = next((added for added in index if added.id == roll.id), None)
    if added is None or roll.built is None or roll.built.digest != added.digest:
        return False
    store.read_roll(added)
    return True


def _stage(rolls: Sequence[IncomingRoll], work: Path, how: Adding) -> list[Finding]:
    """Copy rolls into the work folder and verify them there; the warnings. Raises FindingsError."""
    findings: list[Finding] = []
    with _collecting(findings):
        total = expect_space(rolls, work)
        if how.expect is not None:
            how.expect(total)
    _refuse_errors(findings)
    for number, roll in enumerate(rolls):
        with _collecting(findings):
            findings += stage_roll(
                roll,
                work / f"roll-{number}",
                keys=how.keys,
                require_signed=how.require_signed,
                advance=how.advance,
            )
    _refuse_errors(findings)
    return findings


def _as_text(path: str) -> str:
    """A path as UTF-8 can have it: bytes in it that are none are shown as escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def _finish(
    rolls: Sequence[IncomingRoll],
    coming: Sequence[IncomingRoll],
    findings: Sequence[Finding],
    before: Sequence[AddedRoll],
    how: Adding,
    work: Path | None,
) -> Additions:
    """Work out the new index, see that its enabled rolls go together, and put everything into place."""
    index = {added.id: added for added in before}
    built: dict[RollId, BuiltRoll] = {}
    additions = []
    changes: dict[RollId, Path | None] = {}
    for roll in rolls:
        assert roll.built is not None  # noqa: S101 - for the type checker
        built[roll.id] = roll.built
        there = index.get(roll.id)
        digest = roll.built.digest
        what = UNCHANGED if there is not None and (roll not in coming or not how.replace) else ADDED
        if roll in coming and what is not UNCHANGED:
            what = REPLACED if there is not None else ADDED
            changes[roll.id] = roll.folder
            index[roll.id] = AddedRoll(roll.id, there is not None and there.enabled, digest, _as_text(roll.source))
        additions.append((roll, what))
    after = tuple(index[roll] for roll in sorted(index))
    if how.enable:
        after = make_enabled(after, built)
    warnings = [*findings, *find_unmet(built.values(), [roll.id for roll in after])]
    if how.enable or any(roll.id in built and roll.enabled for roll in after):
        warnings += check_enabled(how.store, before, after, known=built)
    if work is not None and changes:
        how.store.change_rolls(work, changes, after)
    elif after != tuple(before):
        how.store.write_index(after)
    was = {roll.id for roll in before if roll.enabled}
    now = {roll.id: roll for roll in after}
    return Additions(
        tuple(Addition(now[roll.id], built[roll.id], what) for roll, what in additions),
        tuple(roll.id for roll in after if roll.id in was and not roll.enabled),
        in_order(warnings),
    )
