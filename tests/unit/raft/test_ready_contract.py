"""What a Ready hands out, when, and how often: the contract with who drives the core (`ready.py`), without threads of its own."""

from __future__ import annotations

import pytest
from raft_members import Member, log_of, of_type, three
from runink.raft.core import SoftState, StateType
from runink.raft.messages import HardState, Message, MessageType
from runink.raft.rawnode import RawNode
from runink.raft.reads import ReadState


def heard(member: Member, *terms: int, commit: int = 0) -> RawNode:
    """Send a member a leader's log; nothing of it is done yet."""
    message = Message(
        MessageType.MsgApp, 1, 2, term=9, entries=tuple(log_of(*terms)), commit=commit
    )
    member.node.step(message)
    return member.node


def test_without_news_there_is_no_ready():
    assert not Member(1).node.has_ready()
    assert not three()[1].node.has_ready()


def test_what_did_not_change_is_not_told_again():
    node = heard(Member(1), 1)
    first = node.ready()
    assert first.hard_state == HardState(9, 0, 0)
    assert first.soft_state == SoftState(2, StateType.StateFollower)
    node.advance()
    node.step(Message(MessageType.MsgHeartbeat, 1, 2, term=9))
    second = node.ready()
    assert (second.hard_state, second.soft_state, second.entries) == (None, None, ())
    assert [message.type for message in second.messages] == [MessageType.MsgHeartbeatResp]


def test_entries_and_messages_and_reads_are_handed_out_once():
    node = heard(Member(1), 1, 1)
    node.step(
        Message(MessageType.MsgReadIndexResp, 1, 2, term=9, index=1, entries=tuple(log_of(1)))
    )
    first = node.ready()
    assert len(first.entries) == 2
    assert first.read_states == (ReadState(1, b"1@1"),)
    node.advance()
    assert not node.has_ready()


def test_entries_are_written_before_they_are_acknowledged():
    """The answer stands in the Ready that holds the entries: its driver writes first, then sends."""
    ready = heard(Member(1), 1, 1).ready()
    assert [entry.index for entry in ready.entries] == [1, 2]
    assert of_type(MessageType.MsgAppResp, ready.messages)[0].index == 2
    assert ready.must_sync


def test_a_vote_is_written_before_it_is_told():
    one = Member(1)
    one.node.step(Message(MessageType.MsgVote, 1, 2, term=1))
    ready = one.node.ready()
    assert ready.hard_state == HardState(1, 2, 0)
    assert of_type(MessageType.MsgVoteResp, ready.messages)
    assert ready.must_sync


def test_a_vote_in_a_term_that_is_known_is_synced_too():
    one = Member(1, hard=HardState(3, 0, 0))
    one.node.step(Message(MessageType.MsgVote, 1, 2, term=3))
    assert one.node.ready().must_sync


def test_a_candidates_own_vote_counts_when_it_is_written():
    one = Member(1, (1,))
    one.node.campaign()
    assert one.state is StateType.StateCandidate
    ready = one.node.ready()
    assert ready.hard_state == HardState(1, 1, 0)
    assert not one.raft.is_leader
    one.node.advance()
    assert one.raft.is_leader


def test_the_commit_index_alone_need_not_be_synced():
    one = Member(1, terms=(1, 1))
    one.hear(MessageType.MsgHeartbeat, 2, term=1)
    one.node.step(Message(MessageType.MsgHeartbeat, 1, 2, term=1, commit=2))
    ready = one.node.ready()
    assert ready.hard_state == HardState(1, 0, 2)
    assert not ready.must_sync


def test_committed_entries_are_handed_out_once_and_in_order():
    one = Member(1)
    heard(one, 1, 1, 1, commit=2)
    one.work()
    one.hear(MessageType.MsgHeartbeat, 2, term=9, commit=3)
    assert [entry.index for entry in one.applied] == [1, 2, 3]


def test_entries_may_be_applied_in_the_ready_that_writes_them():
    ready = heard(Member(1), 1, 1, commit=2).ready()
    assert ready.entries == ready.committed_entries


def test_no_more_is_handed_out_for_applying_than_may_be_under_way():
    one = Member(1, terms=[1] * 6, hard=HardState(1, 0, 6), committed_bytes_per_ready_max=45)
    first = one.node.ready()
    assert [entry.index for entry in first.committed_entries] == [1, 2]
    one.node.advance()
    assert [entry.index for entry in one.node.ready().committed_entries] == [3, 4]


def test_one_entry_is_handed_out_however_large_it_is():
    one = Member(1, terms=[1] * 3, hard=HardState(1, 0, 3), committed_bytes_per_ready_max=1)
    assert [entry.index for entry in one.node.ready().committed_entries] == [1]


def test_an_applied_index_moves_with_advance():
    one = Member(1, terms=(1, 1), hard=HardState(1, 0, 2))
    one.node.ready()
    assert one.node.status().applied == 0
    one.node.advance()
    assert one.node.status().applied == 2


def test_a_leaders_messages_need_not_wait_for_its_disk():
    one = Member(1)
    one.elect(2)
    one.hear(MessageType.MsgAppResp, 2, term=1, index=1)
    one.node.propose(b"a")
    ready = one.node.ready()
    assert of_type(MessageType.MsgApp, ready.messages)
    assert not of_type(
        MessageType.MsgAppResp, ready.messages
    )  # its own acknowledgement waits in advance


def test_a_snapshot_is_handed_out_once():
    group = three()
    one = group[1]
    one.storage.create_snapshot(1, one.raft.tracker.membership.conf_state(), b"state")
    two = Member(2)
    two.node.step(Message(MessageType.MsgSnap, 2, 1, term=1, snapshot=one.storage.snapshot()))
    assert two.node.ready().snapshot == one.storage.snapshot()
    assert two.node.raft.log.unstable.next_snapshot() is None
    two.storage.apply_snapshot(one.storage.snapshot())
    two.node.advance()
    assert not two.node.has_ready()
    assert two.node.status().applied == 1


def test_the_status_shows_progress_at_the_leader_only():
    group = three()
    leader, follower = group[1].node.status(), group[2].node.status()
    assert set(leader.progress) == {1, 2, 3}
    assert follower.progress == {}
    assert (leader.id, leader.soft_state.lead, follower.soft_state.lead) == (1, 1, 1)


def test_a_status_is_a_copy():
    group = three()
    status = group[1].node.status()
    status.progress[2].match = 99
    assert group[1].raft.tracker.progress[2].match == 1


def test_the_same_calls_have_the_same_outcome():
    def told() -> list[Message]:
        group = three(check_quorum=True, pre_vote=True)
        said = group.propose(1, b"a", b"b")
        group.isolate(1)
        group.tick(40)
        return [*said, *group[2].propose(b"c")]

    assert told() == told()


def test_advance_is_not_for_who_writes_by_threads():
    one = Member(1, async_storage_writes=True)
    with pytest.raises(AssertionError, match="storage threads"):
        one.node.advance()
