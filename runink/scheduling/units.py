"""What slices are to placement: gangs that wait are units, gangs that have their nodes are what runs.

A gang waits if all of its slices are pending; it may be placed when all are due.  It has nodes as long as one of its slices does.  Slices that are over take no room, and are
passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec.structs import replace as changed

from runink.capabilities import STREAMS
from runink.dag import Limit, Resources
from runink.labels import label_rules
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import NOTHING, Amount
from runink.placement.demands import Part, Spread, Unit
from runink.placement.plans import Running
from runink.runs.records import SliceRecord, SliceState, Task
from runink.wants import PIPELINE, Wants, group_name

PARTS_KEPT_MAX: Final = 1024  # the slices of a step that is many ask for the same; runs at a time have some hundred steps that differ
Members = Sequence[SliceRecord]  # of one gang, by their names


class _Asked(NamedTuple):
    """What a slice asks of its place: all of it that its part depends on. One that `is_last` ends its run."""

    herd: HerdName
    run: RunId
    is_last: bool
    resources: Resources
    disk: Limit | None
    labels: tuple[str, ...]
    requires: tuple[str, ...]
    wants: Wants
    pin: NodeId | None


def amount_of(resources: Resources, slices: int) -> Amount:
    return Amount(resources.cpu_m, resources.memory_bytes, slices=slices)


def _needs_of(asked: _Asked) -> Amount:
    """Return what a slice takes; those that end a run take nothing, so that a full herd can end."""
    if asked.is_last:
        return NOTHING
    disk_bytes = asked.disk.amount if asked.disk is not None else 0
    return changed(amount_of(asked.resources, 1), disk_bytes=disk_bytes, gpus=asked.wants.gpus)


def due_ms(members: Members) -> int:
    """Return from when on a gang that waits may be placed."""
    return max(one.not_before_ms for one in members)


def waits(members: Members) -> bool:
    """Say whether a gang waits, be it due or not."""
    return bool(members) and all(one.state is SliceState.PENDING for one in members)


def waiting_unit(groups: Sequence[Members], avoided: Sequence[tuple[NodeId, ...]] = ()) -> Unit:
    """Return the unit that a gang is which waits, cut into these groups of slices, each for one node (`cutting.py`). `avoided` are the nodes that each does not go to, nothing where none avoids any."""
    parts = parts_for(groups)
    if avoided:
        both = zip(parts, avoided, strict=True)
        parts = tuple(changed(part, avoids=nodes) if nodes else part for part, nodes in both)
    return _unit([one for members in groups for one in members], parts)


def parts_for(groups: Sequence[Members], *, by_streams: bool = True) -> tuple[Part, ...]:
    """Return what groups of slices ask for, each of its node; of several, each node must have streams."""
    if len(groups) == 1:
        return (_part(groups[0]),)
    streams = (STREAMS,) if by_streams else ()
    return tuple(_piece(members, streams) for members in groups)


def failed_on(members: Members) -> frozenset[NodeId]:
    """Return the nodes on which attempts of any of these slices were lost or failed."""
    return frozenset(node for one in members if one.earlier for node in one.failed_on)


def has_nodes_after(attempt: int, members: Members) -> bool:
    """Say whether a later attempt of a gang has nodes."""
    return any(one.attempt > attempt and one.state.is_on_node for one in members)


def running_unit(members: Members, stopped: int) -> Running | None:
    """Return where a gang has nodes, nothing if none of its slices has. It is leaving if its attempt is `stopped` for others."""
    on_nodes: dict[NodeId, list[SliceRecord]] = {}
    for one in members:
        if one.state.is_on_node and one.node is not None:
            on_nodes.setdefault(one.node, []).append(one)
    if not on_nodes:
        return None
    nodes = tuple(sorted(on_nodes))
    there = [one for node in nodes for one in on_nodes[node]]
    unit = _unit(there, tuple(_part(on_nodes[node]) for node in nodes))
    return Running(
        unit, nodes, max(one.turn.placed_ms for one in there), there[0].attempt == stopped
    )


def _piece(members: Members, requires: tuple[str, ...]) -> Part:
    """Return what some slices of a gang ask for. Only files bind those to a node that read or write them, and what they are to be beside."""
    part = _part(members)
    is_held = any(one.is_rooted or one.wants.beside for one in members)
    pin = part.pin if is_held else None
    return changed(part, requires=_united([part.requires, requires]), pin=pin)


def _part(members: Members) -> Part:
    """Return what slices ask for that stand on one node."""
    return _part_of(
        tuple(
            _Asked(
                one.herd,
                one.run,
                one.task is not Task.CHAIN,
                one.resources,
                one.limits.disk,
                one.labels,
                one.requires,
                one.wants,
                one.pin,
            )
            for one in members
        )
    )


@lru_cache(PARTS_KEPT_MAX)
def _part_of(asked: tuple[_Asked, ...]) -> Part:
    """Return the part, the same one for all that ask for the same: it is worked out once, and compared at once."""
    return Part(
        needs=sum(map(_needs_of, asked), NOTHING),
        labels=label_rules(label for one in asked for label in one.labels),
        requires=_united(one.requires for one in asked),
        sees=_united(one.wants.sees for one in asked),
        pin=asked[0].pin,
        groups=_united(_named(one, one.wants.groups) for one in asked),
        anti=_united(_named(one, one.wants.anti) for one in asked),
        spread=_spread(asked),
        # How much of a store a slice reads nobody knows before it does.
        inputs=tuple((store, 1) for store in _united(one.wants.reads for one in asked)),
    )


def _named(asked: _Asked, groups: Sequence[str]) -> tuple[str, ...]:
    return tuple(group_name(group, asked.herd, asked.run) for group in groups)


def _spread(asked: Iterable[_Asked]) -> Spread | None:
    """Return over which domains the slices are to be spread. Of several that are asked for a rule counts before a wish, then the first by name, then the strictest."""
    found = sorted(
        (
            not one.wants.skew,
            one.wants.domain,
            group_name(group, one.herd, one.run),
            one.wants.skew,
        )
        for one in asked
        if one.wants.domain
        for group in one.wants.groups
        if group.startswith(PIPELINE)
    )
    if not found:
        return None
    is_wish, key, group, skew = found[0]
    return Spread(group, key) if is_wish else Spread(group, key, is_hard=True, skew_max=skew)


def _unit(members: Members, parts: tuple[Part, ...]) -> Unit:
    first = members[0]
    return Unit(
        run=first.run,
        gang=first.gang,
        herd=first.herd,
        parts=parts,
        priority=first.turn.priority,
        run_order=first.turn.submitted_ms,
        rank=first.turn.rank_ms,
        waiting_since_ms=max(max(one.turn.since_ms, one.not_before_ms) for one in members),
        failed_on=failed_on(members),
        estimate_ms=first.turn.estimate_ms,
        # What ends a run is short, and must come through: others wait for it.
        can_be_preempted=first.task is Task.CHAIN,
        grace_ms=max(one.wants.grace_ms for one in members),
    )


def _united(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted({name for several in names for name in several}))
