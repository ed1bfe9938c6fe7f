import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rollbuild.errors import MISSING_PROGRAM, FindingsError, RollbuildError
from rollbuild.packages import build_files_rpm, build_spec, find_mock_config, read_rpm, unpack_rpm, verify_rpm
from tests.programs import need_program

Write = Callable[[Mapping[str, str]], Path]
EPOCH = 1_700_000_000

HELLO = """\
Name: hello
Version: 1.0
Release: 1%{?dist}
Summary: Says hello
License: MIT
BuildArch: noarch
Source0: https://example.org/files/hello.txt
%description
Says hello.
%install
mkdir -p %{buildroot}/usr/share/hello
install -p -m 644 %{SOURCE0} %{buildroot}/usr/share/hello/
echo %{rhel} %{?el8:eight}%{?el9:nine} $SOURCE_DATE_EPOCH > %{buildroot}/usr/share/hello/release
%files
/usr/share/hello
"""


@pytest.fixture(autouse=True)
def _needs_rpmbuild() -> None:
    need_program("rpmbuild")


def build(spec: Path, output: Path, release: str = "el9", mock: str = "") -> tuple[Path, ...]:
    output.mkdir(exist_ok=True)
    return build_spec(
        spec, output=output, release=release, arch="x86_64", epoch=EPOCH, logs=output.parent / "logs", mock=mock
    )


def query(path: Path, form: str) -> str:
    done = subprocess.run(["rpm", "-qp", "--nosignature", "--qf", form, path], capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize(
    ("release", "words", "packed"), [("el8", "8 eight", "xz"), ("el9", "9 nine", "zstd"), ("el10", "10", "zstd")]
)
def test_a_spec_file_is_built_for_its_release(tree: Write, release: str, words: str, packed: str) -> None:
    top = tree({"hello/hello.spec": HELLO, "hello/SOURCES/hello.txt": "hello\n"})
    binary, source = build(top / "hello/hello.spec", top / "out", release)
    assert [path.name for path in (binary, source)] == [
        f"hello-1.0-1.{release}.noarch.rpm",
        f"hello-1.0-1.{release}.src.rpm",
    ]
    assert query(binary, "%{BUILDTIME} %{BUILDHOST} %{PAYLOADCOMPRESSOR}") == f"{EPOCH} reproducible {packed}"
    assert {verify_rpm(path).arch for path in (binary, source)} == {"noarch", "src"}
    unpacked = subprocess.run(
        f"rpm2cpio {binary} | cpio -i --quiet --to-stdout ./usr/share/hello/release",
        shell=True,
        capture_output=True,
        text=True,
    )
    if shutil.which("cpio"):
        assert unpacked.stdout == f"{words} {EPOCH}\n"


def test_equal_sources_give_equal_packages(tree: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tree({"a/hello.spec": HELLO, "a/hello.txt": "hello\n", "home/.rpmmacros": "%dist .mine\n%vendor Me\n"})
    first = build(top / "a/hello.spec", top / "first")
    shutil.copytree(top / "a", top / "elsewhere/b", copy_function=shutil.copyfile)
    os.chmod(top / "elsewhere/b/hello.txt", 0o600)
    os.utime(top / "elsewhere/b/hello.txt", (1, 1))
    monkeypatch.setenv("HOME", str(top / "home"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    old = os.umask(0o077)
    try:
        second = build(top / "elsewhere/b/hello.spec", top / "second")
    finally:
        os.umask(old)
    assert [digest(path) for path in first] == [digest(path) for path in second]


def digest(path: Path) -> tuple[str, str]:
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def test_missing_sources_are_named_before_anything_runs(tree: Write) -> None:
    spec = HELLO.replace("%description", "Source1: more.conf\nPatch0: fix.patch\n%description", 1)
    top = tree({"hello/hello.spec": spec, "hello/SOURCES/more.conf": ""})
    with pytest.raises(FindingsError) as caught:
        build(top / "hello/hello.spec", top / "out")
    told = [(item.message, item.location.line if item.location else 0) for item in caught.value.findings]
    assert told == [("Source0 is missing: hello.txt", 7), ("Patch0 is missing: fix.patch", 9)]
    assert "fetch https://example.org/files/hello.txt" in caught.value.findings[0].hint
    assert str(top / "hello/SOURCES") in caught.value.findings[1].hint
    assert list((top / "out").iterdir()) == []


FAILURES = {
    "script": (HELLO.replace("install -p", "echo before; false; install -p"), "rpmbuild failed", "the whole log is"),
    "build requirement": (
        HELLO.replace("%description", "BuildRequires: no-such-thing >= 3, nor-this\n%description", 1),
        "not installed: no-such-thing >= 3, nor-this",
        "--mock",
    ),
    "no release": ("Name: x\nVersion: 1\n", "Release field must be present", ""),
    "not a spec": ("hello?\n", "cannot be read", ""),
}


@pytest.mark.parametrize(("spec", "said", "hint"), FAILURES.values(), ids=FAILURES)
def test_what_fails_is_told_plainly(tree: Write, spec: str, said: str, hint: str) -> None:
    top = tree({"hello/hello.spec": spec, "hello/hello.txt": ""})
    with pytest.raises(RollbuildError) as caught:
        build(top / "hello/hello.spec", top / "out")
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.location and caught.value.location.file == str(top / "hello/hello.spec")
    assert (top / "logs/hello.log").exists() == ("log" in hint)
    if "log" in hint:
        assert "+ echo before" in caught.value.message
        assert "+ false" in (top / "logs/hello.log").read_text()


def test_the_folder_of_a_build_that_was_killed_is_emptied(tree: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tree({"hello/hello.spec": HELLO, "hello/hello.txt": "", "tmp/rollbuild-rpm/RPMS/old.rpm": "", "tmp/keep": ""})
    monkeypatch.setattr("tempfile.tempdir", str(top / "tmp"))
    assert len(build(top / "hello/hello.spec", top / "out")) == 2
    assert [path.name for path in (top / "tmp").iterdir()] == ["keep"]
    monkeypatch.setattr("tempfile.tempdir", str(top / "a b"))
    (top / "a b").mkdir()
    with pytest.raises(RollbuildError, match="blanks") as caught:
        build(top / "hello/hello.spec", top / "out")
    assert "TMPDIR" in caught.value.hint


MOCK = """\
#!/usr/bin/env python3
import json, os, shutil, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
result = sys.argv[sys.argv.index("--resultdir") + 1]
if "--buildsrpm" in sys.argv:
    assert os.path.isfile(sys.argv[sys.argv.index("--spec") + 1])
    assert os.path.isfile(os.path.join(sys.argv[sys.argv.index("--sources") + 1], "hello.txt"))
    shutil.copy({source!r}, result)
elif os.path.exists({broken!r}):
    open(os.path.join(result, "root.log"), "w").write("No matching package to install: 'gcc-nine'\\n")
    sys.exit(30)
else:
    assert sys.argv[-1].endswith(".src.rpm")
    shutil.copy({binary!r}, result)
"""


def test_mock_is_told_what_to_build(tree: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for mock: no repositories of the OS can be reached from here."""
    top = tree({"hello/hello.spec": HELLO, "hello/hello.txt": "hello\n", "bin/none": ""})
    binary, source = build(top / "hello/hello.spec", top / "made")
    program = top / "bin/mock"
    names = {"log": top / "log", "source": source, "binary": binary, "broken": top / "broken"}
    program.write_text(MOCK.format(**{name: str(path) for name, path in names.items()}))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{top / 'bin'}:{os.environ['PATH']}")
    built = build(top / "hello/hello.spec", top / "out", mock="rocky+epel-9-x86_64")
    assert [path.name for path in built] == [binary.name, source.name]
    first, second = map(json.loads, (top / "log").read_text().splitlines())
    for argv in (first, second):
        assert argv[:2] == ["-r", "rocky+epel-9-x86_64"]
        assert "dist .el9" in argv and "use_source_date_epoch_as_buildtime 1" in argv
    assert "--buildsrpm" in first and second[-2] == "--rebuild"
    (top / "broken").touch()
    with pytest.raises(RollbuildError, match="not installed: gcc-nine"):
        build(top / "hello/hello.spec", top / "again", mock="rocky+epel-9-x86_64")


def test_mock_is_taken_where_a_configuration_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alma+epel-9-x86_64.cfg").touch()
    monkeypatch.setattr("rollbuild.packages.rpmbuild._MOCK_FOLDER", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_mock_config("el9", "x86_64") == ""
    (tmp_path / "mock").write_text("#!/bin/sh\n")
    (tmp_path / "mock").chmod(0o755)
    assert find_mock_config("el9", "x86_64") == "alma+epel-9-x86_64"
    assert find_mock_config("el10", "x86_64") == ""


def test_a_package_of_files(tmp_path: Path) -> None:
    files = {
        "/export/profile/nodes/a.xml": b"<kickstart/>",
        "/export/profile/rolls/lab/odd %{name} [x]*.txt": b"\x00odd",
        "/export/profile/roll-lab.xml": b"<roll/>",
    }
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(
            build_files_rpm(
                *("roll-lab-kickstart", "1.0", "2", files),
                summary="100%\n%install of <lab>",
                output=tmp_path / name,
                epoch=EPOCH,
                prefix="/export/profile",
            )
        )
    assert made[0].name == "roll-lab-kickstart-1.0-2.noarch.rpm"
    assert digest(made[0]) == digest(made[1])
    rpm = verify_rpm(made[0])
    assert (rpm.name, rpm.arch, rpm.build_time, rpm.summary) == (
        "roll-lab-kickstart",
        "noarch",
        EPOCH,
        "100% %install of <lab>",
    )
    assert query(made[0], "%{PAYLOADCOMPRESSOR} %{PREFIXES}") == "gzip /export/profile"
    unpack_rpm(made[0], tmp_path / "out", below="export/profile")
    assert (tmp_path / "out/rolls/lab/odd %{name} [x]*.txt").read_bytes() == b"\x00odd"
    assert read_rpm(made[1]).signed_by == ()


def test_rpmbuild_is_named_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RollbuildError) as caught:
        build_files_rpm("a", "1", "1", {"/a/b": b""}, summary="", output=tmp_path, epoch=1)
    assert caught.value.exit_code == MISSING_PROGRAM
    assert "rpm-build" in caught.value.hint
