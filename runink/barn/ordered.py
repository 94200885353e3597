"""An ordered map of a million keys, and views of it that stand still.

The items stand in dicts, the shards, by a part of their key's hash; the keys stand in chunks, tuples of at most CHUNK_ITEMS in order, and `_firsts` holds every
chunk's first key.  So a look and a change of a key that is there cost the same whatever there is; only a new key is searched for its place, and makes a new tuple
in the place of the old one.  One sorted list of all keys would move 8 MB for every new key.

`freeze` copies the two lists and no item: who writes to a shard that a view may hold writes to a copy of it, and tuples are never written to.

Dicts and tuples of items that hold no other containers are left alone by the garbage collector.  Lists are not: with lists of 512 items it walked over 2,000,000 references
whenever it looked at all there is, 60 to 120 ms, during which nothing else runs.

The order of a shard, which differs from process to process, shows nowhere: everything is walked over by the chunks.

Invariants
- The keys of the chunks are those of the shards; no chunk is empty; keys ascend within a chunk and from each chunk to the next.
- `_firsts[n]` is the first key of `_chunks[n]`.
- A shard that is not `_owned` may stand in a view, and is not written to.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from runink.barn.keyvalue import Span

CHUNK_ITEMS: Final = (
    56  # the longest tuple that Python's own allocator serves, which is the fast one
)
MERGED_ITEMS: Final = CHUNK_ITEMS // 2  # two neighbours that have this together become one
SHARDS: Final = (
    512  # a power of two; of a million keys a shard has 2,000, and is copied in some 30 us
)

_SHARD_MASK: Final = SHARDS - 1


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


class Frozen(Generic[V]):
    """The items of one moment, in order. Any thread may walk over it."""

    def __init__(
        self, chunks: list[tuple[str, ...]], shards: list[dict[str, V]], size: int
    ) -> None:
        self._chunks = chunks
        self._shards = shards
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[V]:
        shards = self._shards
        for chunk in self._chunks:
            for key in chunk:
                yield shards[hash(key) & _SHARD_MASK][key]


class OrderedMap(Generic[V]):
    """Items by key, in the order of their keys."""

    def __init__(self) -> None:
        self._chunks: list[tuple[str, ...]] = []
        self._firsts: list[str] = []
        self._shards: list[dict[str, V]] = [{} for _ in range(SHARDS)]
        self._owned = bytearray(b"\1") * SHARDS
        self._size = 0

    @classmethod
    def of_sorted(cls, items: Iterable[V]) -> OrderedMap[V]:
        """Return the map of these items, whose keys ascend."""
        built = cls()
        keys: list[str] = []
        for item in items:
            key = item.key
            built._shards[hash(key) & _SHARD_MASK][key] = item
            keys.append(key)
        step = CHUNK_ITEMS
        built._chunks = [tuple(keys[at : at + step]) for at in range(0, len(keys), step)]
        built._firsts = [chunk[0] for chunk in built._chunks]
        built._size = len(keys)
        return built

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[V]:
        return iter(Frozen(self._chunks, self._shards, self._size))

    def get(self, key: str) -> V | None:
        """Return what stands at this key, or nothing."""
        return self._shards[hash(key) & _SHARD_MASK].get(key)

    def writable(self, key: str) -> dict[str, V]:
        """Return the shard of a key, for who changes what stands there already: a new key is added by `set`."""
        number = hash(key) & _SHARD_MASK
        if not self._owned[number]:
            self._shards[number] = self._shards[number].copy()
            self._owned[number] = 1
        return self._shards[number]

    def set(self, item: V) -> V | None:
        """Put an item at its key and return what stood there before."""
        shard = self.writable(item.key)
        before = shard.get(item.key)
        shard[item.key] = item
        if before is None:
            self._add_key(item.key)
        return before

    def _add_key(self, key: str) -> None:
        self._size += 1
        if not self._chunks:
            self._chunks.append((key,))
            self._firsts.append(key)
            return
        place = max(bisect_right(self._firsts, key) - 1, 0)
        changed = list(self._chunks[place])
        at = bisect_left(changed, key)
        changed.insert(at, key)
        if at == 0:
            self._firsts[place] = key
        if len(changed) <= CHUNK_ITEMS:
            self._chunks[place] = tuple(changed)
            return
        # Keys that come in order leave full chunks behind, not half ones.
        is_appended = at == len(changed) - 1 and place == len(self._chunks) - 1
        middle = at if is_appended else len(changed) // 2
        self._chunks[place : place + 1] = [tuple(changed[:middle]), tuple(changed[middle:])]
        self._firsts.insert(place + 1, changed[middle])

    def pop(self, key: str) -> V | None:
        """Take out what stands at this key and return it, or nothing."""
        found = self.get(key)
        if found is not None:
            del self.writable(key)[key]
            self._size -= 1
            place, at = self._place(key)
            chunk = self._chunks[place]
            self._put_back(place, place + 1, chunk[:at] + chunk[at + 1 :])
        return found

    def pop_span(self, span: Span) -> list[V]:
        """Take out the items of a span and return them in order."""
        place, at, end_place, end_at = self._bounds(span)
        gone = list(self._keys(place, at, end_place, end_at))
        if not gone:
            return []
        self._size -= len(gone)
        kept = self._chunks[place][:at]
        if end_place < len(self._chunks):
            kept += self._chunks[end_place][end_at:]
        self._put_back(place, end_place + 1, kept)
        return [self.writable(key).pop(key) for key in gone]

    def count(self, span: Span, *, most: int | None = None) -> int:
        """Return how many items a span holds; if it must hold more than `most`, some number above that, at once."""
        place, at, end_place, end_at = self._bounds(span)
        if (end_place, end_at) <= (place, at):
            return 0
        if most is not None and end_place - place > most + 1:
            return most + 1  # every chunk has one at least
        return sum(map(len, self._chunks[place:end_place])) - at + end_at

    def walk(self, span: Span, *, descending: bool = False) -> Iterator[V]:
        """Yield the items of a span in order; nothing may be written meanwhile."""
        bounds = self._bounds(span)
        shards = self._shards
        for key in self._keys_back(*bounds) if descending else self._keys(*bounds):
            yield shards[hash(key) & _SHARD_MASK][key]

    def freeze(self) -> Frozen[V]:
        """Return a view of this moment, which no later write changes."""
        self._owned = bytearray(SHARDS)
        return Frozen(self._chunks.copy(), self._shards.copy(), self._size)

    def _bounds(self, span: Span) -> tuple[int, int, int, int]:
        """Return where a span begins and ends: a chunk and a place in it, each."""
        begin = self._place(span.start)
        end = self._place(span.end) if span.end else (len(self._chunks), 0)
        return *begin, *end

    def _place(self, key: str) -> tuple[int, int]:
        """Return where the first key at or behind `key` stands: its chunk, and the place in it."""
        place = bisect_right(self._firsts, key) - 1
        if place < 0:
            return 0, 0
        at = bisect_left(self._chunks[place], key)
        return (place, at) if at < len(self._chunks[place]) else (place + 1, 0)

    def _keys(self, place: int, at: int, end_place: int, end_at: int) -> Iterator[str]:
        while (place, at) < (end_place, end_at):  # ends: each round goes on to the next chunk
            chunk = self._chunks[place]
            yield from chunk[at:end_at] if place == end_place else chunk[at:]
            place, at = place + 1, 0

    def _keys_back(self, place: int, at: int, end_place: int, end_at: int) -> Iterator[str]:
        while (place, at) < (end_place, end_at):  # ends: each round goes on to the chunk before
            if end_at:
                chunk = self._chunks[end_place]
                yield from reversed(chunk[at:end_at] if place == end_place else chunk[:end_at])
            end_place -= 1
            end_at = len(self._chunks[end_place]) if end_place >= 0 else 0

    def _put_back(self, place: int, end_place: int, keys: tuple[str, ...]) -> None:
        """Put what is left of some neighbours in their place, together with the next one if both are short."""
        if end_place < len(self._chunks):
            following = self._chunks[end_place]
            if len(keys) + len(following) <= MERGED_ITEMS:
                keys += following
                end_place += 1
        if len(keys) > CHUNK_ITEMS:
            middle = len(keys) // 2
            chunks = [keys[:middle], keys[middle:]]
        else:
            chunks = [keys] if keys else []
        self._chunks[place:end_place] = chunks
        self._firsts[place:end_place] = [chunk[0] for chunk in chunks]
