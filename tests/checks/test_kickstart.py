"""pykickstart's verdict line by line, compared with what it says about each line in a file of its own."""

import itertools
import warnings

import pytest
from pykickstart.errors import KickstartError
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from rollbuild.checks import check_profile
from rollbuild.releases import load_release
from tests.checks.conftest import Check, Make

# Kickstart lines -> code and a part of the message, in the order of the lines; el9.
CASES = {
    "option": ("firewall --nonsense", ["KS-ERROR unrecognized"]),
    "all are told": ("firewall --nonsense\nselinux --maybe\nnetwork --wrong", ["KS-ERROR"] * 3),
    "unknown command": ("nonsense", ["KS-ERROR Unknown command"]),
    "unknown with words": ("nonsense --a", ["KS-ERROR Unknown command"]),
    "open quote": ("user --name='a", ["KS-ERROR quote"]),
    "empty": ("lang", ["KS-EMPTY lang has no value"]),
    "deprecated": ("timezone --isUtc UTC", ["KS-DEPRECATED --isUtc"]),
    "twice": ("user --name=a\nuser --name=a", ["KS-WARNING already been defined"]),
    "ssh keys of one user": ("sshkey --username=root 'a b'\nsshkey --username=root 'c d'", []),
    "include": ("%include /tmp/there-is-no-such-file", []),
    "include of nothing": ("%include", ["KS-ERROR names no file"]),
    "append": ("%ksappend http://127.0.0.1:9/nothing", []),
    "addon": ("%addon com_example --enable\nanything --goes 'here\n%end", []),
    "section": ("%nonsense\nx\n%end", ["KS-ERROR no section"]),
    "not closed": ("%addon com_example\nx", ["KS-ERROR does not end"]),
    "end of nothing": ("%end", ["KS-ERROR closes nothing"]),
    "header": ("%post --nonsense\nx\n%end", ["KS-ERROR unrecognized"]),
    "conflict": ("part / --size=500", ["KS-ERROR same time"]),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_every_line_is_judged(check: Check, capfd: pytest.CaptureFixture[str], text: str, expected: list[str]) -> None:
    found = [finding for finding in check(main=f"<ks>\n{text}\n</ks>") if finding.code.startswith("KS-")]
    assert len(found) == len(expected), found
    for finding, wanted in zip(sorted(found, key=lambda item: str(item.location)), expected, strict=True):
        code, _, part = wanted.partition(" ")
        assert finding.code == code
        assert part in finding.message
        assert "kickstart file" not in finding.message
    assert capfd.readouterr() == ("", "")


def test_lines_are_those_of_the_node_file(check_main: Check) -> None:
    found = check_main("<ks>\nlang en_US\nfirewall --nonsense\n\nselinux --maybe\n</ks>")
    lines = [finding.location.line for finding in found if finding.code == "KS-ERROR" and finding.location]
    assert lines == [4, 6]


def test_one_check_leaves_nothing_behind_for_the_next(make_profile: Make) -> None:
    texts = ["autopart", "user --name=a", "part / --size=100", "partition / --size=100", "volgroup a pv.1"]
    texts += [
        "reqpart",
        "url --url=http://a",
        "cdrom",
        "auth --enableshadow",
        "%packages --nocore\n@a --optional\n%end",
    ]
    release = load_release("el9")
    check_profile(make_profile("<main><part>/ --size=500</part></main>"), release)
    profiles = {text: make_profile(f"<main><ks>{text}</ks></main>") for text in texts}
    alone = {text: check_profile(profile, release) for text, profile in profiles.items()}
    for text in itertools.chain(texts, reversed(texts)):
        assert check_profile(profiles[text], release) == alone[text]
    assert not any(finding.code in ("KS-ERROR", "KS-WARNING") for found in alone.values() for finding in found)


@pytest.mark.parametrize("release", ["el7", "el8", "el9", "el10"])
def test_the_verdict_is_that_of_the_parser_over_the_whole_file(make_profile: Make, release: str) -> None:
    lines = [
        "lang en_US", "lang", "timezone --isUtc UTC", "network --bootproto=dhcp --device=eth0", "part / --size=x",
        "btrfs none --data=0 btrfs.01", "rootpw --allow-ssh x", "bootloader --upgrade", "text --non-interactive",
    ]  # fmt: skip
    profile = make_profile(f"<main><ks>{chr(10).join(lines)}</ks></main><post arg='--bogus'>true</post>", release)
    found = check_profile(profile, load_release(release))
    told = {f.message for f in found if f.code in ("KS-ERROR", "KS-EMPTY", "KS-DEPRECATED", "KS-WARNING")}
    parser = KickstartParser(makeVersion(load_release(release).handler), followIncludes=False)
    expected = 0
    for line in [*lines, profile.scripts[0].header + "\n%end"]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                parser.readKickstartFromString(line + "\n")
            except KickstartError:
                expected += 1
        expected += len(caught)
    assert len(told) == expected


def test_an_undefined_attribute_is_named(check_main: Check) -> None:
    found = check_main("<lang>&Language;</lang>\n<rootpw>--iscrypted\n&Hash;\n</rootpw>")
    messages = [finding.message for finding in found if finding.code == "KS-EMPTY"]
    assert len(messages) == 2
    assert "attribute Language is not defined" in messages[0]
    assert "attribute Hash is not defined" in messages[1]


def test_a_refused_line_is_told_once(check_main: Check) -> None:
    found = check_main("<url>--url=&Server;</url>")
    assert [finding.code for finding in found].count("KS-EMPTY") == 1
