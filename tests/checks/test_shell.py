import json
from collections.abc import Sequence
from typing import Any

import pytest

from rollbuild.checks import check_scripts
from rollbuild.errors import MISSING_PROGRAM, RollbuildError
from rollbuild.process import Completed, find_program
from tests.checks.conftest import Make

needs_shellcheck = pytest.mark.skipif(find_program("shellcheck") is None, reason="shellcheck is not installed")


@needs_shellcheck
def test_messages_are_carried_back_to_the_node_files(make_profile: Make) -> None:
    profile = make_profile(
        "\n<post>\n\nx=1\n<file name='/etc/a'>\nx\n</file>\ncd /tmp\n</post>"
        "\n<post>\nif true; then\n</post>\n<post interpreter='/usr/bin/python3'>\nif\n</post>"
    )
    found = check_scripts([profile, profile])
    by_code = {f.message.rpartition("(")[2].rstrip(")"): f for f in found}
    assert by_code["SC2164"].location and by_code["SC2164"].location.line == 8
    assert by_code["SC2164"].severity == "warning"
    assert by_code["SC1073"].severity == "error"
    assert by_code["SC1073"].location and by_code["SC1073"].location.line in (10, 11)
    assert not any(f.location and f.location.line > 13 for f in found)


@needs_shellcheck
def test_what_attributes_make_constant_is_not_told(make_profile: Make) -> None:
    text = (
        '<post>if [ "&x11;" = true ]; then a; fi\nfor n in &names;; do b "$n"; done\n'
        'if [ -z "&x11;" ]; then c; fi\ncase &x11; in true) d;; esac</post>'
    )
    assert check_scripts([make_profile(text, attributes={"x11": "false", "names": "one"})]) == ()


def test_each_text_is_checked_once_and_levels_are_kept(make_profile: Make) -> None:
    calls: list[Sequence[str]] = []

    def run(argv: Sequence[str], **_: Any) -> Completed:
        calls.append(argv)
        comments = [
            {"file": "0000.sh", "line": 1, "code": code, "level": level, "message": "m"}
            for code, level in ((1009, "error"), (2111, "error"), (2164, "warning"), (2086, "info"), (2006, "style"))
        ]
        return Completed(1, json.dumps({"comments": comments}).encode(), b"")

    profiles = [make_profile("<post>a</post><pre>a</pre><post>b</post>")] * 3
    found = check_scripts(profiles, run=run)
    assert len(calls) == 1
    assert [name for name in calls[0] if name.endswith(".sh")] == ["0000.sh", "0001.sh"]
    assert [f.severity for f in found] == ["error", "warning", "warning", "note", "note"]
    assert {f.code for f in found} == {"SHELL"}


def test_without_shellcheck_a_note_is_left(make_profile: Make) -> None:
    def run(argv: Sequence[str], **_: Any) -> Completed:
        raise RollbuildError("the program shellcheck is missing", hint="install it", exit_code=MISSING_PROGRAM)

    (finding,) = check_scripts([make_profile("<post>a</post>")], run=run)
    assert (finding.code, finding.severity, finding.hint) == ("SHELLCHECK-MISSING", "note", "install it")


def test_without_scripts_nothing_is_run(make_profile: Make) -> None:
    def run(argv: Sequence[str], **_: Any) -> Completed:
        raise AssertionError(argv)

    assert check_scripts([make_profile("")], run=run) == ()


def test_a_failure_is_told(make_profile: Make) -> None:
    def run(argv: Sequence[str], **_: Any) -> Completed:
        return Completed(4, b"", b"unknown option --norc")

    with pytest.raises(RollbuildError, match="unknown option --norc"):
        check_scripts([make_profile("<post>a</post>")], run=run)
