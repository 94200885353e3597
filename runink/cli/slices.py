"""`runi slice`: the processes of a run, what closes them off, what they are held to, and what they have used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import click
import msgspec

from runink.cli.asked_runs import find_run
from runink.cli.asking import Where, asked, asks_cluster
from runink.cli.commands import Commands
from runink.cli.options import run_argument
from runink.cli.output import echo_documents, shown_option
from runink.cli.wording import clock, harmless
from runink.clients.run_requests import Used
from runink.dag import Limit, Limits
from runink.herds.admission import OF_THE_HERD
from runink.operations.catalog import slices
from runink.operations.catalog.slices import SliceDocument, SliceSummary
from runink.quantities import (
    counted,
    format_bytes,
    format_cpu,
    format_duration,
    format_mebibytes,
    format_memory,
    format_seconds,
)
from runink.runs.limits import BY_HERD
from runink.runs.pausing import FOREVER_MS
from runink.runs.records import Exit, HerdLimits, Printed, SliceRecord, SliceState, Tries
from runink.runs.traces import Span

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
@shown_option
@asks_cluster
def list_(run_id: str, output: str, where: Where) -> None:
    """List the slices of RUN: an id, its beginning, or `last`."""
    with asked(where) as client:
        run = find_run(client, where, run_id)
        found: list[SliceSummary] = list(client.call(slices.LIST, herd=run.herd, run=run.run))
    if echo_documents(found, output, lambda one: one.slice):
        return
    names = max((len(one.slice) for one in found), default=0)
    for one in found:
        node = f"{one.node or '-'}  isolation {one.isolation or '-':<5}"
        told = ""
        if one.exit is not None:
            told = _totals(msgspec.convert(one.exit, Exit))
        elif one.used is not None:
            told = _uses(msgspec.convert(one.used, Used))
        again = f"attempt {one.attempt}  " if one.attempt > 1 else ""
        click.echo(f"{one.slice:<{names}}  {one.state.value:<10} {node}  {again}{told}".rstrip())


@click.command()
@run_argument
@click.argument("name", metavar="SLICE")
@shown_option
@asks_cluster
def get(run_id: str, name: str, output: str, where: Where) -> None:
    """Print all that is known of a slice of RUN."""
    with asked(where) as client:
        run = find_run(client, where, run_id)
        found: SliceDocument = client.call(slices.GET, herd=run.herd, run=run.run, slice=name)
    if echo_documents(found, output, lambda one: one.slice):
        return
    for what, text in lines_of(found):
        click.echo(f"{what:{_COLUMN}}{harmless(text)}")


def lines_of(found: SliceDocument) -> Iterator[tuple[str, str]]:
    """Say all that is known of a slice, a name and a text a line."""
    yield "slice", found.slice
    yield "state", f"{found.state.value}, attempt {found.attempt} on {found.node or 'no node'}"
    if found.waits_for:
        yield "waits for", found.waits_for
    if found.state is SliceState.PENDING and 0 < found.not_before_ms < FOREVER_MS:
        yield "begins", f"{begins_at(found)} at the soonest"
    tries = msgspec.convert(found.tries, Tries)
    if tries.why:
        yield "before", _before(tries)
    for earlier in found.earlier:
        ended = f", {earlier.fault}" if earlier.fault else ""
        yield "was", f"attempt {earlier.attempt} on {earlier.node}{ended}"
    if found.pid:
        yield "process", str(found.pid)
    yield from _use_lines(found)
    printed = msgspec.convert(found.printed, Printed)
    if printed.lines:
        yield "printed", _printed(printed)
    yield "trace", Span(found.trace_id, found.span_id).traceparent
    yield from _limit_lines(found)
    for line in found.limits_met:
        yield "met", line
    yield from found.sealed.items()
    for path, mode in found.shown.items():
        yield "shown", f"{mode} {path}"


def _use_lines(found: SliceDocument) -> Iterator[tuple[str, str]]:
    if found.exit is None:
        if found.used is not None:
            yield "used", _uses(msgspec.convert(found.used, Used))
        return
    end = msgspec.convert(found.exit, Exit)
    yield "ended", _ended(end)
    yield "used", _used(end)
    if switches := _switches(end):
        yield "switches", switches


def begins_at(record: SliceDocument | SliceRecord) -> str:
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


def _limit_lines(found: SliceDocument) -> Iterator[tuple[str, str]]:
    """Say what it was held to, by whom, and whether anything kept it to that."""
    limits = msgspec.convert(found.limits, Limits)
    for name, limit in msgspec.structs.asdict(limits).items():
        if isinstance(limit, Limit):
            amount = _FORMATS[name](limit.amount)
            kept = _kept(found.sealed, name) if name != "wall_time" else ""
            word = "@timeout" if name == "wall_time" else "@requires"
            by = BY_HERD if limit.line == OF_THE_HERD else f"{word} in line {limit.line}"
            yield "limit", f"{name} {amount}, from {by}{kept}"
    herd = msgspec.convert(found.herd_limits, HerdLimits)
    amounts = (("cpu", herd.cpu_m), ("memory", herd.memory_bytes))
    for name, number in ((name, number) for name, number in amounts if number):
        amount = _FORMATS[name](number)
        yield "limit", f"{name} {amount} for all of herd {found.herd}{_kept(found.sealed, name)}"


def _kept(sealed: Mapping[str, str], name: str) -> str:
    """Say where a limit is only said: the slice was a plain process, or its machine has no such controller."""
    if not sealed:
        return ""
    key = _KEPT_BY.get(name)
    is_kept = sealed.get(key, "none") != "none" if key else is_closed(sealed)
    return "" if is_kept else ", which nothing enforces"


def is_closed(sealed: Mapping[str, str]) -> bool:
    """Say whether a slice was isolated, wholly or in part."""
    return sealed.get("isolation", "none") != "none"
