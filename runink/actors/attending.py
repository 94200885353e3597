"""One slice's process, attended from its launch to its end: its reports, what it prints, how it ends.

    control   frames with `Progress`, then one `Done` or `Failed`, then the end of the stream
    stdout    lines, into the slice's log (`log_keeping.py`)
    stderr    the same
    exit      told by the spawner when the whole process tree is gone

The result is what stands in the slice's record.  A report counts only with a clean exit: a slice that said `Done` and then died did not
live to keep its word about what it wrote.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import anyio
import msgspec

from runink.actors.log_keeping import KeptLog
from runink.actors.outputs import Own, accepted
from runink.actors.slice_meters import SliceMeter
from runink.errors import RuninkError, WireError, to_wire
from runink.jobs import Done, Failed, Progress, Report
from runink.loops import Bell
from runink.names import RunId
from runink.observe.log_pace import Pace
from runink.observe.slice_logs import LineSplitter, Stream
from runink.runs.records import Exit, Printed, SliceRecord, SliceState
from runink.sandbox.client import LaunchedSlice, Spawner
from runink.sandbox.protocol import GRACE_S
from runink.wire.channel import Channel

READ_BYTES: Final = (
    32 << 10
)  # half of a pipe: a turn of a few milliseconds, if all of it is line ends
TAIL_LINE_MAX: Final = 500  # characters of a line in a record; all of it is in the log
REPORT_BYTES_MAX: Final = 4 << 20  # four times what a record may hold of it
REPORTS_PER_S: Final = 100  # a slice says ten times a second how far it is
REPORTED: Final = (0, 1)  # the codes with which a slice ends that has reported (`slice.py`)
DRAIN_S: Final = 1.0  # for what is still in the pipes when the process tree is gone
DRAIN_TURNS: Final = 20  # that it takes at least: on a busy machine all its time may be over before anything could be read


_TOLD: Final = (SliceState.FAILED, SliceState.LOST)  # with their last lines


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The agent's ends: of the control socket and of the pipes of stdout and stderr."""

    control: Channel
    stdout: int
    stderr: int


def descriptors_of(launched: LaunchedSlice) -> Descriptors:
    """Return the descriptors of a slice; they are ours to close."""
    control = Channel(launched.control, frame_bytes_max=REPORT_BYTES_MAX)
    return Descriptors(control, launched.stdout, launched.stderr)


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a process."""

    report: Done | Failed | None
    exit: Exit
    log_tail: tuple[str, ...]
    printed: Printed = Printed()  # noqa: RUF009 - frozen


class OwnCgroup(NamedTuple):
    """Where a slice's cgroup is, as /proc/PID/cgroup says it, and in which version each of its limits is in force."""

    memberships: str
    versions: Mapping[str, str]


@dataclass(eq=False, slots=True)
class Attended:
    """A slice from its launch to the moment its end is written. `own` is what it may speak of. `over` is set when its process has ended, `is_adopted` says that an earlier life of the agent has launched it. `cgroup` is found when it is first looked at, by its process: `launched`, whose descriptors are ours until `over`."""

    record: SliceRecord
    name: str
    meter: SliceMeter
    own: Own | None
    is_adopted: bool = False
    launched: LaunchedSlice | None = None
    cgroup: OwnCgroup | None = None
    stopping: bool = False
    over: anyio.Event = field(default_factory=anyio.Event)

    async def stop(self, spawner: Spawner) -> None:
        """Have it end: SIGTERM to its first process, after GRACE_S an end by force of all that it has started. Asked again it does nothing more."""
        if self.stopping:
            return
        self.stopping = True
        await spawner.signal(self.name, signal.SIGTERM)
        with anyio.move_on_after(GRACE_S):
            await self.over.wait()
        if not self.over.is_set():
            await spawner.kill(self.name)

    def ended(self, ending: Ending, *, now_ms: int) -> SliceRecord:
        """Return its record, now that its process has ended."""
        return ended(
            self.record,
            replace(ending, report=accepted(ending.report, self.own)),
            was_stopped=self.stopping,
            is_adopted=self.is_adopted,
            now_ms=now_ms,
        )


class Living:
    """How many slices of each gang run here, to be told which is the last of it."""

    def __init__(self) -> None:
        self._count: Counter[tuple[RunId, str, int]] = Counter()

    def began(self, record: SliceRecord) -> None:
        self._count[_gang(record)] += 1

    def ended(self, record: SliceRecord) -> bool:
        """Take note of the end of one that has begun; say whether nothing else of its gang runs any more."""
        gang = _gang(record)
        self._count[gang] -= 1
        if self._count[gang]:
            return False
        del self._count[gang]
        return True


def _gang(record: SliceRecord) -> tuple[RunId, str, int]:
    return record.run, record.gang, record.attempt


class _Left:
    """The streams of a slice that have not ended yet."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._drained = Bell()

    def one_is_over(self) -> None:
        self._count -= 1
        if not self._count:
            self._drained.ring()

    async def drained(self) -> bool:
        """Wait until all have ended, for DRAIN_S; say whether they have. A process that has left the tree with the pipes may hold them for ever."""
        for _ in range(DRAIN_TURNS):
            if not self._count or await self._drained.wait_within(DRAIN_S / DRAIN_TURNS):
                return True
        return not self._count


async def attend(
    descriptors: Descriptors,
    exited: Callable[[], Awaitable[Exit]],
    *,
    log: KeptLog,
    progress: Callable[[Progress], object],
) -> Ending:
    """Return how the slice ended; closes the descriptors. `exited` is awaited for the spawner's word on it."""
    reports: list[Done | Failed] = []
    left = _Left(3)

    async def read_lines(descriptor: int, stream: Stream) -> None:
        await _read_lines(descriptor, stream, log)
        left.one_is_over()

    async def read_reports() -> None:
        await _read_reports(descriptors.control, reports, progress, log)
        left.one_is_over()

    try:
        await log.catch_up()
        async with anyio.create_task_group() as group:
            group.start_soon(read_lines, descriptors.stdout, Stream.STDOUT)
            group.start_soon(read_lines, descriptors.stderr, Stream.STDERR)
            group.start_soon(read_reports)
            found = await exited()
            log.hurry()
            if not await left.drained():
                group.cancel_scope.cancel()
    finally:
        await descriptors.control.aclose()
        os.close(descriptors.stdout)
        os.close(descriptors.stderr)
    return Ending(reports[-1] if reports else None, found, log.log.tail, log.printed)


async def _read_lines(descriptor: int, stream: Stream, log: KeptLog) -> None:
    os.set_blocking(descriptor, False)
    splitter = LineSplitter()
    while True:  # ends with the stream
        await anyio.wait_readable(descriptor)
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            continue
        await log.keep(stream, splitter, data)
        if not data:
            return


async def _read_reports(
    control: Channel,
    reports: list[Done | Failed],
    progress: Callable[[Progress], object],
    log: KeptLog,
) -> None:
    """Take what the slice says, in `reports` its last word only. Nonsense on the channel is a failure of the slice, told as such.

    The channel is closed then: nobody understands what would come, and a slice whose control socket closes ends.  One that says more than a slice does is
    read no faster than REPORTS_PER_S: its socket fills, and it waits.
    """
    pace = Pace(1, REPORTS_PER_S)
    try:
        while (value := await control.receive()) is not None:
            report = msgspec.convert(value, Report)
            if isinstance(report, Progress):
                progress(report)
                await log.hold(pace.wait_s(0, 1, now_s=anyio.current_time()))
            else:
                reports[:] = [report]
    except (msgspec.ValidationError, RuninkError) as error:
        text = f"the slice wrote nonsense to its control channel: {error}"
        hint = "a step must not write to descriptors that it did not open"
        reports[:] = [Failed(WireError("Broken", "bad_report", text, hint))]
        await control.aclose()


def ended(
    record: SliceRecord,
    ending: Ending,
    *,
    was_stopped: bool,
    now_ms: int,
    is_adopted: bool = False,
) -> SliceRecord:
    """Return the record of a slice whose process has ended.

    One that was taken up, has ended as one does that reports, and has not: it reported to a life that had no time to write it down.  That is lost, and no failure of the slice.
    """
    ended_itself = ending.exit.cause == "exited"
    clean = ended_itself and ending.exit.code == 0
    report = ending.report
    if isinstance(report, Done) and clean:
        state = SliceState.SUCCEEDED
    elif was_stopped:
        state = SliceState.CANCELLED
    elif is_adopted and report is None and ended_itself and ending.exit.code in REPORTED:
        state = SliceState.LOST
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
        log_tail=shortened(ending.log_tail) if state in _TOLD else (),
        printed=ending.printed,
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


def shortened(lines: Iterable[str]) -> tuple[str, ...]:
    """Return lines of a log as they stand in a record."""
    return tuple(
        line if len(line) <= TAIL_LINE_MAX else f"{line[:TAIL_LINE_MAX]}..." for line in lines
    )
