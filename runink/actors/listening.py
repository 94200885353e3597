"""What comes from one slice while it lives: its reports, what it prints, the word on its end.  One task hears all of it.

    control            read where it is told that something has come, in no task: reports are few, and small
    stdout, stderr     in turns, a piece each, by the task that attends the slice: a disk that stands still holds up who prints, and nobody else
    the end            whatever the tree has written is in its pipes by then: all is read without a wait, but where a process holds them that has left the tree

A slice that prints nothing wakes the task once, when it has ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import anyio.lowlevel
import msgspec
from msgspec import structs

from runink.actors.log_keeping import KeptLog
from runink.actors.slice_tokens import Answer
from runink.errors import Overloaded, RuninkError, WireError, to_wire
from runink.jobs import Done, Failed, Progress, Report, TokenGiven, TokenWanted
from runink.loops import Bell, Readiness, now_s
from runink.observe.log_pace import Pace
from runink.observe.slice_logs import LineSplitter, Stream
from runink.runs.records import Exit
from runink.wire.channel import Channel

READ_BYTES: Final = (
    32 << 10
)  # half of a pipe: a turn of a few milliseconds, if all of it is line ends
REPORTS_PER_S: Final = 100  # a slice says ten times a second how far it is
REPORTS_AT_ONCE: Final = 100  # before others have their turn
DRAIN_S: Final = 1.0  # for what is still in the pipes when the process tree is gone
DRAIN_TURNS: Final = 20  # that it takes at least: on a busy machine all its time may be over before anything could be read


class Listening:
    """One attempt's streams, from `begin` to `close`. `progress` is told how far the slice is, `tokens` where it asks for its token; descriptors are ours to close."""

    def __init__(
        self,
        control: Channel,
        pipes: tuple[int, int],
        *,
        readiness: Readiness,
        log: KeptLog,
        progress: Callable[[Progress], object],
        tokens: Answer,
    ) -> None:
        self._bell = Bell()
        self._readiness = readiness
        self._log = log
        self._reports = _Reports(control, readiness, progress, tokens, self._bell)
        stdout, stderr = pipes
        self._prints = (_Print(stdout, Stream.STDOUT), _Print(stderr, Stream.STDERR))
        self.exit: Exit | None = None

    def begin(self) -> None:
        """Have it be told what comes."""
        for one in self._prints:
            self._readiness.watch(one.descriptor, self._come_from(one))
        self._reports.begin()

    def ended(self, word: Exit) -> None:
        """Take the word that the process tree is gone: nobody is held up any more."""
        self.exit = word
        self._log.hurry()
        self._reports.hurry()
        self._bell.ring()

    async def to_the_end(self) -> Exit:
        """Take in what comes until the slice has ended, then what is left of it; return how it ended."""
        while self.exit is None:
            if self._reports.is_left:  # also of one that prints without a pause
                self._reports.read()
            if self._is_some_printed():
                await self._take_in()
            elif self._reports.is_left:
                await self._bell.wait_within(self._reports.held_s())
            else:
                await self._bell.wait()
        await self._drain()
        return self.exit

    @property
    def report(self) -> Done | Failed | None:
        """Its last word."""
        return self._reports.last

    def close(self) -> None:
        self._reports.close()
        for one in self._prints:
            self._readiness.forget(one.descriptor)
            os.close(one.descriptor)

    def _come_from(self, one: _Print) -> Callable[[bool], object]:
        def ready(has_come: bool) -> None:  # noqa: FBT001 - as `Readiness` has it
            one.is_ready = True
            if has_come or self.exit is not None:  # a mere end is read when the slice has ended
                self._bell.ring()

        return ready

    def _is_some_printed(self) -> bool:
        return any(one.is_ready for one in self._prints)

    async def _take_in(self) -> None:
        """Read a piece of each stream that something has come from."""
        for one in self._prints:
            if one.is_ready:
                data = one.read()
                if data is not None:
                    await self._log.keep(one.stream, one.splitter, data)

    async def _drain(self) -> None:
        """Read what is left, for DRAIN_S. A process that has left the tree with the pipes may hold them for ever."""
        for _ in range(DRAIN_TURNS):
            until_s = now_s() + DRAIN_S / DRAIN_TURNS
            for one in self._prints:
                one.is_ready = not one.is_over  # whatever was told of it by now
            self._reports.read()
            await self._take_in()
            while now_s() < until_s and (self._reports.is_left or self._is_some_printed()):
                await anyio.lowlevel.checkpoint()
                self._reports.read()
                await self._take_in()
            if self._reports.is_over and all(one.is_over for one in self._prints):
                return
            await self._bell.wait_within(max(until_s - now_s(), 0.0))


class _Print:
    """Stdout or stderr. `is_ready` where there may be something to read."""

    __slots__ = ("descriptor", "is_over", "is_ready", "splitter", "stream")

    def __init__(self, descriptor: int, stream: Stream) -> None:
        self.descriptor = descriptor
        self.stream = stream
        self.splitter = LineSplitter()
        self.is_ready = False
        self.is_over = False

    def read(self) -> bytes | None:
        """Return a piece, or no bytes at the end, or None where nothing is there."""
        try:
            data = os.read(self.descriptor, READ_BYTES)
        except BlockingIOError:
            self.is_ready = False
            return None
        if not data:
            self.is_ready = False
            self.is_over = True
        return data


class _Reports:
    """The control channel: `last` is the slice's last word so far, `is_left` says that there may be more that nothing tells of. Nonsense on it is a failure of the slice, told as such.

    The channel is closed then: nobody understands what would come, and a slice whose control socket closes ends.  One that says more than a slice does is
    read no faster than REPORTS_PER_S: its socket fills, and it waits. `bell` is rung then: who hears it reads again, in `held_s`.
    """

    def __init__(
        self,
        control: Channel,
        readiness: Readiness,
        progress: Callable[[Progress], object],
        tokens: Answer,
        bell: Bell,
    ) -> None:
        self.last: Done | Failed | None = None
        self.is_over = False
        self.is_left = False
        self._control = control
        self._readiness = readiness
        self._progress = progress
        self._tokens = tokens
        self._bell = bell
        self._pace = Pace(1, REPORTS_PER_S)
        self._held_until_s = 0.0
        self._is_hurried = False

    def begin(self) -> None:
        self._readiness.watch(self._control.descriptor, self._come)

    def hurry(self) -> None:
        """Hold it up no more: it has ended."""
        self._is_hurried = True

    def held_s(self) -> float:
        """Return for how long it is held up yet."""
        return 0.0 if self._is_hurried else max(self._held_until_s - now_s(), 0.0)

    def read(self) -> None:
        """Take what is there, as far as the slice may say so much by now."""
        if self.is_over:
            return
        try:
            for _ in range(REPORTS_AT_ONCE):
                if self.held_s() > 0:
                    break
                value = self._control.receive_nowait()
                if value is None:
                    self._end()
                    return
                self._take(msgspec.convert(value, Report))
        except BlockingIOError:
            self.is_left = False
        except (msgspec.ValidationError, RuninkError) as error:
            text = f"the slice wrote nonsense to its control channel: {error}"
            hint = "a step must not write to descriptors that it did not open"
            self.last = Failed(WireError("Broken", "bad_report", text, hint))
            self.close()
        else:
            self.is_left = True

    def close(self) -> None:
        self._end()
        self._control.close()

    def _come(self, _: bool) -> None:  # noqa: FBT001 - as `Readiness` has it
        self.read()
        if self.is_left:
            self._bell.ring()

    def _end(self) -> None:
        self.is_over = True
        self.is_left = False
        self._readiness.forget(self._control.descriptor)

    def _take(self, report: Any) -> None:
        if isinstance(report, Done | Failed):
            self.last = report
            return
        if isinstance(report, Progress):
            self._progress(report)
        else:
            self._tokens(report, partial(self._give, report))
        at_s = now_s()
        self._held_until_s = at_s + self._pace.wait_s(0, 1, now_s=at_s)

    def _give(self, asked: TokenWanted, given: TokenGiven) -> None:
        """Answer it, if it is still there. One that asks and does not read is not answered any more, and told so."""
        if self.is_over:
            return
        try:
            self._control.send_nowait(structs.replace(given, number=asked.number))
        except Overloaded as error:
            self.last = Failed(to_wire(error))
            self.close()
