"""A front end as its install leaves it, made below a folder by rollbuild's own commands."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.boot.conftest import Guest, Unpack
from tests.boot.test_netboot import make_initrd
from tests.ostrees import make_os_tree

ROOT = Path(__file__).parents[2]
SERVER = "10.1.1.1"
SLOW = 240.0  # where other tests have the processors
NAME = "granite"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample admin@example.org"
ANSWERS = f"""Info_ClusterName: Example
Kickstart_PrivateHostname: {NAME}
Kickstart_PrivateAddress: {SERVER}
Kickstart_PrivateNetmask: 255.255.0.0
Kickstart_PrivateDNSDomain: cluster.internal
Kickstart_Timezone: Europe/Berlin
ssh_root_keys: {KEY}
"""
_MAIN = {
    "rollbuild": "from rollbuild.commands.main import main",
    "rocks": "from rollbuild.commands.rocks import main",
    "insert-ethers": "from rollbuild.commands.insert_ethers import main",
}


def command(name: str, *argv: str | Path) -> list[str]:
    """The command line of one of rollbuild's programs."""
    return [sys.executable, "-c", f"import sys; {_MAIN[name]}; sys.exit(main())", *map(str, argv)]


@dataclass(slots=True)
class Prompt:
    """Runs commands below a root, and keeps what they said as a person would have seen it."""

    root: Path
    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    transcript: list[str] = field(default_factory=list)

    def variables(self) -> dict[str, str]:
        paths = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
        own = {"ROLLBUILD_ROOT": str(self.root), "PYTHONPATH": paths, "COLUMNS": "110"}
        return {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", **own, **self.environment}

    def run(self, name: str, *argv: str | Path, code: int = 0) -> str:
        """What a command wrote, both ways; it must end with this exit code."""
        done = subprocess.run(
            [*self.prefix, *command(name, *argv)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.variables(),
            cwd=self.root.parent,
            timeout=SLOW,
        )
        words = " ".join(f'"{word}"' if " " in str(word) else str(word) for word in argv)
        self.transcript.append(f"# {name} {words}\n{done.stdout}")
        assert done.returncode == code, self.transcript[-1]
        return done.stdout


@dataclass(frozen=True, slots=True)
class Installed:
    """A front end as its install leaves it: store and distribution are there, no database and no server.

    `site` is its site.yaml, `store` its store, `written` what its Kickstart writes, by path.
    """

    site: Path
    store: Path
    loaders: Path
    written: dict[str, str]
    transcript: tuple[str, ...]


def install_front_end(folder: Path, guest: Guest, unpacked: Unpack) -> Installed:
    """Make the store and the distribution el9 of the shipped rolls, with the guest for an installer."""
    root = folder / "root"
    (root / "etc/rollbuild").mkdir(parents=True)
    (root / "export").mkdir()
    signed = unpacked("grub-efi-amd64-signed") / "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"
    boot_files: dict[str, bytes | Path] = {
        "images/pxeboot/vmlinuz": guest.kernel,
        "images/pxeboot/initrd.img": make_initrd(guest, folder / "initrd", "installing"),
        "EFI/BOOT/BOOTX64.EFI": unpacked("shim-signed") / "usr/lib/shim/shimx64.efi.signed",
        "EFI/BOOT/grubx64.efi": signed,
        "EFI/BOOT/grub.cfg": b"menuentry x {\n  linux /vmlinuz\n  initrd /initrd.img\n}\n",
    }
    make_os_tree(folder / "dvd", boot=boot_files)
    (folder / "answers.yaml").write_text(ANSWERS)
    prompt = Prompt(root)
    site = root / "etc/rollbuild/site.yaml"
    sources = [ROOT / "rolls", ROOT / "graphs"]
    given = [word for source in sources for word in ("--rolls", source)]
    store = root / "export/rollbuild"
    prompt.environment["ROLLBUILD_STORE"] = str(store)
    prompt.run("rollbuild", "init", "--from", "answers.yaml", *given, "-o", site)
    prompt.run("rollbuild", "roll", "build", *sorted((ROOT / "rolls").iterdir()), ROOT / "graphs", "-o", "built")
    prompt.run("rollbuild", "roll", "add", "--enable", *sorted((folder / "built").iterdir()))
    prompt.run("rollbuild", "distro", "import-os", "dvd", "--name", "rocky-9.4")
    prompt.run("rollbuild", "distro", "create", "el9", "--os", "rocky-9.4", "--attrs", site)
    loaders = folder / "syslinux"
    loaders.mkdir()
    for package, path in (("pxelinux", "usr/lib/PXELINUX"), ("syslinux-common", "usr/lib/syslinux/modules/bios")):
        for name in ("pxelinux.0", "ldlinux.c32"):
            if (found := unpacked(package) / path / name).is_file():
                (loaders / name).write_bytes(found.read_bytes())
    kickstart = (store / "distributions/el9/current/kickstarts/frontend.ks").read_text()
    return Installed(site, store, loaders, written_files(kickstart), tuple(prompt.transcript))


def written_files(kickstart: str) -> dict[str, str]:
    """What the scripts of a Kickstart write, by path."""
    return dict(re.findall(r"^cat > (\S+) <<'RB_EOF'\n(.*?)^RB_EOF$", kickstart, re.DOTALL | re.MULTILINE))
