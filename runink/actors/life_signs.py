"""An agent says that it lives, each second, to whoever acts for the cluster; and that it leaves, if it ends in order. Its lease is another matter: that is renewed by writes."""

from __future__ import annotations

from typing import Final

import anyio

from runink.actors.slice_meters import SliceMeters
from runink.clients.run_requests import DeskRequest, NodeLives
from runink.errors import Unavailable
from runink.runs.records import NodeRecord
from runink.runtime.ref import Ref

BEAT_S: Final = 1.0  # several are lost before a node is suspect


class LifeSigns:
    """One for a life of an agent. `meters` count the launches that failed."""

    def __init__(self, desk: Ref[DeskRequest], node: NodeRecord, meters: SliceMeters) -> None:
        self._desk = desk
        self._node = node
        self._meters = meters
        self._before = meters.unborn  # a former life has told them

    async def keep(self) -> None:
        """Say it for as long as this task lives; then that the agent leaves, where anybody is left to hear it."""
        try:
            while True:
                self._tell(is_leaving=False)
                await anyio.sleep(BEAT_S)
        finally:
            if self._node.incarnation:
                self._tell(is_leaving=True)

    def _tell(self, *, is_leaving: bool) -> None:
        unborn = self._meters.unborn - self._before
        node = self._node
        try:
            self._desk.tell_nowait(NodeLives(node.node, node.incarnation, unborn, is_leaving))
        except Unavailable:
            return  # the next one says it
