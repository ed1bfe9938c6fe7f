"""What a VM container of the tests boots: Xen, and a Debian as its dom0; and what its virtual machines boot."""

import fcntl
import gzip
import hashlib
import lzma
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.boot.machine import EMULATOR, cache_folder

HERE = Path(__file__).parent
PROGRAMS: tuple[str, ...] = (
    EMULATOR,
    "mmdebstrap",
    "mke2fs",
    "busybox",
    "cpio",
    "depmod",
    "modprobe",
    "apt-get",
    "apt-cache",
    "dpkg-deb",
)
PROGRAMS += ("ssh", "ssh-keygen", "lz4")
XEN = "4.17"
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_ENVIRONMENT = {**os.environ, "PATH": _PATH}

PACKAGES = (
    *(f"xen-utils-{XEN}", "xenstore-utils", "openssh-server", "iproute2", "kmod", "procps", "mount", "bridge-utils"),
    *("libvirt-daemon", "libvirt-daemon-driver-xen", "libvirt-clients", "e2fsprogs", "dbus"),
    # What HVM machines find: their devices, and firmware.
    *("qemu-system-xen", "seabios"),
)
DOM0_MODULES = (
    *(
        "xenfs",
        "xen-evtchn",
        "xen-gntdev",
        "xen-gntalloc",
        "xen-privcmd",
        "xen-netback",
        "xen-blkback",
        "bridge",
        "stp",
    ),
    *("tun", "loop", "ext4", "virtio_pci", "virtio_blk", "virtio_net", "virtio_rng"),
)
EARLY_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
GUEST_MODULES = ("xen-blkfront", "xen-netfront", "crc32c_generic", "ext4")
# QEMU's processor fits none that libvirt knows under Xen, which then offers no driver: this one does.
_PROCESSOR = (
    "cmov",
    "cx16",
    "cx8",
    "fpu",
    "fxsr",
    "lm",
    "mmx",
    "msr",
    "nx",
    "pae",
    "pge",
    "pni",
    "sse",
    "sse2",
    "syscall",
    "tsc",
)


@dataclass(frozen=True, slots=True)
class Image:
    """What a VM container boots, the SSH key that opens it, and what virtual machines boot: kernel and initrd."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def guest_kernel(self) -> Path:
        return self.folder / "guest-kernel"

    @property
    def guest_initrd(self) -> Path:
        return self.folder / "guest-initrd"


def make_image() -> Image:
    """The image, made once and kept while what it is made of stays the same."""
    for program in PROGRAMS:
        if shutil.which(program, path=_PATH) is None:
            pytest.skip(f"{program} is missing")
    if os.geteuid():
        pytest.skip("mmdebstrap needs root here")
    kernel = _dom0_kernel()
    made_of = hashlib.sha256(repr((kernel, PACKAGES, DOM0_MODULES, GUEST_MODULES)).encode())
    for path in (Path(__file__), *sorted(HERE.glob("*.sh"))):
        made_of.update(path.read_bytes())
    folder = cache_folder() / f"xen-{made_of.hexdigest()[:16]}"
    with open(cache_folder() / "xen.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            for old in cache_folder().glob("xen-*"):
                shutil.rmtree(old, ignore_errors=True)
            stage = folder.with_suffix(".new")
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir(parents=True)
            _build(stage, kernel)
            stage.rename(folder)
    return Image(folder)


def _dom0_kernel() -> str:
    """The name of Debian's kernel package with all modules: that for clouds cannot be a dom0."""
    shown = _run(["apt-cache", "depends", "linux-image-amd64"]).split()
    return next(word for word in shown if word.startswith("linux-image-") and word != "linux-image-amd64")


def _build(folder: Path, kernel: str) -> None:
    version = kernel.removeprefix("linux-image-")
    cloud = f"{version.removesuffix('-amd64')}-cloud-amd64"
    work = folder / "work"
    work.mkdir()
    for package, name in (
        (kernel, "full"),
        (f"linux-image-{cloud}", "cloud"),
        (f"xen-hypervisor-{XEN}-amd64", "xen"),
    ):
        _unpack(package, work / name)
    _run(["depmod", "-b", str(work / "full"), version])
    _run(["depmod", "-b", str(work / "cloud"), cloud])
    (folder / "xen").write_bytes(gzip.decompress((work / f"xen/boot/xen-{XEN}-amd64.gz").read_bytes()))
    # A kernel as plain ELF: it has not to be unpacked under emulation. That of guests is sent there, so it stays small.
    (folder / "dom0-kernel").write_bytes(_payload(work / f"full/boot/vmlinuz-{version}"))
    shutil.copyfile(work / f"cloud/boot/vmlinuz-{cloud}", folder / "guest-kernel")
    busybox = _static_busybox()
    _make_initrd(folder / "dom0-initrd", HERE / "early-init.sh", busybox, work / "full", version, EARLY_MODULES, "root")
    _make_initrd(folder / "guest-initrd", HERE / "guest-init.sh", busybox, work / "cloud", cloud, GUEST_MODULES, "mnt")
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")])
    root = work / "root"
    _make_root(root, work, folder, version)
    disk = folder / "dom0.img"
    with disk.open("wb") as file:
        # Sparse, with room for the disks that machines have where nothing else is said: 36 GB each.
        file.truncate(96 << 30)
    options = ["-O", "^has_journal", "-N", "100000", "-m", "0", "-E", "lazy_itable_init=1"]
    _run(["mke2fs", "-q", "-t", "ext4", *options, "-d", str(root), str(disk)])
    shutil.rmtree(work)


def _make_root(root: Path, work: Path, folder: Path, version: str) -> None:
    archive = work / "root.tar"
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    argv += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    argv += ['--aptopt=APT::Install-Recommends "false"', "bookworm", str(archive)]
    _run(argv)
    root.mkdir()
    _run(["tar", "-C", str(root), "-xf", str(archive)])
    modules = _find_modules(work / "full", version, DOM0_MODULES)
    for path in modules:
        place = root / path.relative_to(work / "full")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        shutil.copyfile(work / "full/lib/modules" / version / name, root / "lib/modules" / version / name)
    _run(["depmod", "-b", str(root), version])
    shutil.copyfile(HERE / "dom0-init.sh", root / "sbin/dom0-init")
    (root / "sbin/dom0-init").chmod(0o755)
    _add_processor(root / "usr/share/libvirt/cpu_map")
    for name in ("qemu", "nwfilter"):
        # They stop libvirtd for the want of users that the packages left out would have made.
        path = root / f"usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_{name}.so"
        path.unlink(missing_ok=True)
    with (root / "etc/libvirt/libvirtd.conf").open("a") as settings:
        settings.write('auth_unix_rw = "none"\nunix_sock_rw_perms = "0777"\n')
    for pool, folder_there in (
        ("disks", "/state/partition1/vm/disks"),
        ("install", "/state/partition1/vm/install"),
        ("rocks", "/etc/xen/rocks"),
    ):
        (root / folder_there.lstrip("/")).mkdir(parents=True)
        place = root / f"etc/libvirt/storage/{pool}.xml"
        (place.parent / "autostart").mkdir(parents=True, exist_ok=True)
        place.write_text(f"<pool type='dir'><name>{pool}</name><target><path>{folder_there}</path></target></pool>\n")
        (place.parent / "autostart" / place.name).symlink_to(f"/etc/libvirt/storage/{pool}.xml")
    home = root / "root/.ssh"
    home.mkdir(mode=0o700)
    shutil.copyfile(folder / "key.pub", home / "authorized_keys")
    for path in (root / "etc/ssh").glob("ssh_host_*"):
        path.unlink()
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "etc/ssh/ssh_host_ed25519_key")])
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    _add_control(root, (folder / "key.pub").read_text())


def _add_control(root: Path, key: str) -> None:
    """The user by whom the front end controls virtual machines, as VM containers have it from the node vm-control."""
    for name, line in (
        ("passwd", "rbvm:x:350:350::/:/bin/sh"),
        ("shadow", "rbvm:!:20000::::::"),
        ("group", "rbvm:x:350:"),
    ):
        with (root / "etc" / name).open("a") as file:
            file.write(f"{line}\n")
    (root / "etc/ssh/rbvm.keys").write_text(
        f'from="10.0.2.2",restrict,command="/usr/bin/virt-ssh-helper xen:///system" {key}'
    )
    (root / "etc/ssh/sshd_config.d/41-rollbuild-vm.conf").write_text(
        "Match User rbvm\n    AuthorizedKeysFile /etc/ssh/rbvm.keys\n    AuthenticationMethods publickey\n"
        "    DisableForwarding yes\n    PermitTTY no\n"
    )


def _add_processor(folder: Path) -> None:
    features = "".join(f"<feature name='{name}'/>" for name in _PROCESSOR)
    (folder / "x86_emulated.xml").write_text(
        f"<cpus><model name='emulated'><decode host='on' guest='off'/>{features}</model></cpus>\n"
    )
    index = folder / "index.xml"
    known = "<include filename='x86_qemu64.xml'/>"
    text = index.read_text()
    assert known in text
    index.write_text(text.replace(known, f"{known}<include filename='x86_emulated.xml'/>", 1))


def _make_initrd(
    target: Path, init: Path, busybox: Path, tree: Path, version: str, modules: Sequence[str], mount_point: str
) -> None:
    folder = target.with_name(f"{target.name}.tree")
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc", "modules", mount_point):
        (folder / name).mkdir(parents=True)
    shutil.copy2(busybox, folder / "bin/busybox")
    shutil.copyfile(init, folder / "init")
    (folder / "init").chmod(0o755)
    found = _find_modules(tree, version, modules)
    for path in found:
        shutil.copyfile(path, folder / "modules" / path.name)
    (folder / "modules/order").write_text("".join(f"{path.name}\n" for path in found))
    names = b"\0".join(sorted(os.fsencode(path.relative_to(folder)) for path in folder.rglob("*")))
    archive = subprocess.run(
        ["cpio", "--quiet", "--null", "-o", "-H", "newc", "--owner=0:0"],
        cwd=folder,
        input=names,
        capture_output=True,
        check=True,
    ).stdout
    # dom0's is not packed, which saves the time to unpack it under emulation.
    target.write_bytes(archive if mount_point == "root" else gzip.compress(archive, 1, mtime=0))
    shutil.rmtree(folder)


def _find_modules(tree: Path, version: str, names: Sequence[str]) -> list[Path]:
    """The files of kernel modules and of what they need, in the order in which they load; built-in ones have none."""
    order: dict[str, None] = {}
    for name in names:
        argv = ["modprobe", "-d", str(tree), "-S", version, "--show-depends", "--ignore-install", name]
        shown = subprocess.run(argv, capture_output=True, text=True, env=_ENVIRONMENT).stdout
        for line in shown.splitlines():
            kind, _, path = line.strip().partition(" ")
            if kind == "insmod":
                order[path.split()[0]] = None
    return [Path(path) for path in order]


def _payload(kernel: Path) -> bytes:
    """The ELF file in a bzImage: Linux' Documentation/arch/x86/boot.rst, payload_offset and payload_length."""
    image = kernel.read_bytes()
    start = ((image[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    packed = image[start + offset :][:length]
    if packed.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(packed)
    assert packed.startswith(b"\x02!L\x18"), "the kernel is packed in a way that this test does not know"
    return subprocess.run(["lz4", "-dc"], input=packed[:-4], capture_output=True).stdout


def _static_busybox() -> Path:
    return Path(str(shutil.which("busybox", path=_PATH)))


def _unpack(package: str, target: Path) -> None:
    target.mkdir()
    done = subprocess.run(
        ["apt-get", "-q", "-o", "APT::Sandbox::User=", "download", package], cwd=target, capture_output=True, text=True
    )
    archives = list(target.glob("*.deb"))
    if done.returncode or len(archives) != 1:
        pytest.skip(f"the package {package} cannot be downloaded: {done.stderr.strip()[-200:]}")
    _run(["dpkg-deb", "-x", str(archives[0]), str(target)])
    archives[0].unlink()


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env=_ENVIRONMENT)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr[-2000:]}"
    return done.stdout
