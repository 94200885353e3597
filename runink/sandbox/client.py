"""The agent's side of the sandbox: a spawner to launch slices with, and the stream of what happens to them.  How one is started or found: `starting.py`.

    async with running_spawner(place, entry="package.module:function", agent="node-1") as spawner:
        launched = await spawner.launch(SliceWanted("herd/run/slice/1", 1, "herd", b"...", "/"))
        async for event in spawner.events(): ...

Rules
- The descriptors of a `LaunchedSlice` are the caller's, to close; those given to `launch` stay the caller's.
- A launch whose caller is cancelled or out of patience leaves nothing: a slice that starts all the same is killed and forgotten.
- `events` may be iterated late, by one task at a time; nothing is lost before.  An end is told as it happens, and once more by each
  `list`, so that a consumer that starts anew misses none: what is known already is an echo.
- When the spawner is gone, what is asked raises LinkLost, and so do the events when all that came has been read.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from runink import errors
from runink.errors import LinkLost, Overloaded, RuninkError, TimedOut
from runink.sandbox.kernel import pid_of, sealed
from runink.sandbox.link import Event, LaunchedSlice, SpawnerLink
from runink.sandbox.protocol import (
    DATA_DESCRIPTORS_MAX,
    NO_NETWORK,
    READ_ONLY,
    READ_WRITE,
    VERSION,
    Exited,
    ForkServerLost,
    ForkServerReady,
    Hello,
    Kill,
    Launch,
    List,
    Preload,
    Release,
    Shutdown,
    Signal,
)

__all__ = [
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
LAUNCH_S: Final = 40.0  # it refuses by itself after 30 s
PRELOAD_S: Final = 120.0  # large libraries from a cold disk, one after the other
SHUTDOWN_S: Final = 25.0  # the spawner gives itself 20 s with processes that do not die
SCRATCH_BYTES: Final = 64 << 20  # of a slice's memory file systems, where nobody says otherwise
EVENTS_MAX: Final = 16_384  # four for every slice there can be; then the spawner has to wait


class Bind(NamedTuple):
    """A folder or file of the machine that a slice is shown at its own path; `descriptor` (O_PATH) says which one is meant."""

    path: str
    descriptor: int
    is_writable: bool


@dataclass(frozen=True, slots=True)
class SliceWanted:
    """A slice to be started. `descriptors` become its 4, 5, ... Limits that are 0 are none.

    `binds` are what it is shown of the machine beside programs and libraries. `without` names what of the isolation may be missing.
    """

    name: str
    attempt: int
    herd: str
    job: bytes
    cwd: str
    descriptors: Sequence[int] = ()
    binds: Sequence[Bind] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    wall_time_s: float = 0.0
    cpu_m: int = 0
    memory_bytes: int = 0
    processes: int = 0
    scratch_bytes: int = SCRATCH_BYTES
    network: str = NO_NETWORK
    network_policy: str = ""
    without: Sequence[str] = ()
    cpu_weight: int = 0
    herd_cpu_m: int = 0
    herd_memory_bytes: int = 0

    def message(self) -> Launch:
        modes = {False: READ_ONLY, True: READ_WRITE}
        return Launch(
            slice=self.name,
            attempt=self.attempt,
            herd=self.herd,
            cwd=self.cwd,
            environment=dict(self.environment),
            wall_time_s=self.wall_time_s,
            pipes=len(self.descriptors),
            binds=[[bind.path, modes[bind.is_writable]] for bind in self.binds],
            cpu_m=self.cpu_m,
            memory_bytes=self.memory_bytes,
            processes=self.processes,
            scratch_bytes=self.scratch_bytes,
            network=self.network,
            network_policy=self.network_policy,
            without=list(self.without),
            cpu_weight=self.cpu_weight,
            herd_cpu_m=self.herd_cpu_m,
            herd_memory_bytes=self.herd_memory_bytes,
        )


class Spawner:
    """The spawner, as its one agent sees it. `pidfd` is its process, ours while we are connected; `has_parted` says whether it was us who ended the connection."""

    def __init__(self, link: socket.socket, group: TaskGroup) -> None:
        self.pidfd = -1
        self.has_parted = False
        self._group = group
        self._link = SpawnerLink(link, happened=self._on_event, unwanted=self._give_up)
        self._given_up: set[str] = set()  # slices whose end is nobody's business
        self._is_ending = False  # because we have asked for it
        self._reading = anyio.CancelScope(shield=True)
        self._happened, self._happening = anyio.create_memory_object_stream[Event](EVENTS_MAX)

    async def launch(self, wanted: SliceWanted) -> LaunchedSlice:
        """Start a slice.

        Raises Refused (`descriptor_count`, `invalid_message`, `slice_not_prepared`, `no_entry`), Conflict (`slice_exists`), Overloaded,
        Unavailable (`fork_server_lost`: try again), TimedOut, LinkLost.
        """
        pipes, binds = wanted.descriptors, wanted.binds
        if len(pipes) > DATA_DESCRIPTORS_MAX:
            text = f"slice {wanted.name}: {len(pipes)} pipes, at most {DATA_DESCRIPTORS_MAX}"
            raise errors.Refused(text, code="descriptor_count", hint="join some of them")
        with _in_sealed_memory(wanted.job) as memory:
            asked = await self._link.ask(
                wanted.message(),
                descriptors=[memory, *pipes, *(bind.descriptor for bind in binds)],
                within=LAUNCH_S,
            )
        assert isinstance(asked.answer, LaunchedSlice)
        return asked.answer

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
        try:
            return await self._happening.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            if self._is_ending:
                raise anyio.EndOfStream from None
            raise self._link.lost() from None

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
        self._reading.cancel()
        self._happened.close()
        self._happening.close()

    def forget_process(self) -> None:
        """Close what we hold of the spawner's process."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    async def introduce(self, agent: str) -> None:
        """Begin to read and become the spawner's agent. Raises Refused (`version`), Unavailable (`spawner_ending`), LinkLost, TimedOut."""
        self._group.start_soon(self._read)
        asked = await self._link.ask(Hello(VERSION, agent), within=ANSWER_S)
        assert isinstance(asked.answer, int)
        self.pidfd = asked.answer

    @property
    def pid(self) -> int:
        """Its process's number, as this process sees it. -1 if it has ended."""
        return pid_of(self.pidfd)

    async def _read(self) -> None:
        # An agent that is cancelled still hears the answers to what it does about its slices; `close` ends this.
        with self._reading:
            await self._link.read()
        self._link.end("nobody reads any more")
        self._happened.close()

    async def _try(self, message: Any, *, besides: Sequence[str]) -> bool:
        """Ask. False if it was refused with one of these codes."""
        try:
            await self._link.ask(message, within=ANSWER_S)
        except errors.Refused as refused:
            if refused.code not in besides:
                raise
            return False
        return True

    async def _on_event(self, event: Event) -> None:
        if isinstance(event, Exited) and event.slice in self._given_up:
            self._given_up.discard(event.slice)
            return
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # we have parted
            await self._happened.send(event)

    def _give_up(self, name: str) -> None:
        """End a slice whose launch nobody waits for any more."""
        self._given_up.add(name)
        self._group.start_soon(self._end_given_up, name)

    async def _end_given_up(self, name: str) -> None:
        with suppress(RuninkError):  # if the spawner is gone, so is the slice
            await self.kill(name)
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


@contextmanager
def _in_sealed_memory(job: bytes) -> Iterator[int]:
    try:
        memory = sealed(job)
    except OSError as error:
        text = f"there is no memory to hand over a job of {len(job):,} bytes: {error.strerror}"
        raise Overloaded(text, code="no_descriptors") from error
    try:
        yield memory
    finally:
        os.close(memory)
