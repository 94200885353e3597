"""A slice that says without end how far it is: it is listened to as far as a slice has something to say, and its last word counts."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
import trio.testing
from runink.actors.attending import Ending, attend
from runink.actors.listening import REPORTS_PER_S
from runink.actors.log_keeping import LogKeeping
from runink.errors import WireError
from runink.jobs import Done, Failed, NodeFacts, Progress
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
FAILURE = Failed(WireError("Refused", "step_failed", "x"))


async def test_a_flood_of_reports_is_held_up_and_the_last_word_counts(
    tmp_path: Path, mock_clock: trio.testing.MockClock
):
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    (out, write_out), (err, write_err) = os.pipe(), os.pipe()
    for descriptor in (out, err):
        os.set_blocking(descriptor, False)
    told: list[Progress] = []
    endings: list[Ending] = []
    words: list[Callable[[Exit], object]] = []
    launched = LaunchedSlice("s", 1, {}, ours, out, err, -1)

    async def run(readiness: Readiness) -> None:
        log = LogKeeping(now_ms=lambda: 7, offload=in_loop).begin(tmp_path / "log")
        endings.append(
            await attend(launched, words.append, readiness=readiness, log=log, progress=told.append)
        )

    async with readiness_running() as readiness, anyio.create_task_group() as group:
        group.start_soon(run, readiness)
        theirs.sendall(frame(encode(Progress(FACTS))) * SAID)
        await trio.testing.wait_all_tasks_blocked(0.01)
        at_once = len(told)
        assert REPORTS_PER_S <= at_once <= REPORTS_PER_S + 1, "a second's worth"
        mock_clock.jump(1.0)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert at_once < len(told) <= 2 * REPORTS_PER_S + 1
        theirs.sendall(b"".join(frame(encode(one)) for one in (Done(), FAILURE, Done(FACTS))))
        theirs.close()
        for descriptor in (write_out, write_err):
            os.close(descriptor)
        words[0](Exit("exited"))
    assert len(told) == SAID, "who has ended is not held up"
    assert endings[0].report == Done(FACTS)
