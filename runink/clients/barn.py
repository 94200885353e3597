"""The Barn for everybody else: typed values, transactions, watches, retries that are applied once.

A client is one id and a count of what it proposed.  When an answer is lost (a restart, a broken link, a deadline) the same
proposal is sent again under the same number, and the Barn applies it once; only if no answer comes within the caller's time is
`OutcomeUnknown` raised.  What was surely not applied is told as it is.

    answer                                   what the client does
    Applied                                  returns
    Declined                                 raises: NotFound (lease), Unavailable (quota), Refused
    Overloaded                               sends it again, after a pause
    disk_full, stopping                      raises, unless an earlier copy may have arrived
    client_expired, and this is new          takes a new id, sends it again
    client_expired, sequence_expired         raises OutcomeUnknown: it may be the retry of what was applied
    other Unavailable                        sends it again, after a pause: it may have arrived

Values are JSON, so that whoever reads the Barn with another tool can read them; bytes go in as they are.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar, cast

import anyio
import msgspec

from runink.barn.commands import (
    Applied,
    Command,
    Compare,
    Declined,
    Delete,
    DeleteRange,
    GrantLease,
    Is,
    KeepAlive,
    Of,
    Operation,
    Put,
    RevokeLease,
    Txn,
)
from runink.barn.history import Watched
from runink.barn.keyvalue import Change, KeyValue, Page, Span, key_prefix, one_key
from runink.barn.watching import Interest
from runink.clients.barn_requests import (
    BarnRequest,
    BarnStatus,
    Pages,
    Propose,
    Read,
    Status,
    WatchFrom,
)
from runink.clock import now_ms
from runink.errors import (
    Broken,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Refused,
    Unavailable,
)
from runink.loops import now_s
from runink.names import run_id
from runink.runtime.actor import Request
from runink.runtime.ref import Ref

WITHIN_S: Final = 10.0  # a restart of the Barn takes a second or two
IN_FLIGHT_MAX: Final = 32  # half of the answers that the Barn keeps of a client (`sessions.ANSWERS_MAX`): so far at most from the oldest to the newest
PAUSE_S: Final = 0.05  # doubled with each retry
PAUSE_S_MAX: Final = 1.0
WATCH_WAIT_S: Final = 30.0  # how long a poll waits; shorter than what cuts idle connections
WATCH_GRACE_S: Final = 5.0  # what a poll's answer may take beyond its wait
CHANGES_MAX: Final = 1000  # of one answer to a watch

DECODED_KEPT_MAX: Final = 1024  # values: who is told of a change next finds it; some batches
DECODED_BYTES_MAX: Final = 4096  # of one; larger ones are few

_SURELY_NOT_APPLIED: Final = frozenset({"disk_full", "stopping", "overloaded"})

T = TypeVar("T")


class Found(msgspec.Struct, Generic[T], frozen=True):
    """A key's value as it stands, the revision to compare with when it is changed, and the one in which it was created."""

    key: str
    value: T
    revision: int
    version: int
    lease: int
    created: int


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """The keys of a span in order, at `revision`: where a watch goes on from."""

    items: tuple[Found[T], ...]
    revision: int
    count: int


class Committed(msgspec.Struct, frozen=True):
    """What became of a transaction. `failed` are the keys whose conditions did not hold."""

    succeeded: bool
    revision: int
    failed: tuple[str, ...]


class Transaction(msgspec.Struct, frozen=True):
    """Conditions, and what is done if they all hold. Every method returns a new one."""

    compares: tuple[Compare, ...] = ()
    operations: tuple[Operation, ...] = ()

    def if_revision(self, key: str, revision: int) -> Transaction:
        """Only if the key was last changed in this revision."""
        return self._if(Compare(key, Of.MOD_REVISION, Is.EQUAL, revision))

    def if_absent(self, key: str) -> Transaction:
        return self._if(Compare(key, Of.VERSION, Is.EQUAL, 0))

    def if_present(self, key: str) -> Transaction:
        return self._if(Compare(key, Of.VERSION, Is.GREATER, 0))

    def if_unchanged(self, prefix: str, revision: int) -> Transaction:
        """Only if no key with this prefix is new or was changed behind the revision."""
        span = key_prefix(prefix)
        return self._if(Compare(span.start, Of.MOD_REVISION, Is.LESS, revision + 1, span.end))

    def put(self, key: str, value: Any, *, lease: int = 0) -> Transaction:
        return self._do(Put(key, encode_value(value), lease))

    def delete(self, key: str) -> Transaction:
        return self._do(Delete(key))

    def delete_prefix(self, prefix: str) -> Transaction:
        span = key_prefix(prefix)
        return self._do(DeleteRange(span.start, span.end))

    def _if(self, compare: Compare) -> Transaction:
        return Transaction((*self.compares, compare), self.operations)

    def _do(self, operation: Operation) -> Transaction:
        return Transaction(self.compares, (*self.operations, operation))


def encode_value(value: Any) -> bytes:
    """Return a value as the Barn holds it: bytes as they are, everything else as JSON with sorted keys."""
    if isinstance(value, bytes):
        return value
    return msgspec.json.encode(value, order="sorted")


def decode_value(item: KeyValue, kind: type[T]) -> Found[T]:
    """Return a key with its value as a `kind`. Raises Broken (`value_unreadable`) if it is none, naming the key."""
    if kind is bytes:
        value = cast("T", item.value)
    else:
        try:
            value = _decoded(item.value, kind)
        except msgspec.DecodeError as error:
            raise Broken(
                f"the value of {item.key} is no {kind.__name__}: {error}", code="value_unreadable"
            ) from error
    return Found(item.key, value, item.mod_revision, item.version, item.lease, item.create_revision)


def _decoded(value: bytes, kind: Any) -> Any:
    """Return what bytes hold. All of a process who are told of the same change have the same record, where it is small and frozen."""
    config = getattr(kind, "__struct_config__", None)
    is_shared = config is not None and config.frozen and len(value) <= DECODED_BYTES_MAX
    return _shared(value, kind) if is_shared else msgspec.json.decode(value, type=kind)


@lru_cache(DECODED_KEPT_MAX)
def _shared(value: bytes, kind: Any) -> Any:
    return msgspec.json.decode(value, type=kind)


def new_client_id() -> str:
    """Make an id that nobody else has and that sorts by time."""
    return run_id(now_ms=now_ms(), entropy=os.urandom(10))


class BarnClient:
    """One client of the Barn; any number of tasks may use it at once."""

    def __init__(
        self,
        barn: Ref[BarnRequest],
        *,
        within_s: float = WITHIN_S,
        new_id: Callable[[], str] = new_client_id,
    ) -> None:
        self._barn = barn
        self._within_s = within_s
        self._new_id = new_id
        self._client = new_id()
        self._sequence = 0
        self._in_flight: dict[object, int] = {}  # sequences, oldest first
        self._one_over: anyio.Event | None = None  # of those who wait until fewer are under way

    async def get(self, key: str, kind: type[T]) -> Found[T] | None:
        """Return a key, or nothing if it is not there."""
        pages = await self.read(one_key(key))
        items = pages.pages[0].items
        return decode_value(items[0], kind) if items else None

    async def range(self, prefix: str, kind: type[T], *, limit: int = 0) -> Listing[T]:
        """Return the keys that begin with `prefix`, the first `limit` of them (0: all)."""
        page = (await self.read(key_prefix(prefix), limit=limit)).pages[0]
        return Listing(
            tuple(decode_value(item, kind) for item in page.items), page.revision, page.count
        )

    async def read(self, *spans: Span, limit: int = 0, revision: int = 0) -> Pages:
        """Return what several spans held at one revision (0: the newest), undecoded; reads on where it does not fit one answer.

        Raises Refused (`compacted`, `future_revision`).
        """
        pages = await self.ask(Read(spans, limit, revision))
        at = revision or pages.revision
        whole = [
            await self._read_on(span, page, limit=limit, revision=at)
            for span, page in zip(spans, pages.pages, strict=True)
        ]
        return Pages(tuple(whole), pages.revision)

    async def _read_on(self, span: Span, page: Page, *, limit: int, revision: int) -> Page:
        items = list(page.items)
        is_more = page.more
        while is_more and not 0 < limit <= len(items):  # ends: each answer has a key at least
            start = items[-1].key + "\0" if items else span.start
            left = limit - len(items) if limit else 0
            rest = (await self.ask(Read((Span(start, span.end),), left, revision))).pages[0]
            items += rest.items
            is_more = rest.more
        return Page(tuple(items), page.revision, page.count, is_more)

    async def ask(self, request: Request[T]) -> T:
        """Ask the Barn anything that changes nothing. Raises what the table of requests says, and TimedOut."""
        return await self._barn.ask(request, within=self._within_s)

    async def put(self, key: str, value: Any, *, lease: int = 0) -> int:
        """Set a key and return the revision."""
        return (await self.propose(Put(key, encode_value(value), lease))).revision

    async def delete(self, key: str) -> bool:
        """Delete a key and say whether it was there."""
        return (await self.propose(Delete(key))).deleted > 0

    async def delete_prefix(self, prefix: str) -> int:
        """Delete all keys that begin with `prefix` and return how many."""
        span = key_prefix(prefix)
        return (await self.propose(DeleteRange(span.start, span.end))).deleted

    async def commit(self, transaction: Transaction) -> Committed:
        """Do a transaction, or find that a condition does not hold; that is no error here."""
        answer = await self.propose(Txn(transaction.compares, transaction.operations))
        failed = tuple(transaction.compares[place].key for place in answer.failed)
        return Committed(answer.succeeded, answer.revision, failed)

    async def grant_lease(self, ttl_s: float) -> int:
        """Return a new lease: keys put with it go when it is not kept alive for `ttl_s`."""
        return (await self.propose(GrantLease(round(ttl_s * 1000)))).lease

    async def keep_lease(self, lease: int) -> None:
        """Begin a lease's time anew. Raises NotFound if it has ended."""
        await self.propose(KeepAlive(lease))

    async def revoke_lease(self, lease: int) -> None:
        """End a lease and its keys. Raises NotFound if it has ended."""
        await self.propose(RevokeLease(lease))

    async def status(self) -> BarnStatus:
        return await self.ask(Status())

    async def watch(self, *prefixes: str, after_revision: int) -> AsyncGenerator[Watched, None]:
        """Yield every change of keys with these prefixes behind a revision, once and in order, whole revisions, for as long as it is asked.

        Goes on by itself after a restart of the Barn or a lost link, however long that takes. Raises Refused (`compacted`) if it was away for
        longer than changes are kept: read anew then.
        """
        parts: list[Change] = []
        async with aclosing(self.polls(Interest(prefixes), after_revision)) as answers:
            async for watched in answers:
                parts += watched.changes
                if parts and not watched.part:
                    yield Watched(tuple(parts), watched.revision)
                    parts = []

    async def polls(self, interest: Interest, after_revision: int) -> AsyncGenerator[Watched, None]:
        """Yield all that a watch is answered: changes, parts of a revision that is too large, and empty answers, which say how far nothing has happened. Else like `watch`."""
        pause_s = PAUSE_S
        part = 0
        while True:  # ends when the caller stops asking
            request = WatchFrom(
                interest.prefixes,
                after_revision,
                CHANGES_MAX,
                WATCH_WAIT_S,
                interest.spans,
                interest.skip,
                interest.want_before,
                part,
            )
            try:
                watched = await self._barn.ask(request, within=WATCH_WAIT_S + WATCH_GRACE_S)
            except Unavailable:
                await anyio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
                continue
            pause_s = PAUSE_S
            after_revision, part = watched.revision, watched.part
            yield watched

    async def propose(self, command: Command) -> Applied:
        """Propose any command; the other methods are short for this. Raises what the module's table says, and Invalid."""
        while self._is_far_ahead():  # ends: the oldest has a deadline
            if self._one_over is None:
                self._one_over = anyio.Event()
            await self._one_over.wait()
        self._sequence += 1
        mark = object()
        self._in_flight[mark] = self._sequence
        try:
            return await self._propose(Propose(self._client, self._sequence, command), mark)
        finally:
            self._in_flight.pop(mark, None)
            if self._one_over is not None:
                self._one_over.set()
                self._one_over = None

    def _is_far_ahead(self) -> bool:
        """Say whether the next number would be so far from the oldest under way that the Barn may forget the answer to that one."""
        oldest = next(iter(self._in_flight.values()), self._sequence + 1)
        return self._sequence + 1 - oldest >= IN_FLIGHT_MAX

    async def _propose(self, request: Propose, mark: object) -> Applied:
        deadline_s = now_s() + self._within_s
        may_have_arrived = is_renewed = False
        pause_s = PAUSE_S
        while True:  # ends at the deadline at the latest
            left_s = max(deadline_s - now_s(), 0.0)
            try:
                answer = await self._barn.ask(request, within=left_s)
            except Unavailable as error:
                may_have_arrived |= error.code not in _SURELY_NOT_APPLIED
                hopeless = not isinstance(error, Overloaded) and not may_have_arrived
                if hopeless or anyio.current_time() + pause_s >= deadline_s:
                    raise _outcome(error, may_have_arrived=may_have_arrived) from error
                await anyio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
                continue
            if isinstance(answer, Applied):
                return answer
            if answer.code != "client_expired" or may_have_arrived or is_renewed:
                raise _declined(answer)
            request = self._renewed(request, mark)
            is_renewed = True

    def _renewed(self, request: Propose, mark: object) -> Propose:
        """Return the request under a new id: the Barn has forgotten the old one."""
        if self._client == request.client:
            self._client = self._new_id()
            self._sequence = 0
            self._in_flight.clear()  # numbers of the old id
        self._sequence += 1
        self._in_flight[mark] = self._sequence
        return Propose(self._client, self._sequence, request.command)


def _outcome(error: Unavailable, *, may_have_arrived: bool) -> Unavailable:
    if not may_have_arrived or isinstance(error, OutcomeUnknown):
        return error
    return OutcomeUnknown(
        f"no answer from the Barn in time: {error.text}",
        hint="read the key to see whether the change took place",
    )


def _declined(answer: Declined) -> Refused | Unavailable:
    if answer.code in ("client_expired", "sequence_expired"):
        return OutcomeUnknown(answer.text, hint="read the key to see whether it took place")
    if answer.code == "lease_not_found":
        return NotFound(answer.text, code=answer.code, hint="grant a new lease")
    if answer.code == "quota_exceeded":
        hint = "delete what is not needed, `runi clean` forgets old runs; or `runi barn limits --quota`"
        # Whoever waits for room on a full disk waits here too: the same put may succeed later.
        return Unavailable(answer.text, code=answer.code, hint=hint)
    return Refused(answer.text, code=answer.code)
