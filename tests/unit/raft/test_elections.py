"""Elections: sections 5.1, 5.2 and 5.4.1 of the paper, rule by rule."""

from __future__ import annotations

from random import Random

import pytest
from raft_members import Group, Member, log_of, of_type, the_one, three
from runink.raft.core import StateType
from runink.raft.messages import HardState, MessageType

FOLLOWER, CANDIDATE = StateType.StateFollower, StateType.StateCandidate


# 5.1: terms.


@pytest.mark.parametrize("type_", [MessageType.MsgApp, MessageType.MsgVote, MessageType.MsgAppResp])
def test_a_leader_that_hears_a_higher_term_becomes_a_follower(type_):
    group = three()
    group[1].hear(type_, 2, term=2)
    assert (group[1].state, group[1].raft.term) == (FOLLOWER, 2)


def test_a_candidate_that_hears_a_higher_term_becomes_a_follower():
    one = Member(1)
    one.campaign()
    one.hear(MessageType.MsgHeartbeat, 2, term=2)
    assert (one.state, one.raft.term, one.raft.lead) == (FOLLOWER, 2, 2)


def test_a_vote_of_a_higher_term_names_no_leader():
    one = Member(1)
    one.hear(MessageType.MsgVote, 2, term=5, index=0, log_term=0)
    assert (one.raft.term, one.raft.lead) == (5, 0)


def test_a_message_of_a_lower_term_changes_nothing():
    one = Member(1, terms=(1,), hard=HardState(3, 0, 0))
    said = one.hear(
        MessageType.MsgApp, 2, term=2, index=1, log_term=1, entries=tuple(log_of(1, 2)[1:])
    )
    assert said == []
    assert one.terms() == [1]
    assert one.raft.lead == 0


def test_an_old_vote_does_not_make_a_leader():
    one = Member(1)
    one.campaign()
    one.campaign()
    one.hear(MessageType.MsgVoteResp, 2, term=1)
    assert (one.state, one.raft.term) == (CANDIDATE, 2)


# 5.2: who asks, and when.


def test_a_member_starts_as_a_follower():
    assert Member(1).state is FOLLOWER


def test_a_leader_sends_heartbeats_to_everybody_at_every_heartbeat_time_out():
    group = three(heartbeat_tick=2)
    assert group[1].tick() == []
    beats = of_type(MessageType.MsgHeartbeat, group[1].tick())
    assert [beat.to for beat in beats] == [2, 3]


def test_a_follower_campaigns_when_it_heard_no_leader_for_its_time_out():
    one = Member(1, election_tick=10)
    assert one.tick(9) == []
    votes = of_type(MessageType.MsgVote, one.tick())
    assert [vote.to for vote in votes] == [2, 3]
    assert (one.state, one.raft.term, one.raft.vote) == (CANDIDATE, 1, 1)


def test_a_leaders_word_begins_the_time_out_again():
    one = Member(1, election_tick=10)
    one.tick(9)
    one.hear(MessageType.MsgHeartbeat, 2, term=1)
    one.tick(9)
    assert one.state is FOLLOWER


def test_a_granted_vote_begins_the_time_out_again():
    one = Member(1, election_tick=10)
    one.tick(9)
    one.hear(MessageType.MsgVote, 2, term=1)
    one.tick(9)
    assert one.state is FOLLOWER


def test_a_refused_vote_does_not_begin_the_time_out_again():
    one = Member(1, terms=(1,), election_tick=10)
    one.tick(9)
    one.hear(MessageType.MsgVote, 2, term=1, index=0, log_term=0)
    one.tick()
    assert one.state is CANDIDATE


def test_a_time_out_is_drawn_from_one_up_to_two_election_ticks():
    asked: list[int] = []

    def highest(ticks: int) -> int:
        asked.append(ticks)
        return ticks - 1

    one = Member(1, election_tick=10, random=highest)
    assert set(asked) == {10}
    one.tick(18)
    assert one.state is FOLLOWER
    one.tick()
    assert one.state is CANDIDATE


def test_time_outs_are_drawn_anew_for_every_term():
    draws = Random(7)
    one = Member(1, election_tick=10, random=draws.randrange)
    seen = set()
    for _ in range(200):
        one.campaign()
        seen.add(one.raft.randomized_election_timeout)
    assert seen == set(range(10, 20))


def test_of_two_followers_with_different_time_outs_one_wins_alone():
    group = Group(
        Member(1, random=lambda ticks: 0),
        Member(2, random=lambda ticks: 5),
        Member(3, random=lambda ticks: 9),
    )
    group.tick(10)
    assert group.leaders() == [1]
    assert {member.raft.term for member in group.members.values()} == {1}


# 5.2: who is voted for.


def test_a_majority_of_votes_makes_a_leader():
    one = Member(1, (1, 2, 3, 4, 5))
    one.campaign()
    one.hear(MessageType.MsgVoteResp, 2, term=1)
    assert one.state is CANDIDATE
    one.hear(MessageType.MsgVoteResp, 3, term=1)
    assert one.raft.is_leader


def test_the_only_voter_elects_itself():
    one = Member(1, (1,))
    one.campaign()
    assert one.raft.is_leader
    assert one.committed == 1


def test_a_voter_that_answers_twice_is_counted_once():
    one = Member(1, (1, 2, 3, 4, 5))
    one.campaign()
    for _ in range(4):
        one.hear(MessageType.MsgVoteResp, 2, term=1)
    assert one.state is CANDIDATE


def test_a_majority_of_refusals_ends_the_candidacy():
    one = Member(1)
    one.campaign()
    one.hear(MessageType.MsgVoteResp, 2, term=1, reject=True)
    assert one.state is CANDIDATE
    one.hear(MessageType.MsgVoteResp, 3, term=1, reject=True)
    assert (one.state, one.raft.term) == (FOLLOWER, 1)


def test_a_vote_is_given_once_in_a_term():
    one = Member(1)
    first = one.hear(MessageType.MsgVote, 2, term=1)
    other = one.hear(MessageType.MsgVote, 3, term=1)
    again = one.hear(MessageType.MsgVote, 2, term=1)
    assert [the_one(MessageType.MsgVoteResp, said).reject for said in (first, other, again)] == [False, True, False]  # fmt: skip


def test_a_vote_is_given_once_in_a_term_also_over_a_restart():
    one = Member(1)
    one.hear(MessageType.MsgVote, 2, term=1)
    said = one.restarted().hear(MessageType.MsgVote, 3, term=1)
    assert the_one(MessageType.MsgVoteResp, said).reject


def test_a_candidate_does_not_vote_for_another():
    one = Member(1)
    one.campaign()
    assert the_one(MessageType.MsgVoteResp, one.hear(MessageType.MsgVote, 2, term=1)).reject


def test_a_new_term_gives_a_new_vote():
    one = Member(1)
    one.hear(MessageType.MsgVote, 2, term=1)
    said = one.hear(MessageType.MsgVote, 3, term=2)
    answer = the_one(MessageType.MsgVoteResp, said)
    assert (answer.reject, answer.term, one.raft.vote) == (False, 2, 3)


def test_votes_of_an_earlier_candidacy_do_not_count_in_the_next():
    one = Member(1, (1, 2, 3, 4, 5))
    one.campaign()
    one.hear(MessageType.MsgVoteResp, 2, term=1)
    one.campaign()
    one.hear(MessageType.MsgVoteResp, 3, term=2)
    assert one.state is CANDIDATE


def test_who_knows_a_leader_of_the_term_votes_for_nobody_else_in_it():
    one = Member(1)
    one.hear(MessageType.MsgHeartbeat, 2, term=1)
    assert the_one(MessageType.MsgVoteResp, one.hear(MessageType.MsgVote, 3, term=1)).reject


@pytest.mark.parametrize("type_", [MessageType.MsgApp, MessageType.MsgHeartbeat])
def test_a_candidate_follows_the_leader_of_its_own_term(type_):
    one = Member(1)
    one.campaign()
    one.hear(type_, 2, term=1)
    assert (one.state, one.raft.term, one.raft.lead) == (FOLLOWER, 1, 2)


def test_a_split_vote_is_resolved_in_a_later_term():
    group = Group(Member(1), Member(2, random=lambda ticks: 5), Member(3, random=lambda ticks: 9))
    first, second = group[1].campaign(), group[2].campaign()
    group.isolate(3)
    group.deliver([*first, *second])
    assert group.leaders() == []
    group.heal()
    group.tick(10)
    assert group.leaders() == [1]
    assert group[1].raft.term == 2


# 5.4.1: the log of who is elected.


@pytest.mark.parametrize(
    ("ours", "theirs", "is_given"),
    [
        ((1,), (1,), True),
        ((1,), (1, 1), True),
        ((1, 1), (1,), False),
        ((1,), (2,), True),
        ((2,), (1,), False),
        ((1, 1, 1), (2,), True),  # a later term outweighs a longer log
        ((2,), (1, 1, 1), False),
    ],
)
def test_a_vote_is_given_to_who_has_all_that_we_have(ours, theirs, is_given):
    one = Member(1, terms=ours, hard=HardState(2, 0, 0))
    said = one.hear(MessageType.MsgVote, 2, term=3, index=len(theirs), log_term=theirs[-1])
    assert the_one(MessageType.MsgVoteResp, said).reject is not is_given


def test_a_candidate_says_how_its_log_ends():
    one = Member(1, terms=(1, 2, 2))
    vote = of_type(MessageType.MsgVote, one.campaign())[0]
    assert (vote.log_term, vote.index) == (2, 3)


def test_who_lacks_a_committed_entry_is_not_elected():
    group = three()
    group.isolate(3)
    group.propose(1, b"a")
    group.heal()
    group.deliver(group[3].campaign())
    assert group.leaders() == []  # 1 met a higher term, and 3 got no vote
    group.deliver(group[2].campaign())
    assert group.leaders() == [2]
    assert group[3].commands() == [b"a"]


# What stands in a campaigner's way.


def test_a_leader_does_not_campaign():
    group = three()
    assert group[1].campaign() == []
    assert group[1].raft.term == 1


def test_a_learner_does_not_campaign():
    four = Member(4, learners=(4,), election_tick=10)
    assert four.tick(30) == []
    assert four.campaign() == []


def test_a_learner_votes_because_it_may_not_know_yet_that_it_is_a_voter():
    four = Member(4, learners=(4,))
    assert not the_one(MessageType.MsgVoteResp, four.hear(MessageType.MsgVote, 1, term=1)).reject


def test_a_learners_vote_is_not_counted():
    one = Member(1, learners=(4, 5))
    one.campaign()
    one.hear(MessageType.MsgVoteResp, 4, term=1)
    one.hear(MessageType.MsgVoteResp, 5, term=1)
    assert one.state is CANDIDATE


def test_a_stranger_does_not_campaign():
    nine = Member(9, election_tick=10)
    assert nine.tick(30) == []
    assert nine.campaign() == []


def test_a_leaders_first_entry_is_an_empty_one_of_its_term():
    one = Member(1, terms=(1,))
    said = one.elect(2)
    entries = of_type(MessageType.MsgApp, said)[0].entries
    assert [(entry.term, entry.index, entry.data) for entry in entries] == [(2, 2, b"")]
