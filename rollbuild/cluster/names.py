"""How names and addresses are spelled: whatever passes here may stand in a file name or a line of configuration."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, literal, select, union_all
from sqlalchemy.exc import DBAPIError, IntegrityError

from rollbuild.cluster.schema import aliases, appliances, hosts, interfaces
from rollbuild.errors import USAGE, RollbuildError

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VM_NAME = re.compile(r".+-\d+-\d+-\d+")
_RACK = re.compile(r"rack\d+")
_WORD = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")
# As long as Linux takes.
_DEVICE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,14}")
_DIGITS = re.compile(r"([0-9]+)")
_HEX = re.compile(r"[0-9a-f]+")
_ZONE_LENGTH = 253
_TEXT_LENGTH = 4096
# Of Ethernet and of InfiniBand.
_OCTETS = (6, 20)


def spell_mac(text: str) -> str:
    """A MAC in lower case with colons; `52-54-00-AA-10-00`, `5254.00aa.1000` and octets of one digit are read too.

    Raises RollbuildError, exit code USAGE, for what is no MAC of an interface.
    """
    lowered = text.strip().lower()
    octets = re.split(r"[:-]", lowered)
    if len(octets) == 1:
        digits = lowered.replace(".", "")
        octets = [digits[place : place + 2] for place in range(0, len(digits), 2)] if len(digits) % 2 == 0 else []
    if len(octets) not in _OCTETS or not all(_HEX.fullmatch(octet) and len(octet) <= 2 for octet in octets):
        raise RollbuildError(f"{text!r} is no MAC address", hint="it looks like 52:54:00:aa:10:00", exit_code=USAGE)
    if len(octets) == 6 and (int(octets[0], 16) & 1 or not any(int(octet, 16) for octet in octets)):
        raise RollbuildError(
            f"the MAC {text} belongs to no interface", hint="is it a multicast address?", exit_code=USAGE
        )
    return ":".join(octet.zfill(2) for octet in octets)


def spell_address(text: str) -> str:
    """An IPv4 address as it is usually written. Raises RollbuildError, exit code USAGE."""
    try:
        return str(ipaddress.IPv4Address(text.strip()))
    except ValueError as problem:
        raise RollbuildError(
            f"{text!r} is no IPv4 address", hint="it looks like 10.1.255.254", exit_code=USAGE
        ) from problem


def spell_host_name(text: str, *, is_vm: bool = False) -> str:
    """The name, where its form is that of a host's: one lower-case DNS label that means nothing else.

    Names of four parts, as compute-0-0-0, are those of VMs. Raises RollbuildError, exit code USAGE.
    """
    if "." in text:
        raise _refused_name(text, "has a dot", f"a host has a plain name; try {text.partition('.')[0]!r}")
    if _LABEL.fullmatch(text.lower()) and text != text.lower():
        raise _refused_name(text, "has upper-case letters", f"write {text.lower()}")
    if not _LABEL.fullmatch(text):
        hint = "a name is of lower-case letters, digits and dashes, begins and ends with no dash, and has at most 63"
        raise _refused_name(text, "is none", hint)
    if _RACK.fullmatch(text):
        raise _refused_name(text, "means all hosts of a rack", "choose another name")
    if text == "localhost":
        raise _refused_name(text, "means the front end", "choose another name")
    if text.isdigit():
        raise _refused_name(text, "is a number", "choose a name with a letter: programs take this one for an address")
    if _VM_NAME.fullmatch(text) and not is_vm:
        raise _refused_name(text, "is that of a VM", "a host's name has three parts, as compute-0-0")
    return text


# What has a name, but for a host `but` and its interfaces, which may be called as it is.
_name: BindParameter[str] = bindparam("name")
_NAMED = union_all(
    select(literal("appliance").label("kind"), appliances.c.name.label("owner")).where(appliances.c.name == _name),
    select(literal("host"), hosts.c.name).where(hosts.c.name == _name, hosts.c.name != bindparam("but")),
    select(literal("alias"), aliases.c.host).where(aliases.c.name == _name),
    select(literal("interface"), interfaces.c.host).where(
        interfaces.c.name == _name, interfaces.c.host != bindparam("but"), interfaces.c.host != _name
    ),
)


FRONT_END = "frontend"


def check_host_name(c: Connection, name: str, *, is_vm: bool = False, but: str = "", appliance: str = "") -> str:
    """The name, where a new host may have it: of the right form, and nothing else in the cluster is called so.

    `but` is the host that is renamed, `appliance` that of the host: the one front end may be called `frontend`, as the
    rolls have it by default, since the word means the same host either way. Raises RollbuildError.
    """
    spell_host_name(name, is_vm=is_vm)
    for row in c.execute(_NAMED, {"name": name, "but": but}):
        match row.kind:
            case "appliance":
                if name == appliance == FRONT_END:
                    continue
                raise _refused_name(name, "is an appliance's", "choose another name, as compute-0-0")
            case "host":
                raise RollbuildError(
                    f"{describe_host(c, name)} exists already", hint="choose another name, rack or rank"
                )
            case "alias":
                raise RollbuildError(f'"{name}" is an alias of host "{row.owner}" already', hint="choose another name")
        raise RollbuildError(f'"{name}" is the name of an interface of host "{row.owner}" already')
    return name


def describe_host(c: Connection, name: str) -> str:
    """As `host "compute-0-0" (rack 0, rank 0, MAC 52:54:00:aa:10:00)`, for messages."""
    row = c.execute(select(hosts.c.rack, hosts.c.rank).where(hosts.c.name == name)).first()
    if row is None:
        return f'host "{name}"'
    first = select(interfaces.c.mac).where(interfaces.c.host == name, interfaces.c.mac.is_not(None))
    mac = c.execute(first.order_by(interfaces.c.device)).scalar()
    return f'host "{name}" (rack {row.rack}, rank {row.rank}' + (f", MAC {mac})" if mac else ")")


def check_word(text: str, what: str) -> str:
    """The name of an appliance or network: letters, digits, `_`, `.` and `-`. Raises RollbuildError, USAGE."""
    if not _WORD.fullmatch(text):
        hint = "a name is of letters, digits, dashes, dots and underscores, and begins and ends with a letter or digit"
        raise RollbuildError(f"{text!r} is no name of {what}", hint=hint, exit_code=USAGE)
    return text


def check_device(text: str) -> str:
    """The name of an interface, as eth0. Raises RollbuildError, exit code USAGE."""
    if not _DEVICE.fullmatch(text):
        raise RollbuildError(f"{text!r} is no name of an interface", hint="it looks like eth0", exit_code=USAGE)
    return text


def check_zone(text: str) -> str:
    """A DNS domain in lower case, without a dot at its end; "" for none. Raises RollbuildError, exit code USAGE."""
    zone = text.lower().rstrip(".")
    if len(zone) > _ZONE_LENGTH or not all(_LABEL.fullmatch(label) for label in zone.split(".") if zone):
        raise RollbuildError(f"{text!r} is no DNS domain", hint="it looks like cluster.example.org", exit_code=USAGE)
    return zone


def check_text(text: str, what: str) -> str:
    """A text that fits on one line of a file. Raises RollbuildError, exit code USAGE."""
    if len(text) > _TEXT_LENGTH:
        raise RollbuildError(f"{what} is longer than {_TEXT_LENGTH} characters", exit_code=USAGE)
    if not text.isprintable():
        raise RollbuildError(f"{what} has a line end or a control character: {text!r}", exit_code=USAGE)
    return text


def check_number(value: int, what: str, lowest: int, highest: int) -> int:
    """A whole number within limits. Raises RollbuildError, exit code USAGE."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int")
    if not lowest <= value <= highest:
        raise RollbuildError(f"{what} must be from {lowest} to {highest}, not {value}", exit_code=USAGE)
    return value


def number_order(name: str) -> tuple[list[Any], str]:
    """A sort key: compute-0-2 before compute-0-10."""
    parts: list[Any] = _DIGITS.split(name)
    parts[1::2] = map(int, parts[1::2])
    return parts, name


def nearest(word: str, names: Iterable[str]) -> str:
    """A hint that names the most similar of some names, or ""."""
    found = get_close_matches(word, list(names), n=1)
    return f"did you mean {found[0]}?" if found else ""


@contextmanager
def savepoint(c: Connection, *, otherwise: Callable[[], RollbuildError]) -> Iterator[None]:
    """Undo the block where a constraint refuses it, and raise what `otherwise` then finds to say."""
    point = c.begin_nested()
    try:
        yield
    except IntegrityError as problem:
        point.rollback()
        raise otherwise() from problem
    except BaseException:
        # A full disk or a lost server ended the transaction already: what matters is why.
        with suppress(DBAPIError):
            point.rollback()
        raise
    point.commit()


def _refused_name(name: str, why: str, hint: str) -> RollbuildError:
    return RollbuildError(f'"{name}" cannot be a host\'s name: it {why}', hint=hint, exit_code=USAGE)
