"""GET /install/: public files by this service, where no other web server does it. Ranges, no listings."""

import os
import stat
from pathlib import Path

from starlette.responses import FileResponse, Response

from rollbuild.frontend.service.answers import Refused

_LONGEST = 4096


def give_file(top: Path, path: str) -> Response:
    """A file below a folder, where all may read it and enter every folder on the way. Raises Refused.

    This service may read what the world may not, so the permissions for others decide. Links are followed: that is
    how distributions are found.
    """
    names = path.split("/")
    if len(path) > _LONGEST or "\0" in path or any(name in ("", ".", "..") for name in names):
        raise Refused(404, "a path that leads nowhere")
    place = top
    try:
        for name in names[:-1]:
            place /= name
            if not os.stat(place).st_mode & stat.S_IXOTH:
                raise Refused(404, f"{place} is not for all")
        place /= names[-1]
        real = os.path.realpath(place, strict=True)
        status = os.stat(real)
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IROTH:
            raise Refused(404, f"{place} is no file for all")
        _refuse_closed(real, top)
    except (OSError, ValueError) as problem:
        raise Refused(404, f"{place}: {type(problem).__name__}") from None
    return FileResponse(real, stat_result=status)


def _refuse_closed(real: str, top: Path) -> None:
    """A link may lead past folders that are closed: those on the real way count too, from where the two ways part."""
    start = os.path.commonpath((os.path.realpath(top), os.path.dirname(real)))
    folder = os.path.dirname(real)
    while folder != start:
        if not os.stat(folder).st_mode & stat.S_IXOTH:
            raise Refused(404, f"{folder} is not for all")
        folder = os.path.dirname(folder)
