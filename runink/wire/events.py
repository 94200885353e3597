"""What a session tells: what has come, and what has become of the connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from runink.errors import RuninkError
from runink.wire.messages import Answer, Ask, Credit, Failure, Hello, Tell


class State(Enum):
    GREETING = "greeting"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Greeted:
    """The peer has said who it is, and it takes time to find out whether it may come in: `check` returns what `admit` would else, or raises what it does. Then `Session.let_in` or `close`."""

    check: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake is done. `herd` is whom the peer speaks for, `guest` what `admit` has made of it."""

    node: str
    herd: str
    version: int
    guest: Any = None


@dataclass(frozen=True, slots=True)
class Expired:
    """The time of the peer's Ask with this number is over, and it has been told so."""

    number: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes, nothing more can be sent. `error` says why."""

    error: RuninkError


Event = Greeted | Opened | Tell | Ask | Answer | Failure | Credit | Expired | Closed
Admit = Callable[[Hello], object]  # returns what the peer is, or Greeted; raises Refused


def admit_all(_: Hello) -> None:
    """Admit whoever the transport has let through."""
