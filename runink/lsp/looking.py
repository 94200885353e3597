"""When pages are looked at: one look at a time for each, and one more behind it if the page has changed meanwhile, however many changes there were.

    a short page    is judged at once; if it changes meanwhile, the judging is given up and begins again
    a long page     is read at once, which says what the parser finds; it is judged when nothing has changed for QUIET_S

What reading and judging are is the `Sight`'s; this knows no protocol, and time from the event loop alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import anyio

from runink.lsp.project import Superseded

QUIET_S: Final = 0.3  # longer than between two keys, shorter than one waits for


class Sight(Protocol):
    """How a page is looked at."""

    def is_open(self, uri: str) -> bool:
        """Say whether there is such a page."""

    def is_long(self, uri: str) -> bool:
        """Say whether the page is too long to be judged at every key."""

    async def read(self, uri: str) -> None:
        """Read the page as it is now and tell what is wrong with its text."""

    async def judge(self, uri: str, is_stale: Callable[[], bool]) -> None:
        """Find and tell all that is wrong with the page. Raises Superseded, at the latest in the end, when `is_stale` says so."""


class Looking:
    """Looks at pages when they have changed."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._stale: set[str] = set()  # pages that have changed since the look at them began
        self._news: dict[str, anyio.Event] = {}  # set at a change; of pages that are looked at
        self._done: dict[str, anyio.Event] = {}

    async def look(self, uri: str) -> None:
        """Look at a page that has changed, until it has been seen as it is; or leave that to the look that goes on."""
        self._stale.add(uri)
        if uri in self._done:
            self._news[uri].set()
            return
        self._done[uri] = anyio.Event()
        try:
            while uri in self._stale and self._sight.is_open(uri):
                self._stale.discard(uri)
                self._news[uri] = anyio.Event()
                await self._once(uri)
        finally:
            self._done.pop(uri).set()
            self._news.pop(uri, None)

    async def seen(self, uri: str) -> None:
        """Wait until no look at a page goes on."""
        while (done := self._done.get(uri)) is not None:
            await done.wait()

    async def _once(self, uri: str) -> None:
        if self._sight.is_long(uri):
            await self._sight.read(uri)
            with anyio.move_on_after(QUIET_S):
                await self._news[uri].wait()
        if uri in self._stale:
            return
        with suppress(Superseded):  # it has changed, and is looked at once more
            await self._sight.judge(uri, lambda: uri in self._stale)
