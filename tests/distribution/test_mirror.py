"""OS trees of mirrors, fetched whole."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbuild.distribution import mirror as mirror_module
from rollbuild.distribution.mirror import fetch_mirror, fetch_tree, open_mirror
from rollbuild.errors import DISK, REFUSED, UNREACHABLE, RollbuildError
from rollbuild.packages import transfer as transfer_module
from tests.ostrees import make_os_tree, write_treeinfo
from tests.servers import Server, serve

INSIDE = "pub/9/BaseOS/x86_64/os"


@pytest.fixture(scope="module")
def dvd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_os_tree(tmp_path_factory.mktemp("dvd") / "tree")


@pytest.fixture
def server(dvd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The tree of a DVD at /dvd, and as mirrors have it, its repositories in folders of their own, at /pub."""
    monkeypatch.setattr(transfer_module, "PAUSES", (0.0,))
    served = tmp_path / "served"
    shutil.copytree(dvd, served / "dvd")
    tree = served / INSIDE
    shutil.copytree(dvd, tree)
    shutil.move(tree / "AppStream", served / "pub/9/AppStream/x86_64/os")
    for path in (tree / "BaseOS").iterdir():
        shutil.move(path, tree / path.name)
    (tree / "BaseOS").rmdir()
    write_treeinfo(tree, ("BaseOS", "AppStream"), paths={"BaseOS": ".", "AppStream": "../../../AppStream/x86_64/os"})
    (tree / "images/boot.iso").write_bytes(b"not needed")
    with serve(served) as made:
        yield made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_tree_of_a_dvd(server: Server, dvd: Path, tmp_path: Path) -> None:
    told: list[int] = []
    steps: list[int] = []
    news: list[str] = []
    found = fetch_tree(
        f"{server.url}/dvd", tmp_path / "here", begin=told.append, advance=steps.append, news=news.append
    )
    assert contents(found) == contents(dvd)
    assert told == [sum(steps)]
    assert "Rocky Linux 9.4 x86_64" in news[-1]


def test_a_mirror_whose_folders_do_not_end(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_MOST_FOLDERS", 20)
    for number in range(30):
        (server.folder / f"dvd/EFI/{number}").mkdir()
    news: list[str] = []
    open_mirror(f"{server.url}/dvd", tmp_path / "here", news=news.append)
    assert "boot loaders and keys are left out (there are more than 20 folders" in "".join(news)
    assert sum(path.startswith("/dvd/EFI/") for path in server.paths) <= 21


def test_the_tree_of_a_mirror(server: Server, tmp_path: Path) -> None:
    found = fetch_tree(f"{server.url}/{INSIDE}/", tmp_path / "here")
    assert found == tmp_path / "here/tree/BaseOS/x86_64/os"
    expected = contents(server.folder / "pub/9")
    del expected["BaseOS/x86_64/os/images/boot.iso"]
    assert contents(tmp_path / "here/tree") == expected


def test_a_server_without_listings(server: Server, tmp_path: Path) -> None:
    server.listing = ""
    news: list[str] = []
    found = fetch_tree(f"{server.url}/dvd", tmp_path / "here", news=news.append)
    assert {".treeinfo", "images/install.img", "images/pxeboot/vmlinuz"} <= set(contents(found))
    assert any("lists no folders" in line for line in news)


def test_a_second_try_fetches_only_the_rest(server: Server, dvd: Path, tmp_path: Path) -> None:
    mirror = open_mirror(f"{server.url}/dvd", tmp_path / "here")
    server.always = {"/dvd/images/install.img": 503}
    with pytest.raises(RollbuildError) as refused:
        fetch_mirror(mirror)
    assert refused.value.exit_code == UNREACHABLE
    assert not (mirror.folder / ".treeinfo").exists()
    server.always = {}
    (mirror.folder / "stale.rpm").write_bytes(b"of an earlier version")
    assert contents(fetch_tree(f"{server.url}/dvd", tmp_path / "here")) == contents(dvd)
    asked = len(server.requests)
    fetch_tree(f"{server.url}/dvd", tmp_path / "here")
    assert not [path for path in server.paths[asked:] if path.endswith(".rpm") and "Packages" in path]


def break_package(server: Server) -> str:
    path = next((server.folder / "dvd").rglob("bash*.rpm"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    return "bash"


def remove_package(server: Server) -> str:
    next((server.folder / "dvd").rglob("gcc*.rpm")).unlink()
    return "is not there"


def break_image(server: Server) -> str:
    path = server.folder / "dvd/images/install.img"
    path.write_bytes(path.read_bytes()[::-1])
    return "install.img is not the file that was expected"


def break_metadata(server: Server) -> str:
    path = next((server.folder / "dvd/AppStream/repodata").glob("*primary*"))
    path.write_bytes(path.read_bytes()[::-1])
    return "primary"


def remove_repository(server: Server) -> str:
    shutil.rmtree(server.folder / "dvd/AppStream")
    return "there is no repository at"


def remove_treeinfo(server: Server) -> str:
    (server.folder / "dvd/.treeinfo").unlink()
    return "there is no OS tree at"


def climb(server: Server) -> str:
    write_treeinfo(server.folder / "dvd", ("BaseOS",), paths={"BaseOS": "../../../../etc"})
    return "far from it"


DAMAGE = (
    break_package,
    remove_package,
    break_image,
    break_metadata,
    remove_repository,
    remove_treeinfo,
    climb,
)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damaged_trees(server: Server, tmp_path: Path, damage: "object") -> None:
    assert callable(damage)
    said = damage(server)
    with pytest.raises(RollbuildError) as refused:
        fetch_tree(f"{server.url}/dvd", tmp_path / "here")
    assert (refused.value.exit_code, said in refused.value.message) == (REFUSED, True), refused.value.message


def test_an_image_that_is_missing_is_told(server: Server, tmp_path: Path) -> None:
    (server.folder / "dvd/images/install.img").unlink()
    news: list[str] = []
    fetch_tree(f"{server.url}/dvd", tmp_path / "here", news=news.append)
    assert any("lacks images/install.img" in line for line in news)


def test_too_large_for_the_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = open_mirror(f"{server.url}/dvd", tmp_path / "here")
    before = len(server.requests)

    class Full:
        f_bavail, f_frsize = 1, 512

    monkeypatch.setattr("os.statvfs", lambda _: Full)
    with pytest.raises(RollbuildError) as refused:
        fetch_mirror(mirror)
    assert (refused.value.exit_code, "512 bytes are free" in refused.value.message) == (DISK, True)
    assert len(server.requests) == before


def test_a_server_that_tells_no_sizes(server: Server, dvd: Path, tmp_path: Path) -> None:
    server.no_head = True
    assert contents(fetch_tree(f"{server.url}/dvd", tmp_path / "here")) == contents(dvd)
