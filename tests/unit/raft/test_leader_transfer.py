"""Handing over the leadership: section 3.10 of the dissertation."""

from __future__ import annotations

import pytest
from raft_members import Group, Member, of_type, the_one, three
from runink.raft.core import StateType
from runink.raft.errors import ProposalDropped
from runink.raft.messages import ConfChange, ConfChangeType, MessageType


def transfer(group: Group, successor: int, *, at: int = 1) -> list:
    group[at].node.transfer_leader(successor)
    return group[at].work()


def test_an_up_to_date_successor_is_told_at_once_to_campaign():
    said = transfer(three(), 2)
    assert the_one(MessageType.MsgTimeoutNow, said).to == 2


def test_the_successor_leads_although_everybody_hears_the_leader():
    group = three(check_quorum=True, pre_vote=True)
    group.deliver(transfer(group, 2))
    assert group.leaders() == [2]
    assert group[1].raft.lead == 2


def test_a_follower_passes_the_wish_on():
    group = three()
    group.deliver(transfer(group, 2, at=3))
    assert group.leaders() == [2]


def test_a_successor_that_lacks_entries_gets_them_first():
    group = three()
    group.isolate(2)
    group.propose(1, b"a")
    group.heal()
    group.tick()  # it is being probed again
    group.isolate(2)
    group.propose(1, b"b")
    group.heal()
    said = transfer(group, 2)
    assert of_type(MessageType.MsgTimeoutNow, said) == []
    group.deliver(said)
    group.tick()
    assert group.leaders() == [2]
    assert group[2].commands() == [b"a", b"b"]


def test_proposals_are_refused_meanwhile():
    group = three()
    transfer(group, 2)
    with pytest.raises(ProposalDropped):
        group[1].node.propose(b"a")


def test_it_is_given_up_after_an_election_time_out():
    group = three(election_tick=10)
    group.isolate(2)
    transfer(group, 2)
    for _ in range(10):
        group.deliver(group[1].tick())
    assert group[1].raft.lead_transferee == 0
    group.propose(1, b"a")
    assert group[3].commands() == [b"a"]


def test_it_is_given_up_when_the_leader_meets_a_higher_term():
    group = three()
    transfer(group, 2)
    group[1].hear(MessageType.MsgHeartbeat, 3, term=2)
    assert group[1].raft.lead_transferee == 0


def test_it_is_given_up_when_the_successor_is_removed():
    group = three()
    group[1].node.propose_conf_change(ConfChange(ConfChangeType.ConfChangeRemoveNode, 2))
    said = group[1].work()
    group[1].node.transfer_leader(2)
    group.cut.add((1, 2))
    group.deliver([*said, *group[1].work()])
    assert group[1].voters() == (1, 3)
    assert group[1].raft.lead_transferee == 0


def test_a_second_wish_replaces_the_first():
    group = three()
    group.isolate(2)
    transfer(group, 2)
    assert the_one(MessageType.MsgTimeoutNow, transfer(group, 3)).to == 3


def test_the_same_wish_again_does_not_begin_the_time_out_again():
    group = three(election_tick=10)
    group.isolate(2)
    transfer(group, 2)
    group[1].tick(9)
    assert transfer(group, 2) == []
    group[1].tick()
    assert group[1].raft.lead_transferee == 0


@pytest.mark.parametrize("successor", [1, 4, 9])
def test_neither_itself_nor_a_learner_nor_a_stranger_is_handed_over_to(successor):
    group = Group(*(Member(one, learners=(4,)) for one in (1, 2, 3, 4)))
    group.elect(1)
    assert transfer(group, successor) == []
    group.propose(1, b"a")
    assert group[1].commands() == [b"a"]


def test_one_that_is_no_voter_any_more_does_not_campaign_when_told_to():
    four = Member(4, learners=(4,))
    four.hear(MessageType.MsgHeartbeat, 1, term=1)
    assert four.hear(MessageType.MsgTimeoutNow, 1, term=1) == []
    assert four.state is StateType.StateFollower


def test_a_candidate_is_not_moved_by_an_old_wish():
    two = Member(2)
    two.campaign()
    assert two.hear(MessageType.MsgTimeoutNow, 1, term=1) == []
    assert two.raft.term == 1


def test_a_wish_without_a_leader_is_dropped():
    one = Member(1)
    one.node.transfer_leader(2)
    assert one.work() == []
