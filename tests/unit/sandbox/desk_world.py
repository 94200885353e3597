"""A spawner without processes: its desk, with time and the fork server in the test's hands."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from runink.sandbox.desk import Desk
from runink.sandbox.door import Connection, Door, listen
from runink.sandbox.kernel import sealed
from runink.sandbox.lives import Lives
from runink.sandbox.nursery import Nursery
from runink.sandbox.packets import Outbox, close_all, receive, understood
from runink.sandbox.protocol import (
    FIELDS,
    FROM_FORK_SERVER,
    TO_AGENT,
    TO_FORK_SERVER,
    TO_SPAWNER,
    Ended,
    Fork,
    ForkServerReady,
    Hello,
    Launch,
    Preload,
    Started,
)

NO_PROCESS = 1 << 22  # a number that the kernel gives to nobody
READY = ForkServerReady(NO_PROCESS, [], [], 0, "")


class HandledNursery(Nursery):
    """A fork server that is the test itself, at the other end of the link."""

    def __init__(self) -> None:
        super().__init__("entry:main", modules=[], path="", limits=(100, 100))
        self.starts: list[float] = []
        self.kills = 0

    def start(self) -> None:
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for link in (ours, self.theirs):
            link.setblocking(False)
        self.link, self.outbox = ours, Outbox(ours, TO_FORK_SERVER)
        self.pid = NO_PROCESS
        self.starts.append(self.start_at_s)

    def kill(self) -> None:
        self.kills += 1
        if self.link is not None:
            self.link.close()
            self.theirs.close()
            self.link = self.outbox = None


class Peer:
    """One end of a connection: says messages and hears them."""

    def __init__(self, link: socket.socket, says: dict[str, type], hears: dict[str, type]) -> None:
        link.setblocking(False)
        self.link = link
        self.outbox = Outbox(link, says)
        self._hears = hears
        self._number = 0

    def say(self, message: Any, descriptors: tuple[int, ...] = ()) -> int:
        self._number += 1
        assert self.outbox.send(message, request=self._number, descriptors=descriptors)
        return self._number

    def heard(self) -> list[Any]:
        """Return what has come, as (request, message); descriptors are closed."""
        found = []
        try:
            while (packet := receive(self.link)) is not None:
                found.append(tuple(understood(packet, self._hears, FIELDS)))
                close_all(packet.descriptors)
        except BlockingIOError:
            return found
        return [*found, "end"]


class DeskWorld:
    """The desk at `now_s`, and what the loop would do around it."""

    def __init__(self, folder: Path, *, orphan_s: float = 30.0) -> None:
        self.path = str(folder / "socket")
        self.now_s = 100.0
        self._peers: list[Peer] = []
        self.door = Door(listen(self.path), self.path)
        self.nursery = HandledNursery()
        self.lives = Lives(self.door, self.nursery)
        self.desk = Desk(
            self.door, self.lives, self.nursery, orphan_s=orphan_s, alone_until_s=self.now_s + 10
        )

    def close(self) -> None:
        for record in self.lives.register:
            close_all(record.handed + record.kept)
        self.nursery.kill()
        self.door.close()
        for peer in self._peers:
            peer.link.close()

    def peer(self) -> Peer:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.connect(self.path)
        self.door.admit(now_s=self.now_s)
        self._peers.append(Peer(link, TO_SPAWNER, TO_AGENT))
        return self._peers[-1]

    def agent(self) -> Peer:
        peer = self.peer()
        peer.say(Hello(1, "test"))
        self.turn()
        assert peer.heard()[0][1]._fields[0] == "version"
        return peer

    def turn(self, *, seconds: float = 0.0) -> None:
        """Pass so much time, take in what has come, and do what is due."""
        self.now_s += seconds
        for connection in self.door:
            self._hear(connection)
        for packet in self.nursery.packets():
            self.lives.heard(packet, now_s=self.now_s)
        self.desk.advance(now_s=self.now_s)

    def _hear(self, connection: Connection) -> None:
        try:
            while True:
                packet = receive(connection.link)
                if packet is None or not self.desk.asked(connection, packet, now_s=self.now_s):
                    self.desk.parted(connection, now_s=self.now_s)
                    return
        except BlockingIOError:
            return

    def fork_server(self) -> Peer:
        """Let the fork server that has been started be ready."""
        peer = Peer(self.nursery.theirs, FROM_FORK_SERVER, TO_FORK_SERVER)
        peer.say(READY)
        self.turn()
        return peer

    def forks(self) -> list[str]:
        """Return the slices that the fork server was asked for since."""
        peer = Peer(self.nursery.theirs, FROM_FORK_SERVER, TO_FORK_SERVER)
        messages = [message for _, message in peer.heard()]
        assert all(isinstance(message, Fork | Preload) for message in messages)
        return [message.slice for message in messages if isinstance(message, Fork)]

    def start(self, fork_server: Peer, name: str, pid: int) -> None:
        """Let a slice say that it has started. Its pidfd is our own: nothing is ever sent by it here but by mistake."""
        pidfd = os.memfd_create("pidfd")
        fork_server.say(Started(name, pid), (pidfd,))
        os.close(pidfd)
        self.turn()

    def end(self, fork_server: Peer, name: str, pid: int, status: int = 0) -> None:
        fork_server.say(Ended(name, pid, status, 0.25, 0.5, 1 << 20))
        self.turn()


def launch(peer: Peer, name: str, *, wall_time_s: float = 0.0) -> int:
    """Ask for a slice; return the request's number."""
    job = sealed(b"job")
    number = peer.say(Launch(name, 1, "/", {}, wall_time_s), (job,))
    os.close(job)
    return number
