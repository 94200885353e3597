"""What a member of the Barn was asked and has not answered: proposals and reads, each under the number that its asker goes by.

    proposal     queued                 proposed                        settled
                 not proposed yet: it   handed on: perhaps in the log   applied here, refused, or
                 has surely not         of somebody                     OutcomeUnknown
                 happened
    read         waiting                asked                           granted, then free when the leader's index is applied

Ages are counted in ticks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from runink.barn.commands import Proposal, decode_proposal
from runink.errors import Broken, OutcomeUnknown, Overloaded, RuninkError, TimedOut
from runink.raft.messages import Entry
from runink.raft.reads import ReadState

WAITING_MAX: Final = 4096  # of each: a second of work; beyond it, callers had better know
WAITING_BYTES_MAX: Final = 64 << 20  # what proposals may hold in memory
BATCH_ENTRIES_MAX: Final = 512  # proposed at once, some milliseconds
BATCH_BYTES_MAX: Final = (
    1 << 20
)  # a larger write makes everybody in it wait longer than a second sync would
ENTRY_DISK_BYTES: Final = 96  # what an entry takes on disk beside its payload, at most
RETRY_TICKS: Final = 40  # longer than an election, so that a retry mostly finds a leader
LEADERLESS_TICKS: Final = (
    60  # three of the longest election time-outs: whoever could elect somebody has by then
)
EXPIRY_TICKS: Final = 1200  # whoever asked has given up long before


def proposal_of(entry: Entry) -> Proposal:
    """Return what an entry proposes. Raises Broken (`wal_version`)."""
    try:
        return decode_proposal(entry.data)
    except msgspec.MsgspecError as error:
        raise Broken(
            f"entry {entry.index} of the log holds a command that this version does not know: {error}",
            code="wal_version",
            hint="it was written by a newer Runink: run that one",
        ) from error


@dataclass(slots=True)
class Request:
    """A proposal under way. `origin` is its name among all members; one that is repeatable is applied once however often it is proposed. `term` is when it was."""

    number: int
    origin: int
    entry: Entry
    is_repeatable: bool
    term: int = 0
    ticks: int = 0

    @property
    def disk_bytes(self) -> int:
        return disk_bytes(self.entry)


def disk_bytes(entry: Entry) -> int:
    """Return what an entry takes on disk, at most."""
    return len(entry.data) + ENTRY_DISK_BYTES


class Proposals:
    """Proposals of this member's callers."""

    def __init__(self) -> None:
        self._queue: deque[Request] = deque()
        self._proposed: dict[int, Request] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._queue) + len(self._proposed)

    @property
    def is_queued(self) -> bool:
        return bool(self._queue)

    def enqueue(self, request: Request) -> None:
        """Take a proposal. Raises Overloaded."""
        size = self._bytes + len(request.entry.data)
        if len(self) >= WAITING_MAX or size > WAITING_BYTES_MAX:
            raise Overloaded(
                f"{len(self)} proposals are under way already",
                hint="try again in a moment; `runi doctor` measures the disk",
            )
        self._bytes = size
        self._queue.append(request)

    def next_batch(self, room_bytes: int) -> tuple[list[Request], int]:
        """Take the next ones out of the queue, and return them with the room that they need on disk; if there is none even for one, the room that one needs."""
        batch: list[Request] = []
        size = 0
        while self._queue and len(batch) < BATCH_ENTRIES_MAX:
            more = size + self._queue[0].disk_bytes
            if more > room_bytes or (batch and more > BATCH_BYTES_MAX):
                return batch, size if batch else more
            size = more
            batch.append(self._queue.popleft())
        return batch, size

    def put_back(self, batch: list[Request]) -> None:
        self._queue.extendleft(reversed(batch))

    def note_proposed(self, batch: list[Request], *, term: int) -> None:
        for request in batch:
            request.term, request.ticks = term, 0
            self._proposed[request.origin] = request

    def applied(self, origin: int) -> Request | None:
        """Take out the proposal that was applied, if it is one of ours."""
        request = self._proposed.pop(origin, None)
        if request is not None:
            self._bytes -= len(request.entry.data)
        return request

    def refuse_queued(self, error: RuninkError) -> list[tuple[int, RuninkError]]:
        """Give up all that is queued; return who is told. Of what was proposed before, nobody knows whether it is in somebody's log."""
        return [
            (request.number, _lost() if request.term else error)
            for request in self._drop(list(self._queue))
        ]

    def repeat_before(self, term: int) -> list[tuple[int, RuninkError]]:
        """Of what was proposed before a term, queue again what may be proposed twice, and give up the rest; return who is told that the outcome is unknown."""
        return self._repeat([one for one in self._proposed.values() if one.term < term])

    def tick(self) -> list[tuple[int, RuninkError]]:
        """Let time pass: repeat what is late, give up what is too old; return who is told."""
        for request in (*self._queue, *self._proposed.values()):
            request.ticks += 1
        old = [request for request in self._queue if request.ticks >= EXPIRY_TICKS]
        told: list[tuple[int, RuninkError]] = [
            (request.number, _lost() if request.term else _nobody_led())
            for request in self._drop(old)
        ]
        late = [
            request
            for request in self._proposed.values()
            if request.ticks >= (RETRY_TICKS if request.is_repeatable else EXPIRY_TICKS)
        ]
        return told + self._repeat(late)

    def _repeat(self, requests: Iterable[Request]) -> list[tuple[int, RuninkError]]:
        lost = []
        for request in requests:
            del self._proposed[request.origin]
            if request.is_repeatable:
                request.ticks = 0
                self._queue.append(request)
            else:
                self._bytes -= len(request.entry.data)
                lost.append((request.number, _lost()))
        return lost

    def _drop(self, requests: list[Request]) -> list[Request]:
        for request in requests:
            self._queue.remove(request)
            self._bytes -= len(request.entry.data)
        return requests


@dataclass(slots=True)
class _Question:
    context: bytes
    reads: list[int]
    ticks: int = 0
    index: int = 0


class Reads:
    """Reads of this member's callers: one question goes to the leader at a time, and those that come meanwhile share the next."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._asked: _Question | None = None
        self._granted: deque[_Question] = deque()

    def __len__(self) -> int:
        questions = [*self._granted, *([self._asked] if self._asked else [])]
        return len(self._waiting) + sum(len(question.reads) for question in questions)

    def add(self, number: int) -> None:
        """Take a read. Raises Overloaded."""
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded(
                f"{len(self._waiting)} reads wait already", hint="try again in a moment"
            )
        self._waiting.append(number)

    def may_ask(self) -> bool:
        return self._asked is None and bool(self._waiting)

    def ask(self, context: bytes) -> None:
        """Take note that all that waits is being asked for under this name."""
        self._asked = _Question(context, self._waiting)
        self._waiting = []

    def forget_asked(self) -> None:
        """Wait again with what is being asked: the answer may be lost, or come from one who led before."""
        if self._asked is not None:
            self._waiting = self._asked.reads + self._waiting
            self._asked = None

    def grant(self, state: ReadState) -> None:
        """Take note of the leader's answer; one to an earlier question says nothing any more."""
        asked = self._asked
        if asked is not None and state.context == asked.context:
            asked.index = state.index
            self._granted.append(asked)
            self._asked = None

    def readable(self, applied_index: int) -> list[int]:
        """Take out the reads that may be done, now that so much is applied."""
        free: list[int] = []
        while self._granted and self._granted[0].index <= applied_index:
            free += self._granted.popleft().reads
        return free

    def take_granted(self) -> list[int]:
        """Take out the reads that have leave, and wait for what is not applied."""
        taken = [number for question in self._granted for number in question.reads]
        self._granted.clear()
        return taken

    def tick(self) -> bool:
        """Let time pass; say whether the question is to be put again."""
        if self._asked is None:
            return False
        self._asked.ticks += 1
        return self._asked.ticks >= RETRY_TICKS


def _nobody_led() -> RuninkError:
    return TimedOut(
        "nobody led the Barn for a minute: it was not written",
        code="no_leader",
        hint="is a majority of its members there? `runi cluster status` tells",
    )


def _lost() -> RuninkError:
    return OutcomeUnknown(
        "the leader changed, or was silent, before it was known whether this is written",
        hint="read it, and decide anew",
    )
