"""What a member does with a message, and when time passes. The only two ways in which its state changes, beside a change of the membership.

A message of a higher term makes a follower of everybody; one of a lower term is ignored, or answered so that its sender learns the term.  Then the role
decides.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from runink.raft import election, reads, replication
from runink.raft.config import ReadOnlyOption
from runink.raft.core import Raft, StateType
from runink.raft.election import Campaign, hup
from runink.raft.errors import ProposalDropped
from runink.raft.log import bytes_of
from runink.raft.messages import NONE, Entry, EntryType, Message, MessageType, Snapshot
from runink.raft.reconfiguration import checked

_VOTES: Final = frozenset({MessageType.MsgVote, MessageType.MsgPreVote})
_FROM_LEADER: Final = frozenset({MessageType.MsgApp, MessageType.MsgHeartbeat, MessageType.MsgSnap})
_VOTE_ANSWER: Final = {
    StateType.StateCandidate: MessageType.MsgVoteResp,
    StateType.StatePreCandidate: MessageType.MsgPreVoteResp,
}
_LEAVE_JOINT: Final = (Entry(type=EntryType.EntryConfChangeV2),)

_Handler = Callable[[Raft, Message], None]


def tick(raft: Raft) -> None:
    """Let one unit of time pass."""
    raft.election_elapsed += 1
    if not raft.is_leader:
        if raft.is_promotable() and raft.is_past_election_timeout():
            raft.election_elapsed = 0
            step(raft, Message(MessageType.MsgHup, from_=raft.id))
        return
    raft.heartbeat_elapsed += 1
    if raft.election_elapsed >= raft.config.election_tick:
        raft.election_elapsed = 0
        if raft.config.check_quorum:
            step(raft, Message(MessageType.MsgCheckQuorum, from_=raft.id))
        raft.lead_transferee = NONE  # the successor took too long: go on ourselves
    if raft.is_leader and raft.heartbeat_elapsed >= raft.config.heartbeat_tick:
        raft.heartbeat_elapsed = 0
        step(raft, Message(MessageType.MsgBeat, from_=raft.id))


def step(raft: Raft, message: Message) -> None:
    """Take a message. Raises ProposalDropped for a proposal that is not taken."""
    if message.term > raft.term:
        if not _meet_higher_term(raft, message):
            return
    elif 0 < message.term < raft.term:
        _answer_lower_term(raft, message)
        return
    match message.type:
        case MessageType.MsgHup:
            hup(raft, Campaign.PRE_ELECTION if raft.config.pre_vote else Campaign.ELECTION)
        case MessageType.MsgVote | MessageType.MsgPreVote:
            election.on_vote(raft, message)
        case MessageType.MsgStorageAppendResp:
            _on_storage_append_resp(raft, message)
        case MessageType.MsgStorageApplyResp:
            _on_storage_apply_resp(raft, message)
        case _ if raft.state is StateType.StateLeader:
            _step_leader(raft, message)
        case _ if raft.state is StateType.StateFollower:
            _step_follower(raft, message)
        case _:
            _step_candidate(raft, message)


def _meet_higher_term(raft: Raft, message: Message) -> bool:
    """Become a follower where the message shows that the term is over; say whether the message counts."""
    if message.type in _VOTES and election.is_in_lease(raft, message):
        return False
    is_pre_vote = message.type is MessageType.MsgPreVote
    if is_pre_vote or (message.type is MessageType.MsgPreVoteResp and not message.reject):
        return True  # it is about a term that nobody has begun yet
    lead = message.from_ if message.type in _FROM_LEADER else NONE
    raft.become_follower(message.term, lead)
    return True


def _answer_lower_term(raft: Raft, message: Message) -> None:
    """Help those that are behind: without an answer they might stay there.

    A member that was cut off and campaigned has a higher term; with check-quorum or pre-vote it does not take the leader's messages, and no vote of it
    ends the leader's term: the answer does.
    """
    config = raft.config
    if message.type in (MessageType.MsgHeartbeat, MessageType.MsgApp):
        if config.check_quorum or config.pre_vote:
            raft.send(MessageType.MsgAppResp, message.from_)
    elif message.type is MessageType.MsgPreVote:
        raft.send(MessageType.MsgPreVoteResp, message.from_, reject=True)
    elif message.type is MessageType.MsgStorageAppendResp and message.snapshot is not None:
        # Entries may have been replaced since, in a later term; a snapshot is committed state whatever the term.
        _snapshot_is_stable(raft, message.snapshot)


def _on_storage_append_resp(raft: Raft, message: Message) -> None:
    if message.index:
        raft.log.unstable.stable_to(message.log_term, message.index)
    if message.snapshot is not None:
        _snapshot_is_stable(raft, message.snapshot)


def _snapshot_is_stable(raft: Raft, snapshot: Snapshot) -> None:
    raft.log.unstable.snapshot_stable_to(snapshot.metadata.index)
    _applied_to(raft, snapshot.metadata.index, 0)


def _on_storage_apply_resp(raft: Raft, message: Message) -> None:
    if message.entries:
        _applied_to(raft, message.entries[-1].index, bytes_of(message.entries))
        raft.reduce_uncommitted(message.entries)


def _applied_to(raft: Raft, index: int, size: int) -> None:
    log = raft.log
    log.applied_to(max(index, log.applied), size)
    membership = raft.tracker.membership
    if membership.auto_leave and raft.is_leader and log.applied >= raft.pending_conf_index:
        # Where it is dropped (a transfer is under way) the next applied entry proposes it again.
        with suppress(ProposalDropped):
            step(raft, Message(MessageType.MsgProp, from_=raft.id, entries=_LEAVE_JOINT))


# The leader.


def _step_leader(raft: Raft, message: Message) -> None:
    match message.type:
        case MessageType.MsgBeat:
            reads.heartbeat_all(raft, raft.read_only.last_context())
        case MessageType.MsgCheckQuorum:
            _check_quorum(raft)
        case MessageType.MsgProp:
            _on_propose(raft, message)
        case MessageType.MsgReadIndex:
            reads.on_read_index(raft, message)
        case _:
            handler = _OF_MEMBERS.get(message.type)
            if handler is not None and message.from_ in raft.tracker.progress:
                handler(raft, message)


_OF_MEMBERS: Final[dict[MessageType, _Handler]] = {
    MessageType.MsgAppResp: replication.on_append_answer,
    MessageType.MsgHeartbeatResp: replication.on_heartbeat_resp,
    MessageType.MsgSnapStatus: replication.on_snapshot_status,
    MessageType.MsgUnreachable: replication.on_unreachable,
    MessageType.MsgTransferLeader: replication.on_transfer_leader,
}


def _check_quorum(raft: Raft) -> None:
    if not raft.tracker.quorum_active():
        raft.become_follower(raft.term, NONE)
    for member in raft.others():
        raft.tracker.progress[member].recent_active = False


def _on_propose(raft: Raft, message: Message) -> None:
    assert message.entries, "a proposal has an entry"
    if raft.id not in raft.tracker.progress or raft.lead_transferee:
        raise ProposalDropped  # we were removed, or are about to hand over
    if not raft.append(checked(raft, message.entries)):
        raise ProposalDropped
    replication.append_all(raft)


# The others.


def _step_candidate(raft: Raft, message: Message) -> None:
    if message.type is MessageType.MsgProp:
        raise ProposalDropped
    if message.type in _FROM_LEADER:
        raft.become_follower(message.term, message.from_)  # the term has its leader
        _take_from_leader(raft, message)
    elif message.type is _VOTE_ANSWER[raft.state]:
        election.on_vote_answer(raft, message)


def _step_follower(raft: Raft, message: Message) -> None:
    match message.type:
        case MessageType.MsgApp | MessageType.MsgHeartbeat | MessageType.MsgSnap:
            raft.election_elapsed = 0
            raft.lead = message.from_
            _take_from_leader(raft, message)
        case MessageType.MsgProp:
            if raft.lead == NONE or raft.config.disable_proposal_forwarding:
                raise ProposalDropped
            raft.forward(message)
        case MessageType.MsgTransferLeader | MessageType.MsgReadIndex:
            if raft.lead != NONE:
                raft.forward(message)
        case MessageType.MsgForgetLeader:
            # Who reads under a lease relies on followers that do not vote while they hear the leader.
            if raft.config.read_only_option is not ReadOnlyOption.ReadOnlyLeaseBased:
                raft.lead = NONE
        case MessageType.MsgTimeoutNow:
            hup(raft, Campaign.TRANSFER)
        case MessageType.MsgReadIndexResp:
            if len(message.entries) == 1:
                state = reads.ReadState(message.index, message.entries[0].data)
                raft.read_states.append(state)
        case _:
            pass


def _take_from_leader(raft: Raft, message: Message) -> None:
    match message.type:
        case MessageType.MsgApp:
            replication.on_append(raft, message)
        case MessageType.MsgHeartbeat:
            replication.on_heartbeat(raft, message)
        case _:
            replication.on_snapshot(raft, message)
