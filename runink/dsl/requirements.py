"""What differs between what two processes ask for, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from runink.dag import SliceSpec
from runink.quantities import format_cpu, format_duration, format_memory


def asked(old: SliceSpec, new: SliceSpec) -> Iterator[str]:
    """Yield what differs between what two processes ask for."""
    named: Sequence[tuple[str, Any, Any, Callable[[Any], str]]] = (
        ("cpu", old.resources.cpu_m, new.resources.cpu_m, format_cpu),
        ("memory", old.resources.memory_bytes, new.resources.memory_bytes, format_memory),
        ("gpus", old.wants.gpus, new.wants.gpus, str),
        ("labels", old.labels, new.labels, listed),
        ("what its node must see", old.wants.sees, new.wants.sees, listed),
        ("what it stands apart of", old.wants.anti, new.wants.anti, listed),
        ("what it stands beside", old.wants.beside, new.wants.beside, listed),
        ("what it is spread by", old.wants.domain, new.wants.domain, _word),
        ("the grace", old.wants.grace_ms, new.wants.grace_ms, _grace),
        ("how many more of it may stand where most do", old.wants.skew, new.wants.skew, _bound),
        ("network", old.network.value, new.network.value, str),
        ("the most time", _wall_time_ms(old), _wall_time_ms(new), time_told),
        *(
            (f"the most {noun}", before, now, str)
            for noun, before, now in zip(
                ("cpu", "memory", "processes", "disk", "io"),
                old.limits.amounts,
                new.limits.amounts,
                strict=True,
            )
            if noun not in {"cpu", "memory"}
        ),
    )
    for noun, before, now, told in named:
        if before != now:
            yield f"{noun} {told(before)} is now {told(now)}"


def _wall_time_ms(spec: SliceSpec) -> int:
    return spec.limits.wall_time.amount if spec.limits.wall_time is not None else 0


def time_told(duration_ms: int) -> str:
    """Say how long something may take."""
    return format_duration(duration_ms) if duration_ms else "any time"


def _grace(grace_ms: int) -> str:
    return format_duration(grace_ms) if grace_ms else "nothing"


def _word(text: str) -> str:
    return text or "nothing"


def _bound(number: int) -> str:
    return str(number) if number else "any number"


def listed(names: Iterable[str]) -> str:
    """Return names in their order."""
    return ", ".join(sorted(names)) or "nothing"
