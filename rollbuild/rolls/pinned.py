"""A lock of exact contents: which rolls are enabled, with the digest of each."""

import json
from dataclasses import replace
from pathlib import Path

from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.files import read_limited, write_atomically
from rollbuild.findings import error, in_order
from rollbuild.location import Location
from rollbuild.rolls.enabling import Change, write_change
from rollbuild.rolls.store import AddedRoll, Store

_FORMAT = 1
_LIMIT = 16 * 1024 * 1024


def pin_enabled(store: Store, path: Path) -> tuple[AddedRoll, ...]:
    """Write the enabled rolls and their digests into a file (JSON); which rolls these are.

    Raises RollbuildError: when one of them is not what was added, DISK.
    """
    enabled = tuple(roll for roll in store.read_index() if roll.enabled)
    for roll in enabled:
        store.read_roll(roll)
    content = {"format": _FORMAT, "rolls": {str(roll.id): f"sha256:{roll.digest}" for roll in enabled}}
    write_atomically(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode(), sync=True)
    return enabled


def read_pinned(path: Path) -> dict[str, str]:
    """What `pin_enabled` wrote: `NAME-VERSION-RELEASE.ARCH` -> digest. Raises RollbuildError: REFUSED, DISK."""
    place = Location(str(path))
    try:
        content = json.loads(read_limited(path, _LIMIT))
        if content["format"] != _FORMAT:
            raise RollbuildError(
                f"this lock has format {content['format']}, this rollbuild knows {_FORMAT}",
                location=place,
                hint="use a newer rollbuild",
            )
        return {str(roll): str(digest).removeprefix("sha256:") for roll, digest in content["rolls"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise RollbuildError(
            f"this lock of rolls is damaged: {' '.join(str(problem).split())}",
            location=place,
            hint="write it again: rollbuild roll list --lock FILE",
        ) from None


def enable_pinned(store: Store, path: Path) -> Change:
    """Enable exactly the rolls of a lock, and no others.

    Raises RollbuildError: FindingsError when a roll is missing or has other contents, BUSY, DISK.
    """
    pinned = read_pinned(path)
    with store.locked("changing which rolls are enabled"):
        index = store.read_index()
        by_name = {str(roll.id): roll for roll in index}
        findings = []
        for name, digest in sorted(pinned.items()):
            if name not in by_name:
                hint = "get this very roll and add it: rollbuild roll add ISO-OR-DIR-OR-URL"
                findings.append(error("ROLL-LOCK", f"the store has no roll {name}", Location(str(path)), hint))
            elif by_name[name].digest != digest:
                message = f"roll {name} of the store has other contents than the lock says: {by_name[name].digest}"
                hint = f"the lock has {digest}; add that one with --replace, or write the lock again"
                findings.append(error("ROLL-LOCK", message, Location(str(path)), hint))
        if findings:
            raise FindingsError(in_order(findings))
        return write_change(store, index, [replace(roll, enabled=str(roll.id) in pinned) for roll in index])
