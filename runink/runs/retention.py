"""What may be forgotten of runs that are over: by their number, or by their age where their herd says for how long it keeps them (`[retention]`).

    of a run that is over            goes
    its record, slices, lineage      `runs` after its end
    its lineage                      `lineage` after it, if that is sooner
    its logs, its kept dead letters  `logs`, `dead_letters` after it, on the nodes that have them

A run that another goes on from stays for as long as that one may still need what it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from runink.names import HerdName, RunId
from runink.runs.records import RunRecord

NO_TIMES: Final[Mapping[HerdName, int]] = MappingProxyType({})


class Submitted(Protocol):
    """What a run is sorted by: of its record, or of what the API says of it."""

    @property
    def run(self) -> str: ...
    @property
    def submitted_ms(self) -> int: ...


def age_of(record: Submitted) -> tuple[int, str]:
    """Return what runs are sorted by, the oldest first: one for a tick of the past is as new as it is, whatever its id says."""
    return record.submitted_ms, record.run


def is_past(record: RunRecord, kept_ms: int, now_ms: int) -> bool:
    """Say whether a run ended so long ago; never where `kept_ms` is 0."""
    return record.state.is_over and 0 < kept_ms <= now_ms - record.ended_ms


def forgettable(
    records: Iterable[RunRecord],
    *,
    keep: int | None,
    kept_ms: Mapping[HerdName, int] = NO_TIMES,
    now_ms: int = 0,
) -> list[RunRecord]:
    """Return the runs that are over, oldest first, but for the `keep` newest of them (all, where that is nothing), and those whose output a run has taken over that still needs it.

    Those of a herd that keeps runs for a time (`kept_ms`, 0 for none) count for themselves: they go once that has passed since their end.
    """
    known = {one.run: one for one in records}
    over = sorted((one for one in known.values() if one.state.is_over), key=age_of)
    counted = [one for one in over if not kept_ms.get(one.herd)]
    most = len(counted) if keep is None else keep
    rest = {one.run for one in counted[: max(len(counted) - most, 0)]}
    gone = [
        one for one in over if one.run in rest or is_past(one, kept_ms.get(one.herd, 0), now_ms)
    ]
    leaving = {one.run for one in gone}
    needed: set[str] = set()
    for one in known.values():
        if one.run not in leaving and (not one.state.is_over or one.kept_until_ms):
            needed |= _before(one, known)
    return [one for one in gone if one.run not in needed]


def _before(record: RunRecord, known: Mapping[RunId, RunRecord]) -> set[str]:
    """Return the runs that a run goes on from, one behind the other."""
    found: set[str] = set()
    while record.resumes is not None and record.resumes in known:
        record = known[record.resumes]
        found.add(record.run)
    return found
