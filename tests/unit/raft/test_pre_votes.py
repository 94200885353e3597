"""Pre-votes: section 9.6 of the dissertation. Who asks first disturbs nobody."""

from __future__ import annotations

import pytest
from raft_members import Group, Member, of_type, the_one, three
from runink.raft.core import StateType
from runink.raft.messages import HardState, MessageType


def test_who_asks_first_keeps_its_term_and_its_vote():
    one = Member(1, terms=(1,), hard=HardState(4, 2, 0), pre_vote=True)
    asked = of_type(MessageType.MsgPreVote, one.campaign())
    assert (one.state, one.raft.term, one.raft.vote) == (StateType.StatePreCandidate, 4, 2)
    assert [(vote.to, vote.term) for vote in asked] == [(2, 5), (3, 5)]


def test_who_answers_keeps_its_term_and_its_vote_and_its_time_out():
    one = Member(1, pre_vote=True, election_tick=10)
    one.tick(9)
    answer = the_one(MessageType.MsgPreVoteResp, one.hear(MessageType.MsgPreVote, 2, term=1))
    assert (answer.reject, answer.term) == (False, 1)
    assert (one.raft.term, one.raft.vote) == (0, 0)
    one.tick()
    assert one.state is StateType.StatePreCandidate


def test_a_pre_vote_is_given_to_several():
    one = Member(1, pre_vote=True)
    for candidate in (2, 3):
        said = one.hear(MessageType.MsgPreVote, candidate, term=1)
        assert not the_one(MessageType.MsgPreVoteResp, said).reject


def test_a_majority_of_pre_votes_begins_the_election():
    one = Member(1, pre_vote=True)
    one.campaign()
    asked = of_type(MessageType.MsgVote, one.hear(MessageType.MsgPreVoteResp, 2, term=1))
    assert (one.state, one.raft.term, one.raft.vote) == (StateType.StateCandidate, 1, 1)
    assert [vote.to for vote in asked] == [2, 3]


def test_pre_votes_do_not_count_as_votes():
    one = Member(1, (1, 2, 3, 4, 5), pre_vote=True)
    one.campaign()
    one.hear(MessageType.MsgPreVoteResp, 2, term=1)
    one.hear(MessageType.MsgPreVoteResp, 3, term=1)
    one.hear(MessageType.MsgPreVoteResp, 4, term=1)
    one.hear(MessageType.MsgVoteResp, 2, term=1)
    assert one.state is StateType.StateCandidate


def test_a_majority_of_refusals_ends_it_without_a_new_term():
    one = Member(1, pre_vote=True)
    one.campaign()
    for voter in (2, 3):
        one.hear(MessageType.MsgPreVoteResp, voter, term=0, reject=True)
    assert (one.state, one.raft.term) == (StateType.StateFollower, 0)


def test_a_refusal_of_a_higher_term_is_heeded():
    one = Member(1, pre_vote=True)
    one.campaign()
    one.hear(MessageType.MsgPreVoteResp, 2, term=7, reject=True)
    assert (one.state, one.raft.term) == (StateType.StateFollower, 7)


def test_who_asks_with_a_log_that_lacks_something_is_refused():
    one = Member(1, terms=(1, 1), pre_vote=True)
    said = one.hear(MessageType.MsgPreVote, 2, term=2, index=1, log_term=1)
    assert the_one(MessageType.MsgPreVoteResp, said).reject


def test_who_asks_in_a_lower_term_is_refused_and_told_the_term():
    one = Member(1, terms=(1,), hard=HardState(5, 0, 0), pre_vote=True)
    said = one.hear(MessageType.MsgPreVote, 2, term=3, index=1, log_term=1)
    answer = the_one(MessageType.MsgPreVoteResp, said)
    assert (answer.reject, answer.term) == (True, 5)


def test_a_member_that_was_cut_off_does_not_disturb_when_it_returns():
    group = three(pre_vote=True, check_quorum=True, election_tick=10)
    group.isolate(3)
    group[3].tick(100)
    group.propose(1, b"a")
    assert group[3].raft.term == 1
    group.heal()
    group.tick(12)
    assert group.leaders() == [1]
    assert {member.raft.term for member in group.members.values()} == {1}
    assert group[3].commands() == [b"a"]


def test_without_a_pre_vote_its_return_would_end_the_leaders_term():
    group = three(election_tick=10)
    group.isolate(3)
    group[3].tick(100)
    group.heal()
    group.tick(10)
    assert group[1].raft.term > 1


@pytest.mark.parametrize("type_", [MessageType.MsgApp, MessageType.MsgHeartbeat])
def test_who_only_asks_still_hears_the_leader_of_its_term(type_):
    one = Member(1, pre_vote=True)
    one.hear(MessageType.MsgHeartbeat, 2, term=1)
    one.campaign()
    one.hear(type_, 2, term=1)
    assert (one.state, one.raft.lead) == (StateType.StateFollower, 2)


def test_a_leader_of_a_lower_term_learns_the_higher_one_from_who_was_cut_off():
    """Such a member had its term before pre-votes were turned on, say; it takes no message of the leader, so it answers."""
    group = Group(
        Member(1, pre_vote=True, terms=(1,)),
        Member(2, pre_vote=True, terms=(1,)),
        Member(3, pre_vote=True, terms=(1,), hard=HardState(9, 0, 0)),
    )
    group.isolate(3)
    group.elect(1)
    group.heal()
    answer = the_one(MessageType.MsgAppResp, group[3].hear(MessageType.MsgHeartbeat, 1, term=2))
    assert (answer.to, answer.term) == (1, 9)
    group.deliver([answer])
    assert (group[1].state, group[1].raft.term) == (StateType.StateFollower, 9)
