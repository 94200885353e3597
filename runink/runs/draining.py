"""What a run has on nodes that are to be emptied: it is stopped there with its grace, and begun anew elsewhere.

    on such a node                                  becomes
    a slice that is placed or runs                  cancelled: by us before its agent has begun with it, else by the agent, whose placement of it is taken back, or marked where its steps have a grace
    one that has succeeded, and its files           stays as it is where these are checkpoints in its herd's store, which all nodes reach
                                                    else cancelled, unless all gangs have succeeded and it is not paused: then the run is published there, which takes a moment
    the same, while others there have their grace   stays: they may make the run whole. Nothing of the run begins until that is known, because its files are where nothing new goes
    one that waits, and belongs there               cancelled: what it reads is made anew elsewhere
    the end of a run: publish, discard, compare     goes on: what it ends lies there

A gang whose slices were cancelled there is repeated at once, and the attempt counts neither as lost nor as failed.  If one of them was lost or failed before it could be stopped,
that is what ended the attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace as changed

from runink.names import NodeId
from runink.quantities import format_duration
from runink.runs.homes import has_files
from runink.runs.records import RunRecord, SliceRecord, SliceState, Task
from runink.runs.retries import Again, again
from runink.runs.views import RunView, World
from runink.runs.yielding import why_stopped

DRAINED: Final = "drained"
PREEMPTED: Final = "preempted"
Slices = tuple[SliceRecord, ...]
# How these end, their agent writes.
_BEGUN: Final = frozenset({SliceState.LAUNCHING, SliceState.RUNNING})
_OF_ITSELF: Final = frozenset({SliceState.LOST, SliceState.FAILED})


def leaving(view: RunView, world: World) -> tuple[Slices, Slices]:
    """Return the slices that are to leave their nodes and are not on their way yet: those that are cancelled with it, and those that are stopped, or told.

    Those that their agent has cancelled meanwhile are among the former, with the mark that this was why: the node may be a common one again before they can begin anew.
    """
    if not world.cordoned:
        return (), ()
    chains = [one for one in view.slices.values() if one.task is Task.CHAIN]
    is_whole = len(chains) == len(view.dag.slices) and all(
        one.state is SliceState.SUCCEEDED for one in chains
    )
    is_published = (
        is_whole and not view.record.paused
    )  # in a moment; nobody knows when a paused one is
    moving = () if is_published else tuple(_leaving(chains, view.record, world))
    if lingers(view, world) or parted(moving)[1]:
        moving = tuple(one for one in moving if one.state is not SliceState.SUCCEEDED)
    ended = tuple(
        changed(
            one,
            state=SliceState.CANCELLED,
            ended_ms=one.ended_ms if one.state is SliceState.CANCELLED else world.now_ms,
            waits_for="",
            is_moved=True,
        )
        for one in moving
        if one.state not in _BEGUN
    )
    return ended, tuple(one for one in moving if one.slice in world.placed)


def lingers(view: RunView, world: World) -> bool:
    """Say whether files of the run stay on a node that is to be emptied, because another slice there has its grace."""
    if not (world.told and world.draining):
        return False
    there = [one for one in view.slices.values() if one.node in world.draining]
    return any(one.slice in world.told and one.state.is_on_node for one in there) and any(
        one.state is SliceState.SUCCEEDED and has_files(one, view.record) for one in there
    )


def parted(going: Slices) -> tuple[Slices, Slices]:
    """Part slices that are to leave their nodes: those whose placements are taken back, and those that are told, because their steps have a grace to come to their end."""
    told = tuple(one for one in going if one.wants.grace_ms and one.state in _BEGUN)
    return tuple(one for one in going if one not in told), told


def _leaving(chains: Iterable[SliceRecord], run: RunRecord, world: World) -> Iterator[SliceRecord]:
    for one in chains:
        if one.state is SliceState.CANCELLED:
            # The node may have been emptied by now, and be cordoned only.
            is_leaving = one.node in world.cordoned and not one.is_moved
        elif one.state is SliceState.PENDING:
            is_leaving = one.pin in world.draining
        elif one.node not in world.draining:
            continue
        elif one.state is SliceState.PLACED:
            is_leaving = True
        elif one.state.is_on_node:
            is_leaving = one.slice in world.placed and one.slice not in world.told
        else:
            is_leaving = one.state is SliceState.SUCCEEDED and has_files(one, run)
        if is_leaving:
            yield one


def next_of(records: Sequence[SliceRecord], view: RunView) -> Again | None:
    """Return how a broken gang is tried again, nothing if it is given up: one that had to leave its node, or its room to others, at once, and no try of it is used up."""
    is_moved = any(one.is_moved for one in records)
    if not is_moved or any(one.state in _OF_ITSELF for one in records):
        return again(records, view.dag)
    if why := why_stopped(view.record, records[0]):
        why += _grace_told(records)
        return Again(changed(records[0].tries, code=PREEMPTED, why=why), 0)
    node = next(one.node or one.pin for one in records)
    why = f"{node} is to be emptied{_grace_told(records)}"
    return Again(changed(records[0].tries, code=DRAINED, why=why), 0)


def _grace_told(records: Iterable[SliceRecord]) -> str:
    """Say what a gang had for its end, nothing where it had no grace of its own or had not begun."""
    grace_ms = max((one.wants.grace_ms for one in records if one.launched_ms), default=0)
    return f"; it had {format_duration(grace_ms)} for its end" if grace_ms else ""


def left_on(
    node: NodeId, runs: Iterable[RunRecord], slices: Iterable[SliceRecord]
) -> list[SliceRecord]:
    """Return what keeps a node from being empty: slices on it, ends of runs that belong there or may still come to belong there, and files of runs that are not over."""
    living = {record.run: record for record in runs if not record.state.is_over}
    return [one for one in slices if _is_left(one, node, living.get(one.run))]


def _is_left(one: SliceRecord, node: NodeId, run: RunRecord | None) -> bool:
    if one.state is SliceState.PENDING:
        return one.pin == node
    if one.node != node or one.state.is_on_node:
        return one.node == node
    if run is None or one.state is SliceState.LOST:
        return False
    if run.ending is not None or run.cancel or one.state is SliceState.FAILED:
        return True  # what it left aside may still have to be cleared away there
    return one.state is SliceState.SUCCEEDED and has_files(one, run)
