"""A worker node among the others: its record in the Barn hangs on a lease, which is renewed for as long as the agent lives.

every HEARTBEAT_S      the lease is renewed
every REFRESH_S        the machine is looked at, and the record written again if that is news (`machines.is_news`)
not for PARTED_S       `parted` is called, again and again: before the lease ends for the others, what it stands for has ended here.  A Barn that
                       answers that its disk is full is there, and ends no lease
every SKEW_S           our wall clock is compared with that of the Barn's member that answers: the middle of asking and answer is its moment
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
from msgspec.structs import replace as changed

from runink.actors.node_metrics import NodeMetrics
from runink.barn.keys import node_key
from runink.clients.barn import BarnClient
from runink.errors import NotFound, Unavailable
from runink.machines import LOST_S, is_news
from runink.runs.records import NodeRecord

LEASE_S: Final = (
    LOST_S  # a node that does not renew for so long has lost its slices, where nothing else is said
)
HEARTBEAT_S: Final = 5.0
PARTED: Final = 5 / 6  # of a lease: what is left is what a slice takes to end
PARTED_S: Final = PARTED * LEASE_S
LOOK_S: Final = 1.0
LATE_S: Final = 1.0  # more than a busy machine makes of a second
REFRESH_S: Final = 30.0  # who places slices by pressure needs no fresher one
SKEW_S: Final = 600.0  # a clock that drifts badly loses a second in that time
ROUND_MS_MAX: Final = 1000  # an answer that took longer says nothing about clocks
SKEW_STEP_MS: Final = 100  # what is less is the noise of a busy machine

Look = Callable[[NodeRecord], NodeRecord]


def same(node: NodeRecord) -> NodeRecord:
    """Look at nothing."""
    return node


def parted_s(lease_s: float) -> float:
    """Return after how long without the Barn a node with such a lease ends what it runs."""
    return PARTED * lease_s


class Registration:
    """One for a node. `look` returns its record with the machine as it is now."""

    def __init__(
        self,
        barn: BarnClient,
        node: NodeRecord,
        *,
        metrics: NodeMetrics,
        now_ms: Callable[[], int],
        look: Look = same,
        parted: Callable[[], object] = lambda: None,
    ) -> None:
        self._barn = barn
        self._node = node
        self._metrics = metrics
        self._now_ms = now_ms
        self._look = look
        self._parted = parted
        self.returned: Callable[[], object] = lambda: (
            None
        )  # called when the node was lost, and is back
        self._heard_s = 0.0
        self._lease = 0
        self._looked_s = 0.0
        self._compared_s = 0.0

    @property
    def node(self) -> NodeRecord:
        """Return the record as it was told last."""
        return self._node

    @property
    def is_parted(self) -> bool:
        """Say whether the Barn was not heard of for so long that nothing may run here any more, also by a former life of the agent."""
        return self._metrics.parted_s >= parted_s(self._node.lost_s)

    async def begin(self) -> None:
        """Be a node of the cluster from now on."""
        self._node = self._look(await self._compared(self._node))
        lease = await self._barn.grant_lease(self._node.lost_s)
        await self._tell(self._node, lease)
        self._lease = lease  # not before: a lease without the record would be renewed for nothing

    async def keep(self) -> None:
        """Renew, for as long as this task lives. A Barn that takes nothing at the moment is asked again at the next heartbeat."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            while True:
                await anyio.sleep(min(HEARTBEAT_S, self._node.lost_s / 6))
                try:
                    await self._renew()
                except Unavailable as error:
                    self._metrics.missed()
                    if error.code == "disk_full":
                        self._heard_s = anyio.current_time()

    async def _watch(self) -> None:
        """Look when the Barn was heard of last: beside the heartbeats, which may wait for an answer.

        If we come late, it was we who stood still, and could not ask: that time is given back.
        """
        looked_s = anyio.current_time()
        while True:
            await anyio.sleep(LOOK_S)
            now_s = anyio.current_time()
            late_s, looked_s = now_s - looked_s - LOOK_S, now_s
            if late_s > LATE_S:
                self._heard_s += late_s
            if now_s - self._heard_s >= parted_s(self._node.lost_s):
                self._parted()

    async def _renew(self) -> None:
        asked_s = anyio.current_time()  # the lease may have begun anew as early as that
        try:
            await self._barn.keep_lease(self._lease)
            self._heard_s = asked_s
            self._metrics.renewed()
            await self._refresh()
        except NotFound:  # we were away for longer than it lasts
            await self.begin()
            self.returned()

    async def _refresh(self) -> None:
        """Write the record again if there is news. Raises NotFound if the lease has ended."""
        now_s = anyio.current_time()
        if now_s - self._looked_s < REFRESH_S:
            return
        node = self._node
        if now_s - self._compared_s >= SKEW_S:
            node = await self._compared(node)
        node = self._look(node)
        self._looked_s = now_s
        if _has_news(self._node, node):
            await self._tell(node, self._lease)

    async def _tell(self, node: NodeRecord, lease: int) -> None:
        told = changed(node, told_ms=self._now_ms())
        await self._barn.put(node_key(node.node), told, lease=lease)
        self._node = told
        self._looked_s = self._heard_s = anyio.current_time()
        self._metrics.told(told)

    async def _compared(self, node: NodeRecord) -> NodeRecord:
        """Return the record with the skew of our clock; as it was, where the Barn does not say its time or takes too long to."""
        asked_ms = self._now_ms()
        theirs_ms = (await self._barn.status()).now_ms
        answered_ms = self._now_ms()
        self._compared_s = anyio.current_time()
        if not theirs_ms or not 0 <= answered_ms - asked_ms <= ROUND_MS_MAX:
            return node
        return changed(node, clock_skew_ms=(asked_ms + answered_ms) // 2 - theirs_ms)


def _has_news(before: NodeRecord, now: NodeRecord) -> bool:
    if abs(now.clock_skew_ms - before.clock_skew_ms) >= SKEW_STEP_MS:
        return True
    if before.machine is None or now.machine is None:
        return before.machine is not now.machine
    return is_news(before.machine, now.machine)
