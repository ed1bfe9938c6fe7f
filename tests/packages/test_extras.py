"""Groups, module streams and advisories: read, checked, joined."""

from pathlib import Path

import pytest
from lxml import etree

from rollbuild.errors import RollbuildError
from rollbuild.packages import Extras, check_extras, make_repository, merge_extras, read_extras
from rollbuild.packages.groups import read_groups
from rollbuild.packages.modules import read_modules
from tests.packages.repositories import COMPS, MODULES
from tests.rpms import make_rpm

GROUP = b"<comps>\n<group><id>hpc</id><name>HPC</name><packagelist>%s</packagelist></group>\n</comps>"
UPDATE = b"<updates>\n<update type='security'><id>A-1</id><pkglist>%s</pkglist></update>\n</updates>"
MODULE = b"---\ndocument: modulemd\nversion: 2\ndata:\n  name: web\n  stream: 2.10\n  summary: %s\n"


def group(*names: bytes) -> bytes:
    return GROUP % b"".join(b"<packagereq>%s</packagereq>" % name for name in names)


def collection(short: bytes) -> bytes:
    return UPDATE % (b'<collection short="%s"><name>c</name></collection>' % short)


MALFORMED = {
    "no XML": (Extras(groups=b"<comps>\n<group>\n</comps>"), "comps.xml:3:", "not valid XML"),
    "empty": (Extras(groups=b""), "comps.xml", "not valid XML"),
    "another root": (Extras(groups=b"\n<html/>"), "comps.xml:2", "starts with <comps>"),
    "no id": (Extras(groups=b"<comps>\n<group/></comps>"), "comps.xml:2", "no <id>"),
    "empty id": (Extras(groups=b"<comps>\n<category><id> </id></category></comps>"), "comps.xml:2", "no <id>"),
    "no name": (Extras(groups=group(b"bash", b" ")), "comps.xml:2", "names no package"),
    "twice": (Extras(groups=COMPS.encode().replace(b"</comps>", b"\n" + group(b"a")[8:-8] + b"\n" + group(b"b")[8:])),
              "comps.xml:", "hpc is there twice, first on line"),
    "entity": (Extras(groups=b'<!DOCTYPE comps [<!ENTITY a "b">]><comps/>'), "comps.xml:1", "declares entities"),
    "no updates": (Extras(updateinfo=b"<comps/>"), "updateinfo.xml:1", "starts with <updates>"),
    "cut updates": (Extras(updateinfo=b"<updates>\n<update>"), "updateinfo.xml:2", "not valid XML"),
    "update twice": (Extras(updateinfo=UPDATE[:-10] % b"" + b"\n" + (UPDATE % b"")[10:]), "updateinfo.xml:", "A-1"),
    "update without id": (Extras(updateinfo=b"<updates>\n\n<update/></updates>"), "updateinfo.xml:3", "no <id>"),
    "no YAML": (Extras(modules=b"document: modulemd\ndata: [\n"), "modules.yaml:", "not valid YAML"),
    "not UTF-8": (Extras(modules=b"document: \xff\n"), "modules.yaml", "not valid YAML"),
    "a list": (Extras(modules=b"---\n- a\n"), "modules.yaml:2", "no document about a module"),
    "other document": (Extras(modules=b"document: spec\ndata: {}\n"), "modules.yaml:1", "no kind of document"),
    "no stream": (Extras(modules=b"document: modulemd\ndata: {name: a}\n"), "modules.yaml:1", "does not name"),
    "odd name": (Extras(modules=b"document: modulemd\ndata: {name: [a], stream: b}\n"), "modules.yaml:1", "not name"),
    "nested": (Extras(modules=b"---\n" + b"[" * 100_000), "modules.yaml", "nested more than 100 deep"),
    "aliases": (Extras(modules=b"document: modulemd\ndata: {name: &a x, stream: *a}"), "modules.yaml", "has an alias"),
    "module twice": (Extras(modules=MODULE % b"a" + MODULE % b"b"), "modules.yaml:9", "first on line 2"),
}  # fmt: skip


@pytest.mark.parametrize(("extras", "place", "said"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_extras_are_refused_with_their_line(extras: Extras, place: str, said: str) -> None:
    with pytest.raises(RollbuildError) as refused:
        check_extras(extras, folder="roll/packages")
    assert str(refused.value.location).startswith(f"roll/packages/{place}"), refused.value.location
    assert said in refused.value.message


def test_good_extras_pass() -> None:
    check_extras(Extras(COMPS.encode(), MODULES.encode(), collection(b"a")))
    check_extras(Extras())
    check_extras(Extras(groups=b"<comps/>", updateinfo=b"<updates/>", modules=b""))


def test_what_is_there_once_stays_byte_for_byte() -> None:
    one = Extras(groups=COMPS.encode(), updateinfo=collection(b"a"))
    other = Extras(modules=MODULES.encode())
    assert merge_extras([one, other, Extras(), one]) == Extras(one.groups, other.modules, one.updateinfo)
    assert merge_extras([]) == Extras()


def test_groups_are_joined_and_the_later_adds() -> None:
    merged = merge_extras(
        [Extras(groups=group(b"a", b"b")), Extras(groups=COMPS.encode()), Extras(groups=group(b"b", b"c"))]
    )
    assert merged.groups is not None
    groups, environments, categories = read_groups(merged.groups, "comps.xml")
    assert [package.name for package in groups["hpc"].packages] == ["a", "b", "c"]
    assert (list(groups), list(environments), categories) == (["hpc", "core"], ["minimal-environment"], ("servers",))
    assert b'xml:lang="de">Kern' in merged.groups
    check_extras(merged)


def test_a_group_that_is_there_twice_in_one_file_becomes_one() -> None:
    twice = group(b"a").replace(b"</comps>", group(b"b")[8:])
    merged = merge_extras([Extras(groups=twice)])
    check_extras(merged)
    assert merged.groups is not None
    assert [one.name for one in read_groups(merged.groups, "")[0]["hpc"].packages] == ["a", "b"]


def test_environments_and_language_packs_are_joined() -> None:
    text = "<comps><environment><id>e</id><grouplist><groupid>{}</groupid></grouplist></environment>"
    text += "<langpacks>{}</langpacks></comps>"
    match = '<match name="{0}" install="{0}-%s"/>'
    many = [Extras(groups=text.format(name, match.format("a") + match.format(name)).encode()) for name in "bc"]
    merged = merge_extras(many).groups
    assert merged is not None
    root = etree.fromstring(merged)
    assert [one.text for one in root.iterfind("environment/grouplist/groupid")] == ["b", "c"]
    assert [one.get("name") for one in root.iterfind("langpacks/match")] == ["a", "b", "c"]


def test_advisories_are_joined_and_the_later_adds() -> None:
    merged = merge_extras([Extras(updateinfo=collection(b"a")), Extras(updateinfo=collection(b"b"))])
    assert merged.updateinfo is not None
    root = etree.fromstring(merged.updateinfo)
    assert [one.get("short") for one in root.iterfind("update/pkglist/collection")] == ["a", "b"]


def test_modules_are_joined() -> None:
    given = [
        Extras(modules=MODULES.encode()),
        Extras(modules=MODULE.replace(b"web", b"db") % b"a"),
        Extras(modules=MODULES.encode()),
    ]
    merged = merge_extras(given).modules
    assert merged is not None
    found = {(one.module, one.stream): len(one.artifacts) for one in read_modules(merged, "")}
    assert found == {("web", "1"): 2, ("web", "2.10"): 1, ("db", "2.10"): 0}
    with pytest.raises(RollbuildError, match=r"two different documents tell of modulemd web 2\.10") as refused:
        merge_extras([Extras(modules=MODULE % b"a"), Extras(modules=MODULE % b"b")])
    assert str(refused.value.location) == "modules.yaml:2"


@pytest.mark.parametrize("release", ["el7", "el8", "el9", "el10"])
def test_extras_of_a_repository_are_read_as_they_were_given(tmp_path: Path, release: str) -> None:
    make_rpm(tmp_path, "a")
    extras = Extras(COMPS.encode(), MODULES.encode(), collection(b"a"))
    make_repository(tmp_path, ["a-1.0-1.noarch.rpm"], epoch=1, release=release, extras=extras)
    assert read_extras(tmp_path) == extras
    (tmp_path / "none").mkdir()
    make_repository(tmp_path / "none", [], epoch=1, release=release)
    assert read_extras(tmp_path / "none") == Extras()


def test_an_absent_file_of_extras_is_told_of(tmp_path: Path) -> None:
    make_repository(tmp_path, [], epoch=1, extras=Extras(modules=MODULES.encode()))
    (path,) = (tmp_path / "repodata").glob("*modules*")
    path.unlink()
    with pytest.raises(RollbuildError, match="is missing"):
        read_extras(tmp_path)
    with pytest.raises(RollbuildError):
        read_extras(tmp_path / "nowhere")
