"""Running `<eval>`: off unless asked for, in a clean environment and with a time limit."""

from rollbuild.compiler import Evaluate, run_no_eval
from rollbuild.errors import RollbuildError
from rollbuild.language import Eval

SECONDS = 60.0
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/opt/rocks/sbin:/opt/rocks/bin", "LC_ALL": "C.UTF-8"}


def make_evaluate(mode: str) -> Evaluate:
    """How evals are treated: `off` gives none of them a result, `fail` refuses each, `run` runs it here.

    The program reads the element's text on standard input; its standard output is the result. Equal texts run
    once. A program that fails, is missing, or takes more than a minute raises RollbuildError.
    """
    if mode == "off":
        return run_no_eval
    if mode == "fail":
        return _refuse
    results: dict[tuple[str, str], str] = {}

    def evaluate(program: Eval, text: str) -> str:
        key = (program.shell, text)
        if key not in results:
            results[key] = _run(program, text)
        return results[key]

    return evaluate


def _refuse(program: Eval, text: str) -> str | None:
    raise RollbuildError(
        "an <eval> stands here",
        location=program.location,
        hint="--eval run would run it; a <template> needs no program",
    )


def _run(program: Eval, text: str) -> str:
    import tempfile

    from rollbuild.process import run_program

    argv = program.shell.split() or ["sh"]
    with tempfile.TemporaryDirectory(prefix="rollbuild-eval-") as folder:
        try:
            done = run_program(
                argv, input=text.encode(), timeout=SECONDS, env={**_ENVIRONMENT, "HOME": folder}, cwd=folder
            )
        except RollbuildError as problem:
            raise RollbuildError(
                f"this <eval> failed: {problem.message}", location=program.location, hint=problem.hint
            ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        tail = f": {said[-1]}" if said else ""
        raise RollbuildError(
            f"this <eval> ended with exit code {done.returncode}{tail}",
            location=program.location,
            hint="run its text by hand to see why",
        )
    return done.stdout.decode(errors="replace")
