"""`rollbuild iso create|modify|oemdrv` as a person uses them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.commands.main import main
from rollbuild.distribution import os_tree_names
from rollbuild.errors import REFUSED, USAGE
from rollbuild.images import open_iso
from rollbuild.rolls import Store
from tests.conftest import Outcome
from tests.programs import need_dvd_programs
from tests.stores import make_store

Iso = Callable[..., Outcome]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    need_dvd_programs()
    store = make_store(tmp_path_factory.mktemp("store"))
    os_name = os_tree_names(store)[0]
    assert main(["distro", "create", "cluster", "--os", os_name, "--store", str(store.folder)]) == 0
    return store


@pytest.fixture
def iso(rollbuild: Callable[..., Outcome], store: Store) -> Iso:
    def run(*arguments: object) -> Outcome:
        outcome = rollbuild("iso", *arguments, "--store", store.folder)
        assert "Traceback" not in outcome.err
        return outcome

    return run


def test_create_and_modify(iso: Iso, tmp_path: Path) -> None:
    output = tmp_path / "dvd.iso"
    outcome = iso("create", "--distro", "cluster@1", "-o", output)
    assert outcome.code == 0 and outcome.out == ""
    for said in (
        f"wrote {output}: ",
        "label RB-CLUSTER-1-X86_64; rolls base, tools",
        "cluster@1, scope full, 11 packages; boots on BIOS and UEFI",
        "menu: Install compute; after 60 seconds the local disk",
        "ks/compute.ks: `reboot` is `reboot --eject` on the medium",
        "warning: the Kickstart of compute holds secrets",
    ):
        assert said in outcome.err
    changed = tmp_path / "changed.iso"
    outcome = iso("modify", output, "-o", changed, "--distro", "cluster", "--appliance", "compute", "--label", "X")
    assert outcome.code == 0
    for said in ("isolinux/isolinux.cfg: 3 kernel lines", "EFI/BOOT/grub.cfg in the EFI image: 3 kernel lines"):
        assert said in outcome.err
    assert b"inst.ks=hd:LABEL=X:/ks/compute.ks" in open_iso(changed).read("isolinux/isolinux.cfg", 10_000)


def test_create_as_json(iso: Iso, tmp_path: Path) -> None:
    outcome = iso("create", "--distro", "cluster", "-o", tmp_path / "a.iso", "--scope", "boot", "--json", "-q")
    data = json.loads(outcome.out)
    assert (data["generation"], data["scope"], data["packages"], data["firmwares"]) == (1, "boot", 0, ["bios", "uefi"])
    assert [entry["id"] for entry in data["entries"]] == ["local", "install-compute", "check-compute", "rescue"]
    assert data["discs"][0]["size"] == (tmp_path / "a.iso").stat().st_size


def test_the_medium_of_a_host(iso: Iso, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text("hosts:\n- name: c0\n  attributes: {address: 10.1.0.5/16, gateway: 10.1.0.1}\n- name: c1\n")
    given = ["--hosts", hosts, "--url", "http://10.1.0.1/dist", "--kickstart-url", "http://10.1.0.1/ks/{host}"]
    output = tmp_path / "c0.iso"
    assert iso("create", "--distro", "cluster", "-o", output, "--host", "c0", *given).code == 0
    menu = open_iso(output).read("isolinux/isolinux.cfg", 10_000).decode()
    assert "inst.ks=http://10.1.0.1/ks/c0 " in menu and "ip=10.1.0.5::10.1.0.1:255.255.0.0:c0::none" in menu
    assert "inst.stage2=http://10.1.0.1/dist " in menu
    assert open_iso(output).find("images/install.img") is None and open_iso(output).find("ks") is None
    outcome = iso("create", "--distro", "cluster", "-o", tmp_path / "c1.iso", "--host", "c1", *given)
    assert outcome.code == REFUSED and f"{hosts}:4:3: host c1: it has no address" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--distro", "nothing"], USAGE, "there is no distribution nothing"),
        (["--distro", "cluster@x"], USAGE, "is no generation"),
        (["--distro", "cluster@9"], USAGE, "has no generation 9"),
        (["--distro", "cluster", "--appliance", "login"], USAGE, "no Kickstart of an appliance login"),
        (["--distro", "cluster", "--label", "A" * 33], USAGE, "it has 33 characters"),
        (["--distro", "cluster", "--require", "bios,arm"], USAGE, "no firmware 'arm'"),
        (["--distro", "cluster", "--default", "login"], USAGE, "the menu has no entry for login"),
        (["--distro", "cluster", "--max-size", "big"], USAGE, "is no size of a disc"),
        (["--distro", "cluster", "--max-size", "1M"], REFUSED, "must be on the first disc"),
        (["--distro", "cluster", "--arguments", "inst.kss=1"], REFUSED, "did you mean inst.ks?"),
        (["--distro", "cluster", "--arguments", "a=" + "x" * 2100], REFUSED, "2,047 are the most"),
        (["--distro", "cluster", "--timeout", "0"], USAGE, "--timeout"),
        (["--distro", "cluster", "--templates", "none"], USAGE, "no folder none of templates"),
        (["--distro", "cluster", "--host", "c0"], USAGE, "--host needs --hosts"),
        (["--distro", "cluster", "--url", "http://x"], USAGE, "are for the medium of one host"),
    ],
)
def test_create_refuses(iso: Iso, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    outcome = iso("create", "-o", tmp_path / "a.iso", *arguments)
    assert (outcome.code, said in outcome.err) == (code, True), outcome.err
    assert not (tmp_path / "a.iso").exists()


def test_modify_and_oemdrv_refuse(iso: Iso, tmp_path: Path) -> None:
    (tmp_path / "empty.ks").write_text("\n")
    (tmp_path / "my.ks").write_text("lang en_US\n")
    (tmp_path / "no.iso").write_text("<html>")
    output = tmp_path / "a.iso"
    for arguments, code, said in (
        (["modify", tmp_path / "no.iso", "-o", output], USAGE, "nothing is to be changed"),
        (["modify", tmp_path / "no.iso", "-o", output, "--arguments", "a"], REFUSED, "this is no ISO image"),
        (["modify", "x", "-o", output, "--ks", tmp_path / "empty.ks"], REFUSED, "is empty"),
        (["modify", "x", "-o", output, "--appliance", "compute"], USAGE, "--appliance needs --distro"),
        (["modify", "x", "-o", output, "--distro", "cluster"], USAGE, "appliance frontend"),
        (["oemdrv", "-o", output], USAGE, "no Kickstart is named"),
        (["oemdrv", "-o", tmp_path / "a.usb", "--ks", tmp_path / "my.ks"], USAGE, "what kind of image"),
    ):
        outcome = iso(*arguments)
        assert (outcome.code, said in outcome.err) == (code, True), outcome.err
    assert not output.exists()


def test_oemdrv(iso: Iso, tmp_path: Path) -> None:
    output = tmp_path / "ks.iso"
    outcome = iso("oemdrv", "-o", output, "--distro", "cluster", "--appliance", "compute")
    assert outcome.code == 0 and "label OEMDRV, with ks.cfg" in outcome.err and "holds secrets" in outcome.err
    assert b"reboot --eject" in open_iso(output).read("ks.cfg", 100_000)


def test_what_holds_secrets_is_for_its_owner_alone(iso: Iso, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert iso("create", "--distro", "cluster", "-o", tmp_path / "a.iso", "--scope", "boot").code == 0
        argv = ("--distro", "cluster", "--appliance", "compute", "-o")
        assert iso("modify", tmp_path / "a.iso", *argv, tmp_path / "b.iso").code == 0
        for name in ("c.iso", "c.img"):
            assert iso("oemdrv", *argv, tmp_path / name).code == 0
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.suffix != ".sha256"}
    assert modes == dict.fromkeys(("a.iso", "b.iso", "c.iso", "c.img"), 0o600)
    assert open_iso(tmp_path / "c.iso").read("ks.cfg", 1_000_000)


@pytest.mark.parametrize("inside", ["distributions/cluster/1/x.iso", "os/x.iso", "rolls/x.iso"])
def test_nothing_is_written_into_what_never_changes(iso: Iso, store: Store, tmp_path: Path, inside: str) -> None:
    place = store.folder / inside
    outcomes = [
        iso("create", "--distro", "cluster", "-o", place),
        iso("oemdrv", "--distro", "cluster", "--appliance", "compute", "-o", place),
        iso("modify", tmp_path / "any.iso", "--arguments", "x", "-o", place),
    ]
    assert [outcome.code for outcome in outcomes] == [USAGE] * 3
    assert all("cannot lie in" in outcome.err for outcome in outcomes)
    assert not place.exists()
