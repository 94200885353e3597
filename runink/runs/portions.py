"""Decisions in portions: a transaction of the Barn has so many operations and bytes at most, and a pipeline may have a thousand slices, each with its report.

What is left out of a portion is decided again when the portion is seen.  Nothing of it depends on being done at once but the slices of one gang, which are kept together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from runink.dag import GANG_SLICES_MAX
from runink.runs.clearing import Decision
from runink.runs.records import SliceRecord

SLICES_MAX: Final = GANG_SLICES_MAX  # that a decision changes or stops: a transaction has 1,024 operations at most (`barn.checks`), of which these are two at most

REPORTS_BYTES_MAX: Final = 1 << 20  # half of what a transaction has


def portion(decision: Decision) -> Decision:
    """Return as much of a decision as one transaction takes."""
    sizes = {one.slice: _bytes_of(one) for one in decision.slices}
    is_small = sum(sizes.values()) <= REPORTS_BYTES_MAX
    if is_small and len(decision.slices) + len(decision.stop) <= SLICES_MAX:
        return decision
    gangs: dict[str, list[SliceRecord]] = {}
    for one in decision.slices:
        gangs.setdefault(one.gang, []).append(one)
    slices: list[SliceRecord] = []
    size = 0
    for gang in gangs.values():
        more = sum(sizes[one.slice] for one in gang)
        if slices and (len(slices) + len(gang) > SLICES_MAX or size + more > REPORTS_BYTES_MAX):
            break
        slices += gang
        size += more
    chosen = {one.slice for one in slices}
    # Whose place is taken back with its record loses both at once; what is only stopped has its turn where there is room.
    stop = [one for one in decision.stop if one.slice in chosen]
    others = [one for one in decision.stop if one.slice not in chosen]
    is_changed_too = {one.slice for one in decision.slices}
    room = max(SLICES_MAX - len(slices), 0)
    stop += [one for one in others if one.slice not in is_changed_too][:room]
    return replace(decision, slices=tuple(slices), stop=tuple(stop))


def _bytes_of(one: SliceRecord) -> int:
    """Return what makes a slice's record large, where it has that: its report, with what it has prepared."""
    return 0 if one.report is None else len(msgspec.json.encode(one.report))
