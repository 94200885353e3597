"""When a member writes its state, so that the log before it can go."""

from __future__ import annotations

from typing import Final

import anyio.abc

from runink.actors.member_disk import MemberDisk
from runink.barn.replica import Replica
from runink.errors import Overloaded, Unavailable

RETRY_TICKS: Final = 200  # after a snapshot that found no room


class SnapshotKeeper:
    """The snapshots of one member: one at a time."""

    def __init__(self, disk: MemberDisk, replica: Replica) -> None:
        self._disk = disk
        self._replica = replica
        self._is_running = False
        self._ticks = 0
        self._not_before = 0

    def tick(self) -> None:
        """Let one unit of time pass."""
        self._ticks += 1

    def look(self, group: anyio.abc.TaskGroup) -> None:
        """Begin a snapshot if the log has grown enough."""
        may = not self._is_running and self._ticks >= self._not_before
        if may and self._disk.is_snapshot_due(self._replica.store.applied_index):
            self._is_running = True
            group.start_soon(self._keep)

    async def now(self) -> None:
        """Write the state, and drop the log before it, without waiting for it to grow. Raises Unavailable (`disk_full`, `busy`)."""
        if self._is_running:
            raise Overloaded("a snapshot is being written", hint="try again in a moment")
        self._is_running = True
        try:
            await self._write()
        finally:
            self._is_running = False

    async def _keep(self) -> None:
        try:
            await self._write()
        except Unavailable:
            # The log just stays long; proposals are refused by themselves where there is no room for them.
            self._not_before = self._ticks + RETRY_TICKS
        finally:
            self._is_running = False

    async def _write(self) -> None:
        """Write the state as it is now; the rest goes on meanwhile. Raises Overloaded while a leader's state takes its place: the membership is that one's already."""
        raft = self._replica.node.raft
        if raft.log.has_next_or_in_progress_snapshot():
            raise Overloaded("a leader's snapshot takes effect", hint="try again in a moment")
        conf_state = raft.tracker.membership.conf_state()
        await self._disk.write_snapshot(self._replica.store.image(), conf_state)
