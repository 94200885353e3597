"""Changes of the membership: from the members as they are to the members as they will be. Nothing that is given is changed.

    call           from        to          when it is refused
    simple         not joint   not joint   more than one voter would come or go: two majorities might then have no voter in common
    enter_joint    not joint   joint       it is joint already, or has no voter
    leave_joint    joint       not joint   it is not joint
    restore        nothing     any         -

Of several changes of one member the last one holds. A change of member 0 is none: an application writes it when it has
taken back a change that it had proposed.

    what is left behind (checked before and after every change)
    every member has a progress
    a learner does not vote, in neither half; whoever is to become one (learners_next) votes in the outgoing half still
    learners_next and auto_leave say nothing outside of a joint membership
"""

from __future__ import annotations

from collections.abc import Sequence

from runink.raft.messages import NONE, ConfChangeSingle, ConfChangeType, ConfState
from runink.raft.progress import Membership, Progress, Tracker
from runink.raft.quorum import JointConfig


class ConfChangeError(Exception):
    """The change cannot be made from the members as they are."""


def simple(
    tracker: Tracker, last_index: int, changes: Sequence[ConfChangeSingle]
) -> tuple[Membership, dict[int, Progress]]:
    """Return the members after changes of which at most one touches a voter. Raises ConfChangeError."""
    draft = _Draft(tracker, last_index)
    if draft.outgoing:
        raise ConfChangeError("can't apply simple config change in joint config")
    draft.apply(changes)
    if len(tracker.membership.voters.incoming ^ draft.incoming) > 1:
        raise ConfChangeError("more than one voter changed without entering joint config")
    return draft.finished()


def enter_joint(
    tracker: Tracker, last_index: int, changes: Sequence[ConfChangeSingle], *, auto_leave: bool
) -> tuple[Membership, dict[int, Progress]]:
    """Return the joint members: those after the changes, and beside them the voters as they were. Raises ConfChangeError."""
    draft = _Draft(tracker, last_index)
    if draft.outgoing:
        raise ConfChangeError("config is already joint")
    if not draft.incoming:
        # From no voter at all every change would be one of the majority; who bootstraps takes simple changes.
        raise ConfChangeError("can't make a zero-voter config joint")
    draft.outgoing = frozenset(draft.incoming)
    draft.apply(changes)
    draft.auto_leave = auto_leave
    return draft.finished()


def leave_joint(tracker: Tracker) -> tuple[Membership, dict[int, Progress]]:
    """Return the members once the outgoing voters have gone and those that were to become learners are. Raises ConfChangeError."""
    draft = _Draft(tracker, last_index=0)
    if not draft.outgoing:
        raise ConfChangeError("can't leave a non-joint config")
    draft.leave()
    return draft.finished()


def restore(
    tracker: Tracker, last_index: int, conf_state: ConfState
) -> tuple[Membership, dict[int, Progress]]:
    """Return the members that a snapshot names, each with a fresh progress; of the tracker only its limits matter. Raises ConfChangeError."""
    fresh = Tracker(tracker.inflight_messages_max, tracker.inflight_bytes_max)
    incoming = [
        *_changes(ConfChangeType.ConfChangeAddNode, conf_state.voters),
        *_changes(ConfChangeType.ConfChangeAddLearnerNode, conf_state.learners),
        *_changes(ConfChangeType.ConfChangeAddLearnerNode, conf_state.learners_next),
    ]
    if not conf_state.voters_outgoing:
        for change in incoming:
            fresh.membership, fresh.progress = simple(fresh, last_index, [change])
        return fresh.membership, fresh.progress
    for change in _changes(ConfChangeType.ConfChangeAddNode, conf_state.voters_outgoing):
        fresh.membership, fresh.progress = simple(fresh, last_index, [change])
    removed = _changes(ConfChangeType.ConfChangeRemoveNode, conf_state.voters_outgoing)
    return enter_joint(fresh, last_index, [*removed, *incoming], auto_leave=conf_state.auto_leave)


def _changes(kind: ConfChangeType, members: Sequence[int]) -> list[ConfChangeSingle]:
    return [ConfChangeSingle(kind, member) for member in members]


class _Draft:
    """The members in the making: sets and progresses of its own, checked where it begins and where it is finished."""

    def __init__(self, tracker: Tracker, last_index: int) -> None:
        membership = tracker.membership
        _check_membership(membership, tracker.progress)
        self.incoming = set(membership.voters.incoming)
        self.outgoing = membership.voters.outgoing
        self.learners = set(membership.learners)
        self.learners_next = set(membership.learners_next)
        self.auto_leave = membership.auto_leave
        self.progress = {member: known.clone() for member, known in tracker.progress.items()}
        self._last_index = last_index
        self._new_inflights = tracker.new_inflights

    def apply(self, changes: Sequence[ConfChangeSingle]) -> None:
        for change in changes:
            if change.node_id == NONE:
                continue
            match change.type:
                case ConfChangeType.ConfChangeAddNode:
                    self._make_voter(change.node_id)
                case ConfChangeType.ConfChangeAddLearnerNode:
                    self._make_learner(change.node_id)
                case ConfChangeType.ConfChangeRemoveNode:
                    self._remove(change.node_id)
                case ConfChangeType.ConfChangeUpdateNode:
                    pass  # what it updates is the application's
        if not self.incoming:
            raise ConfChangeError("removed all voters")

    def leave(self) -> None:
        for member in self.learners_next:
            self.learners.add(member)
            self.progress[member].is_learner = True
        self.learners_next.clear()
        for member in self.outgoing - self.incoming - self.learners:
            del self.progress[member]
        self.outgoing = frozenset()
        self.auto_leave = False

    def finished(self) -> tuple[Membership, dict[int, Progress]]:
        membership = Membership(
            JointConfig(frozenset(self.incoming), self.outgoing),
            frozenset(self.learners),
            frozenset(self.learners_next),
            self.auto_leave,
        )
        _check_membership(membership, self.progress)
        return membership, self.progress

    def _make_voter(self, member: int) -> None:
        self.incoming.add(member)
        self.learners.discard(member)
        self.learners_next.discard(member)
        self._known(member).is_learner = False

    def _make_learner(self, member: int) -> None:
        known = self._known(member)
        self.incoming.discard(member)
        if member in self.outgoing:
            self.learners_next.add(
                member
            )  # it votes still: it cannot be a learner before that ends
        else:
            self.learners.add(member)
            known.is_learner = True

    def _remove(self, member: int) -> None:
        self.incoming.discard(member)
        self.learners.discard(member)
        self.learners_next.discard(member)
        if member not in self.outgoing:
            self.progress.pop(member, None)

    def _known(self, member: int) -> Progress:
        """Return the member's progress; a new member is probed from the end of the log, and counts as heard until the next check of the quorum."""
        if member not in self.progress:
            self.progress[member] = Progress(
                self._new_inflights(), next=max(self._last_index, 1), recent_active=True
            )
        return self.progress[member]


def _check_membership(membership: Membership, progress: dict[int, Progress]) -> None:
    """Raise ConfChangeError if a rule of the table above is broken."""
    voters = membership.voters
    for member in voters.ids() | membership.learners | membership.learners_next:
        if member not in progress:
            raise ConfChangeError(f"no progress for {member}")
    for member in membership.learners_next:
        if member not in voters.outgoing:
            raise ConfChangeError(f"{member} is in LearnersNext, but not Voters[1]")
        if progress[member].is_learner:
            raise ConfChangeError(f"{member} is in LearnersNext, but is already marked as learner")
    for member in membership.learners:
        if member in voters.outgoing:
            raise ConfChangeError(f"{member} is in Learners and Voters[1]")
        if member in voters.incoming:
            raise ConfChangeError(f"{member} is in Learners and Voters[0]")
        if not progress[member].is_learner:
            raise ConfChangeError(f"{member} is in Learners, but is not marked as learner")
    if not voters.is_joint and membership.auto_leave:
        raise ConfChangeError("AutoLeave must be false when not joint")
