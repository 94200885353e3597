"""Changes of the membership, as entries of the log (Raft, section 6; the arithmetic stands in `membership.py`).

A change takes effect when it is applied, on each member by itself.  A simple one moves one voter at most, so that every majority of
before meets every majority of behind.  A joint one goes through a state in which both must agree, and leaves it by a second entry:
by itself, or when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runink.raft.core import Raft
from runink.raft.membership import enter_joint, leave_joint, simple
from runink.raft.messages import (
    NONE,
    ConfChangeTransition,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    decode_conf_change,
)
from runink.raft.progress import Membership, Progress
from runink.raft.replication import append_all, send_append


def checked(raft: Raft, entries: Sequence[Entry]) -> list[Entry]:
    """Return what a leader may append: a change that may not begin now is replaced by an entry that does nothing."""
    return [
        entry if entry.type is EntryType.EntryNormal else _checked(raft, entry, place)
        for place, entry in enumerate(entries, raft.log.last_index() + 1)
    ]


def _checked(raft: Raft, entry: Entry, index: int) -> Entry:
    try:
        change = decode_conf_change(entry)
    except msgspec.MsgspecError:
        return Entry()  # from outside; a log that holds it would stop every member
    wants_to_leave = not change.changes
    is_joint = raft.tracker.membership.voters.is_joint
    is_wrong = raft.pending_conf_index > raft.log.applied or is_joint != wants_to_leave
    if is_wrong and not raft.config.disable_conf_change_validation:
        return Entry()
    raft.pending_conf_index = index
    return entry


def apply_conf_change(raft: Raft, change: ConfChangeV2) -> ConfState:
    """Take a committed change into effect; return the membership behind it. Raises ConfChangeError, and nothing is changed then.

    While a leader's snapshot waits to be installed the membership is that of the snapshot already; what is applied meanwhile came before it, and is in it.
    """
    if raft.log.has_next_or_in_progress_snapshot():
        return raft.tracker.membership.conf_state()
    last = raft.log.last_index()
    if change.transition is ConfChangeTransition.ConfChangeTransitionAuto and not change.changes:
        result = leave_joint(raft.tracker)
    elif (
        change.transition is not ConfChangeTransition.ConfChangeTransitionAuto
        or len(change.changes) > 1
    ):
        leaves = change.transition is not ConfChangeTransition.ConfChangeTransitionJointExplicit
        result = enter_joint(raft.tracker, last, change.changes, auto_leave=leaves)
    else:
        result = simple(raft.tracker, last, change.changes)
    return switch_to(raft, *result)


def switch_to(raft: Raft, membership: Membership, progress: dict[int, Progress]) -> ConfState:
    """Go on with another membership; a leader commits and sends what follows from it."""
    raft.adopt(membership, progress)
    state = membership.conf_state()
    if not raft.is_leader:
        return state
    if raft.id not in progress or raft.is_learner:
        # It goes on to lead until somebody else is elected, unless it is told to step down at once.
        if raft.config.step_down_on_removal:
            raft.become_follower(raft.term, NONE)
        return state
    if not state.voters:
        return state
    if raft.maybe_commit():
        append_all(raft)
    else:
        for member in raft.others():
            send_append(raft, member, may_be_empty=False)
    if raft.lead_transferee and raft.lead_transferee not in membership.voters.ids():
        raft.lead_transferee = NONE
    return state
