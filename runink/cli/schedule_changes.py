"""`runi schedule pause`, `resume`, `remove`; and which schedule a name means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import click

from runink.cli.asked_runs import herds_of
from runink.cli.asking import Asker, Where, asked, asks_cluster
from runink.cli.client import NOTHING_YET
from runink.cli.completing import completed_schedules
from runink.cli.wording import harmless
from runink.clients.schedules import not_deployed
from runink.errors import NotFound
from runink.operations.catalog import schedules
from runink.operations.catalog.schedules import ScheduleSummary

name_argument: Final = click.argument(
    "name", metavar="[HERD/]NAME", shell_complete=completed_schedules
)


@click.command()
@name_argument
@asks_cluster
def pause(name: str, where: Where) -> None:
    """Let ticks pass without a run. Runs under way go on, and so do backfills."""
    with meant(where, name) as (client, found):
        client.call(schedules.PAUSE, herd=found.herd, pipeline=found.pipeline)
    said = "was paused already" if found.paused else "is paused"
    click.echo(harmless(f"{told_name(found)} {said}"))


@click.command()
@name_argument
@asks_cluster
def resume(name: str, where: Where) -> None:
    """Let ticks make runs again; what passed meanwhile was missed, and is treated as the schedule says."""
    with meant(where, name) as (client, found):
        client.call(schedules.RESUME, herd=found.herd, pipeline=found.pipeline)
    click.echo(harmless(f"{told_name(found)} {'goes on' if found.paused else 'was not paused'}"))


@click.command()
@name_argument
@asks_cluster
def remove(name: str, where: Where) -> None:
    """Take a pipeline out of force, with its backfills. Runs under way go on, and all runs stay."""
    with meant(where, name) as (client, found):
        client.call(schedules.DELETE, herd=found.herd, pipeline=found.pipeline, if_match="*")
    click.echo(harmless(f"{told_name(found)} is not in force any more"))


def told_name(schedule: ScheduleSummary) -> str:
    return f"{schedule.herd}/{schedule.pipeline}"


@contextmanager
def meant(where: Where, name: str) -> Iterator[tuple[Asker, ScheduleSummary]]:
    """Yield whom the command asks, and the schedule that `[HERD/]NAME` means. Raises NotFound (`not_deployed`), also where nothing was ever run."""
    try:
        with asked(where) as client:
            yield client, chosen(listed(client, where), name)
    except NotFound as error:
        if error.code != NOTHING_YET:
            raise
        raise not_deployed(name) from error


def listed(client: Asker, where: Where) -> list[ScheduleSummary]:
    """Return the schedules of the herd that is meant, or of all that are seen."""
    return [
        one for herd in herds_of(client, where) for one in client.call(schedules.LIST, herd=herd)
    ]


def chosen(known: Sequence[ScheduleSummary], name: str) -> ScheduleSummary:
    """Return the one that is meant. Raises NotFound where none is, or several herds have one."""
    herd, _, plain = name.rpartition("/")
    found = [one for one in known if one.pipeline == plain and herd in ("", one.herd)]
    if not found:
        raise not_deployed(name, [told_name(one) for one in known])
    if len(found) > 1:
        whose = ", ".join(sorted(one.herd for one in found))
        raise NotFound(f"several herds have a {plain}: {whose}", code="which_herd", hint=f"write HERD/{plain}")  # fmt: skip
    return found[0]
