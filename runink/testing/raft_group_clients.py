"""Clients of a simulated group: each does one operation at a time on one of a few keys, and writes down what it asked, was answered, and when.

A write that is not answered in time is tried again, at any member and under the same sequence; so it takes effect once, or the history shows it.  A client that has
tried long enough gives up: the outcome is unknown.  If every try was dropped by the member that was asked, it is known not to have happened, and
does not go into the history.  A read that is not answered is forgotten and begun anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from runink.barn import commands
from runink.barn.commands import (
    Answer,
    Applied,
    Command,
    Compare,
    Is,
    Of,
    Proposal,
    Txn,
)
from runink.testing.histories import Action, Delete, Get, Operation, Put, Saw, Swap, Wrote
from runink.testing.raft_group_life import Dropped
from runink.testing.raft_group_member import Member
from runink.testing.raft_group_world import MS, World

TIMEOUT_US: Final = 250 * MS  # an election's time, about: longer waits would find nothing new
TRIES_MAX: Final = 5
THINK_US_MAX: Final = 150 * MS
LARGE_VALUE_BYTES: Final = 3000  # some sectors: writes of it tear


@dataclass(slots=True)
class _Pending:
    action: Action
    key: str
    began_us: int
    sequence: int
    tries: int = 0
    dropped: int = 0


class Client:
    """One client. `members` are those that it may ask; `history` takes what it did."""

    def __init__(
        self,
        name: str,
        world: World,
        members: Callable[[], Sequence[Member]],
        *,
        keys: Sequence[str],
        history: list[Operation],
    ) -> None:
        self.name = name
        self.is_patient = False  # never gives up
        self._world = world
        self._members = members
        self._keys = keys
        self._history = history
        self._sequence = 0
        self._seen: dict[str, Saw] = {}
        self._pending: _Pending | None = None
        self._last_reads: list[str] = []
        self._is_ending = False

    @property
    def is_done(self) -> bool:
        return self._is_ending and self._pending is None and not self._last_reads

    def begin(self) -> None:
        self._world.later(self._think_us(), f"{self.name} begins", self._next)

    def end(self) -> None:
        """Finish what is under way, read every key once more, and stop."""
        self._is_ending = True
        self.is_patient = True
        self._last_reads = list(self._keys)

    def _think_us(self) -> int:
        return self._world.between(0, THINK_US_MAX)

    def _next(self) -> None:
        if self._pending is not None or self.is_done:
            return
        self._sequence += 1
        random = self._world.random
        key = self._last_reads.pop() if self._is_ending else random.choice(self._keys)
        action = Get() if self._is_ending else self._choose(key)
        self._pending = _Pending(action, key, self._world.now_us, self._sequence)
        self._try(self._pending)

    def _choose(self, key: str) -> Action:
        random = self._world.random
        value = f"{self.name}:{self._sequence}".encode()
        if random.random() < 0.4:
            value = value.ljust(random.randrange(LARGE_VALUE_BYTES), b".")
        seen = self._seen.get(key, Saw(None, 0, 0))
        match random.choice(
            ["get"] * 4 + ["put"] * 3 + ["delete", "revision", "revision", "value"]
        ):
            case "get":
                return Get()
            case "put":
                return Put(value)
            case "delete":
                return Delete()
            case "value" if seen.value is not None:
                return Swap(seen.value, value)
            case _:
                return Swap(seen.mod_revision, value)

    def _try(self, pending: _Pending) -> None:
        """Ask a member, any one; a time-out asks the next."""
        if pending is not self._pending:
            return
        world = self._world
        pending.tries += 1
        member = world.random.choice(self._members())
        number = pending.tries
        world.later(TIMEOUT_US, f"{self.name} waited", lambda: self._timed_out(pending, number))
        if world.chance(self._lost):
            return
        world.later(
            world.between(100, 3 * MS),
            f"{self.name} asks {member.id}",
            lambda: self._ask(member, pending, number),
        )

    @property
    def _lost(self) -> float:
        return 0.0 if self.is_patient else 0.03

    def _ask(self, member: Member, pending: _Pending, number: int) -> None:
        if isinstance(pending.action, Get):
            context = f"{self.name}/{pending.sequence}/{number}".encode()
            member.read(pending.key, context, lambda saw: self._reply(pending, saw))
            return
        proposal = Proposal(self.name, pending.sequence, _command(pending.key, pending.action))
        member.propose(proposal, lambda answer: self._reply(pending, answer))

    def _reply(self, pending: _Pending, answer: Saw | Answer | Dropped) -> None:
        world = self._world
        if not world.chance(self._lost):
            delay = world.between(100, 3 * MS)
            world.later(delay, f"{self.name} hears", lambda: self._hear(pending, answer))

    def _hear(self, pending: _Pending, answer: Saw | Answer | Dropped) -> None:
        if pending is not self._pending:
            return
        if isinstance(answer, Dropped):
            pending.dropped += 1
            return
        heard = answer if isinstance(answer, Saw) else self._wrote(pending, answer)
        self._note(pending, heard)
        self._finish()

    def _wrote(self, pending: _Pending, answer: Answer) -> Wrote:
        assert isinstance(answer, Applied), f"{self.name} was declined: {answer}"
        changed = answer.deleted > 0 if isinstance(pending.action, Delete) else answer.succeeded
        statistics = self._world.statistics
        statistics.writes += 1
        statistics.swaps_held += changed and isinstance(pending.action, Swap)
        statistics.retries_answered += pending.tries > 1
        return Wrote(answer.revision, changed)

    def _note(self, pending: _Pending, answer: Saw | Wrote | None) -> None:
        if isinstance(answer, Saw):
            self._seen[pending.key] = answer
        ended_us = None if answer is None else self._world.now_us
        self._history.append(
            Operation(self.name, pending.key, pending.action, pending.began_us, ended_us, answer)
        )

    def _timed_out(self, pending: _Pending, number: int) -> None:
        if pending is not self._pending or number != pending.tries:
            return
        if isinstance(pending.action, Get):
            if self._is_ending:
                self._last_reads.append(pending.key)
            self._finish()
        elif pending.tries >= TRIES_MAX and not self.is_patient:
            self._give_up(pending)
        else:
            self._try(pending)

    def _give_up(self, pending: _Pending) -> None:
        if pending.dropped < pending.tries:
            self._world.statistics.unknown_outcomes += 1
            self._note(pending, None)
        self._finish()

    def _finish(self) -> None:
        self._pending = None
        self.begin()


def _command(key: str, action: Action) -> Command:
    match action:
        case Put(value):
            return commands.Put(key, value)
        case Delete():
            return commands.Delete(key)
        case Swap(expected, value):
            of = Of.VALUE if isinstance(expected, bytes) else Of.MOD_REVISION
            return Txn((Compare(key, of, Is.EQUAL, expected),), (commands.Put(key, value),))
        case Get():
            raise AssertionError("a read is no command")
        case _:
            assert_never(action)
