"""Commands about runs that are there: `runi runs`, `lineage`, `cancel`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import click

from runink.barn.keys import RUNS
from runink.cli.choosing import Away, also_away
from runink.cli.client import LEAVING, Embedding, age_of, end_of, find_run, open_cluster
from runink.cli.exits import ExitCode
from runink.cli.options import (
    COUNT,
    output_option,
    project_here,
    run_argument,
    slices_by_environment,
    state_folder,
    state_option,
)
from runink.cli.servers import servers_by_environment
from runink.cli.summary import short, told_apart
from runink.cli.wording import clock, echo_json
from runink.clients.cluster import Cluster
from runink.clients.run_documents import row_of, seconds_of
from runink.errors import NotFound, Unavailable
from runink.governance.lineage import rendered
from runink.node import Role
from runink.runs.records import RunRecord, RunState

if TYPE_CHECKING:
    from runink.operations.catalog.runs import RunDocument

T = TypeVar("T")
RUNS_SHOWN: Final = 20  # a screen
NOTHING_YET: Final = "no_runs"
ASKS_MAX: Final = 20
ASK_AGAIN_S: Final = 0.1


def with_cluster(
    state: Path | None,
    ask: Callable[[Cluster, Path], Awaitable[T]],
    *,
    role: Role = Role.STORE,
    makes_state: bool = False,
) -> T:
    """Run `ask` with this project's cluster and state folder, and return what it returns; again, where the cluster that was asked leaves meanwhile.

    Raises NotFound (`no_runs`) where nothing was ever run, unless it `makes_state`.
    """
    folder = state_folder(state, project_here())
    embedding = Embedding(folder, role=role, slices=slices_by_environment())
    if (
        not makes_state
        and servers_by_environment() is None
        and not embedding.settings.barn.exists()
    ):
        # A question makes no state: it may be asked in the wrong folder.
        raise NotFound(
            f"nothing has been run here: there is no {folder}",
            code=NOTHING_YET,
            hint="runi run FILE.dsl makes a run; or is this the wrong folder?",
        )

    async def asked() -> T:
        async with open_cluster(embedding) as cluster:
            return await ask(cluster, folder)

    async def whole() -> T:
        for _ in range(ASKS_MAX - 1):
            try:
                return await asked()
            except Unavailable as error:
                if error.code not in LEAVING:
                    raise
            await anyio.sleep(ASK_AGAIN_S)
        return await asked()

    return anyio.run(whole)


def known_to(state: Path | None, ask: Callable[[Cluster, Path], Awaitable[list[T]]]) -> list[T]:
    """Return what `ask` lists of this project's cluster: nothing where nothing was ever run."""
    try:
        return with_cluster(state, ask)
    except NotFound as error:
        if error.code != NOTHING_YET:
            raise
        return []


@click.command()
@click.option(
    "-n", "--limit", type=COUNT, default=RUNS_SHOWN, show_default=True, help="How many at most."
)
@click.option("--watch", is_flag=True, help="Print what becomes of a herd's runs from now on; of a context alone.")  # fmt: skip
@output_option
@state_option
@also_away
def runs(*, limit: int, watch: bool, output: str, state: Path | None, away: Away | None) -> None:
    """List the runs, newest first."""
    if watch:
        if away is None:
            raise click.UsageError("--watch goes with a context: give --context, or use one")
        from runink.cli.away_runs import watch_runs  # noqa: PLC0415 - as below

        watch_runs(away, output)
        return
    if away is not None:
        from runink.cli.away_runs import list_runs  # noqa: PLC0415 - what asks the API is loaded where it is asked

        list_runs(away, limit, output)
        return

    async def ask(cluster: Cluster, _: Path) -> list[RunRecord]:
        listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
        return sorted((found.value for found in listing.items), key=age_of)

    found = known_to(state, ask)
    shown = found[::-1][:limit]
    if output == "json":
        echo_json([row_of(record) for record in shown])
        return
    if not found:
        click.echo("no runs yet: runi run FILE.dsl makes one", err=True)
    for line in lines_of(shown, found):
        click.echo(line)


def lines_of(shown: Sequence[RunRecord], found: Iterable[RunRecord]) -> Iterator[str]:
    """Return the lines of a list, each with as much of its run's id as names it among all that were found."""
    names = told_apart(one.run for one in found)
    width = max((len(names[one.run]) for one in shown), default=0)
    return (line_of(one, name=f"{names[one.run]:{width}}") for one in shown)


def line_of(record: RunRecord, *, name: str = "") -> str:
    """Return a run as a line of the list."""
    at = clock(record.submitted_ms)
    took = f"{seconds_of(record):.1f} s" if record.ended_ms else ""
    why = record.failure.error.code if record.failure and record.state is RunState.FAILED else ""
    more = f"  {why or record.waits_for}" if why or record.waits_for else ""
    if record.occasion is not None:
        tick = clock(record.occasion.tick_ms)
        more = f" · tick {tick:%Y-%m-%d %H:%M}{more}"
    more = f"{_kin(record)}{more}"
    return (
        f"{name or short(record.run)}  {at:%Y-%m-%d %H:%M:%S}  {record.state.value:<10} {took:>8}  "
        f"{record.pipeline} · {record.herd} · {record.file}{more}"
    )


def _kin(record: RunRecord) -> str:
    """Say which run it goes on from, and which goes on from it or still may."""
    told = ""
    if record.resumes is not None:
        again = f", again from {record.restarted}" if record.restarted else ""
        told = f" · goes on from {short(record.resumes)}{again}"
    if record.resumed_by is not None:
        return f"{told} · {short(record.resumed_by)} goes on from it"
    if record.kept:
        until = clock(record.kept_until_ms)
        return f"{told} · can be resumed until {until:%Y-%m-%d %H:%M}"
    return told


@click.command()
@run_argument
@output_option
@state_option
def lineage(run_id: str, output: str, state: Path | None) -> None:
    """Print what a run read, did and wrote. RUN is an id, its beginning, or `last`."""

    async def ask(cluster: Cluster, _: Path) -> Any:
        record = await find_run(cluster, run_id)
        return await cluster.lineage(record.herd, record.run)

    found = with_cluster(state, ask)
    if output == "json":
        echo_json(found)
    else:
        click.echo("\n".join(rendered(found)))


@click.command()
@run_argument
@output_option
@state_option
@also_away
def cancel(*, run_id: str, output: str, state: Path | None, away: Away | None) -> None:
    """Cancel a run and wait for its end. RUN is an id, its beginning, or `last`.

    Exit code 0 if it was cancelled, 5 if it had ended, or was publishing, before that.
    """
    if away is not None:
        from runink.cli.away_runs import cancel_run  # noqa: PLC0415 - as above

        cancel_run(away, run_id, output)
        return

    async def ask(cluster: Cluster, _: Path) -> tuple[RunState, RunRecord]:
        record = await find_run(cluster, run_id)
        met = record.state
        if not met.is_over:
            met = (await cluster.cancel(record.run)).state
            record = await end_of(cluster, record)
        return met, record

    met, record = with_cluster(state, ask, role=Role.ALL)
    if output == "json":
        echo_json(row_of(record))
    else:
        click.echo(cancel_told(met, record), err=record.state is not RunState.CANCELLED)
    if record.state is not RunState.CANCELLED:
        raise SystemExit(ExitCode.CONFLICT)


def cancel_told(met: RunState, record: RunRecord | RunDocument) -> str:
    """Say what became of a run that was to be cancelled, and if it was not, why. `met` is the state that it was in when it was asked."""
    run = f"run {short(record.run)}"
    if record.state is RunState.CANCELLED:
        return f"{run}: cancelled"
    if met is RunState.COMMITTING:
        return f"{run} was publishing already, which is seen through so that its output is whole: it has {record.state.value}"
    return f"{run} has {record.state.value} already"
