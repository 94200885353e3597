"""The room in columns: the answers of `Room`, by arithmetic over int64 columns of all nodes at once. Which node is best is in `rows.py`; here is why others are not."""

from __future__ import annotations

import numpy as np

from runink.placement.companies import NO_DOMAIN, Crowds
from runink.placement.demands import Part, Unit
from runink.placement.feasible import AMOUNTS, Rule
from runink.placement.rank import NEVER
from runink.placement.room import known
from runink.placement.rows import Bits, Column, Row, Rows
from runink.placement.shapes import Shape, Tally


class Columns(Rows):
    """The nodes and what is free on them, in columns."""

    def _reached(self, shape: Shape, key: str) -> set[int]:
        assert isinstance(shape, Row)
        codes = self._codes(key)[shape.mask.column & self._ready_column]
        numbers: list[int] = np.flatnonzero(np.bincount(codes - NO_DOMAIN)).tolist()
        return {number + NO_DOMAIN for number in numbers}

    def could_hold(self, shape: Shape) -> bool:
        assert isinstance(shape, Row)
        left = shape.mask.column & self._ready_column
        for place, number in enumerate(shape.needs):
            if number > 0:
                left &= self._wholes[place] >= number
        return bool(left.any())

    # Why not.

    def fitting(self, unit: Unit, part: Part, shape: Shape, most: int) -> list[tuple[int, int]]:
        assert isinstance(shape, Row)
        if part.pin is not None or not self.views:
            return super().fitting(unit, part, shape, most)
        crowds = self.crowds(part, shape)
        gained = self._now(shape) if crowds is None else self._crowded(shape, crowds)
        costs = NEVER - np.maximum(gained, 0)
        for at in self._odd(unit, part):
            costs[at] = self.own_cost(at, unit, part, shape, crowds)
        limit = np.partition(costs, most - 1)[most - 1] if most < len(costs) else NEVER
        cheap = np.flatnonzero((costs <= limit) & (costs < NEVER))
        turned = (cheap - self.turn) % len(costs)
        places: list[int] = cheap[np.lexsort((turned, costs[cheap]))[:most]].tolist()
        return [(int(costs[at]), at) for at in places]

    def nearest(self, part: Part, shape: Shape, most: int) -> list[int]:
        assert isinstance(shape, Row)
        if part.pin is not None or not self.views:
            return super().nearest(part, shape, most)
        left = shape.mask.column & self._ready_column
        left[[*known(self, part.avoids), *self.companies.around(part)]] = False
        crowds = self.crowds(part, shape)
        if crowds is not None and crowds.limit is not None:
            self._by_spread(crowds, left, {})
        lacking = np.zeros(len(self.views), dtype=np.int64)
        is_short = np.zeros(len(self.views), dtype=np.bool_)
        for place, number in enumerate(shape.needs):
            if number > 0:
                whole = self._wholes[place]
                left &= whole >= number
                short = number - np.maximum(self._frees[place], 0)
                is_short |= short > 0
                lacking += np.maximum(short, 0) * 1000 // np.maximum(whole, 1)
        places: list[int] = np.flatnonzero(left & is_short).tolist()
        if len(places) > most:
            limit = np.partition(lacking[places], most - 1)[most - 1]
            places = [at for at in places if lacking[at] <= limit]
        places.sort(key=lambda at: (int(lacking[at]), at))
        return places[:most]

    def tally(self, part: Part, shape: Shape) -> Tally:
        assert isinstance(shape, Row)
        if part.pin is not None or not self.views:
            return super().tally(part, shape)
        crowds = self.crowds(part, shape)
        if shape.mask.refused is None:
            shape.mask.refused = self._by_nature(shape)
        counts, finals = dict(shape.mask.refused.counts), shape.mask.refused.finals
        left = shape.mask.column.copy()
        finals += _by_amounts(shape, self._wholes, left, counts)
        counts[Rule.STATE] = int(np.count_nonzero(left & ~self._ready_column))
        left &= self._ready_column
        apart = set(self.companies.around(part))
        for rule, odd in ((Rule.FAILED, known(self, part.avoids)), (Rule.APART, apart)):
            places = [at for at in odd if left[at]]
            counts[rule] = len(places)
            left[places] = False
        if crowds is not None and crowds.limit is not None:
            finals += self._by_spread(crowds, left, counts)
        _by_amounts(shape, self._frees, left, counts)
        counts[Rule.RESERVED] = int(np.count_nonzero(left))
        return Tally({rule: number for rule, number in counts.items() if number}, finals)

    def _by_nature(self, shape: Row) -> Tally:
        counts: dict[Rule, int] = {}
        finals = 0
        reasons = shape.nature.reasons
        sizes = np.bincount(self._kind_column, minlength=len(reasons))
        for nature, number in zip(reasons, sizes.tolist(), strict=True):
            if nature is not None:
                counts[nature.rule] = counts.get(nature.rule, 0) + number
                finals += number
        return Tally(counts, finals)

    def _by_spread(self, crowds: Crowds, left: Bits, counts: dict[Rule, int]) -> int:
        """Take off `left` where the domain is full or none; return on how many nodes that is for ever."""
        assert crowds.limit is not None
        full = np.array([*(count >= crowds.limit for count in crowds.counts), True])
        codes = self._codes(crowds.key)
        refused = left & full[codes]
        counts[Rule.SPREAD] = int(np.count_nonzero(refused))
        finals = int(np.count_nonzero(refused & (codes == NO_DOMAIN)))
        left &= ~refused
        return finals


def _by_amounts(shape: Row, columns: list[Column], left: Bits, counts: dict[Rule, int]) -> int:
    """Take off `left` where there is less of something than the shape needs; return on how many nodes that is."""
    total = 0
    for place, rule, _ in AMOUNTS:
        if shape.needs[place] <= 0:
            continue
        short = left & (columns[place] < shape.needs[place])
        number = int(np.count_nonzero(short))
        if number:
            counts[rule] = counts.get(rule, 0) + number
            total += number
            left &= ~short
    return total
