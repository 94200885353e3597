"""What simulated groups found in a member, each in its smallest form; a fault of the core itself stands with the core's own tests."""

from __future__ import annotations

from runink.barn.commands import Put
from runink.barn.store import Store
from runink.raft.messages import (
    ConfChangeSingle,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from runink.testing.replicas import ReplicaGroup


def test_a_leader_that_is_removed_while_it_writes_goes_on():
    group = ReplicaGroup(3)
    group.elect(1)
    leader = group.replicas[1]
    gone = ConfChangeSingle(ConfChangeType.ConfChangeRemoveNode, 1)
    leader.propose_change(100, ConfChangeV2(changes=(gone,)))
    group.slow = {1}
    group.settle()
    group.write(1)  # the change; the write of what comes next is under way when it is applied
    group.propose(1, Put("/a", b"1"), client="c")
    group.settle()
    assert 1 not in leader.node.raft.tracker.progress
    group.slow = set()
    group.write(1)
    group.settle()
    assert leader.node.raft.log.unstable.entries == []


def test_who_is_sent_the_state_of_a_store_without_keys_takes_it():
    group = ReplicaGroup(3)
    empty = Store()
    empty.skip(term=1, index=1)
    metadata = SnapshotMetadata(ConfState(voters=(1, 2, 3)), index=1, term=1)
    member = group.replicas[3]
    snapshot = Message(MessageType.MsgSnap, 3, 1, term=2, snapshot=Snapshot(metadata))
    member.receive([snapshot])
    append = member.work().append
    assert append is not None
    member.written(append, store=empty)
    behind = (Entry(term=2, index=2),)
    member.receive(
        [Message(MessageType.MsgApp, 3, 1, 2, log_term=1, index=1, entries=behind, commit=2)]
    )
    append = member.work().append
    assert append is not None
    member.written(append)
    while member.work().has_more:  # ends: the answer leaves first, then it applies
        pass
    assert member.store is empty
    assert member.store.applied_index == 2
