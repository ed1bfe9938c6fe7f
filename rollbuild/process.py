"""The one way to run a program: no shell, a time limit, and no process left behind."""

import errno
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from rollbuild.errors import MISSING_PROGRAM, RollbuildError

# program -> package on (Debian, Enterprise Linux) where the names differ from the program's.
_PACKAGES = {
    "createrepo_c": ("createrepo-c", "createrepo_c"),
    "dot": ("graphviz", "graphviz"),
    "gpg": ("gnupg", "gnupg2"),
    "implantisomd5": ("isomd5sum", "isomd5sum"),
    "mcopy": ("mtools", "mtools"),
    "mformat": ("mtools", "mtools"),
    "mkfs.fat": ("dosfstools", "dosfstools"),
    "mkfs.vfat": ("dosfstools", "dosfstools"),
    "mksquashfs": ("squashfs-tools", "squashfs-tools"),
    "mmd": ("mtools", "mtools"),
    "qemu-img": ("qemu-utils", "qemu-img"),
    "rpmbuild": ("rpm", "rpm-build"),
    "rpmsign": ("rpm", "rpm-sign"),
    "shellcheck": ("shellcheck", "ShellCheck (in EPEL)"),
    "ssh": ("openssh-client", "openssh-clients"),
    "virsh": ("libvirt-clients", "libvirt-client"),
}
_OUTPUT_LIMIT = 256 * 1024 * 1024
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Completed:
    """What a program that ended left: its exit status (negative: the signal that ended it) and its output."""

    returncode: int
    stdout: bytes
    stderr: bytes


def find_program(name: str) -> str | None:
    """The path of a program: on PATH, or installed beside the Python that runs rollbuild."""
    found = shutil.which(name)
    if found is None and sys.prefix != sys.base_prefix:
        # A .venv holds programs, such as shellcheck, and works without being activated.
        found = shutil.which(name, path=os.path.join(sys.prefix, "bin"))
    return found


def run_program(
    argv: Sequence[str],
    *,
    input: bytes | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    output_limit: int = _OUTPUT_LIMIT,
    package: tuple[str, str] | None = None,
    tell: Callable[[bytes], object] | None = None,
) -> Completed:
    """Run `argv` and wait until it ends and closes its output; any exit status is the caller's to judge.

    `timeout` is in seconds; `env` replaces the environment; `output_limit` is in bytes, standard output and
    standard error together. `package` names the program's package on (Debian, Enterprise Linux).
    `tell` is given each piece of standard error as it comes.
    Raises RollbuildError: MISSING_PROGRAM when there is no such program, REFUSED when it exceeds a limit. The
    program and all that it started are then killed, as they are when the caller is interrupted.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    process = _start(argv, input, env, cwd, package)
    try:
        stdout, stderr = _exchange_data(process, argv, input or b"", deadline, output_limit, tell)
        process.wait(_remaining(deadline))
    except BaseException as error:
        # Until it is waited for, the process keeps its id, and so its group's, from being used anew.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise RollbuildError(
                f"{argv[0]} did not end within {timeout:g} seconds and was stopped",
                hint=f"the command was: {_shown(argv)}",
            ) from None
        raise
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return Completed(process.returncode, stdout, stderr)


def _start(
    argv: Sequence[str],
    input: bytes | None,
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
    package: tuple[str, str] | None,
) -> subprocess.Popen[bytes]:
    program = argv[0] if "/" in argv[0] else find_program(argv[0])
    if program is None:
        raise _missing(argv[0], package)
    if cwd is not None and not os.path.isdir(cwd):
        raise RollbuildError(f"cannot run {argv[0]} in {os.fspath(cwd)}: there is no such folder")
    try:
        return subprocess.Popen(
            list(argv),
            executable=program,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError:
        # The kernel says the same of a script whose interpreter is missing.
        raise _missing(argv[0], package) from None
    except PermissionError:
        raise RollbuildError(
            f"the program {argv[0]} may not be run",
            hint="check that the file is executable and its file system not mounted noexec",
            exit_code=MISSING_PROGRAM,
        ) from None
    except OSError as error:
        hint = "pass large input in a file" if error.errno == errno.E2BIG else ""
        raise RollbuildError(
            f"the program {argv[0]} cannot be run: {(error.strerror or '').lower()}", hint=hint
        ) from None
    except ValueError as error:
        raise RollbuildError(f"the program {argv[0]} cannot be run: {error}") from None


def _exchange_data(
    process: subprocess.Popen[bytes],
    argv: Sequence[str],
    input: bytes,
    deadline: float | None,
    output_limit: int,
    tell: Callable[[bytes], object] | None,
) -> tuple[bytes, bytes]:
    assert process.stdout is not None and process.stderr is not None  # noqa: S101 - for the type checker
    stdout, stderr = bytearray(), bytearray()
    unsent = memoryview(input)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, stdout)
        selector.register(process.stderr, selectors.EVENT_READ, stderr)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select(_remaining(deadline)):
                if key.fileobj is process.stdin:
                    try:
                        unsent = unsent[os.write(key.fd, unsent[:_CHUNK]) :]
                    except BrokenPipeError:  # it has read all that it wanted
                        unsent = unsent[:0]
                    if not unsent:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                chunk = os.read(key.fd, _CHUNK)
                key.data.extend(chunk)
                if tell is not None and key.data is stderr and chunk:
                    tell(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
                if len(stdout) + len(stderr) > output_limit:
                    raise RollbuildError(f"{argv[0]} wrote more than {output_limit:,} bytes and was stopped")
    return bytes(stdout), bytes(stderr)


def _remaining(deadline: float | None) -> float | None:
    """Seconds left; raises subprocess.TimeoutExpired when there are none."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise subprocess.TimeoutExpired((), 0)
    return left


def _missing(program: str, package: tuple[str, str] | None) -> RollbuildError:
    name = os.path.basename(program)
    debian, enterprise = package or _PACKAGES.get(name, (name, name))
    if debian == enterprise:
        hint = f"install the package {debian}"
    else:
        hint = f"install the package {enterprise} (Enterprise Linux) or {debian} (Debian)"
    return RollbuildError(f"the program {program} is missing", hint=hint, exit_code=MISSING_PROGRAM)


def _shown(argv: Sequence[str]) -> str:
    line = " ".join(argv)
    return line if len(line) <= 200 else line[:200] + " ..."
