"""The node `secrets` against a small server with a certificate of its own authority: what it takes, and what not."""

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.shipped.conftest import Compile, Tree, scripts_of
from tests.shipped.webservers import lead_to, make_certificate, serving

TOKEN = "0123456789abcdef"
ATTRIBUTES = {
    "scheduler": "slurm",
    "slurm_repository": "distribution",
    "install_token": TOKEN,
    "hostname": "compute-0-0",
}


def tar_of(*members: tuple[str, bytes, int]) -> bytes:
    """A tar of (name, content, mode)."""
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as archive:
        for name, content, mode in members:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return text.getvalue()


def tar_with_link(kind: bytes) -> bytes:
    """A tar with a link to a file outside."""
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as archive:
        member = tarfile.TarInfo("munge.key")
        member.type, member.linkname = kind, "/etc/shadow"
        archive.addfile(member)
    return text.getvalue()


KEYS = tar_of(("./munge.key", b"a key", 0o644), ("host.pem", b"a certificate", 0o777))


@dataclass
class FrontEnd:
    """What the server answers, what it was asked, and where it listens."""

    bundle: bytes = KEYS
    authority: bytes = b""
    given: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)

    def answer(self, path: str, token: str) -> tuple[int, bytes]:
        self.asked.append((path, token))
        if path == "/install/ca.pem":
            return (200, self.authority) if self.authority else (404, b"")
        if token != TOKEN:
            return 403, b"no"
        if self.given:
            return 410, b"gone"
        self.given = True
        return 200, self.bundle


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path, bytes]:
    """The cluster's authority, the certificate of its front end, and an authority that has nothing to do with it."""
    folder = tmp_path_factory.mktemp("certificates")
    ca, server = make_certificate(folder, "cluster")
    stranger, _ = make_certificate(folder, "stranger")
    return ca.read_bytes(), server, stranger.read_bytes()


@pytest.fixture
def front_end(certificates: tuple[bytes, Path, bytes]) -> Iterator[FrontEnd]:
    """A front end that hands out `bundle` once, over TLS, and its authority over HTTP."""
    state = FrontEnd(authority=certificates[0])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = state.answer(self.path, self.headers.get("X-RB-Token", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with serving(Handler, certificates[1]) as state.ports:
        yield state


Fetch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def fetch(compile_shipped: Compile, host: Tree, front_end: FrontEnd) -> Fetch:
    """Run the script on a compute node; its way to 10.1.1.1 leads to the small server."""
    host.add_program("restorecon", "exit 0")

    def run(**attributes: str) -> subprocess.CompletedProcess[str]:
        lead_to(host, front_end.ports)
        profile = compile_shipped("compute", "el9", **{**ATTRIBUTES, **attributes})
        (first,) = scripts_of(profile, "post", "progress")
        assert host.run(first).returncode == 0
        (script,) = scripts_of(profile, "post", "secrets")
        return host.run(script)

    return run


def secrets_of(host: Tree) -> dict[str, tuple[int, bytes]]:
    return {name: file for name, file in host.files().items() if name.startswith("etc/rollbuild/secrets/")}


def test_secrets_are_fetched_once_and_for_root_alone(fetch: Fetch, host: Tree, front_end: FrontEnd) -> None:
    done = fetch()
    assert (done.returncode, done.stderr) == (0, "")
    assert secrets_of(host) == {
        "etc/rollbuild/secrets/host.pem": (0o600, b"a certificate"),
        "etc/rollbuild/secrets/munge.key": (0o600, b"a key"),
    }
    assert (host.root / "etc/rollbuild/secrets").stat().st_mode & 0o777 == 0o700
    assert front_end.asked[-1] == ("/secrets/compute-0-0", TOKEN)
    # The token is in no list of processes, and nothing of the way here stays behind.
    assert not any(TOKEN in call for call in host.called())
    assert {path.name for path in (host.root / "etc/rollbuild").iterdir()} == {"ca.pem", "install.conf", "secrets"}

    again = fetch(require_secrets="yes")
    assert again.returncode == 0
    assert again.stdout.startswith("secrets: those of an earlier run stay: https://10.1.1.1:8443/secrets/compute-0-0")
    assert len(secrets_of(host)) == 2


def test_the_authority_may_come_with_the_kickstart(fetch: Fetch, host: Tree, front_end: FrontEnd) -> None:
    authority, front_end.authority = front_end.authority.decode(), b""
    done = fetch(cluster_ca=authority)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(secrets_of(host)) == 2
    assert [path for path, _ in front_end.asked] == ["/secrets/compute-0-0"]


def lose_authority(front_end: FrontEnd) -> None:
    front_end.authority = b""


def stop_service(front_end: FrontEnd) -> None:
    front_end.ports["https"] = 1


def give_before(front_end: FrontEnd) -> None:
    front_end.given = True


def leave(front_end: FrontEnd) -> None:
    pass


# What goes wrong, attributes, and what is said.
WITHOUT: dict[str, tuple[Callable[[FrontEnd], None], dict[str, str], str]] = {
    "no token": (leave, {"install_token": ""}, "install_token is empty"),
    "a wrong token": (leave, {"install_token": "wrong"}, "/secrets/compute-0-0 gave nothing"),
    "no authority": (lose_authority, {}, "the front end has no certificate at http://10.1.1.1/install/ca.pem"),
    "no service": (stop_service, {}, "/secrets/compute-0-0 gave nothing"),
    "given to somebody else": (give_before, {}, "/secrets/compute-0-0 gave nothing"),
}


@pytest.mark.parametrize("required", [False, True], ids=["go on", "required"])
@pytest.mark.parametrize(("break_it", "attributes", "says"), WITHOUT.values(), ids=WITHOUT)
def test_a_host_without_secrets_says_why(
    fetch: Fetch,
    host: Tree,
    front_end: FrontEnd,
    break_it: Callable[[FrontEnd], None],
    attributes: dict[str, str],
    says: str,
    required: bool,
) -> None:
    break_it(front_end)
    done = fetch(**attributes, require_secrets="yes" if required else "no")
    assert not (host.root / "etc/rollbuild/secrets").exists()
    if required:
        assert done.returncode == 1
        assert done.stderr.rstrip().endswith(f"{says}, and require_secrets is set")
    else:
        assert done.returncode == 0
        assert done.stdout.startswith("secrets: this host has none: ")
        assert done.stdout.rstrip().endswith(says)


def test_a_server_of_another_authority_is_not_asked(
    fetch: Fetch, host: Tree, front_end: FrontEnd, certificates: tuple[bytes, Path, bytes]
) -> None:
    front_end.authority = certificates[2]
    done = fetch()
    assert done.returncode == 0
    assert "certificate" in done.stderr
    assert not any(token for _, token in front_end.asked)
    assert secrets_of(host) == {}


BAD: dict[str, tuple[bytes, str]] = {
    "a climbing path": (tar_of(("../../root/.ssh/authorized_keys", b"x", 0o600)), "a name that is not allowed"),
    "a path from the root": (tar_of(("/etc/passwd", b"x", 0o600)), "a name that is not allowed"),
    "a folder": (tar_of(("keys/munge.key", b"x", 0o600)), "a name that is not allowed"),
    "a hidden name": (tar_of((".bashrc", b"x", 0o600)), "a name that is not allowed"),
    "one of two": (tar_of(("munge.key", b"x", 0o600), ("a/../../b", b"x", 0o600)), "a name that is not allowed"),
    "a symbolic link": (tar_with_link(tarfile.SYMTYPE), "something else than plain files"),
    "a hard link": (tar_with_link(tarfile.LNKTYPE), "something else than plain files"),
    "a device": (tar_with_link(tarfile.CHRTYPE), "something else than plain files"),
    "no tar": (b"<html>welcome</html>", "did not give a tar"),
}


@pytest.mark.parametrize(("bundle", "says"), BAD.values(), ids=BAD)
def test_a_bundle_that_reaches_out_ends_the_install(
    fetch: Fetch, host: Tree, front_end: FrontEnd, bundle: bytes, says: str
) -> None:
    front_end.bundle = bundle
    before = {name for name in host.files() if not name.startswith("etc/rollbuild/")}
    done = fetch()
    assert done.returncode == 1
    assert says in done.stderr
    assert secrets_of(host) == {}
    after = {name for name in host.files() if not name.startswith(("etc/rollbuild/", "usr/local/libexec/"))}
    assert after == before
