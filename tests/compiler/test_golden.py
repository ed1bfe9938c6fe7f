import os
import warnings
from pathlib import Path

import pytest
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from rollbuild.compiler import Profile
from tests.compiler.cases import CASES, HANDLERS, RELEASES, compile_node

GOLDEN = Path(__file__).parents[1] / "golden" / "compile"


@pytest.mark.parametrize("name", CASES)
def test_kickstart_is_the_golden_one(name: str, tmp_path: Path) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; look at every change."""
    case = CASES[name]
    profile = case.compile(tmp_path, "el9")
    golden = GOLDEN / f"{name}.ks"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(profile.text.encode())
    assert profile.text.encode() == golden.read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_findings_are_those_that_the_case_names(name: str, tmp_path: Path) -> None:
    compiler = CASES[name].compiler(tmp_path, "el9")
    profile = CASES[name].compile(tmp_path, "el9", compiler)
    findings = (*profile.findings, *compiler.description.findings)
    assert sorted(finding.code for finding in findings) == sorted(CASES[name].codes)
    assert all(finding.location is not None and str(tmp_path) in finding.location.file for finding in findings)


def test_no_golden_file_is_left_over() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(CASES)


def parse(profile: Profile, release: str) -> KickstartParser:
    parser = KickstartParser(makeVersion(HANDLERS[release]), missingIncludeIsFatal=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser.readKickstartFromString(profile.text)
    return parser


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", CASES)
def test_pykickstart_sees_what_we_mean(name: str, release: str, tmp_path: Path) -> None:
    profile = CASES[name].compile(tmp_path, release)
    assert profile.release == release
    handler = parse(profile, release).handler
    assert len(handler.scripts) == len(profile.scripts)
    for theirs, ours in zip(handler.scripts, profile.scripts, strict=True):
        assert theirs.script == "".join(line.text + "\n" for line in ours.body)
        assert theirs.interp == ours.interpreter
        if ours.section == "post":
            assert theirs.inChroot is ours.in_chroot
        assert theirs.logfile
    packages = {name for name, _, _ in profile.packages}
    for found in handler.packages.packageList:
        assert found in packages
    for group in handler.packages.groupList:
        assert f"@{group.name}" in packages
    assert set(handler.packages.excludedList) <= {name[1:] for name in packages if name.startswith("-")}


@pytest.mark.parametrize("name", CASES)
def test_every_line_of_an_author_has_its_place(name: str, tmp_path: Path) -> None:
    profile = CASES[name].compile(tmp_path, "el9")
    assert [line.text for line in profile.lines] == profile.text.split("\n")[:-1]
    for number, line in enumerate(profile.lines, 1):
        if line.location is None:
            continue
        count = len(Path(line.location.file).read_text().split("\n"))
        assert 1 <= line.location.line <= count
        assert profile.locate(number) == line.location
    for script in profile.scripts:
        for line in script.body:
            if not line.location or line.text not in (source := Path(line.location.file).read_text()):
                continue
            lines = source.split("\n")
            if (
                not line.text.startswith("RB_")
                and line.text.strip()
                and sum(line.text in other for other in lines) == 1
            ):
                assert line.text in lines[line.location.line - 1], line


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("word", "line"),
    [
        *((word, word) for word in ("%end", "%pre", "%post", "%packages", "%include /x", "%onerror", "%addon x")),
        ("%traceback", "\t %traceback"),
        ("%pre-install", "  %pre-install --log=x"),
        ("%certificate", "%certificate"),
        ("%anaconda", "%anaconda"),
        ("%end", "x&#13;%end"),
        ("%end", "x\u2028%end"),
        ("%end", "x\u0085 %end y"),
    ],
)
def test_reserved_lines_are_refused_in_a_script_and_safe_in_a_file(
    word: str, line: str, release: str, tmp_path: Path
) -> None:
    refused = compile_node(tmp_path / "1", f"<post>echo\n{line}\n</post>", release=release)
    assert [(finding.code, finding.location and finding.location.line) for finding in refused.findings] == [
        ("KS-RESERVED-LINE", 3)
    ]
    body = f'<post><file name="/etc/x">\n{line}\n</file>echo</post>'
    safe = compile_node(tmp_path / "2", body, release=release)
    assert safe.findings == ()
    (script,) = parse(safe, release).handler.scripts
    assert script.script == "".join(line.text + "\n" for line in safe.scripts[0].body)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "line", ["%endx", "%foo", "%distribution x", "echo %end", "#%end", "%ksappend x", "%", "% end"]
)
def test_other_lines_with_a_percent_sign_are_left_alone(line: str, release: str, tmp_path: Path) -> None:
    profile = compile_node(tmp_path, f"<post>\n{line}\n</post>", release=release)
    assert profile.findings == ()
    (script,) = parse(profile, release).handler.scripts
    assert script.script == f"{line}\n"


def test_repeated_lines_have_their_own_places(tmp_path: Path) -> None:
    profile = compile_node(tmp_path, "<main><ks>\npart / --size=1\n\npart / --size=1\n</ks></main>")
    assert [command.location.line for command in profile.commands] == [3, 5]
