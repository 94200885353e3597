"""What ends a run behind its gangs: slices that publish, compare and take away; and what a run that failed or was cancelled keeps, for whoever goes on from it.

a run that              keeps what its gangs have prepared that succeeded, with all that these read
failed, was cancelled   until its herd's time for that is over, KEPT_RUNS_MAX others of the herd are newer, or somebody asks (`kept_until_ms`)
goes on as another      what that one has taken over, which is not its own any more; the rest goes at once
anything else           nothing
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace as changed

from runink.clearances import NOT_CLEARED
from runink.dag import Dag, Resources
from runink.names import SliceId
from runink.runs.homes import end_of, is_gone
from runink.runs.records import (
    ATTEMPTS_MAX,
    RunRecord,
    RunState,
    SliceRecord,
    SliceState,
    Task,
)
from runink.runs.reservations import GangKey
from runink.runs.retries import anew, backoff_ms
from runink.runs.turns import turn_of
from runink.runs.views import RunView, World

PUBLISH: Final = SliceId("@publish")
DISCARD: Final = SliceId("@discard")
COMPARE: Final = SliceId("@compare")
NOTHING: Final = Resources(0, 0)  # the end of a run takes no room: a full herd must be able to end
KEPT_RUNS_MAX: Final = 8  # of a herd: what failed runs keep takes room on disks
AT_ONCE_MS: Final = 1  # a time that has come


@dataclass(frozen=True, slots=True)
class Decision:
    """One transaction: the run as it is to stand, slices to put, placements to take back (`stop`) or to mark (`tell`: the slice has its grace first), targets to claim or to give free.

    `wake_ms` is when to look again though nothing has changed; `asked_by` are gangs whose reservations it was made on.
    """

    record: RunRecord
    slices: tuple[SliceRecord, ...] = ()
    stop: tuple[SliceRecord, ...] = ()
    claims: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    wake_ms: int = 0
    asked_by: tuple[GangKey, ...] = ()
    tell: tuple[SliceRecord, ...] = ()

    def is_nothing(self, record: RunRecord) -> bool:
        return self.record == record and not (self.slices or self.stop or self.tell)


def closing(view: RunView, world: World, name: SliceId, task: Task) -> SliceRecord:
    """Make one of the slices that end a run: where its output is, or anywhere if there is none."""
    return SliceRecord(
        slice=name,
        run=view.record.run,
        herd=view.record.herd,
        gang=str(name),
        state=SliceState.PENDING,
        resources=NOTHING,
        task=task,
        pin=end_of(view, world, task),
        turn=turn_of(view, world),
    )


def cleared(view: RunView, world: World) -> Decision | None:
    """Clear away what slices left aside, or return nothing if that is done or there is nothing."""
    found = view.slices.get(DISCARD)
    if found is None:
        needed = any(
            one.task is Task.CHAIN and (one.launched_ms or one.attempt > 1)
            for one in view.slices.values()
        )
        if not needed:
            return None
        record = _keeping(view, world)
        return Decision(record, slices=(closing(view, world, DISCARD, Task.DISCARD),))
    if not found.state.is_over:
        return Decision(view.record)
    if found.state is not SliceState.SUCCEEDED and found.attempt < ATTEMPTS_MAX:
        return _again(view, found, world)
    return None


def _again(view: RunView, found: SliceRecord, world: World) -> Decision:
    wake_ms = world.now_ms + backoff_ms(f"{found.run}/discard", attempt=found.attempt + 1)
    return Decision(view.record, (_discarding(view, found, world, wake_ms),), wake_ms=wake_ms)


def _discarding(
    view: RunView, found: SliceRecord, world: World, not_before_ms: int = 0
) -> SliceRecord:
    """Return the next slice that takes away; of what lies in a store on a node that is there by now."""
    pin = end_of(view, world, Task.DISCARD) if view.record.store else found.pin
    return changed(anew(found, not_before_ms=not_before_ms), pin=pin)


# What is kept.


def _keeping(view: RunView, world: World) -> RunRecord:
    """Return the run with what it keeps while everything else is taken away."""
    record = view.record
    if record.rehearsal or not world.keep_ms:
        return record
    if record.ending not in (RunState.FAILED, RunState.CANCELLED) or _is_withheld(record):
        return record
    gangs = whole_gangs(view)
    is_refused = PUBLISH in view.slices  # all is there, and only its place was not free
    if not gangs or (len(gangs) == len(view.dag.gangs()) and not is_refused):
        return record
    kept = tuple(SliceId(spec.id) for spec in view.dag.slices if spec.gang in gangs)
    return changed(record, kept=kept, kept_until_ms=world.now_ms + world.keep_ms)


def _is_withheld(record: RunRecord) -> bool:
    """Say whether a run has failed because its data may not go where it was to go any more: then nothing of it stays, either."""
    return record.failure is not None and record.failure.error.code == NOT_CLEARED


def whole_gangs(view: RunView) -> frozenset[str]:
    """Return the gangs that have succeeded, with all that they read."""
    whole: set[str] = set()
    needs = view.dag.gang_needs()
    gangs = view.dag.gangs()
    while more := {
        name
        for name, specs in gangs.items()
        if name not in whole
        and needs[name] <= whole
        and len(records := view.chains(specs)) == len(specs)
        and all(one.state is SliceState.SUCCEEDED for one in records)
    }:
        whole |= more
    return frozenset(whole)


def behind(dag: Dag, gang: str) -> frozenset[str]:
    """Return a gang and all that read what it gives, by way of others or not."""
    found = {gang}
    needs = dag.gang_needs()
    while more := {name for name in needs if name not in found and needs[name] & found}:
        found |= more
    return frozenset(found)


def expiring(view: RunView, world: World) -> Decision:
    """A run that is over takes away what it kept, once its time has come; and at once what nobody took over from it."""
    record = view.record
    found = view.slices.get(DISCARD)
    if not record.kept_until_ms or found is None:
        return Decision(record)
    if record.kept and record.resumed_by is None:
        if world.now_ms < record.kept_until_ms and not world.is_crowded:
            return Decision(record, wake_ms=record.kept_until_ms)
        return Decision(changed(record, kept=()), slices=(_discarding(view, found, world),))
    if found.state.is_on_node and is_gone(found, view, world):
        lost = changed(found, state=SliceState.LOST, ended_ms=world.now_ms)
        return Decision(record, (lost,), stop=(found,) if found.slice in world.placed else ())
    is_stuck = found.state is SliceState.PENDING and found.pin not in (None, *world.nodes)
    if is_stuck and record.store:
        pin = end_of(view, world, Task.DISCARD)
        return Decision(record, (changed(found, pin=pin),))
    if not found.state.is_over:
        return Decision(record)
    if found.state is SliceState.SUCCEEDED or found.attempt >= 2 * ATTEMPTS_MAX:
        return Decision(changed(record, kept_until_ms=0))
    return _again(view, found, world)
