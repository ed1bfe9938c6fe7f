"""Waiting for machines: from where they are heard, which face shows them, and the lock."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from types import FrameType

from rollbuild import __version__
from rollbuild.commands.insert_ethers._lines import HELP, Lines, choose, read_input
from rollbuild.commands.insert_ethers._options import Wanted
from rollbuild.commands.insert_ethers._place import find_membership, read_placement
from rollbuild.console import Console
from rollbuild.errors import INTERRUPTED, MISSING_PROGRAM, USAGE, RollbuildError
from rollbuild.frontend import FrontEnd, discovery


def wait_for_machines(console: Console, front_end: FrontEnd, wanted: Wanted, command: str) -> int:
    """Insert (or with --queue only note) machines until the user leaves; the exit code. Raises RollbuildError."""
    membership = None if wanted.queue else find_membership(front_end, wanted)
    placement = read_placement(front_end, wanted)
    network, device = discovery.find_network(front_end)
    with ExitStack() as stack:
        if wanted.queue:
            stack.enter_context(discovery.hold_lock(discovery.QUEUE_LOCK, doing="insert-ethers --queue"))
        else:
            stack.enter_context(discovery.hold_lock())
        if wanted.check and not wanted.queue:
            discovery.check_start(front_end)
        with front_end.database.reading() as c:
            memberships = discovery.read_memberships(c, os=wanted.os)
        has_screen = can_show_screen(console, wanted)
        if membership is None and not wanted.queue and not has_screen:
            membership = _choose(console, wanted, memberships)
        state = discovery.State(_rules(wanted, placement, network, device), _menu(memberships, membership))
        run = discovery.Discovery(
            front_end.database, state, placement, lambda: discovery.apply_changes(front_end), command=command
        )
        _listen(run, wanted, device)
        if membership is not None:
            run.put(discovery.Chosen(membership.name))
        if has_screen:
            return _show_screen(console, run)
        return _show_lines(console, run, wanted, network, device)


def _menu(
    memberships: tuple[discovery.Membership, ...], chosen: discovery.Membership | None
) -> tuple[discovery.Membership, ...]:
    """What is chosen by name need not be public."""
    return memberships if chosen is None or chosen in memberships else (*memberships, chosen)


def _rules(wanted: Wanted, placement: discovery.Placement, network: str, device: str) -> discovery.Rules:
    maximum = 1 if wanted.is_for_one else wanted.maximum
    return discovery.Rules(
        version=__version__,
        network=network,
        interface=device,
        rack=placement.rack,
        takes_any=wanted.any,
        maximum=maximum,
        leaves_itself=maximum is not None,
        asks_address=wanted.staticip,
        only_notes=wanted.queue,
    )


def _choose(console: Console, wanted: Wanted, memberships: tuple[discovery.Membership, ...]) -> discovery.Membership:
    names = tuple(one.name for one in memberships)
    if not names:
        raise RollbuildError("no appliance is public", hint="--membership takes any; `rocks list appliance` shows all")
    if wanted.batch or wanted.json or not sys.stdin.isatty():
        raise RollbuildError(
            "nothing says which appliance machines become",
            hint=f"--membership NAME: {', '.join(names)}",
            exit_code=USAGE,
        )
    chosen = choose(console, names)
    return next(one for one in memberships if one.name == chosen)


def _listen(run: discovery.Discovery, wanted: Wanted, device: str) -> None:
    """Have the run hear of machines. Raises RollbuildError when there is no source."""
    if wanted.listen is not None:
        name = wanted.listen or device
        if not name:
            raise RollbuildError(
                "the database does not say which device is on the cluster's network",
                hint="--listen DEVICE names it; `ip link` shows the devices",
                exit_code=USAGE,
            )
        run.read(discovery.listen(discovery.open_device(name), name, run.stop))
    elif wanted.log:
        run.read(discovery.read_machines(discovery.follow_file(Path(wanted.log), run.stop, run.tell)))
    elif discovery.has_journal():
        run.read(discovery.read_machines(discovery.follow_journal(run.stop, run.tell)))
    else:
        log = discovery.find_log()
        if log is None:
            raise RollbuildError(
                "there is no journal here, and no log of a DHCP server",
                hint="--log FILE names one, --listen hears machines by itself",
            )
        run.read(discovery.read_machines(discovery.follow_file(log, run.stop, run.tell)))


def can_show_screen(console: Console, wanted: Wanted) -> bool:
    """Whether a screen was wanted, and this terminal is large enough for one. Raises RollbuildError."""
    if not wanted.screen or wanted.json or wanted.batch or wanted.queue:
        return False
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        from rollbuild.commands.insert_ethers._screen import SMALLEST
    except ImportError as problem:
        raise RollbuildError(
            f"the Python package {problem.name} is missing, which the screen needs",
            hint='install it: pip install "rollbuild[frontend]"; --no-screen does without',
            exit_code=MISSING_PROGRAM,
        ) from None
    size = os.get_terminal_size(sys.stdout.fileno())
    if size.columns < SMALLEST[0] or size.lines < SMALLEST[1]:
        console.say(f"the terminal is smaller than {SMALLEST[0]}x{SMALLEST[1]}: plain lines are written")
        return False
    return True


class _Signals:
    """Which signal asked the run to end, 0 for none."""

    def __init__(self) -> None:
        self.number = 0


@contextmanager
def _leaving_on_signals(run: discovery.Discovery) -> Iterator[_Signals]:
    """A signal leaves as F9 does: what was inserted is kept, and its configuration applied."""
    caught = _Signals()

    def leave(number: int, _: FrameType | None) -> None:
        caught.number = number
        run.put(discovery.Key("f9"))

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show_lines(console: Console, run: discovery.Discovery, wanted: Wanted, network: str, device: str) -> int:
    lines = Lines(console, as_json=wanted.json)
    heading = discovery.view(discovery.State(discovery.Rules(version=__version__, network=network), ())).heading
    if wanted.queue:
        console.say(f"insert-ethers {__version__}: machines that ask are put into the queue")
    else:
        for line in heading:
            console.say(line)
    reads_input = not (wanted.batch or wanted.json or wanted.queue)
    if reads_input and sys.stdin is not None and sys.stdin.isatty():
        console.say(HELP)
    with _leaving_on_signals(run) as caught:
        thread = read_input(run, lines) if reads_input and sys.stdin is not None else None
        try:
            run.run(lines.show)
        finally:
            run.stop.set()
            if thread is not None:
                thread.join(2.0)
    return INTERRUPTED if caught.number == signal.SIGINT else 0


def _show_screen(console: Console, run: discovery.Discovery) -> int:
    from rollbuild.commands.insert_ethers._screen import InsertEthers

    problems: list[Exception] = []
    said: list[discovery.News] = []
    threads: list[Thread] = []

    def start(app: InsertEthers) -> None:
        def work() -> None:
            def show(view: discovery.View, news: tuple[discovery.News, ...]) -> None:
                said.extend(item for item in news if item.kind in ("inserted", "undone", "applied", "left"))
                app.show(view)

            try:
                run.run(show)
            except Exception as problem:
                problems.append(problem)
            finally:
                app.end()

        threads.append(Thread(target=work))
        threads[0].start()

    app = InsertEthers(run.put, start)
    with _leaving_on_signals(run):
        try:
            app.run()
        finally:
            # The screen may also end because the terminal went away.
            run.put(discovery.Key("f9"))
            for thread in threads:
                thread.join()
    for item in said:
        console.say(item.text)
    if problems:
        raise problems[0]
    return 0
