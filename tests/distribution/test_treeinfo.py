import io
import string

import productmd.treeinfo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollbuild.distribution import TreeInfo, Variant, parse_treeinfo, read_treeinfo, variant_uids
from rollbuild.errors import RollbuildError
from tests.ostrees import TIMESTAMP, VERSIONS, make_os_tree

SHA = "ab" * 32
GOOD = f"""[header]
type = productmd.treeinfo
version = 1.2

[release]
name = Rocky Linux
short = Rocky
version = 9.4

[tree]
arch = x86_64
build_timestamp = 1714862022
platforms = x86_64,xen
variants = BaseOS

[variant-BaseOS]
id = BaseOS
name = BaseOS
packages = BaseOS/Packages
repository = BaseOS
type = variant
uid = BaseOS

[images-x86_64]
kernel = images/pxeboot/vmlinuz

[stage2]
mainimage = images/install.img

[checksums]
images/install.img = sha256:{SHA}
"""


def parse(text: str) -> TreeInfo:
    return parse_treeinfo(text.encode(), "x/.treeinfo")


def with_productmd(text: str) -> productmd.treeinfo.TreeInfo:
    info = productmd.treeinfo.TreeInfo()
    info.loads(text)
    return info


def assert_same(ours: TreeInfo, theirs: productmd.treeinfo.TreeInfo) -> None:
    assert (ours.family, ours.version) == (theirs.release.name, theirs.release.version)
    assert ours.short in ("", theirs.release.short)
    assert (ours.arch, ours.timestamp) == (theirs.tree.arch, theirs.tree.build_timestamp)
    assert set(ours.platforms) == set(theirs.tree.platforms)
    assert ours.images == theirs.images.images
    assert (ours.stage2 or None) == theirs.stage2.mainimage
    assert {path: list(value) for path, value in ours.checksums.items()} == {
        path: list(value) for path, value in theirs.checksums.checksums.items()
    }
    assert ours.disc == ((theirs.media.discnum, theirs.media.totaldiscs) if theirs.media.discnum else None)


def assert_same_variants(ours: TreeInfo, theirs: productmd.treeinfo.TreeInfo) -> None:
    assert {variant.uid: (variant.id, variant.name, variant.type) for variant in ours.variants} == {
        variant.uid: (variant.id, variant.name, variant.type) for variant in theirs.variants.variants.values()
    }
    assert {variant.uid: (variant.repository, variant.packages) for variant in ours.variants} == {
        variant.uid: (variant.paths.repository, variant.paths.packages) for variant in theirs.variants.variants.values()
    }


@pytest.mark.parametrize("release", VERSIONS)
def test_reads_what_productmd_reads(tmp_path, release):
    tree = make_os_tree(tmp_path, release=release)
    ours = read_treeinfo(tree / ".treeinfo")
    # productmd has no name for a variant that is left empty, as it is on el7's DVD
    theirs = with_productmd((tree / ".treeinfo").read_text().replace("variant = \n", "variant = Server\n"))
    assert ours.version == VERSIONS[release] and ours.timestamp == TIMESTAMP
    assert_same(ours, theirs)
    if release != "el7":
        assert_same_variants(ours, theirs)
    else:
        assert [(variant.uid, variant.repository) for variant in ours.variants] == [("RockyLinux", ".")]


WORDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
PATHS = st.lists(WORDS, min_size=1, max_size=3).map("/".join)
VARIANTS = st.lists(
    st.builds(Variant, uid=WORDS, repository=PATHS, packages=PATHS, name=WORDS), min_size=1, unique_by=lambda v: v.uid
)
INFOS = st.builds(
    TreeInfo,
    family=st.lists(WORDS, min_size=1, max_size=3).map(" ".join),
    version=st.from_regex(r"[1-9][0-9]?(\.[0-9]{1,2})?", fullmatch=True),
    arch=st.sampled_from(["x86_64", "aarch64"]),
    short=WORDS,
    timestamp=st.integers(1, 2**33),
    variants=VARIANTS.map(tuple),
    images=st.dictionaries(
        WORDS, st.dictionaries(st.sampled_from(["kernel", "initrd"]), PATHS, min_size=1), max_size=2
    ),
    stage2=PATHS,
    checksums=st.dictionaries(PATHS, st.just(("sha256", SHA)), max_size=3),
    disc=st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)),
)


@settings(max_examples=40)
@given(INFOS)
def test_productmd_reads_what_is_written(info):
    text = info.to_text()
    theirs = with_productmd(text)
    ours = parse(text)
    assert_same(ours, theirs)
    assert_same_variants(ours, theirs)
    assert ours.to_text() == text
    again = io.StringIO()
    theirs.serialize(parser := theirs._get_parser())
    theirs.build_file(parser, again)
    assert [line for line in again.getvalue().splitlines() if not line.startswith(";")] == text.splitlines()


def test_writes_the_main_variant_that_is_asked_for():
    variants = (Variant("AppStream", "AppStream"), Variant("BaseOS", "BaseOS"))
    info = TreeInfo("Rocky Linux", "9.4", "x86_64", variants=variants)
    assert "variant = BaseOS" in info.to_text(main_variant="BaseOS")
    assert "variant = AppStream" in info.to_text()


@pytest.mark.parametrize(
    "info",
    [
        TreeInfo("Rocky", "9", "x86_64"),
        TreeInfo("Rocky\n[x]", "9", "x86_64", variants=(Variant("A", "A"),)),
        TreeInfo("Rocky", "9", "x86_64", variants=(Variant("a-", "A"),)),
        TreeInfo("Rocky", "9", "x86_64", variants=(Variant("A", "A"), Variant("A", "B"))),
        TreeInfo("Rocky", "9", "x86_64", variants=(Variant("A", "A"),), checksums={"a=b": ("sha256", SHA)}),
    ],
)
def test_writes_nothing_that_no_reader_takes(info):
    with pytest.raises(ValueError):
        info.to_text()


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("[header]", "junk\n[header]", 1, "no INI file"),
        ("short = Rocky", "short = Rocky\nshort = R", 8, "twice"),
        ("short = Rocky", "short", 7, "neither"),
        ("[stage2]", "[release]", 27, "twice"),
        ("short = Rocky", "short = Rocky\n more", 7, "goes on"),
        ("Rocky Linux", "Rocky\x1bLinux", 6, "character"),
        ("version = 1.2", "version = 2.0", 3, "format 2.0"),
        ("productmd.treeinfo", "productmd.images", 2, "productmd.images"),
        ("version = 9.4", "", 5, "version is missing"),
        ("version = 9.4", "version = ../9", 8, "'../9'"),
        ("arch = x86_64", "arch = ../../x", 11, "'../../x'"),
        ("build_timestamp = 1714862022", "build_timestamp = soon", 12, "'soon'"),
        ("variants = BaseOS", "variants = BaseOS,AppStream", 14, "[variant-AppStream]"),
        ("variants = BaseOS", "variants = ../x", 14, "'../x'"),
        ("type = variant", "type = odd", 21, "'odd'"),
        ("repository = BaseOS", "repository = /etc", 20, "/etc"),
        ("mainimage = images/install.img", "mainimage = ../install.img", 28, "out of the tree"),
        ("kernel = images/pxeboot/vmlinuz", "kernel = images/../../vmlinuz", 25, "out of the tree"),
        ("images/install.img = sha256:", "../install.img = sha256:", 31, "out of the tree"),
        ("images/install.img = sha256:", "/install.img = sha256:", 31, "no path"),
        (f"sha256:{SHA}", "sha256:abc", 31, "no checksum"),
        (f"sha256:{SHA}", f"crc:{SHA}", 31, "no checksum"),
        ("[images-x86_64]", "[images-../x]", 24, "platform"),
        ("[stage2]", "[media]\ndiscnum = many\n[stage2]", 28, "'many'"),
    ],
)
def test_refuses_with_file_and_line(before, after, line, said):
    assert GOOD.count(before) >= 1
    with pytest.raises(RollbuildError) as refusal:
        parse(GOOD.replace(before, after, 1))
    assert said in refusal.value.message
    assert str(refusal.value.location) == f"x/.treeinfo:{line}" and refusal.value.hint


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\xff\xfe[g]", b"[x]\n", b"[general]\n", b"<html>", b"%(x)s"])
def test_refuses_what_is_no_treeinfo(data):
    with pytest.raises(RollbuildError):
        parse_treeinfo(data, "x")


@given(st.data())
def test_damaged_files_raise_nothing_else(data):
    text = bytearray(GOOD.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text) - 1))
        end = place + data.draw(st.integers(0, 30))
        text[place:end] = data.draw(st.binary(max_size=3) | st.sampled_from([b"\n", b"[", b"]", b" = ", b"../"]))
    try:
        info = parse_treeinfo(bytes(text), "x")
    except RollbuildError as refusal:
        assert refusal.location
    else:
        paths = [info.stage2, *info.checksums, *(path for images in info.images.values() for path in images.values())]
        assert not any(path.startswith("/") or ".." in path.split("/") for path in paths)


def test_variants_of_mirrors_lie_elsewhere():
    (variant,) = parse(GOOD.replace("repository = BaseOS", "repository = ../../../BaseOS/x86_64/os/")).variants
    assert variant.repository == "../../../BaseOS/x86_64/os" and variant.is_elsewhere


def test_a_huge_file_is_refused(tmp_path):
    (tmp_path / ".treeinfo").write_bytes(b"#" * 5_000_000)
    with pytest.raises(RollbuildError, match="larger"):
        read_treeinfo(tmp_path / ".treeinfo")


@pytest.mark.parametrize(
    ("names", "taken", "uids"),
    [
        (["hpc", "site"], [], {"hpc": "hpc", "site": "site"}),
        (["a-b", "ab"], [], {"a-b": "ab", "ab": "ab2"}),
        (["ab", "a-b", "a.b", "ab2"], [], {"a-b": "ab", "a.b": "ab2", "ab": "ab3", "ab2": "ab22"}),
        (["baseos"], ["BaseOS", "AppStream"], {"baseos": "baseos2"}),
        (["rocks-base", "rocks-base"], [], {"rocks-base": "rocksbase"}),
        (["-_."], [], {"-_.": "roll"}),
    ],
)
def test_uids_of_variants(names, taken, uids):
    assert variant_uids(names, taken) == variant_uids(reversed(names), taken) == uids
