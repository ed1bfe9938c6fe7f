"""Work that is shared by processes: createrepo_c keeps Python's lock, and threads would take longer than one does."""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from rollbuild.errors import RollbuildError
from rollbuild.packages.native import load_createrepo, silent_library

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_MOST_PROCESSES = 8
_BATCH = 32

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def shared_work(
    work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], *, worth: int
) -> Iterator[Iterator[Result]]:
    """The results of `work`, in the order of the items; it is given some of them at a time, and makes as many results.

    At most as many processes are forked as the work is `worth`, and as there are processors. They start at once,
    before the first result is asked for, and end with the block. One alone is not forked, and works when asked.

    Raises what `work` raises where that is a RollbuildError.
    """
    jobs = max(min(len(os.sched_getaffinity(0)), _MOST_PROCESSES, worth, len(items)), 1)
    size = max(min(_BATCH, len(items) // (4 * jobs)), 1)
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    if items:
        load_createrepo()  # once, before the others are forked
    if jobs == 1:
        yield (result for batch in batches for result in _work_quietly(work, batch))
        return
    receivers: list[Connection] = []
    workers: list[Any] = []
    try:
        _start(work, [batches[index::jobs] for index in range(jobs)], receivers, workers)
        yield _receive(len(batches), receivers, workers)
    finally:
        for worker, receiver in zip(workers, receivers, strict=False):
            worker.terminate()
            worker.join()
            receiver.close()


def _work_quietly(work: Callable[[Sequence[Item]], list[Result]], batch: Sequence[Item]) -> list[Result]:
    with silent_library():
        return work(batch)


def _start(
    work: Callable[[Sequence[Item]], list[Result]],
    shares: Sequence[Sequence[Sequence[Item]]],
    receivers: "list[Connection]",
    workers: list[Any],
) -> None:
    import multiprocessing

    context = multiprocessing.get_context("fork")
    for share in shares:
        receiver, sender = context.Pipe(duplex=False)
        receivers.append(receiver)
        worker = context.Process(target=_run, args=(work, share, sender, tuple(receivers)))
        worker.start()
        sender.close()
        workers.append(worker)


def _receive(count: int, receivers: "Sequence[Connection]", workers: Sequence[Any]) -> Iterator[Any]:
    for number in range(count):
        index = number % len(workers)
        try:
            answer = receivers[index].recv()
        except (EOFError, ConnectionError):
            workers[index].join()
            code = workers[index].exitcode
            raise RollbuildError(f"a process that worked on packages died (exit code {code})") from None
        if isinstance(answer, dict):
            raise RollbuildError(**answer)
        yield from answer


def _run(
    work: Callable[[Sequence[Item]], list[Result]],
    batches: Sequence[Sequence[Item]],
    sender: "Connection",
    receivers: "tuple[Connection, ...]",
) -> None:
    gc.disable()  # it would write to, and so copy, all memory that is shared with the parent
    # As long as one process has the reading end, this one would wait for ever when its parent is killed.
    for receiver in receivers:
        receiver.close()
    try:
        try:
            with silent_library():
                for batch in batches:
                    sender.send(work(batch))
        except RollbuildError as problem:
            words = {"hint": problem.hint, "location": problem.location, "exit_code": problem.exit_code}
            sender.send({"message": problem.message, **words})
    except (KeyboardInterrupt, BrokenPipeError):
        pass
