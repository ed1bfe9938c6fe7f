"""What a generation is made of: an OS tree and rolls, read and judged before anything is written."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.distribution.contents import read_contents
from rollbuild.distribution.joining import Source, find_symlinks
from rollbuild.distribution.ostree import FileDigest, OsTree, read_os_tree
from rollbuild.distribution.repofile import DnfRepository
from rollbuild.distribution.shadows import OS_PRIORITY, Offer, OfferedPackage, dnf_priority, hotfixed
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import Finding, Severity, error, note, warning
from rollbuild.location import Location
from rollbuild.packages import RepositoryName, open_repositories, read_key_ids
from rollbuild.rolls import AddedRoll, BuiltRoll, Store, pick_newest, read_pinned, resolve_enabled

RESERVED = frozenset(("rolls", "description", "kickstarts"))
"""Folders at the top of a generation that an OS tree cannot have."""

_SOURCE_ARCHES = ("src", "nosrc")
_KEY_LIMIT = 1024 * 1024
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Inputs:
    """An OS tree and rolls; `shared` has the file of each path of the generation that is not made for it.

    `keys`: public keys that are written into it, by file name. `digests` and `origins` (the profile folder) of each
    roll are by its name. `counts`: how many packages each repository has; `offers` have of the OS only those whose
    name a roll has too.
    """

    tree: OsTree
    rolls: tuple[BuiltRoll, ...]
    digests: Mapping[str, str]
    shared: Mapping[str, Source] = field(repr=False)
    symlinks: Mapping[str, Path] = field(repr=False)
    offers: tuple[Offer, ...] = field(repr=False)
    counts: Mapping[str, int]
    repositories: tuple[DnfRepository, ...]
    keys: Mapping[str, bytes]
    origins: Mapping[str, Path]
    findings: tuple[Finding, ...]


def read_inputs(
    store: Store,
    os_name: str,
    names: Sequence[str] = (),
    *,
    lock: Path | None = None,
    keys: Sequence[Path] = (),
    require_signed: bool = False,
) -> Inputs:
    """Read an OS tree and the enabled rolls of a store, or those that are named, or those of a lock.

    `keys`: files of public keys besides those of the rolls and the OS tree. Raises RollbuildError for what is not
    there, is damaged, or was changed since it was added; what else is wrong is a finding.
    """
    tree = read_os_tree(store, os_name)
    index = store.read_index()
    chosen, findings = _choose(index, tree, names, lock)
    rolls = tuple(store.read_roll(roll) for roll in chosen)
    findings += resolve_enabled(rolls, available=[roll.id for roll in index], release=tree.release)
    findings += _check_names(tree, rolls)
    origins = {roll.id.name: store.folder_of(roll.id) / "profile" for roll in rolls}
    os_files = tree.read_files()
    shared = _share_os(tree, os_files)
    symlinks = find_symlinks(tree.folder, {path.rpartition("/")[0] for path in os_files})
    given, own = _read_keys(keys), {}
    for roll in rolls:
        shared |= _share_roll(roll, store.folder_of(roll.id))
        own.update(_share_keys(roll, store.folder_of(roll.id), shared, given))
    of_rolls = [_offer_of_roll(roll, store.folder_of(roll.id)) for roll in rolls]
    of_rolls = [offer for offer in of_rolls if offer.packages]
    contents = read_contents(store, tree)
    counts = {content.repository: content.count for content in contents}
    counts |= {offer.repository: len(offer.packages) for offer in of_rolls}
    names_of_rolls = {package.name for offer in of_rolls for package in offer.packages}
    offers = (*(content.offer(names_of_rolls, os_files) for content in contents), *of_rolls)
    repositories, more = _describe(tree, rolls, offers, _key_ids(tree, shared, own, given), given, require_signed)
    findings += more
    return Inputs(
        tree=tree,
        rolls=rolls,
        digests={roll.id.name: roll.digest for roll in chosen},
        shared=shared,
        symlinks=symlinks,
        offers=offers,
        counts=counts,
        repositories=repositories,
        keys=given,
        origins=origins,
        findings=tuple(findings),
    )


def _check_names(tree: OsTree, rolls: Iterable[BuiltRoll]) -> Iterator[Finding]:
    """Errors for rolls that are called like a repository of the OS: reports could not tell them apart."""
    taken = {variant.uid.lower() for variant in tree.variants}
    for roll in rolls:
        if roll.id.name.lower() in taken:
            message = f"roll {roll.id} is called like the OS's repository {roll.id.name}"
            yield error("ROLL-NAME", message, hint="build it with another name, or leave it out with --roll")


def _choose(
    index: Sequence[AddedRoll], tree: OsTree, names: Sequence[str], lock: Path | None
) -> tuple[list[AddedRoll], list[Finding]]:
    arches = (tree.arch, "noarch")
    fitting = [roll for roll in index if roll.id.arch in arches]
    if lock is not None:
        return _choose_pinned(index, lock), []
    if names:
        chosen = {}
        for name in names:
            try:
                roll = pick_newest(name, fitting)
            except RollbuildError:
                roll = pick_newest(name, index)  # says what there is instead
                message = f"roll {roll.id} is not for {tree.arch}, which OS tree {tree.name} is for"
                raise RollbuildError(message, hint="build or get it for this architecture") from None
            chosen[roll.id] = roll
        return sorted(chosen.values(), key=lambda roll: roll.id), []
    enabled = [roll for roll in fitting if roll.enabled]
    notes = [
        note("ROLL-ARCH", f"roll {roll.id} is enabled, but not for {tree.arch}: it is left out")
        for roll in index
        if roll.enabled and roll not in enabled
    ]
    if not enabled:
        message = "no roll is enabled: the distribution has only the OS and no appliance"
        notes.append(
            warning(
                "NO-ROLLS",
                message,
                hint="rollbuild roll list shows those of the store, rollbuild roll enable NAME enables them",
            )
        )
    return enabled, notes


def _choose_pinned(index: Sequence[AddedRoll], lock: Path) -> list[AddedRoll]:
    known = {str(roll.id): roll for roll in index}
    chosen = []
    for name, digest in sorted(read_pinned(lock).items()):
        if name not in known:
            hint = "get this very roll and add it: rollbuild roll add ISO-OR-DIR-OR-URL"
            raise RollbuildError(f"the store has no roll {name}", location=Location(str(lock)), hint=hint)
        if known[name].digest != digest:
            message = f"roll {name} of the store has other contents than the lock says"
            hint = f"its digest is {known[name].digest}, the lock has {digest}"
            raise RollbuildError(message, location=Location(str(lock)), hint=hint)
        chosen.append(known[name])
    return chosen


def _share_os(tree: OsTree, files: Mapping[str, FileDigest]) -> dict[str, Source]:
    remedy = f"import the OS tree again: rollbuild distro import-os ... --name {tree.name} --replace"
    shared, top = {}, os.fspath(tree.folder)
    for path, (digest, size) in files.items():
        if path.partition("/")[0] in RESERVED:
            raise RollbuildError(
                f"OS tree {tree.name} has a file {path}, where rollbuild puts its own",
                hint="import it again without this folder",
            )
        shared[path] = Source(top, path, digest, size, remedy)
    return shared


def _share_roll(roll: BuiltRoll, folder: Path) -> dict[str, Source]:
    """Its packages and metadata go to rolls/NAME/, its profile to description/NAME/."""
    remedy = _remedy(roll)
    packages = {package.file for package in roll.packages if package.arch not in _SOURCE_ARCHES}
    shared = {}
    for path, (digest, size) in roll.files.items():
        first, _, rest = path.partition("/")
        if first == "profile" and rest:
            place = f"description/{roll.id.name}/{rest}"
        elif packages and (first == "repodata" or path in packages):
            place = f"rolls/{roll.id.name}/{path}"
        else:
            continue
        shared[place] = Source(os.fspath(folder), path, digest, size, remedy)
    return shared


def _remedy(roll: BuiltRoll) -> str:
    return f"add the roll again: rollbuild roll add ... --replace (roll {roll.id})"


def _share_keys(roll: BuiltRoll, folder: Path, shared: dict[str, Source], given: Mapping[str, bytes]) -> dict[str, str]:
    """Put a roll's public keys at the top; those of equal content once. Place -> path of the file."""
    places = {}
    for key in roll.keys:
        digest, size = roll.files[key]
        place = os.path.basename(key)
        if not place.startswith("RPM-GPG-KEY-"):
            place = f"RPM-GPG-KEY-{place}"
        known = shared.get(place)
        if place in given or (known is not None and known.sha256 != digest):
            place = f"{place}-{roll.id.name}"
        shared[place] = Source(
            os.fspath(folder), key, digest, size, f"add the roll again: rollbuild roll add ... ({roll.id})"
        )
        places[place] = os.fspath(folder / key)
    return places


def _read_keys(paths: Iterable[Path]) -> dict[str, bytes]:
    keys = {}
    for path in paths:
        content = read_limited(path, _KEY_LIMIT)
        if not read_key_ids(content):
            hint = "a file of public keys is what `gpg --export --armor KEY` writes"
            raise RollbuildError(
                "there is no public key in this file", location=Location(os.fspath(path)), hint=hint, exit_code=USAGE
            )
        name = path.name if path.name.startswith("RPM-GPG-KEY-") else f"RPM-GPG-KEY-{path.name}"
        keys[name] = content
    return keys


def _key_ids(
    tree: OsTree, shared: Mapping[str, Source], own: Mapping[str, str], given: Mapping[str, bytes]
) -> dict[str, frozenset[str]]:
    """The ids of the keys in each file of public keys, by its place in the generation."""
    found = {place: read_key_ids(content) for place, content in given.items()}
    for place in (*tree.keys, *own):
        if place in shared and place not in found:
            found[place] = read_key_ids(read_limited(shared[place].path, _KEY_LIMIT))
    return {place: frozenset(ids) for place, ids in sorted(found.items())}


def _offer_of_roll(roll: BuiltRoll, folder: Path) -> Offer:
    name = roll.id.name
    packages = [
        OfferedPackage(
            name,
            item.name,
            item.epoch,
            item.version,
            item.release,
            item.arch,
            f"rolls/{name}/{item.file}",
            item.sha256,
            item.header_sha256,
        )
        for item in roll.packages
        if item.arch not in _SOURCE_ARCHES
    ]
    if packages and "repodata/repomd.xml" not in roll.files:
        raise RollbuildError(
            f"roll {roll.id} has packages but no repodata/",
            location=Location(os.fspath(folder)),
            hint="build the roll again, or add it again",
        )
    streams = []
    if any(path.startswith("repodata/") and "modules" in path for path in roll.files):
        with open_repositories([RepositoryName(os.fspath(folder), name)]) as repositories:
            streams = [stream for repository in repositories for stream in repository.streams]
    return Offer(name, dnf_priority(roll.priority), False, packages, streams)


def _describe(
    tree: OsTree,
    rolls: Sequence[BuiltRoll],
    offers: Sequence[Offer],
    key_ids: Mapping[str, frozenset[str]],
    given: Collection[str],
    require_signed: bool,
) -> tuple[tuple[DnfRepository, ...], list[Finding]]:
    """The repositories for dnf, and what is to say about their signatures."""
    findings: list[Finding] = []
    repositories = []
    os_keys = tuple(place for place in (*tree.keys, *given) if key_ids.get(place))
    if not os_keys:
        message = f"OS tree {tree.name} has no public key: dnf on a host can check the OS only if it knows one"
        hint = "name the vendor's file: --key RPM-GPG-KEY-..."
        findings.append(warning("OS-KEY-MISSING", message, hint=hint))
    for variant in tree.variants:
        repositories.append(DnfRepository(variant.uid, variant.repository, True, OS_PRIORITY, True, os_keys))
    hotfixes = hotfixed(offers) if tree.release in ("el8", "el9") else {}
    by_name = {roll.id.name: roll for roll in rolls}
    severity = Severity.ERROR if require_signed else Severity.WARNING
    bare: list[str] = []
    for offer in offers:
        if offer.is_os:
            continue
        roll = by_name[offer.repository]
        keys, doubts = _find_keys(roll, key_ids)
        if not any(package.signed_by for package in roll.packages):
            bare.append(str(roll.id))
        else:
            hint = "sign them all: rollbuild roll build --sign KEY; or name the file of their key with --key FILE"
            findings += [
                Finding("ROLL-UNSIGNED", severity, f"{doubt}: dnf will not check it", hint=hint) for doubt in doubts
            ]
        repositories.append(
            DnfRepository(
                offer.repository,
                f"rolls/{offer.repository}",
                False,
                offer.priority,
                not doubts,
                keys,
                offer.repository in hotfixes,
            )
        )
    if bare:
        whose = f"roll {bare[0]}" if len(bare) == 1 else f"the rolls {', '.join(bare)}"
        message = f"no package of {whose} is signed: dnf will not check what it takes from there"
        hint = "rollbuild roll build --sign KEY signs rolls of your own; those of others can only be taken as they are"
        findings.append(Finding("ROLL-UNSIGNED", severity, message, hint=hint))
    return tuple(repositories), findings


def _find_keys(roll: BuiltRoll, key_ids: Mapping[str, frozenset[str]]) -> tuple[tuple[str, ...], list[str]]:
    """The files of the keys that a roll's packages are signed with, and what is wrong with its signatures."""
    needed: dict[str, None] = {}
    unsigned, unknown = [], []
    packages = [package for package in roll.packages if package.arch not in _SOURCE_ARCHES]
    for package in packages:
        places = [place for place, ids in key_ids.items() if ids.intersection(package.signed_by)]
        if places and needed.keys().isdisjoint(places):
            # One key often signs many rolls, and each brings it: one file of it is enough, best the roll's own.
            needed[min(places, key=lambda place: (not place.endswith(f"-{roll.id.name}"), place))] = None
        if not package.signed_by:
            unsigned.append(os.path.basename(package.file))
        elif not places:
            unknown.append(os.path.basename(package.file))
    doubts = []
    for names, what in ((unsigned, "not signed"), (unknown, "signed with a key that is not there")):
        if names:
            shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            doubts.append(f"roll {roll.id}: {len(names)} of {len(packages)} packages are {what} ({shown})")
    return tuple(sorted(needed)), doubts
