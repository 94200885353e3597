"""A member of a group, for who drives it: what happens goes in, what is to be done comes out (`ready.py` says in which order).

    while True:                                   one task, no other calls in between
        wait for a tick, a message, a proposal, or the end of a write
        node.tick() | node.step(message) | node.propose(data) | ...
        if node.has_ready():
            ready = node.ready()
            ... do what it says ...
            node.advance()                        not with async_storage_writes

Nothing here waits, reads a clock or draws a number: the same calls have the same outcome.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from runink.raft.config import Config
from runink.raft.core import Raft, SoftState
from runink.raft.errors import StepLocalMessage, StepPeerNotFound
from runink.raft.log import bytes_of
from runink.raft.messages import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChange,
    ConfChangeV2,
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    as_v2,
    encode_conf_change,
)
from runink.raft.progress import Membership, Progress
from runink.raft.ready import (
    Ready,
    must_sync,
    needs_storage_append_resp,
    storage_append,
    storage_append_resp,
    storage_apply,
    storage_apply_resp,
)
from runink.raft.reconfiguration import apply_conf_change
from runink.raft.step import step, tick

_LOCAL: Final = frozenset(
    {
        MessageType.MsgHup,
        MessageType.MsgBeat,
        MessageType.MsgUnreachable,
        MessageType.MsgSnapStatus,
        MessageType.MsgCheckQuorum,
        MessageType.MsgForgetLeader,
        MessageType.MsgStorageAppend,
        MessageType.MsgStorageAppendResp,
        MessageType.MsgStorageApply,
        MessageType.MsgStorageApplyResp,
    }
)
_OF_MEMBERS: Final = frozenset(
    {
        MessageType.MsgAppResp,
        MessageType.MsgVoteResp,
        MessageType.MsgPreVoteResp,
        MessageType.MsgHeartbeatResp,
        MessageType.MsgReadIndexResp,
    }
)
_THREADS: Final = frozenset({LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD})


@dataclass(frozen=True, slots=True)
class Status:
    """A member as it is now. Only a leader knows the `progress` of the others."""

    id: int
    soft_state: SoftState
    hard_state: HardState
    applied: int
    membership: Membership
    progress: dict[int, Progress]
    lead_transferee: int


class RawNode:
    """One member. Raises Invalid for settings that cannot work."""

    def __init__(self, config: Config) -> None:
        self.raft = Raft(config)
        self._is_async = config.async_storage_writes
        self._soft_state = self.raft.soft_state
        self._hard_state = self.raft.hard_state
        self._on_advance: list[Message] = []

    # What happens.

    def tick(self) -> None:
        """Let one unit of time pass."""
        tick(self.raft)

    def campaign(self) -> None:
        """Begin an election now."""
        step(self.raft, Message(MessageType.MsgHup))

    def propose(self, data: bytes) -> None:
        """Propose a command. Raises ProposalDropped."""
        self.propose_entries((Entry(data=data),))

    def propose_entries(self, entries: Iterable[Entry]) -> None:
        """Propose several entries at once, without term and index: all of them are taken or none. Raises ProposalDropped."""
        message = Message(MessageType.MsgProp, from_=self.raft.id, entries=tuple(entries))
        step(self.raft, message)

    def propose_conf_change(self, change: ConfChange | ConfChangeV2) -> None:
        """Propose a change of the membership; it may become an entry that does nothing. Raises ProposalDropped."""
        type_, data = encode_conf_change(change)
        self.propose_entries((Entry(type=type_, data=data),))

    def apply_conf_change(self, change: ConfChange | ConfChangeV2) -> ConfState:
        """Say that a committed change is applied; return the membership behind it. Raises ConfChangeError for one that cannot be."""
        return apply_conf_change(self.raft, as_v2(change))

    def step(self, message: Message) -> None:
        """Take a message of another member, or of a storage thread. Raises StepLocalMessage, StepPeerNotFound, ProposalDropped."""
        if message.from_ not in _THREADS:
            if message.type in _LOCAL:
                raise StepLocalMessage
            if message.type in _OF_MEMBERS and message.from_ not in self.raft.tracker.progress:
                raise StepPeerNotFound
        step(self.raft, message)

    def read_index(self, context: bytes) -> None:
        """Ask how far to apply before a linearizable read; a read state with this context answers, or nothing does if there is no leader."""
        message = Message(MessageType.MsgReadIndex, entries=(Entry(data=context),))
        step(self.raft, message)

    def transfer_leader(self, successor: int) -> None:
        """Ask the leader to hand over; it does not if the successor is no voter or does not come up to date within an election time-out."""
        step(self.raft, Message(MessageType.MsgTransferLeader, from_=successor))

    def forget_leader(self) -> None:
        """As a follower, know no leader any more within the term: an election may begin at once if others do so too."""
        step(self.raft, Message(MessageType.MsgForgetLeader))

    def report_unreachable(self, member: int) -> None:
        """Say that the last message to a member did not arrive."""
        step(self.raft, Message(MessageType.MsgUnreachable, from_=member))

    def report_snapshot(self, member: int, *, is_delivered: bool) -> None:
        """Say what became of a snapshot. Needed in any case: nothing else is sent to the member until then."""
        message = Message(MessageType.MsgSnapStatus, from_=member, reject=not is_delivered)
        step(self.raft, message)

    # What is to be done.

    def has_ready(self) -> bool:
        """Say whether `ready` has something to say. It is asked several times for each message, so what is likely comes first."""
        raft, log = self.raft, self.raft.log
        if raft.messages or raft.messages_after_append or raft.read_states:
            return True
        before, soft_before = self._hard_state, self._soft_state
        return (
            log.committed != before.commit
            or log.has_next_entries()
            or raft.term != before.term
            or raft.vote != before.vote
            or raft.lead != soft_before.lead
            or raft.state is not soft_before.state
            or log.unstable.next_snapshot() is not None
            or log.has_next_committed(allow_unstable=not self._is_async)
        )

    def ready(self) -> Ready:
        """Return what is to be done, and take it as handed out."""
        raft, log = self.raft, self.raft.log
        soft_state, hard_state = raft.soft_state, raft.hard_state
        entries = tuple(log.unstable.next_entries())
        committed = tuple(log.next_committed(allow_unstable=not self._is_async))
        ready = Ready(
            soft_state=soft_state if soft_state != self._soft_state else None,
            hard_state=hard_state if hard_state != self._hard_state else None,
            read_states=tuple(raft.read_states),
            entries=entries,
            snapshot=log.unstable.next_snapshot(),
            committed_entries=committed,
            must_sync=must_sync(hard_state, self._hard_state, entries),
        )
        ready = structs.replace(ready, messages=tuple(self._messages(ready)))
        self._accept(ready)
        self._soft_state, self._hard_state = soft_state, hard_state
        return ready

    def _messages(self, ready: Ready) -> list[Message]:
        raft = self.raft
        messages = raft.messages
        if not self._is_async:
            after = raft.messages_after_append
            return [*messages, *(message for message in after if message.to != raft.id)]
        work = storage_append(raft, ready)
        if work is not None:
            messages.append(work)
        if ready.committed_entries:
            messages.append(storage_apply(raft, ready.committed_entries))
        return messages

    def _accept(self, ready: Ready) -> None:
        raft, log = self.raft, self.raft.log
        if not self._is_async:
            after = raft.messages_after_append
            self._on_advance += [message for message in after if message.to == raft.id]
            if needs_storage_append_resp(raft, ready):
                self._on_advance.append(storage_append_resp(raft, ready))
            if ready.committed_entries:
                self._on_advance.append(storage_apply_resp(raft, ready.committed_entries))
        raft.messages, raft.messages_after_append, raft.read_states = [], [], []
        log.accept_unstable()
        committed = ready.committed_entries
        if committed:
            size = bytes_of(committed)
            log.accept_applying(committed[-1].index, size, allow_unstable=not self._is_async)

    def advance(self) -> None:
        """Say that what the last Ready said is done."""
        assert not self._is_async, "the responses of the storage threads say so themselves"
        done, self._on_advance = self._on_advance, []
        for message in done:
            step(self.raft, message)

    def status(self) -> Status:
        raft = self.raft
        progress = raft.tracker.progress if raft.is_leader else {}
        return Status(
            raft.id,
            raft.soft_state,
            raft.hard_state,
            raft.log.applied,
            raft.tracker.membership,
            {member: one.clone() for member, one in progress.items()},
            raft.lead_transferee,
        )
