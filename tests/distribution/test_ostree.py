import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.distribution import RECORD, OsTree, Variant, list_os_trees, os_tree_names, parse_discinfo, read_os_tree
from rollbuild.distribution.discinfo import DiscInfo, read_discinfo
from rollbuild.distribution.ostree import digest_list, link_record, record_os_tree
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.rolls import Store

FILES = {"images/vmlinuz": ("ab" * 32, 5), "BaseOS/x.rpm": ("cd" * 32, 7), ".treeinfo": ("ef" * 32, 9)}


def make_tree(store: Store, name: str, *uids: str) -> OsTree:
    folder = store.os_folder / name
    folder.mkdir(parents=True)
    tree = OsTree(
        name=name,
        folder=folder,
        family="Rocky Linux",
        short="Rocky",
        release="el9",
        version="9.4",
        arch="x86_64",
        epoch=7,
        variants=tuple(Variant(uid, uid, f"{uid}/Packages", uid, "variant", uid) for uid in uids or ("BaseOS",)),
        kernel="images/vmlinuz",
        initrd="images/initrd.img",
        stage2="images/install.img",
        boot_files=("images/vmlinuz",),
        keys=("RPM-GPG-KEY-x",),
        digest="",
        source="ISO x.iso",
    )
    tree = record_os_tree(folder, tree, FILES)
    link_record(store, name)
    return tree


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_what_is_recorded_is_read(store):
    one, other = make_tree(store, "b"), make_tree(store, "a", "AppStream", "BaseOS")
    assert read_os_tree(store, "b") == one and one.read_files() == FILES
    assert list_os_trees(store) == (other, one)
    assert json.loads((store.os_folder / "a.json").read_text())["name"] == "a"
    assert one.digest == make_tree(Store(store.folder / "other"), "c").digest


def test_the_list_of_files_does_not_depend_on_their_order():
    assert digest_list(FILES) == digest_list(dict(reversed(FILES.items())))
    assert json.loads(digest_list(FILES)) == {path: list(digest) for path, digest in FILES.items()}
    assert json.loads(digest_list({})) == {}


@pytest.mark.parametrize(
    ("uids", "base"),
    [(("AppStream", "BaseOS"), "BaseOS"), (("baseos", "x"), "baseos"), (("AppStream", "CRB"), "AppStream")],
)
def test_the_base_repository(store, uids, base):
    assert make_tree(store, "x", *uids).base.uid == base


def test_only_trees_are_listed(store):
    assert os_tree_names(store) == ()
    make_tree(store, "one")
    for name in (".rollbuild-stage-1-abc", "half", "a b"):
        (store.os_folder / name).mkdir()
    (store.os_folder / "file").write_text("x")
    (store.os_folder / "gone.json").symlink_to("gone/.rollbuild/tree.json")
    assert os_tree_names(store) == ("one",)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("release", "el6", "el6 is not known"),
        ("variants", [], "no variants"),
        ("variants", [{"uid": "x"}], "is missing"),
        ("variants", "x", "damaged"),
        ("kernel", "/etc/shadow", "leads out"),
        ("boot_files", ["a/../../b"], "leads out"),
        ("keys", ["../key"], "leads out"),
        ("epoch", "soon", "damaged"),
        ("format", 9, "format 9"),
    ],
)
def test_a_record_that_cannot_be_is_refused(store, key, value, said):
    path = make_tree(store, "x").folder / RECORD / "tree.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(RollbuildError, match=said) as refusal:
        read_os_tree(store, "x")
    assert str(refusal.value.location) == str(path) and "--replace" in refusal.value.hint


def test_names_are_told_when_one_is_not_there(store):
    make_tree(store, "rocky-9.4-x86_64")
    with pytest.raises(RollbuildError, match="no OS tree el9") as refusal:
        read_os_tree(store, "el9")
    assert refusal.value.exit_code == USAGE and "there is: rocky-9.4-x86_64" in refusal.value.hint


@pytest.mark.parametrize(
    ("text", "info"),
    [
        ("1714862022.5\nRocky Linux 9.4\nx86_64\nALL\n", DiscInfo("1714862022.5", "Rocky Linux 9.4", "x86_64")),
        ("1714862022\n9.4\nx86_64\n", DiscInfo("1714862022", "9.4", "x86_64")),
        ("1.0\nCentOS 6\nx86_64\n2\n", DiscInfo("1.0", "CentOS 6", "x86_64", (2,))),
        ("1.0\nhpc\nx86_64\n1,2\n", DiscInfo("1.0", "hpc", "x86_64", (1, 2))),
    ],
)
def test_discinfo(tmp_path, text, info):
    (tmp_path / ".discinfo").write_text(text)
    assert read_discinfo(tmp_path / ".discinfo") == info
    assert parse_discinfo(info.to_text().encode(), "x") == info


@given(st.binary(max_size=60))
def test_a_damaged_discinfo_raises_nothing_else(data):
    try:
        parse_discinfo(data, "x")
    except RollbuildError as refusal:
        assert refusal.location
