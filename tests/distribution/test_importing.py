import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rollbuild.distribution import RECORD, import_os, list_os_trees, read_os_tree
from rollbuild.errors import BUSY, DISK, REFUSED, RollbuildError
from rollbuild.files import locked
from rollbuild.images import open_iso
from rollbuild.rolls import Store
from tests.ostrees import REAL_ISOS, TIMESTAMP, VERSIONS, make_os_iso, make_os_tree, write_treeinfo
from tests.servers import serve


@pytest.fixture(scope="session")
def os_trees(tmp_path_factory):
    """A small OS tree of each release; copy it to change it."""
    top = tmp_path_factory.mktemp("os")
    return {release: make_os_tree(top / release, release=release) for release in VERSIONS}


@pytest.fixture(scope="session")
def os_iso(os_trees, tmp_path_factory):
    return make_os_iso(os_trees["el9"], tmp_path_factory.mktemp("iso") / "Rocky-9.4-x86_64-dvd.iso", implant=True)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def own_tree(os_trees, tmp_path):
    """A tree of el9 that a test may change."""
    return Path(shutil.copytree(os_trees["el9"], tmp_path / "dvd"))


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and RECORD not in path.relative_to(folder).parts
    }


def assert_true_to(tree, source: dict[str, bytes]) -> None:
    """The store's tree has the source's files and no others, and says so."""
    assert content(tree.folder) == source
    files = tree.read_files()
    assert files == {path: (hashlib.sha256(data).hexdigest(), len(data)) for path, data in source.items()}


def nothing_left(store: Store) -> bool:
    """Nothing but the lock lies in the store, however deep."""
    return [path.name for path in store.folder.rglob("*") if path.is_file()] in ([], ["lock"])


@pytest.mark.parametrize("release", VERSIONS)
def test_a_folder_of_each_release(os_trees, store, release):
    imported = import_os(store, str(os_trees[release]))
    tree = imported.tree
    assert (tree.name, tree.release, tree.version, tree.arch) == (
        f"rocky-{VERSIONS[release]}-x86_64",
        release,
        VERSIONS[release],
        "x86_64",
    )
    assert tree.epoch == TIMESTAMP and tree.verified and imported.is_new
    uids = {"RockyLinux": "."} if release == "el7" else {"AppStream": "AppStream", "BaseOS": "BaseOS"}
    assert {variant.uid: variant.repository for variant in tree.variants} == uids
    assert tree.base.uid == ("RockyLinux" if release == "el7" else "BaseOS")
    assert tree.kernel == "images/pxeboot/vmlinuz"
    assert tree.stage2 == ("LiveOS/squashfs.img" if release == "el7" else "images/install.img")
    assert {tree.kernel, tree.initrd, tree.stage2, "EFI/BOOT/BOOTX64.EFI"} <= set(tree.boot_files)
    assert tree.keys == ("RPM-GPG-KEY-Rocky",)
    assert_true_to(tree, content(os_trees[release]))
    assert read_os_tree(store, tree.name) == tree and list_os_trees(store) == (tree,)
    assert (store.os_folder / f"{tree.name}.json").read_text() == (tree.folder / RECORD / "tree.json").read_text()


def test_an_iso(os_trees, os_iso, store):
    imported = import_os(store, str(os_iso))
    assert imported.tree.source == f"ISO {os_iso.name}" and imported.linked == 0
    assert_true_to(imported.tree, content(os_trees["el9"]))
    assert import_os(store, str(os_iso)).is_new is False
    assert import_os(store, str(os_trees["el9"])).is_new is False


@pytest.mark.parametrize("release", sorted(REAL_ISOS) or ["el9"])
def test_a_real_iso(store, os_iso, release):
    """On the DVDs that ROLLBUILD_TEST_ISO_EL8, _EL9 and _EL10 name; where they name none, on an imitation."""
    iso = REAL_ISOS.get(release, os_iso)
    tree = import_os(store, str(iso)).tree
    files = tree.read_files()
    entries = {entry.path: entry.size for entry in open_iso(iso).entries() if entry.is_file}
    assert tree.release == release and {path: size for path, (_, size) in files.items()} == entries
    assert {tree.kernel, tree.initrd, tree.stage2} <= files.keys()
    names = {variant.uid for variant in tree.variants}
    assert names >= {"BaseOS", "AppStream"} or release == "el7"
    assert import_os(store, str(iso)).is_new is False


def test_files_are_linked_and_folders_are_not_shared(own_tree, store):
    imported = import_os(store, str(own_tree))
    there = imported.tree.folder / "images/install.img"
    assert there.samefile(own_tree / "images/install.img") and imported.written == 0
    assert imported.linked == len(content(own_tree))
    (own_tree / "images/new").write_text("x")
    assert not (there.parent / "new").exists()


def test_copies_on_request(own_tree, store):
    imported = import_os(store, str(own_tree), copies=True)
    assert not (imported.tree.folder / "images/install.img").samefile(own_tree / "images/install.img")
    assert imported.linked == 0 and imported.written == len(content(own_tree))


def test_whoever_serves_the_tree_can_read_it(own_tree, store):
    before = os.umask(0o077)
    try:
        folder = import_os(store, str(own_tree), name="os").tree.folder
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*")) if path.is_dir()}
    assert modes == {0o755}


def test_the_same_again_changes_nothing(own_tree, store):
    first = import_os(store, str(own_tree)).tree
    before = (first.folder.stat().st_ino, first.folder.stat().st_mtime_ns)
    again = import_os(store, str(own_tree))
    assert not again.is_new and again.tree == first
    assert before == (first.folder.stat().st_ino, first.folder.stat().st_mtime_ns)


@pytest.mark.parametrize("path", ["EULA", "EFI/BOOT/grub.cfg", "media.repo", "added"])
def test_other_content_of_the_same_name(own_tree, store, path):
    first = import_os(store, str(own_tree), copies=True).tree
    (own_tree / path).write_text("x" * (own_tree / path).stat().st_size if (own_tree / path).exists() else "x")
    with pytest.raises(RollbuildError, match="another OS tree") as refusal:
        import_os(store, str(own_tree), copies=True)
    assert "--replace" in refusal.value.hint and read_os_tree(store, first.name) == first
    second = import_os(store, str(own_tree), copies=True, replace_other=True)
    assert second.is_new and second.tree.digest != first.digest
    assert_true_to(read_os_tree(store, first.name), content(own_tree))
    assert sorted(os.listdir(store.os_folder)) == [first.name, f"{first.name}.json"]


def test_without_verifying_only_digests_of_packages_are_passed_over(own_tree, store):
    package = next((own_tree / "BaseOS").rglob("bash*.rpm"))
    good = package.read_bytes()
    package.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(RollbuildError, match="bash"):
        import_os(store, str(own_tree))
    assert nothing_left(store)
    imported = import_os(store, str(own_tree), verify=False, copies=True)
    assert not imported.tree.verified and any("--no-verify" in note for note in imported.notes)
    package.write_bytes(good)
    again = import_os(store, str(own_tree), copies=True, replace_other=True)
    assert again.tree.verified
    package.write_bytes(good[:-1])
    with pytest.raises(RollbuildError, match="bash"):
        import_os(store, str(own_tree), name="other", verify=False)


def remove(path):
    return lambda tree: shutil.rmtree(tree / path) if (tree / path).is_dir() else (tree / path).unlink()


def write(path, data):
    return lambda tree: (tree / path).write_bytes(data)


def edit(before, after):
    def change(tree):
        text = (tree / ".treeinfo").read_text()
        assert before in text
        (tree / ".treeinfo").write_text(text.replace(before, after))

    return change


def only(*paths):
    def change(tree):
        for path in os.listdir(tree):
            if path not in paths:
                remove(path)(tree)

    return change


def put(path, data):
    def change(tree):
        only()(tree)
        (tree / path).parent.mkdir(parents=True)
        (tree / path).write_bytes(data)

    return change


def put_disc(number):
    def change(tree):
        remove(".treeinfo")(tree)
        (tree / ".discinfo").write_text(f"1714862022.1\nCentOS 6.10\nx86_64\n{number}\n")

    return change


def first_of_two(tree):
    write_treeinfo(tree, ("BaseOS", "AppStream"), discs=(1, 2))


def a_package(tree):
    next((tree / "AppStream").rglob("httpd*.rpm")).unlink()


FAULTS = [
    (remove(".treeinfo"), "this names itself Rocky Linux 9.4, and has no .treeinfo", "-dvd.iso"),
    (only("BaseOS"), "these are packages, but there is no installer", "mirror"),
    (only("EULA", "EFI"), "there is no .treeinfo; it holds EFI, EULA", "-dvd.iso"),
    (only(), "it is empty", "-dvd.iso"),
    (only(".treeinfo", ".discinfo", "images", "EFI", "isolinux"), "a boot.iso or netinst image", "-dvd.iso"),
    (put("LiveOS/squashfs.img", b"x"), "this is a live system", "-dvd.iso"),
    (put("hpc/7.0/x86_64/roll-hpc.xml", b"<roll/>"), "this is a roll (hpc 7.0)", "rollbuild roll add"),
    (put("BaseOS/x86_64/os/.treeinfo", b"x"), "this folder holds OS trees", "BaseOS/x86_64/os"),
    (put_disc(2), "disc 2 of a set", "one folder"),
    (first_of_two, "disc 1 of a set of 2", "one folder"),
    (remove("AppStream"), "variant AppStream is missing: there is no AppStream/repodata/repomd.xml", "again"),
    (remove("AppStream/repodata/repomd.xml"), "repositories are in BaseOS", "again"),
    (a_package, "httpd", ""),
    (remove("images/pxeboot/vmlinuz"), "kernel, images/pxeboot/vmlinuz, is missing", "again"),
    (write("images/pxeboot/initrd.img", b""), "initrd, images/pxeboot/initrd.img, is empty", "again"),
    (remove("images/install.img"), "stage 2, images/install.img, is missing", "again"),
    (write("images/install.img", b"x" * 20_000), "images/install.img is not what the .treeinfo says: its sha256", ""),
    (edit("= 9.4", "= 40"), "Rocky Linux 40, of which rollbuild knows nothing", "el7, el8, el9, el10"),
    (edit("name = Rocky Linux", "name = Fedora"), "Fedora", "el10"),
    (edit("arch = x86_64", "arch = i386"), "i386", ""),
    (edit("[tree]", "[tree"), "neither a [section]", "again"),
    (edit("repository = AppStream", "repository = ../../etc"), "is not there", "mirror"),
    (edit("repository = AppStream", "repository = ../../../../../../../../etc"), "lies outside of the tree", "close"),
]


@pytest.mark.parametrize(("change", "said", "hint"), FAULTS)
def test_what_is_no_whole_tree_is_named(own_tree, store, change, said, hint):
    change(own_tree)
    with pytest.raises(RollbuildError) as refusal:
        import_os(store, str(own_tree))
    assert said in refusal.value.message and hint in refusal.value.hint
    assert refusal.value.exit_code == 1 and str(own_tree) in f"{refusal.value.location} {refusal.value.message}"
    assert ".rollbuild-stage" not in f"{refusal.value.location} {refusal.value.message} {refusal.value.hint}"
    assert nothing_left(store)


def test_an_image_that_was_exchanged_is_told_with_both_checksums(own_tree, store):
    good = hashlib.sha256((own_tree / "images/pxeboot/vmlinuz").read_bytes()).hexdigest()
    (own_tree / "images/pxeboot/vmlinuz").write_bytes(b"other")
    with pytest.raises(RollbuildError) as refusal:
        import_os(store, str(own_tree), verify=False)
    assert good in refusal.value.message and hashlib.sha256(b"other").hexdigest() in refusal.value.message
    assert str(refusal.value.location) == str(own_tree / "images/pxeboot/vmlinuz")


def test_files_that_are_not_needed_may_be_missing(own_tree, store):
    (own_tree / "images/efiboot.img").unlink()
    (note,) = import_os(store, str(own_tree)).notes
    assert "images/efiboot.img" in note


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_what_is_no_file_is_refused(own_tree, store, kind):
    if kind == "pipe":
        os.mkfifo(own_tree / "odd")
    else:
        (own_tree / "odd").symlink_to("/etc/passwd")
    with pytest.raises(RollbuildError, match=r"pipe|leads out"):
        import_os(store, str(own_tree))
    assert nothing_left(store)


def lay_out_as_mirror(tree: Path, top: Path) -> Path:
    """Move a tree's files to where mirrors have them; the folder of its `.treeinfo`."""
    kickstart = top / "9.4/BaseOS/x86_64/kickstart"
    beside = top / "9.4/AppStream/x86_64/kickstart"
    for folder in (kickstart, beside):
        folder.parent.mkdir(parents=True)
    shutil.move(tree / "AppStream", beside)
    shutil.move(tree, kickstart)
    for name in os.listdir(kickstart / "BaseOS"):
        shutil.move(kickstart / "BaseOS" / name, kickstart / name)
    (kickstart / "BaseOS").rmdir()
    paths = {"BaseOS": ".", "AppStream": "../../../AppStream/x86_64/kickstart"}
    write_treeinfo(kickstart, ("BaseOS", "AppStream"), paths=paths)
    return kickstart


def test_a_mirror_whose_other_repository_lies_beside(own_tree, store, tmp_path):
    kickstart = lay_out_as_mirror(own_tree, tmp_path)
    tree = import_os(store, str(kickstart)).tree
    assert {variant.uid: (variant.repository, variant.packages) for variant in tree.variants} == {
        "BaseOS": (".", "Packages"),
        "AppStream": ("AppStream", "AppStream/Packages"),
    }
    beside = tmp_path / "9.4/AppStream/x86_64/kickstart"
    expected = content(kickstart) | {f"AppStream/{path}": data for path, data in content(beside).items()}
    assert_true_to(tree, expected)
    assert not import_os(store, str(kickstart)).is_new
    (kickstart / "AppStream").mkdir()
    with pytest.raises(RollbuildError, match="another AppStream"):
        import_os(store, str(kickstart), name="other")


def test_a_tree_with_the_other_name_of_its_treeinfo(own_tree, store):
    (own_tree / ".treeinfo").rename(own_tree / "treeinfo")
    tree = import_os(store, str(own_tree)).tree
    assert tree.read_treeinfo().version == "9.4"
    assert not import_os(store, str(own_tree)).is_new


@pytest.mark.parametrize("cut", ["short", "changed"])
def test_an_iso_that_is_damaged(os_iso, store, tmp_path, cut):
    data = bytearray(os_iso.read_bytes())
    if cut == "short":
        del data[-100_000:]
    else:
        data[len(data) // 2] ^= 1
    broken = tmp_path / "broken.iso"
    broken.write_bytes(data)
    with pytest.raises(RollbuildError) as refusal:
        import_os(store, str(broken))
    assert ("incomplete" if cut == "short" else "checksum") in refusal.value.message
    assert str(refusal.value.location) == str(broken) and nothing_left(store)


def test_an_iso_of_a_tree_of_a_store(own_tree, store, tmp_path):
    (own_tree / RECORD).mkdir()
    (own_tree / RECORD / "tree.json").write_text("{}")
    with pytest.raises(RollbuildError, match=r"this ISO holds \.rollbuild") as refusal:
        import_os(store, str(make_os_iso(own_tree, tmp_path / "x.iso")))
    assert refusal.value.exit_code == REFUSED
    assert not list_os_trees(store)


def test_what_is_no_iso(store, tmp_path):
    (tmp_path / "x.iso").write_bytes(b"x" * 100_000)
    with pytest.raises(RollbuildError):
        import_os(store, str(tmp_path / "x.iso"))
    with pytest.raises(RollbuildError, match="there is no") as refusal:
        import_os(store, str(tmp_path / "none.iso"))
    assert refusal.value.exit_code == DISK


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x", "x.json", "x" * 200, "-x", "a b"])
def test_names_that_lead_elsewhere(own_tree, store, name):
    if name:
        with pytest.raises(RollbuildError, match="no name of an OS tree"):
            import_os(store, str(own_tree), name=name)
        assert not store.folder.exists()
    with pytest.raises(RollbuildError):
        read_os_tree(store, name)


def test_a_tree_that_is_not_there(own_tree, store):
    with pytest.raises(RollbuildError, match="no OS tree el9") as refusal:
        read_os_tree(store, "el9")
    assert "import-os" in refusal.value.hint
    import_os(store, str(own_tree), name="rocky")
    with pytest.raises(RollbuildError) as refusal:
        read_os_tree(store, "el9")
    assert "there is: rocky" in refusal.value.hint


def test_a_folder_that_is_no_import_stays(own_tree, store):
    (store.os_folder / "mine").mkdir(parents=True)
    (store.os_folder / "mine/data").write_text("x")
    with pytest.raises(RollbuildError, match="no OS tree that was imported"):
        import_os(store, str(own_tree), name="mine")
    assert (store.os_folder / "mine/data").read_text() == "x"


@pytest.mark.parametrize("path", ["tree.json", "files.json"])
@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format":1}', b'{"format":2}', b"\xff", b"[" * 100_000])
def test_a_damaged_record_is_refused_and_can_be_replaced(own_tree, store, path, data):
    tree = import_os(store, str(own_tree), name="os").tree
    (tree.folder / RECORD / path).write_bytes(data)
    with pytest.raises(RollbuildError, match="is damaged") as refusal:
        read_os_tree(store, "os").read_files()
    assert "--replace" in refusal.value.hint
    import_os(store, str(own_tree), name="os", replace_other=True)
    assert read_os_tree(store, "os").read_files() == tree.read_files() or path


def test_paths_of_a_record_stay_in_the_tree(own_tree, store):
    record = import_os(store, str(own_tree), name="os").tree.folder / RECORD / "tree.json"
    record.write_text(record.read_text().replace('"images/install.img"', '"../../secret"'))
    with pytest.raises(RollbuildError, match="leads out"):
        read_os_tree(store, "os")


def test_a_folder_around_the_store(own_tree):
    with pytest.raises(RollbuildError, match="lies in this folder"):
        import_os(Store(own_tree / "build/store"), str(own_tree))


def test_a_full_disk_is_told_before_anything_is_written(own_tree, store, monkeypatch):
    real = os.statvfs(own_tree)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((real[0], 1, *([0] * 8)), {"f_fsid": 0}))
    with pytest.raises(RollbuildError, match="free") as refusal:
        import_os(store, str(own_tree), copies=True)
    assert refusal.value.exit_code == DISK and nothing_left(store)
    assert import_os(store, str(own_tree)).is_new  # links take no room


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 128 KiB: room for the bytes of the tree, and not for its files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", disk], capture_output=True).returncode:
        pytest.skip("mount: no tmpfs can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_fills_up_on_the_way(own_tree, small_disk):
    store = Store(small_disk / "store")
    with pytest.raises(RollbuildError, match="no space left") as refusal:
        import_os(store, str(own_tree))
    assert refusal.value.exit_code == DISK and "free some space" in refusal.value.hint and nothing_left(store)


def test_a_disk_that_is_read_only(own_tree, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(RollbuildError, match="read-only") as refusal:
        import_os(Store(small_disk / "store"), str(own_tree))
    assert refusal.value.exit_code == DISK


def test_two_at_once(own_tree, store):
    store.folder.mkdir()
    with locked(store.folder / "lock", "testing"), pytest.raises(RollbuildError, match="another") as refusal:
        import_os(store, str(own_tree))
    assert refusal.value.exit_code == BUSY


KILLER = """
import os, signal, sys, time
from pathlib import Path
from rollbuild.distribution import import_os
from rollbuild.packages import check_repository
from rollbuild.rolls import Store

store, source = Store(Path(sys.argv[1])), sys.argv[2]
for line in sys.stdin:
    child = os.fork()
    if not child:
        import_os(store, source, name="os", copies=True, replace_other=True)
        os._exit(0)
    time.sleep(float(line))
    os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.long
def test_killed_imports_leave_what_was_there(own_tree, store):
    """Killed at twenty moments of taking the place of another tree: the store has the old or the new one, whole."""
    old = import_os(store, str(own_tree), name="os", copies=True).tree
    before = content(old.folder)
    (own_tree / "EULA").write_text("other")
    after = content(own_tree)
    endings = []
    with subprocess.Popen(
        [sys.executable, "-c", KILLER, str(store.folder), str(own_tree)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for step in range(20):
            process.stdin.write(f"{step * 0.004}\n")
            process.stdin.flush()
            endings.append(int(process.stdout.readline()))
            tree = read_os_tree(store, "os")
            assert_true_to(tree, before if tree.digest == old.digest else after)
            if tree.digest != old.digest:
                before, after, old = after, {**after, "EULA": str(step).encode()}, tree
                (own_tree / "EULA").write_text(str(step))
    assert -signal.SIGKILL in endings
    import_os(store, str(own_tree), name="os", copies=True, replace_other=True)
    assert sorted(os.listdir(store.os_folder)) == ["os", "os.json"]


def test_a_mirror_by_its_url(own_tree, store):
    with serve(own_tree.parent) as server:
        url = f"{server.url}/{own_tree.name}/"
        imported = import_os(store, url)
        assert imported.tree.source == f"mirror {url}" and imported.linked == 0
        assert_true_to(imported.tree, content(own_tree))
        server.requests.clear()
        assert not import_os(store, url).is_new
        assert not any(path.endswith(".rpm") for path in server.paths)
        assert not [path for path in store.cache_folder.rglob("*") if path.is_file()]
        (own_tree / "images/install.img").write_bytes(b"new")
        write_treeinfo(own_tree, ("BaseOS", "AppStream"))
        server.requests.clear()
        with pytest.raises(RollbuildError, match="another OS tree"):
            import_os(store, url)
        assert not any(path.endswith(".rpm") for path in server.paths)
        assert import_os(store, url, replace_other=True).is_new


def test_a_mirror_whose_other_repository_lies_beside_by_its_url(own_tree, store, tmp_path):
    kickstart = lay_out_as_mirror(own_tree, tmp_path)
    expected = import_os(store, str(kickstart), name="folder").tree.read_files()
    with serve(tmp_path) as server:
        tree = import_os(store, f"{server.url}/9.4/BaseOS/x86_64/kickstart", name="url").tree
        assert tree.read_files() == expected
        assert {variant.uid: variant.repository for variant in tree.variants} == {
            "BaseOS": ".",
            "AppStream": "AppStream",
        }
        next((tmp_path / "9.4/AppStream").rglob("httpd*.rpm")).unlink()
        with pytest.raises(RollbuildError, match="httpd"):
            import_os(store, f"{server.url}/9.4/BaseOS/x86_64/kickstart/", name="truncated")


def test_an_iso_by_its_url(os_iso, os_trees, store):
    with serve(os_iso.parent) as server:
        url = f"{server.url}/{os_iso.name}"
        server.cuts[:] = [200_000]
        server.statuses[:] = [0, 404]
        with pytest.raises(RollbuildError):
            import_os(store, url)
        server.requests.clear()
        imported = import_os(store, url)
        assert server.requests[-1].range, "it was not resumed"
        assert imported.tree.source == f"ISO {url}"
        assert_true_to(imported.tree, content(os_trees["el9"]))
        assert not list(store.cache_folder.rglob("*.iso"))


def test_a_damaged_iso_by_its_url_is_not_kept(os_iso, store):
    with serve(os_iso.parent) as server:
        server.replaced[f"/{os_iso.name}"] = os_iso.read_bytes()[:-50_000]
        with pytest.raises(RollbuildError, match="incomplete") as refusal:
            import_os(store, f"{server.url}/{os_iso.name}")
        assert str(refusal.value.location) == f"{server.url}/{os_iso.name}"
        assert not list(store.cache_folder.rglob("*.iso"))
        server.replaced.clear()
        assert import_os(store, f"{server.url}/{os_iso.name}").is_new
