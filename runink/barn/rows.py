"""A row of values that grows at one end and is dropped at the other, found by place, each a moment's work.

The values stand in sealed tuples of BLOCK_ITEMS and a list that is not full yet.  A tuple is given back as soon as nothing in it is kept, so memory goes little by little; one
long list would give it back in one piece, 30 ms for 100,000 changes, and the garbage collector would walk over all of it (`ordered.py`).
"""

from __future__ import annotations

from itertools import chain
from typing import Final, Generic, TypeVar

BLOCK_ITEMS: Final = 256  # some 100 us to give back

T = TypeVar("T")


class Rows(Generic[T]):
    """Values by their place, of which the first that is kept has place 0."""

    def __init__(self) -> None:
        self._sealed: list[tuple[T, ...]] = []
        self._open: list[T] = []
        self._first = 0  # what is dropped of the first block

    def __len__(self) -> int:
        return len(self._sealed) * BLOCK_ITEMS + len(self._open) - self._first

    def __getitem__(self, place: int) -> T:
        assert place >= 0
        block, at = divmod(place + self._first, BLOCK_ITEMS)
        return self._sealed[block][at] if block < len(self._sealed) else self._open[at]

    def append(self, value: T) -> None:
        self._open.append(value)
        if len(self._open) == BLOCK_ITEMS:
            self._sealed.append(tuple(self._open))
            self._open = []

    def drop(self, count: int) -> None:
        """Drop the first values; there must be so many."""
        assert count <= len(self)
        self._first += count
        blocks = self._first // BLOCK_ITEMS
        del self._sealed[:blocks]
        self._first -= blocks * BLOCK_ITEMS

    def behind(self, place: int) -> list[T]:
        """Return the values from a place on, as a list of one's own."""
        block, at = divmod(place + self._first, BLOCK_ITEMS)
        found = list(chain.from_iterable(self._sealed[block:]))
        found += self._open
        del found[:at]
        return found
