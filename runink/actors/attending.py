"""One slice's process, attended from its launch to its end: its reports, what it prints, how it ends.

    control   frames with `Progress`, and `TokenWanted` where its steps want a token, which is answered there; then one `Done` or `Failed`, then the end of the stream
    stdout    lines, into the slice's log (`log_keeping.py`)
    stderr    the same
    exit      told by the spawner when the whole process tree is gone

How they are heard is `listening.py`. The result is what stands in the slice's record.  A report counts only with a clean exit: a slice that said `Done` and then died did not
live to keep its word about what it wrote.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import anyio
import msgspec

from runink.actors.listening import Listening
from runink.actors.log_keeping import KeptLog
from runink.actors.outputs import Own, accepted
from runink.actors.slice_meters import SliceMeter
from runink.actors.slice_tokens import Answer
from runink.errors import RuninkError, to_wire
from runink.jobs import Done, Failed, Progress
from runink.loops import Flag, Readiness
from runink.names import RunId
from runink.runs.records import Exit, Placement, Printed, SliceRecord, SliceState
from runink.sandbox.client import LaunchedSlice, Spawner
from runink.sandbox.protocol import GRACE_S, TOLD
from runink.wire.channel import Channel

TAIL_LINE_MAX: Final = 500  # characters of a line in a record; all of it is in the log
REPORT_BYTES_MAX: Final = 4 << 20  # four times what a record may hold of it
REPORTED: Final = (0, 1)  # the codes with which a slice ends that has reported (`slice.py`)


_TOLD: Final = (SliceState.FAILED, SliceState.LOST)  # with their last lines


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a process."""

    report: Done | Failed | None
    exit: Exit
    log_tail: tuple[str, ...]
    printed: Printed = Printed()  # noqa: RUF009 - frozen


class OwnCgroup(NamedTuple):
    """Where the cgroup of a slice with this first process is, as /proc/PID/cgroup says it, in which version each of its limits is in force, and what it had counted before (`LaunchedSlice`)."""

    pid: int
    memberships: str
    versions: Mapping[str, str]
    counted_before: str = ""


@dataclass(eq=False, slots=True)
class Attended:
    """A slice from its launch to the moment its end is written. `own` is what it may speak of. `over` is set when its process has ended, `is_adopted` says that an earlier life of the agent has launched it. What was `told` that it is to give way has a grace before it is stopped. `cgroup` is found when it is first looked at, by its process: `launched`, whose descriptors are ours until `over`."""

    record: SliceRecord
    name: str
    meter: SliceMeter
    own: Own | None
    is_adopted: bool = False
    launched: LaunchedSlice | None = None
    cgroup: OwnCgroup | None = None
    told: bool = False
    stopping: bool = False
    over: Flag = field(default_factory=Flag)

    async def tell(self, spawner: Spawner) -> None:
        """Have it know that it is to give way, and stop it when its grace is over, if it has not ended by then. Told again it has no more of it."""
        if self.told or self.stopping:
            return
        self.told = True
        await spawner.signal(self.name, TOLD)
        with anyio.move_on_after(self.record.wants.grace_ms / 1000):
            await self.over.wait()
        if not self.over.is_set():
            await self.stop(spawner)

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
        record = ended(
            self.record,
            replace(ending, report=accepted(ending.report, self.own)),
            was_stopped=self.told or self.stopping,
            is_adopted=self.is_adopted,
            now_ms=now_ms,
        )
        # Nobody may ask for its room any more by now, and it has given way all the same.
        has_moved = self.told and record.state is SliceState.CANCELLED
        return msgspec.structs.replace(record, is_moved=True) if has_moved else record


Gang = tuple[RunId, str, int]  # of a run, in an attempt


def gang_of(one: Placement | SliceRecord) -> Gang:
    return one.run, one.gang, one.attempt


class Living:
    """How many slices of each gang run here, to be told which is the last of it."""

    def __init__(self) -> None:
        self._count: Counter[Gang] = Counter()

    def began(self, record: SliceRecord) -> None:
        self._count[gang_of(record)] += 1

    def ended(self, record: SliceRecord) -> bool:
        """Take note of the end of one that has begun; say whether nothing else of its gang runs any more."""
        gang = gang_of(record)
        self._count[gang] -= 1
        if self._count[gang]:
            return False
        del self._count[gang]
        return True


async def attend(
    launched: LaunchedSlice,
    listen: Callable[[Callable[[Exit], object]], object],
    *,
    readiness: Readiness,
    log: KeptLog,
    progress: Callable[[Progress], object],
    tokens: Answer,
) -> Ending:
    """Return how the slice ended; closes its channels. `listen` is given what takes the spawner's word on its end."""
    heard = Listening(
        Channel(launched.control, frame_bytes_max=REPORT_BYTES_MAX),
        (launched.stdout, launched.stderr),
        readiness=readiness,
        log=log,
        progress=progress,
        tokens=tokens,
    )
    try:
        await log.catch_up()
        heard.begin()
        listen(heard.ended)
        found = await heard.to_the_end()
    finally:
        heard.close()
    return Ending(heard.report, found, log.log.tail, log.printed)


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
