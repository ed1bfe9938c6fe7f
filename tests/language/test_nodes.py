from collections.abc import Callable

import pytest

from rollbuild.errors import RollbuildError
from rollbuild.language import (
    Command,
    Copy,
    Eval,
    File,
    NodeFile,
    Package,
    Script,
    Template,
    Text,
    parse_document,
    read_fragment,
    read_node,
)
from rollbuild.language.nodeparts import Includes
from rollbuild.location import Location

Read = Callable[[str], tuple[str, bytes] | None]


def reader(files: dict[str, bytes]) -> Read:
    def read(name: str) -> tuple[str, bytes] | None:
        if name.startswith(".."):
            raise RollbuildError(f"{name} leads out of roll base")
        return (f"/roll/{name}", files[name]) if name in files else None

    return read


def read(body: str, files: dict[str, bytes] | None = None) -> NodeFile:
    includes = Includes(reader(files or {}), reader(files or {}))
    return read_node(parse_document(f"<kickstart>\n{body}\n</kickstart>", "n.xml"), "n.xml", "base", includes)


def only(body: str) -> Command | Package | Script:
    (item,) = read(body).items
    return item


def literal(text: Text | None) -> str | None:
    return None if text is None else text.literal


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ("<description>d</description><changelog>x</changelog><copyright/><log>l</log><debug>d</debug>", []),
        ("<screen><variable><name>x</name></variable></screen>", []),
        ("text of the root", []),
        ("<pakage>x</pakage>", ["UNKNOWN-ELEMENT"]),
        ("<attributes/>", ["UNKNOWN-ELEMENT"]),
        ("<file name='/x'/>", ["UNKNOWN-ELEMENT"]),
        # 18.42: a stray tag in a script.
        ("<post><Directory></Directory></post>", ["UNEXPECTED-CHILD"]),
        ("<post><b>x</b></post>", ["UNEXPECTED-CHILD"]),
        ("<post><package>x</package></post>", ["UNEXPECTED-CHILD"]),
        ("<post><file name='/x'><file name='/y'/></file></post>", ["UNEXPECTED-CHILD"]),
        ("<post><eval><file name='/y'/></eval></post>", ["UNEXPECTED-CHILD"]),
        ("<package>a<b/></package>", ["UNEXPECTED-CHILD"]),
        ("<main><part><x/></part></main>", ["UNEXPECTED-CHILD"]),
        ("<post><service name='x'/></post>", ["UNKNOWN-ELEMENT"]),
        # 18.13: the typo of bio-base, and unknown attributes in general.
        ("<post><file name='/x' perm='0755'>x</file></post>", ["UNKNOWN-ATTR"]),
        ("<post interpeter='x'>x</post>", ["UNKNOWN-ATTR"]),
        ("<package typ='meta'>x</package>", ["UNKNOWN-ATTR"]),
        # 18.39: what an old compiler has written.
        ("<post roll='base' file='a.xml' arg='--nochroot' chroot='no'>x</post>", []),
        ("<package> </package>", ["EMPTY-PACKAGE"]),
        ("<package/>", ["EMPTY-PACKAGE"]),
        ("<package type='grup'>x</package>", ["PACKAGE-TYPE"]),
        ("<post><file>x</file></post>", ["FILE-NAME"]),
        ("<post><file name=' '>x</file></post>", ["FILE-NAME"]),
        ("<post><file name='/x' mode='apend'>x</file></post>", ["UNKNOWN-VALUE"]),
        ("<post><file name='/x' vars='expand'>x</file></post>", ["UNKNOWN-VALUE"]),
        ("<boot order='first'>x</boot>", ["BOOT-ORDER"]),
        # K26: shell in another program's script.
        ("<post interpreter='/usr/bin/python3'><file name='/x'/></post>", ["FILE-IN-SCRIPT"]),
        ("<post interpreter='/bin/zsh'><file name='/x'/></post>", []),
        ("<post interpreter=''><file name='/x'/></post>", []),
        ("<post interpreter='/usr/bin/python3'><eval>x</eval></post>", []),
        ("<post><include/></post>", ["INCLUDE-MISSING"]),
        ("<post><include file='no'/></post>", ["INCLUDE-MISSING"]),
        ("<post><sinclude file='no'/></post>", []),
        ("<post><include file='../x'/></post>", ["INCLUDE-OUTSIDE"]),
        ("<post><sinclude file='../x'/></post>", ["INCLUDE-OUTSIDE"]),
        ("<post><file name='/x' include='no'/></post>", ["INCLUDE-MISSING"]),
        ("<post><file name='/x' include='../no'/></post>", ["INCLUDE-OUTSIDE"]),
        ("<post><copy/></post>", ["COPY-SOURCE"]),
        ("<post><copy src='no'/></post>", ["INCLUDE-MISSING"]),
        ("<post><copy src='../no'/></post>", ["INCLUDE-OUTSIDE"]),
        ("<post><var/></post>", ["VAR-NAME"]),
        ("<post><var name='x'/></post>", ["UNDEF-VAR"]),
        ("<post><![CDATA[&os;]]></post>", ["ENT-IN-CDATA"]),
        ("<post><template>&os;</template></post>", ["ENT-IN-TEMPLATE"]),
        ("<post phase='&x;'>x</post>", ["ENT-IN-ATTR"]),
        ("<post cond='&x;'>x</post>", ["ENT-IN-ATTR"]),
        # Solaris content is dropped unseen.
        ("<post os='sunos'><service/><b/></post><package os='sunos'/><thing os='sunos'/>", []),
    ],
)
def test_findings(body: str, codes: list[str]) -> None:
    found = read(body).findings
    assert [finding.code for finding in found] == codes
    assert all(finding.location is not None and finding.location.line == 2 for finding in found)


def test_description_is_kept_and_notes_are_not() -> None:
    file = read("<description>\n What it <![CDATA[<is>]]>. </description><description>2</description><post>x</post>")
    assert file.description == "What it <is>."
    assert len(file.items) == 1


def test_packages() -> None:
    items = read(
        "<package> a b </package><package type='meta'>^env</package><package disable='1'>c</package>"
        "<package disable='no'>d</package><package type='x'>e</package>"
    ).items
    assert [(literal(item.name), item.is_group, item.enabled) for item in items if isinstance(item, Package)] == [
        ("a b", False, True),
        ("^env", True, True),
        ("c", False, False),
        ("d", False, True),
        ("e", False, True),
    ]


def test_one_package_a_line_each_with_its_place() -> None:
    items = read("<package>one\n  two.&arch;\n\n&three;<!--x-->\n</package>").items
    assert [(item.name.expand(str.upper), item.location) for item in items if isinstance(item, Package)] == [
        ("one", Location("n.xml", 2, 1)),
        ("two.ARCH", Location("n.xml", 3, 3)),
        ("THREE", Location("n.xml", 5, 1)),
    ]


@pytest.mark.parametrize(
    ("attribute", "phases"),
    [
        ("", {"pre", "post"}),
        ("phase='reconfigure'", {"reconfigure"}),
        ("phase='post, reconfigure'", {"post", "reconfigure"}),
    ],
)
def test_phases(attribute: str, phases: set[str]) -> None:
    script = only(f"<configure {attribute}>x</configure>")
    assert isinstance(script, Script)
    assert script.phases == phases


def test_packages_and_commands_of_another_phase_are_left_out() -> None:
    assert read("<package phase='reconfigure'>a</package><main phase='reconfigure'><text/></main>").items == ()


def test_script_and_file() -> None:
    script = only(
        "<post interpreter='/bin/sh' arg='--nochroot' arch='x86_64' cond='a'>1"
        "<file name='/&x;' mode='append' owner='' perms='0600' vars='expanded' rcs='off' cond='b'>2</file>"
        "<eval shell='python' mode='xml' cond='c'>3</eval><template>4</template></post>"
    )
    assert isinstance(script, Script)
    assert (script.kind, literal(script.interpreter), literal(script.argument)) == ("post", "/bin/sh", "--nochroot")
    assert [guard.text() for guard in script.guards] == ["arch == x86_64 and a"]
    text, file, program, template = script.body
    assert isinstance(text, Text)
    assert isinstance(file, File)
    assert (file.mode, file.owner, literal(file.perms), file.expands, file.keeps_original) == (
        *("append", None, "0600"),
        *(True, False),
    )
    assert [guard.text() for guard in file.guards] == ["b"]
    assert isinstance(program, Eval)
    assert (program.shell, program.as_xml, literal(program.body)) == ("python", True, "3")
    assert isinstance(template, Template)


@pytest.mark.parametrize(
    ("word", "keeps"),
    [
        ("true", True),
        ("Yes", True),
        ("1", True),
        (" on ", True),
        ("enabled", True),
        ("false", False),
        ("0", False),
        ("x", False),
    ],
)
def test_rcs_words(word: str, keeps: bool) -> None:
    script = only(f"<post><file name='/x' rcs='{word}'>x</file></post>")
    assert isinstance(script, Script)
    (file,) = script.body
    assert isinstance(file, File)
    assert file.keeps_original is keeps


def test_commands_know_their_own_and_the_outer_conditions() -> None:
    items = read("<main cond='a'><lang cond='b'>x</lang><url os='sunos'>y</url><reboot/></main>").items
    assert [(item.name, [guard.text() for guard in item.guards]) for item in items if isinstance(item, Command)] == [
        ("lang", ["a", "b"]),
        ("reboot", ["a"]),
    ]


def test_includes() -> None:
    files = {"a.sh": b"\xffecho <&>\r\n", "b.xml": b"echo <file name='/x'>&v;</file>", "c": b"\x00"}
    script = read(
        "<post><include file='a.sh'/><include file='b.xml' mode='xml' cond='q'/><copy src='c' dst='/y'/></post>", files
    )
    (item,) = script.items
    assert isinstance(item, Script)
    quoted, text, file, copied = item.body
    assert isinstance(quoted, Text)
    assert (quoted.file, quoted.literal) == ("/roll/a.sh", "\ufffdecho <&>\n")
    assert isinstance(file, File)
    assert [guard.text() for guard in file.guards] == ["q"]
    assert isinstance(copied, Copy)
    assert (literal(copied.name), copied.data) == ("/y", b"\x00")
    assert file.location == Location("n.xml", 2, 29)
    assert isinstance(text, Text)


@pytest.mark.parametrize(("text", "hint"), [("<graph/>", "graphs/default"), ("<rocks/>", ""), ("<node/>", "")])
def test_another_root_is_refused(text: str, hint: str) -> None:
    with pytest.raises(RollbuildError, match="<kickstart>") as caught:
        read_node(parse_document(text, "n.xml"), "n.xml", "base", Includes(reader({}), reader({})))
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "body", ["<post cond='len(x)'/>", "<main><lang cond='a b'/></main>", "<package arch=','>x</package>"]
)
def test_a_bad_condition_is_an_error_at_its_place(body: str) -> None:
    (finding,) = read(body).findings
    assert (finding.code, finding.severity) == ("COND-SYNTAX", "error")
    assert finding.location is not None
    assert finding.location.line == 2


def test_a_program_s_xml_may_hold_files() -> None:
    here = Location("n.xml", 9, 1)
    parts, findings = read_fragment("echo &x;\n<file name='/y'>1</file><package>p</package>", here)
    assert [type(part) for part in parts] == [Text, File]
    assert [(finding.code, finding.location) for finding in findings] == [("UNEXPECTED-CHILD", here)]
