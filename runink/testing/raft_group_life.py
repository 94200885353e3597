"""One life of a simulated member, driven as `raft/ready.py` says: the core, its log on a disk, the store, and who waits for an answer.

The core's work is done either the synchronous way (a Ready at a time, with all that it asks for) or the asynchronous way (two queues, one that writes and one
that applies).  A crash may come before each operation of the disk, before messages are sent, before entries are applied, and before `advance`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from runink.barn.commands import Answer, Proposal, decode_proposal, encode_proposal
from runink.errors import Unavailable
from runink.raft.core import Raft
from runink.raft.errors import ProposalDropped, StepPeerNotFound
from runink.raft.membership import ConfChangeError
from runink.raft.messages import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    Entry,
    EntryType,
    HardState,
    Message,
    Snapshot,
    decode_conf_change,
)
from runink.raft.rawnode import RawNode
from runink.raft.reads import ReadState
from runink.raft.ready import Ready
from runink.testing.histories import Saw
from runink.testing.raft_disk import MemberLog
from runink.testing.raft_group_watch import GroupWatch
from runink.testing.raft_group_world import MS, Act, World

RETRY_US: Final = 20 * MS  # until a disk without room is tried again


class Dropped(Enum):
    """The answer to a proposal that nobody took."""

    DROPPED = "dropped"


Reply = Callable[[Answer | Dropped], None]
ReadReply = Callable[[Saw], None]


class Host(Protocol):
    """What a life needs of its member: `soon` does something later, if the life goes on; `point` is where the power may go."""

    @property
    def id(self) -> int: ...

    @property
    def world(self) -> World: ...

    @property
    def watch(self) -> GroupWatch: ...

    def soon(self, delay_us: int, label: str, act: Act) -> None: ...

    def point(self, name: str) -> None: ...

    def disk_us(self) -> int: ...

    def send(self, message: Message) -> None: ...


class Life(Protocol):
    """What a member can do while it lives. After each call follows `work`."""

    @property
    def log(self) -> MemberLog: ...

    @property
    def raft(self) -> Raft: ...

    def tick(self) -> None: ...

    def step(self, message: Message) -> None: ...

    def do(self, act: Callable[[RawNode], object]) -> None: ...

    def propose(self, proposal: Proposal, reply: Reply) -> None: ...

    def read(self, key: str, context: bytes, reply: ReadReply) -> None: ...

    def work(self) -> None: ...


class RawLife:
    """A life around a raw node."""

    def __init__(self, host: Host, node: RawNode, log: MemberLog, *, is_async: bool) -> None:
        self.log = log
        self._host = host
        self._node = node
        self._is_async = is_async
        self._is_busy = False
        self._unwritten_state: HardState | None = None
        self._to_write: deque[Message] = deque()
        self._to_apply: deque[Message] = deque()
        self._writes: dict[tuple[str, int], Reply] = {}
        self._reads: dict[bytes, tuple[str, ReadReply]] = {}
        self._waiting_reads: list[tuple[ReadState, str, ReadReply]] = []

    @property
    def raft(self) -> Raft:
        return self._node.raft

    def tick(self) -> None:
        self._node.tick()

    def step(self, message: Message) -> None:
        """Take a message; what cannot be taken is passed over, as any shell does."""
        try:
            self._node.step(message)
        except ProposalDropped:
            self._host.world.statistics.dropped_proposals += 1
        except StepPeerNotFound:
            pass  # It left the group, or we have not heard yet that it joined.

    def do(self, act: Callable[[RawNode], object]) -> None:
        """Have the core do something that it may drop."""
        try:
            act(self._node)
        except ProposalDropped:
            self._host.world.statistics.dropped_proposals += 1

    def propose(self, proposal: Proposal, reply: Reply) -> None:
        """Propose a command; the reply comes when it is applied here, if it ever is, or at once if it was dropped."""
        try:
            self._node.propose(encode_proposal(proposal))
        except ProposalDropped:
            self._host.world.statistics.dropped_proposals += 1
            reply(Dropped.DROPPED)
        else:
            self._writes[proposal.client, proposal.sequence] = reply

    def read(self, key: str, context: bytes, reply: ReadReply) -> None:
        """Read a key once this member has applied what a read now must see."""
        self._reads[context] = (key, reply)
        self._node.read_index(context)

    # What is to be done.

    def work(self) -> None:
        while not self._is_busy and self._node.has_ready():
            ready = self._node.ready()
            self._take_read_states(ready)
            if self._is_async:
                self._send(ready.messages)
            else:
                self._is_busy = True
                self._finish_later(ready, self._host.disk_us())

    def _finish_later(self, ready: Ready, delay_us: int) -> None:
        self._host.soon(delay_us, "ready", lambda: self._finish(ready))

    def _finish(self, ready: Ready) -> None:
        host = self._host
        if ready.hard_state is not None:
            self._unwritten_state = ready.hard_state
        is_needed = ready.must_sync or ready.snapshot is not None or host.world.chance(0.5)
        if is_needed:  # The commit index alone may wait, but no longer than to the next write.
            if not self._write(ready.entries, self._unwritten_state, ready.snapshot):
                self._finish_later(ready, RETRY_US)
                return
            self._unwritten_state = None
        host.point("send")
        self._send(ready.messages)
        host.point("apply")
        self._apply(ready.committed_entries)
        host.point("advance")
        self._is_busy = False
        self._node.advance()

    def _write(
        self, entries: tuple[Entry, ...], hard_state: HardState | None, snapshot: Snapshot | None
    ) -> bool:
        """Put it on disk; say whether there was room."""
        host = self._host
        try:
            self.log.write(entries, hard_state, snapshot)
        except Unavailable:
            host.world.statistics.full_disks += 1
            return False
        if snapshot is not None:
            host.world.statistics.snapshots_installed += 1
            self.log.restore_store()
            host.watch.state_at(self.log.store)
            self._answer_reads()
        return True

    def _send(self, messages: tuple[Message, ...]) -> None:
        host = self._host
        for message in messages:
            if message.to == LOCAL_APPEND_THREAD:
                self._to_write.append(message)
                if len(self._to_write) == 1:
                    host.soon(host.disk_us(), "write", self._write_next)
            elif message.to == LOCAL_APPLY_THREAD:
                self._to_apply.append(message)
                if len(self._to_apply) == 1:
                    host.soon(host.world.between(10, MS), "apply", self._apply_next)
            elif message.to == host.id:
                self.step(message)
            else:
                host.send(message)

    def _write_next(self) -> None:
        host = self._host
        work = self._to_write[0]
        state = HardState(work.term, work.vote, work.commit)
        hard_state = None if state == HardState() else state
        if not self._write(work.entries, hard_state, work.snapshot):
            host.soon(RETRY_US, "write again", self._write_next)
            return
        self._to_write.popleft()
        host.point("send")
        self._send(work.responses)
        if self._to_write:
            host.soon(host.disk_us(), "write", self._write_next)

    def _apply_next(self) -> None:
        host = self._host
        work = self._to_apply.popleft()
        host.point("apply")
        self._apply(work.entries)
        self._send(work.responses)
        if self._to_apply:
            host.soon(host.world.between(10, MS), "apply", self._apply_next)

    # The state machine.

    def _apply(self, entries: tuple[Entry, ...]) -> None:
        store = self.log.store
        for entry in entries:
            if entry.index <= store.applied_index:
                continue  # A snapshot came first.
            self._host.watch.applied(entry)
            if entry.type is EntryType.EntryNormal and entry.data:
                self._execute(entry)
                continue
            store.skip(term=entry.term, index=entry.index)
            if entry.type is not EntryType.EntryNormal:
                self._change_membership(entry)
        self._answer_reads()

    def _execute(self, entry: Entry) -> None:
        proposal = decode_proposal(entry.data)
        store = self.log.store
        answer = store.apply(proposal, term=entry.term, index=entry.index)
        store.drain_changes()
        reply = self._writes.pop((proposal.client, proposal.sequence), None)
        if reply is not None:
            reply(answer)

    def _change_membership(self, entry: Entry) -> None:
        try:
            conf_state = self._node.apply_conf_change(decode_conf_change(entry))
        except ConfChangeError:
            return  # It does not fit the membership, and on no member does it.
        if self.raft.log.has_next_or_in_progress_snapshot():
            return  # The core is ahead: it has the snapshot's membership already.
        self.log.conf_state = conf_state
        self._host.watch.changed(entry, conf_state)

    def _take_read_states(self, ready: Ready) -> None:
        for state in ready.read_states:
            waiting = self._reads.pop(state.context, None)
            if waiting is not None:
                self._waiting_reads.append((state, *waiting))
        if ready.read_states:
            self._answer_reads()

    def _answer_reads(self) -> None:
        waiting, self._waiting_reads = self._waiting_reads, []
        for state, key, reply in waiting:
            if state.index > self.log.store.applied_index:
                self._waiting_reads.append((state, key, reply))
            else:
                self._host.world.statistics.reads += 1
                reply(self.log.saw(key))
