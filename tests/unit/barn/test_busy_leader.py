"""A leader that always has something to apply: it is no new leader each time that it comes to the end, or leases would begin anew for ever."""

from __future__ import annotations

from runink.barn.commands import Put
from runink.testing.replicas import ReplicaGroup


def test_a_leader_whose_disk_is_behind_knows_all_that_was_committed_before_it_led():
    group = ReplicaGroup(3)
    group.elect(1)
    leader = group.replicas[1]
    group.slow = {1}  # so the others commit what it cannot apply yet
    for number in range(3):
        group.propose(1, Put(f"/{number}", b""))
        group.settle()
        assert leader.store.applied_index < leader.node.raft.log.committed
        assert leader.is_caught_up()
        group.write(1)


def test_a_new_leader_is_caught_up_only_behind_an_entry_of_its_own_term():
    group = ReplicaGroup(3)
    group.slow = {1}
    leader = group.replicas[1]
    leader.node.campaign()
    group.settle()
    group.write(1)  # its vote for itself
    group.settle()
    assert leader.is_leader
    assert not leader.is_caught_up()
    group.write(1)
    group.settle()
    assert leader.is_caught_up()


def test_the_only_voter_reads_at_once_only_what_is_all_applied():
    group = ReplicaGroup(1)
    group.elect(1)
    leader = group.replicas[1]
    assert leader.may_read()
    group.slow = {1}
    group.propose(1, Put("/a", b""))
    group.settle()
    assert leader.is_caught_up()
    group.write(1)
    group.settle()
    assert leader.may_read()
