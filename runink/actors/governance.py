"""Governance: answers what people ask, from what stands in the Barn.

LineageOf     what a run read, did and wrote: the transaction that ends it writes it
WhyOf         why slices wait now, or why they are where they are (`reasoning.py`)
ReplayOf      a decision of the past, made again
"""

from __future__ import annotations

from typing import assert_never

from runink.barn.keys import lineage_key
from runink.clients.barn import BarnClient
from runink.clients.run_requests import GovernanceRequest, LineageOf, ReplayOf, WhyOf
from runink.errors import NotFound
from runink.governance.lineage import Lineage
from runink.runtime.actor import Actor
from runink.scheduling.answers import Replayed, WhyAnswer


class Governance(Actor[GovernanceRequest]):
    """One for a cluster."""

    def __init__(self, barn: BarnClient) -> None:
        self._barn = barn

    async def receive(self, message: GovernanceRequest) -> Lineage | WhyAnswer | Replayed:
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
            case WhyOf():
                from runink.actors.reasoning import why  # noqa: PLC0415 - placement, which a start does without

                return await why(self._barn, message)
            case ReplayOf(revision):
                from runink.actors.reasoning import replay  # noqa: PLC0415 - as above

                return await replay(self._barn, revision)
            case _:
                assert_never(message)
