"""The desk of the wire: operations for who has no HTTP. The same table, the same services, the same rights, rates and codes.

    step                                     refused with
    what the principal asks, sends, is sent  `rate_limited`, counted together with HTTP (`operations/purses.py`)
    the operation, by its name               `not_found`
    the parts of its path                    `not_found`
    whether it is allowed                    `forbidden` in a herd that the caller sees, `not_found` in any other
    the other fields, by their types         `invalid`, all mistakes at once
    what goes beside: cursor, if_match, key  `bad_request`, `invalid_cursor`, `precondition_required`, `key_reused`, `in_flight`
    room for one more call                   `overloaded`
    the service                              whatever it raises

Each call is a task of its own, so that a slow one holds up nobody.  Streams are feeds (`feeds.py`).  One line of the log is written for each call: never a value of its fields, beside the
parts of the path.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final

import anyio
import msgspec

from runink.clients.api_requests import Call, Called, Leave, Next
from runink.errors import (
    Broken,
    Forbidden,
    NotFound,
    Refused,
    RuninkError,
    TimedOut,
    Unavailable,
    WireError,
    from_wire,
    to_wire,
)
from runink.loops import now_s
from runink.observe.api_metrics import Answered, ApiMetrics, Carrier
from runink.operations.answers import Content, Items, Kind
from runink.operations.calls import (
    Authorize,
    Caller,
    Context,
    Service,
    Unauthenticated,
)
from runink.operations.codes import said_of
from runink.operations.crowd import Crowd
from runink.operations.cursors import Cursors, page_of, position_of
from runink.operations.declarations import HERD, Asked, AskedPage, Operation, Table
from runink.operations.decoding import converted, path_among
from runink.operations.hearing import Hearing
from runink.operations.idempotency import Again, KeyStore, check_key, place_of
from runink.operations.once import once
from runink.operations.permission import check_may
from runink.operations.purses import Purse, check_allowed
from runink.runtime.actor import Actor, Later
from runink.runtime.actor import Context as Life
from runink.runtime.envelope import TRACEPARENT
from runink.services.desk_calls import (
    Came,
    check_bytes,
    condition_of,
    path_of,
    size_bytes,
    without_effect,
)
from runink.services.packing import packed, packed_bytes
from runink.services.parties import Party, Said
from runink.services.streams import OpenStreams
from runink.suggestions import near_or_all

CALLS_MAX: Final = 256  # under way together, without streams
CALL_S: Final = 30.0
TICK_S: Final = 1.0
REQUEST_ID_BYTES: Final = 12
SMALL_BYTES: Final = 2 << 10  # a call that could as well be a path and a query
PAUSE_S_MAX: Final = 5.0  # of a part that waits for its bytes: its asker waits for 15 s and more

_log = logging.getLogger("runink.api.access")
_broken = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskParts:
    """What a desk is made of. `hearing` counts requests with all doors of the server; `now_ms` is the wall clock (Unix epoch), `entropy` returns so many random bytes."""

    table: Table
    service: Service
    authorize: Authorize
    hearing: Hearing
    keys: KeyStore
    cursors: Cursors
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    metrics: ApiMetrics = dataclasses.field(default_factory=ApiMetrics)


@dataclass(frozen=True, slots=True)
class _Read:
    """A call that was let in and read."""

    operation: Operation
    path: dict[str, str]
    asked: Asked
    caller: Caller
    context: Context

    @property
    def subject(self) -> str:
        assert self.caller.principal is not None
        return self.caller.principal.subject


@dataclass(frozen=True, slots=True)
class _Answered:
    """An answer in the form in which it is kept: MessagePack of a Called, or of an error."""

    status: int
    body: bytes

    @property
    def headers(self) -> Mapping[str, str]:
        return {}


class ApiDesk(Actor[Any]):
    """One for a server. It takes Said: a message, and who has sent it."""

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts
        self._crowd = Crowd(CALLS_MAX)
        self._streams = OpenStreams()
        self._life: Life[Any] | None = None

    async def started(self, context: Life[Any]) -> None:
        self._life = context
        self._parts.metrics.watch(Carrier.WIRE, "desk", self._streams.statistics)
        context.spawn(self._tick)

    async def receive(self, message: Any) -> object:
        match message:
            case Said(party, Call() as call):
                later = Later()
                assert self._life is not None
                self._life.spawn(partial(self._on_call, party, call, later))
                return later
            case Said(party, Next(stream, part)):
                return self._on_next(party, stream, part)
            case Said(party, Leave(stream)):
                self._streams.close(party, stream)
                return None
            case _:
                raise Forbidden("nobody has said who calls", code="message_forbidden")

    async def stopped(self) -> None:
        self._streams.close_all()

    def statistics(self) -> dict[str, int]:
        """Return how many streams there are, and of how many principals."""
        return self._streams.statistics()

    async def _tick(self) -> None:
        while True:  # ends with the actor
            await anyio.sleep(TICK_S)
            self._streams.tick(now_s=now_s())

    def _on_next(self, party: Party, stream: int, part: int) -> Later:
        feed, purse, later = self._streams.of(party, stream), self._purse(party), Later()
        if feed.has_given(part):  # a part costs a second time what a call does
            check_allowed(purse.ask())
        pause_s = min(purse.pause_s(), PAUSE_S_MAX)
        if not pause_s:
            feed.ask(part, later, now_s=now_s())
            return later

        assert self._life is not None
        self._life.spawn(partial(self._ask_later, party, stream, part, later, pause_s))
        return later

    async def _ask_later(
        self, party: Party, stream: int, part: int, later: Later, pause_s: float
    ) -> None:
        await anyio.sleep(pause_s)
        try:
            self._streams.of(party, stream).ask(part, later, now_s=now_s())
        except NotFound as error:  # it was closed meanwhile
            later.fail(error)

    def _purse(self, party: Party, herd: str = "") -> Purse:
        purse = self._parts.hearing.purse(party.principal, party.address)
        purse.meter = self._parts.metrics.meter(Carrier.WIRE, herd)
        return purse

    async def _on_call(self, party: Party, call: Call, later: Later) -> None:
        request_id = self._parts.entropy(REQUEST_ID_BYTES).hex()
        came = Came(party, call, request_id, now_s(), size_bytes(call.fields))
        error: RuninkError | None = None
        try:
            called = await self._called(came)
            # Whoever is answered may know of the herd.
            self._purse(party, came.herd).has_sent(packed_bytes(called.document))
            later.answer(called)
        except (Refused, Unavailable) as refused:
            error = refused
            later.fail(error)
        except Exception as bug:  # noqa: BLE001 - a bug of one call is told with its id, and the others go on
            code = bug.code if isinstance(bug, RuninkError) else Broken.default_code
            _broken.exception("call failed", extra={"request_id": request_id})
            text = f"a bug or damage: the server's log tells more of {request_id}"
            error = Broken(text, code=code)
            later.fail(error)
        self._note(came, error)

    async def _called(self, came: Came) -> Called:
        read = await self._read(came)
        with anyio.move_on_after(CALL_S) as limit, self._crowd.place():
            if came.call.key:
                return await self._once(read, came.call)
            return await self._answer(read, came.party)
        assert limit.cancelled_caught
        raise TimedOut(
            f"no answer within {CALL_S:g} s",
            hint="it may have happened: call again with the same key, or look",
        )

    async def _read(self, came: Came) -> _Read:
        """Return what is asked, by whom. Raises what stands in the table above."""
        party, call = came.party, came.call
        check_lasts(party, now_ms=self._parts.now_ms())
        self._take(came)
        operation = self._parts.table.by_name.get(call.operation)
        if operation is None:
            hint = near_or_all(call.operation, sorted(self._parts.table.by_name))
            raise NotFound("there is no such operation", hint=hint)
        path = path_among(operation, call.fields)
        caller = Caller(party.principal, party.address)
        try:
            check_may(self._parts.authorize, operation, party.principal, path)
        except Refused as error:
            await self._parts.service.denied(
                operation, path, caller, request_id=came.request_id, code=error.code
            )
            raise
        self._parts.metrics.meter(Carrier.WIRE, path.get(HERD, "")).received(came.size_bytes)
        check_bytes(operation, call.fields)
        asked = converted(operation, path, call.fields)
        if call.key and not operation.is_idempotent:
            raise without_effect("key", operation)
        context = Context(
            request_id=came.request_id,
            traceparent=TRACEPARENT.get(),
            within_s=CALL_S,
            condition=condition_of(operation, call.if_match),
            position=position_of(operation, asked, self._parts.cursors, party.principal.subject),
        )
        return _Read(operation, path, asked, caller, context)

    def _take(self, came: Came) -> None:
        """Count a call and its bytes. Raises TooOften."""
        party = came.party
        purse = self._parts.hearing.purse(party.principal, party.address)
        check_allowed(purse.ask())
        purse.check_bytes(is_sending=came.size_bytes > SMALL_BYTES)
        purse.has_received(came.size_bytes)

    async def _once(self, read: _Read, call: Call) -> Called:
        async def answered(once_id: str) -> _Answered:
            context = dataclasses.replace(read.context, once=once_id)
            try:
                called = await self._answer(dataclasses.replace(read, context=context), None)
            except Refused as error:
                body = msgspec.msgpack.encode(to_wire(error))
                return _Answered(said_of(error).status, body)
            return _Answered(read.operation.status, msgspec.msgpack.encode(called))

        operation = read.operation
        place = place_of(read.subject, read.path.get(HERD, ""), operation.name, check_key(call.key))
        same = sha256(msgspec.msgpack.encode(["wire", call.fields], order="sorted")).digest()
        answer = await once(self._parts.keys, place, same, call=answered, clock=self._parts.now_ms)
        if answer.status >= 400:
            raise from_wire(msgspec.msgpack.decode(answer.body, type=WireError))
        called = msgspec.msgpack.decode(answer.body, type=Called)
        return msgspec.structs.replace(called, is_again=isinstance(answer, Again))

    async def _answer(self, read: _Read, party: Party | None) -> Called:
        """Have the service do it. `party` is whose stream it is, where the operation may have one."""
        operation = read.operation
        if operation.kind in {Kind.EVENTS, Kind.CONTENT} and party is not None:
            self._streams.check_room(party)
        answer = await self._parts.service.call(operation, read.asked, read.caller, read.context)
        match operation.kind:
            case Kind.NOTHING:
                return Called(operation.kind.value)
            case Kind.PAGE:
                assert isinstance(answer, Items)
                assert isinstance(read.asked, AskedPage)
                shown = page_of(operation, read.asked, answer, self._parts.cursors, read.subject)
                return Called(operation.kind.value, packed(shown))
            case Kind.DOCUMENT:
                return Called(operation.kind.value, packed(answer))
            case Kind.EVENTS | Kind.CONTENT:
                assert party is not None, "what is idempotent answers with a document"
                return self._opened(read, party, answer)

    def _opened(self, read: _Read, party: Party, answer: Any) -> Called:
        """Open a stream of what a service has answered with."""

        def check_may_read() -> None:
            check_lasts(party, now_ms=self._parts.now_ms())
            check_may(self._parts.authorize, read.operation, party.principal, read.path)

        assert self._life is not None
        purse = self._purse(party, read.path.get(HERD, ""))
        number, feed = self._streams.open(
            party, answer, check_may_read, now_s=now_s(), has_sent=purse.has_sent
        )
        self._life.spawn(feed.pump)
        called = Called(read.operation.kind.value, stream=number)
        if isinstance(answer, Content):
            return msgspec.structs.replace(called, media_type=answer.media_type, tag=answer.tag)
        return called

    def _note(self, came: Came, error: RuninkError | None) -> None:
        """Count a call that is answered, and write its line."""
        operation = self._parts.table.by_name.get(came.call.operation)
        name, path, status, code = "", "", 200, ""
        if operation is not None:
            name, status = operation.name, operation.status
            path = path_of(operation, came.call.fields)
        if error is not None:
            status, code = said_of(error).status, error.code
        took_s = now_s() - came.began_s
        self._parts.metrics.answered(Carrier.WIRE, Answered(name, came.herd, status, code, took_s))
        if not _log.isEnabledFor(logging.INFO):
            return
        _log.info(
            "call",
            extra={
                "request_id": came.request_id,
                "traceparent": TRACEPARENT.get(),
                "operation": name,
                "path": path,
                "fields": ",".join(sorted(came.call.fields))[:256],
                "code": code,
                "principal": came.party.principal.subject,
                "address": came.party.address,
                "took_ms": round(took_s * 1000, 1),
            },
        )


def check_lasts(party: Party, *, now_ms: int) -> None:
    """Raise Unauthenticated if the token by which somebody came has ended."""
    until_s = party.principal.until_s
    if until_s and now_ms >= until_s * 1000:
        raise Unauthenticated("the token has ended", hint="connect anew with another one")
