"""Make the source of the roll `rollbuild`, which brings rollbuild itself to a front end.

usage: rollbuild_roll.py TARGET    below TARGET, which is made anew, is then what `rollbuild roll build` takes

Fetches the wheels of rollbuild-roll/requirements.txt with pip, by their digests, and builds rollbuild's own.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "tools" / "rollbuild-roll"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any")
ABIS = ("cp312", "abi3", "none")
EPOCH = 1577836800  # the first second of 2020: a fixed time, so that equal inputs give an equal archive
FROM_SOURCE = ("pykickstart",)


def main(target: Path) -> None:
    """Make the roll's source. Raises subprocess.CalledProcessError when pip fails."""
    version = find_version()
    # Only the folders of the roll are replaced; wheels that were fetched stay for the next time.
    wheels = target.parent / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    fetch_wheels(wheels)
    shutil.rmtree(target, ignore_errors=True)
    for path in sorted(TEMPLATE.rglob("*")):
        if path.is_file() and path.name != "requirements.txt":
            place = target / path.relative_to(TEMPLATE)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(path.read_text().replace("@VERSION@", version))
    build_own_wheel(wheels)
    chosen = sorted(wheels.glob("*.whl"))
    write_site(chosen, target / "packages" / "rollbuild-site.tar")
    for program, module in (("rollbuild", "rollbuild.commands.main"), ("rocks", "rollbuild.commands.rocks")):
        (target / "packages" / f"{program}.bash").write_text(completion(program, module))
    print(f"{target}: rollbuild {version} with {len(chosen) - 1} wheels")


def find_version() -> str:
    """The version of this rollbuild."""
    match = re.search(r'__version__ = "([^"]+)"', (ROOT / "rollbuild" / "__init__.py").read_text())
    if match is None:
        sys.exit("error: rollbuild/__init__.py names no version")
    return match[1]


def pip(*argv: str | Path) -> None:
    """Run pip, quietly, with times that do not depend on when it is run."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([sys.executable, "-m", "pip", *map(str, argv), "-q"], check=True, env=environment)


def fetch_wheels(wheels: Path) -> None:
    """Fetch what requirements.txt names; what is there with the right digest stays, everything else goes."""
    wanted = read_requirements()
    built = {path.name for path in wheels.glob("*.whl") if path.name.split("-")[0] in FROM_SOURCE}
    for path in wheels.glob("*.whl"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if path.name not in built and digest not in wanted.values():
            path.unlink()
    there = {hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels.glob("*.whl")}
    missing = [
        name for name, digest in wanted.items() if digest not in there and name.split("==")[0] not in FROM_SOURCE
    ]
    if missing:
        select = [word for platform in PLATFORMS for word in ("--platform", platform)]
        select += [word for abi in ABIS for word in ("--abi", abi)]
        lines = "".join(f"{name} --hash=sha256:{wanted[name]}\n" for name in missing)
        (wheels / "missing.txt").write_text(lines)
        pip(
            *("download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--implementation", "cp"),
            *("--python-version", "3.12", *select, "-d", wheels, "-r", wheels / "missing.txt"),
        )
        (wheels / "missing.txt").unlink()
    for name in wanted:
        program, _, version = name.partition("==")
        if program in FROM_SOURCE and f"{program}-{version}-py3-none-any.whl" not in built:
            (wheels / "source.txt").write_text(f"{name} --hash=sha256:{wanted[name]}\n")
            pip("wheel", "--no-deps", "--require-hashes", "-w", wheels, "-r", wheels / "source.txt")
            (wheels / "source.txt").unlink()


def read_requirements() -> dict[str, str]:
    """`NAME==VERSION` -> SHA-256."""
    lines = (TEMPLATE / "requirements.txt").read_text().splitlines()
    pairs = (line.partition(" --hash=sha256:") for line in lines if line and not line.startswith("#"))
    return {name: digest for name, _, digest in pairs}


def build_own_wheel(wheels: Path) -> None:
    """Build rollbuild's wheel of this checkout."""
    for path in wheels.glob("rollbuild-*.whl"):
        path.unlink()
    pip("wheel", "--no-deps", "-w", wheels, ROOT)


def write_site(wheels: list[Path], archive: Path) -> None:
    """Unpack wheels into one tar archive below site/: sorted, of one time, owned by nobody in particular."""
    files: dict[str, bytes] = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as packed:
            for name in packed.namelist():
                # Programs of wheels are not used; their notes of what was installed would be wrong.
                if not name.endswith(("/", "/RECORD")) and ".data/" not in name.partition("/")[0] + "/":
                    files[f"site/{name}"] = packed.read(name)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as packed_site:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(files[name]), EPOCH, 0o644
            packed_site.addfile(entry, io.BytesIO(files[name]))


def completion(program: str, module: str) -> str:
    """The shell completion of a command for bash."""
    environment = {**os.environ, f"_{program.upper()}_COMPLETE": "bash_source"}
    code = f"from {module} import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, cwd=ROOT, check=True)
    return done.stdout.decode()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]).resolve())
    except subprocess.CalledProcessError as problem:
        sys.exit(f"error: a program failed: {' '.join(problem.cmd[:5])} ... (is the package index in reach?)")
