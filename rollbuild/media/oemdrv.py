"""OEMDRV: a small image that a stock DVD's installer finds by its label, and takes its Kickstart from."""

import os
import tempfile
from pathlib import Path

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import explained, write_atomically
from rollbuild.images import make_efi_image, write_iso
from rollbuild.media.workplace import workplace

LABEL = "OEMDRV"
KICKSTART = "ks.cfg"
"""What the first stage looks for (dracut/kickstart-genrules.sh of rhinstaller/anaconda, all branches)."""


def write_oemdrv(kickstart: bytes, output: Path, *, epoch: int) -> None:
    """Write an image with the Kickstart: an ISO (for a virtual drive) where `output` ends in .iso, else a FAT file
    system (for a stick or a virtual disk). Equal Kickstarts give equal bytes. Only its owner can read the image:
    Kickstarts may hold secrets. Raises RollbuildError.
    """
    ending = output.suffix.lower()
    if ending not in (".iso", ".img"):
        raise RollbuildError(
            f"{output} says not what kind of image it is to be",
            hint="end its name in .iso for a drive of discs, in .img for a stick or a disk",
            exit_code=USAGE,
        )
    with explained("cannot write", output):
        output.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".img":
        write_atomically(output, make_efi_image({KICKSTART: kickstart}, epoch=epoch, label=LABEL), mode=0o600)
        return
    with (
        explained("cannot write into", tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="rollbuild-") as name,
    ):
        (Path(name) / KICKSTART).write_bytes(kickstart)
        (Path(name) / "tree").mkdir()
        (Path(name) / KICKSTART).rename(Path(name) / "tree" / KICKSTART)
        with workplace(output) as work:
            image = work / output.name
            write_iso(Path(name) / "tree", image, volume_id=LABEL, epoch=epoch)
            with explained("cannot write", output):
                os.chmod(image, 0o600)
                os.replace(image, os.path.realpath(output))
