"""Who signs tokens and asks providers, where that is another node: a member's door to it, and what fetches providers' keys through it.

    what is asked                      while no such node is connected
    tokens, revocations, keys          Unavailable (`identity_away`)
    keys of people's providers         those that were fetched serve until they are stale (`identity/key_cache.py`), and no others

What is decided stands in the Barn, which each member follows by itself: who may what, which tokens are taken back, by which keys ours are checked.  So a member that has lost the node lets in whom it knew, and
gives nobody anything new.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import anyio

from runink.actors.in_hand import InHand
from runink.clients.identity_requests import Fetch, IdentityRequest
from runink.errors import LinkLost, Unavailable
from runink.identity.providers import Provider
from runink.outgoing.http_messages import Answer, Request
from runink.runtime.actor import Actor, Context, Later
from runink.runtime.actor import Request as Asked
from runink.runtime.ref import Ref

IN_HAND_MAX: Final = 64
WITHIN_S: Final = 30.0  # what is asked there, at most
MORE_S: Final = 2.0  # for the way there and back, beyond what a fetch may take


class IdentityElsewhere(Actor[IdentityRequest]):
    """One for a member. `nodes` are where it is asked, in this order: the next one where one is not connected."""

    def __init__(self, nodes: Sequence[Ref[IdentityRequest]]) -> None:
        assert nodes
        self._nodes = nodes
        self._in_hand = InHand(IN_HAND_MAX, "too much is asked of who signs tokens at once")
        self._context: Context[IdentityRequest]

    async def started(self, context: Context[IdentityRequest]) -> None:
        self._context = context

    async def receive(self, message: IdentityRequest) -> Later:
        return self._in_hand.take(self._context, partial(self._answer, message))

    async def _answer(self, request: Asked[Any]) -> Any:
        until_s = anyio.current_time() + WITHIN_S
        for node in self._nodes:
            try:
                return await node.ask(request, within=until_s - anyio.current_time())
            except LinkLost:
                continue  # it was not sent: what may have arrived is told as such
        raise Unavailable(
            "who signs tokens for this cluster is not connected",
            code="identity_away",
            hint="is runi identity running, and does it reach this member? who is known is let in meanwhile",
        )


class FetchedThere:
    """Asks a provider by the node that signs tokens, which has the settings of it as well."""

    def __init__(self, provider: Provider, identity: Ref[IdentityRequest]) -> None:
        self._issuer = provider.issuer
        self._identity = identity

    async def ask(self, request: Request, *, within_s: float) -> Answer:
        """Return what stands there. Raises Unavailable (`identity_away`), and what that node raises."""
        assert request.method == "GET", "nothing but keys is asked for here"
        message = Fetch(self._issuer, request.url, within_s)
        found = await self._identity.ask(message, within=within_s + MORE_S)
        return Answer(found.status, found.body, found.content_type)
