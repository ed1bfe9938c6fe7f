"""Writing an ISO image of a folder: the same bytes for the same content, and never half an image."""

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from rollbuild.errors import DISK, MISSING_PROGRAM, RollbuildError
from rollbuild.files import explained
from rollbuild.images.booting import BootImages
from rollbuild.images.flushing import flushing
from rollbuild.images.implanting import implanting_md5
from rollbuild.images.isosource import FolderContent, find_copies, look_at
from rollbuild.location import Location
from rollbuild.process import run_program

Advance = Callable[[int], object]

_BLOCK = 2048
_PADDING = 300 * 1024  # what xorriso adds at the end, for drives that read ahead
_OLDEST = (1, 5, 0)  # the first that keeps the date of SOURCE_DATE_EPOCH and appends partitions by interval
_LATEST_EPOCH = 2**32 - 1  # dates in the image's folders hold the year in one byte, up to 2155
_VOLUME_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_STAGE = ".rollbuild-image-"


def write_iso(
    folder: Path,
    output: Path,
    *,
    volume_id: str,
    epoch: int,
    boot: BootImages | None = None,
    advance: Advance | None = None,
    finish: Callable[[Path], object] | None = None,
) -> None:
    """Write the content of `folder`, whose own files stay as they are, into the ISO image `output`.

    ISO 9660 level 3 with Rock Ridge; every file belongs to root, has mode 644 (755 where it may be executed) and the
    date `epoch` (seconds since 1970), so that equal content gives equal bytes. Files of equal content are stored once.
    With `boot` the image boots as a disc and as a disk, and carries a checksum that checkisomd5 and the installer
    verify. `advance` is told the bytes written, of about as many as the files are long, and
    with `boot` also those summed for the checksum, about as many. `finish` is given the whole image before it takes its
    place, to read it while it goes to the disk.

    Raises RollbuildError: REFUSED for a volume id, a name or a kind of file that no image holds, or an output inside
    the folder; MISSING_PROGRAM without xorriso 1.5.0; DISK when the disk refuses. The former `output` then stays.
    """
    _check_values(volume_id, epoch)
    place = _check_output(folder, output)
    content = look_at(folder)
    if not content.entries:
        raise RollbuildError(
            "this folder is empty: there is nothing to put into an image", location=Location(os.fspath(folder))
        )
    arguments = () if boot is None else tuple(boot.arguments(folder))
    _require_xorriso()
    copies = find_copies(folder, content.files)
    size = _image_size(folder, content, copies, boot)
    with explained("cannot write", output):
        place.parent.mkdir(parents=True, exist_ok=True)
    with _staged(place, size) as (stage, file):
        options, script = _options(volume_id, epoch, arguments), _script(content, copies)
        with flushing(stage):
            with nullcontext() if boot is None else implanting_md5(stage, advance) as tell:
                _run_xorriso(folder, stage, file, options, script, epoch, advance, tell)
            if finish is not None:
                finish(stage)
        with explained("cannot write", output):
            os.replace(stage, place)


def _check_values(volume_id: str, epoch: int) -> None:
    if not _VOLUME_ID.fullmatch(volume_id):
        raise RollbuildError(
            f"{volume_id!r} cannot be an image's volume id",
            hint="a volume id has 1 to 32 letters, digits, dots, hyphens and underscores",
        )
    if not 0 <= epoch <= _LATEST_EPOCH:
        raise RollbuildError(f"the date {epoch} is outside what an image can hold: 0 to {_LATEST_EPOCH} seconds")


def _check_output(folder: Path, output: Path) -> Path:
    """Where the image goes; a link keeps pointing where it points."""
    with explained("cannot read", folder):
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise RollbuildError("an image is made of a folder, and this is none", location=Location(os.fspath(folder)))
    source, place = Path(os.path.realpath(folder)), Path(os.path.realpath(output))
    if place.is_relative_to(source):
        raise RollbuildError(
            f"the image {os.fspath(output)} would lie in the folder that it is made of, {os.fspath(folder)}",
            hint="write it somewhere else",
        )
    with explained("cannot write", output):
        if os.path.lexists(place) and not place.is_file():
            raise RollbuildError(
                f"cannot write {os.fspath(output)}: it is there, and is no regular file",
                hint="name a file; an image is copied to a stick with dd or cp afterwards",
                exit_code=DISK,
            )
    return place


def _image_size(folder: Path, content: FolderContent, copies: Mapping[str, str], boot: BootImages | None) -> int:
    """About how many bytes the image will have, and not fewer."""
    blocks = sum(-(-status.st_size // _BLOCK) for name, status in content.files.items() if name not in copies)
    folders = content.entries * 512 + len(content.files) * 128
    return blocks * _BLOCK + folders + _PADDING + 64 * _BLOCK + (0 if boot is None else boot.added_size(folder))


def _require_xorriso() -> None:
    completed = run_program(["xorriso", "-version"], timeout=30)
    text = (completed.stdout + completed.stderr).decode("ascii", "replace")
    found = re.search(r"^xorriso version\s*:\s*(\d+)\.(\d+)\.(\d+)", text, re.MULTILINE)
    if found is None or tuple(map(int, found.groups())) < _OLDEST:
        version = found.group(0).rpartition(":")[2].strip() if found else "of an unknown version"
        raise RollbuildError(
            f"the program xorriso is {version}, and images need 1.5.0 or later",
            hint="install a newer package xorriso",
            exit_code=MISSING_PROGRAM,
        )


@contextmanager
def _staged(place: Path, size: int) -> Iterator[tuple[Path, int]]:
    """An empty file beside `place`, locked while its process lives, and gone afterwards unless it was renamed."""
    _remove_dead_stages(place.parent)
    with explained("cannot write", place):
        space = os.statvfs(place.parent)
        if space.f_bavail * space.f_frsize < size:
            raise RollbuildError(
                f"cannot write {place}: the image needs about {size:,} bytes, and the disk has "
                f"{space.f_bavail * space.f_frsize:,} left",
                hint="free some space or write to another disk",
                exit_code=DISK,
            )
        stage, file = _make_stage(place.parent)
    try:
        yield stage, file
    finally:
        with suppress(OSError):
            os.unlink(stage)
        os.close(file)


def _make_stage(parent: Path) -> tuple[Path, int]:
    while True:
        stage = parent / f"{_STAGE}{os.getpid()}-{os.urandom(4).hex()}.iso"
        file = os.open(stage, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with suppress(OSError):  # some network file systems know no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        # Before the lock was ours, another process may have taken the new stage for a dead one.
        if stage.exists():
            return stage, file
        os.close(file)


def _remove_dead_stages(parent: Path) -> None:
    with suppress(OSError):
        for stage in parent.glob(f"{_STAGE}*"):
            with suppress(OSError):
                file = os.open(stage, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(stage)
                finally:
                    os.close(file)


def _options(volume_id: str, epoch: int, boot: Sequence[str]) -> list[str]:
    date = f"={epoch}"
    return [
        *("-V", volume_id, "-R", "-D", "-iso-level", "3"),
        # xorriso would name itself and its version here.
        *("-p", "ROLLBUILD"),
        *(f"--modification-date={_stamp(epoch)}", "--set_all_file_dates", date),
        *boot,
        *("-graft-points", "/=."),
    ]


def _stamp(epoch: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%d%H%M%S00")


def _script(content: FolderContent, copies: Mapping[str, str]) -> bytes:
    """What xorriso does to the tree before it writes; its defaults keep what the disk says of each file."""
    lines = ["-iso_rr_pattern off", "-disk_pattern off", "-overwrite nondir"]
    lines += [f"-map {_quote(f'./{original}')} {_quote(f'/{name}')}" for name, original in copies.items()]
    lines += ["-chown_r 0 / --", "-chgrp_r 0 / --"]
    lines += ["-find / -type d -exec chmod 0755 --", "-find / -type f -exec chmod 0644 --"]
    lines += [f"-chmod 0755 {_quote(f'/{name}')} --" for name in content.executable]
    return os.fsencode("".join(f"{line}\n" for line in lines))


def _quote(text: str) -> str:
    """The text as xorriso reads it: quotes of one kind protect those of the other."""
    return "".join(f'"{part}"' if part.startswith("'") else f"'{part}'" for part in re.findall(r"'+|[^']+", text))


def _run_xorriso(
    folder: Path,
    stage: Path,
    file: int,
    options: Sequence[str],
    script: bytes,
    epoch: int,
    advance: Advance | None,
    tell_more: Callable[[], None] | None,
) -> None:
    # Its own start-up files stay unread, and paths start with what makes them files, whatever they are called.
    # It would stop writing until every 16 MiB are on the disk.
    argv = ["xorriso", "-no_rc", "-stdio_sync", "off", "-as", "mkisofs", "-o", f"stdio:{stage}", *options, "--"]
    argv += ["-return_with", "SORRY", "32", "-options_from_file", "-"]
    done = 0

    def tell(_: bytes) -> None:
        nonlocal done
        size = os.fstat(file).st_size
        if advance is not None and size > done:
            advance(size - done)
            done = size
        if tell_more is not None:
            tell_more()

    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    # The ids of the disk and of its partitions are made of it.
    environment["SOURCE_DATE_EPOCH"] = str(epoch)
    completed = run_program(argv, input=script, cwd=folder, env=environment, tell=tell)
    tell(b"")
    if completed.returncode:
        raise _explain(completed.stderr, completed.returncode)


def _explain(output: bytes, status: int) -> RollbuildError:
    """xorriso's complaint without its chatter; what is the disk's fault gets the disk's exit code."""
    text = output.decode("utf-8", "replace")
    complaints = re.findall(r"^\w+ : (?:SORRY|MISHAP|FAILURE|FATAL|ABORT) : (.+)$", text, re.MULTILINE)
    if re.search(r"No space left on device|quota exceeded|exceeds free space", text, re.IGNORECASE):
        return RollbuildError(
            "cannot write the image: no space left on device",
            hint="the disk is full: free some space or write to another disk",
            exit_code=DISK,
        )
    said = "; ".join(dict.fromkeys(_lines(complaints))) or f"it ended with status {status}"
    read = re.search(r"Input/output error|Permission denied|Error on opening|cannot open", text, re.IGNORECASE)
    return RollbuildError(f"xorriso wrote no image: {said}", exit_code=DISK if read else 1)


def _lines(complaints: Iterable[str]) -> list[str]:
    return [line.strip() for line in complaints][:5]
