"""`[quotas]` of a herd's file: what its slices may have together, and in `[quotas.slice]` what one of them asks for at least and at most."""

from __future__ import annotations

from typing import Any, Final

from runink.checkpoints import KEEP_FAILED_MS
from runink.herds.reading import Section
from runink.herds.record import SliceBounds
from runink.quantities import parse_bytes, parse_cpu, parse_duration
from runink.wants import GRACE_MS_MAX, PRIORITY_MAX

WEIGHT_MAX: Final = 1_000  # more than that beside 1 is no share
KEYS: Final = ("cpu", "memory", "disk", "gpu", "slices", "runs", "priority", "weight", "keep_failed", "grace", "slice")  # fmt: skip
SLICE_KEYS: Final = ("cpu_min", "cpu_max", "memory_min", "memory_max", "disk_max", "gpu_max")


def quotas_of(section: Section) -> dict[str, Any]:
    """Return what the quotas say, by the fields of a HerdRecord."""
    most = {
        "cpu_m": section.quantity("cpu", parse_cpu),
        "memory_bytes": section.quantity("memory", parse_bytes),
        "disk_bytes": section.quantity("disk", parse_bytes),
        "gpus": section.number("gpu"),
    }
    return {
        **most,
        "slices": section.number("slices"),
        "runs": section.number("runs"),
        "keep_failed_ms": section.zero_or("keep_failed", parse_duration, KEEP_FAILED_MS),
        "priority_max": _priority(section),
        "weight": section.number(
            "weight",
            least=1,
            most=WEIGHT_MAX,
            default=1,
            hint="a herd of weight 2 has twice the share of one of weight 1",
        ),
        "grace_max_ms": _grace(section),
        "bounds": _bounds(section.table("slice", SLICE_KEYS), most),
    }


def _grace(section: Section) -> int:
    grace_ms = section.zero_or("grace", parse_duration, GRACE_MS_MAX)
    if grace_ms > GRACE_MS_MAX:
        section.tell("grace is ten minutes at most", "grace", "others wait for it")
    return grace_ms


def _priority(section: Section) -> int | None:
    if "priority" not in section.found:
        return None
    hint = "the most that a run of the herd has"
    return section.number("priority", least=-PRIORITY_MAX, most=PRIORITY_MAX, hint=hint)


def _bounds(section: Section, whole: dict[str, int]) -> SliceBounds:
    bounds = SliceBounds(
        section.quantity("cpu_min", parse_cpu),
        section.quantity("cpu_max", parse_cpu),
        section.quantity("memory_min", parse_bytes),
        section.quantity("memory_max", parse_bytes),
        section.quantity("disk_max", parse_bytes),
        section.number("gpu_max"),
    )
    for name, least, most, quota in (
        ("cpu", bounds.cpu_min_m, bounds.cpu_max_m, whole["cpu_m"]),
        ("memory", bounds.memory_min_bytes, bounds.memory_max_bytes, whole["memory_bytes"]),
    ):
        if most and least > most:
            section.tell(f"{name}_min is more than {name}_max", f"{name}_min", "no slice is both")
        elif quota and least > quota:
            hint = "no slice of the herd could ever begin"
            section.tell(f"{name}_min is more than the whole quota of {name}", f"{name}_min", hint)
    return bounds
