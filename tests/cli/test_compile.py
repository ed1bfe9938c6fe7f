"""Whole commands: `rollbuild compile`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = """<kickstart>
  <main>
    <lang>en_US.UTF-8</lang><keyboard>us</keyboard><timezone>--utc UTC</timezone>
    <text>--non-interactive</text><reboot/><url>--url=http://&server;/el9</url>
    <rootpw>--lock</rootpw><zerombr/>
    <clearpart>--all --initlabel --drives=sda</clearpart><ignoredisk>--only-use=sda</ignoredisk>
    <autopart/><network>--bootproto=dhcp --hostname=&hostname;</network>
  </main>
  <package>tmux</package>
</kickstart>
"""
GRAPH = """<graph>
  <appliance name="compute" root="compute" membership="Compute"/>
  <appliance name="login" root="login" membership="Login"/>
  <edge from="compute" to="base"/>
  <edge from="login" to="base"/>
</graph>
"""
SITE = {
    "rolls/a/nodes/base.xml": MAIN,
    "rolls/a/nodes/compute.xml": '<kickstart><post><file name="/etc/motd">&hostname;\n</file></post></kickstart>',
    "rolls/a/nodes/login.xml": "<kickstart><package>gcc</package></kickstart>",
    "rolls/a/graphs/default/a.xml": GRAPH,
}


@pytest.fixture
def site(tree, monkeypatch):
    folder = tree(SITE)
    monkeypatch.chdir(folder)
    return folder


def test_all_appliances(site, rollbuild):
    done = rollbuild("compile", "-A", "server=10.1.1.1")
    assert (done.code, done.out) == (0, "")
    assert done.err == "wrote 2 Kickstarts for el9 into build/kickstarts\n"
    written = sorted(os.listdir(site / "build/kickstarts"))
    assert written == ["compute.ks", "login.ks"]
    text = (site / "build/kickstarts/login.ks").read_text()
    assert "url --url=http://10.1.1.1/el9\n" in text
    assert "%packages\ngcc\ntmux\n%end\n" in text


def test_one_to_standard_output_has_only_the_kickstart(site, rollbuild):
    done = rollbuild("compile", "compute", "-A", "server=x", "-o", "-")
    assert done.code == 0
    assert done.out.startswith("# Kickstart of compute, appliance compute, release el9.\n")
    assert done.out.endswith("%end\n\n")
    assert done.err == ""
    assert not (site / "build").exists()


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["compile", "-o", "-"], 2, "-o - writes one Kickstart, but there are 2: compute, login"),
        (["compile", "computer"], 2, "there is no appliance or node computer"),
        (["compile", "--rolls", "nowhere"], 2, "nowhere does not exist"),
        (["compile", "--os-release", "el6"], 2, "Invalid value for '--os-release'"),
        (["compile", "-A", "server"], 2, "server"),
        (["compile", "--attrs", "missing.yaml"], 4, "missing.yaml"),
        (["compile", "--hosts", "missing.csv"], 4, "missing.csv"),
        (["compile", "--graph", "nodefault"], 1, "no roll has a graph nodefault\nhint: did you mean default?"),
        (["compile", "-o", ""], 2, "-o needs the name of a folder"),
    ],
)
def test_refusals(site, rollbuild, argv, code, message):
    done = rollbuild(*argv)
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (site / "build").exists()


def test_undefined_attribute_is_a_warning_at_its_place_and_an_error_when_strict(site, rollbuild):
    done = rollbuild("compile", "compute")
    assert done.code == 0
    assert "warning: rolls/a/nodes/base.xml:4:62: attribute server is not defined" in done.err
    (site / "build/kickstarts/compute.ks").unlink()
    done = rollbuild("compile", "compute", "--strict")
    assert done.code == 1
    assert "error: nothing was written: 1 warning\n" in done.err
    assert not (site / "build/kickstarts/compute.ks").exists()


def test_an_error_in_one_appliance_writes_none_and_shows_all(site, tree, rollbuild):
    tree({"rolls/a/nodes/login.xml": "<kickstart><pots>x</pots><package/></kickstart>"})
    done = rollbuild("compile", "-A", "server=x")
    assert done.code == 1
    assert "error: rolls/a/nodes/login.xml:1:12: <pots> is no element of a node file" in done.err
    assert "hint: did you mean <post>?" in done.err
    assert "error: rolls/a/nodes/login.xml:1:26: this <package> names no package" in done.err
    assert "error: nothing was written: 2 errors" in done.err
    assert not (site / "build").exists()


def test_kickstart_errors_are_shown_at_the_node_file_and_can_be_left_out(site, tree, rollbuild):
    wrong = "<kickstart>\n<main>\n  <bootloader>--nonsense</bootloader>\n</main></kickstart>"
    tree({"rolls/a/nodes/compute.xml": wrong})
    done = rollbuild("compile", "compute", "-A", "server=x")
    assert done.code == 1
    assert "error: rolls/a/nodes/compute.xml:3" in done.err
    assert "--nonsense" in done.err
    done = rollbuild("compile", "compute", "-A", "server=x", "--no-validate")
    assert done.code == 0
    assert "bootloader --nonsense" in (site / "build/kickstarts/compute.ks").read_text()


def test_hosts_from_csv_and_yaml_are_the_same(site, tree, rollbuild):
    tree(
        {
            "hosts.csv": "name,appliance,hostaddr,rack\nc-0-0,compute,10.1.1.5,0\nc-0-1,compute,10.1.1.6,007\n",
            "hosts.yaml": (
                "hosts:\n- {name: c-0-0, appliance: compute, attributes: {hostaddr: 10.1.1.5, rack: 0}}\n"
                "- name: c-0-1\n  appliance: compute\n  attributes: {hostaddr: 10.1.1.6, rack: 007}\n"
            ),
        }
    )
    for form in ("csv", "yaml"):
        done = rollbuild("compile", "--hosts", f"hosts.{form}", "-A", "server=x", "-o", form)
        assert (done.code, done.err) == (0, f"wrote 2 Kickstarts for el9 into {form}\n")
    assert (site / "csv/c-0-1.ks").read_bytes() == (site / "yaml/c-0-1.ks").read_bytes()
    assert "cat > /etc/motd <<'RB_EOF'\nc-0-1\nRB_EOF\n" in (site / "csv/c-0-1.ks").read_text()


def test_a_host_compiles_to_the_same_bytes_alone_among_many_and_with_more_processes(site, tree, rollbuild):
    awkward = ["plain", "it's", "$(reboot)", "%end", "two words", "--x", "RB_EOF", "", "é"]
    rows = [f"h{number},compute,{awkward[number % 9]}" for number in range(700)]
    tree({"hosts.csv": "name,appliance,note\n" + "\n".join(rows) + "\n"})
    tree({"all.yaml": "note: ''\n"})
    node = '<kickstart><post>echo "&note;"<file name="/a/&note;">&note;\n</file></post></kickstart>'
    tree({"rolls/a/nodes/compute.xml": node})
    for jobs in ("1", "3"):
        options = ["--hosts", "hosts.csv", "-A", "server=x", "--attrs", "all.yaml", "--no-validate", "--jobs", jobs]
        options += ["-o", f"out{jobs}"]
        done = rollbuild("compile", *options)
        assert done.code == 0, done.err
    first, second = site / "out1", site / "out3"
    assert sorted(os.listdir(first)) == sorted(os.listdir(second))
    assert len(os.listdir(first)) == 700
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in os.listdir(first))
    for number in range(9):
        alone = ["compile", "compute", "-A", f"hostname=h{number}", "-A", "server=x", "--no-validate", "-o", "-"]
        alone += ["--attrs", "all.yaml"]
        if awkward[number]:
            alone += ["-A", f"note={awkward[number]}"]
        assert rollbuild(*alone).out == (first / f"h{number}.ks").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,appliance\na,compute\na,compute\n", "host a is named twice, first in line 2"),
        ("name,appliance\n../x,compute\n", '"../x" is not a host name'),
        ("host,appliance\na,compute\n", "the header has no column `name`"),
        ("name,appliance\na,compute,x\n", "3 columns, the header has 2"),
        ("name,appliance\n", "this file names no host"),
        ("name,appliance\na,nosuch\n", "there is no appliance or node nosuch"),
        ("name,appliance\na,\n", "host a has no appliance"),
        ("name,appliance\n\x00,\n", "binary"),
    ],
)
def test_bad_hosts_files(site, tree, rollbuild, text, message):
    tree({"hosts.csv": text})
    done = rollbuild("compile", "--hosts", "hosts.csv", "-A", "server=x")
    assert done.code in (1, 2)
    assert message in done.err
    assert not (site / "build").exists()


def test_hosts_whose_conditions_differ_get_their_own_nodes(site, tree, rollbuild):
    edge = '<edge from="compute" to="base"/>'
    graph = GRAPH.replace(edge, edge + '<edge from="compute" to="gpu" cond="gpu"/>')
    tree(
        {
            "rolls/a/graphs/default/a.xml": graph,
            "rolls/a/nodes/gpu.xml": "<kickstart><package>cuda</package></kickstart>",
            "hosts.csv": "name,appliance,gpu\na,compute,yes\nb,compute,no\nc,compute,\n",
        }
    )
    assert rollbuild("compile", "--hosts", "hosts.csv", "-A", "server=x", "-o", "out").code == 0
    texts = {name: (site / f"out/{name}.ks").read_text() for name in "abc"}
    assert {name: "cuda\n" in text for name, text in texts.items()} == {"a": True, "b": False, "c": False}


def test_eval_is_off_runs_when_asked_for_and_tells_failures(site, tree, rollbuild):
    tree({"rolls/a/nodes/compute.xml": "<kickstart><post>\nx=<eval>echo &hostname;-ran</eval>\n</post></kickstart>"})
    base = ["compile", "compute", "-A", "server=x", "-o", "-"]
    done = rollbuild(*base)
    assert done.code == 0
    assert "this <eval> is not run" in done.err
    assert "\nx=\n" in done.out
    done = rollbuild(*base, "--eval", "run")
    assert (done.code, done.err) == (0, "")
    assert "\nx=compute-ran\n" in done.out
    done = rollbuild(*base, "--eval", "fail")
    assert done.code == 1
    assert "rolls/a/nodes/compute.xml:2:3: an <eval> stands here" in done.err
    tree({"rolls/a/nodes/compute.xml": "<kickstart><post>x=<eval>echo oops >&amp;2; exit 7</eval></post></kickstart>"})
    done = rollbuild(*base, "--eval", "run")
    assert done.code == 1
    assert "this <eval> ended with exit code 7: oops" in done.err
    tree({"rolls/a/nodes/compute.xml": '<kickstart><post><eval shell="nosuchshell">x</eval></post></kickstart>'})
    done = rollbuild(*base, "--eval", "run")
    assert done.code == 1
    assert "nosuchshell" in done.err


def test_eval_gets_a_clean_environment(site, tree, rollbuild, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "leak")
    tree({"rolls/a/nodes/compute.xml": "<kickstart><post><eval>env; pwd</eval></post></kickstart>"})
    done = rollbuild("compile", "compute", "-A", "server=x", "-o", "-", "--eval", "run", "--no-validate")
    assert "leak" not in done.out
    assert str(site) not in done.out


def test_templates_use_attributes_and_data(site, tree, rollbuild):
    tree(
        {
            "data.yaml": "hosts:\n- {name: c-0-0, address: 10.1.1.5}\n",
            "rolls/a/nodes/compute.xml": (
                '<kickstart><post><file name="/etc/hosts"><template><![CDATA[\n'
                "{% for host in hosts %}\n{{ host.address }} {{ host.name }}\n{% endfor %}\n"
                "# {{ hostname }}\n]]></template></file></post></kickstart>"
            ),
        }
    )
    base = ["compile", "compute", "-A", "server=x", "-o", "-"]
    done = rollbuild(*base, "--data", "data.yaml")
    assert done.code == 0, done.err
    assert "cat > /etc/hosts <<'RB_EOF'\n10.1.1.5 c-0-0\n# compute\nRB_EOF\n" in done.out
    done = rollbuild(*base)
    assert done.code == 1
    assert "error: rolls/a/nodes/compute.xml:2: this template failed: 'hosts' is undefined" in done.err


def test_a_template_has_the_hosts_own_entry_of_the_data(site, tree, rollbuild):
    tree(
        {
            "data.yaml": "hosts:\n- {name: h0, disk: sda}\n- {name: h1, disk: sdb}\n",
            "hosts.csv": "name,appliance\nh0,compute\nh1,compute\nh2,compute\n",
            "rolls/a/nodes/compute.xml": (
                "<kickstart><post>disk=<template>{{ host.disk|default('none') }}</template></post></kickstart>"
            ),
        }
    )
    done = rollbuild("compile", "--hosts", "hosts.csv", "--data", "data.yaml", "-A", "server=x", "-o", "out")
    assert done.code == 0, done.err
    lines = [(site / f"out/h{number}.ks").read_text().split("disk=")[1].split()[0] for number in range(3)]
    assert lines == ["sda", "sdb", "none"]


def test_output_folder_that_cannot_be_written(site, tree, rollbuild):
    tree({"occupied": "a file"})
    done = rollbuild("compile", "-A", "server=x", "-o", "occupied")
    assert done.code == 4
    assert "occupied" in done.err
    assert (site / "occupied").read_text() == "a file"


def test_a_folder_in_the_place_of_a_file_leaves_all_as_it_was(site, tree, rollbuild):
    tree({"out/login.ks/x": "mine", "out/compute.ks": "old"})
    done = rollbuild("compile", "-A", "server=x", "-o", "out")
    assert done.code == 4
    assert "cannot write out/login.ks: is a directory" in done.err
    assert (site / "out/compute.ks").read_text() == "old"
    assert sorted(os.listdir(site / "out")) == ["compute.ks", "login.ks"]


def test_kickstarts_are_for_their_owner_unless_they_were_opened(site, rollbuild):
    def mode():
        assert rollbuild("compile", "login", "-A", "server=x", "-o", "out").code == 0
        return (site / "out/login.ks").stat().st_mode & 0o777

    assert mode() == 0o600
    (site / "out/login.ks").chmod(0o644)
    assert mode() == 0o644


def test_a_disk_that_is_full_stops_a_fleet_at_once(site, tree, rollbuild, monkeypatch):
    tree({"hosts.csv": "name,appliance\n" + "".join(f"h{number},compute\n" for number in range(50))})
    calls = []

    def full(*arguments):
        calls.append(arguments)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rollbuild.files.staging.write_new", full)
    done = rollbuild("compile", "--hosts", "hosts.csv", "-A", "server=x", "-o", "out")
    assert done.code == 4
    assert "the disk is full" in done.err
    assert len(calls) == 1
    assert not (site / "out").exists()


def test_slips_in_names_of_site_files_and_appliances_are_told(site, tree, rollbuild):
    tree({"rolls/a/site-nodes/extend-computee.xml": "<kickstart/>"})
    done = rollbuild("compile", "login", "-A", "server=x")
    assert "extend-computee.xml: there is no node computee that this could extend" in done.err
    assert "hint: did you mean compute?" in done.err
    tree({"rolls/b/graphs/default/b.xml": '<graph><appliance name="login" root="loggin"/></graph>'})
    done = rollbuild("compile", "login", "-A", "server=x")
    assert done.code == 1
    assert "b.xml:1:8: appliance login is declared differently at rolls/a/graphs/default/a.xml:3:3" in done.err
    assert "starts from node loggin, which does not exist" in done.err


def test_other_files_in_the_output_folder_stay(site, tree, rollbuild):
    tree({"out/notes.txt": "mine", "out/compute.ks": "old"})
    assert rollbuild("compile", "-A", "server=x", "-o", "out").code == 0
    assert sorted(os.listdir(site / "out")) == ["compute.ks", "login.ks", "notes.txt"]
    assert (site / "out/compute.ks").read_text() != "old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_told_with_exit_code_4(site):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rollbuild", "compile", "compute", "-A", "server=x", "-o", "-"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=False,
        )
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


def test_the_same_bytes_for_any_hash_seed(site, rollbuild):
    texts = set()
    for seed in ("0", "1", "4711"):
        done = subprocess.run(
            [sys.executable, "-m", "rollbuild", "compile", "login", "-A", "server=x", "-o", "-"],
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=True,
        )
        texts.add(done.stdout)
    assert len(texts) == 1


def test_old_rolls_get_their_overlay_and_lenient_packages(site, tree, rollbuild):
    tree({"rolls/a/include-version/7/nodes/login.xml": "<kickstart><package>seven</package></kickstart>"})
    done = rollbuild("compile", "login", "-A", "server=x", "-A", "rocks_version=7.0", "-o", "-")
    assert done.code == 0, done.err
    assert "%packages --ignoremissing\nseven\ntmux\n%end\n" in done.out
    done = rollbuild("compile", "login", "-A", "server=x", "-o", "-")
    assert "%packages\ngcc\ntmux\n%end\n" in done.out


def test_rolls_without_appliances_use_those_of_rocks(tree, monkeypatch, rollbuild):
    folder = tree({**SITE, "rolls/a/graphs/default/a.xml": '<graph><edge from="compute" to="base"/></graph>'})
    monkeypatch.chdir(folder)
    done = rollbuild("compile", "-A", "server=x")
    assert done.code == 0, done.err
    assert os.listdir(folder / "build/kickstarts") == ["compute.ks"]


def test_an_attribute_that_does_not_fit_its_declaration(site, tree, rollbuild):
    tree(
        {
            "rolls/a/attributes.yaml": "server: {default: 10.1.1.1, type: address, description: who serves}\n",
            "site.yaml": "# mine\nserver: not an address\n",
        }
    )
    assert rollbuild("compile", "login", "-o", "-").code == 0
    done = rollbuild("compile", "login", "--attrs", "site.yaml")
    assert done.code == 1
    assert "error: site.yaml:2" in done.err
    assert "attribute server: must be" in done.err


def test_check_reports_json_and_exit_code(site, tree, rollbuild):
    tree({"rolls/a/nodes/login.xml": '<kickstart><post interpreter="/bin/bash">\nif true\n</post></kickstart>'})
    done = rollbuild("check", "-A", "server=x", "--json")
    findings = json.loads(done.out)
    assert done.code == 1
    assert [set(finding) for finding in findings] == [
        {"severity", "code", "file", "line", "column", "message", "hint"}
    ] * len(findings)
    assert any(f["code"] == "SHELL" and f["file"] == "rolls/a/nodes/login.xml" and f["line"] for f in findings)


def test_check_of_clean_rolls(site, rollbuild):
    done = rollbuild("check", "--strict", "-A", "server=x")
    assert (done.code, done.out) == (0, "")
    assert done.err == "checked compute, login for el9 (3 nodes): no findings; -v shows the notes\n"


def test_check_shows_only_what_lies_in_the_paths(site, tree, rollbuild):
    tree({"rolls/a/nodes/login.xml": "<kickstart><pots/></kickstart>"})
    tree({"rolls/b/nodes/other.xml": "<kickstart><pst/></kickstart>"})
    done = rollbuild("check", "rolls/b/nodes/other.xml", "-A", "server=x")
    assert done.code == 1
    assert "other.xml:1:12: <pst> is no element" in done.err
    assert "pots" not in done.err


def test_check_of_a_roll_that_is_not_among_the_rolls(site, tree, rollbuild):
    tree({"mine/site-nodes/extend-login.xml": "<kickstart><pst/></kickstart>"})
    paths = ("mine", "mine/site-nodes", "mine/site-nodes/extend-login.xml")
    for argv in (*([path] for path in paths), ["mine", "--rolls", "rolls"]):
        done = rollbuild("check", *argv, "-A", "server=x")
        assert done.code == 1, argv
        assert "extend-login.xml:1:12: <pst> is no element" in done.err


def test_check_in_a_form_tells_also_what_cannot_be_read(site, tree, rollbuild):
    tree({"rolls/a/graphs/default/b.xml": "<graph><edge></graph>"})
    done = rollbuild("check", "--json")
    assert done.code == 1
    assert [(f["code"], f["file"]) for f in json.loads(done.out)] == [("XML", "rolls/a/graphs/default/b.xml")]


def test_check_waives_with_a_reason(site, tree, rollbuild):
    tree(
        {
            "rolls/a/nodes/login.xml": "<kickstart><post>\ncd /nowhere\nls\n</post></kickstart>",
        }
    )
    assert rollbuild("check", "--strict", "-A", "server=x").code == 1
    waiver = "- {code: SHELL, match: SC2164, file: '*/login.xml', reason: the folder is in the image}\n"
    tree({"rolls/a/waivers.yaml": waiver})
    done = rollbuild("check", "--strict", "-A", "server=x")
    assert done.code == 0, done.err
