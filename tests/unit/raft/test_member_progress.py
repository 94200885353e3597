"""What a leader knows of each member: the window, the three states, and what is counted over all members."""

from __future__ import annotations

from itertools import product

import pytest
from runink.raft.messages import ConfState
from runink.raft.progress import Inflights, Membership, Progress, ProgressState, Tracker
from runink.raft.quorum import INDEX_MAX, JointConfig, VoteResult

PROBE, REPLICATE, SNAPSHOT = ProgressState


def progress(*, match: int = 0, next: int = 1, window: int = 4) -> Progress:  # noqa: A002 - the standard name
    return Progress(Inflights(window), match=match, next=next)


def replicating(*, match: int, sent: int = 0, window: int = 4) -> Progress:
    """Return a progress with some messages of one entry on their way."""
    one = progress(match=match, next=match + 1, window=window)
    one.become_replicate()
    for _ in range(sent):
        one.sent_entries(1, 10)
    return one


def tracker(
    incoming: set[int], outgoing: set[int] = frozenset(), learners: set[int] = frozenset()
) -> Tracker:
    made = Tracker(4)
    voters = JointConfig(frozenset(incoming), frozenset(outgoing))
    made.membership = Membership(voters, frozenset(learners))
    made.progress = {
        one: Progress(made.new_inflights(), next=1, is_learner=one in learners)
        for one in incoming | outgoing | learners
    }
    return made


# The window.


def test_a_window_is_full_at_its_number_of_messages_and_answers_make_room() -> None:
    window = Inflights(3)
    for index in (2, 5, 9):
        assert not window.is_full()
        window.add(index, 100)
    assert window.is_full()
    window.free_le(4)
    assert (window.count(), window.is_full()) == (2, False)
    window.free_le(1)
    assert window.count() == 2
    window.free_le(9)
    assert window.count() == 0


def test_a_window_is_full_at_its_bytes_and_one_message_may_exceed_them() -> None:
    window = Inflights(100, bytes_max=50)
    window.add(1, 49)
    assert not window.is_full()
    window.add(2, 1000)
    assert window.is_full()
    window.free_le(1)
    assert window.is_full()
    window.free_le(2)
    assert not window.is_full()
    window.add(3, 50)
    assert window.is_full()


def test_nothing_is_added_to_a_full_window() -> None:
    window = Inflights(1)
    window.add(1, 0)
    with pytest.raises(AssertionError):
        window.add(2, 0)


def test_a_window_that_is_reset_holds_nothing_and_its_copy_is_its_own() -> None:
    window = Inflights(2, bytes_max=10)
    window.add(1, 10)
    copy = window.clone()
    window.reset()
    assert (window.count(), window.is_full()) == (0, False)
    assert (copy.count(), copy.is_full()) == (1, True)
    copy.free_le(1)
    assert not copy.is_full()


# One member.


def test_a_probe_goes_out_alone() -> None:
    one = progress(match=3, next=8)
    assert not one.is_paused()
    one.sent_entries(2, 20)
    assert one.is_paused()
    assert (one.next, one.inflights.count()) == (8, 0)


def test_an_empty_probe_does_not_pause() -> None:
    one = progress(match=3, next=8)
    one.sent_entries(0, 0)
    assert not one.is_paused()


def test_entries_are_sent_until_the_window_is_full() -> None:
    one = replicating(match=10, sent=2, window=2)
    assert (one.next, one.is_paused()) == (13, True)
    assert one.maybe_update(11)
    one.inflights.free_le(11)
    assert not one.is_paused()


def test_a_full_window_lets_one_empty_message_through_for_each_answered_heartbeat() -> None:
    one = replicating(match=10, sent=1, window=1)
    one.is_flow_paused = False  # what the leader does when a heartbeat is answered
    assert not one.is_paused()
    one.sent_entries(0, 0)
    assert one.is_paused()
    assert (one.next, one.inflights.count()) == (12, 1)


def test_nothing_is_sent_to_a_member_that_waits_for_a_snapshot() -> None:
    one = progress(match=1, next=2)
    one.become_snapshot(20)
    assert one.is_paused()
    assert (one.pending_snapshot, one.next) == (20, 21)
    with pytest.raises(AssertionError):
        one.sent_entries(1, 1)


@pytest.mark.parametrize(("match", "pending", "expected"), [(1, 20, 21), (30, 20, 31), (1, 0, 2)])
def test_behind_a_snapshot_probing_goes_on_from_what_the_member_must_hold(
    match: int, pending: int, expected: int
) -> None:
    one = progress(match=match, next=match + 1)
    one.become_snapshot(20)
    one.pending_snapshot = pending  # 0: the snapshot was lost
    one.become_probe()
    assert (one.state, one.next, one.pending_snapshot) == (PROBE, expected, 0)


def test_who_is_probed_again_is_sent_again_what_was_on_its_way() -> None:
    one = replicating(match=10, sent=3)
    one.note_sent_commit(12)
    one.become_probe()
    assert (one.next, one.inflights.count(), one.sent_commit) == (11, 0, 10)


def test_old_answers_change_nothing() -> None:
    one = replicating(match=10, sent=3)
    assert not one.maybe_update(10)
    assert not one.maybe_update(4)
    assert (one.match, one.next) == (10, 14)


def test_an_answer_beyond_what_was_sent_moves_next() -> None:
    one = progress(match=3, next=5)
    one.sent_entries(1, 1)
    assert one.maybe_update(9)
    assert (one.match, one.next, one.is_paused()) == (9, 10, False)


@pytest.mark.parametrize(
    ("state", "match", "next_", "rejected", "hint", "expected"),
    [
        (REPLICATE, 5, 10, 5, 5, None),  # accepted meanwhile
        (REPLICATE, 5, 10, 4, 4, None),
        (REPLICATE, 5, 10, 9, 9, 6),  # back to what is known
        (PROBE, 0, 10, 5, 5, None),  # not what was probed last
        (PROBE, 0, 10, 9, 9, 9),  # the hint is no help: one back
        (PROBE, 0, 10, 9, 2, 3),  # the hint is
        (PROBE, 0, 10, 9, 0, 1),
        (PROBE, 4, 10, 9, 2, 5),  # never below what matches
    ],
)
def test_a_rejection_moves_next_back_unless_it_is_old(
    state: ProgressState, match: int, next_: int, rejected: int, hint: int, expected: int | None
) -> None:
    one = progress(match=match, next=next_)
    one.state = state
    one.is_flow_paused = True
    assert one.maybe_decr_to(rejected, hint) is (expected is not None)
    assert one.next == (next_ if expected is None else expected)


def test_a_rejected_probe_lifts_the_pause_and_forgets_the_commit_behind_it() -> None:
    one = progress(match=0, next=10)
    one.sent_entries(1, 1)
    one.note_sent_commit(8)
    assert one.maybe_decr_to(9, 3)
    assert (one.is_paused(), one.sent_commit) == (False, 3)


def test_a_commit_index_is_sent_when_it_is_news_and_only_as_far_as_the_member_can_follow() -> None:
    one = replicating(match=10)
    one.note_sent_commit(8)
    assert one.can_bump_commit(9)
    assert not one.can_bump_commit(8)
    one.note_sent_commit(10)
    assert not one.can_bump_commit(50)  # it holds 10 entries, and knows that they are committed
    one.sent_entries(1, 1)
    assert one.can_bump_commit(50)


def test_a_snapshot_says_what_is_committed() -> None:
    one = progress()
    one.become_snapshot(20)
    assert not one.can_bump_commit(20)


def test_a_copy_shares_nothing() -> None:
    one = replicating(match=10, sent=2)
    one.is_learner = one.recent_active = True
    copy = one.clone()
    one.become_snapshot(99)
    assert (copy.state, copy.match, copy.next) == (REPLICATE, 10, 13)
    assert (copy.inflights.count(), copy.is_learner, copy.recent_active) == (2, True, True)


# All members.


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_committed_index_is_that_of_the_quorum_for_every_size_of_group(count: int) -> None:
    group = tracker(set(range(1, count + 1)))
    for indexes in product(range(count + 1), repeat=count):
        for one, index in enumerate(indexes, 1):
            group.progress[one].match = index
        matches = {one: known.match for one, known in group.progress.items()}
        assert group.committed() == group.membership.voters.committed_index(matches)


def test_a_joint_group_commits_what_both_halves_hold_and_learners_do_not_count() -> None:
    group = tracker({1, 2, 3}, {3, 4, 5}, {6})
    for one, index in {1: 9, 2: 9, 3: 9, 4: 4, 5: 6, 6: 50}.items():
        group.progress[one].match = index
    assert group.committed() == 6


def test_another_membership_is_counted_at_once() -> None:
    group = tracker({1})
    group.progress[1].match = 7
    assert (group.committed(), group.sorted_ids(), group.is_singleton()) == (7, (1,), True)
    other = tracker({1, 2, 3})
    group.membership, group.progress = other.membership, other.progress
    assert (group.committed(), group.sorted_ids()) == (0, (1, 2, 3))
    assert not group.is_singleton()
    assert Tracker(1).committed() == INDEX_MAX


def test_one_voter_of_a_joint_group_does_not_decide_alone() -> None:
    assert not tracker({1}, {1, 2}).is_singleton()


def test_a_quorum_is_active_when_enough_voters_were_heard() -> None:
    group = tracker({1, 2, 3}, learners={4})
    group.progress[1].recent_active = group.progress[4].recent_active = True
    assert not group.quorum_active()
    group.progress[2].recent_active = True
    assert group.quorum_active()


def test_the_first_vote_of_a_member_counts_and_learners_have_none() -> None:
    group = tracker({1, 2, 3}, learners={4})
    group.record_vote(1, granted=True)
    group.record_vote(1, granted=False)
    group.record_vote(2, granted=False)
    group.record_vote(4, granted=True)
    group.record_vote(9, granted=True)
    assert group.tally_votes() == (1, 1, VoteResult.VotePending)
    group.record_vote(3, granted=True)
    assert group.tally_votes() == (2, 1, VoteResult.VoteWon)
    group.reset_votes()
    assert group.tally_votes() == (0, 0, VoteResult.VotePending)


def test_members_are_named_in_order() -> None:
    group = tracker({30, 2}, {100, 2}, {7, 5})
    assert group.voter_ids() == (2, 30, 100)
    assert group.sorted_ids() == (2, 5, 7, 30, 100)


def test_a_membership_is_told_in_order() -> None:
    voters = JointConfig(frozenset({30, 2}), frozenset({4, 2}))
    membership = Membership(voters, frozenset({9, 8}), frozenset({4}), auto_leave=True)
    assert membership.conf_state() == ConfState((2, 30), (8, 9), (2, 4), (4,), auto_leave=True)
