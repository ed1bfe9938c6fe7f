"""The questions of `rollbuild init` in a terminal: one after the other, there and back."""

import os
import sys
from collections.abc import Iterator, Sequence

from rollbuild.commands._wizard_checks import explain_misfit, spell
from rollbuild.commands._wizard_questions import Answers, Question
from rollbuild.console import Console
from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.process import run_program

_INTRODUCTION = """ENTER takes what is in [brackets].  ? explains, < goes back, - leaves the answer empty,
. takes the proposals for everything that is left, Ctrl-C ends and writes nothing."""

_HELD = {"Kickstart_PrivateAddress": "Kickstart_PrivateNetmask", "Kickstart_PublicAddress": "Kickstart_PublicNetmask"}
_KEY_FILE_BYTES = 64 * 1024


class _Back(Exception):
    """The one who answers wants to see the question before this one."""


class _Rest(Exception):
    """All that is left takes its proposal."""


def ask_all(console: Console, answers: Answers, *, everything: bool = False) -> None:
    """Ask what everybody is asked, then, for the rolls that are wanted, the rest; `everything` asks it all.

    Answers are put into `answers`. Raises KeyboardInterrupt and EOFError when somebody ends it, RollbuildError
    when a program for hashing is missing.
    """
    _say(_INTRODUCTION)
    try:
        _ask(answers, [question for question in answers.questions if question.first or everything])
        further = [question for question in answers.questions if not question.first]
        while not everything and further:
            chosen = _choose_further(further)
            if not chosen:
                return
            _ask(answers, chosen)
    except _Rest:
        console.detail("the proposals are taken for the rest")


def confirm(text: str) -> bool:
    """Whether somebody says yes to `text`; ENTER does. Raises EOFError."""
    while True:
        answer = _read(f"{text} [yes] ").strip().lower()
        if answer in ("", "y", "yes"):
            return True
        if answer in ("n", "no"):
            return False
        _say("  answer yes or no")


def _ask(answers: Answers, questions: Sequence[Question]) -> None:
    asked: list[int] = []
    position = 0
    shown = ""
    while position < len(questions):
        question = questions[position]
        if not answers.is_open(question):
            position += 1
            continue
        if question.group != shown:
            _say(f"\n{question.group}")
            shown = question.group
        try:
            _ask_one(answers, question)
        except _Back:
            if asked:
                position = asked.pop()
            else:
                _say("  this is the first question")
            continue
        asked.append(position)
        position += 1


def _ask_one(answers: Answers, question: Question) -> None:
    while True:
        answer = _read_password(answers, question) if question.is_password else _read_answer(answers, question)
        if answer == "":
            value = answers.value(question.name)
        else:
            value, problem = _take(answers, question, answer)
            if problem:
                _say(f"  {problem}")
                continue
        if misfit := explain_misfit(question, value, answers):
            _say(f"  {question.name} {misfit}")
            continue
        if answer != "":
            answers.given[question.name] = value
        return


def _take(answers: Answers, question: Question, answer: str) -> tuple[str, str]:
    """The value that an answer means, and what is wrong with it where it means none."""
    if answer == "-":
        return "", ""
    if question.name in _HELD and "/" in answer:
        # 10.1.1.1/16 says the mask too.
        import ipaddress

        try:
            both = ipaddress.IPv4Interface(answer)
        except ValueError:
            return "", f"{answer} is no address with the bits of its network, such as 10.1.1.1/16"
        answers.given[_HELD[question.name]] = str(both.netmask)
        return str(both.ip), ""
    if question.name == "ssh_root_keys" and (answer.startswith(("/", "~", "./")) or answer.endswith(".pub")):
        try:
            text = read_limited(os.path.expanduser(answer), _KEY_FILE_BYTES).decode("utf-8", "replace")
        except RollbuildError as error:
            return "", error.message
        return text.strip(), ""
    return spell(question, answer), ""


def _read_answer(answers: Answers, question: Question) -> str:
    declaration = question.declaration
    _say(f"{declaration.description or question.name}")
    for number, choice in enumerate(declaration.choices, start=1):
        _say(f"  {number}. {choice}")
    proposal = answers.value(question.name).replace("\n", "; ") or "empty"
    while True:
        answer = _read(f"  {question.name} [{proposal}]: ").strip()
        if answer == "?":
            _say(explain(answers, question))
        elif answer == "<":
            raise _Back
        elif answer == ".":
            raise _Rest
        elif answer.isdigit() and 0 < int(answer) <= len(declaration.choices):
            return declaration.choices[int(answer) - 1]
        elif answer and answer != "-" and question.has_lines:
            return "\n".join([answer, *_further_lines()])
        else:
            return answer


def _further_lines() -> Iterator[str]:
    while line := _read("    and (ENTER ends): ").strip():
        yield line


def _read_password(answers: Answers, question: Question) -> str:
    """Ask for a password twice, without showing it; what comes back is its hash."""
    import getpass

    _say(question.declaration.description)
    while True:
        state = "as it is" if answers.value(question.name) else "empty"
        typed = getpass.getpass(f"  {question.name} (not shown) [{state}]: ", stream=sys.stderr)
        if typed == "?":
            _say(explain(answers, question))
        elif typed == "<":
            raise _Back
        elif typed == ".":
            raise _Rest
        elif typed in ("", "-"):
            return typed
        elif len(typed) < 8:
            _say("  a password has at least 8 characters")
        elif getpass.getpass("  the same again: ", stream=sys.stderr) != typed:
            _say("  the two differ")
        else:
            return hash_password(typed)


def hash_password(password: str) -> str:
    """The hash (SHA-512 crypt, `$6$`) of a password. It goes through a pipe: no process list shows it.

    Raises RollbuildError: MISSING_PROGRAM without openssl, REFUSED when that refuses.
    """
    done = run_program(["openssl", "passwd", "-6", "-stdin"], input=password.encode() + b"\n", timeout=30)
    text = done.stdout.decode("ascii", "replace").strip()
    if done.returncode != 0 or not text.startswith("$6$"):
        raise RollbuildError(
            "openssl passwd -6 made no hash of the password",
            hint="OpenSSL 1.1.1 or later is needed: run `openssl version`",
        )
    return text


def _choose_further(questions: Sequence[Question]) -> list[Question]:
    groups = dict.fromkeys(question.group for question in questions)
    names = [group.removeprefix("Roll ") for group in groups]
    _say("\nThe rolls have further attributes; each has a value that works as it is.")
    for group, name in zip(groups, names, strict=True):
        count = sum(question.group == group for question in questions)
        _say(f"  {name} ({count})")
    while True:
        words = _read("  Rolls to go through, or all [none]: ").replace(",", " ").split()
        if words in ([], ["none"], ["."], ["<"], ["-"]):
            return []
        if words == ["all"]:
            return list(questions)
        unknown = [word for word in words if word not in names]
        if not unknown:
            return [question for question in questions if question.group.removeprefix("Roll ") in words]
        _say(f"  {unknown[0]} is none of: {', '.join(names)}")


def explain(answers: Answers, question: Question) -> str:
    """All that a roll says about an attribute, for people."""
    declaration = question.declaration
    kind = declaration.type + (f" ({', '.join(declaration.choices)})" if declaration.choices else "")
    lines = [f"  {question.name}: {declaration.description or 'its roll does not say what it is for'}"]
    lines.append(f"    kind: {kind}{', needed' if question.needed else ''}; of roll {question.roll}")
    if declaration.default is not None:
        lines.append(f"    the roll's default: {declaration.default or 'empty'}")
    proposal = answers.proposal(question.name)
    if proposal != (declaration.default or ""):
        lines.append(f"    follows from other answers: {proposal}")
    if declaration.example:
        lines.append(f"    for example: {declaration.example}")
    if question.name == "ssh_root_keys":
        lines.append("    or the name of a file with public keys: ~/.ssh/id_ed25519.pub")
    if question.name in _HELD:
        lines.append("    with the bits of the network, the mask too: 10.1.1.1/16")
    return "\n".join(lines)


def _read(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
