"""An ordered map of a million keys, and views of it that stand still.

The items stand in chunks of at most CHUNK_ITEMS, each a sorted list of keys beside a list of what they stand for; `_firsts` holds every chunk's first
key.  A look is two binary searches, a write moves a chunk's pointers at most.  One sorted list of all keys would move 8 MB for every new key.

`freeze` returns a view of this moment for the price of a list of the chunks: from then on whoever writes to a chunk that a view may hold writes to a copy of it.

Invariants
- No chunk is empty, and the keys ascend within a chunk and from each chunk to the next.
- `_firsts[n]` is the first key of `_chunks[n]`.
- A chunk of an older epoch than the map's may stand in a view, and is not written to.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from runink.barn.keyvalue import Span

CHUNK_ITEMS: Final = 512  # a copy takes some 5 us, a look 9 steps
_MERGED_ITEMS: Final = CHUNK_ITEMS // 2  # two neighbours that have this together become one


class Keyed(Protocol):
    """What has a key."""

    @property
    def key(self) -> str: ...


V = TypeVar("V", bound=Keyed)
T_co = TypeVar("T_co", covariant=True)


class Many(Protocol[T_co]):
    """What has a length and can be walked over, as often as wanted."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[T_co]: ...


class _Chunk(Generic[V]):
    __slots__ = ("epoch", "items", "keys")

    def __init__(self, keys: list[str], items: list[V], epoch: int) -> None:
        self.keys = keys
        self.items = items
        self.epoch = epoch


class Frozen(Generic[V]):
    """The items of one moment, in order. Any thread may walk over it."""

    def __init__(self, chunks: list[_Chunk[V]], size: int) -> None:
        self._chunks = chunks
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[V]:
        for chunk in self._chunks:
            yield from chunk.items


class OrderedMap(Generic[V]):
    """Items by key, in the order of their keys."""

    def __init__(self) -> None:
        self._chunks: list[_Chunk[V]] = []
        self._firsts: list[str] = []
        self._size = 0
        self._epoch = 0

    @classmethod
    def of_sorted(cls, items: list[V]) -> OrderedMap[V]:
        """Return the map of these items, whose keys ascend."""
        built = cls()
        for at in range(0, len(items), CHUNK_ITEMS):
            some = items[at : at + CHUNK_ITEMS]
            built._chunks.append(_Chunk([item.key for item in some], some, 0))
        built._firsts = [chunk.keys[0] for chunk in built._chunks]
        built._size = len(items)
        return built

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[V]:
        return iter(Frozen(self._chunks, self._size))

    def get(self, key: str) -> V | None:
        """Return what stands at this key, or nothing."""
        return self.find(key)[2]

    def find(self, key: str) -> tuple[int, int, V | None]:
        """Return where a key stands or would stand, and what is there: good until the next write."""
        place = bisect_right(self._firsts, key) - 1
        if place < 0:
            return 0, 0, None
        chunk = self._chunks[place]
        keys = chunk.keys
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            return place, at, chunk.items[at]
        return place, at, None

    def set(self, item: V) -> V | None:
        """Put an item at its key and return what stood there before."""
        place, at, before = self.find(item.key)
        if before is None:
            self.insert_at(place, at, item)
        else:
            self.replace_at(place, at, item)
        return before

    def replace_at(self, place: int, at: int, item: V) -> None:
        """Put an item where `find` has found one with its key."""
        chunk = self._chunks[place]
        if chunk.epoch != self._epoch:
            chunk = self._owned(place)
        chunk.items[at] = item

    def insert_at(self, place: int, at: int, item: V) -> None:
        """Put an item where `find` has found none with its key."""
        if not self._chunks:
            self._chunks.append(_Chunk([item.key], [item], self._epoch))
            self._firsts.append(item.key)
            self._size = 1
            return
        chunk = self._owned(place)
        chunk.keys.insert(at, item.key)
        chunk.items.insert(at, item)
        self._size += 1
        if at == 0:
            self._firsts[place] = item.key
        if len(chunk.keys) > CHUNK_ITEMS:
            self._split(place, at)

    def pop(self, key: str) -> V | None:
        """Take out what stands at this key and return it, or nothing."""
        place = bisect_right(self._firsts, key) - 1
        if place < 0:
            return None
        keys = self._chunks[place].keys
        at = bisect_left(keys, key)
        if at == len(keys) or keys[at] != key:
            return None
        chunk = self._owned(place)
        item = chunk.items[at]
        self._cut(place, at, at + 1)
        return item

    def pop_span(self, span: Span) -> list[V]:
        """Take out the items of a span and return them in order."""
        gone: list[V] = []
        place, at = self._place(span.start)
        while place < len(self._chunks):  # each round empties the chunk behind `at`, or is the last
            chunk = self._chunks[place]
            end = bisect_left(chunk.keys, span.end) if span.end else len(chunk.keys)
            if end <= at:
                break
            is_last = end < len(chunk.keys)
            gone += chunk.items[at:end]
            self._owned(place)
            is_emptied = end - at == len(chunk.keys)
            self._cut(place, at, end, is_merged=is_last)
            if is_last:
                break
            place, at = (place, 0) if is_emptied else (place + 1, 0)
        return gone

    def count(self, span: Span) -> int:
        """Return how many items a span holds."""
        place, at = self._place(span.start)
        end_place, end_at = self._place(span.end) if span.end else (len(self._chunks), 0)
        if (end_place, end_at) <= (place, at):
            return 0
        between = sum(len(chunk.keys) for chunk in self._chunks[place:end_place])
        return between - at + end_at

    def walk(self, span: Span, *, descending: bool = False) -> Iterator[V]:
        """Yield the items of a span in order; nothing may be written meanwhile."""
        place, at = self._place(span.start)
        end_place, end_at = self._place(span.end) if span.end else (len(self._chunks), 0)
        if (end_place, end_at) <= (place, at):
            return
        places = range(place, min(end_place + 1, len(self._chunks)))
        for number in reversed(places) if descending else places:
            items = self._chunks[number].items
            begin = at if number == place else 0
            end = end_at if number == end_place else len(items)
            some = items[begin:end]
            yield from reversed(some) if descending else some

    def freeze(self) -> Frozen[V]:
        """Return a view of this moment, which no later write changes."""
        self._epoch += 1
        return Frozen(list(self._chunks), self._size)

    def _place(self, key: str) -> tuple[int, int]:
        """Return where the first item at or behind `key` stands: its chunk, and the place in it."""
        place = bisect_right(self._firsts, key) - 1
        if place < 0:
            return 0, 0
        at = bisect_left(self._chunks[place].keys, key)
        return (place, at) if at < len(self._chunks[place].keys) else (place + 1, 0)

    def _owned(self, place: int) -> _Chunk[V]:
        """Return a chunk that may be written to, in the place of one that may not."""
        chunk = self._chunks[place]
        if chunk.epoch != self._epoch:
            chunk = _Chunk(chunk.keys.copy(), chunk.items.copy(), self._epoch)
            self._chunks[place] = chunk
        return chunk

    def _split(self, place: int, at: int) -> None:
        """Make two of a chunk that has grown too long. Keys that come in order leave full chunks behind, not half ones."""
        chunk = self._chunks[place]
        is_appended = at == len(chunk.keys) - 1 and place == len(self._chunks) - 1
        middle = at if is_appended else len(chunk.keys) // 2
        behind = _Chunk(chunk.keys[middle:], chunk.items[middle:], self._epoch)
        del chunk.keys[middle:]
        del chunk.items[middle:]
        self._chunks.insert(place + 1, behind)
        self._firsts.insert(place + 1, behind.keys[0])

    def _cut(self, place: int, begin: int, end: int, *, is_merged: bool = True) -> None:
        """Take items out of a chunk of one's own, and the chunk out where nothing is left of it."""
        chunk = self._chunks[place]
        assert chunk.epoch == self._epoch
        del chunk.keys[begin:end]
        del chunk.items[begin:end]
        self._size -= end - begin
        if not chunk.keys:
            del self._chunks[place]
            del self._firsts[place]
            return
        self._firsts[place] = chunk.keys[0]
        if is_merged and place + 1 < len(self._chunks):
            following = self._chunks[place + 1]
            if len(chunk.keys) + len(following.keys) <= _MERGED_ITEMS:
                chunk.keys += following.keys
                chunk.items += following.items
                del self._chunks[place + 1]
                del self._firsts[place + 1]
