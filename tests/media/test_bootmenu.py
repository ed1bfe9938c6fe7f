"""Boot menus of install media: written from one list, and those of others read and changed."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import RollbuildError
from rollbuild.location import Location
from rollbuild.media import BootMenu, Menus, check_label
from rollbuild.media.bootmenu import install_entries, make_label
from rollbuild.media.hostiso import describe_host
from rollbuild.media.kernellines import ArgumentEdit, edit_grub, edit_isolinux, edit_menu
from rollbuild.media.kickstarts import prepare_kickstart
from tests.programs import need_program

ISOLINUX = {"isolinux/isolinux.bin", "EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grub.cfg"}
ENTRIES = install_entries(
    [("frontend", ("inst.ks=hd:LABEL=RB:/ks/frontend.ks", "a=b;c"))], ("inst.rescue",), "images/k", "images/i"
)
MENU = BootMenu("RB", "rollbuild: it's 9", ENTRIES, timeout=30)


def write(files: set[str], menu: BootMenu = MENU, *, own: bytes = b"\tlinuxefi /k\n", folder: Path | None = None):
    bios = bool(files & {"isolinux/isolinux.bin", "images/eltorito.img"})
    return menu.write(Menus(folder), files, lambda path: own, bios=bios, efi="EFI/BOOT/BOOTX64.EFI" in files)


def test_every_loader_gets_the_same_arguments():
    written = write(ISOLINUX)
    assert sorted(written) == ["EFI/BOOT/grub.cfg", "isolinux/isolinux.cfg"]
    isolinux, grub = written["isolinux/isolinux.cfg"].decode(), written["EFI/BOOT/grub.cfg"].decode()
    assert "append initrd=/images/i inst.ks=hd:LABEL=RB:/ks/frontend.ks a=b;c\n" in isolinux
    assert "linuxefi /images/k inst.ks=hd:LABEL=RB:/ks/frontend.ks 'a=b;c'\n" in grub
    assert "initrdefi /images/i\n" in grub
    for text in (isolinux, grub):
        assert text.count("rd.live.check") == 1 and text.count("inst.rescue") == 1


def test_the_local_disk_is_what_starts():
    written = write(ISOLINUX)
    assert "\ndefault local\ntimeout 300\n" in written["isolinux/isolinux.cfg"].decode()
    assert "\n  boot /isolinux/local.bin\n" in written["isolinux/isolinux.cfg"].decode()
    assert written["EFI/BOOT/grub.cfg"].decode().split("\n")[1:3] == ["set default=local", "set timeout=30"]


def test_the_menu_of_the_tree_decides_the_look_and_the_verbs():
    written = write({*ISOLINUX, "isolinux/vesamenu.c32", "isolinux/menu.c32"}, own=b"  linux /k\n")
    assert "\nui vesamenu.c32\n" in written["isolinux/isolinux.cfg"].decode()
    assert "\n    linux /images/k" in written["EFI/BOOT/grub.cfg"].decode()
    assert b"\nprompt 1\n" in write(ISOLINUX)["isolinux/isolinux.cfg"]


def test_grub_on_bios_reads_its_own():
    written = write({"images/eltorito.img", "EFI/BOOT/BOOTX64.EFI", "boot/grub/grub.cfg"}, own=b"linux /k\n")
    assert sorted(written) == ["EFI/BOOT/grub.cfg", "boot/grub/grub.cfg", "boot/grub2/grub.cfg"]
    assert "\n    linux /images/k" in written["boot/grub2/grub.cfg"].decode()
    assert "\n    linuxefi /images/k" in written["EFI/BOOT/grub.cfg"].decode()  # what EL's has, where none tells


def test_grub_accepts_what_is_written(tmp_path: Path):
    need_program("grub-script-check")
    for path, content in write({*ISOLINUX, "boot/grub2/grub.cfg"}).items():
        if path.endswith("grub.cfg"):
            (tmp_path / "grub.cfg").write_bytes(content)
            subprocess.run(["grub-script-check", tmp_path / "grub.cfg"], check=True)


def test_a_site_has_its_own_template(tmp_path: Path):
    (tmp_path / "dvd-isolinux.j2").write_text("serial 0\n{% for entry in entries %}{{ entry.id }} {% endfor %}\n")
    written = write(ISOLINUX, folder=tmp_path)
    assert written["isolinux/isolinux.cfg"] == b"serial 0\nlocal install-frontend check-frontend rescue "
    assert b"linuxefi" in written["EFI/BOOT/grub.cfg"]


@pytest.mark.parametrize("label", ["", "a", "A B", "É", "A" * 33, "A/B", "A.B", "A\n"])
def test_labels_that_do_not_work(label: str):
    with pytest.raises(RollbuildError):
        check_label(label)


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True), st.integers(1, 999_999_999))
def test_every_distribution_has_a_label(name: str, number: int):
    label = make_label(name, number, "x86_64")
    assert check_label(label) == label and label.endswith(f"-{number}-X86_64")


# Menus as the DVDs of EL have them, in other words.
EL9_ISOLINUX = r"""default vesamenu.c32
timeout 600
label linux
  menu label ^Install Rocky Linux 9
  kernel vmlinuz
  append initrd=initrd.img inst.stage2=hd:LABEL=Rocky\x209 quiet
label memtest
  kernel memtest
  append console=off
label rescue
  kernel vmlinuz
  initrd initrd.img
  append inst.stage2=hd:LABEL=Rocky\x209 inst.rescue quiet
"""
EL9_GRUB = r"""set default="1"
search --no-floppy --set=root -l 'Rocky 9'
menuentry 'Install Rocky Linux 9' --class fedora {
	linuxefi /images/pxeboot/vmlinuz inst.stage2=hd:LABEL=Rocky\x209 quiet
	initrdefi /images/pxeboot/initrd.img
}
menuentry 'Rescue' {
	linux /images/pxeboot/vmlinuz inst.stage2=hd:LABEL=Rocky\x209 inst.rescue quiet "a b"
}
"""
EDIT = ArgumentEdit(
    remove=("quiet",),
    add=("console=tty0", "console=ttyS0"),
    instead=("inst.ks=hd:LABEL=NEW:/ks.cfg",),
    install_only=frozenset(("inst.ks",)),
    label=("Rocky 9", "NEW"),
)


def test_the_menu_of_isolinux_is_changed():
    text, count = edit_isolinux(EL9_ISOLINUX, EDIT)
    assert count == 2
    lines = [line for line in text.splitlines() if "append" in line]
    assert lines == [
        "  append initrd=initrd.img inst.stage2=hd:LABEL=NEW inst.ks=hd:LABEL=NEW:/ks.cfg console=tty0 console=ttyS0",
        "  append console=off",
        "  append inst.stage2=hd:LABEL=NEW inst.rescue console=tty0 console=ttyS0",
    ]
    rest = [line for line in EL9_ISOLINUX.splitlines() if "append" not in line]
    assert [line for line in text.splitlines() if "append" not in line] == rest


def test_the_menu_of_grub_is_changed():
    text, count = edit_grub(EL9_GRUB, EDIT)
    assert count == 2
    assert "search --no-floppy --set=root -l NEW\n" in text and "Rocky 9" not in text
    assert "\tlinuxefi /images/pxeboot/vmlinuz inst.stage2=hd:LABEL=NEW inst.ks=hd:LABEL=NEW:/ks.cfg console=" in text
    assert 'inst.rescue "a b" console=tty0 console=ttyS0\n' in text


def test_a_second_change_does_not_pile_up():
    once, _ = edit_grub(EL9_GRUB, EDIT)
    assert edit_grub(once, EDIT) == (once, 2)


def test_names_take_out_every_value():
    edit = ArgumentEdit(remove=("inst.stage2", "inst.rescue=x"))
    text, _ = edit_isolinux(EL9_ISOLINUX, edit)
    assert "inst.stage2" not in text and "inst.rescue" in text


def test_a_menu_without_a_kernel_has_no_lines():
    for text in ("", "label a\n localboot 0xffff\n", "chainloader +1\n", "# linux /x\n"):
        assert edit_isolinux(text, EDIT)[1] == edit_grub(text, EDIT)[1] == 0


def test_our_own_menus_are_understood():
    for path, content in write({*ISOLINUX, "boot/grub2/grub.cfg"}).items():
        changed, count = edit_menu(path, content.decode(), ArgumentEdit(add=("x=1",)))
        assert count == 3 and changed.count("x=1") == 3


@given(st.text(max_size=300))
def test_no_change_changes_little(text: str):
    for edit in (edit_grub, edit_isolinux):
        changed, _ = edit(text, ArgumentEdit())
        assert changed.split() == text.split()


@pytest.mark.parametrize(
    ("text", "changed", "source"),
    [
        ("cdrom\nreboot\n", "cdrom\nreboot --eject\n", "cdrom"),
        ("reboot --eject\nurl --url=http://x\n", "reboot --eject\nurl --url=http://x\n", "url"),
        ("reboot --kexec\n", "reboot --kexec --eject\n", ""),
        ("reboot # now\n", "reboot --eject\n", ""),
        ("poweroff\n%post\nreboot\n%end\n", "poweroff\n%post\nreboot\n%end\n", ""),
        ("%include /tmp/x\nreboot", "%include /tmp/x\nreboot --eject", ""),
        ("#reboot\n", "#reboot\n", ""),
    ],
)
def test_a_kickstart_on_a_disc_ejects_it(text: str, changed: str, source: str):
    prepared = prepare_kickstart("x", text.encode())
    assert (prepared.content.decode(), prepared.source, prepared.ejects) == (changed, source, text != changed)


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("rootpw --iscrypted $6$salt$0123456789abcdef", True),
        ("rootpw --plaintext secret", True),
        ("user --name=a --password=$y$j9T$abcdefgh$0123456789", True),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", True),
        ("rootpw --lock", False),
        ('sshkey --username=root "ssh-ed25519 AAAA"', False),
        ("echo $1 $6", False),
    ],
)
def test_secrets_are_seen(line: str, has: bool):
    assert prepare_kickstart("x", f"lang en_US\n{line}\n".encode()).has_secrets is has


def test_a_host_without_dhcp():
    given = {"address": "10.1.0.5/16", "gateway": "10.1.0.1", "dns": "10.1.0.1, 10.1.0.2", "ksmac": "52-54-00-AA-BB-01"}
    host = describe_host(
        "c0", given, Location("h"), tree_url="http://t", kickstart_url="http://k/{host}?{mac}&{address}"
    )
    assert host.kickstart == "http://k/c0?52:54:00:aa:bb:01&10.1.0.5"
    assert (str(host.network.address), host.network.nameservers) == ("10.1.0.5/16", ("10.1.0.1", "10.1.0.2"))


@pytest.mark.parametrize("line", ["linux /v quiet # note", "linux /v quiet \\"])
def test_a_grub_line_that_is_not_all_of_it_is_refused(line: str) -> None:
    with pytest.raises(RollbuildError, match="not understood: line 2"):
        edit_grub(f"menuentry x {{\n{line}\ninitrd /i\n}}\n", ArgumentEdit(add=("inst.text",)))


def test_a_lone_quote_stays() -> None:
    text, _ = edit_isolinux("label l\nkernel v\nappend initrd=i x=Bob's quiet\n", ArgumentEdit(add=("inst.text",)))
    assert "append initrd=i x=Bob's quiet inst.text\n" in text


@pytest.mark.parametrize("start", ["append", "linux /v"])
def test_a_menu_of_blanks_takes_no_time(start: str) -> None:
    # With a pattern that goes back for each blank this would take minutes.
    editor = edit_isolinux if start == "append" else edit_grub
    line = start + " " * 200_000 + "x"
    assert editor(f"label l\nkernel v\ninitrd i\n{line}\n", ArgumentEdit(add=("y",)))[1] == 1


@pytest.mark.parametrize("include", ["%include /tmp/x", "%ksappend /tmp/x"])
def test_an_include_does_not_end_a_script(include: str) -> None:
    text = f"%post\n{include}\nreboot\n%end\n{include}\nreboot\n"
    assert prepare_kickstart("x", text.encode()).content.decode() == text.removesuffix("\n") + " --eject\n"


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("rootpw secret", True),
        ("rootpw --lock", False),
        ("user --name=a --password=b", True),
        ("network --wpakey=x", True),
        ("part / --encrypted --passphrase x", True),
        ("timezone UTC", False),
    ],
)
def test_more_secrets_are_known(line: str, has: bool) -> None:
    assert prepare_kickstart("x", f"lang en_US\n{line}\n".encode()).has_secrets is has
