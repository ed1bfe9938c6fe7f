"""The %pre script that chooses a disk, run with fake disks; what it writes is read by pykickstart."""

import shlex
import time

import pytest
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from tests.rolls.conftest import Compile, Tree, scripts_of

GIB = 1 << 30
COLUMNS = ("NAME", "TYPE", "SIZE", "RM", "RO", "TRAN", "LABEL", "FSTYPE", "PTTYPE", "MOUNTPOINT", "PKNAME")
Device = dict[str, object]


def disk(name: str, gib: int, **more: object) -> Device:
    return {"NAME": name, "TYPE": "disk", "SIZE": gib * GIB, "RM": 0, "RO": 0, **more}


def part(name: str, parent: str, mib: int = 1024, **more: object) -> Device:
    return {"NAME": name, "TYPE": "part", "SIZE": mib << 20, "RM": 0, "RO": 0, "PKNAME": parent, **more}


def installed(name: str, gib: int, keep: str = "rbstate1") -> list[Device]:
    """A disk with an earlier install for UEFI: /boot/efi, /boot, swap, /, /var and the partition to keep."""
    link = "p" if name[-1].isdigit() else ""
    labels = ("", "rbboot", "rbswap", "rbroot", "rbvar", keep)
    sizes = (600, 2048, 4096, 20480, 8192, gib * 1024 - 35418)
    rows = zip(range(1, 7), labels, sizes, strict=True)
    parts = [part(f"{name}{link}{n}", name, size, LABEL=label, FSTYPE="xfs") for n, label, size in rows]
    return [disk(name, gib, PTTYPE="gpt"), *parts]


BLANK = disk("sda", 100)
WIPED = "clearpart --all --initlabel --disklabel=gpt --drives="
FIRST = [
    "ignoredisk --only-use=sda",
    "zerombr",
    "clearpart --all --initlabel --disklabel=gpt --drives=sda",
    "reqpart",
    "part /boot --fstype=xfs --size=2048 --ondisk=sda --label=rbboot",
    "part swap --size=4096 --ondisk=sda --label=rbswap",
    "part / --fstype=xfs --size=20480 --ondisk=sda --label=rbroot",
    "part /var --fstype=xfs --size=8192 --ondisk=sda --label=rbvar",
    "part /state/partition1 --fstype=xfs --size=1024 --grow --ondisk=sda --label=rbstate1"
    ' --fsoptions="defaults,nofail,x-systemd.device-timeout=30"',
]

# What is there, attributes, and lines that the include must hold.
CHOICES: dict[str, tuple[list[Device], dict[str, str], list[str]]] = {
    "a blank disk": ([BLANK], {}, FIRST),
    "no /var and no swap": ([BLANK], {"var_size": "0", "swap_size": "0"}, [FIRST[2], FIRST[6], FIRST[8]]),
    "an NVMe disk": ([disk("nvme0n1", 100, TRAN="nvme")], {}, [f"{WIPED}nvme0n1"]),
    "the smallest that fits": ([disk("sda", 900), disk("sdb", 200), disk("sdc", 30)], {}, [f"{WIPED}sdb"]),
    "not what is labelled to be kept, even to wipe": (
        [disk("sda", 50), part("sda1", "sda", LABEL="rbkeep-home"), disk("sdb", 100)],
        {"partitioning": "wipe"},
        [f"{WIPED}sdb"],
    ),
    "a tie goes by name": ([disk("sdb", 100), disk("sda", 100)], {}, [f"{WIPED}sda"]),
    "natural order of names": ([disk("nvme10n1", 100), disk("nvme2n1", 100)], {}, [f"{WIPED}nvme2n1"]),
    "not a stick, a CD, zram, SAN or an array": (
        [
            disk("sda", 64, TRAN="usb"),
            disk("sdb", 64, RM=1),
            disk("sdc", 64, TRAN="fc"),
            disk("sdd", 64, FSTYPE="linux_raid_member"),
            disk("zram0", 64),
            disk("sr0", 64) | {"TYPE": "rom"},
            disk("sde", 64, RO=1),
            disk("sdf", 64),
            part("sdf1", "sdf", MOUNTPOINT="/run/install/repo"),
            disk("sdg", 64),
            part("sdg1", "sdg", LABEL="rbkeep-home"),
            disk("vda", 100),
        ],
        {},
        [f"{WIPED}vda"],
    ),
    "other data is overwritten on a host": ([BLANK, part("sda1", "sda", FSTYPE="ntfs")], {}, FIRST),
    "a named disk, though larger": ([BLANK, disk("sdb", 900)], {"os_disk": "sdb"}, [f"{WIPED}sdb"]),
    "a named stick": ([disk("sdb", 100, TRAN="usb", RM=1)], {"os_disk": "/dev/sdb"}, [f"{WIPED}sdb"]),
    "the first of several named": ([BLANK, disk("sdb", 100)], {"os_disk": "sdx,sdb sda"}, [f"{WIPED}sdb"]),
    "a reinstall keeps": (
        [disk("sdb", 60), *installed("nvme0n1", 500)],
        {},
        [
            "ignoredisk --only-use=nvme0n1",
            "clearpart --list=nvme0n1p1,nvme0n1p2,nvme0n1p3,nvme0n1p4,nvme0n1p5",
            "part / --fstype=xfs --size=20480 --ondisk=nvme0n1 --label=rbroot",
            "part /state/partition1 --onpart=nvme0n1p6 --noformat"
            ' --fsoptions="defaults,nofail,x-systemd.device-timeout=30"',
        ],
    ),
    "a reinstall for UEFI": (installed("sda", 100), {"uefi": "yes"}, ["ignoredisk --only-use=sda"]),
    "a reinstall may wipe": (installed("sda", 100), {"partitioning": "wipe"}, FIRST),
    "only what is kept was left": (
        [disk("sda", 500, PTTYPE="gpt"), part("sda6", "sda", 400 * 1024, LABEL="rbstate1", FSTYPE="xfs")],
        {},
        ["clearpart --none", "part / --fstype=xfs --size=20480 --ondisk=sda --label=rbroot"],
    ),
    "named where two were installed": ([*installed("sda", 100), *installed("sdb", 100)], {"os_disk": "sda"}, []),
}

# The same, and what the installer says when it gives up.
REFUSALS: dict[str, tuple[str, list[Device], dict[str, str], str]] = {
    "no disk": ("compute", [], {}, "no disk fits"),
    "too small": ("compute", [disk("sda", 30)], {}, "no disk fits"),
    "smaller than os_disk_min": ("compute", [BLANK], {"os_disk_min": "200"}, "no disk fits"),
    "two earlier installs": (
        "compute",
        [*installed("sda", 100), *installed("sdb", 100)],
        {},
        "2 disks carry an earlier install (sda sdb): name one in os_disk",
    ),
    "a disk for BIOS has no room for UEFI": (
        "compute",
        [disk("sda", 100), part("sda6", "sda", 102400 - 2048 - 32768 - 2, LABEL="rbstate1")],
        {"uefi": "yes"},
        "sda has room for 34818 MiB, but the layout needs 35320 MiB",
    ),
    "the named disk is not here": ("compute", [BLANK], {"os_disk": "sdx"}, "none of the disks that os_disk names"),
    "the named disk is mounted": (
        "compute",
        [BLANK, part("sda1", "sda", MOUNTPOINT="/run/install/repo")],
        {"os_disk": "sda"},
        "is in use: sda1 is mounted on /run/install/repo",
    ),
    "what is kept leaves no room": (
        "compute",
        [disk("sda", 100), part("sda6", "sda", 90 * 1024, LABEL="rbstate1")],
        {},
        "sda has room for 10240 MiB, but the layout needs",
    ),
    "a front end's disk is not a host's": (
        "compute",
        installed("sda", 100, "rbexport"),
        {"os_disk": "sda"},
        "os_disk names sda, which holds rbexport, which this appliance does not know",
    ),
    "two partitions to keep": (
        "compute",
        [disk("sda", 100), part("sda1", "sda", LABEL="rbstate1"), part("sda2", "sda", LABEL="rbstate1")],
        {},
        "sda1 and sda2 both carry the label rbstate1",
    ),
    "what is kept is broken": (
        "compute",
        installed("sda", 100),
        {"broken": "yes"},
        "sda6, which is to be kept as /state/partition1, cannot be mounted",
    ),
    "a front end overwrites nothing": ("frontend", [BLANK, part("sda1", "sda")], {}, "no disk fits"),
    "not even what is named": (
        "frontend",
        [disk("sda", 100, PTTYPE="dos")],
        {"os_disk": "sda"},
        "os_disk names sda, which is not empty: partitioning=wipe allows to overwrite it",
    ),
}

FRONTENDS: dict[str, tuple[list[Device], dict[str, str], list[str]]] = {
    "blank": ([disk("sda", 100)], {}, [f"{WIPED}sda"]),
    "the blank one of two": ([disk("sda", 50, PTTYPE="dos"), disk("sdb", 900)], {}, [f"{WIPED}sdb"]),
    "told to": ([BLANK, part("sda1", "sda")], {"partitioning": "wipe"}, [f"{WIPED}sda"]),
    "reinstalled": (
        installed("sda", 300, "rbexport"),
        {},
        ['part /export --onpart=sda6 --noformat --fsoptions="defaults,nofail,x-systemd.device-timeout=30"'],
    ),
}


def set_disks(host: Tree, devices: list[Device], *, broken: bool, uefi: bool) -> None:
    """Fake what the script looks at. `broken`: file systems that are to be kept cannot be mounted."""
    rows = [" ".join(f'{name}="{device.get(name, "")}"' for name in COLUMNS) for device in devices]
    known = " ".join(f"/dev/{device['NAME']}" for device in devices)
    host.add_program(
        "lsblk",
        f"""
if [ "$1" = -dnro ]; then
    for name in {known}; do [ "$name" != "$3" ] || {{ echo "${{name#/dev/}}"; exit; }}; done
    exit 32
fi
cat <<'ROWS'
{chr(10).join(rows)}
ROWS""",
    )
    if uefi:
        (host.root / "sys/firmware/efi").mkdir(parents=True)
    for name in ("udevadm", "umount", "wipefs", "vgchange", "mdadm"):
        host.add_program(name, "exit 0")
    host.add_program("pvs", "echo '  old  '")
    host.add_program("mount", "exit 32" if broken else "exit 0")


def choose(
    compile_shipped: Compile, host: Tree, devices: list[Device], *, appliance: str = "compute", **attributes: str
) -> tuple[int, str]:
    """Run the scripts of %pre; exit status and standard error of the last one, the one that chooses."""
    set_disks(host, devices, broken=attributes.pop("broken", "") == "yes", uefi="uefi" in attributes)
    profile = compile_shipped(appliance, "el9", **attributes)
    for node in ("progress", f"layout-{appliance}"):
        for script in scripts_of(profile, "pre", node):
            done = host.run(script)
            assert done.returncode == 0, done.stderr
    (script,) = scripts_of(profile, "pre", "disks")
    done = host.run(script)
    return done.returncode, done.stdout + done.stderr


def read_include(host: Tree, release: str) -> None:
    """pykickstart accepts the include, warnings are errors."""
    parser = KickstartParser(makeVersion(release))
    parser.readKickstartFromString(host.read("/tmp/rb-storage.ks"))


@pytest.mark.parametrize(("devices", "attributes", "expected"), CHOICES.values(), ids=CHOICES)
def test_hosts_choose(
    compile_shipped: Compile, host: Tree, devices: list[Device], attributes: dict[str, str], expected: list[str]
) -> None:
    status, output = choose(compile_shipped, host, devices, **attributes)
    assert status == 0, output
    lines = host.read("/tmp/rb-storage.ks").splitlines()
    assert [line for line in expected if line not in lines] == []
    assert len(lines) == len(set(lines))
    for release in ("RHEL8", "RHEL9", "RHEL10"):
        read_include(host, release)


@pytest.mark.parametrize(("devices", "attributes", "expected"), FRONTENDS.values(), ids=FRONTENDS)
def test_front_ends_choose(
    compile_shipped: Compile, host: Tree, devices: list[Device], attributes: dict[str, str], expected: list[str]
) -> None:
    status, output = choose(compile_shipped, host, devices, appliance="frontend", **attributes)
    assert status == 0, output
    assert set(expected) <= set(host.read("/tmp/rb-storage.ks").splitlines())


@pytest.mark.parametrize(("appliance", "devices", "attributes", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_write_nothing(
    compile_shipped: Compile,
    host: Tree,
    appliance: str,
    devices: list[Device],
    attributes: dict[str, str],
    message: str,
) -> None:
    status, output = choose(compile_shipped, host, devices, appliance=appliance, **attributes)
    assert status == 1
    assert f"rollbuild: install failed: {message}" in output or message in output.splitlines()[-1]
    assert not (host.root / "tmp/rb-storage.ks").exists()
    assert not any(call.startswith(("wipefs", "vgchange", "mdadm")) for call in host.called())


def test_many_disks_do_not_take_long(compile_shipped: Compile, host: Tree) -> None:
    devices = [device for number in range(40) for device in installed(f"nvme{number}n1", 100, "other")]
    for device in devices:
        device["LABEL"] = ""
    before = time.monotonic()
    status, output = choose(compile_shipped, host, devices)
    assert status == 0, output
    # Here it takes a second; with a process for each column it was minutes.
    assert time.monotonic() - before < 30


def test_what_is_kept_is_not_wiped(compile_shipped: Compile, host: Tree) -> None:
    status, output = choose(compile_shipped, host, installed("sda", 100))
    assert status == 0, output
    assert not any(call.startswith("wipefs") for call in host.called())


def test_old_arrays_and_volume_groups_are_undone(compile_shipped: Compile, host: Tree) -> None:
    devices = [
        disk("sda", 100, PTTYPE="gpt"),
        part("sda1", "sda", FSTYPE="LVM2_member"),
        part("sda2", "sda", FSTYPE="linux_raid_member"),
        {"NAME": "md127", "TYPE": "raid1", "SIZE": GIB, "PKNAME": "sda2"},
        disk("sdb", 90),
    ]
    status, output = choose(compile_shipped, host, devices, os_disk="sda")
    assert status == 0, output
    calls = host.called()
    wiped = [call for call in calls if call.split()[0] in ("vgchange", "mdadm", "wipefs")]
    assert wiped == [
        "vgchange -an old",
        "wipefs -a /dev/sda1",
        "mdadm --stop /dev/md127",
        "wipefs -a /dev/sda2",
        "wipefs -a /dev/sda",
    ]


def test_reports_name_the_disk_and_carry_the_token(compile_shipped: Compile, host: Tree) -> None:
    host.add_program("curl", 'while [ $# -gt 0 ]; do [ "$1" != --header ] || cat "${2#@}" >>"$REPORT"; shift; done')
    host.environment["REPORT"] = str(host.root / "report")
    site = {"install_events": "http://10.1.1.1/event", "install_token": "0123"}
    status, output = choose(compile_shipped, host, [BLANK], **site)
    assert status == 0, output
    events = [shlex.join(call.split()) for call in host.called() if call.startswith("curl")]
    assert ["stage=pre-start" in event for event in events] == [True, False]
    assert "stage=pre-done" in events[1] and "--only-use=sda" in events[1]
    assert "0123" not in "".join(host.called())
    assert host.read("/report") == "X-RB-Token: 0123\n" * 2


def test_failures_are_reported(compile_shipped: Compile, host: Tree) -> None:
    host.add_program("curl", "exit 7")
    status, output = choose(compile_shipped, host, [], install_events="http://10.1.1.1/event")
    assert status == 1, output
    assert any("stage=failed" in call and "no disk fits" in call for call in host.called())
