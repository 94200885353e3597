"""One connection of a relay: a socket that never blocks, TLS where there is any, and the session of its streams.

    step       takes what has come and sends what waits, as far as that goes at once
    events     for what to wait before the next step
    is_ready   something has come already that no descriptor would tell of: TLS has it

What is sent is not copied: Python's TLS and `sendmsg` take the buffers as they were read from a pipe.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections import deque
from itertools import islice
from typing import Any, Final

from runink.wire.sockets import peer_host
from runink.wire.streams import Buffer, StreamEvent, StreamSession

READ_BYTES: Final = 256 << 10
SECURED_BYTES: Final = (
    16 << 10
)  # of a record: TLS gives no more at once, and room for more is made in vain
READS_MAX: Final = 64  # of a turn: others have one, too
PIECES_MAX: Final = 64  # of one system call


class Connection:
    """`link` is connected, or is about to be. The session says what it is for."""

    def __init__(
        self,
        link: socket.socket,
        session: StreamSession,
        *,
        tls: ssl.SSLContext | None,
        name: str = "",
    ) -> None:
        """Take over a socket. `name` is whose certificate it must be that we have dialled, empty where we were."""
        link.setblocking(False)
        self.session = session
        self.peer_host = peer_host(link)  # if others have made it
        self.streams: dict[int, Any] = {}  # our end of each, by its number
        self.unsent_bytes = 0
        self.is_ready = False
        self.is_ended = False  # nothing comes any more
        self._link = link
        self._tls = tls
        self._name = name
        self._is_connected = not name
        self._is_shaking = tls is not None
        self._out: deque[Buffer] = deque()
        self._wants = 0
        if self._is_connected:
            self._secure()

    def fileno(self) -> int:
        return self._link.fileno()

    @property
    def events(self) -> int:
        """What to wait for, as epoll's events."""
        if not self._is_connected:
            return select.EPOLLOUT
        if self._is_shaking:
            return self._wants or select.EPOLLIN
        return select.EPOLLIN | (select.EPOLLOUT if self._out else 0) | self._wants

    def step(self, now: float) -> list[StreamEvent]:
        """Go on as far as that is possible without waiting, and return what has come. Never raises for what the network does."""
        self._wants = 0
        try:
            if not self._is_connected:
                self._connect()
            if self._is_shaking:
                self._shake()
            events = [] if self._is_shaking else self._receive(now)
        except OSError as error:  # TLS's errors are some
            self.is_ended = True
            return self.session.end(_said(error))
        return events + self.flush()

    def flush(self) -> list[StreamEvent]:
        """Send what waits, as far as the kernel takes it; return what that means."""
        fresh = self.session.take_output()
        self._out.extend(fresh)
        self.unsent_bytes += sum(map(len, fresh))
        if not self._is_connected or self._is_shaking:
            return []
        try:
            while self._out:
                self._sent(self._send())
        except (BlockingIOError, ssl.SSLWantWriteError):
            self._wants |= select.EPOLLOUT
        except ssl.SSLWantReadError:
            self._wants |= select.EPOLLIN
        except OSError as error:
            self.is_ended = True
            return self.session.end(_said(error))
        return []

    @property
    def certificate(self) -> bytes:
        """What the other side has shown (DER), empty without TLS."""
        if not isinstance(self._link, ssl.SSLSocket):
            return b""
        return self._link.getpeercert(binary_form=True) or b""

    def close(self) -> None:
        self._link.close()

    def _connect(self) -> None:
        error = self._link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        self._link.getpeername()  # raises where it is not connected after all
        self._is_connected = True
        self._secure()

    def _secure(self) -> None:
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            self._link = self._tls.wrap_socket(
                self._link,
                server_side=not self._name,
                server_hostname=self._name or None,
                do_handshake_on_connect=False,
            )

    def _shake(self) -> None:
        assert isinstance(self._link, ssl.SSLSocket)
        try:
            self._link.do_handshake()
            self._is_shaking = False
        except ssl.SSLWantReadError:
            self._wants = select.EPOLLIN
        except ssl.SSLWantWriteError:
            self._wants = select.EPOLLOUT

    def _receive(self, now: float) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        self.is_ready = False
        most = READ_BYTES if self._tls is None else SECURED_BYTES
        for _ in range(READS_MAX):
            try:
                data = self._link.recv(most)
            except (BlockingIOError, ssl.SSLWantReadError):
                return events
            except ssl.SSLWantWriteError:
                self._wants |= select.EPOLLOUT
                return events
            if not data:
                self.is_ended = True
                return events + self.session.end()
            events += self.session.receive(data, now=now)
            if self.session.is_closed:
                return events
            if self._tls is None and len(data) < most:
                return events  # there was no more
        self.is_ready = isinstance(self._link, ssl.SSLSocket) and self._link.pending() > 0
        return events

    def _send(self) -> int:
        if self._tls is not None:
            return self._link.send(self._out[0])
        return self._link.sendmsg(list(islice(self._out, PIECES_MAX)))

    def _sent(self, size: int) -> None:
        self.unsent_bytes -= size
        while size:
            first = self._out[0]
            if size < len(first):
                self._out[0] = memoryview(first)[size:]
                return
            size -= len(first)
            self._out.popleft()


def _said(error: OSError) -> str:
    return f"the connection broke: {error.strerror or error}"
