"""Whether a change of the group would leave it able to go on: looked at by the leader before it is proposed.

change                     refused                                      because
a new voter                it is no learner (`not_a_learner`)           an empty voter makes every write wait for it
                           it has nothing, lags or is silent            the same; one without a log gives no vote either (`actors/kin.py`)
             (`not_caught_up`)
a voter less               most of those that are left are silent       nothing could be written any more
                           (`would_lose_quorum`)
anything else              -
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runink.errors import Conflict, Refused, RuninkError
from runink.raft.core import Raft
from runink.raft.messages import ConfChangeSingle, ConfChangeType

LAG_ENTRIES_MAX: Final = 1_000  # a learner that is so near is there before the change is


def objection(raft: Raft, changes: Sequence[ConfChangeSingle]) -> RuninkError | None:
    """Return why the leader should not make these changes now, or nothing."""
    for change in changes:
        is_voter = change.node_id in raft.tracker.membership.voters.ids()
        if change.type is ConfChangeType.ConfChangeAddNode and not is_voter:
            error = _against_voter(raft, change.node_id)
            if error is not None:
                return error
    return _against_loss(raft, changes)


def _against_voter(raft: Raft, member: int) -> RuninkError | None:
    progress = raft.tracker.progress.get(member)
    if progress is None:
        return Refused(
            f"member {member} is no learner", code="not_a_learner", hint="runi cluster add it first"
        )
    lag = raft.log.last_index() - progress.match
    # One that was just added counts as heard for a moment, and a young log is shorter than what it may lag.
    has_nothing = not progress.match
    if lag > LAG_ENTRIES_MAX or not progress.recent_active or has_nothing:
        state = "has got nothing yet" if has_nothing else f"lags by {lag} entries"
        state = state if progress.recent_active else "is silent"
        return Conflict(
            f"member {member} {state}: as a voter it would hold every write up",
            code="not_caught_up",
            hint="is it started, with --join? try again in a moment",
        )
    return None


def _against_loss(raft: Raft, changes: Sequence[ConfChangeSingle]) -> RuninkError | None:
    gone = {
        change.node_id
        for change in changes
        if change.type
        in (ConfChangeType.ConfChangeRemoveNode, ConfChangeType.ConfChangeAddLearnerNode)
    }
    voters = raft.tracker.membership.voters.incoming
    left = voters - gone
    if left == voters:
        return None
    progress = raft.tracker.progress
    active = [one for one in left if one == raft.id or progress[one].recent_active]
    if 2 * len(active) > len(left):
        return None
    return Conflict(
        f"of the {len(left)} voters that would be left only {len(active)} answer",
        code="would_lose_quorum",
        hint="bring the silent ones back, or remove them first",
    )
