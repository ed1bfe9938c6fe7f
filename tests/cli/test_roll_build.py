"""`rollbuild roll build`: whole commands, with the real rpmbuild, gpg, dnf and xorriso."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from rollbuild.images import open_iso
from rollbuild.language import find_rolls
from rollbuild.packages import make_repository, read_rpm, unpack_rpm
from rollbuild.rolls import read_built_roll
from tests.conftest import Outcome
from tests.programs import need_program, need_programs
from tests.rpms import make_rpm

Run = Callable[..., Outcome]
Write = Callable[[Mapping[str, str]], Path]

SOURCES = Path(__file__).parents[2]
KEY = "roll-build@example.invalid"
NODE = "<kickstart><package>tool</package></kickstart>"
GRAPH = '<graph><edge from="compute" to="lab"/></graph>'
SPEC = """\
Name: greet
Version: 2.0
Release: 1%{?dist}
Summary: Greets
License: MIT
BuildArch: noarch
Source0: greet.txt
%description
Greets.
%install
install -D -m 644 %{SOURCE0} %{buildroot}/usr/share/greet/greet.txt
%files
/usr/share/greet
%changelog
* Tue Nov 14 2023 Nobody <nobody@example.org> - 2.0-1
- first
"""
LAB = {
    "lab/roll.yaml": "name: lab\nversion: 1.10\nsummary: Tools of the lab\nreleases: [el8, el9]\npriority: 60\n",
    "lab/nodes/lab.xml": NODE,
    "lab/nodes/lab.xml~": "a backup",
    "lab/nodes/.lab.xml.swp": "another",
    "lab/graphs/default/lab.xml": GRAPH,
    "lab/include/script.sh": "echo hello\n",
    "lab/README.md": "# lab\n",
    "lab/packages/greet/greet.spec": SPEC,
    "lab/packages/greet/SOURCES/greet.txt": "hello\n",
    "lab/packages/comps.xml": "<comps><group><id>lab</id><name>Lab</name></group></comps>",
    "lab/.git/config": "",
}


def link(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/etc/passwd")


def move(folder: Path) -> None:
    """Out of the roll, with a link in its place."""
    there = folder.rename(folder.parents[1] / "elsewhere")
    folder.symlink_to(there)


@pytest.fixture(autouse=True)
def _needs_rpmbuild(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if shutil.which("rpmbuild") is None and "without_rpmbuild" not in request.node.name:
        pytest.skip("rpmbuild is missing")
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def lab(tree: Write) -> Path:
    top = tree(LAB)
    make_rpm(top / "lab/packages", "tool", release="1.el9", files={"/usr/bin/tool": "x"})
    make_rpm(top / "lab/packages/el8", "tool", release="1.el8")
    make_rpm(top / "lab/packages/aarch64", "tool", release="1.el9", arch="aarch64")
    make_rpm(top / "lab/packages/SRPMS", "tool", release="1.el9", arch="src")
    return top


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    need_programs("gpg", "gpgconf", "rpmsign", "rpmkeys")
    home = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    before = os.environ.get("GNUPGHOME")
    os.environ["GNUPGHOME"] = str(home)
    try:
        argv = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        subprocess.run([*argv, "--quick-gen-key", KEY, "rsa2048", "sign", "never"], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)
        os.environ.pop("GNUPGHOME")
        if before is not None:
            os.environ["GNUPGHOME"] = before


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


def test_a_source_becomes_a_folder_and_an_iso(rollbuild: Run, lab: Path) -> None:
    need_program("xorriso")
    done = rollbuild("roll", "build", lab / "lab", "-o", lab / "out", "--iso", "--json")
    assert done.code == 0, done.err
    outer = lab / "out/lab-1.10-1.x86_64"
    inner = outer / "lab/1.10/x86_64"
    (told,) = json.loads(done.out)
    assert told["roll"] == "lab-1.10-1.x86_64"
    assert (told["path"], told["iso"], told["packages"]) == (str(outer), f"{outer}.iso", 3)
    assert f"{outer}: 3 packages, " in done.err

    assert (outer / ".discinfo").read_text() == "1700000000.000000\nlab\nx86_64\n1\n"
    built = read_built_roll(inner)
    assert (built.summary, built.releases, built.priority) == ("Tools of the lab", ("el8", "el9"), 60)
    assert [package.file for package in built.packages] == [
        "RPMS/greet-2.0-1.el9.noarch.rpm",
        "RPMS/roll-lab-kickstart-1.10-1.noarch.rpm",
        "RPMS/tool-1.0-1.el9.noarch.rpm",
        "SRPMS/greet-2.0-1.el9.src.rpm",
        "SRPMS/tool-1.0-1.el9.src.rpm",
    ]
    profile = {path.relative_to(inner / "profile").as_posix() for path in (inner / "profile").rglob("*.*")}
    assert profile == {"roll.yaml", "README.md", "nodes/lab.xml", "graphs/default/lab.xml", "include/script.sh"}
    assert (inner / "profile/roll.yaml").read_text() == LAB["lab/roll.yaml"]
    assert [(roll.name, roll.priority) for roll in find_rolls([str(inner / "profile")])] == [("lab", 60)]

    # What the tools of Rocks 5-7 unpack.
    unpack_rpm(inner / "RPMS/roll-lab-kickstart-1.10-1.noarch.rpm", lab / "old", below="export/profile")
    assert (lab / "old/nodes/lab.xml").read_text() == NODE
    assert (lab / "old/rolls/lab/roll.yaml").exists()
    assert (lab / "old/roll-lab.xml").read_bytes() == (inner / "roll-lab.xml").read_bytes()

    image = open_iso(Path(f"{outer}.iso"))
    assert image.volume_id == "LAB-1_10"
    assert image.read("lab/1.10/x86_64/roll.json", 1 << 20) == (inner / "roll.json").read_bytes()
    line = f"{hashlib.sha256(Path(f'{outer}.iso').read_bytes()).hexdigest()}  lab-1.10-1.x86_64.iso\n"
    assert Path(f"{outer}.iso.sha256").read_text() == line

    again = rollbuild("roll", "build", lab / "lab", "-o", lab / "out", "--iso", "--json")
    assert again.code == 0
    assert [item["changed"] for item in json.loads(again.out)] == [False]
    assert "as it was" in again.err


def test_equal_sources_give_equal_bytes(rollbuild: Run, lab: Path) -> None:
    copy = lab / "else where/lab"
    shutil.copytree(lab / "lab", copy, copy_function=shutil.copyfile)
    for path in copy.rglob("*"):
        os.utime(path, (86400, 86400))
        path.chmod(0o700 if path.is_dir() else 0o600)
    options = ["--iso"] if shutil.which("xorriso") else []
    assert rollbuild("roll", "build", lab / "lab", "-o", lab / "one", *options).code == 0
    old = os.umask(0o077)
    try:
        assert rollbuild("roll", "build", copy, "-o", lab / "two/deep", *options).code == 0
    finally:
        os.umask(old)
    one, two = contents(lab / "one"), contents(lab / "two/deep")
    # The images themselves have the permissions that the umask leaves.
    assert {name: digest for name, (_, digest) in one.items()} == {name: digest for name, (_, digest) in two.items()}
    roll = "lab-1.10-1.x86_64/"
    assert {k: v for k, v in one.items() if k.startswith(roll)} == {k: v for k, v in two.items() if k.startswith(roll)}


@pytest.mark.long
def test_dnf_installs_from_a_signed_roll(rollbuild: Run, lab: Path, key: None) -> None:
    need_program("dnf")
    done = rollbuild("roll", "build", lab / "lab", "-o", lab / "out", "--sign", KEY, "--require-signed")
    assert done.code == 0, done.err
    inner = lab / "out/lab-1.10-1.x86_64/lab/1.10/x86_64"
    assert [name.name for name in inner.glob("RPM-GPG-KEY-*")] == ["RPM-GPG-KEY-lab"]
    (lab / "dnf.conf").write_text(
        f"[main]\ngpgcheck=1\n[lab]\nname=lab\nbaseurl=file://{inner}\ngpgkey=file://{inner}/RPM-GPG-KEY-lab\n"
    )
    settings = [f"--setopt={name}={lab / 'dnf'}" for name in ("cachedir", "logdir", "persistdir")]
    dnf = ["dnf", "-q", "-y", "--noplugins", "-c", str(lab / "dnf.conf"), "--releasever=9", "--setopt=reposdir=/none"]
    install = [*dnf, *settings, f"--installroot={lab / 'root'}", "install", "greet", "tool"]
    installed = subprocess.run(install, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    assert (lab / "root/usr/share/greet/greet.txt").read_text() == "hello\n"
    assert (lab / "root/usr/bin/tool").exists()

    # Signatures are new each time; packages that are signed already keep theirs.
    before = contents(lab / "out")
    assert "as it was" in rollbuild("roll", "build", lab / "lab", "-o", lab / "out", "--sign", KEY).err
    assert contents(lab / "out") == before
    # The source's own packages were not touched.
    assert read_rpm(lab / "lab/packages/tool-1.0-1.el9.noarch.rpm").signed_by == ()


def test_a_key_that_is_not_there_is_told_first(rollbuild: Run, lab: Path, key: None) -> None:
    done = rollbuild("roll", "build", lab / "lab", "-o", lab / "out", "--sign", "nobody@example.invalid", "-v")
    assert (done.code, "nobody@example.invalid" in done.err) == (1, True)
    assert "building" not in done.err
    assert not (lab / "out").exists()


@pytest.mark.long
def test_a_package_changed_after_signing_is_refused(rollbuild: Run, lab: Path, key: None) -> None:
    built = rollbuild("roll", "build", lab / "lab", "-o", lab / "out", "--sign", KEY)
    assert built.code == 0, built.err
    inner = lab / "out/lab-1.10-1.x86_64/lab/1.10/x86_64"
    signed = inner / "RPMS/tool-1.0-1.el9.noarch.rpm"
    os.replace(signed, lab / "lab/packages/tool-1.0-1.el9.noarch.rpm")
    # Signed, but the roll does not have the key.
    done = rollbuild("roll", "build", lab / "lab", "-o", lab / "new", "--require-signed")
    assert done.code == 1
    assert "signed with a key that the roll does not have" in done.err
    assert "not signed" in done.err and "greet-2.0-1.el9.noarch.rpm" in done.err
    shutil.copy(inner / "RPM-GPG-KEY-lab", lab / "lab/packages/RPM-GPG-KEY-vendor")
    done = rollbuild("roll", "build", lab / "lab", "-o", lab / "new")
    assert done.code == 0, done.err
    assert "tool-1.0-1.el9.noarch" not in done.err


@pytest.mark.long
def test_all_shipped_rolls_are_built(rollbuild: Run, tmp_path: Path) -> None:
    need_program("xorriso")
    done = rollbuild("roll", "build", SOURCES, "-o", tmp_path, "--iso", "--jumbo", "everything", "--json")
    assert done.code == 0, done.err
    names = [item["roll"].split("-1.0-")[0] for item in json.loads(done.out)]
    folders = [path.name for path in (SOURCES / "rolls").iterdir() if (path / "roll.yaml").exists()]
    assert sorted(names) == sorted([*folders, "appliances"])
    assert names.index("hpc") < names.index("compute") < names.index("appliances")
    image = open_iso(tmp_path / "everything.x86_64.iso")
    assert image.volume_id == "EVERYTHING"
    paths = {entry.path for entry in image.entries()}
    assert {"base/1.0/x86_64/roll.json", "appliances/1.0/x86_64/profile/graphs/default/compute.xml"} <= paths
    assert not list(tmp_path.glob(".rollbuild-*"))
    # The built descriptions together are the description.
    profiles = [str(path) for path in tmp_path.glob("*/*/*/*/profile")]
    compiled = rollbuild(
        "compile", "compute", "-o", "-", "--no-validate", *(part for path in profiles for part in ("--rolls", path))
    )
    assert compiled.code == 0, compiled.err


OLD = {
    "Oldie/version.mk": "ROLLNAME = oldie\nVERSION = 6.2\nRELEASE = 0\nCOLOR = tan\n",
    "Oldie/DESCRIPTION": "Tools from\nolder days\n",
    "Oldie/manifest": "tool\ngone\nroll-oldie-kickstart\n",
    "Oldie/nodes/oldie.xml": NODE,
    "Oldie/graphs/default/oldie.xml": GRAPH,
    "Oldie/src/tool/Makefile": "default:\n",
}


def test_an_old_source_is_built(rollbuild: Run, tree: Write) -> None:
    top = tree(OLD)
    make_rpm(top / "Oldie/RPMS/noarch", "tool")
    make_rpm(top / "Oldie/packages", "extra")
    done = rollbuild("roll", "build", top / "Oldie", "-o", top / "out", "-v")
    assert done.code == 0, done.err
    assert "the makefiles in src/ are not run" in done.err
    assert f"{top}/Oldie/manifest:2: package gone is listed but not built [ROLL-MANIFEST]" in done.err
    assert "package extra is built but not listed" in done.err
    inner = top / "out/oldie-6.2-0.x86_64/oldie/6.2/x86_64"
    assert read_built_roll(inner).summary == "Tools from"
    assert '<color edge="tan" node="tan"/>' in (inner / "roll-oldie.xml").read_text()
    (roll,) = find_rolls([str(inner / "profile")])
    assert roll.name == "oldie"
    (top / "Oldie/roll.yaml").write_text("name: oldie\nmanifest: strict\n")
    before = contents(top / "out")
    assert rollbuild("roll", "build", top / "Oldie", "-o", top / "out").code == 1
    assert contents(top / "out") == before


def broken(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


FAULTS: Mapping[str, tuple[Callable[[Path], object], str, str]] = {
    "XML": (lambda lab: (lab / "nodes/bad.xml").write_text("<kickstart>\n<oops"), "nodes/bad.xml:2", ""),
    "attributes": (lambda lab: (lab / "attributes.yaml").write_text("a: [b]"), "attributes.yaml:1", ""),
    "graph": (lambda lab: (lab / "graphs/default/lab.xml").write_text("<graph>\n<edge"), "lab.xml:2", ""),
    "roll.yaml": (
        lambda lab: (lab / "roll.yaml").write_text("name: lab\nprio: 5\n"),
        "no key prio",
        "did you mean priority?",
    ),
    "summary": (
        lambda lab: (lab / "roll.yaml").write_text('name: lab\nsummary: "a\\e[31mb"\n'),
        "roll.yaml:2:10: summary has the control character '\\x1b'",
        "only line breaks",
    ),
    "date": (lambda lab: (lab / "roll.yaml").write_text("name: lab\ndate: 9999-12-31\n"), "between 1970 and 2105", ""),
    "extension": (
        lambda lab: (lab / "nodes/extend-base.xml").write_text("<kickstart>\n<repo>--name=x</repo></kickstart>"),
        "nodes/extend-base.xml:2",
        "known here",
    ),
    "link out": (lambda lab: (lab / "nodes/out.xml").symlink_to("/etc/passwd"), "leads out of the roll", "put a copy"),
    "link to groups": (lambda lab: link(lab / "packages/comps.xml"), "comps.xml: this link leads out of the roll", ""),
    "link to a key": (lambda lab: link(lab / "packages/RPM-GPG-KEY-x"), "KEY-x: this link leads out of the roll", ""),
    "pipe for groups": (
        lambda lab: os.mkfifo(lab / "packages/modules.yaml"),
        "modules.yaml: this is no file",
        "remove it",
    ),
    "link above packages": (lambda lab: move(lab / "packages"), "leads out of the roll, as a folder above it", ""),
    "link to a package": (lambda lab: (lab / "packages/a.rpm").symlink_to("/etc/passwd"), "leads out of the roll", ""),
    "pipe": (lambda lab: os.mkfifo(lab / "include/pipe"), "a pipe", ""),
    "damaged package": (
        lambda lab: broken(next((lab / "packages").glob("*.rpm"))),
        "tool-1.0-1.el9.noarch.rpm",
        "again",
    ),
    "short package": (lambda lab: cut(next((lab / "packages").glob("*.rpm"))), "tool-1.0-1.el9.noarch.rpm", ""),
    "no package": (lambda lab: (lab / "packages/x.rpm").write_text("x"), "packages/x.rpm", ""),
    "wrong arch": (
        lambda lab: make_rpm(lab / "packages", "arm", arch="aarch64"),
        "this package is for aarch64, the roll for x86_64",
        "packages/aarch64/",
    ),
    "twice": (
        lambda lab: make_rpm(lab / "packages/more", "tool", release="1.el9", files={"/usr/bin/tool": "y"}),
        "tool-0:1.0-1.el9.noarch is there twice with different contents",
        "another release",
    ),
    "missing source": (
        lambda lab: (lab / "packages/greet/SOURCES/greet.txt").unlink(),
        "greet.spec:7: Source0 is missing: greet.txt",
        "put greet.txt into",
    ),
    "spec builds what is there": (
        lambda lab: make_rpm(lab / "packages", "greet", version="2.0", release="1.el9"),
        "it builds greet-2.0-1.el9.noarch.rpm, which comes from",
        "remove one of them",
    ),
    "packages and no repository": (
        lambda lab: (lab / "roll.yaml").write_text("name: lab\nversion: 1.10\npackages: [munge]\n"),
        "names packages to fetch",
        "--repo",
    ),
    "release": (
        lambda lab: (lab / "roll.yaml").write_text("name: lab\nreleases: [el8]\n"),
        "not for el9 but for el8",
        "--os-release el8",
    ),
    "arch": (
        lambda lab: (lab / "roll.yaml").write_text("name: lab\narch: [aarch64]\n"),
        "not for x86_64",
        "--arch aarch64",
    ),
    "comps": (lambda lab: (lab / "packages/comps.xml").write_text("<comps>"), "packages/comps.xml:1", ""),
}


@pytest.mark.parametrize(("fault", "said", "hint"), FAULTS.values(), ids=FAULTS)
def test_faults_are_told_and_change_nothing(
    rollbuild: Run, lab: Path, fault: Callable[[Path], object], said: str, hint: str
) -> None:
    there = lab / "out/lab-1.10-1.x86_64/there"
    there.parent.mkdir(parents=True)
    there.write_text("before")
    fault(lab / "lab")
    done = rollbuild("roll", "build", lab / "lab", "-o", lab / "out")
    assert done.code == 1, done.err
    assert said in done.err
    assert hint in done.err
    assert [path.name for path in (lab / "out").rglob("*") if path.is_file()] == ["there"]


def test_faults_of_several_kinds_come_at_once(rollbuild: Run, lab: Path) -> None:
    FAULTS["XML"][0](lab / "lab")
    FAULTS["link out"][0](lab / "lab")
    FAULTS["no package"][0](lab / "lab")
    done = rollbuild("roll", "build", lab / "lab", "-o", lab / "out")
    assert done.err.count("error: ") >= 2
    assert "nodes/out.xml" in done.err and "x.rpm" in done.err


def empty(lab: Path) -> None:
    shutil.rmtree(lab)
    lab.mkdir()
    (lab / "roll.yaml").write_text("name: lab")


WARNINGS: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "renamed": (
        lambda lab: make_rpm(lab / "packages", "extra").rename(lab / "packages/zz-copy.rpm"),
        "zz-copy.rpm: this package is extra-1.0-1.noarch: the roll has it as extra-1.0-1.noarch.rpm",
    ),
    "of another release": (
        lambda lab: make_rpm(lab / "packages", "extra", release="3.el8"),
        "this package was built for el8, the roll is for el9",
    ),
    "modular": (
        lambda lab: make_rpm(lab / "packages", "extra", release="1.module+el9+1"),
        "belongs to a module, and the roll has no modules.yaml",
    ),
    "not signed": (lambda lab: None, "not signed, so that dnf refuses them"),
    "empty": (empty, "roll lab is empty"),
}


@pytest.mark.parametrize(("change", "said"), WARNINGS.values(), ids=WARNINGS)
def test_warnings_do_not_stop_a_build(rollbuild: Run, lab: Path, change: Callable[[Path], object], said: str) -> None:
    change(lab / "lab")
    done = rollbuild("roll", "build", lab / "lab", "-o", lab / "out")
    assert done.code == 0, done.err
    assert said in done.err


def test_nodes_of_other_rolls_may_be_missing(rollbuild: Run, tree: Write) -> None:
    graph = '<graph><appliance name="x" root="base"/><edge from="base"><to>lab</to><to>elsewhere</to></edge></graph>'
    include = '<kickstart><main><lang><include file="of-another.xml" mode="xml"/></lang></main></kickstart>'
    top = tree(
        {
            "lab/graphs/default/lab.xml": graph,
            "lab/nodes/lab.xml": NODE,
            "lab/nodes/extend-base.xml": NODE,
            "lab/nodes/with.xml": include,
        }
    )
    done = rollbuild("roll", "build", top / "lab", "-o", top / "out")
    assert done.code == 0, done.err
    assert done.err.count("\n") == 1


def test_named_packages_are_fetched_and_pinned(rollbuild: Run, tree: Write) -> None:
    pytest.importorskip("solv", reason="libsolv is missing")
    top = tree({"lab/roll.yaml": "name: lab\npackages: [munge]\n", "lab/nodes/lab.xml": NODE})
    wanted: Mapping[str, Mapping[str, list[str]]] = {
        "epel": {"munge": ["munge-libs"], "munge-libs": ["glibc"]},
        "os": {"glibc": []},
    }
    for place, rpms in wanted.items():
        made = [make_rpm(top / place, name, requires=requires).name for name, requires in rpms.items()]
        make_repository(top / place, sorted(made), epoch=1)
    repos = ("--repo", f"epel={top / 'epel'}", "--base-repo", f"os={top / 'os'}")
    done = rollbuild("roll", "build", top / "lab", "-o", top / "out", *repos)
    assert done.code == 0, done.err
    inner = top / "out/lab-1.0-1.x86_64/lab/1.0/x86_64"
    fetched = ["munge-1.0-1.noarch.rpm", "munge-libs-1.0-1.noarch.rpm", "roll-lab-kickstart-1.0-1.noarch.rpm"]
    assert sorted(path.name for path in (inner / "RPMS").iterdir()) == fetched
    lock = (top / "lab/roll.lock").read_text()
    # A newer package does not count until the lock is made anew.
    made = [path.name for path in (top / "epel").glob("*.rpm")]
    made.append(make_rpm(top / "epel", "munge", version="2.0", requires=["munge-libs"]).name)
    make_repository(top / "epel", sorted(made), epoch=1)
    assert "as it was" in rollbuild("roll", "build", top / "lab", "-o", top / "out").err
    assert (top / "lab/roll.lock").read_text() == lock
    assert rollbuild("roll", "build", top / "lab", "-o", top / "out", *repos, "--update-lock").code == 0
    assert (inner / "RPMS/munge-2.0-1.noarch.rpm").exists()
    # What is not as it was pinned is refused.
    make_rpm(top / "epel", "munge", version="2.0", files={"/other": ""})
    shutil.rmtree(top / "out/.packages")
    done = rollbuild("roll", "build", top / "lab", "-o", top / "out")
    assert (done.code, "munge-2.0-1.noarch" in done.err) == (1, True), done.err
    (top / "lab/roll.yaml").write_text("name: lab\npackages: [munge, no-such]\n")
    done = rollbuild("roll", "build", top / "lab", "-o", top / "out")
    assert "new packages no-such" in done.err and "--update-lock" in done.err
    done = rollbuild("roll", "build", top / "lab", "-o", top / "out", *repos, "--update-lock")
    assert (done.code, "no repository has no-such" in done.err) == (1, True), done.err


def test_a_roll_is_built_without_rpmbuild(rollbuild: Run, tree: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tree({"lab/roll.yaml": "name: lab\n", "lab/nodes/lab.xml": NODE, "empty/x": ""})
    monkeypatch.setenv("PATH", str(top / "empty"))
    done = rollbuild("roll", "build", top / "lab", "-o", top / "out")
    assert done.code == 3
    assert "rpm-build (Enterprise Linux)" in done.err and "--no-description-package" in done.err
    done = rollbuild("roll", "build", top / "lab", "-o", top / "out", "--no-description-package")
    assert done.code == 0, done.err
    assert "0 packages" in done.err


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("none",), 2, "none does not exist"),
        ((".",), 2, "there is no roll in"),
        (("lab", "--jumbo", "all"), 2, "--jumbo is for --iso"),
        (("lab", "--os-release", "el11"), 2, "el11"),
        (("lab", "--arch", "vax"), 2, "vax"),
        ((), 2, "Usage"),
        (("lab", "lab2"), 1, "two of the sources are roll lab"),
    ],
)
def test_wrong_command_lines(
    rollbuild: Run, tree: Write, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], code: int, said: str
) -> None:
    top = tree({"x/lab/roll.yaml": "name: lab\n", "x/lab2/roll.yaml": "name: lab\n", "y/z": ""})
    monkeypatch.chdir(top / ("y" if argv == (".",) else "x"))
    done = rollbuild("roll", "build", *argv)
    assert (done.code, said in done.err) == (code, True), done.err


def test_source_date_epoch(rollbuild: Run, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = lab / "out/lab-1.10-1.x86_64/lab/1.10/x86_64"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    assert rollbuild("roll", "build", lab / "lab", "-o", lab / "out").code == 0
    assert read_built_roll(inner).epoch == 1_600_000_000
    assert read_rpm(inner / "RPMS/greet-2.0-1.el9.noarch.rpm").build_time == 1_600_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    done = rollbuild("roll", "build", lab / "lab", "-o", lab / "out")
    assert (done.code, "'yesterday'" in done.err) == (2, True)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    with (lab / "lab/roll.yaml").open("a") as file:
        file.write("date: 2025-01-01\n")
    assert rollbuild("roll", "build", lab / "lab", "-o", lab / "out").code == 0
    assert read_built_roll(inner).epoch == 1_735_689_600


def test_a_roll_of_noarch_packages_only(rollbuild: Run, tree: Write) -> None:
    top = tree({"lab/roll.yaml": "name: lab\narch: noarch\n"})
    make_rpm(top / "lab/packages", "tool")
    done = rollbuild("roll", "build", top / "lab", "-o", top / "out")
    assert done.code == 0, done.err
    assert (top / "out/lab-1.0-1.noarch/lab/1.0/noarch/roll.json").exists()
    make_rpm(top / "lab/packages", "native", arch="x86_64")
    done = rollbuild("roll", "build", top / "lab", "-o", top / "out")
    assert (done.code, "add x86_64 to arch in roll.yaml" in done.err) == (1, True), done.err


def test_a_full_disk_leaves_what_was_there(rollbuild: Run, lab: Path) -> None:
    small = lab / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(small)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        assert rollbuild("roll", "build", lab / "lab", "-o", small).code == 0
        before = contents(small)
        (lab / "lab/include/large").write_bytes(os.urandom(100_000))
        done = rollbuild("roll", "build", lab / "lab", "-o", small)
        assert (done.code, "the disk is full" in done.err) == (4, True), done.err
        assert contents(small) == before
    finally:
        subprocess.run(["umount", str(small)], check=True)
