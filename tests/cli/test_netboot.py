import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.commands.main import main
from rollbuild.distribution import find_generation
from rollbuild.files import locked
from rollbuild.media import Menus, direct_boot
from rollbuild.rolls import Store
from tests.conftest import Outcome
from tests.programs import need_program
from tests.stores import PROFILE, add_os, add_roll

ROOT = Path(__file__).parents[2]
HOSTS = """name,appliance,mac,address,boot_action,installer_options
compute-0-0,compute,52-54-00-AA-BB-01,10.1.255.254,install,
compute-0-1,compute,52:54:00:aa:bb:02,10.1.255.253,,
compute-0-2,compute,52:54:00:aa:bb:03,10.1.255.252,rescue,console=ttyS1
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two generations of the distribution el9, the second in use, with the facts that the shipped rolls declare."""
    folder = tmp_path_factory.mktemp("netboot")
    store = Store(folder / "store")
    store.folder.mkdir()
    name = add_os(store, folder / "dvd")
    facts = "".join((ROOT / f"rolls/{roll}/attributes.yaml").read_text() for roll in ("base", "kernel"))
    add_roll(store, "base", profile={**PROFILE, "attributes.yaml": PROFILE["attributes.yaml"] + facts})
    for more in ([], ["--url", "http://10.1.1.1/other/el9"]):
        argv = ["distro", "create", "el9", "--os", name, "--no-kickstarts", "-q", "--store", str(store.folder)]
        assert main([*argv, *more]) == 0
    return store


@pytest.fixture
def loaders(tmp_path: Path) -> Path:
    folder = tmp_path / "loaders"
    folder.mkdir()
    for name in ("pxelinux.0", "ldlinux.c32", "undionly.kpxe", "snponly.efi", "ipxe.efi"):
        (folder / name).write_text(f"not really {name}")
    return folder


@pytest.fixture
def create(rollbuild: Callable[..., Outcome], store: Store, tmp_path: Path, loaders: Path) -> Callable[..., Outcome]:
    """Run `rollbuild netboot create` for el9 into `netboot`, with HOSTS unless told otherwise."""

    def run(*argv: str | Path, hosts: str | None = HOSTS, distro: str = "el9") -> Outcome:
        words: list[str | Path] = ["--distro", distro, "-o", tmp_path / "netboot", "--store", store.folder]
        if hosts is not None:
            (tmp_path / "hosts.csv").write_text(hosts)
            words += ["--hosts", tmp_path / "hosts.csv"]
        return rollbuild("netboot", "create", *words, "--loaders", loaders, *argv)

    return run


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_tree_with_all_that_hosts_need(create: Callable[..., Outcome], store: Store, tmp_path: Path) -> None:
    outcome = create("--no-check")
    tree, generation = tmp_path / "netboot", store.distributions_folder / "el9/2"
    assert outcome.code == 0 and outcome.out == ""
    assert f"{tree} boots el9@2: 3 hosts (1 os, 1 install, 1 rescue)" in outcome.err
    assert f"serve it by TFTP and as http://10.1.1.1/install/netboot; for DHCP see {tree / 'dhcp'}" in outcome.err
    for own, source in {
        "images/el9-2/vmlinuz": "images/pxeboot/vmlinuz",
        "images/el9-2/initrd.img": "images/pxeboot/initrd.img",
        "grub/shimx64.efi": "EFI/BOOT/BOOTX64.EFI",
        "grub/grubx64.efi": "EFI/BOOT/grubx64.efi",
        "grub/mmx64.efi": "EFI/BOOT/mmx64.efi",
        "EFI/BOOT/BOOTX64.EFI": "EFI/BOOT/BOOTX64.EFI",
        "EFI/BOOT/grubx64.efi": "EFI/BOOT/grubx64.efi",
        "grubx64.efi": "EFI/BOOT/grubx64.efi",
    }.items():
        assert (tree / own).read_bytes() == (generation / source).read_bytes(), own
    assert (tree / "images/el9-2/initrd.img").samefile(generation / "images/pxeboot/initrd.img")
    assert {"pxelinux.0", "ldlinux.c32", "ipxe/boot.ipxe", "ipxe/undionly.kpxe"} <= files_of(tree).keys()
    assert not (tree / "grub/i386-pc").exists()


def test_what_hosts_start_with(create: Callable[..., Outcome]) -> None:
    rows = {row["name"]: row for row in json.loads(create("--json", "-q", "--no-check").out)["hosts"]}
    assert rows["compute-0-0"]["arguments"] == [
        "inst.stage2=http://10.1.1.1/other/el9",
        "inst.ks=http://10.1.1.1/ks/compute-0-0",
        "inst.ks.sendmac",
        "BOOTIF=01-52-54-00-aa-bb-01",
        "ip=dhcp",
        "inst.cmdline",
        "inst.nosave=all_ks",
    ]
    assert (rows["compute-0-1"]["action"], rows["compute-0-1"]["kernel"], rows["compute-0-1"]["arguments"]) == (
        "os",
        "",
        [],
    )
    rescue = rows["compute-0-2"]["arguments"]
    assert rescue[-2:] == ["console=ttyS1", "inst.rescue"] and not [word for word in rescue if "inst.ks" in word]


def test_without_hosts_every_machine_starts_its_disk(create: Callable[..., Outcome], tmp_path: Path) -> None:
    assert create("--no-check", "-q", hosts=None).code == 0
    assert "localboot 0" in (tmp_path / "netboot/pxelinux.cfg/default").read_text()
    texts = [path.read_text() for path in (tmp_path / "netboot").rglob("*") if path.name in ("grub.cfg", "boot.ipxe")]
    assert len(texts) == 4 and not any("inst." in text for text in texts)


def test_options_win_over_attributes(create: Callable[..., Outcome], tmp_path: Path) -> None:
    hosts = HOSTS.replace("10.1.", "192.168.")
    outcome = create(
        *("--server", "192.168.1.2", "--network", "192.168.0.0/16", "--gateway", "192.168.1.254", "--domain", "lab"),
        *("--nameserver", "192.168.1.3", "--url", "http://boot.lab:8080/pxe/", "--tree-url", "https://boot.lab/el9"),
        *("--kickstart-url", "https://boot.lab/ks/{host}?mac={mac}&ip={address}", "--tftp-root", "/srv/pxe"),
        *("-A", "installer_options=inst.sshd", "--json", "-q", "--no-check"),
        hosts=hosts,
    )
    row = json.loads(outcome.out)["hosts"][0]
    assert row["arguments"][:2] == [
        "inst.stage2=https://boot.lab/el9",
        "inst.ks=https://boot.lab/ks/compute-0-0?mac=52:54:00:aa:bb:01&ip=192.168.255.254",
    ]
    # -A wins over the file's own column.
    assert json.loads(outcome.out)["hosts"][2]["arguments"][-2:] == ["inst.sshd", "inst.rescue"]
    text = (tmp_path / "netboot/dhcp/dnsmasq.conf").read_text()
    assert "tftp-root=/srv/pxe\n" in text and "option:router,192.168.1.254\n" in text
    assert "dhcp-boot=tag:ipxe,http://boot.lab:8080/pxe/ipxe/boot.ipxe\n" in text
    grub = (tmp_path / "netboot/grub/grub.cfg-01-52-54-00-aa-bb-01").read_text()
    assert "'(http,boot.lab:8080)/pxe'/images/el9-2/vmlinuz" in grub


def test_the_second_run_writes_only_what_changed(create: Callable[..., Outcome], tmp_path: Path) -> None:
    tree = tmp_path / "netboot"
    first = json.loads(create("--json", "-q", "--no-check").out)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*") if path.name not in ("netboot.json",)}
    again = json.loads(create("--json", "-q", "--no-check").out)
    assert (again["written"], again["kept"], again["removed"]) == (0, first["written"], 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    changed = json.loads(create("--json", "-q", "--no-check", hosts=HOSTS.replace(",install,", ",os,")).out)
    assert (changed["written"], changed["removed"]) == (3, 0)
    fewer = json.loads(create("--json", "-q", "--no-check", hosts="\n".join(HOSTS.splitlines()[:2])).out)
    assert fewer["removed"] == 6
    assert not list(tree.glob("*/*aa-bb-02*"))


def test_equal_trees_have_equal_bytes_whatever_the_folder_and_umask(
    create: Callable[..., Outcome], tmp_path: Path
) -> None:
    assert create("--no-check", "--tftp-root", "/srv").code == 0
    first = tmp_path / "netboot"
    umask = os.umask(0o077)
    try:
        assert create("--no-check", "--tftp-root", "/srv", "-o", tmp_path / "other/place").code == 0
    finally:
        os.umask(umask)
    assert files_of(first) == files_of(tmp_path / "other/place")
    for path in (tmp_path / "other/place").rglob("*"):
        wanted = 0o755 if path.is_dir() else 0o644
        assert path.stat().st_mode & 0o777 == wanted or path.name in (".netboot.lock", "vmlinuz", "initrd.img"), path


def test_images_of_the_generation_before_stay_for_hosts_that_boot_right_now(
    create: Callable[..., Outcome], tmp_path: Path
) -> None:
    images = tmp_path / "netboot/images"
    assert create("-q", "--no-check", distro="el9@1").code == 0
    assert sorted(path.name for path in images.iterdir()) == ["el9-1"]
    assert create("-q", "--no-check").code == 0
    assert create("-q", "--no-check").code == 0
    assert sorted(path.name for path in images.iterdir()) == ["el9-1", "el9-2"]
    record = tmp_path / "netboot/netboot.json"
    data = json.loads(record.read_text())
    data["images"] = ["old-7", "el9-1", "el9-2"]
    record.write_text(json.dumps(data))
    (images / "old-7").mkdir()
    assert "removed images/old-7" in create("--no-check").err
    assert sorted(path.name for path in images.iterdir()) == ["el9-1", "el9-2"]


USAGE = {
    "no distribution": (["--distro", "el8"], "there is no distribution el8 in "),
    "no generation": (["--distro", "el9@7"], "distribution el9 has no generation 7"),
    "no number": (["--distro", "el9@x"], "'el9@x' is no generation"),
    "server": (["--server", "10.1.1"], "--server: '10.1.1' is no IPv4 address"),
    "attribute": (["-A", "Kickstart_PrivateGateway=x"], "attribute Kickstart_PrivateGateway: 'x' is no IPv4 address"),
    "network": (["--network", "10.1.1.1/16"], "--network: 10.1.1.1/16 is an address in a network"),
    "small network": (["--network", "10.1.0.0"], "--network: 10.1.0.0 has no room for hosts"),
    "no network": (["--network", "x"], "--network: 'x' is no IPv4 network"),
    "gateway": (["--gateway", "10.2.1.1"], "the gateway 10.2.1.1 is not in the network 10.1.0.0/16"),
    "url": (["--url", "tftp://10.1.1.1"], "--url: 'tftp://10.1.1.1' is no URL that loaders take"),
    "braces": (["--kickstart-url", "http://x/{hostname}"], "has other braces"),
    "loaders": (["--loaders", "nowhere"], "there is no folder nowhere of boot loaders"),
    "templates": (["--templates", "nowhere"], "there is no folder nowhere of templates"),
    "domain": (["--domain", "a b"], "'a b' is no domain"),
    "tftp root": (["--tftp-root", "srv/netboot"], "--tftp-root: 'srv/netboot' does not begin with /"),
    "empty": (["-A", "Kickstart_PrivateAddress="], "nothing says what the front end's address is"),
}


@pytest.mark.parametrize(("argv", "message"), USAGE.values(), ids=USAGE)
def test_wrong_options(create: Callable[..., Outcome], tmp_path: Path, argv: list[str], message: str) -> None:
    outcome = create(*argv)
    assert outcome.code == 2 and message in outcome.err
    assert not (tmp_path / "netboot").exists()


BAD_HOSTS = """name,mac,address,boot_action
c0,52:54:00:aa:bb,10.1.2.1,install
c1,52:54:00:aa:bb:01,10.2.2.1,install
c2,52:54:00:aa:bb:01,10.1.2.3,instal
c3,52:54:00:aa:bb:04,10.1.1.1,os
"""


def test_all_wrong_rows_are_told_with_their_lines(create: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = create(hosts=BAD_HOSTS)
    assert outcome.code == 1
    told = re.findall(r"^error: (\S+):(\d+): (.*) \[BOOT-HOST\]$", outcome.err, re.M)
    assert [(line, message) for _, line, message in told] == [
        ("2", "host c0: '52:54:00:aa:bb' is no MAC address"),
        ("3", "host c1: 10.2.2.1 is no address of a host in 10.1.0.0/16"),
        ("4", "host c2: there is no boot action 'instal'"),
        ("4", "hosts c1 and c2 both have the MAC address 52:54:00:aa:bb:01"),
        ("5", "host c3: 10.1.1.1 is the address of the front end too"),
    ]
    assert {file for file, *_ in told} == {str(tmp_path / "hosts.csv")}
    assert not (tmp_path / "netboot").exists()


def test_an_argument_of_the_site_is_told_once_at_its_place(create: Callable[..., Outcome], tmp_path: Path) -> None:
    # The example of docs/reference/findings.md.
    (tmp_path / "site.yaml").write_text("installer_options: inst.kss=http://10.1.1.1/own.ks\n")
    outcome = create("--attrs", tmp_path / "site.yaml", hosts=HOSTS.replace("console=ttyS1", ""))
    assert outcome.code == 1 and outcome.err.count("[BOOT-ARGUMENT]") == 1
    assert f"error: {tmp_path / 'site.yaml'}:1" in outcome.err and "does not know inst.kss" in outcome.err


def test_a_line_that_is_too_long(create: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = create("--kickstart-url", "http://10.1.1.1/" + "x" * 2000)
    assert outcome.code == 1
    assert re.search(r"hosts\.csv:2: the kernel's line has 2,\d\d\d characters; 2,047 are the most", outcome.err)


def test_a_missing_loader_is_a_warning_that_names_the_package(
    create: Callable[..., Outcome], loaders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rollbuild.media.loaders as module

    monkeypatch.setattr(module, "_OF_THE_MACHINE", ())
    monkeypatch.setattr(module, "_GRUB_PLATFORM", tmp_path)
    (loaders / "ldlinux.c32").unlink()
    outcome = create("--no-check")
    assert outcome.code == 0
    assert "warning: BIOS machines cannot boot: there is no loader for them [BOOT-LOADER]" in outcome.err
    assert "pxelinux and syslinux-common (Debian)" in outcome.err
    assert "tag:bios,tag" not in (tmp_path / "netboot/dhcp/dnsmasq.conf").read_text()
    assert create("--no-check", "--strict").code == 1


def test_grub_for_bios_is_made_of_this_machines(create: Callable[..., Outcome], tmp_path: Path) -> None:
    if shutil.which("grub-mkimage") is None or not Path("/usr/lib/grub/i386-pc/pxeboot.img").exists():
        pytest.skip("grub-mkimage, or GRUB's modules for BIOS, are missing")
    assert create("--no-check", "--bios", "grub").code == 0
    assert (tmp_path / "netboot/grub/i386-pc/core.0").stat().st_size > 50_000
    assert not (tmp_path / "netboot/pxelinux.0").exists()


def test_a_folder_that_others_cannot_read(create: Callable[..., Outcome], tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    outcome = create("--no-check", "-o", closed / "netboot")
    assert outcome.code == 0
    assert re.search(r"warning: servers that do not run as root cannot read \S+ \[BOOT-TREE\]", outcome.err)


def test_programs_look_at_the_files(create: Callable[..., Outcome], tmp_path: Path) -> None:
    data = json.loads(create("--json", "-q").out)
    programs = {"grub-script-check", "dnsmasq", "kea-dhcp4"}
    assert set(data["checked"]) | set(data["not_checked"]) == programs


def test_what_a_program_refuses_is_told_and_nothing_is_written(create: Callable[..., Outcome], tmp_path: Path) -> None:
    need_program("grub-script-check")
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "grub-default.j2").write_text("if [ x ]; then\n")
    outcome = create("--templates", templates)
    assert outcome.code == 1 and "grub/grub.cfg: grub-script-check does not accept this file" in outcome.err
    assert not (tmp_path / "netboot").exists()


def test_another_run_on_the_same_tree(create: Callable[..., Outcome], tmp_path: Path) -> None:
    assert create("--no-check").code == 0
    with locked(tmp_path / "netboot/.netboot.lock", "testing"):
        outcome = create("--no-check")
    assert outcome.code == 75 and "another rollbuild is writing the netboot tree" in outcome.err


def test_a_generation_without_kernel(create: Callable[..., Outcome], store: Store, tmp_path: Path) -> None:
    kernel = store.distributions_folder / "el9/1/images/pxeboot/vmlinuz"
    kernel.rename(tmp_path / "vmlinuz")
    try:
        outcome = create(distro="el9@1")
    finally:
        (tmp_path / "vmlinuz").rename(kernel)
    assert outcome.code == 1 and f"error: {kernel}: el9@1 has no kernel of the installer" in outcome.err


def test_direct_boot_of_a_virtual_machine(store: Store) -> None:
    generation = find_generation(store, "el9")
    found = direct_boot(generation, stage2="http://x/el9", kickstart="http://x/ks/vm", extra=("console=hvc0",))
    assert found.kernel == generation.folder / "images/pxeboot/vmlinuz"
    assert found.initrd == generation.folder / "images/pxeboot/initrd.img"
    assert found.arguments[0] == "inst.stage2=http://x/el9" and found.arguments[-1] == "console=hvc0"


def test_the_reference_has_every_template() -> None:
    text = (ROOT / "docs/reference/boot-menus.md").read_text()
    assert not [name for name in Menus().names if f"`{name}.j2`" not in text]


def test_a_tree_in_a_place_that_it_must_not_take(create: Callable[..., Outcome], store: Store, tmp_path: Path) -> None:
    inside = create("-o", store.distributions_folder / "el9/2/netboot")
    assert inside.code == 2 and "what is there never changes" in inside.err
    (tmp_path / "file").write_text("")
    assert create("-o", tmp_path / "file").err == f"error: {tmp_path / 'file'} is there and is no folder\n"


@pytest.mark.parametrize("url", ["http://[", "http://[x]/a", "http://h:99999/a", "http://h/a#b"])
@pytest.mark.parametrize("option", ["--url", "--tree-url"])
def test_urls_that_are_none_are_refused(create: Callable[..., Outcome], tmp_path: Path, option: str, url: str) -> None:
    outcome = create(option, url)
    assert outcome.code == 2 and "is no URL that loaders take" in outcome.err
    assert not (tmp_path / "netboot").exists()


def test_files_of_others_are_not_written_over(create: Callable[..., Outcome], tmp_path: Path) -> None:
    tree = tmp_path / "netboot"
    (tree / "grub").mkdir(parents=True)
    (tree / "grub/grub.cfg").write_text("the machine's own")
    (tree / "images/el9-2").mkdir(parents=True)
    (tree / "images/el9-2/vmlinuz").write_text("another kernel")
    (tree / "ldlinux.c32").write_text("not really ldlinux.c32")  # what would be written
    before = files_of(tree)
    outcome = create("--no-check")
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert "would be overwritten: grub/grub.cfg, images/el9-2/vmlinuz\nhint: name a folder" in outcome.err
    assert files_of(tree) == before
    assert create("--no-check", "--replace").code == 0
    assert (tree / "images/el9-2/vmlinuz").read_bytes() != b"another kernel"
    assert "the machine's own" not in (tree / "grub/grub.cfg").read_text()
    (tree / "grub/grub.cfg").write_text("changed by hand")
    assert create("--no-check", hosts=HOSTS.replace(",install,", ",os,")).code == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "grub-host.j2: this template is a folder, not a file"),
        (os.mkfifo, "grub-host.j2: this template is a pipe or a device, not a file"),
        (lambda path: path.symlink_to("nowhere"), "grub-host.j2: this template is a link to nothing, not a file"),
    ],
)
def test_templates_that_are_no_files(
    create: Callable[..., Outcome], tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "README").write_text("the site's own menus\n")
    make(templates / "grub-host.j2")
    outcome = create("--templates", templates)
    assert outcome.code == 1 and said in outcome.err
    assert not (tmp_path / "netboot").exists()
