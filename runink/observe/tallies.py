"""Counters by their labels, whose number has a limit: what finds no place is counted, too, under `_other`.

    a set of labels              is counted
    that is known                under itself
    beyond HERD_SETS_MAX         under its herd and `_other`, unless a set of that herd has not grown for IDLE_S: that one is folded
                                 into it and makes room
    beyond `sets_max`            under `_other` alone, unless some set has not grown for IDLE_S: that one is folded into it

Folding adds a set's counts to those of `_other`, so no sum over all sets ever shrinks.  A set that grows again after that begins at 0, which
Prometheus takes for a restart.  Pure: the owner passes its clock in.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from runink.observe.metrics import Reading

OTHER: Final = "_other"  # no herd, pipeline or step is named so: names begin with a letter
SETS_MAX: Final = (
    600  # of each tally: some thousand lines, which are written in some ten milliseconds
)
HERD_SETS_MAX: Final = 200  # so that one herd with many pipelines leaves the others theirs
IDLE_S: Final = 600.0  # ten scrapes of a slow Prometheus have seen how it ended
VALUE_CHARACTERS_MAX: Final = 200  # of a label: ids are shorter, and what is longer was made to be

Labels = tuple[str, ...]


class Tally:
    """Counters that grow together. The first of `labels` is the herd; `grow` is how a new amount joins the old."""

    def __init__(
        self,
        names: Labels,
        labels: Labels,
        *,
        sets_max: int = SETS_MAX,
        grow: Callable[[float, float], float] = operator.add,
    ) -> None:
        self._names = names
        self._labels = labels
        self._sets_max = sets_max
        self._grow = grow
        self._counts: dict[Labels, list[float]] = {}  # what grew last stands last
        self._grew_s: dict[Labels, float] = {}
        self._of_herd: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, labels: Labels, *amounts: float, now_s: float) -> None:
        """Grow the counters of a set of labels, in the order of their names."""
        assert len(labels) == len(self._labels)
        if labels not in self._counts:  # those that are known are short enough
            labels = self._place(tuple(value[:VALUE_CHARACTERS_MAX] for value in labels), now_s)
        self._join(labels, amounts, now_s)

    def readings(self) -> Iterator[Reading]:
        for place, name in enumerate(self._names):
            for labels, counts in self._counts.items():
                yield Reading(name, counts[place], dict(zip(self._labels, labels, strict=True)))

    def _place(self, labels: Labels, now_s: float) -> Labels:
        """Return under which labels these are counted, having made room for them if that can be."""
        herd = labels[0]
        if labels not in self._counts and self._of_herd[herd] >= HERD_SETS_MAX:
            others = (herd, *self._others()[1:])
            if not self._fold(others, now_s, herd=herd):
                labels = others
        if labels in self._counts or len(self._counts) < self._sets_max:
            return labels
        return labels if self._fold(self._others(), now_s) else self._others()

    def _others(self) -> Labels:
        return (OTHER,) * len(self._labels)

    def _fold(self, into: Labels, now_s: float, *, herd: str | None = None) -> bool:
        """Add the set that has not grown for the longest time (of a herd) to another one, if it is idle; say whether one was."""
        places = (one for one in self._counts if herd in (None, one[0]) and one[-1] != OTHER)
        oldest = next(places, None)
        if oldest is None or now_s - self._grew_s[oldest] < IDLE_S:
            return False
        counts = self._counts.pop(oldest)
        del self._grew_s[oldest]
        self._of_herd[oldest[0]] -= 1
        self._join(into, tuple(counts), now_s)
        return True

    def _join(self, place: Labels, amounts: tuple[float, ...], now_s: float) -> None:
        counts = self._counts.pop(place, None)
        if counts is None:
            counts = [0.0] * len(self._names)
            self._of_herd[place[0]] += 1
        self._counts[place] = [*map(self._grow, counts, amounts)]
        self._grew_s[place] = now_s
