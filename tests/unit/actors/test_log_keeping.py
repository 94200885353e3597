"""What slices print on its way into their logs: held up where it floods, kept where the agent starts anew, and never the event loop's business."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio.testing
from runink.actors.log_keeping import GATHER_S_PER_LOG, KeptLog, LogKeeping
from runink.observe.log_pace import SLICE_LINES
from runink.observe.slice_logs import SLOWED, TAIL_LINES, LineSplitter, Stream, read_log
from runink.testing.disk import in_loop

pytestmark = pytest.mark.trio

FLOOD = b"y\n" * 10_000


def keeping() -> LogKeeping:
    return LogKeeping(now_ms=lambda: 7, offload=in_loop)


async def flood(log: KeptLog, turns: int) -> None:
    splitter = LineSplitter()
    for _ in range(turns):
        await log.keep(Stream.STDOUT, splitter, FLOOD)


async def test_who_prints_too_fast_is_held_up_and_no_line_is_lost(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = keeping().begin(tmp_path / "log")
    began_s = anyio.current_time()
    await flood(log, 50)
    took_s = anyio.current_time() - began_s
    log.close()
    assert took_s == pytest.approx(500_000 / SLICE_LINES - 1.0)
    assert log.printed.slowed_s == pytest.approx(took_s)
    assert log.printed.lines == 500_000
    found = list(read_log(tmp_path / "log"))
    assert sum(line.text == "y" for line in found) == 500_000
    assert [line.text for line in found if line.stream is Stream.RUNINK] == [SLOWED]


async def test_who_prints_little_beside_a_flood_waits_for_a_moment_only(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    logs = keeping()
    async with AsyncExitStack() as stack:
        quiet, *others = (logs.begin(tmp_path / f"log{number}") for number in range(21))
        for log in (quiet, *others):
            stack.callback(log.close)
        group = await stack.enter_async_context(anyio.create_task_group())
        for log in others:
            group.start_soon(flood, log, 100)
        await anyio.sleep(5.0)
        began_s = anyio.current_time()
        await quiet.keep(Stream.STDERR, LineSplitter(), b"help\n")
        assert quiet.log.tail == ("help",)
        assert anyio.current_time() - began_s < 1.0
        group.cancel_scope.cancel()


async def test_what_is_left_behind_an_end_is_taken_in_without_a_wait(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = keeping().begin(tmp_path / "log")
    await flood(log, 10)
    async with anyio.create_task_group() as group:
        group.start_soon(flood, log, 10)
        await anyio.sleep(0.05)
        log.hurry()
        began_s = anyio.current_time()
    log.close()
    assert anyio.current_time() == began_s


async def test_lines_of_many_slices_go_to_the_disk_together(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    handed_over_s: list[float] = []

    async def noting(function: Callable[..., Any], *args: Any) -> Any:
        handed_over_s.append(anyio.current_time() - began_s)
        return function(*args)

    logs = LogKeeping(now_ms=lambda: 7, offload=noting)
    kept = [logs.begin(tmp_path / f"log{number}") for number in range(20)]
    began_s = anyio.current_time()
    async with anyio.create_task_group() as group:
        for log in kept[:18]:
            group.start_soon(log.keep, Stream.STDOUT, LineSplitter(), b"done\n")
            await anyio.sleep(0.001)
    assert handed_over_s == pytest.approx([0.0, 20 * GATHER_S_PER_LOG])
    await kept[18].keep(Stream.STDOUT, LineSplitter(), FLOOD)
    await kept[19].keep(Stream.STDOUT, LineSplitter(), b"done\n")
    for log in kept:
        log.close()
    assert all(log.printed.lines for log in kept)
    gaps_s = [after - before for before, after in pairwise(handed_over_s)]
    assert gaps_s[1:] == pytest.approx([0.0, 20 * GATHER_S_PER_LOG]), "a flood waits for nobody"


async def test_a_disk_that_stands_still_holds_up_who_prints_and_nobody_else(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    free = anyio.Event()

    async def standing(function: Callable[..., Any], *args: Any) -> Any:
        await free.wait()
        return function(*args)

    log = LogKeeping(now_ms=lambda: 7, offload=standing).begin(tmp_path / "log")
    async with anyio.create_task_group() as group:
        group.start_soon(log.keep, Stream.STDOUT, LineSplitter(), b"one\n")
        await anyio.sleep(60.0)  # the loop goes on
        assert log.printed.lines == 0
        free.set()
    log.close()
    assert log.log.tail == ("one",)


async def test_the_last_lines_of_an_earlier_start_are_among_the_last_lines(tmp_path: Path) -> None:
    first = keeping().begin(tmp_path / "log")
    text = "".join(f"{number}\n" for number in range(30))
    await first.keep(Stream.STDERR, LineSplitter(), text.encode())
    first.close()
    second = keeping().begin(tmp_path / "log", resumes=True)
    await second.catch_up()
    await second.keep(Stream.STDERR, LineSplitter(), b"30\n")
    second.close()
    assert second.log.tail == tuple(map(str, range(31 - TAIL_LINES, 31)))
    assert second.printed.lines == 1
    assert await keeping().last_lines(tmp_path / "log") == second.log.tail
    assert await keeping().last_lines(tmp_path / "none") == ()


async def test_a_long_log_is_not_read_whole_for_its_last_lines(tmp_path: Path) -> None:
    log = keeping().begin(tmp_path / "log")
    for _ in range(100):
        await log.keep(Stream.STDOUT, LineSplitter(), b"x" * 16_000 + b"\n")
    log.close()
    found = await keeping().last_lines(tmp_path / "log")
    assert 10 < len(found) < TAIL_LINES
    assert set(found) == {"x" * 16_000}


async def test_the_thread_of_logs_ends_with_them(tmp_path: Path) -> None:
    logs = LogKeeping(now_ms=lambda: 7)
    log = logs.begin(tmp_path / "log")
    before = threads_of_logs()
    await log.keep(Stream.STDOUT, LineSplitter(), b"one\n")
    log.close()
    assert threads_of_logs() == before + 1
    logs.close()
    assert threads_of_logs() == before
    assert [line.text for line in read_log(tmp_path / "log")] == ["one"]


def threads_of_logs() -> int:
    return sum(one.name == "logs" for one in threading.enumerate())
