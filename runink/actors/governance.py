"""Governance: answers what people ask about runs that are over. Its facts are in the Barn; the transaction that ends a run writes them."""

from __future__ import annotations

from runink.barn.keys import lineage_key
from runink.clients.barn import BarnClient
from runink.clients.run_requests import GovernanceRequest, LineageOf
from runink.errors import NotFound
from runink.governance.lineage import Lineage
from runink.runtime.actor import Actor


class Governance(Actor[GovernanceRequest]):
    """One for a cluster."""

    def __init__(self, barn: BarnClient) -> None:
        self._barn = barn

    async def receive(self, message: GovernanceRequest) -> Lineage:
        match message:
            case LineageOf(herd, run):
                found = await self._barn.get(lineage_key(herd, run), Lineage)
                if found is None:
                    raise NotFound(
                        f"run {run} has no lineage",
                        code="no_lineage",
                        hint="it is written when a run ends: runi runs says whether it has",
                    )
                return found.value
