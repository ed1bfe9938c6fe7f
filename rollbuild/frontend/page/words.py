"""Texts of hosts as a page may hold them, and times as people read them."""

import re
import time

_STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)
_DAY = 86_400


def printable(text: str) -> str:
    """The text with all that is not seen, or that turns what is, spelled out; ends of lines and tabs stay."""
    return _STEERS.sub(_spell, text)


def _spell(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def clock_time(seconds: float, now: float) -> str:
    """`14:03:09` of today, `Nov 22 14:03` of this year's other days, else the date; in this machine's time zone."""
    then = time.localtime(seconds)
    if abs(now - seconds) < _DAY and time.localtime(now).tm_yday == then.tm_yday:
        return time.strftime("%H:%M:%S", then)
    if abs(now - seconds) < 300 * _DAY:
        return time.strftime("%b %d %H:%M", then)
    return time.strftime("%Y-%m-%d", then)


def exact_time(seconds: float) -> str:
    """`2026-11-22T14:03:09Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def how_long(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 05 min`, `2 days`."""
    whole = max(0, int(seconds))
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole // 60} min"
    if whole < _DAY * 2:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // _DAY} days"


def counted(count: int, noun: str) -> str:
    """`1 host`, `1,000 hosts`."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"
