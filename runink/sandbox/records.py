"""The spawner's record of each slice, and which of them are in which state.

    state     on                          becomes
    waiting   it has its cell             forking
    forking   started                     running      in the pid index, its deadline set
    running   its first process ended     ending       out of the pid index: the number may be given away again
    ending    no process of it is left    ended        stays until it is released
    waiting, forking   refused            (removed)
    ended     released                    (removed)

A record owns its descriptors: `handed` (for the slice: data pipes and job; closed when they were sent on), `outfit` (the slice's ends of its channels; its cell's when it has one), `meant` (what it is to be shown; closed when it has its cell) and
`kept` (the agent's ends: control, stdout, stderr, pidfd; closed when the record is removed).  Here nothing is sent and nobody is killed.
"""

from __future__ import annotations

import enum
import heapq
import signal
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from runink.sandbox.cgroups import Events, Usage
from runink.sandbox.inner_protocol import Ended
from runink.sandbox.packets import close_all
from runink.sandbox.protocol import GRACE_S, SLICES_MAX, Exited, Launch, Listed

N = TypeVar("N", int, float)
DEADLINES_SPARE = 256  # of slices that have ended, before they are looked for


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


class Deadline(NamedTuple):
    """When a running slice is out of its wall time, or in the end of its grace."""

    due_s: float
    name: str
    pid: int
    is_last: bool


class Record:
    """One slice. `cause` is set as soon as somebody decided that it must end; `owner` are the user and group of its agent."""

    __slots__ = (
        "asker",
        "cause",
        "cell",
        "end",
        "handed",
        "is_released",
        "kept",
        "launch",
        "meant",
        "met",
        "outfit",
        "owner",
        "pid",
        "sealed",
        "since_s",
        "state",
        "survivors",
        "used",
        "wall_s",
        "was_taken",
    )

    def __init__(
        self,
        launch: Launch,
        asker: Asker,
        *,
        owner: tuple[int, int],
        handed: list[int],
        meant: list[int],
        now_s: float,
    ) -> None:
        self.launch = launch
        self.asker: Asker | None = asker
        self.handed = handed
        self.meant = meant
        self.outfit: list[int] = []
        self.kept: list[int] = []
        self.owner = owner
        self.cell = 0
        self.sealed: dict[str, str] = {}
        self.used = Usage()
        self.met = Events()
        self.state = State.WAITING
        self.since_s = now_s  # asked for; from `running` on, started; from `ending` on, ended
        self.pid = 0
        self.cause = ""
        self.end: Ended | None = None
        self.wall_s = 0.0
        self.survivors = 0
        self.is_released = False
        self.was_taken = (
            False  # it begins in a cell that waited, and its agent has all that belongs to it
        )

    @property
    def name(self) -> str:
        return self.launch.slice

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to end and nobody wants to know how."""
        return bool(self.cause) and self.is_released

    def listed(self) -> Listed:
        return Listed(self.name, self.launch.attempt, self.sealed, self.state is State.ENDED)

    def exited(self) -> Exited:
        """Return how the slice ended."""
        assert self.state is State.ENDED
        usage = self.end or Ended(self.pid, 0, 0.0, 0.0, 0)
        code, number = _decoded(usage.status) if self.end else (-1, 0)
        natural = "lost" if not self.end else "signalled" if number else "exited"
        if number == signal.SIGKILL and self.met.oom_kills:
            natural = "oom"
        return Exited(
            slice=self.name,
            attempt=self.launch.attempt,
            cause=self.cause or natural,
            code=code,
            signal=number,
            utime_s=_counted(self.used.cpu_user_s, usage.utime_s),
            stime_s=_counted(self.used.cpu_system_s, usage.stime_s),
            voluntary_switches=usage.voluntary_switches,
            involuntary_switches=usage.involuntary_switches,
            memory_bytes_max=_counted(self.used.memory_bytes_peak, usage.maxrss_bytes),
            read_bytes=self.used.read_bytes or 0,
            written_bytes=self.used.written_bytes or 0,
            oom_kills=self.met.oom_kills,
            processes_refused=self.met.pids_refused,
            throttled_s=self.met.cpu_throttled_s,
            wall_s=round(self.wall_s, 6),
            wall_time_s=self.launch.wall_time_s,
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
        self._deadlines: list[Deadline] = []

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
    def under_way(self) -> int:
        """How many slices are to begin, or run."""
        return len(self._waiting) + len(self._forking) + len(self._running)

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
        forking = next(iter(self._forking.values()), None)
        waiting = self._waiting[0] if self._waiting else None
        if forking is None or (waiting is not None and waiting.since_s < forking.since_s):
            return waiting
        return forking

    def admit(self, record: Record) -> None:
        assert record.name not in self._records
        self._records[record.name] = record
        self._waiting.append(record)

    @property
    def has_waiting(self) -> bool:
        """Whether a launch has no cell yet."""
        return bool(self._waiting)

    def waiting(self) -> list[Record]:
        """Return the launches that have no cell yet, the oldest first."""
        return list(self._waiting)

    def has_cell(self, record: Record, cell: int) -> None:
        assert record.state is State.WAITING
        self._waiting.remove(record)
        self._forking[record.name] = record
        record.state, record.cell = State.FORKING, cell
        close_all(record.meant)
        record.meant = []

    def handed_over(self, record: Record) -> None:
        """Note that the slice has its descriptors."""
        close_all(record.handed)
        record.handed = []

    def started(self, name: str, *, pid: int, now_s: float) -> Record | None:
        """Return the record that now runs, or nothing if nobody waits for it any more."""
        record = self._forking.pop(name, None)
        if record is None:
            return None
        record.state, record.pid, record.since_s = State.RUNNING, pid, now_s
        self._running[pid] = record
        if record.launch.wall_time_s:
            deadline = Deadline(now_s + record.launch.wall_time_s, name, pid, is_last=False)
            heapq.heappush(self._deadlines, deadline)
            if self.deadline_count > DEADLINES_SPARE + 2 * len(self._running):
                self._deadlines = list(filter(self._is_running, self._deadlines))
                heapq.heapify(self._deadlines)
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
        for held in (record.handed, record.outfit, record.meant, record.kept):
            close_all(held)
            held.clear()

    def next_deadline_s(self) -> float | None:
        """Return when the next slice runs out of its wall time, or of its grace."""
        while self._deadlines:
            if self._is_running(self._deadlines[0]):
                return self._deadlines[0].due_s
            heapq.heappop(self._deadlines)
        return None

    @property
    def deadline_count(self) -> int:
        """How many wall times are kept: those of slices that have ended too, but never many of them."""
        return len(self._deadlines)

    def _is_running(self, deadline: Deadline) -> bool:
        record = self._running.get(deadline.pid)
        return record is not None and record.name == deadline.name

    def overdue(self, *, now_s: float) -> Iterator[Record]:
        """Yield each running slice that is out of its wall time, and once more if it still runs GRACE_S after it was yielded."""
        while True:
            due_s = self.next_deadline_s()
            if due_s is None or due_s > now_s:
                return
            deadline = heapq.heappop(self._deadlines)
            if not deadline.is_last:
                # From now on and not from when it was due: whoever is late with the first word must not say the last one in the same breath.
                again = deadline._replace(due_s=now_s + GRACE_S, is_last=True)
                heapq.heappush(self._deadlines, again)
            yield self._running[deadline.pid]


def _counted(by_cgroup: N | None, by_wait: N) -> N:
    """Return what the cgroup counted of all processes, where it did."""
    return by_wait if by_cgroup is None else by_cgroup


def _decoded(status: int) -> tuple[int, int]:
    """Return exit code and signal of a wait status; one of them says nothing."""
    number = status & 0x7F
    return (-1, number) if number else (status >> 8 & 0xFF, 0)
