"""An install ISO that is there, with Kickstarts, arguments and files added: what boots it stays as it is."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rollbuild.errors import DISK, USAGE, RollbuildError
from rollbuild.files import digest_file, explained, walk_tree
from rollbuild.images import IsoImage, flushing, implanting_md5, make_efi_image, open_iso, read_fat
from rollbuild.location import Location
from rollbuild.media.bootmenu import GRUB_MENUS, ISOLINUX_MENU, check_label
from rollbuild.media.efireading import EfiImage, find_efi_image, program_environment
from rollbuild.media.kernellines import ArgumentEdit, edit_menu
from rollbuild.media.kickstarts import prepare_kickstart
from rollbuild.media.workplace import in_mebibytes, place_files, workplace
from rollbuild.packages import check_space
from rollbuild.process import run_program
from rollbuild.rolls import choose_epoch

Progress = Callable[[int, str], AbstractContextManager[Callable[..., None]]]
_MENU_LIMIT = 4 * 1024 * 1024
_LIST_LIMIT = 64 * 1024 * 1024
_EFI_PARTITION = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_MENUS = (ISOLINUX_MENU, *GRUB_MENUS)
_PLACE = re.compile(r"/?[^/\x00-\x1f]+(/[^/\x00-\x1f]+)*\Z")


@dataclass(frozen=True, slots=True)
class Modification:
    """What to change. `kickstart`: (path on the medium, content). `arguments` are added to every kernel line and
    `removed` taken out, words or names. `added`: path on the medium -> file or folder. `label`: the new volume id."""

    kickstart: tuple[str, bytes] | None = None
    arguments: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    label: str = ""
    added: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Modified:
    """What was written: `lines` has the number of kernel lines in each menu that was changed."""

    path: Path
    label: str
    size: int
    sha256: str
    lines: Mapping[str, int]
    has_efi: bool


def modify_iso(source: Path, output: Path, wanted: Modification, *, progress: Progress) -> Modified:
    """Write `output`, a copy of the install ISO `source` with the changes, and `output`.sha256.

    The menus inside of the EFI image are changed too; loaders stay as they are, byte for byte. Raises RollbuildError:
    REFUSED when no menu has a kernel line, MISSING_PROGRAM without xorriso or mtools, DISK. Then nothing is written.
    """
    if output.exists() and source.exists() and os.path.samefile(source, output):
        raise RollbuildError(f"{output} is the image to read", hint="write to another file", exit_code=USAGE)
    if output.is_dir():
        raise RollbuildError(f"{output} is a folder, not a file", hint="name a file: -o NAME.iso", exit_code=USAGE)
    return _Modifier(open_iso(source), wanted, output, progress).run()


class _Modifier:
    def __init__(self, image: IsoImage, wanted: Modification, output: Path, progress: Progress) -> None:
        self.image, self.wanted, self.output, self.progress = image, wanted, output, progress
        self.epoch = choose_epoch(_date_of(image))
        self.label = check_label(wanted.label) if wanted.label else image.volume_id
        self.changed: dict[str, bytes] = {}
        self.lines: dict[str, int] = {}

    def run(self) -> Modified:
        edit = self._edit()
        self._edit_menus(edit)
        efi = find_efi_image(self.image, self.epoch)
        new_efi = self._edit_efi(efi, edit) if efi else b""
        if not any(self.lines.values()):
            what = ", ".join(self.lines) or "none that rollbuild knows"
            raise RollbuildError(
                f"boot menu not understood: no line in it starts a kernel (menus: {what})",
                location=Location(os.fspath(self.image.path)),
                hint="is it the install DVD or boot.iso of Enterprise Linux? Nothing was written",
            )
        if self.wanted.kickstart:
            self.changed[_plain(self.wanted.kickstart[0])] = self.wanted.kickstart[1]
        added = self._added()
        if efi and efi.path:
            self.changed[efi.path] = new_efi
        self._update_lists(added)
        with workplace(self.output) as folder:
            return self._write(folder, added, new_efi if efi and not efi.path else b"", bool(efi))

    def _edit(self) -> ArgumentEdit:
        wanted = self.wanted
        instead: tuple[str, ...] = ()
        if wanted.kickstart:
            label = self.label if re.fullmatch(r"[A-Za-z0-9#+.:=@_-]+", self.label) else ""
            if not label:
                raise RollbuildError(
                    f"the label {self.label!r} of this image cannot stand in inst.ks=",
                    hint="give the new image another: --label NAME",
                )
            instead = (f"inst.ks=hd:LABEL={label}:/{_plain(wanted.kickstart[0])}",)
        relabel = (self.image.volume_id, self.label) if self.label != self.image.volume_id else None
        return ArgumentEdit(wanted.removed, wanted.arguments, instead, frozenset(("inst.ks",)), relabel)

    def _edit_menus(self, edit: ArgumentEdit) -> None:
        for path in _MENUS:
            entry = self.image.find(path)
            if entry is not None and entry.is_file:
                self._change(path, path, self.image.read(path, _MENU_LIMIT), edit, self.changed)

    def _change(self, shown: str, path: str, content: bytes, edit: ArgumentEdit, into: dict[str, bytes]) -> None:
        text, count = edit_menu(path, content.decode("utf-8", "surrogateescape"), edit)
        self.lines[shown] = count
        into[path] = text.encode("utf-8", "surrogateescape")

    def _edit_efi(self, efi: EfiImage, edit: ArgumentEdit) -> bytes:
        files = read_fat(efi.content, str(self.image.path))
        for path in list(files):
            menu = next((one for one in GRUB_MENUS if one.lower() == path.lower()), None)
            if menu is not None:
                self._change(f"{path} in the EFI image", path, files[path], edit, files)
        return make_efi_image(files, epoch=self.epoch)

    def _added(self) -> dict[str, Path]:
        """Path on the medium -> file, for files and all that folders hold."""
        found: dict[str, Path] = {}
        for place, path in self.wanted.added.items():
            top = _plain(place)
            if not _PLACE.match(place) or ".." in top.split("/"):
                raise RollbuildError(
                    f"{place!r} is no path on a medium", hint="--add FILE=FOLDER/NAME", exit_code=USAGE
                )
            if path.is_dir():
                found |= {f"{top}/{name}": path / name for name, _ in walk_tree(path) if (path / name).is_file()}
            elif path.is_file():
                found[top] = path
            else:
                raise RollbuildError(f"there is no file or folder {path}", exit_code=DISK)
        for place in found:
            entry = self.image.find(place)
            if entry is not None and entry.is_folder:
                raise RollbuildError(f"{place} is a folder of the image, and a file cannot take its place")
        return found

    def _update_lists(self, added: Mapping[str, Path]) -> None:
        """Where the medium lists digests of what was changed, list the new ones."""
        new = {path: hashlib.sha256(content).hexdigest() for path, content in self.changed.items()}
        if self.image.find(".treeinfo"):
            text = self.image.read(".treeinfo", _LIST_LIMIT).decode("utf-8", "surrogateescape")
            changed = text
            for path, digest in new.items():
                changed = re.sub(rf"(?m)^({re.escape(path)} ?= ?sha256:)[0-9a-f]{{64}}$", rf"\g<1>{digest}", changed)
            if changed != text:
                self.changed[".treeinfo"] = changed.encode("utf-8", "surrogateescape")
                new[".treeinfo"] = hashlib.sha256(self.changed[".treeinfo"]).hexdigest()
        if self.image.find("SHA256SUMS"):
            content = self.image.read("SHA256SUMS", _LIST_LIMIT).decode("utf-8", "surrogateescape")
            lines = {line[66:]: line for line in content.splitlines() if len(line) > 66}
            for path, digest in (*new.items(), *((path, digest_file(file)[0]) for path, file in added.items())):
                lines[path] = f"{digest}  {path}"
            text = "".join(f"{lines[path]}\n" for path in sorted(lines))
            self.changed["SHA256SUMS"] = text.encode("utf-8", "surrogateescape")

    def _write(self, folder: Path, added: Mapping[str, Path], partition: bytes, has_efi: bool) -> Modified:
        target = folder / self.output.name
        files = folder / "files"
        total = self.image.size + sum(path.stat().st_size for path in added.values())
        check_space(folder, total + len(partition) * 2, "the new image")
        sources = dict(added)
        with explained("cannot write into", folder):
            files.mkdir()
            for number, (path, content) in enumerate(self.changed.items()):
                sources[path] = files / str(number)
                sources[path].write_bytes(content)
            if partition:
                (files / "efi.img").write_bytes(partition)
        argv = ["xorriso", "-no_rc", "-return_with", "SORRY", "32", "-options_from_file", "-"]
        script = self._script(target, sources, files / "efi.img" if partition else None)
        with self.progress((3 * total >> 20) + 1, f"writing {self.output.name} (MiB)") as step:
            advance = in_mebibytes(step)
            done = 0

            def tell(_: bytes) -> None:
                nonlocal done
                size = target.stat().st_size if target.exists() else 0
                if size > done:
                    advance(size - done)
                    done = size
                tell_sum()

            with flushing(target):
                with implanting_md5(target, advance) as tell_sum:
                    completed = run_program(argv, input=script, env=program_environment(self.epoch), tell=tell)
                    if completed.returncode:
                        raise _explain(completed.stderr.decode("utf-8", "replace"), completed.returncode)
                    tell(b"")
                digest, size = digest_file(target, advance=advance)
        with explained("cannot write", folder):
            (folder / f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n")
        place_files(folder, [self.output], are_private=self._has_secrets())
        return Modified(self.output, self.label, size, digest, self.lines, has_efi)

    def _has_secrets(self) -> bool:
        given = self.wanted.kickstart
        return given is not None and prepare_kickstart(*given).has_secrets

    def _script(self, target: Path, sources: Mapping[str, Path], partition: Path | None) -> bytes:
        lines = ["-report_about WARNING", "-stdio_sync off", f"-indev {_quote(f'stdio:{self.image.path.resolve()}')}"]
        lines += [f"-outdev {_quote(f'stdio:{target.resolve()}')}", "-compliance iso_9660_level=3"]
        lines += ["-iso_rr_pattern off", "-disk_pattern off", "-overwrite on", "-boot_image any replay"]
        if partition is not None:
            lines.append(f"-append_partition 2 {_EFI_PARTITION} {_quote(str(partition.resolve()))}")
        lines.append(f"-volid {_quote(self.label)}")
        lines.append(f"-volume_date uuid {_stamp(self.epoch)}")
        lines.append(f"-volume_date m {_stamp(self.epoch)}")
        folders = dict.fromkeys(
            "/".join(parts[:depth])
            for path in sorted(sources)
            if (parts := path.split("/"))
            for depth in range(1, len(parts))
        )
        for path in sorted(sources):
            lines.append(f"-map {_quote(str(sources[path].resolve()))} {_quote('/' + path)}")
        own = [path for path in folders if self.image.find(path) is None]
        for path, mode in (*((path, "0755") for path in own), *((path, "0644") for path in sorted(sources))):
            lines.append(f"-chown 0 {_quote('/' + path)} --")
            lines.append(f"-chgrp 0 {_quote('/' + path)} --")
            lines.append(f"-chmod {mode} {_quote('/' + path)} --")
        for path in (*folders, *sorted(sources)):
            lines.append(f"-alter_date b ={self.epoch} {_quote('/' + path)} --")
            lines.append(f"-alter_date c ={self.epoch} {_quote('/' + path)} --")
        lines.append(f"-alter_date b ={self.epoch} / --")
        lines.append(f"-alter_date c ={self.epoch} / --")
        lines.append("-commit")
        lines.append("-end")
        return os.fsencode("".join(f"{line}\n" for line in lines))


def _date_of(image: IsoImage) -> int:
    """When an image was made, as its volume descriptor says; 1980 where it does not."""
    with explained("cannot read", image.path), open(image.path, "rb") as file:
        file.seek(16 * 2048 + 830)
        text = file.read(14)
    try:
        return int(datetime.strptime(text.decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return 315_532_800


def _stamp(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%d%H%M%S00")


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _quote(text: str) -> str:
    """The text as xorriso reads it: quotes of one kind protect those of the other."""
    return "".join(f'"{part}"' if part.startswith("'") else f"'{part}'" for part in re.findall(r"'+|[^']+", text))


def _explain(output: str, status: int) -> RollbuildError:
    complaints: Sequence[str] = re.findall(r"^\w+ : (?:SORRY|MISHAP|FAILURE|FATAL|ABORT) : (.+)$", output, re.MULTILINE)
    said = "; ".join(list(dict.fromkeys(complaints))[:5]) or f"it ended with status {status}"
    if re.search(r"No space left on device|quota exceeded", output, re.IGNORECASE):
        return RollbuildError("cannot write the image: no space left on device", exit_code=DISK)
    return RollbuildError(f"xorriso wrote no image: {said}")
