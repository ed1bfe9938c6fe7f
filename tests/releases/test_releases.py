import shlex

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.releases import (
    RELEASES,
    adapt_command,
    adapt_packages_options,
    load_release,
)
from rollbuild.releases import release as release_module
from rollbuild.releases.words import edit, split_words

EL7, EL8, EL9, EL10 = map(load_release, RELEASES)


def test_each_release_is_read_once_and_knows_itself() -> None:
    for name in RELEASES:
        release = load_release(name)
        assert release is load_release(name)
        assert release.name == name
        assert name == f"el{release.os_version_major}"
        assert release.handler == f"RHEL{release.os_version_major}"
        assert str(release.os_version_major) in release.title
        assert release.installer_python.startswith("/usr/")


def test_sysroot_changed_with_8() -> None:
    assert [load_release(name).sysroot for name in RELEASES] == ["/mnt/sysimage"] + ["/mnt/sysroot"] * 3


@pytest.mark.parametrize(("name", "hint"), [("el11", "el1"), ("EL9", "el9"), ("rocky", ""), ("", "")])
def test_unknown_release_is_refused(name: str, hint: str) -> None:
    with pytest.raises(RollbuildError) as caught:
        load_release(name)
    assert caught.value.exit_code == USAGE
    assert hint in caught.value.hint
    assert "el7, el8, el9, el10" in caught.value.message


@pytest.mark.skipif(not hasattr(yaml, "CSafeLoader"), reason="PyYAML without libyaml")
def test_releases_are_read_by_libyaml() -> None:
    # Python's own reader takes ten times as long, at each start.
    assert release_module._LOADER is yaml.CSafeLoader


def test_facts_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        EL9.gone["ls"] = "dir"  # type: ignore[index]
    with pytest.raises(AttributeError):
        EL9.name = "el8"  # type: ignore[misc]


@pytest.mark.parametrize("name", RELEASES)
def test_every_hint_is_words(name: str) -> None:
    """YAML reads a bare yes, no or 1 as something else than the text it looks like."""
    release = load_release(name)
    tables = (release.absent_in_installer, release.unfit_in_chroot, release.gone, release.section_notes)
    for table in tables:
        for key, hint in table.items():
            assert isinstance(key, str) and key
            assert isinstance(hint, str) and hint
    for command, rule in release.adaptations.items():
        assert isinstance(command, str)
        assert rule.arguments or rule.because
        assert not (rule.drop and (rule.becomes or rule.arguments))
        for argument, change in rule.arguments.items():
            assert isinstance(argument, str)
            assert change.because
            assert sum(map(bool, (change.becomes, change.line, change.command, change.drop_command))) <= 1


@pytest.mark.parametrize(
    ("release", "name", "text", "lines"),
    [
        (EL9, "bootloader", '--append="a  b" --lba32', ['bootloader --append="a  b"']),
        (EL9, "bootloader", "--lba32   --append='x \"y\"'  --timeout=5", None),
        (EL9, "bootloader", '--append="--lba32 --upgrade"', ['bootloader --append="--lba32 --upgrade"']),
        (EL9, "bootloader", "--append=a\\ --lba32", ["bootloader --append=a\\ --lba32"]),
        (EL9, "bootloader", "--timeout=5 # --lba32", ["bootloader --timeout=5 # --lba32"]),
        (EL9, "bootloader", '--append="open --lba32', ['bootloader --append="open --lba32']),
        (EL9, "lilo", "--linear --append=quiet", ["bootloader --append=quiet"]),
        (EL9, "zerombr", "yes", ["zerombr"]),
        (EL9, "timezone", '"--isUtc" UTC', ["timezone --utc UTC"]),
        (
            EL10,
            "timezone",
            "--ntpservers=a.b,,c --isUtc UTC",
            ["timezone --utc UTC", "timesource --ntp-server=a.b", "timesource --ntp-server=c"],
        ),
        (EL10, "timezone", "--ntpservers a", ["timesource --ntp-server=a"]),
        (EL9, "timezone", "", ["timezone"]),
        (EL10, "authselect", "select minimal --force", ["authselect select local --force"]),
        (EL8, "authselect", "select minimal", ["authselect select minimal"]),
        (EL7, "text", "--non-interactive", ["cmdline"]),
        (EL9, "ignoredisk", "--interactive", []),
        (EL9, "ignoredisk", "--interactive --only-use=sda", ["ignoredisk --only-use=sda"]),
        (EL9, "logging", "--level info --host=h", ["logging --host=h"]),
        (EL9, "part", "/ --start=1 --size=9", ["part / --size=9"]),
        (EL9, "partition", "/ --start=1 --size=9", ["partition / --size=9"]),
    ],
)
def test_only_what_must_change_changes(release, name, text, lines) -> None:
    if lines is None:
        lines = ["bootloader --append='x \"y\"'  --timeout=5"]
    adapted = adapt_command(release, name, text)
    assert list(adapted.lines) == lines
    assert (adapted.status == "ok") == (adapted.lines == (f"{name} {text}".strip(),)) == (not adapted.notes)


@pytest.mark.parametrize(
    ("release", "name", "text", "lines", "origins"),
    [
        (EL9, "install", "%include /tmp/x", ["%include /tmp/x"], [0]),
        (EL9, "install", "\n  \n%include /tmp/x\n", ["%include /tmp/x"], [2]),
        (EL7, "install", "%include /tmp/x", ["install", "%include /tmp/x"], [0, 0]),
        (EL9, "install", "", [], []),
        (
            EL9,
            "clearpart",
            "--all\npart / --size=1\n\npart swap --size=2 ",
            ["clearpart --all", "part / --size=1", "part swap --size=2"],
            [0, 1, 3],
        ),
        (
            EL9,
            "timezone",
            "UTC --nontp\n%include /tmp/x",
            ["timezone UTC", "timesource --ntp-disable", "%include /tmp/x"],
            [0, 0, 1],
        ),
        (EL9, "lang", "\n en_US\n", ["lang en_US"], [1]),
    ],
)
def test_further_lines_stand_for_themselves(release, name, text, lines, origins) -> None:
    adapted = adapt_command(release, name, text)
    assert list(adapted.lines) == lines
    assert list(adapted.origins) == origins


def test_dropped_command_tells_why_although_its_include_stays() -> None:
    adapted = adapt_command(EL9, "install", "%include /tmp/x")
    assert adapted.status == "dropped"
    assert adapted.notes == ("install: left out for el9: a Kickstart always installs",)


def test_notes_name_each_change() -> None:
    notes = adapt_command(EL10, "timezone", "--isUtc --ntpservers=a UTC").notes
    assert notes == (
        "timezone --isUtc: written as --utc for el10: the option has a new name",
        "timezone --ntpservers: written as timesource for el10: time servers have a command of their own",
    )


@pytest.mark.parametrize(
    ("release", "name", "nearest", "note"),
    [
        (EL9, "rebot", "reboot", "no release has"),
        (EL9, "frobnicate", "", "no release has"),
        (EL8, "timesource", "", "el9, el10"),
        (EL9, "rdp", "", "el10"),
    ],
)
def test_unknown_command(release, name, nearest, note) -> None:
    adapted = adapt_command(release, name, "--x\n%include /y")
    assert adapted.status == "unknown"
    assert adapted.lines == (f"{name} --x", "%include /y")
    assert adapted.nearest == nearest
    assert note in adapted.notes[0]


def test_packages_options_keep_values_that_are_equal() -> None:
    options = ("--timeout", "5", "--retries", "5", "--instLangs", "en_US")
    adapted, notes = adapt_packages_options(EL10, options)
    assert adapted == ("--timeout", "5", "--retries", "5", "--inst-langs", "en_US")
    assert notes == ("%packages --instLangs: written as --inst-langs for el10: el10 knows the option by this name",)


@pytest.mark.parametrize(
    ("release", "requirement", "lines", "met"),
    [
        (EL9, "non-interactive mode", ["text"], False),
        (EL7, "non-interactive mode", ["text"], True),
        (EL9, "non-interactive mode", ["text --non-interactive"], True),
        (EL9, "non-interactive mode", ["graphical --non-interactive"], False),
        (EL9, "non-interactive mode", ["cmdline"], True),
        (EL9, "storage layout", ["%include /tmp/part"], True),
        (EL9, "storage layout", ["clearpart --all"], False),
        (EL9, "login", ["", 'rootpw "open'], False),
        (EL9, "login", ["user --name=a"], True),
        (EL8, "install source", ["ostreecontainer --url=a"], False),
        (EL9, "install source", ["ostreecontainer --url=a"], True),
    ],
)
def test_requirements(release, requirement, lines, met) -> None:
    (need,) = [need for need in release.required if need.name == requirement]
    assert need.is_met_by(lines) is met


@pytest.mark.parametrize(
    ("table", "name", "releases"),
    [
        ("absent_in_installer", "timeout", "el8 el9 el10"),
        ("absent_in_installer", "stat", "el8"),
        ("absent_in_installer", "comm", "el8 el9"),
        ("absent_in_installer", "sgdisk", "el10"),
        ("absent_in_installer", "curl", ""),
        ("unfit_in_chroot", "systemctl restart", "el7 el8 el9 el10"),
        ("unfit_in_chroot", "systemctl enable", ""),
        ("gone", "/opt/rocks/bin/python", "el7 el8 el9 el10"),
        ("gone", "brctl", "el8 el9 el10"),
        ("gone", "new-kernel-pkg", "el8 el9 el10"),
        ("gone", "dhclient", "el10"),
        ("gone", "ifconfig", ""),
    ],
)
def test_programs(table: str, name: str, releases: str) -> None:
    assert [each for each in RELEASES if name in getattr(load_release(each), table)] == releases.split()


@given(st.text(alphabet="ab-=#\\\"' \t", max_size=30))
def test_words_are_those_of_shlex(line: str) -> None:
    try:
        expected = shlex.split(line, comments=True)
    except ValueError:
        expected = None
    words = split_words(line)
    assert (None if words is None else [word.value for word in words]) == expected


@given(st.text(alphabet="ab-=\"' ", max_size=30), st.data())
def test_an_edit_leaves_the_other_words_alone(line: str, data: st.DataObject) -> None:
    words = split_words(line)
    if not words:
        return
    chosen = data.draw(st.sets(st.sampled_from(range(len(words)))))
    changed = split_words(edit(line, words, [(index, None) for index in chosen]))
    assert changed is not None
    assert [word.value for word in changed] == [word.value for index, word in enumerate(words) if index not in chosen]
