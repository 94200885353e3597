"""Quorums: what is committed, and which elections are decided. Small groups are tried whole, against the definition."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from runink.raft.quorum import (
    INDEX_MAX,
    JointConfig,
    VoteResult,
    majority_committed,
    majority_vote,
)

NOBODY: frozenset[int] = frozenset()
SIZES = range(1, 6)


def voters(count: int) -> frozenset[int]:
    return frozenset(range(1, count + 1))


def by_definition(group: frozenset[int], matches: dict[int, int]) -> int:
    """The highest index such that some majority holds it, every one of them."""
    size = len(group) // 2 + 1
    return max(
        min(matches.get(one, 0) for one in majority) for majority in combinations(group, size)
    )


@pytest.mark.parametrize("count", SIZES)
def test_the_highest_index_that_a_majority_holds_is_committed(count: int) -> None:
    group = voters(count)
    for indexes in product(range(4), repeat=count):
        matches = dict(zip(group, indexes, strict=True))
        assert majority_committed(group, matches) == by_definition(group, matches)


def test_a_voter_that_was_never_heard_holds_nothing() -> None:
    assert majority_committed(voters(3), {1: 7}) == 0
    assert majority_committed(voters(3), {1: 7, 3: 5}) == 5


def test_who_does_not_vote_does_not_count() -> None:
    assert majority_committed(voters(3), {1: 1, 2: 1, 3: 1, 8: 9, 9: 9}) == 1
    assert majority_vote(voters(3), {7: True, 8: True, 9: True}) is VoteResult.VotePending


def test_no_voters_hold_nothing_back() -> None:
    assert majority_committed(NOBODY, {1: 5}) == INDEX_MAX
    assert majority_vote(NOBODY, {}) is VoteResult.VoteWon


@pytest.mark.parametrize("count", SIZES)
def test_an_election_is_decided_as_soon_as_the_missing_votes_cannot_change_it(count: int) -> None:
    group = voters(count)
    for answers in product((True, False, None), repeat=count):
        votes = {one: vote for one, vote in enumerate(answers, 1) if vote is not None}
        granted, missing = answers.count(True), answers.count(None)
        if granted * 2 > count:
            expected = VoteResult.VoteWon
        elif (granted + missing) * 2 > count:
            expected = VoteResult.VotePending
        else:
            expected = VoteResult.VoteLost
        assert majority_vote(group, votes) is expected


def test_a_joint_group_commits_what_both_halves_hold() -> None:
    joint = JointConfig(frozenset({1, 2, 3}), frozenset({3, 4, 5}))
    assert joint.is_joint
    assert joint.ids() == {1, 2, 3, 4, 5}
    assert joint.committed_index({1: 9, 2: 9, 3: 9, 4: 4, 5: 6}) == 6
    assert joint.committed_index({1: 9, 2: 9}) == 0


def test_a_group_that_is_not_joint_is_one_half() -> None:
    single = JointConfig(frozenset({1, 2, 3}))
    assert not single.is_joint
    assert single.committed_index({1: 5, 2: 4, 3: 3}) == 4
    assert single.vote_result({1: True, 2: True}) is VoteResult.VoteWon


def test_both_halves_elect_and_either_can_prevent_it() -> None:
    joint = JointConfig(frozenset({1, 2, 3}), frozenset({4, 5, 6}))
    both = {1: True, 2: True, 4: True, 5: True}
    assert joint.vote_result(both) is VoteResult.VoteWon
    assert joint.vote_result({1: True, 2: True, 4: True}) is VoteResult.VotePending
    assert joint.vote_result({1: True, 2: True, 4: False, 5: False}) is VoteResult.VoteLost


def test_an_overlapping_joint_group_agrees_however_its_halves_are_named() -> None:
    halves = frozenset({1, 2, 3}), frozenset({2, 3, 4, 5})
    for indexes in product(range(3), repeat=5):
        matches = dict(enumerate(indexes, 1))
        there, back = JointConfig(*halves), JointConfig(*reversed(halves))
        assert there.committed_index(matches) == back.committed_index(matches)
        votes = {one: bool(index) for one, index in matches.items() if index < 2}
        assert there.vote_result(votes) is back.vote_result(votes)
