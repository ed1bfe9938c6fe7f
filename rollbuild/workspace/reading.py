"""Reading what a choice names."""

import os
from collections.abc import Mapping
from typing import Any

from rollbuild.compiler import Compiler
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.language import (
    AttributeSet,
    collect_defaults,
    complete,
    find_rolls,
    parse_assignment,
    read_attributes,
    read_description,
)
from rollbuild.location import Location
from rollbuild.releases import load_release
from rollbuild.workspace.choice import DEFAULT_ROLLS, Choice
from rollbuild.workspace.evaluate import make_evaluate
from rollbuild.workspace.workspace import Workspace


def default_rolls() -> tuple[str, ...]:
    """The folders of rolls where rollbuild is run."""
    return tuple(folder for folder in DEFAULT_ROLLS if os.path.isdir(folder))


def make_workspace(
    choice: Choice, *, attributes: AttributeSet | None = None, data: Mapping[str, Any] | None = None
) -> Workspace:
    """Read rolls, attributes and graphs. `attributes` and `data` come from a database, after those of files.

    Raises RollbuildError for what cannot be read.
    """
    folders = choice.rolls or default_rolls()
    if not folders:
        raise RollbuildError(
            "there are no rolls here",
            hint="name their folders with --rolls DIR, or run rollbuild where rolls/ and graphs/ are",
            exit_code=USAGE,
        )
    rolls = find_rolls(folders)
    release = load_release(choice.os_release)
    declarations = tuple(declaration for roll in rolls for declaration in roll.declarations())
    merged = collect_defaults(declarations)
    for path in choice.attrs:
        merged = merged.merge(read_attributes(path))
    if attributes is not None:
        merged = merged.merge(attributes)
    given = dict(parse_assignment(text) for text in choice.assignments)
    merged = merged.merge(AttributeSet.of("command line", given))
    values = complete(
        merged.resolve_texts(os="linux", appliance="", rack="0", host=""),
        root="",
        appliance="",
        membership="",
        hostname="",
        os_release=release.name,
        graph=choice.graph,
    )
    overlay = values.get("rocks_version_major", "")
    description = read_description(rolls, graph=choice.graph, overlay=overlay, attributes=values)
    compiler = Compiler(
        description=description,
        release=release,
        data={**(_read_data(choice.data) if choice.data else {}), **(data or {})},
        evaluate=make_evaluate(choice.eval_mode),
    )
    declared = {declaration.name: declaration for declaration in declarations}
    return Workspace(choice, rolls, declared, merged, description, release, compiler, frozenset(given))


def _read_data(path: str) -> Mapping[str, Any]:
    import yaml

    from rollbuild.files import read_limited

    try:
        data = yaml.safe_load(read_limited(path, 64 * 1024 * 1024))
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = Location(path, mark.line + 1, mark.column + 1) if mark else Location(path)
        raise RollbuildError(f"not valid YAML: {problem.problem}", location=place) from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise RollbuildError(f"not valid YAML: {problem}", location=Location(path)) from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise RollbuildError(
            "data for templates is a mapping of names to values", location=Location(path), hint="hosts: [...]"
        )
    return data
