"""Service levels of an ODCS document: none is enforced, and of how old data may be it is told which assertion of a pipeline checks it."""

from __future__ import annotations

from typing import Any, Final

from runink.contracts.odcs_parts import Part
from runink.expressions import Figure, Measure, said

_AGES: Final = frozenset({"freshness", "latency"})
# The standard's units of time, as durations have them.
_UNITS: Final = {
    word: unit
    for unit, words in {
        "d": ("d", "day", "days"),
        "h": ("h", "hr", "hour", "hours"),
        "m": ("m", "min", "minute", "minutes"),
        "s": ("s", "second", "seconds"),
    }.items()
    for word in words
}


def tell_levels(document: Part) -> None:
    """Tell that service levels are not enforced: once for all, and once for each that says how old data may be."""
    listed = document.value.get("slaProperties")
    if not listed:
        return
    document.note("service levels (slaProperties) are not enforced", "slaProperties")
    for place, level in enumerate(listed if isinstance(listed, list) else ()):
        assertion = _assertion(level) if isinstance(level, dict) else ""
        if assertion:
            text = f'{level["property"]}: @assert("{assertion}") in a pipeline checks how old the newest row is'
            document.note(text, "slaProperties", place)


def _assertion(level: dict[str, Any]) -> str:
    """Return the assertion that checks a level; nothing where it is of something else, or of no amount of time that is known here."""
    value, unit = level.get("value"), _UNITS.get(str(level.get("unit", "")).casefold())
    is_amount = type(value) in (int, float) and unit is not None
    if str(level.get("property", "")).casefold() not in _AGES or not is_amount:
        return ""
    element = level.get("element")
    figure = Measure.FRESHNESS.value
    if isinstance(element, str) and element and "," not in element:
        figure = said(Figure(Measure.FRESHNESS, element.rpartition(".")[2].strip()))
    return f"{figure} <= duration('{value}{unit}')"
