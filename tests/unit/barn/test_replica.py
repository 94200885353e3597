"""A member of the Barn: proposals, reads and writes over consensus, in groups that are moved by hand."""

from __future__ import annotations

import pytest
from runink.barn.commands import Applied, Put
from runink.barn.effects import merged
from runink.barn.pending import EXPIRY_TICKS, RETRY_TICKS, WAITING_MAX
from runink.errors import OutcomeUnknown, Overloaded, TimedOut, Unavailable
from runink.raft.messages import (
    ConfChangeSingle,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    HardState,
    Message,
    MessageType,
)
from runink.raft.storage import SnapshotTemporarilyUnavailable
from runink.testing.replicas import ReplicaGroup

PUT = Put("/a", b"1")


@pytest.fixture
def group() -> ReplicaGroup:
    made = ReplicaGroup(3)
    made.elect(1)
    return made


@pytest.mark.parametrize("member", [1, 2, 3])
def test_a_proposal_is_answered_by_the_member_that_was_asked(group: ReplicaGroup, member: int):
    number = group.propose(member, PUT, client="c")
    group.settle()
    assert group.answers[number] == Applied(1)
    group.tick(1)  # with the next heartbeat everybody knows
    group.settle()
    stores = [replica.store for replica in group.replicas.values()]
    assert [store.revision for store in stores] == [1, 1, 1]
    assert len({store.applied_index for store in stores}) == 1


def test_a_group_of_one_leads_itself_and_answers():
    group = ReplicaGroup(1)
    group.replicas[1].node.campaign()
    number = group.propose(1, PUT)
    read = group.read(1)
    group.settle()
    assert group.answers[number] == Applied(1)
    assert read in group.readable


def test_what_is_proposed_while_nobody_leads_waits_for_a_leader():
    group = ReplicaGroup(3)
    number = group.propose(2, PUT)
    read = group.read(3)
    group.settle()
    assert number not in group.answers
    assert read not in group.readable
    group.elect(1)
    group.settle()
    assert group.answers[number] == Applied(1)
    assert read in group.readable


def test_what_waits_for_a_leader_too_long_has_surely_not_happened():
    group = ReplicaGroup(3)
    group.cut = {1, 2, 3}
    number = group.propose(2, PUT, client="c")
    group.tick(2, times=EXPIRY_TICKS)
    group.settle()
    assert isinstance(group.answers[number], TimedOut)
    assert group.replicas[2].waiting == 0


def test_what_was_lost_on_the_way_is_proposed_again_and_applied_once(group: ReplicaGroup):
    number = group.propose(2, PUT, client="c")
    group.lose_messages()
    group.pass_time(RETRY_TICKS)
    assert group.answers[number] == Applied(1)
    again = group.propose(2, Put("/b", b""), client="c")
    group.settle()
    assert group.answers[again] == Applied(2)


def test_what_is_proposed_twice_is_applied_once(group: ReplicaGroup):
    number = group.propose(2, PUT, client="c")
    group.slow = {1, 2, 3}
    group.settle()
    group.tick(2, times=RETRY_TICKS)
    group.settle()
    group.slow = set()
    for member in (1, 2, 3):
        group.write(member)
    group.settle()
    assert group.answers[number] == Applied(1)
    assert group.replicas[1].store.revision == 1


def test_without_a_client_the_outcome_of_what_was_lost_with_a_leader_is_unknown(
    group: ReplicaGroup,
):
    group.cut = {1}
    number = group.propose(1, PUT)
    group.settle()
    group.elect(2)
    group.cut = set()
    group.pass_time(3)
    assert isinstance(group.answers[number], OutcomeUnknown)
    assert group.replicas[1].store.revision == 0


def test_with_a_client_what_was_lost_with_a_leader_is_proposed_to_the_next(group: ReplicaGroup):
    group.cut = {1}
    number = group.propose(1, PUT, client="c")
    group.settle()
    group.elect(2)
    group.cut = set()
    group.pass_time(3)
    assert group.answers[number] == Applied(1)


def test_a_leader_that_is_cut_off_lets_nobody_read(group: ReplicaGroup):
    group.cut = {1}
    read = group.read(1)
    group.settle()
    assert read not in group.readable
    group.cut = set()
    group.pass_time(2 * RETRY_TICKS)
    assert read in group.readable


def test_a_read_on_a_follower_waits_until_the_write_before_it_is_applied_there(group: ReplicaGroup):
    group.cut = {3}
    number = group.propose(1, PUT)
    group.settle()
    assert group.answers[number] == Applied(1)
    group.cut = set()
    group.slow = {3}
    read = group.read(3)
    group.settle()
    assert group.replicas[3].store.revision == 1 or read not in group.readable
    group.slow = set()
    while read not in group.readable:
        if 3 in group._waiting:
            group.write(3)
        group.tick()
        group.settle()
    assert group.replicas[3].store.revision == 1


def test_reads_that_come_while_one_is_asked_share_the_next_question(group: ReplicaGroup):
    reads = [group.read(2) for _ in range(50)]
    group.lose_messages()
    more = [group.read(2) for _ in range(50)]
    group.pass_time(RETRY_TICKS)
    assert set(reads + more) <= group.readable


def test_while_one_append_is_written_all_that_comes_goes_into_the_next(group: ReplicaGroup):
    group.slow = {1}
    group.appends.clear()
    numbers = [group.propose(1, PUT)]
    group.settle()
    for _ in range(20):
        numbers.append(group.propose(1, PUT))
        group.settle()
    group.slow = set()
    group.write(1)
    group.settle()
    assert [len(append.entries) for member, append in group.appends if member == 1] == [1, 20]
    assert [group.answers[number] for number in numbers] == [Applied(at + 1) for at in range(21)]


def test_a_leader_without_room_refuses_what_is_queued_and_has_proposed_nothing():
    group = ReplicaGroup(3)
    full = Unavailable("no space", code="disk_full")
    group.full = {1: full}
    group.elect(1)
    number = group.propose(1, PUT, client="c")
    handed_on = group.propose(2, Put("/b", b"2"), client="d")
    group.settle()
    assert group.answers[number] is full
    assert handed_on not in group.answers
    assert group.storages[1].last_index() == 1
    group.full = {}
    group.pass_time(RETRY_TICKS)
    assert group.answers[handed_on] == Applied(1)


def test_a_leader_that_steps_aside_hands_over_to_a_voter_that_is_there(group: ReplicaGroup):
    group.propose(1, PUT, client="c")
    group.settle()
    group.cut = {2}
    group.replicas[1].node.raft.tracker.progress[2].recent_active = False
    group.replicas[1].step_aside()
    group.settle()
    assert group.replicas[3].lead == 3


def test_a_leader_that_is_alone_stays(group: ReplicaGroup):
    for member in (2, 3):
        group.replicas[1].node.raft.tracker.progress[member].recent_active = False
    group.replicas[1].step_aside()
    group.settle()
    assert group.replicas[1].lead == 1


def test_too_many_proposals_at_once_are_refused():
    group = ReplicaGroup(3)
    for _ in range(WAITING_MAX):
        group.propose(1, PUT)
    with pytest.raises(Overloaded):
        group.propose(1, PUT)


def test_a_change_of_the_membership_is_answered_when_it_took_effect(group: ReplicaGroup):
    remove = ConfChangeSingle(ConfChangeType.ConfChangeRemoveNode, 3)
    group.replicas[2].propose_change(999, ConfChangeV2(changes=(remove,)))
    group.settle()
    group.tick(1)
    group.settle()
    assert group.answers[999] == Applied(0)
    membership = group.replicas[1].node.raft.tracker.membership
    assert membership.conf_state().voters == (1, 2)


def test_a_member_that_begins_anew_comes_to_the_same_state(group: ReplicaGroup):
    for _ in range(5):
        group.propose(1, PUT, client="c")
        group.settle()
    group.begin(2)
    group.pass_time(3)
    assert group.replicas[2].store.revision == 5
    assert group.replicas[2].store.applied_index == group.replicas[1].store.applied_index


# What goes to the disk.

DISK = HardState(3, 1, 10)


def _write(*entries: Entry, term: int = 0, vote: int = 0, commit: int = 0) -> Message:
    append = MessageType.MsgStorageAppend
    return Message(append, 0, 1, term=term, vote=vote, commit=commit, entries=entries)


def test_entries_that_a_later_write_replaces_do_not_go_to_the_disk():
    old = [Entry(1, index) for index in (5, 6, 7)]
    new = [Entry(2, index) for index in (6, 7)]
    append, _ = merged([_write(*old), _write(*new)], on_disk=HardState(), newest=HardState())
    assert append.entries == (old[0], *new)


def test_a_commit_index_alone_needs_no_disk_but_goes_with_the_next_entries():
    """Or a member that acknowledged an entry forgets a change of the membership that was committed before it."""
    alone, newest = merged([_write(term=3, vote=1, commit=11)], on_disk=DISK, newest=DISK)
    assert not alone.needs_disk
    append, _ = merged([_write(Entry(3, 13))], on_disk=DISK, newest=newest)
    assert append.hard_state == HardState(3, 1, 11)


def test_a_vote_alone_is_written():
    append, _ = merged([_write(term=3, vote=2, commit=10)], on_disk=DISK, newest=DISK)
    assert append.hard_state == HardState(3, 2, 10)


def test_a_snapshot_that_does_not_know_the_membership_is_sent_to_nobody(group: ReplicaGroup):
    remove = ConfChangeSingle(ConfChangeType.ConfChangeRemoveNode, 3)
    group.replicas[1].propose_change(999, ConfChangeV2(changes=(remove,)))
    group.settle()
    with pytest.raises(SnapshotTemporarilyUnavailable):
        group.storages[1].snapshot()
