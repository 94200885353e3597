"""Tokens of slices, as their agent gets them: when a slice asks, from the cluster's identity, and from nobody else.

    a slice asks                    its agent asks for a token of that attempt, which it knows by the link that the slice asks over: the slice says nothing of who it is
    asks again before it is half    has the same
    asks again while one is made    has that
    asks for another one            has it, if what there is was made ANEW_S ago: the cluster's key may have been taken back since
    asks after a refusal            has the same refusal for AGAIN_S

So a slice that asks without end has the cluster do no more than one that asks rightly.  What it is given is kept in memory, and goes over the link alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from runink.clients.identity_requests import IdentityRequest, MintedToken, MintForSlice
from runink.errors import Refused, RuninkError, to_wire
from runink.jobs import TokenGiven, TokenWanted
from runink.loops import now_s
from runink.names import NodeId
from runink.runs.records import SliceRecord
from runink.runtime.ref import Ref

WITHIN_S: Final = 10.0  # less than a slice waits (`steps/asking.py`)
AGAIN_S: Final = 1.0
ANEW_S: Final = 5.0
Give = Callable[[TokenGiven], object]
Answer = Callable[[TokenWanted, Give], object]
Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]


class SliceTokens:
    """One for an agent. `identity` signs; without it slices are told that nobody does."""

    def __init__(self, identity: Ref[IdentityRequest] | None = None) -> None:
        self._identity = identity

    def of(self, record: SliceRecord, spawn: Spawn) -> Answer:
        """Return what a slice's asking is told to: it gives an answer, at once or later. `spawn` begins a task of the agent."""
        assert record.node is not None, "it runs here"
        return _OfSlice(self._identity, record, record.node, spawn).wanted


class _OfSlice:
    """One attempt's token."""

    def __init__(
        self,
        identity: Ref[IdentityRequest] | None,
        record: SliceRecord,
        node: NodeId,
        spawn: Spawn,
    ) -> None:
        self._identity = identity
        self._asked = MintForSlice(node, record.herd, record.run, record.slice, record.attempt)
        self._spawn = spawn
        self._waiting: list[Give] = []
        self._made: MintedToken | None = None
        self._until_s = 0.0  # by our own clock
        self._refusal: RuninkError | None = None
        self._refused_until_s = 0.0

    def wanted(self, asked: TokenWanted, give: Give) -> None:
        """Give what is there, or have it made."""
        at_s = now_s()
        made = self._made
        if made is not None and self._is_good(made, at_s, anew=asked.anew):
            give(TokenGiven(made.token, self._until_s - at_s))
        elif self._refusal is not None and at_s < self._refused_until_s:
            give(TokenGiven(error=to_wire(self._refusal)))
        elif self._waiting:
            self._waiting = [*self._waiting[:1], give]  # a slice waits for one answer at a time
        else:
            self._waiting = [give]
            self._spawn(self._make)

    def _is_good(self, made: MintedToken, at_s: float, *, anew: bool) -> bool:
        life_s = _life_s(made)
        left_s = self._until_s - at_s
        return left_s > (life_s - ANEW_S if anew else life_s / 2)

    async def _make(self) -> None:
        asked_s = now_s()
        try:
            made = await self._mint()
            self._made, self._until_s = made, asked_s + _life_s(made)
            answer = TokenGiven(made.token, self._until_s - now_s())
        except RuninkError as error:
            self._refusal, self._refused_until_s = error, now_s() + AGAIN_S
            answer = TokenGiven(error=to_wire(error))
        waiting, self._waiting = self._waiting, []
        waiting[-1](answer)

    async def _mint(self) -> MintedToken:
        if self._identity is None:
            raise Refused(
                "nobody signs tokens in a cluster of one process",
                code="no_tokens",
                hint="run the pipeline in a cluster that runi server --init has begun",
            )
        return await self._identity.ask(self._asked, within=WITHIN_S)


def _life_s(made: MintedToken) -> int:
    return made.expires_s - made.issued_s


NO_TOKENS: Final = SliceTokens()
