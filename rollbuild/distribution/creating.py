"""Making a generation: staged beside its place, renamed into it when it is whole, and then put to use."""

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rollbuild.distribution.generation import (
    Generation,
    check_distribution_name,
    read_generations,
    switch_current,
    sync_folder,
)
from rollbuild.distribution.inputs import Inputs, read_inputs
from rollbuild.distribution.joining import (
    Source,
    check_sources,
    join_files,
    make_folders,
    sync_tree,
    write_files,
)
from rollbuild.distribution.keeping import prune_generations
from rollbuild.distribution.ostree import read_os_tree
from rollbuild.distribution.provenance import (
    ATTRIBUTES,
    PROVENANCE,
    SBOM,
    SUMS,
    Provenance,
    UsedRoll,
    digest_attributes,
    tool_versions,
    write_sbom,
    write_sums,
)
from rollbuild.distribution.repofile import REPO_FILE, check_url, describe_rolls, url_of, write_repo_file
from rollbuild.distribution.request import Compile, DescriptionToCompile, Judge, Made, Wanted
from rollbuild.distribution.shadows import (
    OfferedPackage,
    find_conflicts,
    find_shadows,
    shadow_findings,
    shadows_to_json,
)
from rollbuild.distribution.treeinfo import Variant, variant_uids
from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import copy_symlink, explained, staged_folder
from rollbuild.findings import Finding
from rollbuild.packages import check_space, read_rpm
from rollbuild.rolls import Store, choose_epoch

if TYPE_CHECKING:
    from collections.abc import Iterator

KICKSTARTS = "kickstarts"
SHADOWED = "shadowed.json"
_TREEINFO = ".treeinfo"
_FOLDER_MODE = 0o755


def create_generation(
    store: Store,
    wanted: Wanted,
    *,
    compile: Compile | None,
    judge: Judge,
    advance: Callable[[], object] | None = None,
) -> Made:
    """Make a new generation of a distribution and put it to use; none when nothing changed since the one in use.

    `compile` None: no Kickstarts. Whatever stops it leaves the generation in use as it was; what is left over goes
    with the next one. Raises RollbuildError: REFUSED, USAGE, BUSY while another process changes the store, DISK.
    """
    check_distribution_name(wanted.name)
    url = check_url(wanted.url) if wanted.url else ""
    read_os_tree(store, wanted.os_name)  # a slip in a name makes no store
    with store.locked(f"making distribution {wanted.name}", wait_seconds=wanted.wait_seconds):
        inputs = read_inputs(
            store,
            wanted.os_name,
            wanted.rolls,
            lock=wanted.lock,
            keys=wanted.keys,
            require_signed=wanted.require_signed,
        )
        if not url:
            url = url_of(Path(os.path.abspath(store.distributions_folder)) / wanted.name / "current")
        builder = _Builder(store, replace(wanted, url=url), inputs, compile, judge, advance, is_own_url=not wanted.url)
        return builder.build()


class _Unchanged(Exception):
    """No error: it takes the stage away."""


class _Builder:
    def __init__(
        self,
        store: Store,
        wanted: Wanted,
        inputs: Inputs,
        compile: Compile | None,
        judge: Judge,
        advance: Callable[[], object] | None,
        *,
        is_own_url: bool,
    ) -> None:
        self.store, self.wanted, self.inputs = store, wanted, inputs
        self.compile, self.judge, self.advance = compile, judge, advance
        self.is_own_url = is_own_url
        self.folder = store.distributions_folder / wanted.name
        self.generations = read_generations(store, wanted.name)
        self.shadows = find_shadows(inputs.offers, inputs.tree.arch)
        self.shared = {path: source for path, source in inputs.shared.items() if path not in inputs.keys}
        self.public: dict[str, bytes] = {}
        self.private: dict[str, bytes] = {}
        self.provenance: Provenance | None = None

    def build(self) -> Made:
        number = self.generations[-1].number + 1 if self.generations else 1
        new = Generation(self.wanted.name, number, self.folder / str(number), True)
        findings = [*self.inputs.findings, *shadow_findings(self.shadows)]
        findings += find_conflicts(self.inputs.offers, self._header_of)
        findings += check_sources(self.shared.values(), digests=self.wanted.verify, advance=self.advance)
        if self.wanted.is_dry_run:
            with TemporaryDirectory(prefix="rollbuild-") as scratch:
                provenance = self._prepare(Path(scratch), findings)
            same = self._find_same()
            return Made("dry-run", same or new, provenance, self.shadows)
        linked = 0
        try:
            with _public_folder(new.folder) as stage:
                provenance = self._prepare(stage, findings)
                if self._find_same() is not None:
                    raise _Unchanged
                linked = self._fill(stage)
        except _Unchanged:
            return self._use_same(provenance)
        with explained("cannot write", self.folder):
            sync_folder(self.folder)
        switch_current(new)
        pruned = prune_generations(self.store, self.wanted.name, self.wanted.keep) if self.wanted.keep else ()
        copied = len(self.shared) - linked
        return Made("made", new, provenance, self.shadows, linked, copied, pruned)

    def _prepare(self, stage: Path, findings: list[Finding]) -> Provenance:
        """Lay out the description, compile it, and settle the content of every file that is made."""
        described = {path: source for path, source in self.shared.items() if path.startswith("description/")}
        if not any(finding.code == "INPUT-CHANGED" for finding in findings):
            join_files(stage, described)
            make_folders(stage, ["description"])
            self._compile(stage)
        self.judge(findings)
        self.provenance = self._describe()
        self._write_public()
        return self.provenance

    def _compile(self, stage: Path) -> None:
        if self.compile is None or not self.inputs.rolls:
            return
        inputs = self.inputs
        versions = {roll.id.name: (roll.id.version, roll.id.release) for roll in inputs.rolls}
        description = DescriptionToCompile(
            folder=stage / "description",
            release=inputs.tree.release,
            rolls=describe_rolls(inputs.repositories, versions, "" if self.is_own_url else self.wanted.url),
            origins=inputs.origins,
        )
        compiled = self.compile(description)
        for name, content in sorted(compiled.kickstarts.items()):
            if PurePosixPath(name).name != name or not name.endswith(".ks"):
                raise RollbuildError(f"{name!r} is no file name of a Kickstart")
            self.private[f"{KICKSTARTS}/{name}"] = content
        self.private[f"{KICKSTARTS}/{ATTRIBUTES}"] = digest_attributes(self.wanted.attributes, compiled.secrets)

    def _describe(self) -> Provenance:
        wanted, inputs = self.wanted, self.inputs
        tree, counts = inputs.tree, inputs.counts
        kickstarts = [path for path in self.private if path.endswith(".ks")]
        return Provenance(
            name=wanted.name,
            os_name=tree.name,
            os_digest=tree.digest,
            os_release=tree.release,
            arch=tree.arch,
            epoch=choose_epoch(max([tree.epoch, *(roll.epoch for roll in inputs.rolls)])),
            rolls=tuple(
                UsedRoll(roll.id, inputs.digests[roll.id.name], roll.priority, counts.get(roll.id.name, 0))
                for roll in inputs.rolls
            ),
            repositories=tuple((item.name, item.path, counts.get(item.name, 0)) for item in inputs.repositories),
            options={
                "kickstarts": self.compile is not None,
                "url": "" if self.is_own_url else wanted.url,
                "require_signed": wanted.require_signed,
            },
            attributes=tuple(wanted.attributes) if kickstarts else (),
            data=hashlib.sha256(wanted.data).hexdigest() if wanted.data else "",
            appliances=tuple(PurePosixPath(path).stem for path in kickstarts),
            versions=tool_versions(),
        )

    def _write_public(self) -> None:
        """The content of every file that is made, the lists of digests last."""
        inputs, provenance = self.inputs, self.provenance
        assert provenance is not None  # noqa: S101 - for the type checker
        self.public = {
            _TREEINFO: self._write_treeinfo().encode(),
            REPO_FILE: write_repo_file(provenance.name, inputs.repositories, self.wanted.url),
            PROVENANCE: provenance.to_json(),
            SBOM: write_sbom(provenance, inputs.rolls),
            SHADOWED: shadows_to_json(self.shadows),
            **inputs.keys,
        }
        for path in self.public:
            self.shared.pop(path, None)
        self.shared.pop(SUMS, None)
        self.public[SUMS] = write_sums(
            {path: source.sha256 for path, source in self.shared.items()} | _digests(self.public)
        )
        if self.private:
            inside = {path.removeprefix(f"{KICKSTARTS}/"): content for path, content in self.private.items()}
            self.private[f"{KICKSTARTS}/{SUMS}"] = write_sums(_digests(inside))

    def _write_treeinfo(self) -> str:
        tree, info = self.inputs.tree, self.inputs.tree.read_treeinfo()
        rolls = [repository for repository in self.inputs.repositories if not repository.is_os]
        uids = variant_uids((item.name for item in rolls), (variant.uid for variant in tree.variants))
        own = tuple(
            Variant(uids[item.name], item.path, f"{item.path}/RPMS", name=item.name, id=uids[item.name])
            for item in rolls
        )
        try:
            return replace(info, variants=(*tree.variants, *own)).to_text(main_variant=tree.base.uid)
        except ValueError as problem:
            raise RollbuildError(f"the .treeinfo of OS tree {tree.name} cannot be extended: {problem}") from None

    def _header_of(self, package: OfferedPackage) -> str:
        source = self.shared.get(package.file)
        return read_rpm(source.path).header_sha256 if source is not None else ""

    def _find_same(self) -> Generation | None:
        """The generation in use, or the newest, when it is what would be made."""
        sums = [(SUMS, self.public[SUMS]), (f"{KICKSTARTS}/{SUMS}", self.private.get(f"{KICKSTARTS}/{SUMS}"))]
        newest = self.generations[-1:]
        for generation in (*(item for item in self.generations if item.is_current), *newest):
            if all(_read_or_none(generation.folder / path) == content for path, content in sums):
                return generation
        return None

    def _use_same(self, provenance: Provenance) -> Made:
        same = self._find_same()
        assert same is not None  # noqa: S101 - for the type checker
        if same.is_current:
            return Made("unchanged", same, provenance, self.shadows)
        switch_current(same)
        return Made("reused", replace(same, is_current=True), provenance, self.shadows)

    def _fill(self, stage: Path) -> int:
        """Give the stage everything that it does not have yet; how many files of it are linked."""
        rest = {path: source for path, source in self.shared.items() if not path.startswith("description/")}
        _check_room(stage, rest)
        linked = join_files(stage, rest, advance=self.advance)
        linked += sum(_is_linked(stage / path) for path in self.shared if path.startswith("description/"))
        for path, place in self.inputs.symlinks.items():
            copy_symlink(place, stage / path, path)
        write_files(stage, self.public)
        write_files(stage, self.private, mode=0o600)
        if self.private:
            with explained("cannot write", stage / KICKSTARTS):
                os.chmod(stage / KICKSTARTS, 0o700)
        sync_tree(stage)
        return linked


@contextmanager
def _public_folder(target: Path) -> "Iterator[Path]":
    """A staged folder that all may read, whatever the umask, and so is the one above it."""
    with explained("cannot write", target.parent):
        for folder in (target.parent.parent, target.parent):
            if not folder.is_dir():
                folder.mkdir(parents=True)
                os.chmod(folder, _FOLDER_MODE)
    with staged_folder(target) as stage:
        with explained("cannot write", stage):
            os.chmod(stage, _FOLDER_MODE)
        yield stage


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def _read_or_none(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise RollbuildError(f"cannot read {path}: {problem.strerror}", exit_code=DISK) from None


def _is_linked(path: Path) -> bool:
    return os.lstat(path).st_nlink > 1


def _check_room(stage: Path, shared: Mapping[str, Source]) -> None:
    """Refuse early when what must be copied from other file systems does not fit. Raises RollbuildError, DISK."""
    here = os.stat(stage).st_dev
    elsewhere = {top for top in {source.top for source in shared.values()} if os.stat(top).st_dev != here}
    needed = sum(source.size for source in shared.values() if source.top in elsewhere) if elsewhere else 0
    if needed:
        check_space(stage, needed, "the files that lie on other file systems")
