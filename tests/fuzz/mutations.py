"""Descriptions that are nearly right: real pieces of the language, changed at random."""

from hypothesis import strategies as st

SNIPPETS = [
    *("<post>", "</post>", "<post/>", "<file name='/etc/x'>", "</file>", "<![CDATA[", "]]>", "<!--", "-->", "<?xml?>"),
    *(
        "<!DOCTYPE a>",
        "&os;",
        "&nosuch;",
        "&#0;",
        "&#x10FFFF;",
        "&amp;",
        "&",
        "<",
        ">",
        "'",
        '"',
        "\x00",
        "\ufeff",
        "\r",
    ),
    *(
        "cond='x",
        "cond='a &lt; 3'",
        "cond='len(x)'",
        "cond='(' ",
        "cond='x in 3'",
        "os='sunos'",
        "arch=','",
        "phase=','",
    ),
    *(
        "<kickstart>",
        "</kickstart>",
        "<graph>",
        "<main>",
        "<eval>",
        "</eval>",
        "<template>{{ x",
        "{% for %}",
        "{{ 9 ** 9 }}",
    ),
    *("<include file='a'/>", "<include file='../../../etc/hostname'/>", "<copy src='/'/>", "<include file='&os;'/>"),
    *("<var name='x' ref='x'/>", "<package/>", "<package>@</package>", "<package>-</package>", "<boot order='&os;'>"),
    *(
        "%end\n",
        "\n%include /x\n",
        "RB_EOF\n",
        "\U000f0000",
        "\u2028",
        "\x0b",
        "é",
        "\ud7ff",
        "😀",
        "$(",
        "`",
        "\\",
        "\t",
    ),
    *("<edge from='r'/>", "<edge from='a' to='r'/>", "<order head='a' tail='r'/>", "<order head='r' tail='a'/>"),
    *(
        "<to>",
        "<to> </to>",
        "<to>../r</to>",
        "HEAD",
        "TAIL",
        "<order head='TAIL' tail='HEAD'/>",
        "<appliance name='a'/>",
    ),
    *("<appliance name='../x'/>", "<appliance name='r' root='nosuch'/>", "<a " + "x='1' " * 40 + "/>", "<b>" * 300),
]

NODE = """<?xml version="1.0"?>
<kickstart interface="public">
<description>What &os; it is</description>
<main><lang>en_US</lang><url cond="x or not y">--url=&url;</url><ks>text
reboot</ks><timezone>--isUtc Europe/Berlin</timezone></main>
<package type="meta" arch="x86_64, i386">base</package>
<package disable="1">a.&arch;</package>
<pre interpreter="/bin/sh">echo</pre>
<post arg="--nochroot" cond="version &gt;= 7">
if [ 1 &lt; 2 ]; then<!-- comment --> echo <![CDATA[ <x> & ]]>; fi
<file name="/etc/&x;" mode="append" owner="a.b" perms="0600" vars="expanded" expr="date">
%end &y;
</file>
<eval shell="sh" mode="xml">echo</eval><template>{% if x %}{{ x|sh }}{% endif %}</template>
<include file="a"/><var name="v" val="1"/><var name="v"/>
</post>
<boot order="post">echo</boot>
<configure phase="reconfigure">x</configure>
</kickstart>
"""
GRAPH = """<?xml version="1.0"?>
<graph roll="base">
<appliance name="compute" root="r" membership="Compute"/>
<edge from="r" cond="x == 1 or os == 'linux'"><to>a</to><to os="linux">b</to></edge>
<edge from="a" to="b" arch="x86_64"/>
<edge to="a"><from>b</from></edge>
<order head="HEAD" tail="a"/><order head="a"><tail>b</tail><tail>ghost</tail></order>
<order tail="TAIL"><head>b</head></order>
</graph>
"""
ATTRIBUTES = [
    "x: 1\ny: text\nhost:\n  c0:\n    x: 'a b'\nos:\n  linux: {url: http://x}\n",
    '{"x": "1", "version": "7.0", "os_release": "el9"}',
    "x:1\nurl:http://x\n# comment\n\nrocks_version_major:7\n",
]
ROLL = "name: base\npriority: 50\n"
DECLARED = "x: 1\nurl:\n  default: http://x\n  type: string\n  description: where\ny: {type: integer, default: 3}\n"


WHOLE = [
    snippet
    for snippet in SNIPPETS
    if snippet.endswith(("/>", "</package>", "</to>", "\n")) or snippet[0] in "&\U000f0000é"
]


@st.composite
def mutations(draw: st.DrawFn, text: str, most: int = 3) -> str:
    """The text with a few stretches cut out, doubled, replaced or filled in."""
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.integers(0, 7))
        if kind > 3:  # something whole at the start of a line: often still well-formed
            lines = text.split("\n")
            lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(WHOLE)))
            text = "\n".join(lines)
            continue
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 2, 7, 40, 400])))
        if kind == 0:
            text = text[:start] + text[end:]
        elif kind == 1:
            text = text[:end] + text[start:end] + text[end:]
        elif kind == 2:
            text = text[:start] + draw(st.text(max_size=3)).encode(errors="replace").decode() + text[end:]
        else:
            text = text[:start] + draw(st.sampled_from(SNIPPETS)) + text[end:]
    return text


FILES = {
    "base/nodes/r.xml": NODE,
    "base/nodes/a.xml": """<kickstart>
<post>
<file name='/&y;'>
&x;
</file>
</post>
<package>c</package>
</kickstart>""",
    "base/nodes/b.xml": "<kickstart>\n</kickstart>",
    "base/graphs/default/g.xml": GRAPH,
    "base/include/a": "echo <file name='/x'>1</file>\n",
}
MORE = {
    "base/roll.yaml": ROLL,
    "base/attributes.yaml": DECLARED,
    "site/site-nodes/extend-a.xml": FILES["base/nodes/a.xml"],
    "site/site-nodes/replace-b.xml": NODE,
    "base/include-version/7/nodes/a.xml": NODE,
    "core/nodes/a.xml": FILES["base/nodes/a.xml"],
    "core/graphs/default/g.xml": GRAPH,
}


@st.composite
def descriptions(draw: st.DrawFn) -> dict[str, bytes]:
    """Files of some rolls, path -> bytes; one or two of them are not as they were."""
    files = FILES | {name: MORE[name] for name in draw(st.sets(st.sampled_from(sorted(MORE)), max_size=2))}
    chosen = draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2))
    files |= {name: draw(mutations(files[name])) for name in chosen}
    data = {name: text.encode("utf-8", "replace") for name, text in files.items()}
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    data[chosen[0]] = files[chosen[0]].encode(encoding, "replace")
    return data
