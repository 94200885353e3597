"""A way to an actor that a test cuts: requests that never come, or answers that never do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import anyio

from runink.errors import TimedOut
from runink.runtime.actor import Request
from runink.runtime.ref import Ref


class Way(Enum):
    """What the way does to a request."""

    OPEN = "open"
    LOSES_REQUESTS = "loses requests"
    LOSES_ANSWERS = "loses answers"


@dataclass(slots=True)
class _Between:
    way: Way = Way.OPEN
    delay_s: float = 0.0


class Link:
    """A ref of an actor with a way between. `delay_s` is what a message takes to come there. One `beside` another goes the same way."""

    def __init__(self, actor: Ref[Any], *, beside: Link | None = None) -> None:
        self._actor = actor
        self._between: _Between = _Between() if beside is None else beside._between  # noqa: SLF001 - of its own kind

    @property
    def way(self) -> Way:
        return self._between.way

    @way.setter
    def way(self, way: Way) -> None:
        self._between.way = way

    @property
    def delay_s(self) -> float:
        return self._between.delay_s

    @delay_s.setter
    def delay_s(self, seconds: float) -> None:
        self._between.delay_s = seconds

    @property
    def address(self) -> str:
        return self._actor.address

    async def tell(self, message: Any) -> None:
        if self.way is not Way.LOSES_REQUESTS:
            await self._actor.tell(message)

    def tell_nowait(self, message: Any) -> None:
        if self.way is not Way.LOSES_REQUESTS:
            self._actor.tell_nowait(message)

    def flush(self) -> None:
        self._actor.flush()

    async def ask(self, request: Request[Any], *, within: float) -> Any:
        with anyio.move_on_after(within):
            if self.delay_s:
                await anyio.sleep(self.delay_s)
            if self.way is not Way.LOSES_REQUESTS:
                answer = await self._actor.ask(request, within=within)
                if self.way is Way.OPEN:
                    return answer
            await anyio.sleep_forever()
        raise TimedOut(f"no answer within {within} s")

    async def cut(self, way: Way, seconds: float) -> None:
        """Be cut in this way for so long."""
        self.way = way
        await anyio.sleep(seconds)
        self.way = Way.OPEN
