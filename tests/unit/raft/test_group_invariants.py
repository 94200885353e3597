"""The invariants notice what they are there for: each state that must never be is made by hand, and refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from raft_members import Group, Member, snapshot_at, three
from runink.errors import InvariantBroken
from runink.raft.core import Raft, StateType
from runink.raft.invariants import GroupHistory
from runink.raft.messages import ConfState, Entry, HardState, MessageType
from runink.raft.progress import ProgressState


def seen(group: Group) -> GroupHistory:
    """Return the history of a group that has been looked at as it is."""
    history = GroupHistory()
    for member in group.members.values():
        history.check(member.raft)
    return history


def test_a_sound_group_passes_whatever_it_does():
    group = three()
    history = seen(group)
    group.propose(1, b"a", b"b")
    group.isolate(1)
    group.deliver(group[2].campaign())
    group.propose(2, b"c")
    group.heal()
    group.tick(3)
    for member in group.members.values():
        history.check(member.raft)


def test_a_second_leader_of_a_term_is_noticed():
    group = three()
    history = seen(group)
    group[2].raft.state = StateType.StateLeader
    with pytest.raises(InvariantBroken, match="term 1 has two leaders, 1 and 2"):
        history.check(group[2].raft)


def test_an_entry_that_differs_from_that_of_the_same_index_and_term_is_noticed():
    history = GroupHistory()
    one, two = Member(1), Member(2)
    for member, data in ((one, b"a"), (two, b"b")):
        member.raft.term = 1
        member.raft.log.append([Entry(1, 1, data=data)])
    history.check(one.raft)
    with pytest.raises(InvariantBroken, match="not the same everywhere"):
        history.check(two.raft)


def test_an_entry_whose_past_differs_is_noticed():
    history = GroupHistory()
    one, two = Member(1), Member(2)
    for member, first in ((one, 1), (two, 2)):
        member.raft.term = 3
        member.raft.log.append([Entry(first, 1), Entry(3, 2)])
    history.check(one.raft)
    with pytest.raises(InvariantBroken, match="not the same everywhere"):
        history.check(two.raft)


def test_two_commits_at_one_index_are_noticed():
    history = GroupHistory()
    history.check(Member(1, terms=(1, 1), hard=HardState(1, 0, 2)).raft)
    with pytest.raises(InvariantBroken, match="entry 2 was committed"):
        history.check(Member(2, terms=(1, 2), hard=HardState(2, 0, 2)).raft)


def test_a_leader_that_lacks_what_an_earlier_term_committed_is_noticed():
    history = GroupHistory()
    history.check(Member(1, terms=(1, 1), hard=HardState(1, 0, 2)).raft)
    two = Member(2, terms=(1,))
    two.elect(3)
    with pytest.raises(InvariantBroken, match="the new leader lacks entry 2"):
        history.check(two.raft)


def test_a_leader_that_begins_behind_a_snapshot_lacks_nothing_of_it():
    history = GroupHistory()
    history.check(Member(1, terms=(1, 1), hard=HardState(1, 0, 2)).raft)
    two = Member(2, terms=(1, 1))
    two.storage.apply_snapshot(snapshot_at(2, 1, ConfState((1, 2, 3))))
    two.storage.hard_state = HardState(1, 0, 2)
    two = two.restarted()
    two.elect(3)
    history.check(two.raft)


def falls_back(raft: Raft) -> None:
    raft.term -= 1


def votes_again(raft: Raft) -> None:
    raft.vote = 3


def forgets_a_commit(raft: Raft) -> None:
    raft.log.committed = raft.log.applying = raft.log.applied = 0


def forgets_what_it_applied(raft: Raft) -> None:
    raft.log.applied = 0


def applies_what_is_not_committed(raft: Raft) -> None:
    raft.log.applying = raft.log.committed + 1


def commits_what_is_not_there(raft: Raft) -> None:
    raft.log.committed = raft.log.last_index() + 1


def believes_that_a_follower_has_more(raft: Raft) -> None:
    raft.tracker.progress[2].match = raft.log.last_index() + 5
    raft.tracker.progress[2].next = raft.log.last_index() + 6


def sends_what_is_held(raft: Raft) -> None:
    raft.tracker.progress[2].next = raft.tracker.progress[2].match


def waits_for_no_snapshot(raft: Raft) -> None:
    raft.tracker.progress[2].state = ProgressState.StateSnapshot


def holds_an_entry_of_a_term_to_come(raft: Raft) -> None:
    raft.log.append([Entry(raft.term + 1, raft.log.last_index() + 1)])


def hands_out_what_is_not_there(raft: Raft) -> None:
    raft.log.unstable.offset_in_progress += 1


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (falls_back, "an entry of term 1 stands in the log in term 0"),
        (votes_again, "it voted for 1 and 3 in term 1"),
        (forgets_a_commit, "its commit index fell from 2 to 0"),
        (forgets_what_it_applied, "its applied index fell from 2 to 0"),
        (applies_what_is_not_committed, "does not hold"),
        (commits_what_is_not_there, "does not hold"),
        (believes_that_a_follower_has_more, "member 2 matches up to 7"),
        (sends_what_is_held, "member 2 matches up to 2, next 2"),
        (waits_for_no_snapshot, "without its snapshot"),
        (holds_an_entry_of_a_term_to_come, "an entry of term 2 stands in the log in term 1"),
        (hands_out_what_is_not_there, "which are not there"),
    ],
)
def test_a_member_that_goes_wrong_is_noticed(damage: Callable[[Raft], None], text: str):
    group = three()
    group.propose(1, b"a")
    history = seen(group)
    damage(group[1].raft)
    with pytest.raises(InvariantBroken, match=text):
        history.check(group[1].raft)


def test_a_member_whose_term_falls_is_noticed():
    one = Member(1)
    history = GroupHistory()
    one.raft.term = 5
    history.check(one.raft)
    one.raft.term = 4
    with pytest.raises(InvariantBroken, match="its term fell from 5 to 4"):
        history.check(one.raft)


def test_a_member_that_lives_again_must_remember_what_it_promised():
    one = Member(1)
    history = GroupHistory()
    one.hear(MessageType.MsgVote, 2, term=3)
    history.check(one.raft)
    history.restarted(one.restarted().raft, one.storage.hard_state)
    with pytest.raises(InvariantBroken, match="its term fell from 3 to 0"):
        history.restarted(Member(1).raft, one.storage.hard_state)


def test_a_member_that_lives_again_may_have_forgotten_a_commit():
    group = three()
    history = seen(group)
    group.propose(1, b"a")
    history.check(group[2].raft)
    group[2].storage.hard_state = HardState(1, 1, 1)
    history.restarted(group[2].restarted().raft, HardState(1, 1, 1))
