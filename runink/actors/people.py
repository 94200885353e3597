"""Who a provider's token speaks for: the strict check of a token (`identity/tokens.py`) between the keys that are there and those that may have to be fetched.

1. the token is taken apart, and chooses among the providers by its issuer: nobody else is asked for anything
2. it is checked with the keys that there are
3. only where all is right but for the key, that key is looked for at the provider (`identity/key_cache.py` says how often)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import anyio

from runink.actors.providers import Client, Providers, from_here, providing
from runink.errors import Refused
from runink.identity.checked_tokens import Check
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.key_cache import Held
from runink.identity.keys import KeyRing
from runink.identity.principal_mapping import user_of
from runink.identity.principals import Principal
from runink.identity.provider_tokens import access_policy, mapping_of, ring_of
from runink.identity.providers import Provider
from runink.identity.tokens import Claims, TokenPolicy, UnverifiedToken, check, read


class People:
    """Says who the tokens of several providers speak for. Made by `knowing`."""

    def __init__(self, providers: Providers[KeyRing], settings: Iterable[Provider]) -> None:
        self.providers = providers
        self._by_issuer = {one.issuer: (access_policy(one), mapping_of(one)) for one in settings}

    async def who(self, token: str, *, now_s: int) -> Principal:
        """Return the user that an access token speaks for; `now_s` is seconds of the Unix epoch.

        Raises Unauthenticated, and Unavailable (`issuer_unreachable`) or TimedOut where it cannot be told, because the provider's keys cannot be had.
        """
        return await self.who_has(read(token), now_s=now_s)

    async def who_has(
        self, unverified: UnverifiedToken, *, now_s: int, check: Check = check
    ) -> Principal:
        """Return the same of a token that was taken apart. `check` says whether it is good, for whoever remembers what it has said."""
        known = self._by_issuer.get(unverified.issuer)
        if known is None:
            raise Unauthenticated(Fault.ISSUER, "no provider has its issuer")
        policy, mapping = known
        return user_of(await self._checked(unverified, policy, now_s, check), mapping)

    async def _checked(
        self, unverified: UnverifiedToken, policy: TokenPolicy, now_s: int, check: Check
    ) -> Claims:
        held = await self.providers.keys(policy.issuer)
        try:
            return check(unverified, held.ring, policy, now_s=now_s)
        except Unauthenticated as refused:
            if refused.fault is not Fault.UNKNOWN_KEY:
                raise
            held = await self._newer(unverified, policy, refused)
        return check(unverified, held.ring, policy, now_s=now_s)

    async def _newer(
        self, unverified: UnverifiedToken, policy: TokenPolicy, refused: Unauthenticated
    ) -> Held[KeyRing]:
        """Return keys that have the token's. Raises `refused` where the provider has not got it."""
        try:
            return await self.providers.keys(policy.issuer, unverified.header["kid"])
        except Refused:
            raise refused from None


@asynccontextmanager
async def knowing(
    settings: Iterable[Provider],
    *,
    now: Callable[[], float] = anyio.current_time,
    client: Client = from_here,
) -> AsyncIterator[People]:
    """Know the people of these providers, which `client` makes somebody ask, for as long as the block. Raises Refused (`bad_certificate`), Invalid (`invalid_claim_path`)."""
    listed = tuple(settings)
    async with providing(listed, ring_of, now=now, client=client) as providers:
        yield People(providers, listed)
