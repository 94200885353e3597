"""What a node's rows hold in the fields that assertions ask about: how many have no value, how many values differ, which is the newest.

Counted as batches pass, in bounded memory.  Different values are kept, each once, up to DISTINCT_MAX of them or DISTINCT_BYTES_MAX; where there are more, counting ends and
the figure is nothing, because a guess would keep a promise that nobody has checked.  Values that come are set beside those that are known until they are as many, and only
then compared with them all: so the work stays by the rows, however many values differ.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.errors import Refused
from runink.expressions.columns import instants, kind_of, without_nan
from runink.expressions.typing import INSTANTS, SIMPLE
from runink.jobs import FieldFacts, Watched

DISTINCT_MAX: Final = 1_000_000  # values
DISTINCT_BYTES_MAX: Final = 64 << 20
_PENDING_MIN: Final = 65_536  # values: fewer are not worth a comparison with all


class FieldFigures:
    """One field of one node. Fed by its strand; `facts` may be read by another thread, and then be a batch old."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._rows = 0
        self._nulls = 0
        self._newest_us: int | None = None
        self._known: pa.Array | None = None
        self._pending: list[pa.Array] = []
        self._pending_rows = self._pending_bytes = 0
        self._is_over = False

    def take(self, data: pa.RecordBatch) -> None:
        """Count a batch. Raises Refused if it has no such column, or one that cannot be asked this."""
        name = self._watched.field
        place = data.schema.get_field_index(name)
        if place < 0:
            self._refuse(f"there is no column {name!r}; there are {', '.join(data.schema.names)}")
        column = data.column(place)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_floating(column.type):
            column = without_nan(column)
        self._rows += len(column)
        self._nulls += column.null_count
        if self._watched.newest:
            self._take_newest(column)
        if self._watched.distinct and not self._is_over:
            self._take_distinct(column)

    def facts(self) -> FieldFacts:
        distinct = self._distinct() if self._watched.distinct else 0
        return FieldFacts(self._watched.field, self._rows, self._nulls, distinct, self._newest_us)

    def _refuse(self, text: str) -> None:
        raise Refused(
            f"an assertion asks about {self._watched.field}: {text}", code="assertion_failed"
        )

    def _take_newest(self, column: pa.Array) -> None:
        if not pa.types.is_null(column.type) and kind_of(column.type) not in INSTANTS:
            self._refuse(f"it is {column.type}, which is no time")
        if column.null_count < len(column):
            newest = pc.max(pc.cast(instants(column), pa.int64())).as_py()
            self._newest_us = newest if self._newest_us is None else max(newest, self._newest_us)

    def _take_distinct(self, column: pa.Array) -> None:
        kind = column.type
        if pa.types.is_null(kind):
            return
        if not pa.types.is_decimal(kind) and kind_of(kind) not in SIMPLE:
            self._refuse(f"it is {kind}, whose values are not told apart")
        if pa.types.is_floating(kind):
            column = pc.add(column, pa.scalar(0, kind))  # -0.0 is 0.0
        if self._known is None:
            self._known = pa.array([], kind)
        elif not kind.equals(self._known.type):
            self._refuse(f"it was {self._known.type} before, and is {kind} now")
        found = pc.drop_null(pc.unique(column))
        self._pending.append(found)
        self._pending_rows += len(found)
        self._pending_bytes += found.nbytes
        many = self._pending_rows >= max(len(self._known), _PENDING_MIN)
        if many or self._pending_bytes > DISTINCT_BYTES_MAX:
            self._settle()

    def _settle(self) -> None:
        """Compare what is new with what is known."""
        assert self._known is not None
        self._known = pc.unique(pa.concat_arrays([self._known, *self._pending]))
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        if len(self._known) > DISTINCT_MAX or self._known.nbytes > DISTINCT_BYTES_MAX:
            self._is_over = True
            self._known = pa.array([], self._known.type)

    def _distinct(self) -> int | None:
        if self._is_over:
            return None
        if self._known is None:
            return 0
        return len(self._known)

    def end(self) -> None:
        """Say that no more batches come: now the figures are exact."""
        if self._pending and not self._is_over:
            self._settle()
