"""Where the batches of a node go: a sink, a pipe to another slice, or a thread of this one.

A node with several outlets gives each batch to all of them in turn, so a slow one holds back the node and with it the source.
Outlets write in the strand of the node they belong to; a sink that several strands feed has a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Protocol

import pyarrow as pa

from runink.clearances import NOT_CLEARED
from runink.contracts.fields import FieldSpec
from runink.dag import Sink
from runink.errors import Refused
from runink.expressions.batches import kept
from runink.jobs import Prepared
from runink.pipes.batch import Batch
from runink.steps.channels import Inbox
from runink.steps.counters import Counter, EdgeCounter, Watch
from runink.steps.doors import PipeWriter, SinkWriter

Hide = Callable[[pa.RecordBatch, tuple[FieldSpec, ...]], pa.RecordBatch]


class Outlet(Protocol):
    @property
    def node_id(self) -> str:
        """The node that has failed if writing fails; empty if it is the one in front."""

    @property
    def closed(self) -> bool:
        """Whether whoever is behind reads no more, so that writing is for nothing."""

    def put(self, batch: Batch, watch: Watch) -> None: ...
    def end(self) -> None: ...


class ChannelOutlet:
    """To another strand of this slice, or to a side input."""

    node_id = ""

    def __init__(self, inbox: Inbox, edge: EdgeCounter) -> None:
        self._inbox = inbox
        self._edge = edge

    @property
    def closed(self) -> bool:
        return self._inbox.closed

    def put(self, batch: Batch, watch: Watch) -> None:
        self._edge.passed(batch)
        with watch.turn(None):
            self._inbox.put(batch)

    def end(self) -> None:
        self._inbox.end()


class PipeOutlet:
    """To another slice. The end frame goes out when the node in front has given its last batch and nothing was raised."""

    node_id = ""

    def __init__(self, writer: PipeWriter, edge: EdgeCounter) -> None:
        self._writer = writer
        self._edge = edge
        self._lock = threading.Lock()
        self._ended = False
        self.closed = False

    def put(self, batch: Batch, watch: Watch) -> None:
        self._edge.passed(batch)
        with watch.turn(None), self._lock:
            self._writer.write(batch)

    def end(self) -> None:
        with self._lock:
            self._writer.end()
            self._ended = True
            self._writer.close()

    def fail(self, text: str) -> None:
        """Tell the reader that no end will come. A strand that hangs in a write keeps its pipe: the end of the process tells it then."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self._ended:
                self._ended = True
                with closing(self._writer):
                    self._writer.fail(text)
        finally:
            self._lock.release()


class SinkOutlet:
    """To a sink. The first batch is written even if it holds no rows: it brings the columns."""

    def __init__(self, node: Sink, writer: SinkWriter, counter: Counter, hide: Hide) -> None:
        self.node = node
        self._hide = hide
        columns = node.clearance.columns if node.clearance is not None else None
        self._known = None if columns is None else frozenset(name.lower() for name in columns)
        self.node_id = node.id
        self.counter = counter
        self.closed = False
        self._lock = threading.Lock()
        self._writer = writer
        self._begun = False
        self._prepared: Prepared | None = None

    def put(self, batch: Batch, watch: Watch) -> None:
        with self._lock, watch.turn(self.counter):
            self.counter.came(batch)
            data = batch.data if self.node.when is None else kept(batch.data, self.node.when)
            if data.num_rows or not self._begun:
                self._begun = True
                data = self._cleared(data)
                written = batch if data is batch.data else Batch(data, batch.origin, batch.row)
                self._writer.write(written)
                self.counter.went(written)

    def _cleared(self, data: pa.RecordBatch) -> pa.RecordBatch:
        """Return what of a batch the sink may have. Raises Refused for a column that nobody knew of when the sink was cleared."""
        clearance = self.node.clearance
        if clearance is None:
            return data
        if self._known is not None:
            unknown = [name for name in data.schema.names if name.lower() not in self._known]
            if unknown:
                raise Refused(
                    f"{self.node.uri} is not cleared for column {unknown[0]}: that personal data is in it could not be ruled out",
                    code=NOT_CLEARED,
                    hint="a step gives it without saying so: name it in maps= of the step; or let a @contract in front of the @sink say what there is",
                )
        return self._hide(data, clearance.masked) if clearance.masked else data

    def end(self) -> None:
        """A sink ends when the whole slice has: see `prepare`."""

    def prepare(self) -> Prepared:
        """Write what is left. Asked again, as for a dead letter when another sink fails, it says the same."""
        if self._prepared is None:
            self._prepared = self._writer.prepare()
            self.counter.bytes = self._prepared.bytes
        return self._prepared

    def abort(self) -> None:
        self._writer.abort()

    def is_free(self) -> bool:
        """Say whether no strand hangs in it, so that it may be prepared or aborted."""
        free = self._lock.acquire(blocking=False)
        if free:
            self._lock.release()
        return free


class Counted:
    """An outlet whose link is counted in front of it: for sinks, which are fed by several."""

    def __init__(self, outlet: SinkOutlet, edge: EdgeCounter) -> None:
        self._outlet = outlet
        self._edge = edge
        self.node_id = outlet.node_id
        self.closed = False

    def put(self, batch: Batch, watch: Watch) -> None:
        self._edge.passed(batch)
        self._outlet.put(batch, watch)

    def end(self) -> None:
        self._outlet.end()
