"""Building RPMs with rpmbuild or mock: in a private folder, for a named release, with equal bytes for equal inputs."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rollbuild.errors import DISK, FindingsError, RollbuildError
from rollbuild.files import copy_file, explained, read_limited, walk_tree, write_atomically
from rollbuild.findings import error
from rollbuild.location import Location
from rollbuild.packages.buildfolder import private_folder
from rollbuild.process import Completed, find_program, run_program

_LIMIT = 16 * 1024 * 1024
_TAIL_LINES = 25
_SOURCE = re.compile(r"(?P<tag>(?:Source|Patch)\d*)\s*:\s*(?P<value>\S+)\s*\Z", re.IGNORECASE)
_NEEDED = re.compile(r"\s+(?P<what>.+?) is needed by ")
_NO_PACKAGE = re.compile(r"No matching package to install: '(?P<what>[^']+)'")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_MOCK_FOLDER = "/etc/mock"
_MOCK_CONFIGS = ("rocky+epel-{}-{}", "alma+epel-{}-{}", "centos-stream+epel-{}-{}")
# How the release itself packs: every rpm of the release, and of later ones, reads it.
_PAYLOADS = {"el7": "w2.xzdio", "el8": "w2.xzdio"}
_NEWEST_PAYLOAD = "w19.zstdio"

News = Callable[[str], object]


def build_spec(
    spec: Path,
    *,
    output: Path,
    release: str,
    arch: str,
    epoch: int,
    logs: Path,
    mock: str | None = None,
    news: News | None = None,
) -> tuple[Path, ...]:
    """Build a spec file's binary and source packages into the folder `output`; their paths, sorted.

    Sources and patches lie beside the spec file or in `SOURCES/` beside it; nothing is fetched. `mock` names a
    configuration of mock to build in; None takes mock where it and a configuration for the release are there, and the
    empty text never does. `epoch` (seconds since 1970) is the build time and bounds the files' times. When the build
    fails its whole log is kept in the folder `logs`.

    Raises RollbuildError: MISSING_PROGRAM, FindingsError with every source that is missing, REFUSED when the build
    fails, DISK.
    """
    config = find_mock_config(release, arch) if mock is None else mock
    with private_folder() as top:
        macros = _macros(top, release, epoch)
        _collect_sources(spec, top, macros, arch, epoch)
        log = logs / f"{spec.stem}.log"
        if news is not None:
            news(f"building {spec.name} {'with mock in ' + config if config else 'with rpmbuild'}")
        if config:
            _run_mock(top, spec, config, release, arch, log)
        else:
            _run_rpmbuild(top, spec, macros, arch, epoch, log)
        built = [top / name for name, _ in walk_tree(top) if name.startswith(("RPMS/", "SRPMS/", "RESULT/"))]
        return _take(sorted(path for path in built if path.suffix == ".rpm"), output)


def build_files_rpm(
    name: str,
    version: str,
    release: str,
    files: Mapping[str, bytes],
    *,
    summary: str,
    output: Path,
    epoch: int,
    prefix: str = "",
) -> Path:
    """An architecture-independent package of these files (absolute path -> content, modes 644); its path.

    `prefix` is where it may be relocated from. Its payload is packed with gzip, which every rpm reads. Raises
    RollbuildError: MISSING_PROGRAM without rpmbuild, REFUSED when rpmbuild fails, DISK.
    """
    with private_folder() as top:
        for path, content in sorted(files.items()):
            target = top / "FILES" / path.lstrip("/")
            with explained("cannot write", target):
                target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content)
        for name_below, _ in walk_tree(top / "FILES"):
            path_below = top / "FILES" / name_below
            os.chmod(path_below, 0o755 if path_below.is_dir() else 0o644)
            os.utime(path_below, (epoch, epoch))
        spec = top / f"{name}.spec"
        tops = sorted({"/" + "/".join(path.strip("/").split("/")[:2]) for path in files})
        lines = [
            f"Name: {name}",
            f"Version: {version}",
            f"Release: {release}",
            f"Summary: {_in_spec(summary) or name}",
            "License: as its files say",
            "BuildArch: noarch",
            "AutoReqProv: no",
            *([f"Prefix: {prefix}"] if prefix else []),
            "%description",
            f"{name}: {_in_spec(summary)}",
            "%install",
            "mkdir -p %{buildroot}",
            "cp -a %{_topdir}/FILES/. %{buildroot}/",
            "%files",
            "%defattr(0644,root,root,0755)",
            *tops,
        ]
        write_atomically(spec, ("\n".join(lines) + "\n").encode())
        os.utime(spec, (epoch, epoch))
        macros = {**_macros(top, "", epoch), "_binary_payload": "w6.gzdio", "__spec_install_post": "%{nil}"}
        _run_rpmbuild(top, spec, macros, "noarch", epoch, output / f"{name}.log", binary_only=True)
        (built,) = _take(sorted((top / "RPMS").glob("*.rpm")), output)
        return built


def _in_spec(text: str) -> str:
    """A text as one line of a spec file, in which nothing is expanded."""
    return " ".join(text.split()).replace("%", "%%")


def find_mock_config(release: str, arch: str) -> str:
    """A configuration of mock for the release, where mock and it are installed; else the empty text."""
    if find_program("mock") is None:
        return ""
    number = release.removeprefix("el")
    names = (pattern.format(number, arch) for pattern in _MOCK_CONFIGS)
    return next((name for name in names if os.path.isfile(f"{_MOCK_FOLDER}/{name}.cfg")), "")


def _macros(top: Path, release: str, epoch: int) -> dict[str, str]:
    macros = {
        "_topdir": os.fspath(top),
        "_tmppath": os.fspath(top / "RESULT"),
        "_rpmfilename": "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
        "_build_name_fmt": "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
        "_buildhost": "reproducible",
        "source_date_epoch_from_changelog": "0",
        "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1",
        "debug_package": "%{nil}",
        "_build_id_links": "none",
        "_source_payload": "w6.gzdio",
        "_binary_payload": _PAYLOADS.get(release, _NEWEST_PAYLOAD),
        "_source_filedigest_algorithm": "8",
        "_binary_filedigest_algorithm": "8",
        "vendor": "%{nil}",
        "packager": "%{nil}",
    }
    if release:
        number = release.removeprefix("el")
        macros |= {"dist": f".{release}", "rhel": number, release: "1"}
    return macros


def _defines(macros: Mapping[str, str]) -> list[str]:
    return [part for name, value in macros.items() for part in ("--define", f"{name} {value}")]


def _environment(top: Path, epoch: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TMPDIR", "http_proxy")}
    # A home of its own: ~/.rpmmacros would be content of the package.
    return {
        **kept,
        "HOME": os.fspath(top / "home"),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch),
    }


def _collect_sources(spec: Path, top: Path, macros: Mapping[str, str], arch: str, epoch: int) -> None:
    """Copy the spec file and what lies beside it, and refuse before anything runs when a source is missing."""
    for folder in (spec.parent, spec.parent / "SOURCES"):
        if not folder.is_dir():
            continue
        for entry in sorted(folder.iterdir()):
            if entry.is_file() and entry.suffix not in (".rpm", ".spec") and not entry.name.startswith("."):
                _copy_input(entry, top / "SOURCES" / entry.name, epoch)
    copy = top / "SPECS" / spec.name
    _copy_input(spec, copy, epoch)
    argv = ["rpmspec", "-P", "--target", _target(arch), *_defines(macros), os.fspath(copy)]
    parsed = run_program(argv, env=_environment(top, epoch), cwd=top, timeout=600, package=("rpm", "rpm-build"))
    if parsed.returncode:
        raise _spec_error(parsed, spec, copy)
    faults = []
    for line in parsed.stdout.decode("utf-8", "replace").splitlines():
        if (match := _SOURCE.match(line)) and not (top / "SOURCES" / match["value"].rsplit("/", 1)[-1]).is_file():
            file = match["value"].rsplit("/", 1)[-1]
            hint = f"put {file} into {spec.parent} or {spec.parent / 'SOURCES'}"
            if _URL.match(match["value"]):
                hint = f"fetch {match['value']} and {hint}; a build fetches nothing"
            place = _place_of(spec, match["tag"])
            faults.append(error("SOURCE-MISSING", f"{match['tag']} is missing: {file}", place, hint))
    if faults:
        raise FindingsError(faults)


def _copy_input(source: Path, target: Path, epoch: int) -> None:
    """A file as it goes into a source package: with times and permissions that say nothing of this machine."""
    if target.exists():
        raise RollbuildError(
            f"there are two files {source.name}: beside the spec file and in SOURCES/",
            location=Location(os.fspath(source)),
            hint="remove one of them",
        )
    copy_file(source.resolve(), target)
    executable = target.stat().st_mode & 0o100
    os.chmod(target, 0o755 if executable else 0o644)
    os.utime(target, (epoch, epoch))


def _place_of(spec: Path, tag: str) -> Location:
    for number, line in enumerate(read_limited(spec, _LIMIT).decode("utf-8", "replace").splitlines(), 1):
        if line.lower().lstrip().startswith(tag.lower()):
            return Location(os.fspath(spec), number)
    return Location(os.fspath(spec))


def _spec_error(parsed: Completed, spec: Path, copy: Path) -> RollbuildError:
    said = parsed.stderr.decode("utf-8", "replace").strip().replace(os.fspath(copy), spec.name)
    lines = [line.removeprefix("error: ") for line in said.splitlines() if not line.startswith("warning:")]
    line = re.search(r"line (\d+)", said)
    place = Location(os.fspath(spec), int(line[1]) if line else 0)
    return RollbuildError(f"this spec file cannot be read: {' '.join(lines) or 'rpmspec failed'}", location=place)


def _target(arch: str) -> str:
    return f"{arch}-redhat-linux"


def _run_rpmbuild(
    top: Path, spec: Path, macros: Mapping[str, str], arch: str, epoch: int, log: Path, *, binary_only: bool = False
) -> None:
    copy = spec if binary_only else top / "SPECS" / spec.name
    argv = ["rpmbuild", "-bb" if binary_only else "-ba", "--target", _target(arch), *_defines(macros), os.fspath(copy)]
    done = run_program(argv, env=_environment(top, epoch), cwd=top)
    if done.returncode:
        _fail(spec, done.stdout + done.stderr, log, "rpmbuild", _NEEDED)


def _run_mock(top: Path, spec: Path, config: str, release: str, arch: str, log: Path) -> None:
    """Build in a clean root. There the build time is that of the spec file's changelog: the root knows no other."""
    # mock has macros, and an architecture, of its own; these are the ones that make its packages like ours.
    kept = {name: value for name, value in _macros(top, release, 0).items() if name in _MOCK_MACROS}
    common = ["mock", "-r", config, "--resultdir", os.fspath(top / "RESULT"), "--arch", arch]
    common += _defines({**kept, "source_date_epoch_from_changelog": "1"})
    sources = ["--buildsrpm", "--spec", os.fspath(top / "SPECS" / spec.name), "--sources", os.fspath(top / "SOURCES")]
    for step in (sources, ["--rebuild"]):
        made = [os.fspath(path) for path in sorted((top / "RESULT").glob("*.src.rpm"))] if step == ["--rebuild"] else []
        done = run_program([*common, *step, *made])
        if done.returncode:
            kept_logs = [path.read_bytes() for path in sorted((top / "RESULT").glob("*.log"))]
            _fail(spec, b"\n".join([*kept_logs, done.stdout, done.stderr]), log, "mock", _NO_PACKAGE)


_MOCK_MACROS = frozenset(
    ("dist", "_buildhost", "use_source_date_epoch_as_buildtime", "clamp_mtime_to_source_date_epoch", "debug_package")
)


def _fail(spec: Path, output: bytes, log: Path, program: str, pattern: re.Pattern[str]) -> None:
    text = output.decode("utf-8", "replace")
    place = Location(os.fspath(spec))
    missing = sorted({match["what"] for match in pattern.finditer(text)})
    if missing and (program == "mock" or "Failed build dependencies" in text):
        raise RollbuildError(
            f"packages that it needs to be built are not installed: {', '.join(missing)}",
            location=place,
            hint="install them (dnf builddep does), or build in a clean root with --mock CONFIG",
        )
    with explained("cannot write", log):
        log.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(log, output)
    tail = "\n".join(line for line in text.rstrip().splitlines()[-_TAIL_LINES:])
    raise RollbuildError(f"{program} failed:\n{tail}", location=place, hint=f"the whole log is {log}")


def _take(built: Sequence[Path], output: Path) -> tuple[Path, ...]:
    taken = []
    for path in built:
        target = output / path.name
        if target.exists():
            raise RollbuildError(
                f"two packages built have the same name: {path.name}",
                location=Location(os.fspath(target)),
                hint="give them different names or releases in their spec files",
            )
        os.chmod(path, 0o644)
        copy_file(path, target)
        taken.append(target)
    if not taken:
        raise RollbuildError("the build made no package", exit_code=DISK)
    return tuple(taken)
