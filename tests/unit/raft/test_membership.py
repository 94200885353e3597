"""Changes of the membership: what each makes of the members, what is refused, and that nothing given is touched."""

from __future__ import annotations

from random import Random

import pytest
from runink.raft.describe import describe_all_progress, describe_membership
from runink.raft.membership import (
    ConfChangeError,
    enter_joint,
    leave_joint,
    restore,
    simple,
)
from runink.raft.messages import ConfChangeSingle, ConfState
from runink.raft.progress import Inflights, Membership, Progress, Tracker
from runink.raft.quorum import JointConfig
from runink.testing.raft_interaction import conf_changes

LAST_INDEX = 10


def group(*steps: str) -> Tracker:
    """Return the members after changes: simple ones, `>` before a joint one, `<` to leave it."""
    made = Tracker(8)
    for step in steps:
        if step == "<":
            made.membership, made.progress = leave_joint(made)
        elif step.startswith(">"):
            changes = conf_changes(step[1:])
            changed = enter_joint(made, LAST_INDEX, changes, auto_leave=False)
            made.membership, made.progress = changed
        else:
            made.membership, made.progress = simple(made, LAST_INDEX, conf_changes(step))
    return made


def told(tracker: Tracker) -> str:
    return describe_membership(tracker.membership)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["v1"], "voters=(1)"),
        (["v1", "v2 l3 l4"], "voters=(1 2) learners=(3 4)"),
        (["v1", "l2", "v2"], "voters=(1 2)"),
        (["v1", "v2", "l2"], "voters=(1) learners=(2)"),
        (["v1", "l2", "r2 r9"], "voters=(1)"),
        (["v1", "u1 u7"], "voters=(1)"),
        (["v1", "v0 l0 r0"], "voters=(1)"),  # member 0: a change that was taken back
        (["v1", "v2", ">v3 r1"], "voters=(2 3)&&(1 2)"),
        (["v1", "v2", ">v3 r1", "<"], "voters=(2 3)"),
        (["v1", "v2", ">l1"], "voters=(2)&&(1 2) learners_next=(1)"),
        (["v1", "v2", ">l1", "<"], "voters=(2) learners=(1)"),
        (["v1", "v2", ">l1 v1"], "voters=(1 2)&&(1 2)"),
        (["v1", "v2", ">l1 r1"], "voters=(2)&&(1 2)"),
        (["v1", "l2", ">v2 v3"], "voters=(1 2 3)&&(1)"),
        (["v1", ">"], "voters=(1)&&(1)"),
    ],
)
def test_a_change_makes_these_members(steps: list[str], expected: str) -> None:
    assert told(group(*steps)) == expected


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["l1"], "removed all voters"),
        (["v1", "r1"], "removed all voters"),
        (["v1", "l1"], "removed all voters"),
        (["v1", "v2 v3"], "more than one voter changed without entering joint config"),
        (["v1", "v2 r1"], "more than one voter changed without entering joint config"),
        (["v1", ">v2", "v3"], "can't apply simple config change in joint config"),
        (["v1", ">v2", ">v3"], "config is already joint"),
        (["v1", "<"], "can't leave a non-joint config"),
        ([">v1"], "can't make a zero-voter config joint"),
        (["v1", ">r1"], "removed all voters"),
    ],
)
def test_a_change_is_refused_with_its_reason(steps: list[str], reason: str) -> None:
    with pytest.raises(ConfChangeError) as raised:
        group(*steps)
    assert str(raised.value) == reason


def test_a_new_member_is_probed_from_the_end_of_the_log_and_counts_as_heard() -> None:
    made = group("v1", "l2")
    assert describe_all_progress(made.progress) == (
        "1: StateProbe match=0 next=10\n2: StateProbe match=0 next=10 learner\n"
    )
    assert made.progress[1].inflights.size == 8


def test_in_an_empty_log_a_new_member_is_probed_from_its_beginning() -> None:
    _, progress = simple(Tracker(1), 0, conf_changes("v1"))
    assert progress[1].next == 1


def test_what_is_known_of_a_member_stays_over_its_changes() -> None:
    made = group("v1", "v2")
    made.progress[2].become_replicate()
    made.progress[2].maybe_update(7)
    made.membership, made.progress = enter_joint(
        made, LAST_INDEX, conf_changes("l2"), auto_leave=True
    )
    made.membership, made.progress = leave_joint(made)
    known = made.progress[2]
    assert (known.match, known.state.value, known.is_learner) == (7, "StateReplicate", True)


def test_who_leaves_the_outgoing_half_is_forgotten_when_it_is_left() -> None:
    joint = group("v1", "v2", ">r2 v3")
    assert set(joint.progress) == {1, 2, 3}
    _, progress = leave_joint(joint)
    assert set(progress) == {1, 3}


def test_leaving_a_joint_membership_takes_its_flag_back() -> None:
    made = group("v1")
    made.membership, made.progress = enter_joint(
        made, LAST_INDEX, conf_changes("v2"), auto_leave=True
    )
    assert made.membership.auto_leave
    assert not leave_joint(made)[0].auto_leave


@pytest.mark.parametrize("step", ["l2", ">l2 v9 r1", "<", "r1 r2"])
def test_nothing_that_is_given_is_changed_also_not_by_what_is_refused(step: str) -> None:
    before = group("v1", "v2", ">v3 l2") if step == "<" else group("v1", "v2", "l3")
    before.progress[2].inflights.reset()
    kept = told(before), describe_all_progress(before.progress)
    changes: tuple[ConfChangeSingle, ...] = conf_changes(step.strip("<>"))
    try:
        if step == "<":
            _, progress = leave_joint(before)
        elif step.startswith(">"):
            _, progress = enter_joint(before, 99, changes, auto_leave=True)
        else:
            _, progress = simple(before, 99, changes)
    except ConfChangeError:
        progress = {}
    for known in progress.values():
        known.become_snapshot(5)
        known.inflights.add(1, 1)
    assert (told(before), describe_all_progress(before.progress)) == kept


STATES = [
    ConfState(),
    ConfState(voters=(1,)),
    ConfState(voters=(1, 2, 3), learners=(4, 5)),
    ConfState(voters=(1, 2, 3), voters_outgoing=(1, 2, 4, 6), learners=(5,), learners_next=(4,)),
    ConfState(voters=(1,), voters_outgoing=(1,), auto_leave=True),
    ConfState(voters=(7, 8), voters_outgoing=(1, 2), learners_next=(1, 2), auto_leave=True),
]


@pytest.mark.parametrize("state", STATES)
def test_a_membership_comes_back_from_what_a_snapshot_says_of_it(state: ConfState) -> None:
    used = group("v9", "l8")  # of the tracker only the limits matter
    membership, progress = restore(used, LAST_INDEX, state)
    assert membership.conf_state() == state
    members = {*state.voters, *state.learners, *state.voters_outgoing, *state.learners_next}
    assert set(progress) == members
    learners = {member for member, known in progress.items() if known.is_learner}
    assert learners == set(state.learners)


def test_a_membership_that_contradicts_itself_is_not_restored() -> None:
    with pytest.raises(ConfChangeError):
        restore(Tracker(1), 1, ConfState(learners=(1,)))
    one = restore(Tracker(1), 1, ConfState(voters=(1, 2), learners=(2,)))[0].conf_state()
    assert one == ConfState(voters=(1,), learners=(2,))  # of two roles the last one holds


@pytest.mark.parametrize(
    ("membership", "reason"),
    [
        (Membership(JointConfig(frozenset({1, 9}))), "no progress for 9"),
        (
            Membership(JointConfig(frozenset({1})), learners_next=frozenset({2})),
            "2 is in LearnersNext, but not Voters[1]",
        ),
        (
            Membership(JointConfig(frozenset({1}), frozenset({3})), learners_next=frozenset({3})),
            "3 is in LearnersNext, but is already marked as learner",
        ),
        (
            Membership(JointConfig(frozenset({1}), frozenset({3})), frozenset({3})),
            "3 is in Learners and Voters[1]",
        ),
        (
            Membership(JointConfig(frozenset({1, 3})), frozenset({3})),
            "3 is in Learners and Voters[0]",
        ),
        (
            Membership(JointConfig(frozenset({1})), frozenset({2})),
            "2 is in Learners, but is not marked as learner",
        ),
        (
            Membership(JointConfig(frozenset({1})), auto_leave=True),
            "AutoLeave must be false when not joint",
        ),
    ],
)
def test_members_that_contradict_themselves_are_not_changed(
    membership: Membership, reason: str
) -> None:
    broken = Tracker(1)
    broken.membership = membership
    broken.progress = {
        member: Progress(Inflights(1), next=1, is_learner=member == 3) for member in (1, 2, 3)
    }
    with pytest.raises(ConfChangeError) as raised:
        simple(broken, 1, ())
    assert str(raised.value) == reason


def random_changes(random: Random, count: int) -> str:
    return " ".join(f"{random.choice('vvlr')}{random.randint(1, 6)}" for _ in range(count))


@pytest.mark.parametrize("seed", range(40))
def test_a_joint_change_ends_where_the_same_changes_end_one_by_one(seed: int) -> None:
    """Each single change touches one voter at most, so all of them can be simple."""
    random = Random(seed)
    start = group("v1", "v2", "l3")
    changes = conf_changes(random_changes(random, random.randint(1, 6)))
    stepwise = Tracker(8)
    stepwise.membership, stepwise.progress = start.membership, start.progress
    try:
        for change in changes:
            stepwise.membership, stepwise.progress = simple(stepwise, LAST_INDEX, (change,))
    except ConfChangeError:
        return  # the last voter went in between
    start.membership, start.progress = enter_joint(start, LAST_INDEX, changes, auto_leave=True)
    membership, progress = leave_joint(start)
    assert membership == stepwise.membership
    assert describe_all_progress(progress) == describe_all_progress(stepwise.progress)


@pytest.mark.parametrize("seed", range(40))
def test_every_membership_that_changes_can_make_is_restored_from_its_own_words(seed: int) -> None:
    random = Random(seed)
    made = group("v1")
    for _ in range(8):
        changes = conf_changes(random_changes(random, random.randint(1, 3)))
        try:
            if made.membership.voters.is_joint:
                made.membership, made.progress = leave_joint(made)
            elif random.random() < 0.5:
                changed = enter_joint(made, LAST_INDEX, changes, auto_leave=True)
                made.membership, made.progress = changed
            else:
                made.membership, made.progress = simple(made, LAST_INDEX, changes)
        except ConfChangeError:
            continue
        membership, progress = restore(Tracker(8), LAST_INDEX, made.membership.conf_state())
        assert membership == made.membership
        assert describe_all_progress(progress) == describe_all_progress(made.progress)
