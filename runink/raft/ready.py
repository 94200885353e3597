"""What a member wants done, and in which order.

Synchronous (`Config.async_storage_writes` is off), for each Ready:
    1. write `snapshot`, `entries` and `hard_state` to disk, in this order; sync if `must_sync`, and a snapshot always
    2. send `messages`; those that promise nothing of what was written (a leader's MsgApp) may be sent before or meanwhile
    3. apply `snapshot`, then `committed_entries`, and say so of changes of the membership (`RawNode.apply_conf_change`)
    4. `RawNode.advance`
Asynchronous: send `messages` at once.  Those to LOCAL_APPEND_THREAD and LOCAL_APPLY_THREAD are work: it is done in the order in which it came, by each of the two for
itself, and when it is done its `responses` are sent like any other message, those to this member itself stepped.  What stands in `entries`, `hard_state`,
`snapshot` and `committed_entries` is told for information; there is no `advance`.

`read_states` name reads that may go ahead once their index is applied.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runink.raft.core import Raft, SoftState
from runink.raft.messages import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    Entry,
    HardState,
    Message,
    MessageType,
    Snapshot,
)
from runink.raft.reads import ReadState


class Ready(msgspec.Struct, frozen=True):
    """One batch of effects. What did not change since the last one is None, or empty."""

    soft_state: SoftState | None = None
    hard_state: HardState | None = None
    read_states: tuple[ReadState, ...] = ()
    entries: tuple[Entry, ...] = ()
    snapshot: Snapshot | None = None
    committed_entries: tuple[Entry, ...] = ()
    messages: tuple[Message, ...] = ()
    must_sync: bool = False


def must_sync(now: HardState, before: HardState, entries: Sequence[Entry]) -> bool:
    """Say whether somebody is promised something that rests on this. A commit index alone may wait, but not longer than for the next write that does not."""
    return bool(entries) or now.term != before.term or now.vote != before.vote


def storage_append(raft: Raft, ready: Ready) -> Message | None:
    """Return the work for the append thread, if there is any; the answers that promise it come as its responses."""
    responses = list(raft.messages_after_append)
    is_needed = ready.entries or ready.hard_state or ready.snapshot or responses
    if not is_needed:
        return None
    if needs_storage_append_resp(raft, ready):
        responses.append(storage_append_resp(raft, ready))
    state = ready.hard_state or HardState()
    return Message(
        MessageType.MsgStorageAppend,
        LOCAL_APPEND_THREAD,
        raft.id,
        term=state.term,
        vote=state.vote,
        commit=state.commit,
        entries=ready.entries,
        snapshot=ready.snapshot,
        responses=tuple(responses),
    )


def needs_storage_append_resp(raft: Raft, ready: Ready) -> bool:
    """Say whether the core is to hear of this write: also while an earlier one is under way, see `storage_append_resp`."""
    return raft.log.has_unstable_entries() or ready.snapshot is not None


def storage_append_resp(raft: Raft, ready: Ready) -> Message:
    """Return what tells the core that all of the log, as it is now, is on disk.

    It names the term in which the write was begun, and the last entry.  A follower may write entries of a leader, then others in their place of the next
    leader, then the first ones again; an answer to the first write must not stand for the third.  So a write of a lower term is not
    counted, and the first write of a later term, even if it has no entries, answers for all that is in the log then.
    """
    log = raft.log
    has_entries = log.has_unstable_entries()
    return Message(
        MessageType.MsgStorageAppendResp,
        raft.id,
        LOCAL_APPEND_THREAD,
        term=raft.term,
        index=log.last_index() if has_entries else 0,
        log_term=log.last_term() if has_entries else 0,
        snapshot=ready.snapshot,
    )


def storage_apply(raft: Raft, entries: tuple[Entry, ...]) -> Message:
    """Return the work for the apply thread. It carries no term: what is committed is so in every term."""
    return Message(
        MessageType.MsgStorageApply,
        LOCAL_APPLY_THREAD,
        raft.id,
        entries=entries,
        responses=(storage_apply_resp(raft, entries),),
    )


def storage_apply_resp(raft: Raft, entries: tuple[Entry, ...]) -> Message:
    return Message(MessageType.MsgStorageApplyResp, raft.id, LOCAL_APPLY_THREAD, entries=entries)
