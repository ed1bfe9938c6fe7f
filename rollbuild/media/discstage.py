"""The folder that one disc is made of: links to a generation's files, and what is written for the disc."""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rollbuild.distribution import Variant
from rollbuild.errors import RollbuildError
from rollbuild.files import copy_symlink, digest_file, explained, link_file, read_limited
from rollbuild.media.discsource import BIOS_LOADERS, SUMS, DiscRepository, DiscSource
from rollbuild.packages import check_space, make_repository, read_extras

_EFI_FILE_LIMIT = 64 * 1024 * 1024
_REPO_LIMIT = 16 * 1024 * 1024
_OWN_URL = re.compile(r"file://\S*?/distributions/[^/\s]+/current(?=[/\s]|\Z)")
MOUNTED = "file:///run/install/repo"
"""Where the installer mounts the medium that it started from."""


class DiscStage:
    """Fills a folder and knows the digest of every file in it."""

    def __init__(self, folder: Path, source: DiscSource, epoch: int) -> None:
        self.folder, self._source, self._epoch = folder, source, epoch
        self.digests: dict[str, str] = {}
        self.size = 0

    def add_files(self, paths: Sequence[str]) -> None:
        """Link files of the generation, or copy them where that cannot be. Raises RollbuildError."""
        files = self._source.files
        with explained("cannot read", self._source.folder):
            if os.stat(self._source.folder).st_dev != os.stat(self.folder).st_dev:
                check_space(self.folder, sum(files[path].st_size for path in paths), "a copy of what the disc holds")
        for path in sorted(paths):
            target = self._place(path)
            if stat.S_ISLNK(files[path].st_mode):
                copy_symlink(self._source.folder / path, target, path)
                continue
            link_file(self._source.folder / path, target)
            self.size += files[path].st_size
            self.digests[path] = self._source.sums.get(path) or digest_file(target)[0]

    def write(self, path: str, content: bytes) -> None:
        """Put a file of its own into the folder, in place of one of the generation's. Raises RollbuildError."""
        target = self._place(path)
        with explained("cannot write", target):
            # A link is taken away, never written through: it is the generation's file.
            target.unlink(missing_ok=True)
            target.write_bytes(content)
        self.size += len(content)
        self.digests[path] = hashlib.sha256(content).hexdigest()

    def read(self, path: str) -> bytes:
        """A file that is in the folder. Raises RollbuildError."""
        return read_limited(self.folder / path, _EFI_FILE_LIMIT)

    def efi_files(self, menus: Mapping[str, bytes]) -> dict[str, bytes]:
        """What the EFI image holds: all of EFI/, byte for byte, with the menus in place of those it came with."""
        paths = [path for path in self.digests if path.startswith("EFI/")]
        files = {path: self.read(path) for path in paths}
        return files | {path: content for path, content in menus.items() if path.startswith(("EFI/", "boot/grub/"))}

    def make_repository(self, repository: DiscRepository, packages: Sequence[str]) -> None:
        """Write metadata of these packages, which are in the folder, with the groups and modules there were."""
        place = self.folder / repository.path
        with explained("cannot write", place):
            place.mkdir(parents=True, exist_ok=True)
        extras = read_extras(self._source.folder / repository.path)
        below = [os.path.relpath(path, repository.path) for path in sorted(packages)]
        made = make_repository(
            place, below, epoch=self._epoch, release=self._source.release.name, extras=replace(extras, updateinfo=None)
        )
        for name, (digest, size) in made.metadata.items():
            self.digests[os.path.normpath(os.path.join(repository.path, name))] = digest
            self.size += size

    def finish(self, repositories: Sequence[DiscRepository], *, disc: tuple[int, int] | None, label: str) -> None:
        """Write what tells of the disc itself: .treeinfo, rollbuild.repo and the list of digests."""
        if disc is None or disc[0] == 1:
            self.write(".treeinfo", self._write_treeinfo(repositories, disc).encode())
        else:
            number, info = disc[0], self._source.info
            text = f"{info.timestamp}.000000\n{label}\n{info.arch}\n{number}\n"
            self.write(".discinfo", text.encode())
        if repositories:
            self.write("rollbuild.repo", self._write_repo(repositories))
        # What is changed while the image is written: a loader learns there where it lies.
        listed = {path: digest for path, digest in self.digests.items() if path not in BIOS_LOADERS}
        lines = sorted(f"{digest}  {path}\n" for path, digest in listed.items() if "\n" not in path)
        lines.sort(key=lambda line: line[66:])
        self.write(SUMS, os.fsencode("".join(lines)))

    def _write_treeinfo(self, repositories: Sequence[DiscRepository], disc: tuple[int, int] | None) -> str:
        info = self._source.info
        present = {one.uid for one in repositories}
        checksums = {
            path: ("sha256", self.digests[path])
            for path in info.checksums
            if path in self.digests and path not in BIOS_LOADERS
        }
        images = {
            platform: {name: path for name, path in found.items() if path in self.digests}
            for platform, found in info.images.items()
        }
        kept: tuple[Variant, ...] = tuple(variant for variant in info.variants if variant.uid in present)
        stage2 = info.stage2 if info.stage2 in self.digests else ""
        changed = replace(info, variants=kept, checksums=checksums, images=images, stage2=stage2, disc=disc)
        if kept:
            base = next((one.uid for one in kept if one.uid.lower() == "baseos"), kept[0].uid)
            return _text(changed.to_text, main_variant=base)
        # Without repositories: the sections that the installer's first stage reads, as a boot.iso has them.
        text = _text(replace(changed, variants=info.variants[:1]).to_text)
        return _without_repositories(text)

    def _write_repo(self, repositories: Iterable[DiscRepository]) -> bytes:
        text = read_limited(self._source.folder / "rollbuild.repo", _REPO_LIMIT).decode("utf-8", "surrogateescape")
        paths = [one.path for one in repositories]
        sections = []
        for section in text.split("\n\n"):
            plain = _OWN_URL.sub(MOUNTED, section)
            found = re.search(r"^baseurl=(\S+)$", plain, re.MULTILINE)
            if found and any(path == "." or found[1].endswith(f"/{path}") for path in paths):
                sections.append(plain.strip("\n") + "\n")
        return "\n".join(sections).encode("utf-8", "surrogateescape")

    def _place(self, path: str) -> Path:
        target = self.folder / path
        with explained("cannot write", target):
            target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _text(write, **arguments) -> str:  # type: ignore[no-untyped-def]
    try:
        return str(write(**arguments))
    except ValueError as problem:
        raise RollbuildError(f"the .treeinfo of this generation cannot be written for a disc: {problem}") from None


def _without_repositories(text: str) -> str:
    sections = [section for section in re.split(r"(?m)^(?=\[)", text) if not section.startswith("[variant-")]
    kept = "".join(section for section in sections if not section.startswith(("[header]", "[release]", "[tree]")))
    return re.sub(r"(?m)^(variants?|packagedir|repository) = .*$", r"\1 = ", kept)
