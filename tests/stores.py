"""Stores for tests: OS trees and rolls in them, made by the same code as real ones."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollbuild.distribution import import_os
from rollbuild.packages import Extras
from rollbuild.rolls import AddedRoll, BuiltRoll, Requirement, RollId, Store, finish_roll
from tests.ostrees import make_os_tree
from tests.rpms import make_rpm

OS = "rocky-9.4-x86_64"
EPOCH = 1_700_000_000
GRAPH = """<?xml version="1.0"?>
<graph><appliance name="compute"/><edge from="compute" to="base"/></graph>
"""
BASE = """<kickstart>
  <description>Every host.</description>
  <main>
    <lang>en_US.UTF-8</lang>
    <keyboard>--vckeymap=us</keyboard>
    <timezone>--utc Etc/UTC</timezone>
    <rootpw>--iscrypted &root_password;</rootpw>
    <url>--url=http://10.1.1.1/dist</url>
    <text>--non-interactive</text>
    <reqpart>--add-boot</reqpart>
    <part>/ --size=20000</part>
    <part>swap --size=4000</part>
    <reboot/>
  </main>
  <package>@core</package>
  <package>hello</package>
</kickstart>
"""
ATTRIBUTES = """root_password:
  default: $6$first$hash
  description: The hash of root's password.
  type: secret
"""
PROFILE = {
    "roll.yaml": "name: base\nversion: '1.0'\n",
    "attributes.yaml": ATTRIBUTES,
    "graphs/default/base.xml": GRAPH,
    "nodes/base.xml": BASE,
    "nodes/compute.xml": "<kickstart><description>A host that computes.</description></kickstart>\n",
}


def add_os(store: Store, folder: Path, **arguments: Any) -> str:
    """Make an OS tree below a folder and import it; its name."""
    tree = make_os_tree(folder, **arguments)
    return import_os(store, str(tree)).tree.name


def add_roll(
    store: Store,
    name: str = "base",
    version: str = "1.0",
    *,
    release: str = "1",
    arch: str = "x86_64",
    packages: Sequence[Mapping[str, Any]] = (),
    profile: Mapping[str, str] | None = None,
    keys: Mapping[str, bytes] | None = None,
    sign: Any = None,
    modules: bytes | None = None,
    enabled: bool = True,
    **asked: Any,
) -> BuiltRoll:
    """Put a built roll into a store. `packages`: arguments of make_rpm. `sign` is called with the packages' paths."""
    identity = RollId(name, version, release, arch)
    folder = store.folder_of(identity)
    (folder / "RPMS").mkdir(parents=True)
    files = [make_rpm(folder / "RPMS", **item) for item in packages]
    if sign is not None:
        sign(files)
    given = PROFILE if profile is None and name == "base" else profile or {"roll.yaml": f"name: {name}\n"}
    for path, text in given.items():
        place = folder / "profile" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    for path, content in (keys or {}).items():
        (folder / path).write_bytes(content)
    asked["requires"] = [Requirement(text) for text in asked.get("requires", ())]
    extras = Extras(None, modules, None)
    built = finish_roll(folder, identity, epoch=EPOCH, extras=extras, **asked)
    index = [
        replace(roll, enabled=roll.enabled and not (enabled and roll.id.name == name)) for roll in store.read_index()
    ]
    store.write_index([*index, AddedRoll(identity, enabled, built.digest, "tests")])
    return built


HELLO: dict[str, Any] = {
    "name": "hello",
    "version": "1.0",
    "requires": ["bash"],
    "files": {"/usr/bin/hello": "hello\n"},
}
TOOL: dict[str, Any] = {
    "name": "tool",
    "version": "2.0",
    "requires": ["hello", "chrony"],
    "files": {"/usr/bin/tool": "tool\n"},
}


def make_store(folder: Path, **tree: Any) -> Store:
    """A store with an OS tree, a roll `base` with nodes and a package, and a roll `tools` with one."""
    store = Store(folder / "store")
    store.folder.mkdir(parents=True)
    add_os(store, folder / "dvd", **tree)
    add_roll(store, "base", packages=[HELLO])
    add_roll(store, "tools", packages=[TOOL])
    return store


def copy_store(store: Store, folder: Path) -> Store:
    """The same store below another folder: far quicker than making one."""
    shutil.copytree(store.folder, folder / "store", symlinks=True)
    return Store(folder / "store")
