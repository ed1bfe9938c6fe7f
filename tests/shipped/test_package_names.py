"""Every package and group of every shipped appliance exists in Enterprise Linux 9 and 10, or is accounted for.

The names are those of whole repositories: a new <package> needs no new data. tools/package_data.py makes them anew.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from rollbuild.checks import check_packages
from rollbuild.findings import Finding, Severity
from rollbuild.language import find_rolls
from rollbuild.packages import open_repositories, parse_repository_name
from tests.shipped.conftest import APPLIANCES, FOLDERS, Compile
from tests.shipped.test_shipped import CASES, FULL

DATA = Path(__file__).parents[1] / "data" / "packages"
RELEASES = ("el9", "el10")
FACTS = os.environ.get("ROLLBUILD_FACTS", "")


def wrong(profiles: list[Any], place: Path) -> list[Finding]:
    elsewhere: dict[str, list[str]] = {}
    for roll in find_rolls(FOLDERS):
        for source, names in roll.packages_from:
            for name in names:
                elsewhere.setdefault(name, []).append(source)
    with open_repositories([parse_repository_name(str(place))]) as repositories:
        found = check_packages(profiles, repositories, elsewhere=elsewhere, resolve=False)
    return [finding for finding in found if finding.severity != Severity.NOTE]


@pytest.mark.parametrize("release", RELEASES)
def test_names_exist(compile_shipped: Compile, release: str) -> None:
    profiles = [
        compile_shipped(appliance, release, **attributes) for appliance in APPLIANCES for attributes in ({}, FULL)
    ]
    assert wrong(profiles, DATA / f"{release}.tsv") == []


@pytest.mark.long
@pytest.mark.skipif(not FACTS, reason="ROLLBUILD_FACTS names no folder with the metadata of whole repositories")
def test_packages_exist_in_real_metadata(compile_shipped: Compile) -> None:
    profiles = [compile_shipped(appliance, "el9", **values) for appliance in APPLIANCES for values in ({}, FULL)]
    assert wrong(profiles, Path(FACTS) / "centos-stream-9") == []


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
def test_names_of_the_rolls_own_cases_exist(compile_shipped: Compile, release: str) -> None:
    cases: list[dict[str, Any]] = [parameter.values[0] for parameter in CASES]  # type: ignore[misc]
    profiles = [
        compile_shipped(case["appliance"], release, **case.get("attributes", {}))
        for case in cases
        if "refuses" not in case
    ]
    # What is right for one release may be refused for another.
    profiles = [one for one in profiles if all(finding.severity != Severity.ERROR for finding in one.findings)]
    assert profiles and wrong(profiles, DATA / f"{release}.tsv") == []


def test_a_name_that_does_not_exist_is_seen(compile_shipped: Compile) -> None:
    profile = compile_shipped("compute", "el9")
    with open_repositories([parse_repository_name(str(DATA / "centos-stream-9" / "appstream"))]) as repositories:
        found = check_packages([profile], repositories, resolve=False)
    assert {"PACKAGE-MISSING", "GROUP-MISSING"} <= {finding.code for finding in found}
