"""The skeleton of a new roll: small, but whole; it compiles, checks clean and builds as it is."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import explained, staged_folder, write_atomically
from rollbuild.location import Location
from rollbuild.rolls.identity import RollId, is_roll_name, is_roll_version

_ROLL_YAML = """\
# What this roll is. docs/reference/rolls.md has every key.
name: {name}
version: "{version}"
# Count it up when you build the same version again.
release: "1"
summary: One line on what the roll {name} is for
# The releases of Enterprise Linux that it is for.
releases: [el8, el9, el10]
arch: [x86_64]
# Other rolls that it needs, as in: kernel >= 1.0
requires: [base]
# Rolls that it cannot be with.
# conflicts: [other]
# Of two rolls that have the same node or package, the one with the higher number counts.
# priority: 60
# Packages to fetch, with all that they require, from the repositories that --repo names; roll.lock pins them.
# packages: [munge]
"""

_ATTRIBUTES = """\
# The attributes of this roll. A site sets them in its own files: rollbuild compile --attrs site.yaml
{attribute}_message:
  default: This host has the roll {name}.
  description: What a user reads who logs in.
"""

_NODE = """\
<kickstart>
  <description>What the roll {name} brings to each host: a package, and a line that greets users.</description>

  <package>rsync</package>

  <post arg="--erroronfail">
set -euo pipefail
mkdir -p /etc/motd.d
<file name="/etc/motd.d/{name}" perms="0644" rcs="false">
&{attribute}_message;
</file>
  </post>
</kickstart>
"""

_GRAPH = """\
<graph>
  <description>Where the roll {name} is tied in: every host that the front end installs has its node.</description>

  <edge from="cluster-host" to="{name}"/>
</graph>
"""

_PACKAGES = """\
RPMs of this roll:

    *.rpm           packages that are built already; EL9 only: el9/*.rpm; source packages: SRPMS/*.src.rpm
    *.spec          spec files that `rollbuild roll build` builds, with their sources beside them or in SOURCES/
    comps.xml       groups, modules.yaml the modules, updateinfo.xml the advisories of these packages
    RPM-GPG-KEY-*   public keys that packages here are signed with

A folder of its own for each spec file keeps the sources apart: hello/hello.spec, hello/SOURCES/hello.tar.gz
"""

_TESTS = """\
# What the Kickstarts must hold where this roll is: each entry compiles one appliance.
- appliance: compute
  release: el9
  contains:
    - This host has the roll {name}.
  packages: [rsync]

- appliance: compute
  release: el9
  attributes:
    {attribute}_message: Be kind to each other.
  contains:
    - Be kind to each other.
  lacks:
    - This host has the roll {name}.
"""

_README = """\
# {name}

What this roll is for, and what a site has to know.

    rollbuild check rolls/{name}
    rollbuild explain compute node:{name}
    rollbuild roll build rolls/{name} --iso

| attribute | |
|---|---|
| `{attribute}_message` | what a user reads who logs in |
"""


def write_skeleton(name: str, folder: Path, version: str = "1.0") -> tuple[str, ...]:
    """Make the new folder of a roll's source; the paths of its files from there.

    Raises RollbuildError: USAGE for a name or version that no roll may have, REFUSED when the folder is there, DISK.
    """
    if not is_roll_name(name):
        lower = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")
        raise RollbuildError(
            f"{name!r} is no name of a roll: lower-case letters, digits and . _ - are allowed, first a letter or digit",
            hint=f"did you mean {lower}?" if is_roll_name(lower) else "",
            exit_code=USAGE,
        )
    try:
        RollId(name, version, "1", "noarch")
    except RollbuildError as problem:
        raise RollbuildError(problem.message, hint=problem.hint, exit_code=USAGE) from None
    if not is_roll_version(version):
        raise RollbuildError(
            f"{version!r} is no version of a new roll: it may have no dash",
            hint="2026.1, for instance",
            exit_code=USAGE,
        )
    if os.path.lexists(folder):
        raise RollbuildError(
            "this is there already; nothing was written",
            location=Location(os.fspath(folder)),
            hint="choose another name, or another folder with -o",
        )
    files = skeleton_files(name, version)
    with staged_folder(folder) as stage:
        for path, text in files.items():
            target = stage / path
            with explained("cannot write", folder / path):
                target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, text.encode())
    return tuple(files)


def skeleton_files(name: str, version: str) -> Mapping[str, str]:
    """The files of a new roll: path -> text."""
    attribute = re.sub(r"[^a-z0-9]", "_", name)
    values = {
        "name": name,
        "version": version,
        "attribute": attribute if attribute[0].isalpha() else f"roll_{attribute}",
    }
    texts = {
        "roll.yaml": _ROLL_YAML,
        "attributes.yaml": _ATTRIBUTES,
        f"nodes/{name}.xml": _NODE,
        f"graphs/default/{name}.xml": _GRAPH,
        "packages/README": _PACKAGES,
        f"tests/{name}.yaml": _TESTS,
        "README.md": _README,
    }
    return {path: text.format_map(values) for path, text in texts.items()}
