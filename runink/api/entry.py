"""Who may come in: the token, how often, and whether it is allowed. In that order, before anything of the request's content is read.

the caller                                      is told
bears no token, or none that is valid           401
has sent too many that were not valid           429 `too_many_failures`, unheard
asks, sends or was sent too much                429 `rate_limited`
is not allowed, in a herd that it sees          403
is not allowed, in one that it does not see     404, as if nothing were there
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from runink.api.addresses import counted_as
from runink.api.requests import basic_of, token_of
from runink.identity.principals import Principal
from runink.observe.api_metrics import ApiMetrics, Carrier
from runink.operations.calls import Authorize, Caller, Unauthenticated
from runink.operations.declarations import Operation
from runink.operations.hearing import Hearing
from runink.operations.permission import check_may, may
from runink.operations.purses import Purse, check_allowed
from runink.operations.rates import Allowance

PRINCIPAL: Final = web.RequestKey("principal", Principal)
ALLOWANCE: Final = web.RequestKey("allowance", Allowance)
PURSE: Final = web.RequestKey("purse", Purse)


class Entry:
    """Lets callers in. `operator` is who speaks through a Unix socket without a token: only its user reaches that."""

    def __init__(
        self,
        hearing: Hearing,
        authorize: Authorize,
        *,
        metrics: ApiMetrics,
        operator: Principal | None = None,
    ) -> None:
        self.authorize = authorize
        self._hearing = hearing
        self._metrics = metrics
        self._operator = operator

    async def admit(self, request: web.Request, operation: Operation) -> Caller:
        """Return who asks. Raises Unauthenticated and TooOften."""
        address = counted_as(request.remote or "")
        principal, basic = None, ""
        if operation.is_public:
            basic = basic_of(request)
        else:
            principal = request[PRINCIPAL] = await self._principal(request, address)
        purse = request[PURSE] = self._hearing.purse(principal, address)
        purse.meter = self._metrics.meter(Carrier.HTTP)
        allowance = request[ALLOWANCE] = purse.ask()
        check_allowed(allowance)
        purse.check_bytes(is_sending=request.body_exists)
        return Caller(principal, address, basic)

    async def still_knows(self, request: web.Request) -> bool:
        """Say whether the token that a request came with is still valid: a stream asks from time to time."""
        try:
            token = token_of(request)
            if token:
                await self._hearing.authenticate(token)
        except Unauthenticated:
            return False
        return True

    async def _principal(self, request: web.Request, address: str) -> Principal:
        token = token_of(request)
        if not token:
            if self._operator is not None and _is_local(request):
                return self._operator
            raise Unauthenticated("no token came with this", hint="Authorization: Bearer TOKEN")
        return await self._hearing.principal(token, address)

    def check(
        self, operation: Operation, principal: Principal | None, path: Mapping[str, str]
    ) -> None:
        """Raise Forbidden or NotFound unless the caller may. `path` are the parts of the path."""
        check_may(self.authorize, operation, principal, path)

    def meter(self, request: web.Request, herd: str) -> None:
        """Have the bytes of a request, from now on, counted for a herd that its caller may know of."""
        request[PURSE].meter = self._metrics.meter(Carrier.HTTP, herd)

    def allows(
        self, operation: Operation, principal: Principal | None, path: Mapping[str, str]
    ) -> bool:
        """Say whether the caller may: asked again by streams while they last."""
        return may(self.authorize, operation, principal, path)


def _is_local(request: web.Request) -> bool:
    return request.transport is not None and isinstance(
        request.transport.get_extra_info("sockname"), str
    )
