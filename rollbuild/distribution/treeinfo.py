"""`.treeinfo`: what an install tree says of itself. Format 1.2 of productmd, and the older ones back to el7's.

Anaconda finds its second stage by it, and takes every variant of its top level as a repository.
"""

import configparser
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.distribution.inifile import IniFile, parse_ini
from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited

FILE = ".treeinfo"
VARIANT_TYPES = ("variant", "optional", "addon")
_FORMAT = "1.2"
_TYPE = "productmd.treeinfo"
_LIMIT = 4 * 1024 * 1024
_CHECKSUMS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_ID = re.compile(r"[A-Za-z0-9]+\Z")
_UID = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*\Z")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Variant:
    """A repository of a tree. `repository` and `packages` are paths from the tree, `.` for its top.

    On mirrors they may lead out of it: `../../../AppStream/x86_64/os`.
    """

    uid: str
    repository: str
    packages: str = ""
    name: str = ""
    type: str = "variant"
    id: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Whether its repository lies outside of the tree."""
        return self.repository == ".." or self.repository.startswith("../")


@dataclass(frozen=True, slots=True)
class TreeInfo:
    """What a `.treeinfo` says.

    `family` is the distribution's name (`Rocky Linux`), `short` its short one (`Rocky`), `timestamp` seconds since
    1970. `images`: platform -> image (kernel, initrd, ...) -> path. `checksums`: path -> (algorithm, hexadecimal
    digits). `disc`: (number, of how many) for a part of a set. All paths but those of variants lie in the tree.
    """

    family: str
    version: str
    arch: str
    short: str = ""
    timestamp: int = 0
    platforms: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stage2: str = ""
    checksums: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    disc: tuple[int, int] | None = None

    def to_text(self, *, main_variant: str = "") -> str:
        """The file, in format 1.2 with the section [general] for older programs; equal for equal values.

        `main_variant`: the uid that [general] tells of  [the first]. Raises ValueError for what no reader would take.
        """
        sections = self._sections(main_variant)
        lines = []
        for section in sorted(sections):
            lines.append(f"[{section}]")
            for key, value in sorted(sections[section].items()):
                if _CONTROL.search(f"{section}{key}{value}") or not key or key[0] in ";#[" or "=" in key:
                    raise ValueError(f"{key!r} = {value!r} cannot be written into a .treeinfo")
                lines.append(f"{key} = {value}")
            lines.append("")
        return "\n".join(lines) + "\n"

    def _sections(self, main_variant: str) -> dict[str, dict[str, str]]:
        variants = {variant.uid: variant for variant in self.variants}
        if not variants or len(variants) != len(self.variants):
            raise ValueError("a .treeinfo needs variants, each with a uid of its own")
        main = variants[main_variant or min(variants)]
        platforms = ",".join(sorted({self.arch, *self.platforms, *self.images}))
        uids = ",".join(sorted(variants))
        release = {"name": self.family, "short": self.short or self.family, "version": self.version}
        sections = {
            "header": {"type": _TYPE, "version": _FORMAT},
            "release": release,
            "tree": {
                "arch": self.arch,
                "build_timestamp": str(self.timestamp),
                "platforms": platforms,
                "variants": uids,
            },
            "general": {
                "arch": self.arch,
                "family": self.family,
                "name": f"{self.family} {self.version}",
                "packagedir": main.packages,
                "platforms": platforms,
                "repository": main.repository,
                "timestamp": str(self.timestamp),
                "variant": main.uid,
                "variants": uids,
                "version": self.version,
            },
        }
        for uid, variant in variants.items():
            if not _UID.match(uid) or not _ID.match(variant.id or uid) or variant.type not in VARIANT_TYPES:
                raise ValueError(f"{uid!r} is no variant that a .treeinfo can have")
            sections[f"variant-{uid}"] = {
                "id": variant.id or uid,
                "uid": uid,
                "name": variant.name or uid,
                "type": variant.type,
                "packages": variant.packages or variant.repository,
                "repository": variant.repository,
            }
        sections |= {f"images-{platform}": dict(images) for platform, images in self.images.items() if images}
        if self.stage2:
            sections["stage2"] = {"mainimage": self.stage2}
        if self.checksums:
            sections["checksums"] = {path: f"{kind}:{digits}" for path, (kind, digits) in self.checksums.items()}
        if self.disc is not None:
            sections["media"] = {"discnum": str(self.disc[0]), "totaldiscs": str(self.disc[1])}
        return sections


def variant_uids(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Name of a roll -> uid of its variant: its letters and digits, and a number where two would be equal.

    Upper and lower case do not tell uids apart: Anaconda takes `baseos` for the base repository too. `taken` are uids
    that the tree has already. The same names, in whatever order, give the same uids.
    """
    used = {uid.lower() for uid in taken}
    uids = {}
    for name in sorted(set(names)):
        plain = re.sub(r"[^A-Za-z0-9]", "", name) or "roll"
        uid, number = plain, 2
        while uid.lower() in used:
            uid, number = f"{plain}{number}", number + 1
        used.add(uid.lower())
        uids[name] = uid
    return uids


def read_treeinfo(path: Path) -> TreeInfo:
    """Read a `.treeinfo`. Raises RollbuildError: REFUSED, with file and line, for one that is damaged or whose paths
    climb out of its tree; DISK when it cannot be read.
    """
    return parse_treeinfo(read_limited(path, _LIMIT), str(path))


def parse_treeinfo(data: bytes, shown: str) -> TreeInfo:
    """The same from its bytes; `shown` names the file in errors. Raises RollbuildError."""
    try:
        return _Reader(parse_ini(data, shown)).read()
    except configparser.Error as problem:  # nothing of a file should get here; a traceback never should
        raise RollbuildError(f"{shown}: this .treeinfo is damaged: {' '.join(str(problem).split())}") from None


class _Reader:
    def __init__(self, ini: IniFile) -> None:
        self._ini = ini

    def read(self) -> TreeInfo:
        ini = self._ini
        if not ini.has("general") and not ini.has("release"):
            raise ini.refusal("this is no .treeinfo: it has neither a section [release] nor [general]")
        major = self._read_header()
        place = next(name for name in ("release", "product", "general") if ini.has(name))
        family = ini.need(place, "family" if place == "general" else "name")
        version = ini.need(place, "version")
        tree = "tree" if ini.has("tree") else "general"
        arch = ini.need(tree, "arch")
        for section, key, text in ((place, "version", version), (tree, "arch", arch)):
            if not _WORD.match(text):
                raise ini.refusal(f"{text!r} is no {key} of a release", section, key)
        images = self._read_images(arch)
        platforms = {arch, *images, *_split(ini.get(tree, "platforms"))}
        return TreeInfo(
            family=family,
            version=version,
            arch=arch,
            short=ini.get(place, "short"),
            timestamp=self._read_timestamp(tree),
            platforms=tuple(sorted(platforms)),
            variants=self._read_variants(tree) if major else self._read_old_variants(family),
            images=images,
            stage2=self._path("stage2", "mainimage") if ini.get("stage2", "mainimage") else "",
            checksums=self._read_checksums(),
            disc=self._read_disc("media" if major else "general"),
        )

    def _read_header(self) -> int:
        """1 for a file of productmd, 0 for those from before."""
        ini = self._ini
        if not ini.has("header"):
            return 0
        kind, version = ini.get("header", "type"), ini.need("header", "version")
        if kind and kind != _TYPE:
            raise ini.refusal(f"this is a file of type {kind}, not {_TYPE}", "header", "type")
        if not re.match(r"[01](\.\d{1,4})*\Z", version):
            raise ini.refusal(
                f"this .treeinfo has format {version}; this rollbuild knows {_FORMAT}",
                "header",
                "version",
                hint="use a newer rollbuild",
            )
        return 1

    def _read_timestamp(self, tree: str) -> int:
        key = "build_timestamp" if tree == "tree" else "timestamp"
        text = self._ini.get(tree, key)
        if not text:
            return 0
        match = re.match(r"(\d{1,12})(\.\d*)?\Z", text)
        if match is None:
            raise self._ini.refusal(f"{text!r} is no time in seconds since 1970", tree, key)
        return int(match[1])

    def _read_variants(self, tree: str) -> tuple[Variant, ...]:
        variants = []
        for uid in _split(self._ini.get(tree, "variants") or self._ini.get("general", "variants")):
            section = f"variant-{uid}"
            if not _UID.match(uid):
                raise self._ini.refusal(f"{uid!r} is no name of a variant", tree, "variants")
            if not self._ini.has(section):
                raise self._ini.refusal(f"the section [{section}] is missing", tree, "variants")
            variants.append(self._read_variant(section, uid))
        if len({variant.uid for variant in variants}) != len(variants):
            raise self._ini.refusal("two variants have the same name", tree, "variants")
        return tuple(sorted(variants, key=lambda variant: variant.uid))

    def _read_variant(self, section: str, uid: str) -> Variant:
        ini = self._ini
        kind = ini.get(section, "type") or "variant"
        if kind not in VARIANT_TYPES:
            raise ini.refusal(f"{kind!r} is no type of a variant", section, "type", hint=", ".join(VARIANT_TYPES))
        ident = ini.get(section, "id") or uid.rpartition("-")[2]
        if not _ID.match(ident):
            raise ini.refusal(f"{ident!r} is no id of a variant: letters and digits", section, "id")
        return Variant(
            uid=uid,
            repository=self._path(section, "repository", anywhere=True) if ini.get(section, "repository") else ".",
            packages=self._path(section, "packages", anywhere=True) if ini.get(section, "packages") else "",
            name=ini.get(section, "name") or uid,
            type=kind,
            id=ident,
        )

    def _read_old_variants(self, family: str) -> tuple[Variant, ...]:
        """Trees from before productmd have one repository, at their top, whatever [general] names."""
        ini = self._ini
        uid = re.sub(r"[^A-Za-z0-9]", "", ini.get("general", "variant") or family) or "OS"
        packages = self._path("general", "packagedir") if ini.get("general", "packagedir") else "Packages"
        repository = self._path("general", "repository") if ini.get("general", "repository") else "."
        return (Variant(uid=uid, repository=repository, packages=packages, name=uid, id=uid),)

    def _read_images(self, arch: str) -> dict[str, dict[str, str]]:
        images = {}
        for section in self._ini.sections():
            if section.startswith("images-"):
                platform = section.removeprefix("images-")
                if platform != arch:
                    platform = platform.removesuffix(f"-{arch}")
                if not _WORD.match(platform):
                    raise self._ini.refusal(f"{platform!r} is no platform", section)
                images[platform] = {key: self._path(section, key) for key in self._ini.keys(section)}
        return images

    def _read_checksums(self) -> dict[str, tuple[str, str]]:
        checksums = {}
        for key in self._ini.keys("checksums"):
            path = self._inside(key, "checksums", key)
            kind, colon, digits = self._ini.get("checksums", key).rpartition(":")
            digits = digits.strip().lower()
            if not colon:
                kind = {32: "md5", 40: "sha1", 64: "sha256"}.get(len(digits), "")
            kind = kind.strip().lower()
            if _CHECKSUMS.get(kind) != len(digits) or not re.match(r"[0-9a-f]+\Z", digits):
                raise self._ini.refusal(
                    f"this is no checksum of {key}", "checksums", key, hint=f"known are {', '.join(_CHECKSUMS)}"
                )
            checksums[path] = kind, digits
        return checksums

    def _read_disc(self, section: str) -> tuple[int, int] | None:
        texts = [self._ini.get(section, key) for key in ("discnum", "totaldiscs")]
        if not any(texts):
            return None
        for key, text in zip(("discnum", "totaldiscs"), texts, strict=True):
            if text and not re.match(r"\d{1,4}\Z", text):
                raise self._ini.refusal(f"{text!r} is no number of discs", section, key)
        number = int(texts[0] or 1)
        return number, int(texts[1] or number)

    def _path(self, section: str, key: str, *, anywhere: bool = False) -> str:
        return self._inside(self._ini.need(section, key), section, key, anywhere=anywhere)

    def _inside(self, text: str, section: str, key: str, *, anywhere: bool = False) -> str:
        path = posixpath.normpath(text)
        if text.startswith("/") or len(text) > 1000:
            raise self._ini.refusal(f"{text[:60]!r} is no path from the top of the tree", section, key)
        if not anywhere and (path in (".", "..") or path.startswith("../")) and (section, path) != ("general", "."):
            raise self._ini.refusal(f"the path {text!r} leads out of the tree", section, key)
        return path


def _split(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))
