"""Records of calls with an Idempotency-Key, in the Barn: each member finds what another one has begun.

A record is attached to a lease of a day, so it goes by itself.  One lease serves for all records of an hour: it is kept alive while records are attached to it, at most once a minute, so
each record is there for a day, less that minute, and an hour longer at most.

So many new records an hour (`NEW_PER_LEASE_MAX`) are taken by one server: who sends a new key with each request would fill the Barn otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from runink.barn.keys import KEPT_CALLS
from runink.clients.barn import BarnClient, Transaction
from runink.clock import now_ms
from runink.errors import NotFound, Overloaded
from runink.operations.idempotency import KEPT_MS, Record

LEASE_SINCE_MS: Final = 3_600_000  # how long one lease takes new records
KEPT_ALIVE_MS: Final = 60_000
NEW_PER_LEASE_MAX: Final = (
    50_000  # a kilobyte each: 50 MB an hour at worst, and a Barn holds gigabytes
)


class BarnCalls:
    """A `KeyStore`. A record's version is the revision that wrote it."""

    def __init__(self, barn: BarnClient, *, clock: Callable[[], int] = now_ms) -> None:
        self._barn = barn
        self._clock = clock
        self._turn = anyio.Lock()
        self._lease = 0
        self._since_ms = 0
        self._alive_ms = 0
        self._new = 0

    async def read(self, place: str) -> tuple[Record | None, int]:
        """Return the record and its version. Raises Unavailable."""
        found = await self._barn.get(KEPT_CALLS.key(place), Record)
        return (found.value, found.revision) if found is not None else (None, 0)

    async def write(self, place: str, record: Record, *, version: int) -> int:
        """Put a record in place of that version, and return its own; 0 if another one was there. Raises Overloaded where too many are new, Unavailable."""
        key = KEPT_CALLS.key(place)
        unchanged = (
            Transaction().if_revision(key, version) if version else Transaction().if_absent(key)
        )
        lease = await self._lease_for(is_new=not version)
        try:
            committed = await self._barn.commit(unchanged.put(key, record, lease=lease))
        except NotFound:  # somebody has revoked the lease
            self._lease = 0
            lease = await self._lease_for(is_new=False)
            committed = await self._barn.commit(unchanged.put(key, record, lease=lease))
        return committed.revision if committed.succeeded else 0

    async def _lease_for(self, *, is_new: bool) -> int:
        """Return the lease of this hour's records, and keep it alive. Raises Overloaded."""
        async with self._turn:
            now = self._clock()
            if not self._lease or now - self._since_ms >= LEASE_SINCE_MS:
                self._lease = await self._barn.grant_lease(KEPT_MS / 1000)
                self._since_ms = self._alive_ms = now
                self._new = 0
            elif now - self._alive_ms >= KEPT_ALIVE_MS:
                await self._keep(now)
            if is_new and self._new >= NEW_PER_LEASE_MAX:
                raise Overloaded(
                    "too many calls with new Idempotency-Keys were made within the hour",
                    hint="send it without a key, or later",
                )
            self._new += is_new
            return self._lease

    async def _keep(self, now: int) -> None:
        try:
            await self._barn.keep_lease(self._lease)
        except NotFound:
            self._lease = await self._barn.grant_lease(KEPT_MS / 1000)
            self._since_ms = now
        self._alive_ms = now
