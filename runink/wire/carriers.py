"""Carriers: how the bytes of a connection come and go.

    carrier            over                              runs under
    `StreamCarrier`    any stream of anyio's, by a       asyncio and trio; tests with virtual time, streams in memory
                       task that reads and one that writes
    `DirectCarrier`    a transport of asyncio's or       asyncio and uvloop; production
                       uvloop's, which calls it

Both write all that has gathered since the last write in one: many small frames cost one system call.  The direct one wakes no task on the way in and none
on the way out, which is half of what a small message costs; the loop is asked for it by what anyio names as its token (`loops.py`).
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any, Final, Protocol

import anyio
import anyio.abc
from anyio.streams.tls import TLSAttribute

from runink.loops import Bell, asyncio_loop
from runink.wire.traffic import Traffic

READ_BYTES: Final = 256 << 10
SECURED_BYTES: Final = (
    256 << 10
)  # unsent under TLS, until the other side counts as one that does not read
GOODBYE_S: Final = 1.0  # for the last bytes of a connection that ends

BROKEN: Final = (  # what a stream raises that is of no use any more
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    OSError,
)


class Carrier(Protocol):
    """One connection. `writing_since` is the time since which the other side has not read what was written; nothing while it does."""

    writing_since: float | None

    @property
    def certificate(self) -> bytes:
        """What the other side has shown (DER), empty where it has shown none."""

    async def carry(self, traffic: Traffic) -> None:
        """Carry until nothing comes any more, or until it is cancelled."""

    def wake(self) -> None:
        """Take note that there is output."""

    def flush(self) -> None:
        """Write it now, if that is possible without waiting; else soon."""

    async def close(self, goodbye: bytes) -> None:
        """Write the last bytes, if the other side reads, and close; in GOODBYE_S at most, twice that at the worst."""


class StreamCarrier:
    """Carries over a stream of anyio's."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self.writing_since: float | None = None
        self._stream = stream
        self._has_output = Bell()

    @property
    def certificate(self) -> bytes:
        shown = self._stream.extra(TLSAttribute.peer_certificate_binary, None)  # noqa: S610 - a stream, no query
        return shown or b""

    async def carry(self, traffic: Traffic) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._write, traffic)
            await self._read(traffic)
            group.cancel_scope.cancel()

    def wake(self) -> None:
        self._has_output.ring()

    def flush(self) -> None:
        """Do as `wake`: it is written when the writer has its turn."""
        self._has_output.ring()

    async def close(self, goodbye: bytes) -> None:
        with anyio.move_on_after(GOODBYE_S, shield=True), suppress(*BROKEN):
            if goodbye and self.writing_since is None:  # behind half a frame nothing can follow
                await self._stream.send(goodbye)
        with anyio.move_on_after(GOODBYE_S, shield=True), suppress(*BROKEN):
            await self._stream.aclose()

    async def _read(self, traffic: Traffic) -> None:
        while not traffic.is_over:
            try:
                data = await self._stream.receive(READ_BYTES)
            except BROKEN:
                traffic.ended()
            else:
                traffic.received(data, now=anyio.current_time())
                self.wake()
            await traffic.until_writable()

    async def _write(self, traffic: Traffic) -> None:
        while True:  # ends by being cancelled, or with the stream
            await self._has_output.wait()
            data = traffic.take_output()
            if not data:
                continue
            self.writing_since = anyio.current_time()
            try:
                await self._stream.send(data)
            except BROKEN:
                traffic.ended("the connection broke")
                return
            self.writing_since = None
            traffic.written()


class DirectCarrier:
    """Carries over a transport of asyncio's or uvloop's, as whose protocol it is called. Made by `accept_direct` and `connect_direct`."""

    def __init__(self) -> None:
        self.writing_since: float | None = None
        self._loop = asyncio_loop()
        self._transport: Any = None
        self._traffic: Traffic | None = None
        self._early: list[bytes] = []  # came before anybody carried
        self._is_lost = False
        self._failure: BaseException | None = None
        self._happened = Bell()
        self._will_flush = False
        self._is_reading = True

    @property
    def certificate(self) -> bytes:
        secured = self._transport.get_extra_info("ssl_object") if self._transport else None
        return (secured.getpeercert(binary_form=True) if secured else None) or b""

    # What the transport calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        # It says as soon as the other side reads no more. Under TLS it cannot: that holds bytes back for reasons of its own.
        is_secured = transport.get_extra_info("sslcontext") is not None
        transport.set_write_buffer_limits(high=SECURED_BYTES if is_secured else 0)

    def data_received(self, data: bytes) -> None:
        traffic = self._traffic
        if traffic is None:
            self._early.append(data)
            return
        try:
            traffic.received(data, now=self._loop.time())
            if traffic.has_output:
                self.wake()
        except BaseException as error:  # noqa: BLE001 - `carry` raises it, where the connection belongs
            self._failure = error
            self._happened.ring()
        if traffic.is_full and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Let the transport close itself."""

    def connection_lost(self, _: Exception | None) -> None:
        self._is_lost = True
        self._happened.ring()

    def pause_writing(self) -> None:
        self.writing_since = self._loop.time()

    def resume_writing(self) -> None:
        self.writing_since = None
        self._flush()

    # What the traffic calls.

    async def carry(self, traffic: Traffic) -> None:
        self._traffic = traffic
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)
        self.wake()
        while not self._is_lost and self._failure is None:
            await self._happened.wait()
        if self._failure is not None:
            raise self._failure
        traffic.ended()

    def wake(self) -> None:
        if not self._will_flush and self._traffic is not None:
            self._will_flush = True
            self._loop.call_soon(self._flush)

    def flush(self) -> None:
        self._write_out()

    async def close(self, goodbye: bytes) -> None:
        if goodbye and self.writing_since is None and not self._is_lost:
            self._transport.write(goodbye)
        self._transport.close()
        with anyio.move_on_after(GOODBYE_S, shield=True):
            while not self._is_lost:
                await self._happened.wait()
        if not self._is_lost:
            self._transport.abort()

    def _flush(self) -> None:
        self._will_flush = False
        self._write_out()

    def _write_out(self) -> None:
        traffic = self._traffic
        if traffic is None or self.writing_since is not None or self._is_lost:
            return
        data = traffic.take_output()
        if data:
            self._transport.write(data)
            traffic.written()
        if not self._is_reading and not traffic.is_full:
            self._is_reading = True
            self._transport.resume_reading()


def has_direct() -> bool:
    """Say whether the loop that runs has transports."""
    return asyncio_loop() is not None


async def accept_direct(
    connection: socket.socket, tls: ssl.SSLContext | None = None
) -> DirectCarrier:
    """Return what carries over a connected socket, under TLS if there is a context. Raises OSError."""
    carrier = DirectCarrier()
    await asyncio_loop().connect_accepted_socket(lambda: carrier, connection, ssl=tls)
    return carrier  # not what the loop says that the protocol is: under TLS uvloop names its own


async def connect_direct(
    host: str, port: int, tls: ssl.SSLContext | None = None, name: str | None = None
) -> DirectCarrier:
    """Return what carries to a node, under TLS if there is a context: then its certificate must be for `name`. Raises OSError."""
    carrier = DirectCarrier()
    await asyncio_loop().create_connection(
        lambda: carrier, host, port, ssl=tls, server_hostname=name
    )
    return carrier


async def connect_direct_unix(connection: socket.socket) -> DirectCarrier:
    """Return what carries over a connected Unix socket. Raises OSError."""
    carrier = DirectCarrier()
    await asyncio_loop().create_unix_connection(lambda: carrier, sock=connection)
    return carrier
