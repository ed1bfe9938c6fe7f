"""Using an earlier generation again, and removing the oldest: nothing else ever does."""

import os
import shutil
from dataclasses import replace

from rollbuild.distribution.generation import Generation, find_generation, read_generations, switch_current
from rollbuild.errors import RollbuildError
from rollbuild.files import explained
from rollbuild.rolls import Store


def roll_back(
    store: Store, name: str, number: int | None = None, *, wait_seconds: float = 0.0
) -> tuple[Generation, Generation]:
    """Use the generation before the one in use again, or that of a number; (what was in use, what is now).

    Raises RollbuildError: USAGE when there is none such, BUSY, DISK.
    """
    find_generation(store, name)  # a slip in the name makes no store
    with store.locked(f"rolling back distribution {name}", wait_seconds=wait_seconds):
        before = find_generation(store, name)
        after = find_before(store, before) if number is None else find_generation(store, name, number)
        if after.number == before.number:
            return before, before
        switch_current(after)
        return replace(before, is_current=False), replace(after, is_current=True)


def find_before(store: Store, generation: Generation) -> Generation:
    """The generation before another. Raises RollbuildError when there is none."""
    older = [item for item in read_generations(store, generation.distribution) if item.number < generation.number]
    if not older:
        raise RollbuildError(
            f"there is no generation of {generation.distribution} before {generation.number}",
            hint="rollbuild distro list shows all there are",
        )
    return older[-1]


def prune_generations(store: Store, name: str, keep: int) -> tuple[Generation, ...]:
    """Remove the oldest generations beyond `keep`, never the one in use; the caller holds the store's lock.

    Raises RollbuildError, exit code DISK.
    """
    generations = read_generations(store, name)
    doomed = [item for item in generations[: max(0, len(generations) - max(1, keep))] if not item.is_current]
    for generation in doomed:
        # Under a stage's name: if this process is killed, the next one removes what is left of it.
        gone = generation.folder.with_name(f".rollbuild-stage-gone-{generation.number}-{os.urandom(4).hex()}")
        with explained("cannot remove", generation.folder):
            os.rename(generation.folder, gone)
            shutil.rmtree(gone)
    return tuple(doomed)
