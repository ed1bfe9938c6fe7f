"""What virsh is told and what it prints under LC_ALL=C, in the forms of libvirt 9.0."""

import re
from collections.abc import Sequence
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.vm.values import DomainState

EXISTS = re.compile(r"already exists|exists already|File exists")
NOT_RUNNING = re.compile(r"domain is not running|Domain not found|failed to get domain|no domain with matching name")
NO_JOBS = re.compile(f"{NOT_RUNNING.pattern}|not supported by the connection driver")
NO_POOL = re.compile(r"[Pp]ool not found|failed to get pool|no storage pool with matching name")
# Somebody else uploads to it: what is in it was read a moment ago.
_BUSY_POOL = re.compile(r"has asynchronous jobs running")
NO_CONNECTION = re.compile(
    r"failed to connect to the hypervisor|[Dd]isconnected from|client socket is closed|End of file while reading data"
    r"|Cannot (recv|write) data"
)
_HUNG_UP = re.compile(
    r"failed to connect to the hypervisor\s+error: (End of file while reading data|Cannot (recv|write) data)"
    r"[: ]*(Input/output error|Connection reset by peer|Broken pipe)?\Z"
)
_STATES = {
    "running": DomainState.ACTIVE,
    "idle": DomainState.ACTIVE,
    "paused": DomainState.PAUSED,
    "in shutdown": DomainState.SHUTDOWN,
    "shut off": DomainState.SHUTOFF,
    "crashed": DomainState.CRASHED,
    "pmsuspended": DomainState.PAUSED,
}
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,-]+\Z")


def find_errors(errors: Sequence[str], allowed: re.Pattern[str] | None) -> list[str]:
    """The errors but for those that are none; virsh has two lines for each: what failed, and why."""
    wrong: list[str] = []
    heading: list[str] = []
    for text in errors:
        if _BUSY_POOL.search(text) or (allowed and allowed.search(text)):
            heading = []
        elif not heading and text.startswith("error:"):
            heading = [text]
        else:
            wrong += [*heading, text]
            heading = []
    wrong += heading
    return wrong if any(text.startswith("error:") for text in wrong) else []


def shorten(said: str) -> str:
    """What a person needs of why there is no connection."""
    reason = said.split("failed to connect to the hypervisor", 1)[-1].strip(" :")
    # Around what ssh said, or around nothing where the other end just hung up.
    reason = re.sub(r"mux_client_\S+: .*?Broken pipe\s*", "", reason)
    inner = re.sub(r"^(Cannot recv data|Cannot write data|End of file while reading data)[: ]*", "", reason)
    inner = re.sub(r"[: ]*(Connection reset by peer|Broken pipe|Input/output error)$", "", inner)
    return inner or reason or "no answer"


def hung_up(errors: bytes) -> bool:
    """Whether there was no connection because the other end hung up, without a word of why."""
    return bool(_HUNG_UP.search(errors.decode(errors="replace").strip()))


def read_states(shown: str) -> dict[str, DomainState]:
    """From what `list --all` prints."""
    found: dict[str, DomainState] = {}
    for line in shown.splitlines():
        match = re.match(r"\s*(?:\d+|-)\s+(\S+)\s+([a-z].*?)\s*$", line)
        if match and match[1] != "Domain-0":
            found[match[1]] = _STATES.get(match[2], DomainState.NOSTATE)
    return found


def at_work(shown: str) -> bool:
    """From what `domjobinfo` prints: whether something is done to the machine, as saving it."""
    kind = re.search(r"^Job type:\s*(\S+)", shown, re.MULTILINE)
    return kind is not None and kind[1] not in ("None", "Completed")


def read_paths(shown: str) -> frozenset[str]:
    """From what `vol-list` prints."""
    matches = (re.match(r"\s*\S.*?\s(/.*?)\s*$", line) for line in shown.splitlines())
    return frozenset(match[1] for match in matches if match)


def refresh_and_list(pool: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return (("pool-refresh", pool), ("vol-list", pool))


def upload_steps(pool: str, volume: str, path: Path, *, is_there: bool) -> list[tuple[str, ...]]:
    """What brings a file into a pool."""
    return [
        *([("vol-delete", volume, "--pool", pool)] if is_there else []),
        ("vol-create-as", pool, volume, str(path.stat().st_size), "--format", "raw"),
        ("vol-upload", volume, str(path), "--pool", pool),
    ]


def spell_word(text: str) -> str:
    """A word as virsh's own parser reads it. Raises RollbuildError for what could end it early."""
    if _PLAIN.match(text):
        return text
    if "'" in text or any(ord(letter) < 32 for letter in text):
        raise RollbuildError(f"{text!r} cannot be given to libvirt", hint="names and paths have no quotes in them")
    return f"'{text}'"


def find_number(text: str, pattern: str, command: str) -> int:
    match = re.search(pattern, text)
    if match is None:
        raise RollbuildError(f"virsh {command} printed something else than expected: {text.strip()[:100]!r}")
    return int(match[1])
