"""The event loop itself, for the few places where anyio's way to the same end costs several times as much.

    what            under asyncio and uvloop     elsewhere (trio)
    `Bell`          a future of the loop         an anyio.Event for each wait
    `poster`        call_soon_threadsafe         run_sync_soon

No loop is imported: anyio says which one runs, and it is asked for what it can do.  A put of one client wakes a dozen tasks on its way
through a member of the Barn, and each wake was made of half a dozen calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import anyio
import anyio.lowlevel


def running_loop() -> Any:
    """Return the loop that runs this task: asyncio's, or what trio has in its place."""
    return anyio.lowlevel.current_token().native_token


class Post(Protocol):
    """Have a function called in the loop's thread, from any thread. Raises RuntimeError once the loop is over."""

    def __call__(self, function: Callable[..., object], /, *args: Any) -> object: ...


def poster() -> Post:
    """Return what posts to the loop that runs this task."""
    loop = running_loop()
    post: Post = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
    return post


class Bell:
    """Wakes one task. A ring while nobody waits is kept, and is one however often it rang; `ring` may be called wherever the loop runs."""

    __slots__ = ("_is_rung", "_make", "_sleeper", "_wake")

    def __init__(self) -> None:
        self._is_rung = False
        self._sleeper: Any = None
        self._make: Callable[[], Any] | None = None  # known from the first wait on
        self._wake: Callable[[Any], object] = _set_event

    @property
    def is_awaited(self) -> bool:
        """Say whether a task waits that nothing has woken yet."""
        return self._sleeper is not None

    def ring(self) -> None:
        """Let `wait` return."""
        self._is_rung = True
        sleeper = self._sleeper
        if sleeper is not None:
            self._sleeper = None
            self._wake(sleeper)

    async def wait(self) -> None:
        """Return when it has rung since the last return. One task at a time."""
        assert self._sleeper is None, "a bell wakes one task"
        if self._is_rung:
            await anyio.lowlevel.checkpoint()
        else:
            if self._make is None:
                self._choose()
                assert self._make is not None
            sleeper = self._sleeper = self._make()
            try:
                await (sleeper if self._wake is _set_future else sleeper.wait())
            finally:
                self._sleeper = None
        self._is_rung = False

    def _choose(self) -> None:
        self._make = getattr(running_loop(), "create_future", None)
        if self._make is None:
            self._make = anyio.Event
        else:
            self._wake = _set_future


def _set_future(future: Any) -> None:
    if not future.done():
        future.set_result(None)


def _set_event(event: Any) -> None:
    event.set()
