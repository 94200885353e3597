"""A group of the Barn's members in one process, moved by hand: no clock, no disk, no sockets; messages wait until they are delivered.

group = ReplicaGroup(3)
group.elect(1)
number = group.propose(2, Put("/a", b"1"), client="c")
group.settle()
group.answers[number]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from runink.barn.commands import Answer, Command, Proposal
from runink.barn.effects import Append, Work
from runink.barn.replica import Replica
from runink.barn.store import Store
from runink.errors import RuninkError
from runink.raft.config import Config
from runink.raft.messages import ConfState, HardState, Message
from runink.raft.storage import MemoryStorage

ROOM_BYTES: Final = 64 << 20
TURNS_MAX: Final = 10_000  # of `settle`: a group that talks on and on is broken


class ReplicaStorage(MemoryStorage):
    """The log in memory, which a new group begins with these voters."""

    def __init__(self, voters: Sequence[int]) -> None:
        super().__init__()
        self._voters = ConfState(voters=tuple(voters))

    def initial_state(self) -> tuple[HardState, ConfState]:
        state, found = super().initial_state()
        return state, found if found.voters else self._voters


@dataclass
class ReplicaGroup:
    """Members 1 to `size`. `cut` members neither send nor receive; `slow` members do not write; `full` members have no room."""

    size: int
    seed: int = 0
    replicas: dict[int, Replica] = field(default_factory=dict)
    storages: dict[int, ReplicaStorage] = field(default_factory=dict)
    answers: dict[int, Answer | RuninkError] = field(default_factory=dict)
    readable: set[int] = field(default_factory=set)
    cut: set[int] = field(default_factory=set)
    slow: set[int] = field(default_factory=set)
    full: dict[int, RuninkError] = field(default_factory=dict)
    appends: list[tuple[int, Append]] = field(default_factory=list)
    _waiting: dict[int, Append] = field(default_factory=dict)
    _messages: list[Message] = field(default_factory=list)
    _sequence: int = 0
    _number: int = 0

    def __post_init__(self) -> None:
        for member in range(1, self.size + 1):
            self.storages[member] = ReplicaStorage(range(1, self.size + 1))
            self.begin(member)

    def begin(self, member: int) -> None:
        """Begin a member, from an empty store: what it had applied is applied again from its log."""
        config = Config(
            id=member,
            storage=self.storages[member],
            random=Random(f"{self.seed} {member}").randrange,  # noqa: S311 - the spread of time-outs
            async_storage_writes=True,
            check_quorum=True,
            pre_vote=True,
        )
        self._waiting.pop(member, None)
        self.replicas[member] = Replica(
            config, self.storages[member], Store(), nonce=1000 * member + self.seed + 1
        )

    def elect(self, member: int) -> None:
        """Let a member be elected, whoever leads."""
        for other in self.replicas.keys() - self.cut:
            self.replicas[other].node.forget_leader()
        self.replicas[member].node.campaign()
        self.settle()
        assert self.replicas[member].lead == member

    def pass_time(self, ticks: int) -> None:
        """Let time pass for all, each tick with what follows from it."""
        for _ in range(ticks):
            self.tick()
            self.settle()

    def tick(self, *members: int, times: int = 1) -> None:
        """Let time pass for these members, or for all."""
        for _ in range(times):
            for member in members or self.replicas:
                self.replicas[member].tick()

    def propose(self, member: int, command: Command, *, client: str = "") -> int:
        """Propose a command on a member; return the number of its answer."""
        self._number += 1
        self._sequence += 1
        proposal = Proposal(client, self._sequence, command)
        self.replicas[member].propose(self._number, proposal)
        return self._number

    def read(self, member: int) -> int:
        self._number += 1
        self.replicas[member].read(self._number)
        return self._number

    def settle(self) -> None:
        """Carry out what the members want, and deliver what they send, until nothing is left to do."""
        for _ in range(TURNS_MAX):
            busy = [member for member in self.replicas if self._work(member)]
            messages, self._messages = self._messages, []
            for message in messages:
                self._deliver(message)
            if not busy and not messages:
                return
        raise AssertionError("the group does not come to rest")

    def lose_messages(self) -> None:
        """Carry out once what the members want, and lose all that they send."""
        for member in self.replicas:
            self._work(member)
        self._messages = []

    def write(self, member: int) -> None:
        """Let a slow member write once."""
        append = self._waiting.pop(member)
        self.replicas[member].written(append)

    def _work(self, member: int) -> bool:
        work = self.replicas[member].work()
        self._tell(member, work)
        return bool((work.append and member not in self.slow) or work.room_bytes or work.has_more)

    def _tell(self, member: int, work: Work) -> None:
        replica = self.replicas[member]
        self.answers.update(work.answers)
        self.readable.update(work.readable)
        for messages in work.messages.values():
            self._messages += messages
        if work.room_bytes:
            if member in self.full:
                replica.no_room(self.full[member])
            else:
                replica.room(ROOM_BYTES)
        if work.append is not None:
            self.appends.append((member, work.append))
            self._waiting[member] = work.append
            if member not in self.slow:
                self.write(member)

    def _deliver(self, message: Message) -> None:
        if not self.cut & {message.to, message.from_}:
            self.replicas[message.to].receive([message])
