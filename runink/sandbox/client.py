"""The agent's side of the sandbox: a spawner to launch slices with, and the stream of what happens to them.  How one is started or found: `starting.py`.

    async with running_spawner(place, entry="package.module:function", agent="node-1") as spawner:
        launched = await spawner.launch(SliceWanted("herd/run/slice/1", 1, "herd", b"...", "/"))
        async for event in spawner.events(): ...

Rules
- The descriptors of a `LaunchedSlice` are the caller's, to close; those given to `launch` stay the caller's.
- A launch whose caller is cancelled or out of patience leaves nothing: a slice that starts all the same is killed and forgotten.
- `events` may be iterated late, by one task at a time; nothing is lost before.  An end is told as it happens, and once more by each
  `list`, so that a consumer that starts anew misses none: what is known already is an echo.
- A slice begins in a cell that waits at its place where there is one (`places.py`): the spawner is told, the cell gets its assignment from us.  One that could not be given
  it is started the long way; one that was given it never is a second time.
- When the spawner is gone, what is asked raises LinkLost, and so do the events when all that came has been read.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from runink import errors
from runink.capabilities import Told
from runink.errors import LinkLost, RuninkError, TimedOut, Unavailable
from runink.loops import Bell
from runink.sandbox.codec import BadMessage, encode
from runink.sandbox.inner_protocol import Assign
from runink.sandbox.job_memory import JobMemory
from runink.sandbox.kernel import peer_ids, pid_of
from runink.sandbox.link import Event, LaunchedSlice, SpawnerLink
from runink.sandbox.places import Places, WaitingCell
from runink.sandbox.protocol import (
    DATA_DESCRIPTORS_MAX,
    VERSION,
    Exited,
    ForkServerLost,
    ForkServerReady,
    Hello,
    Hold,
    Kill,
    List,
    Preload,
    Release,
    Shutdown,
    Signal,
    Take,
)
from runink.sandbox.wanted import SCRATCH_BYTES, Bind, SliceWanted

__all__ = [
    "SCRATCH_BYTES",
    "Bind",
    "Event",
    "Exited",
    "ForkServerLost",
    "ForkServerReady",
    "LaunchedSlice",
    "SliceWanted",
    "Spawner",
    "spawner_over",
]

ANSWER_S: Final = 10.0  # the spawner never blocks, so only a busy machine delays it
WELCOME_S: Final = 30.0  # one that has just been started first tries what its machine can: a whole launch, where that is bubblewrap's
LAUNCH_S: Final = 40.0  # it refuses by itself after 30 s
# Asked for at a time: more than it works on at once. Those behind them wait here, where their time does not run yet: a slow machine takes minutes for a gang of hundreds.
LAUNCHES_MAX: Final = 32
PRELOAD_S: Final = 120.0  # large libraries from a cold disk, one after the other
SHUTDOWN_S: Final = 25.0  # the spawner gives itself 20 s with processes that do not die
EVENTS_MAX: Final = 16_384  # four for every slice there can be; then the spawner has to wait


class Spawner:
    """The spawner, as its one agent sees it. `pidfd` is its process, ours while we are connected; `has_parted` says whether it was us who ended the connection;
    `found` is what it has found out about its machine, `user` the number of the user that it is.
    """

    def __init__(self, link: socket.socket, group: TaskGroup) -> None:
        self.pidfd = -1
        self.has_parted = False
        self.found = Told({}, {})
        self.user, _ = peer_ids(link)
        self._group = group
        self._places = Places()
        self._memory = JobMemory()
        self._herds: dict[str, tuple[int, int, str]] = {}  # what they are held to
        self._link = SpawnerLink(
            link,
            happened=self._on_event,
            unwanted=self._give_up,
            offered=self._places.offer,
            withdrawn=self._places.withdraw,
        )
        self._turns = anyio.Semaphore(LAUNCHES_MAX)
        self._given_up: set[str] = set()  # slices whose end is nobody's business
        self._is_ending = False  # because we have asked for it
        self._reading = anyio.CancelScope(shield=True)
        self._events: deque[Event] = deque()
        self._happened = Bell()  # something has, or nothing will any more
        self._heard = Bell()  # there is room again
        self._is_over = False

    async def launch(self, wanted: SliceWanted) -> LaunchedSlice:
        """Start a slice.

        Raises Refused (`descriptor_count`, `invalid_message`, `slice_not_prepared`, `no_entry`), Conflict (`slice_exists`), Overloaded,
        Unavailable (`fork_server_lost`: try again), TimedOut, LinkLost.
        """
        pipes, binds = wanted.descriptors, wanted.binds
        if len(pipes) > DATA_DESCRIPTORS_MAX:
            text = f"slice {wanted.name}: {len(pipes)} pipes, at most {DATA_DESCRIPTORS_MAX}"
            raise errors.Refused(text, code="descriptor_count", hint="join some of them")
        place = self._places.number_of(wanted.place())
        with self._memory.holding(wanted.job) as memory:
            cell = self._places.take(place)
            if cell is not None and await self._begin_in(cell, wanted, memory):
                return _slice_in(cell, wanted)
            async with self._turns:
                self._herds[wanted.herd] = wanted.of_herd
                asked = await self._link.ask(
                    wanted.message(place),
                    descriptors=[memory, *pipes, *(bind.descriptor for bind in binds)],
                    within=LAUNCH_S,
                )
        assert isinstance(asked.answer, LaunchedSlice)
        return asked.answer

    async def _begin_in(self, cell: WaitingCell, wanted: SliceWanted, memory: int) -> bool:
        """Begin the slice in a cell that waits. False if that is gone, and has not begun it."""
        is_assigned = False
        try:
            body = _assignment(wanted)
            if await self._is_held(cell, wanted):
                with suppress(OSError):  # it was withdrawn, or has ended
                    socket.send_fds(cell.seat, [body], [*wanted.descriptors, memory])
                    is_assigned = True
                    # Linux expects that who writes to a socket waits next, so the worker may stand behind us on our processor.
                    os.sched_yield()
                cell.seat.close()
            if is_assigned:
                take = Take(wanted.name, wanted.attempt, cell.number, wanted.wall_time_s)
                await self._link.ask(take, within=LAUNCH_S)
        except BaseException as problem:
            cell.close()
            if is_assigned and not isinstance(problem, errors.Refused):
                self._give_up(wanted.name)
            raise
        if not is_assigned:
            cell.close()
        return is_assigned

    async def _is_held(self, cell: WaitingCell, wanted: SliceWanted) -> bool:
        """Have the cell and its herd held to the limits of this launch. False if that cannot be."""
        before = self._herds.get(wanted.herd)
        if before is None or before[2] != wanted.of_herd[2]:
            return False  # the network of the herd is to be made anew first
        if before == wanted.of_herd and cell.held == wanted.held:
            return True
        cpu_m, memory_bytes, _ = self._herds[wanted.herd] = wanted.of_herd
        hold = Hold(cell.number, *wanted.held, cpu_m, memory_bytes)
        return await self._try(hold, besides=("no_cell", "limits_unavailable"))

    async def signal(self, name: str, number: int) -> bool:
        """Send a signal to a slice's first process. False if it does not run (any more)."""
        return await self._try(Signal(name, number), besides=("no_slice", "slice_not_running"))

    async def kill(self, name: str) -> bool:
        """End a slice with all that it has started; its `Exited` follows. False if there is no such slice."""
        return await self._try(Kill(name), besides=("no_slice",))

    async def release(self, name: str) -> bool:
        """Have the spawner forget a slice as soon as it has ended. False if there is no such slice."""
        return await self._try(Release(name), besides=("no_slice",))

    async def list(self) -> list[LaunchedSlice]:
        """Return every slice that was not released. The end of one that has ended is told as an event."""
        return (await self._link.ask(List(), within=ANSWER_S)).listed

    async def preload(self, modules: Sequence[str]) -> None:
        """Have the fork server import modules, now and after each restart. What cannot be imported is told by `ForkServerReady`.

        Raises Refused (`not_preloadable`, `too_many_modules`).
        """
        await self._link.ask(Preload([*modules]), within=PRELOAD_S)

    def events(self) -> AsyncIterator[Event]:
        """Return what happens. It ends after `shutdown` or `close`, and raises LinkLost if the spawner is gone unasked."""
        return _Events(self)

    async def next_event(self) -> Event:
        """Wait for the next event. Raises EndOfStream after `shutdown` or `close`, else LinkLost."""
        while not self._events:
            if self._is_over and self._is_ending:
                raise anyio.EndOfStream
            if self._is_over:
                raise self._link.lost()
            await self._happened.wait()
        self._heard.ring()
        return self._events.popleft()

    @property
    def has_ended(self) -> bool:
        """Whether there is no connection any more."""
        return self._link.ended.is_set()

    async def wait_ended(self) -> None:
        """Wait until the connection has ended, for whatever reason."""
        await self._link.ended.wait()

    async def shutdown(self, *, within: float = SHUTDOWN_S) -> None:
        """End all slices and the spawner; return when no process of them is left. Raises TimedOut."""
        self._is_ending = True
        with suppress(LinkLost):
            await self._link.ask(Shutdown(), within=ANSWER_S)
        try:
            with anyio.fail_after(within):
                await self._link.ended.wait()
        except TimeoutError:
            text = f"the spawner (process {self.pid}) has not ended within {within:.0f} s"
            raise TimedOut(text) from None

    async def aclose(self) -> None:
        """Part from the spawner. It keeps the slices as long as it waits for an agent."""
        self.close()
        await anyio.lowlevel.checkpoint()

    def close(self) -> None:
        """Do what `aclose` does, where nothing can be awaited."""
        self._is_ending = True
        self.has_parted = not self.has_ended
        self._link.end("closed by us")
        self._places.close()
        self._memory.close()
        self._reading.cancel()
        self._events.clear()
        self._end_events()

    def forget_process(self) -> None:
        """Close what we hold of the spawner's process."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    async def introduce(self, agent: str) -> None:
        """Begin to read and become the spawner's agent. Raises Refused (`version`), Unavailable (`spawner_ending`), LinkLost, TimedOut."""
        self._group.start_soon(self._read)
        asked = await self._link.ask(Hello(VERSION, agent), within=WELCOME_S)
        welcome, self.pidfd = asked.answer
        self.found = Told(welcome.there, welcome.missing)

    @property
    def pid(self) -> int:
        """Its process's number, as this process sees it. -1 if it has ended."""
        return pid_of(self.pidfd)

    async def _read(self) -> None:
        # An agent that is cancelled still hears the answers to what it does about its slices; `close` ends this.
        with self._reading:
            await self._link.read()
        self._link.end("nobody reads any more")
        self._end_events()

    async def _try(self, message: Any, *, besides: Sequence[str]) -> bool:
        """Ask. False if it was refused with one of these codes."""
        try:
            await self._link.ask(message, within=ANSWER_S)
        except (errors.Refused, Unavailable) as refused:
            if refused.code not in besides:
                raise
            return False
        return True

    async def _on_event(self, event: Event) -> None:
        if isinstance(event, Exited) and event.slice in self._given_up:
            self._given_up.discard(event.slice)
            return
        while len(self._events) >= EVENTS_MAX and not self._is_over:
            await self._heard.wait()
        if not self._is_over:  # else we have parted
            self._events.append(event)
            self._happened.ring()

    def _end_events(self) -> None:
        """Let who waits for events, or for room for them, know that no more are told."""
        self._is_over = True
        self._happened.ring()
        self._heard.ring()

    def _give_up(self, name: str) -> None:
        """End a slice whose launch nobody waits for any more."""
        self._given_up.add(name)
        self._group.start_soon(self._end_given_up, name)

    async def _end_given_up(self, name: str) -> None:
        with suppress(RuninkError):  # if the spawner is gone, so is the slice
            if not await self.kill(name):
                self._given_up.discard(name)
            await self.release(name)


class _Events:
    """Not an async generator: who leaves one unfinished has to close it."""

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner

    def __aiter__(self) -> _Events:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._spawner.next_event()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


@asynccontextmanager
async def spawner_over(link: socket.socket, *, agent: str) -> AsyncIterator[Spawner]:
    """Be the agent of the spawner at the other end of this non-blocking socket. It is closed in the end, and nobody is ended.

    Raises Refused (`version`), Unavailable (`spawner_ending`), LinkLost, TimedOut, all before anything else.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        spawner = Spawner(link, group)
        try:
            await spawner.introduce(agent)
            yield spawner
        except Exception as error:  # noqa: BLE001 - raised below as it is, not in the group's wrapping
            failure = error
        finally:
            spawner.close()
            group.cancel_scope.cancel()  # of slices that are being given up
            spawner.forget_process()
    if failure is not None:
        raise failure


def _assignment(wanted: SliceWanted) -> bytes:
    """Return the packet that gives a slice to a cell. Raises Refused (`too_big`, `invalid_message`)."""
    if not wanted.environment:
        return b""
    message = Assign(dict(wanted.environment))
    try:
        return encode("assign", message, descriptors=len(wanted.descriptors) + 1)
    except BadMessage as problem:
        raise errors.Refused(problem.text, code=problem.code) from problem


def _slice_in(cell: WaitingCell, wanted: SliceWanted) -> LaunchedSlice:
    """Return the slice that has begun in a cell; what the cell had is its own."""
    name, attempt = wanted.name, wanted.attempt
    channels = (cell.control, cell.stdout, cell.stderr, cell.pidfd)
    return LaunchedSlice(name, attempt, cell.sealed, *channels, cell.counted_before)
