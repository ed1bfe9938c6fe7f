"""A plan gives for every host the very bytes that compiling the host gives."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollbuild.compiler import Compiler, Target
from rollbuild.findings import Finding, in_order
from tests.compiler.cases import compiler_of

NAMES = ("hostname", "x", "y", "rack")

values = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "b",
            "10.1.1.1",
            "a b",
            "a  b",
            " a",
            "a ",
            "\n",
            "a\nb",
            "a\n%end\nb",
            "%end",
            "end",
            "include",
            "'",
            '"',
        ]
    ),
    st.sampled_from(
        [
            "--opts",
            "-x",
            "--isUtc",
            "isUtc",
            "#",
            "a #b",
            "RB_EOF",
            "EOF",
            "B_EOF",
            "R",
            "RB",
            "_EOF",
            "RB_BOOT",
            "RB_|",
            "|",
        ]
    ),
    st.sampled_from(
        [
            "/etc/x",
            "/opt/d/f",
            "etc",
            "root.apache",
            "a,b",
            "$x",
            "`x`",
            "\\",
            "a\\",
            "é",
            "\u2028%end",
            "\r%end",
            "\xa0",
            "\t",
        ]
    ),
    st.sampled_from(
        ["\U000f0000x\U000f0001", "\U000f0000", "nochroot", "meta", "@", "yes", "0", "7", "\x85", "\u3000a"]
    ),
    st.text(max_size=5).filter(lambda text: "\x00" not in text and text.isprintable()),
)
hosts = st.fixed_dictionaries(dict.fromkeys(NAMES, values))
# Stretches of text: what is around a reference decides what its value can do.
texts = st.lists(
    st.one_of(
        st.sampled_from(
            ["&x;", "&y;", "&hostname;", "&nosuch;", "\n", " ", "a", "%", "% ", "R", "RB", "B_EOF", "_EOF", "\\"]
        ),
        st.sampled_from(
            ["--", "-", "=", "--isUtc", "#", "'", '"', "|", "$", "/", ".", "\U000f0000x\U000f0001", "/etc"]
        ),
    ),
    max_size=5,
).map("".join)
inline = texts.map(lambda text: text.replace("\n", "").replace('"', "").replace("\\", ""))


@st.composite
def files(draw: st.DrawFn) -> str:
    name = draw(inline) or "f"
    kind = draw(st.sampled_from(["", 'vars="expanded"', 'mode="append"', 'mode="pipe"', 'cond="x"', 'rcs="no"']))
    more = draw(st.sampled_from(["", f'owner="{draw(inline)}"', f'perms="{draw(inline)}"', f'expr="{draw(inline)}"']))
    return f'<file name="{name}" {kind} {more}>{draw(texts)}</file>'


@st.composite
def scripts(draw: st.DrawFn) -> str:
    tag = draw(st.sampled_from(["post", "pre", "post", "boot", "configure"]))
    attribute = ""
    if tag != "boot" and draw(st.integers(0, 4)) == 0:
        attribute = draw(st.sampled_from([f'interpreter="/bin/{draw(inline)}"', f'arg="{draw(inline)}"']))
    parts = st.one_of(
        texts,
        files(),
        st.sampled_from(["<template>{{ x }}\n{{ y|length }}</template>", "<eval>date</eval>", "<!-- -->"]),
        st.just("<eval>/opt/rocks/sbin/gen_root_pw</eval>"),
    )
    return f"<{tag} {attribute}>{''.join(draw(st.lists(parts, max_size=4)))}</{tag}>"


bodies = st.lists(
    st.one_of(
        scripts(),
        texts.map(lambda text: f"<package>{text}</package>"),
        texts.map(lambda text: f"<main><ks>{text}</ks></main>"),
        inline.map(lambda text: f"<main><timezone>Europe/Berlin {text}</timezone></main>"),
        inline.map(lambda text: f"<main><timezone>--ntpservers={text}</timezone></main>"),
        inline.map(lambda text: f"<main><bootloader>--location=mbr {text}</bootloader></main>"),
        inline.map(lambda text: f"<main><network>{text}</network><rootpw>{text}</rootpw></main>"),
        inline.map(lambda text: f"<main><packages>{text}</packages></main>"),
    ),
    max_size=5,
).map("\n".join)


def target(values: Mapping[str, str]) -> Target:
    return Target("host", "compute", "r", {"os": "linux", "Kickstart_PrivateRootPassword": "$6$x", **values})


def compile_both(compiler: Compiler, first: Mapping[str, str], host: Mapping[str, str]) -> None:
    plan = compiler.plan(target(first), NAMES)
    if compiler.plan_key(target(first)) != compiler.plan_key(target(host)):
        plan = compiler.plan(target(host), NAMES)
    findings: list[Finding] = []
    rendered = plan.render(target(host).attributes, findings)
    profile = compiler.compile(target(host))
    assert rendered == profile.text.encode()
    # What the first host shows need not be shown again; but nothing that is only this host's may be lost.
    known = set(compiler.compile(target(first)).findings)
    assert set(in_order(profile.findings)) <= known | set(findings)


@given(bodies, hosts, hosts, st.sampled_from(["el8", "el10"]))
@settings(max_examples=250)
def test_a_plan_gives_what_compiling_gives(
    tmp_path_factory: pytest.TempPathFactory, body: str, first: dict[str, str], host: dict[str, str], release: str
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    node = f"<kickstart>{body}</kickstart>"
    compiler = compiler_of(folder, {"base/nodes/r.xml": node}, release=release)
    compile_both(compiler, first, host)


PLAIN = {"hostname": "c0", "rack": "0", "x": "a", "y": "b"}


@pytest.mark.parametrize(
    ("body", "host"),
    [
        # A folder that is always there for one host, and not for the other.
        ('<post><file name="&x;/f">1</file></post>', {"x": "/etc"}),
        ('<post><file name="&x;">1</file></post>', {"x": "/opt/d/f"}),
        ('<post><file name="/etc/f" owner="&x;">1</file></post>', {"x": "root.apache"}),
        # Lines that the values make into others.
        ('<post><file name="/etc/f">\n%&x;\n</file></post>', {"x": "end"}),
        ('<post><file name="/etc/f">\nRB_&x;\n</file></post>', {"x": "EOF"}),
        ('<post><file name="/etc/f">\n&x;&y;\n</file></post>', {"x": "RB", "y": "_EOF"}),
        ("<post>\n%&x;\n</post>", {"x": "end"}),
        # What is put out by rollbuild for one value need not be for another.
        ("<main><timezone>Europe/Berlin --ntpservers=&x;</timezone></main>", {"x": "a,b"}),
        ("<main><timezone>Europe/Berlin --&x;</timezone></main>", {"x": "isUtc"}),
        ("<package>&x;</package><package>aa</package>", {"x": "zz"}),
        ('<post arg="-&x;">echo</post>', {"x": "-nochroot"}),
        # A template before an eval that is not run.
        ("<post><template>{{ x }}</template><eval>date</eval></post>", {"x": "other"}),
        ("<post><template>{{ x }}</template><eval>/opt/rocks/sbin/gen_root_pw</eval></post>", {"x": "other"}),
        # Text that looks like what plans are made with.
        ("<post>\U000f0000x\U000f0001 &x;</post>", {"x": "other"}),
        ("<post>\U000f0000 &x; \U000f0001</post>", {"x": "other"}),
        ("<post>&x;</post>", {"x": "\U000f0000y\U000f0001"}),
        ("<post>echo</post>", {"hostname": "a  b"}),
    ],
)
def test_values_that_decide_more_than_their_place(
    body: str, host: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    for one, other in ((PLAIN, {**PLAIN, **host}), ({**PLAIN, **host}, PLAIN)):
        folder = tmp_path_factory.mktemp("plan")
        compiler = compiler_of(folder, {"base/nodes/r.xml": f"<kickstart>{body}</kickstart>"}, release="el10")
        compile_both(compiler, one, other)


def test_plain_hosts_share_one_static_plan(tmp_path_factory: pytest.TempPathFactory) -> None:
    body = """<main><lang>&x;</lang><network>--hostname=&hostname;</network></main>
<post>echo &hostname; <file name="/etc/f">&x; &y;
&hostname;
</file></post>"""
    compiler = compiler_of(tmp_path_factory.mktemp("plan"), {"base/nodes/r.xml": f"<kickstart>{body}</kickstart>"})
    plan = compiler.plan(target(PLAIN), NAMES)
    assert plan.is_static
    assert plan.names == {"hostname", "x", "y"}
    assert plan.render({**PLAIN, "hostname": "c9"}, []).count(b"c9") == 4


def test_rolls_of_the_rocks_days_do_not_share_a_plan_with_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    files = {"base/nodes/r.xml": "<kickstart><package>a</package></kickstart>"}
    compiler = compiler_of(tmp_path_factory.mktemp("plan"), files)
    old, new = target({"rocks_version_major": "7"}), target({})
    assert "--ignoremissing" in compiler.compile(old).text
    assert "--ignoremissing" not in compiler.compile(new).text
    assert compiler.plan_key(old) != compiler.plan_key(new)
