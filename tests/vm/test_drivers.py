"""Attributes of containers: the defaults are those that the roll declares, and nothing unfit gets through."""

from pathlib import Path

import pytest
import yaml

from rollbuild.errors import RollbuildError
from rollbuild.vm import DEFAULTS, ContainerSettings, FakeDriver, VirshDriver, VirtType, make_driver, read_settings

ROLL = Path(__file__).parents[2] / "rolls" / "kvm" / "attributes.yaml"


def test_defaults_are_those_of_the_roll() -> None:
    declared = yaml.safe_load(ROLL.read_text())
    assert {name: declared[name]["default"] for name in DEFAULTS} == dict(DEFAULTS)


def test_without_attributes() -> None:
    settings = read_settings("vm-container-0-0", {})
    driver = make_driver(settings)
    assert isinstance(driver, VirshDriver)
    assert driver.uri == "qemu+ssh://rbvm@vm-container-0-0/system"
    assert driver.disk_folder == "/state/partition1/vm/disks"
    assert settings.first_slice == 1 and not settings.is_emulated


def test_what_attributes_say() -> None:
    settings = read_settings(
        "vm-container-0-0",
        {
            "vm_hypervisor": "xen",
            "vm_connection": "xen+ssh://root@{container}:2222/system?no_verify=0",
            "vm_bridge": "x",
        },
    )
    assert settings.uri == "xen+ssh://root@vm-container-0-0:2222/system?no_verify=0"
    assert settings.bridge_of("private", None) == settings.bridge_of("", None) == "x"
    assert settings.bridge_of("storage", None) == "br-storage"
    assert settings.bridge_of("private", 5) == "br-vlan5"
    with pytest.raises(RollbuildError, match="more than 15 characters"):
        settings.bridge_of("a-network-of-a-long-name", None)
    assert isinstance(make_driver(read_settings("c", {"vm_driver": "fake"})), FakeDriver)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vm_hypervisor", "vmware"),
        ("vm_driver", "none"),
        ("vm_acceleration", "yes"),
        ("vm_virt_type", "kvm"),
        ("vm_first_slice", "-1"),
        ("vm_host_memory", "much"),
        ("vm_disk_dir", "relative"),
        ("vm_disk_dir", "/a/../b"),
        ("vm_disk_dir", "/a b"),
        ("vm_disk_dir", "/a;virsh"),
        ("vm_bridge", "a-bridge-of-a-long-name"),
        ("vm_bridge", "a,b"),
        ("vm_connection", "xen:///system; destroy x"),
        ("vm_connection", "/etc/passwd"),
        ("vm_connection", "-c"),
    ],
)
def test_what_they_cannot_say(name: str, value: str) -> None:
    with pytest.raises(RollbuildError, match=f"attribute {name} of vm-container-0-0 cannot be") as refused:
        read_settings("vm-container-0-0", {name: value})
    assert f"rocks set host attr vm-container-0-0 {name} VALUE" in refused.value.hint


XEN, KVM = ContainerSettings("c", is_xen=True), ContainerSettings("c")


@pytest.mark.parametrize(
    ("settings", "wanted", "release", "found"),
    [
        (XEN, "", "el7", VirtType.PARA),
        (XEN, "", "el8", VirtType.HVM),
        (XEN, "", "el10", VirtType.HVM),
        (XEN, "", "", VirtType.PARA),
        (XEN, "pvh", "el9", VirtType.PVH),
        (ContainerSettings("c", is_xen=True, virt_type="para"), "", "el9", VirtType.PARA),
        (KVM, "", "el9", VirtType.KVM),
        (KVM, "hvm", "el9", VirtType.KVM),
        (ContainerSettings("c", virt_type="para"), "", "el9", VirtType.KVM),
    ],
)
def test_how_a_machine_is_virtualized(settings: ContainerSettings, wanted: str, release: str, found: VirtType) -> None:
    assert settings.choose_virt_type(wanted, release) is found
