"""The spawner's record of each slice, and which of them are in which state.

    state     on                          becomes
    waiting   fork sent                   forking
    forking   started                     running      in the pid index, its deadline set
    running   its first process ended     ending       out of the pid index: the number may be given away again
    ending    no process of it is left    ended        stays until it is released
    waiting, forking   refused            (removed)
    ended     released                    (removed)

A record owns its descriptors: `handed` (for the slice; closed when they were sent on) and `kept` (the agent's ends: control, stdout, stderr,
pidfd; closed when the record is removed).  Here nothing is sent and nobody is killed.
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from runink.sandbox.packets import close_all
from runink.sandbox.protocol import SLICES_MAX, Ended, Exited, Launch, Listed


class State(enum.Enum):
    WAITING = "waiting"
    FORKING = "forking"
    RUNNING = "running"
    ENDING = "ending"
    ENDED = "ended"


class Asker(NamedTuple):
    """Who waits for the answer to a launch: a connection's number, and that of its request."""

    connection: int
    request: int


class Record:
    """One slice. `cause` is set as soon as somebody decided that it must end."""

    __slots__ = (
        "asker",
        "cause",
        "end",
        "handed",
        "is_released",
        "kept",
        "launch",
        "pid",
        "since_s",
        "state",
        "survivors",
        "wall_s",
    )

    def __init__(
        self, launch: Launch, asker: Asker, *, handed: list[int], kept: list[int], now_s: float
    ) -> None:
        self.launch = launch
        self.asker: Asker | None = asker
        self.handed = handed
        self.kept = kept
        self.state = State.WAITING
        self.since_s = now_s  # asked for; from `running` on, started; from `ending` on, ended
        self.pid = 0
        self.cause = ""
        self.end: Ended | None = None
        self.wall_s = 0.0
        self.survivors = 0
        self.is_released = False

    @property
    def name(self) -> str:
        return self.launch.slice

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to end and nobody wants to know how."""
        return bool(self.cause) and self.is_released

    def listed(self) -> Listed:
        return Listed(self.name, self.launch.attempt, self.pid, self.state is State.ENDED)

    def exited(self) -> Exited:
        """Return how the slice ended."""
        assert self.state is State.ENDED
        usage = self.end or Ended(self.name, self.pid, 0, 0.0, 0.0, 0)
        code, number = _decoded(usage.status) if self.end else (-1, 0)
        natural = "lost" if not self.end else "signalled" if number else "exited"
        return Exited(
            slice=self.name,
            attempt=self.launch.attempt,
            cause=self.cause or natural,
            code=code,
            signal=number,
            utime_s=usage.utime_s,
            stime_s=usage.stime_s,
            maxrss_bytes=usage.maxrss_bytes,
            wall_s=round(self.wall_s, 6),
            survivors=self.survivors,
        )


class Register:
    """All records, by name; the running ones also by pid; the waiting ones in the order in which they came."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._running: dict[int, Record] = {}
        self._forking: dict[str, Record] = {}  # in the order of the forks
        self._ending: dict[str, Record] = {}
        self._waiting: deque[Record] = deque()
        self._deadlines: list[tuple[float, str, int]] = []

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    @property
    def count(self) -> int:
        return len(self._records)

    @property
    def is_full(self) -> bool:
        return len(self._records) >= SLICES_MAX

    @property
    def pids(self) -> set[int]:
        """The first processes of the running slices."""
        return set(self._running)

    @property
    def forking_count(self) -> int:
        return len(self._forking)

    @property
    def has_living(self) -> bool:
        """Whether a process of any slice may exist."""
        return bool(self._forking or self._running or self._ending)

    def named(self, name: str) -> Record | None:
        return self._records.get(name)

    def forking(self) -> list[Record]:
        return list(self._forking.values())

    def running(self) -> list[Record]:
        return list(self._running.values())

    def ending(self) -> list[Record]:
        return list(self._ending.values())

    def oldest_unanswered(self) -> Record | None:
        """Return the launch that has waited longest for its answer."""
        heads = [*list(self._forking.values())[:1], *list(self._waiting)[:1]]
        return min(heads, key=lambda record: record.since_s, default=None)

    def admit(self, record: Record) -> None:
        assert record.name not in self._records
        self._records[record.name] = record
        self._waiting.append(record)

    def next_waiting(self) -> Record | None:
        """Return the launch that is next to be forked."""
        return self._waiting[0] if self._waiting else None

    def fork_sent(self, record: Record) -> None:
        assert record.state is State.WAITING
        self._waiting.remove(record)
        self._forking[record.name] = record
        record.state = State.FORKING
        _close_handed(record)

    def started(self, name: str, *, pid: int, pidfd: int, now_s: float) -> Record | None:
        """Return the record that now runs, or nothing if nobody waits for it any more (the descriptor stays the caller's)."""
        record = self._forking.pop(name, None)
        if record is None:
            return None
        record.state, record.pid, record.since_s = State.RUNNING, pid, now_s
        record.kept.append(pidfd)
        self._running[pid] = record
        if record.launch.wall_time_s:
            heapq.heappush(self._deadlines, (now_s + record.launch.wall_time_s, name, pid))
        return record

    def first_ended(self, pid: int, end: Ended | None, *, now_s: float) -> None:
        """Note that the first process of a running slice has ended; `end` is nothing where nobody knows how."""
        record = self._running.pop(pid, None)
        if record is None:
            return
        record.wall_s = now_s - record.since_s
        record.state, record.end, record.since_s = State.ENDING, end, now_s
        self._ending[record.name] = record

    def all_ended(self, record: Record, *, survivors: int) -> None:
        assert record.state is State.ENDING
        del self._ending[record.name]
        record.state, record.survivors = State.ENDED, survivors

    def remove(self, record: Record) -> None:
        """Forget a slice that never started or has ended, and close its descriptors."""
        assert record.state not in (State.RUNNING, State.ENDING)
        if record.state is State.WAITING:
            self._waiting.remove(record)
        self._forking.pop(record.name, None)
        del self._records[record.name]
        _close_handed(record)
        close_all(record.kept)
        record.kept = []

    def next_deadline_s(self) -> float | None:
        """Return when the next slice runs out of its wall time."""
        while self._deadlines:
            due_s, name, pid = self._deadlines[0]
            record = self._running.get(pid)
            if record is not None and record.name == name:
                return due_s
            heapq.heappop(self._deadlines)
        return None

    def overdue(self, *, now_s: float) -> Iterator[Record]:
        """Yield, once, each running slice that is out of its wall time."""
        while True:
            due_s = self.next_deadline_s()
            if due_s is None or due_s > now_s:
                return
            yield self._running[heapq.heappop(self._deadlines)[2]]


def _close_handed(record: Record) -> None:
    close_all(record.handed)
    record.handed = []


def _decoded(status: int) -> tuple[int, int]:
    """Return exit code and signal of a wait status; one of them says nothing."""
    number = status & 0x7F
    return (-1, number) if number else (status >> 8 & 0xFF, 0)
