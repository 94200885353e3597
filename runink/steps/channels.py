"""Hand-over of batches between the threads of one slice: a channel of one batch, a spooled one, and a collector of side inputs.

    Channel          put() waits until there is room for one batch      the reader takes whichever writer is ready (union)
    SpooledChannel   put() writes to disk until the reader begins       then what is on disk is read, then as a Channel
    Collector        put() keeps the batch                              the reader waits until all writers have ended

Every wait ends when the slice stops: whoever waits then gets `Stopped`, which is no failure of his own.  A reader
that closes its channel lets its writers go on: what they put is dropped, so that their other targets still get it.
"""

from __future__ import annotations

import threading
from _thread import allocate_lock as _allocate_lock
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from runink.errors import Refused
from runink.pipes.batch import Batch
from runink.steps.schemas import one_schema

BATCHES_MAX: Final = 1  # one waits while one is worked on: two keep both ends busy, more is memory


class Stopped(BaseException):
    """The slice stops because of something else; whoever sees this just ends. No Exception, so that a step that catches all does not catch it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What was raised, by which node, and at which batch; `exact` if the batch's rows are a whole stretch of a file."""

    node: str
    error: BaseException
    batch: Batch | None
    exact: bool


class Bell:
    """Wakes the one thread that waits for it, at once if it was rung before. A Condition would be ten functions more, and each slice has pages copied for each that it calls."""

    def __init__(self) -> None:
        self._silent = _allocate_lock()  # held until it rings
        self._silent.acquire()

    def ring(self) -> None:
        try:  # noqa: SIM105 - contextlib's suppress is three functions more
            self._silent.release()
        except RuntimeError:
            pass  # It has been rung, and nobody has come yet.

    def wait(self, within_s: float) -> bool:
        """Wait until it rings, and say whether it did."""
        return self._silent.acquire(timeout=within_s)


class Stop:
    """The slice's wish to stop, which wakes everyone who waits for a batch, and the bell; and the failure that came first."""

    def __init__(self) -> None:
        self.bell = Bell()  # for the thread that waits for all strands
        self.failure: Failure | None = None
        self._wanted = False
        self._setting = _allocate_lock()
        self._condition: threading.Condition | None = None

    @property
    def condition(self) -> threading.Condition:
        """What hand-overs wait for; one for the slice: they are rare beside rows. Whatever hands over asks for it when it is made, which is before any strand runs."""
        if self._condition is None:
            self._condition = threading.Condition()
        return self._condition

    @property
    def wanted(self) -> bool:
        return self._wanted

    def set(self, failure: Failure | None = None) -> None:
        """Stop the slice. Only the first failure counts: what is raised later is its echo."""
        with self._setting:
            if not self._wanted:
                self.failure = failure
            self._wanted = True
        if self._condition is not None:
            with self._condition:
                self._condition.notify_all()
        self.bell.ring()

    def check(self) -> None:
        """Raise Stopped if the slice stops."""
        if self._wanted:
            raise Stopped


class Inbox(Protocol):
    """What writers see of any of the three."""

    @property
    def closed(self) -> bool: ...
    def put(self, batch: Batch) -> None: ...
    def end(self) -> None: ...


class Channel:
    """Of one batch, from `writers` threads to one. `put` and the iteration raise Stopped."""

    def __init__(self, stop: Stop, *, writers: int) -> None:
        self._stop = stop
        self._condition = stop.condition
        self._writers = writers
        self._batches: deque[Batch] = deque()
        self.closed = False

    def put(self, batch: Batch) -> None:
        with self._condition:
            self._wait_for_room()
            if not self.closed:
                self._batches.append(batch)
                self._condition.notify_all()

    def _wait_for_room(self) -> None:
        self._condition.wait_for(
            lambda: self._stop.wanted or self.closed or len(self._batches) < BATCHES_MAX
        )
        self._stop.check()

    def end(self) -> None:
        """Say that one writer has put its last batch."""
        with self._condition:
            self._writers -= 1
            self._condition.notify_all()

    def close(self) -> None:
        """Read no more; writers go on for nothing."""
        with self._condition:
            self.closed = True
            self._batches.clear()
            self._condition.notify_all()

    def __iter__(self) -> Iterator[Batch]:
        while (batch := self._next()) is not None:
            yield batch

    def _next(self) -> Batch | None:
        with self._condition:
            self._condition.wait_for(
                lambda: self._stop.wanted or self._batches or self._writers == 0
            )
            self._stop.check()
            if not self._batches:
                return None
            batch = self._batches.popleft()
            self._condition.notify_all()
            return batch


class SpooledChannel(Channel):
    """Takes what comes to disk until its reader begins, so that nobody waits for a reader who himself waits for side inputs.

    The file is an Arrow IPC stream (of the first batch's schema) in the slice's scratch folder; places are kept beside it in memory.
    """

    def __init__(self, stop: Stop, *, writers: int, path: Path, what: str) -> None:
        super().__init__(stop, writers=writers)
        self._path = path
        self._what = what
        self._disk = threading.Lock()  # not the slice's condition: others need not wait for a disk
        self._spooling = True
        self._places: list[tuple[str, int]] = []  # origin and row of each batch on disk
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._schema: pa.Schema | None = None

    def put(self, batch: Batch) -> None:
        with self._disk:
            if self._spooling and not self.closed:
                self._stop.check()
                self._spool(batch)
                return
        super().put(batch)

    def _spool(self, batch: Batch) -> None:
        if self._writer is None:
            self._writer = pa.ipc.new_stream(str(self._path), batch.data.schema)
            self._schema = batch.data.schema
        if not batch.data.schema.equals(self._schema):
            raise Refused(
                f"{self._what} comes with different columns or types",
                code="step_schema_changed",
                hint="inputs that flow together have the same columns and types: put one contract on each",
            )
        self._writer.write_batch(batch.data)
        self._places.append((batch.origin, batch.row))

    def __iter__(self) -> Iterator[Batch]:
        with self._disk:
            self._spooling = False
            if self._writer is not None:
                self._writer.close()
        if self._places:
            yield from self._replayed()
        yield from super().__iter__()

    def _replayed(self) -> Iterator[Batch]:
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as reader:
            self._path.unlink()
            for data, (origin, row) in zip(reader, self._places, strict=True):
                self._stop.check()
                yield Batch(data, origin, row)


class Collector:
    """Keeps a side input, which comes whole."""

    def __init__(self, stop: Stop, *, writers: int, what: str) -> None:
        self._stop = stop
        self._condition = stop.condition
        self._writers = writers
        self._what = what
        self._batches: list[pa.RecordBatch] = []
        self.closed = False

    def put(self, batch: Batch) -> None:
        with self._condition:
            self._batches.append(batch.data)

    def end(self) -> None:
        with self._condition:
            self._writers -= 1
            self._condition.notify_all()

    def whole(self) -> pa.Table:
        """Wait until all writers have ended and return what they put. Raises Stopped, and Refused if their schemas differ."""
        with self._condition:
            self._condition.wait_for(lambda: self._stop.wanted or self._writers == 0)
            self._stop.check()
        batches = list(one_schema(self._batches, self._what))
        return pa.Table.from_batches(batches) if batches else pa.table({})
