"""What limits did to a slice, in words with numbers: which, how much of it was used, and who set it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from runink.dag import Limit
from runink.herds.admission import OF_THE_HERD
from runink.jobs import Failed
from runink.quantities import counted, format_mebibytes
from runink.runs.records import RunRecord, SliceRecord

OUT_OF_MEMORY: Final = "out_of_memory"
SCRATCH_FULL: Final = "scratch_full"
NEAR: Final = 0.9  # of a limit: the kernel ends a process that asks for more than is left
WAITED_PART: Final = (
    0.1  # of its time: a slice that waited less for its part of the cores has something else to say
)
BY_HERD: Final = "[quotas.slice] of its herd"
EVERY_SLICE: Final = "that every slice has; @requires({}=…) asks for another"


def limits_met(record: SliceRecord) -> tuple[str, ...]:
    """Return a line for each limit that the slice met before its end, if it has ended."""
    return tuple(_met(record))


def wall_time_s(run: RunRecord, record: SliceRecord) -> float:
    """Return how long a slice may take: the lesser of what its pipeline and whoever runs it allow, 0 for ever."""
    limit = record.limits.wall_time
    allowed = [run.wall_time_s, limit.amount / 1000 if limit is not None else 0.0]
    return min((one for one in allowed if one), default=0.0)


def _met(record: SliceRecord) -> Iterator[str]:
    if record.exit is None:
        return
    code = record.report.error.code if isinstance(record.report, Failed) else ""
    if record.exit.oom_kills or record.exit.cause == "oom" or code == OUT_OF_MEMORY:
        yield memory_met(record)
    if record.exit.processes_refused:
        yield _processes_met(record)
    if code == SCRATCH_FULL:
        yield _scratch_met(record)
    waited = waited_for_cpu(record)
    if waited:
        yield waited
    slowed = slowed_down(record)
    if slowed:
        yield slowed


def memory_met(record: SliceRecord) -> str:
    """Say how much memory a slice had used when there was no more, and of what."""
    used_bytes = record.exit.memory_bytes_max if record.exit is not None else 0
    used = format_mebibytes(used_bytes)
    limit, herd_bytes = record.limits.memory, record.herd_limits.memory_bytes
    if limit is not None and (used_bytes >= NEAR * limit.amount or not herd_bytes):
        return f"used {used} of {format_mebibytes(limit.amount)}, {by(limit)}"
    if herd_bytes:
        herd = f"herd {record.herd} was at its {format_mebibytes(herd_bytes)} on the node"
        return f"used {used} when {herd}, limit from its [quotas]"
    return f"used {used}, without a limit of its own: the machine had no more"


def _processes_met(record: SliceRecord) -> str:
    assert record.exit is not None
    refused = counted(record.exit.processes_refused, "time")
    limit = record.limits.processes
    told = (
        f"{limit.amount} at most, {by(limit)}"
        if limit
        else f"the limit {EVERY_SLICE.format('processes')}"
    )
    return f"a process or thread more than it may have was refused {refused}: {told}"


def _scratch_met(record: SliceRecord) -> str:
    limit = record.limits.disk
    if limit is None:
        return f"its /tmp has the size {EVERY_SLICE.format('disk')}"
    return f"its /tmp holds {format_mebibytes(limit.amount)}, {by(limit)}"


def waited_for_cpu(record: SliceRecord) -> str:
    """Say for how much of its time a slice had used up its part of the cores, if that is worth a word."""
    found, limit = record.exit, record.limits.cpu
    if found is None or limit is None or found.throttled_s < WAITED_PART * max(found.wall_s, 1.0):
        return ""
    noun = "of a core" if limit.amount < 1000 else "core" if limit.amount == 1000 else "cores"
    share = f"{limit.amount / 1000:g} {noun}"
    return f"waited {found.throttled_s:.1f} s of {found.wall_s:.1f} s for its {share}, {by(limit)}"


def slowed_down(record: SliceRecord) -> str:
    """Say for how much of its time a slice was held up because it printed too fast, if that is worth a word."""
    found, printed = record.exit, record.printed
    if found is None or printed.slowed_s < WAITED_PART * max(found.wall_s, 1.0):
        return ""
    return f"waited {printed.slowed_s:.1f} s of {found.wall_s:.1f} s to print: {printed.lines:,} lines were more than its log takes at a time"


def by(limit: Limit) -> str:
    """Say who set a limit."""
    if limit.line == OF_THE_HERD:
        return f"limit from {BY_HERD}"
    return f"limit from @requires in line {limit.line}"
