"""`runi schedule pause`, `resume`, `remove`; and which schedule a name means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

import click

from runink.barn.keys import SCHEDULES
from runink.cli.client import NOTHING_YET
from runink.cli.completing import completed_schedules
from runink.cli.options import state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import harmless
from runink.clients.barn import Found
from runink.clients.cluster import Cluster
from runink.clients.schedules import not_deployed, set_paused, undeploy
from runink.errors import NotFound
from runink.runs.schedule_records import ScheduleRecord

T = TypeVar("T")
name_argument: Final = click.argument(
    "name", metavar="[HERD/]NAME", shell_complete=completed_schedules
)


@click.command()
@name_argument
@state_option
def pause(name: str, state: Path | None) -> None:
    """Let ticks pass without a run. Runs under way go on, and so do backfills."""
    record, was = _paused(name, state, paused=True)
    click.echo(harmless(f"{told_name(record)} {'was paused already' if was else 'is paused'}"))


@click.command()
@name_argument
@state_option
def resume(name: str, state: Path | None) -> None:
    """Let ticks make runs again; what passed meanwhile was missed, and is treated as the schedule says."""
    record, was = _paused(name, state, paused=False)
    click.echo(harmless(f"{told_name(record)} {'goes on' if was else 'was not paused'}"))


def _paused(name: str, state: Path | None, *, paused: bool) -> tuple[ScheduleRecord, bool]:
    """Pause or resume a schedule; return it, and whether it was paused before."""

    async def ask(cluster: Cluster, _: Path) -> tuple[ScheduleRecord, bool]:
        record = (await meant(cluster, name)).value
        found, was = await set_paused(cluster.barn, record.herd, record.pipeline, paused=paused)
        return found.value, was

    return of_cluster(name, state, ask)


@click.command()
@name_argument
@state_option
def remove(name: str, state: Path | None) -> None:
    """Take a pipeline out of force, with its backfills. Runs under way go on, and all runs stay."""

    async def ask(cluster: Cluster, _: Path) -> ScheduleRecord:
        record = (await meant(cluster, name)).value
        return await undeploy(cluster.barn, record.herd, record.pipeline)

    record = of_cluster(name, state, ask)
    click.echo(harmless(f"{told_name(record)} is not in force any more"))


def of_cluster(name: str, state: Path | None, ask: Callable[[Cluster, Path], Awaitable[T]]) -> T:
    """Run `ask` with this project's cluster. Raises NotFound (`not_deployed`) where nothing was ever run, either."""
    try:
        return with_cluster(state, ask)
    except NotFound as error:
        if error.code != NOTHING_YET:
            raise
        raise not_deployed(name) from error


def told_name(record: ScheduleRecord) -> str:
    return f"{record.herd}/{record.pipeline}"


async def meant(cluster: Cluster, name: str) -> Found[ScheduleRecord]:
    """Return the schedule that `[HERD/]NAME` means. Raises NotFound."""
    listing = await cluster.barn.range(SCHEDULES.prefix(), ScheduleRecord)
    return chosen(listing.items, name)


def chosen(schedules: Iterable[Found[ScheduleRecord]], name: str) -> Found[ScheduleRecord]:
    """Return the one that is meant. Raises NotFound where none is, or several herds have one."""
    herd, _, plain = name.rpartition("/")
    known = list(schedules)
    found = [one for one in known if one.value.pipeline == plain and herd in ("", one.value.herd)]
    if not found:
        raise not_deployed(name, [told_name(one.value) for one in known])
    if len(found) > 1:
        whose = ", ".join(sorted(one.value.herd for one in found))
        raise NotFound(f"several herds have a {plain}: {whose}", code="which_herd", hint=f"write HERD/{plain}")  # fmt: skip
    return found[0]
