"""Built rolls for tests, written without createrepo_c, and media of old ones."""

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rollbuild.packages import read_rpm
from rollbuild.rolls import BuiltRoll, RollId, RollPackage, parse_requirement, roll_folder
from tests.programs import need_program
from tests.rpms import make_rpm

NODE = "<kickstart><description>A node.</description><package>hello</package></kickstart>\n"


def make_roll(
    top: Path,
    name: str = "hello",
    version: str = "1.0",
    release: str = "1",
    *,
    arch: str = "x86_64",
    packages: Sequence[str] = ("hello",),
    requires: Sequence[str] = (),
    conflicts: Sequence[str] = (),
    releases: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    size: int = 0,
) -> Path:
    """A built roll below `top`; its inner folder."""
    folder = roll_folder(top, RollId(name, version, release, arch))
    for package in packages:
        make_rpm(folder / "RPMS", package, files={f"/usr/share/{package}/text": "hello\n" * 100}, size=size)
    texts = {"profile/roll.yaml": f"name: {name}\n", f"profile/nodes/{name}.xml": NODE, **(files or {})}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    write_manifest(
        folder,
        BuiltRoll(
            RollId(name, version, release, arch),
            requires=tuple(map(parse_requirement, requires)),
            conflicts=tuple(map(parse_requirement, conflicts)),
            releases=tuple(releases),
        ),
    )
    return folder


def write_manifest(folder: Path, like: BuiltRoll) -> BuiltRoll:
    """Write roll.json and SHA256SUMS of what lies in a folder."""
    files, packages = {}, []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in ("roll.json", "SHA256SUMS"):
            data = path.read_bytes()
            files[name] = (hashlib.sha256(data).hexdigest(), len(data))
            if name.startswith("RPMS/") and name.endswith(".rpm"):
                rpm = read_rpm(path)
                parts = (rpm.name, rpm.epoch, rpm.version, rpm.release, rpm.arch)
                packages.append(RollPackage(name, *parts, *files[name], rpm.header_sha256, rpm.signed_by))
    keys = tuple(name for name in files if name.startswith("RPM-GPG-KEY-"))
    built = BuiltRoll(
        like.id,
        requires=like.requires,
        conflicts=like.conflicts,
        releases=like.releases,
        files=files,
        packages=tuple(packages),
        keys=keys,
    )
    (folder / "roll.json").write_bytes(built.to_json())
    sums = {name: digest for name, (digest, _) in files.items()} | {"roll.json": built.digest}
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    return built


def make_old_medium(
    top: Path,
    name: str = "area51",
    *,
    version: str = "6.2",
    release: str = "0",
    packages: Sequence[str] = ("tripwire",),
    profile: Mapping[str, str] | None = None,
    disk: int = 1,
) -> Path:
    """One medium of a roll as Rocks 5 to 7 laid it out, with TRANS.TBL and text junk in its XML; `top`."""
    folder = top / name / version / "x86_64"
    rpms = folder / "RedHat" / "RPMS"
    rpms.mkdir(parents=True)
    for package in packages:
        make_rpm(rpms, package, version="2.4", arch="x86_64", files={f"/usr/share/{package}": "text\n" + package})
    if profile is not None:
        files = {f"/export/profile/{path}": text for path, text in profile.items()}
        make_rpm(rpms, f"roll-{name}-kickstart", version=version, release=release, files=files)
    (folder / f"roll-{name}.xml").write_text(
        f'<roll name="{name}" interface="4.0">\n<info version="{version}" release="{release}" arch="x86_64"'
        ' os="linux"/>\n<iso maxsize="0" bootable="0" mkisofs=""/>\n<rpm rolls="0" bin="1" src="0"/>/\n</roll>\n'
    )
    (top / ".discinfo").write_text(f"1400000000.000000\n{name}\nx86_64\n{disk}\n")
    for place in (top, folder, rpms):
        (place / "TRANS.TBL").write_text("F TRANS.TBL\n")
    return top


def make_iso(folder: Path, output: Path) -> Path:
    """An ISO as old tools wrote it: Rock Ridge, TRANS.TBL in every folder."""
    need_program("xorriso")
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        if (place / "TRANS.TBL").exists():
            (place / "TRANS.TBL").unlink()
    argv = ["xorriso", "-as", "mkisofs", "-quiet", "-r", "-T", "-V", "roll disk1", "-o", str(output), str(folder)]
    subprocess.run(argv, check=True, capture_output=True)
    return output
