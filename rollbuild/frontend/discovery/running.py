"""One run of discovery: readers, keys, the clock and the database feed the state machine; its actions are done."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from threading import Event as Signal
from threading import Thread

from rollbuild.cluster import Database, note_discovery
from rollbuild.errors import BUSY, RollbuildError
from rollbuild.frontend.discovery.dhcplog import DhcpLog
from rollbuild.frontend.discovery.inserting import Placement, insert_machine, insert_machines, remove_machine
from rollbuild.frontend.discovery.machine import step
from rollbuild.frontend.discovery.state import State, view
from rollbuild.frontend.discovery.survey import Survey
from rollbuild.frontend.discovery.values import (
    Action,
    AddHost,
    Applied,
    ApplyConfiguration,
    Asked,
    Event,
    Leave,
    News,
    NoteDiscovery,
    Refused,
    Removed,
    RemoveHost,
    Tick,
    Trouble,
    View,
)

_TICK = 0.2  # seconds
_SURVEY = 1.0
_BATCH = 32  # machines that are inserted in one transaction at most: others wait for its end
_MOST_WAITING = 10_000  # requests of machines; those that come on top are dropped, as machines ask again

Show = Callable[[View, tuple[News, ...]], None]


class Discovery:
    """A run. `put` and `read` may be called by any thread; `run` does the work in one."""

    def __init__(
        self,
        database: Database,
        state: State,
        placement: Placement,
        apply: Callable[[], str],
        *,
        command: str = "insert-ethers",
    ) -> None:
        """`apply` brings the configuration up to the database; it returns what to tell, or raises RollbuildError."""
        self.stop = Signal()
        self._database = database
        self._state = state
        self._placement = placement
        self._apply = apply
        self._command = command
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._machines: SimpleQueue[Asked] = SimpleQueue()
        self._wake = Signal()
        self._survey = Survey(database)
        self._next_survey = 0.0
        self._threads: list[Thread] = []
        self._applying: Thread | None = None
        self._news: list[News] = []
        self._adding: list[AddHost] = []
        self._is_leaving = False

    def put(self, event: Event) -> None:
        """Hand in an event."""
        if not isinstance(event, Asked):
            self._events.put(event)
        elif self._machines.qsize() < _MOST_WAITING:
            self._machines.put(event)
        self._wake.set()

    def tell(self, text: str) -> None:
        """Tell that something outside went wrong."""
        self.put(Trouble(text))

    def read(self, machines: Iterable[Asked]) -> None:
        """Take machines from an iterator, in a thread of its own, until it ends."""

        def take() -> None:
            try:
                for asked in machines:
                    if self.stop.is_set():
                        return
                    self.put(asked)
            except RollbuildError as problem:
                self.put(Trouble(problem.message))

        thread = Thread(target=take, daemon=True)
        thread.start()
        self._threads.append(thread)

    def run(self, show: Show) -> None:
        """Work until the state machine leaves; then the configuration is that of the database.

        `show` gets the view, and what is new, whenever something changed. Raises RollbuildError when the
        configuration could not be applied at the end.
        """
        shown: View | None = None
        try:
            self._look()
            while True:
                self._take_events()
                now = time.monotonic()
                if now >= self._next_survey:
                    self._look()
                self._handle(Tick(now))
                seen = view(self._state)
                if seen != shown or self._news:
                    news, self._news, shown = tuple(self._news), [], seen
                    show(seen, news)
                if self._is_leaving:
                    break
        finally:
            self.stop.set()
        self._finish(show)

    def _take_events(self) -> None:
        """Wait for an event, and take those that are there; the machines that they bring are inserted together."""
        self._hear()
        while self._adding:
            self._insert_waiting()

    def _hear(self) -> None:
        """Keys and answers come before machines."""
        if self._wake.wait(_TICK):
            self._wake.clear()
        end = time.monotonic() + _TICK
        while not self._is_leaving:
            try:
                self._handle(self._events.get_nowait())
                continue
            except Empty:
                pass
            try:
                self._handle(self._machines.get_nowait())
            except Empty:
                return
            if len(self._adding) >= _BATCH or time.monotonic() >= end:
                self._wake.set()  # the clock and the screen have their turn
                return

    def _look(self) -> None:
        started = time.monotonic()
        try:
            awaited = [entry.host for entry in self._state.entries if entry.is_awaited]
            self._handle(self._survey.look(awaited))
        except RollbuildError as problem:
            self._handle(Trouble(problem.message))
        now = time.monotonic()
        # A large cluster is looked at less often: a tenth of the time at most.
        self._next_survey = now + max(_SURVEY, 10 * (now - started))

    def _handle(self, event: Event) -> None:
        events = deque([event])
        while events:
            self._state, actions = step(self._state, events.popleft())
            for action in actions:
                answer = self._do(action)
                if answer is not None:
                    events.append(answer)

    def _do(self, action: Action) -> Event | None:
        match action:
            case AddHost():
                self._adding.append(action)
            case RemoveHost(host):
                return self._remove(host)
            case NoteDiscovery():
                return self._note(action)
            case ApplyConfiguration():
                self._applying = Thread(target=self._apply_and_report)
                self._applying.start()
            case Leave():
                self._is_leaving = True
            case News():
                self._news.append(action)
        return None

    def _insert_waiting(self) -> None:
        adding, self._adding = self._adding, []
        answers: Iterable[Event] = map(self._insert, adding)
        if len(adding) > 1:
            try:
                answers = inserted = insert_machines(self._database, self._placement, adding, command=self._command)
                self._adding = adding[len(inserted) :]
            except RollbuildError as problem:
                if problem.exit_code == BUSY:
                    # Each by itself would wait as long.
                    answers = [Refused(one.mac, _whole(problem)) for one in adding]
        for answer in answers:
            self._handle(answer)

    def _insert(self, action: AddHost) -> Event:
        try:
            return insert_machine(
                self._database,
                self._placement,
                action.mac,
                action.membership.appliance,
                arch=action.arch,
                address=action.address,
                command=self._command,
            )
        except RollbuildError as problem:
            return Refused(action.mac, _whole(problem))

    def _remove(self, host: str) -> Event:
        try:
            remove_machine(self._database, host, command=self._command)
        except RollbuildError as problem:
            return Removed(host, _whole(problem))
        return Removed(host)

    def _note(self, action: NoteDiscovery) -> Event | None:
        try:
            with self._database.recording() as c:
                note_discovery(c, action.mac, vendor=action.vendor, arch=action.arch, now=time.time())
        except RollbuildError as problem:
            return Trouble(f"{action.mac} was not put into the queue: {_whole(problem)}")
        return None

    def _apply_and_report(self) -> None:
        try:
            self.put(Applied(text=self._apply()))
        except RollbuildError as problem:
            self.put(Applied(error=_whole(problem)))
        except Exception as problem:  # whatever it is, it must not end the run without a word
            self.put(Applied(error=f"{type(problem).__name__}: {problem}"))

    def _finish(self, show: Show) -> None:
        """Let what is under way end, and leave no change that is not applied."""
        if self._applying is not None:
            self._applying.join()
        with contextlib.suppress(Empty):
            while True:
                event = self._events.get_nowait()
                if isinstance(event, Applied):
                    self._handle(event)
        for thread in self._threads:
            thread.join(2.0)
        try:
            is_stale = self._survey.look().is_stale
        except RollbuildError:
            is_stale = True
        text = ""
        if is_stale and not self._state.rules.only_notes:
            self._news.append(News("applying", "Restarting Services..."))
            show(view(self._state), tuple(self._news))
            self._news = []
            text = self._apply()
        if text:
            self._news.append(News("applied", text))
        self._news.append(News("left", self._summary()))
        show(view(self._state), tuple(self._news))

    def _summary(self) -> str:
        count = sum(entry.is_new for entry in self._state.entries)
        return f"{count} host{'' if count == 1 else 's'} inserted"


def read_machines(lines: Iterable[str]) -> Iterator[Asked]:
    """The machines that the lines of a log tell of."""
    log = DhcpLog()
    for line in lines:
        asked = log.read(line)
        if asked is not None:
            yield asked


def _whole(problem: RollbuildError) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
