"""Work on many machines: containers at the same time, the machines of one after another, each with its own result."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from rollbuild.errors import UNREACHABLE, RollbuildError

MOST_CONTAINERS = 32
"""As many are worked on at the same time."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one machine: lines for standard output, news for a person, or why not."""

    name: str
    container: str
    lines: tuple[str, ...] = ()
    news: tuple[str, ...] = ()
    error: RollbuildError | None = None

    @property
    def exit_code(self) -> int:
        return self.error.exit_code if self.error is not None else 0


@dataclass(frozen=True, slots=True)
class Report:
    """What work on one machine has to say when it is done."""

    lines: tuple[str, ...] = ()
    news: tuple[str, ...] = ()


@dataclass(slots=True)
class Crew:
    """Hands results on in the order of the machines, whichever is done first; `is_stopped` asks for an early end."""

    order: Sequence[tuple[str, str]]
    _results: dict[str, Result] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def hand_in(self, result: Result) -> None:
        """Called by threads, once for each machine."""
        with self._changed:
            self._results[result.name] = result
            self._changed.notify_all()

    def run(self, work: "Callable[[str, Sequence[str], Crew], object]") -> Iterator[Result]:
        """Call `work(container, machines, crew)` for each container in a thread of its own; the results as they come.

        What `work` raises is the result of all its machines that have none yet, where it is a RollbuildError.
        """
        groups: dict[str, list[str]] = {}
        for name, container in self.order:
            groups.setdefault(container, []).append(name)
        if not groups:
            return
        pool = ThreadPoolExecutor(min(len(groups), MOST_CONTAINERS), thread_name_prefix="container")
        futures: list[Future[None]] = []
        try:
            futures = [pool.submit(self._visit, work, container, names) for container, names in groups.items()]
            for name, _ in self.order:
                yield self._wait_for(name, futures)
            for future in futures:
                future.result()
        finally:
            self._stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _visit(
        self, work: "Callable[[str, Sequence[str], Crew], object]", container: str, names: Sequence[str]
    ) -> None:
        try:
            work(container, names, self)
        except RollbuildError as problem:
            for name in names:
                if name not in self._results:
                    self.hand_in(Result(name, container, error=problem))
        finally:
            with self._changed:
                self._changed.notify_all()

    def _wait_for(self, name: str, futures: "Sequence[Future[None]]") -> Result:
        with self._changed:
            while name not in self._results:
                for future in futures:
                    if future.done() and (problem := future.exception()) is not None:
                        raise problem
                # A thread that fails tells it before its future is done.
                self._changed.wait(0.05)
            return self._results[name]


def each(machines: Sequence[tuple[str, str]], work: Callable[[str, str], Report]) -> Iterator[Result]:
    """Call `work(machine, container)` for each (machine, container); see `Crew`."""

    def visit(container: str, names: Sequence[str], crew: Crew) -> None:
        for name in names:
            if crew.is_stopped:
                return
            try:
                report = work(name, container)
            except RollbuildError as problem:
                if problem.exit_code == UNREACHABLE:
                    # The others there need not wait for the same answer.
                    raise
                crew.hand_in(Result(name, container, error=problem))
            else:
                crew.hand_in(Result(name, container, report.lines, report.news))

    return Crew(machines).run(visit)
