"""`runi slice`: the processes of a run, what closes them off, what they are held to, and what they have used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from runink.cli.client import find_run
from runink.cli.commands import Commands
from runink.cli.logs import check_slice, slices_of
from runink.cli.options import output_option, run_argument, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import clock, echo_json, harmless
from runink.clients.cluster import Cluster
from runink.clients.run_documents import slice_document, slice_span
from runink.clients.run_requests import Used
from runink.dag import Limit
from runink.herds.admission import OF_THE_HERD
from runink.names import SliceId
from runink.quantities import (
    counted,
    format_bytes,
    format_cpu,
    format_duration,
    format_mebibytes,
    format_memory,
    format_seconds,
)
from runink.runs.limits import BY_HERD, limits_met
from runink.runs.pausing import FOREVER_MS
from runink.runs.records import Exit, Printed, SliceRecord, SliceState, Tries

SLICE_COMMANDS: Final = {
    "list": ("runink.cli.slices:list_", "List a run's slices."),
    "get": ("runink.cli.slices:get", "Print all that is known of a slice."),
}  # fmt: skip
_COLUMN: Final = 14  # for the names of what is told
_FORMATS: Final[dict[str, Callable[[int], str]]] = {
    "cpu": format_cpu,
    "memory": format_memory,
    "processes": str,
    "disk": format_memory,
    "io": format_memory,
    "wall_time": format_duration,
}
_KEPT_BY: Final = {
    "cpu": "cgroup.cpu",
    "memory": "cgroup.memory",
    "processes": "cgroup.pids",
    "io": "cgroup.io",
}


class SliceCommands(Commands):
    table = SLICE_COMMANDS


@click.command("slice", cls=SliceCommands)
def slice_() -> None:
    """Look at a run's slices: what closes them off and what they have used."""


@click.command("list")
@run_argument
@output_option
@state_option
def list_(run_id: str, output: str, state: Path | None) -> None:
    """List the slices of RUN: an id, its beginning, or `last`."""
    found, used = _found(run_id, state)
    if output == "json":
        echo_json([slice_document(one, used.get(one.slice)) for one in found])
        return
    names = max((len(one.slice) for one in found), default=0)
    for one in found:
        isolation = one.sealed.get("isolation", "-")
        node = f"{one.node or '-'}  isolation {isolation:<5}"
        told = _totals(one.exit) if one.exit else ""
        if one.slice in used:
            told = _uses(used[one.slice])
        again = f"attempt {one.attempt}  " if one.attempt > 1 else ""
        click.echo(f"{one.slice:<{names}}  {one.state.value:<10} {node}  {again}{told}".rstrip())


@click.command()
@run_argument
@click.argument("name", metavar="SLICE")
@output_option
@state_option
def get(run_id: str, name: str, output: str, state: Path | None) -> None:
    """Print all that is known of a slice of RUN."""
    slices, used = _found(run_id, state)
    check_slice(name, slices)
    found = next(one for one in slices if one.slice == name)
    if output == "json":
        echo_json(slice_document(found, used.get(found.slice)))
        return
    for what, text in lines_of(found, used.get(found.slice)):
        click.echo(f"{what:{_COLUMN}}{text}")


def _found(run_id: str, state: Path | None) -> tuple[list[SliceRecord], dict[SliceId, Used]]:
    """Return a run's slices, and what those that run have used."""

    async def ask(cluster: Cluster, _: Path) -> tuple[list[SliceRecord], dict[SliceId, Used]]:
        record = await find_run(cluster, run_id)
        is_watched = cluster.runs is not None and not record.state.is_over
        used = (await cluster.look(record.run)).used if is_watched else {}
        return list(await slices_of(cluster, record)), used

    return with_cluster(state, ask)


def lines_of(record: SliceRecord, used: Used | None = None) -> Iterator[tuple[str, str]]:
    """Say all that is known of a slice, a name and a text a line."""
    yield "slice", record.slice
    yield "state", f"{record.state.value}, attempt {record.attempt} on {record.node or 'no node'}"
    if record.waits_for:
        yield "waits for", record.waits_for
    if record.state is SliceState.PENDING and 0 < record.not_before_ms < FOREVER_MS:
        yield "begins", f"{begins_at(record)} at the soonest"
    if record.tries.why:
        yield "before", _before(record.tries)
    for earlier in record.earlier:
        ended = f", {earlier.fault.value}" if earlier.fault.value else ""
        yield "was", f"attempt {earlier.attempt} on {earlier.node}{ended}"
    if record.pid:
        yield "process", str(record.pid)
    if record.exit is not None:
        yield "ended", _ended(record.exit)
        yield "used", _used(record.exit)
        switches = _switches(record.exit)
        if switches:
            yield "switches", switches
    elif used is not None:
        yield "used", _uses(used)
    if record.printed.lines:
        yield "printed", _printed(record.printed)
    yield "trace", slice_span(record).traceparent
    yield from _limit_lines(record)
    for line in limits_met(record):
        yield "met", line
    yield from record.sealed.items()
    for path, mode in record.shown.items():
        yield "shown", f"{mode} {path}"


def begins_at(record: SliceRecord) -> str:
    """Return when a slice that waits for its next attempt may begin, by this machine's clock."""
    at = clock(record.not_before_ms)
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _before(tries: Tries) -> str:
    """Say what came of the attempts before."""
    parts = [f"{name} failed {counted(times, 'time')}" for name, times in tries.failures.items()]
    if tries.losses:
        parts.append(f"lost {counted(tries.losses, 'time')}")
    return harmless(f"{', '.join(parts)}; the last: [{tries.code}] {tries.why}")


def _ended(found: Exit) -> str:
    how = f"signal {found.signal}" if found.signal else f"code {found.code}"
    allowed = f", allowed {format_seconds(found.wall_time_s)}" if found.wall_time_s else ""
    return f"{found.cause} with {how}, after {found.wall_s:.1f} s{allowed}"


def _switches(found: Exit) -> str:
    """Say how often its threads were taken off their cores, if anybody counted that."""
    waits, forced = found.voluntary_switches, found.involuntary_switches
    return "" if waits is None or forced is None else f"{waits:,} voluntary, {forced:,} involuntary"


def _totals(found: Exit) -> str:
    """Say all that it used in one line."""
    switches = _switches(found)
    return f"{_used(found)}, switches {switches}" if switches else _used(found)


def _used(found: Exit) -> str:
    io = f"read {format_bytes(found.read_bytes)}, written {format_bytes(found.written_bytes)}"
    waited = f", throttled {found.throttled_s:.2f} s" if found.throttled_s else ""
    memory = format_mebibytes(found.memory_bytes_max)
    return f"cpu {found.cpu_s:.2f} s{waited}, memory {memory}, {io}"


def _uses(found: Used) -> str:
    """Say what a slice that runs had used when it was last looked at."""
    io = f"read {format_bytes(found.read_bytes)}, written {format_bytes(found.written_bytes)}"
    waited = f", throttled {found.throttled_s:.2f} s" if found.throttled_s else ""
    memory = f"memory now {format_mebibytes(found.memory_bytes)}"
    tasks = f"{found.processes} processes and threads"
    return f"cpu {found.cpu_s:.2f} s{waited}, {memory}, {tasks}, {io}"


def _printed(found: Printed) -> str:
    lost = f", {format_bytes(found.dropped_bytes)} lost" if found.dropped_bytes else ""
    slowed = f", held up for {found.slowed_s:.1f} s" if found.slowed_s else ""
    return f"{counted(found.lines, 'line')}, {format_bytes(found.written_bytes)} kept{lost}{slowed}"


def _limit_lines(record: SliceRecord) -> Iterator[tuple[str, str]]:
    """Say what it was held to, by whom, and whether anything kept it to that."""
    for name, limit in msgspec.structs.asdict(record.limits).items():
        if isinstance(limit, Limit):
            amount = _FORMATS[name](limit.amount)
            kept = _kept(record, name) if name != "wall_time" else ""
            word = "@timeout" if name == "wall_time" else "@requires"
            by = BY_HERD if limit.line == OF_THE_HERD else f"{word} in line {limit.line}"
            yield "limit", f"{name} {amount}, from {by}{kept}"
    herd = record.herd_limits
    amounts = (("cpu", herd.cpu_m), ("memory", herd.memory_bytes))
    for name, number in ((name, number) for name, number in amounts if number):
        amount = _FORMATS[name](number)
        yield "limit", f"{name} {amount} for all of herd {record.herd}{_kept(record, name)}"


def _kept(record: SliceRecord, name: str) -> str:
    """Say where a limit is only said: the slice was a plain process, or its machine has no such controller."""
    if not record.sealed:
        return ""
    key = _KEPT_BY.get(name)
    is_kept = record.sealed.get(key, "none") != "none" if key else is_closed(record)
    return "" if is_kept else ", which nothing enforces"


def is_closed(record: SliceRecord) -> bool:
    """Say whether the slice was isolated, wholly or in part."""
    return record.sealed.get("isolation", "none") != "none"
