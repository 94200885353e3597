"""Linearizable reads: how far a reader must have applied before it may read (Raft, section 6.4).

A leader notes where its log is committed, asks a majority by a heartbeat whether it leads still, and only then answers.  Who asked waits until its state
machine has applied that index, and reads.  Requests are answered in order: who hears a majority for one has heard it for those before.

A leader of a new term does not know what is committed before an entry of its own is: until then requests wait.  That goes for the only voter, too: its
disk may have lost its newest commit index, which nobody syncs for its own sake, and not what was acknowledged with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runink.raft.config import ReadOnlyOption
from runink.raft.messages import NONE, Message, MessageType
from runink.raft.quorum import VoteResult

if TYPE_CHECKING:
    from runink.raft.core import Raft


class ReadState(msgspec.Struct, frozen=True, gc=False):
    """Who asked with this context may read when `index` is applied."""

    index: int
    context: bytes


class _Pending:
    __slots__ = ("acks", "index", "request")

    def __init__(self, request: Message, index: int) -> None:
        self.request = request
        self.index = index
        self.acks: dict[int, bool] = {}


class ReadOnly:
    """Requests that wait for a majority, in order; the context of each is its name."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[bytes, _Pending] = {}

    def add(self, request: Message, index: int) -> None:
        """Note a request; one of the same context waits already for an earlier index, which serves both."""
        self._pending.setdefault(context_of(request), _Pending(request, index))

    def acks(self, member: int, context: bytes) -> dict[int, bool]:
        """Note that a member answered with this context; return who did."""
        pending = self._pending.get(context)
        if pending is None:
            return {}
        pending.acks[member] = True
        return pending.acks

    def advance(self, context: bytes) -> list[tuple[Message, int]]:
        """Take out the request of this context and all before it, with the index of each."""
        done: list[tuple[Message, int]] = []
        if context not in self._pending:
            return done
        for name in list(self._pending):
            pending = self._pending.pop(name)
            done.append((pending.request, pending.index))
            if name == context:
                break
        return done

    def last_context(self) -> bytes:
        """Return the context of the newest request that waits, empty if none does."""
        return next(reversed(self._pending), b"")


def context_of(request: Message) -> bytes:
    return request.entries[0].data


def on_read_index(raft: Raft, request: Message) -> None:
    """As the leader, answer how far to apply, when it is sure that we lead."""
    if _has_committed_in_term(raft):
        _ask_majority(raft, request)
    else:
        raft.pending_reads.append(request)


def release_pending_reads(raft: Raft) -> None:
    """Go on with those that waited for the first entry of our term."""
    if raft.pending_reads and _has_committed_in_term(raft):
        waiting, raft.pending_reads = raft.pending_reads, []
        for request in waiting:
            _ask_majority(raft, request)


def on_heartbeat_answer(raft: Raft, message: Message) -> None:
    """Count the answer to a heartbeat that asked for reads."""
    if raft.config.read_only_option is not ReadOnlyOption.ReadOnlySafe or not message.context:
        return
    acks = raft.read_only.acks(message.from_, message.context)
    if raft.tracker.membership.voters.vote_result(acks) is not VoteResult.VoteWon:
        return
    for request, index in raft.read_only.advance(message.context):
        _answer(raft, request, index)


def _has_committed_in_term(raft: Raft) -> bool:
    return raft.log.matches(raft.term, raft.log.committed)


def _ask_majority(raft: Raft, request: Message) -> None:
    is_leased = raft.config.read_only_option is ReadOnlyOption.ReadOnlyLeaseBased
    if is_leased or raft.is_only_voter():
        _answer(raft, request, raft.log.committed)
        return
    context = context_of(request)
    raft.read_only.add(request, raft.log.committed)
    raft.read_only.acks(raft.id, context)
    heartbeat_all(raft, context)


def heartbeat_all(raft: Raft, context: bytes) -> None:
    """Send a heartbeat to everybody. What it says to be committed, its receiver is known to have."""
    for member in raft.others():
        progress = raft.tracker.progress[member]
        commit = min(progress.match, raft.log.committed)
        raft.send(MessageType.MsgHeartbeat, member, commit=commit, context=context)
        progress.note_sent_commit(commit)


def _answer(raft: Raft, request: Message, index: int) -> None:
    if request.from_ in (NONE, raft.id):
        raft.read_states.append(ReadState(index, context_of(request)))
        return
    raft.send(MessageType.MsgReadIndexResp, request.from_, index=index, entries=request.entries)
