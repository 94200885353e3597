"""What slices are held to: by their pipeline, by their herd, and how the cores are parted when all want them. And what their records say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace as changed

from runink.barn.keyvalue import KeyValue
from runink.capabilities import without
from runink.clients.barn import decode_value
from runink.dag import DEFAULT_CPU_M
from runink.herds.admission import held_within
from runink.herds.record import HerdRecord
from runink.runs.records import HerdLimits, SliceRecord, SliceState, Task
from runink.sandbox.client import SCRATCH_BYTES, LaunchedSlice
from runink.sandbox.protocol import READ_ONLY, READ_WRITE

M_PER_WEIGHT: Final = (
    10  # milli-cores: a whole core weighs 100, as a group does that nobody has weighed
)
WEIGHT_MAX: Final = 10_000


def held_to(record: SliceRecord, found: Sequence[KeyValue]) -> SliceRecord:
    """Return the record with what it and its herd's slices together may use, and do without, and whether they go on alone. `found` is the herd's record, or nothing: then there is no limit, and no wall may be missing."""
    for item in found:
        herd = decode_value(item, HerdRecord).value
        is_step = (
            record.task is Task.CHAIN
        )  # what ends a run asks for nothing, and must come through
        return changed(
            record,
            limits=held_within(record.limits, herd.bounds) if is_step else record.limits,
            herd_limits=HerdLimits(herd.cpu_m, herd.memory_bytes),
            without=without(herd.isolation),
            goes_on=herd.lost_wait_ms > 0,
        )
    return changed(record, herd_limits=HerdLimits(), without=(), goes_on=False)


def begun(record: SliceRecord, launched: LaunchedSlice, *, now_ms: int) -> SliceRecord:
    """Return the record of a slice whose process has begun, with what is in force for it."""
    return changed(
        record,
        state=SliceState.RUNNING,
        pid=launched.pid,
        launched_ms=record.launched_ms or now_ms,
        sealed=launched.sealed,
    )


def limits_of(record: SliceRecord) -> dict[str, Any]:
    """Return the limits that the spawner is asked for, by their names in `SliceWanted`; 0 is none.

    What the pipeline does not ask for is no limit. The weight always is what the slice was placed by: a request without a limit shares the cores by it.
    """
    cpu_m, memory_bytes, processes, disk_bytes, io_bytes_per_s = record.limits.amounts
    request_m = record.resources.cpu_m or DEFAULT_CPU_M
    return {
        "cpu_m": cpu_m,
        "cpu_weight": min(max(request_m // M_PER_WEIGHT, 1), WEIGHT_MAX),
        "memory_bytes": memory_bytes,
        "processes": processes,
        "scratch_bytes": disk_bytes or SCRATCH_BYTES,
        "io_bytes_per_s": io_bytes_per_s,
        "herd_cpu_m": record.herd_limits.cpu_m,
        "herd_memory_bytes": record.herd_limits.memory_bytes,
    }


def showing(record: SliceRecord, shown: Mapping[str, bool]) -> SliceRecord:
    """Return the record with what the slice is shown of the machine, and whether it may write there."""
    modes = {False: READ_ONLY, True: READ_WRITE}
    return changed(record, shown={path: modes[mode] for path, mode in shown.items()})
