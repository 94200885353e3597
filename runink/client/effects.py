"""What a call wants of the world, one step at a time: the effects that both transports carry out, each in its way.

A call is a generator: it yields an effect and is sent what came of it, or has the error thrown into it.  So everything that is decided (what is sent, what is
read, what is tried again and when) is written once, and a transport has nothing to decide.

    effect     is answered with
    Connect    a Link, a kept one or a new one                        raises LinkLost, TimedOut
    Send       nothing                                                raises LinkLost, TimedOut
    Receive    bytes, none at the end of the connection               raises LinkLost, TimedOut
    Keep       nothing: the link may serve another call
    Close      nothing
    Pause      nothing, after that time
    Token      the token to bear, empty for none                      raises what the credentials raise
    Give       nothing, when whoever reads a stream wants more

Whatever a call holds when it is left (by an error, or because nobody reads on) is closed by the transport.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import h11

from runink.client.exchanges import opened

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Link:
    """A connection: what carries it, known to the transport alone, and where HTTP stands on it."""

    carrier: Any
    http: h11.Connection = field(default_factory=opened)
    is_kept: bool = False  # it has served a call before
    idle_since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Connect:
    within_s: float
    is_fresh: bool  # a kept one might have been closed by the other side a moment ago


@dataclass(frozen=True, slots=True)
class Send:
    link: Link
    data: bytes = field(repr=False)
    within_s: float


@dataclass(frozen=True, slots=True)
class Receive:
    link: Link
    within_s: float


@dataclass(frozen=True, slots=True)
class Keep:
    link: Link


@dataclass(frozen=True, slots=True)
class Close:
    link: Link


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Token:
    """`refused` is the token that was borne and not taken, empty at first."""

    refused: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Give:
    value: Any


Effect = Connect | Send | Receive | Keep | Close | Pause | Token | Give
Steps = Generator[Effect, Any, T]
