import pytest

from tests.checks.conftest import Check

# release, element, script -> code and a word of the hint; empty: nothing is found.
CASES = [
    ("el9", "pre", "timeout 5 curl x", "PRE-PROGRAM", "curl --max-time"),
    ("el9", "pre", "/usr/bin/base64 f", "PRE-PROGRAM", "od"),
    ("el9", "pre", "command -v timeout >/dev/null &amp;&amp; timeout 5 curl x", "", ""),
    ("el9", "pre", "timeout() { :; }\ntimeout 5", "", ""),
    ("el9", "pre", "/opt/tools/timeout 5", "", ""),
    ("el7", "pre", "timeout 5 curl x", "", ""),
    ("el9", "post", "timeout 5 curl x", "", ""),
    ("el8", "pre", "stat -c %s f", "PRE-PROGRAM", "find"),
    ("el9", "pre", "stat -c %s f", "", ""),
    ("el9", "onerror", "exec nohup a", "PRE-PROGRAM", "COMMAND"),
    ("el9", 'post arg="--nochroot"', "install -d /mnt/sysroot/x", "PRE-PROGRAM", "mkdir"),
    ("el9", 'post arg="--nochroot"', "chroot /mnt/sysroot install -d /x", "", ""),
    ("el9", 'post arg="--nochroot"', "chroot /mnt/sysroot systemctl start x", "CHROOT-PROGRAM", "enable"),
    ("el9", "post", "systemctl restart x", "CHROOT-PROGRAM", "enable"),
    ("el9", "post", "systemctl --quiet start x", "CHROOT-PROGRAM", "enable"),
    ("el9", "post", "systemctl enable x", "", ""),
    ("el7", "post", "systemctl restart x", "CHROOT-PROGRAM", "enable"),
    ("el9", "post", "x=$(hostnamectl --static)", "CHROOT-PROGRAM", "hostname"),
    ("el9", "post", "sysctl -p", "CHROOT-PROGRAM", "sysctl.d"),
    ("el9", "post", "sysctl -n a", "", ""),
    ("el9", "post", "cat &lt;&lt;EOF\nreboot\nEOF", "", ""),
    ("el9", "post", "echo systemctl start x", "", ""),
    ("el9", "post", "service x restart", "CHROOT-PROGRAM", "enable"),
    ("el9", "boot", "systemctl restart x", "", ""),
    ("el9", "post", "ntpdate a", "GONE-PROGRAM", "chronyd"),
    ("el7", "post", "ntpdate a", "", ""),
    ("el9", "post", "cp /etc/inittab /x", "GONE-PROGRAM", "set-default"),
    ("el9", "post", "[ -f /etc/inittab ]", "", ""),
    ("el9", 'post interpreter="/usr/bin/python2"', "print 1", "GONE-PROGRAM", "python3"),
    ("el9", 'post interpreter="/usr/bin/python3"', "timeout = 5", "", ""),
    ("el8", 'pre interpreter="/usr/bin/python3"', "print(1)", "PRE-PROGRAM", "platform-python"),
    ("el9", 'pre interpreter="/usr/bin/python3"', "print(1)", "", ""),
    ("el9", 'post interpreter="/opt/rocks/bin/python"', "x", "GONE-PROGRAM", "python3"),
]


@pytest.mark.parametrize(("release", "element", "text", "code", "hint"), CASES)
def test_programs(check: Check, release: str, element: str, text: str, code: str, hint: str) -> None:
    end = element.split()[0]
    found = check(f"<{element}>\n{text}\n</{end}>", release, kickstart=False)
    assert [finding.code for finding in found] == ([code] if code else [])
    if code:
        assert hint in found[0].hint
        assert found[0].severity == "warning"


def test_the_line_of_the_node_file_is_told(check: Check) -> None:
    found = check("\n<post>\n\n<file name='/etc/a'>\ntimeout\n</file>\ntrue\nnmcli x\n</post>", kickstart=False)
    assert [(finding.code, finding.location and finding.location.line) for finding in found] == [("CHROOT-PROGRAM", 10)]


def test_a_package_of_that_name_brings_the_program(check: Check) -> None:
    assert check("<package>ntpdate</package><post>ntpdate a</post>", kickstart=False) == []
