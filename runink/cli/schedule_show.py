"""`runi schedule list` and `show`: what is deployed, when it is due, and what its ticks came to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from runink.barn.keys import BACKFILLS, RUNS, SCHEDULES, deployment_key
from runink.calendars import Schedule, next_tick, ticks_between, told
from runink.cli.options import output_option, state_option
from runink.cli.runs import known_to
from runink.cli.schedule_changes import meant, name_argument, of_cluster, told_name
from runink.cli.summary import short
from runink.cli.wording import columns, echo_json, harmless
from runink.clients.cluster import Cluster
from runink.clock import now_ms
from runink.dsl.scheduling import schedule_told, when_told
from runink.quantities import counted
from runink.runs.records import RunRecord
from runink.runs.retention import age_of
from runink.runs.schedule_records import BackfillRecord, DeploymentRecord, ScheduleRecord

NEXT_SHOWN: Final = 3
RUNS_SHOWN: Final = 10
FAR_MS: Final = 100 * 366 * 86_400_000
NEVER: Final = "-"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A schedule with what belongs to it; its runs with the newest first."""

    record: ScheduleRecord
    deployment: DeploymentRecord | None
    runs: tuple[RunRecord, ...]
    backfills: tuple[BackfillRecord, ...]


@click.command("list")
@output_option
@state_option
def list_(output: str, state: Path | None) -> None:
    """List what is deployed, when it is due next, and what its last run came to."""

    async def ask(cluster: Cluster, _: Path) -> list[tuple[ScheduleRecord, tuple[RunRecord, ...]]]:
        listing = await cluster.barn.range(SCHEDULES.prefix(), ScheduleRecord)
        runs = await cluster.barn.range(RUNS.prefix(), RunRecord)
        records = [found.value for found in runs.items]
        return [(found.value, _runs_of(found.value, records)) for found in listing.items]

    found = known_to(state, ask)
    if output == "json":
        echo_json([_document(record, runs) for record, runs in found])
        return
    if not found:
        click.echo("nothing is deployed yet: runi deploy FILE.dsl puts a pipeline in force", err=True)  # fmt: skip
        return
    rows = [
        (told_name(record), when_told(record.schedule), _next(record), _last(record, runs))
        for record, runs in found
    ]
    for line in columns([("pipeline", "when", "next", "last run"), *rows]):
        click.echo(harmless(line))


@click.command()
@name_argument
@output_option
@state_option
def show(name: str, output: str, state: Path | None) -> None:
    """Say when a pipeline is due, what its last ticks came to, and how far its backfills are."""

    async def ask(cluster: Cluster, _: Path) -> _Kept:
        record = (await meant(cluster, name)).value
        deployment = await cluster.barn.get(
            deployment_key(record.herd, record.pipeline), DeploymentRecord
        )
        runs = await cluster.barn.range(RUNS.prefix(record.herd), RunRecord)
        prefix = BACKFILLS.prefix(record.herd, record.pipeline)
        backfills = await cluster.barn.range(prefix, BackfillRecord)
        return _Kept(
            record,
            deployment.value if deployment else None,
            _runs_of(record, [found.value for found in runs.items]),
            tuple(found.value for found in backfills.items),
        )

    kept = of_cluster(name, state, ask)
    if output == "json":
        backfills = [_backfill_document(one) for one in kept.backfills]
        echo_json({**_document(kept.record, kept.runs), "backfills": backfills})
        return
    for line in _lines(kept):
        click.echo(harmless(line))


def _lines(kept: _Kept) -> Iterator[str]:
    record, zone = kept.record, kept.record.schedule.zone
    yield f"{told_name(record)}  {schedule_told(record.schedule)}"
    if kept.deployment is not None:
        yield _origin(kept.deployment, zone)
        parameters = kept.deployment.recipe.given if kept.deployment.recipe else kept.deployment.dag.parameters  # fmt: skip
        if parameters:
            yield f"parameters: {', '.join(f'{name}={value}' for name, value in parameters.items())}"  # fmt: skip
    begin_ms = now_ms()
    ticks = islice(ticks_between(record.schedule, begin_ms, begin_ms + FAR_MS), NEXT_SHOWN)
    following = ", ".join(told(tick, zone) for tick in ticks) or "never any more"
    yield f"paused; it would be due {following}" if record.paused else f"next: {following}"
    if record.problem is not None:
        yield f"the last tick made no run: {record.problem.text}"
    for run in kept.runs[:RUNS_SHOWN]:
        yield _run_line(run, zone)
    for one in kept.backfills:
        yield _backfill_line(one, kept.runs)


def _origin(deployment: DeploymentRecord, zone: str) -> str:
    changes = ", with changes of its own" if deployment.is_dirty else ""
    commit = f", commit {deployment.commit[:12]}{changes}" if deployment.commit else ""
    at = told(deployment.deployed_ms, zone)
    return f"{deployment.dag.file}, deployed {at} by {deployment.by}{commit}"


def _run_line(run: RunRecord, zone: str) -> str:
    assert run.occasion is not None, "those of a schedule have one"
    why = f"  {run.failure.error.code}" if run.failure is not None else ""
    of = f"  backfill {short(run.occasion.backfill)}" if run.occasion.backfill else ""
    return f"  {told(run.occasion.tick_ms, zone)}  run {short(run.run)}  {run.state.value}{why}{of}"


def _backfill_line(one: BackfillRecord, runs: Sequence[RunRecord]) -> str:
    living = sum(
        run.occasion is not None and run.occasion.backfill == one.id and not run.state.is_over
        for run in runs
    )
    begun = f"{one.begun:,} of {counted(len(one.ticks), 'run')} made"
    under_way = f", {living:,} under way" if living else ""
    stopped = ", stopped" if one.stopped else ""
    problem = f"; {one.problem.text}" if one.problem is not None else ""
    return (
        f"  backfill {short(one.id)}: {begun}, {one.at_once} at a time{under_way}{stopped}{problem}"
    )


def _runs_of(record: ScheduleRecord, runs: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    whose = (record.herd, record.pipeline)
    mine = [one for one in runs if one.occasion is not None and (one.herd, one.pipeline) == whose]
    return tuple(sorted(mine, key=age_of)[::-1])


def _next(record: ScheduleRecord) -> str:
    if record.paused:
        return "paused"
    following = next_tick(record.schedule, now_ms())
    return NEVER if following is None else told(following, record.schedule.zone)


def _last(record: ScheduleRecord, runs: Sequence[RunRecord]) -> str:
    if record.problem is not None:
        return record.problem.code
    return f"{short(runs[0].run)} {runs[0].state.value}" if runs else NEVER


def _document(record: ScheduleRecord, runs: Sequence[RunRecord]) -> dict[str, Any]:
    return {
        "herd": record.herd,
        "pipeline": record.pipeline,
        "version": record.version,
        "schedule": {name: getattr(record.schedule, name) for name in Schedule.__struct_fields__},
        "paused": record.paused,
        "next_ms": None if record.paused else next_tick(record.schedule, now_ms()),
        "seen_ms": record.seen_ms,
        "problem": record.problem.text if record.problem else None,
        "runs": [
            {
                "run": one.run,
                "tick_ms": one.occasion.tick_ms if one.occasion else None,
                "state": one.state.value,
                "backfill": (one.occasion.backfill if one.occasion else "") or None,
            }
            for one in runs[:RUNS_SHOWN]
        ],
    }


def _backfill_document(one: BackfillRecord) -> dict[str, Any]:
    return {
        "backfill": one.id,
        "ticks_ms": one.ticks,
        "begun": one.begun,
        "at_once": one.at_once,
        "stopped": one.stopped,
        "problem": one.problem.text if one.problem else None,
    }
