"""When a member says that nobody leads: after some seconds without a leader's word, whatever its part in the group."""

from __future__ import annotations

import pytest
from runink.barn.pending import LEADERLESS_TICKS
from runink.raft.messages import ConfChangeSingle, ConfChangeType, ConfChangeV2
from runink.testing.replicas import ReplicaGroup

ELECTION_TICKS_MAX = 20  # of the default settings


def leaderless(group: ReplicaGroup) -> list[int]:
    return [number for number, one in group.replicas.items() if one.is_leaderless]


@pytest.mark.parametrize("cut", [1, 2])
def test_a_member_that_is_cut_off_knows_it_and_forgets_it_with_the_next_word(cut: int):
    group = ReplicaGroup(3)
    group.elect(1)
    group.cut = {cut}
    group.pass_time(LEADERLESS_TICKS)
    assert leaderless(group) == ([cut] if cut != 1 else [])  # who led has been alone only since
    group.pass_time(ELECTION_TICKS_MAX)
    assert leaderless(group) == [cut]
    group.cut = set()
    group.pass_time(2 * ELECTION_TICKS_MAX)
    assert leaderless(group) == []


def test_a_learner_that_is_cut_off_knows_it_though_it_stands_for_no_election():
    group = ReplicaGroup(3)
    group.elect(1)
    change = ConfChangeSingle(ConfChangeType.ConfChangeAddLearnerNode, 3)
    group.replicas[1].propose_change(99, ConfChangeV2(changes=(change,)))
    group.pass_time(3)
    group.cut = {3}
    group.pass_time(LEADERLESS_TICKS + 1)
    assert leaderless(group) == [3]
    group.cut = set()
    group.pass_time(2)
    assert leaderless(group) == []


def test_a_group_of_one_leads_itself_whatever_time_passes_before_it_does():
    group = ReplicaGroup(1)
    group.tick(times=2 * LEADERLESS_TICKS)
    assert leaderless(group) == []
