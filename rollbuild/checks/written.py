"""The files that scripts write: who overwrites whom, owners, permissions and paths."""

import re
from collections.abc import Iterator
from itertools import pairwise

from rollbuild.compiler import Profile, WrittenFile
from rollbuild.findings import Finding, Severity, error, note, warning
from rollbuild.releases import Release

_OCTAL = re.compile(r"0?[0-7]{3,4}\Z")
_SYMBOLIC = re.compile(r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+(?:,[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)*\Z")
_OWNER = re.compile(r"[A-Za-z0-9_][\w.-]*\$?(?::(?:[A-Za-z0-9_][\w.-]*\$?)?)?\Z|:[A-Za-z0-9_][\w.-]*\$?\Z")


def check_files(profile: Profile, release: Release) -> tuple[Finding, ...]:
    """Files that clobber each other, and names, owners and permissions that cannot be right."""
    written: dict[str, list[WrittenFile]] = {}
    findings: list[Finding] = []
    for script in profile.scripts:
        for file in script.files:
            findings += _names(file, is_post=script.section == "post")
            if "$" not in file.path:
                key = _target_path(file.path, script.in_chroot, release)
                written.setdefault(key, []).append(file)
    for files in written.values():
        if len(files) > 1:
            findings += _clobbered(files)
            findings += _rights(files)
    return tuple(findings)


def _target_path(path: str, in_chroot: bool, release: Release) -> str:
    """A path as the installed host sees it; those of the installer itself are marked."""
    if in_chroot:
        return path
    for root in (release.sysroot, "/mnt/sysimage", "/mnt/sysroot"):
        if path.startswith(root + "/"):
            return path.removeprefix(root)
    return f"installer:{path}"


def _names(file: WrittenFile, *, is_post: bool) -> Iterator[Finding]:
    if not file.path.startswith("/") and "$" not in file.path:
        message = f"{file.path or 'the empty name'} is no absolute path: it depends on the script's folder"
        severity = Severity.ERROR if is_post else Severity.WARNING
        yield Finding("FILE-PATH", severity, message, file.location, "start the name with /")
    if file.perms and "$" not in file.perms:
        if not (_OCTAL.match(file.perms) or _SYMBOLIC.match(file.perms)):
            message = f"{file.path}: {file.perms} are no permissions"
            hint = 'write them as in perms="0644" or perms="u=rw,go=r"'
            yield error("FILE-PERMS", message, file.location, hint)
        elif _OCTAL.match(file.perms) and int(file.perms, 8) & 0o1002 == 0o0002:
            message = f"{file.path}: with permissions {file.perms} every user may write it"
            yield warning("FILE-PERMS", message, file.location, 'perms="0644" lets them read only')
    if file.owner and "$" not in file.owner and not _OWNER.match(file.owner):
        message = f"{file.path}: {file.owner} is no owner"
        yield error("FILE-OWNER", message, file.location, 'write it as in owner="root:root"')


def _clobbered(files: list[WrittenFile]) -> Iterator[Finding]:
    for index, file in enumerate(files):
        # A <file> without text only touches the file.
        if file.mode != "create" or file.content == "":
            continue
        for earlier in files[:index]:
            same = earlier.content is not None and earlier.content == file.content
            if earlier.node == file.node or earlier.content == "" or (earlier.mode == "create" and same):
                continue
            message = f"{file.path} is written anew; what node {earlier.node} put there ({earlier.location}) is lost"
            hint = f'mode="append", or an order that puts {file.node} before {earlier.node}'
            yield warning("FILE-CLOBBER", message, file.location, hint)
            break


def _rights(files: list[WrittenFile]) -> Iterator[Finding]:
    for what, values in (
        ("owner", [(_owner(file.owner), file) for file in files if file.owner]),
        ("permissions", [(file.perms.lstrip("0"), file) for file in files if file.perms]),
    ):
        for (before, first), (after, second) in pairwise(values):
            if before != after and first.node != second.node:
                message = f"{second.path} gets another {what} than at {first.location}: {after} after {before}"
                if what == "permissions":
                    message = message.replace("another", "other")
                yield note("FILE-RIGHTS", message, second.location, "give the same in both places")


def _owner(owner: str) -> str:
    return owner.replace(".", ":") if ":" not in owner and owner.count(".") == 1 else owner
