"""What became of leases and their keys: judged from when clients were answered, what a watch told, and at which revisions.

A lease may end when nobody has renewed it for its time to live.  The renewal that was asked for at `began` took effect no sooner; so the lease lasts at least until
`began + ttl_s`, whoever leads.  A clock tells no client when it ended, but revisions do: an operation that was answered with the revision of its end, or
a later one, was answered after it.  The earliest such answer is the latest moment at which the lease can have ended.

    what is wrong                                         told by
    a lease ended too soon                                that moment, or a refusal, before the end of its time
    a lease ended twice, a key was deleted twice          deletions of its keys at two revisions
    a lease was renewed, or given a key, after its end    an answer with a later revision
    a key outlived its lease                              no deletion, though others of its keys have one, or somebody was told that the lease has ended
    a lease that nobody renews goes on                    no deletion by the end of the watch
    an acknowledged key never was                         no put in the watch

What has an unknown outcome proves nothing: a renewal that may have happened is left out, a key that may be there counts if the watch shows it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Final

from runink.barn.keyvalue import Change

CLOCK_S: Final = 0.1  # an event loop may take its time from before what it was just told


@dataclass(frozen=True, slots=True)
class Moment:
    """An answer: when it was asked for, when it came, and the store's revision by then."""

    began: float
    ended: float
    revision: int


@dataclass(slots=True)
class LeaseLife:
    """A lease as its client knows it. `renewals` are those that were acknowledged, the grant first; `keys` says at which revision each was put (nothing: unknown)."""

    lease: int
    ttl_s: float
    renewals: list[Moment]
    keys: dict[str, int | None] = field(default_factory=dict)
    refused_at: float | None = None  # when the client was told that it has ended
    is_kept: bool = False  # whether it is still being renewed when the watch ends

    @property
    def due(self) -> float:
        """The moment before which it cannot end."""
        return max(renewal.began for renewal in self.renewals) + self.ttl_s

    def __str__(self) -> str:
        return f"lease {self.lease} of {self.ttl_s:g} s, renewed {len(self.renewals) - 1} times, due at {self.due:g}"


def check_leases(
    lives: Iterable[LeaseLife], changes: Sequence[Change], moments: Iterable[Moment]
) -> list[str]:
    """Return everything that is wrong, for people; nothing, if all is well.

    `changes` are all those of the keys, from before the first to the last that matters; `moments` any answers, the more the sharper.
    """
    by_key: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_key[change.key].append(change)
    latest = _Latest(moments)
    return [finding for life in lives for finding in _judge(life, by_key, latest)]


class _Latest:
    """Until when, at the latest, something had happened, by its revision."""

    def __init__(self, moments: Iterable[Moment]) -> None:
        newest_first = sorted(moments, key=lambda moment: -moment.revision)
        earliest = accumulate((moment.ended for moment in newest_first), min)
        self._revisions = [-moment.revision for moment in newest_first]
        self._ended = list(earliest)

    def of(self, revision: int) -> float:
        place = bisect_left(self._revisions, -revision + 1)
        return self._ended[place - 1] if place else inf


def _judge(
    life: LeaseLife, by_key: Mapping[str, Sequence[Change]], latest: _Latest
) -> Iterator[str]:
    ends: set[int] = set()
    shown: dict[str, list[int]] = {}  # the keys that were there, and where each was deleted
    for key, revision in life.keys.items():
        changes = by_key.get(key, ())
        deleted = [change.revision for change in changes if change.now is None]
        put = [change.revision for change in changes if change.now is not None]
        if revision is not None and revision not in put:
            yield f"{life}: no watch shows that {key} was put at {revision}"
        if put:
            shown[key] = deleted
        if len(deleted) > 1:
            yield f"{life}: {key} was deleted {len(deleted)} times, at {deleted}"
        ends.update(deleted)
    if len(ends) > 1:
        yield f"{life} ended more than once, at {sorted(ends)}"
    if ends:
        yield from _judge_end(life, min(ends), latest)
    is_over = bool(ends) or life.refused_at is not None or not life.is_kept
    left = [key for key, deleted in shown.items() if not deleted]
    if is_over and left:
        why = "it has ended" if ends or life.refused_at is not None else "nobody renews it"
        yield f"{life}: {why}, and its keys are there: {left}"
    if life.refused_at is not None and life.refused_at < life.due - CLOCK_S:
        yield f"{life} was told to have ended at {life.refused_at:g}"


def _judge_end(life: LeaseLife, end: int, latest: _Latest) -> Iterator[str]:
    at = latest.of(end)
    if at < life.due - CLOCK_S:
        yield f"{life} ended at revision {end}, which was there at {at:g}"
    for renewal in life.renewals:
        if renewal.revision >= end:
            yield f"{life} ended at revision {end}, and was renewed at {renewal.revision}"
    for key, revision in life.keys.items():
        if revision is not None and revision > end:
            yield f"{life} ended at revision {end}, and was given {key} at {revision}"
