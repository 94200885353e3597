"""`runi deploy`: a pipeline is put in force, so that the cluster runs it whenever it is due, whoever is there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from msgspec.structs import replace as changed

from runink.barn.keys import deployment_key, herd_key, schedule_key
from runink.calendars import Schedule, next_tick, told
from runink.cli.options import (
    file_argument,
    output_option,
    param_option,
    parameters_of,
    state_option,
)
from runink.cli.publishing import origin_of
from runink.cli.run import bundled
from runink.cli.runs import with_cluster
from runink.cli.turns import in_turns
from runink.cli.wording import echo_json, harmless
from runink.clients.barn import Transaction
from runink.clients.cluster import Cluster
from runink.clock import now_ms
from runink.dag import STANDARD, Dag, Sink, Source
from runink.dsl.scheduling import schedule_told
from runink.errors import Invalid
from runink.projects import Compiled, compile_scheduled
from runink.runs.schedule_records import DeploymentRecord, ScheduleRecord

NOBODY: Final = "nothing keeps schedules at the moment: runi up does"


@click.command()
@file_argument
@param_option
@click.option("--paused", is_flag=True, help="Let no tick make a run until runi schedule resume.")
@output_option
@state_option
def deploy(
    file: Path,
    params: tuple[str, ...],
    paused: bool,  # noqa: FBT001 - click gives it by name
    output: str,
    state: Path | None,
) -> None:
    """Put a pipeline in force, from the working copy: `runi up` runs it at each tick of its @schedule.

    Deployed again it takes the place of what was there; runs under way go on as they began.
    """
    given = parameters_of(params)
    compiled, recipe = compile_scheduled(file, given=given, now_ms=now_ms())
    _check(compiled.dag)
    for note in compiled.notes:
        click.echo(f"note: {note}", err=True)
    origin = origin_of(compiled.root, compiled.dag.file)

    async def ask(cluster: Cluster, folder: Path) -> tuple[ScheduleRecord, str, bool]:
        deployment = DeploymentRecord(
            dag=compiled.dag,
            project=str(compiled.root),
            bundle=await bundled(compiled.root, folder, cluster),
            deployed_ms=origin.published_ms,
            by=origin.by,
            commit=origin.commit,
            is_dirty=origin.is_dirty,
            recipe=recipe,
        )
        before = await _file_before(cluster, compiled.dag)
        record = await _put(cluster, compiled, deployment, paused=paused)
        return record, before, bool(cluster.session)

    record, before, is_kept_by_nobody = with_cluster(state, ask, makes_state=True)
    if before not in ("", compiled.dag.file):
        click.echo(f"note: it takes the place of {before}, which has the same name", err=True)
    following = next_tick(record.schedule, now_ms())
    if output == "json":
        echo_json(
            {
                "herd": record.herd,
                "pipeline": record.pipeline,
                "version": record.version,
                "paused": record.paused,
                "next_ms": following,
            }
        )
        return
    click.echo(harmless(f"{record.herd}/{record.pipeline} is deployed: {schedule_told(record.schedule)}"))  # fmt: skip
    if record.paused:
        click.echo("  it is paused: runi schedule resume lets it go on")
    elif following is not None:
        click.echo(f"  next {told(following, record.schedule.zone)}")
    if is_kept_by_nobody:
        click.echo(NOBODY, err=True)


def _check(dag: Dag) -> None:
    for node in dag.nodes:
        if isinstance(node, Source | Sink) and node.path == STANDARD:
            text = f"{node.uri} is standard {'input' if isinstance(node, Source) else 'output'}, and a run that a schedule makes has none"
            raise Invalid(text, code="standard_io", hint="read and write files")


async def _file_before(cluster: Cluster, dag: Dag) -> str:
    """Return the file of what is deployed under this name now, or nothing."""
    found = await cluster.barn.get(deployment_key(dag.herd, dag.pipeline), DeploymentRecord)
    return "" if found is None else found.value.dag.file


async def _put(
    cluster: Cluster, compiled: Compiled, deployment: DeploymentRecord, *, paused: bool
) -> ScheduleRecord:
    """Write deployment, schedule and herd at once. A schedule that says the same as before goes on from where it is, another one begins now."""
    dag = compiled.dag
    schedule = dag.schedule
    assert isinstance(schedule, Schedule), "what has none is not compiled for this"
    key = schedule_key(dag.herd, dag.pipeline)

    async def turn() -> ScheduleRecord | None:
        found = await cluster.barn.get(key, ScheduleRecord)
        record = ScheduleRecord(
            dag.herd, dag.pipeline, dag.hash, schedule, deployment.deployed_ms, paused=paused
        )
        transaction = Transaction().if_absent(key)
        if found is not None:
            before = found.value
            is_same = before.schedule == schedule
            seen_ms = before.seen_ms if is_same else record.seen_ms
            record = changed(record, seen_ms=seen_ms, paused=paused or before.paused)
            transaction = Transaction().if_revision(key, found.revision)
        transaction = (
            transaction.put(key, record)
            .put(deployment_key(dag.herd, dag.pipeline), deployment)
            .put(herd_key(dag.herd), compiled.herd)
        )
        return record if (await cluster.barn.commit(transaction)).succeeded else None

    return await in_turns(key, turn)
