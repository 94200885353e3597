"""Who is told why they wait: slices say it for people, who read it once in a while, and each time it is said is a write.

    a unit that                                        is told
    says nothing yet                                   at once
    says something else by now                         at most every TOLD_AGAIN_MS, with all others of that kind
    will never fit                                     at once: it fails by it
    says so already                                    nothing

Of one plan TOLD_MAX are told, the first of the queue first; the others later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runink.placement.demands import UnitKey
from runink.placement.plans import Plan

TOLD_MAX: Final = 64
TOLD_AGAIN_MS: Final = 250


@dataclass(frozen=True, slots=True)
class News:
    """The units that are told now, and whether there are more."""

    units: frozenset[UnitKey]
    are_more: bool


class Telling:
    """Remembers what was told of units that wait."""

    def __init__(self) -> None:
        self._said: dict[UnitKey, str] = {}
        self._told_ms = 0

    def news(self, plan: Plan, *, now_ms: int, said: Callable[[UnitKey], str]) -> News:
        """Return who is told of what this plan says. `said` looks up what a unit's slices say, where that is not known here."""
        is_again = now_ms >= self._told_ms + TOLD_AGAIN_MS
        known: dict[UnitKey, str] = {}
        told: set[UnitKey] = set()
        count, are_more = 0, False
        for one in plan.unplaced:
            unit = one.unit
            key = (unit.run, unit.gang)
            before = self._said.get(key)
            if before is None:
                before = said(key)
            if one.is_final:
                told.add(key)
            elif before != one.text and count < TOLD_MAX and (is_again or not before):
                count += 1
                told.add(key)
                before = one.text
            elif before != one.text:
                are_more = True
            known[key] = before
        self._said = known
        if count:
            self._told_ms = now_ms
        return News(frozenset(told), are_more)

    def forget(self) -> None:
        """Take note that something that was to be told may not have been."""
        self._said.clear()
