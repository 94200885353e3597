"""A few raw nodes, moved by hand: what a member is told, what it says to it, and a network that is a list of messages.

`Member` does what each Ready says, at once and in its order, on a storage in memory.  `Group` carries messages between members until nobody says
anything any more; links that are `cut` lose them.  Nothing else happens: no time passes but by `tick`, and election time-outs are not spread.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from runink.raft.config import Config
from runink.raft.core import StateType
from runink.raft.errors import ProposalDropped, StepPeerNotFound
from runink.raft.messages import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
    decode_conf_change,
)
from runink.raft.rawnode import RawNode
from runink.raft.reads import ReadState
from runink.raft.storage import MemoryStorage

DELIVERED_MAX = 10_000  # messages that one event may cause: more is a conversation without an end


def log_of(*terms: int) -> list[Entry]:
    """Return a log whose entries have these terms, from index 1 on; each says where it comes from."""
    return [
        Entry(term, index, data=b"%d@%d" % (index, term))
        for index, term in enumerate(terms, start=1)
    ]


def snapshot_at(index: int, term: int, conf: ConfState) -> Snapshot:
    return Snapshot(SnapshotMetadata(conf, index, term), b"state %d" % index)


def founded(
    conf: ConfState,
    *,
    terms: Iterable[int] = (),
    hard: HardState | None = None,
    kind: type[MemoryStorage] = MemoryStorage,
) -> MemoryStorage:
    """Return the disk of a member of a group that had this membership before its first entry."""
    storage = kind()
    storage._snapshot = Snapshot(SnapshotMetadata(conf))
    storage.append(log_of(*terms))
    storage.hard_state = hard or HardState(storage.term(storage.last_index()), 0, 0)
    return storage


class Member:
    """One raw node with its disk and its state machine, which notes what it is given."""

    def __init__(
        self,
        id: int,  # noqa: A002 - the standard name
        voters: Iterable[int] = (1, 2, 3),
        *,
        learners: Iterable[int] = (),
        terms: Iterable[int] = (),
        hard: HardState | None = None,
        storage: MemoryStorage | None = None,
        **settings: Any,
    ) -> None:
        if storage is None:
            conf = ConfState(tuple(voters), tuple(learners))
            storage = founded(conf, terms=terms, hard=hard)
        self.storage = storage
        self.settings = settings
        self.node = RawNode(Config(id, storage, **{"random": lambda ticks: 0, **settings}))
        self.raft = self.node.raft
        self.applied: list[Entry] = []
        self.reads: list[ReadState] = []

    def restarted(self) -> Member:
        """Return the member as it comes back after a crash, with what was on disk."""
        return Member(self.raft.id, storage=self.storage, **self.settings)

    # What happens to it; each returns what it says to it.

    def hear(self, type_: MessageType, from_: int, **fields: Any) -> list[Message]:
        return self.take(Message(type_, self.raft.id, from_, **fields))

    def take(self, message: Message) -> list[Message]:
        self.node.step(message)
        return self.work()

    def tick(self, times: int = 1) -> list[Message]:
        said: list[Message] = []
        for _ in range(times):
            self.node.tick()
            said += self.work()
        return said

    def campaign(self) -> list[Message]:
        self.node.campaign()
        return self.work()

    def propose(self, *commands: bytes) -> list[Message]:
        for data in commands:
            self.node.propose(data)
        return self.work()

    def read(self, context: bytes) -> list[Message]:
        self.node.read_index(context)
        return self.work()

    def elect(self, *voters: int) -> list[Message]:
        """Campaign, and be told yes by these voters."""
        self.campaign()
        said: list[Message] = []
        for voter in voters:
            said += self.hear(MessageType.MsgVoteResp, voter, term=self.raft.term)
        assert self.raft.is_leader
        return said

    def work(self) -> list[Message]:
        """Do what is to be done until nothing is; return the messages for others."""
        said: list[Message] = []
        while self.node.has_ready():  # ends: nothing new comes in
            ready = self.node.ready()
            if ready.snapshot is not None:
                self.storage.apply_snapshot(ready.snapshot)
            self.storage.append(ready.entries)
            if ready.hard_state is not None:
                self.storage.hard_state = ready.hard_state
            said += ready.messages
            self.apply(ready.committed_entries)
            self.reads += ready.read_states
            self.node.advance()
        return said

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.applied.append(entry)
            if entry.type is not EntryType.EntryNormal:
                self.node.apply_conf_change(decode_conf_change(entry))

    # What is seen of it.

    @property
    def state(self) -> StateType:
        return self.raft.state

    @property
    def committed(self) -> int:
        return self.raft.log.committed

    def terms(self) -> list[int]:
        """Return the terms of its log, from the first entry that it has."""
        log = self.raft.log
        return [log.term(index) for index in range(log.first_index(), log.last_index() + 1)]

    def commands(self) -> list[bytes]:
        """Return the commands that it applied, without what leaders write on their own."""
        return [one.data for one in self.applied if one.data and not one.type]

    def voters(self) -> tuple[int, ...]:
        return self.raft.tracker.membership.conf_state().voters


class Group:
    """Members and the messages on their way; `cut` holds links as (from, to)."""

    def __init__(self, *members: Member) -> None:
        self.members = {member.raft.id: member for member in members}
        self.cut: set[tuple[int, int]] = set()
        self.lost: set[MessageType] = set()

    def __getitem__(self, member: int) -> Member:
        return self.members[member]

    def isolate(self, *alone: int) -> None:
        """Cut these members off from the others, not from each other."""
        for one in alone:
            for other in set(self.members) - set(alone):
                self.cut |= {(one, other), (other, one)}

    def heal(self) -> None:
        self.cut.clear()
        self.lost.clear()

    def deliver(self, messages: Iterable[Message]) -> list[Message]:
        """Carry messages, and what they cause, until all is quiet; return all that were carried or lost."""
        under_way = list(messages)
        seen = 0
        while seen < len(under_way):
            message = under_way[seen]
            seen += 1
            assert seen < DELIVERED_MAX
            is_lost = (message.from_, message.to) in self.cut or message.type in self.lost
            if is_lost or message.to not in self.members:
                continue
            with suppress(ProposalDropped, StepPeerNotFound):  # who is told nothing asks again
                under_way += self.members[message.to].take(message)
        return under_way

    def elect(self, member: int) -> None:
        self.deliver(self[member].campaign())
        assert self[member].raft.is_leader

    def propose(self, member: int, *commands: bytes) -> list[Message]:
        return self.deliver(self[member].propose(*commands))

    def change(self, member: int, change: ConfChange | ConfChangeV2) -> list[Message]:
        self[member].node.propose_conf_change(change)
        return self.deliver(self[member].work())

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            for member in self.members.values():
                self.deliver(member.tick())

    def leaders(self) -> list[int]:
        return [member for member, one in self.members.items() if one.raft.is_leader]


def three(**settings: Any) -> Group:
    """Return a group of 1, 2 and 3 that 1 leads."""
    group = Group(*(Member(member, **settings) for member in (1, 2, 3)))
    group.elect(1)
    return group


def of_type(type_: MessageType, messages: Iterable[Message]) -> list[Message]:
    return [message for message in messages if message.type is type_]


def the_one(type_: MessageType, messages: Iterable[Message]) -> Message:
    """Return the message of the type; there is no second."""
    (message,) = of_type(type_, messages)
    return message


def joint(
    *changes: tuple[ConfChangeType, int],
    transition: ConfChangeTransition = ConfChangeTransition.ConfChangeTransitionAuto,
) -> ConfChangeV2:
    """Return several changes as one."""
    return ConfChangeV2(
        transition, tuple(ConfChangeSingle(kind, member) for kind, member in changes)
    )
