"""Keys of hosts and authorities: what the scripts leave in a tree, what sshd says of it, and a login by it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollbuild.checks import check_profile
from rollbuild.findings import Severity
from rollbuild.releases import load_release
from tests.programs import need_program
from tests.shipped.conftest import APPLIANCES, RELEASES, Compile, Tree, scripts_of

NODES = {"progress", "ssh-server", "known-hosts", "host-keys", "login-ssh"}
NAMES = "compute-0-0,compute-0-0.cluster.internal,10.1.255.254"
SECRETS = "etc/rollbuild/secrets"
DROP_IN = "etc/ssh/sshd_config.d/41-rollbuild-host-keys.conf"
OWNERS = {"el8": ("root:ssh_keys", 0o640), "el9": ("root:ssh_keys", 0o640), "el10": ("root:root", 0o600)}

Configure = Callable[..., str]


def keygen(*arguments: str | Path) -> None:
    command = [need_program("ssh-keygen"), "-q", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def make_key(path: Path, kind: str = "ed25519") -> str:
    """A key without a passphrase; its public half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keygen("-t", kind, "-N", "", "-C", path.name, "-f", path)
    return path.with_name(path.name + ".pub").read_text().strip()


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Private keys of those who sign hosts, sign users, and sign what nobody asked them to."""
    folder = tmp_path_factory.mktemp("authorities")
    paths = {name: folder / name for name in ("hosts", "users", "stranger")}
    for path in paths.values():
        make_key(path)
    return paths


def fill_bundle(host: Tree, authority: Path | None, *kinds: str) -> None:
    """Lay host keys, signed where there is an authority, where the node `secrets` unpacks them."""
    for kind in kinds or ("ed25519",):
        key = host.root / SECRETS / f"ssh_host_{kind}_key"
        make_key(key, kind)
        if authority:
            keygen("-s", authority, "-I", "compute-0-0", "-h", "-n", NAMES, "-V", "-5m:+1h", f"{key}.pub")


@pytest.fixture
def configure(compile_shipped: Compile, host: Tree, authorities: dict[str, Path]) -> Configure:
    """Run the scripts of %post that are about SSH, in order; each must succeed and be silent. Gives what they say."""
    for name in ("systemctl", "restorecon", "chown"):
        host.add_program(name, "exit 0")
    host.write("/etc/ssh/sshd_config", "# the distribution's\nPasswordAuthentication yes\n")
    public = {name: Path(f"{path}.pub").read_text() for name, path in authorities.items()}

    def run(appliance: str, release: str, **attributes: str) -> str:
        given = {"ssh_hostkeys": "cluster", "ssh_host_ca": public["hosts"], "ssh_user_ca": public["users"]}
        said = ""
        for script in scripts_of(compile_shipped(appliance, release, **{**given, **attributes}), "post"):
            if script.node in NODES:
                done = host.run(script)
                assert (done.returncode, done.stderr) == (0, ""), f"{script.node}: {done.stdout}{done.stderr}"
                said += done.stdout
        return said

    return run


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("appliance", APPLIANCES)
def test_appliances_are_clean(
    compile_shipped: Compile, authorities: dict[str, Path], appliance: str, release: str
) -> None:
    public = Path(f"{authorities['hosts']}.pub").read_text()
    profile = compile_shipped(appliance, release, ssh_hostkeys="cluster", ssh_host_ca=public, ssh_user_ca=public)
    findings = (*profile.findings, *check_profile(profile, load_release(release)))
    assert [finding for finding in findings if finding.severity != Severity.NOTE] == []
    nodes = list(profile.nodes)
    if appliance == "frontend":
        assert "host-keys" not in nodes
    else:
        assert nodes.index("ssh-server") < nodes.index("secrets") < nodes.index("host-keys")


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
def test_the_keys_of_the_cluster_are_installed(
    configure: Configure, host: Tree, authorities: dict[str, Path], release: str
) -> None:
    fill_bundle(host, authorities["hosts"], "ed25519", "rsa")
    configure("compute", release)
    files = host.files()
    owner, mode = OWNERS[release]
    for kind in ("ed25519", "rsa"):
        name = f"ssh_host_{kind}_key"
        assert files[f"etc/ssh/{name}"] == (mode, files[f"{SECRETS}/{name}"][1])
        assert files[f"etc/ssh/{name}.pub"] == (0o644, files[f"{SECRETS}/{name}.pub"][1])
        assert files[f"etc/ssh/{name}-cert.pub"] == (0o644, files[f"{SECRETS}/{name}-cert.pub"][1])
        assert f"chown {owner} /etc/ssh/{name}.new" in host.called()
        assert f"restorecon -F /etc/ssh/{name} /etc/ssh/{name}.pub" in host.called()
    assert files["etc/ssh/ssh_known_hosts"][0] == 0o644
    assert files["etc/ssh/rollbuild_user_ca.pub"] == (0o644, Path(f"{authorities['users']}.pub").read_bytes())
    lines = [f"HostCertificate /etc/ssh/ssh_host_{kind}_key-cert.pub" for kind in ("ed25519", "rsa")]
    if release == "el8":
        assert DROP_IN not in files
        text = host.read("/etc/ssh/sshd_config").splitlines()
        assert text[0] == "# begin host keys"
        assert text[2:5] == [*lines, "# end host keys"]
        assert text[-3:] == ["# end rollbuild", "# the distribution's", "PasswordAuthentication yes"]
    else:
        assert host.read(f"/{DROP_IN}").splitlines()[1:] == lines
        assert files[DROP_IN][0] == 0o600
    assert not [name for name in files if name.endswith(".new") or name.startswith("etc/rollbuild/host-keys")]
    configure("compute", release)
    assert host.files() == files


def test_lines_of_others_stay(configure: Configure, host: Tree) -> None:
    host.write("/etc/ssh/ssh_known_hosts", "example.org ssh-ed25519 AAAA\n")
    for _ in range(2):
        configure("frontend", "el9")
        lines = host.read("/etc/ssh/ssh_known_hosts").splitlines()
        assert lines[-2:] == ["# end rollbuild", "example.org ssh-ed25519 AAAA"]
        assert sum(line.startswith("@cert-authority ") for line in lines) == 2


@pytest.mark.parametrize("release", ["el8", "el9"])
def test_without_a_key_sshd_makes_its_own(configure: Configure, host: Tree, release: str) -> None:
    said = configure("compute", release)
    assert "host-keys: no host key came with the secrets: sshd makes its own at the first boot\n" in said
    assert not list(host.root.glob("etc/ssh/ssh_host_*"))
    texts = [content for name, (_, content) in host.files().items() if name.startswith("etc/ssh/sshd_config")]
    assert not [text for text in texts if b"HostCertificate" in text]


def test_a_certificate_goes_with_its_key(configure: Configure, host: Tree, authorities: dict[str, Path]) -> None:
    fill_bundle(host, authorities["hosts"])
    configure("compute", "el9")
    shutil.rmtree(host.root / SECRETS)
    fill_bundle(host, None)
    configure("compute", "el9")
    assert not (host.root / "etc/ssh/ssh_host_ed25519_key-cert.pub").exists()
    assert "HostCertificate" not in host.read(f"/{DROP_IN}")


BROKEN = {
    "nothing": "no host key came with the secrets, and require_secrets is set",
    "no key": "is no private key of SSH without a passphrase",
    "passphrase": "is no private key of SSH without a passphrase",
    "another key": "is no host certificate of the key that it came with",
    "of a user": "is no host certificate of the key that it came with",
    "no certificate": "is no host certificate of the key that it came with",
}


@pytest.mark.parametrize(("what", "message"), BROKEN.items(), ids=BROKEN)
def test_a_wrong_bundle_ends_the_install(
    compile_shipped: Compile,
    configure: Configure,
    host: Tree,
    authorities: dict[str, Path],
    what: str,
    message: str,
) -> None:
    configure("compute", "el9")
    key = host.root / SECRETS / "ssh_host_ed25519_key"
    if what != "nothing":
        fill_bundle(host, authorities["hosts"])
    if what == "no key":
        key.write_text("not a key\n")
    elif what == "passphrase":
        keygen("-p", "-P", "", "-N", "a passphrase", "-f", key)
    elif what == "another key":
        key.unlink()
        make_key(key.with_name("other"))
        key.with_name("other").rename(key)
    elif what == "of a user":
        keygen("-s", authorities["users"], "-I", "x", "-n", "root", f"{key}.pub")
    elif what == "no certificate":
        key.with_name(f"{key.name}-cert.pub").write_text("not a certificate\n")
    profile = compile_shipped("compute", "el9", ssh_hostkeys="cluster", require_secrets="yes")
    (script,) = scripts_of(profile, "post", "host-keys")
    done = host.run(script)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("install failed") == 1
    assert not list(host.root.glob("etc/ssh/ssh_host_*"))


def sshd_config(host: Tree, release: str, port: int = 22) -> Path:
    """What a host's sshd reads: on EL 8 the one file, later a file that includes the others first."""
    path = host.root / "sshd_config"
    own = (host.root / "etc/ssh/sshd_config").read_text()
    if release != "el8":
        own = f"Include {host.root}/etc/ssh/sshd_config.d/*.conf\n{own}"
    key = host.root / "etc/ssh/ssh_host_ed25519_key"
    key.chmod(0o600)
    private = f"HostKey {key}\nListenAddress 127.0.0.1\nPort {port}\nPidFile none\nAuthorizedKeysFile none\n"
    path.write_text(own + private)
    return path


@pytest.mark.parametrize("appliance", ["compute", "login"])
@pytest.mark.parametrize("release", RELEASES)
def test_sshd_accepts_its_files(
    configure: Configure, host: Tree, authorities: dict[str, Path], appliance: str, release: str
) -> None:
    sshd = need_program("sshd")
    fill_bundle(host, authorities["hosts"])
    configure(appliance, release)
    path = sshd_config(host, release)
    for mode in ("-t", "-T"):
        done = subprocess.run([sshd, mode, "-f", str(path)], capture_output=True, text=True, check=False, timeout=60)
        if "rivilege separation" in done.stderr:
            pytest.skip("sshd is installed without its user or its folder")
        assert done.returncode == 0, done.stderr
        # EL 8 knows the older name of a setting, which later ones call deprecated.
        assert [line for line in done.stderr.splitlines() if "eprecated" not in line] == []
    said = done.stdout.replace(str(host.root), "").splitlines()
    assert "hostcertificate /etc/ssh/ssh_host_ed25519_key-cert.pub" in said
    assert "trustedusercakeys /etc/ssh/rollbuild_user_ca.pub" in said


@contextmanager
def running_sshd(host: Tree, release: str) -> Iterator[int]:
    """A sshd of the tree's files on loopback; its port."""
    sshd = need_program("sshd")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = sshd_config(host, release, port)
    log = host.root / "sshd.log"
    with subprocess.Popen([sshd, "-D", "-f", str(path), "-E", str(log)], stdin=subprocess.DEVNULL) as daemon:
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if daemon.poll() is not None:
                    text = log.read_text()
                    if "rivilege separation" in text:
                        pytest.skip("sshd is installed without its user or its folder")
                    pytest.fail(text)
                time.sleep(0.05)
            else:
                pytest.fail("sshd does not listen")
            yield port
        finally:
            daemon.terminate()


def log_in(host: Tree, port: int, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Log in by strict checking to what is said to be the host NAME, knowing only what the tree knows."""
    known = host.root / "etc/ssh/ssh_known_hosts"
    settings = {
        "StrictHostKeyChecking": "yes",
        "GlobalKnownHostsFile": str(known),
        "UserKnownHostsFile": "/dev/null",
        "HostKeyAlias": name,
        "BatchMode": "yes",
        "IdentityAgent": "none",
        "IdentitiesOnly": "yes",
    }
    given = [f"-o{key}={value}" for key, value in settings.items()]
    command = [need_program("ssh"), "-v", "-F", "none", *given, *options, "-p", str(port), "127.0.0.1", "echo in"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)


KNOWN = "is known and matches the ED25519-CERT host certificate"
REFUSED = "Host key verification failed"


@pytest.mark.long
@pytest.mark.parametrize("release", ["el8", "el9"])
def test_hosts_of_the_cluster_are_known_and_no_others(
    configure: Configure, host: Tree, authorities: dict[str, Path], release: str
) -> None:
    fill_bundle(host, authorities["hosts"])
    configure("compute", release)
    with running_sshd(host, release) as port:
        for name in NAMES.split(","):
            said = log_in(host, port, name).stderr
            assert KNOWN in said, said
            assert REFUSED not in said
        # Another host of the cluster, and a name outside of it, are not what this certificate is for.
        for name in ("compute-0-1", "compute-0-0.example.org", "localhost"):
            assert REFUSED in log_in(host, port, name).stderr, name


def test_a_host_of_another_authority_is_refused(configure: Configure, host: Tree, authorities: dict[str, Path]) -> None:
    fill_bundle(host, authorities["stranger"])
    configure("compute", "el9")
    with running_sshd(host, "el9") as port:
        for name in NAMES.split(","):
            done = log_in(host, port, name)
            assert done.returncode == 255
            assert REFUSED in done.stderr
            assert KNOWN not in done.stderr


def test_a_reinstalled_host_with_a_new_key_is_known(
    configure: Configure, host: Tree, authorities: dict[str, Path]
) -> None:
    for _ in range(2):
        fill_bundle(host, authorities["hosts"])
        configure("compute", "el9")
        with running_sshd(host, "el9") as port:
            assert KNOWN in log_in(host, port, "compute-0-0").stderr
        shutil.rmtree(host.root / SECRETS)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take anyone's login")
def test_a_user_with_a_certificate_gets_in(
    configure: Configure, host: Tree, authorities: dict[str, Path], tmp_path: Path
) -> None:
    fill_bundle(host, authorities["hosts"])
    configure("compute", "el9")
    with running_sshd(host, "el9") as port:
        for authority, principal, status in (("users", "root", 0), ("users", "alice", 255), ("stranger", "root", 255)):
            key = tmp_path / f"{authority}-{principal}"
            make_key(key)
            keygen("-s", authorities[authority], "-I", "test", "-n", principal, "-V", "-5m:+1h", f"{key}.pub")
            done = log_in(host, port, "compute-0-0", "-i", str(key), "-l", "root")
            assert done.returncode == status, done.stderr
            assert done.stdout == ("in\n" if status == 0 else "")
