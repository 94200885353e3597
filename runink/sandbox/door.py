"""The spawner's listening socket and who came in by it.

Only one user may connect: the one that the spawner was started for, else its own (peer credentials; the socket's file is that user's and has mode 0600 besides).  A connection is a
stranger's until it says `hello`; the newest that did is the agent's.  Strangers are few and get little time, so that they cannot fill the table.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from runink.sandbox.kernel import address_of, peer_ids
from runink.sandbox.log import describe, log
from runink.sandbox.packets import Outbox, close_all, receive
from runink.sandbox.protocol import NOT_ADMITTED, TO_AGENT, Refused
from runink.sandbox.rights import User

STRANGERS_MAX = 16
STRANGER_S = 10.0  # an agent says hello at once
BACKLOG = 16
SOCKET_MODE = 0o600


class Connection:
    """One peer; `number` is never given away again, `owner` are its user and group."""

    __slots__ = ("link", "number", "outbox", "owner", "since_s")

    def __init__(self, number: int, link: socket.socket, *, now_s: float) -> None:
        self.number = number
        self.link = link
        self.owner = peer_ids(link)
        self.outbox = Outbox(link, TO_AGENT)
        self.since_s = now_s

    def close(self) -> None:
        self.outbox.close()
        self.link.close()


class Door:
    """The listening socket and the open connections. `admitted` is whom it lets in, with its own group; our own user if nobody is named."""

    def __init__(
        self, listening: socket.socket, path: str, *, admitted: User | None = None
    ) -> None:
        self.listening = listening
        self._admitted = admitted
        listening.setblocking(False)
        self.agent: Connection | None = None
        self._path = path
        self._file = _identity(path)
        self._connections: dict[int, Connection] = {}
        self._last = 0
        self._spare = _spare()

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._connections.values()))

    def named(self, number: int) -> Connection | None:
        return self._connections.get(number)

    def admit(self, *, now_s: float) -> None:
        """Let in whoever is waiting."""
        while True:
            try:
                link, _ = self.listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._turn_away(error)
                return
            strangers = len(self._connections) - (self.agent is not None)
            peer = User(*peer_ids(link))
            link.setblocking(False)
            if not self._is_admitted(peer):
                _refuse(link, f"it serves {self._admitted or User.ours()}, not {peer}")
                continue
            if strangers >= STRANGERS_MAX:
                log("connection refused", uid=peer.uid, strangers=strangers)
                link.close()
                continue
            self._last += 1
            self._connections[self._last] = Connection(self._last, link, now_s=now_s)

    def _is_admitted(self, peer: User) -> bool:
        """Say whether this user may come in. Our own may with any group: with its rights over us it needs none of ours over it."""
        if self._admitted is None:
            return peer.uid == os.geteuid()
        return peer == self._admitted

    def _turn_away(self, error: OSError) -> None:
        """Close the connection of who cannot be let in for want of descriptors: left waiting, they would have us look again at once, for ever."""
        log("connection not taken", problem=describe(error))
        spare, self._spare = self._spare, -1
        with contextlib.suppress(
            OSError
        ):  # they have gone, or there still is no descriptor: the loop comes back
            os.close(spare)
            self.listening.accept()[0].close()
            self._spare = _spare()

    def expired(self, *, now_s: float) -> list[Connection]:
        """Return the strangers that had time enough to say who they are."""
        if not self._has_strangers:
            return []
        return [
            connection
            for connection in self
            if connection is not self.agent and connection.since_s + STRANGER_S <= now_s
        ]

    def next_expiry_s(self) -> float | None:
        """Return when the first stranger's time is over."""
        if not self._has_strangers:
            return None
        return min(it.since_s for it in self if it is not self.agent) + STRANGER_S

    @property
    def _has_strangers(self) -> bool:
        return len(self._connections) > (self.agent is not None)

    def drop(self, connection: Connection) -> None:
        self._connections.pop(connection.number, None)
        if connection is self.agent:
            self.agent = None
        connection.close()

    def send(
        self, number: int, message: Any, *, request: int = 0, descriptors: Sequence[int] = ()
    ) -> None:
        """Send to a connection, if it is still there. One that does not read gets its end, which the loop then sees too."""
        connection = self.named(number)
        if connection is None:
            return
        if not connection.outbox.send(message, request=request, descriptors=descriptors):
            with contextlib.suppress(OSError):
                connection.link.shutdown(socket.SHUT_RDWR)

    def tell_agent(self, message: Any) -> None:
        """Send to the agent, if there is one."""
        if self.agent is not None:
            self.send(self.agent.number, message)

    def close(self) -> None:
        """Let nobody in any more, take our socket away (not that of a successor), and part from everyone."""
        self.listening.close()
        with contextlib.suppress(OSError):
            os.close(self._spare)
        if self._file is not None and _identity(self._path) == self._file:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)  # noqa: PTH108 - pathlib is 2 MB that the spawner does not need
        for connection in self:
            self.drop(connection)


def _refuse(link: socket.socket, text: str) -> None:
    """Say why somebody is not let in, and close the connection."""
    log("connection refused", problem=text)
    with contextlib.suppress(OSError):  # it is gone
        # What it has said is taken out: left unread, it would have the kernel put an error before our answer.
        link.shutdown(socket.SHUT_RD)
        while (packet := receive(link)) is not None:
            close_all(packet.descriptors)
    Outbox(link, TO_AGENT).send(Refused(NOT_ADMITTED, text))
    link.close()


def listen(path: str, user: User | None = None) -> socket.socket:
    """Return a socket that listens at `path`, for this user only; our own if none is named. Raises OSError, also if something stands there.

    For another user the folder is to be one that only we can write: what is given away there must be what we have made.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # The kernel gives the file the mode of the socket's inode, so it never stands open to others.
        os.fchmod(listening.fileno(), SOCKET_MODE)
        with address_of(path) as address:
            listening.bind(address)
        if user is not None:
            os.chown(path, user.uid, user.gid, follow_symlinks=False)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _spare() -> int:
    """Return a descriptor that is only held so that it can be given up."""
    return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None
    return found.st_dev, found.st_ino
