"""Which hosts words mean."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.cluster import (
    Database,
    add_alias,
    add_host,
    open_database,
    select_hosts,
    set_interface,
)
from rollbuild.errors import REFUSED, USAGE, RollbuildError
from tests.cluster.conftest import fill

COMPUTES = ("compute-0-0", "compute-0-1", "compute-0-2")
REST = ("compute-0-10", "compute-1-0", "compute-1-12", "nas-0-0", "ran")
EVERYTHING = (*COMPUTES, "compute-0-10", "compute-1-0", "compute-1-12", "granite", "nas-0-0", "ran")


@pytest.fixture(scope="module")
def chosen(fresh_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("selection") / "cluster.db"
    path.write_bytes(fresh_file.read_bytes())
    database = open_database(str(path))
    fill(database)
    with database.writing("more") as c:
        for name in REST:
            rack = 1 if "-1-" in name else 0
            add_host(c, name, appliance="nas" if name in ("nas-0-0", "ran") else "compute", rack=rack, rank=0)
        add_alias(c, "compute-0-1", "head")
        set_interface(c, "compute-0-2", "eth0", name="c2-fast")
    return database


SELECTIONS = {
    "compute-0-0": ("compute-0-0",),
    "COMPUTE-0-0": ("compute-0-0",),
    "head": ("compute-0-1",),
    "head.local": ("compute-0-1",),
    "c2-fast": ("compute-0-2",),
    "compute-0-0.local": ("compute-0-0",),
    "granite.example.org.": ("granite",),
    "10.1.255.253": ("compute-0-1",),
    "52:54:00:AA:10:02": ("compute-0-2",),
    "5254.00aa.1002": ("compute-0-2",),
    "localhost": ("granite",),
    "compute": (*COMPUTES, "compute-0-10", "compute-1-0", "compute-1-12"),
    "Compute": (*COMPUTES, "compute-0-10", "compute-1-0", "compute-1-12"),
    "nas appliance": ("nas-0-0", "ran"),
    "login": (),
    "rack0": (*COMPUTES, "compute-0-10", "nas-0-0", "ran"),
    "RACK1": ("compute-1-0", "compute-1-12"),
    "%": EVERYTHING,
    "*": EVERYTHING,
    "compute-1-%": ("compute-1-0", "compute-1-12"),
    "compute-_-0%": ("compute-0-0", "compute-1-0"),
    "*-0": ("compute-0-0", "compute-1-0", "nas-0-0"),
    "compute-0-?": COMPUTES,
    "compute-0-[1-10]": ("compute-0-1", "compute-0-2", "compute-0-10"),
    "compute-0-[0,10,12-14]": ("compute-0-0", "compute-0-10"),
    "compute-[0-1]-[0-9]": (*COMPUTES, "compute-1-0"),
    "compute-0-1[0-9]": ("compute-0-10",),
    "compute-1-[0-9][0-9]": ("compute-1-12",),
    "%[12]": ("compute-1-12",),
    "[gn]*": ("granite", "nas-0-0"),
    "[!c]*": ("granite", "nas-0-0", "ran"),
}


@pytest.mark.parametrize(("word", "hosts"), SELECTIONS.items())
def test_words(chosen: Database, word: str, hosts: tuple[str, ...]) -> None:
    with chosen.reading() as c:
        assert select_hosts(c, [word]) == hosts


REFUSED_WORDS = {
    "compute-0-9": (REFUSED, 'host "compute-0-9" is not in cluster'),
    "compute-0-0.elsewhere.org": (REFUSED, "is not in cluster"),
    "10.1.2.3": (REFUSED, "is not in cluster"),
    "comptue": (REFUSED, "is not in cluster"),
    "rack9": (REFUSED, "no host is in rack 9"),
    "compute-9-%": (REFUSED, 'no host matches "compute-9-%"'),
    "select name from nodes where cpus=8": (USAGE, "not selected by SQL"),
    "SELECT  name": (USAGE, "not selected by SQL"),
    "compute-[0": (USAGE, "without its ]"),
    "compute-0-[9-0]": (USAGE, "ends before it begins"),
    "": (REFUSED, "is not in cluster"),
    "a\nb": (USAGE, "is no name of hosts"),
    "a" * 2000: (USAGE, "is no name of hosts"),
    "%a%a%a%a%a%a": (USAGE, "at most 5"),
    "\udcff": (USAGE, "is no name of hosts"),
}


@pytest.mark.parametrize(("word", "refusal"), REFUSED_WORDS.items())
def test_refused_words(chosen: Database, word: str, refusal: tuple[int, str]) -> None:
    with chosen.reading() as c, pytest.raises(RollbuildError, match=re.escape(refusal[1])) as said:
        select_hosts(c, [word])
    assert said.value.exit_code == refusal[0]


def test_the_nearest_match_is_named(chosen: Database) -> None:
    with chosen.reading() as c, pytest.raises(RollbuildError) as refusal:
        select_hosts(c, ["comptue"])
    assert refusal.value.hint == "did you mean compute?"


def test_no_word(chosen: Database, database: Database) -> None:
    with chosen.reading() as c:
        assert select_hosts(c, [], everything=True) == EVERYTHING
        with pytest.raises(RollbuildError, match="must supply host"):
            select_hosts(c, [])
    with database.reading() as c:
        assert select_hosts(c, ["%"]) == select_hosts(c, [], everything=True) == ()
        with pytest.raises(RollbuildError, match="no front end"):
            select_hosts(c, ["localhost"])


@given(st.lists(st.sampled_from([*SELECTIONS]), min_size=1, max_size=4))
def test_several_words_are_a_union_in_order(chosen: Database, words: list[str]) -> None:
    wanted = {host for word in words for host in SELECTIONS[word]}
    with chosen.reading() as c:
        assert select_hosts(c, words) == tuple(host for host in EVERYTHING if host in wanted)


@given(st.text(max_size=20) | st.text("compute-01%*?[]_!,", max_size=12))
def test_any_text_selects_known_hosts_or_is_refused(chosen: Database, word: str) -> None:
    with chosen.reading() as c:
        try:
            found = select_hosts(c, [word])
        except RollbuildError as refusal:
            assert refusal.exit_code in (REFUSED, USAGE)
        else:
            assert set(found) <= set(EVERYTHING)
            assert len(set(found)) == len(found)
