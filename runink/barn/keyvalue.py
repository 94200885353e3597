"""The Barn's nouns: a key with its value and history counters, a change to it, and a span of keys.

Keys are text and sort by their UTF-8 bytes (which is how Python sorts them); values are bytes that the Barn never looks into.
"""

from __future__ import annotations

from typing import Final

import msgspec

ITEM_BYTES: Final = 200  # of the structs and numbers around a key and its value
UNCOUNTED: Final = -1  # in place of a number that would take too long to find
_LAST_CHARACTER: Final = 0x10FFFF
_BEFORE_SURROGATES: Final = 0xD7FF  # the next code points are no characters and cannot be encoded
_AFTER_SURROGATES: Final = 0xE000


class KeyValue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A key as it stands. The store's revision when it was created and when it was last changed, how often since, and the lease it dies with (0: none)."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one revision did to one key: `now` is what it became, nothing if it was deleted.

    `before` is what it was, nothing if it was not there; a watch that did not ask for it is given none.
    """

    revision: int
    key: str
    now: KeyValue | None
    before: KeyValue | None = None


class Span(msgspec.Struct, frozen=True, array_like=True):
    """The keys from `start` up to, not including, `end`; `end` empty means up to the last key."""

    start: str
    end: str = ""


class Page(msgspec.Struct, frozen=True, array_like=True):
    """What a span held: the keys that were asked for, and how many keys it held in all.

    A span of long ago is counted only for who asks for the count alone (`UNCOUNTED`).  `revision` is the store's when it was read.  `more` says that keys which were asked for did not find room: the answer had a limit, of the asker or of
    the Barn, and reading goes on behind the last key.
    """

    items: tuple[KeyValue, ...]
    revision: int
    count: int
    more: bool = False


def one_key(key: str) -> Span:
    """Return the span of this key alone."""
    return Span(key, key + "\0")


def bytes_of(item: KeyValue | None) -> int:
    """Return what a key as it stood counts for against limits; one that is not there counts for nothing.

    A measure that every member takes alike, close to what it takes in memory.
    """
    return ITEM_BYTES + len(item.key) + len(item.value) if item is not None else 0


def key_prefix(prefix: str) -> Span:
    """Return the span of all keys that begin with `prefix`; an empty prefix means every key."""
    bare = prefix.rstrip(chr(_LAST_CHARACTER))
    if not bare:
        return Span(prefix)
    last = ord(bare[-1])
    following = _AFTER_SURROGATES if last == _BEFORE_SURROGATES else last + 1
    return Span(prefix, bare[:-1] + chr(following))
