"""`rollbuild graph`: every format on a small description, and the page in a browser."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.conftest import Outcome

Run = Callable[..., Outcome]
GOLDEN = Path(__file__).parents[1] / "golden" / "graph"

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
NODES = {
    "alpha": {"compute": "A compute host", "base": "What all have\nand more", "disk": "", "net": "", "login": ""},
    "beta": {"mpi": "MPI", "sge": HOSTILE, "tools": ""},
}
GRAPH = """\
<graph>
<appliance name="compute" membership="Compute"/>
<appliance name="head" root="login"/>
<edge from="compute"><to>base</to><to cond="sge">sge</to><to cond="x == '&quot;a\\b&lt;'">disk</to></edge>
<edge from="base" to="net" arch="x86_64"/>
<edge from="login"><to>base</to><to>tools</to><to cond="fast or slow">net</to></edge>
<edge from="tools" to="gone"/>
<edge from="net" to="base"/>
<edge from="net" to="net"/>
<order head="HEAD" tail="base"/>
<order head="base" tail="ghost"/>
<order head="ghost" tail="net"/>
<order head="compute" tail="TAIL"/>
</graph>
"""
MORE = '<graph><edge from="compute" to="mpi"/><edge from="compute" to="mpi" cond="sge"/></graph>'


@pytest.fixture
def here(tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rolls, which is the current one, so that locations are relative."""
    texts = {"rolls/alpha/graphs/default/alpha.xml": GRAPH, "rolls/beta/graphs/default/beta.xml": MORE}
    for roll, nodes in NODES.items():
        for name, description in nodes.items():
            escaped = description.replace("<", "&lt;")
            text = f"<kickstart><description>{escaped}</description></kickstart>"
            texts[f"rolls/{roll}/nodes/{name}.xml"] = text
    folder = tree(texts)
    monkeypatch.chdir(folder)
    return folder


def read_json(rollbuild: Run, *argv: str) -> dict[str, Any]:
    outcome = rollbuild("graph", *argv, "--format", "json")
    assert outcome.code == 0, outcome.err
    drawn: dict[str, Any] = json.loads(outcome.out)
    return drawn


def read_svg(text: str) -> Any:
    return etree.fromstring(text.encode())


GOLDENS = {
    "all.dot": ["--order"],
    "compute.dot": ["compute", "--all", "--order"],
    "all.json": ["--order", "--format", "json"],
    "compute.svg": ["compute", "--all", "--order", "-A", "sge=1", "--format", "svg"],
    "all.svg": ["--format", "svg"],
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("golden", "argv"), GOLDENS.items(), ids=GOLDENS)
def test_output_is_as_it_was_looked_at(rollbuild: Run, golden: str, argv: list[str]) -> None:
    outcome = rollbuild("graph", *argv)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (GOLDEN / golden).read_text(encoding="utf-8")


SELECTIONS = {
    "whole graph": ([], {"base", "compute", "disk", "gone", "login", "mpi", "net", "sge", "tools"}, 12),
    "pruned": (["compute"], {"base", "compute", "mpi", "net"}, 5),
    "with its attributes": (["compute", "-A", "sge=1"], {"base", "compute", "mpi", "net", "sge"}, 7),
    "with what is left out": (["compute", "--all"], {"base", "compute", "disk", "mpi", "net", "sge"}, 8),
    "another architecture": (["compute", "-A", "arch=aarch64"], {"base", "compute", "mpi"}, 2),
    "any node": (["tools"], {"tools", "gone"}, 1),
    "a root": (["--root", "base"], {"base", "net"}, 3),
    "a leaf": (["disk"], {"disk"}, 0),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("argv", "names", "edges"), SELECTIONS.values(), ids=SELECTIONS)
def test_what_is_drawn(rollbuild: Run, argv: list[str], names: set[str], edges: int) -> None:
    drawn = read_json(rollbuild, *argv)
    assert {node["name"] for node in drawn["nodes"]} == names
    assert len(drawn["edges"]) == edges
    for name in ("dot", "svg", "html"):
        assert rollbuild("graph", *argv, "--format", name).code == 0


@pytest.mark.usefixtures("here")
def test_json_says_who_takes_what(rollbuild: Run) -> None:
    drawn = read_json(rollbuild, "--order", "-A", "fast=yes", "-A", "arch=aarch64")
    nodes = {node["name"]: node for node in drawn["nodes"]}
    assert nodes["base"]["appliances"] == ["compute", "head"]
    assert nodes["tools"]["appliances"] == ["head"]
    assert nodes["disk"]["appliances"] == []
    assert nodes["base"]["files"] == ["rolls/alpha/nodes/base.xml"]
    assert nodes["base"]["description"] == "What all have\nand more"
    assert (nodes["gone"]["roll"], nodes["gone"]["problem"]) == (None, "there is no node gone")
    assert nodes["base"]["order"] < nodes["net"]["order"] < nodes["login"]["order"]
    edges = {(edge["from"], edge["to"], edge["condition"]): edge for edge in drawn["edges"]}
    assert edges["login", "net", "fast or slow"]["holds"] == ["head"]
    assert edges["base", "net", "arch == x86_64"]["holds"] == []
    assert edges["base", "net", "arch == x86_64"]["location"] == {
        "file": "rolls/alpha/graphs/default/alpha.xml",
        "line": 5,
    }


@pytest.mark.usefixtures("here")
def test_orders_hold_through_absent_nodes(rollbuild: Run) -> None:
    def orders(*argv: str) -> list[tuple[str, str, list[str]]]:
        found = read_json(rollbuild, *argv)["orders"]
        return [(order["before"], order["after"], order["through"]) for order in found]

    assert orders("compute", "--order") == [
        ("HEAD", "base", []),
        ("base", "net", ["ghost"]),
        ("compute", "TAIL", []),
    ]
    assert ("base", "ghost", []) in orders("--order")
    assert orders() == []


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["dot", "svg", "html", "json"])
def test_equal_input_gives_equal_bytes(rollbuild: Run, name: str) -> None:
    outcomes = [rollbuild("graph", "--order", "--format", name, "--rolls", *order) for order in _ROLL_ORDERS]
    assert outcomes[0].out == outcomes[1].out != ""


_ROLL_ORDERS = (["rolls/alpha", "--rolls", "rolls/beta"], ["rolls/beta", "--rolls", "rolls/alpha"])


@pytest.mark.parametrize(
    ("file", "start"),
    [
        ("a.dot", "digraph"),
        ("a.gv", "digraph"),
        ("a.SVG", "<svg"),
        ("a.html", "<!DOCTYPE"),
        ("a.json", "{"),
        ("a", "d"),
    ],
)
def test_the_ending_decides(rollbuild: Run, here: Path, file: str, start: str) -> None:
    outcome = rollbuild("graph", "compute", "-o", file)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"wrote {file} (4 nodes, 5 edges)\n"
    assert (here / file).read_text(encoding="utf-8").startswith(start)


REFUSED = {
    "appliance": (["compte"], 2, "error: there is no appliance or node compte\nhint: did you mean"),
    "two": (["compute", "head"], 2, "error: Got unexpected extra argument"),
    "format": (["--format", "pdf"], 2, "error: Invalid value for '--format'"),
    "ending": (["-o", "graph.png"], 2, "error: there is no format for .png\nhint: end the name in .dot"),
    "no folder": (["-o", "absent/graph.svg"], 4, "error: cannot write into absent"),
    "a folder": (["--format", "svg", "-o", "rolls"], 4, "error: cannot write"),
    "no rolls": (["--rolls", "absent"], None, "error: "),
}


@pytest.mark.parametrize(("argv", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(rollbuild: Run, here: Path, argv: list[str], code: int | None, said: str) -> None:
    before = sorted(here.rglob("*"))
    outcome = rollbuild("graph", *argv)
    assert outcome.code == code if code is not None else outcome.code
    assert outcome.out == ""
    assert outcome.err.startswith(said), outcome.err
    assert sorted(here.rglob("*")) == before


def test_a_cycle_of_orders_is_still_drawn(rollbuild: Run, here: Path) -> None:
    cycle = '<graph><order head="net" tail="base"/></graph>'
    (here / "rolls/alpha/graphs/default/more.xml").write_text(cycle, encoding="utf-8")
    outcome = rollbuild("graph", "--order", "--format", "json")
    assert outcome.code == 0
    assert "warning: " in outcome.err and "the order has a cycle: base -> ghost -> net -> base" in outcome.err
    drawn = json.loads(outcome.out)
    assert {node["order"] for node in drawn["nodes"]} == {None}
    assert any((order["before"], order["after"]) == ("net", "base") for order in drawn["orders"])


def test_errors_in_graphs_are_told_beside_the_picture(rollbuild: Run, here: Path) -> None:
    wrong = '<graph><edge from="base" to="&nowhere;"/></graph>'
    (here / "rolls/alpha/graphs/default/more.xml").write_text(wrong, encoding="utf-8")
    outcome = rollbuild("graph")
    assert outcome.code == 1
    assert outcome.out.startswith("digraph")
    assert "alpha/graphs/default/more.xml:1:8: " in outcome.err and "attribute nowhere is not defined" in outcome.err


def test_an_unreadable_node_is_drawn_with_its_problem(rollbuild: Run, here: Path) -> None:
    (here / "rolls/alpha/nodes/base.xml").write_text("<kickstart><post></kickstart>", encoding="utf-8")
    node = next(node for node in read_json(rollbuild)["nodes"] if node["name"] == "base")
    assert node["problem"].startswith("rolls/alpha/nodes/base.xml:1:")
    assert "base.xml" in rollbuild("graph", "--format", "svg").out


@pytest.mark.usefixtures("here")
def test_svg_is_xml_and_shows_every_node_and_condition(rollbuild: Run) -> None:
    root = read_svg(rollbuild("graph", "--format", "svg").out)
    space = {"s": "http://www.w3.org/2000/svg"}
    names = root.xpath("//s:g[@data-node]/s:text[@class='name']/text()", namespaces=space)
    assert {str(name).strip() for name in names} == set(SELECTIONS["whole graph"][1])
    pills = root.xpath("//s:g[@class='pill']/s:text/text()", namespaces=space)
    assert sorted(map(str, pills)) == ["arch == x86_64", "fast or slow", "sge", "x == '\"a\\b<'"]
    assert not root.xpath("//s:script|//@href", namespaces=space)


@pytest.mark.usefixtures("here")
def test_boxes_do_not_overlap_and_lie_on_the_paper(rollbuild: Run) -> None:
    root = read_svg(rollbuild("graph", "--order", "--format", "svg").out)
    found = root.xpath("//*[@data-node]/*[@class='box']|//*[@data-point]/*[local-name()='rect']")
    boxes = [tuple(float(box.get(key)) for key in ("x", "y", "width", "height")) for box in found]
    assert len(boxes) == 9 + 3
    for x, y, width, height in boxes:
        assert x >= 0 and y >= 0 and x + width <= float(root.get("width")) and y + height <= float(root.get("height"))
    for index, (x, y, width, height) in enumerate(boxes):
        for x2, y2, width2, height2 in boxes[index + 1 :]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y


@pytest.mark.usefixtures("here")
def test_the_page_holds_hostile_text_as_data_only(rollbuild: Run) -> None:
    page = rollbuild("graph", "--format", "html").out
    assert page.lower().count("<script") == 2 and page.lower().count("</script") == 2
    assert "<img" not in page
    assert not re.search(r"(src|href)\s*=|https?://(?!www\.w3\.org/2000/svg)", page.replace("img src=x", ""))
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data
    nodes = json.loads(data[1])["nodes"]
    assert next(node for node in nodes if node["name"] == "sge")["description"] == HOSTILE


def test_undecodable_file_names_are_no_reason_to_fail(rollbuild: Run, here: Path) -> None:
    odd = here / "rolls" / "odd\udcff"
    (odd / "nodes").mkdir(parents=True)
    (odd / "nodes/extra.xml").write_text("<kickstart/>", encoding="utf-8")
    for name in ("dot", "svg", "html", "json"):
        outcome = rollbuild("graph", "extra", "--format", name)
        assert (outcome.code, outcome.err) == (0, "")


def test_150_nodes_are_drawn_within_two_seconds(rollbuild: Run, tree: Callable[..., Path]) -> None:
    edges = [f'<edge from="n{index // 9}" to="n{index}"/>' for index in range(1, 150)]
    edges += [f'<edge from="n{index}" to="n{(index * 37) % 149 + 1}"/>' for index in range(1, 100)]
    texts = {f"rolls/big/nodes/n{index}.xml": "<kickstart/>" for index in range(150)}
    folder = tree({**texts, "rolls/big/graphs/default/a.xml": f"<graph>{''.join(edges)}</graph>"})
    start = time.perf_counter()
    outcome = rollbuild("graph", "n0", "--rolls", folder / "rolls", "-o", folder / "big.html")
    assert outcome.code == 0, outcome.err
    assert time.perf_counter() - start < 2


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs graphviz")
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("argv", [["--order"], ["compute", "--all"]], ids=" ".join)
def test_graphviz_reads_the_dot(rollbuild: Run, argv: list[str]) -> None:
    text = rollbuild("graph", *argv).out
    done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    drawn = " ".join("".join(map(str, text)) for text in read_svg(done.stdout).itertext())
    assert "x == '\"a\\b<'" in drawn


def test_24_rolls_look_different(rollbuild: Run, tree: Callable[..., Path]) -> None:
    edges = "".join(f'<edge from="root" to="n{index}"/>' for index in range(24))
    texts = {f"rolls/r{index}/nodes/n{index}.xml": "<kickstart/>" for index in range(24)}
    folder = tree({**texts, "rolls/r0/graphs/default/a.xml": f"<graph>{edges}</graph>"})
    root = read_svg(rollbuild("graph", "--rolls", folder / "rolls", "--format", "svg").out)
    colours = dict(re.findall(r"\.(r\d+) \.tab\{fill:(#\w+)\}", root.findtext("{*}style")))
    looks = set()
    for node in root.iterfind(".//{*}g[@data-node]"):
        tabs = [child for child in node if child.get("class") == "tab"]
        looks.add((colours.get(node.get("class").split()[1]), len(tabs)))
    assert len(looks) == 24 + 1


@pytest.mark.usefixtures("here")
def test_a_roll_keeps_its_colour_in_every_picture(rollbuild: Run) -> None:
    fills = [
        dict(re.findall(r'"roll:(\w+)" .*fillcolor="(#\w+)"', rollbuild("graph", *argv).out))
        for argv in ([], ["sge"], ["base"])
    ]
    assert (fills[1]["beta"], fills[2]["alpha"]) == (fills[0]["beta"], fills[0]["alpha"])
    assert fills[0]["alpha"] != fills[0]["beta"]


# The page in a browser: a second page drives it in a frame and writes down what it sees.

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = """<!DOCTYPE html><title>driver</title><iframe id="frame" src="page.html" width="1400" height="900"></iframe>
<pre id="seen"></pre><script>
frame.onload = () => {
  const page = frame.contentDocument, window_ = frame.contentWindow, seen = {};
  const of = (selector) => [...page.querySelectorAll(selector)];
  const name = (shape) => shape.querySelector(".name").lastChild.textContent.trim();
  const names = (selector) => of(selector).map(name).sort();
  const key = (target, key, more) => target.dispatchEvent(
    new window_.KeyboardEvent("keydown", {key, bubbles: true, cancelable: true, ...more}));
  const type = (text) => { search.value = text; search.dispatchEvent(new window_.Event("input", {bubbles: true})); };
  const box = (text) => of("#filters label").find((label) => label.textContent.startsWith(text)).querySelector("input");
  const svg = page.querySelector("#stage > svg"), search = page.querySelector("#search");
  const wide = () => svg.viewBox.baseVal.width;
  const click = (target) => target.dispatchEvent(new window_.MouseEvent("click", {bubbles: true}));
  const node = (text) => of("[data-node]").find((shape) => name(shape) === text);
  const panel = () => page.querySelector("#panel").hidden ? null : page.querySelector("#panel").innerText;
  try {
    seen.closed = panel();
    click(node("sge"));
    seen.panel = panel();
    seen.tied = of(".edge.tied").length;
    key(page.body, "Escape");
    seen.escaped = panel();
    type("ba");
    seen.hits = names(".hit");
    key(search, "Enter");
    seen.first = page.querySelector("#panel h2").textContent;
    type("fast or");
    seen.byCondition = names(".hit");
    type("t");
    seen.count = page.querySelector("#found").textContent;
    key(search, "Enter");
    key(search, "Enter");
    seen.second = page.querySelector("#found").textContent;
    key(search, "Escape");
    seen.cleared = names(".hit");
    box("beta").click();
    seen.withoutBeta = names("[data-node]:not(.off)");
    box("beta").click();
    box("compute").click();
    seen.withoutCompute = names("[data-node]:not(.off)");
    box("compute").click();
    const before = wide();
    key(svg, "+");
    seen.zoomed = wide() < before;
    key(svg, "-");
    seen.restored = Math.abs(wide() - before) < 1;
    svg.dispatchEvent(new window_.WheelEvent("wheel", {deltaY: 300, clientX: 500, clientY: 300, cancelable: true}));
    seen.wheeled = wide() > before;
    key(page.body, "0");
    const x = svg.viewBox.baseVal.x;
    for (const [kind, clientX] of [["pointerdown", 400], ["pointermove", 450], ["pointerup", 450]]) {
      try {
        svg.dispatchEvent(new window_.PointerEvent(kind, {clientX, clientY: 300, pointerId: 1, bubbles: true}));
      } catch (error) { seen.problem = String(error); }
    }
    seen.dragged = svg.viewBox.baseVal.x < x;
    key(page.body, "Escape");
    click(node("base"));
    seen.endOfDrag = panel();
    click(node("login"));
    key(svg, "ArrowRight");
    seen.walked = page.querySelector("#panel h2").textContent;
    key(svg, "ArrowLeft");
    key(svg, "Enter");
    seen.back = page.querySelector("#panel h2").textContent;
    seen.title = page.title;
    seen.images = of("img").length;
  } catch (error) { seen.problem = String(error.stack); }
  document.getElementById("seen").textContent = JSON.stringify(seen);
};
</script>"""


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Open a page in Chromium and return its DOM after its scripts have run."""

    def open_page(page: Path) -> str:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
        flags += ["--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files"]
        flags += [f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=5000", "--dump-dom"]
        command = [str(BROWSER), *flags, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    yield open_page
    shutil.rmtree(tmp_path / "browser", ignore_errors=True)


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_the_page_works_in_a_browser(rollbuild: Run, here: Path, browse: Callable[[Path], str]) -> None:
    assert rollbuild("graph", "--order", "-o", "page.html").code == 0
    (here / "driver.html").write_text(DRIVER, encoding="utf-8")
    found = etree.HTML(browse(here / "driver.html")).xpath("string(//pre[@id='seen'])")
    seen = json.loads(str(found))
    panel = seen.pop("panel")
    assert HOSTILE in panel and "rolls/beta/nodes/sge.xml" in panel and "alpha.xml:4" in panel and "when sge" in panel
    everything = sorted(SELECTIONS["whole graph"][1])
    assert seen == {
        "closed": None,
        "tied": 1,
        "escaped": None,
        "hits": ["base"],
        "first": "base",
        "byCondition": ["net"],
        "count": "1 of 3",
        "second": "2 of 3",
        "cleared": [],
        "withoutBeta": [name for name in everything if name not in NODES["beta"]],
        "withoutCompute": [name for name in everything if name not in ("compute", "mpi")],
        "zoomed": True,
        "restored": True,
        "wheeled": True,
        "dragged": True,
        "endOfDrag": None,
        "walked": "base",
        "back": "login",
        "title": "Graph default: all appliances",
        "images": 0,
    }
