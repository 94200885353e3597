"""Connections that others have made to a relay: how many at once, and which of them give way while they have not said who they are."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from runink.relay.connection import Connection
from runink.sandbox.log import log
from runink.wire.strangers import Seldom, Stranger, Strangers

CONNECTIONS_MAX: Final = 512  # that have said who they are: a cluster has some ten nodes


class Visitors:
    """Of one relay. `end` ends a connection, and is given the reason."""

    def __init__(self, end: Callable[[Connection, str], object]) -> None:
        self._end = end
        self._all: dict[Connection, Stranger] = {}
        self._strangers = Strangers(_turned_away)
        self._refused = Seldom()

    def refuse(self, link: socket.socket, now: float) -> bool:
        """Close a connection for which there is no place, and say whether that was so."""
        if len(self._all) - len(self._strangers) < CONNECTIONS_MAX:
            return False
        if times := self._refused.count(now):
            log("connection refused", why="there are too many", times=times)
        link.close()
        return True

    def came(self, connection: Connection, now: float) -> None:
        """Take note of a new one; another may be turned away for it."""
        turn_away = partial(self._end, connection, "others came")
        self._all[connection] = self._strangers.came(connection.peer_host, turn_away, now=now)

    def said_hello(self, connection: Connection) -> None:
        if connection in self._all:
            self._strangers.left(self._all[connection])

    def left(self, connection: Connection) -> None:
        if connection in self._all:
            self._strangers.left(self._all.pop(connection))


def _turned_away(times: int, address: str) -> None:
    log("connection turned away", why="others came", address=address, times=times)
