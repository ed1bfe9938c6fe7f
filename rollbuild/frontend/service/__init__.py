"""The Kickstart service: Kickstarts and secrets for hosts that install, and the reports that come back."""

from rollbuild.errors import MISSING_PROGRAM, RollbuildError

try:
    import starlette as _starlette  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as _problem:
    raise RollbuildError(
        f"the Python package {_problem.name} is missing, which the Kickstart service needs",
        hint='install it: pip install "rollbuild[frontend]"',
        exit_code=MISSING_PROGRAM,
    ) from _problem

from rollbuild.frontend.service.app import make_app
from rollbuild.frontend.service.running import run_service
from rollbuild.frontend.service.work import Work

__all__ = ["Work", "make_app", "run_service"]
