"""Which keys OpenPGP packets name; nothing is verified here.

Source: RFC 4880 (versions 3 and 4) and RFC 9580 (version 6).
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator

_SIGNATURE, _PUBLIC_KEY, _PUBLIC_SUBKEY = 2, 6, 14
_ISSUER, _ISSUER_FINGERPRINT = 16, 33
UNKNOWN_ID = "0" * 16
"""The key id of a signature that does not say who made it."""


def read_issuers(signatures: bytes) -> tuple[str, ...]:
    """The key ids (16 lower-case hexadecimal digits) of signature packets; UNKNOWN_ID for one that names none."""
    try:
        ids = [_issuer(body) for kind, body in _packets(signatures) if kind == _SIGNATURE]
    except (IndexError, ValueError):
        ids = []
    return tuple(dict.fromkeys(ids)) or (UNKNOWN_ID,)


def read_key_ids(keys: bytes) -> tuple[str, ...]:
    """The ids of the keys and subkeys in a file of public keys, armoured or not; () when it holds none."""
    ids = []
    try:
        for block in _unarmoured(keys):
            for kind, body in _packets(block):
                if kind in (_PUBLIC_KEY, _PUBLIC_SUBKEY):
                    ids.append(_key_id(body))
    except (IndexError, ValueError):
        return ()
    return tuple(dict.fromkeys(ids))


def unarmoured_text(text: str) -> bytes:
    """The bytes of a Base64 text, as rpm keeps signatures since 4.20; b"" for what is none."""
    try:
        return base64.b64decode(text.encode("ascii", "replace"))
    except ValueError:
        return b""


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        first = data[at]
        if not first & 0x80:
            raise ValueError("no packet starts here")
        at += 1
        if first & 0x40:
            kind = first & 0x3F
            length, at = _new_length(data, at)
        else:
            kind, width = first >> 2 & 0x0F, (1, 2, 4, 0)[first & 3]
            length = int.from_bytes(data[at : at + width]) if width else len(data) - at
            at += width
        if length > len(data) - at:
            raise ValueError("a packet ends after the data")
        yield kind, data[at : at + length]
        at += length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 192:
        return first, at + 1
    if first < 224:
        return (first - 192 << 8) + data[at + 1] + 192, at + 2
    if first == 255:
        return int.from_bytes(data[at + 1 : at + 5]), at + 5
    raise ValueError("a packet in parts")


def _issuer(body: bytes) -> str:
    version = body[0]
    if version in (2, 3):
        return _checked_id(body[7:15])
    width = {4: 2, 6: 4}.get(version, 0)
    at, issuer = 4, UNKNOWN_ID
    for _ in range(2 if width else 0):  # the subpackets that are signed, then those that are not
        length = int.from_bytes(body[at : at + width])
        at += width
        for kind, content in _subpackets(body[at : at + length]):
            if kind == _ISSUER:
                return _checked_id(content)
            if kind == _ISSUER_FINGERPRINT:
                issuer = _checked_id(content[-8:] if content[0] == 4 else content[1:9])
        at += length
    return issuer


def _subpackets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        first = data[at]
        if 192 <= first < 255:  # unlike a packet's, this form reaches up to 254
            length, at = (first - 192 << 8) + data[at + 1] + 192, at + 2
        else:
            length, at = _new_length(data, at)
        if not 0 < length <= len(data) - at:
            raise ValueError("a subpacket ends after the data")
        yield data[at] & 0x7F, data[at + 1 : at + length]
        at += length


def _key_id(body: bytes) -> str:
    version = body[0]
    if version == 4:
        digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body, usedforsecurity=False)
        return digest.hexdigest()[-16:]
    if version == 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4) + body).hexdigest()[:16]
    return UNKNOWN_ID


def _checked_id(data: bytes) -> str:
    return data.hex() if len(data) == 8 else UNKNOWN_ID


def _unarmoured(data: bytes) -> Iterator[bytes]:
    """The packets of each armoured block, or the data itself when it is not armoured."""
    if data[:1] and data[0] & 0x80:
        yield data
        return
    for block in data.replace(b"\r\n", b"\n").split(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")[1:]:
        inside = block.split(b"-----END", 1)[0]
        _, _, lines = inside.partition(b"\n\n")
        coded = b"".join(line for line in lines.split(b"\n") if not line.startswith(b"="))
        try:
            yield base64.b64decode(coded, validate=True)
        except binascii.Error as problem:
            raise ValueError(str(problem)) from None
