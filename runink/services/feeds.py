"""Feeds: streams that are read part by part, over links that carry requests and answers.

    the reader asks for        and is answered
    the part that comes next   with what waits for it; else when something comes, or with an empty part after SILENT_S
    the part before            with the same part again: its answer may have been lost
    any other part             Conflict (`wrong_part`)

A feed pulls: it takes from its source until PART_BYTES or PART_EVENTS wait, and goes on when they are asked for.  So a slow reader holds two parts and one event of ours, however much
happens.  Who reads is looked at when a part is asked for, when it is given, and each second between.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import anyio

from runink.clients.api_requests import Happened, Part
from runink.errors import Broken, Conflict, NotFound, Refused, RuninkError, Unavailable
from runink.loops import Bell
from runink.operations.answers import Bookmark, Content, Event
from runink.runtime.actor import Later
from runink.services.packing import packed

PART_BYTES: Final = 256 << 10  # of what waits: beyond it nothing is taken from the source
PART_EVENTS: Final = 256
SILENT_S: Final = 10.0  # an asker waits 15 s and more, so the answer comes first
CLOSE_S: Final = 2.0  # what a source may take to end; it does nothing but let go of a watch

_log = logging.getLogger(__name__)

Source = AsyncIterator[Event | Bookmark | bytes]


def source_of(answer: Any) -> Source:
    """Return what an operation's answer is read from: the iterator of a stream, or pieces of content."""
    return _pieces(answer.chunks) if isinstance(answer, Content) else answer


async def _pieces(chunks: AsyncIterator[bytes] | bytes) -> Source:
    if isinstance(chunks, bytes):
        for at in range(0, len(chunks), PART_BYTES):
            yield chunks[at : at + PART_BYTES]
        return
    async for chunk in chunks:
        for at in range(0, len(chunk), PART_BYTES):
            yield chunk[at : at + PART_BYTES]


class Feed:
    """One stream. `check_may` raises what the reader is told once it may read no more; `pump` must be running for anything to come. `now_s` is the time at which it is opened, on a clock that only grows. `has_sent` is told the bytes of each part that is given."""

    def __init__(
        self,
        source: Source,
        check_may: Callable[[], object],
        *,
        now_s: float,
        has_sent: Callable[[int], object],
    ) -> None:
        self.used_s = now_s
        self._has_sent = has_sent
        self._last_bytes = 0
        self._source = source
        self._check_may = check_may
        self._scope = anyio.CancelScope()
        self._waiting: list[Happened | bytes] = []
        self._waiting_bytes = 0
        self._is_dry = False  # nothing more comes from the source
        self._error: RuninkError | None = None
        self._last = Part(0)
        self._asker: Later | None = None
        self._room = Bell()

    @property
    def is_over(self) -> bool:
        """Say whether its reader has been told the end."""
        return self._last.is_over or (self._is_dry and self._error is not None)

    @property
    def is_awaited(self) -> bool:
        """Say whether its reader waits for a part."""
        return self._asker is not None

    def has_given(self, part: int) -> bool:
        """Say whether this is the part that was given last."""
        return part == self._last.part

    async def pump(self) -> None:
        """Take from the source until it ends, or until `close`. What goes wrong is for the reader, and is not raised."""
        try:
            with self._scope:
                await self._take_all()
        except (Refused, Unavailable) as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - a bug of one stream is told to its reader, and the others go on
            _log.exception("stream failed")
            self._error = Broken(f"a stream has failed: {type(error).__name__}")
        finally:
            self._is_dry = True
            await self._let_go()
        self._give()

    def ask(self, part: int, asker: Later, *, now_s: float) -> None:
        """Answer with a part, now or later."""
        self.used_s = now_s
        if self._is_refused(asker):
            return
        if self.has_given(part):
            self._has_sent(self._last_bytes)
            asker.answer(self._last)
        elif part == self._last.part + 1 and not self._last.is_over:
            if self._asker is not None:
                self._asker.fail(Conflict("the same part was asked for again", code="wrong_part"))
            self._asker = asker
            self._give()
        else:
            text = f"part {part} cannot be asked for: the last was {self._last.part}"
            asker.fail(Conflict(text, code="wrong_part"))

    def tick(self, *, now_s: float) -> None:
        """Take note of the time, each second."""
        if self._asker is None:
            return
        if self._is_refused(self._asker):
            self._asker = None
        elif now_s - self.used_s >= SILENT_S:
            self._answer(())
            self.used_s = now_s

    def close(self) -> None:
        """End it, whatever it does."""
        self._scope.cancel()
        if self._asker is not None:
            self._asker.fail(NotFound("the stream is closed", code="no_such_stream"))
            self._asker = None

    async def _take_all(self) -> None:
        async for one in self._source:
            item = one if isinstance(one, bytes) else _happened(one)
            self._waiting.append(item)
            self._waiting_bytes += len(item) if isinstance(item, bytes) else len(bytes(item.data))
            self._give()
            while self._waiting_bytes >= PART_BYTES or len(self._waiting) >= PART_EVENTS:
                await self._room.wait()

    async def _let_go(self) -> None:
        close = getattr(self._source, "aclose", None)
        if close is not None:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await close()

    def _is_refused(self, asker: Later) -> bool:
        try:
            self._check_may()
        except RuninkError as error:
            self._error = error  # what has ended once has no good end later
            asker.fail(error)
            self._scope.cancel()
            return True
        return False

    def _give(self) -> None:
        """Answer who waits, if there is something to say and he may still read."""
        if self._asker is None:
            return
        if self._waiting:
            if self._is_refused(self._asker):
                self._asker = None
                return
            waiting, self._waiting = tuple(self._waiting), []
            size_bytes, self._waiting_bytes = self._waiting_bytes, 0
            self._room.ring()
            self._answer(waiting, size_bytes)
        elif self._error is not None:
            self._asker.fail(self._error)
            self._asker = None
        elif self._is_dry:
            self._answer((), is_over=True)

    def _answer(
        self, items: tuple[Happened | bytes, ...], size_bytes: int = 0, *, is_over: bool = False
    ) -> None:
        assert self._asker is not None
        self._last_bytes = size_bytes
        self._has_sent(size_bytes)
        events = tuple(one for one in items if isinstance(one, Happened))
        data = b"".join(one for one in items if isinstance(one, bytes))
        self._last = Part(self._last.part + 1, events, data, is_over)
        asker, self._asker = self._asker, None
        asker.answer(self._last)


def _happened(one: Event | Bookmark) -> Happened:
    if isinstance(one, Bookmark):
        return Happened(one.revision, "bookmark", packed(None))
    return Happened(one.revision, one.kind, packed(one.data))
