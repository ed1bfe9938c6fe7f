"""Answers of `rollbuild init` out of a file: all that is wrong with them at once."""

from dataclasses import replace

from rollbuild.commands._wizard_checks import explain_misfit, spell
from rollbuild.commands._wizard_questions import Answers, Question
from rollbuild.errors import FindingsError
from rollbuild.findings import Finding, Severity
from rollbuild.language import Attribute, AttributeSet, did_you_mean, read_attributes
from rollbuild.location import Location


def read_answers(path: str, answers: Answers) -> tuple[dict[str, str], AttributeSet]:
    """Put the global attributes of a file into `answers`; return those that no roll declares, and the other scopes.

    YAML, JSON or lines of `key:value`. Raises FindingsError with everything that is wrong, RollbuildError for a
    file that cannot be read.
    """
    found = read_attributes(path)
    everywhere = found.layers.get(("global", ""), {})
    known = {question.name: question for question in answers.questions}
    problems: list[Finding] = []
    more: dict[str, str] = {}
    for name, attribute in everywhere.items():
        if name in known:
            answers.given[name] = spell(known[name], attribute.value)
        elif near := did_you_mean(name, known):
            problems.append(_problem(f"no roll declares the attribute {name}", attribute.location, near))
        else:
            more[name] = attribute.value
    asked = [question for question in answers.questions if answers.is_open(question)]
    for question in asked:
        if question.name in everywhere:
            problems += _check(question, answers, everywhere[question.name].location)
    # What follows from a wrong answer is no second fault.
    for question in asked if not problems else ():
        problems += _check(question, answers, Location(path))
    scopes: dict[tuple[str, str], dict[str, Attribute]] = {}
    for layer, attributes in found.layers.items():
        if layer[0] == "global":
            continue
        scopes[layer] = {}
        for name, attribute in attributes.items():
            scopes[layer][name] = attribute
            if name in known:
                value = spell(known[name], attribute.value)
                scopes[layer][name] = replace(attribute, value=value)
                misfit = known[name].declaration.explain_misfit(value) if value else ""
                if misfit:
                    place = f"{name} of {layer[0]} {layer[1]}"
                    problems.append(_problem(f"{place} {misfit}", attribute.location, _hint(known[name])))
    if problems:
        raise FindingsError(problems)
    return more, AttributeSet(scopes)


def _check(question: Question, answers: Answers, location: Location | None) -> list[Finding]:
    misfit = explain_misfit(question, answers.value(question.name), answers)
    if not misfit:
        return []
    return [_problem(f"{question.name} {misfit}", location, _hint(question))]


def _hint(question: Question) -> str:
    declaration = question.declaration
    return f"for example {declaration.example}" if declaration.example else declaration.description


def _problem(message: str, location: Location | None, hint: str) -> Finding:
    return Finding("ANSWER", Severity.ERROR, message, location, hint)
