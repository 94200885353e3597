"""A spawner without processes: it hands out real sockets and pipes, and its slices live and die on command.

    spawner = FakeSpawner(launched=begin)
    the agent calls `launch` ...             `begin` is called with a FakeSlice: the slice's side of it
    fake.report(Done()); fake.exit()         what the slice says, and how it ends
    spawner.die()                            the spawner is killed, with all its slices

It keeps its promises as `sandbox.client` has them: a slice that was not released is listed, with working descriptors, also to an agent that
starts anew; an end is told as it happens, and once more by each `list`.  What is asked of a dead one raises LinkLost.  Nothing waits, so that
virtual time passes as the test has it.
"""

from __future__ import annotations

import os
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import anyio.lowlevel

from runink.documents import decode_document
from runink.errors import Conflict, LinkLost, RuninkError
from runink.jobs import Done, SliceJob
from runink.sandbox.client import Event, Exited, LaunchedSlice, SliceWanted
from runink.sandbox.protocol import UNCOUNTED
from runink.wire.codec import encode
from runink.wire.frames import frame


@dataclass(eq=False)
class FakeSlice:
    """A slice as its own process would see it. `signals` are those that it was sent and has not acted on."""

    name: str
    attempt: int
    job: SliceJob
    descriptors: tuple[int, ...]  # where they led when it was launched; they are the agent's
    wanted: SliceWanted
    _ends: tuple[socket.socket, int, int]  # the slice's: control, stdout, stderr
    _kept: LaunchedSlice  # the spawner's copies of the agent's
    _tell: Callable[[Exited], None]
    signals: list[int] = field(default_factory=list)
    signalled: anyio.Event = field(default_factory=anyio.Event)
    ended: Exited | None = None
    is_released: bool = False

    def report(self, value: Any) -> None:
        """Say something on the control channel."""
        self.write_control(frame(encode(value)))

    def write_control(self, data: bytes) -> None:
        """Put bytes on the control channel. An agent that has closed its end does not get them."""
        try:
            self._ends[0].send(data)
        except OSError:
            return

    def print(self, data: bytes, *, to_stderr: bool = False) -> None:
        """Write to stdout or stderr."""
        _, out, err = self._ends
        os.write(err if to_stderr else out, data)

    def succeed(self, report: Done | None = None) -> None:
        self.report(report or Done())
        self.exit()

    def exit(self, code: int = 0) -> None:
        """End with an exit code."""
        self._end(Exited(self.name, self.attempt, "exited", code, *_NOTHING))

    def die(self, number: int = signal.SIGKILL, *, cause: str = "signalled") -> None:
        """End by a signal."""
        self._end(Exited(self.name, self.attempt, cause, -1, number, *_NOTHING[1:]))

    def _end(self, event: Exited) -> None:
        if self.ended is not None:
            return
        self.ended = event
        self.signalled.set()
        self.close_ends()
        self._tell(event)

    def close_ends(self) -> None:
        control, *pipes = self._ends
        if control.fileno() != -1:
            control.close()
            for descriptor in pipes:
                os.close(descriptor)


_NOTHING: Final = (
    0,
    0.0,
    0.0,
    UNCOUNTED,
    UNCOUNTED,
    0,
    0,
    0,
    0,
    0,
    0.0,
    0.0,
    0.0,
    0,
)  # signal, times, context switches, memory, io, limits met, wall, what was allowed, survivors


class FakeSpawner:
    """See `sandbox.client.Spawner`. `failures` are raised by the launches to come, one each, nothing where one succeeds."""

    def __init__(self, launched: Callable[[FakeSlice], object] = lambda _: None) -> None:
        self.pid = 1
        self.slices: dict[str, FakeSlice] = {}
        self.failures: list[RuninkError | None] = []
        self.launched: list[str] = []  # by name, also those that are forgotten
        self.preloaded: list[tuple[str, ...]] = []
        self.has_parted = False
        self._launched = launched
        self._ended = anyio.Event()
        self._events: deque[Event] = deque()
        self._happened = anyio.Event()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    @property
    def living(self) -> list[FakeSlice]:
        return [one for one in self.slices.values() if one.ended is None]

    async def launch(self, wanted: SliceWanted) -> LaunchedSlice:
        await self._ask()
        name, attempt = wanted.name, wanted.attempt
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        if name in self.slices:
            raise Conflict(f"slice {name} is there already", code="slice_exists")
        ends, kept = _channels(name, attempt)
        job = decode_document(wanted.job).job
        inodes = tuple(os.fstat(descriptor).st_ino for descriptor in wanted.descriptors)
        fake = FakeSlice(name, attempt, job, inodes, wanted, ends, kept, self._tell)
        self.slices[name] = fake
        self.launched.append(name)
        self._launched(fake)
        return _copied(kept)

    async def signal(self, name: str, number: int) -> bool:
        await self._ask()
        fake = self.slices.get(name)
        if fake is None or fake.ended is not None:
            return False
        fake.signals.append(number)
        fake.signalled.set()
        return True

    async def kill(self, name: str) -> bool:
        await self._ask()
        fake = self.slices.get(name)
        if fake is None:
            return False
        fake.die(cause="killed")
        return True

    async def release(self, name: str) -> bool:
        await self._ask()
        fake = self.slices.get(name)
        if fake is None:
            return False
        fake.is_released = True
        self._forget_released()
        return True

    async def list(self) -> list[LaunchedSlice]:
        await self._ask()
        for fake in self.slices.values():
            if fake.ended is not None:
                self._tell(fake.ended)
        return [_copied(fake._kept) for fake in self.slices.values()]  # noqa: SLF001 - the two are one

    async def preload(self, modules: Iterable[str]) -> None:
        await self._ask()
        self.preloaded.append(tuple(modules))

    def events(self) -> AsyncIterator[Event]:
        return _Events(self)

    async def next_event(self) -> Event:
        while not self._events:
            if self.has_ended:
                raise _lost()
            self._happened = anyio.Event()
            await self._happened.wait()
        return self._events.popleft()

    async def wait_ended(self) -> None:
        await self._ended.wait()

    def attach(self) -> None:
        """Let another agent come: what was told to the one before is not told to it."""
        self._events.clear()

    def die(self) -> None:
        """Be killed, with all slices: nobody is told how they ended."""
        self._ended.set()
        self._happened.set()
        for fake in self.slices.values():
            fake.ended = fake.ended or Exited(fake.name, fake.attempt, "lost", -1, *_NOTHING)
            fake.signalled.set()
            fake.is_released = True
        self._forget_released()

    async def _ask(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.has_ended:
            raise _lost()

    def _tell(self, event: Exited) -> None:
        self._events.append(event)
        self._happened.set()
        self._forget_released()

    def _forget_released(self) -> None:
        for name, fake in list(self.slices.items()):
            if fake.is_released and fake.ended is not None:
                fake.close_ends()
                fake._kept.close()  # noqa: SLF001 - the two are one
                del self.slices[name]


class _Events:
    """Not an async generator: who leaves one unfinished has to close it."""

    def __init__(self, spawner: FakeSpawner) -> None:
        self._spawner = spawner

    def __aiter__(self) -> _Events:
        return self

    async def __anext__(self) -> Event:
        return await self._spawner.next_event()


def _lost() -> LinkLost:
    return LinkLost("no connection to the spawner: it was killed")


def _channels(name: str, attempt: int) -> tuple[tuple[socket.socket, int, int], LaunchedSlice]:
    """Make a slice's channels; return its ends, and the others as the spawner keeps them."""
    theirs, ours = socket.socketpair()
    theirs.setblocking(False)
    read_out, write_out = os.pipe()
    read_err, write_err = os.pipe()
    for descriptor in (read_out, read_err):
        os.set_blocking(descriptor, False)
    pidfd = os.pidfd_open(os.getpid())  # the one process that there is
    kept = LaunchedSlice(name, attempt, {"isolation": "none"}, ours, read_out, read_err, pidfd)
    return (theirs, write_out, write_err), kept


def _copied(kept: LaunchedSlice) -> LaunchedSlice:
    control = kept.control.dup()
    control.setblocking(False)
    out, err, pidfd = map(os.dup, (kept.stdout, kept.stderr, kept.pidfd))
    return LaunchedSlice(kept.slice, kept.attempt, kept.sealed, control, out, err, pidfd)
