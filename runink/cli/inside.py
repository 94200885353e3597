"""A client of services in this process: for a state folder whose cluster serves no API, or that has no cluster until somebody asks.

It is called as the client of the API is (`runink.client.Client`), so a command is written once.  The cluster lives in a thread beside the command, for as long as that asks; where
it is one of another process that leaves meanwhile, what was asked is asked again of whoever has the state then.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import msgspec
from anyio.abc import ObjectSendStream
from anyio.from_thread import BlockingPortal, start_blocking_portal

from runink.actors.shelf import Shelf
from runink.actors.written_files import WrittenFiles
from runink.cli.client import LEAVING, Embedding, open_cluster
from runink.client.events import Message
from runink.client.given import Given
from runink.client.names import Names
from runink.client.requests import named_outside, tag_of
from runink.clients.cluster import Cluster
from runink.clients.node_files import SHELF
from runink.errors import TimedOut, Unavailable
from runink.identity.principals import Principal, PrincipalKind
from runink.machine_reading import user_name
from runink.operations.answers import Content, Event, Items, Kind, Page
from runink.operations.calls import Position, read_condition
from runink.operations.declarations import Method, Operation
from runink.runtime.supervisor import ChildSpec, supervise
from runink.services.inside import Inside, inside

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType

ASKS_MAX: Final = 20
ASK_AGAIN_S: Final = 0.1
AWAY_S: Final = 60.0  # for a stream that was lost to come back
AHEAD_MAX: Final = 64  # events, or pieces of content, that wait for a command which prints slowly
NAMES: Final = Names()
LEFT_UNKNOWN: Final = "outcome_unknown"


class InsideClient:
    """Asks services in this process, as the operator, and waits for their answers. `within_s` is how long one answer may take."""

    def __init__(self, embedding: Embedding, *, within_s: float) -> None:
        self._embedding = embedding
        self._within_s = within_s
        self._whole, self._open = ExitStack(), ExitStack()
        self._portal: BlockingPortal | None = None
        self._inside: Inside | None = None
        self.is_brief = False  # it was made for this command, and ends with it

    def call(
        self,
        operation: Operation | str,
        *,
        if_match: Any = None,
        within_s: float | None = None,
        **fields: Any,
    ) -> Any:
        """Call an operation, or one that is named, as the client of the API does: a document, an iterator over items or events, or a Download. Raises what the service raises, and TimedOut."""
        known = NAMES.operation(operation)
        asked = named_outside(known, fields)
        match known.kind:
            case Kind.PAGE:
                return self._items(known, asked)
            case Kind.EVENTS:
                return InsideEvents(self, known, asked)
            case Kind.CONTENT:
                return InsideDownload(self, self.ask(known, asked))
            case _:
                return self.ask(known, asked, if_match=if_match, within_s=within_s)

    def page(self, operation: Operation | str, **fields: Any) -> Page[Any]:
        """Return the first page of a list."""
        known = NAMES.operation(operation)
        found: Items[Any] = self.ask(known, named_outside(known, fields))
        return Page(found.items, found.revision, found.after)

    def ask(
        self,
        operation: Operation,
        asked: Mapping[str, Any],
        *,
        if_match: Any = None,
        within_s: float | None = None,
        position: Position | None = None,
    ) -> Any:
        """Return what the service does, again where the cluster that was asked leaves."""
        condition = None if if_match is None else read_condition(tag_of(if_match))
        wait_s = self._within_s if within_s is None else within_s

        async def answered() -> Any:
            with anyio.move_on_after(wait_s):
                return await caller.call(operation, asked, condition=condition, position=position)
            raise TimedOut(f"no answer within {wait_s:.3g} s", hint="give it more time: --within")

        for left in range(ASKS_MAX - 1, -1, -1):
            try:
                caller = self._called()
                return self._ended(operation, self.portal.start_task_soon(answered))
            except Unavailable as error:
                if not left or not is_asked_again(operation, error):
                    raise
            self.leave()
            time.sleep(ASK_AGAIN_S)
        raise AssertionError("the last one returns or raises")

    def _ended(self, operation: Operation, call: Future[Any]) -> Any:
        """Return what a call answers. An interrupt waits for one that changes something: who takes that back has to find it there."""
        try:
            return call.result()
        except KeyboardInterrupt:
            if operation.method is not Method.GET:
                wait([call], timeout=self._within_s)
            raise

    @property
    def portal(self) -> BlockingPortal:
        """Return the way to the cluster's thread."""
        if self._portal is None:
            self._portal = self._whole.enter_context(start_blocking_portal())
        return self._portal

    def leave(self) -> None:
        """Let go of the cluster; what is asked next finds one anew."""
        self._inside = None
        self._open.close()

    def close(self) -> None:
        """Let go of the cluster, and end its thread."""
        self.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inside = None
        try:
            self._open.__exit__(kind, error, trace)
        finally:
            self._whole.__exit__(kind, error, trace)

    def _called(self) -> Inside:
        if self._inside is None:
            opened = self.portal.wrap_async_context_manager(_whole(self._embedding))
            cluster = self._open.enter_context(opened)
            self.is_brief = bool(cluster.session)
            principal = Principal(PrincipalKind.OPERATOR, user_name(os.geteuid()))
            self._inside = self.portal.call(inside, cluster, principal)
        return self._inside

    def _items(self, operation: Operation, asked: Mapping[str, Any]) -> Iterator[Any]:
        position: Position | None = None
        while True:  # ends with the list
            page: Items[Any] = self.ask(operation, asked, position=position)
            yield from page.items
            if not page.after:
                return
            position = Position(page.revision, page.after)


@asynccontextmanager
async def _whole(embedding: Embedding) -> AsyncIterator[Cluster]:
    """Yield the cluster, with what its nodes keep of runs: on this machine, unless it is one elsewhere."""
    async with open_cluster(embedding) as cluster:
        if cluster.files is not None or cluster.is_remote:
            yield cluster
            return
        shelf = partial(Shelf, embedding.state / "runs", WrittenFiles(cluster.barn).read)
        async with supervise() as supervisor:
            files = await supervisor.start(ChildSpec(SHELF, shelf))
            yield replace(cluster, files=files, keeps_here=True)


def is_asked_again(operation: Operation, error: Unavailable) -> bool:
    """Say whether a call that found its cluster leaving is made again: what may have been done already is not done twice."""
    if error.code not in LEAVING:
        return False
    return operation.method is Method.GET or error.code != LEFT_UNKNOWN


class _Pumped:
    """What comes from the cluster's thread piece by piece. Close it, or use it in a `with`, where it is not read to its end."""

    def __init__(self, portal: BlockingPortal, source: AsyncGenerator[Any, None]) -> None:
        self._portal = portal
        send, self._received = portal.call(_channel)
        self._pump = portal.start_task_soon(_pumped, source, send)

    def next(self) -> Any:
        """Return the next one. Raises StopIteration at the end, and what the source raises."""
        try:
            return self._portal.call(self._received.receive)
        except anyio.EndOfStream:
            self._portal.call(self._received.aclose)
            self._pump.result()
            raise StopIteration from None

    def close(self) -> None:
        """Leave the rest unread."""
        self._pump.cancel()
        self._portal.call(self._received.aclose)


async def _channel() -> Any:
    return anyio.create_memory_object_stream[Any](AHEAD_MAX)


async def _pumped(source: AsyncGenerator[Any, None], send: ObjectSendStream[Any]) -> None:
    async with send:
        try:
            async for one in source:
                await send.send(one)
        except anyio.BrokenResourceError:
            return  # nobody reads on
        finally:
            with anyio.CancelScope(shield=True):
                await source.aclose()


class InsideEvents(Iterator[Event]):
    """A stream of events. It goes on where it was when its cluster leaves, unless nothing answers for AWAY_S."""

    def __init__(
        self, client: InsideClient, operation: Operation, asked: Mapping[str, Any]
    ) -> None:
        self.revision = int(asked.get("since") or 0)  # how far it has come
        self._client = client
        self._operation = operation
        self._asked = asked
        self._given = Given()
        self._reached = self.revision  # what the stream that is read now has begun behind
        self._pumped: _Pumped | None = self._opened()

    def __next__(self) -> Event:
        lost_s: float | None = None
        while True:  # ends with an event, with the stream, or with an error
            try:
                if self._pumped is None:
                    self._pumped = self._opened()
                found = self._pumped.next()
            except Unavailable as error:
                now_s = time.monotonic()
                lost_s = now_s if lost_s is None else lost_s
                if error.code not in LEAVING or now_s - lost_s > AWAY_S:
                    raise
                self._pumped = None
                self._client.leave()
                time.sleep(ASK_AGAIN_S)
                continue
            self.revision = max(self.revision, found.revision)
            if isinstance(found, Event) and self._is_new(found):
                return found

    def _is_new(self, event: Event) -> bool:
        """Say whether it was not given before: who comes back is told some again."""
        message = Message(event.kind, msgspec.json.encode(event.data).decode(), event.revision)
        return self._given.is_new(event, message, self._reached)

    def close(self) -> None:
        """Leave the rest unread."""
        if self._pumped is not None:
            self._pumped.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> _Pumped:
        self._reached = self.revision
        asked = {**self._asked, "since": self.revision} if self.revision else self._asked
        return _Pumped(self._client.portal, self._client.ask(self._operation, asked))


class InsideDownload(Iterator[bytes]):
    """Bytes as they come."""

    def __init__(self, client: InsideClient, content: Content) -> None:
        self.media_type = content.media_type
        self._pumped = _Pumped(client.portal, _pieces(content))

    def __next__(self) -> bytes:
        piece = self._pumped.next()
        assert isinstance(piece, bytes)
        return piece

    def close(self) -> None:
        """Leave the rest unread."""
        self._pumped.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _pieces(content: Content) -> AsyncGenerator[bytes, None]:
    if isinstance(content.chunks, bytes):
        yield content.chunks
        return
    async for piece in content.chunks:
        yield piece
