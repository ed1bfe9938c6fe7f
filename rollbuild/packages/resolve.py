"""Whether packages can be installed together, answered by libsolv."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from rollbuild.packages.native import damaged, is_packed, plain_copy
from rollbuild.packages.repository import AvailablePackage, Repository

How = Literal["install", "prefer", "exclude"]
INSTALL: How = "install"
PREFER: How = "prefer"
EXCLUDE: How = "exclude"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package to install, to install where that can be (prefer), or to keep out.

    `name` is a name, a name with arch or version, a pattern, a file, or something that packages provide.
    """

    name: str
    how: How = INSTALL


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Something that stands in the way: in words, and which of the wanted (by index) cause it.

    `because` are the further reasons.
    """

    message: str
    because: tuple[str, ...]
    culprits: tuple[int, ...]


@cache
def _load_solver() -> Any:
    try:
        import solv
    except ImportError:
        return None
    return solv


def has_solver() -> bool:
    """Whether libsolv's Python module is there."""
    return _load_solver() is not None


class Resolver:
    """Repositories loaded into libsolv, for any number of questions. Those of names only are left out."""

    def __init__(
        self, repositories: Iterable[Repository], arch: str, hidden: Collection[AvailablePackage] = ()
    ) -> None:
        """Load metadata. Raises RollbuildError when a file cannot be read, RuntimeError without libsolv."""
        self._solv = _load_solver()
        if self._solv is None:
            raise RuntimeError("libsolv is missing: ask has_solver() first")
        self._repositories = tuple(repository for repository in repositories if not repository.only_names)
        self._arch = arch
        self._hidden = frozenset((p.name, f"{p.epoch or '0'}:{p.version}-{p.release}", p.arch) for p in hidden)
        self._pool = self._load(with_files=False)
        self._has_files = False

    def find_problems(self, wanted: Sequence[Wanted]) -> tuple[Unresolved, ...]:
        """What keeps packages from being installed together on an empty machine; nothing when all is well."""
        problems = self._solve(wanted)
        asks_for_file = any("requires /" in text or "provides /" in text for p in problems for text in _texts(p))
        if asks_for_file and not self._has_files:
            # File lists are several times as large as all else, and rarely needed.
            self._pool, self._has_files = self._load(with_files=True), True
            problems = self._solve(wanted)
        return problems

    def _arch_of_pool(self) -> str:
        """libsolv's name of an architecture that takes in its newer levels, where a repository is built for one."""
        packages = (package for one in self._repositories for some in one.packages.values() for package in some)
        levels = self._arch == "x86_64" and any(package.arch.startswith("x86_64_v") for package in packages)
        return "x86_64_v4" if levels else self._arch

    def _load(self, *, with_files: bool) -> Any:
        solv = self._solv
        pool = solv.Pool()
        pool.setdisttype(solv.Pool.DISTTYPE_RPM)
        pool.setarch(self._arch_of_pool())
        for repository in self._repositories:
            repo = pool.add_repo(repository.name)
            _add(solv, repo, repository.primary, 0)
            filelists = repository.fetch_filelists() if with_files and repository.fetch_filelists else None
            if filelists:
                _add(solv, repo, filelists, solv.Repo.REPO_EXTEND_SOLVABLES)
        pool.addfileprovides()
        pool.createwhatprovides()
        if self._hidden:
            shown = [s.id for s in pool.solvables if (s.name, _full_evr(s.evr), s.arch) not in self._hidden]
            pool.set_considered_list(shown)
            pool.createwhatprovides()
        return pool

    def _solve(self, wanted: Sequence[Wanted]) -> tuple[Unresolved, ...]:
        solv, pool = self._solv, self._pool
        actions = {
            INSTALL: solv.Job.SOLVER_INSTALL,
            PREFER: solv.Job.SOLVER_INSTALL | solv.Job.SOLVER_WEAK,
            EXCLUDE: solv.Job.SOLVER_LOCK,
        }
        kinds = solv.Selection
        flags = (
            kinds.SELECTION_NAME
            | kinds.SELECTION_PROVIDES
            | kinds.SELECTION_GLOB
            | kinds.SELECTION_CANON
            | kinds.SELECTION_DOTARCH
            | kinds.SELECTION_FILELIST
        )
        jobs: list[Any] = []
        origins: list[int] = []
        for number, want in enumerate(wanted):
            if want.how == EXCLUDE:
                selection = pool.select(
                    want.name, kinds.SELECTION_NAME | kinds.SELECTION_GLOB | kinds.SELECTION_DOTARCH
                )
            else:
                selection = pool.select(want.name, flags)
            own = selection.jobs(actions[want.how])
            jobs += own
            origins += [number] * len(own)
        solver = pool.Solver()
        return tuple(self._explain(problem, jobs, origins) for problem in solver.solve(jobs))

    def _explain(self, problem: Any, jobs: Sequence[Any], origins: Sequence[int]) -> Unresolved:
        infos = [info for rule in problem.findallproblemrules() for info in rule.allinfos()]
        texts = tuple(dict.fromkeys(info.problemstr() for info in infos))
        main = str(problem)
        culprits: dict[int, None] = {}
        for solution in problem.solutions():
            for element in solution.elements():
                if element.type == self._solv.Solver.SOLVER_SOLUTION_JOB and 0 <= element.jobidx < len(jobs):
                    culprits[origins[element.jobidx]] = None
        rest = tuple(text for text in texts if text != main and text != "conflicting requests")
        if main == "conflicting requests" and rest:
            main, rest = rest[0], rest[1:]
        return Unresolved(main, rest, tuple(culprits))


def _texts(problem: Unresolved) -> tuple[str, ...]:
    return (problem.message, *problem.because)


def _full_evr(evr: str) -> str:
    return evr if ":" in evr else f"0:{evr}"


def _add(solv: Any, repo: Any, path: str, flags: int) -> None:
    # libsolv tells compression by the name's end, and how it was built decides what it knows besides gzip.
    with nullcontext(path) if path.endswith(".gz") or not is_packed(path) else plain_copy(path) as readable:
        file = solv.xfopen(readable)
        good = file is not None and repo.add_rpmmd(file, None, flags)
        if file is not None:
            file.close()
    if not good:
        raise damaged(path, str(repo.pool.errstr))
