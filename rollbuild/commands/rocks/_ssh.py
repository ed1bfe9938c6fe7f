"""Commands on many hosts at once, over SSH: no shell on this side, no password, a limit of time."""

import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollbuild.errors import MISSING_PROGRAM, UNREACHABLE, RollbuildError
from rollbuild.files import system_path
from rollbuild.process import find_program

CONNECT_SECONDS = 5
SSH_VARIABLE = "ROLLBUILD_SSH"
_KNOWN_HOSTS = "/etc/rollbuild/ssh/known_hosts"
# What ssh itself says when it did not get there; a command that ends so means the same to everybody else.
_SSH_FAILED = 255


@dataclass(slots=True)
class Answer:
    """What a host answered: its lines of output, and how its command ended (`code` None: it did not, in time)."""

    host: str
    code: int | None = None
    output: list[bytes] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0, the command's own, or UNREACHABLE."""
        return UNREACHABLE if self.code in (None, _SSH_FAILED) else self.code or 0

    @property
    def result(self) -> str:
        """How it ended, for people."""
        if self.code is None:
            return "no answer in time"
        if self.code == _SSH_FAILED:
            said = [line.decode("utf-8", "replace").strip() for line in self.errors]
            return f"unreachable: {next((line for line in reversed(said) if line), 'ssh did not say why')}"
        return "done" if self.code == 0 else f"exit code {self.code}"


@dataclass(frozen=True, slots=True)
class Way:
    """How to get there: `program` is ssh with options of the caller, `addresses` what hosts are reached at."""

    program: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    forwards_x11: bool = False


def find_ssh(text: str = "") -> tuple[str, ...]:
    """The ssh program and its options: `text`, else ROLLBUILD_SSH, else `ssh`. Raises RollbuildError without one."""
    try:
        words = tuple(shlex.split(text or os.environ.get(SSH_VARIABLE, "") or "ssh"))
    except ValueError as problem:
        raise RollbuildError(f"ssh={text} is no command: {problem}") from None
    if not words or (find_program(words[0]) is None and not os.access(words[0], os.X_OK)):
        name = words[0] if words else "ssh"
        hint = "install the package openssh-clients (Enterprise Linux) or openssh-client (Debian)"
        raise RollbuildError(f"the program {name} is missing", hint=hint, exit_code=MISSING_PROGRAM)
    return words


def run_on_hosts(
    hosts: Sequence[str],
    command: str,
    way: Way,
    *,
    tell: Callable[[str, bytes], object] | None = None,
    done: Callable[[Answer], object] | None = None,
    inputs: Mapping[str, bytes] | None = None,
    timeout: float = 0,
    at_once: int = 64,
    delay: float = 0,
) -> tuple[Answer, ...]:
    """Run a command on all hosts, `at_once` of them at a time; the answers in the order of the hosts.

    The shell of each host reads `command`. `inputs` is standard input, by host; `timeout` and `delay` (between two
    starts) are in seconds, 0 for none. `tell` gets each line as it comes, `done` each answer. Raises RollbuildError
    where a program or package is missing.
    """
    try:
        from ClusterShell.Event import EventHandler
        from ClusterShell.Task import task_self
    except ImportError:
        hint = 'install it: pip install "rollbuild[frontend]", or the package python3-clustershell of EPEL'
        raise RollbuildError(
            "the Python package ClusterShell is missing", hint=hint, exit_code=MISSING_PROGRAM
        ) from None

    answers = {host: Answer(host) for host in hosts}
    started: dict[str, float] = {}

    class Listener(EventHandler):  # type: ignore[misc]
        def ev_start(self, worker: Any) -> None:
            for node in worker.nodes:
                started[str(node)] = time.monotonic()

        def ev_read(self, worker: Any, node: str, sname: str, msg: bytes) -> None:
            answer = answers[node]
            if sname == "stderr":
                answer.errors.append(msg)
            else:
                answer.output.append(msg)
                if tell is not None:
                    tell(node, msg)

        def ev_hup(self, worker: Any, node: str, rc: int) -> None:
            answers[node].code = rc

        def ev_close(self, worker: Any, timedout: bool) -> None:
            for node in map(str, worker.nodes):
                answers[node].seconds = time.monotonic() - started.get(node, time.monotonic())
                if done is not None:
                    done(answers[node])

        def ev_timer(self, timer: Any) -> None:
            start(waiting.pop(0))

    listener = Listener()
    waiting = list(hosts)
    task: Any = task_self()

    def start(host: str) -> None:
        given = (inputs or {}).get(host)
        worker = task.shell(
            command, nodes=host, handler=listener, timeout=timeout or None, stderr=True, stdin=given is not None
        )
        if given is not None:
            worker.write(given)
            worker.set_write_eof()

    with _written_options(way, hosts) as options:
        _set_up(task, way, options, at_once)
        try:
            if delay:
                for place in range(len(waiting)):
                    task.timer(place * delay or 0.001, handler=listener)
            else:
                while waiting:
                    start(waiting.pop(0))
            task.resume()
        finally:
            task.abort()
    return tuple(answers[host] for host in hosts)


def _set_up(task: Any, way: Way, options: Sequence[str], at_once: int) -> None:
    task.set_default("stdout_msgtree", False)
    task.set_default("stderr_msgtree", False)
    task.set_info("fanout", max(1, at_once))
    task.set_info("connect_timeout", CONNECT_SECONDS)
    task.set_info("ssh_path", shlex.join(way.program or ("ssh",)))
    task.set_info("ssh_options", shlex.join(options))


@contextmanager
def _written_options(way: Way, hosts: Sequence[str]) -> Iterator[list[str]]:
    """Options of ssh, and a file for it that says where the hosts are: DNS may be what is down."""
    options = ["-oBatchMode=yes", f"-oConnectTimeout={CONNECT_SECONDS}", "-oServerAliveInterval=10", "-oLogLevel=ERROR"]
    if way.forwards_x11:
        options.append("-oForwardX11=yes")
    if any(word.startswith("-F") for word in way.program[1:]):
        yield options
        return
    lines = []
    for host in hosts:
        if address := way.addresses.get(host):
            lines += [f"Host {host}", f"  HostName {address}", f"  HostKeyAlias {host}"]
    lines += ["Host *", "  StrictHostKeyChecking accept-new"]
    known = system_path(_KNOWN_HOSTS)
    if known.is_file():
        lines.append(f'  GlobalKnownHostsFile /etc/ssh/ssh_known_hosts "{known}"')
    # What a file named with -F does not include, ssh does not read.
    lines += [
        f'Include "{file}"'
        for file in (Path(os.path.expanduser("~/.ssh/config")), Path("/etc/ssh/ssh_config"))
        if file.is_file()
    ]
    with tempfile.TemporaryDirectory(prefix="rollbuild-ssh-") as folder:
        file = Path(folder, "config")
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield ["-F", str(file), *options]
