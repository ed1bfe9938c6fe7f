"""Install media made of distributions: what is on them, looked at from outside."""

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollbuild.distribution import Generation, find_generation, import_os, os_tree_names, parse_treeinfo
from rollbuild.errors import RollbuildError
from rollbuild.images import check_iso, open_iso
from rollbuild.media import MadeDvd, WantedDvd, create_dvd, parse_size
from rollbuild.media.discsource import kernel_version
from rollbuild.media.localdisk import LOCAL_DISK
from rollbuild.media.splitting import Amount, split_rolls
from rollbuild.packages import NO_EXTRAS, check_repository, has_solver, read_extras
from rollbuild.rolls import Store
from tests.conftest import Outcome
from tests.programs import need_dvd_programs
from tests.stores import BASE, HELLO, PROFILE, TOOL, add_roll, make_store

GIB = 1024**3


@contextmanager
def no_progress(total: int, label: str) -> Iterator[Callable[..., None]]:
    yield lambda steps=1: None


@pytest.fixture(autouse=True, scope="module")
def _programs() -> None:
    need_dvd_programs()


def make_generation(folder: Path, rollbuild: Callable[..., Outcome], base: str = BASE, **tree: object) -> Generation:
    store = make_store(folder, **tree)
    if base != BASE:
        add_roll(store, "base", "1.1", profile={**PROFILE, "nodes/base.xml": base})
    os_name = os_tree_names(store)[0]
    assert rollbuild("distro", "create", "cluster", "--os", os_name, "--store", store.folder).code == 0
    return find_generation(store, "cluster")


def make(generation: Generation, output: Path, **wanted: object) -> MadeDvd:
    return create_dvd(generation, WantedDvd(**wanted), output, progress=no_progress)  # type: ignore[arg-type]


def unpack(image: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    open_iso(image).extract("", folder)
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def generation(tmp_path: Path, rollbuild: Callable[..., Outcome]) -> Generation:
    return make_generation(tmp_path, rollbuild)


def test_all_of_a_distribution(generation: Generation, tmp_path: Path) -> None:
    before = snapshot(generation.folder)
    output = tmp_path / "out" / "dvd.iso"
    made = make(generation, output)
    assert (made.firmwares, made.packages, len(made.discs)) == (("bios", "uefi"), 11, 1)
    assert check_iso(output) and open_iso(output).volume_id == "RB-CLUSTER-1-X86_64"
    assert snapshot(generation.folder) == before
    assert sorted(os.listdir(output.parent)) == ["dvd.iso", "dvd.iso.sha256"]
    assert sorted(os.listdir(generation.folder.parent)) == ["1", "current"]
    subprocess.run(["sha256sum", "-c", "--quiet", "dvd.iso.sha256"], cwd=output.parent, check=True)
    disc = unpack(output, tmp_path / "disc")
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=disc, check=True)
    info = parse_treeinfo((disc / ".treeinfo").read_bytes(), "disc")
    assert {variant.uid for variant in info.variants} == {"BaseOS", "AppStream", "base", "tools"}
    for variant in info.variants:
        check_repository(disc / variant.repository, digests=True)
    for path, (kind, digest) in info.checksums.items():
        assert kind == "sha256" and hashlib.sha256((disc / path).read_bytes()).hexdigest() == digest
    assert str(tmp_path) not in (disc / "rollbuild.repo").read_text()
    assert "baseurl=file:///run/install/repo/rolls/tools\n" in (disc / "rollbuild.repo").read_text()
    kickstart = (disc / "ks/compute.ks").read_bytes()
    own = (generation.folder / "kickstarts/compute.ks").read_bytes()
    assert kickstart == own.replace(b"\nreboot\n", b"\nreboot --eject\n") != own
    assert {finding.code for finding in made.findings} == {"DISC-SECRET"}


def test_loaders_are_as_they_were(generation: Generation, tmp_path: Path) -> None:
    make(generation, tmp_path / "dvd.iso")
    disc = unpack(tmp_path / "dvd.iso", tmp_path / "disc")
    inside = tmp_path / "inside"
    inside.mkdir()
    subprocess.run(["mcopy", "-s", "-i", disc / "images/efiboot.img", "::/", inside], check=True)
    for name in ("BOOTX64.EFI", "grubx64.efi", "mmx64.efi"):
        own = (generation.folder / "EFI/BOOT" / name).read_bytes()
        assert (disc / "EFI/BOOT" / name).read_bytes() == (inside / "EFI/BOOT" / name).read_bytes() == own
    menu = (inside / "EFI/BOOT/grub.cfg").read_text()
    assert menu == (disc / "EFI/BOOT/grub.cfg").read_text() and "LABEL=RB-CLUSTER-1-X86_64:/ks/compute.ks" in menu
    assert (disc / "isolinux/local.bin").read_bytes() == LOCAL_DISK


def report(image: Path) -> str:
    argv: list[str | Path] = ["xorriso", "-indev", image, "-report_el_torito", "plain", "-report_system_area", "plain"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_el10_boots_with_grub(tmp_path: Path, rollbuild: Callable[..., Outcome]) -> None:
    if not Path("/usr/lib/grub/i386-pc/boot_hybrid.img").exists():
        pytest.skip("boot_hybrid.img (package grub-pc-bin) is missing")
    generation = make_generation(tmp_path, rollbuild, release="el10")
    make(generation, tmp_path / "dvd.iso")
    text = report(tmp_path / "dvd.iso")
    assert re.search(r"img path :\s+1\s+/images/eltorito.img", text) and "grub2-mbr" in text
    assert "28732ac11ff8d211ba4b00a0c93ec93b" in text  # the EFI system partition
    disc = unpack(tmp_path / "dvd.iso", tmp_path / "disc")
    assert not (disc / "images/efiboot.img").exists() and not (disc / "isolinux").exists()


def test_el7_has_its_repository_at_the_top(tmp_path: Path, rollbuild: Callable[..., Outcome]) -> None:
    pytest.importorskip("solv", reason="libsolv's Python module is missing")
    generation = make_generation(tmp_path, rollbuild, release="el7")
    for scope, count in (("full", 10), ("packages", 6), ("boot", 0)):
        made = make(generation, tmp_path / f"{scope}.iso", scope=scope)
        disc = unpack(tmp_path / f"{scope}.iso", tmp_path / scope)
        assert made.packages == len(list(disc.rglob("*.rpm"))) == count
        assert (disc / "LiveOS/squashfs.img").exists() and (disc / "repodata").exists() is (scope != "boot")
        if count:
            assert len(check_repository(disc, digests=True)) == count - len(list((disc / "rolls").rglob("*.rpm")))
            check_repository(disc / "rolls/base", digests=True)


def test_only_what_boots(generation: Generation, tmp_path: Path) -> None:
    made = make(generation, tmp_path / "boot.iso", scope="boot")
    disc = unpack(tmp_path / "boot.iso", tmp_path / "disc")
    assert made.packages == 0 and not list(disc.rglob("*.rpm")) and not (disc / "rolls").exists()
    assert (disc / "images/install.img").exists() and (disc / "ks/compute.ks").exists()
    text = (disc / ".treeinfo").read_text()
    assert "[stage2]\nmainimage = images/install.img\n" in text and "BaseOS" not in text


def test_only_the_packages_that_are_needed(generation: Generation, tmp_path: Path) -> None:
    pytest.importorskip("solv", reason="libsolv's Python module is missing")
    made = make(generation, tmp_path / "dvd.iso", scope="packages")
    disc = unpack(tmp_path / "dvd.iso", tmp_path / "disc")
    found = sorted(path.name.split("-")[0] for path in disc.rglob("*.rpm"))
    assert found == ["basesystem", "bash", "chrony", "filesystem", "hello", "kernel"] and made.packages == len(found)
    listed: dict[str, tuple[str, int]] = {}
    for variant in parse_treeinfo((disc / ".treeinfo").read_bytes(), "disc").variants:
        listed |= check_repository(disc / variant.repository, digests=True)
    assert len(listed) == len(found)
    for name in ("BaseOS", "AppStream"):
        assert read_extras(disc / name) == read_extras(generation.folder / name) != NO_EXTRAS
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=disc, check=True)


def test_packages_that_do_not_resolve(tmp_path: Path, rollbuild: Callable[..., Outcome]) -> None:
    pytest.importorskip("solv", reason="libsolv's Python module is missing")
    generation = make_generation(tmp_path, rollbuild, BASE.replace(">hello<", ">no-such-thing<"))
    with pytest.raises(RollbuildError, match=r"compute do not resolve: no repository has no-such-thing"):
        make(generation, tmp_path / "dvd.iso", scope="packages")
    assert not (tmp_path / "dvd.iso").exists()


def test_equal_bytes_elsewhere(tmp_path: Path, rollbuild: Callable[..., Outcome]) -> None:
    first = make_generation(tmp_path / "one", rollbuild)
    store = Store(tmp_path / "another place" / "store")
    store.folder.mkdir(parents=True)
    os_name = import_os(store, str(tmp_path / "one" / "dvd"), copies=True).tree.name
    add_roll(store, "base", packages=[HELLO])
    add_roll(store, "tools", packages=[TOOL])
    assert rollbuild("distro", "create", "cluster", "--os", os_name, "--store", store.folder).code == 0
    second = find_generation(store, "cluster")
    for path in second.folder.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    before = os.umask(0o077)
    try:
        made = [make(first, tmp_path / "a.iso"), make(second, tmp_path / "b.iso")]
        needed = [make(one, tmp_path / "c.iso", scope="packages") for one in (first, second)] if has_solver() else []
    finally:
        os.umask(before)
    for one, other in (made, *([needed] if needed else [])):
        assert one.discs[0].sha256 == other.discs[0].sha256


def test_rolls_that_do_not_fit_go_onto_further_discs(tmp_path: Path, rollbuild: Callable[..., Outcome]) -> None:
    store = make_store(tmp_path)
    add_roll(store, "large", packages=[{"name": "large", "size": 7_000_000, "payload": "none"}])
    name = os_tree_names(store)[0]
    assert rollbuild("distro", "create", "cluster", "--os", name, "--store", store.folder).code == 0
    generation = find_generation(store, "cluster")
    made = make(generation, tmp_path / "dvd.iso", max_size=12_000_000)
    assert [(disc.path.name, disc.label, disc.rolls) for disc in made.discs] == [
        ("dvd.iso", "RB-CLUSTER-1-X86_64", ("base", "tools")),
        ("dvd-disc2.iso", "RB-CLUSTER-1-X86_64-D2", ("large",)),
    ]
    assert all(disc.size <= 12_000_000 for disc in made.discs)
    first, second = (unpack(disc.path, tmp_path / f"disc{n}") for n, disc in enumerate(made.discs))
    info = parse_treeinfo((first / ".treeinfo").read_bytes(), "disc")
    assert info.disc == (1, 2) and "large" not in {variant.uid for variant in info.variants}
    check_repository(second / "rolls/large", digests=True)
    assert "rolls/large" in (second / "rollbuild.repo").read_text() and not (second / "ks").exists()
    assert (second / ".discinfo").read_text().splitlines()[3] == "2"
    with pytest.raises(RollbuildError, match=r"roll large takes .* and --max-size is"):
        make(generation, tmp_path / "dvd.iso", max_size=8_000_000)
    with pytest.raises(RollbuildError, match=r"the first disc takes 5\.0 MiB, and --max-size is 4\.0 MiB"):
        make(generation, tmp_path / "dvd.iso", max_size=4 << 20)


@pytest.mark.parametrize("scope", ["full", "boot"])
def test_what_a_disc_takes_is_known_before(generation: Generation, tmp_path: Path, scope: str) -> None:
    size = make(generation, tmp_path / "dvd.iso", scope=scope).discs[0].size
    assert make(generation, tmp_path / "dvd.iso", scope=scope, max_size=size).discs[0].size == size
    with pytest.raises(RollbuildError, match="the first disc takes"):
        make(generation, tmp_path / "dvd.iso", scope=scope, max_size=size - 1_000_000)


def test_the_former_image_stays(generation: Generation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "dvd.iso"
    output.write_bytes(b"former")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(RollbuildError, match="is missing") as caught:
        make(generation, output)
    assert caught.value.exit_code == 3 and output.read_bytes() == b"former"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".rollbuild")]
    assert sorted(os.listdir(generation.folder.parent)) == ["1", "current"]


def test_an_image_in_the_generation_is_refused(generation: Generation, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(generation.folder)
    for output in (generation.folder / "dvd.iso", link / "dvd.iso", generation.folder):
        with pytest.raises(RollbuildError, match="itself, which never changes"):
            make(generation, output)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("images/pxeboot/vmlinuz", "no kernel of the installer"),
        ("images/pxeboot/initrd.img", "no initrd of the installer"),
        ("images/install.img", "no second stage of the installer"),
    ],
)
def test_what_does_not_boot_is_refused(generation: Generation, tmp_path: Path, lost: str, said: str) -> None:
    (generation.folder / lost).unlink()
    with pytest.raises(RollbuildError, match=said):
        make(generation, tmp_path / "dvd.iso")


def test_images_of_another_release_are_refused(generation: Generation, tmp_path: Path) -> None:
    kernel = generation.folder / "images/pxeboot/vmlinuz"
    text = b"4.18.0-553.el8_10.x86_64 (mockbuild@host)"
    head = bytearray(0x1000)
    head[0x202:0x206], head[0x20E:0x210] = b"HdrS", (0x400 - 0x200).to_bytes(2, "little")
    head[0x400 : 0x400 + len(text)] = text
    kernel.unlink()
    kernel.write_bytes(head)
    assert kernel_version(kernel) == text
    with pytest.raises(RollbuildError, match="was changed since the OS tree was imported"):
        make(generation, tmp_path / "dvd.iso")
    digest = hashlib.sha256(head).hexdigest()
    for name in ("SHA256SUMS", ".treeinfo"):
        place = generation.folder / name
        before = place.read_text()
        place.unlink()
        changed = re.sub(r"(images/pxeboot/vmlinuz = sha256:)\w+", rf"\g<1>{digest}", before)
        place.write_text(re.sub(r"\w{64}(  images/pxeboot/vmlinuz)", rf"{digest}\g<1>", changed))
    with pytest.raises(RollbuildError, match="this kernel is of el8, and cluster@1 is for el9"):
        make(generation, tmp_path / "dvd.iso")


def test_a_tree_for_one_firmware(generation: Generation, tmp_path: Path) -> None:
    for path in (generation.folder / "EFI/BOOT").glob("*.EFI"):
        path.unlink()
    with pytest.raises(RollbuildError, match="does not boot on UEFI"):
        make(generation, tmp_path / "dvd.iso", required=("bios", "uefi"))
    made = make(generation, tmp_path / "dvd.iso")
    assert made.firmwares == ("bios",) and "DISC-FIRMWARE" in {finding.code for finding in made.findings}
    assert "UEFI" not in report(tmp_path / "dvd.iso")
    (generation.folder / "isolinux/isolinux.bin").unlink()
    with pytest.raises(RollbuildError, match="does not boot on"):
        make(generation, tmp_path / "dvd.iso")


def test_the_name_of_an_os_makes_no_line_of_a_menu(tmp_path: Path, rollbuild: Callable[..., Outcome]) -> None:
    # isolinux takes what is beyond a line's 4,095th character for another line.
    generation = make_generation(tmp_path, rollbuild, family=f"R{'x' * 4200}'\u202e default evil")
    make(generation, tmp_path / "dvd.iso", scope="boot")
    for path in ("isolinux/isolinux.cfg", "EFI/BOOT/grub.cfg"):
        text = open_iso(tmp_path / "dvd.iso").read(path, 100_000).decode()
        assert "evil" not in text and max(map(len, text.splitlines())) < 2100 and text.isascii()


def test_uefi_alone(generation: Generation, tmp_path: Path) -> None:
    (generation.folder / "isolinux/isolinux.bin").unlink()
    made = make(generation, tmp_path / "dvd.iso")
    text = report(tmp_path / "dvd.iso")
    assert made.firmwares == ("uefi",) and "UEFI" in text and "BIOS" not in text


def test_a_kickstart_that_needs_packages_on_the_disc(tmp_path: Path, rollbuild: Callable[..., Outcome]) -> None:
    generation = make_generation(tmp_path, rollbuild, BASE.replace("<url>--url=http://10.1.1.1/dist</url>", "<cdrom/>"))
    with pytest.raises(RollbuildError, match="installs from the medium"):
        make(generation, tmp_path / "dvd.iso", scope="boot")
    make(generation, tmp_path / "dvd.iso")


def test_the_default_is_told(generation: Generation, tmp_path: Path) -> None:
    made = make(generation, tmp_path / "dvd.iso", default="compute", scope="boot")
    assert "DISC-INSTALLS" in {finding.code for finding in made.findings}
    menu = open_iso(tmp_path / "dvd.iso").read("isolinux/isolinux.cfg", 10_000)
    assert b"default install-compute\n" in menu


@pytest.mark.parametrize(
    ("text", "size"),
    [("4.7G", 4_700_000_000), ("8.5g", 8_500_000_000), ("15GiB", 15 * GIB), ("700M", 700_000_000), ("1024", 1024)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "G", "-1G", "1e9", "4,7G", "1X", "0.0M"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(RollbuildError):
        parse_size(text)


def test_a_roll_is_never_divided() -> None:
    rolls = {name: Amount(size * 512, 1) for name, size in {"a": 4, "b": 30, "c": 3, "d": 25}.items()}
    mebibyte = 1024 * 1024
    assert split_rolls(Amount(), rolls, None) == (("a", "b", "c", "d"),)
    assert split_rolls(Amount(10 * 512), rolls, 40 * mebibyte) == (("a", "c"), ("b",), ("d",))
