"""Hosts of one compile: those that share a plan differ in values only, so each plan is made and checked once."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rollbuild.commands._hosts import HostEntry
from rollbuild.commands._report import Report
from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding
from rollbuild.language import Appliance
from rollbuild.workspace import Plans, Workspace

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Write = Callable[[str, bytes], None]

_WORTH_A_PROCESS = 200
"""Fewer hosts than this are compiled sooner than another process starts."""


class Fleet:
    """Renders hosts; what is found goes to the report."""

    def __init__(self, workspace: Workspace, names: Sequence[str], report: Report, *, validate: bool) -> None:
        self.workspace = workspace
        self.names = names
        self.report = report
        self.validate = validate
        self.plans = Plans(workspace)
        self.checked: set[tuple[object, ...]] = set()
        self.appliances: dict[str, Appliance] = {}

    def render(self, host: HostEntry) -> bytes:
        """The Kickstart of a host.

        The first host of each plan is compiled and checked in full, and so is each whose values are not plain;
        the others differ from these in plain values only.
        """
        workspace = self.workspace
        found = self.plans.find(host.name, self.appliance(host), host.attributes)
        if found.shape not in self.checked:
            self.checked.add(found.shape)
            profile = workspace.compiler.compile(found.target)
            self.report.add(profile.findings)
            if self.validate:
                self.report.add_checks(profile, workspace.release)
        findings: list[Finding] = []
        for name, value in host.attributes.items():
            findings += workspace.value_findings(name, value, host.location)
        text = found.plan.render(found.target.attributes, findings)
        self.report.add(findings)
        return text

    def render_all(self, hosts: Sequence[HostEntry], write: Write, advance: Callable[[int], object]) -> None:
        """Render hosts and give each Kickstart to `write`."""
        for host in hosts:
            text: bytes | None = None
            with self.report.collecting():
                text = self.render(host)
            if text is not None:
                write(f"{host.name}.ks", text)
            advance(1)

    def appliance(self, host: HostEntry) -> Appliance:
        """The host's appliance: its own, else the one that the command names, else that of --root."""
        name = host.appliance or (self.names[0] if len(self.names) == 1 else "") or self.workspace.choice.root or ""
        if not name:
            raise RollbuildError(
                f"host {host.name} has no appliance",
                location=host.location,
                hint="give it one in the file, or name one APPLIANCE on the command line",
                code="HOST-APPLIANCE",
            )
        if name not in self.appliances:
            try:
                self.appliances[name] = self.workspace.find_appliance(name)
            except RollbuildError as problem:
                raise RollbuildError(
                    problem.message, location=host.location, hint=problem.hint, code="HOST-APPLIANCE"
                ) from None
        return self.appliances[name]


def render_with_jobs(
    fleet: Fleet, hosts: Sequence[HostEntry], write: Write, advance: Callable[[int], object], jobs: int
) -> None:
    """The same with several processes, each of which takes a stretch of the hosts.

    The Kickstarts do not depend on how many there are. Raises what a process was stopped by.
    """
    jobs = min(jobs, max(len(hosts) // _WORTH_A_PROCESS, 1))
    if jobs == 1:
        fleet.render_all(hosts, write, advance)
        return
    import multiprocessing

    context = multiprocessing.get_context("fork")
    size = -(-len(hosts) // jobs)
    workers = []
    for start in range(0, len(hosts), size):
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(fleet, hosts[start : start + size], write, sender))
        worker.start()
        sender.close()
        workers.append((worker, receiver, len(hosts[start : start + size])))
    try:
        for worker, receiver, count in workers:
            try:
                outcome = receiver.recv()
            except EOFError:
                worker.join()
                raise RollbuildError(f"a process that compiled hosts died (exit code {worker.exitcode})") from None
            if isinstance(outcome, RollbuildError):
                raise outcome
            fleet.report.add(outcome)
            advance(count)
    finally:
        for worker, _, _ in workers:
            worker.terminate()
            worker.join()


def _work(fleet: Fleet, hosts: Sequence[HostEntry], write: Write, sender: "Connection") -> None:
    try:
        fleet.render_all(hosts, write, lambda count: None)
        sender.send(tuple(fleet.report.found))
    except KeyboardInterrupt:
        pass
    except RollbuildError as problem:
        location, hint = problem.location, problem.hint
        sender.send(Failed(problem.message, location=location, hint=hint, exit_code=problem.exit_code))


class Failed(RollbuildError):
    """A RollbuildError that came from another process."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_fail, (self.message, self.location, self.hint, self.exit_code))


def _fail(message: str, location: object, hint: str, exit_code: int) -> RollbuildError:
    return RollbuildError(message, location=location, hint=hint, exit_code=exit_code)  # type: ignore[arg-type]
