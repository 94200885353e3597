"""Amounts with units, as people write them: `512Mi`, `2`, `250m`, `5m`, `20%`.

Which unit `m` is depends on what is asked for (milli-cores or minutes), so there is a parser per dimension and
none that guesses.  Everything is an integer in the smallest unit that we act on: bytes, milli-cores, milliseconds.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta

from runink.errors import Invalid

# A number that comes from outside: none that is no number, and none without end. JSON has neither, so a record that held one could not be read again.
Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]

_AMOUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)")
_BYTES: Final = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_SIZES: Final = {**_BYTES, **{f"{unit}B": factor for unit, factor in _BYTES.items()}}
_MILLISECONDS: Final = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_MILLICORES: Final = {"": 1_000, "m": 1}


def _parse(text: str, units: dict[str, int], what: str, examples: str) -> int:
    match = _AMOUNT.fullmatch(text.strip())
    factor = units.get(match[2]) if match else None
    if match is None or factor is None:
        raise Invalid(
            f"{text!r} is not {what}", code="invalid_quantity", hint=f"write it like {examples}"
        )
    whole, _, fraction = match[1].partition(".")
    scale: int = 10 ** len(fraction)
    amount, rest = divmod(int(whole + fraction) * factor, scale)
    if rest:
        raise Invalid(
            f"{text!r} is finer than the smallest unit of {what}",
            code="invalid_quantity",
            hint=f"write it like {examples}",
        )
    return amount


def parse_bytes(text: str) -> int:
    """Return a size in bytes: `512Mi`, `2G`, `100` (also with a final B: `2GiB`). Raises Invalid."""
    return _parse(text, _SIZES, "a size in bytes", "512Mi, 2Gi or 100M")


def parse_cpu(text: str) -> int:
    """Return processor time in milli-cores: `2`, `0.5`, `250m`. Raises Invalid."""
    return _parse(text, _MILLICORES, "an amount of cpu", "2, 0.5 or 250m")


def parse_count(text: str) -> int:
    """Return a whole number: `64`. Raises Invalid."""
    return _parse(text, {"": 1}, "a whole number", "64")


def parse_duration(text: str) -> int:
    """Return a duration in milliseconds: `30s`, `5m`, `1h`, `250ms`. Raises Invalid."""
    return _parse(text, _MILLISECONDS, "a duration", "250ms, 30s, 5m or 1h")


def format_duration(duration_ms: int) -> str:
    """Render a duration the way it is written in a pipeline, in the largest unit that fits: `90m`, `1d`, `250ms`."""
    unit = next(name for name, size in reversed(_MILLISECONDS.items()) if duration_ms % size == 0)
    return f"{duration_ms // _MILLISECONDS[unit]}{unit}"


def format_seconds(seconds: float) -> str:
    """Say how long something was allowed to take: `60 s`, `0.25 s`, `5,400 s`; a millisecond is the finest that can be asked for."""
    return f"{seconds:,.3f}".rstrip("0").rstrip(".") + " s"


def format_bytes(size_bytes: int) -> str:
    """Say a size to a person: `9 KB`, `1.2 GB`; powers of ten, as disks and files are sold."""
    amount = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:
            return (
                f"{amount:.0f} {unit}"
                if unit == "B" or amount >= 10
                else f"{amount:.1f} {unit}".replace(".0 ", " ")
            )
        amount /= 1000
    return f"{amount:.1f} TB"


def format_memory(size_bytes: int) -> str:
    """Render a memory amount the way it is written in a pipeline: `512Mi`, `2Gi`, `100`."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if size_bytes and size_bytes % _BYTES[unit] == 0:
            return f"{size_bytes // _BYTES[unit]}{unit}"
    return str(size_bytes)


def format_mebibytes(size_bytes: int) -> str:
    """Say what was used of a limit: `511.9 MiB`, `512 MiB`."""
    return f"{size_bytes / (1 << 20):,.1f} MiB".replace(".0 MiB", " MiB")


def format_cpu(cpu_m: int) -> str:
    """Render milli-cores the way they are written in a pipeline: `2`, `250m`."""
    return f"{cpu_m}m" if cpu_m % 1000 else str(cpu_m // 1000)


def format_moment(at_ms: int) -> str:
    """Say a moment, in milliseconds of the Unix epoch, in UTC: so it is the same wherever it is said."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `8,255 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
