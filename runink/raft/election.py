"""Elections (Raft, sections 5.2, 5.4.1, 9.6): who asks for votes, who gives them, and what follows."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from runink.raft.core import Raft, StateType
from runink.raft.messages import NONE, EntryType, Message, MessageType
from runink.raft.quorum import VoteResult
from runink.raft.replication import append_all

TRANSFER_CONTEXT: Final = b"CampaignTransfer"  # votes are given in spite of a leader that is heard


class Campaign(Enum):
    """What for somebody campaigns."""

    PRE_ELECTION = auto()
    ELECTION = auto()
    TRANSFER = auto()


def hup(raft: Raft, kind: Campaign) -> None:
    """Campaign, if we may: not as leader or learner, and not while a committed change of the membership waits to be applied."""
    if raft.is_leader or not raft.is_promotable() or _has_unapplied_conf_change(raft):
        return
    campaign(raft, kind)


def _has_unapplied_conf_change(raft: Raft) -> bool:
    log = raft.log
    low, high = log.applied + 1, log.committed + 1
    while low < high:  # ends: each turn takes one entry at least
        entries = log.slice(low, high, raft.config.applying_bytes_max)
        if any(entry.type is not EntryType.EntryNormal for entry in entries):
            return True
        low += len(entries)
    return False


def campaign(raft: Raft, kind: Campaign) -> None:
    """Ask all voters, ourselves as well: our own vote counts when it is on disk."""
    if kind is Campaign.PRE_ELECTION:
        raft.become_pre_candidate()
        ask, answer, term = MessageType.MsgPreVote, MessageType.MsgPreVoteResp, raft.term + 1
    else:
        raft.become_candidate()
        ask, answer, term = MessageType.MsgVote, MessageType.MsgVoteResp, raft.term
    context = TRANSFER_CONTEXT if kind is Campaign.TRANSFER else b""
    log = raft.log
    for voter in sorted(raft.tracker.membership.voters.ids()):
        if voter == raft.id:
            raft.send(answer, voter, term=term)
            continue
        raft.send(
            ask,
            voter,
            term=term,
            index=log.last_index(),
            log_term=log.last_term(),
            context=context,
        )


def is_in_lease(raft: Raft, message: Message) -> bool:
    """Say whether a candidate is to be ignored because we hear a leader, unless that leader wants it."""
    return (
        raft.config.check_quorum
        and raft.lead != NONE
        and raft.election_elapsed < raft.config.election_tick
        and message.context != TRANSFER_CONTEXT
    )


def on_vote(raft: Raft, message: Message) -> None:
    """Vote for the first who asks in a term and has all that we have; say whether we would, to one that only asks that."""
    is_pre_vote = message.type is MessageType.MsgPreVote
    answer = MessageType.MsgPreVoteResp if is_pre_vote else MessageType.MsgVoteResp
    may = (
        raft.vote == message.from_
        or (raft.vote == NONE and raft.lead == NONE)
        or (is_pre_vote and message.term > raft.term)
    )
    if may and raft.log.is_up_to_date(message.log_term, message.index):
        # A pre-vote is answered with the term that it asks for, or the answer would look old to a candidate.
        raft.send(answer, message.from_, term=message.term)
        if not is_pre_vote:
            raft.election_elapsed = 0
            raft.vote = message.from_
        return
    raft.send(answer, message.from_, term=raft.term, reject=True)


def on_vote_answer(raft: Raft, message: Message) -> None:
    """Count a vote; the last one needed decides."""
    raft.tracker.record_vote(message.from_, not message.reject)
    _, _, result = raft.tracker.tally_votes()
    if result is VoteResult.VoteLost:
        raft.become_follower(raft.term, NONE)
    elif result is VoteResult.VoteWon:
        if raft.state is StateType.StatePreCandidate:
            campaign(raft, Campaign.ELECTION)
            return
        raft.become_leader()
        append_all(raft)
