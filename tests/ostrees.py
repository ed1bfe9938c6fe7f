"""OS trees for tests: small, but true ones, laid out as the DVDs of el7 to el10 are.

Their `.treeinfo` is written by productmd (for el7 by hand, as its DVD has none of that format), never by rollbuild.
"""

import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import createrepo_c
import productmd.treeinfo

from tests.programs import need_programs
from tests.rpms import make_rpm

VERSIONS = {"el7": "7.9", "el8": "8.10", "el9": "9.4", "el10": "10.0"}
TIMESTAMP = 1_714_862_022
REAL_ISOS = {
    release: Path(os.environ[name])
    for release in VERSIONS
    if os.environ.get(name := f"ROLLBUILD_TEST_ISO_{release.upper()}")
}
"""Release -> the ISO of a real DVD, for tests that run on one when it is named: ROLLBUILD_TEST_ISO_EL9=/path."""

COMPS = b"""<?xml version="1.0" encoding="UTF-8"?>
<comps>
  <group>
    <id>core</id><name>Core</name><description>Smallest install</description>
    <default>false</default><uservisible>false</uservisible>
    <packagelist>
      <packagereq type="mandatory">basesystem</packagereq>
      <packagereq type="mandatory">bash</packagereq>
    </packagelist>
  </group>
  <group>
    <id>base</id><name>Base</name><description>What most hosts want</description>
    <default>false</default><uservisible>true</uservisible>
    <packagelist><packagereq type="default">chrony</packagereq></packagelist>
  </group>
  <environment>
    <id>minimal-environment</id><name>Minimal Install</name><description>Basic functionality.</description>
    <display_order>3</display_order>
    <grouplist><groupid>core</groupid></grouplist>
    <optionlist/>
  </environment>
</comps>
"""
APPSTREAM_COMPS = b"""<?xml version="1.0" encoding="UTF-8"?>
<comps>
  <group>
    <id>development</id><name>Development Tools</name><description>Compilers</description>
    <default>false</default><uservisible>true</uservisible>
    <packagelist><packagereq type="mandatory">gcc</packagereq></packagelist>
  </group>
</comps>
"""
MODULES = """---
document: modulemd
version: 2
data:
  name: nodejs
  stream: "18"
  version: 9040020240301
  context: rhel9
  arch: {arch}
  summary: Javascript runtime
  description: Javascript runtime
  license:
    module: [MIT]
    content: [MIT]
  dependencies:
    - requires: {{platform: [{platform}]}}
  profiles:
    common: {{rpms: [nodejs]}}
  artifacts:
    rpms:
      - nodejs-1:18.19.0-1.module+{platform}.{arch}
...
---
document: modulemd-defaults
version: 1
data:
  module: nodejs
  stream: "18"
...
"""


def default_packages(release: str, version: str, *, modules: bool = True) -> dict[str, list[dict[str, Any]]]:
    """Repository -> arguments of `make_rpm` of each package; of el7 there is one repository, "."."""
    base: list[dict[str, Any]] = [
        {
            "name": "rocky-release",
            "version": version,
            "provides": ["system-release", f"system-release = {version}"],
            "files": {"/etc/redhat-release": f"Rocky Linux release {version}\n"},
        },
        {"name": "filesystem", "version": "3.16", "arch": "x86_64"},
        {"name": "basesystem", "version": "11", "requires": ["filesystem"]},
        {"name": "bash", "version": "5.1.8", "arch": "x86_64", "requires": ["filesystem"], "provides": ["/bin/sh"]},
        {"name": "chrony", "version": "4.5", "arch": "x86_64"},
        {"name": "kernel", "version": "5.14.0", "release": f"427.{release}", "arch": "x86_64"},
    ]
    more: list[dict[str, Any]] = [
        {"name": "gcc", "version": "11.4.1", "arch": "x86_64"},
        {"name": "httpd", "version": "2.4.57", "arch": "x86_64", "requires": ["bash"]},
    ]
    if release == "el7":
        return {".": base + more}
    if modules and release in ("el8", "el9"):
        stream = {"name": "nodejs", "epoch": "1", "version": "18.19.0", "release": f"1.module+{release}"}
        more.append({**stream, "arch": "x86_64"})
    return {"BaseOS": base, "AppStream": more}


def make_os_tree(
    folder: Path,
    *,
    release: str = "el9",
    version: str = "",
    packages: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    modules: bool = True,
    arch: str = "x86_64",
    family: str = "Rocky Linux",
    short: str = "Rocky",
    boot: Mapping[str, bytes | Path] | None = None,
    sign_with: str = "",
    keys: Mapping[str, bytes] | None = None,
) -> Path:
    """Make an OS tree in `folder`, which need not exist; its path.

    `packages`: repository -> arguments of `make_rpm` for each package [`default_packages`]. `boot`: path in the tree
    -> content or a file to copy, instead of or beside the made-up ones. `sign_with`: a key of GNUPGHOME to sign every
    package with. `keys`: file name, such as RPM-GPG-KEY-test, -> content.
    """
    version = version or VERSIONS[release]
    folder.mkdir(parents=True, exist_ok=True)
    if packages is None:
        packages = default_packages(release, version, modules=modules)
    for path, content in {**_boot_files(release, version), **(boot or {})}.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            shutil.copyfile(content, target)
    (folder / ".discinfo").write_text(f"{TIMESTAMP}.123\n{family} {version}\n{arch}\nALL\n")
    (folder / "media.repo").write_text(
        f"[InstallMedia]\nname={family} {version}\nmediaid={TIMESTAMP}.123\nmetadata_expire=-1\ngpgcheck=0\ncost=500\n"
    )
    (folder / "EULA").write_text("No licence but your own.\n")
    for name, content in (keys or {f"RPM-GPG-KEY-{short}": b"not a key\n"}).items():
        (folder / name).write_bytes(content)
    for number, (name, items) in enumerate(packages.items()):
        extras = {"group": COMPS if number == 0 else APPSTREAM_COMPS}
        if modules and name == "AppStream" and release in ("el8", "el9"):
            extras["modules"] = MODULES.format(arch=arch, platform=release).encode()
        make_os_repository(folder / name, items, extras, release=release, sign_with=sign_with)
    write_treeinfo(folder, tuple(packages), release=release, version=version, arch=arch, family=family, short=short)
    return folder


def make_os_repository(
    folder: Path,
    packages: Sequence[Mapping[str, Any]],
    extras: Mapping[str, bytes],
    *,
    release: str = "el9",
    sign_with: str = "",
) -> None:
    """Packages/LETTER/ and repodata/ below `folder`; `extras`: metadata type (group, modules) -> content."""
    files = []
    for item in packages:
        below = folder / "Packages" / (str(item["name"])[0] if release != "el7" else ".")
        below.mkdir(parents=True, exist_ok=True)
        files.append(make_rpm(below, **item))
    if sign_with:
        _sign(files, sign_with)
    compression = createrepo_c.ZSTD_COMPRESSION if release in ("el9", "el10") else createrepo_c.GZ_COMPRESSION
    with createrepo_c.RepositoryWriter(folder, num_packages=len(files), compression=compression) as writer:
        for file in sorted(files):
            writer.add_pkg_from_file(str(file))
        given = folder / "extras"
        given.mkdir()
        for kind, content in extras.items():
            path = given / {"group": "comps.xml", "modules": "modules.yaml"}[kind]
            path.write_bytes(content)
            writer.add_repomd_metadata(kind, str(path), use_compression=kind != "group")
    shutil.rmtree(given)


def write_treeinfo(
    folder: Path,
    repositories: Sequence[str],
    *,
    release: str = "el9",
    version: str = "9.4",
    arch: str = "x86_64",
    family: str = "Rocky Linux",
    short: str = "Rocky",
    discs: tuple[int, int] | None = None,
    paths: Mapping[str, str] | None = None,
) -> None:
    """The `.treeinfo` of a tree whose files are there, with checksums; `paths`: of variants that lie elsewhere."""
    main = "LiveOS/squashfs.img" if release == "el7" else "images/install.img"
    images = ["images/pxeboot/vmlinuz", "images/pxeboot/initrd.img", main]
    images += [path for path in ("images/efiboot.img", "images/eltorito.img") if (folder / path).exists()]
    if release == "el7":
        sums = [f"{path} = sha256:{hashlib.sha256((folder / path).read_bytes()).hexdigest()}" for path in images]
        lines = ["[general]", f"name = {family}-{version}", f"family = {family}", f"timestamp = {TIMESTAMP}.36"]
        lines += ["variant = ", f"version = {version}", "packagedir = ", f"arch = {arch}", ""]
        lines += ["[stage2]", f"mainimage = {main}", "", f"[images-{arch}]", "kernel = images/pxeboot/vmlinuz"]
        lines += ["initrd = images/pxeboot/initrd.img", "boot.iso = images/boot.iso", "", "[checksums]", *sums, ""]
        (folder / ".treeinfo").write_text("\n".join(lines))
        return
    info = productmd.treeinfo.TreeInfo()
    info.release.name, info.release.short, info.release.version = family, short, version
    info.tree.arch, info.tree.build_timestamp = arch, TIMESTAMP
    info.tree.platforms = {arch, "xen"}
    for name in repositories:
        variant = productmd.treeinfo.Variant(info)
        variant.id = variant.uid = variant.name = name
        variant.type = "variant"
        variant.paths.repository = (paths or {}).get(name, name)
        variant.paths.packages = f"{variant.paths.repository}/Packages"
        info.variants.add(variant)
    both = {"kernel": images[0], "initrd": images[1]}
    info.images.images[arch] = {**both, **{Path(path).name: path for path in images[3:]}}
    info.images.images["xen"] = both
    info.stage2.mainimage = main
    if discs is not None:
        info.media.discnum, info.media.totaldiscs = discs
    for path in images:
        info.checksums.add(path, "sha256", root_dir=str(folder))
    info.dump(str(folder / ".treeinfo"))


def make_os_iso(tree: Path, output: Path, *, implant: bool = False) -> Path:
    """An ISO of a tree (not one that boots), with an implanted MD5 if wanted. Skips where xorriso is missing."""
    need_programs("xorriso", *(["implantisomd5"] if implant else []))
    argv = ["xorriso", "-report_about", "FAILURE", "-as", "mkisofs", "-V", "Rocky-9-4-x86_64-dvd"]
    argv += ["-R", "-J", "-iso-level", "3"]
    subprocess.run([*argv, "-o", str(output), str(tree)], check=True, capture_output=True)
    if implant:
        subprocess.run(["implantisomd5", str(output)], check=True, capture_output=True)
    return output


def _boot_files(release: str, version: str) -> dict[str, bytes]:
    pattern = functools.partial(_filler, f"{release} {version}")
    files = {
        "images/pxeboot/vmlinuz": pattern("vmlinuz", 3000),
        "images/pxeboot/initrd.img": pattern("initrd", 9000),
        "LiveOS/squashfs.img" if release == "el7" else "images/install.img": pattern("stage2", 20_000),
        "EFI/BOOT/BOOTX64.EFI": pattern("shim", 700),
        "EFI/BOOT/grubx64.efi": pattern("grub", 800),
        "EFI/BOOT/mmx64.efi": pattern("mm", 600),
        "EFI/BOOT/grub.cfg": b"menuentry 'Install' {\n  linuxefi /images/pxeboot/vmlinuz inst.stage2=hd:LABEL=DVD\n"
        b"  initrdefi /images/pxeboot/initrd.img\n}\n",
        "images/efiboot.img": pattern("efiboot", 4000),
    }
    if release == "el10":
        del files["images/efiboot.img"]  # it is a partition of the image only
        files["images/eltorito.img"] = pattern("eltorito", 4000)
        files["boot/grub2/grub.cfg"] = b"menuentry 'Install' {\n  linux /images/pxeboot/vmlinuz\n}\n"
    else:
        files["isolinux/isolinux.bin"] = pattern("isolinux", 2048)
        files["isolinux/isolinux.cfg"] = b"label linux\n  kernel vmlinuz\n  append initrd=initrd.img\n"
        files["isolinux/vmlinuz"] = files["images/pxeboot/vmlinuz"]
        files["isolinux/initrd.img"] = files["images/pxeboot/initrd.img"]
    return files


def _filler(seed: str, what: str, size: int) -> bytes:
    """Bytes that differ from file to file and are the same every time."""
    return hashlib.shake_128(f"{seed} {what}".encode()).digest(size)


def _sign(files: Sequence[Path], key: str) -> None:
    need_programs("rpmsign", "gpg")
    gpg = str(shutil.which("gpg"))
    argv = ["rpmsign", "--addsign", "--define", f"_gpg_name {key}", "--define", f"__gpg {gpg}"]
    subprocess.run([*argv, *map(str, files)], check=True, capture_output=True)
