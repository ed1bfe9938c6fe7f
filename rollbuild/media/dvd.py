"""The install medium: a generation, or part of it, as an ISO image that boots on BIOS and on UEFI."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rollbuild.distribution import Generation
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import digest_file, explained
from rollbuild.findings import Finding, warning
from rollbuild.images import BootImages, detect_boot, efi_image_size, make_efi_image, write_iso
from rollbuild.media.bootmenu import ISOLINUX_LOCAL, ISOLINUX_MENU, BootMenu, MenuEntry, check_label, make_label
from rollbuild.media.discsource import DiscSource, read_disc_source
from rollbuild.media.discstage import DiscStage
from rollbuild.media.dvdmenu import make_menu
from rollbuild.media.kickstarts import DiscKickstart
from rollbuild.media.localdisk import LOCAL_DISK
from rollbuild.media.needed import find_needed
from rollbuild.media.splitting import Amount, amount_of, split_rolls
from rollbuild.media.wanted import FIRMWARES, WantedDvd
from rollbuild.media.workplace import in_mebibytes, passing_folder, place_files, workplace
from rollbuild.rolls import choose_epoch

Progress = Callable[[int, str], AbstractContextManager[Callable[..., None]]]


@dataclass(frozen=True, slots=True)
class MadeDisc:
    """An image that was written: its size in bytes, its SHA-256, and the rolls whose packages it has."""

    path: Path
    label: str
    size: int
    sha256: str
    rolls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MadeDvd:
    """What was written; the first disc is the one that boots. `findings` are no errors."""

    discs: tuple[MadeDisc, ...]
    entries: tuple[MenuEntry, ...]
    firmwares: tuple[str, ...]
    packages: int
    kickstarts: tuple[DiscKickstart, ...]
    findings: tuple[Finding, ...]


def create_dvd(generation: Generation, wanted: WantedDvd, output: Path, *, progress: Progress) -> MadeDvd:
    """Write the image `output` (and further ones beside it where `max_size` asks for them), each with a `.sha256`.

    Equal generations give equal bytes. Whatever goes wrong, what was there before stays. `progress(total, label)`
    shows a bar whose unit is one MiB. Raises RollbuildError: REFUSED, USAGE, MISSING_PROGRAM, DISK.
    """
    _check_place(generation, output)
    return _Maker(read_disc_source(generation), wanted, output, progress).make()


def _check_place(generation: Generation, output: Path) -> None:
    place = Path(os.path.realpath(output))
    if place.is_relative_to(os.path.realpath(generation.folder)):
        raise RollbuildError(
            f"{output} would lie in {generation} itself, which never changes",
            hint="write it somewhere else",
            exit_code=USAGE,
        )
    if place.is_dir():
        raise RollbuildError(f"{output} is a folder, not a file", hint="name a file: -o NAME.iso", exit_code=USAGE)


class _Maker:
    def __init__(self, source: DiscSource, wanted: WantedDvd, output: Path, progress: Progress) -> None:
        self.source, self.wanted, self.output, self.progress = source, wanted, output, progress
        self.epoch = choose_epoch(source.provenance.epoch)
        generation = source.generation
        default = make_label(generation.distribution, generation.number, source.provenance.arch)
        self.label = check_label(wanted.label or default)
        self.findings: list[Finding] = []

    def make(self) -> MadeDvd:
        source, wanted = self.source, self.wanted
        kickstarts = () if wanted.host else source.read_kickstarts(wanted.appliances)
        firmwares = self._check_firmware()
        self._check_kickstarts(kickstarts)
        menu, findings = make_menu(source, wanted, self.label, kickstarts)
        self.findings += findings
        packages = self._packages(kickstarts)
        repositories = {path for path in source.files if source.repository_of(path)}
        base = self._base(repositories)
        per_roll, of_os = self._amounts(packages)
        first = sum((amount_of(source.files[path].st_size) for path in base), of_os + self._made(kickstarts))
        discs = split_rolls(first, per_roll, wanted.max_size)
        self._warn_of_others(discs, kickstarts)
        with self._staged() as stage_of, workplace(self.output) as work:
            made = []
            for number, rolls in enumerate(discs, 1):
                stage = DiscStage(stage_of(number), source, self.epoch)
                keep = {path for path in packages if self._is_on(path, rolls, number)}
                stage.add_files([*base, *keep] if number == 1 else [*keep, *_keys(source)])
                if wanted.scope == "packages":
                    self._remake(stage, keep, rolls, number)
                boot = None
                if number == 1:
                    boot = self._make_bootable(stage, menu, kickstarts, firmwares, work)
                present = [one for one in source.repositories if self._has(one.roll, rolls, number)]
                stage.finish(
                    present if wanted.scope != "boot" else [],
                    disc=(number, len(discs)) if len(discs) > 1 else None,
                    label=self._label_of(number),
                )
                made.append(self._write(stage, work, number, rolls, boot))
            is_private = any(kickstart.has_secrets for kickstart in kickstarts)
            place_files(work, [disc.path for disc in made], are_private=is_private)
        return MadeDvd(
            discs=tuple(made),
            entries=menu.entries,
            firmwares=firmwares,
            packages=sum(path.endswith(".rpm") for path in packages),
            kickstarts=kickstarts,
            findings=tuple(self.findings),
        )

    def _check_firmware(self) -> tuple[str, ...]:
        has = {"bios": bool(self.source.bios), "uefi": self.source.efi}
        found = tuple(name for name in FIRMWARES if has[name])
        what = {"bios": "isolinux/isolinux.bin nor images/eltorito.img", "uefi": "EFI/BOOT/BOOT*.EFI"}
        for name in FIRMWARES:
            if has[name]:
                continue
            word = "neither" if name == "bios" else "no"
            message = f"the OS tree has {word} {what[name]}: the medium does not boot on {name.upper()}"
            hint = "import the OS tree of an install DVD, which has both"
            if name in self.wanted.required or not found:
                raise RollbuildError(message, hint=hint)
            if self.source.provenance.arch == "x86_64":
                self.findings.append(warning("DISC-FIRMWARE", message, hint=hint))
        return found

    def _check_kickstarts(self, kickstarts: Sequence[DiscKickstart]) -> None:
        for kickstart in kickstarts:
            if kickstart.source == "cdrom" and self.wanted.scope == "boot":
                raise RollbuildError(
                    f"the Kickstart of {kickstart.name} installs from the medium (`cdrom`), which has no packages "
                    "with --scope boot",
                    hint="take --scope packages or full, or let its Kickstart name a `url`",
                )
        if secret := [kickstart.name for kickstart in kickstarts if kickstart.has_secrets]:
            message = f"the Kickstart of {', '.join(secret)} holds secrets (such as the hash of root's password)"
            hint = "whoever has the image or the disc can read them: keep both as you keep a key"
            self.findings.append(warning("DISC-SECRET", message, hint=hint))

    def _packages(self, kickstarts: Sequence[DiscKickstart]) -> frozenset[str]:
        """The packages and, unless it is made anew, the metadata that go onto the discs."""
        source = self.source
        if self.wanted.scope == "boot" or self.wanted.host:
            return frozenset()
        if self.wanted.scope == "full":
            return frozenset(path for path in source.files if source.repository_of(path))
        return find_needed(source, kickstarts)

    def _base(self, repositories: set[str]) -> list[str]:
        """What else is on the first disc."""
        source = self.source
        if self.wanted.scope != "boot":
            return [path for path in source.files if path not in repositories]
        left = {source.stage2} if self.wanted.host else set()
        return [path for path in source.boot_files() if path not in repositories and path not in left]

    def _made(self, kickstarts: Sequence[DiscKickstart]) -> Amount:
        """About what is written for the first disc: the EFI image, the Kickstarts, the list of digests."""
        loaders = {path: status.st_size for path, status in self.source.files.items() if path.startswith("EFI/")}
        sums = 150 * len(self.source.files)
        made = sum((amount_of(len(kickstart.content)) for kickstart in kickstarts), amount_of(sums))
        # Two menus of GRUB that the tree may not have yet; each appliance has two entries in them.
        menu = 4096 * (1 + len(kickstarts))
        loaders |= {"EFI/BOOT/grub.cfg": menu, "boot/grub/grub.cfg": menu}
        return made + amount_of(efi_image_size(loaders) if self.source.efi else 0)

    def _amounts(self, packages: frozenset[str]) -> tuple[Mapping[str, Amount], Amount]:
        rolls = {one.roll: Amount() for one in self.source.repositories if one.roll}
        of_os = Amount()
        # Metadata that is made anew is smaller than what there was.
        metadata = [path for path in self.source.files if "repodata/" in path] if packages else []
        for path in packages.union(metadata):
            repository = self.source.repository_of(path)
            if repository is None:
                continue
            amount = amount_of(self.source.files[path].st_size)
            if repository.roll:
                rolls[repository.roll] += amount
            else:
                of_os += amount
        return rolls, of_os

    def _is_on(self, path: str, rolls: Sequence[str], number: int) -> bool:
        repository = self.source.repository_of(path)
        return repository is not None and self._has(repository.roll, rolls, number)

    @staticmethod
    def _has(roll: str, rolls: Sequence[str], number: int) -> bool:
        return roll in rolls if roll else number == 1

    def _warn_of_others(self, discs: Sequence[Sequence[str]], kickstarts: Sequence[DiscKickstart]) -> None:
        others = [roll for rolls in discs[1:] for roll in rolls]
        if others and any(kickstart.source == "cdrom" for kickstart in kickstarts):
            message = f"the installer sees the first disc only, and the packages of {', '.join(others)} are on others"
            hint = "install from the network (`url`), or take larger discs; after the install dnf takes them from there"
            self.findings.append(warning("DISC-SPLIT", message, hint=hint))

    def _remake(self, stage: DiscStage, packages: set[str], rolls: Sequence[str], number: int) -> None:
        for repository in self.source.repositories:
            if self._has(repository.roll, rolls, number):
                own = [path for path in packages if self.source.repository_of(path) is repository]
                stage.make_repository(repository, own)

    def _make_bootable(
        self,
        stage: DiscStage,
        menu: BootMenu,
        kickstarts: Sequence[DiscKickstart],
        firmwares: Sequence[str],
        work: Path,
    ) -> BootImages:
        source = self.source
        efi = "uefi" in firmwares
        written = menu.write(self.wanted.menus, source.files, stage.read, bios="bios" in firmwares, efi=efi)
        for path, content in written.items():
            stage.write(path, content)
        if ISOLINUX_MENU in written:
            stage.write(ISOLINUX_LOCAL, LOCAL_DISK)
        for kickstart in kickstarts:
            stage.write(f"ks/{kickstart.name}.ks", kickstart.content)
        image = work / "efiboot.img"
        if efi:
            # GRUB reads its menu from where it lies itself, in the EFI image.
            content = make_efi_image(stage.efi_files(written), epoch=self.epoch)
            if source.bios == "images/eltorito.img":
                with explained("cannot write", image):
                    image.write_bytes(content)
            else:
                stage.write("images/efiboot.img", content)
        boot = detect_boot(stage.folder)
        if boot is None:
            boot = BootImages()
        return replace(boot, efi=os.path.abspath(image)) if efi and boot.is_grub else boot

    def _label_of(self, number: int) -> str:
        return self.label if number == 1 else f"{self.label[: 32 - 2 - len(str(number))]}-D{number}"

    def _write(
        self, stage: DiscStage, work: Path, number: int, rolls: Sequence[str], boot: BootImages | None
    ) -> MadeDisc:
        name = self.output.name
        if number > 1:
            name = f"{self.output.stem}-disc{number}{self.output.suffix}"
        target = work / name
        total = stage.size * (3 if boot else 2)
        with self.progress((total >> 20) + 1, f"writing {name} (MiB)") as step:
            advance = in_mebibytes(step)
            label = self._label_of(number)
            digest, size = "", 0

            def finish(image: Path) -> None:
                nonlocal digest, size
                digest, size = digest_file(image, advance=advance)

            write_iso(
                stage.folder, target, volume_id=label, epoch=self.epoch, boot=boot, advance=advance, finish=finish
            )
        with explained("cannot write", target):
            (work / f"{name}.sha256").write_text(f"{digest}  {name}\n")
            limit = self.wanted.max_size
            if limit is not None and size > limit:
                raise RollbuildError(f"disc {number} has {size:,} bytes, more than --max-size", hint="report this")
        return MadeDisc(self.output.parent / name, label, size, digest, tuple(rolls))

    @contextmanager
    def _staged(self) -> Iterator[Callable[[int], Path]]:
        """Folders for what the discs hold, gone afterwards: where the generation lies, as hard links are made there;
        else beside the output."""
        for parent in (self.source.folder.parent, self.output.parent):
            if os.access(parent, os.W_OK | os.X_OK):
                break
        with passing_folder(parent) as top:

            def make(number: int) -> Path:
                with explained("cannot write into", top):
                    (top / str(number)).mkdir()
                return top / str(number)

            yield make


def _keys(source: DiscSource) -> list[str]:
    return [path for path in source.files if path.startswith("RPM-GPG-KEY-")]
