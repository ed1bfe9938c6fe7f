"""What makes an answer of `rollbuild init` wrong, in words that follow the attribute's name."""

import ipaddress
import re
from collections.abc import Callable, Mapping

from rollbuild.commands._wizard_computed import Values, network_of
from rollbuild.commands._wizard_questions import Answers, Question
from rollbuild.language import did_you_mean

_HASH = re.compile(r"\$(?:5|6|y|gy|2b|7)\$[A-Za-z0-9./$=,+-]{20,}\Z")
_SSH_KEY = re.compile(
    r"(?:[^\s#].*? )?(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)|sk-\S+@openssh\.com) "
    r"[A-Za-z0-9+/]{30,}={0,2}(?: .*)?"
)
_LABEL = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")


def spell(question: Question, answer: str) -> str:
    """The answer as it is written: choices and yes or no in their own spelling, without blanks around it."""
    text = answer.strip()
    declaration = question.declaration
    if declaration.type == "boolean":
        if text.lower() in ("y", "yes", "true", "on", "1"):
            return "yes"
        if text.lower() in ("n", "no", "false", "off", "0"):
            return "no"
    if declaration.type == "choice" and text not in declaration.choices:
        same = [choice for choice in declaration.choices if choice.lower().startswith(text.lower())]
        if text and len(same) == 1:
            return same[0]
    if declaration.type == "hostname":
        return text.lower()
    return text


def explain_misfit(question: Question, value: str, answers: Answers) -> str:
    """Why a value cannot be the answer to a question, given the others; empty when it can."""
    if not value:
        return "is needed" if question.needed else _EMPTY.get(question.name, "")
    if misfit := question.declaration.explain_misfit(value):
        return misfit
    if "\n" in value and not question.has_lines:
        return "must be one line"
    if any(not character.isprintable() for character in value if character not in "\n\t"):
        return "holds control characters"
    if question.is_password and not _HASH.match(value):
        return "must be a hash, such as `openssl passwd -6` makes: a password does not belong into a file"
    check = _CHECKS.get(question.name)
    return check(value, answers.value) if check else ""


def _check_netmask(value: str, values: Values) -> str:
    del values
    network = network_of("10.0.0.0", value)
    if network is None or "." not in value:
        return "must be a mask such as 255.255.0.0"
    return "" if 8 <= network.prefixlen <= 30 else "must leave room for hosts: 255.0.0.0 to 255.255.255.252"


def _check_own_address(prefix: str) -> Callable[[str, Values], str]:
    def check(value: str, values: Values) -> str:
        if ":" in value:
            return "must be an IPv4 address"
        address = ipaddress.IPv4Address(value)
        if address.is_multicast or address.is_loopback or address.is_unspecified:
            return "must be an address that a machine can have"
        network = network_of(value, values(f"Kickstart_{prefix}Netmask"))
        if network is not None and address in (network.network_address, network.broadcast_address):
            return f"must be an address in {network}, not the network or its broadcast address"
        private = network_of(values("Kickstart_PrivateAddress"), values("Kickstart_PrivateNetmask"))
        if prefix == "Public" and private is not None and address in private:
            return f"lies in the cluster's own network {private}: the two must be apart"
        return ""

    return check


def _check_gateway(prefix: str) -> Callable[[str, Values], str]:
    def check(value: str, values: Values) -> str:
        if ":" in value:
            return "must be an IPv4 address"
        network = network_of(values(f"Kickstart_{prefix}Address"), values(f"Kickstart_{prefix}Netmask"))
        address = ipaddress.IPv4Address(value)
        if network is None:
            return ""
        if address not in network or address in (network.network_address, network.broadcast_address):
            return f"must be an address in {network}"
        if prefix == "Public" and value == values("Kickstart_PublicAddress"):
            return "must be another machine than the front end"
        return ""

    return check


def _check_network(value: str, values: Values) -> str:
    network = network_of(values("Kickstart_PrivateAddress"), values("Kickstart_PrivateNetmask"))
    if network is not None and value != str(network.network_address):
        return f"must be {network.network_address}, as Kickstart_PrivateAddress and its mask say"
    return ""


def _check_bits(value: str, values: Values) -> str:
    network = network_of(values("Kickstart_PrivateAddress"), values("Kickstart_PrivateNetmask"))
    if network is not None and value != str(network.prefixlen):
        return f"must be {network.prefixlen}, as Kickstart_PrivateNetmask says"
    return ""


def _check_addresses(value: str, values: Values) -> str:
    del values
    for part in value.split(","):
        try:
            ipaddress.ip_address(part.strip())
        except ValueError:
            return "must be IP addresses, separated by commas"
    return ""


def _check_short_name(value: str, values: Values) -> str:
    del values
    return "" if _LABEL.match(value) else "must be letters, digits and dashes, first a letter: the domain comes apart"


def _check_full_name(value: str, values: Values) -> str:
    del values
    return "" if "." in value else "must be a full name, with its domain, such as cluster.example.org"


def _check_domain(value: str, values: Values) -> str:
    del values
    if value == "local" or value.endswith(".local"):
        return "must not be .local, which multicast DNS claims for itself: cluster.internal will do"
    return ""


def _check_timezone(value: str, values: Values) -> str:
    del values
    import zoneinfo

    known = zoneinfo.available_timezones()
    if not known or value in known:
        return ""
    near = did_you_mean(value, known)
    return f"must be a time zone such as Europe/Berlin{'; ' + near if near else ''}"


def _check_ssh_keys(value: str, values: Values) -> str:
    del values
    if "PRIVATE KEY" in value:
        return "must be public keys: this is a private one, which must stay where it is"
    for line in value.split("\n"):
        if line.strip() and not line.startswith("#") and not _SSH_KEY.fullmatch(line.strip()):
            return "must be public keys, such as the line in ~/.ssh/id_ed25519.pub"
    return ""


_EMPTY: Mapping[str, str] = dict.fromkeys(
    (
        "Kickstart_PrivateAddress",
        "Kickstart_PrivateNetmask",
        "Kickstart_PrivateNetwork",
        "Kickstart_PrivateNetmaskCIDR",
        "Kickstart_PrivateDNSDomain",
        "Kickstart_PrivateHostname",
        "Kickstart_PublicHostname",
        "Kickstart_Timezone",
        "Kickstart_Lang",
        "Kickstart_Keyboard",
    ),
    "is needed",
)

_CHECKS: Mapping[str, Callable[[str, Values], str]] = {
    "Kickstart_PrivateAddress": _check_own_address("Private"),
    "Kickstart_PrivateNetmask": _check_netmask,
    "Kickstart_PrivateNetwork": _check_network,
    "Kickstart_PrivateNetmaskCIDR": _check_bits,
    "Kickstart_PrivateGateway": _check_gateway("Private"),
    "Kickstart_PrivateDNSServers": _check_addresses,
    "Kickstart_PrivateDNSDomain": _check_domain,
    "Kickstart_PrivateHostname": _check_short_name,
    "Kickstart_PublicHostname": _check_full_name,
    "Kickstart_PublicAddress": _check_own_address("Public"),
    "Kickstart_PublicNetmask": _check_netmask,
    "Kickstart_PublicGateway": _check_gateway("Public"),
    "Kickstart_PublicDNSServers": _check_addresses,
    "Kickstart_Timezone": _check_timezone,
    "ssh_root_keys": _check_ssh_keys,
}
