"""Several jobs at a time, in threads: they wait for servers, or compute digests."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

PARALLEL = 4

Advance = Callable[[int], object]
Result = TypeVar("Result")


class _StoppedError(Exception):
    """Another job failed."""


class _Crew(Generic[Result]):
    """Threads that take jobs until there are none, or one fails."""

    def __init__(self, jobs: Sequence[Callable[[Advance], Result]], advance: Advance | None) -> None:
        self.jobs = jobs
        self.advance = advance
        self.lock = threading.Lock()
        self.numbers = iter(range(len(jobs)))
        self.results: dict[int, Result] = {}
        self.failures: dict[int, BaseException] = {}
        self.stopped = False

    def tell(self, count: int) -> None:
        with self.lock:
            if self.stopped:
                raise _StoppedError
            if self.advance is not None and count:
                self.advance(count)

    def work(self) -> None:
        while True:
            with self.lock:
                number = None if self.stopped else next(self.numbers, None)
            if number is None:
                return
            try:
                result = self.jobs[number](self.tell)
            except _StoppedError:
                return
            except BaseException as problem:
                self.failures[number] = problem
                self.stopped = True
                return
            self.results[number] = result


def run_parallel(jobs: Sequence[Callable[[Advance], Result]], advance: Advance | None = None) -> list[Result]:
    """Run jobs in four threads; their results, in order. Each is given a callback for its bytes.

    The first failure, by order of the jobs, is raised, and the others stop at their next step.
    """
    crew = _Crew(jobs, advance)
    # Daemons: a server that is silent must not keep an interrupted program from ending.
    threads = [threading.Thread(target=crew.work, daemon=True) for _ in range(min(PARALLEL, len(jobs)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive() and not crew.stopped:
                thread.join(0.5)
    finally:
        crew.stopped = True
        for thread in threads:
            thread.join(1.0)
    if crew.failures:
        raise crew.failures[min(crew.failures)]
    return [crew.results[number] for number in range(len(jobs))]
