"""What costs as much for many as for one: requests that want it at the same time have it done together."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from rollbuild.errors import RollbuildError
from rollbuild.frontend.service.answers import is_passing

T = TypeVar("T")


@dataclass(slots=True)
class _Round(Generic[T]):
    items: list[T] = field(default_factory=list)
    problems: dict[int, Exception] = field(default_factory=dict)
    is_done: bool = False


class Rounds(Generic[T]):
    """Rounds of one kind of work, one after the other: while one is done, the next one collects.

    `act` is given what a round has collected. Where it raises, each item is tried alone, so that nobody fails for
    another's sake.
    """

    def __init__(self, act: Callable[[Sequence[T]], object]) -> None:
        self._act = act
        self._guard = threading.Lock()
        self._turn = threading.Lock()
        self._next: _Round[T] = _Round()

    def do(self, item: T) -> None:
        """Return when it is done, with whatever else was asked for meanwhile. Raises what `act` raises of it."""
        with self._guard:
            mine = self._next
            place = len(mine.items)
            mine.items.append(item)
        with self._turn:
            # The first who has the turn does it for all; one that is not done yet is the one that collects.
            if not mine.is_done:
                with self._guard:
                    self._next = _Round()
                self._run(mine)
                mine.is_done = True
        if place in mine.problems:
            raise mine.problems[place]

    def _run(self, mine: _Round[T]) -> None:
        try:
            self._act(mine.items)
            return
        except Exception as problem:
            fails_all = len(mine.items) == 1 or (isinstance(problem, RollbuildError) and is_passing(problem))
            if fails_all:
                mine.problems = dict.fromkeys(range(len(mine.items)), problem)
                return
        for place, item in enumerate(mine.items):
            try:
                self._act([item])
            except Exception as problem:
                mine.problems[place] = problem
