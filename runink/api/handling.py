"""One request of one operation, from its head to its reply.

    1  who asks, and how often            `entry.py`
    2  the parts of the path              `operations/decoding.py`
    3  whether that is allowed            `entry.py`
    4  the query and the body             `bodies.py`, `operations/decoding.py`
    5  conditions, cursors, keys          `operations/calls.py`, `operations/cursors.py`, `operations/once.py`
    6  the service                        whoever carries operations out
    7  the reply, or a stream of it       `replies.py`, `events.py`

Errors are raised and told by the middleware; only a call with an Idempotency-Key tells its refusals itself, as they are kept.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from runink.api.bodies import Bodies, Share
from runink.api.entry import PURSE, Entry
from runink.api.events import Streams
from runink.api.limits import Limits
from runink.api.problems import Told, tell
from runink.api.replies import Reply, is_known, reply_of
from runink.api.requests import check_headers, header, query_of
from runink.api.system import SYSTEM, System
from runink.clock import now_ms
from runink.errors import Invalid, Refused, TimedOut
from runink.operations.answers import Content, Items, Kind
from runink.operations.calls import Caller, Context, Service, read_condition
from runink.operations.crowd import Crowd
from runink.operations.cursors import Cursors, page_of, position_of
from runink.operations.declarations import HERD, Asked, AskedEvents, AskedPage, Operation
from runink.operations.decoding import decode, path_values
from runink.operations.idempotency import Again, KeyStore, check_key, place_of, request_hash
from runink.operations.once import once
from runink.operations.purses import Purse
from runink.runtime.envelope import TRACEPARENT

REQUEST_ID: Final = web.RequestKey("request_id", str)
OPERATION: Final = web.RequestKey("operation", str)
CODE: Final = web.RequestKey("code", str)  # of the problem that was told
REPLAYED: Final = "Idempotency-Replayed"
_EVENT_ID_MAX: Final = 18  # digits: a revision has 63 bits

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Call:
    """A request that was let in and read."""

    operation: Operation
    asked: Asked
    caller: Caller
    context: Context
    path: dict[str, str]
    body: bytes

    @property
    def subject(self) -> str:
        return self.caller.principal.subject if self.caller.principal is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """Handles requests with the parts that it is given."""

    service: Service
    system: System
    entry: Entry
    keys: KeyStore
    cursors: Cursors
    streams: Streams
    crowd: Crowd
    bodies: Bodies
    limits: Limits

    def handler_of(self, operation: Operation) -> Handler:
        """Return what handles an operation's requests."""

        async def handle(request: web.Request) -> web.StreamResponse:
            request[OPERATION] = operation.name
            if operation.kind is Kind.EVENTS:
                return await self._stream(request, operation)
            with self.bodies.share() as share:
                call = await self._read(request, operation, share)
                async with self._in_time():
                    answer = await self._answer(request, call)
            if isinstance(answer, Reply):
                return _response(answer)
            return await _send(request, answer, request[PURSE])

        return handle

    async def _stream(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        with self.bodies.share() as share:
            call = await self._read(request, operation, share)
        with self.streams.place(call.subject):
            async with self._in_time():
                source = await self._call(request, call)
            return await self.streams.send(
                request,
                source,
                purse=request[PURSE],
                may_go_on=self._may_go_on(request, call),
                request_id=call.context.request_id,
            )

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Have a request's time. Raises TimedOut."""
        try:
            async with asyncio.timeout(self.limits.request_s):
                yield
        except TimeoutError:
            raise TimedOut(
                f"no answer within {self.limits.request_s:g} s",
                hint="it may have happened: ask again with the same Idempotency-Key, or look",
            ) from None

    async def _read(self, request: web.Request, operation: Operation, share: Share) -> _Call:
        async with self._in_time():
            caller = await self.entry.admit(request, operation)
        check_headers(request, operation)
        path = path_values(operation, request.match_info)
        await self._check(request, operation, caller, path)
        if HERD in path:
            self.entry.meter(request, path[HERD])
        body = await self.bodies.read(request, operation, share, request[PURSE])
        asked = decode(operation, path, query_of(request), body)
        if isinstance(asked, AskedEvents):
            asked = _resumed(asked, header(request, "Last-Event-ID"))
        subject = caller.principal.subject if caller.principal is not None else ""
        context = self._context(request, operation, asked, subject)
        return _Call(operation, asked, caller, context, path, body)

    async def _check(
        self, request: web.Request, operation: Operation, caller: Caller, path: dict[str, str]
    ) -> None:
        """Raise Forbidden or NotFound unless the caller may."""
        try:
            self.entry.check(operation, caller.principal, path)
        except Refused as error:
            if operation not in SYSTEM:
                await self.service.denied(
                    operation, path, caller, request_id=request[REQUEST_ID], code=error.code
                )
            raise

    def _context(
        self, request: web.Request, operation: Operation, asked: Asked, subject: str
    ) -> Context:
        condition = None
        if operation.is_conditional:
            said = header(request, "If-Match")
            if not said:
                raise Refused(
                    "If-Match is missing: a change says which revision it was decided on",
                    code="precondition_required",
                    hint="send the ETag of what you have read",
                )
            condition = read_condition(said)
        position = position_of(operation, asked, self.cursors, subject)
        return Context(
            request_id=request[REQUEST_ID],
            traceparent=TRACEPARENT.get(),
            within_s=self.limits.request_s,
            condition=condition,
            position=position,
        )

    async def _answer(self, request: web.Request, call: _Call) -> Any:
        if "Idempotency-Key" not in request.headers or not call.operation.is_idempotent:
            return await self._call(request, call)
        key = check_key(header(request, "Idempotency-Key"))

        async def told(once_id: str) -> Reply | Told:
            context = dataclasses.replace(call.context, once=once_id)
            try:
                reply = await self._call(request, dataclasses.replace(call, context=context))
            except Refused as error:
                request[CODE] = error.code
                return tell(error, instance=request.path, request_id=context.request_id)
            assert isinstance(reply, Reply)
            return reply

        herd = call.path.get(HERD, "")
        place = place_of(call.subject, herd, call.operation.name, key)
        same = request_hash(request.method, request.raw_path, call.body)
        answer = await once(self.keys, place, same, call=told, clock=now_ms)
        headers = dict(answer.headers)
        if isinstance(answer, Again):
            headers[REPLAYED] = "true"
        return Reply(answer.status, headers, answer.body)

    async def _call(self, request: web.Request, call: _Call) -> Any:
        """Return a Reply, Content, or the iterator of a stream."""
        operation = call.operation
        if operation in SYSTEM:
            answer = self.system.answer(operation)
        else:
            with self.crowd.place():
                answer = await self.service.call(operation, call.asked, call.caller, call.context)
        if isinstance(call.asked, AskedPage):
            assert isinstance(answer, Items)
            answer = page_of(operation, call.asked, answer, self.cursors, call.subject)
        if operation.kind in {Kind.EVENTS, Kind.CONTENT}:
            return answer
        reply = reply_of(operation, answer)
        tag = reply.headers.get("ETag", "")
        if request.method in {"GET", "HEAD"} and is_known(tag, header(request, "If-None-Match")):
            return Reply(304, {"ETag": tag}, b"")
        return reply

    def _may_go_on(self, request: web.Request, call: _Call) -> Callable[[], Awaitable[bool]]:
        """Return what says whether a stream may go on: always the rights, and each `rights_s` the token."""
        principal = call.caller.principal
        looked_s = time.monotonic()

        async def may_go_on() -> bool:
            nonlocal looked_s
            if principal is None:
                return True
            if principal.until_s and now_ms() >= principal.until_s * 1000:
                return False
            if not self.entry.allows(call.operation, principal, call.path):
                return False
            if time.monotonic() - looked_s < self.limits.rights_s:
                return True
            looked_s = time.monotonic()
            return await self.entry.still_knows(request)

        return may_go_on


def _resumed(asked: AskedEvents, last: str) -> AskedEvents:
    if not last:
        return asked
    if not (last.isascii() and last.isdigit() and len(last) <= _EVENT_ID_MAX):
        raise Invalid("Last-Event-ID is no id of an event", code="bad_request")
    return msgspec.structs.replace(asked, since=int(last))


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, headers=reply.headers, body=reply.body or None)


async def _send(request: web.Request, content: Content, purse: Purse) -> web.StreamResponse:
    """Send bytes as they come, as fast as the caller's purse has room for them. What fails on the way cuts the connection, so that nobody takes a part for the whole."""
    headers = {"Content-Type": content.media_type}
    if content.tag:
        headers["ETag"] = f'"{content.tag}"'
        if is_known(headers["ETag"], header(request, "If-None-Match")):
            return web.Response(status=304, headers={"ETag": headers["ETag"]})
    if isinstance(content.chunks, bytes):
        return web.Response(headers=headers, body=content.chunks)
    if request.method == "HEAD":
        return web.Response(headers=headers)
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    try:
        async for chunk in content.chunks:
            if pause_s := purse.pause_s():
                await asyncio.sleep(pause_s)
            purse.has_sent(len(chunk))
            await response.write(chunk)
    except ConnectionError:
        return response  # the client has left
    except BaseException:
        if request.transport is not None:
            request.transport.abort()
        raise
    await response.write_eof()
    return response
