"""The cluster as placement is told of it, made of what the Barn holds at one revision.

    of the Barn                              is in the snapshot
    /nodes/N, /standings/N, /health/N        a node: what it has and is near to, its labels, its state, how much trouble there was lately
    /herds/H                                 a herd: quota, weight, isolation
    /slices/H/RUN/SLICE, pending and due     a unit that waits, with its priority, its rank, what it reads and since when
    /slices/H/RUN/SLICE, on a node           what runs; it is leaving if a reservation names it as a victim
    /reservations/RUN/GANG                   what the plan before has kept

Beside these tables only the time and the policy decide, and both stand in the decision's record (`decisions.py`): so what was decided at a revision that the
Barn still remembers can be decided again, and comes out the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace as changed

from runink.capabilities import ISOLATION, NO_ISOLATION, STREAMS
from runink.errors import Refused
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.placement import improving
from runink.placement.cluster import Amount, HerdView, NodeState, NodeView
from runink.placement.demands import UnitKey
from runink.placement.finishing import PACKED
from runink.placement.plans import Finish, Policy, Reservation, Snapshot, Solver
from runink.runs.health import NodeHealth
from runink.runs.records import NodeRecord, NodeStanding, SliceRecord
from runink.runs.reservations import ReservationRecord
from runink.scheduling.returning import unit_for
from runink.scheduling.units import (
    Members,
    amount_of,
    due_ms,
    has_nodes_after,
    running_unit,
    waits,
)

NODE_SLICES_MAX: Final = 512  # processes of one node, where its record names no limit
DISK_UNTOLD: Final = (
    1 << 50
)  # of a node whose record says nothing of it: more than anybody asks for
UNHEARD: Final = "its agent does not listen for other nodes"
# What an agent gives who is stopped is `protocol.GRACE_S`, behind the grace that its steps ask for.
POLICY: Final = Policy(grace_ms=3000, finish=PACKED)


def policy_for(solver_rounds: int) -> Policy:
    """Return by which a scheduler decides that has a solver make so many neighbourhoods of each plan better, none for 0. Raises Refused (`solver_missing`) if that is not here."""
    if not solver_rounds:
        return POLICY
    release = improving.release()
    if not release:
        raise Refused(
            "plans are to be made better by OR-tools, which is not here",
            code=improving.SOLVER_MISSING,
            hint=f"{improving.EXTRA}, or leave --solver out",
        )
    return changed(POLICY, finish=Finish(PACKED.tries, Solver(release, solver_rounds)))


@dataclass(frozen=True, slots=True)
class Tables:
    """What placement is told of, as it stands in the Barn at `revision`, in any order."""

    nodes: tuple[NodeRecord, ...] = ()
    standings: tuple[NodeStanding, ...] = ()
    herds: tuple[HerdRecord, ...] = ()
    slices: tuple[SliceRecord, ...] = ()
    reservations: tuple[ReservationRecord, ...] = ()
    revision: int = 0
    health: tuple[NodeHealth, ...] = ()


def snapshot_of(tables: Tables, *, now_ms: int, policy: Policy = POLICY) -> Snapshot:
    """Return what is decided on at that time."""
    gangs = gangs_of(tables.slices)
    stopped = stopped_by(tables.reservations)
    standings = {one.node: one for one in tables.standings}
    health = {one.node: one for one in tables.health}
    nodes = sorted(tables.nodes, key=lambda one: one.node)
    placed = (running_unit(members, stopped.get(key, 0)) for key, members in sorted(gangs.items()))
    views = tuple(
        node_view(one, standings.get(one.node), health.get(one.node), now_ms=now_ms)
        for one in nodes
    )
    herds = {one.herd: herd_view(one) for one in sorted(tables.herds, key=lambda one: one.herd)}
    return Snapshot(
        views,
        herds,
        tuple(
            unit_for(members, views, herds.get(members[0].herd))
            for _, members in sorted(gangs.items())
            if waits(members) and due_ms(members) <= now_ms
        ),
        tuple(one for one in placed if one is not None),
        reservations_of(tables.reservations, gangs),
        tables.revision,
        now_ms,
        policy,
    )


def gangs_of(slices: Iterable[SliceRecord]) -> dict[UnitKey, list[SliceRecord]]:
    """Return the slices of each gang that are not over, by their names."""
    gangs: dict[UnitKey, list[SliceRecord]] = {}
    for one in sorted((one for one in slices if not one.state.is_over), key=lambda one: one.slice):
        gangs.setdefault((one.run, one.gang), []).append(one)
    return gangs


def node_view(
    record: NodeRecord, said: NodeStanding | None, seen: NodeHealth | None, *, now_ms: int
) -> NodeView:
    """Return a node as placement sees it. That it is suspect counts for more than what people say of it: it takes nothing at all."""
    state = NodeState.READY if said is None else NodeState(said.standing.value)
    is_suspect = seen is not None and seen.is_suspect
    capacity = changed(
        amount_of(record.capacity, record.slices_max or NODE_SLICES_MAX),
        disk_bytes=record.disk_bytes or DISK_UNTOLD,
        gpus=record.gpus,
    )
    return NodeView(
        record.node,
        capacity,
        labels=frozenset(record.labels),
        state=NodeState.SUSPECT if is_suspect else state,
        missing=record.missing if record.streams else {**record.missing, STREAMS: UNHEARD},
        is_plain=record.capabilities.get(ISOLATION) == NO_ISOLATION,
        failures=0 if seen is None else seen.failures(now_ms),
        dedicated_to=frozenset(record.herds),
        visible=None if record.visible is None else frozenset(record.visible),
        held=dict.fromkeys(record.near, 1),
    )


def herd_view(record: HerdRecord) -> HerdView:
    return HerdView(
        HerdName(record.herd),
        Amount(record.cpu_m, record.memory_bytes, record.disk_bytes, record.gpus, record.slices),
        weight=record.weight,
        isolation=record.isolation,
        own_nodes=record.own_nodes,
    )


def stopped_by(reservations: Iterable[ReservationRecord]) -> dict[UnitKey, int]:
    """Return which attempts of which gangs are stopped for others."""
    return {one.key: one.attempt for kept in reservations for one in kept.victims}


def reservations_of(
    records: Iterable[ReservationRecord], gangs: Mapping[UnitKey, Members]
) -> tuple[Reservation, ...]:
    """Return what is kept, in the order in which it was first decided. A victim whose next attempt has nodes already is none any more."""
    return tuple(
        Reservation(
            one.key,
            one.nodes,
            one.at_ms,
            tuple(
                victim.key
                for victim in one.victims
                if not has_nodes_after(victim.attempt, gangs.get(victim.key, ()))
            ),
        )
        for one in sorted(records, key=lambda one: (one.since, one.key))
    )
