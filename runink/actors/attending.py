"""One slice's process, attended from its launch to its end: its reports, what it prints, how it ends.

    control   frames with `Progress`, then one `Done` or `Failed`, then the end of the stream
    stdout    lines, into the slice's log
    stderr    the same
    exit      told by the spawner when the whole process tree is gone

The result is what stands in the slice's record.  A report counts only with a clean exit: a slice that said `Done` and then died did not
live to keep its word about what it wrote.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio
import msgspec

from runink.actors.slice_meters import SliceMeter
from runink.errors import RuninkError, WireError, to_wire
from runink.jobs import Done, Failed, Progress, Report
from runink.observe.slice_logs import LineSplitter, SliceLog, Stream
from runink.runs.records import Exit, SliceRecord, SliceState
from runink.wire.channel import Channel

READ_BYTES: Final = 64 << 10
TAIL_LINE_MAX: Final = 500  # characters of a line in a record; all of it is in the log
DRAIN_S: Final = 1.0  # for what is still in the pipes when the process tree is gone


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The agent's ends: of the control socket and of the pipes of stdout and stderr."""

    control: Channel
    stdout: int
    stderr: int


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a process."""

    report: Done | Failed | None
    exit: Exit
    log_tail: tuple[str, ...]


@dataclass(eq=False, slots=True)
class Attended:
    """A slice from its launch to the moment its end is written. `over` is set when its process has ended."""

    record: SliceRecord
    name: str
    meter: SliceMeter
    stopping: bool = False
    over: anyio.Event = field(default_factory=anyio.Event)

    def is_last_of(self, all_attended: Iterable[Attended]) -> bool:
        """Say whether nothing else of its gang runs any more."""
        others = (one for one in all_attended if one is not self and not one.over.is_set())
        return all(_gang(one.record) != _gang(self.record) for one in others)


def _gang(record: SliceRecord) -> tuple[str, str, int]:
    return record.run, record.gang, record.attempt


async def attend(
    descriptors: Descriptors,
    exited: Callable[[], Awaitable[Exit]],
    *,
    log: SliceLog,
    progress: Callable[[Progress], object],
    now_ms: Callable[[], int],
) -> Ending:
    """Return how the slice ended; closes the descriptors. `exited` is awaited for the spawner's word on it."""
    reports: list[Done | Failed] = []
    drained = anyio.Event()

    async def read_all() -> None:
        try:
            async with anyio.create_task_group() as readers:
                readers.start_soon(
                    partial(_read_lines, descriptors.stdout, Stream.STDOUT, log, now_ms)
                )
                readers.start_soon(
                    partial(_read_lines, descriptors.stderr, Stream.STDERR, log, now_ms)
                )
                readers.start_soon(partial(_read_reports, descriptors.control, reports, progress))
        finally:
            drained.set()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(read_all)
            found = await exited()
            with anyio.move_on_after(DRAIN_S):
                await drained.wait()
            group.cancel_scope.cancel()
    finally:
        await descriptors.control.aclose()
        os.close(descriptors.stdout)
        os.close(descriptors.stderr)
    return Ending(reports[-1] if reports else None, found, log.tail)


async def _read_lines(
    descriptor: int, stream: Stream, log: SliceLog, now_ms: Callable[[], int]
) -> None:
    os.set_blocking(descriptor, False)
    splitter = LineSplitter()
    while True:  # ends with the stream
        await anyio.wait_readable(descriptor)
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            continue
        if not data:
            log.write(stream, splitter.end(), at_ms=now_ms())
            return
        log.write(stream, splitter.feed(data), at_ms=now_ms())


async def _read_reports(
    control: Channel, reports: list[Done | Failed], progress: Callable[[Progress], object]
) -> None:
    """Collect what the slice says. Nonsense on the channel is a failure of the slice, told as such.

    The channel is closed then: nobody understands what would come, and a slice whose control socket closes ends.
    """
    try:
        while (value := await control.receive()) is not None:
            report = msgspec.convert(value, Report)
            if isinstance(report, Progress):
                progress(report)
            else:
                reports.append(report)
    except (msgspec.ValidationError, RuninkError) as error:
        text = f"the slice wrote nonsense to its control channel: {error}"
        hint = "a step must not write to descriptors that it did not open"
        reports.append(Failed(WireError("Broken", "bad_report", text, hint)))
        await control.aclose()


def ended(record: SliceRecord, ending: Ending, *, was_stopped: bool, now_ms: int) -> SliceRecord:
    """Return the record of a slice whose process has ended."""
    clean = ending.exit.cause == "exited" and ending.exit.code == 0
    report = ending.report
    if isinstance(report, Done) and clean:
        state = SliceState.SUCCEEDED
    elif was_stopped:
        state = SliceState.CANCELLED
    else:
        state = SliceState.FAILED
    if isinstance(report, Done) and not clean:
        report = None
    return msgspec.structs.replace(
        record,
        state=state,
        ended_ms=now_ms,
        exit=ending.exit,
        report=report,
        log_tail=tuple(map(_shortened, ending.log_tail)) if state is SliceState.FAILED else (),
    )


def unborn(record: SliceRecord, error: RuninkError, *, now_ms: int) -> SliceRecord:
    """Return the record of a slice that could not be started."""
    return msgspec.structs.replace(
        record,
        state=SliceState.FAILED,
        launched_ms=record.launched_ms or now_ms,
        ended_ms=now_ms,
        exit=Exit("unborn"),
        report=Failed(to_wire(error)),
    )


def _shortened(line: str) -> str:
    return line if len(line) <= TAIL_LINE_MAX else f"{line[:TAIL_LINE_MAX]}..."
