"""Rolls fetched from a web server, as the article's network installation does."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import REFUSED, UNREACHABLE, RollbuildError
from rollbuild.packages import transfer as transfer_module
from rollbuild.rolls.built import BuiltRoll
from rollbuild.rolls.identity import RollId
from rollbuild.rolls.mirror import fetch_roll, fetched_folder, find_sum, forget_fetched
from tests.rpms import make_rpm
from tests.servers import STYLES, Server, serve


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(transfer_module, "PAUSES", (0.0,))
    (tmp_path / "served").mkdir()
    with serve(tmp_path / "served") as made:
        yield made


def put_built(top: Path, name: str = "hpc", version: str = "1.0", extra: bytes = b"x" * 5000) -> Path:
    """A built roll in NAME/VERSION/ARCH below `top`."""
    folder = top / name / version / "x86_64"
    make_rpm(folder / "RPMS", f"{name}-tools", payload="none")
    (folder / "profile" / "nodes").mkdir(parents=True)
    (folder / "profile" / "roll.yaml").write_text(f"name: {name}\nversion: {version}\n")
    (folder / "profile" / "nodes" / "a+b 1.xml").write_bytes(extra)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {
        path.relative_to(folder).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in paths
    }
    roll = BuiltRoll(RollId(name, version, "1", "x86_64"), files=files)
    (folder / "roll.json").write_bytes(roll.to_json())
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, (digest, _) in sorted(files.items())))
    return folder


def put_old(top: Path, name: str = "area51", version: str = "5.4") -> Path:
    folder = top / name / version / "x86_64"
    make_rpm(folder / "RedHat" / "RPMS", f"roll-{name}-kickstart", version=version, old=True)
    make_rpm(folder / "RedHat" / "RPMS", f"{name}-programs", old=True)
    make_rpm(folder / "SRPMS", f"{name}-programs", arch="src", old=True)
    (folder / f"roll-{name}.xml").write_text(f'<roll name="{name}" interface="4.0"/>')
    (folder / "RedHat" / "RPMS" / "TRANS.TBL").write_text("F\n")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("style", STYLES)
def test_a_folder_of_rolls(server: Server, tmp_path: Path, style: str) -> None:
    server.listing = style
    rolls = server.folder / "install" / "rolls"
    built, old = put_built(rolls), put_old(rolls)
    (rolls / "README").write_text("not a roll")
    steps: list[int] = []
    news: list[str] = []
    found = fetch_roll(f"{server.url}/install/rolls", tmp_path / "here", advance=steps.append, news=news.append)
    assert contents(found / "hpc/1.0/x86_64") == contents(built)
    assert sorted(contents(found / "area51/5.4/x86_64")) == sorted(
        name for name in contents(old) if not name.endswith("TRANS.TBL")
    )
    assert sum(steps) > 5000
    assert any("roll hpc-1.0-1.x86_64: 3 files" in line for line in news)


def test_one_roll_needs_no_listing(server: Server, tmp_path: Path) -> None:
    server.listing = ""
    built = put_built(server.folder)
    found = fetch_roll(f"{server.url}/hpc/1.0/x86_64/", tmp_path / "here")
    assert contents(found) == contents(built)


def test_an_old_roll_by_its_folder(server: Server, tmp_path: Path) -> None:
    put_old(server.folder)
    found = fetch_roll(f"{server.url}/area51/5.4/x86_64", tmp_path / "here")
    assert {"roll-area51.xml", "SRPMS/area51-programs-1.0-1.src.rpm"} <= set(contents(found))


def test_a_second_try_resumes(server: Server, tmp_path: Path) -> None:
    built = put_built(server.folder, extra=b"y" * 300_000)
    server.cuts = [200_000, 0, 200_000, 0, 200_000, 0, 0, 0, 0]
    with pytest.raises(RollbuildError) as refused:
        fetch_roll(f"{server.url}/hpc/1.0/x86_64", tmp_path / "here")
        fetch_roll(f"{server.url}/hpc/1.0/x86_64", tmp_path / "here")
    assert refused.value.exit_code == UNREACHABLE
    server.cuts = []
    found = fetch_roll(f"{server.url}/hpc/1.0/x86_64", tmp_path / "here")
    assert contents(found) == contents(built)
    before = len(server.requests)
    fetch_roll(f"{server.url}/hpc/1.0/x86_64", tmp_path / "here")
    assert server.paths[before:] == [
        f"/hpc/1.0/x86_64/{name}" for name in ("roll.json", "SHA256SUMS", "SHA256SUMS.asc")
    ]


def test_what_rocks_took_from_a_dvd_is_passed_over(server: Server, tmp_path: Path) -> None:
    rolls = server.folder / "rolls"
    put_old(rolls)
    (put_old(rolls, "CentOS", "7.4") / "roll-CentOS.xml").unlink()
    news: list[str] = []
    found = fetch_roll(f"{server.url}/rolls", tmp_path / "here", news=news.append)
    assert [path.name for path in found.iterdir()] == ["area51"]
    assert any(f"{server.url}/rolls/CentOS/7.4/x86_64/: " in line and "import-os" in line for line in news)


def test_what_the_server_no_longer_has_goes(server: Server, tmp_path: Path) -> None:
    put_built(server.folder)
    fetch_roll(f"{server.url}/hpc", tmp_path / "here")
    (server.folder / "hpc/1.0").rename(server.folder / "away")
    built = put_built(server.folder, version="2.0")
    found = fetch_roll(f"{server.url}/hpc", tmp_path / "here")
    assert contents(found / "2.0/x86_64") == contents(built)
    assert not list(found.glob("1.0/**/*.rpm"))


def test_a_damaged_file(server: Server, tmp_path: Path) -> None:
    folder = put_built(server.folder)
    (rpm,) = (folder / "RPMS").iterdir()
    data = bytearray(rpm.read_bytes())
    data[-5] ^= 1
    rpm.write_bytes(data)
    with pytest.raises(RollbuildError) as refused:
        fetch_roll(f"{server.url}/hpc", tmp_path / "here")
    assert refused.value.exit_code == REFUSED
    assert "hpc-tools-1.0-1.noarch.rpm is not the file that was expected" in refused.value.message


def test_a_damaged_package_of_an_old_roll(server: Server, tmp_path: Path) -> None:
    folder = put_old(server.folder)
    rpm = folder / "RedHat/RPMS/area51-programs-1.0-1.noarch.rpm"
    good = rpm.read_bytes()
    rpm.write_bytes(good[:-10])
    with pytest.raises(RollbuildError) as refused:
        fetch_roll(server.url, tmp_path / "here")
    assert refused.value.exit_code == REFUSED
    assert "area51-programs" in str(refused.value.location)
    rpm.write_bytes(good)  # and mended on the server, it is fetched anew
    assert rpm.read_bytes() in contents(fetch_roll(server.url, tmp_path / "here")).values()


ISO = b"an ISO, nearly" * 20_000
SHA256 = hashlib.sha256(ISO).hexdigest()


@pytest.mark.parametrize(
    ("sums", "content"),
    [
        ("hpc 1.0.iso.sha256", f"{SHA256}  hpc 1.0.iso\n"),
        ("hpc 1.0.iso.sha256", SHA256),
        ("SHA256SUMS", f"{'0' * 64}  other.iso\n{SHA256} *hpc 1.0.iso\n"),
        ("CHECKSUM", f"# a comment\nSHA256 (hpc 1.0.iso) = {SHA256}\n"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("good", [True, False])
def test_an_iso(server: Server, tmp_path: Path, sums: str, content: str, good: bool) -> None:
    (server.folder / "hpc 1.0.iso").write_bytes(ISO)
    if sums:
        (server.folder / sums).write_text(content if good else content.replace(SHA256, "f" * 64))
    news: list[str] = []
    url = f"{server.url}/hpc%201.0.iso"
    if sums and not good:
        with pytest.raises(RollbuildError) as refused:
            fetch_roll(url, tmp_path / "here")
        assert "f" * 64 in refused.value.message
        return
    server.cuts = [100_000]
    found = fetch_roll(url, tmp_path / "here", news=news.append)
    assert (found.name, found.read_bytes()) == ("hpc 1.0.iso", ISO)
    assert bool(news) == (not sums)
    asked = len(server.requests)
    fetch_roll(url, tmp_path / "here")
    assert bool(sums) == (not any(path == "/hpc%201.0.iso" for path in server.paths[asked:]))


def test_nothing_there(server: Server, tmp_path: Path) -> None:
    (server.folder / "empty" / "RedHat").mkdir(parents=True)
    (server.folder / "bare").mkdir()
    for path, said in (("bare", "there is no roll"), ("empty", "no roll-NAME.xml"), ("nowhere", "is not there")):
        with pytest.raises(RollbuildError) as refused:
            fetch_roll(f"{server.url}/{path}", tmp_path / "here")
        assert (refused.value.exit_code, said in refused.value.message) == (REFUSED, True), refused.value.message
        assert refused.value.hint
    (server.folder / "bare" / "a b.iso").write_bytes(b"")
    with pytest.raises(RollbuildError) as refused:
        fetch_roll(f"{server.url}/bare", tmp_path / "here")
    assert f"{server.url}/bare/a%20b.iso" in refused.value.hint
    server.listing = ""
    with pytest.raises(RollbuildError) as refused:
        fetch_roll(f"{server.url}/bare", tmp_path / "here")
    assert "list its folders" in refused.value.hint


@pytest.mark.parametrize(
    "url",
    ["ftp://host/x.iso", "http://user:secret@host/x.iso", "http://host/x.iso?a=b", "http://host/a b/", "http:///x"],
)
def test_urls_that_are_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(RollbuildError) as refused:
        fetch_roll(url, tmp_path / "here")
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "RPMS", "roll.json", "x.part"])
def test_names_that_lead_elsewhere(server: Server, tmp_path: Path, name: str) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    roll = BuiltRoll(RollId("hpc", "1.0", "1", "x86_64"), files={name: (digest, 0), "RPMS/a": (digest, 0)})
    (server.folder / "roll.json").write_bytes(roll.to_json())
    with pytest.raises(RollbuildError) as refused:
        fetch_roll(server.url, tmp_path / "deep" / "here")
    assert refused.value.exit_code == REFUSED
    assert not contents(tmp_path / "deep")


def test_the_folder_of_a_url(tmp_path: Path) -> None:
    one = fetched_folder(tmp_path, "http://host/rolls/")
    assert one == fetched_folder(tmp_path, "http://host/rolls") != fetched_folder(tmp_path, "http://host/roll")
    one.mkdir(parents=True)
    forget_fetched(tmp_path, "http://host/rolls")
    assert not one.exists()


@given(st.text(), st.text())
def test_any_list_of_checksums(text: str, name: str) -> None:
    found = find_sum(text, name)
    assert found is None or len(found) == 64
