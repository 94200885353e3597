"""A member applies little at a time, and what others wait for goes before it."""

from __future__ import annotations

from runink.barn.commands import Put
from runink.barn.effects import Work
from runink.barn.replica import APPLY_ENTRIES_MAX
from runink.barn.store import Store
from runink.raft.messages import ConfState, Entry, Message, MessageType, Snapshot, SnapshotMetadata
from runink.testing.replicas import ReplicaGroup


def works_of(group: ReplicaGroup, member: int) -> list[Work]:
    """Have a member work until it has no more to do, and return what it wanted each time."""
    replica = group.replicas[member]
    works = [replica.work()]
    while works[-1].has_more and works[-1].append is None:  # ends: each applies something
        works.append(replica.work())
    return works


def test_a_batch_is_applied_and_answered_piece_by_piece():
    group = ReplicaGroup(1)
    group.elect(1)
    replica = group.replicas[1]
    replica.room(1 << 20)
    for number in range(100):
        group.propose(1, Put(f"/{number}", b""))
    append = replica.work().append
    assert append is not None
    replica.written(append)
    works = works_of(group, 1)
    assert [len(work.answers) for work in works] == [32, 32, 32, 4]
    assert APPLY_ENTRIES_MAX == 32
    assert replica.store.revision == 100


def test_the_next_batch_goes_to_the_disk_before_the_last_one_is_applied():
    group = ReplicaGroup(1)
    group.elect(1)
    replica = group.replicas[1]
    replica.room(1 << 20)
    group.propose(1, Put("/a", b""))
    append = replica.work().append
    assert append is not None
    replica.written(append)
    group.propose(1, Put("/b", b""))
    work = replica.work()
    assert work.append is not None
    assert (work.has_more, work.applied) == (True, [])
    assert len(replica.work().applied) == 1


def test_a_follower_answers_its_leader_before_it_applies():
    group = ReplicaGroup(3)
    group.elect(1)
    group.propose(1, Put("/a", b""))
    group.settle()
    follower = group.replicas[2]
    raft = follower.node.raft
    last, term = raft.log.last_index(), raft.term
    entry = Entry(term, last + 1, data=group.storages[1].entries(last, last + 1, 1 << 20)[0].data)
    append = Message(
        MessageType.MsgApp,
        2,
        1,
        term=term,
        log_term=term,
        index=last,
        entries=(entry,),
        commit=last + 1,
    )
    follower.receive([append])
    written = follower.work()
    assert written.append is not None
    follower.written(written.append)
    answered = follower.work()
    assert [message.type for message in answered.messages[1]] == [MessageType.MsgAppResp]
    assert (answered.has_more, answered.applied) == (True, [])
    assert len(follower.work().applied) == 1


def test_what_a_leaders_snapshot_has_brought_is_not_applied_again():
    group = ReplicaGroup(3)
    group.elect(1)
    group.settle()
    follower = group.replicas[2]
    raft = follower.node.raft
    last, term = raft.log.last_index(), raft.term
    entries = tuple(Entry(term, last + place) for place in range(1, 101))
    append = Message(
        MessageType.MsgApp,
        2,
        1,
        term=term,
        log_term=term,
        index=last,
        entries=entries,
        commit=last + 100,
    )
    follower.receive([append])
    written = follower.work().append
    assert written is not None
    follower.written(written)
    follower.work()  # the answer leaves
    follower.work()  # and some are applied
    metadata = SnapshotMetadata(ConfState(voters=(1, 2, 3)), last + 200, term)
    snapshot = Message(MessageType.MsgSnap, 2, 1, term=term, snapshot=Snapshot(metadata))
    follower.receive([snapshot])
    install = follower.work().append
    assert install is not None
    assert follower.store.applied_index < last + 100
    store = Store()
    for index in range(1, last + 201):
        store.skip(term=term, index=index)
    follower.written(install, store=store)
    while follower.work().has_more:  # ends: each passes over some
        assert follower.store is store
    assert follower.store.applied_index == last + 200
    assert raft.log.applied == last + 200
