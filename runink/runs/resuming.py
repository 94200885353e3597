"""A run that goes on from one that failed or was cancelled: a run of its own, which takes over what that one has kept.

    the old run   stays as it ended; it says who goes on from it, and has nothing of what was taken over any more
    the new run   has the slices of gangs that had succeeded as they were, with what they have prepared, and does the rest
    a restart     takes over only what the named step and all behind it do not do again; the rest of what was kept goes

What is taken over is published once, by whoever has it: the two records are written in one transaction that compares the old one's revision.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace as changed

from runink.dag import Dag
from runink.errors import Conflict, NotFound
from runink.names import BundleHash
from runink.runs.clearing import AT_ONCE_MS, DISCARD, behind, whole_gangs
from runink.runs.records import RunRecord, RunState, SliceRecord, Tries
from runink.runs.retries import anew
from runink.runs.views import RunView
from runink.suggestions import near_or_all


@dataclass(frozen=True, slots=True)
class Resumption:
    """What is written together: the new run with the slices that it takes over, and the old one, with one more try to take away what nobody took over."""

    record: RunRecord
    slices: tuple[SliceRecord, ...]
    old: RunRecord
    discard: SliceRecord | None = None


def check_over(record: RunRecord) -> None:
    """Raise Conflict where a run lives, has succeeded, or another goes on from it."""
    run = f"run {record.run}"
    if not record.state.is_over:
        hint = "runi cancel ends it; then it can be resumed"
        raise Conflict(f"{run} is {record.state.value}", code="run_alive", hint=hint)
    if record.state is RunState.SUCCEEDED:
        raise Conflict(f"{run} has succeeded", code="run_succeeded", hint=_again(record))
    if record.resumed_by is not None:
        hint = f"if that did not succeed: runi resume {record.resumed_by}"
        text = f"{run} goes on as run {record.resumed_by} already"
        raise Conflict(text, code="resumed_already", hint=hint)


def check_resumable(
    record: RunRecord, *, version: str, bundle: BundleHash, parameters: dict[str, str]
) -> None:
    """Raise Conflict where nothing may go on from a run: as `check_over`, or because nothing is kept, or its pipeline, parameters or code are others now."""
    check_over(record)
    run, again = f"run {record.run}", _again(record)
    if record.parameters != parameters:
        names = record.parameters.keys() | parameters.keys()
        differ = sorted(n for n in names if record.parameters.get(n) != parameters.get(n))
        text = f"{run} had other parameters: {', '.join(differ)}"
        raise Conflict(text, code="parameters_changed", hint=again)
    if record.version != version:
        text = f"{record.file} has changed since {run}, so what is kept may be another thing's"
        raise Conflict(text, code="pipeline_changed", hint=f"undo the change; or {again}")
    if record.bundle != bundle:
        text = f"the project's code has changed since {run}, so what is kept may be another thing's"
        raise Conflict(text, code="code_changed", hint=f"undo the change; or {again}")
    if not record.kept:
        text = f"nothing is kept of {run}: no gang of it had succeeded before another, or it was taken away since"
        raise Conflict(text, code="nothing_kept", hint=again)


def _again(record: RunRecord) -> str:
    return f"runi run {record.file} makes a run of what there is now"


def resumption(old: RunView, record: RunRecord, *, step: str) -> Resumption:
    """Return what is written for `record` to go on from the old run, from a step of it where one is named. Raises Conflict as `check_resumable`, NotFound (`no_such_step`)."""
    check_resumable(
        old.record,
        version=record.version,
        bundle=record.bundle,
        parameters=record.parameters,
    )
    again = behind(old.dag, gang_of(old.dag, step)) if step else frozenset()
    whole = {
        name
        for name in whole_gangs(old) - again
        if all(spec.id in old.record.kept for spec in old.dag.gangs()[name])
    }
    taken = tuple(old.slices[spec.id] for spec in old.dag.slices if spec.gang in whole)
    slices = tuple(
        changed(
            one,
            run=record.run,
            taken_from=one.taken_from or old.record.run,
            tries=Tries(),
            waits_for="",
        )
        for one in taken
    )
    kept = tuple(one.slice for one in taken)
    is_left = set(kept) != set(old.record.kept)
    discard = old.slices.get(DISCARD)
    return Resumption(
        changed(
            record,
            project=old.record.project,
            resumes=old.record.run,
            restarted=step,
            store=old.record.store,
            wall_time_s=record.wall_time_s or old.record.wall_time_s,
        ),
        slices,
        changed(
            old.record,
            resumed_by=record.run,
            kept=kept,
            kept_until_ms=AT_ONCE_MS if is_left else 0,
        ),
        anew(discard, not_before_ms=0) if is_left and discard is not None else None,
    )


def gang_of(dag: Dag, step: str) -> str:
    """Return the gang that does a step, which is named in full or, where only one scenario has it, without the scenario. Raises NotFound."""
    named = [node.id for node in dag.nodes if step in (node.id, node.id.partition(".")[2])]
    if len(named) != 1:
        names = [node.id for node in dag.nodes]
        text = f"there is no step {step}" if not named else f"several steps are called {step}"
        hint = f"name one of {', '.join(named)}" if named else near_or_all(step, names)
        raise NotFound(text, code="no_such_step", hint=hint)
    return dag.slice_of(named[0]).gang
