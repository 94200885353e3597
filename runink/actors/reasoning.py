"""Reads from the Barn what an answer to `WhyOf` and `ReplayOf` depends on, and has it worked out beside the event loop.

a gang that waits        is decided on now, with the tables as they stand
one that has its nodes   on the revision that its slices name (`SliceRecord.decision`)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runink.actors.offload import Offload, in_thread
from runink.barn.keys import decision_key, run_key
from runink.clients.barn import BarnClient
from runink.clients.placement_tables import read_tables
from runink.clients.run_requests import WhyOf
from runink.errors import Invalid, NotFound, Refused
from runink.placement.improving import SOLVER_MISSING
from runink.runs.records import RunRecord, SliceRecord, SliceState
from runink.scheduling.answers import Difference, GangAnswer, Replayed, WhyAnswer
from runink.scheduling.decisions import DecisionRecord
from runink.scheduling.snapshots import Tables
from runink.scheduling.units import due_ms, waits
from runink.scheduling.what_if import CHANGES_MAX, applied
from runink.scheduling.why import (
    Decided,
    answer_in_part,
    decided_again,
    decided_in_part,
    decided_now,
    differences,
    replayed,
)

GANGS_MAX: Final = 16  # of one answer: those that wait first
Gangs = dict[str, list[SliceRecord]]


async def why(barn: BarnClient, request: WhyOf, offload: Offload = in_thread) -> WhyAnswer:
    """Answer why slices of a run wait, or are where they are. Raises NotFound, Invalid, Refused (`compacted`)."""
    if len(request.changes) > CHANGES_MAX:
        raise Invalid(f"{CHANGES_MAX} changes at most", code="change_invalid")
    found = await barn.get(run_key(request.herd, request.run), RunRecord)
    if found is None:
        raise NotFound(f"there is no run {request.run}", hint="runi runs lists them")
    tables = await read_tables(barn)
    now_ms = (await barn.status()).now_ms or max(
        (one.turn.since_ms for one in tables.slices), default=0
    )
    gangs = _gangs(tables, request)
    asked = applied(tables, request.changes, run=request.run)
    now: Decided = await offload(_decide, asked, now_ms)
    answers = [await _of_gang(barn, now, members, offload) for members in gangs.values()]
    changed: tuple[Difference, ...] = ()
    if request.changes:
        before = await offload(_decide, tables, now_ms)
        changed = differences(before, now)
    record = found.value
    return WhyAnswer(
        run=record.run,
        herd=record.herd,
        state=record.state.value,
        waits_for=record.waits_for,
        nodes=len(asked.nodes),
        revision=tables.revision,
        gangs=tuple(answers),
        if_=request.changes,
        differences=changed,
    )


async def replay(barn: BarnClient, revision: int, offload: Offload = in_thread) -> Replayed:
    """Make the decision again that was made on this revision. Raises NotFound, Refused (`compacted`, `solver_missing`)."""
    record = await _decision(barn, revision)
    tables = await _tables_at(barn, revision)
    made: Replayed = await offload(replayed, tables, record)
    return made


def _decide(tables: Tables, now_ms: int) -> Decided:
    return decided_now(tables, now_ms=now_ms)


def _gangs(tables: Tables, request: WhyOf) -> Gangs:
    """Return the gangs that are asked about: those of the slice that is named, or else those that wait, or else all."""
    mine = [one for one in tables.slices if one.run == request.run]
    if request.slice:
        gangs = {one.gang for one in mine if request.slice in (one.slice, one.gang)}
        if not gangs:
            raise NotFound(
                f"run {request.run} has no slice {request.slice}",
                code="no_such_slice",
                hint=f"it has {', '.join(sorted(one.slice for one in mine)) or 'none yet'}",
            )
    else:
        waiting = {one.gang for one in mine if one.state is SliceState.PENDING}
        gangs = waiting or {one.gang for one in mine}
    return {
        gang: sorted((one for one in mine if one.gang == gang), key=lambda one: one.slice)
        for gang in sorted(gangs)[:GANGS_MAX]
    }


async def _of_gang(
    barn: BarnClient, now: Decided, members: list[SliceRecord], offload: Offload
) -> GangAnswer:
    names = [str(one.slice) for one in members]
    run, gang = members[0].run, members[0].gang
    answer = now.answer(run, gang, names)
    if answer is not None:
        return answer
    decision = max(one.decision for one in members)
    if waits(members) or not decision:
        return GangAnswer(gang, tuple(names), "held", _held(members, now.snapshot.now_ms))
    record = await _decision(barn, decision)
    tables = await _tables_at(barn, decision)
    found = await _then(tables, record, members, offload)
    return found or GangAnswer(
        gang,
        tuple(names),
        "held",
        "the decision that placed it says nothing of it",
        decision=decision,
    )


async def _then(
    tables: Tables, record: DecisionRecord, members: list[SliceRecord], offload: Offload
) -> GangAnswer | None:
    """Say why a gang is where it is, by the decision that placed it."""
    run, gang = members[0].run, members[0].gang
    try:
        then: Decided = await offload(decided_again, tables, record)
    except Refused as error:
        if error.code != SOLVER_MISSING:
            raise
        then = await offload(decided_in_part, tables, record)
        return answer_in_part(then, members, str(error))
    return then.answer(run, gang, [str(one.slice) for one in members])


def _held(members: Iterable[SliceRecord], now_ms: int) -> str:
    """Say why nobody places a gang at the moment."""
    found = list(members)
    said = next((one.waits_for for one in found if one.waits_for), "")
    if waits(found) and due_ms(found) > now_ms:
        return said or "it is held back until it is due"
    return said or f"it is {found[0].state.value}"


async def _decision(barn: BarnClient, revision: int) -> DecisionRecord:
    found = await barn.get(decision_key(revision), DecisionRecord)
    if found is None:
        raise NotFound(
            f"no decision is known that was made on revision {revision:,}",
            code="no_such_decision",
            hint="runi why RUN says on which revision a run was placed; the last 512 decisions are kept",
        )
    return found.value


async def _tables_at(barn: BarnClient, revision: int) -> Tables:
    try:
        return await read_tables(barn, revision=revision)
    except Refused as error:
        if error.code != "compacted":
            raise
        raise Refused(
            f"the Barn has forgotten revision {revision:,}, on which that was decided",
            code="compacted",
            hint="how long it remembers is set by runi barn limits",
            revision=error.revision,
        ) from error
