"""SSH keys of hosts: made once, kept on the front end, certified by the cluster's authority."""

import os
import shutil
import tempfile
from pathlib import Path

from rollbuild.cluster import list_aliases, list_interfaces, list_networks
from rollbuild.errors import RollbuildError
from rollbuild.files import explained, locked, system_path
from rollbuild.frontend.service.work import Work
from rollbuild.process import run_program

KEY = "ssh_host_ed25519_key"
HOST_KEYS = "/var/lib/rollbuild/host-keys"
AUTHORITY = "/etc/rollbuild/ssh/host_ca"
_PACKAGE = ("openssh-client", "openssh")
_PRINCIPALS = ".principals"
_SECONDS = 30.0
_WAIT_SECONDS = 60.0


def keep_host_key(work: Work, host: str) -> Path:
    """The folder with a host's key, its public key, and its certificate where there is an authority.

    What is missing is made; the certificate anew where the host's names, the key or the authority changed. `host` is
    a name of the database. Raises RollbuildError.
    """
    top = system_path(HOST_KEYS)
    with explained("cannot make", top):
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(top, 0o700)
    folder = top / host
    with locked(top / ".lock", "making the key of a host", wait_seconds=_WAIT_SECONDS):
        if not (folder / KEY).is_file():
            _make(top, folder, host)
        _certify(top, folder, host, _principals(work, host))
    return folder


def _make(top: Path, folder: Path, host: str) -> None:
    with explained("cannot make", folder), tempfile.TemporaryDirectory(dir=top, prefix=".new-") as work:
        made = Path(work) / host
        made.mkdir(mode=0o700)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host, "-f", str(made / KEY))
        for name in (KEY, f"{KEY}.pub"):
            os.chmod(made / name, 0o600)
            _sync(made / name)
        if folder.exists():  # without a key: what a kill left in the days before
            shutil.rmtree(folder)
        os.rename(made, folder)
        _sync(top)


def _certify(top: Path, folder: Path, host: str, principals: tuple[str, ...]) -> None:
    authority = system_path(AUTHORITY)
    certificate = folder / f"{KEY}-cert.pub"
    if not authority.is_file():
        certificate.unlink(missing_ok=True)
        return
    public = Path(f"{authority}.pub")
    basis = "\n".join((*principals, public.read_text() if public.is_file() else str(authority.stat().st_mtime_ns)))
    record = folder / _PRINCIPALS
    if certificate.is_file() and record.is_file() and record.read_text() == basis:
        return
    with explained("cannot make", certificate), tempfile.TemporaryDirectory(dir=top, prefix=".new-") as work:
        copy = Path(work) / f"{KEY}.pub"
        shutil.copyfile(folder / f"{KEY}.pub", copy)
        arguments = ("-I", host, "-h", "-n", ",".join(principals), "-V", "-1d:+520w")
        _run("ssh-keygen", "-q", "-s", str(authority), *arguments, str(copy))
        made = Path(work) / f"{KEY}-cert.pub"
        os.chmod(made, 0o600)
        # The record goes first and comes last: one that is there is true.
        record.unlink(missing_ok=True)
        os.rename(made, certificate)
        text = Path(work) / _PRINCIPALS
        text.write_text(basis)
        os.chmod(text, 0o600)
        os.rename(text, record)
        _sync(folder)


def _principals(work: Work, host: str) -> tuple[str, ...]:
    """All names and addresses of a host, each as people type it: its own first."""
    with work.front_end.database.reading() as c:
        interfaces = list_interfaces(c, [host])
        aliases = [alias.name for alias in list_aliases(c, [host])]
        zones = {network.name: network.zone for network in list_networks(c)}
    domain = work.maker.attributes(host).get("Kickstart_PrivateDNSDomain", "")
    names = [host, *aliases]
    found = [*names, *(f"{name}.{domain}" for name in names if domain)]
    for interface in interfaces:
        zone = zones.get(interface.network, "")
        for name in filter(None, (interface.name, host if zone else "")):
            found += [name, f"{name}.{zone}"] if zone else [name]
        if interface.address:
            found.append(interface.address)
    # A comma would make two of one.
    return tuple(dict.fromkeys(name for name in found if not set(name) & set(", \t\n")))


def _run(*argv: str) -> None:
    done = run_program(argv, timeout=_SECONDS, package=_PACKAGE)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RollbuildError(f"{argv[0]} failed: {said[-1] if said else f'exit code {done.returncode}'}")


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
