"""A part of the Barn held in memory: read once, then kept up by a watch.

An actor that decides on the Barn's state gives `follow` to a child task; it tells the actor `Loaded` first, then every `Watched`.  After a
transaction of its own the actor waits for the watch to reach that transaction's revision before it decides on the same things again: so it
never decides twice on a state that it has changed itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Final, Generic, TypeVar

import anyio
import msgspec

from runink.barn.history import Watched
from runink.barn.keyvalue import Change, KeyValue, key_prefix
from runink.clients.barn import BarnClient, Found, decode_value
from runink.errors import Refused, Unavailable

PAUSE_S: Final = 1.0

T = TypeVar("T")


class Loaded(msgspec.Struct, frozen=True):
    """What the prefixes held at one revision: everything known before is to be forgotten."""

    items: tuple[KeyValue, ...]
    revision: int


Seen = Loaded | Watched


async def load(barn: BarnClient, prefixes: tuple[str, ...]) -> Loaded:
    """Return what the prefixes hold."""
    pages = await barn.read(*map(key_prefix, prefixes))
    return Loaded(tuple(item for page in pages.pages for item in page.items), pages.revision)


async def load_at_last(barn: BarnClient, prefixes: tuple[str, ...]) -> Loaded:
    """Return what the prefixes hold, however long the Barn is not heard of: who needs it to begin would only begin again, until it is given up."""
    while True:  # ends by being cancelled where nobody waits for it any more
        try:
            return await load(barn, prefixes)
        except Unavailable:
            await anyio.sleep(PAUSE_S)


async def follow(
    barn: BarnClient,
    prefixes: tuple[str, ...],
    tell: Callable[[Seen], Awaitable[None]],
    *,
    after_revision: int | None = None,
) -> None:
    """Tell what the prefixes hold, then every change of them, for as long as this task lives.

    Who has loaded them says up to which revision, and is told what came after.
    """
    while True:  # comes back only if it was away for longer than changes are kept
        if after_revision is None:
            loaded = await load(barn, prefixes)
            after_revision = loaded.revision
            await tell(loaded)
        try:
            async with aclosing(barn.watch(*prefixes, after_revision=after_revision)) as changes:
                async for watched in changes:
                    await tell(watched)
        except Refused as error:
            if error.code != "compacted":
                raise
            after_revision = None


class Table(Generic[T]):
    """The keys with one prefix, decoded; with `keep` only those whose values it wants."""

    def __init__(
        self, prefix: str, kind: type[T], *, keep: Callable[[T], bool] | None = None
    ) -> None:
        self.prefix = prefix
        self._kind = kind
        self._keep = keep
        self._items: dict[str, Found[T]] = {}

    def __iter__(self) -> Iterator[Found[T]]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def values(self) -> tuple[T, ...]:
        """Return what the keys hold, without the keys."""
        return tuple(found.value for found in self._items.values())

    def get(self, key: str) -> Found[T] | None:
        """Return a key as it was last seen, or nothing if it is not there."""
        return self._items.get(key)

    def load(self, items: tuple[KeyValue, ...]) -> None:
        """Forget everything and take the items with this prefix."""
        self._items = {}
        for item in items:
            if item.key.startswith(self.prefix):
                self.put(decode_value(item, self._kind))

    def apply(self, change: Change) -> bool:
        """Take one change and say whether it was of this table."""
        if not change.key.startswith(self.prefix):
            return False
        if change.now is None:
            self.drop(change.key)
        else:
            self.put(decode_value(change.now, self._kind))
        return True

    def put(self, found: Found[T]) -> None:
        """Take a key as it stands now."""
        if self._keep is None or self._keep(found.value):
            self._items[found.key] = found
        else:
            self.drop(found.key)

    def drop(self, key: str) -> None:
        """Forget a key, if it is here."""
        self._items.pop(key, None)
