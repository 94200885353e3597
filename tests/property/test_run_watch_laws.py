"""A watch of a herd's runs that is cut at any place and taken up again tells every change of them, in order, and tells again only what it was cut in."""

from __future__ import annotations

import sys
from contextlib import aclosing
from pathlib import Path

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from runink.barn.keys import run_key
from runink.clients.barn import Transaction
from runink.names import HerdName, run_id
from runink.operations.answers import Event
from runink.operations.catalog import run_events
from runink.runs.records import RunState
from runink.testing.served import NOW_MS, Served, served

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "services"))
from run_records import put_run, run_at, run_record

IDS = [run_id(now_ms=NOW_MS + place, entropy=bytes(10)) for place in range(4)]
WITHIN_S = 30.0
OVER = run_record("sales", state=RunState.CANCELLED)  # so that the run controller leaves it alone

# A transaction: whose runs it changes, and whether it forgets them.
herds = st.sampled_from(["sales", "sales", "stock"])
changes = st.dictionaries(
    st.tuples(herds, st.sampled_from(IDS)), st.booleans(), min_size=1, max_size=3
)
histories = st.lists(changes, min_size=1, max_size=12)
# After how many events each stream is cut; the last one is not.
cuts = st.lists(st.integers(0, 4), max_size=8)

Told = tuple[int, str, str]  # the revision, the run, and what became of it


async def written(cluster: Served, history: list[dict[tuple[str, str], bool]]) -> list[Told]:
    """Write a history, and return what a watch of `sales` is to tell of it."""
    expected: list[Told] = []
    there: set[tuple[str, str]] = set()
    for count, transaction in enumerate(history):
        made = Transaction()
        for (herd, run), is_gone in transaction.items():
            key = run_key(HerdName(herd), run)
            record = changed(OVER, herd=HerdName(herd), run=run, priority=count)
            made = made.delete(key) if is_gone else made.put(key, record)
        revision = (await cluster.barn.commit(made)).revision
        for (herd, run), is_gone in transaction.items():
            is_there = (herd, run) in there
            if herd == "sales" and (is_there or not is_gone):
                expected.append((revision, run, "gone" if is_gone else "run"))
            if is_gone:
                there.discard((herd, run))
            else:
                there.add((herd, run))
    return expected


async def watched(cluster: Served, since: int, cut: int | None, last: Told) -> list[Event]:
    """Return the events of a stream that is cut after so many, or that has told the last change."""
    found: list[Event] = []
    stream = await cluster.ask(run_events.WATCH, herd="sales", since=since)
    async with aclosing(stream):
        while cut is None or len(found) < cut:
            event = await anext(stream)
            if isinstance(event, Event):
                found.append(event)
                if told(event) == last:
                    return found
    return found


def told(event: Event) -> Told:
    return event.data.revision, event.data.run, event.kind


@settings(max_examples=60, deadline=None)
@given(histories, cuts, st.sampled_from(["asyncio", "trio"]))
def test_a_watch_that_is_cut_anywhere_loses_nothing(history, cuts, backend) -> None:
    async def life() -> None:
        async with served() as cluster:
            for herd in (
                "sales",
                "stock",
            ):  # the run controller wants to know the pipelines of runs
                await put_run(cluster.barn, changed(OVER, herd=HerdName(herd), run=run_at(99)))
            since = await cluster.barn.put("/own/first", b"x")
            expected = await written(cluster, history)
            if not expected:
                return
            seen: list[Told] = []
            for cut in (*cuts, None):
                with anyio.fail_after(WITHIN_S):
                    events = await watched(cluster, since, cut, expected[-1])
                # What is told again is of the revision behind that from which it was asked, and nothing else.
                again = [told(one) for one in events if told(one) in seen]
                assert all(revision == since + 1 for revision, _, _ in again)
                seen += [told(one) for one in events if told(one) not in seen]
                ids = [one.revision for one in events]
                assert ids == sorted(ids)
                since = ids[-1] if ids else since
                if seen and seen[-1] == expected[-1]:
                    break
            assert seen == expected

    anyio.run(life, backend=backend)
