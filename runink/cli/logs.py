"""`runi logs`: what a run's slices printed, in the order of time; as it comes, with `--follow`."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import click
import msgspec

from runink.barn.keys import SLICES
from runink.cli.choosing import Away, also_away
from runink.cli.client import end_of, find_run
from runink.cli.exits import first_of
from runink.cli.node_files import Fetched, end_missing, fetched
from runink.cli.options import output_option, run_argument, state_option
from runink.cli.runs import with_cluster
from runink.cli.summary import failure_lines, short
from runink.cli.wording import JsonRows, clock, harmless
from runink.clients.cluster import Cluster
from runink.clients.kept_logs import Chosen
from runink.errors import NotFound, Unavailable
from runink.observe.slice_logs import LogLine, log_path
from runink.runs.records import RunRecord, RunState, SliceRecord

if TYPE_CHECKING:
    from runink.operations.catalog.logs import LogLine as ApiLine

FETCH_S: Final = 1.0  # for news of a node elsewhere, before the slices are looked at again
LOOK_S: Final = 0.2  # how late a line may be with --follow


@click.command()
@run_argument
@click.option("--slice", "slice_id", metavar="SLICE", help="Only this slice's lines.")
@click.option("--attempt", type=click.IntRange(1), help="Only this attempt's lines, from 1.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@output_option
@state_option
@also_away
def logs(  # noqa: PLR0913 - an option each
    *,
    run_id: str,
    slice_id: str | None,
    attempt: int | None,
    follow: bool,
    output: str,
    state: Path | None,
    away: Away | None,
) -> None:
    """Print what a run's slices printed, oldest first. RUN is an id, its beginning, or `last`."""
    if away is not None:
        from runink.cli.away_runs import print_logs  # noqa: PLC0415 - what asks the API is loaded where it is asked

        print_logs(away, run_id, slice_id, attempt, follows=follow, output=output)
        return
    chosen = Chosen(slice_id, attempt)
    printer: Printer | None = None  # goes on where it was, should the cluster leave meanwhile

    async def ask(cluster: Cluster, folder: Path) -> tuple[RunRecord, int, Unavailable | None]:
        nonlocal printer
        record = await find_run(cluster, run_id)
        slices = await slices_of(cluster, record)
        if slice_id is not None:
            check_slice(slice_id, slices)
        if not (follow and not record.state.is_over):
            check_attempt(chosen, slices)
        with fetched(cluster, record) as files:
            if printer is None:
                printer = Printer(record, chosen, as_json=output == "json")
            printer.reads(folder if files is None else files.folder)
            if follow and not record.state.is_over:
                record = await _followed(cluster, record, printer, files)
            await _print_new(cluster, record, printer, files)
            return record, printer.end(), None if files is None else files.missing_now()

    record, printed, missing = with_cluster(state, ask)
    if output != "json":
        _tell_end(record, printed)
    end_missing(missing, output)


def _tell_end(record: RunRecord, printed: int) -> None:
    if not printed and record.state is RunState.SUCCEEDED:
        click.echo(f"run {short(record.run)} printed nothing", err=True)
    if record.state is RunState.CANCELLED:
        click.echo(f"run {short(record.run)}: cancelled", err=True)
    elif record.failure is not None:
        click.echo("\n".join(failure_lines(record.failure)), err=True)


async def _print_new(
    cluster: Cluster,
    record: RunRecord,
    printer: Printer,
    files: Fetched | None,
    *,
    wait_s: float = 0.0,
) -> None:
    """Print what has come since; what lies elsewhere is fetched before, and waited for so long."""
    slices = await slices_of(cluster, record)
    if files is not None:
        await files.logs(slices, printer.chosen, wait_s=wait_s)
    printer.print_new(slices)


async def slices_of(cluster: Cluster, record: RunRecord) -> tuple[SliceRecord, ...]:
    """Return a run's slices as they stand."""
    listing = await cluster.barn.range(SLICES.prefix(record.herd, record.run), SliceRecord)
    return tuple(found.value for found in listing.items)


def check_slice(name: str, slices: Iterable[SliceRecord]) -> None:
    """Raise NotFound, with those that there are, if none has the name."""
    names = [one.slice for one in slices]
    if name not in names:
        raise NotFound(
            f"the run has no slice {name}",
            code="no_such_slice",
            hint=f"its slices: {', '.join(names) or 'none yet'}",
        )


def check_attempt(chosen: Chosen, slices: Iterable[SliceRecord]) -> None:
    """Raise NotFound if none of the slices that are wanted has been tried so often."""
    tried = max((one.attempt for one in slices if chosen.slice in (None, one.slice)), default=0)
    if chosen.attempt is not None and chosen.attempt > tried:
        what = "the run" if chosen.slice is None else f"slice {chosen.slice}"
        raise NotFound(
            f"{what} has no attempt {chosen.attempt}",
            code="no_such_attempt",
            hint=f"the last was attempt {tried}" if tried else "nothing of it has begun",
        )


async def _followed(
    cluster: Cluster, record: RunRecord, printer: Printer, files: Fetched | None
) -> RunRecord:
    """Print lines as they come, up to the run's end, and return how it ended."""
    last = record

    async def wait_for_end() -> None:
        nonlocal last
        last = await end_of(cluster, record)
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_end)
            while True:  # ends with the run
                await _print_new(cluster, record, printer, files, wait_s=FETCH_S)
                await anyio.sleep(LOOK_S)
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors
    return last


class Printer:
    """Prints the lines of a run's slices that it has not printed yet, in the order of their time."""

    def __init__(self, run: RunRecord, chosen: Chosen, *, as_json: bool) -> None:
        self.chosen = chosen
        self._run = run.run
        self._folder = Path()
        self._about = {"herd": run.herd, "run": run.run}
        self._rows = JsonRows() if as_json else None
        self._read: dict[str, int] = {}  # bytes, by the file's name
        self._printed = 0

    def reads(self, state: Path) -> None:
        """Read what lies in this folder from now on; what is printed already is not printed again."""
        self._folder = state / "runs" / self._run

    def print_new(self, slices: Iterable[SliceRecord]) -> None:
        found = [
            self._new(one, attempt) for one in slices for attempt in self.chosen.attempts_of(one)
        ]
        for one, attempt, line in heapq.merge(*found, key=lambda row: row[2].at_ms):
            self._printed += 1
            if self._rows is not None:
                where = {"slice": one.slice, "attempt": attempt, "node": one.node_of(attempt)}
                self._rows.add({**self._about, **where, **msgspec.to_builtins(line)})
            else:
                click.echo(text_of(one.slice, attempt, line))

    def end(self) -> int:
        """Say that this was all, and return how many lines it was."""
        if self._rows is not None:
            self._rows.end()
        return self._printed

    def _new(self, one: SliceRecord, attempt: int) -> Iterator[tuple[SliceRecord, int, LogLine]]:
        path = log_path(self._folder, one.slice, attempt)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._read.get(path.name, 0))
            for text in file:
                if not text.endswith(b"\n"):
                    return  # it is being written
                self._read[path.name] = file.tell()
                try:
                    line = _decode(text)
                except msgspec.DecodeError:
                    continue  # it was cut by a crash
                yield one, attempt, line


_decode: Any = msgspec.json.Decoder(LogLine).decode


def text_of(name: str, attempt: int, line: LogLine | ApiLine) -> str:
    """Return a line as people read it."""
    at = clock(line.at_ms)
    again = f" (attempt {attempt})" if attempt > 1 else ""
    return f"{at:%H:%M:%S}.{line.at_ms % 1000:03} {name}{again} {line.stream.value}: {harmless(line.text)}"
