"""`rollbuild explain`: why something is in a Kickstart, or why it is not."""

import click

from rollbuild.commands._explain_attribute import explain_attribute
from rollbuild.commands._explain_line import explain_line
from rollbuild.commands._explain_parts import explain_file, explain_package
from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._paths import Answer, Question, explain_node
from rollbuild.commands._shown import printable, secrets_of, tell_errors
from rollbuild.commands._workspace_options import workspace_options
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.language import did_you_mean
from rollbuild.workspace import Choice, Workspace, make_workspace

KINDS = ("node", "package", "file", "line", "attribute")


@click.command(name="explain")
@click.argument("appliance")
@click.argument("subject")
@workspace_options
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--show-secrets", is_flag=True, help="Show the values of passwords and other secrets too.")
@common_options
@pass_session
def command(
    session: Session, /, appliance: str, subject: str, as_json: bool, show_secrets: bool, **choice: object
) -> None:
    """Say why SUBJECT is part of an APPLIANCE, or why it is not.

    SUBJECT is node:NAME, package:NAME, file:/PATH, line:NUMBER or attribute:NAME. Without the first word a number
    is a line, a path is a file, and a name that is of one kind only is that.
    """
    workspace = make_workspace(Choice(**choice))  # type: ignore[arg-type]
    question = _ask(workspace, appliance, show_secrets)
    kind, name = _parse(question, subject)
    answer = _explain(question, kind, name)
    if "profile" in question.__dict__:
        tell_errors(session.console, [question.profile])
    if as_json:
        session.console.json({"appliance": question.appliance.name, **answer.data})
    else:
        session.console.data("".join(f"{printable(line)}\n" for line in answer.lines))


def _ask(workspace: Workspace, name: str, show_secrets: bool) -> Question:
    appliance = workspace.find_appliance(name)
    target = workspace.target(appliance)
    selection, names = workspace.compiler.select(target.root, target.attributes)
    secrets = secrets_of(workspace, are_shown=show_secrets)
    return Question(workspace, appliance, target, selection, names, secrets)


def _parse(question: Question, subject: str) -> tuple[str, str]:
    """Kind and name of a subject. Raises RollbuildError (USAGE)."""
    kind, colon, name = subject.partition(":")
    if colon and kind in KINDS:
        if not name:
            raise RollbuildError(f"`{subject}` names no {kind}", hint=_hint(kind), exit_code=USAGE)
        return kind, name
    if colon and not subject.startswith("/"):
        meant = did_you_mean(kind, KINDS, f"{{}}:{name}")
        raise RollbuildError(f"`{kind}` is no kind of subject", hint=meant or _hint(""), exit_code=USAGE)
    if not subject:
        raise RollbuildError("the subject is empty", hint=_hint(""), exit_code=USAGE)
    if subject.isdecimal():
        return "line", subject
    if subject.startswith("/"):
        return "file", subject
    return _guess(question, subject), subject


def _guess(question: Question, name: str) -> str:
    """The one kind of thing that has this name; a package when there is none."""
    workspace = question.workspace
    kinds = ["node"] if _is_node(workspace, name) else []
    if any(
        item.removeprefix("-").removeprefix("@") == name.removeprefix("@") for item, _, _ in question.profile.packages
    ):
        kinds.append("package")
    if not kinds:
        return "attribute" if name in question.attributes else "package"
    if len(kinds) > 1:
        forms = " or ".join(f"{kind}:{name}" for kind in kinds)
        raise RollbuildError(f"{name} is both a node and a package", hint=f"write {forms}", exit_code=USAGE)
    return kinds[0]


def _is_node(workspace: Workspace, name: str) -> bool:
    edges = workspace.description.graph.edges
    return name in workspace.description or any(name in (edge.parent, edge.child) for edge in edges)


def _hint(kind: str) -> str:
    examples = {"line": "line:12", "file": "file:/etc/hosts"}
    if kind:
        return f"write {examples.get(kind, f'{kind}:NAME')}"
    return "it is node:NAME, package:NAME, file:/PATH, line:NUMBER or attribute:NAME"


def _explain(question: Question, kind: str, name: str) -> Answer:
    match kind:
        case "node":
            workspace = question.workspace
            if not _is_node(workspace, name):
                names = {*workspace.description.node_names, *question.names}
                hint = did_you_mean(name, names) or "`rollbuild list nodes` lists them"
                raise RollbuildError(f"there is no node {name}", hint=hint, exit_code=USAGE)
            return explain_node(question, name)
        case "package":
            return explain_package(question, name)
        case "file":
            return explain_file(question, name)
        case "line":
            if not name.isdecimal() or len(name) > 12:
                raise RollbuildError(f"`{name}` is no line number", hint=_hint("line"), exit_code=USAGE)
            return explain_line(question, int(name))
        case _:
            return explain_attribute(question, name)
