"""A `Readiness` that runs for a block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from runink.loops import Readiness


@asynccontextmanager
async def readiness_running() -> AsyncIterator[Readiness]:
    readiness = Readiness()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(readiness.run)
            yield readiness
            group.cancel_scope.cancel()
    finally:
        readiness.close()
