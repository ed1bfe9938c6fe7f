from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.language import find_rolls
from rollbuild.rolls import Store, find_named
from rollbuild.rolls.adding import Adding, Additions, add_rolls
from rollbuild.rolls.verifying import verify_roll
from tests.rolls.making import NODE, make_iso, make_old_medium
from tests.rpms import compress, join_rpm, make_cpio, make_rpm

PROFILE = {
    "nodes/tripwire.xml": NODE,
    "graphs/default/area51.xml": '<graph><edge from="client" to="tripwire"/></graph>\n',
    "include/rules.txt": "rules\n",
    "roll-area51.xml": "<roll/>\n",
}
AREA51 = "area51-6.2-0.x86_64"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def add(store: Store, *sources: Path, **how: bool) -> Additions:
    return add_rolls([str(source) for source in sources], Adding(store, **how))  # type: ignore[arg-type]


def refusal(store: Store, *sources: Path) -> str:
    with pytest.raises(FindingsError) as refused:
        add(store, *sources)
    assert store.read_index() == ()
    assert not list(store.rolls_folder.rglob("*"))
    errors = [finding for finding in refused.value.findings if finding.severity == "error"]
    assert all(finding.hint for finding in errors)
    return "\n".join(f"{finding.location}: {finding.message}" for finding in errors)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["iso", "mounted", "inner"])
def test_an_old_roll_becomes_a_built_one(kind: str, store: Store, tmp_path: Path) -> None:
    top = make_old_medium(tmp_path / "disk1", profile=PROFILE)
    sources: dict[str, Callable[[], Path]] = {
        "iso": lambda: make_iso(top, tmp_path / "disk1.iso"),
        "mounted": lambda: top,
        "inner": lambda: top / "area51/6.2/x86_64",
    }
    (addition,) = add(store, sources[kind]()).rolls
    assert str(addition.roll.id) == AREA51
    folder = store.folder_of(addition.roll.id)
    files = [name for name in files_of(folder) if not name.startswith("repodata/")]
    assert files == [
        "RPMS/roll-area51-kickstart-6.2-0.noarch.rpm",
        "RPMS/tripwire-2.4-1.x86_64.rpm",
        "SHA256SUMS",
        "profile/graphs/default/area51.xml",
        "profile/include/rules.txt",
        "profile/nodes/tripwire.xml",
        "profile/roll-area51.xml",
        "profile/roll.yaml",
        "roll-area51.xml",
        "roll.json",
    ]
    assert (folder / "repodata/repomd.xml").is_file()
    (roll,) = find_rolls([str(folder / "profile")])
    assert (roll.name, roll.graph_names()) == ("area51", ("default",))
    assert (folder / "profile/roll.yaml").read_text() == 'name: "area51"\nversion: "6.2"\nrelease: "0"\n'
    found = verify_roll(folder, store.read_roll(addition.roll))
    assert [finding.code for finding in found] == ["ROLL-SIGNATURE"]
    assert [package.name for package in addition.built.packages] == ["roll-area51-kickstart", "tripwire"]


def test_the_same_medium_gives_the_same_roll(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = make_old_medium(tmp_path / "disk1", profile=PROFILE)
    first = add(store, top).rolls[0]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12345")
    again = add(store, make_iso(top, tmp_path / "disk1.iso")).rolls[0]
    assert (first.what, again.what, first.roll.digest) == ("added", "unchanged", again.roll.digest)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_media_of_a_set_are_one_roll(order: tuple[int, int], store: Store, tmp_path: Path) -> None:
    make_old_medium(tmp_path / "disk1", profile=PROFILE)
    top = make_old_medium(tmp_path / "disk2", packages=["chkrootkit", "tripwire"], disk=2)
    make_rpm(top / "area51/6.2/x86_64/SRPMS", "tripwire", version="2.4", arch="src", files={"tripwire.spec": "x"})
    media = {number: make_iso(tmp_path / f"disk{number}", tmp_path / f"disk{number}.iso") for number in (1, 2)}
    (addition,) = add(store, *(media[number] for number in order)).rolls
    assert [package.name for package in addition.built.packages if package.arch != "src"] == [
        "chkrootkit",
        "roll-area51-kickstart",
        "tripwire",
    ]
    assert "SRPMS/tripwire-2.4-1.src.rpm" in addition.built.files
    with pytest.raises(FindingsError, match="already, with other contents") as refused:
        add(store, media[1])
    assert "name all media" in refused.value.hint


def test_a_medium_without_a_description_is_doubted(store: Store, tmp_path: Path) -> None:
    additions = add(store, make_old_medium(tmp_path / "updates", "updates"))
    assert "packages only" in next(finding for finding in additions.findings if finding.code == "ROLL-EMPTY").message


def test_several_old_rolls_on_one_medium(store: Store, tmp_path: Path) -> None:
    make_old_medium(tmp_path / "jumbo", profile=PROFILE)
    make_old_medium(tmp_path / "jumbo", "hpc", packages=["mpi"])
    additions = add(store, make_iso(tmp_path / "jumbo", tmp_path / "jumbo.iso"))
    assert [str(addition.roll.id) for addition in additions.rolls] == [AREA51, "hpc-6.2-0.x86_64"]


def rpms_of(top: Path) -> Path:
    return top / "area51/6.2/x86_64/RedHat/RPMS"


def test_a_package_that_is_cut_short(store: Store, tmp_path: Path) -> None:
    top = make_old_medium(tmp_path / "disk1", profile=PROFILE)
    for name in ("tripwire-2.4-1.x86_64.rpm", "roll-area51-kickstart-6.2-0.noarch.rpm"):
        path = rpms_of(top) / name
        path.write_bytes(path.read_bytes()[:-9])
    message = refusal(store, make_iso(top, tmp_path / "disk1.iso"))
    for name in ("tripwire-2.4-1.x86_64.rpm", "roll-area51-kickstart-6.2-0.noarch.rpm"):
        assert f"{tmp_path}/disk1.iso/area51/6.2/x86_64/RedHat/RPMS/{name}: " in message
    assert ".changing" not in message


def test_a_flipped_byte(store: Store, tmp_path: Path) -> None:
    top = make_old_medium(tmp_path / "disk1", profile=PROFILE)
    path = rpms_of(top) / "tripwire-2.4-1.x86_64.rpm"
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)
    assert f"{path}: " in refusal(store, top)


def test_a_kickstart_package_that_climbs_out(store: Store, tmp_path: Path) -> None:
    top = make_old_medium(tmp_path / "disk1")
    evil = [("./export/profile/nodes/a.xml", 0o100644, b"x"), ("./export/profile/../../../../x", 0o100644, b"x")]
    entries = [
        (1000, 6, "roll-area51-kickstart"),
        (1001, 6, "6.2"),
        (1002, 6, "0"),
        (1004, 9, ["x"]),
        (1006, 4, [1_400_000_000]),
        (1022, 6, "noarch"),
        (1044, 6, "roll-area51-kickstart-6.2-0.src.rpm"),
        (1124, 6, "cpio"),
        (1125, 6, "gzip"),
    ]
    cpio = make_cpio(evil)
    data = join_rpm(entries, compress(cpio, "gzip"), cpio_size=len(cpio), old=True)
    (rpms_of(top) / "roll-area51-kickstart-6.2-0.noarch.rpm").write_bytes(data)
    message = refusal(store, top)
    assert "roll-area51-kickstart-6.2-0.noarch.rpm" in message
    assert ".." in message or "leads out" in message


def test_media_that_contradict_each_other(store: Store, tmp_path: Path) -> None:
    one = make_old_medium(tmp_path / "disk1", profile=PROFILE)
    two = make_old_medium(tmp_path / "disk2", packages=[])
    make_rpm(rpms_of(two), "tripwire", version="2.4", arch="x86_64", files={"/other": "x"})
    message = refusal(store, one, two)
    assert f"{rpms_of(two)}/tripwire-2.4-1.x86_64.rpm: this package has other contents than {rpms_of(one)}" in message


def test_the_same_package_twice_under_another_name(store: Store, tmp_path: Path) -> None:
    top = make_old_medium(tmp_path / "disk1", profile=PROFILE)
    make_rpm(tmp_path, "tripwire", version="2.4", arch="x86_64").rename(rpms_of(top) / "copy.rpm")
    assert "tripwire-0:2.4-1.x86_64" in refusal(store, top)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ('<roll name="area51"/>', "no <info>"),
        ('<roll name="../x"><info version="1" release="0" arch="x86_64"/></roll>', "no name of a roll"),
        ('<roll name="a"><info version="../../x" release="0" arch="x86_64"/></roll>', "no version of a roll"),
        ('<roll name="a"><info version="1" release="0" arch="x86_64" os="sunos"/></roll>', "for sunos"),
        ('<!DOCTYPE roll [<!ENTITY x SYSTEM "file:///etc/passwd">]><roll name="&x;"/>', "document type"),
        ("", "cannot be read"),
    ],
)
def test_a_bad_roll_xml(xml: str, message: str, store: Store, tmp_path: Path) -> None:
    top = make_old_medium(tmp_path / "disk1", profile=PROFILE)
    (top / "area51/6.2/x86_64/roll-area51.xml").write_text(xml)
    assert message in refusal(store, top)


def test_a_description_that_names_the_roll_itself_is_kept(store: Store, tmp_path: Path) -> None:
    """A roll.yaml in the package would be replaced: which roll it is, its XML file says."""
    top = make_old_medium(tmp_path / "disk1", profile={**PROFILE, "roll.yaml": "name: other\n"})
    try:
        folder = store.folder_of(add(store, top).rolls[0].roll.id)
    except RollbuildError as problem:
        pytest.fail(problem.message)
    assert (folder / "profile/roll.yaml").read_text().startswith('name: "area51"')


def test_releases_that_were_added_after_each_other(store: Store, tmp_path: Path) -> None:
    """Rocks keeps them in one folder, whose description is that of the newest kickstart package."""
    for release in ("10", "9"):
        profile = {"nodes/tripwire.xml": NODE.replace("A node", f"Release {release}"), f"nodes/of-{release}.xml": NODE}
        make_old_medium(tmp_path / release, release=release, packages=[], profile=profile)
    top = make_old_medium(tmp_path / "rolls", release="10", profile=None)
    for release in ("10", "9"):
        kickstart = next(rpms_of(tmp_path / release).glob("roll-area51-kickstart-*"))
        kickstart.rename(rpms_of(top) / kickstart.name)
    make_rpm(top / "area51/6.2/x86_64/SRPMS", "roll-area51-kickstart", version="6.2", release="10", arch="src")
    folder = store.folder_of(add(store, top).rolls[0].roll.id)
    assert [name for name in files_of(folder) if "nodes/" in name] == [
        "profile/nodes/of-10.xml",
        "profile/nodes/tripwire.xml",
    ]
    assert "Release 10" in (folder / "profile/nodes/tripwire.xml").read_text()
    assert len(list((folder / "RPMS").glob("roll-area51-kickstart-*"))) == 2


def test_the_description_arrives_byte_for_byte(store: Store, tmp_path: Path) -> None:
    texts = {
        "nodes/Lower-And-Upper_1.2.xml": b"<?xml version='1.0' encoding='latin1'?>\r\n<kickstart>\xe9 &amp; &x;\r\n",
        "nodes/site.attrs": b"Info_ClusterName:lab\n",
        "nodes/to-fill.xml.in": b"@VERSION@\n",
        "nodes/empty.xml": b"",
        "graphs/default/a.xml": b"\xef\xbb\xbf<graph/>",
        "site-nodes/skeleton.xml": b"\0\1\2",
        "include/json/deep/a.json": b"{}",
        "include-version/7/nodes/only.xml": b"<kickstart/>\n",
    }
    top = make_old_medium(tmp_path / "disk1")
    make_rpm(
        rpms_of(top),
        "roll-area51-kickstart",
        version="6.2",
        release="0",
        files={f"/export/profile/{name}": text for name, text in texts.items()},
        old=True,
    )
    folder = store.folder_of(add(store, make_iso(top, tmp_path / "disk1.iso")).rolls[0].roll.id) / "profile"
    assert {name: (folder / name).read_bytes() for name in files_of(folder) if name != "roll.yaml"} == texts


def test_updates_whose_version_is_a_day(store: Store, tmp_path: Path) -> None:
    top = make_old_medium(tmp_path / "updates", "Updates-7.4", version="2017-12-01")
    (addition,) = add(store, make_iso(top, tmp_path / "updates.iso"), enable=True).rolls
    assert str(addition.roll.id) == "Updates-7.4-2017-12-01-0.x86_64"
    newer = make_old_medium(tmp_path / "newer", "Updates-7.4", version="2018-01-15")
    assert [str(roll) for roll in add(store, newer, enable=True).disabled] == [str(addition.roll.id)]
    assert find_named("Updates-7.4-2017-12-01", store.read_index())[0].id == addition.roll.id


def test_what_rocks_took_from_a_dvd_is_no_roll(store: Store, tmp_path: Path) -> None:
    rolls = make_old_medium(tmp_path / "rolls", profile=PROFILE)
    nameless = make_old_medium(tmp_path / "rolls", "CentOS", version="7.4") / "CentOS/7.4/x86_64"
    (nameless / "roll-CentOS.xml").unlink()
    additions = add(store, rolls)
    assert [str(addition.roll.id) for addition in additions.rolls] == [AREA51]
    (doubt,) = (finding for finding in additions.findings if finding.code == "ROLL-FILE")
    assert (doubt.location.file, doubt.severity) == (str(nameless), "warning")  # type: ignore[union-attr]
    with pytest.raises(FindingsError) as refused:
        add(store, rolls / "CentOS")
    assert "import-os" in refused.value.findings[0].hint
