"""The last changes, by revision: what watches and reads of the past are answered from.

A row is a revision: its changes in the order in which they were done, and the running hash behind it.  Rows follow each other without a gap, so a revision is found
by its place.  Bounded by number and by bytes; the oldest revisions go first, and always whole.  What is told from a revision below what is kept is refused
(`compacted`): it would miss changes and not know it.

    at revision R, a key was     where
    what it is now               if it was last changed in R or before
    `before` of a change         of the first change behind R that is kept of it
    not there                    otherwise

So `_chains` holds the kept changes of a key, oldest first, but not the one that created a key of which no other is kept: most keys have no chain.  One
change stands there by itself, more in a list.
`gone` holds the last change of every key that is not there any more and was at a kept revision.

Compacting moves a number; the memory is given back by `sweep`, a few rows at every command, so that no command takes long.  What is not swept yet is
never looked at, and counts for nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from runink.barn.keyvalue import ITEM_BYTES, Change, KeyValue
from runink.barn.ordered import OrderedMap
from runink.barn.rows import Rows
from runink.errors import Refused

SWEEP_ROWS: Final = 64  # some 30 us
CHANGE_BYTES: Final = 300  # what a change takes beside the key as it was: structs, numbers, hash
_SHORT_CHAIN: Final = 64  # of longer ones, the swept beginning is cut off now and then

_revision_of = attrgetter("revision")


class Watched(msgspec.Struct, frozen=True, array_like=True):
    """Changes in order; `revision` and `part` are how far they reach, and where to go on from. With `part` 0 the revisions are whole (`watching.py`)."""

    changes: tuple[Change, ...]
    revision: int
    part: int = 0


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A revision: its changes, the running hash behind it, and how many changes and bytes there were up to it, ever."""

    changes: tuple[Change, ...]
    digest: bytes
    changes_total: int
    bytes_total: int


def is_compacted(revision: int, compacted: int) -> Refused:
    """Return the error for whoever asks for what is not kept any more."""
    return Refused(
        f"changes up to revision {compacted} are not kept any more, asked for from {revision}",
        code="compacted",
        hint="read the keys anew and watch from that revision",
        revision=compacted,
    )


class History:
    """Kept changes. Every revision above `compacted` up to the store's own is there, whole."""

    def __init__(self, *, compacted: int = 0, digest: bytes = b"") -> None:
        self._rows: Rows[Row] = Rows()
        self._swept = compacted  # the revision before that of the first of them
        self._is_sweeping = False
        self._chains: dict[str, Change | list[Change]] = {}
        self._newest = self._dropped = Row((), digest, 0, 0)  # the last one, and the last compacted
        self.gone: OrderedMap[Change] = OrderedMap()
        self.compacted = compacted
        self.revision = compacted
        self.size_bytes = 0  # what the kept changes count for

    def __len__(self) -> int:
        """Return how many changes are kept."""
        return self._newest.changes_total - self._dropped.changes_total

    def add(self, changes: tuple[Change, ...], digest: bytes) -> None:
        """Append a revision."""
        assert changes
        size = 0
        for change in changes:
            before = change.before
            size += CHANGE_BYTES + len(change.key)
            if before is not None:
                size += ITEM_BYTES + len(before.key) + len(before.value)
            self._link(change)
        newest = self._newest
        row = self._newest = Row(
            changes, digest, newest.changes_total + len(changes), newest.bytes_total + size
        )
        self._rows.append(row)
        self.revision += 1
        self.size_bytes += size

    def _link(self, change: Change) -> None:
        key = change.key
        chain = self._chains.get(key)
        if chain is None:
            if change.before is not None:
                self._chains[key] = change
        elif isinstance(chain, list):
            chain.append(change)
            if not len(chain) % _SHORT_CHAIN:
                self._shorten(chain)
        else:
            self._chains[key] = [chain, change]
        if change.now is None:
            self.gone.set(change)
        elif change.before is None and chain is not None:
            self.gone.pop(key)

    def _shorten(self, chain: list[Change]) -> None:
        swept = bisect_right(chain, self._swept, key=_revision_of)
        if 2 * swept >= len(chain):
            del chain[:swept]

    def keep(self, changes_max: int, bytes_max: int) -> None:
        """Compact what is over the limits, but never the newest revision: it may be larger than they are, and is kept whole."""
        lowest = self._newest.changes_total - changes_max
        while self._dropped.changes_total < lowest or self.size_bytes > bytes_max:
            if self.compacted + 1 >= self.revision:
                break
            self.compact(self.compacted + 1)

    def compact(self, revision: int) -> None:
        """Drop the changes up to and with `revision`."""
        if revision <= self.compacted:
            return
        self._dropped = self._rows[revision - self._swept - 1]
        self.compacted = revision
        self.size_bytes = self._newest.bytes_total - self._dropped.bytes_total

    def sweep(self) -> None:
        """Give back the memory of a few rows that are not kept."""
        count = min(SWEEP_ROWS, self.compacted - self._swept)
        for place in range(count):
            for change in self._rows[place].changes:
                self._unlink(change)
        self._rows.drop(count)
        self._swept += count
        self._is_sweeping = self.compacted > self._swept

    @property
    def is_swept(self) -> bool:
        """Say whether there is nothing to give back, or too little to begin with it."""
        return not self._is_sweeping and self.compacted - self._swept < SWEEP_ROWS

    def _unlink(self, change: Change) -> None:
        key = change.key
        chain = self._chains.get(key)
        if chain is None:
            return
        if isinstance(chain, list) and chain[-1].revision > change.revision:
            if len(chain) <= _SHORT_CHAIN and chain[0] is change:
                del chain[0]
        elif isinstance(chain, list) or chain.revision <= change.revision:
            del self._chains[key]
            if change.now is None:
                self.gone.pop(key)

    def _chain(self, key: str) -> Sequence[Change]:
        """Return the kept changes of a key, and maybe some that are not kept any more before them."""
        chain = self._chains.get(key, ())
        return (chain,) if isinstance(chain, Change) else chain

    def row(self, revision: int) -> Row:
        """Return a kept revision."""
        assert self.compacted < revision <= self.revision
        return self._rows[revision - self._swept - 1]

    def rows(self) -> list[Row]:
        """Return the kept revisions, a list of one's own."""
        return self._rows.behind(self.compacted - self._swept)

    def digest_at(self, revision: int) -> bytes:
        """Return the running hash behind a kept revision, or that of the last one that was compacted."""
        return (self._dropped if revision == self.compacted else self.row(revision)).digest

    def check_kept(self, revision: int) -> None:
        """Refuse a revision of the past that cannot be read, or watched from, any more, or not yet. Raises Refused (`compacted`, `future_revision`)."""
        if revision < self.compacted:
            raise is_compacted(revision, self.compacted)
        if revision > self.revision:
            raise Refused(
                f"revision {revision} is yet to come, the store is at {self.revision}",
                code="future_revision",
                revision=self.revision,
            )

    def was(self, key: str, revision: int, now: KeyValue | None) -> KeyValue | None:
        """Return a key as it stood at a kept revision; `now` is what it is at the newest."""
        if now is not None and now.mod_revision <= revision:
            return now
        chain = self._chain(key)
        following = bisect_right(chain, revision, key=_revision_of)
        before = chain[following].before if following < len(chain) else None
        return before if before is not None and before.mod_revision <= revision else None

    def revisions_of(self, key: str, after: int, now: KeyValue | None) -> Iterator[int]:
        """Yield the revisions behind a kept one in which a key was changed."""
        chain = self._chain(key)
        if not chain:
            if now is not None and now.mod_revision > after:
                yield now.mod_revision
            return
        following = bisect_right(chain, after, key=_revision_of)
        before = chain[following].before if following < len(chain) else None
        if before is not None and before.mod_revision > after:
            yield before.mod_revision  # what created the key stands in no chain
        for place in range(following, len(chain)):
            yield chain[place].revision
