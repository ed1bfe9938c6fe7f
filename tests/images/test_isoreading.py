"""Images that other programs wrote, whole, cut, damaged and hostile."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.images import IsoImage, check_iso, open_iso
from rollbuild.images.isoreading import _stays_inside
from tests.programs import need_program

LONG = "a-package-with-a-long-name-1.2.3-4.el6.noarch.rpm"
DEEP = "hpc/7.0/x86_64/RedHat/RPMS/deep/er/than/eight/levels"


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("iso") / "tree"
    for name, content in {
        f"hpc/7.0/x86_64/RedHat/RPMS/{LONG}": b"rpm" * 5000,
        f"{DEEP}/file": b"deep",
        "empty": b"",
        "Case": b"1",
        "case": b"2",
        "a b/it's": b"3",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "a b/tool").write_bytes(b"#!")
    (folder / "a b/tool").chmod(0o555)
    (folder / "up").symlink_to("a b/tool")
    (folder / "a b/long-link").symlink_to("../" + "/".join(f"{number:03}" * 20 for number in range(12)))
    (folder / "out").symlink_to("../../etc/passwd")
    (folder / "etc").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    with open(os.fsencode(folder) + b"/latin-\xe9", "wb") as file:
        file.write(b"4")
    with open(os.fsencode(folder) + b"/new\nline", "wb") as file:
        file.write(b"5")
    return folder


def made(tmp_path_factory: pytest.TempPathFactory, tree: Path, *argv: str) -> Path:
    need_program(argv[0])
    output = tmp_path_factory.mktemp("iso") / "made.iso"
    subprocess.run([*argv, "-o", output, tree], check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    return output


@pytest.fixture(scope="session")
def xorriso_image(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Path:
    return made(tmp_path_factory, tree, "xorriso", "-as", "mkisofs", "-R", "-V", "HPC-7.0")


@pytest.fixture(scope="session")
def mkisofs_image(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Path:
    """As Rocks made its rolls."""
    return made(tmp_path_factory, tree, "genisoimage", "-V", "HPC-7.0", "-r", "-T", "-quiet")


@pytest.mark.parametrize("image", ["xorriso_image", "mkisofs_image"])
def test_everything_is_found_and_read(request: pytest.FixtureRequest, image: str, tree: Path, tmp_path: Path) -> None:
    iso = open_iso(request.getfixturevalue(image))
    assert iso.volume_id == "HPC-7.0"
    found = {
        entry.path: entry
        for entry in iso.entries()
        if not entry.path.endswith("TRANS.TBL") and not entry.path.lstrip(".").startswith("rr_moved")
    }
    expected = {os.fspath(path.relative_to(tree)): path for path in tree.rglob("*")}
    assert sorted(found) == sorted(expected)
    for name, path in expected.items():
        status = path.lstat()
        assert stat.S_IFMT(found[name].mode) == stat.S_IFMT(status.st_mode), name
        if found[name].is_file:
            assert iso.read(f"/{name}", 20_000) == path.read_bytes()
            assert bool(found[name].mode & 0o111) == bool(status.st_mode & 0o111)
        if found[name].is_link and not (image == "mkisofs_image" and name == "a b/long-link"):  # mkisofs cuts it
            assert found[name].target == os.readlink(path)


OTHER_NAMES = {
    "Joliet": (("genisoimage", "-quiet", "-J", "-joliet-long"), LONG),
    "plain": (("xorriso", "-as", "mkisofs", "--norock", "-iso-level", "2"), "A_PACKAGE_WITH_A_LONG_NAME_.RPM"),
}


@pytest.mark.parametrize(("argv", "name"), OTHER_NAMES.values(), ids=OTHER_NAMES)
def test_images_without_rock_ridge(tmp_path_factory: pytest.TempPathFactory, argv: tuple[str, ...], name: str) -> None:
    folder = tmp_path_factory.mktemp("names")
    (folder / "sub").mkdir()
    (folder / "sub" / LONG).write_bytes(b"rpm")
    entries = open_iso(made(tmp_path_factory, folder, *argv)).entries()
    assert [entry.path.lower() for entry in entries if entry.is_folder] == ["sub"]
    (file,) = (entry for entry in entries if entry.is_file)
    assert file.path.rpartition("/")[2] == name
    assert file.size == 3


def test_extracting_makes_nothing_outside(xorriso_image: Path, tree: Path, tmp_path: Path) -> None:
    iso = open_iso(xorriso_image)
    steps: list[int] = []
    before = os.umask(0o077)
    try:
        left_out = iso.extract("", tmp_path / "all", advance=steps.append)
    finally:
        os.umask(before)
    assert left_out == ("etc", "out", "pipe")
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(steps) == iso.content_size() == sum(path.stat().st_size for path in files)
    assert (tmp_path / "all/up").read_bytes() == b"#!"
    assert stat.S_IMODE((tmp_path / "all/a b/tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "all/a b/it's").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "all/a b").stat().st_mode) == 0o755
    assert (tmp_path / "all" / DEEP / "file").read_bytes() == b"deep"
    assert (tmp_path / "all/new\nline").read_bytes() == b"5"
    assert sorted(os.listdir(tmp_path)) == ["all"]


def test_extracting_a_part(xorriso_image: Path, tmp_path: Path) -> None:
    iso = open_iso(xorriso_image)
    assert iso.extract("/hpc/7.0/x86_64/RedHat/", tmp_path / "part") == ()
    assert (tmp_path / "part/RPMS" / LONG).stat().st_size == 15_000
    iso.extract("Case", tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == b"1"
    with pytest.raises(RollbuildError, match="file exists") as caught:
        iso.extract("case", tmp_path / "one")
    assert caught.value.exit_code == DISK
    assert (tmp_path / "one").read_bytes() == b"1"
    (tmp_path / "trap").symlink_to("one")
    with pytest.raises(RollbuildError):
        iso.extract("case", tmp_path / "trap")
    for name in ("none", "up", "../x", "hpc/7"):
        with pytest.raises(RollbuildError, match="no file or folder"):
            iso.extract(name, tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_reading_has_a_limit(xorriso_image: Path) -> None:
    iso = open_iso(xorriso_image)
    with pytest.raises(RollbuildError, match="larger than 4 bytes"):
        iso.read(f"hpc/7.0/x86_64/RedHat/RPMS/{LONG}", 4)
    for name in ("none", "hpc", "up", "pipe", ""):
        with pytest.raises(RollbuildError, match="this ISO image has no"):
            iso.read(name, 4)
    assert iso.find("hpc/7.0//") is not None
    assert iso.find("HPC") is None


LINKS = {
    ("a", "b"): True,
    ("a/b", "../c"): True,
    ("a", "../c"): False,
    ("a/b", "../../c"): False,
    ("a/b", "c/../d"): False,  # c may be a link
    ("a", "/etc"): False,
    ("a", ""): False,
    ("a", "./x//y"): True,
    ("a/b/c", "../../../x"): False,
}


@pytest.mark.parametrize(("link", "inside"), LINKS.items(), ids=str)
def test_which_links_stay_inside(link: tuple[str, str], inside: bool) -> None:
    assert _stays_inside(*link) is inside


def test_a_cut_image_is_told_apart(xorriso_image: Path, tmp_path: Path) -> None:
    whole = xorriso_image.read_bytes()
    cut = tmp_path / "cut.iso"
    for length in (len(whole) - 1, len(whole) // 2, 17 * 2048):
        cut.write_bytes(whole[:length])
        for work in (open_iso, check_iso):
            with pytest.raises(RollbuildError) as caught:
                work(cut)
            assert f"this ISO image is incomplete: {length:,} of {len(whole):,} bytes are there" in caught.value.message
            assert caught.value.exit_code == REFUSED
    cut.write_bytes(whole + b"more")
    assert open_iso(cut).volume_id == "HPC-7.0"


NO_IMAGES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "web page": (b"\n<!DOCTYPE html><title>404</title>", "it is a web page"),
    "raw": (b"\x00" + b"\xff" * 10 + b"\x00" + b"x" * 99999, "raw copy of a CD"),
    "zeros": (b"\0" * 99999, "no ISO 9660 volume descriptor"),
    "short": (b"x", "no ISO 9660 volume descriptor"),
}


@pytest.mark.parametrize(("content", "said"), NO_IMAGES.values(), ids=NO_IMAGES)
def test_files_that_are_no_images(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "--help"
    path.write_bytes(content)
    with pytest.raises(RollbuildError, match=said) as caught:
        open_iso(path)
    assert caught.value.exit_code == REFUSED
    assert caught.value.location is not None


def test_paths_that_hold_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, said in {"": "a folder", "none": "no such file", "pipe": "a pipe", "loop": "symbolic links"}.items():
        with pytest.raises(RollbuildError, match=said) as caught:
            open_iso(tmp_path / name)
        assert caught.value.exit_code == DISK


def test_a_relative_path_and_a_link(xorriso_image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-dev").symlink_to(xorriso_image)
    assert open_iso(Path("-dev")).read("Case", 9) == b"1"


def record(image: bytes, name: bytes) -> int:
    """Where the directory record of a Rock Ridge name starts: what leads to it are records, from a block's start."""
    place = image.index(b"NM" + bytes([5 + len(name)]) + b"\x01\x00" + name)
    start = place // 2048 * 2048
    while start + image[start] <= place:
        start += image[start]
    return start


def patched(path: Path, target: Path, change: Callable[[bytearray], None]) -> IsoImage:
    data = bytearray(path.read_bytes())
    change(data)
    target.write_bytes(data)
    return open_iso(target)


def test_a_file_in_several_parts(xorriso_image: Path, tmp_path: Path) -> None:
    def join(data: bytearray) -> None:
        first, second = record(bytes(data), b"Case"), record(bytes(data), b"case")
        assert second == first + data[first]
        data[first + 25] |= 0x80
        length = data[first + 32]
        assert data[second + 32] == length
        data[second + 33 : second + 33 + length] = data[first + 33 : first + 33 + length]

    iso = patched(xorriso_image, tmp_path / "parts.iso", join)
    assert iso.find("case") is None
    assert iso.read("Case", 9) == b"12"
    iso.extract("Case", tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == b"12"


HOSTILE: dict[str, tuple[bytes, bytes, str]] = {
    "climbs": (b"Case", b"/../", "a name that is none"),
    "slash": (b"Case", b"a/bc", "a name that is none"),
    "nul": (b"Case", b"a\0bc", "a name that is none"),
    "twice": (b"Case", b"case", "two of its files have the name"),
}


@pytest.mark.parametrize(("old", "new", "said"), HOSTILE.values(), ids=HOSTILE)
def test_names_that_no_honest_image_has(xorriso_image: Path, tmp_path: Path, old: bytes, new: bytes, said: str) -> None:
    def rename(data: bytearray) -> None:
        place = data.index(b"NM" + bytes([5 + len(old)]) + b"\x01\x00" + old) + 5
        data[place : place + len(old)] = new

    with pytest.raises(RollbuildError, match=said):
        patched(xorriso_image, tmp_path / "bad.iso", rename)


def test_a_folder_that_holds_itself(xorriso_image: Path, tmp_path: Path) -> None:
    def turn(data: bytearray) -> None:
        place = record(bytes(data), b"a b")
        data[place + 2 : place + 10] = data[16 * 2048 + 158 : 16 * 2048 + 166]

    with pytest.raises(RollbuildError, match="holds itself"):
        patched(xorriso_image, tmp_path / "bad.iso", turn)


def both(number: int, size: int = 4) -> bytes:
    return number.to_bytes(size, "little") + number.to_bytes(size, "big")


def folder_record(name: bytes, block: int, size: int) -> bytes:
    rest = both(block) + both(size) + bytes(7) + b"\2\0\0" + both(1, 2) + bytes([len(name)]) + name
    rest += b"\0" * (len(rest) % 2)
    return bytes([len(rest) + 2, 0]) + rest


def hostile(path: Path, folders: dict[int, tuple[int, list[tuple[bytes, int, int]]]]) -> Path:
    """A sparse image: block -> (bytes, (name, block, bytes) of the folders in it); the top is block 20."""
    size = max(block * 2048 + bytes_ for block, (bytes_, _) in folders.items())
    top = folder_record(b"\0", 20, folders[20][0])
    descriptor = bytearray(2048)
    descriptor[0:7] = b"\1CD001\1"
    descriptor[80:88] = both(-(-size // 2048))
    descriptor[128:132] = both(2048, 2)
    descriptor[156 : 156 + len(top)] = top
    with path.open("wb") as file:
        file.truncate(-(-size // 2048) * 2048)
        file.seek(16 * 2048)
        file.write(descriptor + b"\xffCD001\1")
        for block, (bytes_, below) in folders.items():
            file.seek(block * 2048)
            file.write(folder_record(b"\0", block, bytes_) + folder_record(b"\1", block, bytes_))
            file.write(b"".join(folder_record(*item) for item in below))
    return path


def test_folders_that_are_in_many_places(tmp_path: Path) -> None:
    """A few kilobytes that stand for gigabytes to read."""
    large = 64 * 1024 * 1024
    many = [(b"F%02d" % number, 100, large) for number in range(40)]
    path = hostile(tmp_path / "x.iso", {20: (2048, many), 100: (large, [])})
    with pytest.raises(RollbuildError, match="its folders have more than") as refusal:
        open_iso(path)
    assert refusal.value.exit_code == REFUSED


def test_folders_with_paths_without_number(tmp_path: Path) -> None:
    """Each folder has the next one many times over, by long names."""
    names = [bytes([97 + number]) * 200 for number in range(5)]
    chain = {block: (4096, [(name, block + 2, 4096) for name in names]) for block in range(20, 54, 2)}
    path = hostile(tmp_path / "x.iso", {**chain, 54: (4096, [])})
    with pytest.raises(RollbuildError, match="its folders have more than"):
        open_iso(path)


def test_content_beyond_the_end(xorriso_image: Path, tmp_path: Path) -> None:
    def lengthen(data: bytearray) -> None:
        place = record(bytes(data), b"Case")
        data[place + 10 : place + 14] = b"\xff\xff\xff\x7f"

    with pytest.raises(RollbuildError, match="the content of Case lies beyond its end"):
        patched(xorriso_image, tmp_path / "bad.iso", lengthen)


@pytest.mark.long
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 60 * 2048), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)
)
def test_damage_is_refused_and_never_a_traceback(
    xorriso_image: Path, tmp_path: Path, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(xorriso_image.read_bytes())
    for place, new in changes:
        place = 16 * 2048 + place
        data[place : place + len(new)] = new
    path = tmp_path / "bad.iso"
    path.write_bytes(data)
    try:
        iso = open_iso(path)
        for entry in iso.entries():
            assert ".." not in entry.path.split("/")
            if entry.is_file:
                iso.read(entry.path, 1_000_000)
    except RollbuildError as error:
        assert error.message
