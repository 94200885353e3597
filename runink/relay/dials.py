"""The ways to other relays: one connection to each, which many streams share, and what waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from runink.relay.connection import Connection
from runink.relay.ends import Outgoing
from runink.relay.greeting import Place

RETRY_S: Final = 1.0  # between two tries to reach a relay that is just being started
IDLE_S: Final = 60.0  # a connection without streams is kept for the next ones


@dataclass(eq=False, slots=True)
class Dial:
    """The way to another relay. `waiting` have no stream yet; `is_again` says that a connection was lost, or never came about, since it is needed."""

    place: Place
    connection: Connection | None = None
    retry_s: float = 0.0
    used_s: float = 0.0  # when it had a stream last
    waiting: list[Outgoing] = field(default_factory=list)
    is_again: bool = False

    @property
    def is_used(self) -> bool:
        one = self.connection
        return bool(self.waiting or (one is not None and (one.streams or one.unsent_bytes)))


class Dials:
    """All of them, by place."""

    def __init__(self) -> None:
        self._dials: dict[Place, Dial] = {}

    def __iter__(self) -> Iterator[Dial]:
        return iter(list(self._dials.values()))

    def to(self, place: Place) -> Dial:
        return self._dials.setdefault(place, Dial(place))

    def of(self, connection: Connection) -> Dial | None:
        """Return the one that a connection is of, nothing if others have made it."""
        return next((one for one in self._dials.values() if one.connection is connection), None)

    def forget(self, dial: Dial) -> None:
        del self._dials[dial.place]
