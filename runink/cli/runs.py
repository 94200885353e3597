"""Commands about runs that are there: `runi runs`, `logs`, `lineage`, `cancel`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import click
import msgspec

from runink.barn.keys import RUNS, SLICES
from runink.cli.client import Embedding, find_run, open_cluster
from runink.cli.exits import ExitCode
from runink.cli.options import output_option, project_here, run_argument, state_folder, state_option
from runink.cli.summary import failure_lines, seconds_of, short
from runink.clients.cluster import Cluster
from runink.governance.lineage import rendered
from runink.names import RunId
from runink.node import Role
from runink.observe.slice_logs import LogLine, log_path, read_log
from runink.runs.records import RunRecord, SliceRecord

T = TypeVar("T")
RUNS_SHOWN: Final = 20  # a screen


def with_cluster(
    state: Path | None, ask: Callable[[Cluster, Path], Awaitable[T]], *, role: Role = Role.STORE
) -> T:
    """Run `ask` with this project's cluster and state folder, and return what it returns."""
    folder = state_folder(state, project_here())

    async def whole() -> T:
        async with open_cluster(Embedding(folder, role=role)) as cluster:
            return await ask(cluster, folder)

    return anyio.run(whole)


@click.command()
@click.option("-n", "--limit", default=RUNS_SHOWN, show_default=True, help="How many.")
@output_option
@state_option
def runs(limit: int, output: str, state: Path | None) -> None:
    """List the runs, newest first."""

    async def ask(cluster: Cluster, _: Path) -> list[RunRecord]:
        listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
        return sorted((found.value for found in listing.items), key=lambda one: one.run)

    found = with_cluster(state, ask)[::-1][:limit]
    if output == "json":
        click.echo(msgspec.json.encode([_row(record) for record in found]))
        return
    if not found:
        click.echo("no runs yet: runi run FILE.dsl makes one")
    for record in found:
        at = datetime.fromtimestamp(record.submitted_ms / 1000, UTC).astimezone()
        took = f"{seconds_of(record):.1f} s" if record.ended_ms else record.waits_for
        click.echo(
            f"{short(record.run)}  {at:%Y-%m-%d %H:%M:%S}  {record.state.value:<10} {took:>8}  "
            f"{record.pipeline} · {record.herd} · {record.file}"
        )


def _row(record: RunRecord) -> dict[str, Any]:
    return {
        "run": record.run,
        "pipeline": record.pipeline,
        "herd": record.herd,
        "file": record.file,
        "state": record.state.value,
        "submitted_ms": record.submitted_ms,
        "seconds": round(seconds_of(record), 3),
        "waits_for": record.waits_for,
        "error": record.failure.error.code if record.failure else None,
    }


@click.command()
@run_argument
@click.option("--slice", "slice_id", help="Only this slice's lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@output_option
@state_option
def logs(
    run_id: str,
    slice_id: str | None,
    follow: bool,  # noqa: FBT001 - click gives it by name
    output: str,
    state: Path | None,
) -> None:
    """Print what a run's slices printed, oldest first. RUN is an id, its beginning, or `last`."""

    async def ask(cluster: Cluster, folder: Path) -> RunRecord:
        record = await find_run(cluster, run_id)
        printer = _Printer(folder / "runs" / record.run, slice_id, as_json=output == "json")
        if follow and not record.state.is_over:
            async for view in cluster.follow(record.run):
                printer.print_new(view.slices)
                record = view.record
        printer.print_new(await _slices(cluster, record))
        return record

    record = with_cluster(state, ask)
    if record.failure is not None and output == "text":
        click.echo("\n".join(failure_lines(record.failure)), err=True)


async def _slices(cluster: Cluster, record: RunRecord) -> tuple[SliceRecord, ...]:
    listing = await cluster.barn.range(SLICES.prefix(record.herd, record.run), SliceRecord)
    return tuple(found.value for found in listing.items)


class _Printer:
    """Prints the lines of a run's slices that it has not printed yet, in the order of their time."""

    def __init__(self, folder: Path, slice_id: str | None, *, as_json: bool) -> None:
        self._folder = folder
        self._slice_id = slice_id
        self._as_json = as_json
        self._printed: dict[Path, int] = {}

    def print_new(self, slices: tuple[SliceRecord, ...]) -> None:
        found = [
            (line.at_ms, name, attempt, line)
            for one in slices
            if self._slice_id in (None, one.slice)
            for attempt in range(1, one.attempt + 1)
            for name, line in self._new(one.slice, attempt)
        ]
        for _, name, attempt, line in sorted(found, key=lambda row: row[0]):
            click.echo(self._text(name, attempt, line))

    def _new(self, name: str, attempt: int) -> Iterator[tuple[str, LogLine]]:
        path = log_path(self._folder, name, attempt)
        if not path.exists():
            return
        lines = list(read_log(path))
        done = self._printed.get(path, 0)
        self._printed[path] = len(lines)
        for line in lines[done:]:
            yield name, line

    def _text(self, name: str, attempt: int, line: LogLine) -> str:
        if self._as_json:
            row = {"slice": name, "attempt": attempt, **msgspec.to_builtins(line)}
            return msgspec.json.encode(row).decode()
        at = datetime.fromtimestamp(line.at_ms / 1000, UTC).astimezone()
        again = f" (attempt {attempt})" if attempt > 1 else ""
        return (
            f"{at:%H:%M:%S}.{line.at_ms % 1000:03} {name}{again} {line.stream.value}: {line.text}"
        )


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
        click.echo(msgspec.json.encode(found))
    else:
        click.echo("\n".join(rendered(found)))


@click.command()
@run_argument
@state_option
def cancel(run_id: str, state: Path | None) -> None:
    """Cancel a run and wait for its end. RUN is an id, its beginning, or `last`."""

    async def ask(cluster: Cluster, _: Path) -> RunRecord:
        record = await find_run(cluster, run_id)
        if record.state.is_over:
            return record
        await cluster.cancel(record.run)
        async for view in cluster.follow(RunId(record.run)):
            record = view.record
        return record

    record = with_cluster(state, ask, role=Role.ALL)
    click.echo(f"run {short(record.run)}: {record.state.value}")
    if record.state.value != "cancelled":
        raise SystemExit(ExitCode.CONFLICT)
