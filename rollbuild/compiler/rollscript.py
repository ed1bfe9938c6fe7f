"""One roll as a shell script for a host that runs already: its packages, services and %post scripts."""

import re
from collections.abc import Iterator, Sequence

from rollbuild.compiler.profile import Profile, ScriptSection

_SAFE_WORD = re.compile(r"[A-Za-z0-9@%+=:,./_*^-]+\Z")
_SERVICES = re.compile(r"--(enabled|disabled)[=\s]\s*(\S+)")

_START = """\
set -u
umask 022
if [ "$(id -u)" != 0 ]; then
    echo "$0: run this as root" >&2
    exit 1
fi
if [ -n "$wanted" ] && [ "$(hostname -s)" != "${wanted%%.*}" ]; then
    echo "$0: this was made for $wanted, and this is $(hostname)" >&2
    exit 1
fi
failed=''
step() { printf '\\n== %s\\n' "$1"; }
stop() {
    echo "$0: $1 failed; what comes after it was not done. The script can be run again." >&2
    exit 1
}
# post NODE NEEDED INTERPRETER...: run the script on standard input as the installer runs a %post.
post() {
    local name=$1 needed=$2 file status
    shift 2
    step "script of node $name"
    file=$(mktemp /tmp/ks-script-XXXXXXXX) || stop "mktemp"
    cat > "$file" || stop "writing $file"
    "$@" "$file"
    status=$?
    rm -f "$file"
    if [ "$status" != 0 ]; then
        echo "$0: the script of node $name ended with $status" >&2
        [ "$needed" != yes ] || stop "the script of node $name"
        failed="$failed $name"
    fi
}
"""
_END = """\
if [ -n "$failed" ]; then
    echo "$0: done, but these nodes' scripts failed:$failed" >&2
    exit 1
fi
step "done"
"""


def write_script(profile: Profile, roll: str, *, repositories: str = "") -> str:
    """The script of a profile that was compiled of one roll's part only (`Compiler.compile_roll`).

    `repositories`: a .repo file that the host gets first. A script for a host runs on that host only, one for an
    appliance on any. It ends with 1 when a step failed: at once where the Kickstart says --erroronfail, at its end
    otherwise. What only an installer can do is named in comments.
    """
    lines = [
        "#!/bin/bash",
        f"# Brings roll {roll} to {profile.name}, appliance {profile.appliance}, release {profile.release}.",
        "# Made by rollbuild; run it as root on that host. It may be run again.",
        # A script for an appliance fits any of its hosts.
        f"wanted={_quoted(profile.name) if profile.name != profile.appliance else ''}",
        _START.rstrip("\n"),
    ]
    lines += _repository_lines(repositories)
    lines += _package_lines(profile)
    for script in profile.scripts:
        if script.section == "post" and script.in_chroot:
            lines += _script_lines(script)
    lines += _service_lines(profile)
    lines += _left_out_lines(profile)
    return "\n".join(lines) + "\n" + _END


def _repository_lines(repositories: str) -> Iterator[str]:
    if repositories:
        yield 'step "repositories"'
        # The file that hosts of a distribution have anyway: an older one must not speak against it.
        yield from _document("cat > /etc/yum.repos.d/rollbuild.repo", repositories.splitlines())


def _package_lines(profile: Profile) -> Iterator[str]:
    names = dict.fromkeys(name for name, _, _ in profile.packages)
    wanted = sorted(name for name in names if not name.startswith("-"))
    unwanted = sorted(name[1:] for name in names if name.startswith("-") and name[1:] not in names)
    if not wanted:
        return
    program = "yum" if profile.release == "el7" else "dnf"
    header = next((line.text for section in profile.sections for line in section.lines if _is_packages(line.text)), "")
    words = [program, "-y"]
    if "--ignoremissing" in header and program == "dnf":
        words.append("--setopt=strict=0")
    words += [f"--exclude={name}" for name in unwanted if not name.startswith("@")]
    words.append("install")
    yield 'step "packages"'
    yield f"{' '.join(map(_quoted, words))} \\"
    yield from (f"    {_quoted(name)} \\" for name in wanted)
    yield '    || stop "installing packages"'


def _is_packages(line: str) -> bool:
    return line.split(None, 1)[:1] == ["%packages"]


def _script_lines(script: ScriptSection) -> Iterator[str]:
    needed = "yes" if "--erroronfail" in script.header.split() else "no"
    interpreter = " ".join(map(_quoted, script.interpreter.split()))
    yield ""
    yield f"# {script.location}"
    yield from _document(f"post {_quoted(script.node)} {needed} {interpreter}", [line.text for line in script.body])


def _service_lines(profile: Profile) -> Iterator[str]:
    for command in profile.commands:
        if command.name != "services":
            continue
        for what, units in _SERVICES.findall(command.text):
            verb = "enable" if what == "enabled" else "disable"
            names = [_quoted(unit) for unit in units.strip("\"'").split(",") if unit]
            if names:
                yield f'step "services to {verb}"'
                yield f'systemctl {verb} --now {" ".join(names)} || failed="$failed services"'


def _left_out_lines(profile: Profile) -> Iterator[str]:
    left_out = [f"{command.location}: {command.name}" for command in profile.commands if command.name != "services"]
    left_out += [
        f"{script.location}: %{script.section}{'' if script.section != 'post' else ' --nochroot'}"
        for script in profile.scripts
        if not (script.section == "post" and script.in_chroot)
    ]
    if left_out:
        yield ""
        yield "# Only an installer can do these; they are not part of this script:"
        yield from (f"#   {line}" for line in dict.fromkeys(left_out))


def _document(command: str, body: Sequence[str]) -> Iterator[str]:
    delimiter, number = "RB_SCRIPT", 1
    while delimiter in body:
        number += 1
        delimiter = f"RB_SCRIPT_{number}"
    yield f"{command} <<'{delimiter}'"
    yield from body
    yield delimiter


def _quoted(word: str) -> str:
    return word if _SAFE_WORD.match(word) else "'" + word.replace("'", "'\"'\"'") + "'"
