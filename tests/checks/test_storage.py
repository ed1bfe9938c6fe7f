import pytest

from tests.checks.conftest import Check

ROOT = "part / --size=9000\npart swap --size=100"

# Kickstart lines -> findings as CODE severity.
CASES = {
    "good": (ROOT, []),
    "autopart": ("autopart", []),
    "zero": ("part / --size=0\npart swap --size=100", ["STORAGE-SIZE error"]),
    "negative": ("part / --size=-1\npart swap --size=100", ["STORAGE-SIZE error"]),
    "no size": ("part / --grow\npart swap --size=100", ["STORAGE-SIZE warning"]),
    "recommended": ("part / --size=9000\npart swap --recommended", []),
    "kept": (f"{ROOT}\npart /data --onpart=LABEL=data --noformat", []),
    "tmpfs": (f"{ROOT}\npart /tmp --fstype=tmpfs", []),
    "maximum": ("part / --size=9000 --maxsize=10 --grow\npart swap --size=1", ["STORAGE-SIZE error"]),
    "boot": (f"{ROOT}\npart /boot --size=100", ["STORAGE-SIZE warning"]),
    "boot that grows": (f"{ROOT}\npart /boot --size=100 --grow", []),
    "efi": (f"{ROOT}\npart /boot/efi --fstype=efi --size=20", ["STORAGE-SIZE warning"]),
    "no swap": ("part / --size=9000", ["STORAGE-SWAP note"]),
    "no swap known of": ("part / --size=9000\n%include /tmp/more", []),
    "twice": (f"{ROOT}\npart / --size=1000", ["STORAGE-MOUNT warning"]),
    "two members for BIOS": (f"{ROOT}\npart biosboot --size=1\npart biosboot --size=1", []),
    "part and logvol": (
        f"{ROOT}\npart pv.1 --size=9\nvolgroup a pv.1\nlogvol / --vgname=a --name=r --size=5",
        ["STORAGE-MOUNT warning"],
    ),
    "lvm": (
        "part pv.1 --size=9000\nvolgroup a pv.1\nlogvol / --vgname=a --name=r --size=5\n"
        "logvol swap --vgname=a --name=s --size=5",
        [],
    ),
    "no such group": (f"{ROOT}\nlogvol /a --vgname=b --name=r --size=5", ["STORAGE-MEMBER error"]),
    "a group kept": (f"{ROOT}\nlogvol /a --vgname=b --name=r --useexisting", []),
    "no such member": (f"{ROOT}\nvolgroup a pv.1", ["STORAGE-MEMBER error"]),
    "unused member": (f"{ROOT}\npart pv.1 --size=9000", ["STORAGE-MEMBER warning"]),
    "raid": (
        f"{ROOT}\npart raid.1 --size=9\npart raid.2 --size=9\nraid /a --device=md0 --level=1 raid.1 raid.2",
        [],
    ),
    "raid of a raid": (
        f"{ROOT}\npart raid.1 --size=9\npart raid.2 --size=9\nraid pv.1 --device=md0 --level=1 raid.1 raid.2\n"
        "volgroup a pv.1",
        [],
    ),
    "no such raid member": (f"{ROOT}\nraid /a --device=md0 --level=1 raid.1", ["STORAGE-MEMBER error"]),
    "wipes all": ("clearpart --all\nautopart", ["CLEARPART-ALL warning"]),
    "wipes one": ("clearpart --all --drives=disk/by-id/a\nautopart", []),
    "wipes the chosen": ("ignoredisk --only-use=disk/by-id/a\nclearpart --all\nautopart", []),
    "kernel names": (
        "part / --size=9000 --ondisk=sda\npart swap --size=100 --ondisk=sda\npart /a --size=9 --ondisk=nvme0n1",
        ["STORAGE-DISK note"] * 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_layouts(check_main: Check, text: str, expected: list[str]) -> None:
    found = check_main(f"<ks>\n{text}\n</ks>", kickstart=False)
    assert [f"{finding.code} {finding.severity}" for finding in found] == expected
    assert all(finding.location and finding.location.line > 2 for finding in found)


def test_what_pykickstart_sees_too_is_told_once(check_main: Check) -> None:
    found = check_main(f"<ks>{ROOT}\npart / --size=1000</ks>")
    assert [f.code for f in found if "/" in f.message and "already" in f.message] == []
    assert [f.code for f in found].count("STORAGE-MOUNT") == 1
