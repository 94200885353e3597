"""One slice attended: what it says, what it prints, and how its end is told."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace
from runink.actors.attending import (
    REPORT_BYTES_MAX,
    TAIL_LINE_MAX,
    Ending,
    Living,
    attend,
    ended,
    unborn,
)
from runink.actors.exits import Exits
from runink.actors.log_keeping import LogKeeping
from runink.actors.slice_tokens import Give
from runink.dag import Resources
from runink.errors import Refused, WireError
from runink.jobs import Done, Failed, NodeFacts, Progress
from runink.loops import Readiness
from runink.names import HerdName, RunId, SliceId
from runink.observe.slice_logs import Stream, read_log
from runink.runs.records import Exit, SliceRecord, SliceState
from runink.sandbox.client import Exited, LaunchedSlice
from runink.sandbox.protocol import UNCOUNTED
from runink.testing.readiness import readiness_running
from runink.wire.codec import encode
from runink.wire.frames import frame

pytestmark = pytest.mark.anyio

CLEAN = Exit("exited")
EXITED = Exited(
    "s", 1, "exited", 0, 0, 0.0, 0.0, UNCOUNTED, UNCOUNTED, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0
)
RECORD = SliceRecord(
    SliceId("s"), RunId("r"), HerdName("h"), "g", SliceState.RUNNING, Resources(), launched_ms=5
)
FAILURE = Failed(WireError("Refused", "step_failed", "x"))
FACTS = (NodeFacts("n", rows_out=1),)
LARGE = Done(tuple(NodeFacts(f"node{number}", rows_out=number) for number in range(1500)))


@dataclass
class Attending:
    """The slice's ends, and what came of it."""

    control: socket.socket
    stdout: int
    stderr: int
    log: Path
    told: list[Progress] = field(default_factory=list)
    asked: list[Give] = field(default_factory=list)
    exits: Exits = field(default_factory=Exits)
    ending: list[Ending] = field(default_factory=list)

    def say(self, *values: object) -> None:
        self.control.sendall(b"".join(frame(encode(value)) for value in values))

    def close(self) -> None:
        self.control.close()
        os.close(self.stdout)
        os.close(self.stderr)

    def end(self) -> None:
        self.exits.tell(EXITED)

    async def run(self, launched: LaunchedSlice, readiness: Readiness, logs: LogKeeping) -> None:
        log = logs.begin(self.log)
        word = partial(self.exits.listen, EXITED.slice)
        ending = await attend(
            launched,
            word,
            readiness=readiness,
            log=log,
            progress=self.told.append,
            tokens=lambda _, give: self.asked.append(give),
        )
        self.ending.append(ending)
        log.close()


@asynccontextmanager
async def attending(folder: Path, logs: LogKeeping | None = None) -> AsyncIterator[Attending]:
    """Attend a slice for the block, which is its life; it has been attended to its end behind it."""
    logs = logs or LogKeeping(now_ms=lambda: 7)
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    (read_out, write_out), (read_err, write_err) = os.pipe(), os.pipe()
    for descriptor in (read_out, read_err):
        os.set_blocking(descriptor, False)
    found = Attending(theirs, write_out, write_err, folder / "log.jsonl")
    async with readiness_running() as readiness, anyio.create_task_group() as group:
        launched = LaunchedSlice("s", 1, {}, ours, read_out, read_err, -1)
        group.start_soon(found.run, launched, readiness, logs)
        yield found
        found.close()
        found.end()
    assert not readiness
    logs.close()
    for descriptor in (read_out, read_err):
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(descriptor)
    assert ours.fileno() == -1


async def test_a_report_counts_that_comes_with_the_end_while_the_loop_has_no_time_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runink.actors.listening.DRAIN_S", 0.0)
    async with attending(tmp_path) as slice_:
        await anyio.wait_all_tasks_blocked()
        slice_.say(LARGE)  # takes several turns to read
    (ending,) = slice_.ending
    assert ending.report == LARGE


async def test_progress_then_the_report_then_the_end(tmp_path: Path) -> None:
    async with attending(tmp_path) as slice_:
        slice_.say(Progress(FACTS), Progress(FACTS), Done(FACTS))
        os.write(slice_.stdout, b"one\ntwo")
        os.write(slice_.stderr, b"three\n")
    assert slice_.told == [Progress(FACTS)] * 2
    (ending,) = slice_.ending
    assert (ending.report, ending.exit) == (Done(FACTS), CLEAN)
    assert sorted(ending.log_tail) == ["one", "three", "two"]
    assert {(one.stream, one.text) for one in read_log(slice_.log)} == {
        (Stream.STDOUT, "one"),
        (Stream.STDOUT, "two"),
        (Stream.STDERR, "three"),
    }


@pytest.mark.parametrize(
    "nonsense",
    [b"\xff\xff\xff\xff", (REPORT_BYTES_MAX + 1).to_bytes(4, "big"), frame(b"\xc1"), frame(encode({"type": "done", "nodes": 7})), frame(b"\x01")],
)  # fmt: skip
async def test_nonsense_on_the_control_channel_fails_the_slice_and_ends_it(
    tmp_path: Path, nonsense: bytes
) -> None:
    async with attending(tmp_path) as slice_:
        slice_.control.sendall(nonsense)
        await _write_until_it_breaks(slice_.control)
    (ending,) = slice_.ending
    assert isinstance(ending.report, Failed)
    assert ending.report.error.code == "bad_report"


async def _write_until_it_breaks(control: socket.socket) -> None:
    """Nobody reads any more: a slice that goes on writing must see that, or it would wait for ever."""
    control.setblocking(False)
    with anyio.fail_after(60.0), suppress(BrokenPipeError, ConnectionResetError):
        while True:  # ends when the other end is closed
            with suppress(BlockingIOError):
                control.send(b"x" * 65_536)
            await anyio.lowlevel.checkpoint()


async def test_a_report_cut_short_is_no_report(tmp_path: Path) -> None:
    async with attending(tmp_path) as slice_:
        slice_.control.sendall(frame(encode(Done()))[:-1])
    assert slice_.ending[0].report is None


async def test_the_last_report_counts(tmp_path: Path) -> None:
    async with attending(tmp_path) as slice_:
        slice_.say(Done(), FAILURE)
    assert slice_.ending[0].report == FAILURE


async def test_pipes_that_somebody_still_holds_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runink.actors.listening.DRAIN_S", 0.01)
    async with attending(tmp_path) as slice_:
        escaped = os.dup(slice_.stdout)
    try:
        assert slice_.ending[0].exit == CLEAN
    finally:
        os.close(escaped)


async def test_a_process_that_prints_on_behind_the_end_is_not_listened_to_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runink.actors.listening.DRAIN_S", 0.01)

    async def print_on(escaped: int) -> None:
        while not slice_.ending:
            with suppress(BlockingIOError):
                os.write(escaped, b"x\n")
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group, attending(tmp_path) as slice_:
        escaped = os.dup(slice_.stdout)
        os.set_blocking(escaped, False)
        group.start_soon(print_on, escaped)
    os.close(escaped)
    assert slice_.ending[0].exit == CLEAN


async def test_reports_are_heard_while_the_disk_stands_still(tmp_path: Path) -> None:
    stands = anyio.Event()
    asked = anyio.Event()

    async def stand_still(function: Callable[..., Any], *args: Any) -> Any:
        asked.set()
        await stands.wait()
        return function(*args)

    async with attending(tmp_path, LogKeeping(now_ms=lambda: 7, offload=stand_still)) as slice_:
        os.write(slice_.stdout, b"one\n")
        await asked.wait()
        slice_.say(Progress(FACTS))
        with anyio.fail_after(60.0):
            while not slice_.told:
                await anyio.lowlevel.checkpoint()
        stands.set()
    assert [one.text for one in read_log(slice_.log)] == ["one"]


async def test_a_stream_that_is_closed_early_is_no_end_of_the_other(tmp_path: Path) -> None:
    async with attending(tmp_path) as slice_:
        os.write(slice_.stdout, b"one")
        os.dup2(slice_.stderr, slice_.stdout)
        await anyio.wait_all_tasks_blocked()
        os.write(slice_.stderr, b"two\n")
    assert sorted(slice_.ending[0].log_tail) == ["one", "two"]


def test_the_last_of_a_gang_is_the_one_behind_which_nothing_of_its_attempt_runs() -> None:
    living = Living()
    other = replace(RECORD, slice=SliceId("t"))
    again = replace(RECORD, attempt=2)
    for record in (RECORD, other, again):
        living.began(record)
    assert [living.ended(record) for record in (RECORD, again, other)] == [False, True, True]
    living.began(RECORD)
    assert living.ended(RECORD)


async def test_what_was_printed_before_the_end_is_kept_though_the_end_is_told_first(
    tmp_path: Path,
) -> None:
    async with attending(tmp_path) as slice_:
        slice_.end()
        for _ in range(100):
            os.write(slice_.stdout, b"x\n" * 10)
    assert len(list(read_log(slice_.log))) == 1000


@pytest.mark.parametrize(
    ("report", "found", "was_stopped", "state", "kept"),
    [
        (Done(), CLEAN, False, SliceState.SUCCEEDED, Done()),
        (Done(), CLEAN, True, SliceState.SUCCEEDED, Done()),
        (Done(), Exit("exited", code=1), False, SliceState.FAILED, None),
        (Done(), Exit("signalled", code=-1, signal=9), False, SliceState.FAILED, None),
        (Done(), Exit("killed", code=-1, signal=9), True, SliceState.CANCELLED, None),
        (FAILURE, Exit("exited", code=1), False, SliceState.FAILED, FAILURE),
        (FAILURE, Exit("exited", code=1), True, SliceState.CANCELLED, FAILURE),
        (FAILURE, CLEAN, False, SliceState.FAILED, FAILURE),
        (None, CLEAN, False, SliceState.FAILED, None),
        (None, Exit("timeout", code=-1, signal=9), False, SliceState.FAILED, None),
    ],
)
async def test_a_report_counts_only_with_a_clean_exit(
    report: Done | Failed | None,
    found: Exit,
    was_stopped: bool,  # noqa: FBT001 - a parameter of the test
    state: SliceState,
    kept: Done | Failed | None,
) -> None:
    ending = Ending(report, found, ("last",))
    record = ended(RECORD, ending, was_stopped=was_stopped, now_ms=9)
    assert (record.state, record.report, record.exit) == (state, kept, found)
    assert (record.launched_ms, record.ended_ms) == (5, 9)
    assert record.log_tail == (("last",) if state is SliceState.FAILED else ())


async def test_long_lines_are_cut_in_the_record() -> None:
    ending = Ending(None, CLEAN, ("x" * 10_000, "short"))
    record = ended(RECORD, ending, was_stopped=False, now_ms=9)
    assert record.log_tail == ("x" * TAIL_LINE_MAX + "...", "short")


async def test_a_slice_that_never_was_says_why() -> None:
    record = unborn(RECORD, Refused("no", code="no_entry"), now_ms=9)
    assert record.state is SliceState.FAILED
    assert record.exit == Exit("unborn")
    assert isinstance(record.report, Failed)
    assert (record.report.error.code, record.launched_ms, record.ended_ms) == ("no_entry", 5, 9)
