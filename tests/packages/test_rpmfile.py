import hashlib
import os
import subprocess
from pathlib import Path

import createrepo_c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.packages import RpmFile, read_rpm, verify_rpm
from rollbuild.packages.openpgp import UNKNOWN_ID, read_issuers, read_key_ids
from tests.programs import need_programs
from tests.rpms import BIN, INT32, STRING, Entry, join_rpm, make_header, make_lead, make_rpm

LEAD = 96
MINIMAL: list[Entry] = [
    (1000, STRING, "tiny"),
    (1001, STRING, "1"),
    (1002, STRING, "2"),
    (1022, STRING, "noarch"),
    (1044, STRING, "tiny.src.rpm"),
]


def refusal(path: Path, read=verify_rpm) -> RollbuildError:
    with pytest.raises(RollbuildError) as caught:
        read(path)
    return caught.value


def header_at(package: bytes) -> int:
    """Where the main header begins."""
    return package.index(b"\x8e\xad\xe8\x01", LEAD + 4)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rpm(tmp_path_factory.mktemp("rpm"), "app", version="1.2", files={"/etc/app": "x" * 40})


@pytest.fixture
def write(tmp_path: Path):
    def write(content: bytes) -> Path:
        path = tmp_path / "some.rpm"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("options", "nevra", "file_name"),
    [
        ({}, "app-0:1.0-1.noarch", "app-1.0-1.noarch.rpm"),
        ({"epoch": "3", "arch": "x86_64"}, "app-3:1.0-1.x86_64", "app-1.0-1.x86_64.rpm"),
        (
            {"version": "2^git~1", "release": "4.el9_2"},
            "app-0:2^git~1-4.el9_2.noarch",
            "app-2^git~1-4.el9_2.noarch.rpm",
        ),
        ({"arch": "src"}, "app-0:1.0-1.src", "app-1.0-1.src.rpm"),
        ({"old": True}, "app-0:1.0-1.noarch", "app-1.0-1.noarch.rpm"),
        ({"payload": "none"}, "app-0:1.0-1.noarch", "app-1.0-1.noarch.rpm"),
    ],
)
def test_a_package_says_what_it_was_made_with(tmp_path, options, nevra, file_name):
    path = make_rpm(tmp_path, "app", summary="An  app", build_time=1234567890, files={"/a": "1"}, **options)
    found = verify_rpm(path)
    assert found == read_rpm(path)
    assert (found.nevra, found.file_name, found.label) == (nevra, file_name, file_name.removesuffix(".rpm"))
    assert path.name == file_name
    assert found.evr == (options.get("epoch", "0"), options.get("version", "1.0"), options.get("release", "1"))
    assert (found.summary, found.build_time, found.size) == ("An app", 1234567890, path.stat().st_size)
    assert found.signed_by == ()
    assert bool(found.source_rpm) == (options.get("arch") != "src")


def test_equal_arguments_make_equal_packages(tmp_path):
    one, other = (make_rpm(tmp_path / name, "a", size=5000, files={"/x": "1"}) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size > 5000


def test_rpm_and_createrepo_read_the_same(tmp_path):
    need_programs("rpm", "rpmkeys")
    paths = [
        make_rpm(
            tmp_path, "one", epoch="2", arch="x86_64", files={"/usr/bin/one": "#!/bin/sh\n"}, requires=["two >= 1"]
        ),
        make_rpm(tmp_path, "two", payload="xz", provides=["2"], obsoletes=["zwei < 2"], post="true", size=1000),
        make_rpm(tmp_path, "three", payload="zstd", old=True, conflicts=["four"], files={"/etc/three/": ""}),
        make_rpm(tmp_path, "source", arch="src", files={"source.spec": "Name: source"}),
    ]
    form = "%{NAME}-%{EPOCHNUM}:%{VERSION}-%{RELEASE} %{BUILDTIME} %{SUMMARY}\n"
    database = ["--dbpath", str(tmp_path / "db")]
    checked = subprocess.run(["rpmkeys", *database, "-K", *paths], capture_output=True, text=True, check=True)
    assert checked.stdout.count("digests OK") == len(paths)
    queried = subprocess.run(
        ["rpm", *database, "-qp", "--qf", form, *paths], capture_output=True, text=True, check=True
    )
    for path, line in zip(paths, queried.stdout.splitlines(), strict=True):
        found = read_rpm(path)
        assert line == f"{found.nevra.rpartition('.')[0]} {found.build_time} {found.summary}"
        other = createrepo_c.package_from_rpm(str(path))
        assert (other.nevra(), other.rpm_sourcerpm or "") == (found.nevra, found.source_rpm)


@pytest.mark.parametrize("old", [False, True])
def test_changed_bytes_of_header_and_payload_are_found(tmp_path, old):
    path = make_rpm(tmp_path, "flip", files={"/etc/flip": "content"}, old=old)
    whole = path.read_bytes()
    places = [*range(header_at(whole), len(whole), 3)]
    header = whole[places[0] : whole.index(b"\x1f\x8b", places[0])]
    # The digests of the signature header itself.
    for digest in (hashlib.md5(whole[places[0] :]).digest(), hashlib.sha1(header).hexdigest().encode()):
        start = whole.index(digest)
        places += range(start, start + len(digest))
    for at in places:
        changed = bytearray(whole)
        changed[at] ^= 0x10
        path.write_bytes(changed)
        assert refusal(path).code == "DAMAGED_PACKAGE", at


def test_a_damaged_payload_and_a_damaged_header_are_told_apart(package, write):
    whole = bytearray(package.read_bytes())
    whole[-5] ^= 1
    path = write(bytes(whole))
    assert read_rpm(path).name == "app"  # only headers are read
    assert "the content of this package is damaged" in str(refusal(path))
    whole[-5] ^= 1
    whole[whole.index(b"app\x001.2\0")] ^= 1
    assert "the header of this package is damaged: its SHA-256" in str(refusal(write(bytes(whole)), read_rpm))


def test_cuts_are_found_and_the_missing_bytes_are_counted(package, write):
    whole = package.read_bytes()
    for length in range(1, len(whole), 3):
        error = refusal(write(whole[:length]), read_rpm)
        assert error.location is not None and error.location.file.endswith("some.rpm")
        assert "cut short" in str(error), length
        if length >= header_at(whole):
            assert f": {len(whole) - length:,} bytes are missing" in str(error)


def test_bytes_after_the_end_are_found(package, write):
    assert "7 bytes too many" in str(refusal(write(package.read_bytes() + b"trailer"), read_rpm))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"\0" * 500, "zeros"),
        (b"<!DOCTYPE html><title>404 Not Found</title>", "a web page"),
        (b"\xef\xbb\xbf\n <HTML>proxy", "a web page"),
        (b"drpm\0\0\0\x03", "a delta RPM"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"!<arch>\ndebian-binary", "a Debian package"),
        (b"\x1f\x8b\x08\0", "a gzip file"),
        (b"Not Found\n", "a text that begins 'Not Found\\n'"),
        (b"\xde\xad\xbe\xef", "something else"),
    ],
)
def test_what_is_no_package_is_called_what_it_looks_like(write, content, words):
    error = refusal(write(content), read_rpm)
    assert "this is no RPM package but " in str(error)
    assert words in str(error)
    assert error.exit_code == REFUSED


def with_entries(*entries: Entry, drop: int = 0) -> bytes:
    tags = {entry[0] for entry in entries} | {drop}
    return join_rpm([*(entry for entry in MINIMAL if entry[0] not in tags), *entries], b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xed\xab\xee\xdb\x06" + make_lead("x")[5:] + bytes(500), "the RPM format 6"),
        (b"\xed\xab\xee\xdb\x02" + make_lead("x")[5:] + bytes(500), "the RPM format 2"),
        (with_entries((5114, INT32, [6])), "the RPM format 6"),
        (with_entries((1124, STRING, "drpm")), "a delta RPM"),
        (make_lead("x") + bytes(500), "the signature header of this package is damaged"),
        (with_entries((1000, STRING, "../../etc/passwd")), "is no name of a package"),
        (with_entries((1000, STRING, "a\nb")), "is no name of a package"),
        (with_entries((1000, STRING, ".hidden")), "is no name of a package"),
        (with_entries((1000, STRING, "-rf")), "is no name of a package"),
        (with_entries((1000, STRING, "x" * 300)), "is no name of a package"),
        (with_entries((1001, STRING, "1-2")), "is no version of a package"),
        (with_entries((1002, STRING, "1/2")), "is no release of a package"),
        (with_entries((1022, STRING, "../x")), "is no architecture of a package"),
        (with_entries(drop=1000), "the package has no name"),
        (with_entries(drop=1001), "the package has no version"),
        (with_entries((1006, STRING, "yesterday")), "the tag 1006 is no number"),
        (with_entries((1000, INT32, [5])), "the tag 1000 is no text"),
    ],
)
def test_packages_that_are_none_of_ours_are_refused(write, content, words):
    assert words in str(refusal(write(content), read_rpm))


def test_a_package_without_a_digest_of_its_content_is_not_taken_for_whole(write):
    header = make_header(63, MINIMAL)
    path = write(make_lead("x") + make_header(62, [(1000, INT32, [len(header) + 4])]) + bytes(4) + header + b"load")
    if (len(make_header(62, [(1000, INT32, [0])])) + 4) % 8:
        pytest.fail("the padding of this test is wrong")
    assert read_rpm(path).name == "tiny"
    assert "no digest of its content" in str(refusal(path))


@pytest.mark.parametrize(
    ("number", "size", "words"),
    [(0, 10, "0 entries"), (70_000, 10, "70,000 entries"), (1, 2**31, "2,147,483,648 bytes"), (60_000, 2**27, "cut")],
)
def test_sizes_that_a_header_only_claims_are_not_believed(write, number, size, words):
    claim = b"\x8e\xad\xe8\x01\0\0\0\0" + number.to_bytes(4) + size.to_bytes(4)
    assert words in str(refusal(write(make_lead("x") + claim + bytes(100)), read_rpm))


def test_places_that_hold_no_file_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("", "a folder"), ("pipe", "a pipe"), ("none.rpm", "no such file")):
        error = refusal(tmp_path / name, read_rpm)
        assert words in str(error)
        assert error.exit_code == DISK


MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 12), st.binary(max_size=12)), min_size=1, max_size=6
)


@given(MUTATIONS, st.booleans())
def test_any_mutation_is_read_or_refused(tmp_path_factory, package, mutations, headers_only):
    content = package.read_bytes()
    for place, removed, added in mutations:
        # Most of them among the headers, where they matter.
        at = int(place * (len(content) if place < 0.2 else LEAD + 600)) % len(content) if content else 0
        content = content[:at] + added + content[at + removed :]
    path = tmp_path_factory.getbasetemp() / "mutated.rpm"
    path.write_bytes(content)
    for read in (read_rpm, verify_rpm):
        try:
            assert isinstance(read(path), RpmFile)
        except RollbuildError as error:
            assert str(error)


ENTRIES = st.tuples(
    st.sampled_from([267, 268, 1002, 1005, 278, 1000, 270, 1004, 1006, 5092, 5093]), st.sampled_from([4, 6, 7, 8])
)


@given(st.lists(ENTRIES, unique_by=lambda entry: entry[0]), st.binary(min_size=1, max_size=40))
def test_tags_of_any_type_are_read_or_refused(tmp_path_factory, entries, data):
    made: list[Entry] = []
    for tag, kind in entries:
        value: object = {4: [len(data)], 6: data.hex(), 7: data, 8: [data.hex()]}[kind]
        made.append((tag, kind, value))
    header = make_header(63, MINIMAL + [entry for entry in made if entry[0] > 1005])
    signature = make_header(62, [entry for entry in made if entry[0] <= 1005] or [(999, BIN, b"x")])
    path = tmp_path_factory.getbasetemp() / "tags.rpm"
    path.write_bytes(make_lead("x") + signature + bytes(-len(signature) % 8) + header + data)
    try:
        assert verify_rpm(path).name == "tiny"
    except RollbuildError as error:
        assert str(error)


V3 = b"\x89\x00\x16" + b"\x03\x05\x00" + bytes(4) + bytes.fromhex("0123456789abcdef") + bytes(7)
V4 = b"\xc2\x12" + b"\x04\x00\x01\x08" + b"\x00\x00" + b"\x00\x0a" + b"\x09\x10" + bytes.fromhex("fedcba9876543210")
V6 = b"\xc2\x2f" + b"\x06\x00\x01\x08" + b"\x00\x00\x00\x23" + b"\x22\x21\x06" + bytes(range(32)) + b"\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("packets", "ids"),
    [
        (V3, ("0123456789abcdef",)),
        (V4, ("fedcba9876543210",)),
        (V6, ("0001020304050607",)),
        (V3 + V4 + V3, ("0123456789abcdef", "fedcba9876543210")),
        (b"", (UNKNOWN_ID,)),
        (b"junk", (UNKNOWN_ID,)),
        (V4[:-2], (UNKNOWN_ID,)),
    ],
)
def test_signatures_name_their_keys(packets, ids):
    assert read_issuers(packets) == ids


@given(st.binary(max_size=80))
def test_any_bytes_are_taken_for_packets(data):
    for start in (b"", b"\x89", b"\xc2\x28\x04\x00\x01\x08", b"\x99\x00\x20"):
        assert all(len(key) == 16 for key in (*read_issuers(start + data), *read_key_ids(start + data)))
    assert read_key_ids(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + data + b"\n-----END") in ((), (UNKNOWN_ID,))


def test_an_unsigned_header_names_no_key_and_an_unreadable_signature_an_unknown_one(write):
    assert read_rpm(write(join_rpm(MINIMAL, b""))).signed_by == ()
    assert read_rpm(write(join_rpm(MINIMAL, b"", signatures=[(268, BIN, V4)]))).signed_by == ("fedcba9876543210",)
    assert read_rpm(write(join_rpm(MINIMAL, b"", signatures=[(1002, BIN, b"??")]))).signed_by == (UNKNOWN_ID,)
    armoured = [(278, 8, ["/tz/" + "!", "iQ=="])]
    assert read_rpm(write(join_rpm(MINIMAL, b"", signatures=armoured))).signed_by == (UNKNOWN_ID,)
