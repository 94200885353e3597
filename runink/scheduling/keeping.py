"""What a plan keeps for those that wait, as records: with the attempts of those that are stopped, and only what is new."""

from __future__ import annotations

from collections.abc import Mapping

from runink.placement.demands import UnitKey
from runink.placement.plans import Plan
from runink.runs.reservations import ReservationRecord, Victim
from runink.scheduling.view import ClusterView


def kept(plan: Plan, view: ClusterView) -> dict[UnitKey, ReservationRecord]:
    """Return the reservations of a plan that is made on `view`.

    What is kept without stopping anybody, on the same nodes as before, is returned as it was: that it is expected a little later by now is no news.
    """
    if not plan.reservations:
        return {}
    priorities = {one.unit.key: one.unit.priority for one in plan.unplaced}
    found: dict[UnitKey, ReservationRecord] = {}
    for place, one in enumerate(plan.reservations):
        before = view.reservations.get(one.unit)
        run, gang = one.unit
        victims = tuple(_victim(key, view, before) for key in one.victims)
        since = before.since if before is not None else (plan.base_revision, place)
        record = ReservationRecord(
            run, gang, one.nodes, one.at_ms, victims, priorities.get(one.unit, 0), since
        )
        is_old = before is not None and (before.nodes, before.victims) == (one.nodes, victims)
        found[one.unit] = before if is_old and before is not None else record
    return found


def _victim(key: UnitKey, view: ClusterView, before: ReservationRecord | None) -> Victim:
    """Return the attempt that is stopped: the one that was named before, or else the one that has nodes now."""
    named: Mapping[UnitKey, Victim] = {one.key: one for one in before.victims} if before else {}
    run, gang = key
    if key in named:
        return named[key]
    return Victim(run, gang, view.members(key)[0].attempt)
