"""Nodes that are away: what only they could hold waits for them for a while, and is not failed because nobody else could.

    a node that                                        is
    was lost, and may be back by `NodeHealth.back_ms`  waited for until then
    is gone, and nobody has said yet that it is lost   waited for: that is said in a moment
    was lost, and has not come back by then            waited for no more: what only it could hold fails, and is told of it

This is laid over a plan: of what will never fit on the nodes that are there it says what would with one that is not, as that was when it was seen last.  It depends on the tables
of the Barn and the time alone, like the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace as changed

from runink.names import HerdName, NodeId
from runink.placement.cluster import HerdView, NodeView
from runink.placement.demands import Part, UnitKey
from runink.placement.plans import Plan, Unplaced
from runink.quantities import format_moment
from runink.runs.health import NodeHealth
from runink.scheduling.cutting import held_with
from runink.scheduling.snapshots import node_view
from runink.scheduling.units import Members

NODES_TOLD_MAX: Final = 3


class Absent(Struct, frozen=True):
    """A node that is away, as it was. `lost_ms` is 0 where nobody has said yet that it is lost; until `back_ms` it may come back."""

    view: NodeView
    lost_ms: int
    back_ms: int

    def is_awaited(self, now_ms: int) -> bool:
        return not self.lost_ms or now_ms < self.back_ms


class Awaited(Struct, frozen=True):
    """The nodes that a unit would fit with, the one of them that was lost first, and until when they are waited for: 0 where that is not known yet."""

    nodes: tuple[NodeId, ...]
    lost_ms: int
    back_ms: int
    is_over: bool

    @property
    def text(self) -> str:
        count, shown = len(self.nodes), ", ".join(self.nodes[:NODES_TOLD_MAX])
        names = f"node {shown}" if count == 1 else f"nodes {shown}{' …' * (count > NODES_TOLD_MAX)}"
        if not self.lost_ms:
            return f"{names} would fit, and went away just now: waiting"
        lost = f"{names}, lost {format_moment(self.lost_ms)}, would fit"
        if self.is_over:
            return f"{lost}, and did not come back by {format_moment(self.back_ms)}"
        return f"{lost}: waiting until {format_moment(self.back_ms)}"


def absent(health: NodeHealth, *, now_ms: int) -> Absent | None:
    """Return a node that is away as it was, nothing if nobody knows how that was."""
    if health.last is None:
        return None
    view = node_view(health.last, None, None, now_ms=now_ms)
    return Absent(view, health.lost_ms, health.back_ms)


def awaited(
    plan: Plan,
    away: Iterable[Absent],
    *,
    nodes: Sequence[NodeView],
    herds: Mapping[HerdName, HerdView],
    members: Callable[[UnitKey], Members],
    now_ms: int,
) -> dict[UnitKey, Awaited]:
    """Return what is waited for by those units of a plan that will never fit on the nodes that are there, and what is not any more."""
    final = [one.unit for one in plan.unplaced if one.is_final]
    if not final:
        return {}
    # Those that are waited for first, and the longest of them: so that a unit need not be told twice.
    ordered = sorted(
        away, key=lambda one: (not one.is_awaited(now_ms), -one.back_ms, one.view.node)
    )
    nodes = sorted(nodes, key=lambda one: one.node)
    known: dict[tuple[HerdName, tuple[Part, ...]], Awaited | None] = {}
    found: dict[UnitKey, Awaited] = {}
    for unit in final if ordered else ():
        kind = (unit.herd, unit.parts)
        gang = members(unit.key)
        if len(gang) > 1 or kind not in known:
            herd = herds.get(unit.herd) or HerdView(unit.herd)
            known[kind] = _of_gang(gang, ordered, nodes, herd, now_ms)
        one = known[kind]
        if one is not None:
            found[unit.key] = one
    return found


def waiting(plan: Plan, found: Mapping[UnitKey, Awaited]) -> Plan:
    """Return the plan in which those wait that wait for a node, and in which of those that do no more is said for which they did."""
    if not found:
        return plan
    return changed(
        plan, unplaced=tuple(_told(one, found.get(one.unit.key)) for one in plan.unplaced)
    )


def _told(one: Unplaced, awaited: Awaited | None) -> Unplaced:
    if awaited is None:
        return one
    if awaited.is_over:
        return changed(one, text=f"{one.text}; {awaited.text}")
    return changed(one, text=awaited.text, is_final=False, lacks="")


def _of_gang(
    gang: Members, away: Sequence[Absent], nodes: Sequence[NodeView], herd: HerdView, now_ms: int
) -> Awaited | None:
    held = held_with(gang, nodes, [one.view for one in away], herd)
    there = [one for one in away if one.view.node in held]
    if not there:
        return None
    return Awaited(
        tuple(sorted(held)),
        min(one.lost_ms for one in there),
        min(one.back_ms for one in there),
        is_over=not all(one.is_awaited(now_ms) for one in there),
    )
