"""The log: how a leader sends it, and how a follower takes it (Raft, sections 5.3, 7).

A follower's progress has one of three states (`progress.py`):

    StateProbe       it is not known where its log matches: one MsgApp at a time, until one is answered
    StateReplicate   it matches: MsgApps follow one another without waiting, as many as may be under way
    StateSnapshot    what it lacks is gone from the log: a snapshot is under way, and nothing else
"""

from __future__ import annotations

from runink.raft.core import Raft, StateType
from runink.raft.log import payload_bytes
from runink.raft.membership import restore
from runink.raft.messages import NONE, Message, MessageType, Snapshot
from runink.raft.progress import Progress, ProgressState
from runink.raft.reads import on_heartbeat_answer, release_pending_reads
from runink.raft.storage import Compacted, SnapshotTemporarilyUnavailable, Unavailable

# The leader.


def append_all(raft: Raft) -> None:
    """Send to everybody what they lack, or at least how far the log is committed."""
    for member in raft.others():
        send_append(raft, member)


def send_append(raft: Raft, to: int, *, may_be_empty: bool = True) -> bool:
    """Send a member what it lacks behind what we have sent; say whether anything was sent."""
    progress = raft.tracker.progress[to]
    if progress.is_paused():
        return False
    log = raft.log
    before = progress.next - 1
    try:
        log_term = log.term(before)
        # With as much under way as may be, an empty one still tells the commit index and finds what was lost.
        is_full = progress.state is ProgressState.StateReplicate and progress.inflights.is_full()
        bytes_max = raft.config.message_bytes_max
        entries = () if is_full else tuple(log.entries_from(progress.next, bytes_max))
    except (Compacted, Unavailable):
        return _send_snapshot(raft, to, progress)
    if not entries and not may_be_empty:
        return False
    raft.send(
        MessageType.MsgApp,
        to,
        index=before,
        log_term=log_term,
        entries=entries,
        commit=log.committed,
    )
    progress.sent_entries(len(entries), payload_bytes(entries))
    progress.note_sent_commit(log.committed)
    return True


def _send_snapshot(raft: Raft, to: int, progress: Progress) -> bool:
    if not progress.recent_active:
        return False  # a snapshot to somebody who is away costs much and helps nobody
    try:
        snapshot = raft.log.snapshot()
    except SnapshotTemporarilyUnavailable:
        return False
    assert snapshot.metadata.index, "the log was cut without a snapshot"
    progress.become_snapshot(snapshot.metadata.index)
    raft.send(MessageType.MsgSnap, to, snapshot=snapshot)
    return True


def send_timeout_now(raft: Raft, to: int) -> None:
    raft.send(MessageType.MsgTimeoutNow, to)


def on_append_answer(raft: Raft, message: Message) -> None:
    progress = raft.tracker.progress[message.from_]
    progress.recent_active = True
    if message.reject:
        _back_off(raft, message, progress)
        return
    is_probing = progress.state is ProgressState.StateProbe
    is_news = progress.maybe_update(message.index)
    if not is_news and not (is_probing and progress.match == message.index):
        return
    _move_on(raft, progress, message.index)
    is_other = message.from_ != raft.id
    if raft.maybe_commit():
        release_pending_reads(raft)
        append_all(raft)
    elif is_other and progress.can_bump_commit(raft.log.committed):
        send_append(raft, message.from_)
    if is_other:
        # Room became free: fill it. Ends when the log, or what may be under way, does.
        while send_append(raft, message.from_, may_be_empty=False):
            pass
    if message.from_ == raft.lead_transferee and progress.match == raft.log.last_index():
        send_timeout_now(raft, message.from_)


def _back_off(raft: Raft, message: Message, progress: Progress) -> None:
    """Try an earlier place: the follower's hint, or before it the last one where our term is not above its term."""
    probe = message.reject_hint
    if message.log_term:
        probe, _ = raft.log.find_conflict_by_term(message.reject_hint, message.log_term)
    if progress.maybe_decr_to(message.index, probe):
        if progress.state is ProgressState.StateReplicate:
            progress.become_probe()
        send_append(raft, message.from_)


def _move_on(raft: Raft, progress: Progress, index: int) -> None:
    match progress.state:
        case ProgressState.StateProbe:
            progress.become_replicate()
        case ProgressState.StateSnapshot:
            # It need not be the snapshot that we sent: whatever brought it to where our log begins will do.
            if progress.match + 1 >= raft.log.first_index():
                progress.become_probe()
                progress.become_replicate()
        case ProgressState.StateReplicate:
            progress.inflights.free_le(index)


def on_heartbeat_resp(raft: Raft, message: Message) -> None:
    progress = raft.tracker.progress[message.from_]
    progress.recent_active = True
    progress.is_flow_paused = False
    is_behind = progress.match < raft.log.last_index()
    if is_behind or progress.state is ProgressState.StateProbe:
        send_append(raft, message.from_)
    on_heartbeat_answer(raft, message)


def on_snapshot_status(raft: Raft, message: Message) -> None:
    """A snapshot was delivered or lost: probe what comes behind it, when the follower answers."""
    progress = raft.tracker.progress[message.from_]
    if progress.state is not ProgressState.StateSnapshot:
        return
    if message.reject:
        progress.pending_snapshot = 0
    progress.become_probe()
    progress.is_flow_paused = True


def on_unreachable(raft: Raft, message: Message) -> None:
    """What was under way is lost, probably."""
    progress = raft.tracker.progress[message.from_]
    if progress.state is ProgressState.StateReplicate:
        progress.become_probe()


def on_transfer_leader(raft: Raft, message: Message) -> None:
    """Bring the successor up to date, then tell it to campaign; for an election time-out no proposal is taken (Raft, section 3.10 of the dissertation)."""
    successor = message.from_
    progress = raft.tracker.progress[successor]
    if progress.is_learner or successor == raft.lead_transferee:
        return
    raft.lead_transferee = NONE
    if successor == raft.id:
        return
    raft.election_elapsed = 0
    raft.lead_transferee = successor
    if progress.match == raft.log.last_index():
        send_timeout_now(raft, successor)
    else:
        send_append(raft, successor)


# The follower.


def on_append(raft: Raft, message: Message) -> None:
    log = raft.log
    if message.index < log.committed:
        raft.send(MessageType.MsgAppResp, message.from_, index=log.committed)
        return
    last = log.maybe_append(message.log_term, message.index, message.entries, commit=message.commit)
    if last is not None:
        raft.send(MessageType.MsgAppResp, message.from_, index=last)
        return
    hint = min(message.index, log.last_index())
    hint, hint_term = log.find_conflict_by_term(hint, message.log_term)
    raft.send(
        MessageType.MsgAppResp,
        message.from_,
        index=message.index,
        reject=True,
        reject_hint=hint,
        log_term=hint_term,
    )


def on_heartbeat(raft: Raft, message: Message) -> None:
    raft.log.commit_to(message.commit)
    raft.send(MessageType.MsgHeartbeatResp, message.from_, context=message.context)


def on_snapshot(raft: Raft, message: Message) -> None:
    assert message.snapshot is not None
    is_taken = _restore(raft, message.snapshot)
    index = raft.log.last_index() if is_taken else raft.log.committed
    raft.send(MessageType.MsgAppResp, message.from_, index=index)


def _restore(raft: Raft, snapshot: Snapshot) -> bool:
    """Put the snapshot in place of our log, if it holds more than we know to be committed; say whether it did."""
    metadata = snapshot.metadata
    if metadata.index <= raft.log.committed:
        return False
    if raft.state is not StateType.StateFollower:
        raft.become_follower(raft.term + 1, NONE)  # cannot be; but a leader must never do this
        return False
    conf = metadata.conf_state
    if raft.id not in (*conf.voters, *conf.learners, *conf.voters_outgoing):
        return False
    if raft.log.matches(metadata.term, metadata.index):
        raft.log.commit_to(metadata.index)  # we have it all, and did not know
        return False
    raft.log.restore(snapshot)
    raft.tracker.progress = {}
    raft.adopt(*restore(raft.tracker, raft.log.last_index(), conf))
    ours = raft.tracker.progress[raft.id]
    ours.maybe_update(ours.next - 1)
    return True
