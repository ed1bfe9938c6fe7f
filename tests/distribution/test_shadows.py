"""Which of several packages wins: with dnf, with the installer, and what is said of it."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.distribution.shadows import (
    Offer,
    OfferedPackage,
    dnf_priority,
    find_conflicts,
    find_shadows,
    hotfixed,
    shadow_findings,
    shadows_to_json,
    summarize_shadows,
)
from rollbuild.packages import ModuleStream, compare_evr


def package(repository: str, text: str, *, sha256: str = "", header: str = "") -> OfferedPackage:
    """`text` is name-epoch:version-release.arch."""
    label, _, arch = text.rpartition(".")
    name, evr, release = label.rsplit("-", 2)
    epoch, _, version = evr.rpartition(":")
    digest = sha256 or f"{repository} {text}"
    return OfferedPackage(
        repository, name, epoch or "0", version, release, arch, f"{repository}/{text}", digest, header
    )


def offer(repository: str, priority: int, *texts: str, streams: Sequence[ModuleStream] = ()) -> Offer:
    is_os = repository in ("BaseOS", "AppStream")
    return Offer(repository, priority, is_os, [package(repository, text) for text in texts], streams)


CASES = {
    "newest wins at equal priority": (
        [offer("BaseOS", 50, "a-1-1.x86_64"), offer("roll", 50, "a-2-1.x86_64")],
        ("roll", "roll", {"BaseOS": "older"}),
    ),
    "the OS is newer": (
        [offer("BaseOS", 50, "a-3-1.x86_64"), offer("roll", 50, "a-2-1.x86_64")],
        ("BaseOS", "BaseOS", {"roll": "older"}),
    ),
    "priority before version": (
        [offer("BaseOS", 50, "a-3-1.x86_64"), offer("roll", 40, "a-2-1.x86_64")],
        ("roll", "BaseOS", {"BaseOS": "priority"}),
    ),
    "a low priority keeps a newer one away": (
        [offer("BaseOS", 50, "a-1-1.x86_64"), offer("roll", 90, "a-9-1.x86_64")],
        ("BaseOS", "roll", {"roll": "priority"}),
    ),
    "the epoch counts": (
        [offer("BaseOS", 50, "a-1:1-1.x86_64"), offer("roll", 50, "a-9-1.x86_64")],
        ("BaseOS", "BaseOS", {"roll": "older"}),
    ),
    "the newest of each repository": (
        [offer("BaseOS", 50, "a-1-1.x86_64", "a-5-1.x86_64"), offer("roll", 50, "a-4-1.x86_64")],
        ("BaseOS", "BaseOS", {"roll": "older"}),
    ),
    "noarch stands for the architecture": (
        [offer("BaseOS", 50, "a-1-1.x86_64"), offer("roll", 50, "a-2-1.noarch")],
        ("roll", "roll", {"BaseOS": "older"}),
    ),
    "the same package twice": (
        [offer("BaseOS", 50, "a-1-1.x86_64"), offer("roll", 50, "a-1-1.x86_64")],
        ("BaseOS", "BaseOS", {"roll": "same"}),
    ),
    "three": (
        [offer("BaseOS", 50, "a-3-1.x86_64"), offer("b", 40, "a-1-1.x86_64"), offer("c", 40, "a-2-1.x86_64")],
        ("c", "BaseOS", {"BaseOS": "priority", "b": "older"}),
    ),
}


@pytest.mark.parametrize(("offers", "expected"), CASES.values(), ids=CASES)
def test_who_wins(offers: Sequence[Offer], expected: tuple[str, str, dict[str, str]]) -> None:
    (shadow,) = find_shadows(offers, "x86_64")
    losers = {loser.repository: reason for loser, reason in shadow.losers}
    assert (shadow.winner.repository, shadow.installer.repository, losers) == expected
    assert len(shadow_findings([shadow])) == int(expected[0] != expected[1])


def test_other_architectures_stand_alone() -> None:
    offers = [offer("BaseOS", 50, "a-1-1.x86_64", "a-1-1.i686"), offer("roll", 50, "a-2-1.x86_64")]
    (shadow,) = find_shadows(offers, "x86_64")
    assert shadow.winner.arch == "x86_64"
    assert find_shadows([offer("BaseOS", 50, "a-1-1.i686"), offer("roll", 50, "a-2-1.x86_64")], "x86_64") == ()


def test_streams_that_are_not_on_do_not_count() -> None:
    streams = [ModuleStream("a", "9", frozenset({"a-0:9-1.module.x86_64"}))]
    offers = [offer("AppStream", 50, "a-9-1.module.x86_64", streams=streams), offer("roll", 50, "a-2-1.x86_64")]
    assert find_shadows(offers, "x86_64") == ()
    assert hotfixed(offers) == {"roll": ("a",)}


def test_a_default_stream_hides_a_roll_from_the_installer() -> None:
    streams = [ModuleStream("a", "1", frozenset({"a-0:1-1.module.x86_64"}), is_default=True)]
    offers = [offer("AppStream", 50, "a-1-1.module.x86_64", streams=streams), offer("roll", 50, "a-2-1.x86_64")]
    (shadow,) = find_shadows(offers, "x86_64")
    assert (shadow.winner.repository, shadow.installer.repository) == ("roll", "AppStream")
    (finding,) = shadow_findings([shadow])
    assert finding.code == "INSTALLER-CHOICE" and "does not see a 2-1 of roll" in finding.message
    assert hotfixed(offers) == {"roll": ("a",)}


def test_a_stream_of_the_roll_itself_needs_no_hotfix() -> None:
    streams = [ModuleStream("a", "1", frozenset({"a-0:1-1.x86_64"}), is_default=True)]
    own = [ModuleStream("a", "2", frozenset({"a-0:2-1.x86_64"}), is_default=True)]
    offers = [
        offer("AppStream", 50, "a-1-1.x86_64", streams=streams),
        offer("roll", 50, "a-2-1.x86_64", streams=own),
    ]
    assert hotfixed(offers) == {}


def test_the_same_name_and_version_with_other_contents() -> None:
    one, other = package("r1", "a-1-1.noarch", sha256="x"), package("r2", "a-1-1.noarch", sha256="y")
    offers = [Offer("r1", 50, False, [one]), Offer("r2", 50, False, [other])]
    (finding,) = find_conflicts(offers, lambda _: "")
    assert (finding.code, finding.severity) == ("SAME-NEVRA", "error")
    assert one.file in finding.message and other.file in finding.message
    (finding,) = find_conflicts(offers, lambda _: "equal")
    assert (finding.code, finding.severity) == ("SIGNED-ANEW", "note")


def test_what_the_os_has_twice_is_not_ours() -> None:
    one, other = package("BaseOS", "a-1-1.noarch", sha256="x"), package("AppStream", "a-1-1.noarch", sha256="y")
    offers = [Offer("BaseOS", 50, True, [one]), Offer("AppStream", 50, True, [other])]
    assert find_conflicts(offers, lambda _: "") == ()


def test_the_report() -> None:
    shadows = find_shadows(CASES["three"][0], "x86_64")
    (entry,) = json.loads(shadows_to_json(shadows))
    assert entry["winner"]["nevra"] == "a-0:2-1.x86_64" and entry["installer_differs"]
    assert [item["reason"] for item in entry["shadowed"]] == ["priority", "older"]
    assert summarize_shadows(shadows) == ("c wins over BaseOS by priority: a", "c wins over b as the newer: a")


@pytest.mark.parametrize(("priority", "number"), [(50, 50), (60, 40), (0, 99), (100, 1), (1000, 1), (-5, 99)])
def test_priorities_for_dnf(priority: int, number: int) -> None:
    assert dnf_priority(priority) == number


_EVRS = st.tuples(st.sampled_from("0123"), st.sampled_from(["1", "1.1", "2~rc", "2"]), st.sampled_from(["1", "2.el9"]))


@given(
    st.lists(st.tuples(st.sampled_from([10, 50, 90]), st.lists(_EVRS, min_size=1, max_size=3)), min_size=2, max_size=4)
)
def test_nothing_beats_the_winner(repositories: list[tuple[int, list[tuple[str, str, str]]]]) -> None:
    offers = []
    for number, (priority, versions) in enumerate(repositories):
        items = [OfferedPackage(f"r{number}", "a", *evr, "noarch", f"{number}-{evr}") for evr in versions]
        offers.append(Offer(f"r{number}", priority, False, items))
    (shadow,) = find_shadows(offers, "x86_64")
    best = min(offer.priority for offer in offers)
    every = [(offer.priority, item) for offer in offers for item in offer.packages]
    key = (shadow.winner.epoch, shadow.winner.version, shadow.winner.release)
    assert all(compare_evr(key, (i.epoch, i.version, i.release)) >= 0 for p, i in every if p == best)
    key = (shadow.installer.epoch, shadow.installer.version, shadow.installer.release)
    assert all(compare_evr(key, (i.epoch, i.version, i.release)) >= 0 for _, i in every)
    assert len(shadow.losers) == len(offers) - 1
