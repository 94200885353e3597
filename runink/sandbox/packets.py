"""Packets with descriptors over SOCK_SEQPACKET sockets: received whole or refused, sent without ever blocking.

Who owns a descriptor: what `receive` returns belongs to the caller; what is given to `send` stays the caller's (a packet that has to
wait keeps duplicates).  A packet whose descriptors did not all fit (the process has too many open) is refused, and those
that came are closed: half a set of pipes is of no use.
"""

from __future__ import annotations

import _socket
import array
import errno
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runink.sandbox.codec import (
    DESCRIPTORS_MAX,
    MESSAGE_BYTES_MAX,
    BadMessage,
    Check,
    Received,
    decode,
    encode,
)

WAITING_PACKETS_MAX = (
    8192  # twice what all slices could tell at once; who lets more wait is not reading
)
# As numbers: to join two of the socket module's flags takes as long as to receive a packet.
CLOSED_ON_EXEC = int(socket.MSG_CMSG_CLOEXEC)
CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_ANCILLARY_BYTES = socket.CMSG_SPACE(253 * 4)  # the most that the kernel sends with one packet


class Packet(NamedTuple):
    """`whole` is false if it, or its descriptors, were cut."""

    body: bytes
    descriptors: list[int]
    whole: bool


def receive(link: _socket.socket) -> Packet | None:
    """Return the next packet, its descriptors close-on-exec, or nothing at the end. Raises BlockingIOError where there is none yet."""
    try:
        body, ancillary, flags, _ = link.recvmsg(
            MESSAGE_BYTES_MAX + 1, _ANCILLARY_BYTES, CLOSED_ON_EXEC
        )
    except ConnectionResetError:
        return None
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    if not body and not found:
        return None
    return Packet(body, list(found), not flags & CUT)


def understood(
    packet: Packet, kinds: Mapping[str, type], fields: Mapping[type, Mapping[str, Check]]
) -> Received:
    """Return the message in the packet. Raises BadMessage, after closing the packet's descriptors."""
    try:
        received = decode(packet.body, kinds, fields, came=len(packet.descriptors))
        _check_whole(packet, received)
    except BadMessage:
        close_all(packet.descriptors)
        raise
    return received


def _check_whole(packet: Packet, received: Received) -> None:
    """Refuse what was cut in a way that its content does not show."""
    if not packet.whole:
        raise BadMessage("too_big", "descriptors were cut", request=received.request)


def close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


class Outbox:
    """The sending side of a socket. On a non-blocking one, what does not fit waits, in order, until `flush`."""

    def __init__(self, link: _socket.socket, kinds: Mapping[str, type]) -> None:
        self._link = link
        self._names = {message: kind for kind, message in kinds.items()}
        self._waiting: deque[tuple[bytes, list[int]]] = deque()

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def send(self, message: Any, *, request: int = 0, descriptors: Sequence[int] = ()) -> bool:
        """Send the message, or keep it for `flush`. False if the other side is gone or has stopped reading. Raises BadMessage."""
        assert len(descriptors) <= DESCRIPTORS_MAX
        kind = self._names[type(message)]
        body = encode(kind, message, request=request, descriptors=len(descriptors))
        return self.send_encoded(body, descriptors)

    def send_encoded(self, body: bytes, descriptors: Sequence[int] = ()) -> bool:
        """Do the same with a message that is bytes already."""
        if not self._waiting:
            sent = self._sent(body, descriptors)
            if sent is not None:
                return sent
        if len(self._waiting) >= WAITING_PACKETS_MAX:
            return False
        self._waiting.append((body, [os.dup(descriptor) for descriptor in descriptors]))
        return True

    def flush(self) -> bool:
        """Send what waits and now fits. False if the other side is gone."""
        while self._waiting:
            body, descriptors = self._waiting[0]
            sent = self._sent(body, descriptors)
            if not sent:
                return sent is None
            self._waiting.popleft()
            close_all(descriptors)
        return True

    def close(self) -> None:
        """Drop what waits."""
        while self._waiting:
            close_all(self._waiting.popleft()[1])

    def _sent(self, body: bytes, descriptors: Sequence[int]) -> bool | None:
        """Return true if sent, nothing if there is no room now, false if the other side is gone."""
        try:
            if descriptors:
                rights = array.array("i", descriptors)
                self._link.sendmsg([body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            else:
                self._link.send(body)
        except BlockingIOError:
            return None
        except OSError as error:
            # ETOOMANYREFS: too many descriptors are on their way already; they become fewer as the other side reads.
            return None if error.errno == errno.ETOOMANYREFS else False
        return True
