import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.packages import Extras, check_repository, read_extras
from rollbuild.rolls import RollId, finish_roll, parse_requirement, read_built_roll, read_old_roll_xml, write_roll_xml
from tests.rpms import make_rpm

ROLL = RollId("lab", "1.0", "2", "x86_64")
EPOCH = 1_700_000_000
GROUPS = b"<comps><group><id>lab</id><name>Lab</name></group></comps>"


def test_roll_xml_says_the_same_everywhere() -> None:
    text = write_roll_xml(ROLL, epoch=EPOCH, color="tan", has_sources=True).decode()
    assert '<timestamp time="22:13:20" date="November 14 2023" tz="UTC"/>' in text
    assert '<info version="1.0" release="2" arch="x86_64" os="linux"/>' in text
    assert '<rpm rolls="0" bin="1" src="1"/>' in text
    assert read_old_roll_xml(text.encode(), "x").id == ROLL
    assert read_old_roll_xml(text.encode(), "x").color == "tan"


OLD = """<roll name="hpc" interface="4.0">
stray text
<timestamp time="10:00:00" date="May 05 2011" tz="PST"/>
<info version="5" release="0" arch="i386" os="linux"/>
<color edge="green" node="green"/>
<info version="5.4" release="1" arch="x86_64"/>
<rpm rolls="0" bin="1" src="0"/>/
</roll>
"""


def test_old_roll_xml_is_read_as_old_tools_did() -> None:
    read = read_old_roll_xml(b"\n junk \n" + OLD.encode(), "roll-hpc.xml")
    assert (str(read.id), read.os, read.color) == ("hpc-5.4-1.x86_64", "linux", "green")
    assert read_old_roll_xml(OLD.replace("stray", "stré").encode("latin-1"), "x").id == read.id


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("", "cannot be read", 1),
        ("<roll name='a'>", "cannot be read", 1),
        ("<pallet name='a'/>", "begins with <pallet>", 0),
        (OLD.replace('name="hpc" ', ""), "<roll> has no name", 1),
        ("<roll name='a' interface='4.0'>\n</roll>", "there is no <info>", 1),
        (OLD.replace('version="5.4" ', ""), "<info> has no version", 6),
        (OLD.replace('arch="x86_64"', 'arch=" "'), "<info> has no arch", 6),
        (OLD.replace("hpc", "../hpc"), "no name of a roll", 0),
        ("<!DOCTYPE roll [<!ENTITY a 'b'>]>" + OLD, "no document type", 0),
    ],
)
def test_wrong_old_roll_xml(text: str, said: str, line: int) -> None:
    with pytest.raises(RollbuildError) as caught:
        read_old_roll_xml(text.encode(), "roll-hpc.xml")
    assert said in caught.value.message
    assert caught.value.location and caught.value.location.file == "roll-hpc.xml"
    assert caught.value.location.line == line


@given(st.binary(max_size=300))
def test_any_old_roll_xml_is_read_or_refused(data: bytes) -> None:
    with pytest.raises(RollbuildError):
        read_old_roll_xml(data, "x")


def make_folder(folder: Path) -> Path:
    inner = folder / "lab/1.0/x86_64"
    make_rpm(inner / "RPMS", "tool", release="1.el9", files={"/usr/bin/tool": "x"})
    make_rpm(inner / "SRPMS", "tool", release="1.el9", arch="src")
    (inner / "profile/nodes").mkdir(parents=True)
    (inner / "profile/nodes/a.xml").write_text("<kickstart/>")
    (inner / "RPM-GPG-KEY-lab").write_text("a key")
    return inner


def test_a_folder_becomes_a_built_roll(tmp_path: Path) -> None:
    inner = make_folder(tmp_path)
    built = finish_roll(
        inner,
        ROLL,
        epoch=EPOCH,
        summary="Tools\n of the lab",
        releases=["el9"],
        requires=[parse_requirement("base >= 1")],
        priority=60,
        extras=Extras(groups=GROUPS),
    )
    assert read_built_roll(inner) == built
    assert (built.id, built.summary, built.priority, built.epoch) == (ROLL, "Tools of the lab", 60, EPOCH)
    assert [(item.file, item.arch) for item in built.packages] == [
        ("RPMS/tool-1.0-1.el9.noarch.rpm", "noarch"),
        ("SRPMS/tool-1.0-1.el9.src.rpm", "src"),
    ]
    assert built.keys == ("RPM-GPG-KEY-lab",)
    assert {"roll-lab.xml", "profile/nodes/a.xml", "repodata/repomd.xml"} <= built.files.keys()
    assert list(check_repository(inner, digests=True)) == ["RPMS/tool-1.0-1.el9.noarch.rpm"]
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=inner, check=True)
    assert {round(path.stat().st_mtime) for path in inner.rglob("*")} == {EPOCH}
    # Once more: the groups of the metadata are kept, and nothing changes.
    again = finish_roll(inner, ROLL, epoch=EPOCH, summary="Tools of the lab", releases=["el9"], priority=60)
    assert read_extras(inner).groups is not None
    assert again.files == built.files


def test_equal_folders_become_equal_rolls(tmp_path: Path) -> None:
    finish_roll(one := make_folder(tmp_path / "one"), ROLL, epoch=EPOCH)
    two = make_folder(tmp_path / "two")
    for path in two.rglob("*"):
        os.utime(path, (5, 5))
        path.chmod(0o700 if path.is_dir() else 0o600)
    finish_roll(two, ROLL, epoch=EPOCH)
    assert contents(one) == contents(two)


def contents(folder: Path) -> dict[str, tuple[int, float, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode, path.stat().st_mtime, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_packages_that_cannot_be_are_all_told(tmp_path: Path) -> None:
    inner = make_folder(tmp_path)
    (inner / "RPMS/broken.rpm").write_bytes(b"no package")
    other = make_rpm(tmp_path, "tool", release="1.el9", files={"/usr/bin/tool": "other"})
    other.rename(inner / "RPMS/zz.rpm")
    with pytest.raises(FindingsError) as caught:
        finish_roll(inner, ROLL, epoch=EPOCH)
    told = {item.location.file.rsplit("/", 1)[1]: item.message for item in caught.value.findings if item.location}
    assert sorted(told) == ["broken.rpm", "zz.rpm"]
    assert "twice with different contents" in told["zz.rpm"]


def test_links_are_refused(tmp_path: Path) -> None:
    inner = make_folder(tmp_path)
    (inner / "profile/nodes/b.xml").symlink_to("/etc/passwd")
    with pytest.raises(RollbuildError, match="files and folders only"):
        finish_roll(inner, ROLL, epoch=EPOCH)


def test_roll_json_is_plain(tmp_path: Path) -> None:
    inner = make_folder(tmp_path)
    finish_roll(inner, ROLL, epoch=EPOCH)
    content = json.loads((inner / "roll.json").read_text())
    assert content["files"]["profile/nodes/a.xml"]["size"] == len("<kickstart/>")
    assert os.path.basename(str(tmp_path)) not in json.dumps(content)
