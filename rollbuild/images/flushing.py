"""Bringing an image to the disk while it is written, so that neither waits for the other."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rollbuild.files import explained

_PAUSE = 0.05  # seconds
_STEP = 32 * 1024 * 1024
_RANGE_WRITE = 2


@contextmanager
def flushing(path: Path) -> Iterator[None]:
    """Have the kernel put the file `path`, which the block writes, onto the disk; all of it is there at the end.

    Left to itself the kernel begins when gigabytes wait, and the disk rests while the image is made and summed. Raises
    RollbuildError, exit code DISK.
    """
    ended = threading.Event()
    start = _find_start()
    thread = threading.Thread(target=_follow, args=(path, ended, start), daemon=True)
    if start is not None:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if start is not None:
            thread.join()
    with explained("cannot write", path), open(path, "rb", buffering=0) as file:
        os.fsync(file.fileno())


def _follow(path: Path, ended: threading.Event, start: Callable[[int, int, int], object]) -> None:
    done = 0
    with suppress(OSError):  # what fails here fails again at the end, where it is told
        while not path.exists():
            if ended.wait(_PAUSE):
                return
        with open(path, "rb", buffering=0) as file:
            while not ended.wait(_PAUSE):
                size = os.fstat(file.fileno()).st_size // _STEP * _STEP
                if size > done:
                    start(file.fileno(), done, size - done)
                    done = size


def _find_start() -> Callable[[int, int, int], object] | None:
    """sync_file_range(2), which begins to write and does not wait, as fsync does; None where libc has it not."""
    import ctypes  # slow to import, and only needed for images

    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return lambda file, first, length: function(file, first, length, _RANGE_WRITE)
