"""The spawner's record of each cell: the socket to it, its first process, and the slice that it is for.

    state       on                             becomes
    asked       `forked`                       forked       its ids and cgroups are given, then `go`
    forked      `sealed`                       sealed       a slice may be assigned; a cell that was made for one has it already
    sealed      `started`                      working; begun, if it waited and its slice is not known yet
    begun       its slice is known             working
    any         its first process ended        (removed)

Here nothing is decided: `births.py` does that.  Sockets are made by `_socket`: what `socket` has asks the kernel again what it has just made.
"""

from __future__ import annotations

import _socket
import contextlib
import enum
import os
import select
import signal
import socket

from runink.sandbox.bubblewrap_monitor import Monitor
from runink.sandbox.confines import Confine
from runink.sandbox.inner_protocol import TO_CELL, Ended, Worked
from runink.sandbox.packets import Outbox, close_all
from runink.sandbox.protocol import Launch


class CellState(enum.Enum):
    ASKED = "asked"
    FORKED = "forked"
    SEALED = "sealed"
    BEGUN = "begun"
    WORKING = "working"


class Cell:
    """One cell. `network` is that of its fork server, `launch` what it was made for, `slice` the name of the slice that it is for, `worked` how its worker ended.

    `outfit` are the slice's ends of its channels, and its seat, until they are sent; `kept` the agent's ends, and `seat` the spawner's copy of the seat's other end, as long as it waits;
    `ended` is how its first process ended, where that was before its slice was known. One that `is_alone` has no other process than the worker.

    `monitor` is there where bubblewrap closes it off: then `pid` is bubblewrap's own process, and `pidfd` is the first process's as soon as there is one.
    """

    __slots__ = ("confine", "ended", "is_alone", "is_heard", "kept", "launch", "link", "monitor", "network", "number", "outbox", "outfit", "pid", "pidfd", "report", "seat", "slice", "state", "worked")  # fmt: skip

    def __init__(self, number: int, link: _socket.socket, launch: Launch, *, network: str) -> None:
        self.number = number
        self.link = link
        self.outbox = Outbox(link, TO_CELL)
        self.network = network
        self.launch = launch
        self.slice = launch.slice
        self.state = CellState.ASKED
        self.is_heard = True
        self.is_alone = False
        self.pid = 0
        self.pidfd = -1
        self.report: dict[str, str] = {}
        self.confine: Confine | None = None
        self.outfit: list[int] = []
        self.kept: list[int] = []
        self.seat: _socket.socket | None = None
        self.ended: Ended | None = None
        self.worked: Worked | None = None
        self.monitor: Monitor | None = None

    @property
    def herd(self) -> str:
        return self.launch.herd

    @property
    def is_unclaimed(self) -> bool:
        """Whether it waits, or has begun a slice that nobody has told us of yet."""
        return not self.slice and self.state in (CellState.SEALED, CellState.BEGUN)

    def of_worker(self, ended: Ended | None, *, is_filtered: bool) -> Ended | None:
        """Return how its worker ended, as far as that is known of how its first process did."""
        if self.worked is not None:
            return Ended(self.pid, *self.worked)
        if ended is None or not self.is_alone:
            # It is the first process's own: who ends by force with that is reaped by nobody, and counted for nobody.
            return ended and Ended(*ended[:-2])
        if is_filtered and ended.status & 0x7F == signal.SIGSYS:
            return ended._replace(status=int(signal.SIGKILL))  # which it sent itself (`seccomp.py`)
        return ended

    def withdraw(self) -> None:
        """Have nothing put on its seat any more. The cell ends when it finds that, unless a slice was put there before."""
        if self.seat is not None:
            with contextlib.suppress(OSError):  # the other end is closed already
                self.seat.shutdown(socket.SHUT_RDWR)

    def leave_seat(self) -> None:
        """Let go of the seat: it is taken, or nobody will take it."""
        if self.seat is not None:
            self.seat.close()
            self.seat = None

    def reach(self, pidfd: int) -> None:
        """Send signals to this process from now on."""
        os.close(self.pidfd)
        self.pidfd = pidfd

    def kill(self) -> None:
        """End its first process, and so all of it, if it has one."""
        if self.pidfd >= 0 and self.ended is None:
            try:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            except ProcessLookupError:
                return  # its end is on the way to us


class Cells:
    """All cells, by number and by the pid of their first process; one descriptor to wait for any of them."""

    def __init__(self) -> None:
        self._cells: dict[int, Cell] = {}
        self._by_pid: dict[int, Cell] = {}
        self._by_link: dict[int, Cell] = {}
        self._by_watch: dict[int, Cell] = {}
        self._looked_at: dict[int, Cell] = {}  # whose memory is to be looked at again
        self._last = 0
        self._epoll = select.epoll()

    def fileno(self) -> int:
        """Return a descriptor that is readable when a cell has something to say."""
        return self._epoll.fileno()

    def ready(self) -> tuple[list[Cell], list[Cell]]:
        """Return the cells that have something to say, and those of which one hears that their memory may be at its end."""
        found = [descriptor for descriptor, _ in self._epoll.poll(0)]
        talking = [self._by_link[one] for one in found if one in self._by_link]
        return talking, [self._by_watch[one] for one in found if one in self._by_watch]

    @property
    def pids(self) -> set[int]:
        return set(self._by_pid)

    def all(self) -> list[Cell]:
        return list(self._cells.values())

    def numbered(self, number: int) -> Cell | None:
        return self._cells.get(number)

    def of_process(self, pid: int) -> Cell | None:
        return self._by_pid.get(pid)

    def make(self, launch: Launch, *, network: str) -> tuple[Cell, _socket.socket]:
        """Return a new cell and its end of the socket, the caller's to hand over and close. Raises OSError."""
        ours, theirs = _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._last += 1
        cell = Cell(self._last, ours, launch, network=network)
        self._cells[cell.number] = cell
        self._by_link[ours.fileno()] = cell
        self._epoll.register(ours, select.EPOLLIN)
        return cell, theirs

    def forked(self, cell: Cell, *, pid: int, pidfd: int, is_alone: bool) -> None:
        assert cell.state is CellState.ASKED
        cell.state, cell.pid, cell.pidfd, cell.is_alone = CellState.FORKED, pid, pidfd, is_alone
        self._by_pid[pid] = cell

    def keep(self, cell: Cell, ended: Ended) -> None:
        """Keep a cell whose first process was reaped: its number may be another's soon, so it goes by one that no process has."""
        self._by_pid.pop(cell.pid, None)
        cell.pid, cell.ended = -cell.number, ended
        self._by_pid[cell.pid] = cell

    def watch(self, cell: Cell) -> None:
        """Hear of its memory, where its cgroup has something to hear it by."""
        watch = cell.confine.watch if cell.confine is not None else None
        if watch is not None:
            self._by_watch[watch.descriptor] = cell
            self._epoll.register(watch.descriptor, watch.mask)

    def looked_at(self, cell: Cell) -> None:
        """Take note that its memory was looked at: its watch says whether that is to be done again."""
        if _look_s(cell) is None:
            self._looked_at.pop(cell.number, None)
        else:
            self._looked_at[cell.number] = cell

    def to_look_at(self, *, now_s: float) -> list[Cell]:
        """Return the cells whose memory is to be looked at again by now."""
        due = ((cell, _look_s(cell)) for cell in self._looked_at.values())
        return [cell for cell, due_s in due if due_s is not None and due_s <= now_s]

    def next_look_s(self) -> float | None:
        """Return when the next of them is due."""
        if not self._looked_at:
            return None
        times = map(_look_s, self._looked_at.values())
        return min((due_s for due_s in times if due_s is not None), default=None)

    def unwatch(self, cell: Cell) -> None:
        """Hear no more of its memory: its cgroup is about to go."""
        self._looked_at.pop(cell.number, None)
        if cell.confine is not None and cell.confine.watch is not None:
            self._epoll.unregister(cell.confine.watch.descriptor)
            del self._by_watch[cell.confine.watch.descriptor]

    def deafen(self, cell: Cell) -> None:
        """Take nothing from the cell any more: its socket has ended, or it was not understood."""
        if cell.is_heard:
            cell.is_heard = False
            del self._by_link[cell.link.fileno()]
            self._epoll.unregister(cell.link)

    def remove(self, cell: Cell) -> None:
        """Forget a cell whose first process has ended, or never began, and close what is held for it."""
        self.deafen(cell)
        self._cells.pop(cell.number, None)
        self._by_pid.pop(cell.pid, None)
        cell.outbox.close()
        cell.link.close()
        cell.leave_seat()
        if cell.monitor is not None:
            cell.monitor.close()
        for held in (cell.outfit, cell.kept):
            close_all(held)
            held.clear()
        if cell.pidfd >= 0:
            os.close(cell.pidfd)
            cell.pidfd = -1


def ends() -> tuple[list[int], list[int]]:
    """Make a slice's control and log channels: return its ends and the agent's, both as control, stdout, stderr. Raises OSError."""
    made: list[int] = []
    try:
        ours, theirs = _socket.socketpair()
        made += (ours.detach(), theirs.detach())
        for _ in (1, 2):
            made += os.pipe()[::-1]
    except OSError:
        close_all(made)
        raise
    return made[::2], made[1::2]


def _look_s(cell: Cell) -> float | None:
    watch = cell.confine.watch if cell.confine is not None else None
    return None if watch is None else watch.due_s
