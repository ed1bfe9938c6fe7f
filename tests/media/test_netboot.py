import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import RollbuildError
from rollbuild.files import write_many
from rollbuild.media import placing
from rollbuild.media.dhcp import dhcp_files
from rollbuild.media.loaders import Loaders
from rollbuild.media.menus import Menus
from rollbuild.media.netboot import GrubVerbs, loader_files
from rollbuild.media.placing import update_tree
from rollbuild.media.table import BootAction, BootHost
from tests.media.cases import ARGUMENTS, INSTALLS, NETWORK, STARTS
from tests.programs import need_program

LOADERS = Loaders("pxelinux.0", "grub/shimx64.efi", "EFI/BOOT/BOOTX64.EFI")


def made(*hosts: BootHost, menus: Menus | None = None) -> dict[str, str]:
    files = loader_files(hosts, NETWORK, menus or Menus(), GrubVerbs())
    return {name: content.decode() for name, content in files}


def kernel_lines(files: dict[str, str], host: BootHost) -> dict[str, list[str]]:
    """Each loader's kernel arguments of a host, as that loader reads them."""
    pxelinux = files[f"pxelinux.cfg/{host.dashed_mac}"]
    grub = files[f"grub/grub.cfg-{host.dashed_mac}"]
    ipxe = files[f"ipxe/hosts/{host.mac.replace(':', '-')}.ipxe"]
    found = {
        "pxelinux": re.search(r"^  append (.*)$", pxelinux, re.M),
        "grub": re.search(r"^        \$kernel \S+(.*)$", grub, re.M),
        "grub by HTTP": re.search(r"^    if \$kernel '\S+'\S+(.*); then$", grub, re.M),
        "ipxe": re.search(r"^kernel \S+ initrd=initrd\.img(.*)$", ipxe, re.M),
    }
    lines = {name: match[1] for name, match in found.items() if match}
    return {name: shlex.split(line) if name.startswith("grub") else line.split() for name, line in lines.items()}


def test_all_loaders_give_the_kernel_the_same_line() -> None:
    lines = kernel_lines(made(INSTALLS), INSTALLS)
    assert lines == {name: list(ARGUMENTS) for name in ("pxelinux", "grub", "grub by HTTP", "ipxe")}


# What iPXE would expand is refused, and so is what no loader takes.
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'\\"), min_size=1, max_size=30)


@given(st.lists(WORDS.filter(lambda word: not re.search(r"\$\{|&&|\|\|", word)), max_size=5))
def test_they_do_so_for_any_arguments(words: list[str]) -> None:
    host = BootHost("c", "52:54:00:aa:bb:01", "10.1.2.3", BootAction.INSTALL, "vmlinuz", "initrd.img", tuple(words))
    assert set(map(tuple, kernel_lines(made(host), host).values())) == {tuple(words)}


@pytest.mark.parametrize("word", ["a${b}", "a&&b", "a||b"])
def test_what_one_loader_would_read_otherwise_is_refused(word: str) -> None:
    host = BootHost("c", "52:54:00:aa:bb:01", "10.1.2.3", BootAction.INSTALL, "k", "i", (word,))
    with pytest.raises(RollbuildError, match="iPXE would read"):
        made(host)


TRUSTS = replace(INSTALLS, extra_initrd="images/el9-1/ca-1.img")
SECOND = {
    "pxelinux.cfg/01-52-54-00-aa-bb-01": {
        "  initrd images/el9-1/initrd.img": "  initrd images/el9-1/initrd.img,images/el9-1/ca-1.img",
    },
    "grub/grub.cfg-01-52-54-00-aa-bb-01": {
        "        $initrd '(http,10.1.1.1)/install/netboot'/images/el9-1/initrd.img": (
            "        $initrd '(http,10.1.1.1)/install/netboot'/images/el9-1/initrd.img"
            " '(http,10.1.1.1)/install/netboot'/images/el9-1/ca-1.img"
        ),
        "        $initrd /images/el9-1/initrd.img": "        $initrd /images/el9-1/initrd.img /images/el9-1/ca-1.img",
    },
    "ipxe/hosts/52-54-00-aa-bb-01.ipxe": {
        "initrd=initrd.img ": "initrd=initrd.img initrd=ca-1.img ",
        "initrd http://10.1.1.1/install/netboot/images/el9-1/initrd.img\n": (
            "initrd http://10.1.1.1/install/netboot/images/el9-1/initrd.img\n"
            "initrd http://10.1.1.1/install/netboot/images/el9-1/ca-1.img\n"
        ),
    },
}


def test_a_second_initrd_is_loaded_after_the_first_and_changes_nothing_else() -> None:
    plain, both = made(INSTALLS), made(TRUSTS)
    assert {name for name in plain if plain[name] != both[name]} == set(SECOND)
    for name, changes in SECOND.items():
        expected = plain[name]
        for before, after in changes.items():
            assert expected.count(before) == 1
            expected = expected.replace(before, after)
        assert both[name] == expected
    url = replace(NETWORK, url="https://10.1.1.1/netboot")
    text = dict(loader_files([TRUSTS], url, Menus(), GrubVerbs()))["grub/grub.cfg-01-52-54-00-aa-bb-01"].decode()
    assert "    $initrd /images/el9-1/initrd.img /images/el9-1/ca-1.img\n}\n" in text


def test_grub_accepts_its_files(tmp_path: Path) -> None:
    program = need_program("grub-script-check")
    files = made(TRUSTS, STARTS)
    for name in [name for name in files if name.endswith("grub.cfg") or name.startswith("grub/")]:
        path = tmp_path / "grub.cfg"
        path.write_text(files[name])
        done = subprocess.run([program, path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), name


def test_a_host_that_starts_its_disk_gets_no_kernel() -> None:
    own = [text for name, text in made(STARTS).items() if "aa-bb-02" in name]
    assert len(own) == 3
    assert not any("vmlinuz" in text or "inst." in text for text in own)


def test_hosts_that_nobody_registered_start_their_disk() -> None:
    shared = made()
    assert sorted(shared) == [
        "EFI/BOOT/grub.cfg",
        "grub.cfg",
        "grub/grub.cfg",
        "ipxe/boot.ipxe",
        "pxelinux.cfg/default",
    ]
    assert "localboot 0" in shared["pxelinux.cfg/default"]
    assert not any("inst." in text for text in shared.values())


@pytest.mark.parametrize(("program", "argv"), [("dnsmasq", ["--test", "-C"]), ("kea-dhcp4", ["-t"])])
def test_dhcp_servers_accept_their_files(tmp_path: Path, program: str, argv: list[str]) -> None:
    found = need_program(program)
    for loaders in (LOADERS, Loaders(ipxe="")):
        for name, content in dhcp_files([INSTALLS, STARTS], NETWORK, Menus(), loaders, tftp_root=str(tmp_path)):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
        file = tmp_path / "dhcp" / {"dnsmasq": "dnsmasq.conf", "kea-dhcp4": "kea-dhcp4.json"}[program]
        done = subprocess.run([found, *argv, file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_dhcp_servers_know_the_same_hosts() -> None:
    files = dict(dhcp_files([INSTALLS, STARTS], NETWORK, Menus(), LOADERS, tftp_root="/srv"))
    kea = json.loads(files["dhcp/kea-dhcp4.json"])["Dhcp4"]["subnet4"][0]["reservations"]
    rows = [line.split(",") for line in files["dhcp/dnsmasq.hosts"].decode().splitlines()]
    assert rows == [[row["hw-address"], row["ip-address"], row["hostname"]] for row in kea]
    assert len(rows) == 2


def files_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_only_what_changed_is_written_and_what_went_is_removed(tmp_path: Path) -> None:
    def run(*hosts: BootHost) -> tuple[int, int, int]:
        done = update_tree(tmp_path, loader_files(hosts, NETWORK, Menus(), GrubVerbs()), {"generation": "d@1"})
        return done.written, done.kept, done.removed

    assert run(INSTALLS, STARTS) == (11, 0, 0)
    (tmp_path / "grub/shimx64.efi").write_text("the site's")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != "netboot.json"}
    assert run(INSTALLS, STARTS) == (0, 11, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    changed = BootHost(INSTALLS.name, INSTALLS.mac, INSTALLS.address, BootAction.OS)
    assert run(changed, STARTS) == (3, 8, 0)
    (tmp_path / f"pxelinux.cfg/{STARTS.dashed_mac}").unlink()
    assert run(changed, STARTS) == (1, 10, 0)
    assert run(changed) == (0, 8, 3)
    left = files_of(tmp_path)
    record = json.loads(left.pop("netboot.json"))
    assert sorted(record["files"]) == sorted(left.keys() - {"grub/shimx64.efi"})
    assert record["generation"] == "d@1"
    assert len(left) == 9


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2, "files": {}}', '{"format": 1, "files": {"../x": "1"}}'])
def test_a_damaged_record_is_told_and_nothing_is_removed(tmp_path: Path, text: str) -> None:
    (tmp_path / "netboot.json").write_text(text)
    with pytest.raises(RollbuildError, match=r"the record of this netboot tree is damaged"):
        update_tree(tmp_path, loader_files([STARTS], NETWORK, Menus(), GrubVerbs()), {})
    assert files_of(tmp_path) == {"netboot.json": text}


def test_a_site_replaces_a_template(tmp_path: Path) -> None:
    (tmp_path / "grub-local.j2").write_text("    halt # {{ network.server }}\n")
    files = made(STARTS, menus=Menus(tmp_path))
    assert "halt # 10.1.1.1" in files[f"grub/grub.cfg-{STARTS.dashed_mac}"]
    assert "halt # 10.1.1.1" in files["grub/grub.cfg"]


def test_what_a_template_sets_for_one_host_is_not_there_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "pxelinux-host.j2").write_text("{% if host.action == 'install' %}{% set x = 1 %}{% endif %}{{ x }}")
    menus = Menus(tmp_path)
    assert made(INSTALLS, menus=menus)[f"pxelinux.cfg/{INSTALLS.dashed_mac}"] == "1"
    with pytest.raises(RollbuildError, match="'x' is undefined"):
        made(INSTALLS, STARTS, menus=menus)


BAD_TEMPLATES = {
    "unknown name": ("grub-hosts.j2", "x", "nothing uses the template", None),
    "syntax": ("grub-host.j2", "a\n{% if %}\n", "Expected an expression", 2),
    "undefined": ("pxelinux-host.j2", "a\nb\n{{ hots.name }}\n", "'hots' is undefined", 3),
    "unsafe": ("pxelinux-host.j2", "{{ ''.__class__.__mro__ }}", "unsafe", 1),
    "in an included one": ("grub-local.j2", "\n\n\n{{ nothing }}\n", "'nothing' is undefined", 4),
    "not UTF-8": ("grub-host.j2", b"\xff", "not UTF-8", None),
}


@pytest.mark.parametrize(("name", "text", "message", "line"), BAD_TEMPLATES.values(), ids=BAD_TEMPLATES)
def test_a_bad_template_is_told_with_its_line(
    tmp_path: Path, name: str, text: str | bytes, message: str, line: int | None
) -> None:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RollbuildError, match=message) as caught:
        made(STARTS, menus=Menus(tmp_path))
    if line is not None:
        location = caught.value.location
        assert location is not None
        assert (location.file, location.line) == (str(tmp_path / name), line)


def test_a_run_that_was_stopped_is_made_good_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(host: BootHost) -> None:
        update_tree(tmp_path, loader_files([host], NETWORK, Menus(), GrubVerbs()), {}, images=["el9-1"])

    run(STARTS)
    before = files_of(tmp_path)
    written: list[str] = []

    def stop_at_the_third(folder: Path, items: list[tuple[str, bytes]]) -> int:
        written.append(folder.name)
        if len(written) == 3:
            raise KeyboardInterrupt
        return write_many(folder, items)

    monkeypatch.setattr(placing, "write_many", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(BootHost("c1", STARTS.mac, "10.1.2.4", BootAction.INSTALL, "k", "i", ("a=b",)))
    assert files_of(tmp_path) != before
    monkeypatch.undo()
    run(STARTS)  # what it gets is what the record of the first run has
    assert files_of(tmp_path) == before


def test_a_template_that_fails_for_the_last_host_changes_nothing(tmp_path: Path) -> None:
    tree, templates = tmp_path / "tree", tmp_path / "templates"
    templates.mkdir()
    (templates / "ipxe-host.j2").write_text("{% if host.action == 'os' %}{{ nothing }}{% endif %}new")
    update_tree(tree, loader_files([INSTALLS, STARTS], NETWORK, Menus(), GrubVerbs()), {})
    before = files_of(tree)
    with pytest.raises(RollbuildError, match="'nothing' is undefined"):
        update_tree(tree, loader_files([INSTALLS, STARTS], NETWORK, Menus(templates), GrubVerbs()), {})
    assert files_of(tree) == before


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "grub").mkdir()
    (tmp_path / "grub/.rollbuild-0a-1-2").write_text("half")
    (tmp_path / "grub/other").write_text("the site's")
    (tmp_path / "ipxe/.rollbuild-0a-1-3").mkdir(parents=True)
    (tmp_path / "ipxe/.rollbuild-0a-1-3/half").write_text("half")
    placing.remove_leftovers(tmp_path)
    assert files_of(tmp_path) == {"grub/other": "the site's"}
