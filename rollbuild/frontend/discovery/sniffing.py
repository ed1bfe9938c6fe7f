"""Listening for DHCP requests on a device, whichever server answers them, if one does."""

import errno
import select
import socket
from collections.abc import Iterator
from threading import Event

from rollbuild.errors import REFUSED, USAGE, RollbuildError
from rollbuild.frontend.discovery.packets import read_packet
from rollbuild.frontend.discovery.values import Asked

_IPV4 = 0x0800
_LONGEST = 65536
_WAIT = 0.2
_OUTGOING = 4  # PACKET_OUTGOING: what this machine sent itself


def open_device(device: str) -> socket.socket:
    """A socket that gets the IPv4 packets which arrive on a device.

    Raises RollbuildError when there is no such device, or without the right to listen (CAP_NET_RAW).
    """
    try:
        # Cooked: the kernel takes the Ethernet header off, with any VLAN tag that belongs to the device.
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_IPV4))
    except PermissionError:
        raise RollbuildError(
            "listening for DHCP requests needs root", hint="run insert-ethers as root, or let it read a log: --log FILE"
        ) from None
    try:
        listener.bind((device, _IPV4))
        listener.setblocking(False)
    except OSError as problem:
        listener.close()
        reason = (problem.strerror or str(problem)).lower()
        raise RollbuildError(
            f"cannot listen on the device {device}: {reason}",
            hint="`ip link` shows the devices; --listen DEVICE names one",
            exit_code=USAGE if problem.errno == errno.ENODEV else REFUSED,
        ) from None
    return listener


def listen(listener: socket.socket, device: str, stop: Event) -> Iterator[Asked]:
    """Machines as they ask, until `stop` is set; the socket is then closed. Raises RollbuildError when it fails."""
    with listener:
        while not stop.is_set():
            try:
                if not select.select([listener], [], [], _WAIT)[0]:
                    continue
                packet, source = listener.recvfrom(_LONGEST)
            except BlockingIOError:
                continue
            except OSError as problem:
                reason = (problem.strerror or str(problem)).lower()
                raise RollbuildError(f"cannot listen on the device {device} any more: {reason}") from None
            if source[2] == _OUTGOING:
                continue
            asked = read_packet(packet, device)
            if asked is not None:
                yield asked
