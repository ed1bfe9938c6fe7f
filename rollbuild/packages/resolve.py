"""Whether packages can be installed together, answered by libsolv."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from rollbuild.errors import RollbuildError
from rollbuild.packages.closure import Chosen, Closure
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
        self._by_id: dict[int, Repository] = {}
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

    def find_closure(self, wanted: Sequence[Wanted], *, base: Collection[str] = ()) -> Closure:
        """What gets installed for the wanted on an empty machine, without packages that are only recommended.

        `base`: names of repositories whose packages are there anyway, as the OS is. Of several versions the newest is
        chosen, wherever it is; of several providers one that only the base has; of one package in several
        repositories that of the base, else of the first. A wanted name that nobody has is a problem.
        """
        problems = self.find_problems(wanted)
        unknown = tuple(
            Unresolved(f"no repository has {want.name}", (), (number,))
            for number, want in enumerate(wanted)
            if want.how == INSTALL and self._select(want).isempty()
        )
        if unknown or problems:
            return Closure(problems=(*unknown, *problems))
        solv = self._solv
        elsewhere = {name for one in self._repositories if one.name not in base for name in one.packages}
        # Where others have the name too the newest is chosen, which a favour would prevent.
        favours = [
            self._pool.Job(solv.Job.SOLVER_FAVOR | solv.Job.SOLVER_SOLVABLE, solvable.id)
            for repo in self._pool.repos
            if self._by_id[repo.id].name in base
            for solvable in repo.solvables
            if solvable.name not in elsewhere
        ]
        solver = self._pool.Solver()
        solver.set_flag(solv.Solver.SOLVER_FLAG_IGNORE_RECOMMENDED, 1)
        jobs, _ = self._make_jobs(wanted)
        if solver.solve(jobs + favours):  # never seen: the same question had an answer a moment ago
            return Closure(problems=self.find_problems(wanted))
        chosen = [self._choose(solvable, base) for solvable in solver.transaction().newsolvables()]
        chosen.sort(key=lambda choice: choice.sort_key)
        return Closure(
            packages=tuple(choice for choice in chosen if choice.repository.name not in base),
            base=tuple(choice for choice in chosen if choice.repository.name in base),
        )

    def _choose(self, solvable: Any, base: Collection[str]) -> Chosen:
        """The package that a solvable stands for, from the base or the first repository that has just the same."""
        evr = _full_evr(solvable.evr)
        found = [
            Chosen(package, repository)
            for repository in self._repositories
            for package in repository.packages.get(solvable.name, ())
            if package.arch == solvable.arch and _evr_of(package) == evr
        ]
        if not found:
            raise RollbuildError(f"the metadata of {solvable.repo.name} is damaged: it holds {solvable} twice or never")
        return next((choice for choice in found if choice.repository.name in base), found[0])

    def _arch_of_pool(self) -> str:
        """libsolv's name of an architecture that takes in its newer levels, where a repository is built for one."""
        packages = (package for one in self._repositories for some in one.packages.values() for package in some)
        levels = self._arch == "x86_64" and any(package.arch.startswith("x86_64_v") for package in packages)
        return "x86_64_v4" if levels else self._arch

    def _load(self, *, with_files: bool) -> Any:
        solv = self._solv
        pool = solv.Pool()
        self._by_id = {}
        pool.setdisttype(solv.Pool.DISTTYPE_RPM)
        pool.setarch(self._arch_of_pool())
        for repository in self._repositories:
            repo = pool.add_repo(repository.name)
            self._by_id[repo.id] = repository
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

    def _select(self, want: Wanted) -> Any:
        kinds = self._solv.Selection
        flags = kinds.SELECTION_NAME | kinds.SELECTION_GLOB | kinds.SELECTION_DOTARCH
        if want.how != EXCLUDE:
            flags |= kinds.SELECTION_PROVIDES | kinds.SELECTION_CANON | kinds.SELECTION_FILELIST
        return self._pool.select(want.name, flags)

    def _make_jobs(self, wanted: Sequence[Wanted]) -> tuple[list[Any], list[int]]:
        """libsolv's jobs, and the number of the wanted of each."""
        solv = self._solv
        actions = {
            INSTALL: solv.Job.SOLVER_INSTALL,
            PREFER: solv.Job.SOLVER_INSTALL | solv.Job.SOLVER_WEAK,
            EXCLUDE: solv.Job.SOLVER_LOCK,
        }
        jobs: list[Any] = []
        origins: list[int] = []
        for number, want in enumerate(wanted):
            own = self._select(want).jobs(actions[want.how])
            jobs += own
            origins += [number] * len(own)
        return jobs, origins

    def _solve(self, wanted: Sequence[Wanted]) -> tuple[Unresolved, ...]:
        jobs, origins = self._make_jobs(wanted)
        solver = self._pool.Solver()
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


def _evr_of(package: AvailablePackage) -> str:
    release = f"-{package.release}" if package.release else ""
    return f"{package.epoch or '0'}:{package.version}{release}"


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
