"""Whom an installer trusts that fetches its Kickstart over TLS: the cluster's own authority, in a further initrd."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited, system_path
from rollbuild.images import make_initrd

PUBLIC_CA = "/export/install/ca.pem"
ATTRIBUTE = "kickstart_tls"
CODE = "BOOT-TLS"
# What curl of the installer's first stage reads; /etc/pki/tls/certs/ca-bundle.crt leads there. It has one file only, so
# the world's authorities, which a mirror over https needs, are written anew with ours.
_BUNDLE = "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
_OWN = "etc/rollbuild/ca.pem"
_OWN_LIMIT = 64 * 1024
_BUNDLE_LIMIT = 8 * 1024 * 1024
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----")
_NO = frozenset(("", "no", "false", "off", "n", "0"))
_UNSAFE = frozenset(("ks", "noverifyssl"))


@dataclass(frozen=True, slots=True)
class Trusted:
    """Files of an installer's initrd (path -> content). Others have another name, so that none changes under a host."""

    files: Mapping[str, bytes]
    digest: str

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> "Trusted":
        """With the digest of all files, as names of files have it."""
        found = hashlib.sha256()
        for name, content in sorted(files.items()):
            found.update(f"{name}\0{len(content)}\0".encode() + content)
        return cls(files, found.hexdigest()[:16])

    @property
    def name(self) -> str:
        """The name of the image, beside the installer's initrd."""
        return f"ca-{self.digest}.img"

    def make_image(self) -> bytes:
        """An initrd of these files, for loaders to load after the installer's."""
        return make_initrd(self.files)


def uses_tls(attributes: Mapping[str, str]) -> bool:
    """Whether a host gets its Kickstart over TLS only. What is neither yes nor no counts as yes."""
    return attributes.get(ATTRIBUTE, "").strip().lower() not in _NO


def read_trusted() -> Trusted:
    """What installers are to trust: the cluster's authority, and those that this front end knows of the world.

    Raises RollbuildError where the former is not there, or is no certificate.
    """
    path = system_path(PUBLIC_CA)
    hint = f"the node cluster-ca makes it: systemctl start rollbuild-ca; or set the attribute {ATTRIBUTE} to no"
    if not path.is_file():
        raise RollbuildError(
            f"its Kickstart is to go over TLS, but the cluster's authority is not there: {PUBLIC_CA}",
            hint=hint,
            code=CODE,
        )
    found = _BLOCK.findall(read_limited(path, _OWN_LIMIT))
    if not found:
        raise RollbuildError(
            f"its Kickstart is to go over TLS, but there is no certificate in {PUBLIC_CA}", hint=hint, code=CODE
        )
    own = b"".join(block + b"\n" for block in found)
    others = system_path(f"/{_BUNDLE}")
    world = read_limited(others, _BUNDLE_LIMIT).rstrip(b"\n") + b"\n" if others.is_file() else b""
    return Trusted.of({_BUNDLE: world + own, _OWN: own})


def check_options(words: Iterable[str]) -> None:
    """Raises RollbuildError for kernel arguments that would have the installer trust anybody all the same."""
    for word in words:
        if word.partition("=")[0].removeprefix("inst.") in _UNSAFE:
            raise RollbuildError(
                f"its Kickstart is to go over TLS, and {word.partition('=')[0]} would undo that",
                hint=f"remove it from installer_options and the boot action, or set the attribute {ATTRIBUTE} to no",
                code=CODE,
            )
