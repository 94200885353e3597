"""The event loop itself, for the few places where anyio's way to the same end costs several times as much.

    what            under asyncio and uvloop     elsewhere (trio)
    `Bell`          a future of the loop         an anyio.Event for each wait
    `Flag`          a Bell for each that waits   the same
    `now_s`         the loop's time              anyio's
    `poster`        call_soon_threadsafe         run_sync_soon
    `Readiness`     add_reader, once for all     wait_readable, once for all

No loop is imported: anyio says which one runs, and it is asked for what it can do.  A put of one client wakes a dozen tasks on its way
through a member of the Barn, and each wake was made of half a dozen calls.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Generator
from threading import get_ident
from types import coroutine
from typing import Any, Final, Protocol

import anyio
import anyio.lowlevel

READY_MAX: Final = 64  # descriptors that are told of before other tasks have their turn
_COME: Final = select.EPOLLIN | select.EPOLLPRI
_WATCHED: Final = select.EPOLLIN | select.EPOLLET

_seen: dict[int, Any] = {}  # thread -> the loop of asyncio's that ran there last


def asyncio_loop() -> Any:
    """Return the loop that runs here, if it is asyncio's or one like it; else nothing."""
    thread = get_ident()
    loop = _seen.get(thread)
    if loop is not None and loop.is_running():
        return loop
    loop = anyio.lowlevel.current_token().native_token
    if not hasattr(loop, "create_future"):
        return None
    _seen[thread] = loop
    return loop


def now_s() -> float:
    """Return what anyio.current_time returns."""
    loop = asyncio_loop()
    return anyio.current_time() if loop is None else loop.time()


class Post(Protocol):
    """Have a function called in the loop's thread, from any thread. Raises RuntimeError once the loop is over."""

    def __call__(self, function: Callable[..., object], /, *args: Any) -> object: ...


def poster() -> Post:
    """Return what posts to the loop that runs this task."""
    loop = asyncio_loop()
    if loop is not None:
        return loop.call_soon_threadsafe  # type: ignore[no-any-return] # a Post
    token: Any = anyio.lowlevel.current_token().native_token
    return token.run_sync_soon  # type: ignore[no-any-return] # a Post


class Bell:
    """Wakes one task. A ring while nobody waits is kept, and is one however often it rang; `ring` may be called wherever the loop runs."""

    __slots__ = ("_is_rung", "_loop", "_sleeper")

    def __init__(self) -> None:
        self._is_rung = False
        self._loop: Any = None
        self._sleeper: Any = None  # a future, or an anyio.Event

    @property
    def is_awaited(self) -> bool:
        """Say whether a task waits that nothing has woken yet."""
        return self._sleeper is not None

    def ring(self) -> None:
        """Let `wait` return."""
        self._is_rung = True
        sleeper = self._sleeper
        if sleeper is None:
            return
        self._sleeper = None
        if self._loop is None:
            sleeper.set()
        else:
            _wake(sleeper)

    async def wait(self) -> None:
        """Return when it has rung since the last return. One task at a time."""
        assert self._sleeper is None, "a bell wakes one task"
        if self._is_rung:
            await (anyio.lowlevel.checkpoint() if self._loop is None else _others_first())
        else:
            sleeper = self._sleeper = self._make_sleeper()
            try:
                await (sleeper.wait() if self._loop is None else sleeper)
            finally:
                self._sleeper = None
        self._is_rung = False

    async def wait_within(self, seconds: float) -> bool:
        """Wait so long at most, and say whether it has rung."""
        loop = self._loop or asyncio_loop()
        if loop is None or self._is_rung:
            with anyio.move_on_after(seconds):
                await self.wait()
                return True
            return False
        self._loop = loop
        sleeper = self._sleeper = loop.create_future()
        timer = loop.call_later(seconds, _wake, sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleeper = None
        is_rung, self._is_rung = self._is_rung, False
        return is_rung

    def _make_sleeper(self) -> Any:
        if self._loop is None:
            self._loop = asyncio_loop()
        return anyio.Event() if self._loop is None else self._loop.create_future()


class Flag:
    """Set once, for all who wait then or later: an anyio.Event that costs next to nothing until somebody waits."""

    __slots__ = ("_bells", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._bells: tuple[Bell, ...] = ()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Let all `wait` return."""
        self._is_set = True
        for bell in self._bells:
            bell.ring()

    async def wait(self) -> None:
        """Return when it is set."""
        if self._is_set:
            await anyio.lowlevel.checkpoint()
            return
        bell = Bell()
        self._bells = (*self._bells, bell)
        try:
            await bell.wait()
        finally:
            self._bells = tuple(one for one in self._bells if one is not bell)


@coroutine
def _others_first() -> Generator[None, None, None]:
    """Let all that is ready in an asyncio loop run first."""
    yield


def _wake(future: Any) -> None:
    if not future.done():
        future.set_result(None)


Ready = Callable[[bool], object]


class Readiness:
    """Tells of many descriptors, which come and go by the hundred, when they can be read: one epoll of our own, which the loop watches as one descriptor.

    `ready` is called with whether something has come; if not, then it is the end, or an error.  It is not called again before something new comes, so who is called
    reads, then or later, until nothing is left (BlockingIOError).  It may be called for nothing, and is called in no task.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}
        self._bell = Bell()
        self._failure: BaseException | None = None

    def __len__(self) -> int:
        return len(self._ready)

    def watch(self, descriptor: int, ready: Ready) -> None:
        """Tell of a descriptor from now on, also of what has come already. It must be non-blocking, and forgotten before it is closed."""
        self._epoll.register(descriptor, _WATCHED)
        self._ready[descriptor] = ready

    def forget(self, descriptor: int) -> None:
        """Tell of it no more, if it is told of. To close it is not enough: where another process has a copy, the kernel goes on."""
        if self._ready.pop(descriptor, None) is not None and not self._epoll.closed:
            self._epoll.unregister(descriptor)

    async def run(self) -> None:
        """Tell, for as long as this task lives. Raises what was raised by who was called."""
        loop = asyncio_loop()
        if loop is None:
            while True:
                await anyio.wait_readable(self._epoll)
                self._tell()
        number = self._epoll.fileno()
        loop.add_reader(number, self._try_to_tell)
        try:
            await self._bell.wait()
        finally:
            loop.remove_reader(number)
        assert self._failure is not None
        raise self._failure

    def close(self) -> None:
        """Tell of nothing any more. To be called when `run` has ended: the loop watches the epoll's number until then."""
        self._epoll.close()

    def _try_to_tell(self) -> None:
        try:
            self._tell()
        except BaseException as error:  # noqa: BLE001 - the loop would only log it: `run` raises it
            self._failure = error
            self._bell.ring()

    def _tell(self) -> None:
        # Whoever is called may forget others of this turn, and watch new ones with the same numbers: those are called for nothing then.
        for descriptor, events in self._epoll.poll(0, READY_MAX):
            ready = self._ready.get(descriptor)
            if ready is not None:
                ready(bool(events & _COME))
