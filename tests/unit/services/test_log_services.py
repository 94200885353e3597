"""Logs over the API: pages that go on where the one before has ended, and a stream that passes no line over."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace as changed
from run_records import RUN, put_run, run_record, slice_record, write_log
from runink.barn.keys import run_key
from runink.clients.kept_logs import Chosen
from runink.clients.node_files import ANSWER_BYTES_MAX, FileParts, ReadFiles
from runink.errors import NotFound
from runink.names import HerdName, NodeId, SliceId
from runink.observe.slice_logs import log_path
from runink.operations.answers import Event
from runink.operations.calls import Position
from runink.operations.catalog import logs
from runink.runs.attempts import Earlier, Fault
from runink.runs.records import RunState
from runink.runtime.ref import Ref
from runink.services.log_stream import LATE_MS, LogStream, Reading
from runink.testing.served import NOW_MS, Served, served

pytestmark = pytest.mark.anyio
WITHIN_S = 20.0
DONE = run_record("sales", state=RunState.CANCELLED)
GOLD = slice_record(DONE)


def places(tmp_path: Path, *nodes: str) -> dict[str, Path]:
    return {node: tmp_path / node for node in nodes}


async def pages(cluster: Served, **asked: Any) -> list[list[str]]:
    """Return the texts of all pages, each with as many lines as it has."""
    found: list[list[str]] = []
    position = None
    while position is None or position.after:
        page = await cluster.ask(logs.LIST, herd="sales", run=RUN, position=position, **asked)
        found.append([one.text for one in page.items])
        position = Position(page.revision, page.after)
    return found


async def test_a_page_goes_on_in_the_file_in_which_the_one_before_has_ended(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1", "w2")) as cluster:
        silver = slice_record(DONE, "silver", node=NodeId("w2"))
        await put_run(cluster.barn, DONE, GOLD, silver)
        write_log(tmp_path / "w1", RUN, "gold", "a", "b", "c")
        write_log(tmp_path / "w2", RUN, "silver", "d")
        assert await pages(cluster, limit=2) == [["a", "b"], ["c", "d"], []]
        assert await pages(cluster) == [["a", "b", "c", "d"]]
        page = await cluster.ask(logs.LIST, herd="sales", run=RUN, limit=1)
        (line,) = page.items
        assert (line.slice, line.attempt, line.node) == ("gold", 1, "w1")
        assert (line.at_ms, line.stream.value, line.code) == (NOW_MS, "stdout", None)


async def test_lines_are_of_the_slice_step_and_attempt_that_are_asked_for(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1", "w2")) as cluster:
        earlier = (Earlier(1, NodeId("w2"), Fault.FAILED),)
        again = changed(GOLD, attempt=2, earlier=earlier)
        await put_run(cluster.barn, DONE, again, slice_record(DONE, "silver"))
        write_log(tmp_path / "w2", RUN, "gold", "first")
        write_log(tmp_path / "w1", RUN, "gold", "second", attempt=2)
        write_log(tmp_path / "w1", RUN, "silver", "other")
        assert await pages(cluster, slice="gold") == [["first", "second"]]
        assert await pages(cluster, attempt=2) == [["second"]]
        assert await pages(cluster, step="sink", attempt=1) == [["first"]]
        for asked, code in (
            ({"slice": "bronze"}, "no_such_slice"),
            ({"step": "nothing"}, "no_such_step"),
            ({"step": "sink", "slice": "silver"}, "no_such_slice"),
        ):
            with pytest.raises(NotFound) as refused:
                await pages(cluster, **asked)
            assert refused.value.code == code


async def test_an_attempt_of_which_nobody_knows_the_node_is_looked_for_on_all(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1", "w2")) as cluster:
        await put_run(cluster.barn, DONE, changed(GOLD, attempt=2))
        write_log(tmp_path / "w2", RUN, "gold", "long ago")
        assert await pages(cluster) == [["long ago"]]


async def test_a_node_that_is_away_is_told_and_the_others_are_read(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1")) as cluster:
        lost = slice_record(DONE, "bronze", node=NodeId("w9"))
        await put_run(cluster.barn, DONE, lost, GOLD)
        write_log(tmp_path / "w1", RUN, "gold", "here")
        page = await cluster.ask(logs.LIST, herd="sales", run=RUN)
        away, here = page.items
        assert (away.slice, away.stream.value, away.code) == ("bronze", "runink", "node_away")
        assert here.text == "here"


async def test_a_large_log_comes_in_parts_and_no_line_of_it_is_lost(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1")) as cluster:
        await put_run(cluster.barn, DONE, GOLD)
        texts = [f"{place}-" + "x" * 2000 for place in range(1000)]
        write_log(tmp_path / "w1", RUN, "gold", *texts)
        found = await pages(cluster, limit=500)
        assert [text for page in found for text in page] == texts
        assert len(found[0]) == 500
        wide = ["y" * 16_000 for _ in range(200)]
        write_log(tmp_path / "w1", RUN, "gold", *wide)
        found = await pages(cluster, limit=500)
        assert all(sum(map(len, page)) < (1 << 20) + 16_001 for page in found)
        assert [text for page in found for text in page] == texts + wide


async def test_logs_that_are_read_together_lose_no_line_where_an_answer_ends(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1")) as cluster:
        names = [f"s{place}" for place in range(8)]
        await put_run(cluster.barn, DONE, *(slice_record(DONE, name) for name in names))
        texts = {name: [f"{name}-{place}-" + "x" * 15_000 for place in range(5)] for name in names}
        for name in names:
            write_log(tmp_path / "w1", RUN, name, *texts[name])
        whole = [text for name in names for text in texts[name]]
        for limit in (500, 3):
            found = await pages(cluster, limit=limit)
            assert [text for page in found for text in page] == whole
        assert sorted(await texts_of(await follow(cluster))) == sorted(whole)


async def test_what_a_crash_has_cut_is_passed_over(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1")) as cluster:
        await put_run(cluster.barn, DONE, GOLD)
        write_log(tmp_path / "w1", RUN, "gold", "a")
        path = log_path(tmp_path / "w1" / RUN, SliceId("gold"), 1)
        with path.open("ab") as file:
            file.write(b'{"at_ms":1,"str\n')
        write_log(tmp_path / "w1", RUN, "gold", "b")
        with path.open("ab") as file:
            file.write(b'{"at_ms":1,"stream":"stdout","te')
        assert await pages(cluster) == [["a", "b"]]


# The stream.


class Counted:
    """Asks, and counts how often."""

    def __init__(self, files: Ref[ReadFiles]) -> None:
        self.times = 0
        self._files = files

    async def ask(self, request: ReadFiles, *, within: float) -> FileParts:
        self.times += 1
        return await self._files.ask(request, within=within)


async def follow(cluster: Served, **asked: Any) -> AsyncGenerator[Event, None]:
    stream: AsyncGenerator[Event, None] = await cluster.ask(
        logs.FOLLOW, herd="sales", run=RUN, **asked
    )
    return stream


async def texts_of(stream: AsyncGenerator[Event, None]) -> list[str]:
    """Return the lines of a stream up to its end."""
    with anyio.fail_after(WITHIN_S):
        return [event.data.text async for event in stream]


async def test_a_stream_tells_lines_as_they_come_up_to_the_run_s_end(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1", "w2")) as cluster:
        living = run_record("sales", paused=True)
        parts = [slice_record(living), slice_record(living, "silver", node=NodeId("w2"))]
        await put_run(cluster.barn, living, *parts)
        write_log(tmp_path / "w1", RUN, "gold", "b", at_ms=NOW_MS + 5)
        write_log(tmp_path / "w2", RUN, "silver", "a", "c", at_ms=NOW_MS + 4)
        async with aclosing(await follow(cluster)) as stream:
            with anyio.fail_after(WITHIN_S):
                first = [(await anext(stream)).data.text for _ in range(3)]
                write_log(tmp_path / "w2", RUN, "silver", "d", at_ms=NOW_MS + 9)
                later = (await anext(stream)).data.text
            ended = changed(living, state=RunState.CANCELLED)
            await cluster.barn.put(run_key(HerdName("sales"), RUN), ended)
            assert await texts_of(stream) == []
        assert (sorted(first), later) == (["a", "b", "c"], "d")


async def test_who_comes_back_is_told_every_line_from_there_on(tmp_path: Path):
    """The lines of two files, some seconds apart, and clocks that differ: cut after each event, all come in the end, and each is known again."""
    async with served(nodes=places(tmp_path, "w1", "w2")) as cluster:
        await put_run(cluster.barn, DONE, GOLD, slice_record(DONE, "silver", node=NodeId("w2")))
        for second in range(0, 60, 3):
            write_log(tmp_path / "w1", RUN, "gold", f"g{second}", at_ms=NOW_MS + 1000 * second)
            late_ms = NOW_MS + 1000 * second - LATE_MS // 2
            write_log(tmp_path / "w2", RUN, "silver", f"s{second}", at_ms=late_ms)
        whole = await texts_of(await follow(cluster))
        assert len(whole) == 40
        for cut in range(1, 41):
            async with aclosing(await follow(cluster)) as stream:
                seen = [await anext(stream) for _ in range(cut)]
            rest = await texts_of(await follow(cluster, since=seen[-1].revision))
            assert {one.data.text for one in seen} | set(rest) == set(whole)
        assert len(rest) < 20, "and not all of it again"


async def test_of_a_large_log_a_late_time_is_found_without_reading_all_before(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1")) as cluster:
        await put_run(cluster.barn, DONE, GOLD)
        texts = [f"{place}-" + "x" * 1000 for place in range(4000)]  # 4 MB
        write_log(tmp_path / "w1", RUN, "gold", *texts)
        assert cluster.cluster.files is not None
        counted = Counted(cluster.cluster.files)
        stream = LogStream(
            replace(cluster.cluster, files=counted),  # type: ignore[arg-type] # it is asked, and nothing else
            DONE,
            Chosen(),
            Reading(
                shows=lambda _: True,
                tell=lambda _, one: one.line.text,  # type: ignore[union-attr,return-value,arg-type] # nothing is missing
            ),
            since_ms=NOW_MS + 3990,
        )
        with anyio.fail_after(WITHIN_S):
            found = [event.data async for event in stream.events()]
        assert found == texts[3990:]
        size = sum(len(text) + 60 for text in texts)
        assert counted.times < size // ANSWER_BYTES_MAX, "fewer than all that comes before"


async def test_what_has_no_line_s_end_for_as_long_as_an_answer_holds_up_neither(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1")) as cluster:
        await put_run(cluster.barn, DONE, GOLD)
        write_log(tmp_path / "w1", RUN, "gold", "before")
        path = log_path(tmp_path / "w1" / RUN, SliceId("gold"), 1)
        with path.open("ab") as file:
            file.write(b"x" * (3 * ANSWER_BYTES_MAX) + b"\n")
        write_log(tmp_path / "w1", RUN, "gold", "behind")
        assert await texts_of(await follow(cluster)) == ["before", "behind"]
        assert [text for page in await pages(cluster) for text in page] == ["before", "behind"]


async def test_a_run_without_lines_ends_its_stream_and_a_node_that_is_away_is_told_once(
    tmp_path: Path,
):
    async with served(nodes=places(tmp_path, "w1")) as cluster:
        await put_run(cluster.barn, DONE)
        assert await texts_of(await follow(cluster)) == []
        await put_run(cluster.barn, DONE, slice_record(DONE, node=NodeId("w9")))
        (told,) = await texts_of(await follow(cluster))
        assert told.startswith("what w9 keeps of the run cannot be read now")


async def test_a_run_that_is_forgotten_ends_its_stream(tmp_path: Path):
    async with served(nodes=places(tmp_path, "w1")) as cluster:
        living = run_record("sales", paused=True)
        await put_run(cluster.barn, living, slice_record(living))
        write_log(tmp_path / "w1", RUN, "gold", "a")
        async with aclosing(await follow(cluster)) as stream:
            with anyio.fail_after(WITHIN_S):
                await anext(stream)
                await cluster.barn.delete(run_key(HerdName("sales"), RUN))
                assert [event async for event in stream] == []
