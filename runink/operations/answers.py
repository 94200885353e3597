"""What an operation is answered with: one document, a page of a list, a stream of events, bytes, or nothing but that it is done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

import msgspec

ITEMS_MAX: Final = 500  # of a page: more is a megabyte or two, and holds up everybody else
ITEMS: Final = 100  # where nobody says how many

T = TypeVar("T")


class Kind(StrEnum):
    """What comes back. A service returns the value that stands beside it."""

    DOCUMENT = "document"  # a struct
    PAGE = "page"  # Items
    EVENTS = "events"  # an async iterator of Event and Bookmark
    CONTENT = "content"  # Content
    NOTHING = "nothing"  # None


class Items(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list, as a service gives it. `after` is where the next part begins, and empty at the end."""

    items: tuple[T, ...]
    revision: int
    after: str = ""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list, as it is shown. `next` is the cursor of the next part, and empty at the end. All parts are of one revision."""

    items: tuple[T, ...]
    revision: int
    next: str


class Event(msgspec.Struct, frozen=True):
    """A change. `revision` is its id: who comes back with it is told what came behind it. `kind` is one word, for those who listen to some only."""

    revision: int
    kind: str
    data: Any


class Bookmark(msgspec.Struct, frozen=True):
    """Nothing has happened up to this revision that the stream would tell: who comes back need not look at it again."""

    revision: int


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes. `tag` is what changes when they do (their hash), and empty if that is not known."""

    media_type: str
    chunks: AsyncIterator[bytes] | bytes
    tag: str = ""
