"""A member comes back with what was on its disk: figure 2 of the paper names what that must be."""

from __future__ import annotations

import pytest
from raft_members import Group, Member, founded, snapshot_at, three
from runink.errors import Invalid
from runink.raft.config import Config, ReadOnlyOption
from runink.raft.core import StateType
from runink.raft.messages import LOCAL_APPEND_THREAD, ConfState, HardState, MessageType


def test_term_vote_and_log_survive():
    one = Member(1, terms=(1, 2), hard=HardState(3, 2, 1))
    again = one.restarted()
    assert again.raft.hard_state == HardState(3, 2, 1)
    assert again.terms() == [1, 2]
    assert again.state is StateType.StateFollower


def test_a_leader_comes_back_as_a_follower():
    group = three()
    again = group[1].restarted()
    assert (again.state, again.raft.lead, again.raft.term) == (StateType.StateFollower, 0, 1)


def test_committed_entries_are_handed_out_again():
    one = Member(1, terms=(1, 1, 1), hard=HardState(1, 0, 2))
    one.work()
    assert [entry.index for entry in one.applied] == [1, 2]
    assert one.restarted().node.ready().committed_entries == tuple(one.applied)


def test_what_the_state_machine_holds_already_is_not_handed_out_again():
    one = Member(1, terms=(1, 1, 1), hard=HardState(1, 0, 2), applied=1)
    assert [entry.index for entry in one.node.ready().committed_entries] == [2]


def test_the_log_goes_on_behind_the_snapshot():
    storage = founded(ConfState((1, 2, 3)))
    storage.apply_snapshot(snapshot_at(5, 2, ConfState((1, 2, 3), learners=(4,))))
    storage.hard_state = HardState(2, 0, 5)
    one = Member(1, storage=storage)
    assert (one.raft.log.applied, one.committed, one.raft.log.last_index()) == (5, 5, 5)
    assert one.raft.tracker.membership.conf_state() == ConfState((1, 2, 3), learners=(4,))
    assert not one.node.has_ready()


def test_nothing_is_to_be_done_after_a_restart_without_news():
    group = three()
    again = group[2].restarted()
    again.work()
    assert not again.node.has_ready()


@pytest.mark.parametrize("commit", [0, 1, 4])
def test_a_log_that_does_not_reach_to_what_was_committed_stops_the_member(commit):
    storage = founded(ConfState((1, 2, 3)), terms=(1, 1, 1), hard=HardState(1, 0, commit))
    if commit < 2:  # the log was cut behind it
        storage.create_snapshot(2, ConfState((1, 2, 3)), b"")
        storage.compact(2)
    with pytest.raises(AssertionError, match="does not reach"):
        Member(1, storage=storage)


def test_a_group_that_was_off_altogether_goes_on():
    group = three()
    group.propose(1, b"a")
    again = Group(*(member.restarted() for member in group.members.values()))
    again.elect(3)
    again.propose(3, b"b")
    assert [again[one].commands() for one in (1, 2, 3)] == [[b"a", b"b"]] * 3


def test_a_follower_that_lost_what_it_acknowledged_stops_instead_of_going_on():
    """Its disk forgot: a heartbeat says that more is committed than it has."""
    group = three()
    group.propose(1, b"a")
    storage = founded(ConfState((1, 2, 3)), terms=(1,), hard=HardState(1, 0, 1))
    forgetful = Member(2, storage=storage)
    beat = next(m for m in group[1].tick() if m.type is MessageType.MsgHeartbeat)
    with pytest.raises(AssertionError, match="was the log lost"):
        forgetful.node.step(beat)


# Settings with which no group works.


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"id": 0}, "id must be"),
        ({"id": LOCAL_APPEND_THREAD}, "id must be"),
        ({"heartbeat_tick": 0}, "heartbeat_tick must be"),
        ({"election_tick": 1}, "election_tick must be more"),
        ({"message_bytes_max": 0}, "message_bytes_max must be 1"),
        ({"inflight_messages_max": 0}, "inflight_messages_max"),
        ({"inflight_bytes_max": 1}, "inflight_bytes_max"),
        ({"uncommitted_bytes_max": 0}, "uncommitted_bytes_max"),
        ({"read_only_option": ReadOnlyOption.ReadOnlyLeaseBased}, "need check_quorum"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, text):
    fields = {"id": 1, "storage": founded(ConfState((1,))), "random": lambda ticks: 0, **settings}
    with pytest.raises(Invalid, match=text):
        Config(**fields).check()
