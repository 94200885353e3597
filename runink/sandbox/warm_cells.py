"""Cells that wait for slices, for the spawner: made when nothing else is to be done, offered to the agent, claimed by it, withdrawn when nobody comes.

Rules
- An agent puts a slice on the cell's seat, and tells us of it at the same time (`claim`).  Which of the two is seen here first nobody knows: a cell that begins unclaimed, and even
  its end, is kept until the agent's word comes; at most CLAIM_S, and no longer than the agent's connection.
- Nobody but the agent assigns a slice to a cell that was offered, and a withdrawn cell decides by itself: what was put on its seat before begins, and nothing after.
- What is offered is one agent's.  With its connection the offers end.
"""

from __future__ import annotations

import _socket
import os
import socket

from runink.sandbox.births import Births
from runink.sandbox.cells import Cell, ends
from runink.sandbox.confines import Confines
from runink.sandbox.door import Door
from runink.sandbox.due import soonest
from runink.sandbox.log import describe, log
from runink.sandbox.nursery import Nurseries, Nursery
from runink.sandbox.packets import close_all
from runink.sandbox.pool import Expected, Pool
from runink.sandbox.protocol import Hold, Waiting, Withdrawn
from runink.sandbox.records import Record

CLAIM_S = 5.0  # both are sent by one process at once, so only a busy machine comes between
HELD = "held"  # a name, so that the herd's limits are put in force too


class WarmCells:
    """One for a spawner. `births` is set before anything else is done."""

    births: Births

    def __init__(self, pool: Pool, door: Door, confines: Confines | None) -> None:
        self._pool = pool
        self._door = door
        self._confines = confines
        self._began: dict[int, float] = {}  # unclaimed

    def expect(self, record: Record, nursery: Nursery, *, now_s: float) -> None:
        """Have a cell made for the next launch at this one's place."""
        launch = record.launch
        if not (launch.place and self._pool.is_on):
            return
        if not self._pool.knows(launch.place):
            try:
                meant = _copies(record.meant)
            except OSError as error:
                log("no cells will wait", problem=describe(error))
                return
            self._pool.get_to_know(
                Expected(launch, meant, owner=record.owner, network=nursery.network)
            )
        self._pool.expect(launch.place, now_s=now_s)

    def advance(self, *, now_s: float) -> None:
        """Withdraw the cells that are not expected any more, and end those that have begun what nobody claims."""
        for outdated in self._pool.outdated(now_s=now_s):
            self._forget(outdated)
        for number, since_s in list(self._began.items()):
            if since_s + CLAIM_S <= now_s:
                self._end(number)

    def unclaimed_began(self, cell: Cell, now_s: float) -> None:
        """Take note that a cell has begun before its slice is known."""
        self._began[cell.number] = now_s

    def make(self, nurseries: Nurseries) -> None:
        """Make a cell that is expected."""
        expected = self._pool.missing()
        if expected is None or expected.under_way:
            return
        nursery = nurseries.of_network(expected.network)
        if nursery.ready is None or nursery.ready.problem:
            return
        try:
            cell = self._made(expected, nursery)
        except OSError as error:
            log("no cell for the pool", problem=describe(error))
            self._pool.give_up(expected.place)
            return
        if cell is not None:
            self._pool.asked_for(expected.place, cell.number)

    def next_due_s(self) -> float | None:
        """Return when `advance` has something to do next."""
        return soonest(
            self._pool.next_due_s(), *(since_s + CLAIM_S for since_s in self._began.values())
        )

    def offer(self, cell: Cell) -> bool:
        """Offer a closed cell to the agent. False if nobody expects it any more."""
        place, agent = self._pool.offered(cell.number), self._door.agent
        if not place or agent is None or cell.seat is None:
            return False
        launch = cell.launch
        waiting = Waiting(
            cell.number,
            place,
            cell.report,
            cpu_m=launch.cpu_m,
            cpu_weight=launch.cpu_weight,
            memory_bytes=launch.memory_bytes,
            processes=launch.processes,
            io_bytes_per_s=launch.io_bytes_per_s,
        )
        descriptors = [cell.seat.fileno(), *cell.kept, cell.pidfd]
        self._door.send(agent.number, waiting, descriptors=descriptors)
        return True

    def claim(self, cell: Cell, record: Record, *, now_s: float) -> None:
        """Give a slice a cell that waits. The record gets what the agent has copies of."""
        self._pool.taken(cell.number, now_s=now_s)
        cell.leave_seat()
        cell.slice = record.name
        self._began.pop(cell.number, None)
        record.kept, cell.kept = cell.kept, []
        record.was_taken = True

    def unclaimed(self, number: int) -> Cell | None:
        """Return a cell that can be claimed."""
        cell = self.births.cells.numbered(number)
        return cell if cell is not None and cell.is_unclaimed else None

    def hold(self, limits: Hold) -> bool:
        """Put limits in the place of those that a cell was made with. False if it does not wait. Raises OSError."""
        cell = self.unclaimed(limits.cell)
        if cell is None:
            return False
        if cell.confine is None or self._confines is None:
            return True
        launch = cell.launch._replace(
            slice=HELD,
            cpu_m=limits.cpu_m,
            cpu_weight=limits.cpu_weight,
            memory_bytes=limits.memory_bytes,
            processes=limits.processes,
            io_bytes_per_s=limits.io_bytes_per_s,
            herd_cpu_m=limits.herd_cpu_m,
            herd_memory_bytes=limits.herd_memory_bytes,
        )
        self._confines.limit(cell.confine, launch)
        return True

    def spoil(self, number: int) -> None:
        """End a cell that waits, and what has begun in it unclaimed."""
        if self.unclaimed(number) is not None:
            self._end(number)

    def _end(self, number: int) -> None:
        self._began.pop(number, None)
        cell = self.births.cells.numbered(number)
        if cell is not None and cell.ended is not None:
            self.births.forget(cell)
        elif cell is not None:
            cell.kill()

    def lost(self, cell: Cell) -> None:
        """Take note that a cell is no more."""
        self._began.pop(cell.number, None)
        self._pool.lost(cell.number)
        if cell.is_unclaimed:
            self._door.tell_agent(Withdrawn(cell.number))

    def drop_all(self) -> None:
        """End all cells that wait: the agent that they were offered to is gone, or we are about to be."""
        for expected in self._pool.forget_all():
            close_all(expected.meant)
        for cell in self.births.cells.all():
            if not cell.slice:
                self._end(cell.number)

    def _forget(self, expected: Expected) -> None:
        close_all(expected.meant)
        for number in expected.under_way:
            self._end(number)
        for number in expected.cells:
            cell = self.births.cells.numbered(number)
            if cell is not None:
                cell.withdraw()

    def _made(self, expected: Expected, nursery: Nursery) -> Cell | None:
        seat, outfit, kept = _channels()
        cell = None
        try:
            launch = expected.launch._replace(slice="")
            cell = self.births.make(launch, expected.meant, expected.owner, nursery)
        finally:
            if cell is None:
                seat.close()
                close_all((*outfit, *kept))
        if cell is not None:
            cell.seat, cell.outfit, cell.kept = seat, outfit, kept
        return cell


def _channels() -> tuple[_socket.socket, list[int], list[int]]:
    """Make a seat and a slice's channels: return our end of the seat, what is the slice's, and what is the agent's. Raises OSError."""
    seat, theirs = _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        outfit, kept = ends()
    except OSError:
        seat.close()
        theirs.close()
        raise
    seat.setblocking(False)
    return seat, [*outfit, theirs.detach()], kept


def _copies(descriptors: list[int]) -> list[int]:
    """Return copies of all of them. Raises OSError."""
    made: list[int] = []
    try:
        made.extend(map(os.dup, descriptors))
    except OSError:
        close_all(made)
        raise
    return made
