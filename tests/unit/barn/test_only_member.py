"""The only member of a group, where nobody else could correct it: it answers what is on its disk, and reads only when it has found all that it once acknowledged."""

from __future__ import annotations

from runink.barn.commands import Applied, Put
from runink.barn.pending import Reads
from runink.raft.messages import ConfChangeSingle, ConfChangeType, ConfChangeV2, HardState
from runink.raft.reads import ReadState
from runink.testing.replicas import ReplicaGroup

PUT = Put("/a", b"1")


def alone() -> ReplicaGroup:
    group = ReplicaGroup(1)
    group.elect(1)
    return group


def test_a_proposal_is_answered_only_when_it_is_on_disk():
    group = alone()
    group.slow = {1}
    number = group.propose(1, PUT)
    group.pass_time(5)
    assert number not in group.answers
    group.write(1)
    group.settle()
    assert group.answers[number] == Applied(1)


def test_after_a_restart_it_reads_only_behind_an_entry_of_its_own_term():
    """Its disk holds the put, but an older commit index: nobody syncs that for its own sake."""
    group = alone()
    group.propose(1, PUT)
    group.settle()
    group.storages[1].hard_state = HardState(term=1, vote=1, commit=1)
    group.begin(1)
    replica = group.replicas[1]
    group.slow = {1}
    replica.node.campaign()
    group.settle()
    group.write(1)  # its vote for itself
    read = group.read(1)
    group.settle()
    assert replica.is_leader
    assert not replica.may_read()
    assert read not in group.readable
    group.write(1)
    group.settle()
    assert replica.may_read()
    assert read in group.readable
    assert replica.store.revision == 1


def test_a_leader_that_was_removed_is_not_the_only_member_though_one_is_left():
    group = ReplicaGroup(2)
    group.elect(1)
    leader = group.replicas[1]
    change = ConfChangeV2(changes=(ConfChangeSingle(ConfChangeType.ConfChangeRemoveNode, 1),))
    leader.propose_change(99, change)
    group.settle()
    assert leader.is_leader
    assert leader.is_caught_up()
    assert not leader.may_read()


def test_an_answer_to_an_earlier_question_gives_no_leave_to_read():
    reads = Reads()
    reads.add(1)
    reads.ask(b"earlier")
    reads.forget_asked()
    reads.add(2)
    reads.ask(b"later")
    reads.grant(ReadState(5, b"earlier"))
    assert reads.readable(applied_index=5) == []
    reads.grant(ReadState(7, b"later"))
    assert reads.readable(applied_index=6) == []
    assert reads.readable(applied_index=7) == [1, 2]
