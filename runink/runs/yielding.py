"""What a run gives up for others of higher priority: a gang of it is stopped with its grace, and begun anew when there is room for it again.

    of a gang that is to give way           becomes
    a slice that is placed                  cancelled: by us, before its agent has begun with it
    a slice that is launched or runs        stopped: its placement is taken back, and its agent ends it with SIGTERM and, three seconds later, by force
    the same, whose steps ask for a grace   told: its placement is marked, and its agent stops it when the grace is over. What has ended well by then is done
    one that its agent has ended so         marked, so that its attempt counts neither as lost nor as failed

That the attempt was stopped, and for whom, stands in the run from then on: the reservation that asked for it may be gone before the last slice has ended.
What ends a run is never stopped for others, nor what is stopped already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import replace as changed

from runink.runs.records import RunRecord, SliceRecord, SliceState, Task, Yielded
from runink.runs.reservations import GangKey
from runink.runs.views import RunView, World, Yielding


@dataclass(frozen=True, slots=True)
class GivingWay:
    """The run with what it says of it, slices that are cancelled or marked with it, those that are stopped, or told, and the gangs that asked for it."""

    record: RunRecord
    ended: tuple[SliceRecord, ...]
    going: tuple[SliceRecord, ...]
    asked_by: tuple[GangKey, ...]


def giving_way(view: RunView, world: World) -> GivingWay | None:
    """Return what is to be given up now, or noted of what was; nothing if there is neither."""
    asked = _asked(view, world.yielding) if world.yielding else {}
    ended = tuple(_noted(view))
    if not asked and not ended:
        return None
    going = [one for one in _chains(view) if one.gang in asked and one.state.is_on_node]
    cancelled = tuple(
        changed(one, state=SliceState.CANCELLED, ended_ms=world.now_ms, waits_for="", is_moved=True)
        for one in going
        if one.state is SliceState.PLACED
    )
    latest = {one.gang: one.attempt for one in _chains(view)}
    yielded = {
        gang: one for gang, one in view.record.yielded.items() if latest.get(gang) == one.attempt
    }
    yielded |= {gang: Yielded(one.attempt, one.why) for gang, one in asked.items()}
    return GivingWay(
        changed(view.record, yielded=yielded),
        (*ended, *cancelled),
        tuple(one for one in going if one.slice in world.placed),
        tuple(dict.fromkeys(one.by for one in asked.values())),
    )


def why_stopped(record: RunRecord, one: SliceRecord) -> str:
    """Return for whom the slice's attempt was stopped, nothing if that was not why."""
    yielded = record.yielded.get(one.gang)
    return yielded.why if yielded is not None and yielded.attempt == one.attempt else ""


def _chains(view: RunView) -> Iterator[SliceRecord]:
    return (one for one in view.slices.values() if one.task is Task.CHAIN)


def _asked(view: RunView, yielding: Mapping[str, Yielding]) -> dict[str, Yielding]:
    """Return what is asked of gangs whose attempt of that number has nodes, and is not on its way yet."""
    there: set[tuple[str, int]] = set()
    stopped: set[str] = set()
    for one in _chains(view):
        if why_stopped(view.record, one):
            stopped.add(one.gang)
        if one.state.is_on_node:
            there.add((one.gang, one.attempt))
    return {
        gang: one
        for gang, one in yielding.items()
        if gang not in stopped and (gang, one.attempt) in there
    }


def _noted(view: RunView) -> Iterator[SliceRecord]:
    """Yield the slices that their agents have ended for others, marked with that."""
    for one in _chains(view):
        is_ended = one.state is SliceState.CANCELLED and not one.is_moved
        if is_ended and why_stopped(view.record, one):
            yield changed(one, is_moved=True)
