"""GET /secrets/HOST: what only this host may know, as a tar of plain files, once for each install."""

import io
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from rollbuild.cluster import (
    GIVEN,
    INSTALLING,
    Install,
    list_events,
    list_interfaces,
    note_secrets,
    record_event,
)
from rollbuild.errors import RollbuildError
from rollbuild.files import explained, system_path
from rollbuild.frontend.service.answers import Refused
from rollbuild.frontend.service.asking import Asker
from rollbuild.frontend.service.hostkeys import KEY, keep_host_key
from rollbuild.frontend.service.work import Work, install_of_token, is_newest, log

if TYPE_CHECKING:
    from sqlalchemy import Connection

SECRETS = "/etc/rollbuild/secrets"
DEFAULT = "munge.key accounts.key kdump.key ssh_host_ed25519_key"
AGAIN_SECONDS = 120.0
MOST_TIMES = 4
"""curl --retry 3 asks as often when answers get lost."""
BUNDLE_LIMIT = 1024 * 1024
"""fetch-secrets.sh of roll base takes no more."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_KEY_FILES = (KEY, f"{KEY}.pub", f"{KEY}-cert.pub")


def give_secrets(work: Work, host: str, asker: Asker) -> Response:
    """The secrets of a host to the install that its token belongs to. Raises Refused."""
    database, now = work.front_end.database, work.clock()
    if not asker.is_secure:
        raise Refused(403, "secrets go over TLS only")
    with database.reading() as c:
        _refuse_unfit(c, install_of_token(c, host, asker), asker)
    attributes = work.maker.attributes(host)
    names = tuple(attributes.get("secrets", DEFAULT).replace(",", " ").split())
    uses_keys = attributes.get("ssh_hostkeys", "cluster") == "cluster"
    bundle = _pack({**dict(_read(host, names)), **(_host_key(work, host) if uses_keys and KEY in names else {})})
    # Noted before the answer leaves, so that nothing is ever given twice because the process died between the two.
    with work.recording() as c:
        install = install_of_token(c, host, asker)
        _refuse_unfit(c, install, asker)
        if install.secrets_given and not _asks_again(c, install, asker, now):
            record_event(c, install, "secrets-refused", f"{asker.address} asked once more", now)
            again = True
        else:
            install = note_secrets(c, install)
            record_event(c, install, "secrets-given", asker.address, now)
            again = False
    if again:
        raise Refused(410, f"secrets of {host} were given out, and {asker.address} asks once more")
    log.info("%s has its secrets", host)
    return Response(bundle, media_type="application/x-tar", headers={"Cache-Control": "no-store"})


def _refuse_unfit(c: "Connection", install: Install, asker: Asker) -> None:
    if install.state not in (GIVEN, INSTALLING) or not is_newest(c, install):
        raise Refused(403, f"the install is over: {install.state}")
    own = {interface.address for interface in list_interfaces(c, [install.host])} | {install.address}
    if not asker.address or asker.address not in own:
        raise Refused(403, f"{asker.address or 'an unknown address'} is not {install.host}")


def _asks_again(c: "Connection", install: Install, asker: Asker, now: float) -> bool:
    given = [event for event in list_events(c, install.host) if event.stage == "secrets-given"]
    mine = given[-install.secrets_given :]
    return (
        install.secrets_given < MOST_TIMES
        and bool(mine)
        and 0 <= now - mine[0].time <= AGAIN_SECONDS
        and {event.detail for event in mine} == {asker.address}
    )


def _read(host: str, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files that are there: the host's own before those of all."""
    folder = system_path(SECRETS)
    left = BUNDLE_LIMIT
    for name in names:
        if name == KEY:
            continue
        if not _NAME.match(name):
            raise RollbuildError(f"{name!a} in the attribute secrets of {host} is no name of a file")
        for path in (folder / "hosts" / host / name, folder / name):
            content = _read_private(path, left)
            if content is not None:
                left -= len(content)
                yield name, content
                break


def _read_private(path: Path, limit: int) -> bytes | None:
    """A plain file, no link to one; None where there is none. Raises RollbuildError for what should not be given."""
    with explained("cannot read", path):
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with os.fdopen(file, "rb") as reader:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise RollbuildError(f"{path} is no plain file")
            if status.st_mode & stat.S_IROTH and os.stat(path.parent).st_mode & stat.S_IXOTH:
                hint = f"chmod 0600 {path}; chmod 0700 {path.parent}"
                raise RollbuildError(f"everyone can read {path}: it is no secret", hint=hint)
            content = reader.read(limit + 1)
    if len(content) > limit:
        raise RollbuildError(f"the secrets are larger than {BUNDLE_LIMIT:,} bytes with {path}")
    return content


def _host_key(work: Work, host: str) -> dict[str, bytes]:
    folder = keep_host_key(work, host)
    found = {}
    for name in _KEY_FILES:
        with suppress(FileNotFoundError):
            found[name] = (folder / name).read_bytes()
    return found


def _pack(files: dict[str, bytes]) -> bytes:
    """A tar without folders; equal files give equal bytes."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()
