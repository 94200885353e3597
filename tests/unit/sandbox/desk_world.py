"""A spawner without processes: its desk, with time, the fork servers and their cells in the test's hands."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runink.capabilities import NAMESPACES, Told
from runink.sandbox.client import SliceWanted
from runink.sandbox.codec import Check
from runink.sandbox.desk import Desk, Terms
from runink.sandbox.door import Connection, Door, listen
from runink.sandbox.herd_networks import Failure, HerdNetwork, HerdNetworks
from runink.sandbox.inner_protocol import (
    FROM_CELL,
    FROM_FORK_SERVER,
    INNER_FIELDS,
    TO_CELL,
    TO_FORK_SERVER,
    WORKED,
    Ended,
    Fork,
    Forked,
    Sealed,
    Started,
    Worked,
)
from runink.sandbox.kernel import sealed
from runink.sandbox.lives import Lives
from runink.sandbox.mounts import Tree
from runink.sandbox.nursery import Loaded, Nurseries, Nursery
from runink.sandbox.packets import Outbox, close_all, receive, understood
from runink.sandbox.pool import Pool
from runink.sandbox.protocol import (
    FIELDS,
    NO_NETWORK,
    TO_AGENT,
    TO_SPAWNER,
    VERSION,
    ForkServerReady,
    Hello,
    Launch,
    Preload,
)
from runink.sandbox.warm_cells import WarmCells

NO_PROCESS = (
    1 << 22
)  # numbers that the kernel gives to nobody: a fork server's, and one less for another network's
READY = ForkServerReady(NO_PROCESS, [], [], 0, "")
REPORT = {"isolation": "none"}
SPENT = (0.25, 0.5, 1 << 20, 30, 4)  # what every process here has used
WANTED = SliceWanted("a", 1, "herd", b"", "/").message()


class HandledNursery(Nursery):
    """A fork server that is the test itself, at the other end of the link."""

    def __init__(self, wanted: Loaded, network: str) -> None:
        super().__init__(wanted, network)
        self.starts: list[float] = []
        self.kills = 0

    def start(self, walls: object, confines: object) -> None:
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for link in (ours, self.theirs):
            link.setblocking(False)
        self.link, self.outbox = ours, Outbox(ours, TO_FORK_SERVER)
        self.pid = NO_PROCESS - (self.network != NO_NETWORK)
        self.starts.append(self.start_at_s)

    def kill(self) -> None:
        self.kills += 1
        if self.link is not None:
            self.link.close()
            self.theirs.close()
            self.link = self.outbox = None


class HandledNurseries(Nurseries):
    """All of them the test's."""

    def __init__(self) -> None:
        self._wanted = Loaded("entry:main", "", (100, 100), [])
        self._all = {NO_NETWORK: HandledNursery(self._wanted, NO_NETWORK)}

    def of_network(self, network: str) -> Nursery:
        if network not in self._all:
            self._all[network] = HandledNursery(self._wanted, network)
        return self._all[network]


class FakeWalls:
    """Walls without a kernel. `failing` names the deed that raises OSError, `why` is its number; `owners` are those whose files were to be shown."""

    def __init__(self) -> None:
        self.failing = ""
        self.why = 0
        self.owners: list[tuple[int, int]] = []
        self.resolvers: list[str] = []
        self.given: list[tuple[int, str]] = []
        self.links: list[list[str]] = []

    def claim(self, herd: str) -> None:
        self._try("claim", herd)

    def number_of(self, herd: str) -> int:
        return len(herd)

    def trees(
        self, launch: Launch, meant: list[int], *, owner: tuple[int, int], resolver: str
    ) -> list[Tree]:
        self._try("trees", launch.slice)
        self.resolvers.append(resolver)
        self.owners.append(owner)
        shown = zip(launch.binds, meant, strict=True)
        return [Tree(path, os.dup(descriptor), holds=True) for (path, _), descriptor in shown]

    def give_ids(self, pid: int, herd: str) -> None:
        self._try("give_ids", herd)
        self.given.append((pid, herd))

    def own_id(self, herd: str) -> int:
        self._try("own_id", herd)
        return -1

    def _try(self, deed: str, what: str) -> None:
        if self.failing == deed:
            raise OSError(self.why, f"no {deed} for {what}")


class HandledNetworks(HerdNetworks):
    """The networks of herds, of which the test says whether they were made. `asked` are the herds and policies."""

    def __init__(self) -> None:
        super().__init__("node", "state", are_possible=True)
        self.asked: list[tuple[str, str]] = []

    def _ask(self, herd: str, network: HerdNetwork, policy: str, now_s: float) -> None:
        self.asked.append((herd, policy))
        network.policy, network.since_s = policy, now_s

    def made(self, herd: str, namespace: int, resolver: str) -> None:
        found = self._networks[herd]
        found.namespace, found.resolver = namespace, resolver

    def failed(self, herd: str, code: str) -> None:
        self._networks[herd].failure = Failure(code, "it failed")


class Peer:
    """One end of a connection: says messages and hears them."""

    def __init__(
        self,
        link: socket.socket,
        says: dict[str, type],
        hears: dict[str, type],
        fields: Mapping[type, Mapping[str, Check]] = FIELDS,
    ) -> None:
        link.setblocking(False)
        self.link = link
        self.outbox = Outbox(link, says)
        self._hears = hears
        self._fields = fields
        self._number = 0

    def say(self, message: Any, descriptors: Sequence[int] = ()) -> int:
        self._number += 1
        assert self.outbox.send(message, request=self._number, descriptors=descriptors)
        return self._number

    def heard(self) -> list[Any]:
        """Return what has come, as (request, message); descriptors are closed."""
        found = []
        for packet_found, descriptors in self.packets():
            found.append(packet_found)
            close_all(descriptors)
        return found

    def packets(self) -> list[tuple[Any, list[int]]]:
        """Return what has come, each with its descriptors, which are the caller's."""
        found: list[tuple[Any, list[int]]] = []
        try:
            while (packet := receive(self.link)) is not None:
                received = tuple(understood(packet, self._hears, self._fields))
                found.append((received, packet.descriptors))
        except BlockingIOError:
            return found
        return [*found, ("end", [])]


class FakeCell(Peer):
    """A cell, as its own processes would see it."""

    def __init__(self, fork: Fork, link: socket.socket) -> None:
        super().__init__(link, FROM_CELL, TO_CELL, INNER_FIELDS)
        self.fork = fork

    def say(self, message: Any, descriptors: Sequence[int] = ()) -> int:
        """Say it as a cell does: how its worker ended is the kernel's own record."""
        if not isinstance(message, Worked):
            return super().say(message, descriptors)
        status, utime_s, stime_s, maxrss_bytes, *switches = message
        times = [int(part) for one in (utime_s, stime_s) for part in (one, one % 1 * 1e6)]
        record = struct.pack("=i4x18q", status, *times, maxrss_bytes >> 10, *[0] * 11, *switches)
        self.link.send(WORKED + record)
        return 0

    def told(self) -> list[Any]:
        """Return what the spawner has said to it."""
        return [found if found == "end" else found[1] for found in self.heard()]


class DeskWorld:
    """The desk at `now_s`, and what the loop would do around it."""

    def __init__(
        self,
        folder: Path,
        *,
        orphan_s: float = 30.0,
        walls: FakeWalls | None = None,
        pool: int = 0,
        problem: str = "",
        stays: bool = False,
        serves_another: bool = False,
    ) -> None:
        self.path = str(folder / "socket")
        self.now_s = 100.0
        self._peers: list[Peer] = []
        self.door = Door(listen(self.path), self.path)
        self.nurseries = HandledNurseries()
        self.nursery = self.nurseries.first
        self.pool = Pool(pool)
        self.networks = HandledNetworks()
        warm_cells = WarmCells(self.pool, self.door, None)
        self.lives = Lives(self.door, self.nurseries, walls, None, warm_cells, self.networks)
        self.cells: dict[int, FakeCell] = {}
        self._is_plain = walls is None
        self.desk = Desk(
            self.door,
            self.lives,
            self.nurseries,
            Terms(orphan_s, 10.0, stays=stays, serves_another=serves_another),
            found=Told({}, {NAMESPACES: problem} if problem else {}),
            now_s=self.now_s,
        )

    def close(self) -> None:
        for record in self.lives.register:
            close_all(record.handed + record.outfit + record.kept + record.meant)
        for expected in self.pool.forget_all():
            close_all(expected.meant)
        for cell in self.lives.births.cells.all():
            self.lives.births.cells.remove(cell)
        self.nurseries.close()
        self.door.close()
        for peer in (*self._peers, *self.cells.values()):
            peer.link.close()

    def peer(self) -> Peer:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.connect(self.path)
        self.door.admit(now_s=self.now_s)
        self._peers.append(Peer(link, TO_SPAWNER, TO_AGENT))
        return self._peers[-1]

    def agent(self) -> Peer:
        peer = self.peer()
        peer.say(Hello(VERSION, "test"))
        self.turn()
        assert peer.heard()[0][1]._fields[0] == "version"
        return peer

    def turn(self, *, seconds: float = 0.0) -> None:
        """Pass so much time, take in what has come, and do what is due."""
        self.now_s += seconds
        for connection in self.door:
            self._hear(connection)
        for nursery in self.nurseries:
            for packet in nursery.packets():
                self.lives.heard(packet, nursery, now_s=self.now_s)
        while self.lives.births.cells.ready()[0]:
            self.lives.listen(now_s=self.now_s)
        self.desk.advance(now_s=self.now_s)

    def next_due_s(self) -> float | None:
        return self.desk.next_due_s(now_s=self.now_s)

    def _hear(self, connection: Connection) -> None:
        try:
            while True:
                packet = receive(connection.link)
                if packet is None or not self.desk.asked(connection, packet, now_s=self.now_s):
                    self.desk.parted(connection, now_s=self.now_s)
                    return
        except BlockingIOError:
            return

    def fork_server(self, network: str = NO_NETWORK) -> Peer:
        """Let the fork server that has been started be ready."""
        peer = self._fork_server(network)
        peer.say(READY)
        self.turn()
        return peer

    def _fork_server(self, network: str) -> Peer:
        theirs = self.nurseries.of_network(network).theirs
        return Peer(theirs, FROM_FORK_SERVER, TO_FORK_SERVER, INNER_FIELDS)

    def lose(self, network: str = NO_NETWORK) -> None:
        """Let a fork server have died."""
        self.lives._fork_server_lost(self.nurseries.of_network(network), "it died", self.now_s)

    def forks(self, network: str = NO_NETWORK) -> list[str]:
        """Return the slices that the fork server was asked for cells for since; "" where it is one that is to wait."""
        names = []
        for (_, message), descriptors in self._fork_server(network).packets():
            assert isinstance(message, Fork | Preload)
            if isinstance(message, Fork):
                self.cells[message.cell] = FakeCell(message, socket.socket(fileno=descriptors[0]))
                close_all(descriptors[1:])
                cell = self.lives.births.cells.numbered(message.cell)
                names.append(cell.slice if cell is not None else "given up")
        return names

    def cell(self, name: str) -> FakeCell:
        """Return the cell that is for this slice."""
        record = self.lives.register.named(name)
        assert record is not None
        cell = self.lives.births.cells.numbered(record.cell)
        assert cell is not None
        self.forks(cell.network)
        return self.cells[record.cell]

    def fork(self, fork_server: Peer, cell: FakeCell, pid: int, *, alone: int = 0) -> None:
        """Let the fork server have made a cell. Its pidfd is a file: nothing is ever sent by it here but by mistake."""
        pidfd = os.memfd_create("pidfd")
        fork_server.say(Forked(cell.fork.cell, pid, alone or int(self._is_plain)), (pidfd,))
        os.close(pidfd)
        self.turn()

    def start(self, fork_server: Peer, name: str, pid: int, *, alone: int = 0) -> FakeCell:
        """Let a slice have its cell, and say that it has started."""
        cell = self.cell(name)
        self.fork(fork_server, cell, pid, alone=alone)
        cell.say(Sealed(REPORT))
        cell.say(Started())
        self.turn()
        return cell

    def end(self, fork_server: Peer, pid: int, status: int = 0, worked: int | None = None) -> None:
        """Let a cell's first process have ended; `worked` is the wait status of its worker, if it told one."""
        cell = self.lives.births.cells.of_process(pid)
        if worked is not None and cell is not None:
            self.cells[cell.number].say(Worked(worked, *SPENT))
        fork_server.say(Ended(pid, status, *SPENT))
        self.turn()


def launch(peer: Peer, name: str, *, meant: Sequence[int] = (), **changes: Any) -> int:
    """Ask for a slice; return the request's number. `meant` are the descriptors of its binds."""
    job = sealed(b"job")
    number = peer.say(WANTED._replace(slice=name, **changes), (job, *meant))
    os.close(job)
    return number


def answer(agent: Peer, number: int) -> Any:
    """Return what was said to a request, which is one thing."""
    (found,) = [message for request, message in agent.heard() if request == number]
    return found
