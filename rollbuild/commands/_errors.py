"""What to tell a user about whatever went wrong."""

from rollbuild.errors import RollbuildError
from rollbuild.files import explain_os_error


def explain(error: Exception) -> RollbuildError:
    """Any error in the form of a refusal: message, hint and exit code."""
    if isinstance(error, RollbuildError):
        return error
    if isinstance(error, OSError):
        return explain_os_error(error, "cannot use", _named(error))
    if isinstance(error, MemoryError):
        return RollbuildError("there is not enough memory", hint="run fewer jobs at once, or on a larger machine")
    if isinstance(error, RecursionError):
        return RollbuildError("the input is nested too deeply", hint="--debug shows where rollbuild gave up")
    return RollbuildError(
        f"rollbuild itself failed: {type(error).__name__}: {error}",
        hint="this is a fault in rollbuild; please report it with what --debug shows",
    )


def _named(error: OSError) -> str:
    name = error.filename
    if isinstance(name, bytes):
        return name.decode("utf-8", "backslashreplace")
    return "the system's files" if name is None else str(name)
