import lzma
import os
import shutil
import stat
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.packages import payload, unpack_rpm, verify_rpm
from tests.programs import need_program
from tests.rpms import INT32, STRING, compress, join_rpm, make_cpio, make_rpm

PROFILE = {
    "/export/profile/graphs/default/hpc.xml": "<graph/>\n",
    "/export/profile/nodes/base.xml": "<kickstart/>\n" * 1000,
    "/export/profile/nodes/empty.xml": "",
    "/export/profile/bin/setup": "#!/bin/sh\ntrue\n",
    "/export/profile.txt": "beside it",
    "/usr/share/other": "other",
}
NAMES = ("bin/setup", "graphs/default/hpc.xml", "nodes/base.xml", "nodes/empty.xml")
FILE, LINK, FOLDER, PIPE = 0o100644, 0o120777, 0o040755, 0o010644


def make_package(folder: Path, entries: list[tuple[str, int, bytes]] | bytes, how: str = "none") -> Path:
    """A package whose payload is this archive, or has these entries."""
    cpio = entries if isinstance(entries, bytes) else make_cpio(entries)
    tags = [(1000, STRING, "tiny"), (1001, STRING, "1"), (1002, STRING, "2"), (1022, STRING, "noarch")]
    path = folder / "tiny.rpm"
    path.write_bytes(join_rpm([*tags, (1044, STRING, "x")], cpio if how == "raw" else compress(cpio, how)))
    return path


def refusal(path: Path, destination: Path, below: str = "p") -> RollbuildError:
    with pytest.raises(RollbuildError) as caught:
        unpack_rpm(path, destination, below=below)
    return caught.value


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("how", ["gzip", "xz", "zstd", "bzip2", "lzma", "none"])
@pytest.mark.parametrize("below", ["export/profile", "/export/profile/"])
def test_a_payload_is_unpacked_however_it_is_compressed(tmp_path, how, below):
    path = make_rpm(tmp_path, "roll-hpc-kickstart", files=PROFILE, payload=how)
    out = tmp_path / "new" / "out"
    assert unpack_rpm(path, out, below=below) == NAMES
    assert contents(out) == {name: PROFILE[f"/export/profile/{name}"].encode() for name in NAMES}
    modes = {name: stat.S_IMODE((out / name).stat().st_mode) for name in ("bin/setup", "nodes", "nodes/base.xml")}
    assert modes == {"bin/setup": 0o755, "nodes": 0o755, "nodes/base.xml": 0o644}


def test_everything_or_nothing_can_be_wanted(tmp_path):
    path = make_rpm(tmp_path, "app", files=PROFILE)
    assert len(unpack_rpm(path, tmp_path / "all", below="")) == len(PROFILE)
    assert unpack_rpm(path, tmp_path / "none", below="no/such") == ()
    assert unpack_rpm(make_rpm(tmp_path, "empty"), tmp_path / "none", below="") == ()
    source = make_rpm(tmp_path, "app", arch="src", files={"app.spec": "Name: app"})
    assert unpack_rpm(source, tmp_path / "source", below="") == ("app.spec",)


@pytest.mark.parametrize("macro", ["w9.gzdio", "w7.xzdio", "w19.zstdio", "w9.bzdio", "w7.lzdio", "w.ufdio"])
def test_packages_of_rpmbuild_are_unpacked(tmp_path, macro):
    need_program("rpmbuild")
    spec = tmp_path / "x.spec"
    spec.write_text(
        "Name: roll-x-kickstart\nVersion: 7\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n"
        "%description\nx\n%install\nmkdir -p %{buildroot}/export/profile/nodes\ncd %{buildroot}/export/profile\n"
        "echo one > nodes/one.xml\nln nodes/one.xml nodes/same.xml\nln -s one.xml nodes/link.xml\n"
        "%files\n/export/profile\n"
    )
    definitions = {"_topdir": tmp_path, "_binary_payload": macro, "_rpmdir": tmp_path, "_rpmfilename": "x.rpm"}
    options = [option for name, value in definitions.items() for option in ("-D", f"{name} {value}")]
    done = subprocess.run(["rpmbuild", "-bb", *options, spec], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"rpmbuild does not write payloads of the kind {macro}")
    assert verify_rpm(tmp_path / "x.rpm").nevra == "roll-x-kickstart-0:7-1.noarch"
    out = tmp_path / "out"
    names = ("nodes/link.xml", "nodes/one.xml", "nodes/same.xml")
    assert unpack_rpm(tmp_path / "x.rpm", out, below="export/profile") == names
    assert contents(out) == dict.fromkeys(names, b"one\n")
    assert not any(path.is_symlink() for path in out.rglob("*"))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("./p/../../../etc/cron.d/x", FILE, b"x")], "leads out of it"),
        ([("../x", FILE, b"x")], "leads out of it"),
        ([("./p/a", FILE, b"1"), ("p//./a", FILE, b"2")], "a twice"),
        ([("./p/a", FILE, b"1"), ("./p/a/b", FILE, b"2")], "as a file and as a folder"),
        ([("./p/a", LINK, b"/etc/passwd")], "link a means /etc/passwd, which is no file beside it"),
        ([("./p/a", LINK, b"../q"), ("./q", FILE, b"")], "which is no file beside it"),
        ([("./p/a", LINK, b"b"), ("./p/b", LINK, b"a")], "which is no file beside it"),
        ([("./p/a", LINK, b"/var"), ("./p/a/b", FILE, b"2")], "which is no file beside it"),
        ([("./p/a\0b", FILE, b"1")], "leads out of it"),
        ([("./p/a\nb", FILE, b"1")], "control characters"),
        ([("./p/\udce4", FILE, b"1")], "not UTF-8"),
    ],
)
def test_hostile_archives_are_refused_before_anything_is_written(tmp_path, entries, words):
    error = refusal(make_package(tmp_path, [("./p/first", FILE, b"1"), *entries]), tmp_path / "out")
    assert words in str(error)
    assert error.exit_code == REFUSED
    assert error.location is not None
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.rpm"]


def test_absolute_names_stay_below_the_destination(tmp_path):
    path = make_package(tmp_path, [("/p/a", FILE, b"1"), ("/p/pipe", PIPE, b""), ("/p/d", FOLDER, b"")])
    assert unpack_rpm(path, tmp_path / "out", below="p") == ("a",)
    assert contents(tmp_path / "out") == {"a": b"1"}


def test_symbolic_links_become_copies_of_what_they_mean(tmp_path):
    entries = [
        ("./p/x/far", LINK, b"../near"),
        ("./p/near", LINK, b"./deep/file"),
        ("./p/deep/file", FILE, b"content"),
        ("./p/root", LINK, b"/p/deep/file"),
    ]
    unpack_rpm(make_package(tmp_path, entries), tmp_path / "out", below="p")
    assert contents(tmp_path / "out") == dict.fromkeys(("x/far", "near", "deep/file", "root"), b"content")


@pytest.mark.parametrize("last", [False, True])
def test_hard_links_share_their_content(tmp_path, last):
    archive = make_cpio([("./p/a", FILE, b"" if last else b"same"), ("./p/b", FILE, b"same" if last else b"")])
    # Both are the inode 1, with two links.
    fields = archive.index(b"070701", 6)
    archive = archive[: fields + 6] + b"00000001" + archive[fields + 14 :]
    archive = archive.replace(b"00000001000081a400000000000000000000000" + b"1", b"00000001000081a4" + b"0" * 23 + b"2")
    unpack_rpm(make_package(tmp_path, archive), tmp_path / "out", below="p")
    assert contents(tmp_path / "out") == {"a": b"same", "b": b"same"}


@pytest.mark.parametrize(
    ("archive", "how", "words"),
    [
        (b"", "raw", "no payload"),
        (b"PK\x03\x04 hello", "raw", "compressed in an unknown way"),
        (b"no archive at all" * 20, "gzip", "no cpio archive"),
        (b"07070X" + bytes(200), "gzip", "more than 4 GiB"),
        (b"070701" + b"zz" * 60, "gzip", "damaged"),
        (b"070701" + b"0" * 104 + bytes(8), "gzip", "impossible length"),
        (make_cpio([("./p/a", FILE, b"x" * 99)])[:-150], "gzip", "cut short"),
        (make_cpio([("./p/a", FILE, b"x" * 99)])[:130], "zstd", "cut short"),
        (compress(b"x" * 5000, "gzip")[:-9], "raw", "cannot be unpacked"),
        (compress(b"x" * 5000, "xz")[:-9], "raw", "cannot be unpacked"),
        (compress(b"x" * 5000, "bzip2")[:-9], "raw", "cannot be unpacked"),
        (b"\x28\xb5\x2f\xfdgarbage", "raw", "no whole zstd file"),
    ],
)
def test_damaged_payloads_are_refused(tmp_path, archive, how, words):
    error = refusal(make_package(tmp_path, archive, how), tmp_path / "out")
    assert words in str(error)
    assert not (tmp_path / "out").exists()


def test_a_compressor_that_is_no_text_is_refused(tmp_path):
    tags = [(1000, STRING, "x"), (1001, STRING, "1"), (1002, STRING, "2"), (1022, STRING, "noarch")]
    (tmp_path / "x.rpm").write_bytes(join_rpm([*tags, (1044, STRING, "x"), (1125, INT32, [7])], b"unknown"))
    assert "the tag 1125 is no text" in str(refusal(tmp_path / "x.rpm", tmp_path / "out"))


def test_digests_are_compared_first(tmp_path):
    path = make_rpm(tmp_path, "app", files=PROFILE, payload="none")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"<graph/>", b"<graft/>"))
    assert "the content of this package is damaged" in str(refusal(path, tmp_path / "out", "export/profile"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", ["gzip", "zstd"])
@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("_MAX_FILES", 2, "more than 2 files"),
        ("_MAX_WANTED_BYTES", 50, "larger than 50 bytes"),
        ("_MAX_PAYLOAD_BYTES", 50, "larger than 50 bytes together"),
    ],
)
def test_payloads_have_limits(tmp_path, monkeypatch, how, limit, value, words):
    monkeypatch.setattr(payload, limit, value)
    path = make_package(tmp_path, [(f"./p/{number}", FILE, b"x" * 40) for number in range(3)], how)
    assert words in str(refusal(path, tmp_path / "out"))


def test_a_small_file_that_unpacks_to_a_huge_one_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(payload, "_MAX_ZSTD_BYTES", 1_000_000)
    path = make_package(tmp_path, bytes(50_000_000), "zstd")
    assert path.stat().st_size < 20_000
    assert "unpacks to more than 1,000,000 bytes" in str(refusal(path, tmp_path / "out"))


@pytest.mark.parametrize("how", ["xz", "lzma"])
def test_a_file_that_asks_for_memory_is_refused(tmp_path, how):
    cpio = make_cpio([("./p/a", FILE, b"text")])
    lzma2 = {"id": lzma.FILTER_LZMA2, "dict_size": 1024**2}
    if how == "xz":
        data = bytearray(lzma.compress(cpio, format=lzma.FORMAT_XZ, filters=[lzma2]))
        data[data.index(b"\x21\x01", 12) + 2] = 39  # a dictionary of 3 GiB
        end = 12 + (data[12] + 1) * 4
        data[end - 4 : end] = zlib.crc32(data[12 : end - 4]).to_bytes(4, "little")
    else:
        data = bytearray(lzma.compress(cpio, format=lzma.FORMAT_ALONE))
        data[1:5] = (3 * 1024**3).to_bytes(4, "little")
    tags = [(1000, STRING, "tiny"), (1001, STRING, "1"), (1002, STRING, "2"), (1022, STRING, "noarch")]
    path = tmp_path / "tiny.rpm"
    path.write_bytes(join_rpm([*tags, (1044, STRING, "x")], bytes(data)))
    found = refusal(path, tmp_path / "out")
    assert "Memory usage limit exceeded" in found.message
    assert not (tmp_path / "out").exists()


def test_what_is_there_already_stays_as_it_was(tmp_path):
    out = tmp_path / "out"
    (out / "p").mkdir(parents=True)
    (out / "z").write_text("mine")
    path = make_package(tmp_path, [("./p/a", FILE, b"1"), ("./p/z", FILE, b"2")])
    error = refusal(path, out)
    assert f"has the file z, which is in {out} already" in str(error)
    assert contents(out) == {"z": b"mine"}


def test_no_link_in_the_destination_is_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    error = refusal(make_package(tmp_path, [("./p/sub/a", FILE, b"1")]), tmp_path / "out")
    assert error.exit_code == DISK
    assert not list((tmp_path / "elsewhere").iterdir())


SAMPLE = make_cpio([("./p/a", FILE, b"one"), ("./p/b/c", FILE, b"two"), ("./p/l", LINK, b"a"), ("./q", FILE, b"")])
EDITS = st.lists(
    st.tuples(
        st.integers(0, len(SAMPLE) - 1), st.sampled_from([b"0", b"f", b"/", b"..", b"\0", b"7", b"./p/", b"8" * 8])
    ),
    max_size=8,
)


@given(EDITS, st.integers(0, len(SAMPLE)))
def test_any_archive_is_unpacked_inside_the_destination_or_refused(tmp_path_factory, edits, length):
    archive = bytearray(SAMPLE)
    for at, text in edits:
        archive[at : at + len(text)] = text
    folder = tmp_path_factory.mktemp("fuzz")
    path = make_package(folder, bytes(archive[: length if length % 3 == 0 else None]))
    try:
        names = unpack_rpm(path, folder / "out", below="p")
        assert sorted(names) == sorted(contents(folder / "out"))
    except RollbuildError as error:
        assert str(error)
    assert {entry.name for entry in folder.iterdir()} <= {"tiny.rpm", "out"}
    shutil.rmtree(folder)
