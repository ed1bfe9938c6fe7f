import json
import shutil
from pathlib import Path

import pytest

from tests.ostrees import make_os_iso, make_os_tree


@pytest.fixture(scope="module")
def os_tree(tmp_path_factory):
    return make_os_tree(tmp_path_factory.mktemp("os") / "dvd")


@pytest.fixture
def import_os(rollbuild, tmp_path):
    """Run `rollbuild distro import-os ARGV...` with a store of this test's own."""
    return lambda *argv: rollbuild("distro", "import-os", *argv, "--store", tmp_path / "store")


def count_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def test_a_folder_then_the_same_again(import_os, os_tree, tmp_path):
    count = count_files(os_tree)
    outcome = import_os(os_tree)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.splitlines() == [
        "imported rocky-9.4-x86_64: Rocky Linux 9.4 for x86_64 (el9)",
        f"  9 packages in AppStream, BaseOS; {count} files linked: do not change them in {os_tree}",
    ]
    again = import_os(os_tree)
    assert (again.code, again.out) == (0, "")
    assert again.err == ("rocky-9.4-x86_64 is there already, with the same content: Rocky Linux 9.4 for x86_64 (el9)\n")
    assert (tmp_path / "store/os/rocky-9.4-x86_64/.treeinfo").is_file()


@pytest.mark.parametrize("what", ["iso", "folder"])
def test_json(import_os, os_tree, tmp_path, what):
    source = make_os_iso(os_tree, tmp_path / "dvd.iso") if what == "iso" else os_tree
    outcome = import_os(source, "--name", "el9", "--json", "-q")
    found = json.loads(outcome.out)
    assert outcome.code == 0 and outcome.err == ""
    assert (found["name"], found["release"], found["is_new"], found["verified"]) == ("el9", "el9", True, True)
    assert found["path"] == str(tmp_path / "store/os/el9")
    assert [variant["repository"] for variant in found["variants"]] == ["AppStream", "BaseOS"]


def test_copies_are_told(import_os, os_tree):
    assert f"; {count_files(os_tree)} files written\n" in import_os(os_tree, "--copy").err


def test_other_content_needs_replace(import_os, os_tree, tmp_path):
    other = shutil.copytree(os_tree, tmp_path / "other")
    (other / "EULA").write_text("other\n")
    assert import_os(os_tree).code == 0
    refused = import_os(other)
    assert refused.code == 1 and refused.out == ""
    assert refused.err.startswith(f"error: {other}: there is another OS tree rocky-9.4-x86_64 already")
    assert "--name NAME" in refused.err and "--replace" in refused.err
    assert import_os(other, "--replace").code == 0
    assert (tmp_path / "store/os/rocky-9.4-x86_64/EULA").read_text() == "other\n"


def test_a_damaged_package(import_os, os_tree, tmp_path):
    broken = shutil.copytree(os_tree, tmp_path / "broken")
    package = next(Path(broken).rglob("bash*.rpm"))
    data = bytearray(package.read_bytes())
    data[-1] ^= 1
    package.write_bytes(data)
    refused = import_os(broken)
    assert refused.code == 1 and f"error: {broken}/BaseOS: " in refused.err and package.name in refused.err
    assert not (tmp_path / "store/os/rocky-9.4-x86_64").exists()
    passed = import_os(broken, "--no-verify")
    assert passed.code == 0 and "note: the digests of the packages were not verified (--no-verify)" in passed.err


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        ((), 2, "ISO-OR-DIR-OR-URL"),
        (("nowhere.iso",), 4, "there is no nowhere.iso"),
        ((".", "--name", "../x"), 2, "no name of an OS tree"),
        ((".", "--sign"), 2, "--sign"),
        (("gopher://x/y",), 1, "gopher"),
        (("http://127.0.0.1:9/tree",), 69, "127.0.0.1:9"),
        (("http://127.0.0.1:9/dvd.iso",), 69, "127.0.0.1:9"),
    ],
)
def test_what_is_refused(import_os, monkeypatch, tmp_path, argv, code, said):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    outcome = import_os(*argv)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err and "Traceback" not in outcome.err


def test_help_says_what_is_expected(rollbuild):
    outcome = rollbuild("distro", "import-os", "--help")
    assert outcome.code == 0
    for word in ("ISO", "mirror", "--no-verify", "--replace", "--copy", "--json"):
        assert word in outcome.out
