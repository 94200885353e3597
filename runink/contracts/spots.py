"""Where a column of values stands in a row: a column of the batch itself, a field of a record, the items of a list.

    month              of the batch: element i is row i's
    address.zip        of a record: element i is row i's, too
    items[].price      of what a list holds: an element has a row of its own and a place in its list, and is called items[3].price

Rows and names are looked up for the few elements that are wrong, never for a whole column.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class Items:
    """How the elements of a list's column hang on the elements around them: `parents` are their places there, `starts` where each of those begins its list."""

    around: Spot
    parents: pa.Array
    starts: pa.Array


class Spot(msgspec.Struct, frozen=True):
    """One column's place. `path` has [] for a list's places, `tail` is what of it stands behind the last []."""

    path: str
    tail: str
    items: Items | None = None

    @classmethod
    def column(cls, name: str) -> Spot:
        return cls(name, name)

    def member(self, name: str) -> Spot:
        """Return the place of a record's field."""
        return Spot(f"{self.path}.{name}", f"{self.tail}.{name}", self.items)

    def item(self, parents: pa.Array, starts: pa.Array) -> Spot:
        """Return the place of what the lists in this column hold."""
        return Spot(f"{self.path}[]", "", Items(self, parents, starts))

    def rows(self, places: pa.Array) -> pa.Array:
        """Return the rows that these elements are of, as int64."""
        if self.items is None:
            return places
        return self.items.around.rows(self.items.parents.take(places))

    def names(self, places: pa.Array) -> pa.Array:
        """Return how each of these elements is called."""
        if self.items is None:
            return pa.repeat(pa.scalar(self.tail, pa.string()), len(places))
        parents = self.items.parents.take(places)
        at = pc.subtract(places, self.items.starts.take(parents)).cast(pa.string())
        around = self.items.around.names(parents)
        return pc.binary_join_element_wise(around, "[", at, f"]{self.tail}", "")
