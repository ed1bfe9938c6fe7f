"""A machine in QEMU, emulated in software, that shows its serial console."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

EMULATOR = "qemu-system-x86_64"
MOST_AT_ONCE = 2  # emulating takes a whole core


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine: its process, and the file that its serial console goes to."""

    process: subprocess.Popen[bytes]
    console: Path
    errors: Path

    def seen(self) -> str:
        """What its console has shown so far."""
        return self.console.read_text(encoding="utf-8", errors="replace").replace("\r", "")

    def wait_for(self, text: str, timeout: float = 120) -> str:
        """The first line that holds the text; fails with the console's end when the machine stops or time runs out."""
        deadline = time.monotonic() + timeout
        while True:
            ended = self.process.poll() is not None
            for line in self.seen().splitlines(keepends=True):
                if text in line and line.endswith("\n"):
                    return line.strip()
            if ended or time.monotonic() > deadline:
                why = "the machine stopped" if ended else f"{timeout:g} seconds passed"
                tail = self.seen()[-3000:]
                pytest.fail(
                    f"{why}, and {text!r} was not shown\n{tail}\n{self.errors.read_text(errors='replace')[-500:]}"
                )
            time.sleep(0.05)


@contextmanager
def boot(
    folder: Path,
    arguments: Sequence[str | Path],
    *,
    firmware: Path | None = None,
    variables: Path | None = None,
    secure: bool = False,
    reboots: bool = False,
) -> Iterator[Machine]:
    """Start a machine with these arguments for QEMU; it is gone when the block ends.

    Without `firmware` it has SeaBIOS; else that of UEFI, with a copy of `variables`; `secure` for one that demands
    signatures. Its network, unless the arguments give it one, is none. A machine that
    restarts itself stops, unless it `reboots`.
    """
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"{EMULATOR} is missing")
    argv: list[str | Path] = [EMULATOR, "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "512", "-smp", "1"]
    argv += ["-machine", "q35,smm=on" if secure else "q35", "-nodefaults", "-display", "none", "-vga", "none"]
    argv += ["-monitor", "none", *([] if reboots else ["-no-reboot"])]
    console, errors = folder / "console", folder / "errors"
    console.write_bytes(b"")
    argv += ["-serial", f"file:{console}"]
    if firmware is not None and variables is not None:
        own = folder / "variables.fd"
        shutil.copyfile(variables, own)
        argv += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={firmware}"]
        argv += ["-drive", f"if=pflash,unit=1,format=raw,file={own}"]
    if secure:
        argv += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    with _slot(), open(errors, "wb") as error_file:
        process = subprocess.Popen(
            [*argv, *arguments], stdin=subprocess.DEVNULL, stdout=error_file, stderr=error_file, cwd=folder
        )
        try:
            yield Machine(process, console, errors)
        finally:
            process.kill()
            process.wait()


@contextmanager
def _slot() -> Iterator[None]:
    """Wait until fewer than the most machines run, those of other test processes too."""
    places = [cache_folder() / f"machine-{number}.lock" for number in range(MOST_AT_ONCE)]
    while True:
        for place in places:
            file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            try:
                yield
            finally:
                os.close(file)
            return
        time.sleep(0.2)


def cache_folder() -> Path:
    """Where downloaded packages and machines' locks are kept between runs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rollbuild-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
