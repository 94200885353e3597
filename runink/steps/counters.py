"""What the nodes of a slice did: rows, batches and the time spent in each, without its neighbours'.

Nodes of a strand call each other (each pulls from the one before), so a plain clock around one would count all that are behind
it.  A `Watch` belongs to a strand and knows whose turn it is: `enter` books the time since the last change on whoever had it.
Waiting (for a pipe, a channel, side inputs) is nobody's time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
from msgspec.structs import replace

from runink.dag import Link
from runink.jobs import Drifted, EdgeFacts, NodeFacts, Rejections, Transport, Watched
from runink.pipes.batch import Batch
from runink.steps.field_figures import FieldFigures

Clock = Callable[[], float]
DRIFTS_MAX: Final = 100  # of a check: more departures than that are another contract


class Counter:
    """One node's figures. Written by its strand, read by the main thread for progress, where a figure may be a batch old."""

    def __init__(self, node: str, watched: Iterable[Watched] = ()) -> None:
        self.node = node
        self._fields = [*map(FieldFigures, watched)]
        self.rows_in = 0
        self.rows_out = 0
        self.rejected = 0
        self.batches = 0
        self.batches_out = 0
        self.bytes = 0
        self.busy_s = 0.0
        self.waited_s = 0.0
        self.columns: tuple[tuple[str, str], ...] = ()
        self.reasons: dict[tuple[str, str], tuple[str, int]] = {}
        self.drifted = 0
        self._drifts: dict[tuple[str, str], Drifted] = {}
        self._lock = threading.Lock()

    def came(self, batch: Batch) -> None:
        self.rows_in += batch.data.num_rows
        self.batches += 1

    def went(self, batch: Batch) -> None:
        self.rows_out += batch.data.num_rows
        self.batches_out += 1
        for field in self._fields:
            field.take(batch.data)
        if not self.columns:
            self.columns = columns_of(batch.data.schema)

    def ended(self) -> None:
        """Say that the node has given all its rows."""
        for field in self._fields:
            field.end()

    def waited(self, seconds: float) -> None:
        """Take off a wait that happened in a thread of an engine's, which no watch sees."""
        with self._lock:
            self.waited_s += seconds

    def reject(self, field: str, rule: str, *, text: str, rows: int) -> None:
        first_text, before = self.reasons.get((field, rule), (text, 0))
        self.reasons[field, rule] = (first_text, before + rows)

    def drift(self, found: Drifted) -> None:
        """Add the rows of one departure to those that departed so before."""
        key = (found.column, found.departure)
        before = self._drifts.get(key)
        if before is not None:
            self._drifts[key] = replace(before, rows=before.rows + found.rows)
        elif len(self._drifts) < DRIFTS_MAX:
            self._drifts[key] = found

    def drifts(self) -> tuple[Drifted, ...]:
        return tuple(self._drifts.values())

    def facts(self) -> NodeFacts:
        busy_s = max(self.busy_s - self.waited_s, 0.0)
        return NodeFacts(
            self.node,
            self.rows_in,
            self.rows_out,
            self.rejected,
            self.batches or self.batches_out,  # a source has no others
            self.bytes,
            round(busy_s, 6),
            self.drifted,
            tuple(map(FieldFigures.facts, self._fields)),
        )

    def rejections(self) -> tuple[Rejections, ...]:
        if not self.reasons:
            return ()
        return tuple(
            Rejections(self.node, field, rule, text, rows)
            for (field, rule), (text, rows) in self.reasons.items()
        )


class EdgeCounter:
    """One link's figures; `transport` is what carries it to another slice."""

    def __init__(self, link: Link, transport: Transport | None) -> None:
        self._link = link
        self._transport = transport
        self.rows = 0
        self.batches = 0
        self.bytes = 0

    def passed(self, batch: Batch) -> None:
        self.rows += batch.data.num_rows
        self.batches += 1
        self.bytes += batch.data.nbytes

    def facts(self) -> EdgeFacts:
        link = self._link
        figures = self.rows, self.batches, self.bytes
        return EdgeFacts(link.source, link.target, link.role, *figures, self._transport)


class Watch:
    """Whose turn it is in one strand, and since when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._owner: Counter | None = None
        self._since = clock()

    def enter(self, owner: Counter | None) -> Counter | None:
        """Book the time until now, give the turn to `owner` (or nobody) and return who had it."""
        now = self._clock()
        previous = self._owner
        if previous is not None:
            previous.busy_s += now - self._since
        self._owner, self._since = owner, now
        return previous

    @contextmanager
    def turn(self, owner: Counter | None) -> Iterator[None]:
        previous = self.enter(owner)
        try:
            yield
        finally:
            self.enter(previous)


def columns_of(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    return tuple(zip(schema.names, map(str, schema.types), strict=True))
