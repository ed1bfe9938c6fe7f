"""Reading repositories from folders and lists, whole and damaged."""

import gzip
import lzma
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.errors import RollbuildError
from rollbuild.packages import (
    Catalogue,
    Repository,
    RepositoryName,
    Resolver,
    Wanted,
    has_solver,
    open_repositories,
    parse_repository_name,
)
from rollbuild.packages.modules import read_modules
from tests.packages.repositories import COMPS, MODULES, Rpm, write_repository

DATA = Path(__file__).parents[1] / "data" / "packages"
FACTS = os.environ.get("ROLLBUILD_FACTS", "")

RPMS = (
    Rpm(
        "bash",
        "5.1.8",
        "9.el9",
        provides=("/bin/sh", "sh = 5.1"),
        requires=("glibc >= 2.34",),
        files=("/usr/bin/bash",),
    ),
    Rpm("bash", "5.1.8", "10.el9", epoch="1"),
    Rpm("firmware", "20240101", "1", arch="noarch"),
    Rpm("bash", "5.1.8", "9.el9", arch="src"),
)


def read(*places: str | Path) -> tuple[Repository, ...]:
    with open_repositories([parse_repository_name(str(place)) for place in places]) as repositories:
        return repositories


@pytest.mark.parametrize("compression", ["GZ_COMPRESSION", "XZ_COMPRESSION", "ZSTD_COMPRESSION", "BZ2_COMPRESSION"])
def test_a_repository_is_read(tmp_path: Path, compression: str) -> None:
    write_repository(tmp_path / "base", RPMS, comps=COMPS, modules=MODULES, compression=compression)
    (found,) = read(tmp_path / "base")
    assert (found.name, len(found), sorted(found.packages)) == ("base", 3, ["bash", "firmware"])
    first, second = found.packages["bash"]
    assert (first.label, second.evr) == ("bash-5.1.8-9.el9.x86_64", "1:5.1.8-10.el9")
    assert {str(item) for item in first.provides} == {"bash = 5.1.8-9.el9", "/bin/sh", "sh = 5.1"}
    assert [str(item) for item in first.requires] == ["glibc >= 2.34"]
    assert first.href == "bash-5.1.8-9.el9.x86_64.rpm"
    assert found.providers["sh"] == [first]
    assert found.owners["/usr/bin/bash"] == [first]
    assert (found.groups["core"].name, len(found.groups["core"].packages)) == ("Core", 4)
    assert found.environments["minimal-environment"].groups == ("core",)
    assert found.categories == ("servers",)
    assert [(stream.module, stream.stream) for stream in found.streams] == [("web", "1"), ("web", "2.10")]


def test_places_that_mean_the_same(tmp_path: Path) -> None:
    folder = write_repository(tmp_path / "my repo" / "base", RPMS)
    url = "file://" + str(folder).replace(" ", "%20")
    for place in (folder, f"{folder}/", folder / "repodata", folder / "repodata" / "repomd.xml", url):
        assert [(one.name, len(one)) for one in read(place)] == [("base", 3)], place


def test_folders_of_repositories(tmp_path: Path) -> None:
    for name in ("BaseOS/x86_64/os", "AppStream/x86_64/os", "two/one", "two/other", ".hidden"):
        write_repository(tmp_path / name, RPMS[:1])
    assert [one.name for one in read(tmp_path)] == ["AppStream", "BaseOS", "two/one", "two/other"]
    assert [one.name for one in read(f"mine={tmp_path}/two")] == ["mine/one", "mine/other"]
    assert [one.name for one in read(f"mine={tmp_path}/two/one")] == ["mine"]


def test_names_with_equal_signs(tmp_path: Path) -> None:
    (tmp_path / "a=b").mkdir()
    assert parse_repository_name(str(tmp_path / "a=b")) == RepositoryName(str(tmp_path / "a=b"))
    assert parse_repository_name("http://a/b?c=d") == RepositoryName("http://a/b?c=d")
    assert parse_repository_name("epel=http://a/b?c=d") == RepositoryName("http://a/b?c=d", "epel")
    with pytest.raises(RollbuildError) as refused:
        parse_repository_name(" ")
    assert refused.value.exit_code == 2


def test_lists_of_names(tmp_path: Path) -> None:
    path = tmp_path / "names.tsv"
    path.write_text("# from a mirror\nversion\trepository\tname\n1\tBaseOS\tbash\n2\tEPEL\tlmod\n\tBaseOS\t@core\n")
    base, epel = read(path)
    assert (base.name, list(base.packages), list(base.groups), base.has_groups) == ("BaseOS", ["bash"], ["core"], True)
    assert (epel.name, list(epel.packages), epel.has_groups, epel.only_names) == ("EPEL", ["lmod"], False, True)


def damage(folder: Path, kind: str, change: Callable[[bytes], bytes]) -> None:
    (path,) = (folder / "repodata").glob(f"*{kind}*")
    path.write_bytes(change(path.read_bytes()))


def replace(kind: str, content: bytes) -> Callable[[Path], None]:
    """Put other content under a new name, and into repomd.xml with its right checksum and size."""
    import hashlib
    import re

    def change(folder: Path) -> None:
        index = folder / "repodata" / "repomd.xml"
        (folder / "repodata" / "other-file").write_bytes(content)
        before, start, rest = index.read_text().partition(f'<data type="{kind}">')
        own, end, after = rest.partition("</data>")
        own = re.sub(r'(<checksum type="sha256">)\w+', rf"\g<1>{hashlib.sha256(content).hexdigest()}", own, count=1)
        own = re.sub(r"<size>\d+", f"<size>{len(content)}", own)
        own = re.sub(r'href="[^"]+"', 'href="repodata/other-file"', own)
        index.write_text(before + start + own + end + after)

    return change


def in_repomd(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        index = folder / "repodata" / "repomd.xml"
        text = index.read_text()
        assert old in text
        index.write_text(text.replace(old, new))

    return change


PRIMARY = b"<metadata xmlns='http://linux.duke.edu/metadata/common' packages='1'><package type='rpm'><name>a</na"

# What is done to a good repository -> what the message and the hint hold.
FAULTS: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "cut": (lambda f: damage(f, "primary", lambda d: d[:-20]), ("cut short: it has", "primary.xml", "fetch")),
    "other": (lambda f: damage(f, "primary", lambda d: d[:-1] + bytes([d[-1] ^ 1])), ("not the one that", "sha256")),
    "absent": (lambda f: damage_name(f, "primary"), ("the list of packages is missing", "whole repodata")),
    "cut gzip": (replace("primary", gzip.compress(PRIMARY * 99)[:-30]), ("cut short or damaged",)),
    "cut xz": (replace("group", lzma.compress(COMPS.encode())[:-30]), ("cut short or damaged",)),
    "damaged gzip": (replace("group", gzip.compress(COMPS.encode())[:40] + bytes(60)), ("cut short or damaged",)),
    "cut zstd": (replace("group", b"\x28\xb5\x2f\xfdnot zstd at all"), ("cut short or damaged",)),
    "bad primary": (replace("primary", PRIMARY), ("cut short or damaged",)),
    "bad groups": (replace("group", b"<comps><group>"), ("not valid XML", ":1:")),
    "no groups": (replace("group", b"<html/>"), ("starts with <comps>, not <html>",)),
    "entities": (replace("group", b'<!DOCTYPE a [<!ENTITY b SYSTEM "/etc/passwd">]><a>&b;</a>'), ("not <a>",)),
    "bad modules": (replace("modules", b"document: modulemd\ndata: [\n"), ("not valid YAML",)),
    "odd modules": (replace("modules", b"document: modulemd\ndata: {name: a}\n"), ("not a list of modules",)),
    "not an index": (in_repomd("<data", "<<data"), ("not the index of a repository", "repomd.xml")),
    "no primary": (in_repomd('type="primary"', 'type="secondary"'), ("lists no packages",)),
    "climbs": (in_repomd('href="repodata/', 'href="../../repodata/'), ("outside of the repository",)),
    "absolute": (in_repomd('href="repodata/', 'href="/repodata/'), ("outside of the repository",)),
    "other host": (in_repomd('href="repodata/', 'href="http://a/'), ("outside of the repository",)),
    "weak sum": (in_repomd('<checksum type="sha256">', '<checksum type="crc32">'), ("no checksum",)),
}


def damage_name(folder: Path, kind: str) -> None:
    (path,) = (folder / "repodata").glob(f"*{kind}*")
    path.rename(path.with_name("elsewhere"))


@pytest.mark.parametrize(("change", "said"), FAULTS.values(), ids=FAULTS)
def test_damaged_repositories(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], change: Callable[[Path], None], said: tuple[str, ...]
) -> None:
    folder = write_repository(tmp_path / "base", RPMS, comps=COMPS, modules=MODULES)
    change(folder)
    with pytest.raises(RollbuildError) as refused:
        read(folder)
    text = f"{refused.value.location}: {refused.value.message} / {refused.value.hint}"
    assert [words for words in said if words not in text] == [], text
    assert capfd.readouterr() == ("", "")  # the libraries would say the same again


def mutated(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    kind = chance.choice(("byte", "cut", "remove", "insert", "repeat"))
    if kind == "cut":
        return data[:start]
    if kind == "byte":
        return data[:start] + bytes([chance.randrange(256)]) + data[start + 1 :]
    if kind == "remove":
        return data[:start] + data[start + chance.choice((1, 5, 50)) :]
    if kind == "insert":
        return data[:start] + chance.choice((b"<", b'"', b"&a;", b"\0", b"- ", b"null", b"9" * 400)) + data[start:]
    return data[:start] + data[start - 30 : start] * 2 + data[start:]


@pytest.mark.parametrize("kind", ["primary", "group", "modules", "repomd"])
def test_any_damage_is_refused_or_borne(tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    chance = random.Random(kind)  # seeded by a text: the same in every run
    folder = write_repository(tmp_path / "base", RPMS, comps=COMPS, modules=MODULES)
    index = folder / "repodata" / "repomd.xml"
    whole = index.read_bytes()
    (path,) = (folder / "repodata").glob(f"*{kind}*")
    packed = path.read_bytes()
    content = packed if kind == "repomd" else gzip.decompress(packed)
    outcomes = set()
    for _ in range(60):
        index.write_bytes(whole)
        if kind == "repomd":
            index.write_bytes(mutated(whole, chance))
        else:
            choices = (gzip.compress(mutated(content, chance)), mutated(packed, chance), mutated(content, chance))
            replace(kind, chance.choice(choices))(folder)
        try:
            with open_repositories([parse_repository_name(str(folder))]) as repositories:
                found = Catalogue(repositories, "x86_64", {"web": "1"})
                assert not found.find("no-such").packages and found.nearest_names("qqq") == ()
                assert "no-such" not in repositories[0].owners
                for package in (one for some in repositories[0].packages.values() for one in some):
                    assert package.label and package.full_label and package.requires is not package.provides
                if has_solver():
                    Resolver(repositories, "x86_64", found.hidden).find_problems([Wanted("bash")])
            outcomes.add("borne")
        except RollbuildError:
            outcomes.add("refused")
    assert outcomes == {"borne", "refused"}
    assert capfd.readouterr() == ("", "")


def test_groups_that_are_absent_are_looked_for_in_their_other_form(tmp_path: Path) -> None:
    folder = write_repository(tmp_path / "base", RPMS, comps=COMPS)
    index = folder / "repodata" / "repomd.xml"
    before, start, rest = index.read_text().partition('<data type="group">')
    own, end, after = rest.partition("</data>")
    missing = (start + own + end).replace('"group"', '"group_gz"').replace('href="', 'href="no/')
    index.write_text(before + missing + start + own + end + after)
    assert "core" in read(folder)[0].groups


PLACES = {
    "nothing": ("nowhere", "does not exist"),
    "empty": ("empty", "there is no repository in"),
    "packages": ("rpms", "createrepo_c"),
    "text": ("text.txt", "neither a repository nor a list"),
    "binary": ("picture", "neither a repository nor a list"),
    "columns": ("short.tsv", "lacks a column"),
    "host": ("file://server/repo", "names no file of this machine"),
    "scheme": ("ftp://a/b", "is no URL of a repository"),
    "password": ("http://me:secret@a/b", "holds a user or a password"),
    "port": ("http://a:b/c", "is no URL"),
}


@pytest.mark.parametrize(("place", "said"), PLACES.values(), ids=PLACES)
def test_what_is_no_repository(
    tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, place: str, said: str
) -> None:
    folder = tree(
        {"empty/a.txt": "", "rpms/a.rpm": "", "text.txt": "a\nb\n", "short.tsv": "repository\tname\nBaseOS\n"}
    )
    (folder / "picture").write_bytes(b"\x89PNG\xff\xfe")
    monkeypatch.chdir(folder)
    with pytest.raises(RollbuildError) as refused:
        read(place)
    text = f"{refused.value.message} / {refused.value.hint}"
    assert said in text and "secret" not in text


def test_streams_are_joined_and_know_the_default() -> None:
    text = MODULES.replace("module: web, ", 'module: web, stream: "1", ') + MODULES.replace("web-tools", "web-more")
    one, other = read_modules(text.encode(), "modules.yaml")
    assert (one.is_default, other.is_default) == (True, False)
    assert len(one.artifacts) == 3


def test_an_excerpt_of_real_metadata() -> None:
    appstream, baseos = read(DATA / "centos-stream-9")
    assert (appstream.name, baseos.name) == ("appstream", "baseos")
    assert len(appstream) + len(baseos) > 200
    assert {"bash", "systemd", "kernel"} <= {*baseos.packages, "kernel"}
    assert baseos.packages["bash"][0].arch == "x86_64"
    assert "core" in baseos.groups and "minimal-environment" in baseos.environments
    size = sum(path.stat().st_size for path in (DATA / "centos-stream-9").rglob("*") if path.is_file())
    assert size < 300_000


@pytest.mark.skipif(not FACTS, reason="ROLLBUILD_FACTS names no folder with the metadata of whole repositories")
def test_whole_metadata() -> None:
    start = time.monotonic()
    appstream, baseos = read(Path(FACTS) / "centos-stream-9")
    assert (len(appstream), len(baseos)) == (17649, 1125)
    assert len(appstream.providers) > 50_000
    assert time.monotonic() - start < 20
