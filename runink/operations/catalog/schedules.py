"""Operations on schedules: what is in force, when it is due, and runs for ticks that have passed."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.calendars import Schedule
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, PipelineText, exact

AT_ONCE_MAX: Final = 100
MomentText = Annotated[
    str,
    msgspec.Meta(
        max_length=64,
        description="A date or a time, as in 2026-11-01 or 2026-11-01T06:00; without an offset it is the schedule's time zone's.",
    ),
]
BackfillText = Annotated[
    str, msgspec.Meta(pattern=exact("[0-9A-HJKMNP-TV-Z]{26}"), description="A backfill's id.")
]


class ListSchedules(AskedPage, frozen=True, kw_only=True):
    herd: HerdText


class OfSchedule(Asked, frozen=True, kw_only=True):
    herd: HerdText
    pipeline: PipelineText


class Trigger(OfSchedule, frozen=True, kw_only=True):
    """For the tick that is named, or the last one that has passed."""

    tick: MomentText = ""


class Backfill(OfSchedule, frozen=True, kw_only=True):
    """For all ticks from one moment to another; of a date the whole day counts. With `again` also for those that have a run already; with `dry_run` nothing is made."""

    begin: MomentText = msgspec.field(name="from")
    end: MomentText = msgspec.field(name="to")
    at_once: Annotated[int, msgspec.Meta(ge=1, le=AT_ONCE_MAX)] = 1
    again: bool = False
    dry_run: bool = False


class ListBackfills(AskedPage, frozen=True, kw_only=True):
    herd: HerdText
    pipeline: PipelineText


class OfBackfill(OfSchedule, frozen=True, kw_only=True):
    backfill: BackfillText


class ScheduleSummary(msgspec.Struct, frozen=True):
    """When a pipeline is due. `version` is the hash of what is in force, `next_ms` nothing while it is paused or over; `problem` says why the last tick made no run."""

    herd: str
    pipeline: str
    version: str
    schedule: Schedule
    paused: bool
    next_ms: int | None
    seen_ms: int
    problem: str | None
    revision: int
    problem_code: str | None = None


class TickRun(msgspec.Struct, frozen=True):
    """A run that a tick has made, or a backfill. `error` is the code of its failure."""

    run: str
    tick_ms: int
    state: str
    backfill: str | None
    error: str | None = None


class BackfillSummary(msgspec.Struct, frozen=True):
    """So many ticks of the past to run for, from the first to the last: the first `begun` of them have been, and `living` of those runs have not ended. `first_ms` and `last_ms` are 0 where there is none."""

    backfill: str
    ticks: int
    first_ms: int
    last_ms: int
    begun: int
    at_once: int
    stopped: bool
    problem: str | None
    living: int = 0


class BackfillDocument(BackfillSummary, frozen=True, kw_only=True):
    """A backfill with its ticks, oldest first. `left_away` is how many ticks of the range had a run already."""

    ticks_ms: tuple[int, ...]
    left_away: int


class ScheduleDocument(ScheduleSummary, frozen=True, kw_only=True):
    """A schedule, where it came from, its last runs with the newest first, and its backfills, those first that make runs yet."""

    file: str
    bundle: str
    deployed_ms: int
    deployed_by: str
    commit: str | None
    dirty: bool
    parameters: dict[str, str]
    runs: tuple[TickRun, ...]
    backfills: tuple[BackfillSummary, ...]


class Triggered(msgspec.Struct, frozen=True):
    """The run that will be made, and the tick that it is for."""

    run: str
    tick_ms: int
    backfill: str


LIST: Final = Operation(
    name="schedules.list",
    method=Method.GET,
    path="/herds/{herd}/schedules",
    request=ListSchedules,
    answer=ScheduleSummary,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.SCHEDULES,
    summary="List what is in force, and when it is due next.",
)
GET: Final = Operation(
    name="schedules.get",
    method=Method.GET,
    path="/herds/{herd}/schedules/{pipeline}",
    request=OfSchedule,
    answer=ScheduleDocument,
    verb=Verb.GET,
    resource=Resource.SCHEDULES,
    summary="Say when a pipeline is due, what its last ticks came to, and how far its backfills are.",
)
PAUSE: Final = Operation(
    name="schedules.pause",
    method=Method.POST,
    path="/herds/{herd}/schedules/{pipeline}/pause",
    request=OfSchedule,
    answer=ScheduleSummary,
    verb=Verb.UPDATE,
    resource=Resource.SCHEDULES,
    summary="Let ticks pass without a run.",
)
RESUME: Final = Operation(
    name="schedules.resume",
    method=Method.POST,
    path="/herds/{herd}/schedules/{pipeline}/resume",
    request=OfSchedule,
    answer=ScheduleSummary,
    verb=Verb.UPDATE,
    resource=Resource.SCHEDULES,
    summary="Let ticks make runs again.",
)
DELETE: Final = Operation(
    name="schedules.delete",
    method=Method.DELETE,
    path="/herds/{herd}/schedules/{pipeline}",
    request=OfSchedule,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.SCHEDULES,
    summary="Take a pipeline out of force, with its backfills.",
    description="Runs under way go on, and all runs stay.",
    is_conditional=True,
)
TRIGGER: Final = Operation(
    name="schedules.trigger",
    method=Method.POST,
    path="/herds/{herd}/schedules/{pipeline}/trigger",
    request=Trigger,
    answer=Triggered,
    status=201,
    verb=Verb.RUN,
    resource=Resource.PIPELINES,
    summary="Make a run now, of what is in force, whatever is under way.",
    errors=("no_ticks", "backfills_full", "herd_deleted"),
    is_idempotent=True,
    example={"tick": "2026-11-01"},
)
BACKFILL: Final = Operation(
    name="schedules.backfills.create",
    method=Method.POST,
    path="/herds/{herd}/schedules/{pipeline}/backfills",
    request=Backfill,
    answer=BackfillDocument,
    status=201,
    verb=Verb.RUN,
    resource=Resource.PIPELINES,
    summary="Make runs for the ticks of a range of the past, oldest first, so many at a time.",
    errors=("no_ticks", "too_many_ticks", "backfills_full", "herd_deleted"),
    is_idempotent=True,
    example={"from": "2026-11-01", "to": "2026-11-07", "at_once": 2},
)
BACKFILLS: Final = Operation(
    name="schedules.backfills.list",
    method=Method.GET,
    path="/herds/{herd}/schedules/{pipeline}/backfills",
    request=ListBackfills,
    answer=BackfillSummary,
    kind=Kind.PAGE,
    verb=Verb.GET,
    resource=Resource.SCHEDULES,
    summary="List the backfills of a pipeline, the oldest first.",
)
STOP: Final = Operation(
    name="schedules.backfills.stop",
    method=Method.POST,
    path="/herds/{herd}/schedules/{pipeline}/backfills/{backfill}/stop",
    request=OfBackfill,
    answer=BackfillDocument,
    subject="pipeline",
    verb=Verb.RUN,
    resource=Resource.PIPELINES,
    summary="Let a backfill make no other run. Runs under way go on.",
)
SCHEDULES: Final = (LIST, GET, PAUSE, RESUME, DELETE, TRIGGER, BACKFILL, BACKFILLS, STOP)
