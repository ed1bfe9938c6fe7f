"""Domain documents and xl's files: as libvirt's schema wants them, and equal to the kept ones."""

import ast
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from rollbuild.errors import RollbuildError
from rollbuild.vm import BootPlace, Guest, GuestDisk, GuestInterface, VirtType, domain_document, xl_file
from rollbuild.vm.room import xen_memory

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
GOLDEN = Path(__file__).parents[1] / "golden" / "vm"
FOLDER = "/state/partition1/vm"
INSTALL = BootPlace(
    f"{FOLDER}/install/vmlinuz", f"{FOLDER}/install/initrd.img", "inst.ks=http://10.1.1.1/ks/t/TOKEN console=hvc0"
)


def guest(virt_type: VirtType, **fields: object) -> Guest:
    device = "vda" if virt_type is VirtType.KVM else "xvda"
    made = Guest(
        name="compute-0-0-1",
        virt_type=virt_type,
        memory=1024,
        cpus=2,
        disks=(
            GuestDisk(f"{FOLDER}/disks/compute-0-0-1.{device}", device, 36 * 10**9),
            GuestDisk("/dev/vg0/scratch", f"{device[:-1]}b", 10**9, "phy", False),
        ),
        interfaces=(
            GuestInterface("4e:71:00:40:00:00", "br-private"),
            GuestInterface("4e:71:00:40:00:01", "br-vlan5"),
        ),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


CASES = {
    f"{virt_type}-{'install' if place else 'run'}{'-emulated' if emulated else ''}": (
        guest(virt_type, is_emulated=emulated),
        place,
    )
    for virt_type in VirtType
    for place in (None, INSTALL)
    for emulated in (False, True)
    if not emulated or virt_type is not VirtType.PARA
}


@pytest.fixture(scope="module")
def schema() -> etree.RelaxNG:
    if not SCHEMA.exists():
        pytest.skip("libvirt's schema domain.rng is missing (package libvirt0 or libvirt-libs)")
    return etree.RelaxNG(etree.parse(SCHEMA))


@pytest.mark.parametrize("name", CASES)
def test_libvirts_schema_takes_it(name: str, schema: etree.RelaxNG) -> None:
    schema.assertValid(etree.fromstring(domain_document(*CASES[name])))


def test_the_schema_refuses_what_is_wrong(schema: etree.RelaxNG) -> None:
    wrong = replace(guest(VirtType.PARA), interfaces=(GuestInterface("4e:71:0:40:0:0", "br"),))
    assert not schema.validate(etree.fromstring(domain_document(wrong)))


def test_libvirts_own_program_takes_it(tmp_path: Path) -> None:
    for program, package in (("virt-xml-validate", "libvirt-clients"), ("xmllint", "libxml2-utils")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing (package {package})")
    file = tmp_path / "domain.xml"
    file.write_bytes(domain_document(*CASES["para-install"]))
    done = subprocess.run(["virt-xml-validate", str(file), "domain"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_they_are_as_kept(name: str) -> None:
    virt_type, place = CASES[name][0].virt_type, CASES[name][1]
    made = {f"{name}.xml": domain_document(*CASES[name]).decode()}
    if virt_type is not VirtType.KVM:
        made[f"{name}.cfg"] = xl_file(CASES[name][0], place)
    for file, text in made.items():
        assert (GOLDEN / file).read_text() == text


def test_a_uuid_is_of_the_name_and_the_first_mac() -> None:
    one = guest(VirtType.PARA)
    same = replace(one, virt_type=VirtType.KVM, memory=2048, cpus=8, disks=(), interfaces=one.interfaces[:1])
    assert one.uuid == same.uuid and one.uuid.version == 5
    assert len({one.uuid, replace(one, name="x").uuid, replace(one, interfaces=one.interfaces[1:]).uuid}) == 3
    assert replace(one, interfaces=()).uuid != one.uuid


# Memory in MiB, processors, virt-type -> MiB of a container, as libxl_domain_need_memory counts: the machine's own, 4
# KiB for each of 256 pages a processor and two a MiB, 1 MiB of slack or 2, in whole pages of 2 MiB.
NEEDS = {
    (1024, 1, "para"): 1034,
    (1024, 1, "pvh"): 1036,
    (1024, 1, "hvm"): 1036,
    (64, 1, "para"): 68,
    (64, 1, "hvm"): 68,
    (1024, 8, "para"): 1042,
    (65536, 16, "hvm"): 66066,
}


@pytest.mark.parametrize("machine", NEEDS)
def test_memory_of_a_xen_container(machine: tuple[int, int, str]) -> None:
    assert xen_memory(*machine) == NEEDS[machine]


def test_a_machine_without_a_disk() -> None:
    with pytest.raises(RollbuildError, match="compute-0-0-1 has no disk"):
        domain_document(guest(VirtType.PARA, disks=()))


def _assignments(text: str) -> list[ast.Assign]:
    lines = ast.parse(text).body
    assert all(isinstance(line, ast.Assign) for line in lines)
    return [line for line in lines if isinstance(line, ast.Assign)]


def test_xls_file_cannot_be_broken_out_of() -> None:
    text = xl_file(guest(VirtType.PARA), replace(INSTALL, command_line='a" \nroot="x'))
    assert re.search(r"^cmdline +=", text, re.MULTILINE)
    names = {line.partition("=")[0].strip() for line in text.splitlines()}
    assert "root" not in names
    # It is Python's own syntax too, as the files of Rocks 5 were.
    values = {ast.unparse(line.targets[0]): ast.literal_eval(line.value) for line in _assignments(text)}
    assert values["memory"] == 1024 and values["on_reboot"] == "destroy"
    assert values["kernel"] == INSTALL.kernel
