"""Streams of what happens to runs: nothing is passed over, each thing is told to who may read it, and who comes back goes on where he was."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from msgspec.structs import replace as changed
from run_records import PIPELINE, RUN, put_run, run_at, run_record, slice_record
from runink.barn.commands import Compact
from runink.barn.keys import run_key, slice_key
from runink.clients.barn import Transaction
from runink.errors import NotFound, Refused
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.identity.vocabulary import Resource, Verb
from runink.names import BindingName, HerdName, PipelineName, RoleName, SliceId
from runink.operations.answers import Bookmark, Event
from runink.operations.catalog import run_events
from runink.runs.records import RunRecord, RunState, SliceState
from runink.testing.served import Served, person, served

pytestmark = pytest.mark.anyio
SALES = HerdName("sales")
WITHIN_S = 20.0
# Over, so that the run controller leaves it alone.
DONE = run_record("sales", state=RunState.CANCELLED)
ANN = person("ann")


async def take(stream: AsyncGenerator[Event | Bookmark, None], count: int) -> list[Any]:
    with anyio.fail_after(WITHIN_S):
        return [await anext(stream) for _ in range(count)]


async def put(cluster: Served, *records: RunRecord) -> int:
    transaction = Transaction()
    for one in records:
        transaction = transaction.put(run_key(one.herd, one.run), one)
    return (await cluster.barn.commit(transaction)).revision


async def test_a_watch_tells_changes_of_its_herd_from_now_on():
    async with served() as cluster:
        await put(cluster, DONE)
        async with aclosing(await cluster.ask(run_events.WATCH, herd="sales")) as stream:
            await put(cluster, changed(DONE, herd=HerdName("stock")))
            revision = await put(cluster, changed(DONE, priority=1))
            await cluster.barn.delete(run_key(SALES, RUN))
            first, last = await take(stream, 2)
    assert (first.kind, first.revision, first.data.run) == ("run", revision, RUN)
    assert first.data.now.revision == first.data.revision == revision
    assert (last.kind, last.revision, last.data.now) == ("gone", revision + 1, None)


async def test_who_is_cut_within_a_revision_is_told_all_of_it_again():
    async with served() as cluster:
        before = await put(cluster, DONE)
        two = [changed(DONE, run=run_at(place)) for place in (1, 2)]
        revision = await put(cluster, *two)
        async with aclosing(
            await cluster.ask(run_events.WATCH, herd="sales", since=before)
        ) as stream:
            first, second = await take(stream, 2)
        assert [(one.revision, one.data.run) for one in (first, second)] == [
            (before, run_at(1)),
            (revision, run_at(2)),
        ]
        again = await cluster.ask(run_events.WATCH, herd="sales", since=first.revision)
        async with aclosing(again) as stream:
            assert [one.data.run for one in await take(stream, 2)] == [run_at(1), run_at(2)]


async def test_a_watch_of_a_pipeline_is_told_of_its_runs_and_that_they_are_forgotten():
    async with served() as cluster:
        other = changed(DONE, run=run_at(1), pipeline=PipelineName("other"))
        since = await put(cluster, DONE, other)
        await put(cluster, changed(other, priority=1))
        await cluster.barn.delete(run_key(SALES, other.run))
        await cluster.barn.delete(run_key(SALES, RUN))
        asked = {"herd": "sales", "since": since, "pipeline": PIPELINE}
        async with aclosing(await cluster.ask(run_events.WATCH, **asked)) as stream:
            mark, *_ = found = await take(stream, 1)
            while not isinstance(found[-1], Event):
                found += await take(stream, 1)
    assert isinstance(mark, Bookmark | Event)
    assert (found[-1].kind, found[-1].data.run) == ("gone", RUN)


async def test_what_the_caller_may_not_read_is_a_bookmark():
    rule = Rule((Verb.GET, Verb.WATCH), (Resource.RUNS,), (RUN,))
    role = Role(RoleName("one"), "sales", (rule,))
    binding = Binding(BindingName("one"), "sales", role.name, RoleOf.HERD, (ANN.subject,))
    async with served(roles=[role], bindings=[binding]) as cluster:
        since = await put(cluster, DONE)
        hidden = await put(cluster, changed(DONE, run=run_at(1)))
        stream = await cluster.ask(run_events.WATCH, ANN, herd="sales", since=since)
        async with aclosing(stream):
            assert await take(stream, 1) == [Bookmark(hidden)]
            shown = await put(cluster, changed(DONE, priority=1))
            assert [one.revision for one in await take(stream, 1)] == [shown]


@pytest.mark.parametrize("name", ["WATCH", "EVENTS", "FOLLOW"])
async def test_who_comes_back_too_late_is_refused_before_the_stream_begins(name: str):
    async with served() as cluster:
        since = await put(cluster, DONE)
        revision = await put(cluster, changed(DONE, priority=1))
        await cluster.barn.propose(Compact(revision))
        operation = getattr(run_events, name)
        asked = {"herd": "sales", **({"run": RUN} if name == "FOLLOW" else {})}
        for moment, code in ((since, "compacted"), (revision + 99, "future_revision")):
            with pytest.raises(Refused) as refused:
                await cluster.ask(operation, since=moment, **asked)
            assert refused.value.code == code


async def test_a_run_is_followed_from_how_it_stands_to_its_end():
    async with served() as cluster:
        record = run_record("sales", paused=True)
        part = slice_record(record)
        await put_run(cluster.barn, record, part)
        stream = await cluster.ask(run_events.FOLLOW, herd="sales", run=RUN)
        async with aclosing(stream):
            run, one = await take(stream, 2)
            assert (run.kind, run.revision, run.data.run.state) == ("run", 0, RunState.RUNNING)
            assert (one.kind, one.data.slice.slice) == ("slice", "gold")
            assert one.revision > 0, "who is cut before it begins anew"
            ended = changed(record, state=RunState.CANCELLED)
            await cluster.barn.put(run_key(SALES, RUN), ended)
            with anyio.fail_after(WITHIN_S):
                rest = [event async for event in stream]
        assert rest[-1].data.run.state is RunState.CANCELLED
        with anyio.fail_after(WITHIN_S):
            late = await cluster.ask(run_events.FOLLOW, herd="sales", run=RUN)
            assert [event.kind async for event in late] == ["run", "slice"], "and no more"
        again = await cluster.ask(run_events.FOLLOW, herd="sales", run=RUN, since=rest[-1].revision)
        with anyio.fail_after(WITHIN_S):
            assert [event.data.run.state async for event in again] == [RunState.CANCELLED]


async def test_a_run_that_is_not_there_is_not_followed_and_one_that_goes_ends_the_stream():
    async with served() as cluster:
        with pytest.raises(NotFound):
            await cluster.ask(run_events.FOLLOW, herd="sales", run=RUN)
        record = run_record("sales", paused=True)
        await put_run(cluster.barn, record, slice_record(record))
        stream = await cluster.ask(run_events.FOLLOW, herd="sales", run=RUN)
        await take(stream, 2)
        await cluster.barn.delete(run_key(SALES, RUN))
        with anyio.fail_after(WITHIN_S):
            assert [event.kind async for event in stream][-1] == "gone"


async def test_slices_are_followed_by_who_may_read_them():
    rule = Rule((Verb.GET, Verb.WATCH), (Resource.RUNS,))
    role = Role(RoleName("one"), "sales", (rule,))
    binding = Binding(BindingName("one"), "sales", role.name, RoleOf.HERD, (ANN.subject,))
    async with served(roles=[role], bindings=[binding]) as cluster:
        await put_run(cluster.barn, DONE, slice_record(DONE))
        stream = await cluster.ask(run_events.FOLLOW, ANN, herd="sales", run=RUN)
        with anyio.fail_after(WITHIN_S):
            assert [event.kind async for event in stream] == ["run"]


async def test_events_of_a_herd_are_its_runs_and_slices_that_come_into_other_states():
    async with served() as cluster:
        stream = await cluster.ask(run_events.EVENTS, herd="sales")
        part = slice_record(DONE, state=SliceState.CANCELLED)
        await put_run(cluster.barn, DONE, part)
        await put(cluster, changed(DONE, priority=3))
        key = slice_key(SALES, RUN, SliceId("gold"))
        await cluster.barn.put(key, changed(part, attempt=2, state=SliceState.FAILED))
        async with aclosing(stream):
            found: list[Any] = []
            while len(found) < 3:
                found += [one for one in await take(stream, 1) if isinstance(one, Event)]
    told = [(one.kind, one.data.before, one.data.state, one.data.attempt) for one in found]
    assert told == [
        ("run", "", "cancelled", 0),
        ("slice", "", "cancelled", 1),
        ("slice", "cancelled", "failed", 2),
    ]
