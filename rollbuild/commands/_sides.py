"""The two sides of `rollbuild diff`: folders of rolls, revisions, attribute files or Kickstarts."""

import io
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from rollbuild.commands._contents import Content, read_kickstart, read_profile
from rollbuild.commands._shown import Secrets, find_secrets, secrets_of
from rollbuild.compiler import Profile
from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.files import read_limited
from rollbuild.language import HIDDEN, Appliance, find_rolls
from rollbuild.location import Location
from rollbuild.process import Completed, run_program
from rollbuild.workspace import DEFAULT_ROLLS, Choice, Workspace, make_workspace

Contents = dict[str, Content]
"""What each appliance, by name, compiles to; the Kickstart's name for files."""

_KICKSTART_LIMIT = 64 * 1024 * 1024
_KICKSTART = re.compile(rb"^%(?:packages|pre|post)\b", re.MULTILINE)
_WHAT = "give two folders of rolls, git:REV, two attribute files, or two Kickstarts or folders of them"


def kind_of(side: str) -> str:
    """`rolls`, `attributes`, `kickstart` or `kickstarts`. Raises RollbuildError when there is no such thing."""
    if side.startswith("git:"):
        return "rolls"
    if os.path.isdir(side):
        has_kickstarts = any(name.endswith(".ks") for name in os.listdir(side))
        return "kickstarts" if has_kickstarts and not _holds_rolls(side) else "rolls"
    if not os.path.exists(side):
        raise RollbuildError(f"{side} does not exist", hint=_WHAT, exit_code=USAGE)
    if side.endswith((".ks", ".cfg")) or _KICKSTART.search(read_limited(side, _KICKSTART_LIMIT)):
        return "kickstart"
    return "attributes"


def _holds_rolls(folder: str) -> bool:
    try:
        return bool(find_rolls((folder,)))
    except RollbuildError:
        return False


def read_sides(before: str, after: str, choice: Choice, names: Sequence[str]) -> tuple[Contents, Contents]:
    """What both sides hold, of the appliances named or of all.

    Raises RollbuildError for sides that cannot be compared or read.
    """
    kinds = kind_of(before), kind_of(after)
    if kinds[0] != kinds[1]:
        message = f"cannot compare {_ARTICLED[kinds[0]]} with {_ARTICLED[kinds[1]]}"
        raise RollbuildError(message, hint=_WHAT, exit_code=USAGE)
    if kinds[0].startswith("kickstart"):
        sides = _read_kickstarts(before), _read_kickstarts(after)
        if kinds[0] == "kickstart" and not names:
            # Two files are compared whatever they are called.
            return dict(zip(sides[1], sides[0].values(), strict=True)), sides[1]
        _refuse_unknown(names, {*sides[0], *sides[1]})
        return _only(sides[0], names), _only(sides[1], names)
    with _open_side(before, choice) as one, _open_side(after, choice) as other:
        profiles = _compile(one, names, before), _compile(other, names, after)
        for name in names:
            if name not in profiles[0] and name not in profiles[1]:
                other.find_appliance(name)  # says that there is none, and what there is
        declared = secrets_of(one).declared | secrets_of(other).declared
    return _read_profiles(*profiles, Secrets(declared))


_ARTICLED = {
    "rolls": "rolls",
    "attributes": "an attribute file",
    "kickstart": "a Kickstart",
    "kickstarts": "a folder of Kickstarts",
}


def _refuse_unknown(names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise RollbuildError(f"neither side has {name}", hint=f"there is: {listed}", exit_code=USAGE)


def _only(contents: Contents, names: Sequence[str]) -> Contents:
    return {name: content for name, content in contents.items() if not names or name in names}


def _read_kickstarts(path: str) -> Contents:
    if not os.path.isdir(path):
        files = [path]
    else:
        files = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(".ks")]
    contents = {}
    for file in files:
        text = read_limited(file, _KICKSTART_LIMIT).decode("utf-8", "replace")
        contents[os.path.basename(file).removesuffix(".ks")] = read_kickstart(text)
    return contents


@contextmanager
def _open_side(side: str, choice: Choice) -> Iterator[Workspace]:
    if kind_of(side) == "attributes":
        yield make_workspace(replace(choice, attrs=(*choice.attrs, side)))
    elif not side.startswith("git:"):
        yield make_workspace(replace(choice, rolls=(side,)))
    else:
        revision = side.removeprefix("git:")
        with TemporaryDirectory(prefix="rollbuild-diff-") as folder, _renamed(folder, side):
            yield make_workspace(replace(choice, rolls=_export(revision, choice.rolls, folder)))


@contextmanager
def _renamed(folder: str, side: str) -> Iterator[None]:
    """Places in errors name the revision, not the temporary folder that it was exported to."""

    def rename(location: Location | None) -> Location | None:
        if location is None or not location.file.startswith(folder + os.sep):
            return location
        return replace(location, file=f"{side}:{location.file[len(folder) + 1 :]}")

    try:
        yield
    except FindingsError as problem:
        raise FindingsError(replace(item, location=rename(item.location)) for item in problem.findings) from None
    except RollbuildError as problem:
        problem.location = rename(problem.location)
        problem.message = problem.message.replace(folder + os.sep, f"{side}:")
        raise


def _export(revision: str, rolls: Sequence[str], folder: str) -> tuple[str, ...]:
    """Write the rolls of a revision of the checkout we are in below a folder; return where they are.

    Rolls outside the checkout stay where they are. Raises RollbuildError.
    """
    top = _text(_run_git(["rev-parse", "--show-toplevel"], ".", "this folder is not part of a git checkout"))
    if not revision:
        raise RollbuildError("git: needs a revision", hint="such as git:HEAD or git:v1.2", exit_code=USAGE)
    wanted = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    commit = _text(_run_git(wanted, top, f"git knows no revision {revision}"))
    inside, outside = [], []
    for path in rolls or DEFAULT_ROLLS:
        name = os.path.relpath(os.path.realpath(path), os.path.realpath(top))
        if name == os.pardir or name.startswith(os.pardir + os.sep):
            outside.append(path)
        elif _run(["cat-file", "-e", f"{commit}:{'' if name == os.curdir else name}"], top).returncode == 0:
            inside.append(name)
        elif rolls:
            raise RollbuildError(f"revision {revision} has no {name}", hint="--rolls names what both sides have")
    if not inside and not outside:
        listed = " or ".join(f"{name}/" for name in DEFAULT_ROLLS)
        raise RollbuildError(f"revision {revision} has no {listed} here", hint="name its folders with --rolls")
    if inside:
        archive = _run_git(["archive", "--format=tar", commit, "--", *inside], top, f"cannot export {revision}")
        _unpack(archive.stdout, folder, revision)
    return (*(os.path.normpath(os.path.join(folder, name)) for name in inside), *outside)


def _unpack(archive: bytes, folder: str, revision: str) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            members = [_refuse_climbing(member) for member in files.getmembers()]
            # Python 3.11.2, which Debian 12 has, knows no filter.
            safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            files.extractall(folder, members, **safely)  # noqa: S202  every member was looked at
    except (tarfile.TarError, OSError) as problem:
        hint = "links that lead out of the rolls are not followed"
        raise RollbuildError(f"cannot unpack revision {revision}: {problem}", hint=hint) from None


def _refuse_climbing(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member that stays where it is unpacked; TarError for names and links that lead out, and for devices."""
    names = [member.name]
    if member.issym():
        names.append(os.path.join(os.path.dirname(member.name), member.linkname))
    elif not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
    for name in names:
        if os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == os.pardir:
            raise tarfile.TarError(f"{member.name} leads out")
    return member


def _run(arguments: Sequence[str], folder: str) -> Completed:
    return run_program(["git", *arguments], cwd=folder, timeout=120)


def _run_git(arguments: Sequence[str], folder: str, problem: str) -> Completed:
    done = _run(arguments, folder)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RollbuildError(problem, hint=f"git says: {said[0]}" if said else "", exit_code=USAGE)
    return done


def _text(done: Completed) -> str:
    return os.fsdecode(done.stdout).rstrip("\n")


def _compile(workspace: Workspace, names: Sequence[str], side: str) -> dict[str, Profile]:
    known = {appliance.name: appliance for appliance in workspace.appliances()}
    chosen: list[Appliance] = []
    if names or workspace.choice.root:
        for name in names or (workspace.choice.root or "",):
            try:
                chosen.append(workspace.find_appliance(name))
            except RollbuildError:
                continue  # the other side may have it
    else:
        chosen += known.values()
    return {item.name: workspace.compiler.compile(workspace.target(item)) for item in chosen}


def _read_profiles(
    before: dict[str, Profile], after: dict[str, Profile], secrets: Secrets
) -> tuple[Contents, Contents]:
    """The contents with secret values hidden, those that changed in a way that still tells them apart."""
    sides: tuple[Contents, Contents] = ({}, {})
    for contents, profiles, others, word in (
        (sides[0], before, after, "before"),
        (sides[1], after, before, "after"),
    ):
        for name, profile in profiles.items():
            other = others[name].attributes if name in others else profile.attributes
            marks = tuple(
                (value, HIDDEN if other.get(key) == value else f"(hidden, {word})")
                for key, value in find_secrets(profile.attributes, secrets)
            )
            contents[name] = read_profile(profile, partial(_mask, marks))
    return sides


def _mask(marks: Sequence[tuple[str, str]], text: str) -> str:
    for value, mark in marks:
        text = text.replace(value, mark)
    return text
