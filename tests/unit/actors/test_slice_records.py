"""Slice records on their way to the Barn: many at a time, the latest of each, and only those that are ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
import trio.testing
from msgspec.structs import replace as changed
from runink.actors.slice_records import (
    BATCH_MAX,
    GATHER_S_PER_SLICE,
    LINGER_S,
    LINGER_S_PER_SLICE,
    PAUSE_S,
    SliceRecords,
    fitting,
)
from runink.barn.commands import VALUE_BYTES_MAX, Put
from runink.barn.keys import slice_key
from runink.barn.keyvalue import KeyValue, Page, Span
from runink.clients.barn import Committed, Found, Transaction, encode_value
from runink.clients.barn_requests import Pages
from runink.dag import Resources
from runink.errors import OutcomeUnknown, Unavailable, WireError
from runink.jobs import Done, Failed, Prepared
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.runs.records import SliceRecord, SliceState

pytestmark = pytest.mark.trio

NAMES = [f"s{number}" for number in range(500)]


def record(name: str, state: SliceState = SliceState.PLACED, **changes: Any) -> SliceRecord:
    made = SliceRecord(
        SliceId(name), RunId("r"), HerdName("h"), "g", state, Resources(), node=NodeId("n")
    )
    return changed(made, **changes)


def key(name: str) -> str:
    return slice_key(HerdName("h"), RunId("r"), SliceId(name))


@dataclass
class HeldBarn:
    """Takes transactions when the test says so, with the outcome that it says."""

    transactions: list[Transaction] = field(default_factory=list)
    outcomes: list[Any] = field(default_factory=list)
    open: anyio.Event = field(default_factory=anyio.Event)
    revision: int = 10
    there: dict[str, Found[SliceRecord]] = field(default_factory=dict)  # what is read

    async def commit(self, transaction: Transaction) -> Committed:
        self.transactions.append(transaction)
        await self.open.wait()
        self.revision += 1
        outcome = self.outcomes.pop(0) if self.outcomes else ()
        if isinstance(outcome, Exception):
            raise outcome
        return Committed(not outcome, self.revision, outcome)

    async def read(self, *spans: Span) -> Pages:
        found = [self.there.get(span.start) for span in spans]
        pages = [() if one is None else (_item(one),) for one in found]
        return Pages(tuple(Page(items, 99, len(items)) for items in pages), 99)

    def put(self, place: int) -> list[str]:
        operations = self.transactions[place].operations
        return [one.key.rpartition("/")[2] for one in operations if isinstance(one, Put)]


def _item(found: Found[SliceRecord]) -> KeyValue:
    return KeyValue(found.key, encode_value(found.value), 1, found.revision, found.version)


@asynccontextmanager
async def writing(barn: HeldBarn, *names: str) -> AsyncIterator[tuple[SliceRecords, list[str]]]:
    lost: list[str] = []
    records = SliceRecords(barn, lost=lost.append)  # type: ignore[arg-type] # it commits as the client does
    for name in names:
        records.take(Found(key(name), record(name), 1, 1, 0, 1))
    async with anyio.create_task_group() as group:
        group.start_soon(records.run)
        await anyio.sleep(0.001)
        yield records, lost
        group.cancel_scope.cancel()


async def test_what_comes_during_a_transaction_goes_into_the_next_one_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn()
    async with writing(barn, "a", "b") as (records, lost):
        records.write(record("a", SliceState.LAUNCHING))
        await anyio.sleep(0.001)
        records.write(record("a", SliceState.RUNNING))
        records.write(record("b", SliceState.LAUNCHING))
        last = record("a", SliceState.SUCCEEDED)
        records.write(last)
        barn.open.set()
        assert await records.wait_written(last)
        assert [barn.put(place) for place in (0, 1)] == [["a"], ["a", "b"]]
        first, second = barn.transactions
        assert [one.operand for one in first.compares] == [1]
        assert [one.operand for one in second.compares] == [11, 1]
        assert len(second.operations) == 3, "the placement of the one that is over is taken back"
        assert not lost
        assert len(records) == 1


async def test_what_is_not_urgent_lingers_and_goes_with_what_is(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn()
    barn.open.set()
    async with writing(barn, "a", "b") as (records, _):
        records.write(record("a", SliceState.RUNNING), is_urgent=False)
        await anyio.sleep(LINGER_S / 2)
        assert not barn.transactions
        records.write(record("b", SliceState.LAUNCHING))
        await anyio.sleep(0.001)
        assert barn.put(0) == ["b", "a"]
        records.write(record("a", SliceState.RUNNING, pid=2), is_urgent=False)
        await anyio.sleep(LINGER_S + 0.001)
        assert barn.put(1) == ["a"]


async def test_of_many_slices_what_comes_behind_a_transaction_is_gathered_for_the_next_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn()
    barn.open.set()
    names = NAMES[:100]
    async with writing(barn, *names) as (records, _):
        began_s = anyio.current_time()
        for name in names[:10]:
            last = record(name, SliceState.LAUNCHING)
            records.write(last)
            await anyio.sleep(0.001)
        assert barn.put(0) == ["s0"], "the first waits for nobody"
        assert await records.wait_written(last)
        took_s = anyio.current_time() - began_s
        assert took_s == pytest.approx(len(names) * GATHER_S_PER_SLICE, abs=0.002)
        assert barn.put(1) == names[1:10]


async def test_of_many_slices_one_that_runs_for_a_moment_is_not_told_to_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn()
    barn.open.set()
    names = NAMES[:200]
    async with writing(barn, *names) as (records, _):
        for name in ("s0", "s1"):
            records.write(record(name, SliceState.RUNNING), is_urgent=False)
        await anyio.sleep(2 * LINGER_S)
        last = record("s0", SliceState.SUCCEEDED)
        records.write(last)
        assert await records.wait_written(last)
        assert barn.put(0) == ["s0"], "the other one goes on"
        await anyio.sleep(len(names) * LINGER_S_PER_SLICE)
        assert [barn.put(place) for place in range(len(barn.transactions))] == [["s0"], ["s1"]]


async def test_a_record_that_somebody_changed_is_dropped_and_the_others_are_written(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn(outcomes=[(key("a"),)])
    barn.open.set()
    async with writing(barn, "a", "b") as (records, lost):
        ours, theirs = record("b", SliceState.LAUNCHING), record("a", SliceState.LAUNCHING)
        records.write(theirs)
        records.write(ours)
        assert not await records.wait_written(theirs)
        assert await records.wait_written(ours)
        assert lost == [key("a")]
        assert [barn.put(0), barn.put(1)] == [["a", "b"], ["b"]]
        records.write(theirs)
        await anyio.sleep(1.0)
        assert len(barn.transactions) == 2, "what is not ours is not written"


@pytest.mark.parametrize(
    ("theirs", "is_ours"),
    [
        (record("a", SliceState.LAUNCHING), True),  # a former life's last words
        (record("a", SliceState.LOST), False),
        (record("a", SliceState.CANCELLED), False),
        (record("a", SliceState.RUNNING, node=NodeId("other")), False),
        (record("a", attempt=2), False),
    ],
)
async def test_what_a_former_life_wrote_last_is_written_over_and_nothing_else(
    theirs: SliceRecord,
    is_ours: bool,  # noqa: FBT001 - a parameter of the test
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn(outcomes=[(key("a"),)])
    barn.there[key("a")] = Found(key("a"), theirs, 50, 3, 0, 1)
    barn.open.set()
    async with writing(barn, "a") as (records, lost):
        ours = record("a", SliceState.LOST)
        records.write(ours)
        assert await records.wait_written(ours) is is_ours
        assert lost == ([] if is_ours else [key("a")])
        compared = [one.compares[0].operand for one in barn.transactions]
        assert compared == ([1, 50] if is_ours else [1])


async def test_an_attempt_taken_anew_is_never_written_over_by_the_one_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn(outcomes=[(key("a"),)])
    async with writing(barn, "a") as (records, lost):
        old = record("a", SliceState.SUCCEEDED)
        records.write(old)
        await anyio.sleep(0.001)
        new = record("a", attempt=2)
        records.take(Found(key("a"), new, 9, 2, 0, 1))
        barn.open.set()
        await anyio.sleep(1.0)
        assert len(barn.transactions) == 1, "the old one is not tried again with a new revision"
        assert not lost, "the new one is ours"
        assert not await records.wait_written(old)
        launching = changed(new, state=SliceState.LAUNCHING)
        records.write(launching)
        assert await records.wait_written(launching)
        assert barn.transactions[1].compares[0].operand == 9


async def test_a_gang_larger_than_a_transaction_goes_in_several(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn()
    barn.open.set()
    async with writing(barn, *NAMES) as (records, _):
        for name in NAMES:
            records.write(record(name, SliceState.LAUNCHING))
        for name in NAMES:
            assert await records.wait_written(record(name))
        assert [len(barn.put(place)) for place in range(3)] == [BATCH_MAX, BATCH_MAX, 100]


async def test_large_records_are_spread_so_that_each_transaction_fits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn()
    barn.open.set()
    names = NAMES[:10]
    async with writing(barn, *names) as (records, _):
        for name in names:
            records.write(record(name, SliceState.FAILED, log_tail=("x" * 300_000,)))
        await anyio.sleep(1.0)
        written = [barn.put(place) for place in range(len(barn.transactions))]
        assert [name for names in written for name in names] == names
        assert max(map(len, written)) <= 4


async def test_a_full_disk_is_asked_again_with_what_stands_by_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = HeldBarn(outcomes=[Unavailable("full", code="disk_full")] * 3)
    barn.open.set()
    async with writing(barn, "a") as (records, lost):
        records.write(record("a", SliceState.LAUNCHING))
        await anyio.sleep(PAUSE_S / 2)
        last = record("a", SliceState.SUCCEEDED)
        records.write(last)
        assert await records.wait_written(last)
        assert anyio.current_time() >= 3 * PAUSE_S
        assert len(barn.transactions) == 4
        assert not lost


@pytest.mark.parametrize("was_done", [True, False])
async def test_what_nobody_knows_the_outcome_of_is_written_once(
    was_done: bool,  # noqa: FBT001 - a parameter of the test
    autojump_clock: trio.testing.MockClock,
) -> None:
    begun = record("a", SliceState.LAUNCHING)
    outcomes: list[Any] = [
        OutcomeUnknown("?"),
        OutcomeUnknown("?"),
        (key("a"),) if was_done else (),
    ]
    barn = HeldBarn(outcomes=outcomes)
    barn.open.set()
    if was_done:
        barn.there[key("a")] = Found(key("a"), begun, 12, 2, 0, 1)
    async with writing(barn, "a") as (records, lost):
        records.write(begun)
        assert await records.wait_written(begun)
        await anyio.sleep(10 * PAUSE_S)
        assert len(barn.transactions) == 3
        records.write(changed(begun, state=SliceState.SUCCEEDED))
        await anyio.sleep(PAUSE_S)
        (compare,) = barn.transactions[-1].compares
        assert compare.operand == (12 if was_done else 13)
    assert not lost


async def test_an_end_of_unknown_outcome_that_somebody_else_has_overtaken_is_dropped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ended = record("a", SliceState.SUCCEEDED)
    barn = HeldBarn(outcomes=[OutcomeUnknown("?"), (key("a"),)])
    barn.open.set()
    barn.there[key("a")] = Found(key("a"), record("a", SliceState.LOST), 12, 2, 0, 1)
    async with writing(barn, "a") as (records, lost):
        records.write(ended)
        assert not await records.wait_written(ended)
        assert lost == [key("a")]
        assert len(barn.transactions) == 2


@pytest.mark.parametrize(
    ("changes", "state", "report"),
    [
        ({"log_tail": ("x" * VALUE_BYTES_MAX,)}, SliceState.SUCCEEDED, Done),
        ({"report": Failed(WireError("Refused", "c", "x" * VALUE_BYTES_MAX))}, SliceState.FAILED, Failed),
        (
            {"report": Done(prepared=(Prepared("s", "u", "file", "x" * VALUE_BYTES_MAX, "t", "m", 1, 1, ""),))},
            SliceState.FAILED,
            Failed,
        ),
    ],
)  # fmt: skip
async def test_what_the_barn_would_refuse_for_its_size_is_made_to_fit(
    changes: dict[str, Any], state: SliceState, report: type[Any]
) -> None:
    import msgspec

    large = changed(record("a", SliceState.SUCCEEDED, report=Done()), **changes)
    value = fitting(large)
    assert len(value) <= VALUE_BYTES_MAX
    found = msgspec.json.decode(value, type=SliceRecord)
    assert found.state is state
    assert isinstance(found.report, report)
    assert found.log_tail == ()
