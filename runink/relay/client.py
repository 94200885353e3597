"""The agent's side of its relay: finds the one that an earlier life has left, or starts one, and hands it pipes.

    at the socket's path                          what happens
    a relay with our settings                     it is ours, with all streams that it carries
    a relay with others (an address has changed)  it is told to leave, and one is started
    nobody                                        one is started

One that has ended is replaced when it is needed next; the streams that it carried are over.  Leaving it behind ends it as soon as it has no streams.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGTERM
from typing import Final

import anyio
import msgspec

from runink.config import Address
from runink.errors import LinkLost, NotFound, TimedOut, Unavailable
from runink.observe.metrics import Reading
from runink.relay.protocol import (
    ASKING,
    LISTENING,
    PACKET_BYTES_MAX,
    Count,
    Counted,
    Leave,
    Read,
    RelaySettings,
    Welcome,
    Write,
)
from runink.sandbox.arguments import INTERPRETER_OPTIONS, kept_environment
from runink.sandbox.door import SOCKET_MODE, listen
from runink.sandbox.kernel import address_of
from runink.wire.sockets import check_may_listen, check_peer, listen_tcp

START_S: Final = 15.0  # a busy machine loads Python in a second
LEAVE_S: Final = 10.0
LOOK_S: Final = 0.05  # between two looks whether one that was told to leave is gone
REAP_S: Final = 2.0
COUNT_S: Final = 2.0  # that a scrape waits for it: Prometheus has 10
LOG_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
_ABOVE: Final = 10  # descriptors of a child's are put below this


@dataclass(frozen=True, slots=True)
class RelayPlace:
    """Where a node's relay is asked and logs, where it listens for others, and what it is started with."""

    socket: Path
    log: Path
    address: Address
    settings: RelaySettings


class RelayClient:
    """One for an agent; `running_relay` makes it."""

    def __init__(self, place: RelayPlace) -> None:
        self._place = place
        self._link: socket.socket | None = None
        self._child = 0  # a process that we have started
        self._turn = anyio.Lock()  # one starts it, others wait
        self._asking = anyio.Lock()  # one reads answers
        self._sending = anyio.Lock()  # one waits for room in the socket
        self._asked = 0

    @property
    def address(self) -> str:
        """Where other relays reach this one."""
        return str(self._place.address)

    async def write(self, wanted: Write, pipe: int) -> None:
        """Carry what is written into a pipe to another node; its read end stays the caller's, too. Raises Unavailable (`relay_not_started`), Refused."""
        await self._send(wanted, pipe)

    async def read(self, wanted: Read, pipe: int) -> None:
        """Write what comes for an edge into a pipe; its write end stays the caller's, too. Raises as `write`."""
        await self._send(wanted, pipe)

    async def readings(self) -> tuple[Reading, ...]:
        """Return what the relay has counted; nothing where none runs now, or it does not answer in time."""
        async with self._asking:
            link = self._link
            if link is None:
                return ()
            self._asked += 1
            with anyio.move_on_after(COUNT_S), suppress(OSError, msgspec.MsgspecError):
                link.send(msgspec.msgpack.encode(Count(self._asked)))
                return await _counted(link, self._asked)
            return ()

    async def start(self) -> None:
        """Find the relay or start it. Raises Refused (`cannot_listen`, `tls_required`), Unavailable (`relay_not_started`)."""
        async with self._turn:
            if self._link is None:
                self._link = await self._found() or await self._started()

    async def aclose(self) -> None:
        """Leave it behind, and wait for its end if it ends at once."""
        self._part()
        await self._reap(REAP_S)

    async def _send(self, message: Write | Read, pipe: int) -> None:
        data = msgspec.msgpack.encode(message)
        for _ in range(2):  # the one that we had may have ended
            await self.start()
            link = self._link
            assert link is not None
            try:
                async with self._sending:
                    while not _was_sent(link, data, pipe):
                        await anyio.wait_writable(link)
            except OSError:
                # Unless another one has found out before, and there is a new one.
                if self._link is link:
                    self._part()
            else:
                return
        raise LinkLost("the node's relay ends as soon as it is started", hint="see its log")

    def _part(self) -> None:
        if self._link is not None:
            anyio.notify_closing(self._link)
            self._link.close()
            self._link = None

    async def _found(self) -> socket.socket | None:
        """Return a connection to the relay that runs already, if it is started as we would start it. Another one is ended."""
        link = self._connected()
        if link is None:
            return None
        welcome = await _welcome(link)
        if welcome is not None and welcome.digest == self._place.settings.digest:
            return link
        with suppress(OSError):
            link.send(msgspec.msgpack.encode(Leave()))
        link.close()
        with anyio.move_on_after(LEAVE_S):
            while (link := self._connected()) is not None:
                link.close()
                await anyio.sleep(LOOK_S)
            return None
        raise TimedOut(f"the relay at {self._place.socket} does not end")

    def _connected(self) -> socket.socket | None:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.setblocking(False)
        try:
            with address_of(str(self._place.socket)) as address:
                link.connect(address)
            check_peer(link)
        except (FileNotFoundError, ConnectionRefusedError):
            link.close()
            return None
        except BaseException:
            link.close()
            raise
        return link

    async def _started(self) -> socket.socket:
        place = self._place
        await self._reap(0.0)
        check_may_listen(place.address.host, has_tls=bool(place.settings.trust))
        with listen_tcp(place.address.host, place.address.port) as listening:
            place.socket.unlink(missing_ok=True)  # of one that was killed
            with listen(str(place.socket)) as asking:
                link = self._connected()
                assert link is not None, "we listen there ourselves"
                try:
                    self._child = _spawned(place, asking.fileno(), listening.fileno())
                except OSError as error:
                    link.close()
                    text = f"the relay cannot be started: {error.strerror or error}"
                    raise Unavailable(text, code="relay_not_started") from error
        if await _welcome(link) is None:
            link.close()
            await self._reap(REAP_S)
            text = "the relay has ended as soon as it was started"
            raise Unavailable(text, code="relay_not_started", hint=f"see {place.log}")
        return link

    async def _reap(self, within_s: float) -> None:
        """Take away what is left of a child that has ended, or is about to."""
        if not self._child:
            return
        pidfd = os.pidfd_open(self._child)  # not reaped yet, so the number is still its own
        try:
            with anyio.move_on_after(within_s, shield=True):
                await anyio.wait_readable(pidfd)
            with suppress(ChildProcessError):
                if os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG):  # noqa: ASYNC222 - WNOHANG does not wait
                    self._child = 0
        finally:
            os.close(pidfd)


@asynccontextmanager
async def running_relay(place: RelayPlace) -> AsyncIterator[RelayClient]:
    """Have a relay for as long as the block; it outlives that while it carries streams. Raises as `RelayClient.start`."""
    client = RelayClient(place)
    try:
        await client.start()
        yield client
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()


async def resolved(address: Address) -> str:
    """Return an address of a host, which may be a name. Raises NotFound (`unknown_host`)."""
    try:
        found = await anyio.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        text = f"{address.host} is not known here: {error.strerror or error}"
        raise NotFound(text, code="unknown_host", hint="see --listen of that node") from error
    return str(found[0][4][0])


def _was_sent(link: socket.socket, data: bytes, pipe: int) -> bool:
    try:
        socket.send_fds(link, [data], [pipe], socket.MSG_NOSIGNAL)
    except BlockingIOError:
        return False
    return True


async def _welcome(link: socket.socket) -> Welcome | None:
    """Return what a relay says first, nothing if it has ended instead."""
    with anyio.move_on_after(START_S):
        await anyio.wait_readable(link)
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.msgpack.decode(link.recv(PACKET_BYTES_MAX), type=Welcome)
    return None


async def _counted(link: socket.socket, number: int) -> tuple[Reading, ...]:
    """Return the answer with this number; those before it came too late. Nothing if the relay ends. Raises OSError, MsgspecError."""
    while True:  # ends with the answer, or with the caller's time
        try:
            await anyio.wait_readable(link)
        except anyio.ClosedResourceError:
            return ()
        data = link.recv(PACKET_BYTES_MAX)
        if not data:
            return ()
        counted = msgspec.msgpack.decode(data, type=Counted)
        if counted.number == number:
            return counted.readings


def _spawned(place: RelayPlace, asking: int, listening: int) -> int:
    """Start the process and return it. Raises OSError."""
    read, write = os.pipe2(os.O_CLOEXEC)
    log = os.open(place.log, LOG_FLAGS, SOCKET_MODE)
    above = [
        fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for one in (read, log, asking, listening)
    ]
    try:
        settings, said, asks, listens = above
        child = os.posix_spawn(
            sys.executable,
            [sys.executable, *INTERPRETER_OPTIONS, "-m", "runink.relay.process"],
            kept_environment(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, settings, 0),
                (os.POSIX_SPAWN_DUP2, said, 1),
                (os.POSIX_SPAWN_DUP2, said, 2),
                (os.POSIX_SPAWN_DUP2, asks, ASKING),
                (os.POSIX_SPAWN_DUP2, listens, LISTENING),
            ],
            setsid=True,  # no terminal's signals
            setsigmask=(),
            setsigdef=(SIGINT, SIGHUP, SIGTERM, SIGCHLD, SIGPIPE),
        )
        os.write(write, msgspec.msgpack.encode(place.settings))  # less than a pipe holds
    finally:
        for one in (*above, read, write, log):
            os.close(one)
    return child
