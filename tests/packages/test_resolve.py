"""Questions to libsolv, over small repositories of our own."""

from pathlib import Path

import pytest

from rollbuild.packages import (
    EXCLUDE,
    PREFER,
    Catalogue,
    Resolver,
    Unresolved,
    Wanted,
    open_repositories,
    parse_repository_name,
)
from tests.packages.repositories import MODULES, Rpm, write_repository

pytest.importorskip("solv")

RPMS = (
    Rpm("bash", provides=("sh",), files=("/usr/bin/bash",)),
    Rpm("tool", requires=("bash", "libtool >= 2")),
    Rpm("tool-libs", "2.1", provides=("libtool = 2.1",)),
    Rpm("old-tool", requires=("libtool < 2",)),
    Rpm("broken", requires=("no-such-thing",)),
    Rpm("leads-to-broken", requires=("broken",)),
    Rpm("script", requires=("/usr/bin/bash",)),
    Rpm("reader", requires=("/usr/share/words",)),
    Rpm("words", files=("/usr/share/words",)),
    Rpm("missing-file", requires=("/usr/share/nowhere",)),
    Rpm("one", conflicts=("other",)),
    Rpm("other"),
    Rpm("for-arm", arch="aarch64"),
    Rpm("rich", requires=("(bash if tool)",)),
    Rpm("web", "1.0"),
    Rpm("web", "2.0", requires=("no-such-thing",)),
)

# What is wanted -> per problem: its message, and the wanted that cause it.
QUESTIONS: dict[str, tuple[list[Wanted], list[tuple[str, tuple[int, ...]]]]] = {
    "nothing": ([], []),
    "all well": ([Wanted("tool"), Wanted("bash"), Wanted("rich"), Wanted("sh"), Wanted("tool-libs-2.1")], []),
    "nobody provides": (
        [Wanted("bash"), Wanted("broken")],
        [("nothing provides no-such-thing needed by broken-1.0-1.el9.x86_64", (1,))],
    ),
    "further down": (
        [Wanted("leads-to-broken")],
        [("nothing provides no-such-thing needed by broken-1.0-1.el9.x86_64", (0,))],
    ),
    "wrong version": (
        [Wanted("old-tool")],
        [("nothing provides libtool < 2 needed by old-tool-1.0-1.el9.x86_64", (0,))],
    ),
    "conflict": (
        [Wanted("bash"), Wanted("one"), Wanted("other")],
        [("package one-1.0-1.el9.x86_64 conflicts with other provided by other-1.0-1.el9.x86_64", (1, 2))],
    ),
    "kept out": (
        [Wanted("tool"), Wanted("bash", EXCLUDE)],
        [("package tool-1.0-1.el9.x86_64 requires bash, but none of the providers can be installed", (0, 1))],
    ),
    "kept out and not there": ([Wanted("tool"), Wanted("zsh", EXCLUDE)], []),
    "preferred only": ([Wanted("bash"), Wanted("broken", PREFER)], []),
    "a program": ([Wanted("script")], []),
    "a file of the file lists": ([Wanted("reader")], []),
    "a file that nobody has": (
        [Wanted("missing-file")],
        [("nothing provides /usr/share/nowhere needed by missing-file-1.0-1.el9.x86_64", (0,))],
    ),
    "two at once": (
        [Wanted("broken"), Wanted("old-tool")],
        [
            ("nothing provides no-such-thing needed by broken-1.0-1.el9.x86_64", (0,)),
            ("nothing provides libtool < 2 needed by old-tool-1.0-1.el9.x86_64", (1,)),
        ],
    ),
    "a stream that is off": ([Wanted("web")], []),
}


@pytest.fixture(scope="module", params=["GZ_COMPRESSION", "ZSTD_COMPRESSION"])
def resolver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Resolver:
    folder = tmp_path_factory.mktemp("repository")
    write_repository(folder, RPMS, modules=MODULES, compression=request.param)
    with open_repositories([parse_repository_name(str(folder))]) as repositories:
        catalogue = Catalogue(repositories, "x86_64", {"web": "1"})
        return Resolver(repositories, "x86_64", catalogue.hidden)


@pytest.mark.parametrize(("wanted", "expected"), QUESTIONS.values(), ids=QUESTIONS)
def test_questions(resolver: Resolver, wanted: list[Wanted], expected: list[tuple[str, tuple[int, ...]]]) -> None:
    found = resolver.find_problems(wanted)
    assert sorted((problem.message, tuple(sorted(problem.culprits))) for problem in found) == sorted(expected)


def test_a_repository_for_newer_processors(tmp_path: Path) -> None:
    write_repository(tmp_path, [Rpm("bash", arch="x86_64_v2"), Rpm("data", arch="noarch"), Rpm("plain")])
    with open_repositories([parse_repository_name(str(tmp_path))]) as repositories:
        assert Resolver(repositories, "x86_64").find_problems([Wanted("bash"), Wanted("data"), Wanted("plain")]) == ()


def test_the_chain_of_reasons(resolver: Resolver) -> None:
    (problem,) = resolver.find_problems([Wanted("leads-to-broken")])
    assert isinstance(problem, Unresolved)
    assert problem.because == (
        "package leads-to-broken-1.0-1.el9.x86_64 requires broken, but none of the providers can be installed",
    )
