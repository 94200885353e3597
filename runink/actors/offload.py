"""Blocking work beside the event loop."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol

import anyio
import anyio.from_thread
import anyio.lowlevel


class Offload(Protocol):
    """Run a blocking function without blocking the event loop, and return what it returns."""

    def __call__(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]: ...


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a worker thread; a cancelled caller waits for its end."""
    return await anyio.to_thread.run_sync(function, *args)


class _Call:
    """A function that waits for the thread, and what came of it."""

    __slots__ = ("args", "done", "error", "function", "token", "value")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.token = anyio.lowlevel.current_token()
        self.done = anyio.Event()
        self.value: Any = None
        self.error: BaseException | None = None


class OneThread:
    """An Offload with one thread of its own, begun by the first call: calls come one after the other, and each costs half of what a pool's does.

    `close` it; its owner does, when nothing is under way any more.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run the function; a cancelled caller waits for its end."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        call = _Call(function, args)
        self._calls.put(call)
        with anyio.CancelScope(shield=True):
            await call.done.wait()
        if call.error is not None:
            raise call.error
        return call.value

    def close(self) -> None:
        """End the thread behind the calls that are there."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:  # ends with `close`
            try:
                call.value = call.function(*call.args)
            except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
                call.error = error
            with suppress(anyio.RunFinishedError):  # nobody waits any more
                anyio.from_thread.run_sync(call.done.set, token=call.token)
