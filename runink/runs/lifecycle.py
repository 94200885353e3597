"""A run's life: `decide` looks at a run as it stands and says what it should become.

It is level-triggered: it sees states, not events, and may be asked again at any time, after a restart as well.  What it decides is one
transaction; asked again behind that, it decides nothing more until something changes.

    a run that is      and                                       becomes
    submitted          the herd has room for it                  admitted, with the slices of the gangs that need no other
    admitted, placed,  its node is to be emptied                 stopped there and begun anew elsewhere (`draining.py`)
    running            a gang has succeeded                      its assertions are checked, gangs that wait for it begin
                       others of higher priority need its place  stopped there and begun anew, when there is room (`yielding.py`)
                       slices of a gang were lost, or failed     that gang again, later, under a higher attempt (`retries.py`)
                       and may be tried again
                       it is paused                              held: no gang begins, none begins again, nothing is committed
                       a slice failed, an assertion did not      ending: all others are stopped, what they left is discarded, and
                       hold, it is told to end (`endings.py`)    then failed or cancelled
                       all gangs have succeeded                  committing, if it has something to publish and nobody else
                                                                 publishes to the same targets; else succeeded, once its
                                                                 checkpoints are taken away
    committing         its publish slice has succeeded           succeeded
                       that was lost or failed                   the same again, later: what is committed is rolled forward

    over               it has kept what it had prepared             the same; in time that is taken away (`clearing.py`)

Whoever carries a decision out compares the revision of the run and of every slice that it changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from msgspec.structs import replace as changed

from runink.checkpoints import checkpoints_of, seen_in
from runink.dag import SliceSpec
from runink.gang_parts import NO_MARKS, marks_of
from runink.jobs import Done, Prepared
from runink.runs.assertions import failed_assertion
from runink.runs.clearing import COMPARE, PUBLISH, Decision, cleared, closing, expiring
from runink.runs.draining import leaving, lingers, next_of, parted
from runink.runs.endings import deadline_ms, sooner, to_end
from runink.runs.failures import failure_of, is_refusal
from runink.runs.homes import home_of, is_gone, seated
from runink.runs.pausing import PAUSED, held
from runink.runs.records import (
    Failure,
    RunRecord,
    RunState,
    SliceRecord,
    SliceState,
    Task,
)
from runink.runs.retries import anew, backoff_ms
from runink.runs.slices import read_by, slice_of
from runink.runs.turns import turns_of
from runink.runs.views import RunView, World
from runink.runs.yielding import giving_way


def decide(view: RunView, world: World) -> Decision:
    """Say what the run becomes now."""
    record = view.record
    if record.state.is_over:
        return expiring(view, world)
    gone = tuple(
        changed(one, state=SliceState.LOST, ended_ms=world.now_ms)
        for one in view.slices.values()
        if is_gone(one, view, world)
    )
    if gone:
        return Decision(
            record, slices=gone, stop=tuple(one for one in gone if one.slice in world.placed)
        )
    if record.state is RunState.COMMITTING and record.ending is None:
        return _publishing(view, world)
    record = to_end(record, view.dag, now_ms=world.now_ms, session=world.session)
    view = replace(view, record=record)
    if record.ending is not None:
        return _ending(view, world)
    ended, moving = leaving(view, world)
    if ended or moving:
        stop, tell = parted(moving)
        return Decision(record, slices=ended, stop=stop, tell=tell)
    way = giving_way(view, world)
    if way is not None:
        stop, tell = parted(way.going)
        return Decision(way.record, way.ended, stop, asked_by=way.asked_by, tell=tell)
    holding = tuple(held(view))
    if holding:
        return Decision(record, slices=holding)
    going = _admission(view, world) if record.state is RunState.SUBMITTED else _advance(view, world)
    end_ms = sooner(record.deadline_ms, deadline_ms(record, view.dag))
    return replace(going, wake_ms=sooner(going.wake_ms, end_ms))


def target_hash(prepared: Prepared) -> str:
    """Name a target in a key of the Barn."""
    return hashlib.sha256(prepared.target.encode()).hexdigest()[:32]


# From submitted to running.


def _admission(view: RunView, world: World) -> Decision:
    waits_for = PAUSED if view.record.paused else world.refused
    if waits_for:
        return Decision(changed(view.record, waits_for=waits_for))
    admitted = changed(
        view.record, state=RunState.ADMITTED, waits_for="", store=_store(view, world)
    )
    dag = seen_in(view.dag, admitted.store)
    return Decision(admitted, slices=tuple(_startable(replace(view, dag=dag), world)))


def _store(view: RunView, world: World) -> str:
    """Return where the checkpoints of a run lie that is admitted. One that goes on from another has that one's place, whatever the herd has now: there they are."""
    if view.record.resumes is not None:
        return view.record.store
    is_stored = world.store and checkpoints_of(view.dag)
    return f"{world.store}/{view.record.run}" if is_stored else ""


def _startable(view: RunView, world: World) -> Iterable[SliceRecord]:
    """Make the slices of gangs that have not begun and whose needs have prepared their output."""
    gangs, needs = view.dag.gangs(), view.dag.gang_needs()
    # Most decisions find all begun, or nothing that waits for another: which gangs are done is not asked of all.
    new = [name for name in needs if not view.chains(gangs[name])]
    if view.record.paused or not new or lingers(view, world):
        return
    done = {
        name
        for name in frozenset().union(*(needs[name] for name in new))
        if _has_succeeded(view, gangs[name])
    }
    ready = [name for name in new if needs[name] <= done]
    if not ready:
        return
    home, turn = home_of(view, world), turns_of(view, world)
    is_whole = all(len(gangs[name]) == 1 for name in ready)
    marks = NO_MARKS if is_whole else marks_of(view.dag)
    for name in ready:
        if home.takes_more:
            home = home.after_one()
            specs = gangs[name]
            new_ones = (
                slice_of(
                    spec,
                    view.record,
                    pin=None,
                    marks=marks,
                    reads=read_by(spec, view.dag),
                    grace_max_ms=world.grace_max_ms,
                )
                for spec in specs
            )
            for one in seated(new_ones, home, specs, view, world):
                yield changed(one, turn=turn(name))


def _has_succeeded(view: RunView, specs: tuple[SliceSpec, ...]) -> bool:
    records = view.chains(specs)
    return len(records) == len(specs) and all(
        record.state is SliceState.SUCCEEDED for record in records
    )


def _advance(view: RunView, world: World) -> Decision:
    gangs = view.dag.gangs()
    broken = _broken(view)
    ready = [records for records in broken if not _is_held(view, records)]
    if ready:
        return _mend(view, world, ready)
    failure = _failed_assertion(view)
    if failure is not None:
        ending = changed(view.record, ending=RunState.FAILED, failure=failure)
        return _ending(replace(view, record=ending), world)
    begun = tuple(_startable(view, world))
    record = _in_step(view, world)
    if begun or record.paused or not all(_has_succeeded(view, specs) for specs in gangs.values()):
        return Decision(record, slices=begun)
    return _commit(replace(view, record=record), world)


def _broken(view: RunView) -> list[list[SliceRecord]]:
    """Return the gangs of which something has ended without success, in the order of the pipeline."""
    concerned = {one.gang for one in view.slices.values() if _is_broken(one)}
    if not concerned:
        return []
    gangs = [specs for name, specs in view.dag.gangs().items() if name in concerned]
    found = [view.chains(specs) for specs in gangs]
    return [records for records in found if any(_is_broken(record) for record in records)]


def _is_held(view: RunView, records: list[SliceRecord]) -> bool:
    """Say whether a gang that was lost has to wait until what it reads, which was lost too, is there again."""
    if not all(record.state.is_over for record in records) or next_of(records, view) is None:
        return False
    gangs = view.dag.gangs()
    needs = view.dag.gang_needs()[records[0].gang]
    return not all(_has_succeeded(view, gangs[name]) for name in needs)


def _is_broken(record: SliceRecord) -> bool:
    return record.state.is_over and record.state is not SliceState.SUCCEEDED


def _in_step(view: RunView, world: World) -> RunRecord:
    """Return the run in the state that its slices have reached."""
    record = view.record
    state = record.state
    if state is not RunState.RUNNING:
        states = {one.state for one in view.slices.values() if one.task is Task.CHAIN}
        if states & {SliceState.RUNNING, SliceState.SUCCEEDED}:
            state = RunState.RUNNING
        elif states & {SliceState.PLACED, SliceState.LAUNCHING}:
            state = RunState.PLACED
    started_ms = record.started_ms or (world.now_ms if state is not RunState.ADMITTED else 0)
    waits_for = next((one.waits_for for one in view.slices.values() if one.waits_for), "")
    waits_for = PAUSED if record.paused else waits_for
    return changed(record, state=state, started_ms=started_ms, waits_for=waits_for)


def _failed_assertion(view: RunView) -> Failure | None:
    """Check the assertions of the scenarios whose slices have all succeeded, and return the first that does not hold."""
    for assertion in view.dag.assertions:
        specs = tuple(spec for spec in view.dag.slices if spec.scenario == assertion.scenario)
        if specs and _has_succeeded(view, specs):
            failure = failed_assertion(view.dag, assertion, view.slices)
            if failure is not None:
                return failure
    return None


# Lost and failed.


def _mend(view: RunView, world: World, broken: list[list[SliceRecord]]) -> Decision:
    """Stop what is left of broken gangs; then repeat them if that is to be tried, or end the run."""
    slices: list[SliceRecord] = []
    stop: list[SliceRecord] = []
    wake_ms = 0
    home = home_of(view, world)
    may_begin = not view.record.paused and not lingers(view, world)
    for records in broken:
        following = next_of(records, view)
        if following is None:
            ending = changed(view.record, ending=RunState.FAILED)
            return _ending(replace(view, record=ending), world)
        left = [record for record in records if not record.state.is_over]
        stop.extend(record for record in left if record.slice in world.placed)
        slices.extend(_cancelled(left, world))
        if not left and may_begin and home.takes_more:
            home = home.after_one()
            specs = view.dag.gangs().get(records[0].gang, ())
            due_ms = world.now_ms + following.wait_ms
            wake_ms = sooner(wake_ms, due_ms)
            following_ones = (
                anew(one, not_before_ms=due_ms, tries=following.tries) for one in records
            )
            slices.extend(seated(following_ones, home, specs, view, world))
    return Decision(_in_step(view, world), slices=tuple(slices), stop=tuple(stop), wake_ms=wake_ms)


def _cancelled(records: Iterable[SliceRecord], world: World) -> list[SliceRecord]:
    """End those that no agent has begun with. One that begins at this moment changes the record first, or finds it changed."""
    return [
        changed(record, state=SliceState.CANCELLED, ended_ms=world.now_ms, waits_for="")
        for record in records
        if record.state in (SliceState.PENDING, SliceState.PLACED)
    ]


def _ending(view: RunView, world: World) -> Decision:
    """Stop all slices; when they have ended clear away what they left; then be over."""
    record = view.record
    ending = record.ending
    assert ending is not None
    chains = [one for one in view.slices.values() if one.task is not Task.DISCARD]
    left = [one for one in chains if not one.state.is_over]
    if left:
        stop = tuple(one for one in left if one.slice in world.placed)
        return Decision(record, slices=tuple(_cancelled(left, world)), stop=stop)
    if record.failure is None:
        record = changed(record, failure=failure_of(chains))
    view = replace(view, record=record)
    clearing = cleared(view, world)
    if clearing is not None:
        return clearing
    return _over(view, world, ending)


def _over(view: RunView, world: World, state: RunState) -> Decision:
    record = changed(view.record, state=state, ended_ms=world.now_ms, waits_for="")
    releases = tuple(
        name
        for name in map(target_hash, view.record.prepared)
        if world.claims.get(name) == view.record.run
    )
    return Decision(record, releases=releases)


# Publishing.


def prepared_by(view: RunView) -> tuple[Prepared, ...]:
    """Return what the slices have prepared, in a fixed order, without what needs no publishing."""
    own = checkpoints_of(view.dag)
    return tuple(
        prepared
        for _, one in sorted(view.slices.items())
        if isinstance(one.report, Done) and one.task is Task.CHAIN
        for prepared in one.report.prepared
        if prepared.kind != "stream" and prepared.sink not in own
    )


def _commit(view: RunView, world: World) -> Decision:
    """All gangs have succeeded: decide that their output becomes visible, all of it."""
    if view.record.rehearsal:
        return _compare(view, world)
    prepared = prepared_by(view)
    if not prepared and checkpoints_of(view.dag):
        ending = changed(view.record, ending=RunState.SUCCEEDED, waits_for="")
        return _ending(replace(view, record=ending), world)
    if not prepared:
        return _over(view, world, RunState.SUCCEEDED)
    names = tuple(dict.fromkeys(map(target_hash, prepared)))
    others = {world.claims[name] for name in names if name in world.claims} - {view.record.run}
    if others:
        text = f"run {min(others)} is publishing to the same place"
        return Decision(changed(view.record, waits_for=text))
    record = changed(view.record, state=RunState.COMMITTING, prepared=prepared, waits_for="")
    return Decision(record, slices=(closing(view, world, PUBLISH, Task.PUBLISH),), claims=names)


def _compare(view: RunView, world: World) -> Decision:
    """A rehearsal publishes nothing: its output is compared with what was expected, then discarded."""
    found = view.slices.get(COMPARE)
    if found is None:
        return Decision(view.record, slices=(closing(view, world, COMPARE, Task.COMPARE),))
    if not found.state.is_over:
        return Decision(view.record)
    if found.state is SliceState.SUCCEEDED:
        ending = changed(view.record, ending=RunState.SUCCEEDED)
    else:
        ending = changed(view.record, ending=RunState.FAILED, failure=failure_of([found]))
    return _ending(replace(view, record=ending), world)


def _publishing(view: RunView, world: World) -> Decision:
    found = view.slices[PUBLISH]
    if not found.state.is_over:
        return Decision(view.record)
    if found.state is SliceState.SUCCEEDED:
        is_anew = any(one.attempt > 1 for one in view.slices.values() if one.task is Task.CHAIN)
        if is_anew or checkpoints_of(view.dag):
            clearing = cleared(view, world)
            if clearing is not None:
                return clearing
        return _over(view, world, RunState.SUCCEEDED)
    if is_refusal(found):
        # Nothing of it is visible yet, and it would be refused again: the run fails whole.
        ending = changed(view.record, ending=RunState.FAILED, failure=failure_of([found]))
        return _ending(replace(view, record=ending), world)
    name = f"{found.run}/publish"
    wake_ms = world.now_ms + backoff_ms(name, attempt=found.attempt + 1)
    failure = failure_of([found])
    waits_for = f"publishing failed and is tried again: {failure.error.text}" if failure else ""
    return Decision(
        changed(view.record, waits_for=waits_for),
        slices=(anew(found, not_before_ms=wake_ms),),
        wake_ms=wake_ms,
    )
