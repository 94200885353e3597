"""Parties: who calls over a link, for as long as that lasts.

A link's guest (`trust/`) has one and puts it beside each message for the desk.  So who calls is said by the one who has let the link in, and never by the message; and what belongs to
the link, its streams, ends with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from runink.clients.api_requests import ApiRequest
from runink.identity.principals import Principal
from runink.runtime.envelope import Request
from runink.wire.frames import FRAME_BYTES_MAX


class Party:
    """Who is at the other end of a link. `address` is what it is counted by, empty for this machine's own sockets."""

    def __init__(self, principal: Principal, address: str = "") -> None:
        self.principal = principal
        self.address = address
        self.is_gone = False
        self._endings: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        return f"Party({self.principal.subject!r})"

    def when_gone(self, ending: Callable[[], object]) -> None:
        """Have something called when the link is over; at once if it is."""
        if self.is_gone:
            ending()
        else:
            self._endings.append(ending)

    def gone(self) -> None:
        """Take note that the link is over."""
        self.is_gone = True
        endings, self._endings = self._endings, []
        for ending in endings:
            ending()


class Said(Request[Any], frozen=True):
    """A message for the desk, and who has sent it. It never goes over a wire: only a guest makes it."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    party: Party
    message: ApiRequest
