"""A worker node among the others: its record in the Barn hangs on a lease, which is renewed for as long as the agent lives."""

from __future__ import annotations

from typing import Final

import anyio

from runink.barn.keys import node_key
from runink.clients.barn import BarnClient
from runink.errors import NotFound, Unavailable
from runink.runs.records import NodeRecord

LEASE_S: Final = 30.0  # a node that does not renew for so long has lost its slices
HEARTBEAT_S: Final = 5.0


class Registration:
    """One for a node."""

    def __init__(self, barn: BarnClient, node: NodeRecord) -> None:
        self._barn = barn
        self._node = node
        self._lease = 0

    async def begin(self) -> None:
        """Be a node of the cluster from now on."""
        lease = await self._barn.grant_lease(LEASE_S)
        await self._barn.put(node_key(self._node.node), self._node, lease=lease)
        self._lease = lease  # not before: a lease without the record would be renewed for nothing

    async def keep(self) -> None:
        """Renew, for as long as this task lives. A Barn that takes nothing at the moment is asked again at the next heartbeat."""
        while True:
            await anyio.sleep(HEARTBEAT_S)
            try:
                await self._renew()
            except Unavailable:
                continue

    async def _renew(self) -> None:
        try:
            await self._barn.keep_lease(self._lease)
        except NotFound:  # we were away for longer than it lasts
            await self.begin()
