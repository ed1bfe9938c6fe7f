"""Small descriptions and what they are compiled with; the Kickstarts they become are in tests/golden/compile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.compiler import Compiler, Evaluate, Profile, Target, run_no_eval
from rollbuild.language import find_rolls, read_description
from rollbuild.releases import load_release

RELEASES = ("el7", "el8", "el9", "el10")
HANDLERS = {"el7": "RHEL7", "el8": "RHEL8", "el9": "RHEL9", "el10": "RHEL10"}


def compiler_of(
    folder: Path,
    files: Mapping[str, str | bytes],
    *,
    release: str = "el9",
    evaluate: Evaluate = run_no_eval,
    overlay: str = "",
) -> Compiler:
    """A compiler for rolls that consist of these files: path below `folder` -> text."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    description = read_description(find_rolls([str(folder)]), overlay=overlay)
    return Compiler(description, load_release(release), {}, evaluate)


def compile_files(
    folder: Path,
    files: Mapping[str, str | bytes],
    attributes: Mapping[str, str] | None = None,
    *,
    release: str = "el9",
    evaluate: Evaluate = run_no_eval,
) -> Profile:
    """Compile node `r` of the files."""
    compiler = compiler_of(folder, files, release=release, evaluate=evaluate)
    return compile_root(compiler, attributes or {})


def compile_root(compiler: Compiler, attributes: Mapping[str, str]) -> Profile:
    """Compile node `r` with these attributes and those that are always there."""
    values = {"hostname": "compute-0-0", "os": "linux", "arch": "x86_64", **attributes}
    return compiler.compile(Target("compute-0-0", "compute", "r", values))


def compile_node(
    folder: Path, body: str, attributes: Mapping[str, str] | None = None, *, release: str = "el9"
) -> Profile:
    """Compile one node file with this body."""
    return compile_files(
        folder, {"base/nodes/r.xml": f"<kickstart>\n{body}\n</kickstart>\n"}, attributes, release=release
    )


@dataclass(frozen=True)
class Case:
    """A description, its attributes, and the codes of the findings that it may have."""

    body: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    codes: tuple[str, ...] = ()
    overlay: str = ""

    def compiler(self, folder: Path, release: str) -> Compiler:
        """A compiler of its files for a release."""
        files = dict(self.files)
        if self.body:
            files["base/nodes/r.xml"] = f"<kickstart>\n{self.body}\n</kickstart>\n"
        return compiler_of(folder, files, release=release, overlay=self.overlay)

    def compile(self, folder: Path, release: str, compiler: Compiler | None = None) -> Profile:
        """The profile for a release."""
        return compile_root(compiler or self.compiler(folder, release), self.attributes)


def graph(*children: str, more: str = "") -> str:
    """A graph whose root has these children."""
    return "<graph>" + "".join(f'<edge from="r" to="{name}"/>' for name in children) + more + "</graph>"


CASES = {
    "main": Case(
        """<main>
  <lang>en_US</lang>
  <keyboard> us </keyboard>
  <url>--url=http://&server;/install</url>
  <url cond="never">--url=http://nowhere/</url>
  <reboot/>
  <install>
%include /tmp/partition-info
</install>
  <rootpw>--iscrypted &hash;</rootpw>
  <ks>
    services --enabled=sshd

    selinux --permissive
  </ks>
</main>
<main os="sunos"><lang>de_DE</lang></main>
<main><timezone>--utc Europe/Berlin</timezone></main>""",
        attributes={"server": "10.1.1.1", "hash": "$6$a$b/c."},
        codes=("KS-ADAPTED",),
    ),
    "packages": Case(
        """<package>zsh</package>
<package>zsh</package>
<package type="meta">base</package>
<package type="meta">^server-product-environment</package>
<package type="meta">Mail/WWW/News Tools</package>
<package>nspr.&arch;</package>
<package>libstdc++*</package>
<package disable="1">emacs</package>
<package disable="">nano</package>
<package disable="0">vim</package>
<package>nano</package>
<package os="sunos">SUNWx</package>
<package cond="no">absent</package>
<package arch="i386, x86_64">both</package>
<package>
  one
  two.&arch;

  three
</package>
<package phase="reconfigure">later</package>""",
    ),
    "lenient": Case("<package>zsh</package>", attributes={"rocks_version_major": "7"}),
    "file-modes": Case(
        """<post>
<file name="/etc/motd">
Welcome
</file>
echo between
<file name="/etc/motd" mode="append">more</file>
<file name="/opt/x/empty"/>
<file name="/opt/x/date" expr="date -u"/>
<file name="/opt/x/date" mode="append" expr="date -u">
and text
</file>
<file name="/opt/x/filtered" mode="pipe">sed s/a/b/

sort
</file>
<file name="/opt/x/filtered2" mode="pipe" src="/etc/motd">tr a-z A-Z</file>
<file name="/etc/secret" owner="root.apache" perms="0600" rcs="false">
    indented
	tab, trailing blanks:{blanks}
	</file>
<file name="/etc/expanded" vars="expanded" perms="u+rwxs,g+rx,o-rwx" owner="">
host=$(hostname) `date` \\$literal
</file>
<file name="/etc/solaris" os="sunos">x</file>
<file name="/etc/conditional" cond="no">x</file>
<file name="/etc/conditional" cond="hostname">yes</file>
</post>""".replace("{blanks}", "  "),
    ),
    "file-names": Case(
        """<post>
<file name="$certs/ca.crt">1</file>
<file name="/opt/with blank/it's">2</file>
<file name="/opt/&where;/$x &quot;y&quot;">3</file>
<file name="/opt/&where;/plain" owner="&where;" perms="&mode;">4</file>
<file name=" /etc/trimmed ">5</file>
</post>""",
        attributes={"where": "a$(b)`c`", "mode": "0644"},
    ),
    "reserved-lines": Case(
        """<post>
<file name="/etc/macros">
%packages
%dist .el9
  %end
|already
RB_EOF
</file>
<file name="/etc/expanded" vars="expanded">
a=$(
  echo b
)
%include /tmp/x
RB_|y
c \\
d
</file>
<file name="/etc/separators">a&#13;%end&#13;b</file>
<file name="/etc/harmless">
%distribution
%foo
100 %end
</file>
<file name="/etc/delimiters">
RB_EOF
RB_EOF_2
</file>
</post>""",
    ),
    "scripts": Case(
        """<pre>
echo pre
<file name="/tmp/part">x</file>
</pre>
<pre interpreter="/usr/bin/python3">print("pre")</pre>
<pre-install>echo pre-install</pre-install>
<post>
echo one
</post>
<post arg="--nochroot">
echo two
<file name="/mnt/sysroot/etc/x">x</file>
</post>
<post interpreter="/usr/libexec/platform-python">
import os
print("a < b && c")
</post>
<post interpreter="/bin/sh" arg="--erroronfail --log=/root/own.log">false</post>
<post arch="i386">echo never</post>
<post os="sunos">echo <service name="x"/></post>
<post>
<!-- only a comment -->
</post>
<post><![CDATA[
#!/bin/sh
if [ 1 < 2 && 3 ]; then echo "]]]]><![CDATA[>"; fi
]]></post>
<configure>echo always</configure>
<configure phase="post,reconfigure">echo install, too</configure>
<configure phase="reconfigure">echo never</configure>
<onerror>echo failed</onerror>""".replace("a < b &&", "a &lt; b &amp;&amp;"),
    ),
    "boot": Case(
        """<boot>
echo first &hostname;
<file name="/etc/at-boot">
$HOME
RB_BOOT
</file>
</boot>
<boot order="post">echo "last $x"</boot>
<boot order="pre" cond="no">echo never</boot>
<post>echo post</post>
<onerror>echo failed</onerror>""",
    ),
    "include-and-copy": Case(
        files={
            "base/nodes/r.xml": """<kickstart>
<post>
<include file="text.sh"/>
<include file="files.xml" mode="xml"/>
<sinclude file="absent"/>
<copy src="include/data.bin" dst="/opt/data.bin"/>
<copy src="include/text.sh"/>
<file name="/etc/included" include="include/text.sh">after
</file>
<file name="/etc/quoted"><include file="text.sh" mode="text"/></file>
</post>
</kickstart>""",
            "base/include/text.sh": "echo '<included>' &amp; $x\n",
            "base/include/files.xml": 'echo before\n<file name="/etc/of-include">&hostname;</file>\n',
            "base/include/data.bin": "\x00\x01\x02" * 40,
        },
    ),
    "var": Case(
        """<var name="a" val="value of &hostname;"/>
<var name="b" ref="a"/>
<post>echo <var name="b"/> <var name="a"/>.</post>""",
        codes=("VAR", "VAR"),
    ),
    "undefined-and-odd-values": Case(
        """<post>
X="&nosuch;"
Y="&odd;"
<file name="/etc/odd">&odd;&empty;</file>
<file name="/etc/cdata"><![CDATA[&odd;]]></file>
</post>""",
        attributes={"odd": 'a&b <c> "q" 100% it\'s\nsecond &hostname; $(line)', "empty": ""},
        codes=("ENT-IN-CDATA", "UNDEF-ATTR"),
    ),
    "site-nodes": Case(
        files={
            "base/graphs/default/g.xml": graph("extended", "replaced", "both", "plain"),
            "base/nodes/r.xml": "<kickstart/>",
            **{
                f"base/nodes/{name}.xml": f"<kickstart><post>echo base {name}</post></kickstart>"
                for name in ("extended", "replaced", "both", "plain")
            },
            **{
                f"site/site-nodes/{name}.xml": f"<kickstart><post>echo site {name}</post></kickstart>"
                for name in ("extend-extended", "replace-replaced", "extend-both", "replace-both", "plain")
            },
        },
        codes=("SITE-NODE", "SITE-NODE"),
    ),
    "order": Case(
        files={
            "base/graphs/default/g.xml": graph(
                *("a", "b", "c", "z", "p", "m"),
                more='<order tail="HEAD"><head>p</head></order><order head="b" tail="ghost"/>'
                '<order head="ghost" tail="a"/><order head="TAIL"><tail>z</tail></order>',
            ),
            **{f"base/nodes/{name}.xml": f"<kickstart><post>echo {name}</post></kickstart>" for name in "abczpmr"},
        },
    ),
    "overlay": Case(
        files={
            "base/graphs/default/g.xml": graph("a"),
            "base/include-version/7/graphs/default/g7.xml": graph("b"),
            "base/include-version/6/graphs/default/g6.xml": graph("c"),
            "base/nodes/r.xml": "<kickstart/>",
            "base/nodes/a.xml": "<kickstart><post>echo any</post></kickstart>",
            "base/include-version/7/nodes/a.xml": "<kickstart><post>echo seven</post></kickstart>",
            "base/include-version/7/nodes/b.xml": "<kickstart><post>echo b</post></kickstart>",
            "base/include-version/6/nodes/c.xml": "<kickstart><post>echo c</post></kickstart>",
        },
        overlay="7",
    ),
    "same-node-in-two-rolls": Case(
        files={f"{roll}/nodes/r.xml": "<kickstart><post>echo once</post></kickstart>" for roll in ("base", "core")},
    ),
    "labels": Case(
        files={
            "base/graphs/default/g.xml": graph("a", "a-2"),
            "base/nodes/r.xml": "<kickstart/>",
            "base/nodes/a.xml": "<kickstart><post>echo 1</post><configure>echo 2</configure></kickstart>",
            "base/nodes/a-2.xml": "<kickstart><post>echo 3</post></kickstart>",
        },
    ),
    "template": Case(
        """<post>
<template>
{% for number in range(3) %}
echo {{ hostname }} {{ number }} {{ attributes["odd-name"]|sh }}
{% endfor %}
</template>
<file name="/etc/t"><template>{{ odd|default("none") }} {{ hostname|upper }}</template></file>
</post>
<main><ks><template>timezone {{ zone|ks }}</template></ks></main>""",
        attributes={"odd-name": "it's", "zone": "Europe/Berlin"},
    ),
    "eval-off": Case(
        """<post>
echo <eval>date</eval>.
<file name="/etc/e"><eval shell="python3">print("x")</eval></file>
<eval cond="never">date</eval>
</post>""",
        codes=("EVAL-OFF", "EVAL-OFF"),
    ),
    "nothing": Case("<description>No more than that.</description>"),
}
