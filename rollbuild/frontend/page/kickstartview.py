"""A Kickstart with the origin of every line. Secrets are hidden, so it is not one to install from."""

from dataclasses import dataclass

from rollbuild.compiler import Profile, select_nodes
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.findings import Finding, Severity
from rollbuild.frontend.kickstarts import KickstartMaker
from rollbuild.frontend.page.masking import Mask
from rollbuild.frontend.page.places import Places, owners_of
from rollbuild.language import condition_of
from rollbuild.location import Location
from rollbuild.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Shown:
    """A line: where it comes from in words, and whether the line before comes from the same file."""

    number: int
    text: str
    node: str
    place: str
    line: int
    follows: bool
    starts: str
    """The section that starts here."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a node is part of it: the edges from the appliance's root, as text and conditions."""

    node: str
    position: int
    roll: str
    summary: str
    path: tuple[tuple[str, str, str], ...]
    """(node, condition, place of the edge) of each step."""
    first: int
    """The first line that comes from it; 0 for none."""
    count: int


@dataclass(frozen=True, slots=True)
class KickstartView:
    """The page. `findings` are those without a line of their own."""

    host: str
    appliance: str
    release: str
    lines: tuple[Shown, ...]
    reasons: tuple[Reason, ...]
    findings: tuple[tuple[Finding, str], ...]
    errors: int


def read_kickstart(maker: KickstartMaker, host: str, appliance: str) -> KickstartView:
    """Compile a host. Raises RollbuildError."""
    profile = maker.explain(host)
    generation, workspace = maker.workspace(appliance)
    try:
        findings = maker.findings(host)
    except FindingsError as problem:
        findings = problem.findings
    places = Places(workspace.rolls, generation.folder)
    owners = owners_of(workspace.description, profile.nodes)
    mask = Mask(maker.attributes(host), workspace.secret_names())
    findings = tuple(_masked(finding, mask, places) for finding in findings if finding.severity is not Severity.NOTE)
    at: dict[tuple[str, int], list[Finding]] = {}
    for finding in findings:
        if finding.location and finding.location.line:
            at.setdefault((finding.location.file, finding.location.line), []).append(finding)
    lines, told = _lines(profile, mask, places, owners, at)
    return KickstartView(
        host=host,
        appliance=appliance,
        release=profile.release,
        lines=lines,
        reasons=_reasons(profile, workspace, places, lines),
        findings=tuple(
            (finding, places.spell(finding.location) if finding.location else "")
            for finding in findings
            if id(finding) not in told
        ),
        errors=sum(finding.severity is Severity.ERROR for finding in findings),
    )


def _lines(
    profile: Profile,
    mask: Mask,
    places: Places,
    owners: dict[str, str],
    at: dict[tuple[str, int], list[Finding]],
) -> tuple[tuple[Shown, ...], set[int]]:
    lines: list[Shown] = []
    told: set[int] = set()
    starts: dict[int, str] = {}
    scripts: list[str] = []
    number = 0
    for section in profile.sections:
        # What a node includes from another file is still its own.
        scripts += [section.script.node if section.script else ""] * len(section.lines)
        if section.lines:
            starts[number] = section.lines[0].text.split(None, 1)[0] if section.lines[0].text.strip() else ""
        number += len(section.lines)
    before: Location | None = None
    texts = mask.lines(line.text for line in profile.lines)
    for index, (line, text) in enumerate(zip(profile.lines, texts, strict=True)):
        place = line.location
        found: tuple[Finding, ...] = ()
        if place is not None and (place.file, place.line) in at:
            found = tuple(finding for finding in at[place.file, place.line] if id(finding) not in told)
            told.update(id(finding) for finding in found)
        shown = Shown(
            number=index + 1,
            text=text,
            node=owners.get(place.file) or scripts[index] if place else "",
            place=places.spell(Location(place.file)) if place else "",
            line=place.line if place else 0,
            follows=index > 0 and (before.file if before else "") == (place.file if place else ""),
            starts=starts[index] if starts.get(index, "").startswith("%") else "",
            findings=found,
        )
        lines.append(shown)
        before = place
    return tuple(lines), told


def _reasons(profile: Profile, workspace: Workspace, places: Places, lines: tuple[Shown, ...]) -> tuple[Reason, ...]:
    first: dict[str, int] = {}
    counts: dict[str, int] = {}
    for line in lines:
        first.setdefault(line.node, line.number)
        counts[line.node] = counts.get(line.node, 0) + 1
    selection = select_nodes(workspace.description.graph, profile.root, profile.attributes)
    reasons = []
    for position, name in enumerate(profile.nodes, start=1):
        try:
            node = workspace.description.node(name)
            roll, text = node.files[0].roll, node.description.strip()
        except (RollbuildError, IndexError):
            roll, text = "", ""
        path = tuple(
            (edge.child, condition_of(edge.guards), places.spell(edge.location)) for edge in selection.path_to(name)
        )
        summary = " ".join(text.split())
        reasons.append(
            Reason(
                name, position, roll, summary, ((profile.root, "", ""), *path), first.get(name, 0), counts.get(name, 0)
            )
        )
    return tuple(reasons)


def _masked(finding: Finding, mask: Mask, places: Places) -> Finding:
    message, hint = (places.shorten(mask.text(text)) for text in (finding.message, finding.hint))
    return Finding(finding.code, finding.severity, message, finding.location, hint)
