"""Who takes a proposal, and who does not: forwarding, the limit on what is not committed, several at once."""

from __future__ import annotations

import pytest
from raft_members import Group, Member, three
from runink.raft.errors import ProposalDropped, StepLocalMessage
from runink.raft.messages import Entry, MessageType


def test_a_follower_passes_a_proposal_on_to_its_leader():
    group = three()
    group.deliver(group[2].propose(b"a"))
    assert group[3].commands() == [b"a"]


def test_a_follower_that_may_not_pass_it_on_drops_it():
    group = three(disable_proposal_forwarding=True)
    with pytest.raises(ProposalDropped):
        group[2].node.propose(b"a")


def test_without_a_leader_a_proposal_is_dropped():
    with pytest.raises(ProposalDropped):
        Member(1).node.propose(b"a")


@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_candidate_drops_a_proposal(pre_vote):
    one = Member(1, pre_vote=pre_vote)
    one.campaign()
    with pytest.raises(ProposalDropped):
        one.node.propose(b"a")


def test_several_proposals_at_once_stand_together_in_the_log():
    group = three()
    group[1].node.propose_entries([Entry(data=b"a"), Entry(data=b"b")])
    group.deliver(group[1].work())
    assert group[1].commands() == [b"a", b"b"]


def test_what_would_exceed_the_limit_of_the_uncommitted_is_dropped():
    group = three(uncommitted_bytes_max=100)
    group.isolate(1)
    group[1].propose(bytes(60), bytes(40))
    with pytest.raises(ProposalDropped):
        group[1].node.propose(b"x")
    assert group[1].raft.log.last_index() == 3


def test_one_proposal_is_taken_however_large_it_is():
    one = Member(1, uncommitted_bytes_max=100)
    one.elect(2)
    one.propose(bytes(1000))
    with pytest.raises(ProposalDropped):
        one.node.propose(b"x")


def test_an_empty_proposal_is_taken_always():
    one = Member(1, uncommitted_bytes_max=100)
    one.elect(2)
    one.propose(bytes(100), b"")
    assert one.raft.log.last_index() == 3


def test_room_becomes_free_when_entries_are_applied():
    group = three(uncommitted_bytes_max=100)
    for _ in range(5):
        group.propose(1, bytes(100))
    assert len(group[1].commands()) == 5


def test_a_new_leader_counts_only_what_it_takes_itself():
    group = three(uncommitted_bytes_max=100)
    group.lost.add(MessageType.MsgAppResp)
    group.propose(1, bytes(100))
    group.lost.add(MessageType.MsgApp)
    group.deliver(group[2].campaign())
    assert group[2].raft.uncommitted_bytes == 0
    group[2].node.propose(bytes(100))


def test_a_follower_counts_nothing():
    group = three(uncommitted_bytes_max=100)
    group.propose(1, bytes(100))
    assert group[2].raft.uncommitted_bytes == 0


@pytest.mark.parametrize(
    "type_",
    [
        MessageType.MsgHup,
        MessageType.MsgBeat,
        MessageType.MsgUnreachable,
        MessageType.MsgSnapStatus,
        MessageType.MsgCheckQuorum,
        MessageType.MsgForgetLeader,
        MessageType.MsgStorageAppendResp,
        MessageType.MsgStorageApplyResp,
    ],
)
def test_what_only_a_member_tells_itself_is_not_taken_from_others(type_):
    with pytest.raises(StepLocalMessage):
        Member(1).hear(type_, 2, term=5)


def test_a_leader_that_lost_its_office_keeps_no_promise_to_who_proposed():
    """Its entry is replaced: who waits for it must wait for what is applied, not for the index."""
    group = three()
    group.isolate(1)
    group.propose(1, b"lost")
    group.deliver(group[2].campaign())
    group.propose(2, b"kept")
    group.heal()
    group.tick(3)
    assert [group[one].commands() for one in (1, 2, 3)] == [[b"kept"]] * 3


def test_all_members_apply_the_same_commands_in_the_same_order():
    group = Group(*(Member(one, (1, 2, 3, 4, 5)) for one in range(1, 6)))
    for leader in (1, 4, 2):
        group.elect(leader)
        for number in range(3):
            group.propose(number % 5 + 1, b"%d of %d" % (number, leader))
    said = {tuple(member.commands()) for member in group.members.values()}
    assert len(said) == 1
    assert len(said.pop()) == 9
