"""Records of calls with an Idempotency-Key, in the Barn: each member finds what another one has begun.

A record is attached to a lease of a day, so it goes by itself.  One lease serves for all records of an hour: it is kept alive while records are attached to it, at most once a minute, so
each record is there for a day, less that minute, and an hour longer at most.

So many new records an hour (`NEW_PER_LEASE_MAX`) are taken by one server, and so many of them of one who asks (`NEW_OF_ONE_MAX`): who sends a new key with each request would fill the Barn otherwise, or
take the keys of all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import anyio

from runink.barn.keys import KEPT_CALLS
from runink.clients.barn import BarnClient, Transaction
from runink.clock import now_ms
from runink.errors import NotFound, Overloaded
from runink.operations.idempotency import KEPT_MS, OF_SUBJECT, Record

LEASE_SINCE_MS: Final = 3_600_000  # how long one lease takes new records
KEPT_ALIVE_MS: Final = 60_000
NEW_PER_LEASE_MAX: Final = (
    50_000  # a kilobyte each: 50 MB an hour at worst, and a Barn holds gigabytes
)

NEW_OF_ONE_MAX: Final = 25_000  # of one who asks: seven a second, for an hour


class BarnCalls:
    """A `KeyStore`. A record's version is the revision that wrote it."""

    def __init__(self, barn: BarnClient, *, clock: Callable[[], int] = now_ms) -> None:
        self._barn = barn
        self._clock = clock
        self._turn = anyio.Lock()
        self._lease = 0
        self._since_ms = 0
        self._alive_ms = 0
        self._new: Counter[str] = Counter()  # by who asks

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
        lease = await self._lease_for("" if version else place[:OF_SUBJECT])
        try:
            committed = await self._barn.commit(unchanged.put(key, record, lease=lease))
        except NotFound:  # somebody has revoked the lease
            self._lease = 0
            lease = await self._lease_for("")
            committed = await self._barn.commit(unchanged.put(key, record, lease=lease))
        return committed.revision if committed.succeeded else 0

    async def _lease_for(self, asker: str) -> int:
        """Return the lease of this hour's records, and keep it alive. `asker` is whose new record it is for, empty for one that is there. Raises Overloaded."""
        async with self._turn:
            now = self._clock()
            if not self._lease or now - self._since_ms >= LEASE_SINCE_MS:
                self._lease = await self._barn.grant_lease(KEPT_MS / 1000)
                self._since_ms = self._alive_ms = now
                self._new.clear()
            elif now - self._alive_ms >= KEPT_ALIVE_MS:
                await self._keep(now)
            if asker:
                is_too_much = self._new[asker] >= NEW_OF_ONE_MAX
                if is_too_much or self._new.total() >= NEW_PER_LEASE_MAX:
                    raise Overloaded(
                        f"{'you have' if is_too_much else 'all callers have'} made too many calls with new Idempotency-Keys within the hour",
                        hint="send it without a key, or later",
                    )
                self._new[asker] += 1
            return self._lease

    async def _keep(self, now: int) -> None:
        try:
            await self._barn.keep_lease(self._lease)
        except NotFound:
            self._lease = await self._barn.grant_lease(KEPT_MS / 1000)
            self._since_ms = now
        self._alive_ms = now
