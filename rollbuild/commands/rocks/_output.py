"""The tables that `rocks` prints: no owner column where it says nothing, dashes for what is not there."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rollbuild.errors import USAGE, RollbuildError

# Text out of the database must not steer the terminal, nor break a row in two.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is shown: `columns` names those wanted (all when empty), in lower case."""

    has_header: bool = True
    columns: tuple[str, ...] = ()
    is_json: bool = False


def print_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    layout: Layout | None = None,
    *,
    keeps_owner: bool = False,
) -> str:
    """The text of a table of rows (owner, values...); nothing at all when there are no rows.

    The owner is printed as `owner:`. Its column goes when all rows have the same owner, unless `keeps_owner` or the
    layout names it. Cells are left-justified, one space apart, padded to the end of the line; empty ones become dashes
    as wide as their column. A row may be shorter than the headers: it ends where it ends. Source of these rules: the
    output of Rocks, which scripts cut by columns. Raises RollbuildError, exit code USAGE, for a column that is none.
    """
    layout = layout or Layout()
    kept = _choose_columns(headers, layout.columns)
    if not rows:
        return ""
    if not layout.columns and not keeps_owner and all(row[0] == rows[0][0] for row in rows):
        kept = [column for column in kept if column != 0]
    table = [[_cell(row, column) for column in kept if column < len(row)] for row in rows]
    titles = [headers[column].upper() for column in kept]
    widths = [
        max([len(title) * layout.has_header, *(len(row[place]) for row in table if place < len(row))])
        for place, title in enumerate(titles)
    ]
    lines = [
        " ".join((cell or "-" * width).ljust(width) for cell, width in zip(row, widths, strict=False)) for row in table
    ]
    if layout.has_header:
        lines.insert(0, " ".join(map(str.ljust, titles, widths)))
    return "".join(f"{line}\n" for line in lines)


def _cell(row: Sequence[object], column: int) -> str:
    value = row[column]
    text = "" if value is None else str(value).translate(_CONTROLS)
    return f"{text}:" if column == 0 else text


def _choose_columns(headers: Sequence[str], wanted: Iterable[str]) -> list[int]:
    """Where the wanted columns are, in the order of the headers as scripts of Rocks expect it."""
    names = [header.lower() for header in headers]
    wanted = tuple(wanted)
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            hint = f"the columns are {', '.join(names)}"
            raise RollbuildError(f"there is no column `{name}`{meant}", hint=hint, exit_code=USAGE)
    return [column for column, name in enumerate(names) if not wanted or name in wanted]


def table_data(
    headers: Sequence[str], rows: Sequence[Sequence[object]], layout: Layout | None = None, *, group: str = ""
) -> list[dict[str, object]]:
    """The same table as values: one object a row, keys are the headers in lower case.

    With `group`, one object an owner: `{"host": "compute-0-0", "interface": [{...}, ...]}`. What is empty is null.
    """
    wanted = (layout or Layout()).columns
    kept = _choose_columns(headers, wanted)
    names = [header.lower() for header in headers]
    if not group:
        return [_object(names, row, kept) for row in rows]
    owners: dict[object, list[dict[str, object]]] = {}
    for row in rows:
        owners.setdefault(row[0], []).append(_object(names, row, [column for column in kept if column]))
    return [{names[0]: owner, group: values} for owner, values in owners.items()]


def _object(names: Sequence[str], row: Sequence[object], columns: Iterable[int]) -> dict[str, object]:
    return {names[column]: _value(row[column] if column < len(row) else None) for column in columns}


def _value(value: object) -> object:
    if value is None or value == "":
        return None
    return value if isinstance(value, bool | int | float) else str(value)
