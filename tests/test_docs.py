"""The pages of the docs: their links lead somewhere, their commands exist, their examples compile as they say."""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from rollbuild.checks import read_waivers
from rollbuild.commands._hosts import read_hosts
from rollbuild.commands.main import group
from rollbuild.errors import RollbuildError
from rollbuild.language import graph, read_attributes, read_defaults
from rollbuild.language.elementchecks import ANYWHERE, ATTRIBUTES
from rollbuild.language.nodeparts import IN_SCRIPT
from rollbuild.language.nodes import TOP
from tests.conftest import Outcome

ROOT = Path(__file__).parents[1]
LANGUAGE = ROOT / "docs" / "reference" / "language.md"
FILES = ROOT / "docs" / "reference" / "files.md"

_NOT_OURS = frozenset(("build", "dist", "node_modules", "__pycache__"))
_FENCE = re.compile(
    r"^(?P<indent> *)(?P<mark>`{3,})(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)(?P=mark)$", re.M | re.S
)
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(<?([^)\s>]+)>?[^)]*\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.M)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page; `name` is the file that the line before it names."""

    kind: str
    text: str
    name: str
    line: int


def pages() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.md")):
        inside = path.relative_to(ROOT).parts
        if not any(part.startswith(".") or part in _NOT_OURS for part in inside[:-1]):
            yield path


def blocks_of(text: str) -> Iterator[Block]:
    for match in _FENCE.finditer(text):
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        named = re.fullmatch(r"`([^`\s]+)`:", before)
        yield Block(
            match["kind"], match["text"], named[1] if named else "", text.count("\n", 0, match.start("text")) + 1
        )


def anchors_of(text: str) -> set[str]:
    """The anchors that a page's headings get (as GitHub makes them)."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 1
        unique = anchor
        while unique in found:
            unique = f"{anchor}-{number}"
            number += 1
        found.add(unique)
    return found


def broken_links(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
    broken = []
    for target in _LINK.findall(prose):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        if not path.exists() or (anchor and anchor not in anchors_of(path.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", list(pages()), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def command_lines(block: Block) -> Iterator[str]:
    """The `rollbuild ...` command lines of a console block (after `$ ` or `# `) or a shell block."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    for line in text.splitlines():
        prompt = re.match(r"[$#] ", line)
        if block.kind == "console" and not prompt:
            continue
        line = line[2:] if block.kind == "console" else line.strip()
        for part in re.split(r"\|\|?|&&|;", line):
            words = part.split()
            if words and words[0] == "rollbuild":
                yield part.strip()


def wrong_words(line: str) -> str:
    """What is wrong with a command line; empty when its verb, options, choices and arguments are in order."""
    words = shlex.split(re.split(r"\s\d?>", line)[0], comments=True)[1:]
    context = click.Context(group, info_name="rollbuild")
    try:
        _, rest, _ = group.make_parser(context).parse_args(words)
        if not rest:
            return ""
        command = group.get_command(context, rest[0])
        if command is None:
            return f"there is no verb {rest[0]}"
        inner = click.Context(command, parent=context, info_name=rest[0])
        while isinstance(command, click.Group):
            _, rest, _ = command.make_parser(inner).parse_args(rest[1:])
            if not rest:
                return ""
            found = command.get_command(inner, rest[0])
            if found is None:
                return f"there is no verb {rest[0]}"
            command, inner = found, click.Context(found, parent=inner, info_name=rest[0])
        values, left, _ = command.make_parser(inner).parse_args(rest[1:])
        if left:
            return f"{left[0]} is one argument too many"
        helps = values.get("help") is True
        for parameter in command.get_params(inner):
            wanting = not given(value := values.get(str(parameter.name)))
            if wanting and parameter.required and not helps:
                return f"{parameter.human_readable_name} is missing"
            if not wanting and isinstance(parameter.type, click.Choice):
                for item in value if isinstance(value, tuple | list) else (value,):
                    parameter.type.convert(item, parameter, inner)
    except click.UsageError as problem:
        return problem.format_message()
    return ""


def given(value: object) -> bool:
    """Whether the parser found a value for a parameter."""
    return isinstance(value, str | bool | int | tuple | list) and value not in ("", (), [])


def all_command_lines() -> Iterator[tuple[str, str]]:
    for page in pages():
        for block in blocks_of(page.read_text(encoding="utf-8")):
            if block.kind in ("console", "sh"):
                for line in command_lines(block):
                    yield f"{page.relative_to(ROOT).as_posix()}:{block.line}", line


def test_command_lines_use_what_there_is() -> None:
    found = list(all_command_lines())
    assert len(found) > 10
    wrong = [f"{place}: {line}: {what}" for place, line in found if (what := wrong_words(line))]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rollbuild compile compute -A a=b --hosts hosts.csv -o -", ""),
        ("rollbuild -v check rolls/base > findings.txt", ""),
        ("rollbuild explain compute package:gcc --json", ""),
        ("rollbuild --version", ""),
        ("rollbuild compil compute", "no verb compil"),
        ("rollbuild compile --atrs x", "--atrs"),
        ("rollbuild compile --os-release el6", "el6"),
        ("rollbuild explain compute", "SUBJECT is missing"),
        ("rollbuild list nodes compute extra", "one argument too many"),
        ("rollbuild list things", "things"),
        ("rollbuild roll script hpc --host compute", ""),
        ("rollbuild roll scrip hpc --host compute", "no verb scrip"),
        ("rollbuild roll script hpc", "host_name is missing"),
    ],
)
def test_wrong_command_lines_are_seen(line: str, said: str) -> None:
    what = wrong_words(line)
    assert said in what and bool(said) == bool(what)


def sections(page: Path = LANGUAGE) -> dict[str, str]:
    """The text of a page below each heading, by heading."""
    parts = re.split(r"^#{2,3} (.+)\n", page.read_text(encoding="utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


EVERYWHERE = ANYWHERE | {"phase"}
ELEMENTS = {
    **{tag: frozenset(allowed) for tag, allowed in graph._ATTRIBUTES.items()},
    **{tag: ATTRIBUTES.get(tag, EVERYWHERE) - EVERYWHERE for tag in (*TOP, *IN_SCRIPT)},
    **{tag: allowed - EVERYWHERE for tag, allowed in ATTRIBUTES.items()},
    **{tag: frozenset[str]() for tag in graph._IGNORED},
    "ks": frozenset[str](),
    "include": frozenset(("file", "mode")),
    "sinclude": frozenset(("file", "mode")),
    "kickstart": ATTRIBUTES["kickstart"],
}


@pytest.mark.parametrize("tag", sorted(ELEMENTS))
def test_the_language_page_has_every_element_and_attribute(tag: str) -> None:
    found = sections()
    home = found.get(f"`<{tag}>`")
    if home is None:
        homes = [text for text in found.values() if f"`<{tag}>`" in text]
        assert homes, f"<{tag}> is not mentioned"
        home = "\n".join(homes)
    missing = {name for name in ELEMENTS[tag] if f"`{name}`" not in home and f"{name}=" not in home}
    assert not missing, f"<{tag}> has attributes that its section does not name: {sorted(missing)}"


def test_the_language_page_names_the_attributes_of_all_elements() -> None:
    text = sections()["Attributes of every element"]
    assert {name for name in EVERYWHERE if f"`{name}`" not in text} == set()


@dataclass(frozen=True, slots=True)
class Example:
    """A node file of the language page, what stands in its Kickstart, and files beside it."""

    line: int
    node: str
    kickstart: str
    files: dict[str, str]


def examples() -> Iterator[Example]:
    files: dict[str, str] = {}
    node = None
    for block in blocks_of(LANGUAGE.read_text(encoding="utf-8")):
        if block.name:
            files[block.name] = block.text
        elif block.kind == "ks" and node:
            yield Example(node.line, node.text, block.text, files)
            files = {}
        node = block if block.kind == "xml" and block.text.startswith("<kickstart") else None


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: f"line {example.line}")
def test_examples_compile_as_the_page_says(
    example: Example, tree: Callable[..., Path], rollbuild: Callable[..., Outcome]
) -> None:
    site = next(block.text for block in blocks_of(LANGUAGE.read_text(encoding="utf-8")) if block.kind == "yaml")
    folder = tree(
        {
            "rolls/example/graphs/default/example.xml": '<graph><appliance name="compute"/></graph>',
            "rolls/example/nodes/compute.xml": example.node,
            "site.yaml": site,
            **{f"rolls/example/{name}": text for name, text in example.files.items()},
        }
    )
    done = rollbuild(
        *("compile", "compute", "--rolls", folder / "rolls", "--attrs", folder / "site.yaml"),
        *("--no-validate", "-o", "-"),
    )
    assert done.code == 0, done.err
    assert example.kickstart.rstrip("\n") in done.out


def test_the_example_of_the_order(tree: Callable[..., Path], rollbuild: Callable[..., Outcome]) -> None:
    blocks = list(blocks_of(sections()["Order"]))
    described = next(block.text for block in blocks if block.kind == "xml")
    shown = next(block.text for block in blocks if block.kind == "console").splitlines()
    names = ("compute", "disks", "network", "mail", "chrony", "report")
    files = {f"rolls/example/nodes/{name}.xml": "<kickstart/>" for name in names}
    folder = tree({"rolls/example/graphs/default/example.xml": described, **files})
    done = rollbuild("list", "nodes", "compute", "--rolls", folder / "rolls")
    assert [line.rstrip() for line in done.out.splitlines()] == [line.rstrip() for line in shown[1:]]


@pytest.mark.parametrize(
    ("heading", "kind", "name", "read"),
    [
        ("YAML and JSON", "yaml", "site.yaml", read_attributes),
        ("Lines of key:value", "text", "site.attrs", read_attributes),
        ("Attributes that a roll declares", "yaml", "attributes.yaml", read_defaults),
        ("Hosts", "yaml", "hosts.yaml", read_hosts),
        ("Hosts", "text", "hosts.csv", read_hosts),
        ("Waivers", "yaml", "waivers.yaml", read_waivers),
    ],
)
def test_examples_of_files_can_be_read(
    heading: str, kind: str, name: str, read: Callable[[str], object], tmp_path: Path
) -> None:
    text = next(block.text for block in blocks_of(sections(FILES)[heading]) if block.kind == kind)
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read(str(path))
    path.write_text(f"{text}: [\n" if kind == "yaml" else "a:1\na:2\n", encoding="utf-8")
    with pytest.raises(RollbuildError):
        read(str(path))


def test_codes_that_pages_name_are_explained() -> None:
    explained = set(re.findall(r"^## (.+)$", FILES.with_name("findings.md").read_text(encoding="utf-8"), re.M))
    named = {
        (page.name, code)
        for page in pages()
        for code in re.findall(r"`([A-Z]+(?:-[A-Z]+)+)`", page.read_text(encoding="utf-8"))
    }
    assert named
    assert sorted((page, code) for page, code in named if code not in explained and not code.startswith("NAME-")) == []
