"""Blocking work beside the event loop."""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, Protocol

import anyio

from runink.loops import Bell, Post, poster

SWITCH_S: Final = 0.0001


class Offload(Protocol):
    """Run a blocking function without blocking the event loop, and return what it returns."""

    def __call__(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]: ...


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a worker thread; a cancelled caller waits for its end."""
    return await anyio.to_thread.run_sync(function, *args)


class Outcome(NamedTuple):
    """What a call came to: a value, or the error that it raised."""

    value: Any
    error: BaseException | None


Done = Callable[[Outcome], object]


class OneThread:
    """An Offload with one thread of its own, begun by the first call: calls come one after the other, and each costs a fraction of what a pool's does.

    `close` it; its owner does, when nothing is under way any more.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...], Done] | None] = (
            SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run the function; a cancelled caller waits for its end."""
        bell = Bell()
        outcomes: list[Outcome] = []

        def done(outcome: Outcome) -> None:
            outcomes.append(outcome)
            bell.ring()

        self.submit(function, args, done)
        with anyio.CancelScope(shield=True):
            await bell.wait()
        (outcome,) = outcomes
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def submit(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        """Run the function behind those that are there; the loop is told what came of it, in no task of anybody's."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, args=(poster(),), name=self._name, daemon=True
            )
            self._thread.start()
        self._calls.put((function, args, done))

    def close(self) -> None:
        """End the thread behind the calls that are there."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join()
            self._thread = None

    def _run(self, post: Post) -> None:
        while (call := self._calls.get()) is not None:  # ends with `close`
            function, args, done = call
            try:
                outcome = Outcome(function(*args), None)
            except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
                outcome = Outcome(None, error)
            with suppress(RuntimeError):  # the loop is over: nobody waits any more
                post(done, outcome)


def switch_threads_soon() -> None:
    """Let a thread that comes back from the disk wait half a millisecond for the interpreter, not five: what a member answers waits for it."""
    sys.setswitchinterval(SWITCH_S)
