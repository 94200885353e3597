"""What is kept of a decision, so that it can be looked at and made again: on which revision of the Barn, when, by which policy, and what came out.

All else that it depends on are the tables of that revision (`snapshots.py`), which the Barn remembers for a while.  The slices that it placed name the revision
(`SliceRecord.decision`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from runink.placement.plans import Plan, Policy

DECISIONS_MAX: Final = 512  # kept: what the Barn itself remembers reaches not much further


class DecisionRecord(msgspec.Struct, frozen=True):
    """A decision that changed something. `digest` is its plan's; the numbers say how many units it placed, stops, and leaves waiting."""

    revision: int
    now_ms: int
    seed: int
    policy: Policy
    digest: str
    placed: int
    stopped: int
    waiting: int


def recorded(plan: Plan, *, now_ms: int, policy: Policy) -> DecisionRecord:
    """Return what is kept of a plan."""
    return DecisionRecord(
        plan.base_revision,
        now_ms,
        plan.seed,
        policy,
        plan.digest,
        len(plan.placed),
        len(plan.preempted),
        len(plan.unplaced),
    )
