"""Linearizable reads without writing to the log: section 6.4 of the dissertation."""

from __future__ import annotations

from raft_members import Group, Member, founded, joint, of_type, the_one, three
from runink.raft.config import ReadOnlyOption
from runink.raft.messages import (
    ConfChangeType,
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
)
from runink.raft.reads import ReadState

REMOVE = ConfChangeType.ConfChangeRemoveNode
LEASE = {"read_only_option": ReadOnlyOption.ReadOnlyLeaseBased, "check_quorum": True}


def test_a_leader_answers_after_a_majority_says_that_it_leads_still():
    group = three()
    beats = of_type(MessageType.MsgHeartbeat, group[1].read(b"r"))
    assert [(beat.to, beat.context) for beat in beats] == [(2, b"r"), (3, b"r")]
    assert group[1].reads == []
    group.deliver(beats[:1])
    assert group[1].reads == [ReadState(1, b"r")]


def test_a_leader_that_was_replaced_answers_nothing():
    group = three()
    group.isolate(1)
    group.deliver(group[2].campaign())
    group.propose(2, b"new")
    group.deliver(group[1].read(b"r"))
    group.tick(20)
    assert group[1].raft.is_leader
    assert group[1].reads == []


def test_the_index_is_that_of_when_it_was_asked():
    group = three()
    said = group[1].read(b"r")
    group.propose(1, b"a")
    group.deliver(said)
    assert group[1].reads == [ReadState(1, b"r")]


def test_a_new_leader_waits_for_an_entry_of_its_own_term():
    """Before, it does not know what its forerunner committed."""
    group = Group(*(Member(one, terms=(1, 1), hard=HardState(1, 0, 1)) for one in (1, 2, 3)))
    group.lost.add(MessageType.MsgApp)
    group.elect(1)
    assert group[1].read(b"r") == []
    group.tick()
    assert group[1].reads == []
    group.heal()
    group.tick()
    assert group[1].reads == [ReadState(3, b"r")]


def test_an_answer_to_an_ordinary_heartbeat_does_not_count():
    group = three()
    group[1].read(b"r")
    group[1].hear(MessageType.MsgHeartbeatResp, 2, term=1)
    assert group[1].reads == []


def test_an_answer_to_another_read_does_not_count():
    group = three()
    group[1].read(b"r")
    group[1].hear(MessageType.MsgHeartbeatResp, 2, term=1, context=b"other")
    assert group[1].reads == []


def test_a_learners_answer_does_not_count():
    group = Group(*(Member(one, learners=(4, 5)) for one in (1, 2, 3, 4, 5)))
    group.elect(1)
    group[1].read(b"r")
    for learner in (4, 5):
        group[1].hear(MessageType.MsgHeartbeatResp, learner, term=1, context=b"r")
    assert group[1].reads == []


def test_who_answers_twice_is_counted_once():
    one = Member(1, (1, 2, 3, 4, 5))
    one.elect(2, 3)
    for other in (2, 3):
        one.hear(MessageType.MsgAppResp, other, term=1, index=1)
    one.read(b"r")
    for _ in range(3):
        one.hear(MessageType.MsgHeartbeatResp, 2, term=1, context=b"r")
    assert one.reads == []
    one.hear(MessageType.MsgHeartbeatResp, 3, term=1, context=b"r")
    assert one.reads == [ReadState(1, b"r")]


def test_a_majority_for_one_read_answers_all_before_it():
    group = three()
    group[1].read(b"r1")
    group[1].read(b"r2")
    group[1].read(b"r3")
    group[1].hear(MessageType.MsgHeartbeatResp, 2, term=1, context=b"r2")
    assert group[1].reads == [ReadState(1, b"r1"), ReadState(1, b"r2")]


def test_a_later_heartbeat_asks_again_for_what_was_lost():
    group = three()
    group[1].read(b"r1")
    group[1].read(b"r2")
    group.tick()
    assert [read.context for read in group[1].reads] == [b"r1", b"r2"]


def test_a_read_of_a_context_that_waits_already_is_answered_with_it():
    group = three()
    first = group[1].read(b"r")
    group.propose(1, b"a")
    group[1].read(b"r")
    group.deliver(first)
    assert group[1].reads == [ReadState(1, b"r")]


def test_a_follower_asks_its_leader_and_reads_itself():
    group = three()
    group.propose(1, b"a")
    group.deliver(group[3].read(b"r"))
    assert group[3].reads == [ReadState(2, b"r")]
    assert group[1].reads == []


def test_a_follower_without_a_leader_drops_the_question():
    assert Member(1).read(b"r") == []


def test_a_candidate_drops_the_question():
    one = Member(1)
    one.campaign()
    assert one.read(b"r") == []


def test_a_leader_that_steps_down_answers_nothing_that_waited():
    group = three()
    group[1].read(b"r")
    group[1].hear(MessageType.MsgHeartbeat, 2, term=2)
    group[1].hear(MessageType.MsgHeartbeatResp, 3, term=2, context=b"r")
    assert group[1].reads == []


def test_reads_of_an_earlier_reign_are_not_answered_in_the_next():
    group = three()
    group[1].read(b"r")
    group.deliver(group[2].campaign())
    group.deliver(group[1].campaign())
    assert group.leaders() == [1]
    group[1].hear(MessageType.MsgHeartbeatResp, 3, term=3, context=b"r")
    assert group[1].reads == []


def test_the_only_voter_answers_at_once():
    one = Member(1, (1,), terms=(1,), hard=HardState(1, 0, 1))
    one.campaign()
    one.read(b"r")
    assert one.reads == [ReadState(2, b"r")]


def test_the_only_voter_waits_for_an_entry_of_its_own_term_too():
    """Its disk may have lost the newest commit index, though not the entries that were acknowledged with it."""
    one = Member(1, (1,), terms=(1, 1), hard=HardState(1, 0, 1))
    one.node.campaign()
    one.node.ready()
    one.node.advance()
    assert one.raft.is_leader
    one.read(b"r")
    assert one.reads == [ReadState(3, b"r")]


def test_the_index_is_what_is_committed_though_it_is_not_applied_yet():
    one = Member(1, (1, 2))
    one.elect(2)
    one.hear(MessageType.MsgAppResp, 2, term=1, index=1)
    one.propose(b"a")
    one.node.step(Message(MessageType.MsgAppResp, 1, 2, term=1, index=2))
    assert one.raft.log.applied == 1
    one.node.read_index(b"r")
    one.hear(MessageType.MsgHeartbeatResp, 2, term=1, context=b"r")
    assert one.reads == [ReadState(2, b"r")]


def test_the_only_voter_of_a_group_with_learners_answers_them_at_once():
    group = Group(Member(1, (1,), learners=(2,)), Member(2, (1,), learners=(2,)))
    group.elect(1)
    group.tick()
    group.deliver(group[2].read(b"r"))
    assert group[2].reads == [ReadState(1, b"r")]


def test_in_a_joint_membership_a_majority_of_both_halves_is_asked():
    conf = ConfState((1, 2, 3), voters_outgoing=(1, 4, 5))
    one = Member(1, storage=founded(conf))
    one.elect(2, 4)
    for other in (2, 4):
        one.hear(MessageType.MsgAppResp, other, term=1, index=1)
    one.read(b"r")
    one.hear(MessageType.MsgHeartbeatResp, 2, term=1, context=b"r")
    assert one.reads == []
    one.hear(MessageType.MsgHeartbeatResp, 4, term=1, context=b"r")
    assert one.reads == [ReadState(1, b"r")]


def test_a_removed_leader_asks_the_voter_that_is_left():
    """That one may have elected itself since."""
    group = three()
    group.change(1, joint((REMOVE, 1), (REMOVE, 2)))
    assert group[1].raft.is_leader
    assert group[1].voters() == (3,)
    group.isolate(1)
    group.deliver(group[3].campaign())
    group.propose(3, b"new")
    group.deliver(group[1].read(b"r"))
    assert group[1].reads == []


# Under a lease.


def test_under_a_lease_a_leader_answers_without_asking():
    group = three(**LEASE)
    assert group[1].read(b"r") == []
    assert group[1].reads == [ReadState(1, b"r")]


def test_under_a_lease_a_new_leader_waits_for_an_entry_of_its_own_term_too():
    one = Member(1, terms=(1, 1), hard=HardState(1, 0, 1), **LEASE)
    one.elect(2)
    one.read(b"r")
    assert one.reads == []
    one.hear(MessageType.MsgAppResp, 2, term=2, index=3)
    assert one.reads == [ReadState(3, b"r")]


def test_under_a_lease_a_leader_that_is_alone_answers_nothing_after_an_election_time_out():
    group = three(election_tick=10, **LEASE)
    group.isolate(1)
    group[1].tick(20)
    group[1].read(b"r")
    assert group[1].reads == []


def test_under_a_lease_nobody_forgets_the_leader():
    group = three(**LEASE)
    group[2].node.forget_leader()
    assert group[2].raft.lead == 1


def test_a_leaders_answer_becomes_the_readers():
    one = Member(1)
    one.hear(MessageType.MsgHeartbeat, 2, term=1)
    one.take(
        Message(MessageType.MsgReadIndexResp, 1, 2, term=1, index=7, entries=(Entry(data=b"r"),))
    )
    assert one.reads == [ReadState(7, b"r")]


def test_a_followers_question_says_who_asks():
    group = three()
    question = the_one(MessageType.MsgReadIndex, group[3].read(b"r"))
    assert (question.from_, question.to, question.entries[0].data) == (3, 1, b"r")
