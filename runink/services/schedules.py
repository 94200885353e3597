"""Operations on schedules, carried out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from runink.barn.keys import BACKFILLS, RUNS, SCHEDULES, deployment_key
from runink.calendars import next_tick
from runink.clients.barn import Found
from runink.clients.schedules import (
    get_schedule,
    put_backfill,
    set_paused,
    stop_backfill,
    tick_meant,
    ticks_done,
    ticks_meant,
    undeploy,
)
from runink.errors import WireError
from runink.governance.approvals import NOT_APPROVED, headline
from runink.identity.vocabulary import Resource
from runink.names import HerdName, PipelineName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import schedules
from runink.operations.catalog.schedules import (
    Backfill,
    BackfillDocument,
    BackfillSummary,
    ListBackfills,
    ListSchedules,
    OfBackfill,
    OfSchedule,
    ScheduleDocument,
    ScheduleSummary,
    TickRun,
    Trigger,
    Triggered,
)
from runink.runs.records import RunRecord
from runink.runs.schedule_records import BackfillRecord, DeploymentRecord, ScheduleRecord
from runink.runs.schedules import id_of, occasion_of
from runink.services.behind import Behind, not_hidden, shown_in
from runink.services.ids import made_id
from runink.services.pages import page_of_keys
from runink.services.service import Handlers

RUNS_SHOWN: Final = 10
BACKFILLS_SHOWN: Final = 20


class ScheduleService:
    """Shows what is due, and has runs made for ticks."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            schedules.LIST: self._list,
            schedules.GET: self._get,
            schedules.PAUSE: self._pause,
            schedules.RESUME: self._resume,
            schedules.DELETE: self._delete,
            schedules.TRIGGER: self._trigger,
            schedules.BACKFILL: self._backfill,
            schedules.BACKFILLS: self._backfills,
            schedules.STOP: self._stop,
        }

    async def _list(
        self, request: ListSchedules, caller: Caller, context: Context
    ) -> Items[ScheduleSummary]:
        shows = shown_in(self._behind, caller, Resource.SCHEDULES, request.herd)
        return await page_of_keys(
            self._behind.barn,
            SCHEDULES.prefix(request.herd),
            ScheduleRecord,
            limit=request.limit,
            position=context.position,
            show=lambda found: self._summary(found) if shows(found.value.pipeline) else None,
        )

    async def _get(
        self, request: OfSchedule, caller: Caller, _context: Context
    ) -> ScheduleDocument:
        barn, (herd, pipeline) = self._behind.barn, _named(request)
        found = await get_schedule(barn, herd, pipeline)
        deployed = await barn.get(deployment_key(herd, pipeline), DeploymentRecord)
        shows = not_hidden(self._behind, caller, Resource.RUNS, herd)
        listing = await barn.range(RUNS.prefix(herd), RunRecord)
        runs = [one.value for one in listing.items if shows(one.value.run)]
        backfills = await barn.range(BACKFILLS.prefix(herd, pipeline), BackfillRecord)
        # Those that make runs yet, and then the rest: a list beside has all of them.
        made = sorted(backfills.items, key=lambda one: one.value.is_done)[:BACKFILLS_SHOWN]
        deployment = deployed.value if deployed is not None else None
        return ScheduleDocument(
            **msgspec.structs.asdict(self._summary(found)),
            file=deployment.dag.file if deployment else "",
            bundle=deployment.bundle if deployment else "",
            deployed_ms=deployment.deployed_ms if deployment else 0,
            deployed_by=deployment.by if deployment else "",
            commit=(deployment.commit or None) if deployment else None,
            dirty=deployment.is_dirty if deployment else False,
            parameters=_parameters(deployment),
            runs=_runs_of(pipeline, runs),
            backfills=tuple(_summary(one.value, _living(one.value, runs)) for one in made),
        )

    def _summary(self, found: Found[ScheduleRecord]) -> ScheduleSummary:
        one = found.value
        return ScheduleSummary(
            herd=one.herd,
            pipeline=one.pipeline,
            version=one.version,
            schedule=one.schedule,
            paused=one.paused,
            next_ms=None if one.paused else next_tick(one.schedule, self._behind.now_ms()),
            seen_ms=one.seen_ms,
            problem=_told(one.problem),
            revision=found.revision,
            problem_code=one.problem.code if one.problem else None,
        )

    async def _pause(
        self, request: OfSchedule, _caller: Caller, _context: Context
    ) -> ScheduleSummary:
        found, _ = await set_paused(self._behind.barn, *_named(request), paused=True)
        return self._summary(found)

    async def _resume(
        self, request: OfSchedule, _caller: Caller, _context: Context
    ) -> ScheduleSummary:
        found, _ = await set_paused(self._behind.barn, *_named(request), paused=False)
        return self._summary(found)

    async def _delete(self, request: OfSchedule, _caller: Caller, context: Context) -> None:
        def check(found: Found[ScheduleRecord]) -> None:
            assert context.condition is not None, "the operation wants one"
            context.condition.check(found.revision, what=f"the schedule of {request.pipeline}")

        await undeploy(self._behind.barn, *_named(request), check)

    async def _trigger(self, request: Trigger, _caller: Caller, context: Context) -> Triggered:
        record = (await get_schedule(self._behind.barn, *_named(request))).value
        now_ms = self._behind.now_ms()
        at_ms = tick_meant(record.schedule, request.tick, now_ms=now_ms)
        backfill = BackfillRecord(
            made_id(context, self._behind), record.herd, record.pipeline, (at_ms,), 1, now_ms
        )
        kept = (await put_backfill(self._behind.barn, backfill)).value
        occasion = occasion_of(record.schedule, kept.ticks[0], kept.id)
        run = id_of(record.herd, record.pipeline, occasion)
        return Triggered(run, kept.ticks[0], kept.id)

    async def _backfill(
        self, request: Backfill, _caller: Caller, context: Context
    ) -> BackfillDocument:
        barn, now_ms = self._behind.barn, self._behind.now_ms()
        record = (await get_schedule(barn, *_named(request))).value
        ticks = ticks_meant(record.schedule, request.begin, request.end, now_ms=now_ms)
        done = frozenset() if request.again else await ticks_done(barn, record)
        wanted = tuple(tick for tick in ticks if tick not in done)
        backfill = BackfillRecord(
            made_id(context, self._behind),
            record.herd,
            record.pipeline,
            wanted,
            request.at_once,
            now_ms,
        )
        if wanted and not request.dry_run:
            backfill = (await put_backfill(barn, backfill)).value
        return _document(backfill, left_away=len(ticks) - len(wanted))

    async def _backfills(
        self, request: ListBackfills, _caller: Caller, context: Context
    ) -> Items[BackfillSummary]:
        return await page_of_keys(
            self._behind.barn,
            BACKFILLS.prefix(request.herd, request.pipeline),
            BackfillRecord,
            limit=request.limit,
            position=context.position,
            show=lambda found: _summary(found.value),
        )

    async def _stop(
        self, request: OfBackfill, _caller: Caller, _context: Context
    ) -> BackfillDocument:
        herd, pipeline = _named(request)
        found = await stop_backfill(self._behind.barn, herd, pipeline, request.backfill)
        return _document(found.value)


def _named(request: OfSchedule) -> tuple[HerdName, PipelineName]:
    return HerdName(request.herd), PipelineName(request.pipeline)


def _told(problem: WireError | None) -> str | None:
    """Say why a tick made no run. Contracts that are not approved are not named: who reads schedules may not read these."""
    if problem is None:
        return None
    return headline(problem.text) if problem.code == NOT_APPROVED else problem.text


def _parameters(deployment: DeploymentRecord | None) -> dict[str, str]:
    """Return what the pipeline was given; what its ticks fill in is none of it."""
    if deployment is None:
        return {}
    return dict(deployment.recipe.given if deployment.recipe else deployment.dag.parameters)


def _runs_of(pipeline: PipelineName, runs: list[RunRecord]) -> tuple[TickRun, ...]:
    mine = [one for one in runs if one.occasion is not None and one.pipeline == pipeline]
    mine.sort(key=lambda one: (one.submitted_ms, one.run), reverse=True)
    return tuple(
        TickRun(
            one.run,
            one.occasion.tick_ms,
            one.state.value,
            one.occasion.backfill or None,
            one.failure.error.code if one.failure is not None else None,
        )
        for one in mine[:RUNS_SHOWN]
        if one.occasion is not None
    )


def _living(one: BackfillRecord, runs: Iterable[RunRecord]) -> int:
    """Return how many runs of a backfill have not ended."""
    return sum(
        run.occasion is not None and run.occasion.backfill == one.id and not run.state.is_over
        for run in runs
    )


def _summary(one: BackfillRecord, living: int = 0) -> BackfillSummary:
    return BackfillSummary(
        backfill=one.id,
        ticks=len(one.ticks),
        first_ms=min(one.ticks, default=0),
        last_ms=max(one.ticks, default=0),
        begun=one.begun,
        at_once=one.at_once,
        stopped=one.stopped,
        problem=_told(one.problem),
        living=living,
    )


def _document(one: BackfillRecord, *, left_away: int = 0) -> BackfillDocument:
    return BackfillDocument(
        **msgspec.structs.asdict(_summary(one)), ticks_ms=one.ticks, left_away=left_away
    )
