"""`runi deploy`: a pipeline is put in force, so that the cluster runs it whenever it is due, whoever is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from runink.barn.keys import deployment_key
from runink.calendars import next_tick, told
from runink.cli.choosing import Away, also_away, check_is_here, folder_option
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
from runink.cli.settings import tell_herd
from runink.cli.wording import echo_json, harmless
from runink.clients.cluster import Cluster
from runink.clients.publishing import check_no_standard
from runink.clients.publishing import deploy as put_in_force
from runink.clock import now_ms
from runink.dag import Dag
from runink.dsl.scheduling import schedule_told
from runink.projects import Compiled, compile_scheduled
from runink.runs.schedule_records import DeploymentRecord, ScheduleRecord

NOBODY: Final = "nothing keeps schedules at the moment: runi up does"


@click.command()
@file_argument
@param_option
@click.option("--paused", is_flag=True, help="Let no tick make a run until runi schedule resume.")
@folder_option
@output_option
@state_option
@also_away
def deploy(  # noqa: PLR0913 - what may be asked for
    file: Path,
    params: tuple[str, ...],
    *,
    paused: bool,
    folder: str | None,
    output: str,
    state: Path | None,
    away: Away | None,
) -> None:
    """Put a pipeline in force, from the working copy: `runi up` runs it at each tick of its @schedule.

    Deployed again it takes the place of what was there; runs under way go on as they began. In a context its code is sent to the cluster, which compiles it again.
    """
    given = parameters_of(params)
    compiled, recipe = compile_scheduled(file, given=given, now_ms=now_ms())
    check_no_standard(compiled.dag)
    for note in compiled.notes:
        click.echo(f"note: {note}", err=True)
    if away is not None:
        _deploy_away(away, compiled, given, (folder, paused, output))
        return
    check_is_here(folder)
    origin = origin_of(compiled.root, compiled.dag.file)

    async def ask(cluster: Cluster, folder: Path) -> tuple[ScheduleRecord, str, bool]:
        await tell_herd(cluster, compiled.herd)
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
        found = await put_in_force(
            cluster.barn,
            deployment,
            compiled.herd,
            lambda path: (compiled.root / path).is_file(),
            paused=paused,
        )
        return found.value, before, bool(cluster.session)

    record, before, is_kept_by_nobody = with_cluster(state, ask, makes_state=True)
    if before not in ("", compiled.dag.file):
        click.echo(f"note: it takes the place of {before}, which has the same name", err=True)
    if output == "json":
        echo_json(_document(record))
        return
    for line in _lines(record):
        click.echo(line)
    if is_kept_by_nobody:
        click.echo(NOBODY, err=True)


def _deploy_away(
    away: Away, compiled: Compiled, given: dict[str, str], said: tuple[str | None, bool, str]
) -> None:
    """Put it in force in a context's cluster; `said` are the folder there, whether it is to be paused, and how it is printed."""
    from runink.cli.asking import Where  # noqa: PLC0415 - as above
    from runink.cli.away_projects import deploy_away, told_of  # noqa: PLC0415 - what asks the API is loaded where it is asked

    folder, paused, output = said
    with Where(away.context, None).client() as client:
        found = deploy_away(client, away, compiled, told_of(compiled, given, folder), paused=paused)
    if found.replaced not in (None, compiled.dag.file):
        click.echo(f"note: it takes the place of {found.replaced}, which has the same name", err=True)  # fmt: skip
    if output == "json":
        echo_json(found)
        return
    click.echo(harmless(f"{found.herd}/{found.pipeline} is deployed in {away.context.name}"))


def _document(record: ScheduleRecord) -> dict[str, Any]:
    return {
        "herd": record.herd,
        "pipeline": record.pipeline,
        "version": record.version,
        "paused": record.paused,
        "next_ms": next_tick(record.schedule, now_ms()),
    }


def _lines(record: ScheduleRecord) -> Iterator[str]:
    following = next_tick(record.schedule, now_ms())
    yield harmless(f"{record.herd}/{record.pipeline} is deployed: {schedule_told(record.schedule)}")
    if record.paused:
        yield "  it is paused: runi schedule resume lets it go on"
    elif following is not None:
        yield f"  next {told(following, record.schedule.zone)}"


async def _file_before(cluster: Cluster, dag: Dag) -> str:
    """Return the file of what is deployed under this name now, or nothing."""
    found = await cluster.barn.get(deployment_key(dag.herd, dag.pipeline), DeploymentRecord)
    return "" if found is None else found.value.dag.file
