"""Images that xorriso writes for us, looked at with isoinfo and xorriso."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rollbuild.errors import DISK, MISSING_PROGRAM, REFUSED, RollbuildError
from rollbuild.images import open_iso, write_iso
from tests.programs import need_program

pytestmark = pytest.mark.skipif(shutil.which("xorriso") is None, reason="xorriso is missing")

EPOCH = 1_700_000_000
CONTENT = {
    "b/two": "2",
    "a": "1" * 5000,
    "c d/e'f": "3",
    'c d/"g"': "4",
    "c d/=h": "5",
    "-i": "6",
    "copy": "1" * 5000,
    "x": "",
    "y": "",
}


def fill(folder: Path, content: Mapping[str, str]) -> Path:
    for name, text in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def outside(*argv: str | Path) -> str:
    need_program(str(argv[0]))
    return subprocess.run(argv, check=True, capture_output=True, text=True, env={**os.environ, "TZ": "UTC"}).stdout


def write(folder: Path, output: Path, **changed: object) -> None:
    write_iso(folder, output, **{"volume_id": "TEST-1.0", "epoch": EPOCH, **changed})  # type: ignore[arg-type]


def test_equal_content_gives_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = fill(tmp_path / "one", CONTENT)
    for name, other in (("copy", "a"), ("y", "x")):
        (one / name).unlink()
        (one / name).hardlink_to(one / other)
    (one / "b/two").chmod(0o750)
    first = tmp_path / "first.iso"
    write(one, first)

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    before = os.umask(0o077)
    try:
        two = fill(tmp_path / "else where" / "two", dict(reversed(CONTENT.items())))
        (two / "b/two").chmod(0o700)
        for path in two.rglob("*"):
            os.utime(path, (1, 1))
        if os.geteuid() == 0:
            os.chown(two / "a", 12, 34)
        second = tmp_path / "second.iso"
        write(two, second)
    finally:
        os.umask(before)
    assert first.read_bytes() == second.read_bytes()


def test_another_program_sees_what_was_written(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", CONTENT)
    (folder / "b/two").chmod(0o711)
    (folder / "a").chmod(0o600)
    (folder / "b/link").symlink_to("../c d")
    output = tmp_path / "out.iso"
    write(folder, output)
    about = outside("isoinfo", "-d", "-i", output)
    assert "Volume id: TEST-1.0\n" in about
    assert "Rock Ridge" in about and "NO Joliet" in about
    assert "Data preparer id: ROLLBUILD\n" in about
    listed = outside("isoinfo", "-R", "-l", "-i", output)
    for line in (
        "-rw-r--r--   2    0    0            5000 Nov 14 2023",
        "-rwxr-xr-x   1    0    0               1 Nov 14 2023",
        "drwxr-xr-x   1    0    0            2048 Nov 14 2023",
        "link -> ../c d",
        "Directory listing of /c d/",
    ):
        assert line in listed
    assert outside("isoinfo", "-R", "-x", "/c d/e'f", "-i", output) == "3"
    seen = outside("xorriso", "-indev", f"stdio:{output}", "-find", "/", "-exec", "echo", "--")
    assert sorted(seen.splitlines()) == sorted(f"'{name}'" for name in seen_names(folder))


def seen_names(folder: Path) -> list[str]:
    names = ["/"] + [f"/{path.relative_to(folder)}" for path in folder.rglob("*")]
    return [name.replace("'", "'\"'\"'") for name in names]


def test_the_source_stays_as_it_was(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", CONTENT)
    (folder / "a").chmod(0o400)
    before = {path: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in walk(folder)}
    write(folder, tmp_path / "out.iso")
    after = {path: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in walk(folder)}
    assert before == after


def walk(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def test_equal_files_are_stored_once(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", {f"f{number}": "x" * 500_000 for number in range(20)} | {"other": "y" * 500_000})
    write(folder, tmp_path / "out.iso")
    assert (tmp_path / "out.iso").stat().st_size < 2_000_000
    image = open_iso(tmp_path / "out.iso")
    assert image.read("f19", 500_000) == b"x" * 500_000
    assert image.read("other", 500_000) == b"y" * 500_000


def test_progress_tells_all_bytes(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", CONTENT)
    steps: list[int] = []
    write(folder, tmp_path / "out.iso", advance=steps.append)
    assert sum(steps) == (tmp_path / "out.iso").stat().st_size


def test_many_odd_files_and_a_long_name(tmp_path: Path) -> None:
    odd = [
        "*",
        "[a]",
        "?",
        "a\\b",
        "=",
        ":",
        "é",
        "x" * 253,
        "stdio:",
        "$HOME",
        "#c",
        " ",
        "a" * 40 + "1",
        "a" * 40 + "2",
    ]
    folder = fill(tmp_path / "in", {name: name for name in odd})
    for name in odd:
        (folder / name).chmod(0o755)
    (folder / "copy of '*'").write_text("*")
    with open(os.fsencode(folder) + b"/\xff", "wb") as file:
        file.write(b"latin")
    write(folder, tmp_path / "out.iso")
    image = open_iso(tmp_path / "out.iso")
    assert {entry.path: entry.mode for entry in image.entries()} == (
        dict.fromkeys(odd, stat.S_IFREG | 0o755) | dict.fromkeys(["copy of '*'", "\udcff"], stat.S_IFREG | 0o644)
    )
    for name in odd:
        assert image.read(name, 999).decode() == name
    assert image.read("copy of '*'", 9) == b"*"


def test_the_output_is_replaced_in_one_step_and_alone(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", CONTENT)
    output = tmp_path / "new" / "- odd 'name'=.iso"
    write(folder, output)
    first = output.read_bytes()
    assert stat.S_IMODE(output.stat().st_mode) == 0o644
    (folder / "a").write_text("changed")
    write(folder, output)
    assert output.read_bytes() != first
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_a_link_as_output_keeps_pointing(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", CONTENT)
    (tmp_path / "real.iso").write_bytes(b"old")
    (tmp_path / "link.iso").symlink_to("real.iso")
    write(folder, tmp_path / "link.iso")
    assert (tmp_path / "link.iso").is_symlink()
    assert open_iso(tmp_path / "real.iso").volume_id == "TEST-1.0"


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", CONTENT)
    dead = tmp_path / ".rollbuild-image-1-abcd.iso"
    dead.write_bytes(b"half")
    write(folder, tmp_path / "out.iso")
    assert not dead.exists()


def link_out(folder: Path) -> None:
    (folder / "link").symlink_to("../outside")


def name_too_long(folder: Path) -> None:
    (folder / ("x" * 254)).write_text("")


def line_break(folder: Path) -> None:
    (folder / "two\nlines").write_text("")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


REFUSED_CONTENT: dict[str, tuple[Callable[[Path], None], str]] = {
    "link": (link_out, "this link leads out of the image: ../outside"),
    "long name": (name_too_long, "longer than the 253 bytes"),
    "control character": (line_break, "control character: 'two\\nlines'"),
    "pipe": (pipe, "this is a pipe"),
}


@pytest.mark.parametrize(("change", "said"), REFUSED_CONTENT.values(), ids=REFUSED_CONTENT)
def test_content_that_no_image_holds(tmp_path: Path, change: Callable[[Path], None], said: str) -> None:
    folder = fill(tmp_path / "in", {"a": "1"})
    change(folder)
    assert said in str(refused(folder, tmp_path / "out.iso", REFUSED))


@pytest.mark.parametrize("name", ["", "x" * 33, "A B", "é", "A/B", "A\n", "A=B"])
def test_volume_ids_that_are_none(tmp_path: Path, name: str) -> None:
    folder = fill(tmp_path / "in", {"a": "1"})
    assert "cannot be an image's volume id" in str(refused(folder, tmp_path / "out.iso", REFUSED, volume_id=name))


@pytest.mark.parametrize("epoch", [-1, 2**32])
def test_dates_that_no_image_holds(tmp_path: Path, epoch: int) -> None:
    assert "outside" in str(refused(fill(tmp_path / "in", {"a": ""}), tmp_path / "o.iso", REFUSED, epoch=epoch))


def test_the_last_date_that_an_image_holds(tmp_path: Path) -> None:
    write(fill(tmp_path / "in", {"a": ""}), tmp_path / "out.iso", epoch=2**32 - 1)
    assert "Feb  7 2106" in outside("isoinfo", "-R", "-l", "-i", tmp_path / "out.iso")


def test_places_that_take_no_image(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", {"a": "1"})
    (tmp_path / "to-in").symlink_to("in")
    (tmp_path / "file").write_text("")
    assert "would lie in the folder" in str(refused(folder, folder / "out.iso", REFUSED))
    assert "would lie in the folder" in str(refused(folder, tmp_path / "to-in" / "out.iso", REFUSED))
    assert "no regular file" in str(refused(folder, tmp_path / "../" / tmp_path.name, REFUSED, DISK))
    assert "cannot write" in str(refused(folder, tmp_path / "file" / "out.iso", REFUSED, DISK))
    assert "no such file" in str(refused(tmp_path / "none", tmp_path / "out.iso", DISK))
    assert "this is none" in str(refused(tmp_path / "file", tmp_path / "out.iso", REFUSED))
    (tmp_path / "empty").mkdir()
    assert "this folder is empty" in str(refused(tmp_path / "empty", tmp_path / "out.iso", REFUSED))


def refused(folder: Path, output: Path, *codes: int, **changed: object) -> RollbuildError:
    with pytest.raises(RollbuildError) as caught:
        write(folder, output, **changed)
    assert caught.value.exit_code in codes
    assert not list(output.parent.glob(".rollbuild-*") if output.parent.is_dir() else [])
    return caught.value


def fake_xorriso(folder: Path, version: str, rest: str) -> str:
    program = folder / "bin" / "xorriso"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -version ] && {{ echo "xorriso version   :  {version}"; exit; }}\n{rest}\n'
    )
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def test_an_old_xorriso_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "in", {"a": "1"})
    monkeypatch.setenv("PATH", fake_xorriso(tmp_path, "1.4.8", "exit 0"))
    assert "xorriso is 1.4.8" in str(refused(folder, tmp_path / "out.iso", MISSING_PROGRAM))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "xorriso is missing" in str(refused(folder, tmp_path / "out.iso", MISSING_PROGRAM))


FAILURES = {
    "full": ("echo 'libburn : FATAL : Write error: No space left on device' >&2; exit 5", DISK, "no space left"),
    "other": ("echo 'xorriso : FAILURE : Cannot think' >&2; exit 5", REFUSED, "xorriso wrote no image: Cannot think"),
    "silent": ("exit 7", REFUSED, "it ended with status 7"),
    "killed": ("kill -9 $$", REFUSED, "it ended with status -9"),
}


@pytest.mark.parametrize(("script", "code", "said"), FAILURES.values(), ids=FAILURES)
def test_a_failure_leaves_the_former_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, code: int, said: str
) -> None:
    folder = fill(tmp_path / "in", {"a": "1"})
    (tmp_path / "out.iso").write_bytes(b"former")
    monkeypatch.setenv("PATH", fake_xorriso(tmp_path, "1.5.6", script))
    assert said in str(refused(folder, tmp_path / "out.iso", code))
    assert (tmp_path / "out.iso").read_bytes() == b"former"


def test_a_full_disk_is_seen_before_and_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    folder = fill(tmp_path / "in", {"a": "1"})
    (folder / "big").write_bytes(os.urandom(3_000_000))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], capture_output=True).returncode:
        pytest.skip("mount needs root")
    try:
        (disk / "out.iso").write_bytes(b"former")
        assert "the image needs about" in str(refused(folder, disk / "out.iso", DISK))
        # As if another program filled the disk after that.
        monkeypatch.setattr("rollbuild.images.isowriting._image_size", lambda *_: 0)
        assert "no space left" in str(refused(folder, disk / "out.iso", DISK))
        assert (disk / "out.iso").read_bytes() == b"former"
    finally:
        subprocess.run(["umount", disk], check=True)
