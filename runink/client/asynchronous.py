"""The client of async programs, under asyncio and trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from runink.client import calls
from runink.client.answers import Answer
from runink.client.async_transport import AsyncRun, AsyncTransport
from runink.client.blocking_transport import NOTHING_MORE
from runink.client.calls import Begun, Following, Patience
from runink.client.credentials import Credentials, atoken_of
from runink.client.effects import Steps
from runink.client.endpoints import Endpoint
from runink.client.names import ANY_STREAM, Named, Names, named
from runink.client.options import Setup, place_of, prepared
from runink.client.programs import ClientCredentials, ProgramToken
from runink.client.requests import raw_request, request_of
from runink.client.sizes import CONTENT_BYTES_MAX, too_long
from runink.operations.answers import Kind, Page
from runink.operations.catalog.table import CATALOG
from runink.operations.catalog.tokens import ISSUE
from runink.operations.declarations import Operation


class AsyncValues(AsyncIterator[Any]):
    """What a call gives, one after the other. Close it, or use it in an `async with`, where it is not read to its end."""

    def __init__(self, transport: AsyncTransport, steps: Steps[Any]) -> None:
        self._run = AsyncRun(transport, steps)

    async def __anext__(self) -> Any:
        value = await self._run.next()
        if value is NOTHING_MORE:
            raise StopAsyncIteration
        return value

    async def aclose(self) -> None:
        """Leave the rest unread."""
        await self._run.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncEvents(AsyncValues):
    """A stream of events. It comes back by itself when its connection is lost."""

    def __init__(self, transport: AsyncTransport, following: Following) -> None:
        super().__init__(transport, following.events())
        self._following = following

    @property
    def revision(self) -> int:
        """Return how far it has come: who asks with `since` of this goes on behind it."""
        return self._following.revision


class AsyncDownload(AsyncValues):
    """Bytes as they come."""

    media_type: str = ""

    async def __anext__(self) -> bytes:
        value = await super().__anext__()
        if isinstance(value, Begun):
            self.media_type = value.head.media_type
            value = await super().__anext__()
        assert isinstance(value, bytes)
        return value

    async def read(self, bytes_max: int = CONTENT_BYTES_MAX) -> bytes:
        """Return all that is left. Raises Refused (`answer_too_large`) beyond `bytes_max`."""
        parts, size = [], 0
        async with self:
            async for piece in self:
                size += len(piece)
                if size > bytes_max:
                    raise too_long(bytes_max)
                parts.append(piece)
        return b"".join(parts)


class AsyncClient:
    """Asks an API.

    `address` is `https://HOST:PORT`, `http://127.0.0.1:PORT` or `unix:PATH`; `authority` a PEM file of what is trusted in place of the machine's roots, or its text.
    `within_s` is how long one answer may take, with all tries; `silent_s` how long a stream or a download may be silent; `away_s` how long a stream may be lost.

    Every operation is there by its name: `await client.herds.get(herd="flights")`.  What is answered with one document is awaited, and is a struct; lists are
    async iterators over all their items, streams of Event, bytes an AsyncDownload.  Several tasks may use it.
    """

    def __init__(
        self,
        address: str | Endpoint,
        *,
        token: Credentials = None,
        authority: Path | str | None = None,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        operations: Iterable[Operation] = CATALOG,
    ) -> None:
        self._setup = Setup(place_of(address, authority), Names(operations), patience)
        self._credentials = token
        self._program, self._lock = ProgramToken(), anyio.Lock()
        self._transport = AsyncTransport(self._setup.endpoint, self._token)
        self._talks = self._setup.talks(self._transport.clock)

    async def _token(self, refused: str) -> str:
        if not isinstance(self._credentials, ClientCredentials):
            return await atoken_of(self._credentials, refused)
        async with self._lock:
            now_s = self._transport.clock()
            if kept := self._program.good(refused, now_s):
                return kept
            nobody = self._setup.talks(self._transport.clock, is_nobody=True)
            request = self._credentials.request()
            issued = await self._transport.run(
                calls.document(nobody, ISSUE, request, self._setup.patience)
            )
            return self._program.take(issued, now_s)

    def call(
        self,
        operation: Operation | str,
        *,
        if_match: Any = None,
        idempotency_key: str = "",
        within_s: float | None = None,
        **fields: Any,
    ) -> Any:
        """Call an operation: await what it returns, or iterate over it. Raises the error that the server answers with, LinkLost, TimedOut, OutcomeUnknown.

        `if_match` is the document that a change was decided on, its revision, an ETag, or `*`.  A call with an `idempotency_key` is one call, however often it is made.
        """
        known = self._setup.names.operation(operation)
        patience = self._setup.patience_of(within_s)
        if known.kind is Kind.PAGE:
            return AsyncValues(self._transport, calls.items(self._talks, known, fields, patience))
        request = prepared(known, fields, if_match=if_match, idempotency_key=idempotency_key)
        match known.kind:
            case Kind.EVENTS:
                since = int(fields.get("since") or 0)
                following = Following(self._talks, known, request, patience, since)
                return AsyncEvents(self._transport, following)
            case Kind.CONTENT:
                return AsyncDownload(self._transport, calls.content(self._talks, request, patience))
            case _:
                return self._transport.run(calls.document(self._talks, known, request, patience))

    async def page(self, operation: Operation | str, **fields: Any) -> Page[Any]:
        """Return one page of a list. Raises as `call`."""
        known = self._setup.names.operation(operation)
        steps = calls.document(self._talks, known, request_of(known, fields), self._setup.patience)
        page: Page[Any] = await self._transport.run(steps)
        return page

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer to a request as it stands, for a path below `/api/v1`. Raises as `call`."""
        request = raw_request(method, path, headers=headers, body=body)
        answer: Answer = await self._transport.run(
            calls.answered(self._talks, request, self._setup.patience)
        )
        return answer

    def follow(self, path: str, *, headers: tuple[tuple[str, str], ...] = ()) -> AsyncEvents:
        """Return the stream at a path below `/api/v1`, with the data of its events as plain values. Raises as `call`."""
        request = raw_request("GET", path, headers=headers)
        following = Following(self._talks, ANY_STREAM, request, self._setup.patience)
        return AsyncEvents(self._transport, following)

    async def aclose(self) -> None:
        """Close the connections that are kept for the next call."""
        await self._transport.aclose()

    def __getattr__(self, word: str) -> Named:
        if word.startswith("_"):
            raise AttributeError(word)
        return named(self._setup.names, self.call, word)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._setup.names.below("")]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
