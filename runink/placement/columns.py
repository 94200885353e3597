"""The room in columns: the answers of `Room`, by arithmetic over int64 columns of all nodes at once.

    column   one number of each node: what is free of each amount, what it costs whoever comes
    row      for a shape: what each node costs, NEVER where it does not fit.  The best node is where the row is smallest
    changes  the nodes by when they changed last.  A row knows when it was used; when it is used again, the nodes that changed since are
             worked out one by one, or the row is made anew where they are too many for that to be quicker

Units of few shapes are what clusters really have, so nearly all of the work is to bring a row up to date.  A best node that is only ever made
better, by being filled, needs no search.  Columns follow the changes as well, and only when a row is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from runink.placement.cluster import NodeView, Numbers
from runink.placement.companies import NO_DOMAIN, Crowds
from runink.placement.demands import Part, Unit
from runink.placement.feasible import AMOUNTS, Reason, Rule
from runink.placement.plans import Weights
from runink.placement.rank import CROWD_MAX, NEVER, POINT
from runink.placement.room import Room
from runink.placement.shapes import Nature, Shape, Tally

_Column: TypeAlias = "npt.NDArray[np.int64]"
_Bits: TypeAlias = "npt.NDArray[np.bool_]"
# A batch changes its best nodes again and again: so many changes may still be of few nodes.
_CHANGES_OF_A_NODE: Final = 16
_NOBODY: Final[frozenset[int]] = frozenset()
_LOG_MAX: Final = (
    1 << 16
)  # longer, and it begins anew: a row that has not been used for so long is made anew anyway


class _Mask(Nature):
    """A nature as a column."""

    __slots__ = ("column",)

    def __init__(self, reasons: list[Reason | None], kinds: list[int]) -> None:
        super().__init__(reasons, kinds)
        self.column: _Bits = np.array(self.allows, dtype=np.bool_)


class _Row(Shape):
    """A shape with its row. `takes` is by how much cheaper it makes each node, `cells` are the row's numbers, quicker to set one by one; `seen` is the last change that they know, `best` the cheapest node for `turn`."""

    __slots__ = ("best", "cells", "costs", "mask", "seen", "takes", "turn")

    def __init__(self, needs: Numbers, nature: Nature) -> None:
        assert isinstance(nature, _Mask)
        super().__init__(needs, nature)
        self.mask = nature.column
        self.takes: _Column | None = None
        self.costs: _Column | None = None
        self.cells: memoryview[int]
        self.best: tuple[int, int] | None = None
        self.turn = 0
        self.seen = 0


class Columns(Room):
    """The nodes and what is free on them, in columns."""

    def __init__(self, nodes: Iterable[NodeView], weights: Weights, turn: int = 0) -> None:
        self._stamp = 0
        self._changes: dict[int, int] = {}  # when a node changed last, those last that changed last
        super().__init__(nodes, weights, turn)
        self._changes.clear()  # What was worked out for each node is copied here as a whole.
        self._synced = self._stamp
        self._frees = [np.array(one, dtype=np.int64) for one in zip(*self.free, strict=True)]
        self._wholes = [np.array(one, dtype=np.int64) for one in zip(*self.whole, strict=True)]
        if not self.views:
            self._frees = self._wholes = [np.zeros(0, dtype=np.int64)] * 5
        self._base_columns = [np.array(one, dtype=np.int64) for one in self._bases]
        # The same memory, quicker to set one by one.
        self._cells = [column.data for column in (*self._frees, *self._base_columns)]
        self._pace_columns = [
            np.array([pace[place] for pace in self._paces], dtype=np.int64) for place in (0, 1)
        ]
        self._ready_column: _Bits = np.array(self.ready, dtype=np.bool_)
        self._kind_column = np.array(self._kinds, dtype=np.int64)
        self._code_columns: dict[str, _Column] = {}
        # Measured: to work out so many nodes one by one takes as long as all of them at once.
        self._replayed_max = len(self.views) // 50 + 48

    def _weigh(self, at: int) -> None:
        Room._weigh(self, at)  # noqa: SLF001 - our own, without the detour of super(): it is what a plan does most
        self._changes.pop(at, None)
        self._stamp += 1
        self._changes[at] = self._stamp

    def _changed_since(self, seen: int, most: int) -> list[int]:
        """Return the nodes that changed after that, one more than `most` where they are more."""
        changed = []
        for at, stamp in islice(reversed(self._changes.items()), most + 1):
            if stamp <= seen:
                break
            changed.append(at)
        return changed

    def _new_nature(self, reasons: list[Reason | None]) -> Nature:
        return _Mask(reasons, self._kinds)

    def _new_shape(self, needs: Numbers, nature: Nature) -> Shape:
        return _Row(needs, nature)

    def _sync(self) -> None:
        """Bring the columns up to date."""
        if self._synced == self._stamp:
            return
        cells, ready = self._cells, self._ready_column
        plain, with_gpus = self._bases
        for at in self._changed_since(self._synced, len(self.views)):
            cells[0][at], cells[1][at], cells[2][at], cells[3][at], cells[4][at] = self.free[at]
            cells[5][at] = plain[at]
            cells[6][at] = with_gpus[at]
            ready[at] = self.ready[at]
        self._synced = self._stamp

    def _fits(self, needs: Numbers, mask: _Bits) -> _Bits:
        """Return where nodes of the mask are ready and have that much left."""
        mask = mask & self._ready_column
        for place, number in enumerate(needs):
            # Nothing of it is asked for, and nothing is ever short of nothing.
            if number > 0:
                mask &= self._frees[place] >= number
        return mask

    def _costs(self, row: _Row) -> _Column:
        """Return the row, after what happened since it was used last."""
        costs = row.costs
        if self._stamp - row.seen > _CHANGES_OF_A_NODE * self._replayed_max:
            costs = None  # It need not be counted: so many changes are of too many nodes.
        elif costs is not None and row.seen != self._stamp:
            changed = self._changed_since(row.seen, self._replayed_max)
            if len(changed) <= self._replayed_max:
                self._replay(row, changed)
            else:
                costs = None
        if costs is None:
            self._sync()
            if row.takes is None:
                row.takes = row.needs[0] * self._pace_columns[0]
                row.takes += row.needs[1] * self._pace_columns[1]
            fits = self._fits(row.needs, row.mask)
            costs = np.where(fits, self._base_columns[row.uses_gpus] - row.takes, NEVER)
            row.costs, row.cells, row.best = costs, costs.data, None
        row.seen = self._stamp
        return costs

    def _replay(self, row: _Row, changed: list[int]) -> None:
        """Work out the row anew where nodes have changed: `_own_base` for many, in one piece."""
        least_cpu_m, least_memory, disk, gpus, slices = row.floors
        cpu_m, memory = row.needs[:2]
        frees, ready, paces, cells = self.free, self.ready, self._paces, row.cells
        allows, bases = row.nature.allows, self._bases[row.uses_gpus]
        lowest, lowest_at = NEVER, -1
        for at in changed:
            free = frees[at]
            if (
                free[0] < least_cpu_m
                or free[1] < least_memory
                or free[4] < slices
                or free[2] < disk
                or free[3] < gpus
                or not allows[at]
                or not ready[at]
            ):
                cells[at] = NEVER
                continue
            pace = paces[at]
            cells[at] = cost = bases[at] - cpu_m * pace[0] - memory * pace[1]
            if cost < lowest or (cost == lowest and self._turned(at) < self._turned(lowest_at)):
                lowest, lowest_at = cost, at
        if row.best is None or row.turn != self.turn:
            row.best = None
            return
        cost, best = row.best
        # All others cost at least as much as the best did.
        if lowest < cost or (
            lowest == cost < NEVER and self._turned(lowest_at) <= self._turned(best)
        ):
            row.best = lowest, lowest_at
        elif best in changed:
            row.best = None

    def cheapest(
        self, shape: Shape, odd: Collection[int] = _NOBODY, crowds: Crowds | None = None
    ) -> tuple[int, int]:
        assert isinstance(shape, _Row)
        if not self.views:
            return NEVER, -1
        costs = self._costs(shape)
        if not odd and crowds is None:
            if shape.best is None or shape.turn != self.turn:
                shape.best = self._least(costs)
                shape.turn = self.turn
            return shape.best
        if crowds is not None:
            costs = self._crowded(costs, crowds)
        if not odd:
            return self._least(costs)
        places = list(odd)
        kept = costs[places]
        costs[places] = NEVER
        found = self._least(costs)
        costs[places] = kept
        return found

    def _least(self, costs: _Column) -> tuple[int, int]:
        turn = self.turn
        best = int(costs[turn:].argmin()) + turn
        cost = int(costs[best])
        if turn:
            other = int(costs[:turn].argmin())
            if costs[other] < cost:
                best, cost = other, int(costs[other])
        return (cost, best) if cost < NEVER else (NEVER, -1)

    def _crowded(self, costs: _Column, crowds: Crowds) -> _Column:
        """Return a copy of the row with what crowds cost."""
        # One number more, which NO_DOMAIN finds: it is the last.
        counts = np.array([*crowds.counts, 0], dtype=np.int64)
        extra = np.minimum(counts, CROWD_MAX) * (self.weights.crowd << POINT)
        if crowds.limit is not None:
            extra[counts >= crowds.limit] = NEVER
            extra[NO_DOMAIN] = NEVER
        # What is NEVER stays at least that, and twice that is still in 64 bits.
        crowded: _Column = costs + extra[self._codes(crowds.key)]
        return crowded

    def _codes(self, key: str) -> _Column:
        column = self._code_columns.get(key)
        if column is None:
            column = np.array(self.companies.domains(key).codes, dtype=np.int64)
            self._code_columns[key] = column
        return column

    def _reached(self, shape: Shape, key: str) -> set[int]:
        assert isinstance(shape, _Row)
        self._sync()
        codes = self._codes(key)[shape.mask & self._ready_column]
        numbers: list[int] = np.flatnonzero(np.bincount(codes - NO_DOMAIN)).tolist()
        return {number + NO_DOMAIN for number in numbers}

    def could_hold(self, shape: Shape) -> bool:
        assert isinstance(shape, _Row)
        self._sync()
        left = shape.mask & self._ready_column
        for place, number in enumerate(shape.needs):
            if number > 0:
                left &= self._wholes[place] >= number
        return bool(left.any())

    # Why not.

    def fitting(self, unit: Unit, part: Part, shape: Shape, most: int) -> list[tuple[int, int]]:
        assert isinstance(shape, _Row)
        if part.pin is not None or not self.views:
            return super().fitting(unit, part, shape, most)
        crowds = self.crowds(part, shape)
        costs = self._costs(shape).copy()
        if crowds is not None:
            costs = self._crowded(costs, crowds)
        for at in self._odd(unit, part):
            costs[at] = self._own_cost(at, unit, part, shape, crowds)
        limit = np.partition(costs, most - 1)[most - 1] if most < len(costs) else NEVER
        cheap = np.flatnonzero((costs <= limit) & (costs < NEVER))
        turned = (cheap - self.turn) % len(costs)
        places: list[int] = cheap[np.lexsort((turned, costs[cheap]))[:most]].tolist()
        return [(int(costs[at]), at) for at in places]

    def nearest(self, part: Part, shape: Shape, most: int) -> list[int]:
        assert isinstance(shape, _Row)
        if part.pin is not None or not self.views:
            return super().nearest(part, shape, most)
        self._sync()
        left = shape.mask & self._ready_column
        left[list(self.companies.around(part))] = False
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
        assert isinstance(shape, _Row)
        if part.pin is not None or not self.views:
            return super().tally(part, shape)
        self._sync()
        crowds = self.crowds(part, shape)
        counts, finals = self._by_nature(shape)
        left = shape.mask & self._ready_column
        counts[Rule.STATE] = int(np.count_nonzero(shape.mask)) - int(np.count_nonzero(left))
        odd = set(self.companies.around(part))
        if odd:
            places = [at for at in odd if left[at]]
            counts[Rule.APART] = len(places)
            left[places] = False
        if crowds is not None and crowds.limit is not None:
            finals += self._by_spread(crowds, left, counts)
        for columns, is_final in ((self._wholes, True), (self._frees, False)):
            for place, rule, _ in AMOUNTS:
                if shape.needs[place] <= 0:
                    continue
                short = left & (columns[place] < shape.needs[place])
                number = int(np.count_nonzero(short))
                if number:
                    counts[rule] = counts.get(rule, 0) + number
                    finals += number * is_final
                    left &= ~short
        counts[Rule.RESERVED] = int(np.count_nonzero(left))
        return Tally({rule: number for rule, number in counts.items() if number}, finals)

    def _by_nature(self, shape: _Row) -> tuple[dict[Rule, int], int]:
        counts: dict[Rule, int] = {}
        finals = 0
        reasons = shape.nature.reasons
        sizes = np.bincount(self._kind_column, minlength=len(reasons))
        for nature, number in zip(reasons, sizes.tolist(), strict=True):
            if nature is not None:
                counts[nature.rule] = counts.get(nature.rule, 0) + number
                finals += number
        return counts, finals

    def _by_spread(self, crowds: Crowds, left: _Bits, counts: dict[Rule, int]) -> int:
        """Take off `left` where the domain is full or none; return on how many nodes that is for ever."""
        assert crowds.limit is not None
        full = np.array([*(count >= crowds.limit for count in crowds.counts), True])
        codes = self._codes(crowds.key)
        refused = left & full[codes]
        counts[Rule.SPREAD] = int(np.count_nonzero(refused))
        finals = int(np.count_nonzero(refused & (codes == NO_DOMAIN)))
        left &= ~refused
        return finals
