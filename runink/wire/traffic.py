"""What a carrier carries: the bytes of a session, in and out, and how much of them may wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from runink.wire.events import Event
from runink.wire.session import Session

OUTPUT_BYTES_MAX: Final = 4 << 20  # written in a second even by a slow network
ENDED: Final = "the connection was closed by the other side"


class Traffic:
    """The bytes of one connection. `happened` is given what they mean."""

    def __init__(self, session: Session, happened: Callable[[Event], object]) -> None:
        self._session = session
        self._happened = happened
        self._room: anyio.Event | None = None  # of those who wait until less is unwritten

    @property
    def is_over(self) -> bool:
        return self._session.is_closed

    @property
    def is_full(self) -> bool:
        """Say whether more than OUTPUT_BYTES_MAX wait to be written: then nothing more should be read."""
        return self._session.output_bytes > OUTPUT_BYTES_MAX

    @property
    def has_output(self) -> bool:
        return self._session.output_bytes > 0

    def received(self, data: bytes, *, now: float) -> None:
        """Take bytes of the peer's."""
        for event in self._session.receive(data, now=now):
            self._happened(event)

    def tick(self, *, now: float) -> None:
        """Take note of the time."""
        for event in self._session.tick(now=now, is_reading=not self.is_full):
            self._happened(event)

    def ended(self, text: str = ENDED) -> None:
        """Take note that no more comes."""
        for event in self._session.end(text):
            self._happened(event)

    def take_output(self) -> bytes:
        """Return what is to be written, once."""
        return self._session.take_output()

    def written(self) -> None:
        """Take note that there is room again, or nobody for more."""
        if self._room is not None:
            self._room.set()
            self._room = None

    async def until_writable(self) -> None:
        """Return when there is room for more output, or nobody for it."""
        while self.is_full and not self.is_over:
            if self._room is None:
                self._room = anyio.Event()
            await self._room.wait()
