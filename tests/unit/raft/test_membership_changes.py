"""Changes of the membership in a living group: chapter 4 of the dissertation and section 6 of the paper. The arithmetic has its own tests."""

from __future__ import annotations

import pytest
from raft_members import Group, Member, founded, joint, of_type, snapshot_at, the_one, three
from runink.raft.core import StateType
from runink.raft.errors import ProposalDropped
from runink.raft.membership import ConfChangeError
from runink.raft.messages import (
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
)

ADD = ConfChangeType.ConfChangeAddNode
REMOVE = ConfChangeType.ConfChangeRemoveNode
LEARN = ConfChangeType.ConfChangeAddLearnerNode
EXPLICIT = ConfChangeTransition.ConfChangeTransitionJointExplicit
IMPLICIT = ConfChangeTransition.ConfChangeTransitionJointImplicit


def conf(member: Member) -> ConfState:
    return member.raft.tracker.membership.conf_state()


def kinds(member: Member) -> list[EntryType]:
    log = member.raft.log
    return [entry.type for entry in log.slice(log.first_index(), log.last_index() + 1, 2**60)]


# One at a time.


def test_a_change_takes_effect_when_it_is_applied():
    group = three()
    group.isolate(1)
    group[1].node.propose_conf_change(ConfChange(ADD, 4))
    said = group[1].work()
    assert conf(group[1]).voters == (1, 2, 3)
    group.heal()
    group.deliver(said)
    assert {conf(member).voters for member in group.members.values()} == {(1, 2, 3, 4)}


def test_a_new_member_is_sent_the_log():
    group = three()
    group.propose(1, b"a")
    group.members[4] = Member(4)  # it knows the founders: they stand in no entry
    group.change(1, ConfChange(ADD, 4))
    group.tick(2)
    assert group[4].commands() == [b"a"]
    assert conf(group[4]).voters == (1, 2, 3, 4)


def test_while_a_change_is_not_applied_another_becomes_an_entry_that_does_nothing():
    group = three()
    group[1].node.propose_conf_change(ConfChange(ADD, 4))
    group[1].node.propose_conf_change(ConfChange(ADD, 5))
    group.deliver(group[1].work())
    assert conf(group[1]).voters == (1, 2, 3, 4)
    assert kinds(group[1])[1:] == [EntryType.EntryConfChange, EntryType.EntryNormal]


def test_when_it_is_applied_the_next_may_begin():
    group = three()
    group.change(1, ConfChange(LEARN, 4))
    group.change(1, ConfChange(LEARN, 5))
    assert conf(group[1]).learners == (4, 5)


def test_a_new_leader_takes_no_change_before_all_that_it_found_is_applied():
    """What it found may hold a change that it does not know to be committed."""
    one = Member(1, terms=(1, 1), hard=HardState(1, 0, 1))
    one.elect(2)
    one.node.propose_conf_change(ConfChange(ADD, 4))
    one.work()
    assert kinds(one)[-1] is EntryType.EntryNormal
    one.hear(MessageType.MsgAppResp, 2, term=2, index=4)
    one.node.propose_conf_change(ConfChange(ADD, 4))
    one.work()
    assert kinds(one)[-1] is EntryType.EntryConfChange


def test_who_has_a_committed_change_to_apply_does_not_campaign():
    change = Entry(1, 2, EntryType.EntryConfChangeV2)
    one = Member(1, terms=(1,), election_tick=10)
    one.storage.append([change])
    one.storage.hard_state = HardState(1, 0, 2)
    one = one.restarted()
    for _ in range(30):
        one.node.tick()
    assert one.state is StateType.StateFollower


def test_bytes_that_are_no_change_become_an_entry_that_does_nothing():
    group = three()
    group[1].node.propose_entries([Entry(type=EntryType.EntryConfChangeV2, data=b"\xc1")])
    group.deliver(group[1].work())
    assert kinds(group[1])[-1] is EntryType.EntryNormal


def test_with_validation_turned_off_every_change_is_appended():
    group = three(disable_conf_change_validation=True)
    group[1].node.propose_conf_change(ConfChange(LEARN, 4))
    group[1].node.propose_conf_change(ConfChange(LEARN, 5))
    group.deliver(group[1].work())
    assert conf(group[1]).learners == (4, 5)


def test_a_change_that_cannot_be_is_refused_and_changes_nothing():
    one = Member(1)
    before = conf(one)
    with pytest.raises(ConfChangeError, match="removed all voters"):
        one.node.apply_conf_change(joint((REMOVE, 1), (REMOVE, 2), (REMOVE, 3)))
    assert conf(one) == before


def test_a_change_from_before_a_snapshot_that_is_pending_changes_nothing():
    """The membership is the snapshot's already, which holds that change and later ones."""
    one = Member(1)
    snapshot = snapshot_at(10, 3, ConfState((1, 2, 5)))
    one.node.step(Message(MessageType.MsgSnap, 1, 2, term=3, snapshot=snapshot))
    one.node.apply_conf_change(ConfChange(ADD, 4))
    assert conf(one) == ConfState((1, 2, 5))


# Learners.


def test_learners_are_sent_the_log_and_do_not_count():
    group = Group(*(Member(one, (1, 2, 3), learners=(4, 5)) for one in (1, 2, 3, 4, 5)))
    group.elect(1)
    group.cut = {(2, 1), (3, 1)}
    group.propose(1, b"a")
    assert [group[one].raft.log.last_index() for one in (4, 5)] == [2, 2]
    assert group[1].committed == 1


def test_a_learner_becomes_a_voter():
    group = Group(*(Member(one, (1, 2, 3), learners=(4,)) for one in (1, 2, 3, 4)))
    group.elect(1)
    group.change(1, ConfChange(ADD, 4))
    assert conf(group[4]) == ConfState((1, 2, 3, 4))
    assert not group[4].raft.is_learner


def test_a_voter_becomes_a_learner_by_two_steps():
    group = three()
    group.change(1, joint((LEARN, 3), (ADD, 4)))
    assert conf(group[1]) == ConfState((1, 2, 4), learners=(3,))
    assert group[3].raft.is_learner


# Joint.


def test_several_changes_go_through_a_joint_membership_and_leave_it_by_themselves():
    group = three()
    group.change(1, joint((ADD, 4), (REMOVE, 3)))
    assert kinds(group[1])[-2:] == [EntryType.EntryConfChangeV2] * 2
    assert conf(group[1]) == ConfState((1, 2, 4))


def test_a_joint_membership_is_left_when_it_is_asked_for_if_it_was_entered_so():
    group = three()
    group.change(1, joint((ADD, 4), (ADD, 5), transition=EXPLICIT))
    assert conf(group[1]) == ConfState((1, 2, 3, 4, 5), voters_outgoing=(1, 2, 3))
    group.members |= {4: Member(4), 5: Member(5)}
    group.tick(3)
    group.change(1, ConfChangeV2())
    assert conf(group[1]) == ConfState((1, 2, 3, 4, 5))


def test_one_change_can_be_made_jointly():
    group = three()
    group.isolate(3)
    group.change(1, joint((REMOVE, 3), transition=IMPLICIT))
    assert conf(group[1]) == ConfState((1, 2))


@pytest.mark.parametrize("transition", [EXPLICIT, IMPLICIT])
def test_within_a_joint_membership_no_other_change_begins(transition):
    one = Member(
        1,
        storage=founded(
            ConfState((1, 2), voters_outgoing=(1, 3)), terms=(1,), hard=HardState(1, 0, 1)
        ),
    )
    one.elect(2, 3)
    for other in (2, 3):
        one.hear(MessageType.MsgAppResp, other, term=2, index=2)
    one.node.propose_conf_change(joint((ADD, 4), transition=transition))
    assert kinds(one)[-1] is EntryType.EntryNormal


def test_outside_of_a_joint_membership_there_is_nothing_to_leave():
    group = three()
    group.change(1, ConfChangeV2())
    assert kinds(group[1])[-1] is EntryType.EntryNormal


def in_two_halves() -> Member:
    """A leader of (1, 2, 3), on the way from (1, 4, 5)."""
    storage = founded(
        ConfState((1, 2, 3), voters_outgoing=(1, 4, 5)), terms=(1,), hard=HardState(1, 0, 1)
    )
    one = Member(1, storage=storage)
    one.elect(2, 4)
    return one


@pytest.mark.parametrize("half", [(2, 3), (4, 5)])
def test_one_half_alone_commits_nothing(half):
    one = in_two_halves()
    for other in half:
        one.hear(MessageType.MsgAppResp, other, term=2, index=2)
    assert one.committed == 1


def test_both_halves_commit():
    one = in_two_halves()
    for other in (3, 5):
        one.hear(MessageType.MsgAppResp, other, term=2, index=2)
    assert one.committed == 2


@pytest.mark.parametrize("half", [(2, 3), (4, 5)])
def test_one_half_alone_elects_nobody(half):
    one = Member(1, storage=founded(ConfState((1, 2, 3), voters_outgoing=(1, 4, 5))))
    one.campaign()
    for other in half:
        one.hear(MessageType.MsgVoteResp, other, term=1)
    assert one.state is StateType.StateCandidate


def test_a_candidate_asks_both_halves():
    one = Member(1, storage=founded(ConfState((1, 2, 3), voters_outgoing=(1, 4, 5))))
    assert [vote.to for vote in of_type(MessageType.MsgVote, one.campaign())] == [2, 3, 4, 5]


def test_a_new_leader_leaves_the_joint_membership_that_it_finds():
    storage = founded(
        ConfState((1, 2), voters_outgoing=(1, 3), auto_leave=True),
        terms=(1,),
        hard=HardState(1, 0, 1),
    )
    one = Member(1, storage=storage)
    one.elect(2, 3)
    for other in (2, 3):
        one.hear(MessageType.MsgAppResp, other, term=2, index=2)
    assert kinds(one)[-1] is EntryType.EntryConfChangeV2


# Who goes, and what its going decides.


def test_a_removed_members_answer_does_not_count():
    group = three()
    group.change(1, ConfChange(REMOVE, 3))
    group.isolate(2)
    group.propose(1, b"a")
    assert 3 not in group[1].raft.tracker.progress
    assert group[1].commands() == []


def test_what_the_smaller_group_holds_is_committed_when_the_change_is_applied():
    """Of four, two hold entry 4; when one of the others is gone, two of three do."""
    one = Member(1, (1, 2, 3, 4))
    one.elect(2, 3)
    one.node.propose_conf_change(ConfChange(REMOVE, 4))
    one.propose(b"a")
    for other, index in ((2, 3), (3, 2)):
        one.hear(MessageType.MsgAppResp, other, term=1, index=index)
    assert one.voters() == (1, 2, 3)
    assert one.committed == 3
    assert one.commands() == [b"a"]


def test_a_removed_leader_leads_until_another_is_elected():
    group = three()
    group.change(1, ConfChange(REMOVE, 1))
    assert group[1].raft.is_leader
    assert conf(group[2]).voters == (2, 3)


def test_a_removed_leader_takes_no_proposal():
    group = three()
    group.change(1, ConfChange(REMOVE, 1))
    with pytest.raises(ProposalDropped):
        group[1].node.propose(b"a")


def test_a_removed_leader_does_not_count_itself():
    one = Member(1)
    one.elect(2)
    one.node.propose_conf_change(ConfChange(REMOVE, 1))
    one.propose(b"a")
    one.hear(MessageType.MsgAppResp, 2, term=1, index=2)
    assert one.voters() == (2, 3)
    one.hear(MessageType.MsgAppResp, 2, term=1, index=3)
    assert one.committed == 2
    one.hear(MessageType.MsgAppResp, 3, term=1, index=3)
    assert one.committed == 3


@pytest.mark.parametrize("change", [ConfChange(REMOVE, 1), ConfChange(LEARN, 1)])
def test_a_leader_that_may_not_lead_any_more_steps_down_if_it_is_told_so(change):
    group = three(step_down_on_removal=True)
    group.change(1, change)
    assert group[1].state is StateType.StateFollower
    assert group[1].raft.term == 1


def test_a_removed_member_does_not_campaign():
    group = three()
    group.change(1, ConfChange(REMOVE, 3))
    assert group[3].tick(50) == []
    assert group[3].state is StateType.StateFollower


def test_a_group_can_shrink_to_one_and_go_on():
    group = three()
    group.change(1, ConfChange(REMOVE, 3))
    group.change(1, ConfChange(REMOVE, 2))
    group.propose(1, b"a")
    assert group[1].commands() == [b"a"]


def test_a_member_that_joins_is_not_taken_for_dead_before_it_could_answer():
    group = three(check_quorum=True, election_tick=10)
    group.change(1, ConfChange(ADD, 4))
    assert group[1].raft.tracker.progress[4].recent_active


def test_a_new_member_is_probed():
    group = three()
    group[1].node.propose_conf_change(ConfChange(ADD, 4))
    seen = group.deliver(group[1].work())
    probe = the_one(MessageType.MsgApp, [message for message in seen if message.to == 4])
    assert probe.entries
