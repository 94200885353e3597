"""What a leader has against a change of the group."""

from __future__ import annotations

import pytest
from runink.barn.changes import LAG_ENTRIES_MAX, objection
from runink.barn.commands import Put
from runink.raft.messages import ConfChangeSingle, ConfChangeType, ConfChangeV2
from runink.testing.replicas import ReplicaGroup

ADD = ConfChangeType.ConfChangeAddNode
LEARN = ConfChangeType.ConfChangeAddLearnerNode
REMOVE = ConfChangeType.ConfChangeRemoveNode


@pytest.fixture
def group() -> ReplicaGroup:
    made = ReplicaGroup(3)
    made.elect(1)
    made.pass_time(1)
    return made


def code(group: ReplicaGroup, kind: ConfChangeType, member: int) -> str:
    found = objection(group.replicas[1].node.raft, (ConfChangeSingle(kind, member),))
    return found.code if found else ""


def apply(group: ReplicaGroup, kind: ConfChangeType, member: int) -> None:
    change = ConfChangeV2(changes=(ConfChangeSingle(kind, member),))
    group.replicas[1].propose_change(9_000 + member, change)
    group.settle()


def silence(group: ReplicaGroup, *members: int) -> None:
    """Cut members off until the leader has noticed that they do not answer."""
    group.cut = set(members)
    raft = group.replicas[1].node.raft
    for member in members:
        raft.tracker.progress[member].recent_active = False


def test_nobody_becomes_a_voter_who_was_no_learner(group: ReplicaGroup):
    assert code(group, ADD, 4) == "not_a_learner"


def test_a_learner_that_is_up_to_date_may_vote(group: ReplicaGroup):
    apply(group, LEARN, 3)
    group.pass_time(1)
    assert code(group, ADD, 3) == ""


def test_a_learner_that_is_silent_or_far_behind_may_not_vote_yet(group: ReplicaGroup):
    apply(group, LEARN, 3)
    silence(group, 3)
    assert code(group, ADD, 3) == "not_caught_up"
    group.replicas[1].node.raft.tracker.progress[3].recent_active = True
    for _ in range(LAG_ENTRIES_MAX + 1):
        group.propose(1, Put("/a", b""))
    group.settle()
    assert code(group, ADD, 3) == "not_caught_up"


def test_a_learner_that_was_just_added_and_has_nothing_yet_may_not_vote(group: ReplicaGroup):
    """It counts as heard until the leader has found out, and the log may be shorter than what it may lag."""
    group.cut = {4}
    apply(group, LEARN, 4)
    assert code(group, ADD, 4) == "not_caught_up"


@pytest.mark.parametrize("kind", [REMOVE, LEARN])
def test_a_voter_does_not_go_if_most_of_those_that_are_left_are_silent(
    group: ReplicaGroup, kind: ConfChangeType
):
    silence(group, 3)
    assert code(group, kind, 2) == "would_lose_quorum"
    assert code(group, kind, 3) == "", "the silent one may always go"


def test_who_is_a_voter_already_and_a_new_learner_are_no_danger(group: ReplicaGroup):
    assert code(group, ADD, 2) == ""
    assert code(group, LEARN, 4) == ""
