"""What the machines boot: kernel, loaders and firmware from Debian's packages, unpacked and not installed."""

import fcntl
import gzip
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.boot.machine import cache_folder

MODULES = (
    *("virtio_pci", "virtio_net", "virtio_blk", "virtio_scsi", "e1000", "e1000e", "af_packet"),
    *("sr_mod", "sd_mod", "ahci", "ata_piix", "isofs"),
)
GUEST = Path(__file__).with_name("guest.sh")
KERNEL = "linux-image-amd64"

Unpack = Callable[[str], Path]


@pytest.fixture(scope="session")
def unpacked() -> Unpack:
    """Download and unpack one of Debian's packages, once for all runs; the folder that it would be installed into."""

    def unpack(package: str) -> Path:
        folder = cache_folder() / package
        with open(cache_folder() / f"{package}.lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                _download(package, folder)
        return folder

    return unpack


def _download(package: str, folder: Path) -> None:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing")
    stage = folder.with_name(f"{package}.new")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=", "download", package]
    done = subprocess.run(command, cwd=stage, capture_output=True, text=True)
    archives = list(stage.glob("*.deb"))
    if done.returncode or len(archives) != 1:
        pytest.skip(f"the package {package} cannot be downloaded: {done.stderr.strip()[-200:]}")
    subprocess.run(["dpkg-deb", "-x", archives[0], stage], check=True)
    archives[0].unlink()
    stage.rename(folder)


@dataclass(frozen=True, slots=True)
class Guest:
    """A kernel, and an initrd whose init is guest.sh."""

    kernel: Path
    initrd: Path


@pytest.fixture(scope="session")
def guest(unpacked: Unpack, tmp_path_factory: pytest.TempPathFactory) -> Guest:
    for program in ("apt-cache", "cpio", "modprobe", "depmod"):
        if shutil.which(program, path=_PATH) is None:
            pytest.skip(f"{program} is missing")
    depends = subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True).stdout.split()
    packages = [word for word in depends if word.startswith("linux-image-")]
    if KERNEL in packages:
        packages.remove(KERNEL)
    if not packages:
        pytest.skip(f"the package {KERNEL} is not known to apt")
    root = unpacked(packages[0])
    folder = tmp_path_factory.mktemp("guest")
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    version = kernel.name.removeprefix("vmlinuz-")
    tree = folder / "tree"
    for name in ("bin", "proc", "sys", "dev", "mnt", "tmp", "etc", "lib/modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy2(unpacked("busybox-static") / "bin/busybox", tree / "bin/busybox")
    shutil.copyfile(GUEST, tree / "init")
    (tree / "init").chmod(0o755)
    (tree / "lib/modules/order").write_text("".join(f"{name}\n" for name in copy_modules(root, version, tree)))
    names = b"\0".join(sorted(os.fsencode(path.relative_to(tree)) for path in tree.rglob("*")))
    command = ["cpio", "--quiet", "--null", "-o", "-H", "newc", "--reproducible", "--owner=0:0"]
    archive = subprocess.run(command, cwd=tree, input=names, capture_output=True, check=True).stdout
    initrd = folder / "initrd.img"
    initrd.write_bytes(gzip.compress(archive, 6, mtime=0))
    return Guest(kernel, initrd)


_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def copy_modules(root: Path, version: str, tree: Path, modules: Sequence[str] = MODULES) -> list[str]:
    """Copy modules of a kernel, and those that they need; the files' names in the order in which they load."""
    environment = {**os.environ, "PATH": _PATH}
    if not (root / "lib/modules" / version / "modules.dep.bin").exists():
        subprocess.run(["depmod", "-b", root, version], check=True, env=environment)
    order: dict[str, None] = {}
    for module in modules:
        command: list[str | Path] = [
            "modprobe",
            "-d",
            root,
            "-S",
            version,
            "--show-depends",
            "--ignore-install",
            module,
        ]
        shown = subprocess.run(command, capture_output=True, text=True, env=environment).stdout
        for line in shown.splitlines():
            kind, _, path = line.strip().partition(" ")
            if kind == "insmod":
                order[path.split()[0]] = None
    for path in order:
        shutil.copyfile(path, tree / "lib/modules" / Path(path).name)
    return [Path(path).name for path in order]


@dataclass(frozen=True, slots=True)
class Firmware:
    """UEFI firmware: its code, and its variables as delivered."""

    code: Path
    variables: Path


@pytest.fixture(scope="session")
def uefi(unpacked: Unpack) -> Firmware:
    folder = unpacked("ovmf") / "usr/share/OVMF"
    return Firmware(folder / "OVMF_CODE_4M.fd", folder / "OVMF_VARS_4M.fd")


@pytest.fixture(scope="session")
def secure_uefi(unpacked: Unpack) -> Firmware:
    """Demands signatures that Microsoft's keys vouch for."""
    folder = unpacked("ovmf") / "usr/share/OVMF"
    return Firmware(folder / "OVMF_CODE_4M.secboot.fd", folder / "OVMF_VARS_4M.ms.fd")
