"""An edge: what carries batches from one slice to another, whatever the transport is.

    writer    write(batch) and barrier(epoch), any number of times, then end() or fail(text), then close()
    reader    yields the batches in their order, and ends only behind the writer's end()

A writer that closes, or dies, without `end()` has failed: the reader raises `ProducerFailed` behind the last whole
batch, and whoever reads discards what he made of it.  A reader that closes early makes the writer raise `ConsumerGone`.  Both mean that a
neighbour has failed or has had enough, never that something is wrong with this slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from runink.errors import Unavailable
from runink.pipes.batch import Batch


class ProducerFailed(Unavailable):
    """The stream ended without its end, or with the producer's own word that it has failed."""

    default_code = "producer_failed"


class ConsumerGone(Unavailable):
    """Nobody reads this edge any more."""

    default_code = "consumer_gone"


@dataclass(frozen=True, slots=True)
class Barrier:
    """A mark in the stream: all batches before it belong to the epoch that it ends."""

    epoch: int


@dataclass(frozen=True, slots=True)
class EdgeStatistics:
    """What has passed: `bytes` are those on the transport, with framing."""

    rows: int
    batches: int
    bytes: int


class EdgeWriter(Protocol):
    def write(self, batch: Batch) -> None:
        """Hand over a batch; waits while the reader is behind. Raises ConsumerGone."""

    def barrier(self, epoch: int) -> None: ...

    def end(self) -> None:
        """Say that all is said. Raises ConsumerGone."""

    def fail(self, text: str) -> None:
        """Tell the reader that no end will come, and why, if there is room for it now: it is never waited for. Only `close` may follow."""

    def close(self) -> None: ...

    def statistics(self) -> EdgeStatistics: ...


class EdgeReader(Protocol):
    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches, without the barriers. Raises ProducerFailed, and ProtocolViolation where the bytes are no edge's."""

    def events(self) -> Iterator[Batch | Barrier]:
        """Yield what the writer wrote, in its order. Raises as the iteration does."""

    def fileno(self) -> int:
        """The descriptor to wait for: it is readable when a batch, the end or a failure is on its way, and nothing is read ahead."""

    def close(self) -> None: ...

    def statistics(self) -> EdgeStatistics: ...
