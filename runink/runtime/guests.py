"""Guests: who is at the other end of a link that somebody else has made, and what it may send to our actors.

    when                                      asked             a refusal
    the transport is there                    -                 what the transport refuses by itself: a bad certificate, another user
    its Hello has come                        `Entrance.admit`  Close with the error; nobody counts as connected before HelloAck. What takes time is asked behind it (`Greeted`)
    a message has come, its body unread       `Guest.check`     Failure (an Ask), or the message is dropped and logged (a Tell)
    the body is decoded                       `Guest.examine`   the same

Who has made the link itself has chosen whom it speaks to, and asks nothing: whom a node dials must show that it is the one that was meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from runink.wire.events import Greeted
from runink.wire.link import Link
from runink.wire.messages import Hello


@dataclass(frozen=True, slots=True)
class Shown:
    """What the transport has shown of who connects. `certificate` is DER and was checked against the cluster's authority, empty where none was shown; `is_ours`: by its socket it is this user. `address` is what it is counted by, empty for this machine's own sockets."""

    certificate: bytes = b""
    is_ours: bool = False
    address: str = ""


class Guest(Protocol):
    """Who was admitted. One that `is_node` serves actors itself, under the name that it has said; others of that name must not stand in its place."""

    @property
    def is_node(self) -> bool: ...

    def check(self, target: str, kind: str) -> None:
        """Raise Forbidden for a message that it may not send to that actor."""

    def examine(self, target: str, message: Any) -> Any:
        """Return what is delivered: the message, or one that says as well who has sent it. Raise Forbidden for a message of a kind that it may send, with something in it that it may not say."""


class Entrance(Protocol):
    """Whom a listener lets in."""

    def admit(self, hello: Hello, shown: Shown) -> Guest | Greeted | None:
        """Return who it is, nothing for a node that may all that is served; or what finds that out. Raises Refused."""

    def entered(self, link: Link) -> None:
        """Take note of a link that is open now."""

    def left(self, link: Link) -> None:
        """Take note that it is over."""


class OpenEntrance:
    """Lets in whom the transport has let through: this user's own processes."""

    def admit(self, hello: Hello, shown: Shown) -> Guest | None:  # noqa: ARG002 - what the transport has shown is enough
        """Let them in, to all that is served."""
        return None

    def entered(self, link: Link) -> None:
        """Keep no list."""

    def left(self, link: Link) -> None:
        """Keep no list."""


OPEN: OpenEntrance = OpenEntrance()
