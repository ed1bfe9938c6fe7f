"""Findings as text for people, JSON, GitHub workflow commands, or SARIF 2.1.0."""

import json
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import quote

from rollbuild import __version__
from rollbuild.findings import Finding, Severity
from rollbuild.location import Location

Form = Literal["text", "json", "github", "sarif"]
FORMS: tuple[Form, ...] = ("text", "json", "github", "sarif")

_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HELP = "docs/reference/findings.md"


def format_findings(findings: Iterable[Finding], form: Form) -> str:
    """The findings in one form, with a line end behind the last line; text and github of none are empty."""
    chosen = list(findings)
    match form:
        case "text":
            return "".join(_text(finding) for finding in chosen)
        case "json":
            return json.dumps([as_json(finding) for finding in chosen], indent=2, ensure_ascii=False) + "\n"
        case "github":
            return "".join(_github(finding) for finding in chosen)
        case "sarif":
            return json.dumps(_sarif(chosen), indent=2, ensure_ascii=False) + "\n"


def as_json(finding: Finding) -> dict[str, str | int]:
    """A finding as a JSON object; a line or column that is not known is 0."""
    place = finding.location or Location("")
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "message": finding.message,
        "hint": finding.hint,
    }


def _text(finding: Finding) -> str:
    where = f"{finding.location}: " if finding.location else ""
    text = f"{finding.severity}: {where}{finding.message} [{finding.code}]\n"
    return text + (f"hint: {finding.hint}\n" if finding.hint else "")


def _github(finding: Finding) -> str:
    command = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}[finding.severity]
    properties = []
    if place := finding.location:
        properties.append(f"file={_property(place.file)}")
        if place.line:
            properties.append(f"line={place.line}")
            if place.column:
                properties.append(f"col={place.column}")
    properties.append(f"title={_property(finding.code)}")
    message = f"{finding.message}\nhint: {finding.hint}" if finding.hint else finding.message
    return f"::{command} {','.join(properties)}::{_data(message)}\n"


def _data(text: str) -> str:
    # https://docs.github.com/actions: what the runner decodes in messages, and more in properties.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(findings: list[Finding]) -> dict[str, Any]:
    codes = sorted({finding.code for finding in findings})
    rules = [
        {
            "id": code,
            "name": "".join(word.capitalize() for word in code.split("-")),
            "shortDescription": {"text": code},
            "help": {"text": f"See {code} in {_HELP}: what it means, why it matters, what to do."},
        }
        for code in codes
    ]
    results = [_sarif_result(finding, codes.index(finding.code)) for finding in findings]
    driver = {"name": "rollbuild", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_result(finding: Finding, index: int) -> dict[str, Any]:
    text = f"{finding.message}\nhint: {finding.hint}" if finding.hint else finding.message
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": finding.severity.value,
        "message": {"text": text},
    }
    place = finding.location
    if place and place.file:
        physical: dict[str, Any] = {"artifactLocation": {"uri": quote(place.file)}}
        if place.line:
            physical["region"] = {"startLine": place.line}
            if place.column:
                physical["region"]["startColumn"] = place.column
        result["locations"] = [{"physicalLocation": physical}]
    return result
