"""What a slice that has ended leaves without being wanted by anybody, on its node's own disk and in its herd's store."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import anyio

from runink.actors.herd_stores import drop_emptied, stored_in
from runink.runs.records import SliceRecord, Task


async def drop_scratch(folder: str) -> None:
    """Take a slice's folder away, in a thread, if it had one: most have none."""
    if os.path.exists(folder):  # noqa: ASYNC240, PTH110 - one look at a folder that was written lately; each slice has it done
        await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))


async def drop_stored(record: SliceRecord, state: Path) -> None:
    """Take away the folders in a store that the end of a run has emptied: before that is told, because the cluster may end with its run."""
    if record.task is Task.DISCARD and (stored := stored_in(record.shown, state)):
        await anyio.to_thread.run_sync(drop_emptied, stored)
