"""Bodies of requests: read whole, within a size, a time, and the room that there is for all of them together."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from runink.api.limits import Limits
from runink.api.problems import HttpRefused
from runink.api.requests import header
from runink.errors import Invalid, Overloaded
from runink.operations.declarations import JSON, Operation
from runink.operations.purses import Purse

_CHARSET: Final = re.compile(r' *(; *charset=("?)utf-8\2 *)?', re.IGNORECASE)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Share:
    """What one request holds of the room for bodies."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.held_bytes = 0

    def take(self, size: int) -> None:
        """Hold more. Raises Overloaded."""
        if size > self._bodies.free_bytes:
            raise Overloaded("too many large requests are under way", hint="ask again in a moment")
        self._bodies.free_bytes -= size
        self.held_bytes += size


class Bodies:
    """Reads bodies. `free_bytes` is the room that is left: what waits for its call, or for the rest of itself, fills it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.free_bytes = limits.bodies_bytes_max

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Have a share as long as a request lasts."""
        share = Share(self)
        try:
            yield share
        finally:
            self.free_bytes += share.held_bytes

    async def read(
        self, request: web.BaseRequest, operation: Operation, share: Share, purse: Purse
    ) -> bytes:
        """Return the whole body, whose bytes are taken out of the purse of who sends it. Raises Invalid, HttpRefused and Overloaded, with the codes that stand beside what is wrong."""
        if not request.body_exists:
            return b""
        if not operation.method.has_body:
            raise Invalid(f"{request.method} has no body here", code="bad_request")
        if header(request, "Content-Encoding").lower() not in {"", "identity"}:
            raise _unsupported("a compressed body", operation)
        bytes_max = operation.body_bytes_max or self._limits.body_bytes_max
        if (request.content_length or 0) > bytes_max:
            raise _too_large(bytes_max)
        expects = request.headers.get("Expect", "").lower()
        if expects == "100-continue" and request.transport is not None:
            request.transport.write(_CONTINUE)
        # The least pace is the same for a body that may be larger.
        within_s = self._limits.body_s * max(1.0, bytes_max / self._limits.body_bytes_max)
        # Where it is said how long it is, that is taken before it is here: of many bodies at once each finds what those before it have left.
        purse.has_received(request.content_length or 0)
        try:
            body = await _read(request, share, bytes_max=bytes_max, within_s=within_s)
        finally:
            if request.content_length is None:
                purse.has_received(share.held_bytes)
        if body and not _is_of(header(request, "Content-Type"), operation.takes):
            said = header(request, "Content-Type")[:64] or "no type"
            raise _unsupported(f"a body of {said!r}", operation)
        return body


async def _read(
    request: web.BaseRequest, share: Share, *, bytes_max: int, within_s: float
) -> bytes:
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(within_s):
            async for part in request.content.iter_any():
                if share.held_bytes + len(part) > bytes_max:
                    raise _too_large(bytes_max)
                share.take(len(part))
                parts.append(part)
    except TimeoutError:
        raise HttpRefused(
            f"the body took more than {within_s:g} s",
            code="body_too_slow",
            headers={"Connection": "close"},
        ) from None
    except web.RequestPayloadError:
        raise Invalid("the body ends before its end", code="bad_request") from None
    return b"".join(parts)


def _is_of(said: str, kind: str) -> bool:
    if said[: len(kind)].lower() != kind:
        return False
    rest = said[len(kind) :]
    return _CHARSET.fullmatch(rest) is not None if kind == JSON else not rest.strip()


def _unsupported(what: str, operation: Operation) -> HttpRefused:
    return HttpRefused(
        f"{what} is not understood",
        code="unsupported_media_type",
        headers={"Accept": operation.takes, "Accept-Encoding": "identity"},
        hint=f"Content-Type: {operation.takes}, and no Content-Encoding",
    )


def _too_large(bytes_max: int) -> HttpRefused:
    return HttpRefused(
        f"the body has more than {bytes_max} bytes",
        code="body_too_large",
        headers={"Connection": "close"},
    )
