"""GET /secrets/HOST: once for each install, over TLS, to the host itself, and only what its attribute allows."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from rollbuild.cluster import add_alias, list_events, set_interface
from tests.frontend.service.conftest import ADDRESSES, HOST, OTHER, Service
from tests.programs import need_program

GONE = "this was given out\n"


@pytest.fixture
def keys(service: Service) -> Path:
    """/etc/rollbuild/secrets."""
    service.set("global", "", "ssh_hostkeys", "generated")
    folder = service.root / "etc/rollbuild/secrets"
    folder.mkdir(parents=True, mode=0o700)
    for name in ("munge.key", "accounts.key", "other.key"):
        (folder / name).write_text(f"the {name}\n")
        (folder / name).chmod(0o600)
    return folder


def files_in(content: bytes) -> dict[str, tuple[int, bytes]]:
    """Name -> (mode, content) of a tar of plain files."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            assert member.isreg()
            reader = archive.extractfile(member)
            assert reader is not None
            found[member.name] = (member.mode, reader.read())
    return found


def test_secrets_are_given_once(service: Service, keys: Path) -> None:
    token = service.install()
    answer = service.ask("GET", f"/secrets/{HOST}", tls=True, token=token)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert files_in(answer.content) == {
        "accounts.key": (0o600, b"the accounts.key\n"),
        "munge.key": (0o600, b"the munge.key\n"),
    }
    # The answer got lost: curl asks again at once.
    service.clock.now += 60
    assert service.ask("GET", f"/secrets/{HOST}", tls=True, token=token).content == answer.content
    service.clock.now += 61
    late = service.ask("GET", f"/secrets/{HOST}", tls=True, token=token)
    assert (late.status_code, late.text) == (410, GONE)
    with service.front_end.database.reading() as c:
        stages = [event.stage for event in list_events(c, HOST)]
    assert stages == ["ks-fetched", "secrets-given", "secrets-given", "secrets-refused"]
    again = service.install()
    assert service.ask("GET", f"/secrets/{HOST}", tls=True, token=again).status_code == 200


def test_they_are_given_a_few_times_at_most(service: Service, keys: Path) -> None:
    token = service.install()
    statuses = [service.ask("GET", f"/secrets/{HOST}", tls=True, token=token).status_code for _ in range(6)]
    assert statuses == [200, 200, 200, 200, 410, 410]


def test_who_gets_none(service: Service, keys: Path) -> None:
    token, others = service.install(), service.install(OTHER)

    def status(host: str = HOST, *, token: str = token, of: str = ADDRESSES[HOST], tls: bool = True) -> int:
        answer = service.ask("GET", f"/secrets/{host}", tls=tls, token=token, of=of)
        assert answer.status_code == 200 or "key" not in answer.text
        return answer.status_code

    assert status(tls=False) == 403
    assert status(token="") == 403
    assert status(token="nobodys") == 403
    assert status(token=others) == 403
    assert status(OTHER) == 403
    assert status(of=ADDRESSES[OTHER]) == 403
    assert status(of="192.0.2.7") == 403
    assert status("..%2f..%2fetc%2fpasswd") == 403
    assert service.ask("HEAD", f"/secrets/{HOST}", tls=True, token=token).status_code == 403
    # Who speaks to the service itself cannot claim to have come by TLS.
    headers = {"X-RB-Token": token, "X-Forwarded-Proto": "https"}
    direct = service.ask_directly("GET", f"/secrets/{HOST}", peer=ADDRESSES[HOST], headers=headers)
    assert direct.status_code == 403
    assert status() == 200


@pytest.mark.parametrize("stage", ["post-done", "failed"])
def test_an_install_that_is_over_gets_none(service: Service, keys: Path, stage: str) -> None:
    token = service.install()
    service.report(HOST, token, stage)
    assert service.ask("GET", f"/secrets/{HOST}", tls=True, token=token).status_code == 403


def test_an_older_install_gets_none(service: Service, keys: Path) -> None:
    token = service.install()
    service.report(HOST, token, "pre-start")
    newer = service.install()
    assert service.ask("GET", f"/secrets/{HOST}", tls=True, token=token).status_code == 403
    assert service.ask("GET", f"/secrets/{HOST}", tls=True, token=newer).status_code == 200


def test_tls_without_a_proxy_will_do(service: Service, keys: Path) -> None:
    token = service.install()
    answer = service.ask_directly(
        "GET", f"/secrets/{HOST}", peer=ADDRESSES[HOST], scheme="https", headers={"X-RB-Token": token}
    )
    assert answer.status_code == 200


def test_an_attribute_says_which_and_a_host_may_have_its_own(service: Service, keys: Path) -> None:
    service.set("appliance", "compute", "secrets", "other.key, missing.key munge.key")
    own = keys / "hosts" / HOST
    own.mkdir(parents=True, mode=0o700)
    (own / "other.key").write_text("its own\n")
    token = service.install()
    found = files_in(service.ask("GET", f"/secrets/{HOST}", tls=True, token=token).content)
    assert {name: content for name, (_, content) in found.items()} == {
        "munge.key": b"the munge.key\n",
        "other.key": b"its own\n",
    }


def test_what_is_no_secret_is_not_given(service: Service, keys: Path) -> None:
    (service.root / "etc/shadow").write_text("root:x\n")
    token = service.install()
    (keys / "shadow").symlink_to("/etc/shadow")
    (keys / "folder").mkdir()
    (keys / "big").write_bytes(b"x" * 2_000_000)
    for name in ("../../shadow", "shadow", "folder", "big", "munge.key"):
        if name == "munge.key":
            keys.chmod(0o755)
            (keys / name).chmod(0o644)
        service.set("appliance", "compute", "secrets", name)
        answer = service.ask("GET", f"/secrets/{HOST}", tls=True, token=token)
        assert (answer.status_code, answer.text) == (503, "not now: try again\n"), name
    keys.chmod(0o700)
    assert service.ask("GET", f"/secrets/{HOST}", tls=True, token=token).status_code == 200


@pytest.fixture
def authority(service: Service) -> Path:
    """The folder /etc/rollbuild/ssh with the authority for keys of hosts."""
    keygen = need_program("ssh-keygen")
    folder = service.root / "etc/rollbuild/ssh"
    folder.mkdir(parents=True, mode=0o700)
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_ca")], check=True)
    return folder


def key_files(service: Service) -> dict[str, tuple[int, bytes]]:
    token = service.install()
    answer = service.ask("GET", f"/secrets/{HOST}", tls=True, token=token)
    assert answer.status_code == 200
    service.report(HOST, token, "failed")
    service.order(HOST)
    return files_in(answer.content)


def test_host_keys_stay_and_are_certified(service: Service, authority: Path, tmp_path: Path) -> None:
    first = key_files(service)
    assert set(first) == {f"ssh_host_ed25519_key{end}" for end in ("", ".pub", "-cert.pub")}
    path = tmp_path / "certificate"
    path.write_bytes(first["ssh_host_ed25519_key-cert.pub"][1])
    text = subprocess.run(["ssh-keygen", "-L", "-f", str(path)], check=True, capture_output=True, text=True).stdout
    assert "host certificate" in text
    names = text.split("Principals:")[1].split("Critical")[0].split()
    assert names == ["compute-0-0", "compute-0-0.cluster.internal", "10.1.255.254"]

    kept = service.root / "var/lib/rollbuild/host-keys"
    assert kept.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (kept / HOST).iterdir()} == {0o600}
    assert key_files(service) == first

    with service.front_end.database.writing("rename") as c:
        add_alias(c, HOST, "first")
        set_interface(c, HOST, "eth0", address="10.1.255.200")
    ADDRESS = "10.1.255.200"
    token = service.ask("GET", f"/ks/{HOST}", of=ADDRESS).text.split("rb_token='")[1].split("'")[0]
    second = files_in(service.ask("GET", f"/secrets/{HOST}", of=ADDRESS, tls=True, token=token).content)
    assert second["ssh_host_ed25519_key"] == first["ssh_host_ed25519_key"]
    path.write_bytes(second["ssh_host_ed25519_key-cert.pub"][1])
    text = subprocess.run(["ssh-keygen", "-L", "-f", str(path)], check=True, capture_output=True, text=True).stdout
    assert text.split("Principals:")[1].split("Critical")[0].split() == [
        *("compute-0-0", "first", "compute-0-0.cluster.internal", "first.cluster.internal", ADDRESS)
    ]


def test_without_an_authority_there_is_no_certificate(service: Service, authority: Path) -> None:
    shutil.rmtree(authority)
    assert set(key_files(service)) == {"ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"}


def test_hosts_that_make_their_own_keys_get_none(service: Service, authority: Path) -> None:
    service.set("global", "", "ssh_hostkeys", "generated")
    assert key_files(service) == {}
    assert not (service.root / "var/lib/rollbuild/host-keys").exists()
