"""`rollbuild init`: the site's facts, asked for or out of a file, as site.yaml."""

import difflib
import os
import sys
from collections.abc import Sequence

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._wizard_answers import read_answers
from rollbuild.commands._wizard_questions import Answers, Question, make_questions
from rollbuild.commands._wizard_terminal import ask_all, confirm
from rollbuild.commands._wizard_text import write_site
from rollbuild.console import Console
from rollbuild.errors import INTERRUPTED, USAGE, RollbuildError
from rollbuild.files import read_limited, write_atomically
from rollbuild.language import AttributeSet, find_rolls
from rollbuild.workspace import default_rolls

_LIMIT = 4 * 1024 * 1024


@click.command(name="init")
@click.option("--from", "source", metavar="FILE", help="Answers: YAML, JSON or key:value lines. Nothing is asked.")
@click.option(
    "--rolls",
    multiple=True,
    metavar="DIR",
    help="A roll, or a folder of rolls; give it once for each.  [./rolls and ./graphs]",
)
@click.option(
    "-o",
    "--output",
    default="site.yaml",
    show_default=True,
    metavar="FILE",
    help="Where it goes; - is standard output.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there, after showing what changes.")
@click.option("--all", "everything", is_flag=True, help="Ask for every attribute of every roll.")
@click.option("--json", "as_json", is_flag=True, help="List the questions as JSON, and ask none.")
@common_options
@pass_session
def command(
    session: Session,
    /,
    source: str | None,
    rolls: tuple[str, ...],
    output: str,
    force: bool,
    everything: bool,
    as_json: bool,
) -> int | None:
    """Ask for the site's facts, which the rolls declare, and write what differs from their defaults.

    The file is for --attrs of the other commands, and for the front end. Passwords are hashed at once.
    """
    console = session.console
    questions = _read_questions(rolls)
    answers = Answers(questions)
    if as_json:
        console.json([_describe(answers, question) for question in questions])
        return None
    _refuse_output(output, force)
    more: dict[str, str] = {}
    scopes = AttributeSet()
    if source is not None:
        more, scopes = read_answers(source, answers)
    else:
        if not (sys.stdin and sys.stdin.isatty()):
            raise RollbuildError(
                "there is no terminal to ask on",
                hint="give the answers with --from FILE; --json lists the questions",
                exit_code=USAGE,
            )
        try:
            ask_all(console, answers, everything=everything)
        except EOFError:
            console.say("\nnothing was written")
            return INTERRUPTED
    names = [question.roll for question in questions]
    text = write_site(answers.differing(), more, scopes, names)
    _warn(console, answers)
    return _write(console, text, output, ask=source is None)


def _read_questions(folders: Sequence[str]) -> tuple[Question, ...]:
    folders = folders or default_rolls()
    if not folders:
        raise RollbuildError(
            "there are no rolls here",
            hint="name their folders with --rolls DIR, or run rollbuild where rolls/ and graphs/ are",
            exit_code=USAGE,
        )
    questions = make_questions(find_rolls(folders))
    if not questions:
        raise RollbuildError(
            f"the rolls in {', '.join(folders)} declare no attributes",
            hint="what is asked comes from the attributes.yaml of the rolls; those of Rocks have none",
        )
    return questions


def _describe(answers: Answers, question: Question) -> dict[str, object]:
    declaration = question.declaration
    return {
        "name": question.name,
        "group": question.group,
        "roll": question.roll,
        "asked": "first" if question.first else "on demand",
        "type": declaration.type,
        "choices": list(declaration.choices),
        "needed": question.needed,
        "default": declaration.default,
        "proposal": answers.value(question.name),
        "description": declaration.description,
        "example": declaration.example,
        "hashed": question.is_password,
    }


def _refuse_output(output: str, force: bool) -> None:
    """Say before the questions, not after them, that the file cannot be written."""
    if not output:
        raise RollbuildError("-o needs the name of a file", exit_code=USAGE)
    if output == "-":
        return
    if os.path.isdir(output):
        raise RollbuildError(f"{output} is a folder", hint=f"-o {os.path.join(output, 'site.yaml')}", exit_code=USAGE)
    if os.path.lexists(output) and not force:
        raise RollbuildError(
            f"{output} is there already",
            hint=f"--force shows what changes and replaces it; `--from {output} -o NEW` starts from its answers",
        )
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise RollbuildError(f"there is no folder {folder}", hint=f"make it first: mkdir -p {folder}")


def _warn(console: Console, answers: Answers) -> None:
    names = {question.name for question in answers.questions}
    keys = ("Kickstart_PrivateRootPassword", "ssh_root_keys")
    if names.issuperset(keys) and not any(answers.value(name) for name in keys):
        console.say("note: there is neither a password nor an SSH key for root: the front end's installer will ask")


def _write(console: Console, text: str, output: str, *, ask: bool) -> int | None:
    if output == "-":
        console.data(text)
        return None
    old = ""
    if os.path.lexists(output):
        old = read_limited(output, _LIMIT).decode("utf-8", "replace")
        if old == text:
            console.say(f"{output} is as it was")
            return None
        lines = difflib.unified_diff(old.splitlines(True), text.splitlines(True), output, f"{output} (new)", n=2)
        console.say("".join(lines).rstrip("\n"))
    elif ask:
        console.say(f"\n{text.rstrip()}\n")
    if ask:
        try:
            if not confirm(f"Write {output}?"):
                console.say("nothing was written")
                return INTERRUPTED
        except EOFError:
            console.say("\nnothing was written")
            return INTERRUPTED
    write_atomically(output, text.encode(), mode=0o600, sync=True)
    console.say(f"wrote {output}; try it: rollbuild compile --attrs {output}")
    return None
