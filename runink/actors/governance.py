"""Governance: answers what people ask, from what stands in the Barn.

    LineageOf     what a run read, did and wrote: the transaction that ends it writes it
    WhyOf         why slices wait now, or why they are where they are (`reasoning.py`)
    ReplayOf      a decision of the past, made again

The last two are worked out beside the mailbox: of a large cluster they take a while.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, assert_never

from runink.actors.in_hand import InHand
from runink.barn.keys import lineage_key
from runink.clients.barn import BarnClient
from runink.clients.run_requests import GovernanceRequest, LineageOf, ReplayOf, WhyOf
from runink.errors import NotFound
from runink.governance.lineage import Lineage
from runink.runtime.actor import Actor, Context, Later

IN_HAND_MAX: Final = 16  # each holds all of the cluster's tables for as long as it is worked on


class Governance(Actor[GovernanceRequest]):
    """One for a cluster."""

    def __init__(self, barn: BarnClient) -> None:
        self._barn = barn
        self._in_hand = InHand(IN_HAND_MAX, "too much is asked about placement at once")
        self._context: Context[GovernanceRequest]

    async def started(self, context: Context[GovernanceRequest]) -> None:
        self._context = context

    async def receive(self, message: GovernanceRequest) -> Lineage | Later:
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

                return self._beside(partial(why, self._barn, message))
            case ReplayOf(revision):
                from runink.actors.reasoning import replay  # noqa: PLC0415 - as above

                return self._beside(partial(replay, self._barn, revision))
            case _:
                assert_never(message)

    def _beside(self, work: Callable[[], Awaitable[object]]) -> Later:
        return self._in_hand.take(self._context, work)
