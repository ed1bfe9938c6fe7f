"""What to tell a user about whatever went wrong in a command of `rocks`."""

from rollbuild.errors import MISSING_PROGRAM, RollbuildError
from rollbuild.files import explain_os_error

# Packages of the optional parts, by the module that is missed first.
_PACKAGES = {
    "sqlalchemy": "SQLAlchemy",
    "alembic": "alembic",
    "ClusterShell": "ClusterShell",
    "psycopg": "psycopg",
    "starlette": "starlette",
    "textual": "textual",
}


def explain(error: Exception) -> RollbuildError:
    """The error in our form: message, hint and exit code."""
    if isinstance(error, RollbuildError):
        return error
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _PACKAGES:
        package = _PACKAGES[(error.name or "").partition(".")[0]]
        extra = "postgresql" if package == "psycopg" else "frontend"
        return RollbuildError(
            f"the Python package {package} is missing",
            hint=f'install it: pip install "rollbuild[{extra}]"',
            exit_code=MISSING_PROGRAM,
        )
    if isinstance(error, OSError):
        name = error.filename
        shown = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name or "a file")
        return explain_os_error(error, "cannot use", shown)
    if isinstance(error, MemoryError):
        return RollbuildError("there is not enough memory")
    return RollbuildError(
        f"rollbuild itself failed: {type(error).__name__}: {error}",
        hint="this is a fault in rollbuild; please report it with what --debug shows",
    )
