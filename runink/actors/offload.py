"""Blocking work beside the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio


class Offload(Protocol):
    """Run a blocking function without blocking the event loop, and return what it returns."""

    def __call__(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]: ...


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a worker thread; a cancelled caller waits for its end."""
    return await anyio.to_thread.run_sync(function, *args)
