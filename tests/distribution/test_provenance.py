"""What a generation says it was made of."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.distribution.comparing import read_sums
from rollbuild.distribution.inputs import _find_keys
from rollbuild.distribution.provenance import (
    PROVENANCE,
    Provenance,
    UsedRoll,
    digest_attributes,
    read_provenance,
    write_sbom,
    write_sums,
)
from rollbuild.distribution.repofile import DnfRepository, check_url, url_of, write_repo_file
from rollbuild.errors import RollbuildError
from rollbuild.rolls import BuiltRoll, RollId, RollPackage

ROLL = RollId("hpc", "2.0", "1", "x86_64")
PACKAGES = (
    RollPackage("RPMS/a-1-1.noarch.rpm", "a", "0", "1", "1", "noarch", "a" * 64, 10),
    RollPackage("RPMS/b+-2-1.x86_64.rpm", "b+", "3", "2", "1", "x86_64", "b" * 64, 10),
    RollPackage("SRPMS/a-1-1.src.rpm", "a", "0", "1", "1", "src", "c" * 64, 10),
)
BUILT = BuiltRoll(ROLL, files={item.file: (item.sha256, item.size) for item in PACKAGES}, packages=PACKAGES)
PROVENANCE_OF = Provenance(
    name="cluster",
    os_name="rocky",
    os_digest="0" * 64,
    os_release="el9",
    arch="x86_64",
    epoch=1_700_000_000,
    rolls=(UsedRoll(ROLL, "1" * 64, 60, 2),),
    repositories=(("BaseOS", "BaseOS", 5), ("hpc", "rolls/hpc", 2)),
    options={"kickstarts": True},
    attributes=("password",),
    appliances=("compute",),
    versions={"rollbuild": "1"},
)


def test_it_is_read_back(tmp_path: Path) -> None:
    (tmp_path / PROVENANCE).write_bytes(PROVENANCE_OF.to_json())
    assert read_provenance(tmp_path) == PROVENANCE_OF


DAMAGED = {
    "empty": "",
    "no object": "[]",
    "no format": "{}",
    "newer": '{"format": 99}',
    "half": PROVENANCE_OF.to_json().decode()[:200],
    "a path that climbs out": PROVENANCE_OF.to_json().decode().replace("rolls/hpc", "../../etc"),
    "a roll that climbs out": PROVENANCE_OF.to_json().decode().replace('"hpc"', '"../hpc"'),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_one_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / PROVENANCE).write_text(text)
    with pytest.raises(RollbuildError):
        read_provenance(tmp_path)


def test_the_bill_of_materials_has_what_spdx_requires() -> None:
    """SPDX 2.3: the fields that the document, its packages and its relationships must have, and their shapes."""
    document = json.loads(write_sbom(PROVENANCE_OF, [BUILT]))
    assert document["spdxVersion"] == "SPDX-2.3" and document["dataLicense"] == "CC0-1.0"
    assert document["SPDXID"] == "SPDXRef-DOCUMENT" and document["name"] == "cluster"
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", document["documentNamespace"])
    assert document["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    assert all(re.match(r"(Tool|Person|Organization): ", who) for who in document["creationInfo"]["creators"])
    ids = [package["SPDXID"] for package in document["packages"]]
    assert len(set(ids)) == len(ids) == 5  # the distribution, the OS, the roll and its two packages
    for package in document["packages"]:
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"])
        assert package["name"] and package["downloadLocation"] == "NOASSERTION" and package["filesAnalyzed"] is False
    known = {*ids, "SPDXRef-DOCUMENT"}
    for relation in document["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= known
    assert {relation["relationshipType"] for relation in document["relationships"]} == {"DESCRIBES", "CONTAINS"}
    (package,) = [item for item in document["packages"] if item["name"] == "b+"]
    assert package["versionInfo"] == "3:2-1"
    assert package["checksums"] == [{"algorithm": "SHA256", "checksumValue": "b" * 64}]
    assert package["externalRefs"][0]["referenceLocator"] == "pkg:rpm/b%2B@2-1?arch=x86_64&epoch=3"


def test_no_values_of_attributes_are_kept() -> None:
    data = digest_attributes({"a": "one", "b": "two"}, ["secret", "secret"])
    assert b"one" not in data and json.loads(data)["secrets"] == ["secret"]
    assert data == digest_attributes({"b": "two", "a": "one"}, ["secret"])


NAMES = {
    "plain": "a/b.rpm",
    "blank": "a b",
    "backslash": "a\\b",
    "line end": "a\nb",
    "both": "\\a\nb\\",
    "no text": "\udcff",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_sha256sum_reads_the_sums(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "SUMS").write_bytes(write_sums({name: empty}))
    subprocess.run(["sha256sum", "--strict", "--status", "-c", "SUMS"], cwd=tmp_path, check=True)
    assert read_sums(tmp_path / "SUMS") == {name: empty}


@given(
    st.dictionaries(st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable()), st.just("a" * 64))
)
def test_sums_are_read_back(sums: dict[str, str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "SUMS")
        path.write_bytes(write_sums(sums))
        assert read_sums(path) == sums


def test_the_repo_file() -> None:
    repositories = [
        DnfRepository("BaseOS", "BaseOS", True, 50, True, ("RPM-GPG-KEY-os",)),
        DnfRepository("my.roll", "rolls/my.roll", False, 40, False, (), has_hotfixes=True),
    ]
    assert write_repo_file("cluster", repositories, "http://h/d").decode() == (
        "[rollbuild-baseos]\nname=BaseOS of distribution cluster\nbaseurl=http://h/d/BaseOS\nenabled=1\n"
        "priority=50\ngpgcheck=1\ngpgkey=http://h/d/RPM-GPG-KEY-os\n\n"
        "[rollbuild-roll-my.roll]\nname=my.roll of distribution cluster\nbaseurl=http://h/d/rolls/my.roll\nenabled=1\n"
        "priority=40\ngpgcheck=0\nmodule_hotfixes=1\n"
    )


def test_urls() -> None:
    assert check_url("http://h/d/") == "http://h/d"
    assert url_of(Path("/a b/$c")) == "file:///a%20b/%24c"
    for wrong in ("", "h/d", "http://h/a b", "http://h/\nenabled=0", "javascript:x", "http://"):
        with pytest.raises(RollbuildError, match="no URL"):
            check_url(wrong)


def test_one_file_of_a_key_is_enough() -> None:
    def package(name: str, *signed_by: str) -> RollPackage:
        return RollPackage(f"RPMS/{name}.rpm", name, "0", "1", "1", "noarch", "0" * 64, 1, signed_by=signed_by)

    roll = BuiltRoll(RollId("hpc", "1", "1", "noarch"), packages=(package("a", "k1"), package("b", "k1")))
    ids = {f"RPM-GPG-KEY-{name}": frozenset({"k1"}) for name in ("base", "hpc", "site")}
    assert _find_keys(roll, ids) == (("RPM-GPG-KEY-hpc",), [])
    del ids["RPM-GPG-KEY-hpc"]
    assert _find_keys(roll, ids) == (("RPM-GPG-KEY-base",), [])
    both = replace(roll, packages=(package("a", "k1"), package("b", "k2")))
    assert _find_keys(both, {**ids, "vendor": frozenset({"k2"})}) == (("RPM-GPG-KEY-base", "vendor"), [])
    (doubt,) = _find_keys(both, ids)[1]
    assert "1 of 2 packages are signed with a key that is not there (b.rpm)" in doubt
