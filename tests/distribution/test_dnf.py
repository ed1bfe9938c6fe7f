"""The real dnf, which knows nothing but the `.repo` file of a generation, installs from it with signatures enforced."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollbuild.distribution import Wanted, create_generation
from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding
from rollbuild.packages import Extras, export_key, make_repository, read_extras, sign_packages
from rollbuild.rolls import Store
from tests.programs import need_programs
from tests.rpms import make_rpm
from tests.stores import HELLO, OS, TOOL, add_os, add_roll

pytestmark = pytest.mark.long

OS_KEY, ROLL_KEY = "vendor@example.invalid", "roll@example.invalid"


@dataclass(frozen=True, slots=True)
class Site:
    """A store with a distribution of signed packages, and where its generation is."""

    store: Store
    folder: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need_programs("dnf", "gpg", "gpgconf", "rpmsign", "rpmkeys", "rpm")
    if os.geteuid() != 0:
        pytest.skip("dnf installs as root only")
    # Not below tmp_path: the name of the agent's socket has a limit of 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="rb-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", str(home))
        try:
            for key in (OS_KEY, ROLL_KEY):
                argv = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-gen-key", key, "rsa2048", "sign"]
                subprocess.run([*argv, "never"], check=True, capture_output=True)
            yield make_site(tmp_path_factory.mktemp("site"))
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], check=False)
            shutil.rmtree(home, ignore_errors=True)


def make_site(folder: Path) -> Site:
    store = Store(folder / "store")
    store.folder.mkdir()
    add_os(store, folder / "dvd", sign_with=OS_KEY, keys={"RPM-GPG-KEY-vendor": export_key(OS_KEY)})
    signed: dict[str, Any] = {
        "keys": {"RPM-GPG-KEY-roll": export_key(ROLL_KEY)},
        "sign": lambda files: sign_packages(files, ROLL_KEY),
    }
    add_roll(store, "base", packages=[HELLO, {"name": "gcc", "version": "12.0", "arch": "x86_64"}], **signed)
    add_roll(store, "tools", packages=[TOOL], **signed)
    older = {"name": "httpd", "version": "2.2", "arch": "x86_64"}
    shadowed = {"name": "chrony", "version": "9.9", "arch": "x86_64"}
    add_roll(store, "first", packages=[older], priority=80, **signed)
    add_roll(store, "last", packages=[shadowed], priority=20, **signed)
    modular = {"name": "nodejs", "epoch": "1", "version": "20.0", "arch": "x86_64"}
    add_roll(store, "node", packages=[modular], **signed)
    made = create_generation(
        store, Wanted("cluster", OS, require_signed=True), compile=None, judge=lambda found: errors(found)
    )
    return Site(store, made.generation.folder)


def errors(found: object) -> None:
    codes = [finding.code for finding in found if finding.severity == "error"]  # type: ignore[attr-defined]
    assert codes == []


@pytest.fixture
def dnf(site: Site, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run dnf in an empty root, with our `.repo` file and no other."""
    repos = tmp_path / "repos"
    for folder in (repos, tmp_path / "log", tmp_path / "vars"):
        folder.mkdir()
    shutil.copy(site.folder / "rollbuild.repo", repos)
    config = tmp_path / "dnf.conf"
    config.write_text("[main]\nbest=True\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        settings: dict[str, object] = {"reposdir": repos, "cachedir": tmp_path / "cache", "logdir": tmp_path / "log"}
        settings |= {"persistdir": tmp_path / "persist", "varsdir": tmp_path / "vars"}
        settings["module_platform_id"] = "platform:el9"
        argv = ["dnf", "-y", "-c", str(config), "--noplugins", f"--installroot={tmp_path / 'root'}", "--releasever=9"]
        argv += [f"--setopt={name}={value}" for name, value in settings.items()]
        return subprocess.run([*argv, *arguments], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})

    return run


def installed(folder: Path) -> set[str]:
    argv = ["rpm", f"--root={folder / 'root'}", "-qa", "--qf", "%{NAME}-%{VERSION}\n"]
    return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())


def test_packages_of_two_rolls_with_what_they_require(dnf, site: Site, tmp_path: Path) -> None:
    text = (site.folder / "rollbuild.repo").read_text()
    assert "gpgcheck=0" not in text
    done = dnf("install", "tool")
    assert done.returncode == 0, done.stdout + done.stderr
    names = installed(tmp_path)
    # Of the roll tools; of the roll base, which it requires; of BaseOS, which that requires.
    assert {"tool-2.0", "hello-1.0", "bash-5.1.8", "filesystem-3.16"} <= names
    assert (tmp_path / "root" / "usr" / "bin" / "tool").read_text() == "tool\n"


def test_groups_of_the_os_are_there(dnf, tmp_path: Path) -> None:
    done = dnf("install", "@core")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"basesystem-11", "bash-5.1.8"} <= installed(tmp_path)


def test_priorities(dnf, tmp_path: Path, site: Site) -> None:
    done = dnf("install", "httpd", "gcc", "chrony")
    assert done.returncode == 0, done.stdout + done.stderr
    # A higher priority wins although it is older; equal ones by version; a lower one does not, although it is newer.
    assert {"httpd-2.2", "gcc-12.0", "chrony-4.5"} <= installed(tmp_path)


def test_a_package_that_a_module_stream_has_too(dnf, tmp_path: Path, site: Site) -> None:
    done = dnf("install", "nodejs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nodejs-20.0" in installed(tmp_path)
    text = (tmp_path / "repos" / "rollbuild.repo").read_text()
    assert text.count("module_hotfixes=1\n") == 1
    # Without that line dnf does not see it, as the installer does not, which was told.
    (tmp_path / "repos" / "rollbuild.repo").write_text(text.replace("module_hotfixes=1\n", ""))
    seen = dnf("repoquery", "nodejs").stdout
    assert "nodejs-1:18.19.0" in seen and "nodejs-1:20.0" not in seen


def test_the_closure_of_every_repository_is_whole(dnf) -> None:
    done = dnf("repoquery", "--unsatisfied")
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout + done.stderr


@pytest.fixture
def tampered(site: Site, tmp_path: Path) -> Iterator[Path]:
    """The repository of the roll tools, to be changed: its files are no links any more, and are put back."""
    folder, safe = site.folder / "rolls" / "tools", tmp_path / "safe"
    shutil.move(folder, safe)
    shutil.copytree(safe, folder)
    yield folder
    shutil.rmtree(folder)
    shutil.move(safe, folder)


def test_a_tampered_package_is_refused(dnf, tampered: Path, tmp_path: Path) -> None:
    package = tampered / "RPMS" / "tool-2.0-1.noarch.rpm"
    data = bytearray(package.read_bytes())
    data[-1] ^= 1
    package.write_bytes(data)
    done = dnf("install", "tool")
    assert done.returncode != 0 and "has incorrect checksum" in done.stdout + done.stderr
    assert not (tmp_path / "root" / "usr" / "bin" / "tool").exists()


def test_an_unsigned_package_with_fitting_metadata_is_refused(dnf, tampered: Path, tmp_path: Path) -> None:
    (tampered / "RPMS" / "tool-2.0-1.noarch.rpm").unlink()
    evil = make_rpm(tampered / "RPMS", **{**TOOL, "files": {"/usr/bin/tool": "evil\n"}})
    extras = read_extras(tampered)
    shutil.rmtree(tampered / "repodata")
    make_repository(tampered, [f"RPMS/{evil.name}"], epoch=1_700_000_000, extras=extras or Extras(None, None, None))
    done = dnf("install", "tool")
    assert done.returncode != 0 and "is not signed" in done.stdout + done.stderr
    assert not (tmp_path / "root" / "usr" / "bin" / "tool").exists()


def test_a_key_from_elsewhere(site: Site, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.folder.mkdir()
    add_os(store, tmp_path / "dvd", keys={"RPM-GPG-KEY-none": b"no key"})
    add_roll(store, "tools", packages=[TOOL], sign=lambda files: sign_packages(files, ROLL_KEY))
    found: list[Finding] = []

    def create(**wanted: Any) -> str:
        found.clear()
        made = create_generation(store, Wanted("cluster", OS, **wanted), compile=None, judge=found.extend)
        return (made.generation.folder / "rollbuild.repo").read_text()

    assert "gpgkey" not in create()
    assert {finding.code for finding in found} == {"OS-KEY-MISSING", "ROLL-UNSIGNED"}
    assert any("signed with a key that is not there (tool-2.0-1.noarch.rpm)" in finding.message for finding in found)
    key = tmp_path / "ours.asc"
    key.write_bytes(export_key(ROLL_KEY))
    text = create(keys=(key,))
    assert "gpgcheck=0" not in text and "current/RPM-GPG-KEY-ours.asc" in text
    assert found == []
    key.write_text("no key")
    with pytest.raises(RollbuildError, match="no public key"):
        create(keys=(key,))
