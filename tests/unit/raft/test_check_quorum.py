"""Check-quorum and leader stickiness: section 6.2 of the dissertation (a leader that is alone steps down) and 4.2.3 (who hears a leader ignores others)."""

from __future__ import annotations

from raft_members import Group, Member, of_type, the_one, three
from runink.raft.core import StateType
from runink.raft.election import TRANSFER_CONTEXT
from runink.raft.messages import HardState, MessageType


def test_a_leader_that_no_majority_answers_steps_down_within_its_term():
    group = three(check_quorum=True, election_tick=10)
    group.isolate(1)
    group[1].tick(20)  # in the first ten it had been heard
    assert (group[1].state, group[1].raft.term, group[1].raft.lead) == (
        StateType.StateFollower,
        1,
        0,
    )


def test_a_leader_that_one_of_two_answers_goes_on():
    group = three(check_quorum=True, election_tick=10)
    group.isolate(3)
    group.tick(40)
    assert group.leaders() == [1]


def test_a_learners_answer_is_no_voters():
    group = Group(
        *(
            Member(one, learners=(4, 5), check_quorum=True, election_tick=10)
            for one in (1, 2, 3, 4, 5)
        )
    )
    group.elect(1)
    group.cut = {(2, 1), (3, 1)}
    for _ in range(20):
        group.deliver(group[1].tick())
    assert not group[1].raft.is_leader


def test_without_check_quorum_it_believes_in_itself():
    group = three(election_tick=10)
    group.isolate(1)
    group[1].tick(100)
    assert group[1].raft.is_leader


def test_who_hears_a_leader_ignores_other_candidates_and_their_term():
    group = three(check_quorum=True, election_tick=10)
    assert group[2].hear(MessageType.MsgVote, 3, term=2, index=1, log_term=1) == []
    assert group[2].raft.term == 1


def test_a_leader_ignores_other_candidates_while_a_majority_answers_it():
    group = three(check_quorum=True, election_tick=10)
    group.tick(5)
    assert group[1].hear(MessageType.MsgVote, 3, term=2, index=1, log_term=1) == []
    assert group[1].raft.is_leader


def test_who_has_not_heard_the_leader_for_the_least_time_out_votes_again():
    group = three(check_quorum=True, election_tick=10, random=lambda ticks: 5)
    group[2].tick(10)
    said = group[2].hear(MessageType.MsgVote, 3, term=2, index=1, log_term=1)
    assert not the_one(MessageType.MsgVoteResp, said).reject


def test_a_candidate_that_the_leader_wants_is_not_ignored():
    group = three(check_quorum=True, election_tick=10)
    said = group[2].hear(
        MessageType.MsgVote, 3, term=2, index=1, log_term=1, context=TRANSFER_CONTEXT
    )
    assert not the_one(MessageType.MsgVoteResp, said).reject


def test_who_knows_no_leader_ignores_nobody():
    one = Member(1, check_quorum=True)
    assert not the_one(MessageType.MsgVoteResp, one.hear(MessageType.MsgVote, 2, term=1)).reject


def test_a_member_with_a_higher_term_that_everybody_ignores_is_freed_by_its_answer():
    """It campaigned alone: the others hear their leader and do not vote, and it does not take the leader's messages."""
    group = three(check_quorum=True, election_tick=10)
    group.isolate(3)
    group[3].tick(10)
    group.heal()
    assert group[3].raft.term == 2
    beat = of_type(MessageType.MsgHeartbeat, group[1].tick())[1]
    group.deliver([beat])
    assert (group[1].state, group[1].raft.term) == (StateType.StateFollower, 2)


def test_a_lower_term_is_not_answered_without_check_quorum_and_pre_vote():
    three_ = Member(3, terms=(1,), hard=HardState(5, 0, 0))
    assert three_.hear(MessageType.MsgHeartbeat, 1, term=1) == []


def test_a_new_leader_is_not_deposed_before_it_could_be_answered():
    group = three(check_quorum=True, election_tick=10)
    group[1].tick(9)
    assert group[1].raft.is_leader


# Forgetting a leader, on purpose.


def test_who_forgets_the_leader_votes_again_at_once_and_keeps_its_term():
    group = three(check_quorum=True, election_tick=10)
    group[2].node.forget_leader()
    assert (group[2].raft.lead, group[2].raft.term) == (0, 1)
    said = group[2].hear(MessageType.MsgPreVote, 3, term=2, index=1, log_term=1)
    assert not the_one(MessageType.MsgPreVoteResp, said).reject


def test_who_forgot_the_leader_does_not_vote_twice_in_the_term():
    group = three()
    group[2].node.forget_leader()
    said = group[2].hear(MessageType.MsgVote, 3, term=1, index=1, log_term=1)
    assert the_one(MessageType.MsgVoteResp, said).reject


def test_a_heartbeat_brings_the_leader_back_to_mind():
    group = three()
    group[2].node.forget_leader()
    group.tick()
    assert group[2].raft.lead == 1


def test_a_leader_does_not_forget_itself():
    group = three()
    group[1].node.forget_leader()
    assert group[1].raft.is_leader
