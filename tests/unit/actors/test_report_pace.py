"""A slice that says without end how far it is: it is listened to as far as a slice has something to say, whatever it prints, and its last word counts."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
import trio.testing
from runink.actors.attending import Ending, attend
from runink.actors.listening import REPORTS_PER_S
from runink.actors.log_keeping import LogKeeping
from runink.errors import WireError
from runink.jobs import Done, Failed, NodeFacts, Progress, TokenGiven
from runink.loops import Readiness
from runink.runs.records import Exit
from runink.sandbox.client import LaunchedSlice
from runink.testing.disk import in_loop
from runink.testing.readiness import readiness_running
from runink.wire.codec import encode
from runink.wire.frames import frame

pytestmark = pytest.mark.trio

FACTS = (NodeFacts("n", rows_out=1),)
SAID = 3 * REPORTS_PER_S
LINES = b"without a pause\n" * 2000
FAILURE = Failed(WireError("Refused", "step_failed", "x"))


class Attendance(NamedTuple):
    """A slice that is attended: its ends of its channels, what it was heard to say, who takes the word on its end, and what became of it."""

    control: socket.socket
    stdout: int
    stderr: int
    told: list[Progress]
    words: list[Callable[[Exit], object]]
    endings: list[Ending]

    def end(self) -> None:
        """Have the slice have ended."""
        self.control.close()
        for descriptor in (self.stdout, self.stderr):
            os.close(descriptor)
        self.words[0](Exit("exited"))


@asynccontextmanager
async def attended(log: Path) -> AsyncIterator[Attendance]:
    """Attend a slice, which has to end in the block."""
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    (out, write_out), (err, write_err) = os.pipe(), os.pipe()
    for descriptor in (out, err, write_out):
        os.set_blocking(descriptor, False)
    launched = LaunchedSlice("s", 1, {}, ours, out, err, -1)
    found = Attendance(theirs, write_out, write_err, [], [], [])

    async def run(readiness: Readiness) -> None:
        kept = LogKeeping(now_ms=lambda: 7, offload=in_loop).begin(log)
        found.endings.append(
            await attend(
                launched,
                found.words.append,
                readiness=readiness,
                log=kept,
                progress=found.told.append,
                tokens=lambda give: give(TokenGiven("text", 900.0)),
            )
        )

    async with readiness_running() as readiness, anyio.create_task_group() as group:
        group.start_soon(run, readiness)
        yield found


async def test_a_flood_of_reports_is_held_up_and_the_last_word_counts(
    tmp_path: Path, mock_clock: trio.testing.MockClock
):
    async with attended(tmp_path / "log") as one:
        one.control.sendall(frame(encode(Progress(FACTS))) * SAID)
        await trio.testing.wait_all_tasks_blocked(0.01)
        at_once = len(one.told)
        assert REPORTS_PER_S <= at_once <= REPORTS_PER_S + 1, "a second's worth"
        mock_clock.jump(1.0)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert at_once < len(one.told) <= 2 * REPORTS_PER_S + 1
        last = (Done(), FAILURE, Done(FACTS))
        one.control.sendall(b"".join(frame(encode(word)) for word in last))
        one.end()
    assert len(one.told) == SAID, "who has ended is not held up"
    assert one.endings[0].report == Done(FACTS)


async def test_reports_that_were_held_up_are_read_while_the_slice_prints_without_a_pause(
    tmp_path: Path, mock_clock: trio.testing.MockClock
):
    async def print_on(descriptor: int) -> None:
        while True:
            await trio.lowlevel.wait_writable(descriptor)
            with suppress(BlockingIOError):
                os.write(descriptor, LINES)

    async with attended(tmp_path / "log") as one:
        async with anyio.create_task_group() as printing:
            printing.start_soon(print_on, one.stdout)
            one.control.sendall(frame(encode(Progress(FACTS))) * SAID)
            for _ in range(SAID // REPORTS_PER_S):
                await trio.testing.wait_all_tasks_blocked(0.01)
                mock_clock.jump(1.1)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(one.told) == SAID
            printing.cancel_scope.cancel()
        one.end()
