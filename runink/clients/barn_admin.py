"""What people and tools ask of the Barn beyond the values of the control plane: raw keys, the past, leases, limits, backups.

It stands beside `BarnClient` and asks through it: one client, one row of numbers, one promise of once-only.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
from msgspec.structs import replace

from runink.barn.commands import Applied, By, ClearAlarm, Command, Compact, Range, SetLimits
from runink.barn.keyvalue import Page
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import (
    Backup,
    BarnStatus,
    Defrag,
    Defragged,
    Hash,
    HashAt,
    LeaseFacts,
    Leases,
    LeaseStatus,
    Select,
)


class BarnAdmin:
    """The Barn as it is, for whoever looks after it."""

    def __init__(self, barn: BarnClient) -> None:
        self._barn = barn

    async def pages(self, query: Range) -> AsyncGenerator[Page, None]:
        """Yield what a query finds, page by page, all at the revision of the first one.

        A query that sorts by anything but the key has one page, because the rest of it begins nowhere. Raises Refused (`compacted`, `future_revision`).
        """
        left = query.limit
        while True:  # ends: each page has a key at least, or is the last
            page = (await self._barn.ask(Select((query,)))).pages[0]
            yield page
            left -= len(page.items) if query.limit else 0
            if not page.more or query.by is not By.KEY or (query.limit and left < 1):
                return
            at = query.revision or page.revision
            last = page.items[-1].key
            if query.descending:
                query = replace(query, end=last, revision=at, limit=left)
            else:
                query = replace(query, start=last + "\0", revision=at, limit=left)

    async def propose(self, command: Command) -> Applied:
        """Propose any command; raises as `BarnClient.propose`."""
        return await self._barn.propose(command)

    async def compact(self, revision: int) -> None:
        """Forget the changes up to and with a revision. Raises Refused (`future_revision`)."""
        await self.propose(Compact(revision))

    async def set_limits(self, limits: SetLimits) -> None:
        """Set the quota and what is kept of the past. Raises Invalid."""
        await self.propose(limits)

    async def clear_alarm(self) -> None:
        """Let puts in again, until the next one that is over the quota."""
        await self.propose(ClearAlarm())

    async def status(self) -> BarnStatus:
        return await self._barn.status()

    async def leases(self) -> tuple[LeaseFacts, ...]:
        """Return all leases, without their keys."""
        return (await self._barn.ask(Leases())).leases

    async def lease(self, lease: int) -> LeaseFacts:
        """Return a lease with its keys. Raises NotFound (`lease_not_found`)."""
        return await self._barn.ask(LeaseStatus(lease))

    async def keep_alive(self, lease: int, *, every_s: float) -> AsyncGenerator[int, None]:
        """Renew a lease now and every so often, and yield after each time how often that was, for as long as it is asked. Raises NotFound when it has ended."""
        times = 0
        while True:  # ends when the caller stops asking, or with the lease
            await self._barn.keep_lease(lease)
            times += 1
            yield times
            await anyio.sleep(every_s)

    async def hash_at(self, revision: int = 0) -> Hash:
        """Return the running hash behind a revision (0: the newest). Raises Refused (`compacted`, `future_revision`)."""
        return await self._barn.ask(HashAt(revision))

    async def defrag(self) -> Defragged:
        """Write a snapshot and drop the log before it. Raises Unavailable (`disk_full`)."""
        return await self._barn.ask(Defrag())

    async def backup(self) -> AsyncGenerator[bytes, None]:
        """Yield the state of this moment in parts. Raises NotFound (`backup_gone`) if the Barn has started anew meanwhile."""
        number, part = 0, 0
        while True:  # ends with the last part
            answer = await self._barn.ask(Backup(number, part))
            yield answer.data
            if answer.is_last:
                return
            number, part = answer.backup, part + 1
