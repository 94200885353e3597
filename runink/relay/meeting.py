"""Which stream belongs to which pipe: they come in any order, from two agents that do not wait for each other.

a stream is opened             its pipe                         becomes of it
with the right token           waits                            they are joined
                               has not come, or is of an        it is kept until it comes, for as long as may be
                               earlier attempt
with another token             waits                            refused (`wrong_token`)
of an earlier attempt          waits, or carries                refused (`old_attempt`)
a second time                  carries                          refused (`known_stream`)
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from runink.errors import Forbidden, Overloaded, Refused, RuninkError
from runink.relay.connection import Connection
from runink.relay.ends import Incoming
from runink.wire.stream_frames import Open

PENDING_MAX: Final = 1024  # streams whose pipe has not come yet


@dataclass(frozen=True, slots=True)
class Pending:
    """A stream that has come before its pipe."""

    connection: Connection
    open: Open
    until_s: float


class Meeting:
    """The pipes that wait for streams or carry them, and the streams that wait for pipes."""

    def __init__(self) -> None:
        self._pipes: dict[str, Incoming] = {}  # by edge
        self._pending: list[Pending] = []

    @property
    def pipes(self) -> list[Incoming]:
        return list(self._pipes.values())

    def pipe(self, edge: str) -> Incoming | None:
        return self._pipes.get(edge)

    def expect(self, incoming: Incoming) -> list[Pending]:
        """Take a pipe; return the streams of its edge that have come before, which arrive now."""
        edge = incoming.wanted.edge
        assert edge not in self._pipes
        self._pipes[edge] = incoming
        found = [one for one in self._pending if one.open.edge == edge]
        self._pending = [one for one in self._pending if one.open.edge != edge]
        return found

    def leave(self, incoming: Incoming) -> None:
        """Forget a pipe."""
        if self._pipes.get(incoming.wanted.edge) is incoming:
            del self._pipes[incoming.wanted.edge]

    def arrive(self, come: Pending) -> Incoming | RuninkError | None:
        """Return the pipe for a stream, why it is refused, or nothing if it is to wait."""
        opened = come.open
        incoming = self._pipes.get(opened.edge)
        if incoming is None or incoming.wanted.attempt < opened.attempt:
            if len(self._pending) >= PENDING_MAX:
                return Overloaded("too many streams wait for their pipes here")
            self._pending.append(come)
            return None
        if incoming.wanted.attempt > opened.attempt:
            return Refused("its attempt is over", code="old_attempt")
        if not compare_digest(incoming.wanted.token, opened.token):
            return Forbidden("it has not the token of its edge", code="wrong_token")
        if incoming.stream:
            return Refused("its edge has a stream already", code="known_stream")
        return incoming

    def forget(self, connection: Connection, stream: int = 0) -> None:
        """Forget what waits of a connection that is over, or one stream of it."""
        self._pending = [
            one
            for one in self._pending
            if one.connection is not connection or (stream and one.open.stream != stream)
        ]

    def overdue(self, now_s: float) -> tuple[list[Pending], list[Incoming]]:
        """Return the streams, which are forgotten, and the pipes that have waited for too long."""
        late = [one for one in self._pending if one.until_s <= now_s]
        self._pending = [one for one in self._pending if one.until_s > now_s]
        pipes = [one for one in self.pipes if not one.stream and one.until_s <= now_s]
        return late, pipes
