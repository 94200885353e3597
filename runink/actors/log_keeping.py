"""What slices print, on its way from their pipes into their logs: beside the event loop, together (`together.py`), and no faster than `observe.log_pace` has it.

A disk that stands still holds up who prints, and nobody else: the agent goes on, the pipe fills, the slice's next write waits.  When a slice has
ended, what is left in its pipes is taken in without a wait.

Many slices print a line or two each: these go to the thread together, a GATHER_S_PER_LOG of each log that is kept behind those before.  To wake the thread, and to
hand the interpreter to and fro, costs more than to write them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from runink.actors.offload import Offload, OneThread
from runink.actors.together import Together
from runink.loops import Bell, now_s
from runink.observe.log_pace import Pace, node_pace, slice_pace
from runink.observe.log_room import Room
from runink.observe.slice_logs import LineSplitter, SliceLog, Stream, last_lines
from runink.runs.records import Printed

GATHER_S_PER_LOG: Final = 0.001
GATHER_S_MAX: Final = 0.03  # what is printed waits in its pipe for so long
LITTLE_BYTES: Final = 4 << 10  # whoever has printed more at once is to be read on


class LogKeeping:
    """The logs of a node, to be closed when none is kept any more. `offload` is for what touches the disk, nothing for a thread of its own; `room` says whether that has any left."""

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        offload: Offload | None = None,
        room: Room | None = None,
    ) -> None:
        self._has_room = (lambda: True) if room is None else room.is_left
        self._now_ms = now_ms
        self._thread = OneThread("logs")
        self._kept = 0  # logs
        self._offload = Together(offload or self._thread, gather_s=self._gather_s)
        self._pace = node_pace()

    def begin(self, path: Path, *, resumes: bool = False) -> KeptLog:
        """Return the log of an attempt, to be closed by the caller. `resumes` says that an earlier start of the agent may have begun it."""
        log = KeptLog(
            SliceLog(path, has_room=self._has_room),
            self._pace,
            self._offload,
            self._now_ms,
            closed=self._closed,
        )
        log.must_catch_up = resumes
        self._kept += 1
        return log

    def _closed(self) -> None:
        self._kept -= 1

    def _gather_s(self) -> float:
        return min(self._kept * GATHER_S_PER_LOG, GATHER_S_MAX)

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    async def last_lines(self, path: Path) -> tuple[str, ...]:
        """Return the last lines of a log that nobody keeps any more."""
        return tuple(await self._offload(last_lines, path))


class KeptLog:
    """One attempt's log, while it is kept. `node` is the pace of all slices of the node."""

    def __init__(
        self,
        log: SliceLog,
        node: Pace,
        offload: Together,
        now_ms: Callable[[], int],
        *,
        closed: Callable[[], object],
    ) -> None:
        self.log = log
        self.must_catch_up = False
        self._paces = (slice_pace(), node)
        self._offload = offload
        self._now_ms = now_ms
        self._closed = closed
        self._hurried = Bell()
        self._is_hurried = False

    async def catch_up(self) -> None:
        """Go on behind what an earlier start of the agent has kept, if there was one. Comes before all else."""
        if self.must_catch_up:
            await self._offload(self.log.resume)

    async def keep(self, stream: Stream, splitter: LineSplitter, data: bytes) -> None:
        """Keep what came out of a pipe, nothing at its end. Returns when more may be read. One call at a time."""
        if not data and splitter.is_empty:
            return
        if len(data) > LITTLE_BYTES:
            self._offload.hurry()
        lines: int = await self._offload(self._keep, stream, splitter, data)
        at_s = now_s()
        wait_s = max(pace.wait_s(len(data), lines, now_s=at_s) for pace in self._paces)
        if await self._hold(wait_s):
            self.log.slowed(now_s() - at_s, at_ms=self._now_ms())

    def hurry(self) -> None:
        """Hold nobody up any more: who printed has ended."""
        self._is_hurried = True
        self._hurried.ring()

    @property
    def printed(self) -> Printed:
        return Printed(*self.log.facts)

    def close(self) -> None:
        self.log.close()
        self._closed()

    async def _hold(self, wait_s: float) -> bool:
        """Wait for so long, or until who printed has ended; say whether there was anything to wait for."""
        if wait_s <= 0 or self._is_hurried:
            return False
        await self._hurried.wait_within(wait_s)
        return True

    def _keep(self, stream: Stream, splitter: LineSplitter, data: bytes) -> int:
        texts = splitter.feed(data) if data else splitter.end()
        self.log.write(stream, texts, at_ms=self._now_ms())
        return len(texts)
