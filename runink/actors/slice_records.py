"""The agent's writing of slice records: many at a time, each compared with what it was decided on.

A slice passes through several states in a few milliseconds, and a gang has many slices; one transaction a state would queue for the disk.
So a record waits until the transaction before it is done, and only the latest state of each is written: a state that was passed within that time
stands in no revision, its times stand in the record.  What nobody waits for (that a slice runs, or has succeeded while others of its gang go on)
lingers for LINGER_S, so that others go with it; a slice that ends within that time was never seen running.  The last state of a slice takes its placement back in the same transaction.

The more slices there are, the more is written together (decision 0053): a transaction follows the one before by GATHER_S_PER_SLICE for each, and what lingers does so for LINGER_S_PER_SLICE for each.

    the Barn says                        what is done
    done                                 the next write is compared with that revision
    somebody else has changed a record   ended or in another attempt it is not ours any more: dropped, and `lost` is told; else a former life of this
                                         agent wrote it, whose last words were still under way: ours is written over it
    nothing, or that it has no room      the same again after PAUSE_S, for as long as it takes: if it was done, the next compare fails, and what stands
                                         there is what was written: done, once
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

import anyio
from msgspec.structs import replace as changed

from runink.barn.commands import VALUE_BYTES_MAX, Compare, Delete, Is, Of, Operation, Put
from runink.barn.keys import placement_key, slice_key
from runink.barn.keyvalue import one_key
from runink.clients.barn import BarnClient, Found, Transaction, decode_value, encode_value
from runink.errors import OutcomeUnknown, Unavailable, WireError
from runink.jobs import Failed
from runink.loops import Bell, Flag, now_s
from runink.runs.records import SliceRecord, SliceState

BATCH_MAX: Final = 200  # records of a transaction, two operations each: below TXN_OPERATIONS_MAX
BATCH_BYTES_MAX: Final = (
    1 << 20
)  # of values; with keys and placements it stays below COMMAND_BYTES_MAX
LINGER_S: Final = 0.05
# A transaction costs the control plane a millisecond, whatever it holds: with that the scheduler plans anew, and all who watch are told. Where three hundred slices share
# two cores, 160 end in a second: each of them waits for 4 % of its time, while others have the cores, and one transaction in place of twelve is made.
GATHER_S_PER_SLICE: Final = 0.00025
GATHER_S_MAX: Final = 0.1
LINGER_S_PER_SLICE: Final = (
    0.001  # longer than a short one lives that shares its cores with so many
)
LINGER_S_MAX: Final = 0.5  # a person who looks does not wait longer
PAUSE_S: Final = 1.0  # while the Barn's disk is full


@dataclass(eq=False, slots=True)
class _Held:
    """A record of ours: its latest state, the revision that the next write is compared with, and whether all of it is in the Barn."""

    key: str
    record: SliceRecord
    revision: int
    tried: bytes = b""  # the value of a write that nobody knows the outcome of
    settled: Flag = field(default_factory=Flag)
    is_ours: bool = True
    since_s: float = 0.0  # it lingers


class SliceRecords:
    """The records that this node answers for. `lost` is told the key of one that somebody else has changed."""

    def __init__(self, barn: BarnClient, *, lost: Callable[[str], object]) -> None:
        self._barn = barn
        self._lost = lost
        self._held: dict[str, _Held] = {}
        self._due: dict[str, _Held] = {}
        self._lingering: dict[str, _Held] = {}  # the longest first; none of them is due
        self._some = Bell()  # something is due, or lingers
        self._begun_s = float("-inf")  # the last transaction

    def __len__(self) -> int:
        return len(self._held)

    def holds(self, record: SliceRecord) -> bool:
        """Say whether this attempt is answered for already."""
        return self._held_for(record) is not None

    def take(self, found: Found[SliceRecord]) -> None:
        """Answer for a record from now on, in this attempt; what was to be written of an earlier one is dropped."""
        before = self._held.get(found.key)
        if before is not None:
            self._drop(before)
        held = self._held[found.key] = _Held(found.key, found.value, found.revision)
        held.settled.set()

    def write(self, record: SliceRecord, *, is_urgent: bool = True) -> SliceRecord:
        """Have a record written, at once or soon, and return it. One that is not ours any more is dropped."""
        held = self._held_for(record)
        if held is not None:
            held.record = record
            if held.settled.is_set():
                held.settled = Flag()
            self._make_due(held, is_urgent=is_urgent)
        return record

    async def wait_written(self, record: SliceRecord) -> bool:
        """Wait until a record's last state is in the Barn; say whether it is, and not somebody else's."""
        held = self._held_for(record)
        if held is None:
            return False
        await held.settled.wait()
        return held.is_ours

    async def run(self) -> None:
        """Write what is due, for as long as this task lives, also while the Barn does not answer."""
        while True:
            await self._wait_due()
            wait_s = self._begun_s + self._gather_s() - now_s()
            if wait_s > 0:
                await anyio.sleep(wait_s)
            batch = self._take_batch()
            if batch:  # nothing lingers long enough if others came meanwhile
                self._begun_s = now_s()
                await self._write(batch)

    async def _wait_due(self) -> None:
        """Return when something is due, or has lingered for its time."""
        while not self._due:
            first = next(iter(self._lingering.values()), None)
            if first is None:
                await self._some.wait()
                continue
            due_s, at_s = first.since_s + max(self._linger_s(), LINGER_S), now_s()
            if due_s <= at_s:
                return
            await self._some.wait_within(due_s - at_s)

    def _gather_s(self) -> float:
        """Return how long after a transaction the next one is."""
        is_full = len(self._due) >= BATCH_MAX
        return 0.0 if is_full else min(len(self._held) * GATHER_S_PER_SLICE, GATHER_S_MAX)

    def _linger_s(self) -> float:
        """Return for how long something lingers at least."""
        return min(len(self._held) * LINGER_S_PER_SLICE, LINGER_S_MAX)

    def _held_for(self, record: SliceRecord) -> _Held | None:
        held = self._held.get(slice_key(record.herd, record.run, record.slice))
        return held if held is not None and held.record.attempt == record.attempt else None

    def _make_due(self, held: _Held, *, is_urgent: bool) -> None:
        if is_urgent:
            self._lingering.pop(held.key, None)
            self._due[held.key] = held
        elif held.key not in self._due and held.key not in self._lingering:
            held.since_s = now_s()
            self._lingering[held.key] = held
        self._some.ring()

    def _drop(self, held: _Held) -> None:
        del self._held[held.key]
        self._due.pop(held.key, None)
        self._lingering.pop(held.key, None)
        held.is_ours = False
        held.settled.set()

    def _take_batch(self) -> list[tuple[_Held, SliceRecord, bytes]]:
        linger_s, at_s = self._linger_s(), now_s()
        lingering = [*self._lingering.values()]
        for held in takewhile(lambda one: one.since_s + linger_s <= at_s, lingering):
            self._make_due(held, is_urgent=True)
        batch: list[tuple[_Held, SliceRecord, bytes]] = []
        size = 0
        while self._due and len(batch) < BATCH_MAX:
            key, held = next(iter(self._due.items()))
            value = fitting(held.record)
            size += len(value)
            if batch and size > BATCH_BYTES_MAX:
                break
            del self._due[key]
            batch.append((held, held.record, value))
        return batch

    async def _write(self, batch: list[tuple[_Held, SliceRecord, bytes]]) -> None:
        try:
            committed = await self._barn.commit(_transaction(batch))
            if not committed.succeeded:
                await self._look_anew(
                    [held for held, _, _ in batch if held.key in committed.failed]
                )
        except Unavailable as error:
            if isinstance(error, OutcomeUnknown):
                for held, _, value in batch:
                    held.tried = value
            self._again(batch)
            await anyio.sleep(PAUSE_S)
            return
        if committed.succeeded:
            for held, record, _ in batch:
                self._settle(held, record, committed.revision)
            return
        self._again(batch)

    async def _look_anew(self, failed: list[_Held]) -> None:
        """See what became of records that are not as they were, and drop those that are not ours any more."""
        pages = await self._barn.read(*(one_key(held.key) for held in failed))
        for held, page in zip(failed, pages.pages, strict=True):
            if self._held.get(held.key) is not held:
                continue
            found = [decode_value(item, SliceRecord) for item in page.items]
            if found and page.items[0].value == held.tried:
                held.revision = found[0].revision
                if fitting(held.record) == held.tried:
                    self._settle(held, held.record, held.revision)
            elif found and _is_of_former_self(found[0].value, held.record):
                held.revision = found[0].revision
            else:
                self._drop(held)
                self._lost(held.key)

    def _again(self, batch: list[tuple[_Held, SliceRecord, bytes]]) -> None:
        """Have those written again that are still ours and not in the Barn, as they stand by then."""
        for held, _, _ in batch:
            if self._held.get(held.key) is held and not held.settled.is_set():
                self._make_due(held, is_urgent=True)

    def _settle(self, held: _Held, record: SliceRecord, revision: int) -> None:
        held.revision = revision
        if held.record is not record:
            return  # Something newer is due already.
        held.settled.set()
        if record.state.is_over and self._held.get(held.key) is held:
            del self._held[held.key]


def _transaction(batch: Iterable[tuple[_Held, SliceRecord, bytes]]) -> Transaction:
    """Return what writes them all. It is made at once: a transaction that grows is copied with each thing that is added."""
    compares: list[Compare] = []
    operations: list[Operation] = []
    for held, record, value in batch:
        compares.append(Compare(held.key, Of.MOD_REVISION, Is.EQUAL, held.revision))
        operations.append(Put(held.key, value))
        if record.state.is_over and record.node is not None:
            operations.append(Delete(placement_key(record.node, record.run, record.slice)))
    return Transaction(tuple(compares), tuple(operations))


def _is_of_former_self(found: SliceRecord, ours: SliceRecord) -> bool:
    """Say whether nobody but an agent of this node can have written it: others write only what waits, and what is over."""
    return found.attempt == ours.attempt and found.node == ours.node and not found.state.is_over


def fitting(record: SliceRecord) -> bytes:
    """Return the record's value; one that the Barn would refuse for its size without its log lines, then without its report.

    A report that is lost so is a failure: nobody could publish or clear away what it names.
    """
    value = encode_value(record)
    if len(value) <= VALUE_BYTES_MAX:
        return value
    value = encode_value(changed(record, log_tail=()))
    if len(value) <= VALUE_BYTES_MAX:
        return value
    error = WireError(
        "Refused",
        "report_too_large",
        f"slice {record.slice} reported {len(value):,} bytes, at most {VALUE_BYTES_MAX:,} can be kept",
        "write fewer, larger files, or raise shorter errors",
    )
    failed = changed(record, state=SliceState.FAILED, report=Failed(error), log_tail=())
    return encode_value(failed)
