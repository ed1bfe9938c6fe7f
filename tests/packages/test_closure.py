"""What it takes to install something, and where it is taken from."""

import pytest

from rollbuild.packages import EXCLUDE, PREFER, Resolver, Wanted, open_repositories, parse_repository_name
from tests.packages.repositories import Rpm, write_repository

pytest.importorskip("solv")

OS = (
    Rpm("bash", files=("/usr/bin/bash",)),
    Rpm("openssl", "3.0"),
    Rpm("zlib", "1.0"),
    Rpm("postfix", provides=("mta",)),
    Rpm("words", files=("/usr/share/words",)),
    Rpm("both"),
)
EXTRA = (
    Rpm("slurm", "22.05", requires=("munge", "bash")),
    Rpm("slurm", "23.11", requires=("munge", "/usr/bin/bash", "openssl >= 3")),
    Rpm("slurm", "23.11", "0.rc1", requires=("no-such-thing",)),
    Rpm("munge", epoch="1", requires=("munge-libs",)),
    Rpm("munge-libs", epoch="1"),
    Rpm("munge-libs", epoch="1", arch="i686"),
    Rpm("zlib", "2.0"),
    Rpm("needs-zlib", requires=("zlib",)),
    Rpm("exim", provides=("mta",)),
    Rpm("mailer", requires=("mta",)),
    Rpm("reader", requires=("/usr/share/words",)),
    Rpm("both"),
    Rpm("broken", requires=("no-such-thing",)),
    Rpm("clashes", conflicts=("only-here",)),
)
THIRD = (Rpm("munge-libs", epoch="1"), Rpm("only-here"))

# What is wanted -> what is fetched, as repository/label; what the OS has of it; the problems.
QUESTIONS: dict[str, tuple[list[Wanted], list[str], list[str], list[str]]] = {
    "nothing": ([], [], [], []),
    "newest, with what it requires": (
        [Wanted("slurm")],
        ["extra/munge-1:1.0-1.el9.x86_64", "extra/munge-libs-1:1.0-1.el9.x86_64", "extra/slurm-23.11-1.el9.x86_64"],
        ["bash", "openssl"],
        [],
    ),
    "an older one by its version": (
        [Wanted("slurm-22.05")],
        ["extra/munge-1:1.0-1.el9.x86_64", "extra/munge-libs-1:1.0-1.el9.x86_64", "extra/slurm-22.05-1.el9.x86_64"],
        ["bash"],
        [],
    ),
    "newer than the OS has": (
        [Wanted("needs-zlib")],
        ["extra/needs-zlib-1.0-1.el9.x86_64", "extra/zlib-2.0-1.el9.x86_64"],
        [],
        [],
    ),
    "the OS is preferred": ([Wanted("mailer")], ["extra/mailer-1.0-1.el9.x86_64"], ["postfix"], []),
    "the same in both": ([Wanted("both")], [], ["both"], []),
    "a file of the file lists": ([Wanted("reader")], ["extra/reader-1.0-1.el9.x86_64"], ["words"], []),
    "two repositories": (
        [Wanted("only-here"), Wanted("munge-libs.x86_64")],
        ["extra/munge-libs-1:1.0-1.el9.x86_64", "third/only-here-1.0-1.el9.x86_64"],
        [],
        [],
    ),
    "not to be had": ([Wanted("slurm"), Wanted("nobody")], [], [], ["no repository has nobody"]),
    "not to be had, but not needed": ([Wanted("nobody", PREFER), Wanted("none", EXCLUDE)], [], [], []),
    "broken": ([Wanted("broken")], [], [], ["nothing provides no-such-thing needed by broken-1.0-1.el9.x86_64"]),
    "a conflict": (
        [Wanted("only-here"), Wanted("clashes")],
        [],
        [],
        ["package clashes-1.0-1.el9.x86_64 conflicts with only-here provided by only-here-1.0-1.el9.x86_64"],
    ),
}


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Resolver:
    folder = tmp_path_factory.mktemp("repositories")
    for name, packages in (("extra", EXTRA), ("os", OS), ("third", THIRD)):
        write_repository(folder / name, packages)
    names = [parse_repository_name(str(folder / name)) for name in ("extra", "os", "third")]
    with open_repositories(names) as repositories:
        return Resolver(repositories, "x86_64")


@pytest.mark.parametrize(("wanted", "fetched", "there", "problems"), QUESTIONS.values(), ids=QUESTIONS)
def test_questions(
    resolver: Resolver, wanted: list[Wanted], fetched: list[str], there: list[str], problems: list[str]
) -> None:
    found = resolver.find_closure(wanted, base={"os"})
    assert [f"{choice.repository.name}/{choice.package.label}" for choice in found.packages] == fetched
    assert [choice.package.name for choice in found.base] == there
    assert sorted({problem.message for problem in found.problems}) == problems


def test_the_order_of_wishes_makes_no_difference(resolver: Resolver) -> None:
    wanted = [Wanted(name) for name in ("slurm", "mailer", "needs-zlib", "reader")]
    assert resolver.find_closure(wanted) == resolver.find_closure(wanted[::-1])


def test_without_a_base_all_is_fetched(resolver: Resolver) -> None:
    found = resolver.find_closure([Wanted("slurm")])
    assert {choice.repository.name for choice in found.packages} == {"extra", "os"}
    assert found.base == ()
