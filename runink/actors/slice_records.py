"""The agent's writing of slice records: many at a time, each compared with what it was decided on.

A slice passes through several states in a few milliseconds, and a gang has many slices; one transaction a state would queue for the disk.
So a record waits until the transaction before it is done, and only the latest state of each is written: a state that was passed within that time
stands in no revision, its times stand in the record.  The last state of a slice takes its placement back in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import anyio

from runink.barn.keys import placement_key, slice_key
from runink.clients.barn import BarnClient, Found, Transaction
from runink.runs.records import SliceRecord

BATCH_MAX: Final = 200  # records of a transaction, two operations each: below TXN_OPERATIONS_MAX


@dataclass(slots=True)
class _Held:
    """A record of ours: the revision that the next write is compared with, and what is to be written."""

    record: SliceRecord
    revision: int
    written: anyio.Event


class SliceRecords:
    """The records that this node answers for. `lost` is told the key of one that somebody else has changed."""

    def __init__(self, barn: BarnClient, *, lost: Callable[[str], object]) -> None:
        self._barn = barn
        self._lost = lost
        self._held: dict[str, _Held] = {}
        self._due: dict[str, SliceRecord] = {}
        self._wake = anyio.Event()

    def take(self, found: Found[SliceRecord]) -> None:
        """Answer for a record from now on."""
        self._held[found.key] = _Held(found.value, found.revision, anyio.Event())

    def write(self, record: SliceRecord) -> None:
        """Have a record written soon. One that is not ours any more is dropped."""
        key = slice_key(record.herd, record.run, record.slice)
        held = self._held.get(key)
        if held is None or held.record.attempt != record.attempt:
            return
        held.record = record
        self._due[key] = record
        self._wake.set()

    async def wait_written(self, record: SliceRecord) -> None:
        """Wait until a record's last state is in the Barn, or is not ours any more."""
        key = slice_key(record.herd, record.run, record.slice)
        held = self._held.get(key)
        if held is not None and held.record.attempt == record.attempt:
            await held.written.wait()

    async def run(self) -> None:
        """Write what is due, for as long as this task lives."""
        while True:
            if not self._due:
                self._wake = anyio.Event()
                await self._wake.wait()
            batch = dict(list(self._due.items())[:BATCH_MAX])
            for key in batch:
                del self._due[key]
            await self._write(batch)

    async def _write(self, batch: dict[str, SliceRecord]) -> None:
        while batch:  # each round drops the records that were not ours any more
            committed = await self._barn.commit(self._transaction(batch))
            if committed.succeeded:
                self._settle(batch, committed.revision)
                return
            for key in committed.failed:
                batch.pop(key, None)
                self._due.pop(key, None)
                held = self._held.pop(key, None)
                if held is not None:
                    held.written.set()
                    self._lost(key)

    def _transaction(self, batch: dict[str, SliceRecord]) -> Transaction:
        transaction = Transaction()
        for key, record in batch.items():
            transaction = transaction.if_revision(key, self._held[key].revision).put(key, record)
            if record.state.is_over and record.node is not None:
                transaction = transaction.delete(
                    placement_key(record.node, record.run, record.slice)
                )
        return transaction

    def _settle(self, keys: Iterable[str], revision: int) -> None:
        for key in keys:
            held = self._held[key]
            held.revision = revision
            if held.record.state.is_over and key not in self._due:
                del self._held[key]
                held.written.set()
