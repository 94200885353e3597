"""The keys and their past: what reads and writes of single keys do. No leases, no clients, no limits.

    items     what every key is now
    history   what was changed lately: the past, for reads at an older revision and for watches

A read of the past finds the keys among those that are there now and those that are gone, and each as `History.was` tells it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from operator import attrgetter
from typing import Final

from runink.barn.commands import By, Range, Want
from runink.barn.history import History, Row
from runink.barn.keyvalue import ITEM_BYTES, UNCOUNTED, Change, KeyValue, Page, Span, bytes_of
from runink.barn.ordered import OrderedMap

PAGE_ITEMS_MAX: Final = 10_000  # of one answer: some 10 ms
PAGE_BYTES_MAX: Final = 6 << 20  # with what stands around it, less than a frame
COUNT_LOOKS_MAX: Final = 10_000  # to count a span of the past by the way: some 10 ms

_key_of = attrgetter("key")
_SORTED_BY: Final = {
    By.KEY: _key_of,
    By.VERSION: attrgetter("version"),
    By.CREATE_REVISION: attrgetter("create_revision"),
    By.MOD_REVISION: attrgetter("mod_revision"),
    By.VALUE: attrgetter("value"),
}


@dataclass(slots=True)
class Room:
    """How much an answer may still hold; reads of one transaction share it."""

    items: int = PAGE_ITEMS_MAX
    size_bytes: int = PAGE_BYTES_MAX

    def take(self, item: KeyValue) -> bool:
        """Take the room of one more key, or say that there is none."""
        if self.items < 1 or self.size_bytes < 0:
            return False
        self.items -= 1
        self.size_bytes -= bytes_of(item)
        return True


class Keyspace:
    """All keys at the newest revision, and what they were at kept ones."""

    def __init__(self) -> None:
        self.items: OrderedMap[KeyValue] = OrderedMap()
        self.history = History()
        self.items_bytes = 0

    @property
    def revision(self) -> int:
        return self.history.revision

    # Writes: each tells its change; `history.add` makes a revision of them.

    def put(self, key: str, value: bytes, revision: int, lease: int) -> Change:
        """Set a key."""
        shard = self.items.writable(key)
        before = shard.get(key)
        if before is None:
            item = KeyValue(key, value, revision, revision, 1, lease)
            self.items.set(item)
            self.items_bytes += ITEM_BYTES + len(key) + len(value)
            return Change(revision, key, item)
        key = before.key  # the same text again would be kept twice
        item = KeyValue(key, value, before.create_revision, revision, before.version + 1, lease)
        shard[key] = item
        self.items_bytes += len(value) - len(before.value)
        return Change(revision, key, item, before)

    def delete(self, key: str, revision: int) -> Change | None:
        """Delete a key, if it is there."""
        before = self.items.pop(key)
        if before is None:
            return None
        self.items_bytes -= bytes_of(before)
        return Change(revision, key, None, before)

    def delete_span(self, span: Span, revision: int) -> list[Change]:
        """Delete the keys of a span."""
        gone = self.items.pop_span(span)
        self.items_bytes -= sum(map(bytes_of, gone))
        return [Change(revision, before.key, None, before) for before in gone]

    # Reads.

    def at(self, key: str, revision: int) -> KeyValue | None:
        """Return a key as it stood at a kept revision."""
        return self.history.was(key, revision, self.items.get(key))

    def select(self, query: Range, room: Room, *, now: int = 0) -> Page:
        """Answer a read. `now` is the revision that a transaction under way makes. Raises Refused (`compacted`, `future_revision`).

        While changes are done and not committed, only the newest revision can be read.
        """
        revision = query.revision or self.revision
        if query.revision:
            self.history.check_kept(revision)
        span = Span(query.start, query.end)
        if query.want is Want.COUNT:
            return Page((), now or self.revision, self._count(span, revision))
        found = self._walk(span, revision, descending=query.by is By.KEY and query.descending)
        if _has_bounds(query):
            found = (item for item in found if _is_within(query, item))
        if query.by is not By.KEY:
            found = iter(sorted(found, key=_SORTED_BY[query.by], reverse=query.descending))
        if query.want is Want.KEYS:
            found = map(_without_value, found)
        items, more = _cut(found, query.limit, room)
        is_quick = self.revision - revision <= COUNT_LOOKS_MAX
        count = self._count(span, revision) if is_quick else UNCOUNTED
        return Page(items, now or self.revision, count, more)

    def _walk(self, span: Span, revision: int, *, descending: bool) -> Iterator[KeyValue]:
        now = self.items.walk(span, descending=descending)
        if revision >= self.revision:
            yield from now
            return
        gone = self.history.gone.walk(span, descending=descending)
        both: Iterator[KeyValue | Change] = merge(now, gone, key=_key_of, reverse=descending)
        for one in both:
            current = one if isinstance(one, KeyValue) else None
            was = self.history.was(one.key, revision, current)
            if was is not None:
                yield was

    def _count(self, span: Span, revision: int) -> int:
        """Count the keys that a span held: those that it holds, less those that came since, and those that went."""
        count = self.items.count(span)
        changed: set[str] = set()
        for row in self._rows_behind(revision):
            for change in row.changes:
                if span.start <= change.key and (not span.end or change.key < span.end):
                    changed.add(change.key)
        for key in changed:
            now = self.items.get(key)
            count += (self.history.was(key, revision, now) is not None) - (now is not None)
        return count

    def _rows_behind(self, revision: int) -> Iterator[Row]:
        return map(self.history.row, range(revision + 1, self.revision + 1))


def _cut(found: Iterator[KeyValue], limit: int, room: Room) -> tuple[tuple[KeyValue, ...], bool]:
    """Return the first items, and whether there are more."""
    items: list[KeyValue] = []
    for item in found:
        if (limit and len(items) >= limit) or not room.take(item):
            return tuple(items), True
        items.append(item)
    return tuple(items), False


def _has_bounds(query: Range) -> bool:
    return bool(
        query.mod_revision_min
        or query.mod_revision_max
        or query.create_revision_min
        or query.create_revision_max
    )


def _is_within(query: Range, item: KeyValue) -> bool:
    return (
        query.mod_revision_min <= item.mod_revision
        and (not query.mod_revision_max or item.mod_revision <= query.mod_revision_max)
        and query.create_revision_min <= item.create_revision
        and (not query.create_revision_max or item.create_revision <= query.create_revision_max)
    )


def _without_value(item: KeyValue) -> KeyValue:
    return KeyValue(
        item.key, b"", item.create_revision, item.mod_revision, item.version, item.lease
    )
