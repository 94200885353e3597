"""What a relay counts of its work, for the metrics of its node; from 0 at the start of its process.

A relay does not look into what it carries, so it counts bytes and the pieces that it read them in.  How many batches and rows went over the wire, the slices at both ends say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Final

from runink.observe.metrics import Reading
from runink.relay.connection import Connection
from runink.relay.dials import Dials
from runink.relay.ends import Outgoing
from runink.relay.meeting import Meeting

OUT: Final = {"direction": "out"}  # from this node to others
IN: Final = {"direction": "in"}


class Cause(Enum):
    """Why a pipe that has something is not read: the reader has given no room for more, or the network has not taken what it was given."""

    READER = "reader"
    NETWORK = "network"


class Failure(Enum):
    """What went wrong: a connection that was needed, a stream that was cut on its way, one that others have opened and that is not for us."""

    CONNECTION = "connection"
    STREAM = "stream"
    REFUSAL = "refusal"


class Counting:
    """One for a relay. `now` is a clock that never goes back, seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sent_bytes = self._sent_pieces = self._came_bytes = self._came_pieces = 0
        self._waited_s = dict.fromkeys(Cause, 0.0)
        self._waiting: dict[Outgoing, tuple[Cause, float]] = {}
        self._failures = dict.fromkeys(Failure, 0)
        self._reconnects = 0

    def sent(self, size: int) -> None:
        self._sent_bytes += size
        self._sent_pieces += 1

    def came(self, size: int) -> None:
        self._came_bytes += size
        self._came_pieces += 1

    def wait(self, outgoing: Outgoing, cause: Cause) -> None:
        """Take note that a pipe waits from now on."""
        self.go_on(outgoing)
        self._waiting[outgoing] = cause, self._now()

    def go_on(self, outgoing: Outgoing) -> None:
        """Take note that it waits no more, if it did."""
        if (found := self._waiting.pop(outgoing, None)) is not None:
            cause, since_s = found
            self._waited_s[cause] += self._now() - since_s

    def failed(self, what: Failure) -> None:
        self._failures[what] += 1

    def reconnecting(self) -> None:
        self._reconnects += 1

    def readings(
        self, connections: Iterable[Connection], dials: Dials, meeting: Meeting
    ) -> Iterator[Reading]:
        """Yield all of it, with what is open and kept now."""
        yield Reading("runink_relay_bytes_total", self._sent_bytes, OUT)
        yield Reading("runink_relay_bytes_total", self._came_bytes, IN)
        yield Reading("runink_relay_pieces_total", self._sent_pieces, OUT)
        yield Reading("runink_relay_pieces_total", self._came_pieces, IN)
        yield from self._waits()
        for what, count in self._failures.items():
            yield Reading("runink_relay_failures_total", count, {"what": what.value})
        yield Reading("runink_relay_reconnects_total", self._reconnects)
        yield from _open(list(connections), dials, meeting)

    def _waits(self) -> Iterator[Reading]:
        now_s = self._now()
        for cause, waited_s in self._waited_s.items():
            going_on_s = sum(
                now_s - since_s for one, since_s in self._waiting.values() if one is cause
            )
            labels = {"cause": cause.value}
            yield Reading("runink_relay_waits_seconds_total", waited_s + going_on_s, labels)


def _open(connections: list[Connection], dials: Dials, meeting: Meeting) -> Iterator[Reading]:
    ends = [end for one in connections for end in one.streams.values()]
    outgoing = sum(isinstance(end, Outgoing) for end in ends)
    incoming = [one for one in meeting.pipes if one.stream or one.is_ended]
    dialled = sum(dial.connection is not None for dial in dials)
    unsent = sum(one.unsent_bytes for one in connections)
    yield Reading("runink_relay_streams", outgoing, OUT)
    yield Reading("runink_relay_streams", len(incoming), IN)
    yield Reading("runink_relay_connections", dialled, OUT)
    yield Reading("runink_relay_connections", len(connections) - dialled, IN)
    yield Reading("runink_relay_held_bytes", unsent, OUT)
    yield Reading("runink_relay_held_bytes", sum(one.kept_bytes for one in incoming), IN)
