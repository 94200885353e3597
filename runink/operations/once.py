"""Calls with an idempotency key, carried out: the record first, then the call, then its answer into the record. `idempotency.py` says what is to be done."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

from runink.errors import RuninkError
from runink.operations.idempotency import (
    Again,
    KeyStore,
    Record,
    decide,
    done,
    in_flight,
    is_kept,
    once_of,
    opened,
)

_NOT_AGAIN: Final = frozenset({"Retry-After", "Connection"})

_log = logging.getLogger(__name__)


class Answered(Protocol):
    """An answer in the form in which it is sent and kept. `status` is HTTP's, whatever carries it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def body(self) -> bytes: ...


T = TypeVar("T", bound=Answered)


async def once(
    store: KeyStore,
    place: str,
    request: bytes,
    *,
    call: Callable[[str], Awaitable[T]],
    clock: Callable[[], int],
) -> T | Again:
    """Make the call, or return what it was answered with. `place` is where its record is, `request` its hash; `call` is given what it goes by, `clock` returns milliseconds of the Unix epoch.

    Raises what `decide` and the store raise, and what the call does.
    """
    kept, version = await store.read(place)
    verdict = decide(kept, request, now_ms=clock())
    if isinstance(verdict, Again):
        return verdict
    record = verdict.record
    version = await store.write(place, record, version=version)
    if not version:
        raise in_flight()  # another one began between
    try:
        answered = await call(once_of(place, record))
    except BaseException:
        await _complete(store, place, opened(record), version)
        raise
    headers = {name: text for name, text in answered.headers.items() if name not in _NOT_AGAIN}
    is_done = is_kept(answered.status, answered.body)
    after = done(record, answered.status, headers, answered.body) if is_done else opened(record)
    await _complete(store, place, after, version)
    return answered


async def _complete(store: KeyStore, place: str, record: Record, version: int) -> None:
    try:
        await store.write(place, record, version=version)
    except RuninkError as error:
        # What was made is made, and its answer goes out. A repeat waits for the end of the lease and finds it.
        _log.warning("answer not kept for repeats", extra={"code": error.code})
