"""Names of nodes and how close another one is."""

import re
from collections.abc import Iterable

_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*\Z")


def is_node_name(name: str) -> bool:
    """Whether a node may have this name: no path separators, no leading dot or dash."""
    return bool(_NODE_NAME.match(name))


def did_you_mean(name: str, known: Iterable[str], form: str = "{}") -> str:
    """`did you mean X?` for the nearest known name, else an empty text."""
    import difflib  # only needed when something is wrong

    near = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {form.format(near[0])}?" if near else ""
