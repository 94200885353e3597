"""A life of a simulated member around `barn/replica.py`, which is what runs in production: group commit, retries, room on the disk, reads that share a question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runink.barn.commands import Proposal
from runink.barn.effects import Append, Work
from runink.barn.replica import Replica
from runink.errors import OutcomeUnknown, RuninkError, Unavailable
from runink.raft.core import Raft
from runink.raft.errors import ProposalDropped
from runink.raft.messages import EntryType, Message
from runink.raft.rawnode import RawNode
from runink.raft.storage import Compacted
from runink.testing.raft_disk import MemberLog
from runink.testing.raft_group_life import RETRY_US, Dropped, Host, ReadReply, Reply
from runink.testing.raft_group_world import MS

_ALL: Final = 2**62


class ReplicaLife:
    """A life around a replica: it decides, this writes and sends."""

    def __init__(self, host: Host, replica: Replica, log: MemberLog) -> None:
        self.log = log
        self._host = host
        self._replica = replica
        self._count = 0
        self._writes: dict[int, Reply] = {}
        self._reads: dict[int, tuple[str, ReadReply]] = {}
        self._is_making_room = False

    @property
    def raft(self) -> Raft:
        return self._replica.node.raft

    def tick(self) -> None:
        self._replica.tick()

    def step(self, message: Message) -> None:
        self._replica.receive([message])

    def do(self, act: Callable[[RawNode], object]) -> None:
        """Have the core do something that it may drop."""
        try:
            act(self._replica.node)
        except ProposalDropped:
            self._host.world.statistics.dropped_proposals += 1

    def propose(self, proposal: Proposal, reply: Reply) -> None:
        """Propose a command; an error that does not say that the outcome is unknown says that nothing happened."""
        self._count += 1
        try:
            self._replica.propose(self._count, proposal)
        except RuninkError:
            reply(Dropped.DROPPED)
        else:
            self._writes[self._count] = reply

    def read(self, key: str, context: bytes, reply: ReadReply) -> None:  # noqa: ARG002 - a replica makes its own context
        self._count += 1
        self._replica.read(self._count)
        self._reads[self._count] = (key, reply)

    def work(self) -> None:
        """Carry out what the replica wants; what it has more to do is done at once, or when others have had their turn."""
        before = self.log.store.applied_index
        work = self._replica.work()
        self._carry_out(work, before)
        if work.has_more:
            self._host.soon(self._host.world.random.choice((0, 0, 1000)), "more", _nothing)

    def _carry_out(self, work: Work, before: int) -> None:
        host = self._host
        self._note_applied(before)
        for messages in work.messages.values():
            for message in messages:
                host.send(message)
        for message in work.snapshots:
            host.send(message)
        for number, answer in work.answers:
            reply = self._writes.pop(number, None)
            if reply is None or isinstance(answer, OutcomeUnknown):
                continue
            reply(Dropped.DROPPED if isinstance(answer, RuninkError) else answer)
        for number in work.readable:
            key, reply_to_read = self._reads.pop(number)
            host.world.statistics.reads += 1
            reply_to_read(self.log.saw(key))
        if work.append is not None:
            self._write_later(work.append, host.disk_us())
        if work.room_bytes and not self._is_making_room:
            self._is_making_room = True
            host.soon(host.world.between(10, MS), "room", lambda: self._make_room(work.room_bytes))

    def _note_applied(self, before: int) -> None:
        """Show the watch what the replica has applied; of several changes of the membership at once only the last one's outcome is known."""
        store = self.log.store
        store.drain_changes()
        if store.applied_index == before:
            return
        watch, raft = self._host.watch, self.raft
        try:
            entries = raft.log.slice(before + 1, store.applied_index + 1, _ALL)
        except Compacted:
            return  # a leader's snapshot stands for them already, and is compared itself
        for entry in entries:
            watch.applied(entry)
        changes = [entry for entry in entries if entry.type is not EntryType.EntryNormal]
        if changes and not raft.log.has_next_or_in_progress_snapshot():
            self.log.conf_state = raft.tracker.membership.conf_state()
            watch.changed(changes[-1], self.log.conf_state)

    def _write_later(self, append: Append, delay_us: int) -> None:
        self._host.soon(delay_us, "write", lambda: self._write(append))

    def _write(self, append: Append) -> None:
        host, log = self._host, self.log
        try:
            log.put(append.entries, append.hard_state, append.snapshot)
        except Unavailable:
            host.world.statistics.full_disks += 1
            self._write_later(append, RETRY_US)
            return
        host.point("send")
        if append.snapshot is None:
            self._replica.written(append)
            return
        host.world.statistics.snapshots_installed += 1
        log.store = log.store_of(append.snapshot)
        self._replica.written(append, store=log.store)
        host.watch.state_at(log.store)

    def _make_room(self, size: int) -> None:
        self._is_making_room = False
        try:
            self._replica.room(self.log.make_room(size))
        except Unavailable as full:
            self._host.world.statistics.full_disks += 1
            self._replica.no_room(full)


def _nothing() -> None:
    """Every act of a member is followed by its work."""
