"""The data compared with pykickstart itself, and what adapt_command writes judged by its handlers."""

import warnings
from functools import cache

import pytest
from pykickstart.base import DeprecatedCommand, KickstartHandler
from pykickstart.errors import KickstartError
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from rollbuild.releases import RELEASES, Release, adapt_command, adapt_packages_options, load_release

# Command, and what each handler says to it as it stands: o (ok), w (deprecated), E (error); el7 el8 el9 el10.
COMMANDS = [
    ("install", "", "owEE"),
    ("interactive", "", "EEEE"),
    ("mouse", "genericps/2", "EEEE"),
    ("langsupport", "--default=en_US", "EEEE"),
    ("lilo", "--location=mbr --linear", "EEEE"),
    ("lilocheck", "", "EEEE"),
    ("auth", "--enablemd5 --useshadow", "owwE"),
    ("authconfig", "--enableshadow", "owwE"),
    ("authselect", "select sssd with-mkhomedir", "Eooo"),
    ("bootloader", "--location=mbr", "oooo"),
    ("bootloader", "--location=mbr --timeout=5", "oooo"),
    ("bootloader", '--append="a b" --driveorder=sda,sdb', "oooo"),
    ("bootloader", "--boot-drive=sda --md5pass=$1$x --extlinux", "oooo"),
    ("bootloader", "--location=mbr --upgrade", "owEE"),
    ("bootloader", "--lba32", "EEEE"),
    ("bootloader", "--linear", "EEEE"),
    ("bootloader", "--nolinear --location=mbr", "EEEE"),
    ("bootloader", "--useLilo --location=mbr", "EEEE"),
    ("bootloader", "--hvargs dom0_mem=1G --location=mbr", "EEEE"),
    ("bootloader", "--sdboot", "EEEo"),
    ("zerombr", "", "oooo"),
    ("zerombr", "yes", "EEEE"),
    ("clearpart", "--all --initlabel", "oooo"),
    ("part", "/ --size=1 --ondisk=sda --asprimary", "oooo"),
    ("part", "swap --recommended", "oooo"),
    ("part", "/state --onpart=sda5 --noformat", "oooo"),
    ("part", "/boot --size=1 --active", "owEE"),
    ("part", "/ --size=1 --start 1 --end=10", "EEEE"),
    ("partition", "/ --size=1 --bytes-per-inode=4096", "EEEE"),
    ("raid", "/ --level=1 --device=md0 raid.01 raid.02", "oooo"),
    ("raid", "/ --level=1 --device=md0 raid.01 raid.02 --bytes-per-inode=4096", "EEEE"),
    ("volgroup", "sys pv.01", "oooo"),
    ("logvol", "/ --vgname=sys --name=root --size=1", "oooo"),
    ("logvol", "/ --vgname=sys --name=root --size=1 --bytes-per-inode=4096", "EEEE"),
    ("autostep", "--autoscreenshot", "oowE"),
    ("upgrade", "", "wEEE"),
    ("device", "scsi x", "EwEE"),
    ("driverdisk", "--source=http://a/b", "oooo"),
    ("driverdisk", "--type=ext2 sda1", "EEEE"),
    ("dmraid", "--name=a --dev=b", "owEE"),
    ("multipath", "--name=a --device=b --rule=c", "owEE"),
    ("deviceprobe", "", "owEE"),
    ("timezone", "--utc Europe/Berlin", "oooo"),
    ("timezone", "Europe/Berlin --isUtc", "oowE"),
    ("timezone", "--ntpservers=a,b Europe/Berlin", "oowE"),
    ("timezone", "--isUtc --ntpservers a.b,c Europe/Berlin", "oowE"),
    ("timezone", "--ntpservers=a", "oowE"),
    ("timezone", "UTC --nontp", "oowE"),
    ("lang", "en_US.UTF-8", "oooo"),
    ("keyboard", "us", "oooo"),
    ("rootpw", "--iscrypted $6$x", "oooo"),
    ("rootpw", "--allow-ssh --iscrypted $6$x", "EEoo"),
    ("sshpw", "--username root --iscrypted $6$x", "oooo"),
    ("eula", "--agreed", "oooo"),
    ("firstboot", "--disable", "oooo"),
    ("skipx", "", "oooo"),
    ("text", "", "oooo"),
    ("text", "--non-interactive", "Eooo"),
    ("graphical", "--non-interactive", "Eooo"),
    ("cmdline", "", "oooo"),
    ("reboot", "--eject", "oooo"),
    ("reboot", "--kexec", "Eooo"),
    ("poweroff", "", "oooo"),
    ("xconfig", "--startxonboot", "oooo"),
    ("xconfig", "--startxonboot --resolution=1024x768 --depth 24 --noprobe", "EEEE"),
    ("url", "--url http://a/b --noverifyssl", "oooo"),
    ("nfs", "--server=a --dir=/b", "oooo"),
    ("cdrom", "", "oooo"),
    ("harddrive", "--partition=sda1 --dir=/", "oooo"),
    ("harddrive", "--biospart=80p1 --dir=/", "ooEE"),
    ("network", "--bootproto dhcp", "oooo"),
    ("network", "--bootproto=static --ip=10.1.1.2 --netmask=255.0.0.0 --device=eth0", "oooo"),
    ("network", "--device=team0 --teamslaves=\"p1'{}'\" --teamconfig '{}'", "ooow"),
    ("firewall", "--disabled", "oooo"),
    ("firewall", "--high --ssh", "EEEE"),
    ("firewall", "--enabled --medium --telnet", "EEEE"),
    ("selinux", "--disabled", "oooo"),
    ("services", "--enabled=a,b", "oooo"),
    ("ignoredisk", "--interactive", "oEEE"),
    ("logging", "--host=a", "oooo"),
    ("logging", "--host=a --level=debug", "oowE"),
    ("repo", "--name=a --baseurl=http://a --ignoregroups=true --cost=1", "oowE"),
    ("unsupported_hardware", "", "oEEE"),
    ("vnc", "--password=secret", "ooow"),
    ("monitor", "--hsync=31", "EEEE"),
    ("key", "--skip", "EEEE"),
    ("method", "", "EEwE"),
    ("btrfs", "none --data=0 btrfs.01", "owwE"),
    ("nvdimm", "use --namespace=namespace0.0", "oooE"),
    ("module", "--name=a --stream=1", "Eoow"),
]
# What no other release's word stands for: these stay unknown where the handler does not know them.
STILL_UNKNOWN = {("el7", "module")}

PACKAGES = [
    ("--ignoremissing", "oooo"),
    ("--nocore", "oooo"),
    ("--excludedocs", "oooo"),
    ("--default", "oooo"),
    ("--timeout=5 --retries=5", "oooo"),
    ("--resolvedeps", "EEEE"),
    ("--ignoredeps", "EEEE"),
    ("--ignorebroken", "EEEE"),
    ("--nobase", "wEEE"),
    ("--instLangs=en_US", "oowE"),
    ("--instLangs en_US", "oowE"),
    ("--inst-langs=en_US", "EEoo"),
    ("--excludeWeakdeps", "EowE"),
    ("--exclude-weakdeps", "EEoo"),
]


@cache
def make_handler(name: str) -> KickstartHandler:
    return makeVersion(name)


def judge(release: Release, text: str) -> str:
    """`ok`, or `warn: ...` or `ERR: ...` as the release's handler puts it."""
    # Making a handler takes 30 ms, so they are kept, and forget what they were told about the last text.
    handler = make_handler(release.handler)
    for name in {"part", "raid", "logvol", "volgroup"}.union(line.split()[0] for line in text.splitlines()):
        if name in handler.commands:
            handler.resetCommand(name)
    parser = KickstartParser(handler, followIncludes=False, errorsAreFatal=True, missingIncludeIsFatal=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            parser.readKickstartFromString(text + "\n")
        except (KickstartError, TypeError) as error:
            return f"ERR: {error}"
    return f"warn: {caught[0].message}" if caught else "ok"


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> Release:
    return load_release(request.param)


def test_names_are_those_of_pykickstart(release: Release) -> None:
    handler = make_handler(release.handler)
    assert release.known_commands == set(handler.commands)
    assert release.sections == set(KickstartParser(handler)._sections)
    assert release.repeatable == {
        name
        for name, command in handler.commands.items()
        if command.dataList() is not None and not isinstance(command, DeprecatedCommand)
    }


def test_deprecated_commands_are_all_adapted(release: Release) -> None:
    handler = make_handler(release.handler)
    for name, command in handler.commands.items():
        if isinstance(command, DeprecatedCommand):
            assert release.adaptations[name].drop, name


def test_options_known_to_the_release_are_left_alone(release: Release) -> None:
    """An option that the handler takes without a warning has no rule, unless its value is what is wrong."""
    handler = make_handler(release.handler)
    deprecated = {("timezone", "--isUtc"), ("timezone", "--ntpservers"), ("timezone", "--nontp")}
    for name, rule in release.adaptations.items():
        parser = getattr(handler.commands.get(name), "op", None)
        for action in parser._actions if parser else ():
            for option in action.option_strings:
                if option in rule.arguments and (name, option) not in deprecated:
                    assert action.deprecated or name == "text", (name, option)


@pytest.mark.parametrize(("name", "text", "verdicts"), COMMANDS)
def test_command_is_adapted_exactly_where_it_must_be(name: str, text: str, verdicts: str) -> None:
    for release, verdict in zip(map(load_release, RELEASES), verdicts, strict=True):
        line = f"{name} {text}".strip()
        before = judge(release, line)
        assert before[0] == verdict, (release.name, before)
        adapted = adapt_command(release, name, text)
        if verdict == "o":
            assert (adapted.lines, adapted.notes, adapted.status) == ((line,), (), "ok"), release.name
        elif (release.name, name) in STILL_UNKNOWN:
            assert adapted.status == "unknown"
        else:
            assert adapted.status in ("dropped", "rewritten"), release.name
            assert adapted.notes
            assert judge(release, "\n".join(adapted.lines)) == "ok", (release.name, adapted)
            assert (adapted.status == "dropped") == (not adapted.lines)


@pytest.mark.parametrize(("options", "verdicts"), PACKAGES)
def test_packages_options_are_adapted_exactly_where_they_must_be(options: str, verdicts: str) -> None:
    for release, verdict in zip(map(load_release, RELEASES), verdicts, strict=True):
        assert judge(release, f"%packages {options}\nbash\n%end")[0] == verdict
        adapted, notes = adapt_packages_options(release, options.split())
        if verdict == "o":
            assert (adapted, notes) == (tuple(options.split()), ())
        else:
            assert notes
            assert judge(release, f"%packages {' '.join(adapted)}\nbash\n%end") == "ok", (
                release.name,
                adapted,
            )


def test_deprecated_sections_are_told(release: Release) -> None:
    for section in release.sections - {"%certificate"}:
        verdict = judge(release, f"{section}{' org_x' if section == '%addon' else ''}\n%end")
        assert (verdict != "ok") == (section in release.section_notes), verdict


def test_required_and_exclusive_commands_are_known(release: Release) -> None:
    required = {alternative for need in release.required for alternative in need.any_of} - {"%include"}
    for command in required:
        assert command.split()[0] in release.known_commands
        assert "unrecognized" not in judge(release, command)
    for group in release.exclusive:
        assert group <= release.known_commands
        assert not group & release.repeatable
