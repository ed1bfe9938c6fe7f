import json

from rollbuild.checks import format_findings
from rollbuild.findings import error, note, warning
from rollbuild.location import Location

FINDINGS = [
    error("KS-ERROR", "100% wrong:\nreally, yes", Location("a,b:c.xml", 3, 5), "mend it"),
    warning("SHELL", "odd", Location("x y.xml", 4)),
    note("ENC", "hm", Location("z.xml")),
    note("WAIVER-UNUSED", "nowhere"),
]


def test_text() -> None:
    assert format_findings(FINDINGS[:1] + FINDINGS[3:], "text") == (
        "error: a,b:c.xml:3:5: 100% wrong:\nreally, yes [KS-ERROR]\nhint: mend it\nnote: nowhere [WAIVER-UNUSED]\n"
    )


def test_json() -> None:
    first, second, third, last = json.loads(format_findings(FINDINGS, "json"))
    assert first == {
        "severity": "error",
        "code": "KS-ERROR",
        "file": "a,b:c.xml",
        "line": 3,
        "column": 5,
        "message": "100% wrong:\nreally, yes",
        "hint": "mend it",
    }
    assert (second["column"], third["line"], last["file"]) == (0, 0, "")


def test_github() -> None:
    assert format_findings(FINDINGS, "github").splitlines() == [
        "::error file=a%2Cb%3Ac.xml,line=3,col=5,title=KS-ERROR::100%25 wrong:%0Areally, yes%0Ahint: mend it",
        "::warning file=x y.xml,line=4,title=SHELL::odd",
        "::notice file=z.xml,title=ENC::hm",
        "::notice title=WAIVER-UNUSED::nowhere",
    ]


def test_sarif() -> None:
    log = json.loads(format_findings(FINDINGS, "sarif"))
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert log["version"] == "2.1.0"
    assert [rule["id"] for rule in rules] == ["ENC", "KS-ERROR", "SHELL", "WAIVER-UNUSED"]
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note", "note"]
    places = [result["locations"][0]["physicalLocation"] for result in run["results"][:3]]
    assert places[0]["region"] == {"startLine": 3, "startColumn": 5}
    assert places[1] == {"artifactLocation": {"uri": "x%20y.xml"}, "region": {"startLine": 4}}
    assert "region" not in places[2]
    assert "locations" not in run["results"][3]


def test_nothing_found() -> None:
    assert [format_findings([], form) for form in ("text", "github", "json")] == ["", "", "[]\n"]
    assert json.loads(format_findings([], "sarif"))["runs"][0]["results"] == []
