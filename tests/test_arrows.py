"""The import arrows: each module imports only from lower floors, and a room only by its face."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the highest floor down; a name imports from lower floors only, and from its own room.
FLOORS = (
    ("__main__",),
    ("commands",),
    ("frontend", "vm"),
    ("media",),
    ("distribution",),
    ("rolls", "drawing"),
    ("workspace",),
    ("checks",),
    ("compiler", "cluster", "packages", "images"),
    ("language", "releases"),
    ("process", "files", "console"),
    ("errors",),
    ("findings",),
    ("location",),
    ("__init__",),
)
FLOOR = {name: depth for depth, names in enumerate(FLOORS) for name in names}

# What a room must do without, by what it would import for it.
CLOCK_NETWORK_DATABASE = {
    *("time", "datetime", "calendar", "random", "secrets", "uuid"),
    *("socket", "ssl", "http", "urllib", "ftplib", "requests", "asyncio", "socketserver", "xmlrpc"),
    *("sqlite3", "psycopg", "psycopg2", "sqlalchemy", "subprocess", "rollbuild.process", "rollbuild.console"),
}
DISK = {"os", "io", "shutil", "tempfile", "glob", "mmap", "fcntl", "rollbuild.files"}
FORBIDDEN = {"language": CLOCK_NETWORK_DATABASE, "compiler": CLOCK_NETWORK_DATABASE | DISK}
ENVIRONMENT = {"environ", "environb", "getenv", "getlogin", "gethostname"}
DISK_CALLS = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir"),
    *("unlink", "iterdir", "rglob", "is_file", "is_dir", "exists"),
}


def imports(path: Path, package: Path) -> Iterator[tuple[int, str, str]]:
    """(line, module, name) of each import in a file, wherever it stands; name is "" for `import module`."""
    inside = path.relative_to(package.parent).with_suffix("").parts
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield statement.lineno, alias.name, ""
        elif isinstance(statement, ast.ImportFrom):
            above = inside[: -statement.level] if statement.level else ()
            module = ".".join((*above, *filter(None, [statement.module])))
            for alias in statement.names:
                yield statement.lineno, module, alias.name


def names_bound(face: Path) -> set[str]:
    """What a room's __init__.py defines or imports at its top level."""
    bound: set[str] = set()
    for statement in ast.parse(face.read_text(encoding="utf-8")).body if face.exists() else []:
        match statement:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound.update(alias.asname or alias.name.partition(".")[0] for alias in names)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.Assign(targets=targets):
                bound.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                bound.add(name)
    return bound


def wrong_arrows(package: Path) -> list[str]:
    """Every import and use in the package that breaks the rules, as `FILE:LINE: what`."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        room = inside.parts[0] if len(inside.parts) > 1 else inside.stem
        place = inside.as_posix()
        if room not in FLOOR:
            wrong.append(f"{place}:1: {room} stands on no floor")
            continue
        for line, module, name in imports(path, package):
            for what in broken_rules(room, module, name, package):
                wrong.append(f"{place}:{line}: {what}")
        wrong += [f"{place}:{line}: {what}" for line, what in forbidden_uses(room, path)]
    return wrong


def broken_rules(room: str, module: str, name: str, package: Path) -> Iterator[str]:
    top, *rest = module.split(".")
    candidates = {top, module, f"{module}.{name}"}
    for forbidden in sorted(FORBIDDEN.get(room, set()) & candidates):
        yield f"{room} must do without {forbidden}"
    if top != package.name:
        return
    if not rest:
        if not name or name not in FLOOR:
            return  # `from rollbuild import __version__`
        rest, name = [name], ""
    target = rest[0]
    if target == room:
        return
    if target not in FLOOR:
        yield f"{target} stands on no floor"
    elif FLOOR[target] <= FLOOR[room]:
        yield f"{room} imports {target}, which stands no lower"
    elif room != "__main__" and (package / target).is_dir():
        if len(rest) > 1:
            yield f"{room} imports {module}, past the face of {target}"
        elif name and is_hidden(package / target, name):
            yield f"{room} imports {module}.{name}, past the face of {target}"


def is_hidden(folder: Path, name: str) -> bool:
    """Whether the name is a module of the room that its face does not offer."""
    is_module = (folder / f"{name}.py").exists() or (folder / name).is_dir()
    return name.startswith("_") or (is_module and name not in names_bound(folder / "__init__.py"))


def forbidden_uses(room: str, path: Path) -> Iterator[tuple[int, str]]:
    if room not in FORBIDDEN:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
            yield node.lineno, f"{room} must not look at the environment"
        elif room == "compiler" and isinstance(node, ast.Call):
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if name in DISK_CALLS:
                yield node.lineno, f"compiler must not touch the disk ({name})"


def test_the_arrows_point_down() -> None:
    assert wrong_arrows(ROOT / "rollbuild") == []


FAULTS = {
    "up": ("language/a.py", "from rollbuild.compiler import compile_all", "language imports compiler"),
    "inside a function": (
        "releases/a.py",
        "def f():\n    import rollbuild.checks",
        "releases imports checks",
    ),
    "sideways": ("compiler/a.py", "from rollbuild.images import write", "compiler imports images"),
    "relative": ("language/a.py", "from ..checks import find", "language imports checks"),
    "from the root": ("errors.py", "from rollbuild import process", "errors imports process"),
    "past the face": ("compiler/a.py", "from rollbuild.language.graph import Graph", "past the face"),
    "module past it": ("compiler/a.py", "from rollbuild.language import graph", "past the face"),
    "private name": ("compiler/a.py", "from rollbuild.language import _load", "past the face"),
    "no floor": ("attic/a.py", "", "attic stands on no floor"),
    "clock": ("language/a.py", "from time import monotonic", "must do without time"),
    "network": ("compiler/a.py", "import urllib.request", "must do without urllib"),
    "program": ("language/a.py", "from rollbuild import process", "must do without rollbuild.process"),
    "files": ("compiler/a.py", "from rollbuild.files import read_limited", "must do without rollbuild.files"),
    "environment": ("language/a.py", "import os\nx = os.environ['HOME']", "must not look at the environment"),
    "disk": ("compiler/a.py", "x = open('f')", "must not touch the disk"),
    "method": ("compiler/a.py", "def f(p):\n    return p.read_text()", "must not touch the disk"),
}


@pytest.mark.parametrize(("name", "text", "said"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_seen(tmp_path: Path, name: str, text: str, said: str) -> None:
    package = package_with(tmp_path, name, text)
    found = wrong_arrows(package)
    assert [line for line in found if line.startswith(f"{name}:") and said in line], found


ALLOWED = {
    "down": ("compiler/a.py", "from rollbuild.language import load"),
    "own room": ("compiler/a.py", "from rollbuild.compiler.b import x\nfrom . import b\nfrom .b import y"),
    "a face's name that is a module too": ("checks/a.py", "from rollbuild.language import offered"),
    "errors": ("location.py", "import rollbuild"),
    "version": ("commands/a.py", "from rollbuild import __version__, files"),
    "entry": ("__main__.py", "from rollbuild.commands.main import main"),
    "pure path": ("compiler/a.py", "from pathlib import PurePosixPath"),
    "disk above": ("checks/a.py", "import os\nx = open('f')"),
}


@pytest.mark.parametrize(("name", "text"), ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_passes(tmp_path: Path, name: str, text: str) -> None:
    assert wrong_arrows(package_with(tmp_path, name, text)) == []


def package_with(folder: Path, name: str, text: str) -> Path:
    package = folder / "rollbuild"
    files = {
        "language/__init__.py": "from rollbuild.language.offered import offered",
        "language/graph.py": "",
        "language/offered.py": "",
        "compiler/__init__.py": "",
        "images/__init__.py": "",
        "checks/__init__.py": "",
        "commands/__init__.py": "",
        "commands/main.py": "",
        name: text,
    }
    for inside, content in files.items():
        path = package / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return package
