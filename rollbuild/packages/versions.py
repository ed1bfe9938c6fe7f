"""Versions of packages, compared as RPM compares them (rpmvercmp, with `~` and `^`)."""

import re

_PARTS = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
Evr = tuple[str, str, str]
"""Epoch (empty for none), version, release."""


def compare_versions(one: str, other: str) -> int:
    """-1, 0 or 1 as `one` is older than, the same as or newer than `other`.

    Runs of digits count as numbers and are newer than runs of letters; `~` is older than anything, even the end;
    `^` is newer than the end and older than anything else. All other characters only separate.
    """
    if one == other:
        return 0
    ones, others = _PARTS.findall(one), _PARTS.findall(other)
    for index in range(max(len(ones), len(others))):
        left = ones[index] if index < len(ones) else ""
        right = others[index] if index < len(others) else ""
        if left == right:
            continue
        for mark, older in (("~", -1), ("^", 1)):
            if mark in (left, right):
                # At the end of the other, ^ is newer; before anything else of it, older.
                ends = not left or not right
                sign = older if mark == "~" or ends else -1
                return sign if left == mark else -sign
        if not left or not right:
            return 1 if left else -1
        if left.isdigit() != right.isdigit():
            return 1 if left.isdigit() else -1
        if left.isdigit():
            # As texts without leading zeros: a number may have any length.
            left, right = left.lstrip("0"), right.lstrip("0")
            if len(left) != len(right):
                return 1 if len(left) > len(right) else -1
        if left != right:
            return 1 if left > right else -1
    return 0


def compare_evr(one: Evr, other: Evr) -> int:
    """The same for epoch, version and release; no epoch is epoch 0."""
    pairs = zip((one[0] or "0", *one[1:]), (other[0] or "0", *other[1:]), strict=True)
    return next((order for left, right in pairs if (order := compare_versions(left, right))), 0)
