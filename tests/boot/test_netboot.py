"""The netboot tree that `rollbuild netboot create` makes, booted from by every firmware."""

import gzip
import hashlib
import json
import os
import shutil
import struct
import subprocess
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollbuild.commands.main import main
from rollbuild.images import make_efi_image
from rollbuild.rolls import Store
from tests.boot.conftest import Firmware, Guest, Unpack
from tests.boot.machine import Machine, boot
from tests.boot.network import BRIDGE, Network, Request, ask_dhcp, make_network, need, program, web_server
from tests.stores import EPOCH, PROFILE, add_os, add_roll

pytestmark = pytest.mark.boot

ROOT = Path(__file__).parents[2]
SERVER = "10.1.1.1"
INSTALLS, STARTS, UNKNOWN = "52:54:00:77:00:01", "52:54:00:77:00:02", "52:54:00:77:00:99"
HOSTS = f"""hosts:
  - name: compute-0-0
    appliance: compute
    attributes: {{mac: "{INSTALLS}", address: 10.1.255.254, boot_action: install}}
  - name: compute-0-1
    appliance: compute
    attributes: {{mac: "{STARTS}", address: 10.1.255.253}}
"""
KICKSTART = b"lang en_US\nurl --url=http://10.1.1.1/install/dist/el9\n%packages\n@core\n%end\n"
# Emulation is slow: without no_timer_check a loaded machine now and then stops in the test of its timer.
OPTIONS = "inst.nosave=all_ks console=ttyS0 no_timer_check rdinit=/netboot"
SLOW = 240  # seconds, where other tests have the processors; 20 are usual
ON_DISK = "THE LOCAL DISK STARTED"


def make_initrd(guest: Guest, folder: Path, *more: str) -> Path:
    """The guest's initrd with netboot.sh in it, and with more scripts of this folder."""
    folder.mkdir()
    names = ("netboot", *more)
    for name in names:
        (folder / name).write_bytes(Path(__file__).with_name(f"{name}.sh").read_bytes())
        (folder / name).chmod(0o755)
    command = ["cpio", "--quiet", "-o", "-H", "newc", "--owner=0:0"]
    listed = "".join(f"{name}\n" for name in names).encode()
    archive = subprocess.run(command, cwd=folder, input=listed, capture_output=True, check=True).stdout
    content = guest.initrd.read_bytes()
    path = folder / "initrd.img"
    path.write_bytes(content + bytes(-len(content) % 4) + gzip.compress(archive, mtime=0))
    return path


@pytest.fixture(scope="module")
def store(guest: Guest, unpacked: Unpack, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A distribution el9 whose kernel, initrd and loaders are those that the tests boot; facts of the shipped rolls."""
    folder = tmp_path_factory.mktemp("netboot")
    store = Store(folder / "store")
    store.folder.mkdir()
    signed = unpacked("grub-efi-amd64-signed") / "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"
    boot_files: dict[str, bytes | Path] = {
        "images/pxeboot/vmlinuz": guest.kernel,
        "images/pxeboot/initrd.img": make_initrd(guest, folder / "initrd"),
        "EFI/BOOT/BOOTX64.EFI": unpacked("shim-signed") / "usr/lib/shim/shimx64.efi.signed",
        "EFI/BOOT/grubx64.efi": signed,
        "EFI/BOOT/grub.cfg": b"menuentry x {\n  linux /vmlinuz\n  initrd /initrd.img\n}\n",
    }
    name = add_os(store, folder / "dvd", boot=boot_files)
    facts = "".join((ROOT / f"rolls/{roll}/attributes.yaml").read_text() for roll in ("base", "kernel"))
    add_roll(store, "base", profile={**PROFILE, "attributes.yaml": PROFILE["attributes.yaml"] + facts})
    argv = ["distro", "create", "el9", "--os", name, "--no-kickstarts", "--store", str(store.folder), "-q"]
    assert main(argv) == 0
    return store


@pytest.fixture(scope="module")
def make_tree(store: Store, unpacked: Unpack, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Run `rollbuild netboot create ARGV...`; the tree. The same arguments give the same tree."""
    made: dict[tuple[str | Path, ...], Path] = {}
    hosts = store.folder.parent / "hosts.yaml"
    hosts.write_text(HOSTS)

    def make(*argv: str | Path) -> Path:
        if argv not in made:
            tree = tmp_path_factory.mktemp("tree") / "netboot"
            folders = ("pxelinux", "usr/lib/PXELINUX"), ("syslinux-common", "usr/lib/syslinux/modules/bios")
            loaders = [word for name, path in folders for word in ("--loaders", unpacked(name) / path)]
            common = ["--distro", "el9", "--hosts", hosts, "-o", tree, "--store", store.folder, "-q"]
            command = [*argv, *loaders, *common, "-A", f"installer_options={OPTIONS}"]
            assert main(["netboot", "create", *map(str, command)]) == 0
            made[argv] = tree
        return made[argv]

    return make


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    need("ip", "busybox", "qemu-system-x86_64")
    with make_network(SERVER, 16) as network:
        yield network


RA = ("--enable-ra", "--dhcp-range=fd77::,ra-only", f"--ra-param={BRIDGE},4,600")


@contextmanager
def dnsmasq(network: Network, folder: Path, *argv: str | Path) -> Iterator[Path]:
    """dnsmasq with a configuration; what the tests add keeps it out of the machine's own files."""
    command: list[str | Path] = [
        program("dnsmasq"),
        "-k",
        "--user=root",
        "--pid-file=",
        "--log-facility=-",
        f"--interface={BRIDGE}",
    ]
    command += ["--bind-interfaces", "--no-resolv", "--no-hosts", f"--dhcp-leasefile={folder / 'leases'}"]
    with network.server([*command, *argv], folder / "dnsmasq.log", "started") as log:
        yield log


@contextmanager
def kea(network: Network, folder: Path, tree: Path) -> Iterator[Path]:
    """Kea with the tree's configuration, its leases elsewhere; TFTP by dnsmasq."""
    content = json.loads((tree / "dhcp/kea-dhcp4.json").read_text())
    content["Dhcp4"]["lease-database"]["name"] = str(folder / "leases.csv")
    own = folder / "kea.json"
    own.write_text(json.dumps(content))
    places = {"KEA_PIDFILE_DIR": str(folder), "KEA_LOCKFILE_DIR": str(folder), "KEA_LOGGER_DESTINATION": "stdout"}
    tftp = ("--port=0", "--enable-tftp", f"--tftp-root={tree}", "-C", os.devnull, *RA)
    command: list[str | Path] = [program("kea-dhcp4"), "-c", own]
    with dnsmasq(network, folder, *tftp), network.server(command, folder / "kea.log", "DHCP4_STARTED", **places) as log:
        yield log


def foreign(tree: Path) -> tuple[str, ...]:
    """A DHCP server that somebody else runs: it answers all, and says what docs/how-to/netboot.md asks for."""
    return (
        *("--port=0", "--enable-tftp", f"--tftp-root={tree}", "-C", os.devnull),
        *("--dhcp-range=10.1.200.1,10.1.200.200,255.255.0.0,1h", "--dhcp-authoritative"),
        *("--dhcp-match=set:bios,option:client-arch,0", "--dhcp-match=set:uefi,option:client-arch,7"),
        f"--dhcp-boot=tag:bios,{'pxelinux.0' if (tree / 'pxelinux.0').exists() else 'grub/i386-pc/core.0'},,{SERVER}",
        f"--dhcp-boot=tag:uefi,grub/shimx64.efi,,{SERVER}",
    )


def give_kickstart(path: str, headers: Mapping[str, str]) -> bytes | None:
    """The Kickstart, for whoever shows the right MAC address."""
    macs = [value.split()[-1] for key, value in headers.items() if key.startswith("x-rhn-provisioning-mac-")]
    return KICKSTART if path == "/ks/compute-0-0" and macs == [INSTALLS] else None


@contextmanager
def served(network: Network, store: Store, tree: Path) -> Iterator[list[Request]]:
    dist = store.distributions_folder / "el9" / "current"
    folders = {"/install/netboot": tree, "/install/dist/el9": dist}
    with web_server(network, SERVER, folders, give_kickstart) as requests:
        yield requests


@contextmanager
def machine(
    network: Network,
    folder: Path,
    mac: str,
    disk: Path | None = None,
    firmware: Firmware | None = None,
    secure: bool = False,
    *more: str,
) -> Iterator[Machine]:
    """A machine that boots from the network, then from a disk."""
    rom = ",romfile=" if firmware else ""  # UEFI brings its own driver
    arguments: list[str | Path] = ["-netdev", f"tap,id=net,ifname={network.plug()},script=no,downscript=no"]
    arguments += ["-device", f"virtio-net-pci,netdev=net,mac={mac},bootindex=1{rom}", "-device", "virtio-rng-pci"]
    if disk is not None:
        arguments += ["-drive", f"if=none,id=disk,format=raw,readonly=on,file={disk}"]
        arguments += ["-device", "virtio-blk-pci,drive=disk,bootindex=2"]
    code, variables = (firmware.code, firmware.variables) if firmware else (None, None)
    with ExitStack() as stack:
        with network.inside():
            running = stack.enter_context(
                boot(folder, [*arguments, *more], firmware=code, variables=variables, secure=secure)
            )
        yield running


@dataclass(frozen=True, slots=True)
class Case:
    argv: tuple[str, ...]
    firmware: str | None
    loader: str
    shown: str = "bios"
    server: str = "dnsmasq"


# Where the tree has no URL by plain HTTP, GRUB takes kernel and initrd by TFTP at once.
HTTPS = ("--url", f"https://{SERVER}/install/netboot")
INSTALL = {
    "BIOS, pxelinux": Case(("--no-ipxe",), None, "pxelinux.0"),
    "BIOS, GRUB": Case(("--no-ipxe", "--bios", "grub"), None, "grub/i386-pc/core.0"),
    "BIOS, iPXE": Case((), None, "ipxe/boot.ipxe"),
    "BIOS, pxelinux, Kea": Case(("--no-ipxe",), None, "pxelinux.0", server="kea"),
    "UEFI": Case((), "uefi", "grub/shimx64.efi", "uefi"),
    "UEFI, Kea": Case(HTTPS, "uefi", "grub/shimx64.efi", "uefi", server="kea"),
    "UEFI, Secure Boot": Case(HTTPS, "secure_uefi", "grub/shimx64.efi", "uefi"),
}


def start_dhcp(stack: ExitStack, kind: str, network: Network, folder: Path, tree: Path) -> Path:
    if kind == "kea":
        return stack.enter_context(kea(network, folder, tree))
    return stack.enter_context(dnsmasq(network, folder, "-C", tree / "dhcp/dnsmasq.conf", *RA))


def assert_installs(machine: Machine, requests: Sequence[Request], store: Store, shown: str, secure: bool) -> None:
    assert machine.wait_for("GUEST firmware", SLOW).endswith(shown)
    assert machine.wait_for("GUEST secure").endswith("yes" if secure else "no")
    lease = "GUEST lease 10.1.255.254 compute-0-0 10.1.1.1 10.1.1.1 cluster.internal"
    assert machine.wait_for("GUEST lease") == lease
    treeinfo = (store.distributions_folder / "el9/current/.treeinfo").read_bytes()
    assert machine.wait_for("GUEST tree").endswith(hashlib.sha256(treeinfo).hexdigest())
    assert machine.wait_for("GUEST kickstart").endswith(hashlib.sha256(KICKSTART).hexdigest())
    arguments = machine.wait_for("GUEST arguments").split()
    assert set(OPTIONS.split()) < set(arguments)
    (asked,) = [request for request in requests if request.path.startswith("/ks/")]
    assert (asked.status, asked.headers["x-anaconda-architecture"]) == (200, "x86_64")


@pytest.mark.parametrize("case", INSTALL.values(), ids=INSTALL)
def test_a_host_installs(
    case: Case,
    request: pytest.FixtureRequest,
    network: Network,
    store: Store,
    make_tree: Callable[..., Path],
    tmp_path: Path,
) -> None:
    firmware = request.getfixturevalue(case.firmware) if case.firmware else None
    secure = case.firmware == "secure_uefi"
    tree = make_tree(*case.argv)
    with ExitStack() as stack:
        log = start_dhcp(stack, case.server, network, tmp_path, tree)
        requests = stack.enter_context(served(network, store, tree))
        running = stack.enter_context(machine(network, tmp_path, INSTALLS, None, firmware, secure))
        assert_installs(running, requests, store, case.shown, secure)
        fetched = [request.path for request in requests]
        if case.loader.startswith("ipxe/"):
            assert f"/install/netboot/{case.loader}" in fetched
        elif case.server == "dnsmasq":
            assert f"sent {tree / case.loader} to" in log.read_text()
        # pxelinux knows only TFTP; nor has Debian's signed GRUB the module for HTTP, and it falls back.
        by_http = "/install/netboot/images/el9-1/initrd.img" in fetched
        assert by_http == (case.loader.startswith("ipxe/") or case.loader.endswith("core.0"))


def test_a_host_installs_by_uefi_http_boot(
    uefi: Firmware, network: Network, store: Store, make_tree: Callable[..., Path], tmp_path: Path
) -> None:
    """GRUB made here stands in for that of Enterprise Linux, which finds its menu beside itself; Debian's does not."""
    loaders = tmp_path / "loaders"
    loaders.mkdir()
    menu = f"http,{SERVER})/install/netboot/EFI/BOOT/grub.cfg"
    core = make_efi_grub(tmp_path, f"net_dhcp\nset root=(http,{SERVER})\nconfigfile ({menu}\n")
    for name in ("BOOTX64.EFI", "grubx64.efi"):
        shutil.copyfile(core, loaders / name)
    tree = make_tree("--loaders", loaders)
    only_http = [f"opt/org.tianocore/IPv{number}PXESupport" for number in (4, 6)]
    more = [word for name in only_http for word in ("-fw_cfg", f"name={name},string=n")]
    with ExitStack() as stack:
        start_dhcp(stack, "dnsmasq", network, tmp_path, tree)
        requests = stack.enter_context(served(network, store, tree))
        running = stack.enter_context(machine(network, tmp_path, INSTALLS, None, uefi, False, *more))
        assert_installs(running, requests, store, "uefi", False)
        fetched = {request.path.removeprefix("/install/netboot/") for request in requests}
        dashed = f"01-{INSTALLS.replace(':', '-')}"
        assert {"EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grub.cfg", f"grub/grub.cfg-{dashed}"} <= fetched


def make_efi_grub(folder: Path, config: str) -> Path:
    need("grub-mkimage")
    if not Path("/usr/lib/grub/x86_64-efi/net.mod").is_file():
        pytest.skip("GRUB's modules for UEFI are missing (grub-efi-amd64-bin)")
    embedded = folder / "embedded.cfg"
    embedded.write_text(config)
    path = folder / "core.efi"
    modules = "efinet http tftp net normal configfile linux echo test regexp sleep chain boot part_gpt fat minicmd"
    command: list[str | Path] = [
        "grub-mkimage",
        "-O",
        "x86_64-efi",
        "-o",
        path,
        "-c",
        embedded,
        "-p",
        "/none",
        *modules.split(),
    ]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="module")
def bios_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk whose boot sector writes a text to the serial line, and stops."""
    # xor ax,ax; mov ds,ax; mov si,text; mov dx,0x3f8; next: lodsb; test al,al; jz stop; out dx,al; jmp next;
    # stop: hlt; jmp stop
    code = bytes.fromhex("31c0 8ed8 be157c baf803 ac 84c0 7403 ee ebf8 f4 ebfd")
    sector = (code + f"{ON_DISK}\r\n\0".encode()).ljust(510, b"\0") + b"\x55\xaa"
    path = tmp_path_factory.mktemp("disk") / "disk.img"
    path.write_bytes(sector.ljust(1 << 20, b"\0"))
    return path


@pytest.fixture(scope="module")
def uefi_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with an EFI system partition, and in it what an installed system leaves there."""
    need("mcopy", "mkfs.vfat")
    folder = tmp_path_factory.mktemp("disk")
    core = make_efi_grub(folder, f"echo '{ON_DISK}'\nsleep 300\n")
    path = folder / "disk.img"
    partition = make_efi_image({"EFI/rocky/shimx64.efi": core.read_bytes()}, epoch=EPOCH)
    path.write_bytes(make_gpt_disk(partition, uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")))
    return path


def make_gpt_disk(partition: bytes, kind: uuid.UUID) -> bytes:
    """A disk with one partition of a kind, as the UEFI specification lays it out (chapter 5)."""
    first = 2048
    count = first + len(partition) // 512 + 34
    entry = kind.bytes_le + uuid.UUID(int=1).bytes_le + struct.pack("<QQQ", first, count - 35, 0)
    entries = entry.ljust(128 * 128, b"\0")

    def header(own: int, other: int, table: int) -> bytes:
        def pack(checksum: int) -> bytes:
            start = struct.pack("<8sIIIIQQQQ", b"EFI PART", 0x10000, 92, checksum, 0, own, other, 34, count - 34)
            rest = struct.pack("<16sQIII", uuid.UUID(int=2).bytes_le, table, 128, 128, zlib.crc32(entries))
            return start + rest

        return pack(zlib.crc32(pack(0))).ljust(512, b"\0")

    protective = bytes(446) + struct.pack("<BBBBBBBBII", 0, 0, 2, 0, 0xEE, 255, 255, 255, 1, count - 1)
    start = protective.ljust(510, b"\0") + b"\x55\xaa" + header(1, count - 1, 2) + entries
    return start.ljust(first * 512, b"\0") + partition + bytes(512) + entries + header(count - 1, 1, count - 33)


LOCAL = {
    "os, pxelinux": Case(("--no-ipxe",), None, "pxelinux.cfg/{}"),
    "os, GRUB for BIOS": Case(("--no-ipxe", "--bios", "grub"), None, "grub/grub.cfg-{}"),
    "os, iPXE": Case((), None, "ipxe/hosts/{}.ipxe"),
    "os, UEFI": Case((), "uefi", "grub/grub.cfg-{}"),
    "unknown, pxelinux": Case(("--no-ipxe",), None, "pxelinux.cfg/default", server="foreign"),
    "unknown, GRUB for BIOS": Case(("--no-ipxe", "--bios", "grub"), None, "grub/grub.cfg", server="foreign"),
    "unknown, UEFI": Case((), "uefi", "grub/grub.cfg", server="foreign"),
}


@pytest.mark.parametrize("case", LOCAL.values(), ids=LOCAL)
def test_a_host_that_is_not_to_install_starts_its_disk(
    case: Case,
    request: pytest.FixtureRequest,
    network: Network,
    store: Store,
    make_tree: Callable[..., Path],
    tmp_path: Path,
) -> None:
    firmware = request.getfixturevalue(case.firmware) if case.firmware else None
    disk = request.getfixturevalue("uefi_disk" if firmware else "bios_disk")
    tree = make_tree(*case.argv)
    mac = UNKNOWN if case.server == "foreign" else STARTS
    with ExitStack() as stack:
        if case.server == "foreign":
            log = stack.enter_context(dnsmasq(network, tmp_path, *foreign(tree), *RA))
        else:
            log = start_dhcp(stack, case.server, network, tmp_path, tree)
        requests = stack.enter_context(served(network, store, tree))
        running = stack.enter_context(machine(network, tmp_path, mac, disk, firmware))
        running.wait_for(ON_DISK, SLOW)
        fetched = [request.path for request in requests if request.status == 200]
        if "ipxe" in case.loader:
            assert fetched == [
                "/install/netboot/ipxe/boot.ipxe",
                f"/install/netboot/{case.loader.format(mac.replace(':', '-'))}",
            ]
        else:
            assert f"sent {tree / case.loader.format('01-' + mac.replace(':', '-'))} to" in log.read_text()
        assert not [path for path in fetched if "/images/" in path]
        assert "/images/" not in log.read_text()


IPXE = ("-x", "0x4d:69505845")
HTTP = ("-V", "HTTPClient:Arch:00016:UNDI:003001")
URL = f"http://{SERVER}/install/netboot"
ASKS = {
    "BIOS": (0, (), "pxelinux.0"),
    "UEFI": (7, (), "grub/shimx64.efi"),
    "UEFI, other number": (9, (), "grub/shimx64.efi"),
    "UEFI HTTP Boot": (16, HTTP, f"{URL}/EFI/BOOT/BOOTX64.EFI"),
    "BIOS, iPXE": (0, IPXE, f"{URL}/ipxe/boot.ipxe"),
    "UEFI, iPXE": (7, IPXE, f"{URL}/ipxe/boot.ipxe"),
}


@pytest.mark.parametrize("kind", ["dnsmasq", "kea"])
def test_dhcp_tells_each_firmware_its_loader(
    kind: str, network: Network, make_tree: Callable[..., Path], tmp_path: Path
) -> None:
    tree = make_tree()
    with ExitStack() as stack:
        start_dhcp(stack, kind, network, tmp_path, tree)
        for what, (number, options, file) in ASKS.items():
            answer = ask_dhcp(network, tmp_path, INSTALLS, number, *options).split()
            assert answer[:3] == ["10.1.255.254", "compute-0-0", file], what
            if not file.startswith("http"):
                assert answer[3] == SERVER, what
        assert ask_dhcp(network, tmp_path, STARTS, 0).startswith("10.1.255.253 compute-0-1 ")
        assert ask_dhcp(network, tmp_path, UNKNOWN, 0) == ""
