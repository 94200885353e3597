"""What a stream has given already, by which a server that tells something again is seen through. Pure.

An id says up to where all was told.  Events within a revision bear the id before it, and lines of logs a time before which nothing more comes, so whoever comes back
is told some of them again:

    an event that was given, and is told again      is known by
    with an id that was reached before the cut      its kind and its data
    with any id                                     the same, where the data says by itself which it is: it has a `revision` or an `offset`

Only so many are remembered: a server tells seconds again, and no hours.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from runink.client.events import Message
from runink.operations.answers import Event

REMEMBERED_MAX: Final = 20_000
_OWN_NAMES: Final = ("revision", "offset")


class Given:
    """The events that were given last."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._order: deque[int] = deque()

    def is_new(self, event: Event, message: Message, reached: int) -> bool:
        """Say whether an event was not given before, and remember it. `reached` is the id that this connection has begun behind."""
        mark = hash((message.kind, message.data))
        if mark in self._known and (event.revision <= reached or _tells_itself(event.data)):
            return False
        if mark not in self._known:
            self._known.add(mark)
            self._order.append(mark)
            if len(self._order) > REMEMBERED_MAX:
                self._known.discard(self._order.popleft())
        return True


def _tells_itself(data: Any) -> bool:
    if isinstance(data, dict):
        return any(name in data for name in _OWN_NAMES)
    return any(hasattr(data, name) for name in _OWN_NAMES)
