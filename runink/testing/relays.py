"""A relay without a process: it takes what it is to carry, and carries nothing, because slices without processes write no rows.

It keeps the promises of `relay.client` that an agent relies on: a pipe stays the caller's, and what it does not take it refuses with Unavailable.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import anyio.lowlevel

from runink.errors import Unavailable
from runink.relay.protocol import Read, Write


class FakeRelay:
    """See `relay.client.RelayClient`. `refuses` says before each stream whether it takes no more; `taken` are the edges that it took, by name."""

    def __init__(self, refuses: Callable[[], bool]) -> None:
        self.taken: list[str] = []
        self._refuses = refuses

    async def write(self, wanted: Write, pipe: int) -> None:
        await self._take(wanted.edge, pipe)

    async def read(self, wanted: Read, pipe: int) -> None:
        await self._take(wanted.edge, pipe)

    async def _take(self, edge: str, pipe: int) -> None:
        await anyio.lowlevel.checkpoint()
        os.fstat(pipe)  # it is open still: the real one gets a copy of it
        if self._refuses():
            raise Unavailable("the relay could not be started", code="relay_not_started")
        self.taken.append(edge)
