"""Rooms whose nodes stand in columns: the best node, by arithmetic over int64 columns of all nodes at once.

    column   one number of each node: what is free of each amount, what it costs whoever comes
    row      for a shape: by how much each node is cheaper than NEVER, at most nothing where it does not fit.  The best node is where the row is largest
    changes  the nodes that changed last.  A row knows when it was used; when it is used again, the nodes that changed since are worked out one
             by one, or, where they are too many for that to be quicker, the whole row is, in passing: into memory that all rows share

Units of few shapes are what clusters really have, so nearly all of the work is to bring a row up to date.  A best node that is only ever made
better, by being filled, needs no search.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from runink.placement.cluster import NodeState, NodeView, Numbers
from runink.placement.companies import Crowds
from runink.placement.demands import Part
from runink.placement.feasible import Reason
from runink.placement.plans import Weights
from runink.placement.rank import NEVER, crowd_cost, gpu_cost
from runink.placement.room import Room, Scale
from runink.placement.shapes import Nature, Shape, Tally

Column: TypeAlias = "npt.NDArray[np.int64]"
Bits: TypeAlias = "npt.NDArray[np.bool_]"
# A batch changes its best nodes again and again: so many changes may still be of few nodes.
_CHANGES_OF_A_NODE: Final = 4
_holds, _both, _minus, _times = np.greater_equal, np.logical_and, np.subtract, np.multiply
_FAR: Final = (
    NEVER // 4
)  # below nothing: more than what is taken beyond what there is can make a node cheaper
_SHUT: Final = NEVER + _FAR
_NOBODY: Final[frozenset[int]] = frozenset()
_FEW: Final = 16  # odd nodes: more of them are quicker set by numpy than one by one
_SLICES: Final = 4  # where they stand in an amount
_PLENTY: Final = 64  # slices: hardly a part asks for more, and hardly a node has fewer left, so they are hardly ever compared


class Mask(Nature):
    """A nature as a column: the nodes that it allows. `most` is NEVER there, and more where inputs are, and below nothing elsewhere, `refused` what it says of the others, once that is asked."""

    __slots__ = ("column", "most", "refused")

    def __init__(
        self, reasons: list[Reason | None], kinds: list[int], gains_by_kind: list[int] | None
    ) -> None:
        super().__init__(reasons, kinds, gains_by_kind)
        self.column: Bits = np.array(self.allows, dtype=np.bool_)
        most: Any = np.int64(NEVER)
        if self.gains is not None:
            most += np.array(self.gains, dtype=np.int64)
        self.most: Column = np.where(self.column, most, np.int64(-_FAR))
        self.refused: Tally | None = None


class Row(Shape):
    """A shape with its row. `asks` is what is compared with which column, `gains` are NEVER and by how much cheaper it makes each node.

    `best` is the cheapest node for `turn`, as of the change `seen`.  `gained` is kept only where it is used again before much has changed; `cells` are the same, quicker to set one by one.
    """

    __slots__ = ("asks", "best", "cells", "gained", "gains", "is_kept", "mask", "seen", "turn")

    def __init__(self, needs: Numbers, nature: Nature) -> None:
        assert isinstance(nature, Mask)
        super().__init__(needs, nature)
        self.mask = nature
        # Nothing is ever short of nothing, so what is not asked for is not looked at. numpy compares its own numbers quicker than Python's.
        self.asks = [
            (place, np.array(number, dtype=np.int64))
            for place, number in enumerate(needs[:_SLICES])
            if number > 0
        ]
        self.gains: Column | None = None
        self.gained: Column | None = None
        self.cells: memoryview[int]
        self.is_kept = False
        self.best: tuple[int, int] | None = None
        self.turn = 0
        self.seen = 0


class _Frees(Sequence[list[int]]):
    """What is free on each node, read from the columns, which alone know it."""

    __slots__ = ("_cells",)

    def __init__(self, cells: list[memoryview[int]]) -> None:
        self._cells = cells

    def __len__(self) -> int:
        return len(self._cells[0])

    def __getitem__(self, at: Any) -> Any:
        return [cell[at] for cell in self._cells]


class Rows(Room):
    """The nodes and what is free on them, in columns."""

    def __init__(self, nodes: Iterable[NodeView], weights: Weights, turn: int = 0) -> None:
        self._alike: dict[tuple[Numbers, int], Scale] = {}
        super().__init__(nodes, weights, turn)
        self._stamp = 0
        self._frees = [np.array(one, dtype=np.int64) for one in zip(*self.free, strict=True)]
        self._wholes = [np.array(one, dtype=np.int64) for one in zip(*self.whole, strict=True)]
        if not self.views:
            self._frees = self._wholes = [np.zeros(0, dtype=np.int64)] * 5
        self._base_columns = [np.array(one, dtype=np.int64) for one in self._bases]
        # The same memory, quicker to set one by one.
        self._cells = [column.data for column in self._frees]
        self._bases = [column.data for column in self._base_columns]
        self.free = _Frees(self._cells)
        self._pace_columns = [
            np.array([pace[place] for pace in self._paces], dtype=np.int64) for place in (0, 1)
        ]
        self._ready_column: Bits = np.array(self.ready, dtype=np.bool_)
        self._scarce = sum(free[_SLICES] < _PLENTY for free in self.free)
        # Always the same memory, so that it is near.
        self._fits: Bits = np.empty(len(self.views), dtype=np.bool_)
        self._holds: Bits = np.empty(len(self.views), dtype=np.bool_)
        self._passing: Column = np.empty(len(self.views), dtype=np.int64)
        self._kind_column = np.array(self.kinds, dtype=np.int64)
        self._code_columns: dict[str, Column] = {}
        # Measured: to work out so many nodes one by one takes as long as all of them at once.
        self._replayed_max = len(self.views) // 300 + 8
        self._changes: deque[int] = deque(maxlen=_CHANGES_OF_A_NODE * self._replayed_max)

    def _move(self, at: int, part: Part, sign: int) -> None:
        needs = part.needs
        cpu_m, memory, disk, gpus, slices = self._cells
        cpu_m[at] -= sign * needs.cpu_m
        memory[at] -= sign * needs.memory_bytes
        before = slices[at]
        slices[at] = now = before - sign * needs.slices
        if before < _PLENTY or now < _PLENTY:
            self._scarce += (now < _PLENTY) - (before < _PLENTY)
        if needs.disk_bytes:
            disk[at] -= sign * needs.disk_bytes
        if needs.gpus:
            gpus[at] -= sign * needs.gpus
        if part.groups or part.anti:
            self.companies.join(at, part, sign)

    def _add(self, at: int, numbers: Numbers) -> None:
        before = self._cells[_SLICES][at]
        for cell, number in zip(self._cells, numbers, strict=True):
            cell[at] += number
        self._scarce += (before + numbers[_SLICES] < _PLENTY) - (before < _PLENTY)

    def _weigh(self, at: int) -> None:
        cpu_m, memory, _, gpus, _ = self._cells
        own, memory_own, empty, all_gpus, cost = self._scales[at]
        left, memory_left = cpu_m[at], memory[at]
        cost += left * own + memory_left * memory_own
        if left == empty[0] and memory_left == empty[1] and self.free[at] == empty:
            cost += self._opening
        plain, with_gpus = self._bases
        if all_gpus:
            plain[at] = cost + gpu_cost(all_gpus, gpus[at], self.weights, uses_gpus=False)
            with_gpus[at] = cost + gpu_cost(all_gpus, gpus[at], self.weights, uses_gpus=True)
        else:
            plain[at] = with_gpus[at] = cost
        self._changes.append(at)
        self._stamp += 1

    def _scale(self, view: NodeView) -> Scale:
        own, memory_own, empty, gpus, failing = super()._scale(view)
        # A node that is not ready is so dear that no row gains anything there, without being asked whether it is.
        cost = failing if view.state is NodeState.READY else failing + _SHUT
        # Nodes that are alike share it, so that it is near.
        return self._alike.setdefault(
            (view.capacity.numbers, cost), (own, memory_own, empty, gpus, cost)
        )

    def _new_nature(self, reasons: list[Reason | None], gains: list[int] | None) -> Nature:
        return Mask(reasons, self.kinds, gains)

    def _new_shape(self, needs: Numbers, nature: Nature) -> Shape:
        return Row(needs, nature)

    def restate(self, view: NodeView) -> bool:
        is_known = super().restate(view)
        if is_known:
            at = self.index[view.node]
            self._ready_column[at] = self.ready[at]
        return is_known

    def _now(self, row: Row) -> Column:
        """Return by how much each node is cheaper than NEVER now, kept or not. Whoever changes it puts it back."""
        kept = self._kept(row)
        return self._gained(row) if kept is None else kept

    def _kept(self, row: Row) -> Column | None:
        """Return the row after what happened since it was used last, nothing if that is too much for it to be worth keeping."""
        changes = self._stamp - row.seen
        if row.is_kept and not changes:
            return row.gained
        most = self._replayed_max
        row.seen = self._stamp
        # So many changes need not be counted: they are of too many nodes.
        if row.is_kept and changes <= _CHANGES_OF_A_NODE * most:
            changed = set(islice(reversed(self._changes), changes))
            if len(changed) <= most:
                self._replay(row, changed)
                return row.gained
        row.is_kept = changes <= most
        row.best = None
        if not row.is_kept:
            return None
        if row.gained is None:
            row.gained = np.empty(len(self.views), dtype=np.int64)
            row.cells = row.gained.data
        return self._gained(row, into=row.gained)

    def _gained(self, row: Row, into: Column | None = None) -> Column:
        """Work out by how much each node is cheaper than NEVER; at most nothing where the shape does not fit. If it is not said where: in memory that all rows share.

        What does not fit is multiplied by that: to set it takes twice as long, because where it is to be set nobody foresees, not the processor either.
        """
        gains = row.gains
        if gains is None:
            gains = row.needs[0] * self._pace_columns[0]
            gains += row.needs[1] * self._pace_columns[1]
            gains += row.mask.most
            row.gains = gains
        gained = self._passing if into is None else into
        fits, holds, columns = self._fits, self._holds, self._frees
        _minus(gains, self._base_columns[row.uses_gpus], gained)
        has_more = False
        for place, number in row.asks:
            if has_more:
                _both(fits, _holds(columns[place], number, holds), fits)
            else:
                _holds(columns[place], number, fits)
                has_more = True
        slices = row.needs[_SLICES]
        if slices and (self._scarce or slices > _PLENTY):
            _times(gained, _holds(columns[_SLICES], slices, holds), gained)
        if has_more:
            _times(gained, fits, gained)
        return gained

    def _most(self, gained: Column) -> tuple[int, int]:
        """Return the node with the largest gain, and what it costs."""
        turn = self.turn
        if not turn:
            best = int(gained.argmax())
            gain = gained.item(best)
        else:
            best = int(gained[turn:].argmax()) + turn
            gain = gained.item(best)
            other = int(gained[:turn].argmax())
            if gained.item(other) > gain:
                best, gain = other, gained.item(other)
        return (NEVER - gain, best) if gain > 0 else (NEVER, -1)

    def _replay(self, row: Row, changed: set[int]) -> None:
        """Work out the row anew where nodes have changed: `_own_base` for many, in one piece."""
        least_cpu_m, least_memory, disk, gpus, slices = row.floors
        cpu_m, memory = row.needs[:2]
        free_cpu_m, free_memory, free_disk, free_gpus, free_slices = self._cells
        ready, paces, cells = self.ready, self._paces, row.cells
        allows, bases = row.nature.allows, self._bases[row.uses_gpus]
        gains = row.nature.gains
        lowest, lowest_at = NEVER, -1
        for at in changed:
            if (
                free_cpu_m[at] < least_cpu_m
                or free_memory[at] < least_memory
                or free_slices[at] < slices
                or free_disk[at] < disk
                or free_gpus[at] < gpus
                or not allows[at]
                or not ready[at]
            ):
                cells[at] = 0
                continue
            pace = paces[at]
            cost = bases[at] - cpu_m * pace[0] - memory * pace[1]
            if gains is not None:
                cost -= gains[at]
            cells[at] = NEVER - cost
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
        assert isinstance(shape, Row)
        if not self.views:
            return NEVER, -1
        is_plain = not odd and crowds is None
        if is_plain and shape.seen == self._stamp and shape.best and shape.turn == self.turn:
            return shape.best
        if crowds is not None:
            gained = self._crowded(shape, crowds)
            gained[list(odd)] = 0
            return self._most(gained)
        if is_plain:
            gained = self._now(shape)
            if shape.best is None or shape.turn != self.turn:
                shape.best = self._most(gained)
                shape.turn = self.turn
            return shape.best
        return self._most_but(self._now(shape), odd)

    def _most_but(self, gained: Column, odd: Collection[int]) -> tuple[int, int]:
        """Return the node with the largest gain of those that are not odd, and what it costs."""
        if len(odd) > _FEW:
            places = list(odd)
            values = gained[places]
            gained[places] = 0
            found = self._most(gained)
            gained[places] = values
            return found
        cells = gained.data
        kept = [(at, cells[at]) for at in odd]
        for at in odd:
            cells[at] = 0
        found = self._most(gained)
        for at, gain in kept:
            cells[at] = gain
        return found

    def _crowded(self, row: Row, crowds: Crowds) -> Column:
        """Return by how much each node is cheaper than NEVER beside the crowds; at most nothing where none may go."""
        limit, weights = crowds.limit, self.weights
        extra = [
            crowd_cost(count, weights) if limit is None or count < limit else _SHUT
            for count in crowds.counts
        ]
        # One number more, which NO_DOMAIN finds: it is the last.
        extra.append(0 if limit is None else _SHUT)
        crowded: Column = np.array(extra, dtype=np.int64).take(self._codes(crowds.key))
        return np.subtract(self._now(row), crowded, crowded)

    def _codes(self, key: str) -> Column:
        column = self._code_columns.get(key)
        if column is None:
            column = np.array(self.companies.domains(key).codes, dtype=np.int64)
            self._code_columns[key] = column
        return column
