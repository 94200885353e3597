"""A follower and the snapshot it is sent: section 7 of the paper."""

from __future__ import annotations

import pytest
from raft_members import Group, Member, founded, of_type, snapshot_at, the_one, three
from runink.raft.core import StateType
from runink.raft.messages import ConfState, HardState, Message, MessageType, Snapshot
from runink.raft.progress import ProgressState
from runink.raft.storage import MemoryStorage, SnapshotTemporarilyUnavailable

GROUP = ConfState((1, 2, 3))


def told(member: Member, snapshot: Snapshot, *, term: int = 9) -> Message:
    """Send a member a snapshot of a leader 2; return its answer."""
    said = member.hear(MessageType.MsgSnap, 2, term=term, snapshot=snapshot)
    return the_one(MessageType.MsgAppResp, said)


def test_a_newer_snapshot_takes_the_place_of_the_whole_log():
    one = Member(1, terms=(1, 1))
    answer = told(one, snapshot_at(10, 3, GROUP))
    assert (answer.index, answer.reject) == (10, False)
    log = one.raft.log
    assert (log.first_index(), log.last_index(), log.last_term()) == (11, 10, 3)
    assert (log.committed, log.applied) == (10, 10)


def test_a_snapshot_of_no_more_than_what_is_committed_is_ignored():
    one = Member(1, terms=(1, 1, 1), hard=HardState(1, 0, 2))
    answer = told(one, snapshot_at(2, 1, GROUP))
    assert answer.index == 2
    assert one.terms() == [1, 1, 1]


def test_a_snapshot_of_what_is_compacted_already_does_not_take_anything_back():
    one = Member(1)
    told(one, snapshot_at(10, 3, GROUP))
    assert told(one, snapshot_at(5, 3, GROUP)).index == 10
    assert (one.raft.log.first_index(), one.committed) == (11, 10)


def test_a_snapshot_that_the_log_holds_already_only_commits():
    """The entries behind it stay: they may have been acknowledged."""
    one = Member(1, terms=(1, 1, 1))
    answer = told(one, snapshot_at(2, 1, GROUP))
    assert (answer.index, one.committed) == (2, 2)
    assert one.terms() == [1, 1, 1]


def test_a_snapshot_that_conflicts_with_the_log_replaces_it():
    one = Member(1, terms=(1, 1, 1))
    told(one, snapshot_at(2, 5, GROUP))
    assert one.raft.log.last_index() == 2
    assert one.raft.log.last_term() == 5


def test_a_snapshot_of_a_group_without_us_is_not_taken():
    one = Member(1, terms=(1,))
    answer = told(one, snapshot_at(10, 3, ConfState((2, 3, 4))))
    assert answer.index == 0
    assert one.terms() == [1]


@pytest.mark.parametrize(
    "conf",
    [
        ConfState((2, 3), learners=(1,)),
        ConfState((2, 3), voters_outgoing=(1, 2, 3)),
        ConfState((2, 3), voters_outgoing=(1, 2, 3), learners_next=(1,), auto_leave=True),
    ],
)
def test_a_learner_and_who_is_on_its_way_out_belong_to_the_group(conf):
    one = Member(1)
    told(one, snapshot_at(10, 3, conf))
    assert one.raft.tracker.membership.conf_state() == conf


def test_the_membership_is_the_snapshots():
    one = Member(1)
    told(one, snapshot_at(10, 3, ConfState((1, 2, 5), learners=(6,))))
    tracker = one.raft.tracker
    assert tracker.membership.conf_state() == ConfState((1, 2, 5), learners=(6,))
    assert set(tracker.progress) == {1, 2, 5, 6}


def test_a_snapshot_of_an_old_term_is_not_taken():
    one = Member(1, terms=(1,), hard=HardState(5, 0, 0))
    assert one.hear(MessageType.MsgSnap, 2, term=4, snapshot=snapshot_at(10, 3, GROUP)) == []
    assert one.terms() == [1]


def test_a_candidate_that_is_sent_a_snapshot_in_its_term_follows():
    one = Member(1)
    one.campaign()
    told(one, snapshot_at(10, 1, GROUP), term=1)
    assert (one.state, one.raft.lead, one.committed) == (StateType.StateFollower, 2, 10)


def test_committed_entries_wait_for_the_snapshot_before_them():
    one = Member(1)
    one.node.step(Message(MessageType.MsgSnap, 1, 2, term=9, snapshot=snapshot_at(10, 3, GROUP)))
    ready = one.node.ready()
    assert ready.snapshot is not None
    assert ready.committed_entries == ()


def test_nobody_is_elected_while_its_snapshot_is_not_on_disk():
    one = Member(1, election_tick=10)
    one.node.step(Message(MessageType.MsgSnap, 1, 2, term=9, snapshot=snapshot_at(10, 3, GROUP)))
    for _ in range(20):
        one.node.tick()
    assert one.state is StateType.StateFollower
    one.work()
    one.tick()
    assert one.state is StateType.StateCandidate


def test_entries_go_on_behind_a_snapshot():
    one = Member(1)
    told(one, snapshot_at(10, 3, GROUP))
    from_leader = {"term": 9, "index": 10, "log_term": 3, "commit": 11}
    entries = Member(2, terms=(*[3] * 10, 9)).storage.entries(11, 12, 100)
    answer = the_one(
        MessageType.MsgAppResp,
        one.hear(MessageType.MsgApp, 2, entries=tuple(entries), **from_leader),
    )
    assert (answer.index, one.committed) == (11, 11)


def test_a_leader_whose_snapshot_is_being_made_asks_again_later():
    class Busy(MemoryStorage):
        def snapshot(self) -> Snapshot:
            raise SnapshotTemporarilyUnavailable

    one = Member(1, storage=founded(GROUP, terms=(1, 1, 1), hard=HardState(1, 0, 3), kind=Busy))
    one.elect(2)
    one.storage.compact(3)
    said = one.hear(MessageType.MsgAppResp, 2, term=2, index=3, reject=True, reject_hint=0)
    assert of_type(MessageType.MsgSnap, said) == []
    assert one.raft.tracker.progress[2].state is ProgressState.StateProbe


def test_a_follower_that_was_away_too_long_comes_back_by_a_snapshot():
    group = three()
    group.isolate(3)
    group.propose(1, b"a", b"b", b"c")
    one = group[1]
    one.storage.create_snapshot(4, one.raft.tracker.membership.conf_state(), b"abc")
    one.storage.compact(4)
    group.propose(1, b"d")
    group.heal()
    group.tick(3)
    assert group[3].storage.snapshot().data == b"abc"
    assert group[3].commands() == [b"d"]
    assert group[3].committed == 5


def test_a_leader_that_is_sent_a_snapshot_of_its_own_term_takes_none():
    """Two leaders of a term cannot be; a message that says so comes from outside."""
    group = Group(*(Member(one) for one in (1, 2, 3)))
    group.elect(1)
    group[1].hear(MessageType.MsgSnap, 2, term=1, snapshot=snapshot_at(10, 1, GROUP))
    assert group[1].raft.is_leader
    assert group[1].committed == 1
