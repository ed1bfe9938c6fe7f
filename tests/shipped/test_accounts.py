"""Accounts from the front end to a host: what is published by the one and merged by the other, with real OpenSSL."""

import functools
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollbuild.compiler import ScriptSection
from tests.shipped.conftest import Compile, Tree, scripts_of

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not all(map(shutil.which, ("openssl", "awk", "cmp", "flock"))),
        reason="openssl, awk, cmp or flock is not installed",
    ),
]

FRONTEND = {
    "passwd": [
        "root:x:0:0:root:/root:/bin/bash",
        "nginx:x:990:990::/var/lib/nginx:/sbin/nologin",
        "alice:x:1000:1000:Alice Ö:/home/alice:/bin/bash",
        "bob:x:1001:1001::/home/bob:/bin/zsh",
        "odd:x:1002:0::/home/odd:/bin/bash",
        "nobody:x:65534:65534::/:/sbin/nologin",
    ],
    "group": ["root:x:0:", "wheel:x:10:alice", "alice:x:1000:", "bob:x:1001:", "project:x:2000:alice,bob"],
    "shadow": ["root:!::0:99999:7:::", "alice:$6$salt$hash:19000:0:90:7::20000:", "bob:!!:19000:0:99999:7:::"],
}
HOST = {
    "passwd": [
        "root:x:0:0:root:/root:/bin/bash",
        "munge:x:991:991::/:/sbin/nologin",
        "stale:x:1009:1009::/home/s:/bin/sh",
    ],
    "group": ["root:x:0:", "wheel:x:10:", "munge:x:991:", "stale:x:1009:"],
    "shadow": ["root:$6$own$root:19000:0:99999:7:::", "munge:!!:19000::::::", "stale:*:::::::"],
    "gshadow": ["root:::", "wheel:::", "munge:!::", "stale:!::"],
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A front end and a host, and the folder that stands for the web between them."""

    frontend: Tree
    host: Tree
    web: Path

    def publish(self, status: int = 0) -> str:
        done = run(self.frontend, "usr/local/libexec/rollbuild-publish-accounts")
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def merge(self, status: int = 0) -> str:
        done = run(self.host, "usr/local/libexec/rollbuild-accounts")
        assert done.returncode == status, done.stdout + done.stderr
        return (done.stdout + done.stderr).replace(str(self.host.root), "")

    def sign(self) -> None:
        """Sign what was changed by hand, as the front end would."""
        key = self.frontend.root / "etc/rollbuild/accounts/key.pem"
        target = self.web / "accounts.sig"
        command: list[str | Path] = ["openssl", "dgst", "-sha256", "-sign", key, "-out", target, self.web / "accounts"]
        subprocess.run(command, check=True)

    def edit(self, old: str, new: str) -> None:
        """Change what is published, and sign it."""
        text = (self.web / "accounts").read_text()
        assert old in text
        (self.web / "accounts").write_text(text.replace(old, new, 1))
        self.sign()

    def tables(self) -> dict[str, tuple[int, list[str]]]:
        """Mode and lines of the host's files."""
        paths = [self.host.root / "etc" / name for name in HOST]
        return {path.name: (path.stat().st_mode & 0o777, path.read_text().splitlines()) for path in paths}


def run(tree: Tree, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", tree.root / program],
        env={"PATH": f"{tree.programs}:{os.environ['PATH']}", **tree.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def make_tree(path: Path, tables: dict[str, list[str]]) -> Tree:
    root, programs = path / "root", path / "programs"
    root.mkdir(parents=True)
    programs.mkdir()
    tree = Tree(root, programs, path / "calls")
    for name in ("systemctl", "restorecon", "sleep"):
        tree.add_program(name, "exit 0")
    for name, lines in tables.items():
        tree.write(f"/etc/{name}", "\n".join(lines) + "\n")
        (root / "etc" / name).chmod(0o600 if "shadow" in name else 0o644)
    return tree


@pytest.fixture(scope="session")
def key() -> bytes:
    """The front end's key: making one takes long."""
    return subprocess.run(["openssl", "genrsa", "3072"], check=True, capture_output=True).stdout


@pytest.fixture(scope="session")
def script_of(compile_shipped: Compile) -> Callable[..., ScriptSection]:
    """The script of a node of an appliance; each is compiled once."""

    @functools.cache
    def find(appliance: str, node: str, shadow_on_hosts: str = "no") -> ScriptSection:
        profile = compile_shipped(appliance, "el9", shadow_on_hosts=shadow_on_hosts)
        (script,) = scripts_of(profile, "post", node)
        return script

    return find


@pytest.fixture
def start(script_of: Callable[..., ScriptSection], tmp_path: Path, key: bytes) -> Callable[..., Cluster]:
    """A front end that has published, and a host that was installed from it."""

    def begin(shadow_on_hosts: str = "no") -> Cluster:
        frontend = make_tree(tmp_path / "frontend", FRONTEND)
        host = make_tree(tmp_path / "host", HOST)
        install = frontend.root / "export/install"
        host.add_program(
            "curl",
            f"""while [ $# -gt 1 ]; do [ "$1" != --output ] || out=$2; shift; done
file="{install}/${{1#http://10.1.1.1/install/}}"
[ -f "$file" ] || exit 22
cp "$file" "$out" """,
        )
        for tree in (frontend, host):
            assert tree.run(script_of("compute", "progress")).returncode == 0
        assert frontend.run(script_of("frontend", "accounts-server", shadow_on_hosts)).returncode == 0
        private = frontend.root / "etc/rollbuild/accounts"
        private.mkdir(mode=0o700)
        (private / "key.pem").write_bytes(key)
        (private / "key.pem").chmod(0o600)
        cluster = Cluster(frontend, host, install / "accounts")
        cluster.publish()
        done = host.run(script_of("compute", "accounts-client", shadow_on_hosts))
        assert done.returncode == 0, done.stderr
        return cluster

    return begin


def test_an_install_brings_users_and_groups(start: Callable[..., Cluster]) -> None:
    cluster = start()
    assert cluster.tables() == {
        "passwd": (0o644, [*HOST["passwd"][:2], *FRONTEND["passwd"][2:4]]),
        "group": (0o644, [*HOST["group"][:3], "alice:x:1000:", "bob:x:1001:", "project:x:2000:alice,bob"]),
        "shadow": (0o600, [*HOST["shadow"][:2], "alice:*::::::20000:", "bob:*:::::::"]),
        "gshadow": (0o600, [*HOST["gshadow"][:3], "alice:!::", "bob:!::", "project:!::alice,bob"]),
    }
    assert "systemctl enable rollbuild-accounts.timer" in cluster.host.called()


def test_what_is_published_holds_no_hash_and_says_who_is_left_out(start: Callable[..., Cluster]) -> None:
    cluster = start()
    assert "hash" not in "".join(path.read_text("latin-1") for path in cluster.web.glob("accounts"))
    assert sorted(path.name for path in cluster.web.iterdir()) == ["accounts", "accounts.sig"]
    assert {path.stat().st_mode & 0o777 for path in cluster.web.iterdir()} == {0o644}
    (cluster.frontend.root / "etc/rollbuild/accounts/published").unlink()
    assert "the user odd is left out: the group 0 is not from 1000 to 59999" in cluster.publish()
    private = cluster.frontend.root / "etc/rollbuild/accounts"
    assert {path.stat().st_mode & 0o777 for path in (private, *private.iterdir())} == {0o700, 0o600}


def test_nothing_changes_the_second_time(start: Callable[..., Cluster]) -> None:
    cluster = start()
    before, published = cluster.host.files(), cluster.frontend.files()
    for _ in range(2):
        assert cluster.publish().count("published") == 0
        assert cluster.merge() == ""
    assert (cluster.host.files(), cluster.frontend.files()) == (before, published)


def test_changes_come_over_and_stale_lines_go(start: Callable[..., Cluster]) -> None:
    cluster = start()
    passwd = (cluster.frontend.root / "etc/passwd").read_text()
    lines = [line for line in passwd.splitlines() if not line.startswith("alice:")]
    cluster.frontend.write("/etc/passwd", "\n".join([*lines, "carol:x:1005:2000::/home/carol:/bin/bash", ""]))
    assert "published: 2 users" in cluster.publish()
    cluster.merge()
    tables = cluster.tables()
    assert [line.split(":")[0] for line in tables["passwd"][1]] == ["root", "munge", "bob", "carol"]
    assert [line.split(":")[0] for line in tables["shadow"][1]] == ["root", "munge", "bob", "carol"]
    assert cluster.host.read("/etc/passwd.rollbuild-old").count("alice") > 0
    left = [name for name in cluster.host.files() if name.endswith((".lock", ".rollbuild", ".new"))]
    assert left == []


def test_serials_grow_even_when_the_clock_does_not(start: Callable[..., Cluster]) -> None:
    cluster = start()
    ahead = int(time.time()) + 5000
    cluster.frontend.write("/etc/rollbuild/accounts/serial", f"{ahead}\n")
    cluster.frontend.write("/etc/group", "alice:x:1000:\n")
    cluster.publish()
    assert f"serial {ahead + 1}\n" in (cluster.web / "accounts").read_text()


# What somebody who has the key would change, and what the host says; without the key nothing gets this far.
WRONG: dict[str, tuple[str, str, str]] = {
    "root": ("passwd alice:x:1000:1000:", "passwd root:x:0:0:", "the user root is not from 1000 to 59999"),
    "root with another number": ("passwd alice:x:1000:", "passwd root:x:1000:", "the user root is one of this host"),
    "another root": ("passwd alice:x:1000:", "passwd toor:x:0:", "the user toor is not from 1000 to 59999"),
    "root's group": ("passwd alice:x:1000:1000:", "passwd alice:x:1000:0:", "the user alice is not from"),
    "a number with zeros": ("passwd alice:x:1000:", "passwd alice:x:0001000:", "the user alice is not from"),
    "a number that is too long": ("passwd alice:x:1000:", "passwd alice:x:4294968296:", "the user alice is not from"),
    "a user of the host": ("passwd alice:", "passwd munge:", "the user munge is one of this host"),
    "a group of the host": ("group alice:x:1000:", "group wheel:x:1000:", "the group wheel is one of this host"),
    "wheel": ("group alice:x:1000:", "group alice:x:10:", "the group alice is not from 1000 to 59999"),
    "too few fields": ("/home/alice:/bin/bash", "/home/alice", "a user is malformed"),
    "too many fields": ("/home/alice:/bin/bash", "/home/alice:/bin/bash:", "a user is malformed"),
    "a shell that is no path": ("/bin/zsh", "zsh", "a user is malformed"),
    "a hash in passwd": ("passwd alice:x:", "passwd alice::", "a user is malformed"),
    "a hash in shadow": ("shadow alice:*:", "shadow alice:$6$a$b:", "a shadow line is malformed"),
    "a shadow line of root": ("shadow alice:*:", "shadow root:*:", "a shadow line is malformed"),
    "a name twice": ("passwd bob:x:1001:", "passwd alice:x:1001:", "the user alice or its number is there twice"),
    "a number twice": ("passwd bob:x:1001:", "passwd bob:x:1000:", "the user bob or its number is there twice"),
    "a name with a blank": ("passwd alice:", "passwd al ice:", "a name is not fit"),
    "a name with a slash": ("group project:", "group ../project:", "a name is not fit"),
    "a control character": ("Alice", "Ali\x1bce", "it holds a character that is none"),
    "an unknown word": ("passwd alice:", "sudoers alice:", "it begins with sudoers"),
    "an empty line": ("passwd alice:", "\npasswd alice:", "it begins with"),
    "another version": ("rollbuild-accounts 1", "rollbuild-accounts 2", "it is not a list of accounts"),
    "no serial": ("serial ", "serial x", "there is no serial"),
    "older than what is here": ("serial 1", "serial ", "is older ("),
}


@pytest.mark.long
@pytest.mark.parametrize(("old", "new", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_changes_nothing(start: Callable[..., Cluster], old: str, new: str, message: str) -> None:
    cluster = start()
    before = cluster.host.files()
    cluster.edit(old, new)
    said = cluster.merge(1)
    assert message in said and said.endswith("nothing is changed\n")
    assert cluster.host.files() == before


def test_a_wrong_signature_changes_nothing(start: Callable[..., Cluster]) -> None:
    cluster = start()
    before = cluster.host.files()
    accounts = cluster.web / "accounts"
    accounts.write_text(accounts.read_text().replace("/bin/zsh", "/bin/bsh"))
    assert "the signature" in cluster.merge(1)
    subprocess.run(["openssl", "genrsa", "-out", cluster.web / "other.pem", "2048"], check=True, capture_output=True)
    other: list[str | Path] = ["openssl", "dgst", "-sha256", "-sign", cluster.web / "other.pem"]
    subprocess.run([*other, "-out", cluster.web / "accounts.sig", accounts], check=True)
    assert "the signature" in cluster.merge(1)
    accounts.unlink()
    assert "cannot be fetched" in cluster.merge(1)
    assert cluster.host.files() == before


def test_an_older_version_that_was_signed_once_is_refused(start: Callable[..., Cluster]) -> None:
    cluster = start()
    first = {path: path.read_bytes() for path in cluster.web.iterdir()}
    cluster.frontend.write("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")
    cluster.publish()
    cluster.merge()
    before = cluster.host.files()
    for path, content in first.items():
        path.write_bytes(content)
    assert "is older (" in cluster.merge(1)
    assert cluster.host.files() == before


def test_a_cut_file_is_refused_although_it_parses(start: Callable[..., Cluster]) -> None:
    cluster = start()
    accounts = cluster.web / "accounts"
    accounts.write_bytes(accounts.read_bytes()[:-40])
    assert "the signature" in cluster.merge(1)


def test_useradd_is_waited_for(start: Callable[..., Cluster]) -> None:
    cluster = start()
    cluster.frontend.write("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")
    cluster.publish()
    cluster.host.write("/etc/shadow.lock", str(os.getpid()))
    before = cluster.host.files()
    assert f"process {os.getpid()} is editing /etc/shadow" in cluster.merge(1)
    assert cluster.host.files() == before
    # One that died while it edited does not count.
    dead = subprocess.Popen(["true"])
    dead.wait()
    cluster.host.write("/etc/shadow.lock", str(dead.pid))
    cluster.merge()
    assert not list((cluster.host.root / "etc").glob("*.lock"))


def test_hashes_go_encrypted_to_hosts_that_have_the_secret(start: Callable[..., Cluster]) -> None:
    cluster = start("yes")
    assert b"$6$" not in b"".join(path.read_bytes() for path in cluster.web.iterdir())
    assert "users log in with keys only" in cluster.merge()
    assert "alice:*::::::20000:" in cluster.tables()["shadow"][1]
    secret = "etc/rollbuild/secrets/accounts.key"
    assert (cluster.frontend.root / secret).stat().st_mode & 0o777 == 0o600
    cluster.host.write(secret, (cluster.frontend.root / secret).read_text())
    cluster.merge()
    shadow = cluster.tables()["shadow"]
    assert shadow == (0o600, [*HOST["shadow"][:2], *FRONTEND["shadow"][1:]])
    assert cluster.merge() == cluster.publish() == ""
    cluster.host.write(secret, "another\n")
    assert "are not encrypted with" in cluster.merge(1)
    assert cluster.tables()["shadow"] == shadow


def test_the_front_end_makes_its_key_itself(script_of: Callable[..., ScriptSection], tmp_path: Path) -> None:
    frontend = make_tree(tmp_path, FRONTEND)
    for node in ("progress", "accounts-server"):
        assert frontend.run(script_of("frontend", node)).returncode == 0
    for _ in range(2):
        assert run(frontend, "usr/local/libexec/rollbuild-publish-accounts").returncode == 0
    assert frontend.read("/export/install/keys/accounts.pem").startswith("-----BEGIN PUBLIC KEY-----\n")
    private = frontend.root / "etc/rollbuild/accounts/key.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    shown = subprocess.run(["openssl", "rsa", "-in", private, "-text", "-noout"], capture_output=True, text=True)
    assert "(3072 bit" in shown.stdout


def test_a_host_without_a_key_takes_nothing(script_of: Callable[..., ScriptSection], tmp_path: Path) -> None:
    host = make_tree(tmp_path, HOST)
    host.add_program("curl", "exit 22")
    for node in ("progress", "accounts-client"):
        done = host.run(script_of("compute", node))
        assert done.returncode == 0, done.stderr
    assert "without /etc/rollbuild/accounts.pem none are taken" in done.stdout
    assert host.read("/etc/passwd").splitlines() == HOST["passwd"]
