"""shellcheck over the scripts of a fleet, each distinct text once."""

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from rollbuild.checks.scripts import runs_in_shell
from rollbuild.compiler import Profile, ScriptSection
from rollbuild.errors import MISSING_PROGRAM, RollbuildError
from rollbuild.findings import Finding, Severity, in_order, note
from rollbuild.location import Location
from rollbuild.process import Completed, run_program

Run = Callable[..., Completed]
"""Runs a program like `rollbuild.process.run_program`."""

_EXCLUDED = ",".join(
    (
        *("SC1090", "SC1091", "SC2148"),  # files sourced on the host cannot be followed; sections need no #! line
        # Attributes are values by now: what looks constant here is not constant in the node file.
        *("SC2043", "SC2050", "SC2078", "SC2157", "SC2160", "SC2161", "SC2193", "SC2194"),
    )
)

_BATCH = 500
_LONG = 128 * 1024  # characters; shellcheck's time and memory grow faster than the script
_TIMEOUT_SECONDS = 600.0
_SYNTAX = range(1000, 2000)


def check_scripts(profiles: Iterable[Profile], *, run: Run = run_program) -> tuple[Finding, ...]:
    """What shellcheck says, at the node files' lines.

    Errors of syntax are errors, its other errors and warnings are warnings, the rest are notes. A missing
    shellcheck is a note. Raises RollbuildError when it fails otherwise.
    """
    scripts: dict[str, ScriptSection] = {}
    findings: list[Finding] = []
    for profile in profiles:
        for script in profile.scripts:
            if runs_in_shell(script) and sum(len(line.text) for line in script.body) > _LONG:
                message = f"this script has {len(script.body)} lines: too long to look at"
                findings.append(note("SHELL-LONG", message, script.location, "write what it holds with <file>"))
            elif runs_in_shell(script):
                scripts.setdefault("".join(line.text + "\n" for line in script.body), script)
    texts = list(scripts.items())
    try:
        for start in range(0, len(texts), _BATCH):
            findings += _check(texts[start : start + _BATCH], run)
    except RollbuildError as problem:
        if problem.exit_code != MISSING_PROGRAM:
            raise
        message = f"the scripts were not looked at: {problem.message}"
        return (note("SHELLCHECK-MISSING", message, hint=problem.hint),)
    return in_order(findings)


def _check(texts: list[tuple[str, ScriptSection]], run: Run) -> list[Finding]:
    with tempfile.TemporaryDirectory(prefix="rollbuild-") as folder:
        names = {}
        for number, (text, script) in enumerate(texts):
            name = f"{number:04}.sh"
            names[name] = script
            with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as file:
                file.write(text)
        # --norc: a .shellcheckrc of whoever runs this would change what is found
        argv = ["shellcheck", "--norc", "--format=json1", "--shell=bash", f"--exclude={_EXCLUDED}", *names]
        done = run(argv, cwd=folder, timeout=_TIMEOUT_SECONDS)
    try:
        comments = json.loads(done.stdout)["comments"]
    except (ValueError, KeyError, TypeError):
        reason = done.stderr.decode("utf-8", "replace").strip()[:500] or f"exit status {done.returncode}"
        raise RollbuildError(f"shellcheck failed: {reason}", hint="try again with another version") from None
    return [_carry_back(comment, names[comment["file"]]) for comment in comments]


def _carry_back(comment: dict[str, Any], script: ScriptSection) -> Finding:
    number, level = int(comment["code"]), comment["level"]
    if level == "error" and number in _SYNTAX:
        severity = Severity.ERROR
    else:
        severity = Severity.WARNING if level in ("error", "warning") else Severity.NOTE
    message = f"{' '.join(str(comment['message']).split())} (SC{number})"
    hint = f"https://www.shellcheck.net/wiki/SC{number}"
    return Finding("SHELL", severity, message, _locate(script, int(comment["line"])), hint)


def _locate(script: ScriptSection, line: int) -> Location:
    """Where a line (from 1) of the script comes from; the nearest known line above for lines of ours."""
    for index in range(min(line, len(script.body)) - 1, -1, -1):
        place = script.body[index].location
        if place is not None:
            return place
    return script.location
