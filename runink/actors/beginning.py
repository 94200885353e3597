"""One launch: what the slice is shown is made and opened, for as long as the spawner is asked."""

from __future__ import annotations

from collections.abc import Sequence

from runink.actors.herd_stores import open_store
from runink.actors.launching import Launch, Launching, Workplace, make_scratch, slice_wanted
from runink.actors.leavings import note
from runink.actors.outputs import Own
from runink.actors.shown import binds_of, make_writable
from runink.sandbox.client import LaunchedSlice, Spawner


async def begin(
    launch: Launch,
    launching: Launching,
    descriptors: Sequence[int],
    workplace: Workplace,
    spawner: Spawner,
    own: Own | None,
) -> LaunchedSlice:
    """Return the slice as it begins. Raises Refused and Unavailable, as the spawner and what is shown have it."""
    if launch.scratch is not None:
        make_scratch(launch.scratch)
    if workplace.is_away:
        note(workplace.run_folder(launch.record.run), launch.record, own)
    open_store(launch.store, launch.shown)
    make_writable(launch.shown)
    is_plain, policy = workplace.is_plain, launching.policy
    with binds_of(launch.shown, is_plain=is_plain) as binds:
        wanted = slice_wanted(launch, descriptors, binds, is_plain=is_plain, policy=policy)
        return await spawner.launch(wanted)
