"""Commands about runs that are there: `runi runs`, `lineage`, `cancel`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import click
import msgspec

from runink.cli.asked_runs import end_of_run, find_run, herds_of, newest_of
from runink.cli.asking import Asker, Where, asked, asks_cluster
from runink.cli.client import (
    LEAVING,
    NOTHING_YET,
    Embedding,
    check_has_state,
    open_cluster,
)
from runink.cli.exits import ExitCode
from runink.cli.options import (
    COUNT,
    project_here,
    run_argument,
    slices_by_environment,
    state_folder,
)
from runink.cli.output import echo_documents, echo_event, shown_option
from runink.cli.summary import short, told_apart
from runink.cli.wording import clock, harmless
from runink.clients.cluster import Cluster
from runink.clients.run_documents import row_of
from runink.config import Role
from runink.errors import NotFound, Unavailable
from runink.operations.catalog import runs as catalog
from runink.operations.catalog.run_events import WATCH
from runink.operations.catalog.runs import RunSummary
from runink.runs.records import RunRecord, RunState
from runink.runs.retention import age_of

if TYPE_CHECKING:
    from runink.operations.catalog.runs import RunDocument

T = TypeVar("T")
RUNS_SHOWN: Final = 20  # a screen
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
    if not makes_state:
        check_has_state(embedding)

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
@click.option("--watch", is_flag=True, help="Print what becomes of a herd's runs from now on.")
@shown_option
@asks_cluster
def runs(*, limit: int, watch: bool, output: str, where: Where) -> None:
    """List the runs, newest first."""
    try:
        with asked(where) as client:
            if watch:
                _watch(client, where.herd(), output)
                return
            found = _listed(client, where, limit)
    except NotFound as error:
        if error.code != NOTHING_YET:
            raise
        found = []
    if echo_documents(found, output, lambda one: one.run):
        return
    if not found:
        click.echo(_none(where), err=True)
    for line in lines_of(found):
        click.echo(harmless(line))


def _none(where: Where) -> str:
    if where.scope:
        return f"no runs in {where.scope}"
    if where.context is not None:
        return "no runs in any herd that you see"
    return "no runs yet: runi run FILE.dsl makes one"


def _listed(client: Asker, where: Where, limit: int) -> list[RunSummary]:
    found = [one for herd in herds_of(client, where) for one in newest_of(client, herd, limit)]
    return sorted(found, key=age_of, reverse=True)[:limit]


def _watch(client: Asker, herd: str, output: str) -> None:
    since = client.page(catalog.LIST, herd=herd, limit=1).revision
    with client.call(WATCH, herd=herd, since=since) as events:
        for event in events:
            now = event.data.now
            line = f"{short(event.data.run)}  forgotten" if now is None else summary_line(now)
            echo_event(event.data, output, event.data.run, line)


def lines_of(shown: Sequence[RunSummary]) -> Iterator[str]:
    """Return the lines of a list, each with as much of its run's id as tells it from the others."""
    names = told_apart(one.run for one in shown)
    width = max((len(names[one.run]) for one in shown), default=0)
    return (summary_line(one, name=f"{names[one.run]:{width}}") for one in shown)


def summary_line(run: RunSummary, *, name: str = "") -> str:
    """Return a run as a line of the list."""
    took = f"{run.seconds:.1f} s" if run.state.is_over else ""
    why = (run.error if run.state is RunState.FAILED else "") or run.waits_for
    more = f"  {why}" if why else ""
    if run.tick_ms is not None:
        more = f" · tick {clock(run.tick_ms):%Y-%m-%d %H:%M}{more}"
    more = f"{_kin(run)}{more}"
    return (
        f"{name or short(run.run)}  {clock(run.submitted_ms):%Y-%m-%d %H:%M:%S}  {run.state.value:<10} {took:>8}  "
        f"{run.pipeline} · {run.herd} · {run.file}{more}"
    )


def summary_by_record(record: RunRecord) -> RunSummary:
    """Return what the API says of a run in a list, by its record."""
    return msgspec.convert({**row_of(record), "revision": 0}, RunSummary)


def _kin(run: RunSummary) -> str:
    """Say which run it goes on from, and which goes on from it or still may."""
    told = ""
    if run.resumes is not None:
        again = f", again from {run.restarted}" if run.restarted else ""
        told = f" · goes on from {short(run.resumes)}{again}"
    if run.resumed_by is not None:
        return f"{told} · {short(run.resumed_by)} goes on from it"
    if run.kept_until_ms is not None:
        return f"{told} · can be resumed until {clock(run.kept_until_ms):%Y-%m-%d %H:%M}"
    return told


@click.command()
@run_argument
@shown_option
@asks_cluster
def cancel(*, run_id: str, output: str, where: Where) -> None:
    """Cancel a run and wait for its end. RUN is an id, its beginning, or `last`.

    Exit code 0 if it was cancelled, 5 if it had ended, or was publishing, before that.
    """
    with asked(where, role=Role.ALL) as client:
        met = find_run(client, where, run_id)
        end: RunDocument = client.call(catalog.GET, herd=met.herd, run=met.run)
        if not met.state.is_over:
            met = client.call(catalog.CANCEL, herd=met.herd, run=met.run)
            end = end_of_run(client, met)
    if not echo_documents(end, output, lambda one: one.run):
        click.echo(cancel_told(met.state, end), err=end.state is not RunState.CANCELLED)
    if end.state is not RunState.CANCELLED:
        raise SystemExit(ExitCode.CONFLICT)


def cancel_told(met: RunState, record: RunDocument) -> str:
    """Say what became of a run that was to be cancelled, and if it was not, why. `met` is the state that it was in when it was asked."""
    run = f"run {short(record.run)}"
    if record.state is RunState.CANCELLED:
        return f"{run}: cancelled"
    if met is RunState.COMMITTING:
        return f"{run} was publishing already, which is seen through so that its output is whole: it has {record.state.value}"
    return f"{run} has {record.state.value} already"
