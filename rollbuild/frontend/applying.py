"""Bringing a front end's files in line with its database: whole, checked, and with one restart for many changes."""

import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rollbuild.cluster import configuration_generation, read_setting
from rollbuild.errors import RollbuildError
from rollbuild.files import explained, locked, system_path, write_atomically
from rollbuild.findings import Finding, Severity
from rollbuild.frontend.checking import check_service
from rollbuild.frontend.configuration import (
    KEA_CONF,
    Configuration,
    Link,
    PlannedFile,
    Service,
    plan_configuration,
    read_partly,
)
from rollbuild.frontend.dhcp import make_reservations
from rollbuild.frontend.netboot import TREE, make_boot_table, publish_distributions
from rollbuild.frontend.place import FrontEnd
from rollbuild.frontend.record import (
    Record,
    describe_sources,
    file_state,
    make_folders,
    read_applied,
    write_applied,
)
from rollbuild.frontend.restarting import SETTINGS, find_command, restart_service
from rollbuild.media import GrubVerbs, Written, image_folder, update_boot_files, update_cluster_tree

LOCK = "/run/rollbuild/configuration.lock"
_WAIT_SECONDS = 300.0
_MODE = 0o644
_UNFINISHED = re.compile(r"\.rollbuild-[0-9a-f]+-([0-9]+)-[0-9]+")
"""How rollbuild.files calls what is not in its place yet, with the process that writes it."""

_NOTHING = Written(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A service that did not take its files, or a part that could not be written; all that was there before stays."""

    service: str
    message: str
    hint: str = ""
    exit_code: int = 1


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done. `generation` is the database's.

    `changed` are paths of files and links that are new, differ, or were removed; `boot_files` counts those of the
    netboot tree. `restarted` are the services that took new files, `notes` says of others why they did not, and what
    could not be checked. `refused`, and findings of severity error, are what somebody has to put right.
    """

    generation: int
    changed: tuple[str, ...] = ()
    boot_files: Written = _NOTHING
    restarted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def has_changed(self) -> bool:
        """Whether any file was touched."""
        return bool(self.changed or self.boot_files.written or self.boot_files.removed or self.restarted)

    @property
    def is_complete(self) -> bool:
        """Whether the files are those of the database, all of them."""
        return not self.refused and not any(finding.severity is Severity.ERROR for finding in self.findings)

    def lines(self) -> tuple[str, ...]:
        """The same for people, without refusals and findings; nothing where nothing was done."""
        boot = self.boot_files
        found = [f"wrote {path}" for path in self.changed]
        if boot.written or boot.removed:
            removed = f", {boot.removed:,} removed" if boot.removed else ""
            found.append(f"wrote {boot.written:,} {'file' if boot.written == 1 else 'files'} in {TREE}{removed}")
        found += [f"restarted {service}" for service in self.restarted]
        return (*found, *self.notes)


def apply_configuration(front_end: FrontEnd, *, restart: bool = True) -> Applied:
    """Make every file that of the database's newest generation, and have services with new files take them.

    Looks at all files, whatever was applied before. Waits for another run. Each file is replaced whole, after the
    program of its service accepted it; where that refuses, none of the service's files change. With `restart` false,
    services with new files wait for the next run. Raises RollbuildError for a database, store or disk that fails; what
    was written before stays, and the next run goes on.
    """
    with _locked():
        return _apply(front_end, restart)


def ensure_applied(front_end: FrontEnd) -> Applied:
    """The same where anything may be stale: the database's generation, distributions, the site's own parts, or the
    files themselves; where nothing is, this only compares, which takes milliseconds."""
    generation = _read_generation(front_end)
    if _is_fresh(front_end, generation):
        return Applied(generation)
    with _locked():
        # Whoever held the lock may have done it.
        generation = _read_generation(front_end)
        return Applied(generation) if _is_fresh(front_end, generation) else _apply(front_end, restart=True)


def apply_boot_files(front_end: FrontEnd, hosts: Collection[str]) -> Written:
    """Write the files of the netboot tree for some hosts, after their boot actions changed; no service restarts.

    Costs the same however many hosts there are. All else stays for `ensure_applied`. Raises RollbuildError, and
    FindingsError where the database does not say which network hosts boot on.
    """
    with _locked():
        snapshot, site = read_partly(front_end, hosts)
        wanted = frozenset(hosts)
        reservations = [row for row in make_reservations(snapshot, site)[0] if row.name in wanted]
        published = publish_distributions(front_end, snapshot)
        table = make_boot_table(front_end, snapshot, site, reservations, published)
        folder = system_path(TREE)
        needed = [f"{image_folder(installer.generation)}/vmlinuz" for installer in table.installers]
        if not all((folder / path).is_file() for path in (*needed, *table.extra)):
            # A kernel, or what belongs to it, is not in the tree yet; only a full run puts it there.
            return _apply(front_end, restart=True).boot_files
        verbs = published.leading.verbs if published.leading is not None else GrubVerbs()
        return update_boot_files(folder, table.hosts, site.boot_network, verbs, front_end.menus())


@contextmanager
def _locked() -> Iterator[None]:
    path = system_path(LOCK)
    make_folders(path.parent)
    with locked(path, "writing the configuration", wait_seconds=_WAIT_SECONDS):
        yield


def _read_generation(front_end: FrontEnd) -> int:
    with front_end.database.reading() as connection:
        return configuration_generation(connection)


def _is_fresh(front_end: FrontEnd, generation: int) -> bool:
    record = read_applied()
    return (
        record.generation == generation
        and not record.waiting
        and all(file_state(system_path(path)) == state for path, state in record.files.items())
        and record.sources == describe_sources(front_end)
    )


def _apply(front_end: FrontEnd, restart: bool) -> Applied:
    record = read_applied()
    sources = describe_sources(front_end)
    plan = plan_configuration(front_end)
    if plan.tree is None:
        # Every command of a front end that is only being set up would say the same.
        return Applied(plan.generation, findings=plan.findings)
    accepted, notes, refused = _check(plan)
    changing = [file for file in accepted if _differs(file)]
    links = [link for link in plan.links if link.may_change and not link.is_right]
    waiting = dict.fromkeys((*record.waiting, *(file.service for file in changing)))
    if changing or links or record.generation != plan.generation:
        # Should this run be stopped, the next one knows that nothing is sure, and who must restart.
        write_applied(Record(waiting=tuple(waiting)))
    _remove_leftovers({file.place.parent for file in plan.files})
    for file in changing:
        _write(file)
    for link in links:
        _write_link(link)
    boot_files = _NOTHING
    try:
        boot_files, _ = update_cluster_tree(plan.tree, front_end.menus(), {"generation": plan.generation})
    except RollbuildError as problem:
        # Names and addresses do not wait for it.
        place = f"{problem.location}: " if problem.location is not None else ""
        message = f"the netboot tree is not up to date: {place}{problem.message}"
        refused.append(Refusal("netboot", message, problem.hint, problem.exit_code))
    restarted, left, not_restarted, failed = _restart(front_end, tuple(waiting), restart)
    if KEA_CONF in record.files and not any(file.path == KEA_CONF for file in plan.files):
        notes.append("Kea answered DHCP before: `systemctl disable --now kea-dhcp4` stops it")
    if KEA_CONF not in record.files and Service.KEA in restarted:
        notes.append("`systemctl enable kea-dhcp4` has Kea answer after the next boot too")
    applied = Applied(
        plan.generation,
        changed=(*(file.path for file in changing), *(str(link.path) for link in links)),
        boot_files=boot_files,
        restarted=tuple(str(service) for service in restarted),
        notes=(*notes, *not_restarted),
        refused=(*refused, *failed),
        findings=plan.findings,
    )
    # What was refused is looked at again, and told again, by each command until it is put right.
    done = Record(-1 if refused else plan.generation, sources, _states(plan), left)
    if done != record or changing or links:
        write_applied(done)
    return applied


def _states(plan: Configuration) -> dict[str, tuple[int, int]]:
    states = {file.path: file_state(file.place) for file in plan.files if file.content is not None}
    return {path: state for path, state in states.items() if state is not None}


def _check(plan: Configuration) -> tuple[list[PlannedFile], list[str], list[Refusal]]:
    """The files that may be written: those of services whose programs accept them. A service without changes is not
    asked."""
    accepted: list[PlannedFile] = []
    notes: list[str] = []
    refused: list[Refusal] = []
    for service in Service:
        files = [file for file in plan.files if file.service is service]
        if not any(_differs(file) for file in files):
            continue
        try:
            if not check_service(service, files):
                notes.append(f"{service} did not look at its files: it is not on this machine")
        except RollbuildError as problem:
            refused.append(Refusal(service, problem.message, problem.hint, problem.exit_code))
        else:
            accepted += files
    return accepted, notes, refused


def _differs(file: PlannedFile) -> bool:
    if file.found() != file.content:
        return True
    return file.content is not None and stat.S_IMODE(os.stat(file.place).st_mode) != _MODE


def _write(file: PlannedFile) -> None:
    place = file.place
    if file.content is None:
        with explained("cannot remove", place):
            place.unlink(missing_ok=True)
        return
    make_folders(place.parent)
    write_atomically(place, file.content, mode=_MODE, sync=True)
    with explained("cannot write", place):
        os.chmod(place, _MODE)  # whatever the umask: dnsmasq reads some as another user


def _remove_leftovers(folders: Collection[Path]) -> None:
    """Remove files that a process which was killed had not put in their places; those of living ones are theirs."""
    for folder in folders:
        with suppress(OSError):
            for name in os.listdir(folder):
                if (found := _UNFINISHED.fullmatch(name)) and not os.path.exists(f"/proc/{found[1]}"):
                    os.unlink(folder / name)


def _write_link(link: Link) -> None:
    make_folders(link.path.parent)
    temporary = link.path.with_name(f".rollbuild-{link.path.name}")
    with explained("cannot write", link.path):
        with suppress(FileNotFoundError):
            temporary.unlink()  # of a run that was killed; there is no other now
        os.symlink(link.target, temporary)
        os.rename(temporary, link.path)


def _restart(
    front_end: FrontEnd, services: Sequence[Service], restart: bool
) -> tuple[list[Service], tuple[Service, ...], list[str], list[Refusal]]:
    """The services that were restarted, those that still have to be, notes, and those that failed."""
    done: list[Service] = []
    left: list[Service] = []
    notes: list[str] = []
    failed: list[Refusal] = []
    if services:
        with front_end.database.reading() as connection:
            settings = {service: read_setting(connection, SETTINGS[service]) for service in Service}
    for service in services:
        if not restart:
            left.append(service)
            notes.append(f"{service} has new files and was not restarted")
            continue
        try:
            command, why_not = find_command(service, settings)
            if command:
                restart_service(service, command)
                done.append(service)
            else:
                notes.append(why_not)
        except RollbuildError as problem:
            left.append(service)
            failed.append(Refusal(service, problem.message, problem.hint, problem.exit_code))
    return done, tuple(left), notes, failed
