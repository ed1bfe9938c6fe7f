"""Hosts whose Kickstarts come over TLS: what they boot with, whom their installer trusts, and what stops it."""

import gzip
import subprocess
from pathlib import Path

import pytest

from rollbuild.cluster import set_attribute, set_boot
from rollbuild.errors import RollbuildError
from rollbuild.frontend import (
    FrontEnd,
    apply_boot_files,
    apply_configuration,
    diff_configuration,
    ensure_applied,
    make_direct_boot,
)
from tests.programs import need_program

HOST, OTHER = "compute-0-0", "compute-0-1"
TREE = "export/install/netboot"
IMAGES = f"{TREE}/images/compute-1"
OF_HOST = (
    f"{TREE}/pxelinux.cfg/01-52-54-00-aa-00-01",
    f"{TREE}/grub/grub.cfg-01-52-54-00-aa-00-01",
    f"{TREE}/ipxe/hosts/52-54-00-aa-00-01.ipxe",
)
BUNDLE = "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
OURS = b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
WORLD = b"# The World\n-----BEGIN CERTIFICATE-----\nREVG\n-----END CERTIFICATE-----\n"
KEY = b"-----BEGIN PRIVATE KEY-----\nU0VDUkVU\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def asks(stocked: FrontEnd) -> FrontEnd:
    """Both hosts are to install, the first one over TLS."""
    with stocked.database.writing("tls") as c:
        set_attribute(c, "host", HOST, "kickstart_tls", "yes")
        for name in (HOST, OTHER):
            set_boot(c, name, "install")
    return stocked


def put(root: Path, name: str, content: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def unpack(archive: bytes, folder: Path) -> dict[str, bytes]:
    need_program("cpio")
    folder.mkdir()
    subprocess.run(["cpio", "-i", "--quiet"], input=archive, cwd=folder, check=True, capture_output=True)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def images(root: Path) -> list[str]:
    return sorted(path.name for path in (root / IMAGES).iterdir())


def test_only_such_hosts_get_the_address_and_the_second_initrd(asks: FrontEnd, root: Path, tmp_path: Path) -> None:
    put(root, "export/install/ca.pem", KEY + OURS)
    assert apply_configuration(asks).findings == ()
    image, *rest = images(root)
    assert image.startswith("ca-") and rest == ["initrd.img", "vmlinuz"]
    for name in OF_HOST:
        text = (root / name).read_text()
        assert "inst.ks=https://10.1.1.1:8443/ks/compute-0-0" in text and f"images/compute-1/{image}" in text, name
        assert "noverifyssl" not in text
        other = (root / name.replace("00-01", "00-02")).read_text()
        assert "inst.ks=http://10.1.1.1/ks/compute-0-1" in other and "ca-" not in other
    made = (root / IMAGES / image).read_bytes()
    assert (root / IMAGES / image).stat().st_mode & 0o777 == 0o644
    assert unpack(gzip.decompress(made), tmp_path / "out") == {BUNDLE: OURS, "etc/rollbuild/ca.pem": OURS}
    assert ensure_applied(asks).changed == ()


def test_hosts_without_it_need_no_authority_and_make_no_image(stocked: FrontEnd, root: Path) -> None:
    with stocked.database.writing("boot") as c:
        set_boot(c, HOST, "install")
    put(root, "export/install/ca.pem", OURS)
    apply_configuration(stocked)
    assert images(root) == ["initrd.img", "vmlinuz"]


def test_a_mirror_of_the_world_is_trusted_as_before(asks: FrontEnd, root: Path, tmp_path: Path) -> None:
    put(root, "export/install/ca.pem", OURS)
    put(root, BUNDLE, WORLD)
    apply_configuration(asks)
    (image,) = (root / IMAGES).glob("ca-*")
    found = unpack(gzip.decompress(image.read_bytes()), tmp_path / "out")
    assert found == {BUNDLE: WORLD + OURS, "etc/rollbuild/ca.pem": OURS}


def test_a_new_authority_is_a_new_file_and_is_noticed(asks: FrontEnd, root: Path) -> None:
    put(root, "export/install/ca.pem", OURS)
    apply_configuration(asks)
    (first,) = (root / IMAGES).glob("ca-*")
    put(root, "export/install/ca.pem", OURS + OURS)
    shown = diff_configuration(asks)
    assert "images/compute-1/ca-" in shown and " will be made\n" in shown
    ensure_applied(asks)
    (second,) = set((root / IMAGES).glob("ca-*")) - {first}
    assert first.is_file()  # a host may just have read its menu
    assert second.name in (root / OF_HOST[0]).read_text()
    assert first.name not in (root / OF_HOST[0]).read_text()


def test_the_fast_path_makes_the_image_too(asks: FrontEnd, root: Path) -> None:
    put(root, "export/install/ca.pem", OURS)
    with asks.database.writing("boot") as c:
        set_boot(c, HOST, "os")
    apply_configuration(asks)
    assert images(root) == ["initrd.img", "vmlinuz"]
    with asks.database.writing("boot") as c:
        set_boot(c, HOST, "install")
    apply_boot_files(asks, [HOST])
    assert images(root)[0] in (root / OF_HOST[0]).read_text()


BAD = {"none": None, "empty": b"", "a page": b"<html>404</html>", "a key": KEY}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_without_the_authority_the_host_starts_its_disk_and_it_is_said(
    asks: FrontEnd, root: Path, content: bytes | None
) -> None:
    if content is not None:
        put(root, "export/install/ca.pem", content)
    (finding,) = apply_configuration(asks).findings
    assert (finding.code, str(finding.severity)) == ("BOOT-TLS", "warning")
    assert finding.message.startswith("compute-0-0 starts from its local disk: its Kickstart is to go over TLS, but")
    assert "/export/install/ca.pem" in finding.message and "systemctl start rollbuild-ca" in finding.hint
    assert "localboot 0" in (root / OF_HOST[0]).read_text()
    for name in OF_HOST:
        assert "/ks/" not in (root / name).read_text()
    assert "inst.ks=http://10.1.1.1/ks/compute-0-1" in (root / OF_HOST[0].replace("00-01", "00-02")).read_text()


@pytest.mark.parametrize("option", ["inst.noverifyssl", "noverifyssl", "inst.ks=http://10.1.1.9/x"])
def test_what_would_undo_it_is_refused(asks: FrontEnd, root: Path, option: str) -> None:
    put(root, "export/install/ca.pem", OURS)
    with asks.database.writing("set") as c:
        set_attribute(c, "host", HOST, "installer_options", option)
    found = [one.message for one in apply_configuration(asks).findings if one.code == "BOOT-TLS"]
    word = option.partition("=")[0]
    expected = f"compute-0-0 starts from its local disk: its Kickstart is to go over TLS, and {word} would undo that"
    # An option that the release's installer does not take at all stops the host before that.
    assert found == [expected] or word == "noverifyssl"
    assert "localboot 0" in (root / OF_HOST[0]).read_text()
    with pytest.raises(RollbuildError, match=r"compute-0-0 cannot be installed: .* would undo that"):
        make_direct_boot(asks, HOST, "token", console="hvc0")


def test_a_virtual_machine_gets_one_initrd_with_all(asks: FrontEnd, root: Path, tmp_path: Path) -> None:
    plain = make_direct_boot(asks, OTHER, "token", console="hvc0")
    assert "inst.ks=http://10.1.1.1/ks/t/token" in plain.arguments
    with pytest.raises(RollbuildError, match=r"compute-0-0 cannot be installed: .*authority is not there"):
        make_direct_boot(asks, HOST, "token", console="hvc0")
    put(root, "export/install/ca.pem", OURS)
    plain.initrd.unlink()  # it may be a link of the store that tests share
    plain.initrd.write_bytes(gzip.compress(b"070701 the installer's"))
    boot = make_direct_boot(asks, HOST, "token", console="hvc0")
    assert "inst.ks=https://10.1.1.1:8443/ks/t/token" in boot.arguments
    assert boot.kernel == plain.kernel and boot.initrd.parent == root / IMAGES
    before, made = plain.initrd.read_bytes(), boot.initrd.read_bytes()
    assert made.startswith(before)
    added = unpack(made[(len(before) + 3) // 4 * 4 :], tmp_path / "out")
    assert added == {BUNDLE: OURS, "etc/rollbuild/ca.pem": OURS}
    stamp = boot.initrd.stat().st_mtime_ns
    assert make_direct_boot(asks, HOST, "other", console="hvc0").initrd == boot.initrd
    assert boot.initrd.stat().st_mtime_ns == stamp
    for count in (2, 3):
        put(root, "export/install/ca.pem", OURS * count)
        newest = make_direct_boot(asks, HOST, "token", console="hvc0").initrd
    found = sorted((root / IMAGES).glob("initrd-*.img"))
    # A folder that only machines needed has no kernel yet: the fast path does not take it for one that has.
    assert images(root)[-1] != "vmlinuz"
    apply_boot_files(asks, [OTHER])
    assert images(root)[-1] == "vmlinuz"
    assert len(found) == 2 and newest in found and boot.initrd not in found
    assert apply_configuration(asks).findings == ()
    assert newest.is_file()
